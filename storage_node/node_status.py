"""What a node tells of itself: the state of its segments, for writers and peers, and its status, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.rpc import storage_pb2 as pb
from storage_node.segment import Segment

if TYPE_CHECKING:
    from storage_node.node import AnyNode


def states(node: AnyNode) -> list[pb.PgState]:
    """The state of every segment, by PG."""
    return [
        pb.PgState(
            pg=pg, scl=s.scl, highest_lsn=s.highest_lsn, collected_lsn=s.collected_lsn, vdl_hint=node.vdl,
            scl_cpl=s.scl_cpl, hollow=pg in node.hollow, staged_lsn=node.stager.staged_lsn(pg),
            staging_from=node.stager.staging_from(s),
        )
        for pg, s in sorted(node.segments.items())
    ]  # fmt: skip


def reply(node: AnyNode) -> pb.StatusReply:
    """What the node is doing; ``state`` is empty, serving, behind (a gap or a fetch) or refusing (the disk)."""
    behind = node.gossip.catching_up or any(segment.pending for segment in node.segments.values())
    state = "empty" if node.descriptor is None else "refusing" if node.note else "behind" if behind else "serving"
    return pb.StatusReply(
        node_id=node.config.node_id, az=node.config.az, volume_id=node.volume_id, volume_epoch=node.epoch,
        writer_id=node.meta.value.writer_id, pgs=states(node), vdl=node.vdl, pgmrpl=node.pgmrpl,
        log_bytes=node.log.total_bytes, page_bytes=sum(s.store.allocated_bytes for s in node.segments.values()),
        cached_pages=len(node.cache), state=state, note=node.note, membership_epoch=node.membership_epoch,
        geometry_epoch=node.descriptor.geometry_epoch if node.descriptor is not None else 0,
        descriptor=node.meta.value.descriptor if node.descriptor is not None else None,
        pg_status=[segment_status(node, segment) for _, segment in sorted(node.segments.items())],
        scrub=node.scrub.status(), index_bytes=node.memory.bytes, index_bytes_max=node.memory.limit_bytes,
        refills=node.refill.states(),
        backup=node.stager.note,
    )  # fmt: skip


def segment_status(node: AnyNode, segment: Segment) -> pb.PgStatus:
    """One segment as ``aurora status`` shows it: what it holds, what is broken, what is being repaired."""
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
