"""Keys of an index scan: evaluates the bounds, knows when nothing can match, and fits values to the key's type.

Integers of another width may lie outside the key column's range (``int4col = int8value``): such an equality matches
nothing, and such a bound is either everything or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aurora.errors import InvariantViolation
from compute_node.exec.compile.rows import row_function
from compute_node.exec.compile.runtime import flat
from compute_node.sql import expressions as ex
from compute_node.sql.plan import IndexScan
from compute_node.types.oids import INT2, INT4, INT8

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

Bound = tuple[Any, bool] | None

_RANGES = {INT2: (-(2**15), 2**15 - 1), INT4: (-(2**31), 2**31 - 1), INT8: (-(2**63), 2**63 - 1)}


@dataclass(slots=True)
class Probe:
    """One descent: ``full`` when ``equal`` covers every key column."""

    equal: tuple[Any, ...]
    lower: Bound = None
    upper: Bound = None
    full: bool = False


def narrowing(source: int, key: int) -> tuple[int, int] | None:
    """The range that a value of type ``source`` must lie in to be a key of type ``key``; None when every value fits."""
    if source not in _RANGES or key not in _RANGES or _RANGES[source][1] <= _RANGES[key][1]:
        return None
    return _RANGES[key]


class IndexKeys:
    """The compiled bounds of one IndexScan."""

    __slots__ = (
        "_any_array",
        "_bounds",
        "_equal",
        "_full",
        "_has_bounds",
        "_lower_inclusive",
        "_ranges",
        "_sort_value",
        "_upper_inclusive",
        "is_lookup",
    )

    def __init__(self, plan: IndexScan, builder: Builder) -> None:
        types = plan.index.key_types or tuple(plan.relation.columns[attno - 1].type for attno in plan.index.columns)
        self._full = len(plan.equal) == len(plan.index.columns)
        self._any_array = plan.any_array
        self.is_lookup = self._full and not plan.any_array
        self._equal: Callable[..., tuple[Any, ...]] = row_function(builder, plan.equal)
        self._ranges = []
        for position, node in enumerate(plan.equal):
            source = node.type
            if plan.any_array and position == len(plan.equal) - 1:
                source = builder.type(node.type).element
            self._ranges.append(narrowing(source, types[position]))
        self._has_bounds = plan.lower is not None or plan.upper is not None
        if self._has_bounds and self._full:
            raise InvariantViolation("an index scan with all keys given and bounds besides")
        bounds: list[ex.Expr] = []
        for bound in (plan.lower, plan.upper):
            bounds.append(bound[0] if bound is not None else ex.Const(type=types[0], value=None))
            if bound is not None:
                self._ranges.append(narrowing(bound[0].type, types[len(plan.equal)]))
            else:
                self._ranges.append(None)
        self._bounds: Callable[..., tuple[Any, ...]] = row_function(builder, bounds)
        self._lower_inclusive = None if plan.lower is None else plan.lower[1]
        self._upper_inclusive = None if plan.upper is None else plan.upper[1]
        self._sort_value = builder.type(types[len(plan.equal) - 1]).sort_value if plan.equal else None

    def lookup_key(self, ctx: ExecContext) -> tuple[Any, ...] | None:
        """The full key; None when nothing can match."""
        key = self._equal(ctx)
        for value, limits in zip(key, self._ranges, strict=False):
            if value is None or (limits is not None and not limits[0] <= value <= limits[1]):
                return None
        return key

    def probes(self, ctx: ExecContext, backward: bool) -> Iterator[Probe]:
        """The descents to make, in the order of the index."""
        if self._any_array:
            yield from self._array_probes(ctx, backward)
            return
        key = self.lookup_key(ctx)
        if key is None:
            return
        bounds = self._range(ctx)
        if bounds is not None:
            yield Probe(key, bounds[0], bounds[1], self._full)

    def _array_probes(self, ctx: ExecContext, backward: bool) -> Iterator[Probe]:
        *prefix, array = self._equal(ctx)
        if array is None or any(value is None for value in prefix):
            return
        bounds = self._range(ctx)
        if bounds is None:
            return
        limits = self._ranges[len(prefix)]
        values = [v for v in flat(array) if v is not None and (limits is None or limits[0] <= v <= limits[1])]
        values.sort(key=self._sort_value, reverse=backward)
        previous: Any = None
        for value in values:
            if previous is None or value != previous:
                yield Probe((*prefix, value), bounds[0], bounds[1], self._full)
            previous = value

    def _range(self, ctx: ExecContext) -> tuple[Bound, Bound] | None:
        """(lower, upper) for the column behind the equal ones; None when the range is empty."""
        if not self._has_bounds:
            return None, None
        low, high = self._bounds(ctx)
        lower = upper = None
        if self._lower_inclusive is not None:
            if low is None:
                return None
            limits = self._ranges[-2]
            if limits is not None and low > limits[1]:
                return None
            if limits is None or low >= limits[0]:
                lower = (low, self._lower_inclusive)
        if self._upper_inclusive is not None:
            if high is None:
                return None
            limits = self._ranges[-1]
            if limits is not None and high < limits[0]:
                return None
            if limits is None or high <= limits[1]:
                upper = (high, self._upper_inclusive)
        return lower, upper
