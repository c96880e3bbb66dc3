"""docs/metrics.md lists what the programs declare, and every declared metric can be read from a living program."""

from __future__ import annotations

import random
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from storage_tools import Writer, append, make_node, read

from aurora.metrics import Exporter, Metric
from aurora.programs.endpoints.metrics import ENDPOINTS_METRICS
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from aurora.stalls import Stalls
from compute_node.metrics import INSTANCE_METRICS, describe_turn
from storage_node.append import Appends
from storage_node.measured_disk import MeasuredDisk
from storage_node.metrics import NODE_METRICS, NodeSource, ReadCounts
from tests.log_rule import DISK_REFUSES

pytestmark = pytest.mark.logs(DISK_REFUSES)

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_ROW = re.compile(r"^\| `(aurora_\w+)` \| (\w+) \| ([\w, ]*) \| (.+) \|$", re.MULTILINE)


def _listed(section: str) -> list[tuple[str, ...]]:
    text = PAGE.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return [match.groups() for match in _ROW.finditer(text)]


@pytest.mark.parametrize(
    ("section", "metrics"),
    [("Storage node", NODE_METRICS), ("Compute instance", INSTANCE_METRICS), ("Endpoints", ENDPOINTS_METRICS)],
)
def test_the_page_lists_each_metric_as_it_is_declared(section: str, metrics: tuple[Metric[Any], ...]) -> None:
    assert _listed(section) == [(m.name, m.kind, ", ".join(m.labels), m.help) for m in metrics]


def test_every_metric_that_the_page_speaks_of_exists() -> None:
    declared = {metric.name for metric in (*NODE_METRICS, *INSTANCE_METRICS, *ENDPOINTS_METRICS)}
    assert set(re.findall(r"aurora_(?:storage|compute|endpoints)_\w+", PAGE.read_text())) == declared


def test_a_storage_nodes_metrics_can_all_be_read_and_move(tmp_path: Path) -> None:
    node = make_node(SimDisk())
    disk = MeasuredDisk(tmp_path, Stalls())
    appends, reads = Appends(node, lambda: None), ReadCounts()  # type: ignore[arg-type]
    source = NodeSource(node, appends, reads, disk, Stalls())
    registry = CollectorRegistry()
    registry.register(Exporter(NODE_METRICS, source))

    def value(name: str, **labels: str) -> float:
        found = registry.get_sample_value(name, labels)
        assert found is not None, name
        return found

    exported = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    assert exported == {metric.name for metric in NODE_METRICS}
    assert value("aurora_storage_log_batches_total") == 0

    before = source.work()
    writer = Writer(random.Random(1))
    frames = writer.frames(10)
    append(node, frames)
    lsn = writer.log.last_lsn
    read(node, writer, 0, lsn)
    assert source.work() > before
    assert value("aurora_storage_log_batches_total") == len(frames)
    assert value("aurora_storage_log_written_bytes_total") == sum(map(len, frames))
    assert value("aurora_storage_scl_lsn", pg="0") == lsn
    assert value("aurora_storage_entries", pg="0") == len(frames)
    assert value("aurora_storage_cache_lookups_total", result="miss") > 0
    assert value("aurora_storage_epoch", kind="volume") == 1
    reads.answered(pb.ReadPagesReply(pages=[pb.PageImage(behind=True), pb.PageImage(collected=True)]), 0.001)
    assert value("aurora_storage_read_refused_pages_total", reason="collected") == 1
    assert value("aurora_storage_read_seconds_count") == 1
    node.refused_by_disk(OSError("full"), "log")
    assert value("aurora_storage_refusing") == 1


def test_acks_are_timed_and_refusals_counted() -> None:
    node = make_node(SimDisk())
    appends = Appends(node, lambda: None)  # type: ignore[arg-type]
    writer = Writer(random.Random(2))
    replies: list[pb.AppendReply] = []
    sink = SimpleNamespace(put=replies.append)

    def send(epoch: int) -> None:
        appends.stage(
            pb.AppendRequest(volume_id=node.volume_id, volume_epoch=epoch, writer_id="w1", sequence=1,
                             membership_epoch=1, batches=b"".join(writer.frames(2))), sink,
        )  # fmt: skip
        appends.flush()

    for epoch in (2, 2, 1):
        send(epoch)
    assert [bool(reply.error) for reply in replies] == [False, False, True]
    assert (appends.appends, appends.refused, appends.ack_seconds.count) == (3, 1, 2)


def test_syncs_are_timed_apart(tmp_path: Path) -> None:
    stalls = Stalls([].append)
    disk = MeasuredDisk(tmp_path, stalls)
    for name in ("log-00000001", "pages-0", "torn-0"):
        disk.append(name, [b"x"])
        disk.sync(name)
    other = threading.Thread(target=disk.sync, args=("pages-0",))
    other.start()
    other.join()
    assert (disk.log_sync_seconds.count, disk.page_sync_seconds.count) == (1, 3)
    disk.close()


def test_a_turn_is_described_by_its_session() -> None:
    worker = object()
    sessions = {
        pid: SimpleNamespace(pid=pid, greenlet=None, query_start=started, state_change=ready, query=f"select {pid}")
        for pid, started, ready in ((1, 5, 6), (2, 3, 9), (3, 7, 7))
    }
    wire: Any = SimpleNamespace(sessions=sessions)
    assert describe_turn(wire, worker, None) == "session 2: select 2"
    sessions[3].greenlet = worker
    assert describe_turn(wire, worker, None) == "session 3: select 3"

    class Connection:
        session = sessions[1]

        def turn(self) -> None:
            """A turn of the first session."""

    assert describe_turn(wire, object(), Connection().turn) == "session 1: select 1"
    assert describe_turn(wire, object(), print) == ""
    assert describe_turn(SimpleNamespace(sessions={}), worker, None) == ""  # type: ignore[arg-type]
