"""Membership, growth, a zone away, tails: each changed under load in real processes, against a ledger of commits.

The load never stops for a change and no commit of it fails. After a change the writer is killed, so that recovery has
to find the new membership, and then nodes are killed until the new ones are needed for the quorum.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from aurora.programs import fleet
from aurora.programs.status import ask_nodes
from aurora.programs.supervisor import AZS, Cluster, ClusterError
from tests.cluster.support import Ledger, wait_for
from tests.conftest import SMALL_PAGES_PER_PG
from tests.log_rule import FLEET_CHANGES

pytestmark = [pytest.mark.cluster, pytest.mark.logs(FLEET_CHANGES)]

REPLACE_S = 60.0


@contextmanager
def load(cluster: Cluster, clients: int = 2) -> Iterator[Ledger]:
    """A running load; at the end none of its commits has failed."""
    ledger = Ledger(cluster, clients)
    ledger.create()
    ledger.start()
    goes_on(ledger)
    yield ledger
    ledger.stop()
    assert not ledger.errors


def goes_on(ledger: Ledger, commits: int = 50) -> None:
    """Wait until every client has had commits answered from now on."""
    goals = {client: ledger._next.get(client, 0) + commits // ledger.clients for client in range(ledger.clients)}
    wait_for(
        lambda: bool(ledger.errors) or all(ledger._next.get(client, 0) > goal for client, goal in goals.items()),
        "commits to go on",
    )
    assert not ledger.errors


def restart_writer(cluster: Cluster) -> None:
    """SIGKILL of the writer, and recovery."""
    cluster.kill(cluster.writer.id)
    cluster.start_instance(cluster.writer.id)
    cluster.wait_ready()


def grow(cluster: Cluster, megabytes: int) -> None:
    """Fill a table of so many megabytes."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS ballast (n int, filler text)")
        for _ in range(megabytes):
            connection.execute("INSERT INTO ballast SELECT n, repeat('x', 1000) FROM generate_series(1, 1000) n")


def groups(cluster: Cluster) -> list[dict[str, Any]]:
    """The PGs as ``aurora status --json`` shows them."""
    found: list[dict[str, Any]] = cluster.status()["protection_groups"]
    return found


def holders(cluster: Cluster) -> list[list[str]]:
    """Of each PG the nodes of its segments, candidates too, by the newest descriptor."""
    return [[segment["node"] for segment in group["segments"]] for group in groups(cluster)]


def is_settled(cluster: Cluster) -> bool:
    """No change of the fleet is on its way."""
    return not fleet.volume_status(cluster)["fleet_changing"]


def is_level(cluster: Cluster) -> bool:
    """Every segment is filled and has all that is durable, and no change is on its way."""
    found = groups(cluster)
    return is_settled(cluster) and all(s["health"] == "up" for group in found for s in group["segments"])


def assert_balanced_zones(cluster: Cluster) -> None:
    """Every PG has two segments in each zone, on different nodes."""
    for group in groups(cluster):
        zones = sorted(segment["az"] for segment in group["segments"])
        assert zones == sorted(AZS * 2), group
        assert len({segment["node"] for segment in group["segments"]}) == len(zones), group


def test_two_replacements_at_once_while_the_volume_grows(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(SMALL_PAGES_PER_PG)
    before = fleet.volume_status(cluster)
    with load(cluster) as ledger:
        cluster.kill("az1-a")
        goes_on(ledger)
        for az in ("az1", "az2"):
            fleet.add(cluster, az)
        replacements = [("az1-a", "az1-c"), ("az2-b", "az2-c")]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda pair: fleet.ask(cluster, "aurora_replace_storage_node", *pair), replacements))
        grow(cluster, 8)
        goes_on(ledger)
        wait_for(lambda: is_settled(cluster), "both replacements")
        for lost in ("az1-a", "az2-b"):
            cluster.remove_node(lost)
        goes_on(ledger)
    after = fleet.volume_status(cluster)
    assert after["protection_groups"] > before["protection_groups"]
    assert after["geometry_epoch"] > before["geometry_epoch"]
    assert after["membership_epoch"] > before["membership_epoch"]
    assert_balanced_zones(cluster)
    for held in holders(cluster):
        assert not {"az1-a", "az2-b"} & set(held)
    restart_writer(cluster)
    ledger.check()
    # Four are left, the two new ones among them: none can be done without.
    for needless in ("az3-a", "az3-b"):
        cluster.kill(needless)
    restart_writer(cluster)
    ledger.start()
    goes_on(ledger)
    ledger.stop()
    assert ledger.check() > 200


