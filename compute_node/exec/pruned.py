"""Which children of an Append run, by the values that an execution has for its partition pruning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from aurora.datum import Datum
from compute_node.exec.compile.rows import value_function
from compute_node.sql.expressions import Const, Expr
from compute_node.sql.pruning import UNKNOWN, Pruning, Unknown

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

Child = TypeVar("Child")
Value = Callable[["ExecContext"], Datum]


class Pruned:
    """Of one Append; ``tables``: OIDs of its children's tables."""

    __slots__ = ("_pruning", "_tables", "_values")

    def __init__(self, pruning: Pruning, tables: Sequence[int], builder: Builder) -> None:
        self._pruning = pruning
        self._tables = tuple(tables)
        self._values: dict[int, Value] = {
            id(item): value_function(builder, item) for item in pruning.expressions() if not isinstance(item, Const)
        }

    def left(self, ctx: ExecContext, children: Sequence[Child]) -> list[Child]:
        """The children that may have rows for the parameters as they are now."""
        values = self._values

        def value_of(node: Expr) -> Datum | Unknown:
            if isinstance(node, Const):
                return node.value
            run = values.get(id(node))
            return UNKNOWN if run is None else run(ctx)

        left = self._pruning.leaves(value_of)
        return [child for child, table in zip(children, self._tables, strict=True) if table in left]


def pruned(pruning: Pruning | None, tables: Sequence[int], builder: Builder) -> Pruned | None:
    """What an Append asks before it runs; None: all children run."""
    return None if pruning is None else Pruned(pruning, tables, builder)
