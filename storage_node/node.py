"""The node's core: all of its state, every request's handler, no socket, no clock of its own.

Input: requests and replies as messages of protos/storage.proto, ticks → output: replies and effects. Appends are
staged by ``on_append`` and answered by ``flush``: one write and one sync for all that came in one turn. A request that
must not be served raises ``Refused``; an error of the disk in ``flush`` refuses those appends alone, an error of its
sync is ``StorageFailed``, after which the process must end, for nobody knows what the file holds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from aurora import batch as frames
from aurora import truncation
from aurora.batch import Batch, BatchCorrupt
from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from aurora.seams import Clock, Disk, Rng
from storage_node import node_status
from storage_node.backup import Stager
from storage_node.bounds import EPOCH_MAX, LSN_MAX, Refused, check_epoch, check_lsn
from storage_node.coalesce import Coalescer
from storage_node.config import NodeConfig
from storage_node.effects import Call, Effect, StoreEffect
from storage_node.gossip import Gossip
from storage_node.hot_log import HotLog, LogDamaged, StorageFailed
from storage_node.limits import IndexMemory, Refusals
from storage_node.membership import HollowSegments
from storage_node.meta import MetaStore
from storage_node.page_cache import PageCache
from storage_node.page_range import RANGE_PAGES_MAX, RangeRead
from storage_node.page_store import PageDamaged, PageStore
from storage_node.refill import Refill
from storage_node.scrub import Scrubber
from storage_node.segment import Collected, Segment

if TYPE_CHECKING:
    from google.protobuf.message import Message


Token = TypeVar("Token")

CHUNK_BYTES = 1 << 20
INDEX_ENTRIES = 8
INDEX_BACKLOG = 256
"""Entries that may wait for the index before the node calls itself busy."""

__all__ = ["Refused", "StorageFailed", "StorageNode"]

logger = logging.getLogger(__name__)


AnyNode: TypeAlias = "StorageNode[Any]"
"""A node as its parts see it, whatever identifies the requests that it answers later"""


class StorageNode(Generic[Token]):
    """See the module. ``Token`` is what the caller hands to ``on_append`` to find the reply of ``flush`` by."""

    def __init__(self, config: NodeConfig, disk: Disk, clock: Clock, rng: Rng) -> None:
        self.config = config
        self.clock = clock
        self.rng = rng
        self.disk = disk
        self.meta = MetaStore(disk, config.node_id)
        self.log = HotLog(disk, int(config.log_file_mb * (1 << 20)), int(config.log_cache_mb * (1 << 20)))
        self.cache = PageCache(config.cache_mb)
        self.segments: dict[int, Segment] = {}
        self.vdl: int = self.meta.value.vdl
        self.pgmrpl: int = self.meta.value.pgmrpl
        self.truncations = [(t.epoch, t.vdl, t.upper) for t in self.meta.value.truncations]
        self.refusals = Refusals()
        self.memory = IndexMemory(config)
        self._staged: list[tuple[Token, pb.AppendRequest, list[int], list[Batch]]] = []
        self.descriptor: Descriptor | None = None
        if self.meta.value.HasField("descriptor"):
            self.descriptor = Descriptor.from_proto(self.meta.value.descriptor)
        self.pgs: frozenset[int] = frozenset()
        """PGs of which this node holds a segment, or is to hold one."""
        self.hollow = HollowSegments(self)
        self.coalescer = Coalescer(self)
        self.gossip = Gossip(self)
        self.scrub = Scrubber(self)
        self.refill = Refill(self)
        self.stager = Stager(self)
        self._load()

    def _load(self) -> None:
        entries = self.log.load()
        if self.descriptor is None:
            if found := sum(1 for _ in entries):
                raise InvariantViolation(f"{found} log entries, but no descriptor in the meta file")
            return
        self.pgs = self.descriptor.groups_of(self.config.node_id)
        for held in self.meta.value.segments:
            if held.pg in self.pgs:
                self._make_segment(held.pg, held.collected_lsn, held.collected_cpl).floor_lsn = held.floor_lsn
                self.stager.load(held.pg, held.staged_lsn)
                self.hollow.load(held)
        for pg in self.pgs:
            self.segment(pg)
        self._drop_strange_files()
        for entry in entries:
            segment = self.segments.get(entry.pg)
            if segment is None:
                self.log.release((entry,))
            elif not self.stager.keep_loaded(segment, entry, self.truncations):
                segment.add(entry, self.truncations)
        self.log.collect()
        self.memory.measure((*self.segments.values(), self.stager.kept))
        for pg, segment in sorted(self.segments.items()):
            logger.info(
                "PG %d: collected to %d, SCL %d, %d entries, %d behind a gap",
                pg, segment.collected_lsn, segment.scl, len(segment.entries), segment.pending,
            )  # fmt: skip

    # --- what the volume is

    @property
    def volume_id(self) -> bytes:
        """16 bytes, empty while the node belongs to no volume."""
        return self.meta.value.descriptor.volume_id

    @property
    def epoch(self) -> int:
        """The volume epoch adopted."""
        return self.meta.value.volume_epoch

    @property
    def membership_epoch(self) -> int:
        """The volume's membership epoch as this node knows it."""
        return self.descriptor.membership_epoch if self.descriptor is not None else 0

    def peers(self) -> dict[str, str]:
        """Node id → address: who holds segments of the same PGs, the configured addresses over the descriptor's.

        A node that holds none, or knows no descriptor yet, has the whole fleet for peers.
        """
        configured = {peer.node_id: peer.address for peer in self.config.peers}
        found = dict(configured)
        if self.descriptor is not None:
            ids = {node_id for pg in self.pgs for node_id in self.descriptor.groups[pg].holders()}
            found = {
                node.node_id: configured.get(node.node_id, node.address)
                for node in self.descriptor.nodes
                if (node.node_id in ids if ids else not node.retired)
            }
        found.pop(self.config.node_id, None)
        return found

    def pg_of(self, page_no: int) -> int:
        """The page's PG."""
        return page_no // self.meta.value.descriptor.pages_per_pg

    def segment(self, pg: int) -> Segment:
        """This node's segment of the PG, made at first mention. Refused when it holds none."""
        held = self.segments.get(pg)
        if held is not None:
            return held
        if pg not in self.pgs:
            raise Refused(f"node {self.config.node_id} holds no segment of PG {pg}")
        return self._make_segment(pg, 0, 0)

    def _make_segment(self, pg: int, collected: int, cpl: int) -> Segment:
        pages_per_pg = self.meta.value.descriptor.pages_per_pg
        segment = Segment(pg, pages_per_pg, self.log, PageStore(self.disk, pg), collected, cpl)
        slot = self.descriptor.groups[pg].slot_of(self.config.node_id) if self.descriptor is not None else None
        segment.tail = slot is not None and slot.tail
        self.segments[pg] = segment
        return segment

    def install_descriptor(self, new: pb.Descriptor, *, created: bool = False) -> bool:
        """Take a newer descriptor of this volume, durably; False when it is older, or another volume's.

        ``created``: it comes with the volume's creation. Refused when it makes no sense.
        """
        try:
            wanted = Descriptor.from_proto(new)
        except InvariantViolation as error:
            raise Refused(str(error)) from error
        current = self.descriptor
        if current is not None:
            if wanted.volume_id != current.volume_id or wanted.version <= current.version:
                return (wanted.volume_id, wanted.version) == (current.volume_id, current.version)
            if wanted.pages_per_pg != current.pages_per_pg:
                raise Refused(f"pages a PG cannot change from {current.pages_per_pg} to {wanted.pages_per_pg}")
        pgs = wanted.groups_of(self.config.node_id)
        filling = self.hollow.under(wanted, created=created)
        self.meta.value.lost_memory |= current is None and not created
        held = {held.pg: held for held in self.meta.value.segments}
        del self.meta.value.segments[:]
        for pg in sorted(pgs):
            kept = held.get(pg) or pb.SegmentMeta(pg=pg)
            kept.hollow, kept.torn = pg in filling, pg in filling and filling[pg].torn
            self.meta.value.segments.append(kept)
        self.refill.keep_notes(pgs)
        self.meta.value.descriptor.CopyFrom(new)
        self.write_meta()
        self.descriptor, self.hollow.filling = wanted, filling
        gone, self.pgs = self.pgs - pgs, pgs
        for pg in sorted(gone):
            self._drop_segment(pg)
        for pg in sorted(pgs):
            self.segment(pg)
        return True

    def _drop_segment(self, pg: int) -> None:
        """The PG is held by others now."""
        segment = self.segments.pop(pg, None)
        if segment is not None:
            logger.info("PG %d is not held here any more: its segment is dropped", pg)
            self.coalescer.forget(segment)
            self.stager.forget(pg)
            self.log.release(segment.release_all())
            pages_per_pg = self.meta.value.descriptor.pages_per_pg
            self.cache.drop_range(pg * pages_per_pg, (pg + 1) * pages_per_pg)
        for part in (self.refill, self.gossip, self.scrub, self.stager.snapshots):
            part.forget(pg)
        self._drop_strange_files()
        self.log.collect()

    def _drop_strange_files(self) -> None:
        """Delete page files of PGs that this node does not hold."""
        for name in self.disk.list():
            kind, _, number = name.partition("-")
            if kind in ("pages", "torn") and number.isdigit() and int(number) not in self.pgs:
                self.disk.delete(name)

    def check_volume(self, volume_id: bytes) -> None:
        """Refuse a request about another volume than this node's."""
        if self.descriptor is None:
            raise Refused(f"node {self.config.node_id} belongs to no volume yet")
        if volume_id != self.volume_id:
            raise Refused(f"node {self.config.node_id} belongs to volume {self.volume_id.hex()}, not {volume_id.hex()}")

    def _adopt(self, epoch: int, writer_id: str, opened: bool = False) -> bool:
        """Fence: take a strictly greater epoch, durably. True when (epoch, writer) is what the node then holds.

        Two writers may have fenced with one epoch, each a part of the nodes. Only one of them can have got a write
        quorum; it says so (``opened``), and is then adopted in the place of the other. That one never wrote anything
        under the epoch, nor will: those that adopted the first leave it for greater epochs only.
        """
        other = epoch == self.epoch and writer_id != self.meta.value.writer_id
        check_epoch(epoch, self.epoch)
        if epoch > self.epoch or (opened and other):
            if self._settled():
                self.meta.value.settled_vdl = self.vdl
            self.meta.value.volume_epoch = epoch
            self.meta.value.writer_id = writer_id
            self.write_meta()
            self.hollow.adopted()
            logger.info("volume epoch %d of writer %s adopted", epoch, writer_id)
        return epoch == self.epoch and writer_id == self.meta.value.writer_id

    @property
    def forgetful(self) -> bool:
        """Whether there may be PGs that this node held before it lost its disk and does not know of."""
        meta = self.meta.value
        return meta.lost_memory and not (self.epoch and meta.told_epoch == self.epoch)

    def _told(self) -> None:
        """The adopted writer has told the descriptor: a PG that this node does not know of is made later."""
        if self.forgetful and self.epoch:
            self.meta.value.told_epoch = self.epoch
            self.write_meta()
            self.recall()

    def recall(self) -> None:
        """Nothing that the node held before a loss is unknown to it or hollow any more: it has forgotten nothing. While
        it filled it heard, under its epoch, of whoever could have opened the volume with a newer one.
        """
        meta = self.meta.value
        if not meta.lost_memory or self.forgetful or self.hollow.lacking or not self.pgs:
            return
        meta.lost_memory, meta.told_epoch = False, 0
        try:
            self.write_meta()
        except OSError as error:
            self.refused_by_disk(error, "meta")

    def _settled(self) -> bool:
        """Whether the range that the current epoch's recovery voided is known here; an epoch 0 has none."""
        return not self.epoch or truncation.has_epoch(self.truncations, self.epoch)

    def _hint(self, vdl: int, pgmrpl: int) -> None:
        if vdl > self.vdl:
            if vdl > LSN_MAX:
                check_lsn(vdl)
            self.vdl = vdl
        if pgmrpl > self.pgmrpl:
            if pgmrpl > LSN_MAX:
                check_lsn(pgmrpl)
            self.pgmrpl = pgmrpl

    def _check_membership(self, epoch: int) -> None:
        """Refuse who asks under a membership that is over; the text tells the epoch that holds, 0 asks for no check."""
        if epoch and epoch < self.membership_epoch:
            raise Refused(f"membership epoch {epoch} is over, the volume's is {self.membership_epoch}")

    # --- append: the fast path

    def on_append(self, request: pb.AppendRequest, token: Token) -> pb.AppendReply | None:
        """Check and stage an append; the reply comes from ``flush``, or at once when the node refuses."""
        try:
            return self._stage(request, token)
        except Refused as error:
            return pb.AppendReply(sequence=request.sequence, error=str(error))

    def _stage(self, request: pb.AppendRequest, token: Token) -> pb.AppendReply | None:
        sequence = request.sequence
        if request.volume_id != self.volume_id or not self.volume_id:
            self.check_volume(request.volume_id)
        epoch = request.volume_epoch
        if epoch != self.epoch or request.writer_id != self.meta.value.writer_id:
            if not self._adopt(epoch, request.writer_id):
                return self._superseded(request)
        if self.hollow and self.hollow.unmet:
            # It started between the writer's fence and its stream: only a fence can begin the filling.
            return pb.AppendReply(sequence=sequence, error=f"node {self.config.node_id} is to be fenced anew")
        if request.membership_epoch < self.membership_epoch:
            return pb.AppendReply(sequence=sequence, refused_membership=self.membership_epoch)
        if self.memory.refuses_appends() and request.batches:
            return pb.AppendReply(sequence=sequence, error=self._refused_by_memory())
        try:
            batches = frames.split(request.batches)
        except BatchCorrupt as error:
            return self._refused_as_corrupt(sequence, error)
        touched, new = [], []
        for batch in batches:
            if batch.volume_id != request.volume_id or batch.epoch > epoch:
                return pb.AppendReply(sequence=sequence, error=f"{batch!r} does not belong to the volume or the epoch")
            if batch.pg not in self.pgs:
                return pb.AppendReply(
                    sequence=sequence,
                    error=f"node {self.config.node_id} holds no segment of PG {batch.pg}"
                    f" in membership epoch {self.membership_epoch}",
                )
            touched.append(batch.pg)
            if not self.segment(batch.pg).covers(batch.last_lsn):
                try:
                    frames.check_records(batch, self.meta.value.descriptor.pages_per_pg)
                except BatchCorrupt as error:
                    return self._refused_as_corrupt(sequence, error)
                new.append(batch)
        self._hint(request.vdl, request.pgmrpl)
        self._staged.append((token, request, touched, new))
        return None

    @staticmethod
    def _refused_as_corrupt(sequence: int, error: BatchCorrupt) -> pb.AppendReply:
        logger.error("append %d refused: %s", sequence, error)
        return pb.AppendReply(sequence=sequence, error=str(error))

    def flush(self) -> list[tuple[Token, pb.AppendReply]]:
        """Write and sync all that is staged; a reply for each append, in the order staged. Raises StorageFailed."""
        self.log.check()
        staged, self._staged = self._staged, []
        # A newer writer may have fenced the node since: its recovery has been told an SCL without these.
        taken = [request.volume_epoch == self.epoch for _, request, _, _ in staged]
        error = self._write([batch for (_, _, _, new), ok in zip(staged, taken, strict=True) if ok for batch in new])
        replies = []
        for (token, request, touched, _), ok in zip(staged, taken, strict=True):
            if not ok:
                replies.append((token, self._superseded(request)))
                continue
            reply = pb.AppendReply(sequence=request.sequence, error=error)
            if not error:
                for pg in touched:
                    if pg in self.segments and pg not in self.hollow:
                        reply.scl.add(pg=pg, lsn=self.segments[pg].scl)
            replies.append((token, reply))
        return replies

    def _superseded(self, request: pb.AppendRequest) -> pb.AppendReply:
        return pb.AppendReply(
            sequence=request.sequence,
            refused_epoch=self.epoch,
            error=f"epoch {request.volume_epoch} of writer {request.writer_id}: the node has adopted {self.epoch}"
            f" of {self.meta.value.writer_id}",
        )

    def _write(self, batches: list[Batch]) -> str:
        """Append, sync, take in; an error text when the disk refuses the append."""
        if not batches:
            return ""
        try:
            self.meta.settle()
            entries = self.log.append(batches)
        except OSError as error:
            self.refused_by_disk(error, "log")
            return f"node {self.config.node_id}: {error}"
        self.log.sync()
        segments, truncations = self.segments, self.truncations
        for entry in entries:
            segment = segments.get(entry.pg)
            if segment is not None:
                segment.add(entry, truncations)
            else:
                self.log.release((entry,))  # the PG was given to another node since the append was staged
        self.memory.take(batches)
        self.refusals.clear("log")
        return ""

    def take_log(self, pg: int, data: bytes) -> None:
        """Log of a PG fetched from a peer: the same way as an append. BatchCorrupt when the peer sent nonsense."""
        segment = self.segment(pg)
        batches = [batch for batch in frames.split(data) if not segment.covers(batch.last_lsn)]
        if any(batch.pg != pg or batch.volume_id != self.volume_id for batch in batches):
            raise BatchCorrupt(f"log of another PG or volume than {pg} from a peer")
        for batch in batches:
            frames.check_records(batch, self.meta.value.descriptor.pages_per_pg)
        if self.memory.full:
            self._refused_by_memory()
            return
        self._write(batches)

    @property
    def note(self) -> str:
        """Why the node refuses, and which PGs it cannot read; empty while it does neither."""
        held = [segment.held_back for _, segment in sorted(self.segments.items()) if segment.held_back]
        return "; ".join(filter(None, [self.refusals.note, *held]))

    def refused_by_disk(self, error: OSError, what: str) -> None:
        """Remember, and say once, that the disk refuses ``what``: log, pages or meta."""
        if self.refusals.set(what, str(error)):
            logger.error("the disk refuses (%s): %s", what, error)

    def _refused_by_memory(self) -> str:
        limit_mb = self.memory.limit_bytes >> 20
        reason = f"node {self.config.node_id}: memory limit: the index has reached its share of {limit_mb} MiB"
        if self.refusals.set("memory", reason):
            logger.error("%s; it takes log again when some has been coalesced", reason)
        return reason

    # --- pages

    def on_read(self, request: pb.ReadPagesRequest) -> pb.ReadPagesReply:
        """Pages as of their read points; each image, or why not, in the order asked for."""
        count = len(request.pages)
        pages = self.read_slice(request, 0, count)
        while len(pages) < count:
            pages += self.read_slice(request, len(pages), count)
        return pb.ReadPagesReply(pages=pages)

    def read_slice(self, request: pb.ReadPagesRequest, start: int, stop: int) -> list[pb.PageImage]:
        """``on_read`` of the pages from ``start`` to before ``stop`` of the request, or of the first of them, maybe
        none: each call brings the index nearer to the next one's LSN, by ``INDEX_ENTRIES``, and the caller comes back.
        """
        self.check_volume(request.volume_id)
        if request.volume_epoch and request.volume_epoch < self.epoch:
            raise Refused(f"epoch {request.volume_epoch}: the node has adopted {self.epoch}")
        self._check_membership(request.membership_epoch)
        images = []
        for asked in request.pages[start:stop]:
            image = self._read_page(asked.page_no, asked.pg_lsn)
            if image is None:
                break
            images.append(image)
        return images

    def _read_page(self, page_no: int, pg_lsn: int) -> pb.PageImage | None:
        """None when the index is not at ``pg_lsn`` yet, and can go on."""
        # Bounded by the PG's own LSN and not by the read point: void records that this node may still hold lie between.
        segment = self.segment(self.pg_of(page_no))
        if segment.scl < pg_lsn or segment.tail or segment.holds_back(pg_lsn):
            return pb.PageImage(page_no=page_no, scl=segment.scl, behind=True)
        try:
            if segment.indexed_lsn < pg_lsn and segment.index(INDEX_ENTRIES) and segment.indexed_lsn < pg_lsn:
                return None
            page = segment.materialize(page_no, pg_lsn, self.cache.get(page_no, pg_lsn))
        except Collected:
            return pb.PageImage(page_no=page_no, scl=segment.scl, collected=True)
        except PageDamaged:
            self.cache.drop(page_no)
            return pb.PageImage(page_no=page_no, scl=segment.scl, behind=True)
        except LogDamaged as error:
            self.log_damaged(segment, error)
            return pb.PageImage(page_no=page_no, scl=segment.scl, behind=True)
        if page is None:
            return pb.PageImage(page_no=page_no)
        self.cache.put(page_no, page)
        return pb.PageImage(page_no=page_no, image=bytes(page))

    def log_damaged(self, segment: Segment, error: LogDamaged) -> None:
        """A log entry has decayed: forget it; the gap is filled from peers."""
        logger.error("%s", error)
        self.gossip.repairs.log_damaged_total += 1
        self.scrub.lost([error.entry])

    # --- fencing, truncation, hints

    def on_fence(self, request: pb.FenceRequest) -> pb.FenceReply:
        """Adopt (epoch, writer) when strictly greater; what this node holds either way."""
        self.check_volume(request.volume_id)
        adopted = self._adopt(request.volume_epoch, request.writer_id, request.opened)
        if adopted:
            self.hollow.fenced()
        return pb.FenceReply(
            adopted=adopted, epoch=self.epoch, writer_id=self.meta.value.writer_id, pgs=node_status.states(self),
            truncations=self._truncation_messages(), descriptor=self.meta.value.descriptor,
            forgetful=self.forgetful,
        )  # fmt: skip

    def on_truncate(self, request: pb.TruncateRequest) -> pb.TruncateReply:
        """Void a range, durably, for the writer that the node has adopted."""
        self.check_volume(request.volume_id)
        if request.volume_epoch != self.epoch or request.writer_id != self.meta.value.writer_id:
            return pb.TruncateReply(ok=False, epoch=self.epoch)
        check_lsn(request.range.upper)
        if request.range.upper < request.range.vdl or request.range.epoch > self.epoch:
            raise Refused(f"truncation ({request.range.vdl}, {request.range.upper}] of epoch {request.range.epoch}")
        if request.HasField("descriptor"):
            if not self.install_descriptor(request.descriptor):
                raise Refused(f"the node has a newer descriptor than {request.descriptor.generation}")
            self._told()
        self._truncate([(request.range.epoch, request.range.vdl, request.range.upper)])
        return pb.TruncateReply(ok=True, epoch=self.epoch)

    def _truncate(self, new: Iterable[truncation.Range]) -> None:
        unknown = set(new).difference(self.truncations)
        if not unknown:
            return
        ranges = truncation.effective([*self.truncations, *unknown])
        if ranges == self.truncations:
            return
        for _, vdl, upper in ranges:
            for segment in self.segments.values():
                if vdl < segment.collected_lsn <= upper:
                    raise InvariantViolation(
                        f"truncation ({vdl}, {upper}] voids PG {segment.pg}, collected to {segment.collected_lsn}"
                    )
        del self.meta.value.truncations[:]
        self.meta.value.truncations.extend(pb.Truncation(epoch=e, vdl=vdl, upper=upper) for e, vdl, upper in ranges)
        self.write_meta()
        self.truncations = ranges
        self.gossip.truncated()
        self.hollow.truncated()
        for segment in self.segments.values():
            segment.truncate(ranges)
        self.cache.clear()
        logger.info("truncation ranges are now %s", ranges)

    def _truncation_messages(self) -> list[pb.Truncation]:
        return [pb.Truncation(epoch=epoch, vdl=vdl, upper=upper) for epoch, vdl, upper in self.truncations]

    def on_advance(self, request: pb.AdvanceRequest) -> pb.AdvanceReply:
        """VDL and PGMRPL from the adopted writer; another's are not taken."""
        self.check_volume(request.volume_id)
        if request.volume_epoch == self.epoch and request.writer_id == self.meta.value.writer_id:
            self._hint(request.vdl, request.pgmrpl)
            self.stager.point(request.vdl, request.pg_last)
        return pb.AdvanceReply(epoch=self.epoch)

    # --- descriptor, status, gossip

    def on_write_descriptor(self, request: pb.WriteDescriptorRequest) -> pb.WriteDescriptorReply:
        """Take a descriptor from the adopted writer (an empty node takes anybody's; what it holds by that is hollow)
        or, with epoch 0, from the volume's creation; not ok when the node has adopted another writer, holds another
        volume's descriptor, or a newer one.
        """
        created = not request.volume_epoch
        told = request.descriptor
        for number in (told.membership_epoch, told.geometry_epoch, told.generation, told.proposer_epoch):
            if number > EPOCH_MAX:
                raise Refused(f"a descriptor's epoch {number} is out of range")
        if created and self.descriptor is not None:
            ok = self.descriptor == Descriptor.from_proto(request.descriptor)
        elif not created and self.descriptor is None:
            ok = self.install_descriptor(request.descriptor)
            self._adopt(request.volume_epoch, request.writer_id)
        elif not created and (request.volume_epoch, request.writer_id) != (self.epoch, self.meta.value.writer_id):
            ok = False
        else:
            ok = self.install_descriptor(request.descriptor, created=created)
        if ok and not created and (request.volume_epoch, request.writer_id) == (self.epoch, self.meta.value.writer_id):
            self._told()
        return pb.WriteDescriptorReply(ok=ok, current=self.meta.value.descriptor, epoch=self.epoch)

    def on_read_descriptor(self, request: pb.ReadDescriptorRequest) -> pb.ReadDescriptorReply:
        """The descriptor, if there is one."""
        return pb.ReadDescriptorReply(present=self.descriptor is not None, descriptor=self.meta.value.descriptor)

    def on_status(self, request: pb.StatusRequest) -> pb.StatusReply:
        """What the node is doing."""
        return node_status.reply(self)

    def gossip_request(self) -> pb.GossipRequest:
        """This node's side of a gossip exchange."""
        return pb.GossipRequest(
            volume_id=self.volume_id, node_id=self.config.node_id, volume_epoch=self.epoch,
            pgs=node_status.states(self), vdl=self.vdl, pgmrpl=self.pgmrpl, truncations=self._truncation_messages(),
            descriptor_generation=self.meta.value.descriptor.generation, writer_id=self.meta.value.writer_id,
            descriptor_epoch=self.meta.value.descriptor.proposer_epoch, membership_epoch=self.membership_epoch,
            staged_vdl=self.stager.timeline.turn.done,
        )  # fmt: skip

    def on_gossip(self, request: pb.GossipRequest) -> pb.GossipReply:
        """Learn from a peer's state, answer with this node's."""
        self.check_volume(request.volume_id)
        self.learn(request)
        mine = self.gossip_request()
        return pb.GossipReply(
            node_id=mine.node_id, volume_epoch=mine.volume_epoch, pgs=mine.pgs, vdl=mine.vdl, pgmrpl=mine.pgmrpl,
            truncations=mine.truncations, descriptor_generation=mine.descriptor_generation, writer_id=mine.writer_id,
            descriptor_epoch=mine.descriptor_epoch, membership_epoch=mine.membership_epoch,
            staged_vdl=mine.staged_vdl,
        )  # fmt: skip

    def learn(self, state: pb.GossipRequest | pb.GossipReply) -> None:
        """Take a peer's epoch, truncation ranges and hints, and how far it is with the PGs that are hollow here.

        Of the segments of a peer whose membership epoch is over nothing is taken: it may not be a peer any more. The
        rest a writer has told it, or the object store, and it holds whoever passes it on.
        """
        if state.volume_epoch > self.epoch:
            self._adopt(state.volume_epoch, state.writer_id)
        if state.truncations:
            for span in state.truncations:
                check_lsn(span.upper)
            self._truncate((t.epoch, t.vdl, t.upper) for t in state.truncations)
        self._hint(state.vdl, state.pgmrpl)
        self.stager.heard(state)
        # A peer that does not know a truncation may still count void records in its SCL.
        informed = {(t.epoch, t.vdl, t.upper) for t in state.truncations}.issuperset(self.truncations)
        current = state.membership_epoch >= self.membership_epoch
        if current and informed:
            self.hollow.hear(state)

    # --- log and pages for peers and recovery

    def on_fetch_log(self, request: pb.FetchLogRequest) -> Iterator[pb.FetchLogReply]:
        """The PG's chain after an LSN in messages of about 1 MiB; ``collected`` when this node has only pages there."""
        self.check_volume(request.volume_id)
        self._check_membership(request.membership_epoch)
        segment = self.segment(request.pg)
        if request.after_lsn < segment.collected_lsn:
            yield pb.FetchLogReply(collected=True, collected_lsn=segment.collected_lsn, scl=segment.scl)
            return
        parts: list[bytes] = []
        held_bytes = 0
        try:
            for batch in segment.fetch(request.after_lsn, request.upto_lsn):
                parts.append(bytes(batch.frame))
                held_bytes += len(parts[-1])
                if held_bytes >= CHUNK_BYTES or buggify("fetch-log-small-message"):
                    yield pb.FetchLogReply(
                        batches=b"".join(parts), collected_lsn=segment.collected_lsn, scl=segment.scl
                    )
                    parts, held_bytes = [], 0
                    if buggify("fetch-log-cut"):
                        return
        except LogDamaged as error:
            self.log_damaged(segment, error)
        yield pb.FetchLogReply(batches=b"".join(parts), collected_lsn=segment.collected_lsn, scl=segment.scl)

    def range_read(self, request: pb.FetchRangeRequest) -> RangeRead:
        """The read that answers the request, to be carried out now or in another thread."""
        self.check_volume(request.volume_id)
        self._check_membership(request.membership_epoch)
        segment = self.segment(request.pg)
        if segment.tail:
            raise Refused(f"node {self.config.node_id} keeps no pages of PG {request.pg}, only its log")
        if segment.collected_lsn < request.floor_lsn:
            raise Refused(f"PG {request.pg} is collected to {segment.collected_lsn} here, not to {request.floor_lsn}")
        if not 0 < request.count <= RANGE_PAGES_MAX:
            raise Refused(f"{request.count} pages in a range")
        if request.checked:
            for index in range(request.first, request.first + request.count):
                try:
                    segment.base(segment.first_page + index)
                except PageDamaged as error:
                    raise Refused(f"{error}; it waits for repair here") from error
        store = segment.store
        return RangeRead(
            store.name, request.pg, request.first, request.count, store.file_bytes // PAGE_BYTES,
            segment.collected_lsn, segment.collected_cpl, lambda: segment.floor_lsn,
        )  # fmt: skip

    def on_fetch_range(self, request: pb.FetchRangeRequest) -> pb.FetchRangeReply:
        """Stored pages of a PG, each with every record that is collected here."""
        return self.range_read(request).reply(self.disk)

    def adopt_baseline(self, segment: Segment, lsn: int, cpl: int) -> None:
        """A peer's pages are stored: the segment's chain starts at their baseline.

        The meta file says so first: the SCL rises with the baseline, and what is claimed must survive a crash.
        """
        if lsn <= segment.collected_lsn or not self.hollow.take_baseline(segment.pg, lsn, cpl):
            return
        # What the pages cover may not be in the backup yet.
        self.log.release(self.stager.keep(segment.give_up(lsn)))
        segment.adopt_baseline(lsn, cpl, self.truncations)
        self.coalescer.collect()
        logger.info("PG %d: pages taken over at %d, SCL is now %d", segment.pg, lsn, segment.scl)

    # --- background

    def is_tail(self, node_id: str, pg: int) -> bool:
        """Whether that node's segment of the PG keeps log only."""
        slot = self.descriptor.groups[pg].slot_of(node_id) if self.descriptor is not None else None
        return slot is not None and slot.tail

    def full_holders(self, pg: int) -> list[str]:
        """Ids of the nodes that keep the PG's pages."""
        if self.descriptor is None:
            return []
        slots = self.descriptor.groups[pg].slots
        return [node_id for slot in slots if not slot.tail for node_id in slot.alternatives]

    def coalesce_limit(self, segment: Segment) -> int:
        """Highest LSN that may reach the segment's page store."""
        return min(self.durable_limit(segment), self.pgmrpl)

    def durable_limit(self, segment: Segment) -> int:
        """Highest LSN up to which the segment's chain can never become void.

        A new epoch's VDL says nothing of older writers' records held here until the epoch's truncation range is known.
        """
        limit = min(self.vdl, segment.scl)
        settled_vdl = self.meta.value.settled_vdl
        if not self._settled() and segment.has_older(self.epoch, settled_vdl):
            return min(limit, settled_vdl)
        return limit

    def write_meta(self) -> None:
        """Make ``meta.value`` durable. OSError when the disk refuses: it is then what it was at the last write."""
        self.meta.write()
        self.refusals.clear("meta")

    def remember_segments(self, baselines: Mapping[int, tuple[int, int]] | None = None) -> None:
        """Write the collected LSNs, with the hints that allowed them, to the meta file.

        ``baselines``: PG → ``(LSN, CPL)`` of those that a baseline is about to replace.
        """
        value = self.meta.value
        del value.segments[:]
        for pg, segment in sorted(self.segments.items()):
            lsn, cpl = (baselines or {}).get(pg, (segment.collected_lsn, segment.collected_cpl))
            meta = value.segments.add(
                pg=pg, collected_lsn=lsn, collected_cpl=cpl, floor_lsn=segment.floor_lsn,
                staged_lsn=self.stager.staged_lsn(pg),
            )  # fmt: skip
            self.hollow.mark(meta)
        value.vdl, value.pgmrpl = self.vdl, self.pgmrpl
        self.write_meta()

    def raise_floor(self, segment: Segment, lsn: int) -> None:
        """Before the first hole of pages freed at or below ``lsn``: remember durably that holes are right only from
        there on.
        """
        if lsn <= segment.floor_lsn:
            return
        before, segment.floor_lsn = segment.floor_lsn, lsn
        try:
            self.remember_segments()
        except OSError:
            segment.floor_lsn = before
            raise

    def tick(self) -> list[Effect]:
        """One slice of background work; to be called every few ms while ``busy``, else some times a second."""
        now = self.clock.monotonic()
        effects = self.gossip.tick(now)
        deadline = now + self.config.slice_ms / 1000
        for segment in self.segments.values():
            if buggify("index-lags"):
                continue
            try:
                while segment.index(INDEX_ENTRIES) and self.clock.monotonic() < deadline:
                    pass
            except LogDamaged as error:
                self.log_damaged(segment, error)
        self.memory.measure((*self.segments.values(), self.stager.kept))
        if not self.memory.refuses_appends():
            self.refusals.clear("memory")
        effects += self.refill.tick(now) + self.coalescer.step(now)
        effects += self.hollow.look(deadline)
        effects += self.stager.step(now)
        self.scrub.step(now)
        return effects

    @property
    def busy(self) -> bool:
        """Whether there is background work that need not wait for anything."""
        return (
            self.coalescer.busy
            or self.scrub.busy
            or self.refill.busy
            or self.stager.busy
            or any(s.unindexed > INDEX_BACKLOG for s in self.segments.values())
        )

    @property
    def due_in_s(self) -> float:
        """Seconds until ``tick`` has something to do, as far as it is known now; may be below zero."""
        return self.gossip.next_s - self.clock.monotonic()

    def on_synced(self, name: str) -> list[Effect]:
        """A ``SyncFile`` is done."""
        self.hollow.on_synced(name)
        effects = self.refill.on_synced(name)
        return self.coalescer.on_synced(name) if effects is None else effects

    def on_stored(self, effect: StoreEffect, names: Sequence[str]) -> None:
        """The object store has done what was asked; the names found, when it was a listing."""
        self.stager.calls.on_done(effect, names)

    def on_store_failed(self, effect: StoreEffect, reason: str) -> None:
        """It has not."""
        if self.stager.calls.on_failed(effect, reason, self.clock.monotonic()):
            logger.warning("the backup's object store fails: %s", reason)

    def on_reply(self, call: Call, reply: Message) -> list[Effect]:
        """A reply to a ``Call``."""
        return (self.refill if self.refill.owns(call) else self.gossip).on_reply(call, reply)

    def on_end(self, call: Call) -> None:
        """All replies to a ``Call`` have come."""
        (self.refill if self.refill.owns(call) else self.gossip).on_end(call)

    def on_failed(self, call: Call, reason: str) -> None:
        """A ``Call`` did not succeed."""
        (self.refill if self.refill.owns(call) else self.gossip).on_failed(call, reason)
