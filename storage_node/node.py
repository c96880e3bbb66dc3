"""The node's core: all of its state, every request's handler, no socket, no clock of its own.

Input: requests and replies as messages of protos/storage.proto, ticks → output: replies and effects. Appends are
staged by ``on_append`` and answered by ``flush``: one write and one sync for all that came in one turn. A request that
must not be served raises ``Refused``; an error of the disk in ``flush`` refuses those appends alone, an error of its
sync is ``StorageFailed``, after which the process must end, for nobody knows what the file holds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from aurora import batch as frames
from aurora import truncation
from aurora.batch import Batch, BatchCorrupt
from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.kernels import arena as arena_kernel
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from aurora.seams import Clock, Disk, Rng
from storage_node.coalesce import Coalescer
from storage_node.config import NodeConfig
from storage_node.effects import Call, Effect
from storage_node.gossip import Gossip
from storage_node.hot_log import HotLog, LogDamaged
from storage_node.meta import MetaStore
from storage_node.page_store import PageDamaged, PageStore, page_lsn
from storage_node.segment import Collected, Segment

Token = TypeVar("Token")

CHUNK_BYTES = 1 << 20
INDEX_ENTRIES = 8
INDEX_BACKLOG = 256
"""Entries that may wait for the index before the node calls itself busy; a read indexes them first."""
BASELINE_HOLD_S = 20.0
"""How long after its last baseline message a PG's log stays, so that the peer can fetch it."""
_NEVER_EVICTED_LSN = 1 << 62

logger = logging.getLogger(__name__)


class Refused(Exception):
    """The request is stale, names another volume, or comes before there is one."""


class StorageFailed(Exception):
    """The log could not be synced: nothing further may be acknowledged."""


