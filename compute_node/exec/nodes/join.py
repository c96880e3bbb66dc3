"""What joins of two sides have in common that can work by columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

from compute_node.exec.nodes.base import Batch, Node
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.exec.vectors.join import ColumnJoin
    from compute_node.exec.vectors.lookup import ColumnLookup


class JoinNode(Node):
    """The outer side streams; by columns it goes where the plan is one for columns (``_by_columns``)."""

    __slots__ = ("_by_columns", "_inner", "_kind", "_outer")

    _by_columns: ColumnJoin | ColumnLookup | None

    def __init__(self, plan: pl.NestLoop | pl.HashJoin, builder: Builder) -> None:
        self._kind = plan.kind
        self._outer = builder.node(plan.outer)
        self._inner = builder.node(plan.inner)
        self._by_columns = None
        self.nullable = None

    @property
    def column_kinds(self) -> str | None:
        """See ``Node``."""
        return None if self._by_columns is None else self._by_columns.kinds

    @property
    def columns_from(self) -> Node:
        """See ``Node``: the inner side may come by rows."""
        return self._outer

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """See ``Node``."""
        if self.has_columns(ctx):
            return (batch.rows() for batch in self.columns(ctx))
        return self._rows(ctx)

    @abstractmethod
    def _rows(self, ctx: ExecContext) -> Iterator[Batch]:
        """All of them, by rows."""
