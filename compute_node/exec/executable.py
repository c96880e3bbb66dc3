"""``build``: a planned statement → an ``Executable``, what the session runs and the plan cache keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from aurora.datum import Row
from aurora.errors import ObjectNotInPrerequisiteState, SqlError
from compute_node.exec.builder import Builder, FilterCounts
from compute_node.exec.compile.compiler import too_complex
from compute_node.exec.context import ExecContext
from compute_node.exec.nodes.base import Batch, Node
from compute_node.exec.nodes.cte_scan import shared_rows
from compute_node.exec.nodes.delete import DeleteNode
from compute_node.exec.nodes.family_changes import FamilyChange
from compute_node.exec.nodes.insert import InsertNode
from compute_node.exec.nodes.merge import MergeNode
from compute_node.exec.nodes.update import UpdateNode
from compute_node.exec.plan_walk import plan_expressions, plan_nodes
from compute_node.exec.point import PointFunction, linked_at_first_run, point_modify, point_select
from compute_node.exec.statement_locks import statement_locks
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const, walk
from compute_node.sql.plan import (
    Append,
    BitmapHeapScan,
    CteScan,
    Delete,
    FunctionScan,
    IncrementalSort,
    IndexScan,
    Insert,
    Limit,
    Materialize,
    Plan,
    PlannedStmt,
    Result,
    ResultColumn,
    SampleScan,
    SeqScan,
    Sort,
    SubqueryScan,
    TidScan,
    Update,
    ValuesScan,
    changed_tables,
)
from compute_node.sql.planner.fold import failing
from compute_node.types.oids import REGCLASS, UNKNOWN
from compute_node.types.registry import PgType
from compute_node.work.account import batch_bytes

Params = Row
_SCANS = (SeqScan, IndexScan, TidScan, FunctionScan, ValuesScan, CteScan, Materialize, Sort)
"""plans whose rows PostgreSQL can read backwards"""
_TABLE_SCANS = (SeqScan, SampleScan, IndexScan, BitmapHeapScan, TidScan)


class Executable:
    """A statement ready to run in any session; it holds nothing of an execution.

    ``columns``: what RowDescription tells, None without a result. ``tag``: the command tag's word. ``is_point``:
    ``fetch_all`` (with ``columns``) or ``run`` (without) is one generated function, cheaper than ``rows``.
    ``rows(ctx, params)`` gives batches of result rows lazily (RETURNING: after all changes are made), ``fetch_all`` all
    rows at once, ``run`` the number of rows that a statement without result affected. ``locks``: the relation locks
    that the transaction must hold before the statement's snapshot is taken. ``column_kinds`` and ``param_kinds``: the
    types of the columns and of the parameters, as the catalog gave them.
    """

    __slots__ = (
        "_builder",
        "_failing",
        "_followed",
        "_modifying_ctes",
        "_root",
        "column_kinds",
        "columns",
        "fetch_all",
        "is_point",
        "locks",
        "param_kinds",
        "planned",
        "refused",
        "rows",
        "run",
        "sound",
        "tag",
        "told",
    )

    def __init__(
        self,
        planned: PlannedStmt,
        catalog: CatalogView,
        wrap: Callable[[Plan, Node], Node] | None = None,
        removed: FilterCounts | None = None,
    ) -> None:
        self.planned = planned
        self.locks = statement_locks(planned, catalog)
        self.columns: tuple[ResultColumn, ...] | None = planned.columns
        self.column_kinds = tuple([catalog.type(column.type) for column in planned.columns or ()])
        self.param_kinds: tuple[PgType, ...] = ()
        self.tag = planned.command.upper()
        self._builder = Builder(planned, catalog, wrap, removed)
        self._root: Node | None = None
        self.told: object = None
        """what the catalog has told of the objects that the plan names; its maker's matter"""
        self._failing = _look_at_constants(planned, catalog)
        self.refused: Callable[[], None] | None = None
        """raises what forbids it to run: 42501, or that a published table may not be changed so"""
        self.sound = self._failing is None
        """nothing forbids it to run: neither privileges nor a constant part that raises an error"""
        self._modifying_ctes = [
            number for number, plan in enumerate(planned.ctes) if isinstance(plan, (Insert, Update, Delete))
        ]
        self._followed = any(
            relation.is_watched
            for plan in (planned.plan, *(planned.ctes[number] for number in self._modifying_ctes))
            for relation in changed_tables(plan)
        )
        """what it changes is watched by foreign keys"""
        self.fetch_all: Callable[[ExecContext, Params], Batch] = self._fetch_all
        self.run: Callable[[ExecContext, Params], int] = self._run
        self.rows: Callable[[ExecContext, Params], Iterator[Batch]] = self._rows
        self.is_point = False
        if wrap is not None:
            self._make_root()
            return
        if planned.columns is None:
            link = point_modify(planned, self._builder)
            if link is not None:
                self.is_point, self.run = True, linked_at_first_run(link)
                if self._followed:
                    self.run = _followed(self.run)
        else:
            link = point_select(planned, self._builder, self._fetch_all)
            if link is not None:
                self.is_point, self.fetch_all = True, linked_at_first_run(link)
        if not self.is_point:
            self._make_root()

    @property
    def can_go_back(self) -> bool:
        """Whether PostgreSQL's executor could run this plan backwards (ExecSupportsBackwardScan), so that a cursor may
        scroll without having been declared so."""
        return self.planned.read_only and _can_go_back(self.planned.plan)

    @property
    def scans_only(self) -> bool:
        """Whether each row of it is one of a table's, as PostgreSQL's executor finds the row of a cursor
        (search_plan_tree)."""
        return _scans_only(self.planned.plan)

    def _make_root(self) -> Node:
        if self._root is None:
            self._root = self._builder.node(self.planned.plan)
        return self._root

    def take_parameters(self, catalog: CatalogView, types: Sequence[int]) -> None:
        """What its parameters are of."""
        self.param_kinds = tuple([catalog.type(oid or UNKNOWN) for oid in types])

    def check(self) -> None:
        """Raise what forbids it to run."""
        if self.refused is not None:
            self.refused()
        self.check_constants()

    def check_constants(self) -> None:
        """Raise the error of a constant part, which comes whatever the rows are."""
        if self._failing is not None:
            self._failing()

    def refuse(self, error: SqlError) -> None:
        """It may not run, whoever it is for or as its tables are: the door raises this, and so do its functions."""
        kind, message, detail, hint = type(error), error.message, error.detail, error.hint

        def refused(*_: Any) -> Any:
            raise kind(message, detail=detail, hint=hint)

        self.refused = refused
        self.sound = False
        self.is_point = False
        self.run = self.fetch_all = refused

    def _rows(self, ctx: ExecContext, params: Params) -> Iterator[Batch]:
        """Batches of result rows."""
        if self.is_point:
            batch = self.fetch_all(ctx, params)
            if batch:
                yield batch
            return
        try:
            root = self._start(ctx, params)
            if self._followed or isinstance(self.planned.plan, (Insert, Update, Delete)):
                # What RETURNING shows is only sent once every row is changed, however few the client asks for.
                store = ctx.tuplestore()
                for batch in root.batches(ctx):
                    store.append(batch)
                if self._followed:
                    ctx.session.follow_changes()
                yield from store.batches()
            else:
                yield from root.batches(ctx)
        finally:
            ctx.finish()

    def _start(self, ctx: ExecContext, params: Params) -> Node:
        ctx.start(params, self.planned.exec_params)
        root = self._make_root()
        for number in self._modifying_ctes:
            for _ in shared_rows(ctx, self._builder, number, []).read():
                ctx.check()
        return root

    def _fetch_all(self, ctx: ExecContext, params: Params) -> Batch:
        rows: Batch = []
        try:
            root = self._start(ctx, params)
            for batch in root.batches(ctx):
                ctx.account.charge(batch_bytes(batch))
                rows += batch
            if self._followed:
                ctx.session.follow_changes()
        finally:
            ctx.finish()
        return rows

    def _run(self, ctx: ExecContext, params: Params) -> int:
        try:
            root = self._start(ctx, params)
            if self.columns is None and isinstance(root, (InsertNode, UpdateNode, DeleteNode, MergeNode, FamilyChange)):
                count = root.run(ctx)
            else:
                count = sum(len(batch) for batch in root.batches(ctx))
            if self._followed:
                ctx.session.follow_changes()
            return count
        finally:
            ctx.finish()


