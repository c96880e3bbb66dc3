"""The recovery state machine on hand-made fleets."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace

import pytest

from aurora import batch as batches
from aurora import truncation
from aurora.geometry import Member
from aurora.kernels import mtr, redo
from aurora.kernels.python.mtr import Run
from aurora.placement import initial
from compute_node.volume.recovery import (
    LAL_BYTES,
    LAL_MARGIN_BYTES,
    Answer,
    AppendAnswer,
    Effect,
    FenceAnswer,
    LogAnswer,
    PgReport,
    Phase,
    Recovered,
    Recovery,
    SendAppend,
    SendFence,
    SendFetch,
    SendTruncate,
    Superseded,
    TruncateAnswer,
    TruncationRange,
)

VOLUME = b"v" * 16
PAGES_PER_PG = 4
MEMBERS = [Member(f"n{i}", f"az{i // 2}", f"n{i}:1") for i in range(6)]
DESCRIPTOR = initial(VOLUME, MEMBERS, PAGES_PER_PG, groups=2)


class Node:
    """A node as recovery sees it: batches by protection group in chain order."""

    def __init__(self) -> None:
        self.epoch = 0
        self.writer = ""
        self.log: dict[int, list[batches.Batch]] = {}
        self.truncations: set[TruncationRange] = set()
        self.hint = 0
        self.down = False

    def hold(self, *runs: Run) -> None:
        for run in runs:
            self.log.setdefault(run[0], []).append(batches.decode(batches.encode(VOLUME, 1, run)))

    def scl(self, pg: int) -> int:
        at = 0
        for batch in sorted(self.log.get(pg, []), key=lambda b: b.first_lsn):
            upto = truncation.valid_upto(sorted(self.truncations), batch.first_lsn, batch.last_lsn)
            if batch.prev_lsn != at or upto < batch.first_lsn:
                break
            clipped = batches.clip(batch, upto)
            at = clipped.last_lsn if clipped else at
        return at

    def answer(self, effect: Effect, writer: str) -> Answer | None:
        if self.down:
            return None
        if isinstance(effect, SendFence):
            if effect.epoch > self.epoch:
                self.epoch, self.writer = effect.epoch, writer
            pgs = {pg: PgReport(self.scl(pg), self.scl(pg), 0, self.hint) for pg in self.log}
            return FenceAnswer(
                (self.epoch, self.writer) == (effect.epoch, writer), self.epoch, pgs, frozenset(self.truncations)
            )
        if isinstance(effect, SendFetch):
            found = [
                b
                for b in self.log.get(effect.pg, [])
                if b.last_lsn > effect.after and b.first_lsn <= self.scl(effect.pg)
            ]
            frames = b""
            for batch in found:
                frames += bytes(batch.frame)
                if effect.most_bytes is not None and len(frames) >= effect.most_bytes:
                    break
            return LogAnswer(frames)
        if isinstance(effect, SendAppend):
            if effect.epoch < self.epoch:
                return AppendAnswer({}, self.epoch)
            for batch in batches.split(effect.frames):
                if batch.last_lsn > self.scl(batch.pg):
                    self.log.setdefault(batch.pg, []).append(batch)
            return AppendAnswer({effect.pg: self.scl(effect.pg)})
        if effect.epoch == self.epoch:
            self.truncations.add(effect.range)
        return TruncateAnswer(effect.epoch == self.epoch, self.epoch)


def drive(nodes: list[Node], recovery: Recovery | None = None, writer: str = "w", ticks: int = 20) -> Recovered:
    recovery = recovery or Recovery(DESCRIPTOR)
    effects = list(recovery.start())
    for _ in range(ticks):
        while effects:
            effect = effects.pop(0)
            effects += recovery.on_reply(effect, nodes[effect.node].answer(effect, writer))
        if recovery.result is not None:
            return recovery.result
        effects += recovery.tick()
    raise AssertionError(f"recovery stays in {recovery.phase}")


def fleet() -> list[Node]:
    return [Node() for _ in range(6)]


def written(*flushes: list[tuple[int, bool]]) -> list[list[Run]]:
    """Flushes of ``(page, is CPL)`` records → their runs."""
    log = mtr.RedoLog(16, 0, PAGES_PER_PG, {})
    out = []
    for flush in flushes:
        for page, cpl in flush:
            log.append(page, 0, b"\0\1x", redo.FLAG_CPL if cpl else 0)
        out.append(log.take())
    return out


def test_an_empty_volume_starts_at_the_first_lsn() -> None:
    nodes = fleet()
    result = drive(nodes)
    assert (result.epoch, result.vdl, result.next_lsn, result.pg_last) == (1, 0, 16, {})
    assert not result.read_only and not result.truncations


def test_a_node_that_lost_its_disk_does_not_vote_on_a_group_that_it_does_not_report() -> None:
    """It may have held the group: with tails, three full segments had acknowledged, two of them are away now."""
    descriptor = initial(VOLUME, MEMBERS, PAGES_PER_PG, groups=2, tails=True)
    away, lost, also_away = (descriptor.index_of[slot.member] for slot in descriptor.groups[1].slots if not slot.tail)
    first, second = written([(0, True)], [(4, True)])

    def recovered(forgetful: bool) -> Recovered:
        nodes = fleet()
        for node in nodes:
            node.hold(*first)
        for node in (away, also_away):
            nodes[node].hold(*second)
            nodes[node].down = True
        answer = nodes[lost].answer

        def forgot(effect: Effect, writer: str) -> Answer | None:
            said = answer(effect, writer)
            if isinstance(said, FenceAnswer):
                return replace(said, pgs={0: replace(said.pgs[0], hollow=True)}, forgetful=forgetful)
            return said

        nodes[lost].answer = forgot  # type: ignore[method-assign]
        return drive(nodes, Recovery(descriptor))

    with pytest.raises(AssertionError, match="stays in"):
        recovered(forgetful=True)
    # One that has lost nothing and has not heard of the group has acknowledged nothing of it.
    assert recovered(forgetful=False).vdl == first[0][3]


def test_what_four_hold_is_kept_and_what_few_hold_is_cut_or_spread() -> None:
    nodes = fleet()
    first, second, third = written([(0, True)], [(0, False), (4, True)], [(0, True)])
    for node in nodes[:4]:
        node.epoch = 3
        node.hold(*first, *second)
    nodes[5].hold(*first)
    result = drive(nodes)
    assert result.epoch == 4
    vdl = second[1][3]
    assert result.vdl == vdl
    assert result.next_lsn == vdl + LAL_BYTES + LAL_MARGIN_BYTES + 1
    assert result.pg_last == {0: second[0][3], 1: second[1][3]}
    assert result.truncations == {TruncationRange(4, vdl, result.next_lsn - 1)}
    for node in nodes:
        assert node.truncations == result.truncations
    del third


def test_a_gap_in_the_volume_chain_ends_the_log_at_a_consistency_point() -> None:
    nodes = fleet()
    first, second, third = written([(0, True)], [(0, False), (4, True)], [(0, True)])
    for node in nodes:
        node.hold(*first, second[0], *third)  # group 1 lost its part of the second flush
    result = drive(nodes)
    assert result.vdl == first[0][3]
    assert result.pg_last == {0: first[0][3]}


def test_a_record_on_one_adopter_is_copied_to_four_before_the_truncation() -> None:
    nodes = fleet()
    first, second = written([(0, True)], [(0, True)])
    for node in nodes:
        node.hold(*first)
    nodes[2].hold(*second)
    nodes[4].down = nodes[5].down = True
    result = drive(nodes)
    assert result.vdl == second[0][3]
    assert [node.scl(0) for node in nodes[:4]] == [result.vdl] * 4


def test_a_long_log_is_copied_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fourth voter lacks all that has not been collected; each round holds at most ``REPAIR_BYTES`` of it."""
    flushes = written(*[[(page, True)] for page in (0, 4) * 8])
    nodes = fleet()
    for node in nodes[:3]:
        for runs in flushes:
            node.hold(*runs)
    for node in nodes[:4]:
        node.hint = flushes[-1][0][3]
    nodes[4].down = nodes[5].down = True
    monkeypatch.setattr("compute_node.volume.recovery.REPAIR_BYTES", 2)
    recovery = Recovery(DESCRIPTOR)
    copied: list[int] = []
    on_reply = recovery.on_reply

    def watched(effect: Effect, answer: Answer | None) -> list[Effect]:
        if isinstance(answer, LogAnswer) and recovery.phase is Phase.REPAIR:
            copied.append(len(batches.split(answer.frames)))
        return on_reply(effect, answer)

    recovery.on_reply = watched  # type: ignore[method-assign]
    result = drive(nodes, recovery)
    assert result.vdl == flushes[-1][0][3] and not result.read_only
    assert copied == [1] * len(flushes)
    assert {pg: nodes[3].scl(pg) for pg in (0, 1)} == result.pg_last


