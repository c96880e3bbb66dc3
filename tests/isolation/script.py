"""The scripts' format.

A family is a file of scripts. A script begins with a line ``### name: what it shows`` and has lines of these kinds; a
line that begins with two spaces goes on with the one before:

    setup: create table t (id int primary key, v int)    before the sessions begin; several are run in order
    a: begin                                              a step of session a
    b: update t set v = 1                                 sessions are there because steps name them
    orders: abab abba                                     optional: the sessions of the steps, one letter a step;
                                                          ``all`` is every interleaving; without: as written
    role: plain                                           optional: sessions log in as this role, made for the script

In SQL ``{pid:a}`` is the process id of session a. Names of sessions are single letters. A step whose session waits is
waited for at its next step, or at the end; of several orders, one ends where a session that waits would have to go on.
Tables need no teardown: each script has a schema of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
ORDERS_MAX = 40


@dataclass(slots=True)
class Script:
    """One script. ``steps``: (session, SQL) as written."""

    name: str
    shows: str
    setup: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    role: str = ""

    @property
    def sessions(self) -> list[str]:
        """In the order of their first steps."""
        return list(dict.fromkeys(session for session, _ in self.steps))

    def in_order(self, order: str) -> list[tuple[str, str]]:
        """The steps, taken from the sessions as ``order`` names them."""
        left = {name: [sql for session, sql in self.steps if session == name] for name in self.sessions}
        taken = [(session, left[session].pop(0)) for session in order]
        if any(left.values()):
            raise ValueError(f"script {self.name}: order {order} leaves steps over")
        return taken

    def all_orders(self) -> list[str]:
        """The orders to play."""
        if not self.orders:
            return ["".join(session for session, _ in self.steps)]
        if self.orders == ["all"]:
            counts = {name: sum(session == name for session, _ in self.steps) for name in self.sessions}
            found = list(_interleavings(counts))
            if len(found) > ORDERS_MAX:
                raise ValueError(f"script {self.name} has {len(found)} orders: name those that matter")
            return found
        return self.orders


def _interleavings(counts: dict[str, int]) -> Iterator[str]:
    if not any(counts.values()):
        yield ""
    for name, count in counts.items():
        if count:
            for rest in _interleavings(counts | {name: count - 1}):
                yield name + rest


def families() -> list[str]:
    """The names of the files."""
    return sorted(path.stem for path in (FOLDER / "scripts").glob("*.txt"))


def scripts(family: str) -> list[Script]:
    """A family's scripts. Raises ValueError for a line of no kind."""
    found: list[Script] = []
    for line in _joined((FOLDER / "scripts" / f"{family}.txt").read_text()):
        if line.startswith("### "):
            name, _, shows = line[4:].partition(": ")
            if any(script.name == name for script in found):
                raise ValueError(f"{family}: two scripts named {name}")
            found.append(Script(name, shows))
            continue
        kind, _, text = line.partition(": ")
        if kind == "setup":
            found[-1].setup.append(text)
        elif kind == "orders":
            found[-1].orders += text.split()
        elif kind == "role":
            found[-1].role = text
        elif len(kind) == 1:
            found[-1].steps.append((kind, text))
        else:
            raise ValueError(f"{family}: no such line: {line}")
    return found


def _joined(text: str) -> Iterator[str]:
    whole = ""
    for line in text.splitlines():
        if line.startswith("  "):
            whole += "\n" + line
            continue
        if whole:
            yield whole
        whole = "" if line.startswith("#") and not line.startswith("### ") else line
    if whole:
        yield whole


def expected(family: str) -> dict[str, str]:
    """Script name → its recorded transcript."""
    path = FOLDER / "expected" / f"{family}.txt"
    parts = path.read_text().split("### ")[1:] if path.exists() else []
    return {part.partition("\n")[0]: part.partition("\n")[2].rstrip("\n") for part in parts}
