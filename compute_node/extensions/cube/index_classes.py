"""The operator class ``gist_cube_ops``: keys are cubes that hold others, and rows come by distance.

A coordinate that is no number may be anywhere, as the operators have it. Distances of rows are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final

import numpy as np

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.access.gist.classes import GIST_CLASSES, Distance, GistClass, Test
from compute_node.access.gist.forms import Form
from compute_node.extensions.cube.functions import (
    CHEBYSHEV,
    DISTANCES,
    EUCLIDEAN,
    TAXICAB,
    contains,
    overlaps,
    side,
    sides,
    union,
)
from compute_node.extensions.cube.values import Cube, from_bytes, made, to_bytes
from compute_node.extensions.library import CLASS_CODES, supports
from compute_node.relations.access_methods import RETURNING_CLASSES
from compute_node.types.registry import PgType

CODE: Final = 130
"""Of ``IndexDesc.codes``"""
_OVERLAPS, _SAME, _CONTAINS, _CONTAINED = 3, 6, 7, 8
_SIDE: Final = 15
_MEASURES: Final = {16: TAXICAB, 17: EUCLIDEAN, 18: CHEBYSHEV}
_CURVED: Final = 4
"""So many dimensions decide which cubes are neighbours"""
_CURVE_BITS: Final = 16
"""Of each of them"""
_FLOAT32_MAX: Final = 3.0e38


def bounds(value: Cube) -> Cube:
    """From the lesser to the greater coordinates, without what is no number."""
    low, high = value.low(), value.high()
    for at, (one, other) in enumerate(zip(low, high, strict=True)):
        if one != one or other != other:
            low[at], high[at] = float("-inf"), float("inf")
    return made(low, high)


def holds(outer: Cube, inner: Cube) -> bool:
    """Whether the outer is its own union with the inner, but for dimensions."""
    return not any(each.low > each.other_low or each.high < each.other_high for each in sides(outer, inner))


class CubeForm(Form):
    """Cubes of any number of dimensions."""

    def encode(self, key: Cube) -> bytes:
        """See ``Form``."""
        return to_bytes(key)

    def decode(self, data: bytes) -> Cube:
        """See ``Form``."""
        return from_bytes(data)

    def union(self, keys: Sequence[Cube]) -> Cube:
        """See ``Form``."""
        found = keys[0]
        for key in keys[1:]:
            found = union(found, key)
        return found

    def holds(self, outer: Cube, inner: Cube) -> bool:
        """See ``Form``."""
        return len(outer.first) >= len(inner.first) and holds(outer, inner)

    def penalty(self, outer: Cube, inner: Cube) -> float:
        """See ``Form``: by the volume, and by the margin where that does not grow."""
        if self.holds(outer, inner):
            return 0.0
        before = after = 1.0
        margin = 0.0
        for each in sides(outer, inner):
            length, more = each.high - each.low, max(each.high, each.other_high) - min(each.low, each.other_low)
            before, after, margin = before * length, after * more, margin + more - length
        grown = after - before
        if not grown > 0.0:
            grown = max(margin, 0.0) * 1e-9
        return grown if grown == grown else float("inf")

    def order(self, keys: Sequence[Cube]) -> list[Datum]:
        """See ``Form``: along the dimension where the centres are farthest apart."""
        centres = _centres(keys, max(len(key.first) for key in keys))
        if not centres.shape[1]:
            return [0.0] * len(keys)
        widest = int(np.ptp(centres, axis=0).argmax())
        return list(centres[:, widest].tolist())

    def curves(self, keys: Sequence[Cube]) -> list[bytes]:
        """See ``Form``: places of the centres on a Z curve of some dimensions."""
        if not keys:
            return []
        bits = _centres(keys, _CURVED).astype(np.float32).view(np.uint32)
        bits = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000)).astype(np.uint64)
        found = np.zeros(len(keys), dtype=np.uint64)
        for bit in range(31, 31 - _CURVE_BITS, -1):
            for at in range(_CURVED):
                found = found << np.uint64(1) | (bits[:, at] >> np.uint64(bit) & np.uint64(1))
        data = found.astype(">u8").tobytes()
        return [data[at : at + 8] for at in range(0, len(data), 8)]


def _centres(keys: Sequence[Cube], dimensions: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """A row is the centre of a cube, 0 where it has no coordinate or none that is finite."""
    found = np.zeros((len(keys), dimensions), dtype=np.float64)
    for row, key in zip(found, keys, strict=True):
        middles = [one / 2 + other / 2 for one, other in zip(key.first, key.other, strict=True)][:dimensions]
        row[: len(middles)] = middles
    return np.clip(np.nan_to_num(found, nan=0.0), -_FLOAT32_MAX, _FLOAT32_MAX)


def _test(strategy: int, value: Cube) -> Test:
    wanted = bounds(value)
    if wanted != made(value.low(), value.high()):
        return lambda key, leaf: True
    if strategy == _CONTAINS:
        return lambda key, leaf: contains(key, wanted)
    if strategy == _SAME:
        return lambda key, leaf: holds(key, wanted)
    if strategy == _CONTAINED:
        return lambda key, leaf: (
            contains(wanted, key) if leaf and all(map(isfinite, key.first)) else _may_contain(wanted, key)
        )
    if strategy != _OVERLAPS:
        raise InvariantViolation(f"strategy {strategy} is none of cubes")
    return lambda key, leaf: overlaps(key, wanted)


def _may_contain(wanted: Cube, key: Cube) -> bool:
    """Whether it may contain a cube that the key holds. Of one that has fewer dimensions the key has 0 in the others,
    and does not say so."""
    count = len(wanted.first)
    pairs = zip(sides(key, wanted), range(len(key.first)), strict=False)
    return all(
        (at < count and each.low <= 0.0 <= each.high) or (each.low <= each.other_high and each.high >= each.other_low)
        for each, at in pairs
    )


def _distance(strategy: int, value: Datum) -> Distance:
    if strategy != _SIDE:
        measure = DISTANCES[_MEASURES[strategy]]
        return lambda key: measure(key, value)
    at, _, negative = side(value)

    def least(key: Cube) -> float:
        """A greater coordinate is at least the key's lesser one, and the other way round."""
        if at >= len(key.first):
            return 0.0
        return -key.other[at] if negative else key.first[at]

    return least


def _class(kind: PgType, options: tuple[str, ...]) -> GistClass:
    return GistClass(CubeForm(), bounds, _test, _distance)


def declare() -> None:
    """Make the class, and the symbols of its functions, known."""
    GIST_CLASSES[CODE] = _class
    RETURNING_CLASSES.add(CODE)
    CLASS_CODES["g_cube_consistent"] = CODE
    supports("g_cube_consistent 5 g_cube_penalty 3 g_cube_picksplit 2 g_cube_union 2 g_cube_same 3 g_cube_distance 5")
