"""The operator classes of BRIN: what each keeps of the values of a range, and which conditions that rules out.

``Minmax`` has the least and the greatest value, ``MinmaxMulti`` several intervals of values, ``Bloom`` a Bloom filter
of hashes, ``Inclusion`` the bounding key of GiST's class of the type. Values are compared by the bytes that order them
in a B-tree (``PgType.sort_key``), so that a summary needs no value back.
"""

from __future__ import annotations

import math
import struct
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from aurora.datum import Datum
from aurora.errors import InternalError, InvariantViolation, UndefinedObject
from aurora.kernels.python.btree import next_prefix
from compute_node.access.gist.classes import gist_class
from compute_node.access.gist.forms import Key as GistKey
from compute_node.access.hash.values import value_hash
from compute_node.types import oids
from compute_node.types.registry import PgType

Part = Any
"""What a class keeps: of its own kind, never changed in place"""
Test = Callable[[Part], bool]
Types = Callable[[int], PgType]

EDGE_BYTES_MAX: Final = 256
"""Longer edges are cut, outwards."""
_HIGHEST: Final = b"\xff" * (EDGE_BYTES_MAX + 1)
_SIZE = struct.Struct("<H")
_LESS, _LESS_EQUAL, _EQUAL, _GREATER_EQUAL, _GREATER = 1, 2, 3, 4, 5


class BrinClass(ABC):
    """One column's operator class."""

    @abstractmethod
    def extended(self, part: Part | None, values: Sequence[Datum]) -> Part:
        """What holds the values, none NULL and at least one, beside what ``part`` holds: ``part`` itself when it does
        already."""

    @abstractmethod
    def test(self, strategy: int, value: Datum, kind: int) -> Test:
        """Whether a value that a part holds may meet the condition, whose right side is of type ``kind``."""

    @abstractmethod
    def encode(self, part: Part) -> bytes:
        """The stored bytes."""

    @abstractmethod
    def decode(self, data: bytes) -> Part:
        """The part of stored bytes."""

    def packed(self, part: Part) -> Part:
        """As it is kept: a class may gather more while it is extended."""
        return part


def _always(part: Part) -> bool:
    return True


def _never(part: Part) -> bool:
    return False


# Values as bytes in order

_INTEGERS: Final = frozenset((oids.INT2, oids.INT4, oids.INT8))
_TIMES: Final = frozenset((oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ))
_ALIKE: Final = (
    _INTEGERS,
    _TIMES,
    frozenset((oids.FLOAT4, oids.FLOAT8)),
    frozenset((oids.TEXT, oids.VARCHAR)),
    frozenset((oids.TYPE_OIDS["inet"], oids.TYPE_OIDS["cidr"])),
    frozenset((oids.BIT, oids.TYPE_OIDS["varbit"])),
)
"""Types whose values have keys in one order"""
_DAY_US: Final = 86_400_000_000
_INT8_MAX: Final = 2**63 - 1
_DATE_ENDS: Final = (-(2**31), 2**31 - 1)


def _integer_key(value: int) -> bytes:
    return (value + 2**63).to_bytes(8, "big")


def _are_alike(one: int, other: int) -> bool:
    return one == other or any(one in group and other in group for group in _ALIKE)


