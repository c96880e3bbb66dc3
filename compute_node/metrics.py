"""What a compute instance tells Prometheus: the table of its metrics, read from log, cache, transactions, sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import greenlet

from aurora.metrics import Metric, Scalar, stall_metrics
from aurora.stalls import Stalls
from compute_node.access.storage import Storage
from compute_node.volume.volume import Volume
from compute_node.wire.server import Server
from compute_node.work.account import INSTANCE
from compute_node.work.spill import TEMP_STATISTICS

if TYPE_CHECKING:
    from aurora.documents import JsonObject


SESSION_STATES: Final = (
    "active", "commit wait", "idle", "idle in transaction", "idle in transaction (aborted)", "starting"
)  # fmt: skip
NODE_STATES: Final = ("up", "behind", "down", "fenced", "unknown")

SAME_SCRAPE_S: Final = 0.5


@dataclass(slots=True)
class InstanceSource:
    """What the metrics are read from."""

    instance_id: str
    role: str
    volume: Volume
    storage: Storage
    wire: Server
    stalls: Stalls
    _nodes: list[JsonObject] = field(default_factory=list)
    _nodes_s: float = float("-inf")

    def nodes(self) -> list[JsonObject]:
        """The volume's account of the storage nodes; asked once a scrape, for it looks at every protection group."""
        if monotonic() - self._nodes_s > SAME_SCRAPE_S:
            self._nodes = self.volume.status()["nodes"]
            self._nodes_s = monotonic()
        return self._nodes

    def work(self) -> int:
        """Grows with whatever the instance does."""
        return self.wire.plans.begun + self.volume.vdl + self.volume.reader.reads


def _sessions(source: InstanceSource) -> dict[tuple[str, ...], Scalar]:
    found: Counter[str] = Counter()
    for connection in source.wire.connections:
        session = connection.session
        if session is None:
            found["starting"] += 1
        elif connection.is_held:
            found["commit wait"] += 1
        else:
            found["active" if connection.is_running else session.state] += 1
    return {(state,): found[state] for state in (*SESSION_STATES, *sorted(set(found) - set(SESSION_STATES)))}


def _node(key: str, scale: float = 1.0) -> Callable[[InstanceSource], dict[tuple[str, ...], Scalar]]:
    """One value a storage node, from the volume's own account of it."""
    return lambda source: {(node["id"], node["az"]): node[key] * scale for node in source.nodes() if key in node}


def _node_states(source: InstanceSource) -> dict[tuple[str, ...], Scalar]:
    return {
        (node["id"], node["az"], state): int(node["state"] == state)
        for node in source.nodes()
        for state in (*NODE_STATES, *({node["state"]} - set(NODE_STATES)))
    }


def _core(name: str) -> Callable[[InstanceSource], Scalar]:
    """A number of the writer's core; 0 while there is none."""

    def read(source: InstanceSource) -> Scalar:
        value: Scalar = 0 if source.volume.read_only else getattr(source.volume.core, name)
        return value

    return read


_InstanceMetric = Metric[InstanceSource]