def _followed(run: PointFunction) -> PointFunction:
    """A point statement on a table that foreign keys watch."""

    def run_followed(ctx: ExecContext, params: Params) -> Any:
        count = run(ctx, params)
        ctx.session.follow_changes()
        return count

    return run_followed


def _look_at_constants(planned: PlannedStmt, catalog: CatalogView) -> Callable[[], None] | None:
    """What raises the error of the first constant part that could not be evaluated, if any. Relations that a constant
    names (``'s'::regclass``) are asked for, so that the plan depends on them as on those that it reads."""
    found = _unpopulated(planned, catalog)
    for plan in (planned.plan, *planned.subplans, *planned.ctes):
        for node in plan_nodes(plan):
            for top in plan_expressions(node):
                for part in walk(top):
                    if type(part) is Const and part.type == REGCLASS and part.value is not None:
                        catalog.relation(part.value)
                if found is None and type(top) is not Const:
                    found = failing(catalog, top)
    return found


def _unpopulated(planned: PlannedStmt, catalog: CatalogView) -> Callable[[], None] | None:
    """What raises 55000 for a materialized view without rows."""
    for oid in sorted(planned.relations):
        desc = catalog.relation(oid)
        if desc is not None and not desc.populated:
            return partial(_refuse_unpopulated, desc.name)
    return None


def _refuse_unpopulated(name: str) -> None:
    raise ObjectNotInPrerequisiteState(
        f'materialized view "{name}" has not been populated', hint="Use the REFRESH MATERIALIZED VIEW command."
    )


def _scans_only(plan: Plan | None) -> bool:
    while isinstance(plan, (Result, Limit, SubqueryScan)):
        plan = plan.child
    if type(plan) is Append:
        return bool(plan.alias) and all(_scans_only(child) for child in plan.children)
    return isinstance(plan, _TABLE_SCANS)


def _can_go_back(plan: Plan) -> bool:
    if isinstance(plan, _SCANS) and not isinstance(plan, IncrementalSort):
        return True
    if isinstance(plan, (Result, Limit, SubqueryScan)):
        return plan.child is not None and _can_go_back(plan.child)
    if isinstance(plan, Append):
        return all(_can_go_back(child) for child in plan.children)
    return False


def build(planned: PlannedStmt, catalog: CatalogView, param_types: Sequence[int] = ()) -> Executable:
    """Compile a planned statement. 54001 for an expression nested too deeply, 0A000 for what is not supported."""
    try:
        executable = Executable(planned, catalog)
    except RecursionError:
        raise too_complex() from None
    executable.take_parameters(catalog, param_types)
    return executable
