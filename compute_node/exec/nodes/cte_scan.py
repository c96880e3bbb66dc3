"""CteScan: reads a WITH query's rows, computed once an execution and as far as somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from compute_node.exec.compile.rows import batch_function
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.sql import plan as pl
from compute_node.work.spill import Tuplestore

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


class SharedRows:
    """The batches of a CTE so far, and where further ones come from; several readers follow it."""

    __slots__ = ("_source", "_store", "key")

    def __init__(self, key: list[Datum], source: Iterator[Batch], store: Tuplestore) -> None:
        self.key = key
        self._store = store
        self._source: Iterator[Batch] | None = source

    def read(self) -> Iterator[Batch]:
        """All batches from the first."""
        position = 0
        store = self._store
        while True:
            batch = store.entry(position)
            if batch is None:
                batch = next(self._source, None) if self._source is not None else None
                if batch is None:
                    self._source = None
                    return
                store.append(batch)
            yield batch
            position += 1

    def close(self) -> None:
        """Nobody reads any more."""
        self._source = None
        self._store.close()


def shared_rows(
    ctx: ExecContext, builder: Builder, number: int, free: list[int], working: Sequence[tuple[str, int]] = ()
) -> SharedRows:
    """The state of CTE ``number`` in this execution; started anew when a parameter that it depends on has changed, or
    the recursion around it has come to another step."""
    key = [ctx.exec_params[index] for index in free]
    if working:
        key += [ctx.scratch[name] for name in working]
    state: SharedRows | None = ctx.scratch.get(("cte", number))
    if state is None or state.key != key:
        if state is not None:
            state.close()
        state = ctx.scratch[("cte", number)] = SharedRows(key, builder.cte(number).batches(ctx), ctx.tuplestore())
    return state


@executes(pl.CteScan)
class CteScanNode(Node):
    """``working`` reads the recursive term's working table instead."""

    __slots__ = ("_around", "_builder", "_cte", "_free", "_shape", "_working")

    def __init__(self, plan: pl.CteScan, builder: Builder) -> None:
        self._builder = builder
        self._cte = plan.cte
        self._working = plan.working
        target = builder.planned.ctes[plan.cte]
        self._free: list[int] = []
        self._around: list[tuple[str, int]] = []
        if not plan.working:
            self._free = sorted(builder.free(target))
            self._around = [("working", cte) for cte in sorted(builder.working(target) - {plan.cte})]
            # Built here once, so that errors of the CTE's expressions come with the statement, not with its first row.
            builder.cte(plan.cte)
        width = len(target.initial.output if isinstance(target, pl.RecursiveUnion) else _columns(target))
        self._shape = batch_function(builder, plan.output, plan.filter, width)
        self.nullable = output_nullable(plan.output, None)

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The projected rows."""
        if self._working:
            source: Iterator[Batch] = ctx.scratch[("working", self._cte)].batches()
        else:
            source = shared_rows(ctx, self._builder, self._cte, self._free, self._around).read()
        shape = self._shape
        for batch in source:
            rows = batch if shape is None else shape(ctx, batch)
            if rows:
                yield rows


def _columns(plan: pl.Plan) -> Row:
    """The output columns of a WITH query: RETURNING's for a data-modifying one."""
    if isinstance(plan, (pl.Insert, pl.Update, pl.Delete)):
        return plan.returning
    return plan.output
