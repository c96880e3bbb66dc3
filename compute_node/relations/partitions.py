"""How a partitioned table divides its rows: the key, the bounds of partitions, and who holds which key values.

A ``PartitionKey`` is what pg_partitioned_table says, a ``PartitionBound`` what pg_class.relpartbound says of one
partition. ``PartitionIndex`` puts the bounds of one table's partitions in order and finds the partition of a row by
binary search, a dictionary or a hash. Values are compared by the forms that ``PgType.sort_value`` gives. Source:
PostgreSQL manual, ch. 5.11.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aurora.datum import Datum
from compute_node.types.registry import PgType, TypeEnv

RANGE, LIST, HASH = "r", "l", "h"
STRATEGIES: Final = {RANGE: "RANGE", LIST: "LIST", HASH: "HASH"}
HASH_SEED: Final = 0x7A5B22367996DCFD
"""with which the extended hash functions are called"""
_MASK64: Final = 0xFFFFFFFFFFFFFFFF
PACKED: Final = '{"strategy"'
"""how a packed bound begins"""
NONE: Final = -1
"""no partition"""


@dataclass(frozen=True, slots=True)
class Edge:
    """MINVALUE (-1) or MAXVALUE (1) in a range bound."""

    side: int


MINVALUE: Final = Edge(-1)
MAXVALUE: Final = Edge(1)


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """One row of pg_partitioned_table. ``columns`` are attnos, 0 for an expression (SQL text in ``expressions``, in
    order); the other tuples have an item a key column. ``compared`` are the types as which values are ordered, which
    know the collation; ``hashes`` the extended hash functions (OIDs), of hash partitioning."""

    strategy: str
    columns: tuple[int, ...]
    expressions: tuple[str, ...]
    types: tuple[int, ...]
    typmods: tuple[int, ...]
    operator_classes: tuple[int, ...]
    collations: tuple[int, ...]
    compared: tuple[int, ...]
    hashes: tuple[int, ...] = ()
    default: int = 0
    """OID of the default partition, 0 without one"""


@dataclass(frozen=True, slots=True)
class PartitionBound:
    """The values that one partition takes: of a range ``lower`` (inclusive) and ``upper`` (exclusive), of a list
    ``values`` (None among them for NULL), of a hash ``modulus`` and ``remainder``; or what no other takes."""

    strategy: str
    is_default: bool = False
    lower: tuple[Datum, ...] = ()
    upper: tuple[Datum, ...] = ()
    values: tuple[Datum, ...] = ()
    modulus: int = 0
    remainder: int = 0

    def packed(self, key: PartitionKey, type_of: Callable[[int], PgType], env: TypeEnv) -> str:
        """As pg_class.relpartbound keeps it: JSON, values as text."""

        def text(value: Datum, place: int) -> str | list[int] | None:
            if value is None:
                return None
            return [value.side] if isinstance(value, Edge) else type_of(key.types[place]).output(value, env)

        return json.dumps(
            {
                "strategy": self.strategy,
                "default": self.is_default,
                "lower": [text(value, place) for place, value in enumerate(self.lower)],
                "upper": [text(value, place) for place, value in enumerate(self.upper)],
                "values": [text(value, 0) for value in self.values],
                "modulus": self.modulus,
                "remainder": self.remainder,
            }
        )

    @staticmethod
    def unpacked(kept: str, key: PartitionKey, type_of: Callable[[int], PgType], env: TypeEnv) -> PartitionBound:
        """The inverse of ``packed``."""

        def value(item: Datum, place: int) -> Datum:
            if item is None:
                return None
            if isinstance(item, list):
                return MINVALUE if item[0] < 0 else MAXVALUE
            return type_of(key.types[place]).input(item, -1, env)

        found = json.loads(kept)
        return PartitionBound(
            found["strategy"],
            found["default"],
            tuple([value(item, place) for place, item in enumerate(found["lower"])]),
            tuple([value(item, place) for place, item in enumerate(found["upper"])]),
            tuple([value(item, 0) for item in found["values"]]),
            found["modulus"],
            found["remainder"],
        )


Form = Callable[[Datum], Datum]
"""a value → what stands for it in comparisons"""


def comparison_forms(key: PartitionKey, type_of: Callable[[int], PgType]) -> tuple[Form | None, ...]:
    """For each key column what values are compared as; None: as they are."""
    return tuple([type_of(oid).sort_value for oid in key.compared])


def combined_hash(hashes: Iterable[int | None]) -> int:
    """The hash of a row from the extended hashes of its key values, of which NULL (None) has none."""
    total = 0
    for item in hashes:
        if item is not None:
            total ^= (item & _MASK64) + 0x49A0F4DD15E5A8E3 + (total << 54) + (total >> 7) & _MASK64
    return total


class PartitionIndex:
    """The partitions of one table in PostgreSQL's order of bounds; each has a number from 0. ``oids`` are theirs,
    ``default`` the number of the default partition (``NONE`` without one), which comes last."""

    __slots__ = (
        "_by_value", "_forms", "_null", "_points", "_remainders", "_single", "_takers", "bounds", "default", "hash_of",
        "key", "modulus", "oids",
    )  # fmt: skip

    def __init__(
        self,
        key: PartitionKey,
        forms: tuple[Form | None, ...],
        partitions: Sequence[tuple[int, PartitionBound]],
        hash_of: Callable[[Sequence[Datum]], int] | None = None,
    ) -> None:
        self.hash_of = hash_of
        """of hash partitioning: key values → ``combined_hash``, where that is at hand"""
        self.key = key
        self._forms = forms
        ordered = self._in_order(partitions)
        self.oids = [oid for oid, _ in ordered]
        self.bounds = [bound for _, bound in ordered]
        self.default = next((number for number, bound in enumerate(self.bounds) if bound.is_default), NONE)
        self.modulus = max((bound.modulus for bound in self.bounds), default=0)
        self._by_value: dict[Datum, int] = {}
        self._null = self.default
        self._points: list[Datum] = []
        self._takers: list[int] = [self.default]
        self._remainders: list[int] = [NONE] * self.modulus
        self._single = len(key.columns) == 1
        make = {RANGE: self._make_ranges, LIST: self._make_lists, HASH: self._make_hashes}
        make[key.strategy]()

    # --- making -----------------------------------------------------------------------------------------------------

    def form(self, value: Datum, place: int = 0) -> Datum:
        """What a value that is not NULL is compared as."""
        convert = self._forms[place]
        return value if convert is None else convert(value)

    def point(self, values: Sequence[Datum]) -> tuple[tuple[int, Datum], ...]:
        """A range bound, or a row's key, as what compares with others: (-1, 0) for MINVALUE, (1, 0) for MAXVALUE."""
        return tuple(
            [
                (value.side, 0) if isinstance(value, Edge) else (0, self.form(value, place))
                for place, value in enumerate(values)
            ]
        )

    def _in_order(self, partitions: Sequence[tuple[int, PartitionBound]]) -> list[tuple[int, PartitionBound]]:
        named = [(oid, bound) for oid, bound in partitions if not bound.is_default]
        rest = [(oid, bound) for oid, bound in partitions if bound.is_default]
        if self.key.strategy == HASH:
            named.sort(key=lambda item: (item[1].modulus, item[1].remainder))
        elif self.key.strategy == RANGE:
            named.sort(key=lambda item: self.point(item[1].lower))
        else:
            named.sort(key=self._first_value)
        return named + rest

    def _first_value(self, item: tuple[int, PartitionBound]) -> tuple[int, Datum]:
        forms = [self.form(value) for value in item[1].values if value is not None]
        return (0, min(forms)) if forms else (1, 0)

    def _make_ranges(self) -> None:
        """``_points`` are where one range ends or begins, ``_takers`` who takes what is before, between and after."""
        points: list[Datum] = []
        for number, bound in enumerate(self.bounds):
            if bound.is_default:
                continue
            lower, upper = self.point(bound.lower), self.point(bound.upper)
            if points and points[-1] == lower:
                self._takers[-1] = number
            else:
                points.append(lower)
                self._takers.append(number)
            points.append(upper)
            self._takers.append(self.default)
        if self._single:
            # Values that are no edges compare by themselves; MINVALUE is before all of them, MAXVALUE after.
            if points and points[0][0][0] < 0:
                del points[0], self._takers[0]
            if points and points[-1][0][0] > 0:
                del points[-1], self._takers[-1]
            points = [point[0][1] for point in points]
        self._points = points

    def _make_lists(self) -> None:
        for number, bound in enumerate(self.bounds):
            for value in bound.values:
                if value is None:
                    self._null = number
                else:
                    self._by_value[self.form(value)] = number

    def _make_hashes(self) -> None:
        for number, bound in enumerate(self.bounds):
            for remainder in range(bound.remainder, self.modulus, bound.modulus):
                self._remainders[remainder] = number

    def convert(self, place: int) -> Form | None:
        """What makes the form of a key column's value; None: it is the value itself."""
        return self._forms[place]

    # --- asking -----------------------------------------------------------------------------------------------------

    def of_value(self, value: Datum) -> int:
        """Of a list's key, or of a range's with one column: the partition of a value, ``NONE`` without one."""
        if value is None:
            return self._null
        convert = self._forms[0]
        if convert is not None:
            value = convert(value)
        if self.key.strategy == LIST:
            return self._by_value.get(value, self.default)
        return self._takers[bisect_right(self._points, value)]

    def of_values(self, values: Sequence[Datum]) -> int:
        """Of a range's key with several columns."""
        if None in values:
            return self.default
        return self._takers[bisect_right(self._points, self.point(values))]

    def of_hash(self, combined: int) -> int:
        """Of a hash's key: by ``combined_hash``."""
        return self._remainders[combined % self.modulus] if self.modulus else NONE

    @property
    def points(self) -> list[Datum]:
        """Where ranges end or begin, in order: forms of values where the key has one column, else ``point``s."""
        return self._points

    @property
    def takers(self) -> list[int]:
        """Who takes what is before the first point, between two of them, after the last; ``NONE``: nobody."""
        return self._takers

    @property
    def by_value(self) -> dict[Datum, int]:
        """Of a list: form of a value → who takes it."""
        return self._by_value

    @property
    def null(self) -> int:
        """Who takes NULL."""
        return self._null

    @property
    def remainders(self) -> list[int]:
        """Of a hash, who takes which remainder of ``modulus``."""
        return self._remainders
