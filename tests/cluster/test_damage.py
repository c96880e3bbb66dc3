"""Storage nodes with small log files, so that log is coalesced and collected within a test: long absences, flipped
bits.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from aurora.programs.node_scrub import scrub
from aurora.programs.supervisor import NODES, Cluster
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import storage_stub
from aurora.seams import LOCK_NAME, FolderDisk
from tests.cluster.support import all_caught_up, assert_balanced, assert_no_failures, pgbench, wait_for
from tests.conftest import SMALL_PAGES_PER_PG, needs
from tests.log_rule import DAMAGE
from tests.unit.storage_tools import unsound_files

pytestmark = [pytest.mark.cluster, needs("pgbench"), pytest.mark.logs(DAMAGE, r"kept for the backup: nothing sound")]

PAGE_BYTES = 8192


@pytest.fixture
def eager(make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose nodes coalesce at half a megabyte of log."""
    monkeypatch.setenv("AURORA_NODE_COALESCE_LOG_MB", "0.5")
    monkeypatch.setenv("AURORA_NODE_LOG_FILE_MB", "0.25")
    monkeypatch.setenv("AURORA_NODE_COALESCE_AGE_S", "1")
    monkeypatch.setenv("AURORA_NODE_LOG_CACHE_MB", "0.25")
    monkeypatch.setenv("AURORA_NODE_CACHE_MB", "1")
    return make_cluster(pages_per_pg=SMALL_PAGES_PER_PG, cache_mb=8)


def _collected(cluster: Cluster, node: int) -> int:
    pgs = cluster.status()["storage_nodes"][node].get("pgs", {})
    return int(pgs.get(0, {}).get("collected", 0))


