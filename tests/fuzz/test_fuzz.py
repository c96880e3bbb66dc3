"""A few cases of the fuzzer in every run of the tests; more of them, and PostgreSQL beside them: ``make fuzz``."""

from __future__ import annotations

import pytest

import aurora
from tests.fuzz.choice import Choice
from tests.fuzz.oracles import Answer, same_rows
from tests.fuzz.run import Servers, connect, fuzz

CASES = 6


def test_other_ways_give_the_same_rows() -> None:
    with aurora.cluster() as cluster, connect(cluster.dsn) as own:
        tally = fuzz(Servers(own), 7, CASES)
    assert tally.queries >= CASES
    assert tally.told == {}


def test_answers_are_compared() -> None:
    one, other = Answer([(b"1",), (b"2",)]), Answer([(b"2",), (b"1",)])
    assert same_rows(one, other, False)
    assert not same_rows(one, other, True)
    assert not same_rows(one, Answer([(b"1",), (b"1",)]), False)
    assert not same_rows(one, Answer([], "22012 division by zero"), False)
    assert same_rows(Answer([], "22012 division by zero"), Answer([], "22012 Division durch Null"), False)


@pytest.mark.parametrize("drawn", [0, 99])
def test_choices_are_what_is_drawn(drawn: int) -> None:
    choice = Choice(lambda strategy: drawn)
    assert choice.chance(1) == (drawn == 99)
    assert choice.number(0, 99) == drawn
