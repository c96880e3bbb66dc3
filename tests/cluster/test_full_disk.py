"""A disk without room and a node short of memory, with real processes: the node refuses and says so, the rest carry on,
and it catches up when there is room again.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

import pytest

from aurora.programs.supervisor import Cluster
from tests.cluster.support import all_caught_up, assert_balanced, assert_no_failures, pgbench, wait_for
from tests.conftest import needs
from tests.log_rule import DISK_REFUSES

pytestmark = [
    pytest.mark.cluster,
    needs("pgbench"),
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the system cannot limit a running process"),
    pytest.mark.logs(DISK_REFUSES),
]


def _limit_files(cluster: Cluster, node_id: str, limit_bytes: int) -> None:
    """From now on no file of the process can grow beyond that: it gets EFBIG, as it would get ENOSPC."""
    pid = cluster.pid(node_id)
    assert pid is not None
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit_bytes, hard))


def test_one_disk_without_room(make_cluster: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURORA_NODE_COALESCE_LOG_MB", "0.5")
    monkeypatch.setenv("AURORA_NODE_LOG_FILE_MB", "2")
    cluster = make_cluster()
    full = cluster.required.nodes[2].id
    _limit_files(cluster, full, 1 << 20)
    pgbench(cluster, "-i", "-q", "-s", "1")
    assert_no_failures(pgbench(cluster, "-n", "-M", "prepared", "-c", "8", "-t", "100"))
    nodes = {node["id"]: node for node in cluster.status()["storage_nodes"]}
    assert nodes[full]["state"] == "refusing"
    assert "File too large" in nodes[full]["note"]
    assert all(node["state"] in ("up", "catching up") for node_id, node in nodes.items() if node_id != full)
    _limit_files(cluster, full, resource.RLIM_INFINITY)
    wait_for(lambda: all_caught_up(cluster), "the node to catch up")
    for other in (cluster.required.nodes[0].id, cluster.required.nodes[4].id):
        cluster.kill(other)
    assert_balanced(cluster)
    assert_no_failures(pgbench(cluster, "-n", "-c", "4", "-t", "20"))
