"""What a storage node tells Prometheus: the table of its metrics, read from the core and its surroundings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aurora.metrics import Metric, Scalar, stall_metrics
from aurora.stalls import Stalls
from storage_node.append import Appends
from storage_node.measured_disk import MeasuredDisk
from storage_node.node import AnyNode
from storage_node.page_reads import ReadCounts
from storage_node.segment import Segment


@dataclass(frozen=True, slots=True)
class NodeSource:
    """What the metrics are read from."""

    node: AnyNode
    appends: Appends
    reads: ReadCounts
    disk: MeasuredDisk
    stalls: Stalls

    def work(self) -> int:
        """Grows with what the node does for others; its own ticks and rounds of gossip are idleness."""
        return self.node.log.appended_batches + self.appends.appends + self.reads.requests


def _each(read: Callable[[Segment], Scalar]) -> Callable[[NodeSource], dict[tuple[str, ...], Scalar]]:
    """One value a segment, labelled with its protection group."""
    return lambda source: {(str(pg),): read(segment) for pg, segment in sorted(source.node.segments.items())}


def _by_kind(read: Callable[[NodeSource], dict[str, int]]) -> Callable[[NodeSource], dict[tuple[str, ...], Scalar]]:
    return lambda source: {(kind,): value for kind, value in read(source).items()}


def _repairing(source: NodeSource) -> dict[tuple[str, ...], Scalar]:
    running = source.node.gossip.repairs.running.values()
    return {(kind,): sum(repair.kind == kind for repair in running) for kind in ("log", "pages")}


_NodeMetric = Metric[NodeSource]

NODE_METRICS: Final[tuple[_NodeMetric, ...]] = (
    _NodeMetric(
        "aurora_storage_info",
        "gauge",
        "1; who this node is",
        lambda s: {(s.node.config.node_id, s.node.config.az, s.node.volume_id.hex()): 1},
        ("node", "az", "volume"),
    ),
    # Appends: the way of a commit
    _NodeMetric("aurora_storage_appends_total", "counter", "Append messages received", lambda s: s.appends.appends),
    _NodeMetric(
        "aurora_storage_appends_refused_total",
        "counter",
        "Append messages refused: stale epoch, damaged, or refused by the disk",
        lambda s: s.appends.refused,
    ),
    _NodeMetric(
        "aurora_storage_log_batches_total",
        "counter",
        "Log batches written to the hot log, those fetched from peers included",
        lambda s: s.node.log.appended_batches,
    ),
    _NodeMetric(
        "aurora_storage_log_written_bytes_total",
        "counter",
        "Bytes of those batches, as they are in the files",
        lambda s: s.node.log.appended_bytes,
    ),
    _NodeMetric(
        "aurora_storage_ack_seconds",
        "histogram",
        "From the arrival of an append to its ack, sync included",
        lambda s: s.appends.ack_seconds,
    ),
    _NodeMetric(
        "aurora_storage_log_sync_seconds", "histogram", "Syncs of the hot log", lambda s: s.disk.log_sync_seconds
    ),
    _NodeMetric(
        "aurora_storage_page_sync_seconds",
        "histogram",
        "Syncs of page files and of the double write before them",
        lambda s: s.disk.page_sync_seconds,
    ),
    # Segments
    _NodeMetric("aurora_storage_scl_lsn", "gauge", "SCL of the segment", _each(lambda g: g.scl), ("pg",)),
    _NodeMetric(
        "aurora_storage_collected_lsn",
        "gauge",
        "The segment holds pages alone up to here, no log",
        _each(lambda g: g.collected_lsn),
        ("pg",),
    ),
    _NodeMetric(
        "aurora_storage_entries",
        "gauge",
        "Log entries in the segment's chain",
        _each(lambda g: len(g.entries)),
        ("pg",),
    ),
    _NodeMetric(
        "aurora_storage_pending_entries",
        "gauge",
        "Log entries that wait behind a gap",
        _each(lambda g: g.pending),
        ("pg",),
    ),
    _NodeMetric(
        "aurora_storage_broken_pages",
        "gauge",
        "Stored pages that failed their checksum and wait for a peer's copy",
        _each(lambda g: len(g.broken)),
        ("pg",),
    ),
    # Reads
    _NodeMetric("aurora_storage_read_requests_total", "counter", "Page read requests", lambda s: s.reads.requests),
    _NodeMetric("aurora_storage_read_pages_total", "counter", "Pages asked for", lambda s: s.reads.pages),
    _NodeMetric(
        "aurora_storage_read_refused_pages_total",
        "counter",
        "Pages not given: the node was behind the request, or had collected beyond it",
        lambda s: {("behind",): s.reads.behind, ("collected",): s.reads.collected},
        ("reason",),
    ),
    _NodeMetric(
        "aurora_storage_read_seconds",
        "histogram",
        "Page read requests from the handler's start to its end",
        lambda s: s.reads.seconds,
    ),
    _NodeMetric(
        "aurora_storage_cache_lookups_total",
        "counter",
        "Lookups in the cache of materialized pages",
        lambda s: {("hit",): s.node.cache.hits, ("miss",): s.node.cache.misses},
        ("result",),
    ),
    _NodeMetric("aurora_storage_cached_pages", "gauge", "Pages in that cache", lambda s: len(s.node.cache)),
    # Gossip and repair
    _NodeMetric("aurora_storage_gossip_rounds_total", "counter", "Gossip rounds begun", lambda s: s.node.gossip.rounds),
    _NodeMetric(
        "aurora_storage_gossip_failed_calls_total",
        "counter",
        "Calls to peers that failed",
        lambda s: s.node.gossip.failed_calls,
    ),
    _NodeMetric(
        "aurora_storage_fetches_total",
        "counter",
        "Fetches of a protection group's log or pages from a peer, begun",
        _by_kind(lambda s: s.node.gossip.repairs.fetches_total),
        ("kind",),
    ),
    _NodeMetric(
        "aurora_storage_fetches_failed_total",
        "counter",
        "Such fetches that broke off",
        _by_kind(lambda s: s.node.gossip.repairs.failed_total),
        ("kind",),
    ),
    _NodeMetric(
        "aurora_storage_fetched_bytes_total",
        "counter",
        "Bytes fetched from peers",
        _by_kind(lambda s: s.node.gossip.repairs.bytes_total),
        ("kind",),
    ),
    _NodeMetric(
        "aurora_storage_repairing_groups",
        "gauge",
        "Protection groups whose log or pages are being fetched now",
        _repairing,
        ("kind",),
    ),
    _NodeMetric(
        "aurora_storage_repaired_pages_total",
        "counter",
        "Damaged pages replaced by a peer's copy",
        lambda s: s.node.gossip.repairs.pages_repaired_total,
    ),
    _NodeMetric(
        "aurora_storage_damaged_log_entries_total",
        "counter",
        "Log entries that could not be read back",
        lambda s: s.node.gossip.repairs.log_damaged_total,
    ),
    # Coalescing and disk
    _NodeMetric(
        "aurora_storage_coalesce_passes_total", "counter", "Passes of coalescing", lambda s: s.node.coalescer.passes
    ),
    _NodeMetric(
        "aurora_storage_stored_pages_total",
        "counter",
        "Pages written to the page stores: coalesced, repaired or of a baseline",
        lambda s: s.node.coalescer.stored_pages,
    ),
    _NodeMetric(
        "aurora_storage_collected_files_total",
        "counter",
        "Hot log files deleted because nothing in them was needed",
        lambda s: s.node.coalescer.collected_files,
    ),
    _NodeMetric("aurora_storage_log_bytes", "gauge", "Hot log on disk", lambda s: s.node.log.total_bytes),
    _NodeMetric(
        "aurora_storage_page_bytes",
        "gauge",
        "Length of the page files, holes included",
        lambda s: sum(segment.store.file_bytes for segment in s.node.segments.values()),
    ),
    _NodeMetric(
        "aurora_storage_refusing",
        "gauge",
        "1 while the disk refuses what the node wants to write",
        lambda s: int(bool(s.node.note)),
    ),
    # Epochs and hints
    _NodeMetric("aurora_storage_vdl_lsn", "gauge", "VDL as this node was told", lambda s: s.node.vdl),
    _NodeMetric("aurora_storage_pgmrpl_lsn", "gauge", "PGMRPL as this node was told", lambda s: s.node.pgmrpl),
    _NodeMetric(
        "aurora_storage_epoch",
        "gauge",
        "Epochs that this node has adopted: volume (a new writer), membership, geometry",
        lambda s: {
            ("volume",): s.node.epoch,
            ("membership",): s.node.meta.value.descriptor.membership_epoch,
            ("geometry",): s.node.meta.value.descriptor.geometry_epoch,
        },
        ("kind",),
    ),
    *stall_metrics("aurora_storage_loop", lambda s: s.stalls),
)
