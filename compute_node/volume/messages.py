"""What the writer says to a storage node, and what the answers mean: effects → requests, replies → answers. Sans-I/O.

``driver`` and ``streams`` carry these messages over gRPC, the simulator over its own network. Used by ``recovery``'s,
``handshake``'s and ``fleet``'s effects alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aurora.geometry import Descriptor
from aurora.quorum import QuorumTracker
from aurora.rpc import storage_pb2 as pb
from compute_node.volume.recovery import (
    AppendAnswer,
    FenceAnswer,
    LogAnswer,
    PgReport,
    SendAppend,
    SendFetch,
    TruncateAnswer,
    TruncationRange,
)

ANY_MEMBERSHIP: Final = (1 << 64) - 1
"""Membership epoch of a recovery's copies: they are fenced by the volume epoch alone, for it is the recovery that finds
the membership.
"""


class Requests:
    """The requests of one incarnation of the writer, to nodes of one volume."""

    def __init__(self, volume_id: bytes, writer_id: str) -> None:
        self.volume_id = volume_id
        self.writer_id = writer_id

    def fence(self, epoch: int, opened: bool = False) -> pb.FenceRequest:
        """Have a node adopt ``epoch``; ``opened``: the volume is open under it."""
        return pb.FenceRequest(volume_id=self.volume_id, volume_epoch=epoch, writer_id=self.writer_id, opened=opened)

    def truncate(self, epoch: int, span: TruncationRange, descriptor: Descriptor | None = None) -> pb.TruncateRequest:
        """Have a node write a truncation range, and take the descriptor if there is one."""
        request = pb.TruncateRequest(
            volume_id=self.volume_id,
            volume_epoch=epoch,
            writer_id=self.writer_id,
            range=pb.Truncation(epoch=span.epoch, vdl=span.vdl, upper=span.upper),
        )
        if descriptor is not None:
            descriptor.to_proto(request.descriptor)
        return request

    def write_descriptor(self, epoch: int, descriptor: Descriptor) -> pb.WriteDescriptorRequest:
        """Have a node take the descriptor."""
        return pb.WriteDescriptorRequest(
            descriptor=descriptor.to_proto(pb.Descriptor()), volume_epoch=epoch, writer_id=self.writer_id
        )

    def fetch(self, effect: SendFetch) -> pb.FetchLogRequest:
        """Read log."""
        return pb.FetchLogRequest(volume_id=self.volume_id, pg=effect.pg, after_lsn=effect.after, upto_lsn=effect.upto)

    def copy(self, effect: SendAppend) -> pb.AppendRequest:
        """Copy log of an older epoch to a node that lacks it."""
        return pb.AppendRequest(
            volume_id=self.volume_id,
            volume_epoch=effect.epoch,
            writer_id=self.writer_id,
            sequence=1,
            batches=effect.frames,
            membership_epoch=ANY_MEMBERSHIP,
        )

    def append(self, epoch: int, membership_epoch: int, sequence: int, batches: bytes, vdl: int, pgmrpl: int) -> bytes:
        """A serialized message of the append stream."""
        message: bytes = pb.AppendRequest(
            volume_id=self.volume_id,
            volume_epoch=epoch,
            writer_id=self.writer_id,
            sequence=sequence,
            batches=batches,
            vdl=vdl,
            pgmrpl=pgmrpl,
            membership_epoch=membership_epoch,
        ).SerializeToString()
        return message

    def restore_point(self, epoch: int, pgmrpl: int, tracker: QuorumTracker) -> pb.AdvanceRequest:
        """What is durable now: the VDL with each group's last LSN at or below it."""
        return pb.AdvanceRequest(
            volume_id=self.volume_id,
            volume_epoch=epoch,
            writer_id=self.writer_id,
            vdl=tracker.vdl,
            pgmrpl=min(pgmrpl, tracker.vdl),
            pg_last=[pb.PgLsn(pg=pg, lsn=lsn) for pg, lsn in sorted(tracker.pg_durable.items()) if lsn],
        )


def read_fence(reply: pb.FenceReply) -> FenceAnswer:
    """Whether the node adopted, and what it holds."""
    return FenceAnswer(
        reply.adopted,
        reply.epoch,
        {pg.pg: PgReport(pg.scl, pg.highest_lsn, pg.collected_lsn, pg.vdl_hint, pg.hollow) for pg in reply.pgs},
        frozenset(TruncationRange(span.epoch, span.vdl, span.upper) for span in reply.truncations),
        reply.log_port,
        Descriptor.from_proto(reply.descriptor),
        reply.forgetful,
    )


def read_truncate(reply: pb.TruncateReply) -> TruncateAnswer:
    """Whether the range is durable on the node."""
    return TruncateAnswer(reply.ok, reply.epoch)


def read_log(replies: Iterable[pb.FetchLogReply]) -> LogAnswer:
    """All of a streamed answer to ``Requests.fetch``."""
    replies = list(replies)
    return LogAnswer(b"".join(reply.batches for reply in replies), any(reply.collected for reply in replies))


def read_copy(reply: pb.AppendReply) -> AppendAnswer | None:
    """What the node has after ``Requests.copy``, or the newer epoch that it has adopted; None: it failed to append."""
    if reply.error and not reply.refused_epoch:
        return None
    return AppendAnswer({entry.pg: entry.lsn for entry in reply.scl}, reply.refused_epoch)


def read_states(states: Iterable[pb.PgState]) -> Mapping[int, int]:
    """PG → SCL of a node's segments that are not hollow, from the ``PgState`` of its status."""
    return {state.pg: state.scl for state in states if not state.hollow}
