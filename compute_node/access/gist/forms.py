"""Forms of keys: what bounds values of a kind, and how it grows, is measured and is divided.

``Box``: two floats an axis. ``Interval``: byte strings in memcmp order, of ranges, addresses and texts, cut where they
are long. ``Signature``: a set of bits, of documents and queries.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurora.datum import Datum
from aurora.kernels.python.btree import next_prefix

Key = Any
"""A form's own kind of key"""


class Together(ABC):
    """Keys of one form as arrays, which another key is compared with at once."""

    @abstractmethod
    def least(self, inner: Key) -> int | None:
        """The place of the first of the keys that grows least by ``inner``, as ``Form.penalty`` has it but for
        rounding; None: they are to be asked one by one."""

    @abstractmethod
    def replaced(self, at: int, key: Key) -> Together | None:
        """The same with another key in a place; None: they are to be put together anew."""


class Form(ABC):
    """What the tree asks of keys of one kind. ``width``: the bytes of each stored key, 0: they differ."""

    width: ClassVar[int] = 0

    @abstractmethod
    def encode(self, key: Key) -> bytes:
        """The stored bytes."""

    @abstractmethod
    def decode(self, data: bytes) -> Key:
        """The key of stored bytes."""

    @abstractmethod
    def union(self, keys: Sequence[Key]) -> Key:
        """The smallest key that holds all; at least one."""

    def union_of_stored(self, stored: Sequence[bytes]) -> Key:
        """``union`` of keys that are stored so."""
        return self.union(list(map(self.decode, stored)))

    def union_of_rows(self, stored: NDArray[np.uint8]) -> Key:
        """``union`` of keys of ``width`` bytes that are stored so, one a row."""
        return self.union_of_stored([row.tobytes() for row in stored])

    def decode_rows(self, stored: NDArray[np.uint8]) -> list[Key]:
        """The keys of ``width`` bytes that are stored so, one a row."""
        return [self.decode(row.tobytes()) for row in stored]

    def together(self, keys: Sequence[Key]) -> Together | None:
        """The keys as arrays; None: there are none."""
        return None

    @abstractmethod
    def holds(self, outer: Key, inner: Key) -> bool:
        """Whether ``outer`` is its own union with ``inner``."""

    @abstractmethod
    def penalty(self, outer: Key, inner: Key) -> float:
        """How much ``outer`` grows by ``inner``; 0: not at all."""

    @abstractmethod
    def order(self, keys: Sequence[Key]) -> list[Datum]:
        """Of each key what to sort by before the keys are divided in the middle."""

    @abstractmethod
    def curves(self, keys: Sequence[Key]) -> list[bytes]:
        """Of each key bytes in whose memcmp order neighbours lie together, for a build."""


class Box(NamedTuple):
    """From the lower left to the upper right corner; NaN: not known, anywhere."""

    x1: float
    y1: float
    x2: float
    y2: float


ANYWHERE: Final = Box(float("-inf"), float("-inf"), float("inf"), float("inf"))
_BOX = struct.Struct("<4d")
_FLOAT32_MAX: Final = 3.0e38
_SPREADS: Final = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
                   (1, 0x5555555555555555))  # fmt: skip
"""Shifts and masks that put a zero before each bit of 32"""


def _spread_bits(lows: NDArray[np.float64], highs: NDArray[np.float64]) -> NDArray[np.uint64]:
    """The middles as 32 bits in the order of floats, each with a zero before it."""
    with np.errstate(invalid="ignore"):
        middles = np.nan_to_num(lows / 2 + highs / 2, nan=0.0)
    bits = np.clip(middles, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32).view(np.uint32)
    found = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000)).astype(np.uint64)
    for shift, mask in _SPREADS:
        found = (found | found << np.uint64(shift)) & np.uint64(mask)
    return found


def places_on_curve(boxes: NDArray[np.float64]) -> NDArray[np.uint64]:
    """The places of boxes' centres on a Z curve (Morton 1966); a row is x1, y1, x2, y2."""
    x1, y1, x2, y2 = boxes.T
    return _spread_bits(x1, x2) << np.uint64(1) | _spread_bits(y1, y2)


