"""Recovery of the writer: where does the log end, and who may write from here on.

A sans-I/O state machine. Effects go out (``SendFence``, ``SendFetch``, ``SendAppend``, ``SendTruncate``), each is
answered by ``on_reply(effect, answer)`` (``None``: the node did not answer), and ``tick`` tells that some time has
passed::

    FENCE ── quorum adopts ──► SYNC ──► COLLECT ──► REPAIR ───► TRUNCATE ──► done
      ▲                        older    log above   records     (VDL, upper]
      └── adopters lost ────── ranges   the hints   ≤ VDL at    and descriptor
                                                    quorum      at quorum

Only adopters of our epoch count, and of a group only those whose segment is not hollow. A record that reached a write
quorum lies below the SCL of at least one adopter of any read quorum, so the highest SCL of a protection group among
them covers all that can have been acknowledged. The volume chain over the log above the highest VDL hint then gives VCL
and VDL; nothing below the hint is read, so the time does not grow with the log. Records ≤ VDL are copied until a write
quorum of adopters holds them *before* the truncation is written: a truncation's ``vdl`` is therefore durable wherever
it is seen. With the range goes the newest descriptor seen, proposed again under our epoch, which settles a change that
an older writer had left half proposed. Source: Aurora 2018, sections 2.4 and 4; Aurora 2017, section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, NamedTuple

from aurora import batch as batches
from aurora import truncation
from aurora.buggify import buggify
from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor
from aurora.ids import FIRST_LSN, Lsn
from aurora.kernels import redo

LAL_BYTES: Final = 10_000_000
"""LSN allocation limit: no LSN is allocated above max(VDL, the epoch's first LSN) + this (Aurora 2017, section
4.2.1).
"""
LAL_MARGIN_BYTES: Final = 1 << 20
"""What one mini-transaction may overrun the limit by: its reservation is an estimate."""
APPEND_CHUNK_BYTES: Final = 4 << 20
REFUSALS_AT_ONCE: Final = 2
PAUSE_TICKS_MAX: Final = 64
"""Longest that a writer holds back which others overtake again and again, so that one of them gets through."""
REPAIR_BYTES: Final = 32 << 20
"""About so much log is held at a time while it is copied."""


class Superseded(Exception):
    """Another writer has fenced the volume with a newer epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the volume was taken over by a writer with epoch {epoch}")
        self.epoch = epoch


class Outdated(Exception):
    """A node knows a newer descriptor: recovery begins again with that one, from ``epoch`` on."""

    def __init__(self, descriptor: Descriptor, epoch: int) -> None:
        super().__init__(f"the volume's descriptor is {descriptor.version} by now")
        self.descriptor = descriptor
        self.epoch = epoch


class TruncationRange(NamedTuple):
    """Records in ``(vdl, upper]`` written before ``epoch`` are void for ever; an ``aurora.truncation.Range``."""

    epoch: int
    vdl: int
    upper: int


@dataclass(frozen=True, slots=True)
class PgReport:
    """A node's word on one protection group."""

    scl: int
    highest_lsn: int
    collected_lsn: int
    vdl_hint: int
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class FenceAnswer:
    """Whether the node adopted, its epoch now, and what it holds (``pgs`` by PG number); ``log_port`` as in the
    contract.
    """

    adopted: bool
    epoch: int
    pgs: dict[int, PgReport] = field(default_factory=dict)
    truncations: frozenset[TruncationRange] = frozenset()
    log_port: int = 0
    descriptor: Descriptor | None = None
    forgetful: bool = False

    @property
    def scls(self) -> dict[int, int]:
        """PG → SCL of the segments that are not hollow."""
        return {pg: report.scl for pg, report in self.pgs.items() if not report.hollow}


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """Concatenated batches; ``collected``: part of what was asked for exists as pages only."""

    frames: bytes
    collected: bool = False


@dataclass(frozen=True, slots=True)
class AppendAnswer:
    """SCL by PG after the append; ``refused_epoch`` is non-zero when a newer epoch has been adopted."""

    scls: dict[int, int]
    refused_epoch: int = 0


@dataclass(frozen=True, slots=True)
class TruncateAnswer:
    """``epoch`` is the node's epoch: a greater one than ours means that we were fenced."""

    ok: bool
    epoch: int


Answer = FenceAnswer | LogAnswer | AppendAnswer | TruncateAnswer


@dataclass(frozen=True, slots=True)
class SendFence:
    """Ask ``node`` to adopt ``epoch``; ``opened``: from the writer that has opened the volume under it."""

    round: int
    node: int
    epoch: int
    opened: bool = False


