"""A few cases of the fuzzer in every run of the tests; more of them, and PostgreSQL beside them: ``make fuzz``."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import aurora
from tests.fuzz import run
from tests.fuzz.choice import Choice, drawn_again, drawn_from
from tests.fuzz.composed import statement
from tests.fuzz.documented import documented
from tests.fuzz.oracles import Answer, same_rows, with_flags_of_nulls
from tests.fuzz.queries import Queries
from tests.fuzz.run import KINDS, Case, Difference, Outcome, Servers, Tally, cases_of, connect, fuzz
from tests.fuzz.shrink import shrunk
from tests.fuzz.tables import make_tables

CASES = (0, 1, 3)
"""One of each kind"""
QUERIES = 20


def test_other_ways_give_the_same_rows() -> None:
    found: list[str] = []
    tally = Tally()
    with aurora.cluster() as cluster, connect(cluster.dsn) as own:
        for _ in fuzz(Servers(own), 7, CASES, found.append, tally, queries=QUERIES):
            pass
    assert found == []
    assert tally.queries == len(CASES) * QUERIES
    assert tally.errors < tally.queries // 4


def test_a_run_that_stops_has_counted_what_it_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(choice: Choice, case: Case, tally: Tally) -> Outcome:
        tally.queries += 1
        return Outcome([], "settings", Answer([(b"1",)]), Answer([]))

    monkeypatch.setattr(run, "check", check)
    tally = Tally()

    def found(script: str) -> None:
        raise Difference

    with aurora.cluster() as cluster, connect(cluster.dsn) as own, pytest.raises(Difference):
        for _ in fuzz(Servers(own), 7, CASES, found, tally, queries=5):
            pass
    assert (tally.cases, tally.queries, tally.differences) == (1, 5, 1)


@pytest.mark.parametrize("jobs", range(1, 10))
def test_each_job_has_all_kinds(jobs: int) -> None:
    cases = range(100, 300)
    shares = [list(cases_of(job, jobs, cases)) for job in range(jobs)]
    assert sorted(number for share in shares for number in share) == list(cases)
    for share in shares:
        assert len(share) >= len(cases) // jobs - len(KINDS)
        assert {number % len(KINDS) for number in share} == set(range(len(KINDS)))


def test_jobs_are_processes_of_the_command() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--queries", "1", "--seed", "7", "--case", "1", "--jobs", "2"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("50 queries over 1 sets of tables")


def test_answers_are_compared() -> None:
    one, other = Answer([(b"1",), (b"2",)]), Answer([(b"2",), (b"1",)])
    assert same_rows(one, other, False)
    assert not same_rows(one, other, True)
    assert not same_rows(one, Answer([(b"1",), (b"1",)]), False)
    failed = Answer([], error="22012 division by zero")
    assert not same_rows(one, failed, False)
    assert same_rows(failed, Answer([], error="22012 Division durch Null"), False)
    assert not same_rows(Answer([], ((b"a", 23),)), Answer([], ((b"a", 20),)), False)


def test_an_array_has_nulls_if_one_is_in_it() -> None:
    head = struct.pack("!iiiii", 1, 1, 23, 2, 1)
    whole = struct.pack("!iii", 4, 5, -1)
    types = ["int[]", "int"]
    without = head[:4] + struct.pack("!i", 0) + head[8:]
    elements = struct.pack("!iiii", 4, -1, 4, 6)
    told = with_flags_of_nulls(Answer([(head + whole, head), (head + elements, None), (None, None)]), types)
    assert told.rows == [(head + whole, head), (without + elements, None), (None, None)]
    unsaid = Answer([(without + whole, None), ()])
    assert with_flags_of_nulls(unsaid, types) == unsaid


def test_only_what_the_docs_list_is_documented() -> None:
    rows = Answer([(b"1",)])
    long_key = Answer([], error='54000 index row size 31528 exceeds btree version 4 maximum 2704 for index "t1_i0"')
    line = documented(long_key, rows)
    assert line is not None
    assert f"| {line} |" in (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
    assert documented(long_key, Answer([], error="22012 division by zero")) is None
    assert documented(rows, long_key) is None
    full = Answer([], error="0A000 FULL JOIN is only supported with merge-joinable or hash-joinable join conditions")
    line = documented(rows, full)
    assert line is not None
    assert f"| {line} |" in (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
    assert documented(full, rows) is None
    assert documented(Answer([], error="54000 too many"), rows) is None


@pytest.mark.parametrize("drawn", [0, 99])
def test_choices_are_what_is_drawn(drawn: int) -> None:
    choice = Choice(drawn_again([drawn, drawn]))
    assert choice.chance(1) == (drawn == 99)
    assert choice.number(0, 99) == drawn
    assert choice.made == [drawn, drawn]


@pytest.mark.parametrize("number", range(20))
def test_a_query_is_made_again_from_its_decisions(number: int) -> None:
    first = Choice(drawn_from(1, number))
    text = statement(Queries(first, make_tables(first))).text
    again = Choice(drawn_again(first.made))
    assert statement(Queries(again, make_tables(again))).text == text
    assert again.made == first.made


def test_decisions_shrink() -> None:
    def fails(offered: Sequence[int]) -> Sequence[int] | None:
        return offered if any(each > 10 for each in offered) else None

    assert shrunk([3, 50, 7, 60, 2], fails, 200) == [11]