class BoxForm(Form):
    """Boxes in the plane."""

    width = _BOX.size

    def encode(self, key: Box) -> bytes:
        """See ``Form``."""
        return _BOX.pack(*key)

    def decode(self, data: bytes) -> Box:
        """See ``Form``."""
        return Box._make(_BOX.unpack(data))

    def union(self, keys: Sequence[Box]) -> Box:
        """See ``Form``."""
        x1, y1, x2, y2 = zip(*keys, strict=True)
        return Box(min(x1), min(y1), max(x2), max(y2))

    def union_of_stored(self, stored: Sequence[bytes]) -> Box:
        """See ``Form``."""
        return self.union_of_rows(np.frombuffer(b"".join(stored), dtype=np.uint8).reshape(-1, self.width))

    def union_of_rows(self, stored: NDArray[np.uint8]) -> Box:
        """See ``Form``."""
        boxes = np.ascontiguousarray(stored).view("<f8")
        return Box(*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())

    def decode_rows(self, stored: NDArray[np.uint8]) -> list[Box]:
        """See ``Form``."""
        return list(map(Box._make, np.ascontiguousarray(stored).view("<f8").tolist()))

    def together(self, keys: Sequence[Box]) -> Together:
        """See ``Form``."""
        return _Boxes(np.array(keys, dtype=np.float64))

    def holds(self, outer: Box, inner: Box) -> bool:
        """See ``Form``."""
        return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]

    def penalty(self, outer: Box, inner: Box) -> float:
        """See ``Form``: by the area, and by the margin where that does not grow."""
        x1, y1, x2, y2 = outer
        a1, b1, a2, b2 = min(x1, inner[0]), min(y1, inner[1]), max(x2, inner[2]), max(y2, inner[3])
        if (a1, b1, a2, b2) == outer:
            return 0.0
        grown = (a2 - a1) * (b2 - b1) - (x2 - x1) * (y2 - y1)
        if not grown > 0.0:
            grown = max(((a2 - a1) + (b2 - b1) - (x2 - x1) - (y2 - y1)) * 1e-9, 0.0)
        return grown if grown == grown else float("inf")

    def order(self, keys: Sequence[Box]) -> list[Datum]:
        """See ``Form``: along the axis where the centres are wider apart."""
        xs, ys = [_middle(key[0], key[2]) for key in keys], [_middle(key[1], key[3]) for key in keys]
        return list(xs if max(xs) - min(xs) >= max(ys) - min(ys) else ys)

    def curves(self, keys: Sequence[Box]) -> list[bytes]:
        """See ``Form``: see ``places_on_curve``."""
        if not keys:
            return []
        edges = np.fromiter(chain.from_iterable(keys), dtype=np.float64, count=4 * len(keys))
        data = places_on_curve(edges.reshape(-1, 4)).astype(">u8").tobytes()
        return [data[at : at + 8] for at in range(0, len(data), 8)]


class _Boxes(Together):
    """A row is x1, y1, x2, y2."""

    def __init__(self, boxes: NDArray[np.float64]) -> None:
        self._boxes = boxes

    def least(self, inner: Box) -> int:
        """See ``Together``."""
        outers = self._boxes
        lows, highs = np.minimum(outers[:, :2], inner[:2]), np.maximum(outers[:, 2:], inner[2:])
        with np.errstate(invalid="ignore", over="ignore"):
            before, after = outers[:, 2:] - outers[:, :2], highs - lows
            grown = after[:, 0] * after[:, 1] - before[:, 0] * before[:, 1]
            margin = (after[:, 0] + after[:, 1] - before[:, 0] - before[:, 1]) * 1e-9
        grown = np.where(grown > 0.0, grown, np.maximum(margin, 0.0))
        grown[np.isnan(grown)] = np.inf
        grown[((lows == outers[:, :2]) & (highs == outers[:, 2:])).all(axis=1)] = 0.0
        return int(grown.argmin())

    def replaced(self, at: int, key: Box) -> Together:
        """See ``Together``."""
        boxes = self._boxes.copy()
        boxes[at] = key
        return _Boxes(boxes)


