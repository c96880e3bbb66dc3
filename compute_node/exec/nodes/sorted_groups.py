"""Aggregation of rows that come in the order of the group keys: a group is given out when the next one begins, so that
only one is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.exec.nodes.aggregate import AggregateNode
from compute_node.exec.nodes.base import Batch, executes
from compute_node.sql import plan as pl
from compute_node.work.account import batch_bytes

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@executes(pl.SortedGroups)
class SortedGroupsNode(AggregateNode):
    """The groups of a batch are made as by hashing; all but the last of them are finished."""

    __slots__ = ()

    def __init__(self, plan: pl.SortedGroups, builder: Builder) -> None:
        super().__init__(plan, builder)
        # Groups of column batches do not come in the order of their keys.
        self._by_columns = None

    def _grouped(
        self, ctx: ExecContext, source: Iterator[Batch], level: int, groups: dict[Datum, list[Datum]] | None = None
    ) -> Iterator[Batch]:
        area = ctx.area()
        groups = {} if groups is None else groups
        for batch in source:
            ctx.check()
            if self._grows:
                area.add(batch_bytes(batch))
            self._step(ctx, batch, groups)
            if len(groups) > 1:
                last, state = groups.popitem()
                yield from self._results(ctx, list(groups.values()))
                groups = {last: state}
                area.clear()
        yield from self._results(ctx, list(groups.values()))
        area.clear()
