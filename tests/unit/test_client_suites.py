"""What compares the suites of other projects (``tests/clients/suites``): outcomes read, compared, told."""

from __future__ import annotations

from pathlib import Path

from tests.clients.suites.catalogue import SUITES
from tests.clients.suites.fetch import Cache
from tests.clients.suites.outcomes import FAILED, MISSING, PASSED, SKIPPED, Outcome, compare, read_junit, read_program
from tests.clients.suites.page import Result, write

JUNIT = """<testsuites><testsuite>
<testcase classname="t.C_postgresql+psycopg_15_18" name="a"/>
<testcase classname="t.C" name="b"><skipped message="no"/></testcase>
<testcase classname="t.C" name="c"><failure message="assert">E   AssertionError: 1 != 2</failure></testcase>
<testcase classname="t.C" name="d"/><testcase classname="t.C" name="d"><error message="failed">x</error></testcase>
</testsuite></testsuites>"""


def test_junit_is_read_without_the_servers_version(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(JUNIT)
    found = read_junit(report)
    assert {name: each.status for name, each in found.items()} == {
        "t.C_postgresql::a": PASSED, "t.C::b": SKIPPED, "t.C::c": FAILED, "t.C::d": FAILED,
    }  # fmt: skip
    assert found["t.C::c"].message == "AssertionError: 1 != 2"


def test_a_programs_lines_are_answers_or_errors() -> None:
    found = read_program('talk\n{"test": "a", "answer": {"y": 1, "x": 2}}\n{"test": "b", "error": "42P01 none"}\n')
    assert found == {"a": Outcome(PASSED, '{"x": 2, "y": 1}'), "b": Outcome(FAILED, message="42P01 none")}


def test_only_what_passes_there_counts() -> None:
    theirs = {"a": Outcome(PASSED, "1"), "b": Outcome(PASSED, "2"), "c": Outcome(FAILED), "d": Outcome(PASSED)}
    told = compare(theirs, {"a": Outcome(PASSED, "1"), "b": Outcome(PASSED, "3"), "c": Outcome(PASSED)})
    assert (told.expected, told.equal) == (3, 1)
    assert {name: each.status for name, each in told.differing.items()} == {"b": FAILED, "d": MISSING}


def test_results_are_kept_for_the_next_page(tmp_path: Path) -> None:
    told = compare({"a": Outcome(PASSED), "b": Outcome(PASSED)}, {"a": Outcome(PASSED), "b": Outcome(FAILED, "1", "x")})
    results = [Result(SUITES[0], "2.1", "2026-11-30", told), Result(SUITES[1], "", "2026-11-30", None, "no JDK")]
    cache = Cache(tmp_path)
    for each in results:
        cache.keep(each)
    assert cache.kept(SUITES[:2]) == results
    assert cache.kept(SUITES[1:3]) == [results[1], Result(SUITES[2], "", "", None)]


def test_a_suite_that_did_not_run_has_no_share() -> None:
    broken = {"(its end)": Outcome(MISSING, "1")}
    page = write(
        [
            Result(SUITES[0], "1", "2026-11-30", compare(broken, broken)),
            Result(SUITES[1], "", "", None),
            Result(SUITES[2], "3", "2026-11-30", compare({"a": Outcome(PASSED)}, {"a": Outcome(PASSED)})),
        ]
    )
    rows = [line for line in page.splitlines() if line.startswith(tuple(f"| {each.title}" for each in SUITES))]
    assert [row.split("|")[3:6] for row in rows] == [
        [" did not run: nothing passes on PostgreSQL ", " ", " "],
        [" not run ", " ", " "],
        [" 1 ", " 1 ", " 100 "],
    ]


def test_the_page_has_counts_and_reasons() -> None:
    suite = next(each for each in SUITES if each.name == "pgspecial")
    theirs = {"t::slash_dx": Outcome(PASSED), "t::x": Outcome(PASSED), "t::y": Outcome(PASSED)}
    told = compare(theirs, {"t::x": Outcome(PASSED), "t::slash_dx": Outcome(FAILED, message="1 != 2")})
    page = write([Result(suite, "2.1", "2026-11-30", told), Result(suite, "2.1", "2026-11-30", None, "x is missing")])
    assert "| 2.1 | 3 | 1 | 33.3 | 2026-11-30 |" in page and "did not run: x is missing" in page
    assert "| 1 | the extension plpgsql is not here | `t::slash_dx` |" in page
    assert "| 1 | not explained: `missing` | `t::y` |" in page
