"""lquery: a pattern of labels, each with how often it may come: text → items → test of a path (manual, F.23.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from aurora.errors import ProgramLimitExceeded, SqlError, SqlSyntaxError
from compute_node.extensions.ltree.paths import LEVELS_MAX, check_length, labels_of, name_end, syntax_error
from compute_node.extensions.ltree.variants import Variant, flags_end, variant
from compute_node.hub import HUB
from compute_node.types.registry import TypeEnv

_DIGITS: Final = re.compile("[0-9]+")
_CACHED: Final = 256
_CACHED_CHARS: Final = 2000
_PULSE_EVERY: Final = 64


class Item(NamedTuple):
    """``variants``: one of them must match, none of them where it is ``negated``; any label will do without. ``low`` to
    ``high`` labels in a row; ``counted``: the text says how many."""

    variants: tuple[Variant, ...]
    negated: bool
    low: int
    high: int
    counted: bool

    def matches(self, label: str) -> bool:
        """Whether one label is what is asked for."""
        return not self.variants or any(each.matches(label) for each in self.variants) != self.negated

    def text(self) -> str:
        """As it is shown."""
        shown = "!" * self.negated + "|".join(each.text() for each in self.variants) if self.variants else "*"
        if not self.counted:
            return shown
        if self.low == self.high:
            return f"{shown}{{{self.low}}}"
        if self.low == 0 and self.high == LEVELS_MAX:
            return f"{shown}{{,}}" if self.variants else shown
        low, high = self.low or "", "" if self.high == LEVELS_MAX else self.high
        return f"{shown}{{{low},{high}}}"


def _unexpected_end() -> SqlError:
    return SqlSyntaxError("lquery syntax error", detail="Unexpected end of input.")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def items(self) -> list[Item]:
        count = self.text.count(".") + 1
        if count > LEVELS_MAX:
            raise ProgramLimitExceeded(f"number of lquery items ({count}) exceeds the maximum allowed ({LEVELS_MAX})")
        found = [self.item()]
        while self.at < len(self.text):
            if not len(found) % _PULSE_EVERY:
                HUB.pulse()
            self.at += 1
            found.append(self.item())
        return found

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def wrong(self) -> SqlError:
        """For the next character, or the end."""
        return syntax_error("lquery", self.at + 1) if self.at < len(self.text) else _unexpected_end()

    def item(self) -> Item:
        """Up to a point or the end."""
        negated, variants = False, []
        if self.peek() == "*":
            self.at += 1
        else:
            negated = self.peek() == "!"
            self.at += negated
            variants.append(self.variant(negated))
            while self.peek() == "|":
                self.at += 1
                variants.append(self.variant(False))
        counted = self.peek() == "{"
        low, high = (1, 1) if variants else (0, LEVELS_MAX)
        if counted:
            self.at += 1
            low, high = self.limits()
        if self.at < len(self.text) and self.peek() != ".":
            raise self.wrong()
        return Item(tuple(variants), negated, low, high, counted or not variants)

    def variant(self, after_not: bool) -> Variant:
        begin = self.at
        end = name_end(self.text, begin)
        if end == begin and not after_not:
            raise self.wrong()
        self.at = flags_end(self.text, end)
        if self.peek() not in ("", "|", "{", "."):
            raise self.wrong()
        if end == begin:
            raise syntax_error("lquery", end + 1, "Empty labels are not allowed.")
        check_length(end - begin, end + 1)
        return variant(self.text[begin:end], self.text[end : self.at])

    def limits(self) -> tuple[int, int]:
        """What stands between braces."""
        low = 0
        if self.peek() != ",":
            low = self.limit("Low")
            if self.peek() == "}":
                self.at += 1
                return low, low
            if self.peek() != ",":
                raise self.wrong()
        self.at += 1
        if self.peek() == "}":
            self.at += 1
            return low, LEVELS_MAX
        place = self.at + 1
        high = self.limit("High")
        if low > high:
            raise SqlSyntaxError(
                "lquery syntax error",
                detail=f"Low limit ({low}) is greater than high limit ({high}), at character {place}.",
            )
        if self.peek() != "}":
            raise self.wrong()
        self.at += 1
        return low, high

    def limit(self, which: str) -> int:
        place = self.at + 1
        found = _DIGITS.match(self.text, self.at)
        if found is None:
            raise self.wrong()
        self.at = found.end()
        value = min(int(found[0][:100]), (1 << 63) - 1)
        value = (value + (1 << 31)) % (1 << 32) - (1 << 31)
        if not 0 <= value <= LEVELS_MAX:
            raise ProgramLimitExceeded(
                "lquery syntax error",
                detail=f"{which} limit ({value}) exceeds the maximum allowed ({LEVELS_MAX}), at character {place}.",
            )
        return value


def read(text: str, typmod: int, env: TypeEnv) -> str:
    """The text input: the query as it is shown. 42601, 42622, 54000."""
    return query_of(text)


def query_of(text: str) -> str:
    """A text that is a query, as it is shown."""
    return ".".join(each.text() for each in _Parser(text).items())


@lru_cache(maxsize=_CACHED)
def _kept(query: str) -> tuple[Item, ...]:
    return tuple(_Parser(query).items())


def items_of(query: str) -> tuple[Item, ...]:
    """The items of a query."""
    return _kept(query) if len(query) <= _CACHED_CHARS else tuple(_Parser(query).items())


def matches(path: str, query: str) -> bool:
    """Whether the whole path is what the query asks for."""
    return _matches(labels_of(path), items_of(query))


def _matches(labels: Sequence[str], items: Sequence[Item]) -> bool:
    """Item after item, the places up to which the labels may be what has been asked so far."""
    size = len(labels)
    places = [True] + [False] * size
    for number, item in enumerate(items):
        if not number % _PULSE_EVERY:
            HUB.pulse()
        places = _stepped(labels, item, places)
        if not any(places):
            return False
    return places[size]


def _stepped(labels: Sequence[str], item: Item, places: list[bool]) -> list[bool]:
    """The places behind as many labels as the item wants, from each of the places."""
    size = len(labels)
    fits = [not item.variants] * size if not item.variants else [item.matches(each) for each in labels]
    run = 0
    starts = [0] * (size + 2)
    for place in range(size, -1, -1):
        run = run + 1 if place < size and fits[place] else 0
        most = min(run, item.high)
        if places[place] and item.low <= most:
            starts[place + item.low] += 1
            starts[place + most + 1] -= 1
    found, depth = [], 0
    for place in range(size + 1):
        depth += starts[place]
        found.append(depth > 0)
    return found


def fixed_labels(items: Sequence[Item]) -> list[str]:
    """The labels that every path that matches begins with."""
    found = []
    for item in items:
        only = item.variants[0] if len(item.variants) == 1 else None
        if only is None or item.negated or item.low != 1 or item.high != 1 or not only.is_exact or only.any_case:
            break
        found.append(only.name)
    return found


Wanted = Callable[[str], bool]
"""whether a label may be there"""


def may_match(items: Sequence[Item], has: Wanted) -> bool:
    """Whether a path may match of which only that is known."""
    for item in items:
        if item.negated or item.low < 1 or not item.variants:
            continue
        if all(each.is_exact for each in item.variants) and not any(has(each.name) for each in item.variants):
            return False
    return True