@dataclass(frozen=True, slots=True)
class SendFetch:
    """Ask for the log of ``pg`` in ``(after, upto]``; no more of it is read once there are ``most_bytes``."""

    round: int
    node: int
    pg: int
    after: int
    upto: int
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class SendAppend:
    """Copy frames of an older epoch to a node that lacks them."""

    round: int
    node: int
    epoch: int
    pg: int
    frames: bytes


@dataclass(frozen=True, slots=True)
class SendTruncate:
    """Write a truncation range durably, and ``descriptor`` if there is one."""

    round: int
    node: int
    epoch: int
    range: TruncationRange
    descriptor: Descriptor | None = None


Effect = SendFence | SendFetch | SendAppend | SendTruncate


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the log ends. New LSNs start at ``next_lsn``; ``pg_last`` is each group's last LSN ≤ ``vdl``.

    ``scls``: node → group → SCL, of the adopters, hollow segments left out. ``descriptor``: as committed.
    """

    epoch: int
    vdl: Lsn
    next_lsn: Lsn
    pg_last: dict[int, int]
    truncations: frozenset[TruncationRange]
    read_only: bool
    scls: dict[int, dict[int, int]]
    descriptor: Descriptor


class Phase(Enum):
    """What recovery waits for."""

    FENCE = "fence"
    SYNC = "sync"
    COLLECT = "collect"
    REPAIR = "repair"
    TRUNCATE = "truncate"
    DONE = "done"


class Recovery:
    """The state machine. ``result`` is set when it is done.

    ``writer_id`` on the nodes must be unique to this incarnation of the writer (the caller's duty): with an id used
    before, an older self would not be fenced. ``read_only_ticks``: after so many ticks a read quorum of adopters is
    enough to open for reading (None: never). Nodes are node indexes of ``descriptor``. ``on_reply`` and ``tick`` raise
    ``Superseded`` when a newer writer has fenced the volume meanwhile, ``Outdated`` when a node has a newer descriptor.
    ``reads``: this writer reads under ``epoch`` already; a node that has adopted a newer one supersedes it. ``draw``:
    a random number from 1 to its argument, for how long to hold back against other writers that recover.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        epoch: int = 1,
        read_only_ticks: int | None = None,
        reads: bool = False,
        draw: Callable[[int], int] = lambda most: most,
    ) -> None:
        self.descriptor = descriptor
        self.epoch = epoch
        self._reads = reads
        self.phase = Phase.FENCE
        self.result: Recovered | None = None
        self._read_only_ticks = read_only_ticks
        self._ticks = 0
        self._reading = False
        """Whether patience is over, and a read quorum will do."""
        self._round = 0
        self._draw = draw
        self._refusals = 0
        self._pause = 0
        """Ticks until everybody is fenced again; 0 = that has been done."""
        self._adopters: dict[int, FenceAnswer] = {}
        self._waiting: set[Effect] = set()
        self._truncations: set[TruncationRange] = set()
        self._vdl = 0
        self._base = 0
        self._log: dict[int, list[batches.Batch]] = {}
        self._pg_last: dict[int, int] = {}
        self._scls: dict[int, dict[int, int]] = {}
        self._fetched: dict[SendFetch, LogAnswer] = {}
        self._lacking: dict[SendFetch, list[int]] = {}

    def start(self) -> list[Effect]:
        """Begin: fence everybody."""
        return self._fence()

    def tick(self) -> list[Effect]:
        """Some time (tens of milliseconds) has passed: try again what got no answer, or go on without."""
        self._ticks += 1
        if self._pause:
            self._pause -= 1
            return [] if self._pause else self._fence()
        if self.phase is Phase.FENCE:
            patient = self._read_only_ticks is None or self._ticks < self._read_only_ticks
            self._reading = not patient
            if self._writable() or (self._reading and self._readable()):
                return self._sync()
            asked = {effect.node for effect in self._waiting}
            return self._send(
                [
                    SendFence(self._round, node, self.epoch)
                    for node in self.descriptor.active
                    if node not in asked and (node not in self._adopters or self._fills(node))
                ]
            )
        if self.phase is Phase.REPAIR and not self._waiting:
            return self._refence()
        return []

    def on_reply(self, effect: Effect, answer: Answer | None) -> list[Effect]:
        """The answer to one effect, or None when the node failed; returns what to send next. Late answers are
        ignored.
        """
        if effect.round != self._round or effect not in self._waiting:
            return []
        self._waiting.discard(effect)
        if answer is None:
            return self._on_failed(effect)
        if isinstance(effect, SendFence) and isinstance(answer, FenceAnswer):
            return self._on_fence(effect, answer)
        if isinstance(effect, SendFetch) and isinstance(answer, LogAnswer):
            self._fetched[effect] = answer
            if self._waiting:
                return []
            return self._evaluate() if self.phase is Phase.COLLECT else self._copy()
        if isinstance(effect, SendAppend) and isinstance(answer, AppendAnswer):
            self._refuse_newer(answer.refused_epoch)
            scls = self._scls[effect.node]
            for pg, scl in answer.scls.items():
                scls[pg] = max(scls.get(pg, 0), scl)
            return [] if self._waiting else self._after_copy()
        if isinstance(effect, SendTruncate) and isinstance(answer, TruncateAnswer):
            self._refuse_newer(answer.epoch)
            if not answer.ok:
                return self._on_failed(effect)
            if self._waiting:
                return []
            return self._refence() if self.phase is Phase.SYNC else self._finish(read_only=False)
        raise InvariantViolation(f"{type(answer).__name__} answers {type(effect).__name__}")

    def _send(self, effects: list[Effect] | list[SendFence] | list[SendFetch] | list[SendTruncate]) -> list[Effect]:
        self._waiting.update(effects)
        return list(effects)

    def _refuse_newer(self, epoch: int) -> None:
        if epoch > self.epoch:
            raise Superseded(epoch)

    # Who counts

    def _voters(self, pg: int) -> list[int]:
        """Adopters whose word on the group counts."""
        group = self.descriptor.groups[pg]
        found = []
        for node in self.descriptor.holders(pg):
            answer = self._adopters.get(node)
            if answer is None:
                continue
            # One that has not heard of the group yet has nothing of it, truly; but whoever joined it later must have,
            # and whoever lost its disk may have had.
            report = answer.pgs.get(pg)
            if report.hollow if report is not None else group.membership_epoch > 1 or answer.forgetful:
                continue
            found.append(node)
        return found

    def _fills(self, node: int) -> bool:
        """Whether the adopter had hollow segments when it answered, or may not have known of some: it may have filled
        them since.
        """
        answer = self._adopters[node]
        held = self.descriptor.groups_of(self.descriptor.nodes[node].node_id)
        return any(report.hollow for report in answer.pgs.values()) or (
            answer.forgetful and not held <= answer.pgs.keys()
        )

    def _mask(self, pg: int) -> int:
        return sum(1 << node for node in self._voters(pg))

    def _writable(self) -> bool:
        """Whether the adopters are a write quorum of every group."""
        return all(self.descriptor.write_quorum(pg).satisfied(self._mask(pg)) for pg in self._pgs())

    def _readable(self) -> bool:
        """Whether the adopters are a read quorum of every group, of PG 0 too: the descriptor is the newest then."""
        return all(self.descriptor.read_quorum(pg).satisfied(self._mask(pg)) for pg in self._pgs())

    def _pgs(self) -> range:
        return range(len(self.descriptor.groups))

    def _on_failed(self, effect: Effect) -> list[Effect]:
        if self.phase is Phase.FENCE:
            return self._sync() if not self._waiting and self._writable() else []
        # An adopter is lost. What the others hold still decides, if there are enough of them; begin again from there.
        self._adopters.pop(effect.node, None)
        if self._writable():
            return self._sync()
        return self._fence()

    # FENCE: everybody adopts (epoch, writer); a refusal names a greater epoch, which we then exceed.

    def _fence(self) -> list[Effect]:
        if self.phase is Phase.TRUNCATE:
            self.epoch += 1  # our range may be on a node that does not answer now: the next one must override it
        self.phase = Phase.FENCE
        self._round += 1
        self._ticks = 0
        self._waiting.clear()
        self._adopters.clear()
        self._truncations.clear()
        return self._send([SendFence(self._round, node, self.epoch) for node in self.descriptor.active])

    def _fence_later(self) -> list[Effect]:
        """Fence with the greater epoch: at once, or, against writers that do the same all the time, after a pause of
        random length, whose bound doubles. Without it none of them would leave the nodes an epoch long enough to fill
        hollow segments.
        """
        effects = self._fence()
        self._refusals += 1
        if self._refusals <= REFUSALS_AT_ONCE:
            return effects
        self._waiting.clear()
        self._pause = self._draw(min(1 << (self._refusals - REFUSALS_AT_ONCE), PAUSE_TICKS_MAX))
        return []

    def _on_fence(self, effect: SendFence, answer: FenceAnswer) -> list[Effect]:
        if answer.descriptor is not None and answer.descriptor.version > self.descriptor.version:
            raise Outdated(answer.descriptor, self.epoch)
        self._truncations.update(answer.truncations)
        if not answer.adopted:
            if self.phase is not Phase.FENCE or self._reads:
                raise Superseded(answer.epoch)
            self.epoch = max(answer.epoch, self.epoch) + 1
            return self._fence_later()
        self._adopters[effect.node] = answer
        if self._waiting:
            return []
        if self.phase is Phase.FENCE:
            return self._sync() if self._writable() else []
        if self.phase is Phase.SYNC:
            return self._sync()
        self._read_scls()
        return self._repair()

    # SYNC: an adopter that missed an earlier truncation learns it first; otherwise its void records would count.

    def _sync(self) -> list[Effect]:
        self.phase = Phase.SYNC
        self._round += 1
        self._waiting.clear()
        ranges = set(truncation.effective(self._truncations))
        # The oldest first, each by itself: whoever knows a range knows those from before it.
        missing = [
            SendTruncate(self._round, node, self.epoch, TruncationRange(*min(ranges - answer.truncations)))
            for node, answer in sorted(self._adopters.items())
            if ranges - answer.truncations
        ]
        return self._send(missing) if missing else self._collect()

    def _refence(self) -> list[Effect]:
        """Ask the adopters again what they hold."""
        return self._send([SendFence(self._round, node, self.epoch) for node in sorted(self._adopters)])

    # COLLECT: the log above what is known to be durable, from the most complete adopter of each group.

    def _read_scls(self) -> None:
        self._scls = {node: answer.scls for node, answer in self._adopters.items()}

    def _collect(self) -> list[Effect]:
        self.phase = Phase.COLLECT
        self._round += 1
        self._fetched.clear()
        self._read_scls()
        hints = [report.vdl_hint for answer in self._adopters.values() for report in answer.pgs.values()]
        self._base = max([0, *hints, *(span.vdl for span in self._truncations)])
        fetches = []
        for pg in self._pgs():
            scl, node = max((self._scls[node].get(pg, 0), -node) for node in self._voters(pg))
            if scl > self._base:
                fetches.append(SendFetch(self._round, -node, pg, self._base, scl))
        return self._send(fetches) if fetches else self._evaluate()

    def _evaluate(self) -> list[Effect]:
        chain: dict[int, tuple[int, int]] = {}
        pg_chains: dict[int, list[tuple[int, int]]] = {}
        for effect, answer in self._fetched.items():
            pg_chain = self._pg_chain(effect, answer, chain)
            if pg_chain is None:
                return self._on_failed(effect)
            pg_chains[effect.pg] = pg_chain
        at = vdl = self._base
        for lsn in sorted(chain):
            prev, flags = chain[lsn]
            if prev != at:
                break
            at = lsn
            if flags & redo.FLAG_CPL:
                vdl = lsn
        self._vdl = vdl
        self._pg_last = {}
        for pg in self._pgs():
            if pg in pg_chains:
                # The link of the first record above the base names the group's last one at or below it.
                lsns = [pg_chains[pg][0][1]] + [lsn for lsn, _ in pg_chains[pg] if lsn <= vdl]
                last = lsns[-1]
            else:
                last = max(self._scls[node].get(pg, 0) for node in self._voters(pg))
            if last > vdl:
                raise InvariantViolation(f"group {pg} ends at {last}, above the VDL {vdl}")
            if last:
                self._pg_last[pg] = last
        return self._repair()

    def _pg_chain(
        self, effect: SendFetch, answer: LogAnswer, chain: dict[int, tuple[int, int]]
    ) -> list[tuple[int, int]] | None:
        """The group's records above the base as ``(lsn, pg_prev_lsn)``; None when the node did not give all it claimed.

        Adds ``lsn → (volume's previous LSN, flags)`` to ``chain``.
        """
        links: dict[int, int] = {}
        for batch in batches.split(answer.frames):
            prev = batch.prev_lsn
            for lsn, volume_prev, _, _, flags, _, _ in redo.scan(batch.records, batch.prev_lsn):
                if self._base < lsn <= effect.upto:
                    links[lsn] = prev
                    chain[lsn] = (volume_prev, flags)
                prev = lsn
        ordered = sorted(links.items())
        at = None
        for lsn, prev in ordered:
            if (prev > self._base) if at is None else (prev != at):
                return None
            at = lsn
        return ordered if at == effect.upto else None

    # REPAIR: what is durable must be held by a write quorum of adopters (or by all of them, to open for reading).

    def _keepers(self, pg: int) -> list[tuple[int, int]]:
        """``(SCL, node)`` of the adopters that must hold all that is durable: the most complete first, until they are a
        write quorum.
        """
        held = sorted(((self._scls[node].get(pg, 0), node) for node in self._voters(pg)), reverse=True)
        quorum, mask = self.descriptor.write_quorum(pg), 0
        for count, (_, node) in enumerate(held, 1):
            mask |= 1 << node
            if quorum.satisfied(mask):
                return held[:count]
        return held

    def _repair(self) -> list[Effect]:
        self.phase = Phase.REPAIR
        self._round += 1
        self._fetched.clear()
        self._lacking.clear()
        fetches = []
        for pg, last in sorted(self._pg_last.items()):
            held = self._keepers(pg)
            lacking = [(scl, node) for scl, node in held if scl < last]
            if lacking:
                fetch = SendFetch(self._round, held[0][1], pg, min(scl for scl, _ in lacking), last)
                fetches.append((fetch, [node for _, node in lacking]))
        for fetch, nodes in fetches:
            self._lacking[replace(fetch, most_bytes=REPAIR_BYTES // len(fetches))] = nodes
        if self._lacking:
            return self._send(list(self._lacking))
        return self._refence() if buggify("recovery-looks-again") else self._truncate()

    def _copy(self) -> list[Effect]:
        self._round += 1
        sends: list[Effect] = []
        for fetch, answer in self._fetched.items():
            # A collected log comes back to the node as page baselines, by gossip; the next tick looks again.
            # A part leaves the rest to the rounds that follow, and to gossip.
            found = [] if answer.collected else batches.split(answer.frames)
            if buggify("recovery-fetches-part"):
                found = found[:1]
            for node in self._lacking[fetch]:
                scl = self._scls[node].get(fetch.pg, 0)
                clipped = [batches.clip(batch, fetch.upto) for batch in found if batch.last_lsn > scl]
                for frames in _chunks([bytes(batch.frame) for batch in clipped if batch is not None]):
                    sends.append(SendAppend(self._round, node, self.epoch, fetch.pg, frames))
        return self._send(sends)

    def _after_copy(self) -> list[Effect]:
        complete = all(scl >= last for pg, last in self._pg_last.items() for scl, _ in self._keepers(pg))
        return self._truncate() if complete else []

    # TRUNCATE: whatever the older writer may still have on the way is void.

    def _truncate(self) -> list[Effect]:
        if not self._writable():
            # A segment that its node began to refill meanwhile has ceased to count.
            return self._finish(read_only=True) if self._reading else self._fence()
        if self.epoch == 1 and not self._pg_last:
            return self._finish(read_only=False)  # the volume's first writer: there is no older one to shut out
        self.phase = Phase.TRUNCATE
        self._round += 1
        # The older writer's limit counted from its first LSN, which lies above every range it knew.
        start = max([self._vdl, *(span.upper for span in self._truncations)])
        span = TruncationRange(self.epoch, self._vdl, start + LAL_BYTES + LAL_MARGIN_BYTES)
        self._truncations.add(span)
        self.descriptor = replace(self.descriptor, proposer_epoch=self.epoch, generation=self.descriptor.generation + 1)
        return self._send(
            [SendTruncate(self._round, node, self.epoch, span, self.descriptor) for node in sorted(self._adopters)]
        )

    def _finish(self, read_only: bool) -> list[Effect]:
        self.phase = Phase.DONE
        self._waiting.clear()
        upper = max([FIRST_LSN - 1, self._vdl, *(span.upper for span in self._truncations)])
        self.result = Recovered(
            self.epoch,
            Lsn(self._vdl),
            Lsn(upper + 1),
            dict(self._pg_last),
            frozenset(TruncationRange(*span) for span in truncation.effective(self._truncations)),
            read_only,
            self._scls,
            self.descriptor,
        )
        return []


def _chunks(frames: list[bytes]) -> list[bytes]:
    """Frames joined to messages of about ``APPEND_CHUNK_BYTES``."""
    out: list[bytes] = []
    open_frames: list[bytes] = []
    size = 0
    for frame in frames:
        open_frames.append(frame)
        size += len(frame)
        if size >= APPEND_CHUNK_BYTES or buggify("recovery-small-copies"):
            out.append(b"".join(open_frames))
            open_frames, size = [], 0
    if open_frames:
        out.append(b"".join(open_frames))
    return out
