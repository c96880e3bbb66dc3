"""When the log leaves the writer: room, growth, and what others are about to add."""

from __future__ import annotations

from aurora.geometry import Member
from aurora.kernels import mtr, redo
from aurora.placement import initial
from compute_node.volume.fleet import Fleet, SendDescriptor
from compute_node.volume.flusher import FLUSH_BYTES, LINGER_MAX_S, QUIET_S, Flushed, Flusher
from compute_node.volume.recovery import Recovered
from compute_node.volume.writer_core import WriterCore

VOLUME = b"v" * 16
PAGES_PER_PG = 4
DESCRIPTOR = initial(VOLUME, [Member(f"n{i}", f"az{i // 2}", f"n{i}:1") for i in range(6)], PAGES_PER_PG, groups=1)


class Rig:
    """A flusher over a writer core whose six nodes are connected and idle."""

    def __init__(self) -> None:
        self.core = WriterCore(
            VOLUME, Recovered(1, 0, 16, {}, frozenset(), False, {}, DESCRIPTOR), lambda *parts: b"%d" % parts[0]
        )
        self.fleet = Fleet(self.core)
        self.log = mtr.RedoLog(16, 0, PAGES_PER_PG, {})
        self.read_points = 0
        self.flusher = Flusher(self.log, self.core, self.fleet, self.pgmrpl)
        self.siblings = 0
        self.now_s = 1.0
        for node in range(6):
            self.core.on_connected(node, {})
            self.core.links[node].nudge = False

    def pgmrpl(self) -> int:
        self.read_points += 1
        return 7

    def append(self, page: int = 0, ops: bytes = b"\0\1x") -> int:
        lsn: int = self.log.append(page, 0, ops, redo.FLAG_CPL)
        return lsn

    def lingers(self) -> bool:
        return self.flusher.lingers(lambda: self.siblings, lambda: self.now_s)

    def grow(self) -> None:
        for _ in range(3):
            for effect in self.fleet.tick():
                if isinstance(effect, SendDescriptor):
                    self.fleet.on_taken(effect.node, effect.descriptor)


def test_what_is_pending_is_sent_once_and_nothing_without_log() -> None:
    rig = Rig()
    assert rig.flusher.flush() is Flushed.NOTHING and not rig.flusher.pending
    lsn = rig.append()
    assert rig.flusher.pending
    assert rig.flusher.flush() is Flushed.SENT
    assert (rig.core.tracker.appended, rig.core.pgmrpl, rig.read_points) == (lsn, 7, 1)
    assert rig.flusher.flush() is Flushed.NOTHING and rig.core.flushes == 1


def test_without_room_the_log_gathers_until_an_ack() -> None:
    rig = Rig()
    lsn = rig.append()
    rig.flusher.flush()
    for node in range(6):
        assert rig.core.next_message(node) is not None
    rig.append()
    assert rig.flusher.flush() is Flushed.NOTHING
    assert rig.flusher.wanted and rig.flusher.pending and rig.core.flushes == 1
    for node in range(6):
        rig.core.on_ack(node, 1, [(0, lsn)])
    last = rig.append()
    assert rig.flusher.flush() is Flushed.SENT
    assert (rig.flusher.wanted, rig.core.flushes, rig.core.tracker.appended) == (False, 2, last)


def test_log_of_a_group_that_is_not_there_is_held_and_keeps_its_place() -> None:
    rig = Rig()
    held = rig.append(page=PAGES_PER_PG)
    assert rig.flusher.flush() is Flushed.GROW
    assert rig.fleet.wanted_groups == 2
    later = rig.append(page=0)
    assert rig.flusher.flush() is Flushed.GROW and rig.core.flushes == 0
    rig.grow()
    assert rig.flusher.flush() is Flushed.SENT_FIRST
    assert rig.core.tracker.appended == held
    assert rig.flusher.pending and rig.flusher.flush() is Flushed.SENT
    assert rig.core.tracker.appended == later and not rig.flusher.pending


def test_it_lingers_while_others_write_until_the_log_is_quiet() -> None:
    rig = Rig()
    rig.append()
    assert not rig.lingers(), "a lone writer never waits"
    rig.siblings = 3
    assert rig.lingers()
    rig.now_s += QUIET_S / 2
    rig.append()
    assert rig.lingers()
    rig.now_s += QUIET_S * 0.9
    assert rig.lingers(), "it grew a moment ago"
    rig.now_s += QUIET_S
    assert not rig.lingers()


def test_it_does_not_linger_for_ever_nor_with_much_log() -> None:
    rig = Rig()
    rig.siblings = 3
    begun_s = rig.now_s
    while rig.lingers():
        rig.append()
        rig.now_s += QUIET_S / 2
    assert LINGER_MAX_S <= rig.now_s - begun_s < LINGER_MAX_S + QUIET_S
    while rig.log.pending_bytes < FLUSH_BYTES:
        rig.append(ops=b"\0\x40" + bytes(64))
    assert not rig.lingers()