INSTANCE_METRICS: Final[tuple[_InstanceMetric, ...]] = (
    _InstanceMetric(
        "aurora_compute_info",
        "gauge",
        "1; who this instance is",
        lambda s: {(s.instance_id, s.role, s.volume.descriptor.volume_id.hex()): 1},
        ("instance", "role", "volume"),
    ),
    # Sessions and transactions
    _InstanceMetric(
        "aurora_compute_wrong_passwords_total",
        "counter",
        "Log-ins with a wrong password, and those refused unheard because too many waited before them",
        lambda s: {("wrong",): s.wire.throttle.failures, ("refused",): s.wire.throttle.refusals},
        ("answer",),
    ),
    _InstanceMetric("aurora_compute_sessions", "gauge", "Client connections by state", _sessions, ("state",)),
    _InstanceMetric("aurora_compute_statements_total", "counter", "Statements begun", lambda s: s.wire.plans.begun),
    _InstanceMetric(
        "aurora_compute_transactions_total",
        "counter",
        "Transactions ended; one that was rolled back before its first statement is not counted",
        lambda s: {("committed",): s.storage.txns.commits, ("rolled back",): s.storage.txns.rollbacks},
        ("outcome",),
    ),
    _InstanceMetric(
        "aurora_compute_open_transactions", "gauge", "Transactions under way", lambda s: len(s.storage.txns.active)
    ),
    _InstanceMetric(
        "aurora_compute_commit_wait_seconds",
        "histogram",
        "How long answers were held back until what they depend on was durable on a write quorum",
        lambda s: s.wire.commit_waits(),
    ),
    _InstanceMetric(
        "aurora_compute_lock_waits_total",
        "counter",
        "Waits for a lock of a relation, row or transaction",
        lambda s: s.storage.locks.waits,
    ),
    _InstanceMetric(
        "aurora_compute_deadlocks_total",
        "counter",
        "Deadlocks that ended a statement",
        lambda s: s.storage.locks.deadlocks,
    ),
    # The log
    _InstanceMetric("aurora_compute_vdl_lsn", "gauge", "Volume durable LSN", lambda s: s.volume.vdl),
    _InstanceMetric("aurora_compute_vcl_lsn", "gauge", "Volume complete LSN", lambda s: s.volume.vcl),
    _InstanceMetric(
        "aurora_compute_next_lsn", "gauge", "The next LSN to be allocated", lambda s: s.volume.log.next_lsn
    ),
    _InstanceMetric(
        "aurora_compute_undurable_bytes",
        "gauge",
        "Log allocated above the VDL; at 10,000,000 back-pressure sets in",
        lambda s: max(0, s.volume.log.last_lsn - s.volume.vdl),
    ),
    _InstanceMetric("aurora_compute_epoch", "gauge", "Volume epoch of this writer", lambda s: s.volume.epoch),
    _InstanceMetric(
        "aurora_compute_writable",
        "gauge",
        "1 while this instance may write: not opened for reading alone, fenced or broken",
        lambda s: int(not (s.volume.read_only or s.volume.over)),
    ),
    _InstanceMetric("aurora_compute_flushes_total", "counter", "Flushes of the log", _core("flushes")),
    _InstanceMetric(
        "aurora_compute_messages_total", "counter", "Append messages sent to storage nodes", _core("messages")
    ),
    _InstanceMetric(
        "aurora_compute_flushed_bytes_total",
        "counter",
        "Log flushed, encoded, one copy of it",
        _core("flushed_bytes"),
    ),
    _InstanceMetric(
        "aurora_compute_retained_bytes",
        "gauge",
        "Log kept in memory because it may have to be sent again",
        _core("retained_bytes"),
    ),
    _InstanceMetric(
        "aurora_compute_flush_seconds",
        "histogram",
        "From a flush to its durability on a write quorum",
        lambda s: s.volume.flush_seconds,
    ),
    # Storage nodes as seen from here
    _InstanceMetric(
        "aurora_compute_node_state",
        "gauge",
        "1 for the state in which this instance sees the storage node",
        _node_states,
        ("node", "az", "state"),
    ),
    _InstanceMetric(
        "aurora_compute_node_lag_bytes",
        "gauge",
        "How far the node's SCL is behind what was flushed, in log bytes",
        _node("lag_bytes"),
        ("node", "az"),
    ),
    _InstanceMetric(
        "aurora_compute_node_in_flight_messages",
        "gauge",
        "Append messages that the node has not answered",
        _node("in_flight"),
        ("node", "az"),
    ),
    _InstanceMetric(
        "aurora_compute_node_read_latency_seconds",
        "gauge",
        "Median of the last page reads from the node; 0: none yet",
        _node("read_latency_ms", 0.001),
        ("node", "az"),
    ),
    # Pages
    _InstanceMetric(
        "aurora_compute_cache_lookups_total",
        "counter",
        "Lookups in the page cache",
        lambda s: {("hit",): int(s.storage.arena.hits), ("miss",): int(s.storage.arena.misses)},
        ("result",),
    ),
    _InstanceMetric(
        "aurora_compute_cache_evictions_total",
        "counter",
        "Pages evicted from the page cache",
        lambda s: int(s.storage.arena.evictions),
    ),
    _InstanceMetric("aurora_compute_cached_pages", "gauge", "Pages in the page cache", lambda s: len(s.storage.arena)),
    _InstanceMetric(
        "aurora_compute_cache_capacity_pages",
        "gauge",
        "Frames of the page cache",
        lambda s: int(s.storage.arena.frames),
    ),
    _InstanceMetric(
        "aurora_compute_page_reads_total", "counter", "Read requests to storage nodes", lambda s: s.volume.reader.reads
    ),
    _InstanceMetric(
        "aurora_compute_page_read_hedges_total",
        "counter",
        "Reads sent to a second node because the first was slow",
        lambda s: s.volume.reader.hedges,
    ),
    _InstanceMetric(
        "aurora_compute_page_read_retries_total",
        "counter",
        "Rounds of reads that had to begin again because no node could answer",
        lambda s: s.volume.reader.retries,
    ),
    _InstanceMetric(
        "aurora_compute_page_read_seconds",
        "histogram",
        "Page reads from storage, hedges and retries included",
        lambda s: s.volume.read_seconds,
    ),
    _InstanceMetric(
        "aurora_compute_statement_memory_bytes",
        "gauge",
        "Memory of running statements, as it is counted",
        lambda s: INSTANCE.used_bytes,
    ),
    _InstanceMetric(
        "aurora_compute_out_of_memory_total",
        "counter",
        "Statements ended with 53200 because all together used the limit",
        lambda s: INSTANCE.refused,
    ),
    _InstanceMetric(
        "aurora_compute_temp_files_total",
        "counter",
        "Temporary files of statements that outgrew work_mem",
        lambda s: TEMP_STATISTICS.files,
    ),
    _InstanceMetric(
        "aurora_compute_temp_bytes_total", "counter", "Bytes written to them", lambda s: TEMP_STATISTICS.bytes
    ),
    *stall_metrics("aurora_compute_loop", lambda s: s.stalls),
)


def describe_turn(wire: Server, worker: greenlet.greenlet, function: Callable[..., object] | None) -> str:
    """What a session greenlet ran, for the line about a stall; empty when it was no session's.

    A session knows its greenlet until its turn ends; then the connection whose turn it was does, or, after a wait, it
    is the session that has last said ready.
    """
    sessions = list(wire.sessions.values())
    waiting = [session for session in sessions if session.greenlet is worker]
    if waiting:
        session: Any = waiting[0]
    elif function is not None:
        session = getattr(getattr(function, "__self__", None), "session", None)
    else:
        session = max(sessions, key=lambda each: max(each.state_change, each.query_start), default=None)
    return "" if session is None else f"session {session.pid}: {session.query}"