def test_a_node_whose_peers_have_collected_what_it_missed(eager: Cluster) -> None:
    pgbench(eager, "-i", "-q", "-s", "1")
    absent = NODES[0][0]
    eager.kill(absent)
    assert_no_failures(pgbench(eager, "-n", "-M", "prepared", "-c", "8", "-t", "200"))
    vdl = int(eager.status()["volume"]["vdl"])
    wait_for(lambda: all(_collected(eager, node) > vdl // 2 for node in range(1, 6)), "the peers to collect")
    # Only peers can help now: a restarted writer retains nothing.
    eager.kill(eager.writer.id)
    eager.start_instance(eager.writer.id)
    eager.wait_ready()
    eager.start_node(absent)
    wait_for(lambda: all_caught_up(eager), "the node to catch up")
    log = (eager.data / "log" / f"{absent}.log").read_text()
    assert "pages taken over at" in log
    # It alone, with three others, must be as good as any.
    for victim in (NODES[2][0], NODES[4][0]):
        eager.kill(victim)
    assert_balanced(eager)
    assert_no_failures(pgbench(eager, "-n", "-c", "4", "-t", "50"))
    assert_balanced(eager)


def _flip_pages(path: Path, rng: random.Random) -> int:
    """Flip one bit in every stored page of the file; how many."""
    data = bytearray(path.read_bytes())
    flipped = 0
    for offset in range(0, len(data), PAGE_BYTES):
        if any(data[offset : offset + PAGE_BYTES]):
            data[offset + rng.randrange(PAGE_BYTES)] ^= 1 << rng.randrange(8)
            flipped += 1
    path.write_bytes(data)
    return flipped


def test_flipped_bits_in_pages_and_log(eager: Cluster) -> None:
    pgbench(eager, "-i", "-q", "-s", "1")
    assert_no_failures(pgbench(eager, "-n", "-M", "prepared", "-c", "8", "-t", "100"))
    vdl = int(eager.status()["volume"]["vdl"])
    wait_for(lambda: all(_collected(eager, node) > vdl // 2 for node in range(6)), "the nodes to collect")
    rng = random.Random(20261122)
    sick = [node_id for node_id, _ in NODES[:2]]
    for victim in sick:
        eager.kill(victim)
    for victim in sick:
        folder = eager.data / "storage" / victim
        assert sum(_flip_pages(path, rng) for path in folder.glob("pages-*")) > 100
        logs = sorted(path for path in folder.glob("log-*") if path.stat().st_size)
        data = bytearray(logs[0].read_bytes())
        data[len(data) // 3] ^= 0x10
        logs[0].write_bytes(data)
    for victim in sick:
        eager.start_node(victim)
    wait_for(lambda: all_caught_up(eager), "the gap in the log to be filled")
    # With two healthy nodes gone, the sick ones are half of those that answer; no query may see a damaged page.
    for victim in (NODES[4][0], NODES[5][0]):
        eager.kill(victim)
    assert_balanced(eager)
    assert_no_failures(pgbench(eager, "-n", "-M", "prepared", "-c", "8", "-t", "50"))
    assert_balanced(eager)
    for victim in sick:
        log = (eager.data / "log" / f"{victim}.log").read_text()
        assert "does not match its checksum" in log
        path = eager.data / "log" / f"{victim}.log"
        wait_for(lambda path=path: "repaired from" in path.read_text(), "repair")  # type: ignore[misc]


def _flip(folder: Path, rng: random.Random, count: int) -> set[str]:
    """Flip bits at random places of a node's files, in place; the kinds of file that were hit."""
    kept = ("meta", LOCK_NAME)
    paths = [path for path in sorted(folder.iterdir()) if path.stat().st_size and not path.name.startswith(kept)]
    paths.append(folder / rng.choice(["meta", "meta-copy"]))
    hit = set()
    with contextlib.ExitStack() as stack:
        # Held open: a node that runs deletes log files that it needs no more, and bits in those hurt nobody.
        files = [(path, stack.enter_context(path.open("r+b"))) for path in paths]
        sizes = {path: len(file.read().rstrip(b"\0")) for path, file in files}  # zeros at a log's end are not log
        for number in range(count):
            path, file = files[number % len(files)]
            offset = rng.randrange(sizes[path])
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes((byte ^ 1 << rng.randrange(8),)))
            file.flush()
            hit.add(path.name.rstrip("0123456789").rstrip("-"))
    return hit


def _images(cluster: Cluster, address: str, volume_id: bytes, asked: list[pb.PageAt]) -> list[bytes] | None:
    """The pages as that node has them; None when it cannot give one of them now."""
    got: list[pb.PageImage] = []
    with grpc.insecure_channel(address) as channel:
        stub = storage_stub(channel, cluster.secret())
        for at in range(0, len(asked), 256):
            request = pb.ReadPagesRequest(volume_id=volume_id, pages=asked[at : at + 256])
            got += stub.ReadPages(request, timeout=10).pages
    return None if any(page.behind or page.collected for page in got) else [page.image for page in got]


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "running"])
def test_hundreds_of_flipped_bits_in_all_files_of_a_node(eager: Cluster, stopped: bool) -> None:
    pgbench(eager, "-i", "-q", "-s", "1")
    assert_no_failures(pgbench(eager, "-n", "-M", "prepared", "-c", "8", "-t", "50"))
    wait_for(lambda: all_caught_up(eager) and all(_collected(eager, node) for node in range(6)), "the nodes to collect")
    rng = random.Random(20261123)
    sick, healthy = eager.required.nodes[0], eager.required.nodes[3]
    folder = eager.data / "storage" / sick.id
    log = eager.data / "log" / f"{sick.id}.log"
    if stopped:
        eager.kill(sick.id)
    told_before = log.stat().st_size
    assert _flip(folder, rng, 400) >= {"log", "pages", "torn"}
    if stopped:
        eager.start_node(sick.id)
        wait_for(lambda: all_caught_up(eager), "the node to be level")
    assert_no_failures(pgbench(eager, "-n", "-M", "prepared", "-c", "4", "-t", "20"))
    status = scrub(sick.address, 60, eager.access())
    assert (status.running, status.waiting) == (False, 0)
    assert status.damaged == status.repaired
    told = log.read_bytes()[told_before:].decode()
    # Log was hit that the peers have collected meanwhile: the refill overwrites damaged pages before they are counted.
    refilled = stopped and "pages taken over" in told and "damaged" in told
    assert refilled or status.damaged > 50
    wait_for(lambda: all_caught_up(eager), "the gaps in the log to be filled")
    eager.kill(eager.writer.id)  # nothing moves from here on
    disk = FolderDisk(folder)
    wait_for(lambda: unsound_files(disk) == [], "all files to be sound")
    disk.close()
    node = eager.status()["storage_nodes"][0]
    page_numbers = range(max(node["pgs"]) * SMALL_PAGES_PER_PG + 64)
    scls = {pg: state["scl"] for pg, state in node["pgs"].items()}
    asked = [pb.PageAt(page_no=n, pg_lsn=scls.get(n // SMALL_PAGES_PER_PG, 0)) for n in page_numbers]
    volume_id = bytes.fromhex(node["volume_id"])
    ours = _images(eager, sick.address, volume_id, asked)
    assert ours is not None
    assert sum(map(bool, ours)) > 1000
    assert ours == _images(eager, healthy.address, volume_id, asked)
