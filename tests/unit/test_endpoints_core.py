"""Where connections go: the router's state machine against a plain model, and case by case."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aurora.programs.endpoints import core
from aurora.programs.endpoints.core import Claim, Cut, Give, Refuse, Router
from aurora.programs.endpoints.spec import BadEndpoints, Endpoint, Kind, Type, check, check_all, dump, load

CLUSTER = Endpoint("cluster", Kind.WRITER, "127.0.0.9:1")
READER = Endpoint("reader", Kind.READER, "127.0.0.10:1")


def router(*endpoints: Endpoint) -> Router:
    return Router(endpoints={each.name: each for each in (CLUSTER, READER, *endpoints)})


def writer(name: str, epoch: int = 1, state: str = "available") -> Claim:
    return Claim(name, "writer", state, epoch)


def reader(name: str, epoch: int = 1, state: str = "available") -> Claim:
    return Claim(name, "reader", state, epoch)


def given(effects: list[core.Effect]) -> list[str]:
    assert all(isinstance(each, Give) for each in effects), effects
    return [each.instance_id for each in effects if isinstance(each, Give)]


def ask(which: Router, endpoint: str, count: int, now_s: float, first: int = 1) -> list[str]:
    for number in range(first, first + count):
        which.arrived(number, endpoint, now_s)
    return given(which.turn(now_s))


def test_the_cluster_endpoint_leads_to_the_writer_and_waits_without_one() -> None:
    some = router()
    assert ask(some, "cluster", 2, 0.0) == []
    some.heard(reader("b"), [writer("a")], 1.0)
    assert some.turn(1.0) == [], "only hearsay"
    some.heard(writer("a"), [reader("b")], 1.0)
    assert given(some.turn(1.0)) == ["a", "a"]


def test_the_reader_endpoint_spreads_by_connections_and_in_turn_and_falls_back_to_the_writer() -> None:
    some = router()
    some.heard(writer("a"), [], 0.0)
    assert ask(some, "reader", 2, 0.0) == ["a", "a"]
    for name in "bcd":
        some.heard(reader(name), [], 0.0)
    assert ask(some, "reader", 6, 0.0, 10) == ["b", "c", "d", "b", "c", "d"]
    some.gone(11)
    some.gone(14)
    assert ask(some, "reader", 3, 0.0, 20) == ["c", "c", "b"]
    some.heard(reader("d", state="disconnected"), [], 0.0)
    assert "d" not in ask(some, "reader", 9, 0.0, 30)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (Endpoint("some", Kind.CUSTOM, "127.0.0.11:1"), "abc"),
        (Endpoint("some", Kind.CUSTOM, "127.0.0.11:1", Type.READER), "bc"),
        (Endpoint("some", Kind.CUSTOM, "127.0.0.11:1", Type.ANY, static=("a", "b")), "ab"),
        (Endpoint("some", Kind.CUSTOM, "127.0.0.11:1", Type.READER, static=("a", "b")), "b"),
        (Endpoint("some", Kind.CUSTOM, "127.0.0.11:1", Type.READER, excluded=("b",)), "c"),
        (Endpoint("some", Kind.CUSTOM, "127.0.0.11:1", Type.ANY, excluded=("b",)), "ac"),
        (Endpoint("some", Kind.CUSTOM, "127.0.0.11:1", Type.READER, static=("a",)), ""),
    ],
    ids=str,
)
def test_custom_endpoints_lead_to_their_members(endpoint: Endpoint, expected: str) -> None:
    some = router(endpoint)
    for claim in (writer("a"), reader("b"), reader("c")):
        some.heard(claim, [], 0.0)
    assert set(ask(some, "some", 6, 0.0)) == set(expected)


def test_a_reader_that_is_promoted_leaves_an_endpoint_of_readers() -> None:
    only = Endpoint("only", Kind.CUSTOM, "127.0.0.11:1", Type.READER)
    some = router(only)
    for claim in (writer("a"), reader("b"), reader("c")):
        some.heard(claim, [], 0.0)
    some.heard(writer("b", 2), [], 0.0)
    assert set(ask(some, "only", 4, 0.0)) == {"c"}


def test_what_waits_too_long_is_refused_and_no_more_wait_than_may() -> None:
    some = router()
    some.arrived(1, "cluster", 0.0)
    assert some.next_s(0.0) == core.WAIT_S
    assert some.turn(core.WAIT_S - 0.1) == []
    assert some.turn(core.WAIT_S) == [Refuse(1)]
    for number in range(core.WAITING_MAX + 3):
        some.arrived(100 + number, "cluster", 50.0)
    assert len(some.turn(50.0)) == 3


def test_an_older_writer_never_gets_a_connection_again() -> None:
    some = router()
    some.heard(writer("a", 1), [], 0.0)
    some.heard(reader("b", 2), [writer("c", 2)], 0.1)
    assert ask(some, "cluster", 1, 0.1) == [], "a writer of epoch 2 is known, and nobody has heard it yet"
    some.heard(writer("a", 1), [], 0.2)
    assert some.turn(0.2) == []
    some.forget("c")
    assert some.turn(0.2) == []
    some.heard(writer("a", 3), [], 0.3)
    assert given(some.turn(0.3)) == ["a"]


def test_who_does_not_answer_is_not_relied_on() -> None:
    some = router()
    some.heard(writer("a"), [], 0.0)
    some.unheard("a", 1.0, refused=False)
    assert ask(some, "cluster", 1, core.TRUST_S) == ["a"]
    assert ask(some, "cluster", 1, core.TRUST_S + 0.1, 2) == []
    some.heard(writer("a"), [], 4.0)
    assert given(some.turn(4.0)) == ["a"]
    some.lost("a", 4.1)
    assert ask(some, "cluster", 1, 4.1, 3) == []


def test_instances_are_asked_often_while_there_is_no_writer_or_one_is_silent() -> None:
    some = router()
    some.heard(reader("b"), [], 0.0)
    assert some.poll_after_s("b", 0.0) == core.POLL_FAST_S
    some.heard(writer("a"), [], 0.0)
    assert some.poll_after_s("b", 0.0) == some.poll_after_s("a", 0.0) == core.POLL_S
    some.unheard("b", 1.0, refused=True)
    assert some.poll_after_s("b", 1.0) == core.POLL_FAST_S
    assert some.poll_after_s("b", 1.1 + core.TROUBLE_S) == core.POLL_S


def test_connections_of_a_superseded_writer_are_cut() -> None:
    some = router()
    some.heard(writer("a", 1), [reader("b")], 0.0)
    assert ask(some, "cluster", 2, 0.0) == ["a", "a"]
    some.heard(reader("b"), [], 0.0)
    assert ask(some, "reader", 1, 0.0, 3) == ["b"]
    some.unheard("a", 5.0, refused=False)
    some.heard(writer("b", 2), [], 5.0)
    assert set(some.turn(5.0)) == {Cut(1), Cut(2)}
    assert some.turn(9.0) == []


def test_a_superseded_writer_that_answers_has_a_while_to_end_its_sessions() -> None:
    some = router()
    some.heard(writer("a", 1), [], 0.0)
    assert ask(some, "cluster", 1, 0.0) == ["a"]
    some.heard(writer("b", 2), [], 0.1)
    assert some.turn(0.1) == []
    assert some.next_s(0.1) == pytest.approx(0.1 + core.STALE_S)
    assert some.turn(0.1 + core.STALE_S) == [Cut(1)]


def test_a_writer_that_has_become_a_reader_ends_its_sessions_itself() -> None:
    some = router()
    some.heard(writer("a", 1), [], 0.0)
    assert ask(some, "cluster", 1, 0.0) == ["a"]
    some.heard(reader("a", 2), [], 0.1)
    some.heard(writer("b", 2), [], 0.1)
    assert some.turn(0.1) == []
    assert some.turn(9.0) == []


def test_what_was_not_taken_goes_to_another_within_its_own_time() -> None:
    some = router()
    some.heard(reader("b"), [], 0.0)
    assert ask(some, "reader", 1, 0.0) == ["b"]
    some.heard(reader("c"), [], 1.0)
    some.full("b", 1.0)
    some.returned(1)
    assert given(some.turn(1.0)) == ["c"]
    some.lost("b", 1.0)
    some.lost("c", 1.0)
    some.returned(1)
    assert some.turn(core.WAIT_S - 1) == []
    assert some.turn(core.WAIT_S) == [Refuse(1)]


def test_an_instance_in_doubt_gets_nothing_before_it_speaks_again() -> None:
    some = router()
    some.heard(writer("a"), [], 0.0)
    some.doubted("a")
    assert ask(some, "cluster", 1, 0.0) == []
    assert some.answers("a", 0.0), "it lives: what it has not taken yet it will"
    some.heard(writer("a"), [], 0.1)
    assert given(some.turn(0.1)) == ["a"]


def test_full_instances_are_left_alone_for_a_while() -> None:
    some = router()
    some.heard(writer("a"), [], 0.0)
    some.full("a", 0.0)
    assert ask(some, "cluster", 1, 0.0) == []
    assert some.next_s(0.0) == pytest.approx(core.FULL_S)
    assert given(some.turn(core.FULL_S)) == ["a"]


def test_who_hung_up_while_it_waited_is_forgotten() -> None:
    some = router()
    for number in (1, 2, 3):
        some.arrived(number, "cluster", 0.0)
    some.hung_up({1, 3})
    assert list(some.waiting()) == [2]


def test_what_becomes_of_connections_is_counted() -> None:
    some = router()
    some.wait_s = 30.0
    for number in range(1, 5):
        some.arrived(number, "cluster", 0.0)
    some.turn(0.0)
    assert some.waiting_at() == {"cluster": 4, "reader": 0}
    some.hung_up({2})
    some.heard(writer("a"), [], 7.0)
    some.turn(7.0)
    some.unusable(3, "too far")
    assert some.turn(7.0) == [Refuse(3, "too far")]
    some.heard(writer("b", 2), [], 9.5)
    assert set(some.turn(9.5)) == {Cut(1), Cut(4)}
    some.arrived(9, "reader", 9.5)
    assert given(some.turn(9.5)) == ["b"]
    some.unheard("b", 9.5, refused=True)
    some.arrived(10, "cluster", 10.0)
    assert some.turn(40.0) == [Refuse(10)]
    tally = some.tally
    assert tally.accepted == {"cluster": 5, "reader": 1}
    assert tally.given == {("cluster", "a"): 3, ("reader", "b"): 1}
    assert (tally.refused, tally.hung_up, tally.cut) == ({"cluster": 2}, {"cluster": 1}, {"cluster": 2})
    assert (tally.wait_seconds.count, tally.wait_seconds.sum) == (4, 21.0)
    assert some.waiting_at() == {"cluster": 0, "reader": 0}


def test_a_dropped_endpoint_refuses_what_waits_there() -> None:
    some = router()
    some.arrived(1, "cluster", 0.0)
    del some.endpoints["cluster"]
    assert some.turn(0.0) == [Refuse(1)]


NAMES = st.sampled_from("abcd")


class AnyOrder(RuleBasedStateMachine):
    """Instances say whatever they say, in any order; what a connection gets is checked against all that was said."""

    @initialize()
    def begin(self) -> None:
        self.router = router(Endpoint("only", Kind.CUSTOM, "127.0.0.11:1", Type.READER, excluded=("c",)))
        self.now_s = 0.0
        self.said: dict[str, tuple[Claim, float]] = {}
        self.highest = 0
        self.numbers = 0
        self.asked: dict[int, str] = {}
        self.held: dict[int, str] = {}
        self.refused: set[int] = set()

    @rule(
        name=NAMES,
        role=st.sampled_from(("writer", "reader")),
        epoch=st.integers(1, 6),
        others=st.lists(st.tuples(NAMES, st.integers(1, 6)), max_size=2),
        state=st.sampled_from(("available", "available", "promoting")),
    )
    def says(self, name: str, role: str, epoch: int, others: list[tuple[str, int]], state: str) -> None:
        claim = Claim(name, role, state, epoch)
        hearsay = [writer(other, at) for other, at in others if other != name]
        self.said[name] = (claim, self.now_s)
        if role == "writer" and state == "available":
            self.highest = max(self.highest, epoch)
        self.highest = max([self.highest, *(each.epoch for each in hearsay)])
        self.router.heard(claim, hearsay, self.now_s)

    @rule(name=NAMES, refused=st.booleans())
    def is_silent(self, name: str, refused: bool) -> None:
        self.router.unheard(name, self.now_s, refused)
        if refused:
            self.said.pop(name, None)

    @rule(name=NAMES)
    def is_full(self, name: str) -> None:
        self.router.full(name, self.now_s)

    @rule(seconds=st.floats(0.01, 3.0))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(endpoint=st.sampled_from(("cluster", "reader", "only")), count=st.integers(1, 5))
    def arrive(self, endpoint: str, count: int) -> None:
        for _ in range(count):
            self.numbers += 1
            self.asked[self.numbers] = endpoint
            self.router.arrived(self.numbers, endpoint, self.now_s)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), taken=st.booleans())
    def end(self, data: st.DataObject, taken: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        del self.held[number]
        if taken:
            self.router.gone(number)
        else:
            self.router.returned(number)

    @invariant()
    def what_is_given_is_right(self) -> None:
        if not hasattr(self, "router"):
            return
        for effect in self.router.turn(self.now_s):
            if isinstance(effect, Cut):
                claim, said_s = self.said.get(self.held[effect.number], (reader("?"), -9.0))
                fresh = self.now_s - said_s <= core.TRUST_S
                assert not (fresh and claim.role == "reader"), "its own matter"
                self.router.gone(effect.number)
                del self.held[effect.number]
                continue
            assert effect.number not in self.held and effect.number not in self.refused
            if isinstance(effect, Refuse):
                self.refused.add(effect.number)
                continue
            claim, said_s = self.said[effect.instance_id]
            assert self.now_s - said_s <= core.TRUST_S and claim.state == "available"
            endpoint = self.asked[effect.number]
            if claim.role == "writer":
                assert claim.epoch == self.highest, "a writer that another has superseded"
            if endpoint == "cluster":
                assert claim.role == "writer"
            if endpoint == "only":
                assert claim.role == "reader" and claim.id != "c"
            self.held[effect.number] = effect.instance_id

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "router"):
            return
        waiting = set(self.router.waiting())
        assert not waiting & set(self.held)
        assert set(self.router.held) == set(self.held)
        counts = Counter(self.held.values())
        assert all(each.connections == counts[name] for name, each in self.router.instances.items())


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_endpoints_come_from_a_file_and_go_to_one(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "endpoints.json"
    custom = Endpoint("reports", Kind.CUSTOM, "127.0.0.11:5432", Type.READER, static=("instance-3",))
    file.write_text(dump([CLUSTER, READER, custom]))
    assert load(file) == [CLUSTER, READER, custom]
    file.write_text('[{"name": "x"}]')
    with pytest.raises(BadEndpoints, match="kind"):
        load(file)


@pytest.mark.parametrize(
    "bad",
    [
        Endpoint("Upper", Kind.CUSTOM, "127.0.0.1:1"),
        Endpoint("two--hyphens", Kind.CUSTOM, "127.0.0.1:1"),
        Endpoint("a" * 64, Kind.CUSTOM, "127.0.0.1:1"),
        Endpoint("both", Kind.CUSTOM, "127.0.0.1:1", static=("a",), excluded=("b",)),
        Endpoint("reader", Kind.READER, "127.0.0.1:1", static=("a",)),
        Endpoint("nowhere", Kind.CUSTOM, "127.0.0.1"),
    ],
    ids=lambda each: each.name,
)
def test_endpoints_that_make_no_sense_are_refused(bad: Endpoint) -> None:
    with pytest.raises(BadEndpoints):
        check(bad)


def test_two_endpoints_share_neither_name_nor_address() -> None:
    with pytest.raises(BadEndpoints, match="name cluster"):
        check_all([CLUSTER, Endpoint("cluster", Kind.CUSTOM, "127.0.0.7:1")])
    with pytest.raises(BadEndpoints, match=r"address 127\.0\.0\.9:1"):
        check_all([CLUSTER, Endpoint("other", Kind.CUSTOM, CLUSTER.address)])
