"""Functions and procedures in the language SQL: their statements, in the caller's transaction, through the one door.

```
RoutineCall + arguments ─ plan_of ─► statements, planned once a call site ─ door ─► the final one's rows ─► values
```

All statements of a body are planned before the first one runs, as in PostgreSQL; the plans are kept, and revalidated as
those of every statement are. What the function sees is ``nested``'s matter. Sources: PostgreSQL manual, ch. 38.5, 38.7.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pglast import ast

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, NotSupported, SqlError
from compute_node.hub import HUB
from compute_node.session import door, nested, prepare, setting_statements
from compute_node.session.acting import become, restored
from compute_node.session.function_counts import counted
from compute_node.session.plans import bounded_put
from compute_node.session.sinks import NO_ROWS, RowList, Sink
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement
from compute_node.sql.analyze.routines import FINAL_STATEMENT, ResultShape, RoutineBody, mismatch, shape_of
from compute_node.sql.parse import RawStatement, parse
from compute_node.types.oids import RECORD
from compute_node.types.record import Record
from compute_node.types.registry import Function, PgType, Routine, RoutineCall

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.sql.catalog_view import CatalogView


class RoutinePlan:
    """A function's statements, planned for one call site. ``final``: the statement whose rows are the result."""

    __slots__ = ("_result", "_sources", "_types", "final", "function", "is_row", "kinds", "statements")

    def __init__(
        self,
        call: RoutineCall,
        sources: Sequence[tuple[RawStatement, RoutineBody]],
        statements: list[Statement],
        wants_result: bool,
        result: PgType,
        declared: Sequence[PgType],
    ) -> None:
        self.function = call.function
        self._types = call.arguments
        self._sources = sources
        self.statements = statements
        self.final = len(statements) - 1 if wants_result else -1
        self.kinds: tuple[PgType, ...] = ()
        self.is_row = False
        """the result is a row made of the final statement's columns, not the value of its only column"""
        if wants_result:
            columns = statements[self.final].columns or ()
            self.kinds = tuple([column.kind for column in columns])
            self.is_row = _makes_row(call, self.kinds, result)
            if self.is_row and len(declared) == len(columns):
                # A statement's columns are described by the types that domains are over.
                self.kinds = tuple(declared)
        self._result = result if any(field.type is None for field in result.fields) else None
        """a composite type with dropped columns, which have their places in its values"""

    def current(self, session: SessionState, number: int) -> Statement:
        """A statement as it runs now: planned again when one before it has changed what it names."""
        statement = self.statements[number]
        if number and statement.node is None and not prepare.is_ready(session, statement):
            return _statement(session, self.function, *self._sources[number], self._types)
        return statement

    def value(self, row: Row) -> Datum:
        """The result that one row of the final statement is."""
        if not self.is_row:
            return row[0]
        if self._result is None:
            return Record.of(row, self.kinds)
        live = iter(row)
        fields = self._result.fields
        values = [None if field.type is None else next(live) for field in fields]
        # A dropped column has no type, as in every value of the type.
        types: list[Any] = [field.type for field in fields]
        return Record.of(values, types)


def _makes_row(call: RoutineCall, kinds: Sequence[PgType], result: PgType) -> bool:
    if call.function.kind == "p":
        return True
    return len(kinds) != 1 or not (
        kinds[0].oid in (call.result, result.root.oid) or (call.result == RECORD and kinds[0].kind == "c")
    )


class _FirstRow:
    """The first row that comes; the statement runs to its end all the same."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: Row | None = None

    def begin(self) -> None:
        """Nothing to do."""

    def rows(self, batch: list[Row]) -> None:
        """Keep the first."""
        if self.found is None:
            self.found = batch[0]

    def end(self) -> None:
        """Nothing to do."""


def call(session: SessionState, call: RoutineCall, arguments: Params, snapshot: Snapshot | None) -> Datum:
    """Run a function: its value, or for one that returns a set the iterator of its values. ``snapshot``: what one that
    is not volatile reads with."""
    if call.function.returns_set:
        return _values(session, call, arguments, snapshot)
    routine = call.function.routine
    with nested.calling(session), acting(session, routine), counted(session, call.function.oid):
        # A caller may do nothing else for a whole batch of its rows.
        session.check_interrupts()
        HUB.pulse()
        plan = plan_of(session, call)
        found = _FirstRow()
        for number in range(len(plan.statements)):
            _run(session, plan, number, arguments, snapshot, found if number == plan.final else NO_ROWS)
    return None if found.found is None else plan.value(found.found)


def _run(
    session: SessionState,
    plan: RoutinePlan,
    number: int,
    params: Params,
    snapshot: Snapshot | None,
    sink: Sink = NO_ROWS,
) -> None:
    try:
        statement = plan.current(session, number)
        if statement.node is None and statement.executable.planned.procedure is not None:
            call_planned(session, statement, params)
        else:
            nested.run_one(session, statement, params, snapshot, sink)
    except SqlError as error:
        raise placed(error, plan.function, f"statement {number + 1}") from None


def _values(session: SessionState, call: RoutineCall, arguments: Params, snapshot: Snapshot | None) -> Iterator[Any]:
    """The final statement's rows come as they are taken."""
    routine = call.function.routine
    oid = call.function.oid
    with nested.calling(session), acting(session, routine), counted(session, oid):
        session.check_interrupts()
        HUB.pulse()
        plan = plan_of(session, call)
        for number in range(len(plan.statements)):
            if number != plan.final:
                _run(session, plan, number, arguments, snapshot)
        if plan.final < 0:
            return
        final = plan.current(session, plan.final)
        where = f"statement {plan.final + 1}"
        try:
            if snapshot is not None and final.writes:
                raise NotSupported(f"{nested.command_name(final)} is not allowed in a non-volatile function")
            execution = door.start(session, final, arguments[: len(final.param_types)], snapshot)
        except SqlError as error:
            raise placed(error, call.function, where) from None
        hold = session.engine.txns.hold(execution.context.snapshot.lsn, "function", execution.context.txn)
    try:
        while True:
            with nested.calling(session), acting(session, routine), counted(session, oid, 0):
                try:
                    batch = execution.take(door.BATCH_ROWS)
                except SqlError as error:
                    raise placed(error, call.function, where) from None
            if not batch:
                return
            value = plan.value
            for row in batch:
                yield value(row)
    finally:
        execution.close()
        hold.release()