class StorageNode(Generic[Token]):
    """See the module. ``Token`` is what the caller hands to ``on_append`` to find the reply of ``flush`` by."""

    def __init__(self, config: NodeConfig, disk: Disk, clock: Clock, rng: Rng) -> None:
        self.config = config
        self.clock = clock
        self.rng = rng
        self.disk = disk
        self.meta = MetaStore(disk, config.node_id)
        self.log = HotLog(disk, int(config.log_file_mb * (1 << 20)), int(config.log_cache_mb * (1 << 20)))
        self.arena = arena_kernel.Arena(max(16, int(config.cache_mb * (1 << 20)) // PAGE_BYTES))
        self.arena.durable_lsn = _NEVER_EVICTED_LSN
        self.segments: dict[int, Segment] = {}
        self.vdl: int = self.meta.value.vdl
        self.pgmrpl: int = self.meta.value.pgmrpl
        self.truncations = [(t.epoch, t.vdl, t.upper) for t in self.meta.value.truncations]
        self.note = ""
        self._staged: list[tuple[Token, pb.AppendRequest, list[int], list[Batch]]] = []
        self._holds: dict[int, float] = {}
        self.coalescer = Coalescer(self)
        self.gossip = Gossip(self)
        self._load()

    def _load(self) -> None:
        entries = self.log.load()
        if self.descriptor is None:
            if entries:
                raise InvariantViolation(f"{len(entries)} log entries, but no descriptor in the meta file")
            return
        for held in self.meta.value.segments:
            self._make_segment(held.pg, held.collected_lsn, held.collected_cpl)
        for entry in entries:
            self.segment(entry.pg).add(entry, self.truncations)
        self.log.collect()
        for pg, segment in sorted(self.segments.items()):
            logger.info(
                "PG %d: collected to %d, SCL %d, %d entries, %d behind a gap",
                pg, segment.collected_lsn, segment.scl, len(segment.entries), segment.pending,
            )  # fmt: skip

    # --- what the volume is

    @property
    def descriptor(self) -> pb.Descriptor | None:
        """The volume's descriptor as this node knows it."""
        return self.meta.value.descriptor if self.meta.value.HasField("descriptor") else None

    @property
    def volume_id(self) -> bytes:
        """16 bytes, empty while the node belongs to no volume."""
        return self.meta.value.descriptor.volume_id

    @property
    def epoch(self) -> int:
        """The volume epoch adopted."""
        return self.meta.value.volume_epoch

    def peers(self) -> dict[str, str]:
        """Node id → address: the descriptor's members, the configured addresses over theirs, without this node."""
        found = {member.node_id: member.address for member in self.meta.value.descriptor.members}
        found.update((peer.node_id, peer.address) for peer in self.config.peers)
        found.pop(self.config.node_id, None)
        return found

    def pg_of(self, page_no: int) -> int:
        """The page's PG."""
        return page_no // self.meta.value.descriptor.pages_per_pg

    def segment(self, pg: int) -> Segment:
        """This node's segment of the PG, made at first mention."""
        return self.segments.get(pg) or self._make_segment(pg, 0, 0)

    def _make_segment(self, pg: int, collected: int, cpl: int) -> Segment:
        pages_per_pg = self.meta.value.descriptor.pages_per_pg
        self.segments[pg] = Segment(pg, pages_per_pg, self.log, PageStore(self.disk, pg), collected, cpl)
        return self.segments[pg]

    def install_descriptor(self, new: pb.Descriptor) -> bool:
        """Take a descriptor of this volume with a greater generation, durably; False when it is not."""
        current = self.descriptor
        if current is not None and (new.volume_id != current.volume_id or new.generation <= current.generation):
            return new == current
        if len(new.volume_id) != 16 or not new.pages_per_pg:
            raise Refused(
                f"descriptor with a volume id of {len(new.volume_id)} bytes and {new.pages_per_pg} pages a PG"
            )
        if current is not None and new.pages_per_pg != current.pages_per_pg:
            raise Refused(f"pages a PG cannot change from {current.pages_per_pg} to {new.pages_per_pg}")
        self.meta.value.descriptor.CopyFrom(new)
        self.meta.write()
        return True

    def _check_volume(self, volume_id: bytes) -> None:
        if self.descriptor is None:
            raise Refused(f"node {self.config.node_id} belongs to no volume yet")
        if volume_id != self.volume_id:
            raise Refused(f"node {self.config.node_id} belongs to volume {self.volume_id.hex()}, not {volume_id.hex()}")

    def _adopt(self, epoch: int, writer_id: str) -> bool:
        """Fence: take a strictly greater epoch, durably. True when (epoch, writer) is what the node then holds."""
        if epoch > self.epoch:
            if self._settled():
                self.meta.value.settled_vdl = self.vdl
            self.meta.value.volume_epoch = epoch
            self.meta.value.writer_id = writer_id
            self.meta.write()
            logger.info("volume epoch %d of writer %s adopted", epoch, writer_id)
        return epoch == self.epoch and writer_id == self.meta.value.writer_id

    def _settled(self) -> bool:
        """Whether the range that the current epoch's recovery voided is known here; an epoch 0 has none."""
        return not self.epoch or any(epoch == self.epoch for epoch, _, _ in self.truncations)

    def _hint(self, vdl: int, pgmrpl: int) -> None:
        if vdl > self.vdl:
            self.vdl = vdl
        if pgmrpl > self.pgmrpl:
            self.pgmrpl = pgmrpl

    # --- append: the fast path

    def on_append(self, request: pb.AppendRequest, token: Token) -> pb.AppendReply | None:
        """Check and stage an append; the reply comes from ``flush``, or at once when the node refuses."""
        sequence = request.sequence
        if request.volume_id != self.volume_id or not self.volume_id:
            try:
                self._check_volume(request.volume_id)
            except Refused as error:
                return pb.AppendReply(sequence=sequence, error=str(error))
        epoch = request.volume_epoch
        if epoch != self.epoch or request.writer_id != self.meta.value.writer_id:
            if not self._adopt(epoch, request.writer_id):
                return self._superseded(request)
        try:
            batches = frames.split(request.batches)
        except BatchCorrupt as error:
            logger.error("append %d refused: %s", sequence, error)
            return pb.AppendReply(sequence=sequence, error=str(error))
        touched, new = [], []
        for batch in batches:
            if batch.volume_id != request.volume_id or batch.epoch > epoch:
                return pb.AppendReply(sequence=sequence, error=f"{batch!r} does not belong to the volume or the epoch")
            touched.append(batch.pg)
            if not self.segment(batch.pg).covers(batch.last_lsn):
                new.append(batch)
        self._hint(request.vdl, request.pgmrpl)
        self._staged.append((token, request, touched, new))
        return None

    def flush(self) -> list[tuple[Token, pb.AppendReply]]:
        """Write and sync all that is staged; a reply for each append, in the order staged. Raises StorageFailed."""
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
            entries = self.log.append(batches)
        except OSError as error:
            self.refused_by_disk(error)
            return f"node {self.config.node_id}: {error}"
        try:
            self.log.sync()
        except OSError as error:
            raise StorageFailed(f"sync of the hot log: {error}") from error
        segments, truncations = self.segments, self.truncations
        for entry in entries:
            segments[entry.pg].add(entry, truncations)
        self.note = ""
        return ""

    def take_log(self, pg: int, data: bytes) -> None:
        """Log of a PG fetched from a peer: the same way as an append. BatchCorrupt when the peer sent nonsense."""
        segment = self.segment(pg)
        batches = [batch for batch in frames.split(data) if not segment.covers(batch.last_lsn)]
        if any(batch.pg != pg or batch.volume_id != self.volume_id for batch in batches):
            raise BatchCorrupt(f"log of another PG or volume than {pg} from a peer")
        self._write(batches)

    def refused_by_disk(self, error: OSError) -> None:
        """Remember, and say once, that the disk refuses."""
        if self.note != str(error):
            logger.error("the disk refuses: %s", error)
        self.note = str(error)

    # --- pages

    def cached(self, page_no: int, upto_lsn: int) -> memoryview | None:
        """The cached version of the page when it is not newer than ``upto_lsn``."""
        frame = self.arena.lookup(page_no)
        if frame < 0 or self.arena.page_lsn(frame) > upto_lsn or buggify("page-cache-misses"):
            return None
        return memoryview(self.arena.page(frame))

    def drop_older(self, page_no: int, lsn: int) -> None:
        """Forget a cached version below ``lsn``: the records that follow it have left the index."""
        if self.arena.contains(page_no) and self.arena.page_lsn(self.arena.lookup(page_no)) < lsn:
            self.arena.drop(page_no)

    def on_read(self, request: pb.ReadPagesRequest) -> pb.ReadPagesReply:
        """Pages as of their read points; each image, or why not, in the order asked for."""
        self._check_volume(request.volume_id)
        if request.volume_epoch and request.volume_epoch < self.epoch:
            raise Refused(f"epoch {request.volume_epoch}: the node has adopted {self.epoch}")
        return pb.ReadPagesReply(pages=[self._read_page(p.page_no, p.pg_lsn) for p in request.pages])

    def _read_page(self, page_no: int, pg_lsn: int) -> pb.PageImage:
        # Bounded by the PG's own LSN and not by the read point: void records that this node may still hold lie between.
        segment = self.segment(self.pg_of(page_no))
        if segment.scl < pg_lsn:
            return pb.PageImage(page_no=page_no, scl=segment.scl, behind=True)
        try:
            while segment.index(INDEX_ENTRIES):
                pass
            page = segment.materialize(page_no, pg_lsn, self.cached(page_no, pg_lsn))
        except Collected:
            return pb.PageImage(page_no=page_no, scl=segment.scl, collected=True)
        except PageDamaged:
            return pb.PageImage(page_no=page_no, scl=segment.scl, behind=True)
        except LogDamaged as error:
            self.log_damaged(segment, error)
            return pb.PageImage(page_no=page_no, scl=segment.scl, behind=True)
        if page is None:
            return pb.PageImage(page_no=page_no)
        self._cache(page_no, page)
        return pb.PageImage(page_no=page_no, image=bytes(page))

    def _cache(self, page_no: int, page: bytearray) -> None:
        frame = self.arena.lookup(page_no)
        if frame < 0:
            self.arena.install(page_no, bytes(page))
        elif self.arena.page_lsn(frame) < page_lsn(page):
            self.arena.page(frame)[:] = page

    def log_damaged(self, segment: Segment, error: LogDamaged) -> None:
        """A log entry has decayed: forget it; the gap is filled from peers."""
        logger.error("%s; peers will be asked for it", error)
        segment.damaged(error.entry, self.truncations)

    # --- fencing, truncation, hints

    def on_fence(self, request: pb.FenceRequest) -> pb.FenceReply:
        """Adopt (epoch, writer) when strictly greater; what this node holds either way."""
        self._check_volume(request.volume_id)
        adopted = self._adopt(request.volume_epoch, request.writer_id)
        return pb.FenceReply(
            adopted=adopted, epoch=self.epoch, writer_id=self.meta.value.writer_id, pgs=self.pg_states(),
            truncations=self._truncation_messages(), descriptor=self.descriptor,
        )  # fmt: skip

    def on_truncate(self, request: pb.TruncateRequest) -> pb.TruncateReply:
        """Void a range, durably, for the writer that the node has adopted."""
        self._check_volume(request.volume_id)
        if request.volume_epoch != self.epoch or request.writer_id != self.meta.value.writer_id:
            return pb.TruncateReply(ok=False, epoch=self.epoch)
        if request.range.upper < request.range.vdl or request.range.epoch > self.epoch:
            raise Refused(f"truncation ({request.range.vdl}, {request.range.upper}] of epoch {request.range.epoch}")
        self._truncate([(request.range.epoch, request.range.vdl, request.range.upper)])
        return pb.TruncateReply(ok=True, epoch=self.epoch)

    def _truncate(self, new: Iterable[truncation.Range]) -> None:
        ranges = truncation.effective([*self.truncations, *new])
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
        self.meta.write()
        self.truncations = ranges
        for segment in self.segments.values():
            segment.truncate(ranges)
        for page_no in self.arena.page_of[self.arena.page_of >= 0].tolist():
            self.arena.drop(page_no)
        logger.info("truncation ranges are now %s", ranges)

    def _truncation_messages(self) -> list[pb.Truncation]:
        return [pb.Truncation(epoch=epoch, vdl=vdl, upper=upper) for epoch, vdl, upper in self.truncations]

    def on_advance(self, request: pb.AdvanceRequest) -> pb.AdvanceReply:
        """VDL and PGMRPL from the adopted writer; another's are not taken."""
        self._check_volume(request.volume_id)
        if request.volume_epoch == self.epoch and request.writer_id == self.meta.value.writer_id:
            self._hint(request.vdl, request.pgmrpl)
        return pb.AdvanceReply(epoch=self.epoch)

    # --- descriptor, status, gossip

    def on_write_descriptor(self, request: pb.WriteDescriptorRequest) -> pb.WriteDescriptorReply:
        """Install a descriptor; not ok when the node holds another volume's or a newer one."""
        ok = self.install_descriptor(request.descriptor)
        return pb.WriteDescriptorReply(ok=ok, current=self.descriptor)

    def on_read_descriptor(self, request: pb.ReadDescriptorRequest) -> pb.ReadDescriptorReply:
        """The descriptor, if there is one."""
        return pb.ReadDescriptorReply(present=self.descriptor is not None, descriptor=self.descriptor)

    def pg_states(self) -> list[pb.PgState]:
        """The state of every segment."""
        return [
            pb.PgState(
                pg=pg, scl=s.scl, highest_lsn=s.highest_lsn, collected_lsn=s.collected_lsn, vdl_hint=self.vdl,
                scl_cpl=s.scl_cpl
            )
            for pg, s in sorted(self.segments.items())
        ]  # fmt: skip

    def on_status(self, request: pb.StatusRequest) -> pb.StatusReply:
        """What the node is doing; ``state`` is empty, serving, behind (a gap or a fetch) or refusing (the disk)."""
        behind = self.gossip.catching_up or any(segment.pending for segment in self.segments.values())
        state = "empty" if self.descriptor is None else "refusing" if self.note else "behind" if behind else "serving"
        return pb.StatusReply(
            node_id=self.config.node_id, az=self.config.az, volume_id=self.volume_id, volume_epoch=self.epoch,
            writer_id=self.meta.value.writer_id, pgs=self.pg_states(), vdl=self.vdl, pgmrpl=self.pgmrpl,
            log_bytes=self.log.total_bytes, page_bytes=sum(s.store.file_bytes for s in self.segments.values()),
            cached_pages=len(self.arena), state=state, note=self.note,
        )  # fmt: skip

    def gossip_request(self) -> pb.GossipRequest:
        """This node's side of a gossip exchange."""
        return pb.GossipRequest(
            volume_id=self.volume_id, node_id=self.config.node_id, volume_epoch=self.epoch, pgs=self.pg_states(),
            vdl=self.vdl, pgmrpl=self.pgmrpl, truncations=self._truncation_messages(),
            descriptor_generation=self.meta.value.descriptor.generation, writer_id=self.meta.value.writer_id,
        )  # fmt: skip

    def on_gossip(self, request: pb.GossipRequest) -> pb.GossipReply:
        """Learn from a peer's state, answer with this node's."""
        self._check_volume(request.volume_id)
        self.learn(request)
        mine = self.gossip_request()
        return pb.GossipReply(
            node_id=mine.node_id, volume_epoch=mine.volume_epoch, pgs=mine.pgs, vdl=mine.vdl, pgmrpl=mine.pgmrpl,
            truncations=mine.truncations, descriptor_generation=mine.descriptor_generation, writer_id=mine.writer_id,
        )  # fmt: skip

    def learn(self, state: pb.GossipRequest | pb.GossipReply) -> None:
        """Take a peer's epoch, truncation ranges and hints."""
        if state.volume_epoch > self.epoch:
            self._adopt(state.volume_epoch, state.writer_id)
        if state.truncations:
            self._truncate((t.epoch, t.vdl, t.upper) for t in state.truncations)
        self._hint(state.vdl, state.pgmrpl)

    # --- log and pages for peers and recovery

    def on_fetch_log(self, request: pb.FetchLogRequest) -> Iterator[pb.FetchLogReply]:
        """The PG's chain after an LSN in messages of about 1 MiB; ``collected`` when this node has only pages there."""
        self._check_volume(request.volume_id)
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

    def on_fetch_pages(self, request: pb.FetchPagesRequest) -> Iterator[pb.FetchPagesReply]:
        """The PG's stored pages; the log after the baseline LSN is held until the peer has had time to fetch it."""
        self._check_volume(request.volume_id)
        segment = self.segment(request.pg)
        lsn, cpl = segment.collected_lsn, segment.collected_cpl
        reply = pb.FetchPagesReply(baseline_lsn=lsn, baseline_cpl=cpl)
        for index, page in segment.store.pages():
            self._holds[request.pg] = self.clock.monotonic() + BASELINE_HOLD_S
            if page is None or index in segment.broken:
                segment.broken.add(index)
                raise Refused(f"page {index} of PG {request.pg} is damaged here and waits for repair")
            reply.pages.add(page_no=segment.first_page + index, image=bytes(page))
            if len(reply.pages) * PAGE_BYTES >= CHUNK_BYTES // 2 or buggify("baseline-small-message"):
                yield reply
                if segment.collected_lsn != lsn:
                    raise Refused(f"PG {request.pg} was collected from {lsn} to {segment.collected_lsn} meanwhile")
                reply = pb.FetchPagesReply(baseline_lsn=lsn, baseline_cpl=cpl)
        reply.last = True
        yield reply

    def baseline_held(self, pg: int) -> bool:
        """Whether the PG must not be collected: its pages are on their way to a peer, or from one."""
        return self._holds.get(pg, 0.0) > self.clock.monotonic() or self.gossip.fetching(pg)

    def adopt_baseline(self, segment: Segment, lsn: int, cpl: int) -> None:
        """A peer's pages are stored: the segment's chain starts at their baseline.

        The meta file says so first: the SCL rises with the baseline, and what is claimed must survive a crash.
        """
        if lsn <= segment.collected_lsn:
            return
        try:
            self.remember_segments({segment.pg: (lsn, cpl)})
        except OSError as error:
            self.refused_by_disk(error)
            return
        segment.adopt_baseline(lsn, cpl, self.truncations)
        self.coalescer.collect()
        logger.info("PG %d: pages taken over at %d, SCL is now %d", segment.pg, lsn, segment.scl)

    # --- background

    def coalesce_limit(self, segment: Segment) -> int:
        """Highest LSN that may reach the segment's page store.

        A new epoch's VDL says nothing of older writers' records held here until the epoch's truncation range is known.
        """
        limit = min(self.vdl, self.pgmrpl, segment.scl)
        settled_vdl = self.meta.value.settled_vdl
        if not self._settled() and segment.has_older(self.epoch, settled_vdl):
            return min(limit, settled_vdl)
        return limit

    def remember_segments(self, baselines: Mapping[int, tuple[int, int]] | None = None) -> None:
        """Write the collected LSNs, with the hints that allowed them, to the meta file.

        ``baselines``: PG → ``(LSN, CPL)`` of those that a baseline is about to replace.
        """
        value = self.meta.value
        del value.segments[:]
        for pg, segment in sorted(self.segments.items()):
            lsn, cpl = (baselines or {}).get(pg, (segment.collected_lsn, segment.collected_cpl))
            value.segments.add(pg=pg, collected_lsn=lsn, collected_cpl=cpl)
        value.vdl, value.pgmrpl = self.vdl, self.pgmrpl
        self.meta.write()

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
        return effects + self.coalescer.step(now)

    @property
    def busy(self) -> bool:
        """Whether there is background work that need not wait for anything."""
        return self.coalescer.busy or any(s.indexed + INDEX_BACKLOG < len(s.entries) for s in self.segments.values())

    @property
    def due_in_s(self) -> float:
        """Seconds until ``tick`` has something to do, as far as it is known now; may be below zero."""
        return self.gossip.next_s - self.clock.monotonic()

    def on_synced(self, name: str) -> list[Effect]:
        """A ``SyncFile`` is done."""
        return self.coalescer.on_synced()

    def on_reply(self, call: Call, reply: Any) -> list[Effect]:
        """A reply to a ``Call``."""
        return self.gossip.on_reply(call, reply)

    def on_end(self, call: Call) -> None:
        """All replies to a ``Call`` have come."""
        self.gossip.on_end(call)

    def on_failed(self, call: Call, reason: str) -> None:
        """A ``Call`` did not succeed."""
        self.gossip.on_failed(call, reason)
