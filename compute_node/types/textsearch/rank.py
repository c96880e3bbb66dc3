"""ts_rank: how often and how near; ts_rank_cd: how dense the covers are (manual, 12.3.3).

The arithmetic is PostgreSQL's, single precision where it has it, so that the last digit agrees.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import ArraySubscriptError, InvalidParameterValue, NullValueNotAllowed
from compute_node.hub import HUB
from compute_node.types.array_value import dimensions
from compute_node.types.declare import fn
from compute_node.types.textsearch.match import NO, YES, Places, VectorLookup, execute
from compute_node.types.textsearch.query import AND, PHRASE, Node, TsQuery, bounded, nodes
from compute_node.types.textsearch.scan import POSITION_MAX
from compute_node.types.textsearch.vector import TsVector

_F32 = struct.Struct("f")
LOG_LENGTH, LENGTH, EXTENT, UNIQUE, LOG_UNIQUE, OVER_ITSELF = 1, 2, 4, 8, 16, 32
_NO_POSITIONS: Final = (POSITION_MAX,)
_NO_POSITIONS_OR: Final = (0,)


def single(value: float) -> float:
    """Rounded to single precision."""
    result: float = _F32.unpack(_F32.pack(value))[0]
    return result


_DEFAULT: Final = tuple(map(single, (0.1, 0.2, 0.4, 1.0)))
"""Weights of D, C, B, A."""


def _weights(given: list[Datum] | None) -> tuple[float, ...]:
    """2202E, 22004, 22023."""
    if given is None:
        return _DEFAULT
    lengths = dimensions(given)
    if len(lengths) != 1:
        raise ArraySubscriptError("array of weight must be one-dimensional")
    if lengths[0] < len(_DEFAULT):
        raise ArraySubscriptError("array of weight is too short")
    if None in given:
        raise NullValueNotAllowed("array of weight must not contain nulls")
    out = tuple(own if own >= 0 else default for own, default in zip(given, _DEFAULT, strict=False))
    if any(weight > 1.0 for weight in out):
        raise InvalidParameterValue("weight out of range")
    return out


def _length(vector: TsVector) -> int:
    return sum(len(positions) or 1 for _, positions in vector.entries)


def _distinct(query: TsQuery) -> list[Node]:
    """One lexeme of each kind, in order."""
    found: dict[str, Node] = {}
    for node in nodes(query.root):
        if not node.operator:
            found.setdefault(node.lexeme, node)
    return [found[lexeme] for lexeme in sorted(found)]


# ts_rank


def _distance_factor(distance: int) -> float:
    if distance > 100:
        return single(1e-30)
    return single(1.0 / (1.005 + 0.05 * math.exp(single(distance) / 1.5 - 2)))


def _rank_and(weights: Sequence[float], vector: TsVector, query: TsQuery) -> float:
    items = _distinct(query)
    if len(items) < 2:
        return _rank_or(weights, vector, query)
    lookup = VectorLookup(vector)
    result = -1.0
    seen: list[tuple[int, ...] | None] = [None] * len(items)
    for number, item in enumerate(items):
        for _, positions in lookup.found(item):
            HUB.pulse()
            seen[number] = own = positions or _NO_POSITIONS
            for other in seen[:number]:
                if other is not None:
                    result = _near(weights, own, other, result)
    return result


def _near(weights: Sequence[float], own: tuple[int, ...], other: tuple[int, ...], result: float) -> float:
    is_unplaced = own is _NO_POSITIONS or other is _NO_POSITIONS
    for one in own:
        weight = weights[one >> 14]
        for two in other:
            distance = abs((one & 0x3FFF) - (two & 0x3FFF))
            if distance or is_unplaced:
                product = single(single(weight * weights[two >> 14]) * _distance_factor(distance or POSITION_MAX + 1))
                current = single(math.sqrt(product))
                result = current if result < 0 else single(1.0 - (1.0 - result) * (1.0 - current))
    return result


def _rank_or(weights: Sequence[float], vector: TsVector, query: TsQuery) -> float:
    items = _distinct(query)
    lookup = VectorLookup(vector)
    result = 0.0
    for item in items:
        for _, positions in lookup.found(item):
            total, best, best_at = 0.0, -1.0, 0
            for number, at in enumerate(positions or _NO_POSITIONS_OR):
                weight = weights[at >> 14]
                total = single(total + single(weight / ((number + 1) * (number + 1))))
                if weight > best:
                    best, best_at = weight, number
            part = single(single(best + total) - single(best / ((best_at + 1) * (best_at + 1))))
            result = single(result + part / 1.64493406685)
    return single(result / len(items)) if items else result


def _rank(given: list[Datum] | None, vector: TsVector, query: TsQuery, method: int) -> float:
    weights = _weights(given)
    root = query.root
    if not vector.entries or root is None:
        return 0.0
    result = (_rank_and if root.operator in (AND, PHRASE) else _rank_or)(weights, vector, query)
    if result < 0:
        result = single(1e-20)
    count = len(vector.entries)
    if method & LOG_LENGTH:
        result = single(result / (math.log(_length(vector) + 1) / math.log(2.0)))
    if method & LENGTH:
        result = single(result / _length(vector))
    if method & UNIQUE:
        result = single(result / count)
    if method & LOG_UNIQUE:
        result = single(result / (math.log(count + 1) / math.log(2.0)))
    if method & OVER_ITSELF:
        result = single(result / single(result + 1))
    return result


# ts_rank_cd


class _Spot(NamedTuple):
    """A place in the document where lexemes of the query stand."""

    position: int
    weight: int
    items: tuple[Node, ...]


def _spots(vector: TsVector, query: TsQuery) -> list[_Spot]:
    """By position, weight, lexeme."""
    lookup = VectorLookup(vector)
    order = {lexeme: number for number, (lexeme, _) in enumerate(vector.entries)}
    found: dict[tuple[int, int, int], list[Node]] = {}
    for item in nodes(query.root):
        if item.operator:
            continue
        for lexeme, positions in lookup.found(item):
            HUB.pulse()
            for at in positions:
                if not item.weights or item.weights >> (at >> 14) & 1:
                    found.setdefault((at & 0x3FFF, at >> 14, order[lexeme]), []).append(item)
    return [_Spot(key[0], key[1], tuple(found[key])) for key in sorted(found)]


class _Seen:
    """The lexemes of the query that have been seen, and where; a lookup as ``execute`` wants it."""

    def __init__(self) -> None:
        self.places: dict[Node, set[int]] = {}

    def add(self, spot: _Spot) -> None:
        for item in spot.items:
            self.places.setdefault(item, set()).add(spot.position)

    def __call__(self, node: Node, places: Places | None) -> int:
        found = self.places.get(node)
        if found is None:
            return NO
        if places is not None:
            places.at = sorted(found)
        return YES


class _Cover(NamedTuple):
    begin: int
    end: int
    next: int


def _cover(spots: list[_Spot], root: Node, start: int) -> _Cover | None:
    """The next shortest stretch in which the query matches, from ``start`` on."""
    while True:
        HUB.pulse()
        seen = _Seen()
        for end in range(start, len(spots)):
            seen.add(spots[end])
            if execute(root, seen) != NO:
                break
        else:
            return None
        if not spots[end].position:
            return None
        seen = _Seen()
        begin = -1
        for begin in range(end, start - 1, -1):
            seen.add(spots[begin])
            if execute(root, seen) != NO:
                return _Cover(begin, end, begin + 1)
        start += 1


def _density(weights: Sequence[float], vector: TsVector, query: TsQuery, method: int) -> float:
    root = query.root
    spots = _spots(vector, query)
    if not spots or root is None:
        return 0.0
    inverse = [1.0 / weight if weight else math.inf for weight in weights]
    result = distances = last = 0.0
    count = start = 0
    while (cover := _cover(spots, root, start)) is not None:
        start = cover.next
        stretch = spots[cover.begin : cover.end + 1]
        between = len(stretch) - 1
        noise = stretch[-1].position - stretch[0].position - between
        if noise < 0:
            noise = between // 2
        result += len(stretch) / sum(inverse[spot.weight] for spot in stretch) / (1 + noise)
        middle = (stretch[-1].position + stretch[0].position) / 2.0
        if count and middle > last:
            distances += 1.0 / (middle - last)
        last = middle
        count += 1
    return _normalized(result, vector, method, count, distances)


def _normalized(result: float, vector: TsVector, method: int, count: int, distances: float) -> float:
    unique = len(vector.entries)
    if method & LOG_LENGTH:
        result /= math.log(_length(vector) + 1)
    if method & LENGTH:
        result /= _length(vector)
    if method & EXTENT and count and distances > 0:
        result /= count / distances
    if method & UNIQUE:
        result /= unique
    if method & LOG_UNIQUE:
        result /= math.log(unique + 1) / math.log(2.0)
    if method & OVER_ITSELF:
        result /= result + 1
    return single(result)


def _rank_cd(given: list[Datum] | None, vector: TsVector, query: TsQuery, method: int) -> float:
    weights = _weights(given)
    result: float = bounded(_density)(weights, vector, query, method)
    return result


def _declare(name: str, oids: Sequence[int], run: Callable[..., float]) -> None:
    """With and without weights, with and without a method."""

    def weighted(weights: list[Datum], vector: TsVector, query: TsQuery, method: int = 0) -> float:
        return run(weights, vector, query, method)

    def plain(vector: TsVector, query: TsQuery, method: int = 0) -> float:
        return run(None, vector, query, method)

    fn(oids[0], f"{name}(float4[], tsvector, tsquery, int4) float4", weighted)
    fn(oids[1], f"{name}(float4[], tsvector, tsquery) float4", weighted)
    fn(oids[2], f"{name}(tsvector, tsquery, int4) float4", plain)
    fn(oids[3], f"{name}(tsvector, tsquery) float4", plain)


_declare("ts_rank", (3703, 3704, 3705, 3706), _rank)
_declare("ts_rank_cd", (3707, 3708, 3709, 3710), _rank_cd)
