"""What a node tells while it catches up: which fetch runs, how far it is, what it has fetched in all."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from storage_tools import Net, StepClock, Writer, append, make_node

from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.node import StorageNode
from storage_node.node_status import states
from tests.log_rule import DAMAGE

pytestmark = pytest.mark.logs(DAMAGE)


class WatchedNet(Net):
    """Looks at a node's status after each reply to a fetch, before the fetch ends."""

    def __init__(self, nodes: dict[str, StorageNode[int]], clock: StepClock, name: str) -> None:
        super().__init__(nodes, clock)
        self.seen: list[pb.RepairStatus] = []
        node = nodes[name]
        original: Callable[..., Any] = node.on_reply

        def on_reply(call: Any, reply: Any) -> Any:
            effects = original(call, reply)
            for status in node.on_status(pb.StatusRequest()).pg_status:
                if status.HasField("repair"):
                    self.seen.append(status.repair)
            return effects

        node.on_reply = on_reply  # type: ignore[method-assign]


def _net(**settings: float) -> WatchedNet:
    clock = StepClock()
    return WatchedNet({f"n{i}": make_node(SimDisk(), clock, f"n{i}", **settings) for i in range(3)}, clock, "n2")


def _write(net: Net, writer: Writer, turns: int, missing: str = "") -> None:
    for _ in range(turns):
        frames = writer.frames(10)
        lsn = writer.log.last_lsn
        for name, node in net.nodes.items():
            append(node, frames if name != missing else [], vdl=lsn, pgmrpl=lsn)


def test_a_fetch_of_log_is_shown_while_it_runs() -> None:
    net = _net()
    writer = Writer(random.Random(1), pages=50)
    _write(net, writer, 3)
    _write(net, writer, 10, missing="n2")
    net.tick(20)
    node = net.nodes["n2"]
    told = [repair for repair in net.seen if repair.fetched_bytes]
    assert {repair.kind for repair in told} == {"log"}
    assert told[-1].peer_id in ("n0", "n1")
    assert told[-1].done == told[-1].total > 0
    assert told[-1].fetched_bytes == node.gossip.repairs.bytes_total["log"]
    assert node.gossip.repairs.fetches_total == {"log": 1, "pages": 0}
    assert node.gossip.repairs.running == {}
    assert not any(status.HasField("repair") for status in node.on_status(pb.StatusRequest()).pg_status)


def test_a_baseline_is_shown_with_pages_done_and_total() -> None:
    net = _net(coalesce_log_mb=0.005)
    writer = Writer(random.Random(2), pages=60)
    _write(net, writer, 3)
    net.down = {"n2"}
    for _ in range(20):
        _write(net, writer, 1, missing="n2")
        net.tick(3)
    net.down = set()
    assert net.nodes["n0"].segments[0].collected_lsn > net.nodes["n2"].segments[0].scl
    net.tick(60)
    node = net.nodes["n2"]
    pages = [repair for repair in net.seen if repair.kind == "pages" and repair.total]
    assert pages, "no baseline was seen"
    assert pages[-1].done == pages[-1].total == net.nodes["n0"].segments[0].store.file_bytes // 8192
    assert node.gossip.repairs.bytes_total["pages"] > 0
    assert node.coalescer.stored_pages > 0
    assert net.nodes["n0"].coalescer.passes > 0
    assert node.segments[0].scl == net.nodes["n0"].segments[0].scl


def test_a_fetch_that_breaks_off_is_counted_and_not_shown_any_more() -> None:
    net = _net()
    writer = Writer(random.Random(3), pages=20)
    _write(net, writer, 2, missing="n2")
    net.down = {"n0", "n1"}
    node = net.nodes["n2"]
    state = states(net.nodes["n0"])
    for _ in range(2):  # behind what the peer had a round ago, and still is
        reply = pb.GossipReply(node_id="n0", volume_epoch=1, pgs=state, writer_id="w1")
        effects = node.gossip.on_reply(pb_call(), reply)
    (fetch,) = effects
    assert node.on_status(pb.StatusRequest()).pg_status[0].repair.kind == "log"
    node.on_failed(fetch, "gone")  # type: ignore[arg-type]
    assert node.gossip.repairs.failed_total == {"log": 1, "pages": 0}
    assert node.gossip.failed_calls == 1
    assert not node.on_status(pb.StatusRequest()).pg_status[0].HasField("repair")


def pb_call() -> Any:
    """A gossip call to n0."""
    from storage_node.effects import Call

    return Call("n0", "n0", "Gossip", pb.GossipRequest())


def test_damaged_pages_and_log_are_counted() -> None:
    clock = StepClock()
    disks = {name: SimDisk() for name in ("n0", "n1")}
    nodes = {name: make_node(disk, clock, name, coalesce_log_mb=0.0001) for name, disk in disks.items()}
    net = Net(nodes, clock)
    writer = Writer(random.Random(4), pages=5)
    _write(net, writer, 5)
    net.tick(30)
    node = nodes["n0"]
    disks["n0"].flip_bit("pages-0", 2 * 8192 + 4000)
    node.cache.drop(2)
    lsn = writer.log.last_lsn
    asked = pb.PageAt(page_no=2, pg_lsn=lsn, read_point=lsn)
    assert node.on_read(pb.ReadPagesRequest(volume_id=node.volume_id, pages=[asked])).pages[0].behind
    assert node.on_status(pb.StatusRequest()).pg_status[0].broken_pages == 1
    net.tick(40)
    assert node.on_status(pb.StatusRequest()).pg_status[0].broken_pages == 0
    assert node.gossip.repairs.pages_repaired_total == 1
