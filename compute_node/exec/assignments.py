"""UPDATE's row function: from the target's current columns to the new values of the assigned ones.

``Table.update_columns`` calls it with the columns it asked for, again with the newest committed version when the row
changed while we waited for its lock; it answers None when that version no longer satisfies WHERE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, NotSupported
from compute_node.access.table import RowMoved
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import batch_function
from compute_node.exec.compile.unit import Code, Scope, Unit
from compute_node.exec.constraints import Reason, RowViolation, not_null_attnos, refuse_row, violation
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import expressions as ex
from compute_node.sql.plan import PlannedCheck
from compute_node.sql.planner.quals import contains_volatile

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.exec.placing import Mover

Assignments = Sequence[tuple[int, ex.Expr]]
FindAgain = Callable[["ExecContext", Row, int, Row], Row | None]
"""(context, joined row, tid and columns of the target's newest version) → what the joined row has become, or None"""


@dataclass(slots=True)
class Outcome:
    """``tid`` of the new version, None when nothing was updated; ``gone``: the row no longer exists."""

    tid: int | None
    returned: Row | None = None
    gone: bool = False


def columns_used(nodes: Sequence[ex.Expr | None], side: int = 0) -> set[int]:
    """Indexes of the columns of one side that the expressions use."""
    used: set[int] = set()
    for node in nodes:
        if node is not None:
            used.update(item.index for item in ex.walk(node) if isinstance(item, ex.Column) and item.side == side)
    return used


def _follow(generated: Assignments, assigned: set[int]) -> Assignments:
    """The generated columns that are to be computed again: those that are set to DEFAULT, or read what is assigned."""
    return [
        (attno, node)
        for attno, node in generated
        if attno in assigned or any(index + 1 in assigned for index in columns_used([node]))
    ]


def generator(
    builder: Builder, relation: RelationDesc, generated: Assignments
) -> Callable[[ExecContext, list[Row]], list[Row]] | None:
    """A function that fills the generated columns of full new rows in; None: there are none."""
    if not generated:
        return None
    made = dict(generated)
    output = [
        made.get(column.attno, ex.Column(type=column.type, typmod=column.typmod, index=column.attno - 1))
        for column in relation.columns
    ]
    return batch_function(builder, output, None, len(output))


class RowChange:
    """The compiled change of one UPDATE (or ON CONFLICT DO UPDATE, whose ``proposed`` row is side 1).

    ``changed``: assigned attnos. ``needed``: attnos that ``compute`` takes (all with ``whole``). ``uses_joined``:
    expressions refer to columns of the child's row behind the target's. ``shown``: see ``violation``. ``by_row``: each
    row must be changed by ``apply``: it may belong into another partition then, or views ask something of it when it is
    stored.
    """

    __slots__ = (
        "_builder",
        "_found_checks",
        "_generated",
        "_make",
        "_mover",
        "_relation",
        "_returning",
        "_row_checks",
        "_shown",
        "_system",
        "_verify_stored",
        "by_row",
        "changed",
        "needed",
        "uses_joined",
    )

    def __init__(
        self,
        builder: Builder,
        relation: RelationDesc,
        assignments: Assignments,
        recheck: ex.Expr | None,
        checks: Sequence[tuple[str, ex.Expr]],
        returning: Sequence[ex.Expr],
        proposed: bool = False,
        whole: bool = False,
        system: tuple[int, ...] = (),
        generated: Assignments = (),
        shown: tuple[RelationDesc, tuple[int, ...]] | None = None,
        row_checks: Sequence[PlannedCheck] = (),
        mover: Mover | None = None,
    ) -> None:
        self._mover = mover
        self._system = system
        self._shown = shown
        self._builder = builder
        self._relation = relation
        self._generated = _follow(generated, {attno for attno, _ in assignments})
        following = {attno for attno, _ in self._generated}
        assignments = [each for each in assignments if each[0] not in following]
        self.changed = tuple(attno for attno, _ in (*assignments, *self._generated))
        width = len(relation.columns)
        if recheck is not None and not proposed and contains_volatile(builder, recheck):
            recheck = None
        self._found_checks = [check for check in row_checks if check.kind in ("conflict", "merge update")]
        of_views = [check for check in row_checks if check.of_view]
        self._row_checks = [check for check in row_checks if check.kind == "update"]
        self.by_row = mover is not None or bool(of_views)
        of_found = [check.condition for check in self._found_checks]
        used = columns_used([*(node for _, node in assignments), recheck, *of_found])
        self.uses_joined = any(index >= width for index in used | columns_used(returning))
        columns = {index for index in used if index < width}
        over_new = [node for _, node in (*checks, *self._generated)]
        over_new += [check.condition for check in (*self._row_checks, *of_views)]
        columns |= {index for index in columns_used(over_new) if index + 1 not in self.changed}
        if returning or whole or mover is not None:
            columns |= set(range(width))
        self.needed = tuple(sorted(index + 1 for index in columns))
        unit = Unit()
        lines = self.maker_lines(unit, assignments, recheck, checks, bool(returning or of_views), proposed)
        # Helper functions of the expressions take y, which only RETURNING has.
        self._make: Callable[..., Datum] = unit.link(unit.function("c, s, keep, y=None", lines))
        self._returning: Callable[..., Row] | None = None
        if returning:
            unit = Unit()
            compiler = Compiler(unit, self.new_row_scope(width, joined=not proposed), builder)
            text = compiler.tuple_of(returning)
            self._returning = unit.link(unit.function("c, r, n, s, y", [f"return {text}"]))
        self._verify_stored: Callable[..., None] | None = None
        if of_views:
            unit = Unit()
            compiler = Compiler(unit, self.new_row_scope(width, joined=False), builder)
            lines = _asked(of_views, compiler, unit, unit.bind(_fail, "g"))
            self._verify_stored = unit.link(unit.function("c, r, n, s=None, y=None", lines))

    def old_row_scope(self, proposed: bool) -> Scope:
        """Side 0: the target's columns as ``r`` (positions in ``needed``), joined ones as ``s``; side 1: the
        proposed."""
        positions = {attno - 1: position for position, attno in enumerate(self.needed)}
        described = self._relation.columns

        def column(side: int, index: int) -> Code:
            if side == 2:
                return Code(f"y[{index}]", True, True)
            if side == 1:
                return Code(f"s[{index}]", True, True)
            if index in positions:
                return Code(f"r[{positions[index]}]", not described[index].not_null, True)
            return Code(f"s[{index}]", True, True)

        return Scope(column, ("r", "s", "y"))

    def new_row_scope(self, width: int, joined: bool = True) -> Scope:
        """The row after the change: assigned columns from ``n``, others from ``r``, joined ones from ``s``."""
        positions = {attno - 1: position for position, attno in enumerate(self.needed)}
        assigned = {attno - 1: position for position, attno in enumerate(self.changed)}

        def column(side: int, index: int) -> Code:
            if side == 2:
                return Code(f"y[{index}]", True, True)
            if index in assigned:
                return Code(f"n[{assigned[index]}]", True, True)
            if index < width or not joined:
                return Code(f"r[{positions[index]}]", True, True)
            return Code(f"s[{index}]", True, True)

        return Scope(column, ("r", "n", "s", "y"))

    def maker_lines(
        self,
        unit: Unit,
        assignments: Assignments,
        recheck: ex.Expr | None,
        checks: Sequence[tuple[str, ex.Expr]],
        keep: bool,
        proposed: bool = False,
    ) -> list[str]:
        """Lines that define ``compute(r)`` over c, p, x, s (and ``keep``) and return it."""
        return (
            ["def compute(r):"]
            + [f"    {line}" for line in self.compute_lines(unit, assignments, recheck, checks, keep, proposed)]
            + ["return compute"]
        )

    def compute_lines(
        self,
        unit: Unit,
        assignments: Assignments,
        recheck: ex.Expr | None,
        checks: Sequence[tuple[str, ex.Expr]],
        keep: bool,
        proposed: bool = False,
    ) -> list[str]:
        """The body of ``compute``."""
        compiler = Compiler(unit, self.old_row_scope(proposed), self._builder)
        lines = []
        if recheck is not None:
            lines.append(f"if not {compiler.truth(recheck).text}: return None")
        for check in self._found_checks:
            refuse = unit.bind(refuse_row, "g")
            lines.append(f"if not ({compiler.truth(check.condition).text}): {refuse}({unit.bind(check)})")
        values = [compiler.value(node) for _, node in assignments]
        text = tuple_text([value.text for value in values])
        fresh = Compiler(unit, self.new_row_scope(len(self._relation.columns), joined=False), self._builder)
        made = [fresh.value(node) for _, node in self._generated]
        values += made
        fail = unit.bind(_fail, "g")
        must = not_null_attnos(self._relation)
        guarded = [
            (position, attno)
            for position, attno in enumerate(self.changed)
            if attno in must and values[position].nullable
        ]
        if not guarded and not checks and not keep and not made and not self._row_checks and self._mover is None:
            return [*lines, f"return {text}"]
        lines.append(f"n = {text}")
        if made:
            lines.append(f"n += {tuple_text([value.text for value in made])}")
        if self._mover is not None:
            scope = self.new_row_scope(len(self._relation.columns), joined=False)
            row = tuple_text([scope.column(0, index).text for index in range(len(self._relation.columns))])
            lines.append(f"{unit.bind(self._test_place, 'g')}(c, {row}, r, n)")
        lines += _asked(self._row_checks, fresh, unit, fail)
        for position, attno in guarded:
            lines.append(f"if n[{position}] is None: {fail}({unit.bind(attno)}, n)")
        for name, node in checks:
            lines.append(f"if {fresh.falsity(node).text}: {fail}({unit.bind(name)}, n)")
        if keep:
            lines.append("keep[0] = (r, n)")
        return [*lines, "return n"]

    def _test_place(self, ctx: ExecContext, row: Row, old: Row, changed: Row) -> None:
        """Ends the change of a row in this table when it belongs into another partition."""
        if self._mover is not None and not self._mover.is_at_home(ctx, row):
            raise _RowMoves(row, old, changed)

    def apply(
        self, ctx: ExecContext, table: Table, tid: int, joined: Row | None, find_again: FindAgain | None = None
    ) -> Outcome:
        """Update the row at ``tid``, as the snapshot found it. ``find_again``: what a joined row has become, given the
        target's newest version."""
        keep: list[Datum] = [None]
        compute: Callable[[Row], Row | None] = self._make(ctx, joined, keep)

        def recheck(at: int, row: Row) -> Callable[[Row], Row | None] | None:
            nonlocal joined
            if find_again is None or joined is None:
                return compute
            fresh = find_again(ctx, joined, at, row)
            if fresh is None:
                return None
            joined = fresh
            again: Callable[[Row], Row | None] = self._make(ctx, fresh, keep)
            return again

        while True:
            try:
                new_tid = table.update_columns(ctx.txn, ctx.snapshot, tid, self.changed, compute, self.needed, recheck)
                self._ask_views(ctx, new_tid, keep)
            except RowViolation as failure:
                raise self.explain(ctx, table, tid, failure) from None
            except _RowMoves as move:
                moved = self._move(ctx, table, tid, move)
                if moved is None:
                    continue
                table, new_tid = moved
                keep[0] = move.old, move.changed
            if new_tid is None:
                return Outcome(None)
            return Outcome(new_tid, self._returned(ctx, table, new_tid, keep, joined))

    def _ask_views(self, ctx: ExecContext, tid: int | None, keep: list[Datum]) -> None:
        """Raises ``RowViolation`` where a view refuses the row that was stored."""
        if self._verify_stored is not None and tid is not None:
            old, new = keep[0]
            self._verify_stored(ctx, old, new)

    def _move(self, ctx: ExecContext, table: Table, tid: int, move: _RowMoves) -> tuple[Table, int] | None:
        """Take a row out of its table, and store what it has become where that belongs. None: it has changed since."""
        mover = self._mover
        if mover is None:
            raise InvariantViolation("a row moves that may not")
        if not mover.may_leave:
            raise mover.test.violation(ctx, move.row)
        gone = table.delete(ctx.txn, ctx.snapshot, tid, lambda row, at: tuple(row) == move.old, self.needed, away=True)
        return mover.store(ctx, move.old, move.row) if gone else None

    def computer(self, ctx: ExecContext) -> Callable[[Row], Row | None]:
        """One ``compute`` for all rows of an execution, when no joined columns and no RETURNING take part."""
        compute: Callable[[Row], Row | None] = self._make(ctx, None, None)
        return compute

    def apply_latest(self, ctx: ExecContext, table: Table, tid: int, proposed: Row) -> Outcome:
        """ON CONFLICT DO UPDATE: update the conflicting row, which may be newer than the statement's snapshot."""
        keep: list[Datum] = [None]
        compute = self._make(ctx, proposed, keep)
        met: list[Row] = []

        def observed(row: Row) -> Row | None:
            met.append(row)
            result: Row | None = compute(row)
            return result

        latest = ctx.storage.txns.latest_snapshot(ctx.txn)
        try:
            new_tid = table.update_columns(ctx.txn, latest, tid, self.changed, observed, self.needed)
            self._ask_views(ctx, new_tid, keep)
        except RowViolation as failure:
            raise self.explain(ctx, table, tid, failure) from None
        except RowMoved:
            # As if it had been deleted: what was to be inserted is looked at anew.
            return Outcome(None, gone=True)
        except _RowMoves:
            raise NotSupported(
                "invalid ON UPDATE specification",
                detail="The result tuple would appear in a different partition than the original tuple.",
            ) from None
        if new_tid is None:
            return Outcome(None, gone=not met)
        return Outcome(new_tid, self._returned(ctx, table, new_tid, keep, proposed))

    def _returned(self, ctx: ExecContext, table: Table, tid: int, keep: list[Datum], joined: Row | None) -> Row | None:
        if self._returning is None:
            return None
        old, new = keep[0]
        return self._returning(ctx, old, new, joined, system_values(ctx, table, tid, self._system))

    def explain(self, ctx: ExecContext, table: Table, tid: int, failure: RowViolation) -> Exception:
        """The client's error: completes the row from the table."""
        columns = tuple(column.attno for column in self._relation.columns)
        row = list(table.fetch(ctx.snapshot, tid, columns) or (None,) * len(columns))
        for attno, value in zip(self.changed, failure.changed, strict=True):
            row[attno - 1] = value
        return violation(ctx, self._builder, self._relation, tuple(row), failure.reason, self._shown)


def system_values(ctx: ExecContext, table: Table, tid: int, system: tuple[int, ...]) -> Row:
    """The system columns of the version that this command has made at ``tid``."""
    if not system:
        return ()
    row = system_row(table, ctx.storage.txns.latest_snapshot(ctx.txn), tid, system)
    if row is None:
        raise InvariantViolation(f"the row at {tid} that was just written is not there")
    return row


def system_row(table: Table, snapshot: Snapshot, tid: int, system: tuple[int, ...]) -> Row | None:
    """The system columns of a version; None where there is none."""
    stored = tuple([attno for attno in system if attno != _TABLE])
    row = table.fetch(snapshot, tid, stored)
    if row is None or len(stored) == len(system):
        return row
    values = iter(row)
    return tuple([int(table.desc.oid) if attno == _TABLE else next(values) for attno in system])


class _RowMoves(Exception):
    """A new row belongs into another partition. ``old`` and ``changed`` are what RETURNING is computed from."""

    def __init__(self, row: Row, old: Row, changed: Row) -> None:
        super().__init__()
        self.row, self.old, self.changed = row, old, changed


_TABLE = -6
"""attno of tableoid"""


def _asked(row_checks: Sequence[PlannedCheck], fresh: Compiler, unit: Unit, fail: str) -> list[str]:
    """Lines that ask it of a new row."""
    return [f"if not ({fresh.truth(check.condition).text}): {fail}({unit.bind(check)}, n)" for check in row_checks]


def _fail(reason: Reason, changed: Row) -> None:
    raise RowViolation(reason, changed)
