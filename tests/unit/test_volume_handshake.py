"""The writer's handshake with a node: what it is told, in which order, and when it counts as met."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aurora.errors import InvariantViolation
from aurora.geometry import Member
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from compute_node.volume.fleet import SendDescriptor
from compute_node.volume.handshake import Handshake, HandshakeAnswer, HandshakeEffect, NoVolume
from compute_node.volume.messages import read_copy
from compute_node.volume.recovery import (
    FenceAnswer,
    PgReport,
    Recovered,
    SendFence,
    SendTruncate,
    TruncateAnswer,
    TruncationRange,
)
from compute_node.volume.writer_core import WriterCore

VOLUME = b"v" * 16
EPOCH = 3
OLDER = initial(VOLUME, [Member(f"n{i}", f"az{i // 2}", f"n{i}:1") for i in range(6)], 4, groups=2)
DESCRIPTOR = replace(OLDER, generation=OLDER.generation + 1)
NEWER = replace(DESCRIPTOR, generation=DESCRIPTOR.generation + 1)
FIRST, SECOND = TruncationRange(1, 100, 200), TruncationRange(2, 300, 400)
RANGES = frozenset((FIRST, SECOND))
FENCE = SendFence(0, 2, EPOCH, opened=True)
KNOWS_ALL = FenceAnswer(True, EPOCH, truncations=RANGES, descriptor=DESCRIPTOR)


class Rig:
    """A writer core that shakes hands with node 2."""

    def __init__(self) -> None:
        recovered = Recovered(EPOCH, 0, 16, {}, RANGES, False, {}, DESCRIPTOR)
        self.core = WriterCore(VOLUME, recovered, lambda *parts: b"%d" % parts[0])
        self.shake = Handshake(self.core, 2, RANGES)

    def play(self, *answers: HandshakeAnswer) -> list[HandshakeEffect | None]:
        """The effects that go out while these answers come in."""
        effect: HandshakeEffect | None = self.shake.start()
        found = [effect]
        for answer in answers:
            assert effect is not None
            effect = self.shake.on_reply(effect, answer)
            found.append(effect)
        return found


def test_a_node_that_lacks_nothing_is_met_at_once() -> None:
    rig = Rig()
    assert rig.play(KNOWS_ALL) == [FENCE, None]
    assert rig.shake.answer is KNOWS_ALL


def test_an_older_descriptor_then_the_ranges_then_it_is_asked_again() -> None:
    rig = Rig()
    stale = FenceAnswer(True, EPOCH, truncations=frozenset((FIRST,)), descriptor=OLDER)
    told = replace(stale, descriptor=DESCRIPTOR)
    effects = rig.play(stale, True, told, TruncateAnswer(True, EPOCH), KNOWS_ALL)
    assert effects == [
        FENCE,
        SendDescriptor(2, DESCRIPTOR),
        FENCE,
        SendTruncate(0, 2, EPOCH, SECOND),
        FENCE,
        None,
    ]
    assert rig.shake.answer is KNOWS_ALL


def test_ranges_are_told_oldest_first_in_one_go() -> None:
    done = TruncateAnswer(True, EPOCH)
    effects = Rig().play(replace(KNOWS_ALL, truncations=frozenset()), done, done)
    assert effects == [FENCE, SendTruncate(0, 2, EPOCH, FIRST), SendTruncate(0, 2, EPOCH, SECOND), FENCE]


def test_a_node_without_a_volume_gets_the_descriptor_once() -> None:
    rig = Rig()
    assert rig.play(NoVolume(), True, KNOWS_ALL) == [FENCE, SendDescriptor(2, DESCRIPTOR), FENCE, None]
    assert rig.shake.answer is KNOWS_ALL
    rig = Rig()
    assert rig.play(NoVolume(), True, NoVolume())[-1] is None
    assert rig.shake.answer is None


def test_a_forgetful_node_is_told_what_holds_before_what_is_proposed() -> None:
    """Groups that the proposal adds are made later than what the node may have forgotten."""
    rig = Rig()
    proposed = replace(DESCRIPTOR, generation=DESCRIPTOR.generation + 1)
    rig.core.adopt(proposed, and_also=DESCRIPTOR)
    forgot = replace(KNOWS_ALL, descriptor=OLDER, forgetful=True)
    effects = rig.play(forgot, True, replace(KNOWS_ALL, descriptor=DESCRIPTOR), True, KNOWS_ALL)
    assert effects[:4] == [FENCE, SendDescriptor(2, DESCRIPTOR), FENCE, SendDescriptor(2, proposed)]
    rig = Rig()
    known = replace(KNOWS_ALL, forgetful=True)
    assert rig.play(known, True, KNOWS_ALL) == [FENCE, SendDescriptor(2, DESCRIPTOR), FENCE, None]


def test_what_has_been_told_is_not_told_twice() -> None:
    """A node that goes on claiming to lack it cannot keep the handshake from ending."""
    rig = Rig()
    stubborn = FenceAnswer(True, EPOCH, descriptor=OLDER)
    done = TruncateAnswer(True, EPOCH)
    effects = rig.play(stubborn, False, stubborn, done, done, stubborn)
    assert [type(effect) for effect in effects[1:]] == [
        SendDescriptor, SendFence, SendTruncate, SendTruncate, SendFence, type(None),
    ]  # fmt: skip
    assert rig.shake.answer is stubborn


def test_a_descriptor_proposed_meanwhile_is_told_as_well() -> None:
    rig = Rig()
    stale = replace(KNOWS_ALL, descriptor=OLDER)
    effect = rig.shake.on_reply(rig.shake.start(), stale)
    assert effect == SendDescriptor(2, DESCRIPTOR)
    rig.core.adopt(NEWER)
    assert rig.shake.on_reply(effect, True) == FENCE
    assert rig.shake.on_reply(FENCE, KNOWS_ALL) == SendDescriptor(2, NEWER)


@pytest.mark.parametrize(
    ("answers", "refused_epoch"),
    [
        ((FenceAnswer(False, 9),), 9),
        ((replace(KNOWS_ALL, truncations=frozenset()), TruncateAnswer(False, 9)), 9),
        ((replace(KNOWS_ALL, truncations=frozenset()), TruncateAnswer(False, EPOCH)), 0),
    ],
)
def test_a_refusal_ends_it_and_the_link_knows_the_newer_epoch(
    answers: tuple[HandshakeAnswer, ...], refused_epoch: int
) -> None:
    rig = Rig()
    assert rig.play(*answers)[-1] is None
    assert rig.shake.answer is None
    assert rig.core.links[2].refused_epoch == refused_epoch


def test_an_answer_to_another_question_is_a_defect() -> None:
    rig = Rig()
    with pytest.raises(InvariantViolation, match="TruncateAnswer answers SendFence"):
        rig.shake.on_reply(rig.shake.start(), TruncateAnswer(True, EPOCH))


def test_a_node_that_was_met_counts_with_what_is_not_hollow() -> None:
    rig = Rig()
    pgs = {0: PgReport(50, 50, 0, 0), 1: PgReport(70, 70, 0, 0, hollow=True)}
    assert not rig.core.on_met(2, replace(KNOWS_ALL, pgs=pgs))
    link = rig.core.links[2]
    assert (link.connected, link.filled) == (True, {0})
    assert (rig.core.tracker.scl(0, 2), rig.core.tracker.scl(1, 2)) == (50, 0)


def test_a_copy_that_is_refused_by_a_newer_epoch_says_so() -> None:
    """A node gives its reason in words too; the epoch is what recovery must hear."""
    refused = read_copy(pb.AppendReply(refused_epoch=9, error="the node has adopted 9"))
    assert refused is not None and refused.refused_epoch == 9
    assert read_copy(pb.AppendReply(error="no space")) is None
