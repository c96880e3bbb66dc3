"""One segment as ``aurora status`` shows it: what it holds, what is broken, what is being repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora.rpc import storage_pb2 as pb
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.node import StorageNode


def pg_status(node: StorageNode[Any], segment: Segment) -> pb.PgStatus:
    """The segment's part of a StatusReply, beside its ``PgState``."""
    status = pb.PgStatus(
        pg=segment.pg,
        entries=len(segment.entries),
        pending=segment.pending,
        log_bytes=segment.live_bytes,
        page_bytes=segment.store.file_bytes,
        broken_pages=len(segment.broken),
    )
    repair = node.gossip.repairs.running.get(segment.pg)
    if repair is not None:
        status.repair.kind = repair.kind
        status.repair.peer_id = repair.peer_id
        status.repair.done, status.repair.total = repair.done, repair.total
        status.repair.fetched_bytes = repair.fetched_bytes
        status.repair.running_s = max(0, int(node.clock.monotonic() - repair.since_s))
    return status