def test_the_monitor_replaces_a_silent_node_by_spares(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(SMALL_PAGES_PER_PG, nodes_per_az=3, settings={"replace-after-s": "2"})
    lost = "az1-a"
    with load(cluster) as ledger:
        grow(cluster, 8)
        assert any(lost in held for held in holders(cluster))
        cluster.kill(lost)
        wait_for(lambda: is_settled(cluster) and not any(lost in held for held in holders(cluster)), "the replacement")
        goes_on(ledger)
    assert_balanced_zones(cluster)
    # What comes back has lost its place: it hears so from its peers, and drops what it held.
    cluster.start_node(lost)
    address = cluster.required.node(lost).address
    wait_for(lambda: ask_nodes([address], cluster.access())[0].get("pgs") == {}, "the old node to drop its segments")
    assert ask_nodes([address], cluster.access())[0]["duty"] == "replaced"
    cluster.kill("az1-b")
    restart_writer(cluster)
    ledger.check()
    with pytest.raises(ClusterError, match="az1-b belongs to the volume"):
        fleet.remove(cluster, "az1-b")
    fleet.remove(cluster, lost)
    assert lost not in [node.id for node in cluster.required.nodes]


def test_a_zone_away_leaves_writes_with_three_of_the_other_four(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(SMALL_PAGES_PER_PG)
    with load(cluster) as ledger:
        for node_id in cluster.nodes_of("az3"):
            cluster.kill(node_id)
        goes_on(ledger)
        assert fleet.set_away(cluster, "az3").startswith("zone az3 is counted out")
        assert all(group["away"] == "az3" for group in groups(cluster))
        cluster.kill("az2-b")
        goes_on(ledger)
        grow(cluster, 4)
        goes_on(ledger)
    restart_writer(cluster)
    ledger.check()
    ledger.start()
    goes_on(ledger)
    for node_id in ("az2-b", *cluster.nodes_of("az3")):
        cluster.start_node(node_id)
    # This writer began with the zone out: its monitor takes it back once it is level.
    wait_for(lambda: not fleet.volume_status(cluster)["zone_away"], "the zone to be taken back")
    wait_for(lambda: is_level(cluster), "all to be level")
    assert "counted out" in fleet.set_away(cluster, "az3")
    goes_on(ledger)
    assert fleet.set_away(cluster, "").startswith("all three zones count")
    for node_id in cluster.nodes_of("az1"):
        cluster.kill(node_id)
    goes_on(ledger)
    ledger.stop()
    assert not ledger.errors
    restart_writer(cluster)
    assert ledger.check() > 200


def test_tails_keep_no_pages_and_reads_go_on_without_a_full_node(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COALESCE_LOG_MB", "0.25"), ("COALESCE_AGE_S", "1"), ("LOG_FILE_MB", "0.25")):
        monkeypatch.setenv(f"AURORA_NODE_{name}", value)
    cluster = make_cluster(cache_mb=8, tails=True)
    slots = ask_nodes([cluster.required.nodes[0].address], cluster.access())[0]["groups"][0]["slots"]
    full = [slot["member"] for slot in slots if not slot["tail"]]
    tails = [slot["member"] for slot in slots if slot["tail"]]
    assert len(full) == len(tails) == len(AZS)

    def page_bytes() -> dict[str, int]:
        return {node["id"]: node["page_bytes"] for node in cluster.status()["storage_nodes"]}

    with load(cluster) as ledger:
        grow(cluster, 16)
        wait_for(lambda: all(page_bytes()[node_id] > 8 << 20 for node_id in full), "pages on the full nodes")
        cluster.kill(full[0])
        goes_on(ledger)
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            assert connection.execute("SELECT count(*) FROM ballast").fetchone() == (16_000,)
        goes_on(ledger)
    cluster.start_node(full[0])
    wait_for(lambda: is_level(cluster), "all to be level")
    assert all(page_bytes()[node_id] == 0 for node_id in tails)
    disk = {node_id: disk_bytes(cluster, node_id) for node_id in (*full, *tails)}
    print(f"bytes on disk: {disk}")
    for process_id in (cluster.writer.id, *full, *tails):
        cluster.kill(process_id)
    cluster.up()
    ledger.check()


def disk_bytes(cluster: Cluster, node_id: str) -> int:
    """What a node's folder takes."""
    folder = cluster.data / "storage" / node_id
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def test_a_replacement_that_cannot_be_filled_goes_back(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(SMALL_PAGES_PER_PG)
    with load(cluster) as ledger:
        before = holders(cluster)
        fleet.add(cluster, "az1")
        cluster.signal("az1-c", signal.SIGSTOP)
        with pytest.raises(ClusterError, match="az1-a keeps the segments"):
            fleet.replace(cluster, "az1-a", "az1-c", 1.0, print)
        wait_for(lambda: is_settled(cluster), "the way back")
        assert holders(cluster)[: len(before)] == before
        goes_on(ledger)
        cluster.signal("az1-c", signal.SIGCONT)
        wait_for(lambda: is_level(cluster), "all to be level")
        # The second time it is filled from the start, whatever it had got of the first.
        fleet.replace(cluster, "az1-a", "az1-c", REPLACE_S, print)
        goes_on(ledger)
        fleet.add(cluster, "az2")
        assert fleet.remove(cluster, "az2-c").startswith("az2-c is stopped and forgotten")
        assert "az2-c" not in [node["id"] for node in fleet.volume_status(cluster)["nodes"]]
        goes_on(ledger)
    for held in holders(cluster):
        assert "az1-c" in held and "az1-a" not in held
    restart_writer(cluster)
    ledger.check()


def test_a_writer_killed_on_the_way_leaves_a_replacement_to_the_next(make_cluster: Callable[..., Cluster]) -> None:
    """Killed just after the beginning, and while the new node cannot be filled: the next writer goes on with it."""
    cluster = make_cluster(SMALL_PAGES_PER_PG)
    ledger = Ledger(cluster, 2)
    ledger.create()
    for lost, by, held_up in (("az2-a", "az2-c", False), ("az1-a", "az1-c", True)):
        ledger.start()
        goes_on(ledger)
        fleet.add(cluster, cluster.required.node(lost).az)
        if held_up:
            cluster.signal(by, signal.SIGSTOP)
        fleet.ask(cluster, "aurora_replace_storage_node", lost, by)
        if held_up:
            wait_for(lambda by=by: all(by in held for held in holders(cluster)), "the first step")  # type: ignore[misc]
            goes_on(ledger)
        cluster.kill(cluster.writer.id)
        ledger.join()
        ledger.errors.clear()
        cluster.start_instance(cluster.writer.id)
        cluster.wait_ready()
        ledger.check()
        found = holders(cluster)
        if held_up:
            assert all({lost, by} <= set(held) for held in found), found
            cluster.signal(by, signal.SIGCONT)
        elif not any(by in held for held in found):
            # Its first step had reached no quorum: it never was.
            fleet.ask(cluster, "aurora_replace_storage_node", lost, by)
        ledger.start()
        wait_for(lambda: is_settled(cluster), "the replacement to be finished")
        goes_on(ledger)
        ledger.stop()
        assert not ledger.errors
        assert_balanced_zones(cluster)
        assert all(by in held and lost not in held for held in holders(cluster))
    restart_writer(cluster)
    ledger.check()