def _middle(low: float, high: float) -> float:
    found = low / 2 + high / 2
    return found if found == found else 0.0


class Interval(NamedTuple):
    """``low`` ≤ all bytes ≤ ``high``; both None where there are ``empty`` values (empty ranges) alone."""

    low: bytes | None
    high: bytes | None
    empty: bool = False


EDGE_BYTES_MAX: Final = 128
_HIGHEST: Final = b"\xff" * (EDGE_BYTES_MAX + 16)
_LENGTH = struct.Struct("<BH")
_MEASURED: Final = 16


def interval(low: bytes, high: bytes) -> Interval:
    """With edges that are cut, outwards, where they are long."""
    if len(low) > EDGE_BYTES_MAX:
        low = low[:EDGE_BYTES_MAX]
    if len(high) > EDGE_BYTES_MAX:
        high = next_prefix(high[:EDGE_BYTES_MAX]) or _HIGHEST
    return Interval(low, high)


def _number(edge: bytes) -> int:
    return int.from_bytes(edge[:_MEASURED].ljust(_MEASURED, b"\0"), "big")


class IntervalForm(Form):
    """Intervals of byte strings."""

    def encode(self, key: Interval) -> bytes:
        """See ``Form``: u8 (1 values, 2 empty ones), u16 bytes of the lower edge, the edges."""
        if key.low is None or key.high is None:
            return b"\2"
        return _LENGTH.pack(1 | key.empty << 1, len(key.low)) + key.low + key.high

    def decode(self, data: bytes) -> Interval:
        """See ``Form``."""
        if not data[0] & 1:
            return Interval(None, None, True)
        flags, size = _LENGTH.unpack_from(data)
        at = _LENGTH.size
        return Interval(data[at : at + size], data[at + size :], bool(flags & 2))

    def union(self, keys: Sequence[Interval]) -> Interval:
        """See ``Form``."""
        lows = [key.low for key in keys if key.low is not None]
        highs = [key.high for key in keys if key.high is not None]
        empty = any(key.empty for key in keys)
        return Interval(min(lows), max(highs), empty) if lows else Interval(None, None, empty)

    def holds(self, outer: Interval, inner: Interval) -> bool:
        """See ``Form``."""
        if inner.empty and not outer.empty:
            return False
        if inner.low is None or inner.high is None:
            return True
        return outer.low is not None and outer.high is not None and outer.low <= inner.low and outer.high >= inner.high

    def penalty(self, outer: Interval, inner: Interval) -> float:
        """See ``Form``: by the distance of the edges, read as numbers."""
        if self.holds(outer, inner):
            return 0.0
        if outer.low is None or outer.high is None or inner.low is None or inner.high is None:
            return float(1 << 8 * _MEASURED)
        before = _number(outer.high) - _number(outer.low)
        after = _number(max(outer.high, inner.high)) - _number(min(outer.low, inner.low))
        return 1.0 + float(after - before)

    def together(self, keys: Sequence[Interval]) -> Together | None:
        """See ``Form``."""
        edges = [(key.low, key.high) for key in keys if key.low is not None and key.high is not None]
        return _Intervals(edges) if len(edges) == len(keys) else None

    def order(self, keys: Sequence[Interval]) -> list[Datum]:
        """See ``Form``: by the lower edge; what is empty first."""
        return [(key.low or b"", key.high or b"") for key in keys]

    def curves(self, keys: Sequence[Interval]) -> list[bytes]:
        """See ``Form``: the lower edges."""
        return [key.low or b"" for key in keys]


_EDGE_BYTES: Final = 8
"""Of an edge, behind what all have in common, in a number"""


def _common(one: bytes, other: bytes) -> bytes:
    """What both begin with."""
    size = min(len(one), len(other))
    return one[: next((at for at in range(size) if one[at] != other[at]), size)]


