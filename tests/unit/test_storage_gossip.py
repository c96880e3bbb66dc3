"""Nodes among themselves: catching up by log and by baseline, learning the volume, repairing pages."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import VOLUME, Net, StepClock, Writer, append, make_node, peer_list, read

from aurora import truncation
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.config import NodeConfig
from storage_node.node import StorageNode
from tests.log_rule import DAMAGE

pytestmark = pytest.mark.logs(DAMAGE)


def _cluster(count: int, **settings: float) -> tuple[Net, dict[str, SimDisk]]:
    clock = StepClock()
    disks = {f"n{i}": SimDisk() for i in range(count)}
    nodes = {name: make_node(disk, clock, name, **settings) for name, disk in disks.items()}
    return Net(nodes, clock), disks


def _same(node: StorageNode[int], writer: Writer, lsn: int) -> None:
    for page_no in range(writer.pages):
        assert read(node, writer, page_no, lsn).image == writer.at(page_no, lsn), page_no


def test_a_node_that_missed_log_gets_it_from_peers() -> None:
    net, _ = _cluster(3)
    writer = Writer(random.Random(1), pages=100)
    for turn in range(10):
        frames = writer.frames(5)
        for name, node in net.nodes.items():
            if name != "n2" or turn in (0, 7):
                append(node, frames)
    assert net.nodes["n2"].segments[0].pending
    net.tick(20)
    assert "FetchLog" in net.calls
    assert "FetchRange" not in net.calls
    _same(net.nodes["n2"], writer, writer.log.last_lsn)
    assert net.nodes["n2"].on_status(pb.StatusRequest()).state == "serving"


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_a_node_behind_collected_log_takes_baselines(seed: int) -> None:
    rng = random.Random(seed)
    net, disks = _cluster(3, coalesce_log_mb=0.005)
    writer = Writer(rng, pages=100)
    append(net.nodes["n2"], [], vdl=0)
    for turn in range(25):
        frames = writer.frames(10)
        for name, node in net.nodes.items():
            if name != "n2" or turn < 3:
                append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
        net.down = {"n2"}
        net.tick(3)
    assert net.nodes["n0"].segments[0].collected_lsn > net.nodes["n2"].segments[0].scl
    net.down = set()
    if rng.random() < 0.5:
        for _ in range(rng.randrange(1, 5)):
            net.tick(1)
        disks["n2"] = disks["n2"].crash(rng)
        net.nodes["n2"] = make_node(disks["n2"], net.clock, "n2", coalesce_log_mb=0.005)
    net.tick(60)
    assert "FetchRange" in net.calls
    _same(net.nodes["n2"], writer, writer.log.last_lsn)
    _same(make_node(disks["n2"].crash(rng), net.clock, "n2"), writer, writer.log.last_lsn)


def test_an_empty_node_learns_the_volume_from_its_peers() -> None:
    net, _ = _cluster(2)
    writer = Writer(random.Random(2))
    for node in net.nodes.values():
        append(node, writer.frames(5) if node is net.nodes["n0"] else [])
    config = NodeConfig(node_id="n5", data=Path("unused"), peers=peer_list(6))
    net.nodes["n5"] = StorageNode(config, SimDisk(), net.clock, random.Random(5))
    assert net.nodes["n5"].on_status(pb.StatusRequest()).state == "empty"
    net.tick(40)
    assert net.nodes["n5"].volume_id == VOLUME
    assert net.nodes["n5"].epoch == 1
    _same(net.nodes["n5"], writer, writer.log.last_lsn)


def test_truncation_and_epoch_spread_by_gossip() -> None:
    net, _ = _cluster(3)
    writer = Writer(random.Random(3))
    for turn in range(3):
        frames = writer.frames(4)
        for name, node in net.nodes.items():
            if turn < 2 or name == "n2":
                append(node, frames)
    vdl = writer.lsns[0][6]
    node = net.nodes["n0"]
    node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))
    void = pb.Truncation(epoch=2, vdl=vdl, upper=20_000)
    assert node.on_truncate(pb.TruncateRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2", range=void)).ok
    net.tick(20)
    for node in net.nodes.values():
        assert (node.epoch, node.segments[0].scl) == (2, vdl)
        assert append(node, []).refused_epoch == 2


@pytest.mark.parametrize("coalesced", [False, True])
def test_a_flipped_bit_in_a_stored_page_is_repaired_from_a_peer(coalesced: bool) -> None:
    net, disks = _cluster(2, coalesce_log_mb=0.0001)
    writer = Writer(random.Random(4), pages=5)
    for _ in range(5):
        frames = writer.frames(10)
        for node in net.nodes.values():
            append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
    net.tick(30)
    net.nodes["n0"] = make_node(disks["n0"], net.clock, "n0", coalesce_log_mb=0.0001)
    disks["n0"].flip_bit("pages-0", 2 * 8192 + 4000)
    lsn = writer.log.last_lsn
    if coalesced:
        frames = writer.frames(10)
        for node in net.nodes.values():
            append(node, frames, vdl=writer.log.last_lsn, pgmrpl=writer.log.last_lsn)
        lsn = writer.log.last_lsn
    else:
        assert read(net.nodes["n0"], writer, 2, lsn).behind
    net.tick(40)
    _same(net.nodes["n0"], writer, lsn)
    assert net.nodes["n0"].segments[0].collected_lsn == lsn


def test_effective_truncations() -> None:
    assert truncation.effective([(2, 100, 1000), (3, 100, 1000)]) == [(3, 100, 1000)]
    assert truncation.effective([(3, 1500, 3000), (2, 100, 1000)]) == [(2, 100, 1000), (3, 1500, 3000)]
    assert truncation.effective([(2, 100, 1000), (3, 120, 1000)]) == [(3, 120, 1000)]
    assert truncation.valid_upto([(2, 100, 1000)], 50, 150) == 100
    assert truncation.valid_upto([(2, 100, 1000)], 1001, 1100) == 1100
    assert truncation.is_void([(2, 100, 1000)], 1000)
    assert not truncation.is_void([(2, 100, 1000)], 100)


def test_config_from_flags_and_environment() -> None:
    from storage_node.config import load

    environ = {"AURORA_NODE_AZ": "az1", "AURORA_NODE_CACHE_MB": "5", "AURORA_NODE_PEERS": "n0=az1=h:1,n1=az1=h:2"}
    config = load(["--id", "n0", "--data", "d", "--listen", "unix:d/n0", "--cache-mb", "7"], environ)
    assert (config.az, config.cache_mb, [p.node_id for p in config.peers]) == ("az1", 7, ["n1"])
    assert config == replace(config)
    for wrong in (
        ["--id", "n0"],
        ["--id", "n", "--data", "d", "--peers", "x"],
        ["--id", "n", "--data", "d", "--cache-mb", "0"],
    ):
        with pytest.raises(SystemExit):
            load(wrong, {})
