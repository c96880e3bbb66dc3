"""A node replaced with an empty disk under load: its copy is refilled from the others and is as good as theirs."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from aurora.programs.status import ask_nodes
from aurora.programs.supervisor import NODES, Cluster
from tests.cluster.support import Ledger, all_caught_up, assert_balanced, assert_no_failures, pgbench, wait_for
from tests.conftest import needs
from tests.log_rule import FLEET_CHANGES

pytestmark = [pytest.mark.cluster, needs("pgbench"), pytest.mark.logs(FLEET_CHANGES)]


def test_an_emptied_node_is_refilled_under_load(
    make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("COALESCE_LOG_MB", "0.5"),
        ("LOG_FILE_MB", "0.25"),
        ("COALESCE_AGE_S", "1"),
        ("LOG_CACHE_MB", "0.25"),
        ("REFILL_RANGE_KB", "64"),
        ("REFILL_MB_S", "8"),
    ):
        monkeypatch.setenv(f"AURORA_NODE_{name}", value)
    # All in one protection group, and little cache: pages are read from the nodes.
    cluster = make_cluster(cache_mb=8)
    pgbench(cluster, "-i", "-q", "-s", "1")
    ledger = Ledger(cluster)
    ledger.create()
    ledger.start()
    victim = NODES[0][0]
    wait_for(lambda: len(ledger.acknowledged) > 300, "some commits")
    cluster.kill(victim)
    shutil.rmtree(cluster.data / "storage" / victim)
    held = len(ledger.acknowledged)
    wait_for(lambda: len(ledger.acknowledged) > held + 100, "commits with five nodes")
    cluster.start_node(victim)
    address = cluster.required.node(victim).address
    wait_for(lambda: bool(ask_nodes([address], cluster.access())[0].get("refills")), "the refill to begin")
    shown = ask_nodes([address], cluster.access())[0]["refills"]
    wait_for(
        lambda: all_caught_up(cluster) and not ask_nodes([address], cluster.access())[0]["refills"], "the refill", 120
    )
    ledger.stop()
    assert not ledger.errors
    assert shown[0]["pages_total"] == 0 or shown[0]["pages_done"] <= shown[0]["pages_total"]
    log = (cluster.data / "log" / f"{victim}.log").read_text()
    assert "refill 100 %" in log
    assert "pages taken over at" in log
    # This copy and three more must be enough to recover from, and then it alone to read every row from.
    for other in (NODES[2][0], NODES[4][0]):
        cluster.kill(other)
    cluster.kill(cluster.writer.id)
    cluster.start_instance(cluster.writer.id)
    cluster.wait_ready()
    others = [node_id for node_id, _ in NODES if node_id != victim]
    for other in others:
        cluster.kill(other)
    assert ledger.check() > 400
    assert_balanced(cluster)
    for other in others:
        cluster.start_node(other)
    assert_no_failures(pgbench(cluster, "-n", "-M", "prepared", "-c", "4", "-t", "50"))
    assert_balanced(cluster)