def call_planned(session: SessionState, statement: Statement, params: Params) -> Datum:
    """Run a planned CALL; its output arguments' values, None without any."""
    found = statement.executable.planned.procedure
    if found is None:
        raise InvariantViolation("a CALL without its procedure")
    given = RowList()
    door.run(session, statement, params[: len(statement.param_types)], given)
    return call(session, found, tuple(given.found[0]), None)


# plans


def plan_of(session: SessionState, call: RoutineCall) -> RoutinePlan:
    """The function's statements, planned and with their locks held."""
    key = (call.function.oid, *call[1:])
    private = session.txn is not None and session.txn.plans_alone
    table = _private_plans(session) if private else session.space.routines
    found = table.get(key)
    if found is not None and found.function is call.function:
        if all(prepare.is_ready(session, statement) for statement in found.statements):
            return found
    try:
        made = _planned(session, call)
    except SqlError as error:
        raise placed(error, call.function, "during startup") from None
    if all(statement.shareable for statement in made.statements) or private:
        bounded_put(table, key, made)
    return made


def _private_plans(session: SessionState) -> dict[Hashable, RoutinePlan]:
    kept = session.routine_plans
    if kept is None or kept[0] is not session.txn:
        kept = session.routine_plans = session.txn, {}
    return kept[1]


def _planned(session: SessionState, call: RoutineCall) -> RoutinePlan:
    function = call.function
    view = session.engine.catalog.view(session)
    shape = shape_of(view, function, call.arguments, call.result, call.columns)
    routine = function.routine
    text = "" if routine is None else routine.text
    raws = parse(text)
    check_final(view, raws, shape)
    sources = []
    for number, raw in enumerate(raws, 1):
        body = RoutineBody(
            function.name, function.argument_names, shape if number == len(raws) else None,
            stored=routine is not None and routine.stored,
        )  # fmt: skip
        sources.append((raw, body))
    statements = [_statement(session, function, raw, body, call.arguments) for raw, body in sources]
    declared = [view.type(kind) for kind, _ in (shape.columns or ())] if shape is not None else []
    return RoutinePlan(call, sources, statements, shape is not None, view.type(call.result), declared)


def check_final(view: CatalogView, raws: Sequence[RawStatement], shape: ResultShape | None) -> None:
    """42P13 when a function that gives something ends with what gives nothing."""
    if shape is not None and (not raws or not prepare.is_query(raws[-1].node)):
        raise mismatch(view, shape.type, FINAL_STATEMENT)


def _statement(
    session: SessionState, function: Function, raw: RawStatement, body: RoutineBody, types: Sequence[int]
) -> Statement:
    text = "" if function.routine is None else function.routine.text
    if isinstance(raw.node, ast.CallStmt) and function.volatility != "v":
        raise NotSupported("CALL is not allowed in a non-volatile function")
    if prepare.is_query(raw.node) or isinstance(raw.node, ast.CallStmt):
        made = prepare.compile_statement(session, raw, text, list(types), routine=body)[0]
        if function.volatility != "v" and made.writes:
            raise NotSupported(f"{nested.command_name(made)} is not allowed in a non-volatile function")
        return made
    params = tuple(types) if prepare.inner_query(raw.node) is not None else ()
    statement = prepare.utility_statement(session, raw.node, text[raw.start : raw.start + raw.length], params)
    if isinstance(raw.node, ast.CopyStmt) and raw.node.filename is None:
        raise NotSupported("cannot COPY to/from client in an SQL function")
    if isinstance(raw.node, ast.TransactionStmt):
        raise NotSupported(f"{nested.command_name(statement)} is not allowed in an SQL function")
    if function.volatility != "v":
        raise NotSupported(f"{nested.command_name(statement)} is not allowed in a non-volatile function")
    return statement


def placed(error: SqlError, function: Function, where: str) -> SqlError:
    """The error with the function in its context; its place is one in the body, which the client has not sent."""
    line = f'SQL function "{function.name}" {where}'
    error.where = line if error.where is None else f"{error.where}\n{line}"
    if error.position is not None:
        error.internal_position, error.position = error.position, None
        error.internal_query = "" if function.routine is None else function.routine.text
    return error


# SECURITY DEFINER and SET


@contextmanager
def acting(session: SessionState, routine: Routine | None) -> Iterator[None]:
    """As the function's owner, if it is SECURITY DEFINER, and with its settings."""
    if routine is None or not (routine.security_definer or routine.settings):
        yield
        return
    mark, definer = session.settings.mark(), int(routine.security_definer)
    with restored(session):
        session.definers += definer
        try:
            if definer:
                become(session, routine.owner)
            for name, value in routine.settings:
                session.settings.set(name, setting_statements.of_catalog(session, name, value), local=True)
            yield
        finally:
            session.definers -= definer
            session.settings.leave(mark, [name for name, _ in routine.settings])
