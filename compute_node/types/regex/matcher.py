"""``Regex``: finds matches and their groups, in time linear in the text for what has no back references.

::

    pattern ─ Parser ─► Piece ─ Assembler ─► automata (made when first used) ─ Dfa ─► where a match begins and ends
                          └────────────────────────────── dissect ──────────────────► where its groups do

Where a match begins: the search automaton finds the nearest end of any match; the leftmost match begins before that.
A few beginnings are tried, then an automaton of the reversed expression marks all beginnings in one pass.

With back references the automata accept more than the expression does; each candidate is taken apart, and the next one
tried (as PostgreSQL does). That can take exponential time: every step pulses, so a cancel or a timeout ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from aurora.kernels import regex as kernel
from aurora.kernels.python.regex import Dfa
from compute_node.hub import HUB
from compute_node.types import ctype
from compute_node.types.regex.automaton import Assembler, Palette, anchored, literal_of
from compute_node.types.regex.parse import REFERS, SHORTER, Ast, Parser, Piece
from compute_node.types.regex.syntax import (
    ADVANCED,
    ADVF,
    ASCII,
    BAD_ARGUMENT,
    EXPANDED,
    EXTENDED,
    ICASE,
    NEWLINE,
    QUOTE,
    TOO_COMPLEX,
    invalid,
)

TRIES_MAX = 64
"""Beginnings tried one by one before all are marked in one pass."""

Span = tuple[int, int]
NONE: Span = (-1, -1)


class _Text:
    """One text under one expression: its lookaround bits are computed once."""

    __slots__ = ("length", "masks", "starts", "text")

    def __init__(self, text: str, masks: Sequence[int] | None) -> None:
        self.text, self.length, self.masks = text, len(text), masks
        self.starts: bytearray | None = None


class Regex:
    """A compiled expression; sessions share it. Raises 2201B when it is malformed."""

    def __init__(self, pattern: str, flags: int) -> None:
        if flags & QUOTE and flags & (ADVANCED | EXPANDED | NEWLINE):
            raise invalid(BAD_ARGUMENT)
        if flags & ADVF and not flags & EXTENDED:
            raise invalid(BAD_ARGUMENT)
        parser = Parser(pattern, flags)
        self.piece = parser.piece
        self.groups = parser.groups
        self._looks = parser.looks
        self._folds = parser.flags & ICASE != 0
        self._lower = (ctype.ascii_tables() if flags & ASCII else ctype.case_tables())[0]
        self._palette = Palette([self.piece.ast, *(ast for _, ast in parser.looks)], flags & ASCII != 0)
        self._shorter = self.piece.flags & SHORTER != 0
        self._refers = self.piece.flags & REFERS != 0
        self._anchored = anchored(self.piece.ast)
        self.literal = None if self.groups or self._looks else literal_of(self.piece.ast)
        self._automata: dict[tuple[object, str], Dfa] = {}
        # Made now, so that what is too complex is refused before the first text.
        self._dfa(self.piece, self.piece.ast, "search" if not self._anchored else "whole")

    def _dfa(self, owner: object, ast: Ast, mode: str) -> Dfa:
        """The automaton of an expression: ``whole``, ``search`` (may begin anywhere), ``back`` (reversed), ``starts``
        (reversed, may begin anywhere)."""
        found = self._automata.get((owner, mode))
        if found is None:
            reverse = mode in ("back", "starts")
            assembler = Assembler(self._palette, reverse)
            start = assembler.add(ast, 0)
            if mode in ("search", "starts"):
                start = assembler.anywhere(start)
            found = kernel.Dfa(assembler.nodes, start, self._palette.colors, reverse)
            self._automata[owner, mode] = found
        return found

    def prepare(self, text: str) -> _Text:
        """A text to search; several searches of one text share it."""
        if not self._looks:
            return _Text(text, None)
        masks: list[int] = [0] * (len(text) + 1)
        for number, (direction, ast) in enumerate(self._looks):
            forward = direction == "behind"
            dfa = self._dfa(number, ast, "search" if forward else "starts")
            begin, stop = (0, len(text)) if forward else (len(text), 0)
            for at, mark in enumerate(dfa.marks(text, begin, stop, masks if number else None, HUB.pulse)):
                if mark:
                    masks[at] |= 1 << number
        return _Text(text, masks)

    def test(self, text: str) -> bool:
        """Whether the expression matches anywhere."""
        if self.literal is not None:
            return self.literal in text
        prepared = self.prepare(text)
        if self._refers:
            return self.search(prepared, 0) is not None
        mode = "whole" if self._anchored else "search"
        dfa = self._dfa(self.piece, self.piece.ast, mode)
        return dfa.shortest(text, 0, 0, len(text), prepared.masks, HUB.pulse) >= 0

    def search(self, text: _Text, start: int, groups: bool = True) -> list[Span] | None:
        """The leftmost match that begins at ``start`` or later: its span, then those of its groups."""
        if self.literal is not None:
            at = text.text.find(self.literal, start)
            return None if at < 0 else [(at, at + len(self.literal))]
        if not self._shorter and not self._refers and not self._anchored and text.starts is None:
            HUB.pulse()  # the kernels do in long searches, not after many short ones
            dfa = self._dfa(self.piece, self.piece.ast, "search")
            nearest = dfa.shortest(text.text, start, start, text.length, text.masks, HUB.pulse)
            if nearest < 0:
                return None
            tried = min(start + TRIES_MAX, nearest + 1)
            whole = self._dfa(self.piece, self.piece.ast, "whole")
            span = whole.leftmost(text.text, start, tried, text.length, text.masks, HUB.pulse)
            if span is not None:
                return self._match_at(text, span[0], groups) if groups and self.groups else [span]
            if tried > nearest:
                return None
        for begin in self._beginnings(text, start):
            HUB.pulse()
            found = self._match_at(text, begin, groups)
            if found is not None:
                return found
        return None

    def _beginnings(self, text: _Text, start: int) -> Iterator[int]:
        """Where matches may begin, from ``start`` on."""
        if self._anchored:
            if start == 0:
                yield 0
            return
        if text.starts is None:
            dfa = self._dfa(self.piece, self.piece.ast, "search")
            end = dfa.shortest(text.text, start, start, text.length, text.masks, HUB.pulse)
            if end < 0:
                return
            tried = min(start + TRIES_MAX, end + 1)
            yield from range(start, tried)
            if tried > end and not self._refers:
                return
            dfa = self._dfa(self.piece, self.piece.ast, "starts")
            text.starts = dfa.marks(text.text, text.length, 0, text.masks, HUB.pulse)
            start = tried
        at = text.starts.find(1, start)
        while at >= 0:
            yield at
            at = text.starts.find(1, at + 1)

    def _match_at(self, text: _Text, begin: int, groups: bool) -> list[Span] | None:
        dfa = self._dfa(self.piece, self.piece.ast, "whole")
        least, most = begin, text.length
        while least <= most:
            if self._shorter:
                end = dfa.shortest(text.text, begin, least, most, text.masks, HUB.pulse)
            else:
                end = dfa.longest(text.text, begin, most, text.masks, HUB.pulse)
            if end < 0:
                return None
            if not groups and not self._refers:
                return [(begin, end)]
            spans = [(begin, end), *[NONE] * self.groups]
            if not self.groups or _Dissection(self, text, spans).run(self.piece, begin, end):
                return spans
            if self._shorter:
                least = end + 1
            else:
                most = end - 1
        return None

    def piece_dfa(self, piece: Piece, mode: str = "whole") -> Dfa:
        """The automaton of a part."""
        return self._dfa(piece, piece.ast, mode)

    def same(self, left: str, right: str) -> bool:
        """Whether a back reference takes one text for the other."""
        if left == right or not self._folds:
            return left == right
        return left.translate(self._lower) == right.translate(self._lower)

    def finditer(self, text: str, start: int = 0, groups: bool = True) -> Iterator[list[Span]]:
        """Matches one after the other; after an empty one the search goes on one character later."""
        prepared = self.prepare(text)
        while start <= prepared.length:
            found = self.search(prepared, start, groups)
            if found is None:
                return
            yield found
            begin, end = found[0]
            start = end + (begin == end)


class _Dissection:
    """Takes one match apart. Without back references the first division that the automata allow is right."""

    __slots__ = ("_length", "_masks", "_regex", "_text", "spans")

    def __init__(self, regex: Regex, text: _Text, spans: list[Span]) -> None:
        self._regex, self._text, self._masks, self._length = regex, text.text, text.masks, text.length
        self.spans = spans

    def run(self, piece: Piece, begin: int, end: int) -> bool:
        """Whether ``piece`` matches exactly from ``begin`` to ``end``, as its automaton says it may; sets its spans."""
        handler = _HANDLERS.get(piece.kind)
        if handler is not None and not handler(self, piece, begin, end):
            return False
        if piece.capture:
            self.spans[piece.capture] = (begin, end)
        return True

    def _clear(self, piece: Piece) -> None:
        for number in piece.captures_below():
            self.spans[number] = NONE

    def _longest(self, piece: Piece, begin: int, stop: int) -> int:
        return self._regex.piece_dfa(piece).longest(self._text, begin, stop, self._masks, HUB.pulse)

    def _shortest(self, piece: Piece, begin: int, least: int, stop: int) -> int:
        return self._regex.piece_dfa(piece).shortest(self._text, begin, least, stop, self._masks, HUB.pulse)

    def _exact(self, piece: Piece, begin: int, end: int) -> bool:
        return self._shortest(piece, begin, end, end) == end

    def _ends(self, piece: Piece, begin: int, end: int) -> Iterator[int]:
        """Where ``piece`` may end from ``begin`` up to ``end``, in its order of preference: the first is asked for
        alone, the others are marked in one pass."""
        shorter = piece.flags & SHORTER
        first = self._shortest(piece, begin, begin, end) if shorter else self._longest(piece, begin, end)
        if first < 0:
            return
        yield first
        marks = self._regex.piece_dfa(piece).marks(self._text, begin, end, self._masks, HUB.pulse)
        at = marks.find(1, first - begin + 1) if shorter else marks.rfind(1, 0, first - begin)
        while at >= 0:
            yield begin + at
            at = marks.find(1, at + 1) if shorter else marks.rfind(1, 0, at)

    def _concat(self, piece: Piece, begin: int, end: int) -> bool:
        left, right = piece.kids
        fits: bytearray | None = None
        for number, middle in enumerate(self._ends(left, begin, end)):
            if number == 0:
                fitting = self._exact(right, middle, end)
            else:
                if fits is None:
                    back = self._regex.piece_dfa(right, "back")
                    fits = back.marks(self._text, end, begin, self._masks, HUB.pulse)
                fitting = bool(fits[middle - begin])
            if fitting:
                if self.run(left, begin, middle) and self.run(right, middle, end):
                    return True
                HUB.pulse()
            self._clear(left)
            self._clear(right)
        return False

    def _alternatives(self, piece: Piece, begin: int, end: int) -> bool:
        return any(self._exact(kid, begin, end) and self.run(kid, begin, end) for kid in piece.kids)

    def _group(self, piece: Piece, begin: int, end: int) -> bool:
        return self.run(piece.kids[0], begin, end)

    def _backref(self, piece: Piece, begin: int, end: int) -> bool:
        start, stop = self.spans[piece.refers]
        if start < 0:
            return False
        text = self._text[start:stop]
        if not text:
            return begin == end and (piece.most is None or piece.least <= piece.most)
        if begin == end:
            return piece.least == 0
        count, rest = divmod(end - begin, len(text))
        if rest or count < piece.least or (piece.most is not None and count > piece.most):
            return False
        return self._regex.same(text * count, self._text[begin:end])

    def _repeat(self, piece: Piece, begin: int, end: int) -> bool:
        """Rounds of ``kid`` from ``begin`` to ``end``, each in its order of preference; an empty round only where it is
        needed to reach the least number, or is the only one (then its captures count, unless short ones are
        preferred)."""
        kid = piece.kids[0]
        if piece.least <= 0 and begin == end and kid.flags & SHORTER:
            return True
        least = max(piece.least, 1)
        most = max(end - begin if piece.most is None else min(end - begin, piece.most), least)
        failed: set[Span] | None = None if piece.flags & REFERS else set()
        """(rounds so far, as far as they matter; position) from which the end is not reached"""
        stack: list[tuple[int, Iterator[int]]] = [(begin, self._ends(kid, begin, end))]
        while stack:
            HUB.pulse()
            at, ends = stack[-1]
            rounds = len(stack)
            following = next(ends, -1)
            if following < 0:
                stack.pop()
                if failed is not None and stack:
                    failed.add((_counted(rounds - 1, least, piece.most), at))
                continue
            needed = rounds < least and least - rounds >= end - following
            if following == at and following != end and not needed:
                continue
            if following != end:
                if rounds < most and (failed is None or (_counted(rounds, least, piece.most), following) not in failed):
                    stack.append((following, self._ends(kid, following, end)))
                continue
            if rounds >= least and self._verify(kid, [*(start for start, _ in stack), end]):
                return True
        self._clear(kid)
        return piece.least <= 0 and begin == end

    def _verify(self, kid: Piece, points: list[int]) -> bool:
        for start, stop in pairwise(points):
            self._clear(kid)
            if not self.run(kid, start, stop):
                return False
        return True


def _counted(rounds: int, least: int, most: int | None) -> int:
    """How many rounds were made, as far as it matters for the rounds to come."""
    return rounds if most is not None else min(rounds, least)


_HANDLERS: dict[str, Callable[[_Dissection, Piece, int, int], bool]] = {
    "concat": _Dissection._concat,
    "alternatives": _Dissection._alternatives,
    "group": _Dissection._group,
    "backref": _Dissection._backref,
    "repeat": _Dissection._repeat,
}


class AsciiPattern(str):
    """An expression whose letters are ASCII's alone, whatever function it is given to: what collations do whose
    character types are those of C."""

    __slots__ = ()


def compile_regex(pattern: str, flags: int = ADVANCED) -> Regex:
    """The compiled expression, from a cache; 2201B for a malformed one."""
    return _compiled(pattern, flags | ASCII if type(pattern) is AsciiPattern else flags)


@lru_cache(maxsize=512)
def _compiled(pattern: str, flags: int) -> Regex:
    try:
        return Regex(pattern, flags)
    except RecursionError:
        raise invalid(TOO_COMPLEX) from None


__all__ = ["NONE", "AsciiPattern", "Regex", "Span", "compile_regex"]
