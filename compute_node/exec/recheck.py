"""Finds a row again after one of the rows it is made of has changed (``sql/planner/recheck.py``).

The statement goes on with its snapshot: the other sources' rows are those that the first look found, and sub-selects in
conditions run as they always do. What the plan computes meanwhile (materialized rows, execution parameters) is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from compute_node.exec.assignments import FindAgain
from compute_node.exec.nodes.base import Node
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext


@dataclass(slots=True)
class Held:
    """A source's row: of a table the version at ``tid``, whose columns are ``values`` in attno order if it is newer
    than the statement's snapshot; of another source ``columns`` (attno → value)."""

    tid: int = 0
    values: Row | None = None
    columns: dict[int, Datum] | None = None


HELD = "held rows"
"""the key of ``ExecContext.scratch`` under which ``HeldRow`` nodes find theirs: source → ``Held``"""


class Rechecker:
    """One ``Recheck``; its nodes are made at the first need."""

    __slots__ = ("_builder", "_node", "_recheck")

    def __init__(self, recheck: pl.Recheck, builder: Builder) -> None:
        self._recheck = recheck
        self._builder = builder
        self._node: Node | None = None

    def row(self, ctx: ExecContext, row: Row, moved: dict[int, Held]) -> Row | None:
        """The row that ``row`` has become, ``moved`` (source → its newest version) given; None when it no longer
        belongs to the result."""
        held = dict(moved)
        for address in self._recheck.tids:
            tid = row[address.tid]
            if tid is not None:
                held.setdefault(address.of(row)[0], Held(tid))
        for source, columns in self._recheck.values:
            held[source] = Held(columns={attno: row[position] for attno, position in columns})
        if self._node is None:
            self._node = self._builder.node(self._recheck.plan)
        scratch, parameters = ctx.scratch, ctx.exec_params
        ctx.scratch, ctx.exec_params = {**scratch, HELD: held}, list(parameters)
        try:
            for batch in self._node.batches(ctx):
                return batch[0]
            return None
        finally:
            ctx.scratch, ctx.exec_params = scratch, parameters


def find_target_again(again: pl.Recheck | None, source: int, builder: Builder) -> FindAgain | None:
    """How UPDATE and DELETE of a join find a joined row again, the target's newest version given."""
    if again is None:
        return None
    rechecker = Rechecker(again, builder)

    def find(ctx: ExecContext, joined: Row, at: int, values: Row) -> Row | None:
        return rechecker.row(ctx, joined, {source: Held(at, values)})

    return find
