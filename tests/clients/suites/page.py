"""``docs/clients.md``: counts by suite, and the tests that end otherwise here, by cause."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.clients.suites.catalogue import Suite
from tests.clients.suites.outcomes import Comparison, Outcome
from tests.clients.suites.reasons import REASONS

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Result:
    """A suite's comparison, or why there is none; it never ran when nothing is known of that."""

    suite: Suite
    version: str
    date: str
    comparison: Comparison | None
    absent: str = ""


def reason_of(suite: str, test: str, outcome: Outcome) -> str:
    """The known reason, or the error that the test met."""
    for suites, pattern, reason in REASONS:
        if re.search(suites, suite) and (re.search(pattern, test) or re.search(pattern, outcome.message)):
            return reason
    return f"not explained: `{outcome.message or outcome.status}`".replace("|", "\\|")


def write(results: Sequence[Result]) -> str:
    """The page."""
    lines = [
        "# Clients: other people's suites against this cluster",
        "",
        '`make clients POSTGRES="host=… port=… user=…"` wrote this page: each suite ran against a PostgreSQL 15 and a',
        "cluster of six storage nodes and a writer. A test counts when it passes on",
        "PostgreSQL, and is equal when it passes here too (a program's check: when its answer is the same text).",
        "A suite without numbers has not run here yet, or could not.",
        "`python -m tests.clients.suites --help` tells how to run some of them. The suites' sources are downloaded",
        "into a cache folder and are no part of the project; our own programs are in `tests/clients/suites/programs/`.",
        "",
        "| suite | version | passes on PostgreSQL 15 | equal here | % | date |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_row(each) for each in results),
        "",
        "## What differs",
        "",
    ]
    differing = [each for each in results if each.comparison is not None and each.comparison.differing]
    if not differing:
        lines.append("Nothing.")
    for each in differing:
        assert each.comparison is not None
        lines += [f"### {each.suite.title}", "", "| tests | reason | such as |", "| --- | --- | --- |"]
        lines += _causes(each.suite.name, each.comparison.differing.items())
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(result: Result) -> str:
    told = result.comparison
    if told is None or not told.expected:
        absent = "nothing passes on PostgreSQL" if told is not None else result.absent
        shown = f"did not run: {absent}" if absent else "not run"
        return f"| {result.suite.title} | {result.version} | {shown} | | | {result.date} |"
    shown = f"{told.percent:.1f}" if told.equal < told.expected else "100"
    return f"| {result.suite.title} | {result.version} | {told.expected:,} | {told.equal:,} | {shown} | {result.date} |"


def _causes(suite: str, differing: Iterable[tuple[str, Outcome]]) -> list[str]:
    counts: Counter[str] = Counter()
    examples: defaultdict[str, list[str]] = defaultdict(list)
    for test, outcome in differing:
        reason = reason_of(suite, test, outcome)
        counts[reason] += 1
        if len(examples[reason]) < _SHOWN:
            examples[reason].append(f"`{test.rpartition('.')[2] if '::' in test else test}`".replace("|", "\\|"))
    return [f"| {count} | {reason} | {', '.join(examples[reason])} |" for reason, count in counts.most_common()]
