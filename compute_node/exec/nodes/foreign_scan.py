"""ForeignScan: the rows that a foreign table's wrapper gives, filtered and projected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.errors import NotSupported
from compute_node.exec.compile.rows import batch_function
from compute_node.exec.foreign import wrapper_of
from compute_node.exec.nodes.base import Batch, Node, executes, output_nullable
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

_CTID, _TABLE_OID = -1, -6
_NO_ADDRESS = 0xFFFFFFFF << 16
"""(4294967295,0), as PostgreSQL shows it"""


@executes(pl.ForeignScan)
class ForeignScanNode(Node):
    """In the wrapper's order. Of the system columns there is ``tableoid``, and a ``ctid`` that is none; 0A000 for the
    others."""

    __slots__ = ("_asked", "_constants", "_order", "_relation", "_shape", "_types", "_wrapper")

    def __init__(self, plan: pl.ForeignScan, builder: Builder) -> None:
        system = {_TABLE_OID: plan.relation.oid, _CTID: _NO_ADDRESS}
        if any(attno < 0 and attno not in system for attno in plan.columns):
            raise NotSupported("cannot retrieve a system column in this context")
        self._relation = plan.relation
        self._wrapper = wrapper_of(plan.relation)
        self._types = {column.type: builder.type(column.type) for column in plan.relation.columns if not column.dropped}
        self._asked = tuple([attno for attno in plan.columns if attno > 0])
        # The wrapper's columns come first, then those that are the same for all rows.
        places, own = iter(range(len(self._asked))), len(self._asked)
        self._constants = tuple([system[attno] for attno in plan.columns if attno < 0])
        constants = iter(range(own, own + len(self._constants)))
        self._order = [next(places if attno > 0 else constants) for attno in plan.columns]
        self.nullable = output_nullable(plan.output, None)
        self._shape = batch_function(builder, plan.output, plan.filter, len(plan.columns))

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """See ``Node``."""
        shape, order, constants = self._shape, self._order, self._constants
        for rows in self._wrapper.rows(ctx, self._relation, self._asked, self._types):
            ctx.check()
            if constants:
                rows = [tuple([whole[at] for at in order]) for whole in [(*row, *constants) for row in rows]]
            found = rows if shape is None else shape(ctx, rows)
            if found:
                yield found
