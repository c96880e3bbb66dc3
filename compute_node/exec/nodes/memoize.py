"""Memoize: the rows of a parameterised inner side, kept by their parameters; the least recently used are given up first
when memory ends."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from operator import is_not
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.compile.runtime import exact
from compute_node.exec.nodes.base import Batch, Node, Ran, executes
from compute_node.sql import plan as pl
from compute_node.work.account import KB, Area, batch_bytes

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext, Fact

COUNTED = ("Cache Hits", "Cache Misses", "Cache Evictions", "Cache Overflows", "Peak Memory Usage")
ENTRY_BYTES = 200
"""an entry beside its rows"""


class _Cache:
    """Of one execution."""

    __slots__ = ("_tables", "area", "entries", "facts")

    def __init__(self, area: Area) -> None:
        self.area = area
        self._tables: list[object] = []
        self.entries: OrderedDict[Datum, tuple[list[Batch], int]] = OrderedDict()
        self.facts: dict[str, Fact] = dict.fromkeys(COUNTED, 0)
        """what EXPLAIN ANALYZE shows"""

    def _count(self, name: str) -> None:
        self.facts[name] = int(self.facts[name]) + 1

    def begin(self, tables: list[object]) -> None:
        """What is kept is of these working tables: others are another step's of a recursion."""
        if len(tables) != len(self._tables) or any(map(is_not, tables, self._tables)):
            self._tables = tables
            self.entries.clear()
            self.area.clear()

    def find(self, key: Datum) -> list[Batch] | None:
        """The rows of a key, if they are kept."""
        found = self.entries.get(key)
        if found is None:
            self._count("Cache Misses")
            return None
        self._count("Cache Hits")
        self.entries.move_to_end(key)
        return found[0]

    def keep(self, key: Datum, rows: list[Batch], size: int) -> None:
        """Keep the rows of a key; others go to make room."""
        if size > self.area.limit_bytes:
            self._count("Cache Overflows")
            return
        self.entries[key] = (rows, size)
        full = self.area.add(size)
        self.facts["Peak Memory Usage"] = -(-self.area.peak_bytes // KB)
        while full and len(self.entries) > 1:
            _, (_, freed) = self.entries.popitem(last=False)
            self.area.take_back(freed)
            self._count("Cache Evictions")
            full = self.area.used_bytes > self.area.limit_bytes


@executes(pl.Memoize)
class MemoizeNode(Node):
    """The parameters are all those that the child depends on, so the same ones give the same rows. Those that are only
    equal, such as 1.0 and 1.00, may not: a condition or the rows may show the difference."""

    __slots__ = ("_child", "_free", "_working")

    def __init__(self, plan: pl.Memoize, builder: Builder) -> None:
        self._child = builder.node(plan.child)
        self._free = sorted(builder.free(plan.child))
        self._working = [("working", cte) for cte in sorted(builder.working(plan.child))]
        self.nullable = self._child.nullable

    def _state(self, ctx: ExecContext) -> tuple[_Cache, Datum]:
        cache: _Cache | None = ctx.scratch.get(self)
        if cache is None:
            cache = ctx.scratch[self] = _Cache(ctx.area(hashed=True))
            ctx.tell_on(self, cache.facts)
        if self._working:
            cache.begin([ctx.scratch[name] for name in self._working])
        return cache, tuple([exact(ctx.exec_params[number]) for number in self._free])

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The child's rows, or those kept. What the parent did not read to its end is not kept."""
        cache, key = self._state(ctx)
        found = cache.find(key)
        if found is not None:
            yield from found
            return
        gathered: list[Batch] = []
        size = ENTRY_BYTES
        for batch in self._child.batches(ctx):
            if size <= cache.area.limit_bytes:
                size += batch_bytes(batch)
                gathered.append(batch)
            else:
                gathered = []
            yield batch
        cache.keep(key, gathered, size)

    def ran(self, ctx: ExecContext, given: Ran, read: Ran) -> None:
        """What was not read was kept."""
        facts = dict(ctx.told(self)) or dict.fromkeys(COUNTED, 0)
        facts["Cache Hits"] = int(facts["Cache Hits"]) + given.loops - read.loops
        facts["Cache Misses"] = int(facts["Cache Misses"]) + read.loops
        ctx.tell_on(self, facts)
        self._child.ran(ctx, read, read)

    @property
    def is_lookup(self) -> bool:
        """The child's."""
        return self._child.is_lookup

    def fetch(self, ctx: ExecContext) -> Batch:
        """The rows at once."""
        cache, key = self._state(ctx)
        found = cache.find(key)
        if found is not None:
            return found[0] if found else []
        rows = self._child.fetch(ctx)
        cache.keep(key, [rows] if rows else [], ENTRY_BYTES + batch_bytes(rows))
        return rows