def test_void_records_of_a_node_that_missed_the_truncation_do_not_come_back() -> None:
    nodes = fleet()
    first, second = written([(0, True)], [(0, True)])
    for node in nodes:
        node.hold(*first)
    nodes[5].hold(*second)
    nodes[5].down = True
    one = drive(nodes, writer="one")
    nodes[5].down = nodes[0].down = nodes[1].down = False
    nodes[0].down = True
    two = drive(nodes, writer="two")
    assert one.vdl == two.vdl == first[0][3]
    assert nodes[5].scl(0) == two.vdl
    assert two.next_lsn > one.next_lsn + LAL_BYTES


def test_three_nodes_open_for_reading_only_and_four_are_waited_for() -> None:
    nodes = fleet()
    (first,) = written([(0, True)])
    for node in nodes:
        node.hold(*first)
    for node in nodes[3:]:
        node.down = True
    with pytest.raises(AssertionError, match="FENCE"):
        drive(nodes)
    result = drive(nodes, Recovery(DESCRIPTOR, read_only_ticks=5))
    assert result.read_only and result.vdl == first[0][3]
    assert result.scls == {index: {0: result.vdl} for index in range(3)}


def test_who_reads_already_keeps_its_epoch_and_leaves_a_newer_writer_alone() -> None:
    nodes = fleet()
    (first,) = written([(0, True)])
    for node in nodes:
        node.hold(*first)
        node.epoch, node.writer = 5, "w"
    assert drive(nodes, Recovery(DESCRIPTOR, 5, reads=True)).epoch == 5
    nodes[5].epoch, nodes[5].writer = 6, "newer"
    nodes[0].down = nodes[1].down = True
    with pytest.raises(Superseded):
        drive(nodes, Recovery(DESCRIPTOR, 5, reads=True))
    assert [node.epoch for node in nodes] == [5] * 5 + [6]


