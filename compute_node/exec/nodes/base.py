"""What every executor node is: shared, stateless, and asked for its rows in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from aurora.datum import Row
from aurora.errors import InvariantViolation
from compute_node.exec.compile.runtime import concatenate
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import expressions as ex
from compute_node.sql.plan import Plan

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.exec.vectors.vector import ColumnBatch

Batch = list[Row]


class Ran(NamedTuple):
    """So many runs, which gave so many rows."""

    loops: int
    rows: int


class Node(ABC):
    """``batches(ctx)`` gives the rows as non-empty lists of tuples. ``nullable`` tells per output column whether it may
    be NULL; None: any may."""

    __slots__ = ("nullable",)

    nullable: tuple[bool, ...] | None

    @abstractmethod
    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """The rows, lazily."""

    @property
    def column_kinds(self) -> str | None:
        """The form of each output column as a column (``exec/vectors/vector.py``), when the node can work by columns;
        None when it cannot."""
        return None

    @property
    def columns_from(self) -> Node | None:
        """The child whose columns those of this node are made of."""
        return None

    def has_columns(self, ctx: ExecContext) -> bool:
        """Whether this execution may ask for ``columns`` in place of ``batches``."""
        source = self.columns_from
        return source is not None and self.column_kinds is not None and source.has_columns(ctx)

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """The rows by column, lazily. A column may come as objects where values do not fit its form."""
        raise InvariantViolation("a node without columns")

    def keep_stored(self, positions: frozenset[int]) -> frozenset[int]:
        """The parent can do with handles of stored values in the output columns ``positions``: in which there may be
        some from now on. Asked once, before the node runs; see ``exec/stored_values.py``."""
        return frozenset()

    def ran(self, ctx: ExecContext, given: Ran, read: Ran) -> None:
        """The parent has done this node's work by itself. ``read``: what was left of it where the same was asked for
        again. For EXPLAIN ANALYZE."""
        return

    @property
    def is_lookup(self) -> bool:
        """Whether ``fetch`` is a look-up of few rows, cheaper than ``batches``."""
        return False

    def fetch(self, ctx: ExecContext) -> Batch:
        """All rows at once."""
        return concatenate(self.batches(ctx))


NODE_CLASSES: dict[type[Plan], Callable[[Any, Builder], Node]] = {}

_N = TypeVar("_N", bound=type[Node])


def executes(kind: type[Plan]) -> Callable[[_N], _N]:
    """Register the node class of a plan class."""

    def register(node_class: _N) -> _N:
        if kind in NODE_CLASSES:
            raise InvariantViolation(f"two nodes for {kind.__name__}")
        NODE_CLASSES[kind] = node_class
        return node_class

    return register


def output_nullable(output: Sequence[ex.Expr], source: Sequence[bool] | None) -> tuple[bool, ...]:
    """Which output columns may be NULL, given which input columns may."""

    def may_be_null(node: ex.Expr) -> bool:
        while isinstance(node, ex.Relabel):
            node = node.argument
        if isinstance(node, ex.Const):
            return node.value is None
        if isinstance(node, ex.Column) and node.side == 0 and source is not None and node.index < len(source):
            return source[node.index]
        return True

    return tuple(may_be_null(node) for node in output)


def scan_nullable(relation: RelationDesc, columns: Sequence[int], want_tid: bool) -> tuple[bool, ...]:
    """Which columns of a scan row may be NULL: those without NOT NULL; system columns never are."""
    flags = [attno > 0 and not relation.columns[attno - 1].not_null for attno in columns]
    return (*flags, False) if want_tid else tuple(flags)
