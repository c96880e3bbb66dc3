"""Outcomes of tests by name, and what they have in common on two servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

PASSED, FAILED, SKIPPED, MISSING = "passed", "failed", "skipped", "missing"
_SERVER: Final = re.compile(r"postgresql(\+\w+)?_\d+_\d+")
"""How SQLAlchemy's plugin marks a test with the driver and the server's version."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended. ``answer`` is what a program printed for it; ``message`` the error's first words."""

    status: str
    answer: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One suite on both servers: ``expected`` tests pass on PostgreSQL, ``equal`` of them end the same way here."""

    expected: int
    equal: int
    differing: Mapping[str, Outcome] = field(default_factory=dict)
    """Tests that pass on PostgreSQL and not here, with our outcome."""

    @property
    def percent(self) -> float:
        return 100.0 * self.equal / self.expected if self.expected else 0.0


def read_junit(path: Path) -> dict[str, Outcome]:
    """pytest's ``--junitxml``, by test name without the server's version. A test with two entries (its call and its
    teardown) passes when both do."""
    found: dict[str, Outcome] = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = _SERVER.sub("postgresql", f"{case.get('classname')}::{case.get('name')}")
        outcome = _outcome_of(case)
        if name not in found or found[name].status == PASSED:
            found[name] = outcome
    return found


def _outcome_of(case: ElementTree.Element) -> Outcome:
    for part in case:
        if part.tag in ("failure", "error"):
            return Outcome(FAILED, message=_reason(part))
        if part.tag == "skipped":
            return Outcome(SKIPPED)
    return Outcome(PASSED)


def _reason(part: ElementTree.Element) -> str:
    """The line that names the error: pytest's ``E`` lines, else the first of the message."""
    lines = [line[1:].strip() for line in (part.text or "").splitlines() if line.startswith("E ")]
    told = (part.get("message") or "").strip().splitlines()
    named = [line for line in (*told, *lines) if re.search(r"\w(Error|Exception|NotSupported)\b", line)]
    return (named or lines or told or [""])[0][:200]


def read_program(text: str) -> dict[str, Outcome]:
    """A program's output: lines ``{"test": name, "answer": any}`` or ``{"test": name, "error": text}``; others are the
    client's own talk."""
    return dict(_lines(text))


def _lines(text: str) -> Iterator[tuple[str, Outcome]]:
    for line in text.splitlines():
        if not line.startswith('{"test"'):
            continue
        told = json.loads(line)
        if "error" in told:
            yield told["test"], Outcome(FAILED, message=str(told["error"])[:200])
        else:
            yield told["test"], Outcome(PASSED, json.dumps(told["answer"], sort_keys=True))


def compare(theirs: Mapping[str, Outcome], ours: Mapping[str, Outcome]) -> Comparison:
    """Of the tests that pass on PostgreSQL, those with the same outcome here."""
    differing: dict[str, Outcome] = {}
    expected = 0
    for name, wanted in theirs.items():
        if wanted.status != PASSED:
            continue
        expected += 1
        got = ours.get(name, Outcome(MISSING))
        if got.status != PASSED:
            differing[name] = got
        elif got.answer != wanted.answer:
            differing[name] = Outcome(FAILED, got.answer, f"{got.answer[:90]} for {wanted.answer[:90]}")
    return Comparison(expected, expected - len(differing), differing)