def test_a_newer_writer_supersedes() -> None:
    nodes = fleet()
    (first,) = written([(0, True)])
    for node in nodes:
        node.hold(*first)
    recovery = Recovery(DESCRIPTOR)
    effects = list(recovery.start())

    def go_on() -> None:
        while effects:
            effect = effects.pop(0)
            if recovery.phase is Phase.TRUNCATE:
                for node in nodes:
                    node.epoch, node.writer = 9, "other"
            effects.extend(recovery.on_reply(effect, nodes[effect.node].answer(effect, "w")))

    with pytest.raises(Superseded):
        go_on()


def test_late_and_foreign_answers_are_ignored() -> None:
    recovery = Recovery(DESCRIPTOR)
    effect = recovery.start()[0]
    assert isinstance(effect, SendFence)
    assert recovery.on_reply(replace(effect, round=99), FenceAnswer(True, 1)) == []
    assert recovery.on_reply(effect, FenceAnswer(True, 1)) == []
    assert recovery.on_reply(effect, FenceAnswer(False, 7)) == []
    assert recovery.epoch == 1


def test_an_adopter_lost_on_the_way_is_done_without() -> None:
    nodes = fleet()
    (first,) = written([(0, True)])
    for node in nodes:
        node.hold(*first)
    recovery = Recovery(DESCRIPTOR)
    effects = list(recovery.start())
    lost = None
    while effects:
        effect = effects.pop(0)
        if isinstance(effect, SendFetch) and lost is None:
            lost = effect.node
            nodes[lost].down = True
        effects += recovery.on_reply(effect, nodes[effect.node].answer(effect, "w"))
    assert lost is not None
    assert recovery.result is not None and recovery.result.vdl == first[0][3]
    assert [bool(node.truncations) for node in nodes].count(True) == 5


def test_writers_that_overtake_each_other_leave_one_the_time_to_fill_segments() -> None:
    answers_a_tick, ticks_to_fill = 100, 5
    rng = random.Random(1)
    writers = {name: Recovery(DESCRIPTOR, draw=lambda most: rng.randint(1, most)) for name in ("a", "b", "c")}
    adopted = [(0, "", 0)] * len(MEMBERS)
    """Epoch, writer, and the tick since when, of each node; three are hollow until they have kept an epoch for long."""
    due = deque((name, effect) for name, writer in writers.items() for effect in writer.start())

    def answer(tick: int, name: str, effect: Effect) -> Answer:
        if isinstance(effect, SendFence):
            epoch, writer, since = adopted[effect.node]
            if effect.epoch > epoch:
                epoch, writer, since = adopted[effect.node] = effect.epoch, name, tick
            hollow = effect.node < 3 and tick - since < ticks_to_fill
            pgs = {pg: PgReport(100, 100, 100, 100, hollow) for pg in range(2)}
            return FenceAnswer((epoch, writer) == (effect.epoch, name), epoch, pgs)
        assert isinstance(effect, SendTruncate)
        return TruncateAnswer(effect.epoch >= adopted[effect.node][0], adopted[effect.node][0])

    for tick in range(500):
        for _ in range(answers_a_tick):
            if due:
                name, effect = due.popleft()
                try:
                    due.extend((name, after) for after in writers[name].on_reply(effect, answer(tick, name, effect)))
                except Superseded:
                    del writers[name]
                    due = deque(item for item in due if item[0] != name)
        if any(writer.result for writer in writers.values()):
            break
        due.extend((name, effect) for name, writer in writers.items() for effect in writer.tick())
    assert sum(writer.result is not None for writer in writers.values()) == 1