class Order:
    """The values of a column's type as bytes, and the right sides of conditions, which may be of other types of the
    family."""

    def __init__(self, kind: PgType) -> None:
        self._kind = kind.root.oid
        self._is_number = self._kind in _INTEGERS or self._kind in _TIMES
        key = _integer_key if self._is_number else kind.sort_key
        if key is None:
            raise UndefinedObject(
                f'data type {kind.formatted_name or kind.name} has no default operator class for access method "brin"',
                hint="You must specify an operator class for the index or define a default operator class "
                "for the data type.",
            )
        self.key: Callable[[Datum], bytes] = key

    def condition(self, value: Datum, kind: int) -> tuple[bytes, bytes]:
        """Where a value of type ``kind`` is among the column's: between these two. A date is a moment in some time
        zone, and so is a timestamp: which, a day more to each side leaves open."""
        if not _are_alike(kind, self._kind):
            # An operator that somebody has added to the family: anything may meet it.
            return b"", _HIGHEST
        if kind == self._kind or kind not in _TIMES:
            key = self.key(value)
            return key, key
        low, high = (value, value) if kind != oids.DATE else self._moments(value)
        low, high = max(low - _DAY_US, -_INT8_MAX), min(high + _DAY_US, _INT8_MAX)
        if self._kind == oids.DATE:
            # The ends are infinity: below and above all days.
            low, high = max(low // _DAY_US, _DATE_ENDS[0]), min(high // _DAY_US + 1, _DATE_ENDS[1])
            if value >= _INT8_MAX - _DAY_US:
                high = _DATE_ENDS[1]
            if value <= _DAY_US - _INT8_MAX:
                low = _DATE_ENDS[0]
        elif high >= _INT8_MAX - _DAY_US:
            high = _INT8_MAX
        elif low <= _DAY_US - _INT8_MAX:
            low = -_INT8_MAX - 1
        return self.key(low), self.key(high)

    @staticmethod
    def _moments(days: int) -> tuple[int, int]:
        if days in _DATE_ENDS:
            end = _INT8_MAX if days > 0 else -_INT8_MAX - 1
            return end, end
        return days * _DAY_US, days * _DAY_US

    def distance(self, low: bytes, high: bytes) -> float:
        """How far apart two keys are."""
        if self._kind in (oids.FLOAT4, oids.FLOAT8):
            return _float(high) - _float(low)
        size = max(len(low), len(high), 1)
        one, other = (int.from_bytes(each.ljust(size, b"\0")[:16], "big") for each in (low, high))
        return float(other - one)


def _float(key: bytes) -> float:
    """Of a float's key; infinities and NaN are the greatest numbers there are."""
    bits = int.from_bytes(key[:8].ljust(8, b"\0"), "big")
    bits = bits ^ 2**63 if bits >> 63 else ~bits & (2**64 - 1)
    found: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    if found != found:
        return math.inf
    return found


def _cut_low(key: bytes) -> bytes:
    return key[:EDGE_BYTES_MAX]


def _cut_high(key: bytes) -> bytes:
    return key if len(key) <= EDGE_BYTES_MAX else next_prefix(key[:EDGE_BYTES_MAX]) or _HIGHEST


def _range_test(strategy: int, low: bytes, high: bytes) -> Callable[[bytes, bytes], bool]:
    """Whether values between two edges may meet a comparison with what is between ``low`` and ``high``."""
    tests: dict[int, Callable[[bytes, bytes], bool]] = {
        _LESS: lambda first, last: first <= high,
        _LESS_EQUAL: lambda first, last: first <= high,
        _EQUAL: lambda first, last: first <= high and last >= low,
        _GREATER_EQUAL: lambda first, last: last >= low,
        _GREATER: lambda first, last: last >= low,
    }
    if low == high and len(low) < EDGE_BYTES_MAX:
        tests[_LESS] = lambda first, last: first < low
        tests[_GREATER] = lambda first, last: last > low
    return tests[strategy]


class Minmax(BrinClass):
    """The least and the greatest key."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def extended(self, part: Part | None, values: Sequence[Datum]) -> Part:
        """See ``BrinClass``."""
        keys = list(map(self._order.key, values))
        low, high = _cut_low(min(keys)), _cut_high(max(keys))
        if part is None:
            return low, high
        if part[0] <= low and high <= part[1]:
            return part
        return min(part[0], low), max(part[1], high)

    def test(self, strategy: int, value: Datum, kind: int) -> Test:
        """See ``BrinClass``."""
        meets = _range_test(strategy, *self._order.condition(value, kind))
        return lambda part: meets(*part)

    def encode(self, part: Part) -> bytes:
        """See ``BrinClass``: u16 bytes of the lower edge, the edges."""
        edges: tuple[bytes, bytes] = part
        return _SIZE.pack(len(edges[0])) + edges[0] + edges[1]

    def decode(self, data: bytes) -> Part:
        """See ``BrinClass``."""
        (size,) = _SIZE.unpack_from(data)
        return data[2 : 2 + size], data[2 + size :]


VALUES_PER_RANGE: Final = 32
GATHERED: Final = 10
"""So many times the values that are kept are gathered before they are joined."""
Interval = tuple[bytes, bytes]


class MinmaxMulti(BrinClass):
    """Intervals of keys in order, apart from each other. One of a single value counts for one value, others for two;
    the smallest gaps are closed when there are too many."""

    def __init__(self, order: Order, values_max: int) -> None:
        self._order = order
        self._values_max = values_max

    def extended(self, part: Part | None, values: Sequence[Datum]) -> Part:
        """See ``BrinClass``."""
        key = self._order.key
        held: tuple[Interval, ...] = part or ()
        starts = [low for low, _ in held]
        new: set[bytes] = set()
        for each in map(key, values):
            at = bisect_right(starts, each) - 1
            if at < 0 or held[at][1] < each:
                new.add(each)
        if not new:
            return part
        found = sorted([*held, *((_cut_low(each), _cut_high(each)) for each in new)])
        found = self._apart(found)
        if _counted(found) > GATHERED * self._values_max:
            found = self._closed(found, GATHERED * self._values_max // 2)
        return tuple(found)

    def packed(self, part: Part) -> Part:
        """See ``BrinClass``."""
        return tuple(self._closed(part, self._values_max))

    @staticmethod
    def _apart(intervals: Sequence[Interval]) -> list[Interval]:
        """Sorted ones, those that overlap made one."""
        found: list[Interval] = []
        for low, high in intervals:
            if found and low <= found[-1][1]:
                found[-1] = found[-1][0], max(found[-1][1], high)
            else:
                found.append((low, high))
        return found

    def _closed(self, intervals: Sequence[Interval], values_max: int) -> list[Interval]:
        """At most so many values, with the widest gaps left open."""
        if _counted(intervals) <= values_max:
            return list(intervals)
        gaps = range(1, len(intervals))
        widths = {at: self._order.distance(intervals[at - 1][1], intervals[at][0]) for at in gaps}
        kept = set(sorted(gaps, key=lambda at: (-widths[at], at))[: max(values_max // 2 - 1, 0)])
        found: list[Interval] = []
        for at, (low, high) in enumerate(intervals):
            if not found or at in kept:
                found.append((low, high))
            else:
                found[-1] = found[-1][0], high
        return found

    def test(self, strategy: int, value: Datum, kind: int) -> Test:
        """See ``BrinClass``."""
        meets = _range_test(strategy, *self._order.condition(value, kind))
        return lambda part: any(meets(low, high) for low, high in part)

    def encode(self, part: Part) -> bytes:
        """See ``BrinClass``: of each edge u16 bytes and the edge; 65535: the lower edge again."""
        pieces: list[bytes] = []
        for low, high in part:
            pieces += (_SIZE.pack(len(low)), low)
            pieces += (_SIZE.pack(0xFFFF),) if high == low else (_SIZE.pack(len(high)), high)
        return b"".join(pieces)

    def decode(self, data: bytes) -> Part:
        """See ``BrinClass``."""
        found: list[Interval] = []
        edges: list[bytes] = []
        at = 0
        while at < len(data):
            (size,) = _SIZE.unpack_from(data, at)
            at += 2
            if size == 0xFFFF:
                edges.append(edges[0])
            else:
                edges.append(data[at : at + size])
                at += size
            if len(edges) == 2:
                found.append((edges[0], edges[1]))
                edges = []
        return tuple(found)


def _counted(intervals: Iterable[Interval]) -> int:
    return sum(1 if low == high else 2 for low, high in intervals)


ROWS_A_PAGE: Final = 291
"""The most rows that a page of PostgreSQL's can have"""
DISTINCT_MIN: Final = 16
DISTINCT_PER_RANGE: Final = -0.1
FALSE_POSITIVE_RATE: Final = 0.01
FILTER_BYTES_MAX: Final = 8144
_MIXED: Final = 0x9E3779B97F4A7C15


class Bloom(BrinClass):
    """A Bloom filter (Bloom 1970) of the values' hashes, of the size that the class's options make it."""

    def __init__(self, kind: PgType, distinct: float, rate: float, pages_per_range: int) -> None:
        self._kind = kind.root.oid
        self._hash = value_hash(kind)
        rows = ROWS_A_PAGE * pages_per_range
        wanted = -distinct * rows if distinct < 0 else distinct
        wanted = int(min(max(wanted, DISTINCT_MIN), rows))
        self._bytes = (math.ceil(-(wanted * math.log(rate)) / math.log(2) ** 2) + 7) // 8
        self._bits = 8 * self._bytes
        self._hashes = math.floor(math.log(1 / rate) / math.log(2) + 0.5)

    def _places(self, value: Datum) -> list[int]:
        """The bits of a value: two hashes make as many as it takes (Kirsch and Mitzenmacher 2006)."""
        mixed = self._hash(value) * _MIXED
        one, other = mixed >> 32 & 0xFFFFFFFF, mixed & 0xFFFFFFFF | 1
        return [(one + number * other) % self._bits for number in range(self._hashes)]

    def extended(self, part: Part | None, values: Sequence[Datum]) -> Part:
        """See ``BrinClass``. Errors: XX000 for a filter that no page has room for."""
        if part is None and self._bytes > FILTER_BYTES_MAX:
            raise InternalError(f"the bloom filter is too large ({self._bytes} > {FILTER_BYTES_MAX})")
        found = bytearray(part if part is not None else self._bytes)
        is_new = part is None
        for value in values:
            for place in self._places(value):
                if not found[place >> 3] >> (place & 7) & 1:
                    found[place >> 3] |= 1 << (place & 7)
                    is_new = True
        return bytes(found) if is_new else part

    def test(self, strategy: int, value: Datum, kind: int) -> Test:
        """See ``BrinClass``: equality alone."""
        if not _are_alike(kind, self._kind):
            return _always
        places = [(place >> 3, 1 << (place & 7)) for place in self._places(value)]
        return lambda part: all(part[at] & bit for at, bit in places)

    def encode(self, part: Part) -> bytes:
        """See ``BrinClass``."""
        return bytes(part)

    def decode(self, data: bytes) -> Part:
        """See ``BrinClass``."""
        if len(data) != self._bytes:
            raise ValueError(f"a Bloom filter of {len(data)} bytes, not {self._bytes}")
        return data


_BOXES, _RANGES, _ADDRESSES = 10060, 10078, 10018
"""Operator classes of GiST and SP-GiST that have the keys"""
_RANGE_ADJACENT, _GIST_ADJACENT = 17, 6
_RANGE_LESS, _RANGE_LESS_EQUAL, _RANGE_GREATER, _RANGE_GREATER_EQUAL = 20, 21, 22, 23


class Inclusion(BrinClass):
    """The key that bounds the values, as a page above GiST's leaves has it."""

    def __init__(self, kind: PgType, code: int) -> None:
        self._gist = gist_class(code, kind, ())
        self._is_range = code == _RANGES

    def extended(self, part: Part | None, values: Sequence[Datum]) -> Part:
        """See ``BrinClass``."""
        form = self._gist.form
        bound = form.union(list(map(self._gist.key, values)))
        if part is None:
            return bound
        return part if form.holds(part, bound) else form.union([part, bound])

    def test(self, strategy: int, value: Datum, kind: int) -> Test:
        """See ``BrinClass``."""
        if self._is_range and _RANGE_LESS <= strategy <= _RANGE_GREATER_EQUAL:
            return _range_order_test(strategy, self._gist.key(value))
        if self._is_range and strategy == _RANGE_ADJACENT:
            strategy = _GIST_ADJACENT
        meets = self._gist.test(strategy, value)
        return lambda part: meets(part, False)

    def encode(self, part: Part) -> bytes:
        """See ``BrinClass``."""
        return self._gist.form.encode(part)

    def decode(self, data: bytes) -> Part:
        """See ``BrinClass``."""
        return self._gist.form.decode(data)


def _range_order_test(strategy: int, wanted: GistKey) -> Test:
    """Ranges in their order: by their lower bounds first, empty ones before all others."""
    if wanted.low is None:
        tests: dict[int, Test] = {_RANGE_LESS: _never, _RANGE_LESS_EQUAL: lambda part: bool(part.empty)}
        return tests.get(strategy, _always)
    low = wanted.low
    if strategy in (_RANGE_LESS, _RANGE_LESS_EQUAL):
        return lambda part: part.empty or part.low <= low
    return lambda part: part.high is not None and part.high >= low


_BLOOM_CODES: Final = frozenset((
    10093, 10095, 10097, 10100, 10103, 10106, 10108, 10111, 10113, 10117, 10120, 10123, 10126, 10129, 10132, 10135,
    10138, 10141, 10144, 10147, 10150, 10155, 10158, 10162,
))  # fmt: skip
_MULTI_CODES: Final = frozenset((
    10099, 10102, 10105, 10110, 10114, 10116, 10119, 10122, 10125, 10128, 10134, 10137, 10140, 10143, 10146, 10149,
    10154, 10157, 10161,
))  # fmt: skip
_INCLUSION_CODES: Final = {10130: _ADDRESSES, 10159: _RANGES, 10163: _BOXES}
_CODES: Final = range(10092, 10164)


def brin_class(code: int, kind: PgType, options: Sequence[str], pages_per_range: int) -> BrinClass:
    """The class of a column of type ``kind``; ``code``: a built-in operator class, ``options`` its parameters."""
    given = dict(each.split("=", 1) for each in options)
    if code in _INCLUSION_CODES:
        return Inclusion(kind, _INCLUSION_CODES[code])
    if code in _BLOOM_CODES:
        distinct = float(given.get("n_distinct_per_range", DISTINCT_PER_RANGE))
        rate = float(given.get("false_positive_rate", FALSE_POSITIVE_RATE))
        return Bloom(kind, distinct, rate, pages_per_range)
    if code in _MULTI_CODES:
        return MinmaxMulti(Order(kind), int(given.get("values_per_range", VALUES_PER_RANGE)))
    if code in _CODES:
        return Minmax(Order(kind))
    raise InvariantViolation(f"BRIN has no code for operator class {code}")
