"""tsvector @@ tsquery: yes, no, or maybe where positions are missing (manual, 12.1.2 and 8.11.2).

A phrase is matched by the positions where its parts end. ``Places.everywhere`` turns them round: everywhere but there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from aurora.errors import InvariantViolation
from compute_node.hub import HUB
from compute_node.types.declare import fn, operators
from compute_node.types.textsearch.query import AND, NOT, OR, PHRASE, Node, TsQuery, bounded
from compute_node.types.textsearch.vector import Entry, TsVector

NO, MAYBE, YES = 0, 1, 2


class Places:
    """Where something matches: positions without weights, in order; ``width``: how far back a match begins."""

    __slots__ = ("at", "everywhere", "width")

    def __init__(self, at: list[int] | None = None, everywhere: bool = False, width: int = 0) -> None:
        self.at: list[int] = [] if at is None else at
        self.everywhere, self.width = everywhere, width


Lookup = Callable[[Node, "Places | None"], int]
"""A lexeme of the query → whether it is there; with ``Places``, where."""


def operands(node: Node) -> tuple[Node, Node]:
    """Left and right."""
    if node.left is None or node.right is None:
        raise InvariantViolation(f"operator {node.operator} lacks an operand")
    return node.left, node.right


def _only(node: Node) -> Node:
    if node.right is None:
        raise InvariantViolation("NOT lacks its operand")
    return node.right


def execute(node: Node, lookup: Lookup) -> int:
    """YES, NO or MAYBE."""
    operator = node.operator
    if not operator:
        return lookup(node, None)
    if operator == NOT:
        return YES - execute(_only(node), lookup)
    if operator == PHRASE:
        # Without positions a phrase as a whole does not match, even below NOT.
        return YES if _phrase(node, lookup, None) == YES else NO
    left, right = operands(node)
    first = execute(left, lookup)
    if operator == AND:
        return NO if first == NO else min(first, execute(right, lookup))
    return YES if first == YES else max(first, execute(right, lookup))


def _phrase(node: Node, lookup: Lookup, places: Places | None) -> int:
    """As ``execute``, but below a phrase operator: with the places of the match."""
    operator = node.operator
    if not operator:
        return lookup(node, places)
    if operator == NOT:
        return _phrase_not(node, lookup, places)
    left, right = operands(node)
    one, other = Places(), Places()
    first = _phrase(left, lookup, one)
    if operator != OR and first == NO:
        return NO
    second = _phrase(right, lookup, other)
    if operator != OR and second == NO:
        return NO
    if first == NO and second == NO:
        return NO
    if MAYBE in (first, second):
        return MAYBE
    if operator == PHRASE:
        width, shift, other_shift = node.distance + one.width + other.width, node.distance + other.width, 0
    else:
        one.width, other.width = one.width * (first != NO), other.width * (second != NO)
        width = max(one.width, other.width)
        shift, other_shift = width - one.width, width - other.width
    if places is None:
        places = Places()
    places.width = width
    return _merged(operator == OR, one, other, shift, other_shift, places)


def _phrase_not(node: Node, lookup: Lookup, places: Places | None) -> int:
    inside = Places() if places is None else places
    found = _phrase(_only(node), lookup, inside)
    if found == MAYBE:
        return MAYBE
    if found == NO:
        inside.everywhere = True
        return YES
    if inside.at:
        inside.everywhere = not inside.everywhere
        return YES
    inside.everywhere = False
    return NO


def _merged(is_or: bool, one: Places, other: Places, shift: int, other_shift: int, places: Places) -> int:
    """Both operands' places in one list; by De Morgan's laws where one matches everywhere but at its places."""
    here = {at + shift for at in one.at}
    there = {at + other_shift for at in other.at}
    places.everywhere = False
    if is_or:
        places.everywhere = one.everywhere or other.everywhere
        if one.everywhere and other.everywhere:
            found = here & there
        elif one.everywhere:
            found = here - there
        elif other.everywhere:
            found = there - here
        else:
            found = here | there
    elif one.everywhere and other.everywhere:
        places.everywhere = True
        found = here | there
    elif one.everywhere:
        found = there - here
    elif other.everywhere:
        found = here - there
    else:
        found = here & there
    places.at = sorted(found)
    return YES if found or places.everywhere else NO


# A tsvector's lexemes


class VectorLookup:
    """Looks lexemes up in one tsvector."""

    __slots__ = ("_lexemes", "entries")

    def __init__(self, vector: TsVector) -> None:
        self.entries = vector.entries
        self._lexemes: list[str] = [lexeme for lexeme, _ in self.entries]

    def found(self, node: Node) -> tuple[Entry, ...]:
        """The entries that a lexeme of the query stands for."""
        start = bisect_left(self._lexemes, node.lexeme)
        end = start
        while end < len(self._lexemes) and (
            self._lexemes[end].startswith(node.lexeme) if node.prefix else self._lexemes[end] == node.lexeme
        ):
            end += 1
        return self.entries[start:end]

    def __call__(self, node: Node, places: Places | None) -> int:
        best = NO
        at: list[int] = []
        for _, positions in self.found(node):
            one = _of_entry(positions, node.weights, None if places is None else at)
            if places is None:
                best = max(best, one)
                if best == YES:
                    return YES
            elif one == MAYBE:
                return MAYBE
            else:
                best = max(best, one)
        if places is not None:
            places.at = sorted(set(at))
        return best


def _of_entry(positions: tuple[int, ...], weights: int, at: list[int] | None) -> int:
    if not positions:
        return MAYBE if at is not None else YES
    chosen = [each & 0x3FFF for each in positions if not weights or weights >> (each >> 14) & 1]
    if at is not None:
        at += chosen
    return YES if chosen else NO


_PULSE_LEXEMES: Final = 4096


def matches(vector: TsVector, query: TsQuery) -> bool:
    """``@@``; an empty query matches nothing."""
    if query.root is None:
        return False
    if len(vector.entries) > _PULSE_LEXEMES:
        HUB.pulse()
    return bool(bounded(execute)(query.root, VectorLookup(vector)) != NO)


fn(3634, "ts_match_vq(tsvector, tsquery) bool", matches)
fn(3635, "ts_match_qv(tsquery, tsvector) bool", lambda query, vector: matches(vector, query))
operators("""
3636 tsvector @@ tsquery bool 3634 commutator=3637
3637 tsquery @@ tsvector bool 3635 commutator=3636
3660 tsvector @@@ tsquery bool 3634 commutator=3661
3661 tsquery @@@ tsvector bool 3635 commutator=3660
""")