class _Intervals(Together):
    """Edges as numbers: the bytes behind those that all edges begin with."""

    def __init__(self, edges: list[tuple[bytes, bytes]]) -> None:
        self._edges = edges
        self._prefix = _common(min(edges)[0], max(high for _, high in edges))
        lows, highs = zip(*edges, strict=True)
        self._lows, self._highs = self._numbers(lows), self._numbers(highs)

    def _numbers(self, edges: Sequence[bytes]) -> NDArray[np.float64]:
        at = len(self._prefix)
        data = b"".join([edge[at : at + _EDGE_BYTES].ljust(_EDGE_BYTES, b"\0") for edge in edges])
        return np.frombuffer(data, ">u8").astype(np.float64)

    def least(self, inner: Interval) -> int | None:
        """See ``Together``."""
        if inner.low is None or inner.high is None or inner.empty:
            return None
        return int((self._grown_below(inner.low) + self._grown_above(inner.high)).argmin())

    def _grown_below(self, low: bytes) -> NDArray[np.float64]:
        """How much the lower edges move; of an edge below all but for what they all move."""
        if low.startswith(self._prefix):
            return np.maximum(self._lows - self._numbers((low,)), 0.0)
        return self._lows if low < self._prefix else np.zeros(len(self._lows))

    def _grown_above(self, high: bytes) -> NDArray[np.float64]:
        if high.startswith(self._prefix):
            return np.maximum(self._numbers((high,)) - self._highs, 0.0)
        return -self._highs if high > self._prefix else np.zeros(len(self._highs))

    def replaced(self, at: int, key: Interval) -> Together | None:
        """See ``Together``."""
        if key.low is None or key.high is None:
            return None
        edges = self._edges.copy()
        edges[at] = key.low, key.high
        return _Intervals(edges)


SEEDS: Final = 16
"""Signatures among which the two farthest apart are looked for."""


class SignatureForm(Form):
    """Sets of bits, as integers of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.bits = 8 * size

    def encode(self, key: int) -> bytes:
        """See ``Form``."""
        return key.to_bytes(self.size, "big")

    def decode(self, data: bytes) -> int:
        """See ``Form``."""
        return int.from_bytes(data, "big")

    def union(self, keys: Sequence[int]) -> int:
        """See ``Form``."""
        found = 0
        for key in keys:
            found |= key
        return found

    def holds(self, outer: int, inner: int) -> bool:
        """See ``Form``."""
        return not inner & ~outer

    def penalty(self, outer: int, inner: int) -> float:
        """See ``Form``: the bits that differ, those that are new above all."""
        new = inner & ~outer
        return 0.0 if not new else new.bit_count() + (outer & ~inner).bit_count() / self.bits

    def order(self, keys: Sequence[int]) -> list[Datum]:
        """See ``Form``: from the one to the other of two that differ much."""
        sample = keys[:: max(1, len(keys) // SEEDS)][:SEEDS]
        pairs = [((one ^ other).bit_count(), one, other) for one in sample for other in sample]
        _, one, other = max(pairs)
        return [(key ^ one).bit_count() - (key ^ other).bit_count() for key in keys]

    def curves(self, keys: Sequence[int]) -> list[bytes]:
        """See ``Form``."""
        return [key.to_bytes(self.size, "big")[:16] for key in keys]

    def together(self, keys: Sequence[int]) -> Together:
        """See ``Form``."""
        data = b"".join([self.encode(key) for key in keys])
        return _Signatures(np.frombuffer(data, np.uint8).reshape(-1, self.size))


_BIT_COUNTS: Final = np.array([each.bit_count() for each in range(256)], dtype=np.int64)


class _Signatures(Together):
    """A row is the bytes of a signature."""

    def __init__(self, rows: NDArray[np.uint8]) -> None:
        self._rows = rows

    def _row(self, key: int) -> NDArray[np.uint8]:
        return np.frombuffer(key.to_bytes(self._rows.shape[1], "big"), np.uint8)

    def least(self, inner: int) -> int:
        """See ``Together``."""
        row = self._row(inner)
        new = _BIT_COUNTS[row & ~self._rows].sum(axis=1)
        missing = _BIT_COUNTS[self._rows & ~row].sum(axis=1)
        return int(np.where(new > 0, new + missing / (8 * self._rows.shape[1]), 0.0).argmin())

    def replaced(self, at: int, key: int) -> Together:
        """See ``Together``."""
        rows = self._rows.copy()
        rows[at] = self._row(key)
        return _Signatures(rows)
