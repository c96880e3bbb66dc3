"""Failovers under load: no acknowledged commit is lost, one instance writes, readers show the writer's history.

``AURORA_FAILOVERS=100`` makes it that many, of all kinds; ``AURORA_FAILOVER_SEED`` gives the order.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.cluster import failover_ledger
from tests.cluster.failover_kinds import KINDS
from tests.cluster.support import assert_sound
from tests.conftest import SMALL_PAGES_PER_PG
from tests.log_rule import FLEET_CHANGES, WATCH

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(
        r"compute_node\.roles: the stream from the writer has ended",
        r"compute_node\.server: instance-\d (becomes the writer|does not become the writer)",
        r"compute_node\.server: the stream begins anew",
        "is fenced by epoch",
        r"keeper: \S+ has ended",
        r"compute_node\.server: (counters were not kept|autovacuum): terminating connection",
        FLEET_CHANGES,
    ),
]

QUICK = ("kill", "pause", "planned_to", "two_promotions", "zone_down", "cut")


def test_no_failover_loses_a_commit(tmp_path: Path) -> None:
    seed = int(os.environ.get("AURORA_FAILOVER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    rng = random.Random(seed)
    many = int(os.environ.get("AURORA_FAILOVERS", "0"))
    kinds = [rng.choice(tuple(KINDS)) for _ in range(many)] or rng.sample(QUICK, len(QUICK))
    print(f"seed {seed}: {' '.join(kinds)}")
    cluster = Cluster(tmp_path / "cluster")
    cluster.create(host=LOOPBACK, port=0, pages_per_pg=SMALL_PAGES_PER_PG, cache_mb=64, password=None, readers=2)
    WATCH.follow(cluster.data / "log")
    cluster.up()
    try:
        ledger = failover_ledger.run(cluster, seed, kinds)
        assert_sound(cluster)
    finally:
        cluster.down()
    assert not ledger.wrong, "\n".join([f"seed {seed}", *ledger.wrong[:20]])
    assert len(ledger.acknowledged) > 10 * len(kinds)
    assert all(ledger.looks[one.id] for one in cluster.required.instances), dict(ledger.looks)
