"""pgbench's built-in scripts against a real cluster, in each protocol mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import assert_balanced, assert_no_failures, pgbench
from tests.conftest import SMALL_PAGES_PER_PG, needs

pytestmark = [pytest.mark.cluster, needs("pgbench")]


def test_scripts_modes_and_clients(shared_cluster: Cluster) -> None:
    pgbench(shared_cluster, "-i", "-q", "-s", "4")
    for script in ("tpcb-like", "simple-update", "select-only"):
        for mode in ("simple", "extended", "prepared"):
            for clients in (1, 16, 64):
                output = pgbench(
                    shared_cluster, "-n", "-b", script, "-M", mode, "-c", str(clients), "-t", str(256 // clients)
                )
                assert assert_no_failures(output) == 256 // clients * clients
        if script == "tpcb-like":
            assert_balanced(shared_cluster)


def test_mini_transactions_across_protection_groups(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster(pages_per_pg=SMALL_PAGES_PER_PG)
    pgbench(cluster, "-i", "-q", "-s", "1")
    assert_no_failures(pgbench(cluster, "-n", "-M", "prepared", "-c", "8", "-t", "100"))
    assert_balanced(cluster)
    node = cluster.status()["storage_nodes"][0]
    assert len(node["pgs"]) > 3
    cluster.kill(cluster.writer.id)
    cluster.start_instance(cluster.writer.id)
    cluster.wait_ready()
    assert_balanced(cluster)
