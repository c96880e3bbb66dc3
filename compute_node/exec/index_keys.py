"""Keys of an index scan: evaluates the values, knows when nothing can match, and fits values to the key's type.

Integers of another width may lie outside the key column's range (``int4col = int8value``): such an equality matches
nothing, and such a bound is either everything or nothing. Arrays are probed element by element, in the index's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum, Row
from compute_node.access.index_access import ScanKey, Settings
from compute_node.exec.compile.rows import row_function
from compute_node.exec.compile.runtime import flat
from compute_node.relations.access_methods import METHODS, NOT_NULL
from compute_node.sql import expressions as ex
from compute_node.sql.plan import BitmapHeapScan, IndexKey, IndexOrder, IndexScan
from compute_node.types.oids import BOOL, INT2, INT4, INT8

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.relations.descriptors import IndexDesc, RelationDesc

_RANGES = {INT2: (-(2**15), 2**15 - 1), INT4: (-(2**31), 2**31 - 1), INT8: (-(2**63), 2**63 - 1)}
Limits = tuple[int, int] | None


def narrowing(source: int, key: int) -> Limits:
    """The range that a value of type ``source`` must lie in to be a key of type ``key``; None when every value fits."""
    if source not in _RANGES or key not in _RANGES or _RANGES[source][1] <= _RANGES[key][1]:
        return None
    return _RANGES[key]


def key_types(relation: RelationDesc, index: IndexDesc) -> tuple[int, ...]:
    """The types of an index's key columns."""
    return index.key_types or tuple(relation.columns[attno - 1].type for attno in index.columns)


def scan_condition(plan: IndexScan | BitmapHeapScan) -> ex.Expr | None:
    """What each row found must meet."""
    if plan.recheck is None or plan.filter is None:
        return plan.filter if plan.recheck is None else plan.recheck
    return ex.And(type=BOOL, arguments=(plan.recheck, plan.filter))


class IndexOrders:
    """The compiled distances of one index scan."""

    __slots__ = ("_functions", "_orders", "_values")

    def __init__(self, orders: tuple[IndexOrder, ...], builder: Builder) -> None:
        self._orders = orders
        self._values: Callable[..., Row] = row_function(builder, [order.value for order in orders])
        self._functions = [builder.function(order.function).implementation for order in orders]

    def keys(self, ctx: ExecContext) -> list[ScanKey]:
        """With their values of now."""
        return [
            ScanKey(order.column, order.strategy, value, measure=function)
            for order, value, function in zip(self._orders, self._values(ctx), self._functions, strict=True)
        ]


class IndexKeys:
    """The compiled keys of one index scan: ``probes`` are the scans to make for them. ``is_lookup``: one value for each
    key column, so a single ``lookup`` of ``lookup_key`` will do."""

    __slots__ = (
        "_descending",
        "_equality",
        "_keys",
        "_kinds",
        "_limits",
        "_sort_values",
        "_values",
        "is_lookup",
        "is_point",
    )

    def __init__(
        self, relation: RelationDesc, index: IndexDesc, keys: tuple[IndexKey, ...], point: bool, builder: Builder
    ) -> None:
        types = key_types(relation, index)
        self._keys = keys
        method = METHODS[index.method]
        self._equality = method.equality
        self.is_point = point
        self.is_lookup = point and not any(key.array for key in keys)
        null = ex.Const(type=types[0], value=None)
        values = [null if key.value is None else key.value for key in keys]
        self._values: Callable[..., Row] = row_function(builder, values)
        self._limits: list[Limits] = []
        self._kinds: list[int] = []
        self._sort_values = [builder.type(types[key.column]).sort_value for key in keys]
        self._descending = [bool(index.descending) and index.descending[key.column] for key in keys]
        for key, node in zip(keys, values, strict=True):
            source = builder.type(node.type).element if key.array else node.type
            self._kinds.append(0 if method.strategies else builder.type(source).root.oid)
            # A class with strategies of its own knows the types of their values.
            fits = key.width != 1 or not method.strategies
            self._limits.append(None if fits else narrowing(source, types[key.column]))

    def lookup_key(self, ctx: ExecContext) -> Row | None:
        """The full key; None when nothing can match."""
        key = self._values(ctx)
        for value, limits in zip(key, self._limits, strict=True):
            if value is None or (limits is not None and not limits[0] <= value <= limits[1]):
                return None
        return key

    def probes(self, ctx: ExecContext, backward: bool) -> Iterator[list[ScanKey]]:
        """The keys of each scan to make, in the order of the index."""
        choices: list[list[ScanKey]] = []
        settings = ctx.session.get_setting
        for at, (key, value) in enumerate(zip(self._keys, self._values(ctx), strict=True)):
            found = (
                self._elements(at, key, value, backward, settings)
                if key.array
                else self._fitted(at, key, value, settings)
            )
            if not found:
                return
            choices.append(found)
        for probe in product(*choices):
            yield list(probe)

    def _fitted(self, at: int, key: IndexKey, value: Datum, settings: Settings) -> list[ScanKey]:
        """The scan key; none when nothing can match."""
        if key.value is None:
            return [ScanKey(key.column, key.strategy)]
        if value is None:
            return []
        limits = self._limits[at]
        if limits is None or limits[0] <= value <= limits[1]:
            return [ScanKey(key.column, key.strategy, value, key.width, None, self._kinds[at], settings)]
        if key.strategy == self._equality:
            return []
        is_above = value > limits[1]
        # Less than something above every key, or greater than something below: all but NULL.
        return [ScanKey(key.column, NOT_NULL)] if is_above == (key.strategy < self._equality) else []

    def _elements(self, at: int, key: IndexKey, array: Any, backward: bool, settings: Settings) -> list[ScanKey]:
        if array is None:
            return []
        limits = self._limits[at]
        values = [v for v in flat(array) if v is not None and (limits is None or limits[0] <= v <= limits[1])]
        values.sort(key=self._sort_values[at], reverse=backward != self._descending[at])
        found: list[ScanKey] = []
        for value in values:
            if not found or value != found[-1].value:
                found.append(ScanKey(key.column, key.strategy, value, kind=self._kinds[at], settings=settings))
        return found
