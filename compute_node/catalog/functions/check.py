"""Whether a database is what it should be: catalogs, constraints, and all that ``access/check`` looks at.

    catalogs     columns that hold OIDs of other catalogs' rows; what pg_depend names; the number of columns
    relations    pages, rows, index entries, values out of line (``access/check``); whether there is a file
    files        each belongs to a relation of some database
    constraints  rows that a CHECK or a foreign key does not allow
    sequences    whether their row can be read

``SELECT * FROM aurora_check()`` on the writer, by a superuser (42501). A table that somebody drops meanwhile is passed
over. The lock on a table, SHARE UPDATE EXCLUSIVE, is held to the transaction's end: rows can be read and changed, but
vacuum and DDL of the table wait. ``aurora check`` therefore asks for each table in a transaction of its own.

Invariant: functions that a table's owner has chosen (of indexes, CHECK constraints, keys) run as the owner,
never as the superuser who checks (``session/acting.restricted``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum, Row
from aurora.errors import InsufficientPrivilege, InvariantViolation, SqlError, UndefinedTable, WrongObjectType
from compute_node.access.check import Fault, check_relation
from compute_node.access.check.findings import NONSENSE, TOLD_MAX, is_of_the_data
from compute_node.access.prepared_states import PREPARED_RELFILE
from compute_node.access.storage import CLOG_RELFILE
from compute_node.catalog.databases import MAP_RELFILE
from compute_node.catalog.facts import answer_rows
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.exec.builder import Builder
from compute_node.exec.compile.rows import row_function
from compute_node.exec.compile.unit import row_scope
from compute_node.relations.schema import CATALOGS
from compute_node.session import door
from compute_node.session.acting import restricted
from compute_node.session.referential_sql import violations_text
from compute_node.session.statement import Statement
from compute_node.sql.analyze.routines import RoutineBody
from compute_node.sql.parse import RawStatement, parse
from compute_node.sql.plan import PlannedStmt, Result
from compute_node.sql.planner.changed_rows import checks
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE
from compute_node.types.registry import SqlResult
from compute_node.work.account import Account

if TYPE_CHECKING:
    from compute_node.relations.descriptors import ForeignKeyDesc, RelationDesc

_SHARED_FILES: Final = "SELECT relfilenode FROM pg_catalog.pg_class WHERE relisshared AND relfilenode <> 0"
Query = Callable[[str], SqlResult]
"""Runs a statement in the caller's transaction"""
WITH_ROWS: Final = ("r", "m", "S", "t")
"""relkinds of what has rows of its own"""
_OF_HERE: Final = " AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"


def check_database(call: Call, query: Query) -> Iterator[Row]:
    """aurora_check(): a row for each thing that is wrong."""
    yield from check_catalogs(call, query)
    for (oid,) in query("SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm', 'S') ORDER BY oid").rows:
        yield from _relation(call, query, oid)


def check_catalogs(call: Call, query: Query) -> Iterator[Row]:
    """aurora_check_catalogs(): what is wrong between catalogs, and with the list of relation files."""
    _may(call)
    yield from _references(query)
    yield from _dependencies(query)
    yield from _column_counts(query)
    yield from _lost_files(call, query)


def check_one(call: Call, query: Query, oid: int) -> Iterator[Row]:
    """aurora_check_relation(oid): of a table, materialized view or sequence. 42P01, 42809."""
    _may(call)
    desc = call.view.relation(oid)
    if desc is None:
        raise UndefinedTable(f"relation with OID {oid} does not exist")
    if desc.kind not in WITH_ROWS:
        raise WrongObjectType(f'"{desc.name}" has no pages to check')
    yield from _relation(call, query, oid)


def _may(call: Call) -> None:
    if not call.session.superuser:
        raise InsufficientPrivilege("must be superuser to check a database")


# Catalogs


def _references(query: Query) -> Iterator[Row]:
    """Columns that hold OIDs of another catalog's rows (pg_get_catalog_foreign_keys)."""
    catalogs = {each.desc.oid: name for name, each in CATALOGS.items()}
    for table_oid, columns, target_oid, keys, is_array, may_be_zero in answer_rows("foreign_keys"):
        table, target = catalogs[table_oid], catalogs[target_oid]
        names = [f"f.{quote_identifier(name)}" for name in columns]
        source = f"pg_catalog.{table} f"
        if is_array:
            source += f" CROSS JOIN LATERAL unnest({names[-1]}) u (item)"
            names[-1] = "u.item"
        joined = " AND ".join(f"p.{quote_identifier(key)} = {name}" for key, name in zip(keys, names, strict=True))
        wanted = f"{names[-1]} IS NOT NULL"
        if may_be_zero:
            wanted += f" AND {names[-1]} <> 0"
        if target == "pg_attribute":
            wanted += f" AND {names[-1]} > 0"
        shown = ", ".join(f"{name}::text" for name in names)
        text = (
            f"SELECT {shown} FROM {source} LEFT JOIN pg_catalog.{target} p ON {joined}"
            f" WHERE p.{quote_identifier(keys[0])} IS NULL AND {wanted} LIMIT {TOLD_MAX}"
        )
        for values in query(text).rows:
            place = ", ".join(f"{name} = {value}" for name, value in zip(columns, values, strict=True))
            yield Fault(f"pg_catalog.{table}", place, f"there is no such row in {target}")


def _dependencies(query: Query) -> Iterator[Row]:
    """Both sides of what pg_depend says are there."""
    for table in ("pg_depend", "pg_shdepend"):
        for column, number in (("classid", "objid"), ("refclassid", "refobjid")):
            classes = f"SELECT DISTINCT {column}::int8, {column}::regclass::text FROM pg_catalog.{table}"
            for oid, name in query(f"{classes} WHERE {column} <> 0").rows:
                of_here = "" if table == "pg_depend" or column == "refclassid" else _OF_HERE
                text = (
                    f"SELECT d.{number}::text FROM pg_catalog.{table} d LEFT JOIN pg_catalog.{name} c ON c.oid ="
                    f" d.{number} WHERE d.{column} = {oid} AND c.oid IS NULL{of_here} LIMIT {TOLD_MAX}"
                )
                for (lost,) in query(text).rows:
                    yield Fault(f"pg_catalog.{table}", f"{number} = {lost}", f"there is no such row in {name}")


def _lost_files(call: Call, query: Query) -> Iterator[Row]:
    """Relation files of the volume that no database has. One whose maker has not committed is nobody's yet."""
    databases, extents = call.engine.databases, call.engine.storage.extents
    before = {relfile for relfile, file in extents.files.items() if not file.creator}
    known = {CLOG_RELFILE, MAP_RELFILE, PREPARED_RELFILE}
    known.update(each.desc.relfile for each in CATALOGS.values() if each.desc.is_shared)
    for (oid,) in query("SELECT oid FROM pg_catalog.pg_database").rows:
        known.update(databases.files(oid))
    known.update(relfile for (relfile,) in query(_SHARED_FILES).rows)
    for relfile in sorted(before - known):
        if relfile in extents.files:  # not dropped meanwhile
            yield Fault("", f"relation file {relfile}", "belongs to no relation of any database")


def _column_counts(query: Query) -> Iterator[Row]:
    text = (
        "SELECT n.nspname || '.' || c.relname, c.relnatts, count(a.attrelid) FROM pg_catalog.pg_class c JOIN"
        " pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid ="
        f" c.oid AND a.attnum > 0 GROUP BY 1, 2 HAVING c.relnatts <> count(a.attrelid) LIMIT {TOLD_MAX}"
    )
    for name, said, there in query(text).rows:
        yield Fault(name, "", f"{said} columns by pg_class, and {there} by pg_attribute")


# Relations


def _relation(call: Call, query: Query, oid: int) -> Iterator[Row]:
    try:
        desc = call.view.relation(oid)
        if desc is None:
            return
        call.engine.storage.locks.lock_relation(call.txn, desc.lock_id, SHARE_UPDATE_EXCLUSIVE, desc.name)
        desc = call.engine.catalog.view(call.session).relation(oid)
        if desc is not None:  # else it was dropped while this waited
            yield from _pages_and_rules(call, query, desc)
    except (*NONSENSE, KeyError, InvariantViolation, struct.error) as error:
        # Rows of the catalogs that describe it are not there, or make no sense.
        yield Fault(f"relation {oid}", "", f"cannot be looked at: {error!r}")


def _pages_and_rules(call: Call, query: Query, desc: RelationDesc) -> Iterator[Row]:
    storage = call.engine.storage
    name = f"{desc.schema}.{desc.name}"
    files = [desc, *([desc.toast] if desc.toast is not None else ())]
    if lost := [each.name for each in (*files, *desc.indexes) if not storage.exists(each.relfile)]:
        yield from (Fault(name, each, "has no relation file") for each in lost)
        return
    if desc.kind == "S":
        text = f"SELECT last_value FROM {quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"
        yield from _guarded(name, "", lambda: query(text))
        return
    account = Account()
    try:
        # All of it before any is told: what runs between two rows is not the owner's matter.
        with restricted(call.session, desc.owner):
            snapshot = storage.txns.latest_snapshot(call.txn)
            found = list(check_relation(storage, desc, snapshot, account, _broken(call, desc)))
            if not found:
                # Queries trust what pages say.
                for key in desc.foreign_keys:
                    if key.validated:
                        found += _orphans(call, name, key)
    finally:
        account.close()
    yield from found


def _guarded(name: str, place: str, read: Callable[[], Datum]) -> Iterator[Fault]:
    """Data that cannot be read is a fault."""
    try:
        read()
    except SqlError as error:
        if not is_of_the_data(error):
            raise
        yield Fault(name, place, f"cannot be read: {error}")


# Constraints


def _broken(call: Call, desc: RelationDesc) -> Callable[[Row], Iterator[str]]:
    """The CHECK constraints that a row breaks, of those that all rows must meet."""
    checked = [(name, node) for name, node in checks(call.view, desc) if name not in desc.unproven]
    builder = Builder(PlannedStmt(command="select", plan=Result(), columns=None), call.view)
    results = row_function(builder, [node for _, node in checked], row_scope(None), "c, r")
    context = call.engine.begin_statement(call.session)
    context.start((), 0)

    def broken(row: Row) -> Iterator[str]:
        for (name, _), result in zip(checked, results(context, row) if checked else (), strict=True):
            if result is False:
                yield name

    return broken


def _orphans(call: Call, name: str, key: ForeignKeyDesc) -> Iterator[Fault]:
    """Rows whose key is not there, whoever may see them."""
    session = call.session
    text = violations_text(call.view, key)
    session.bypasses_policies = True
    try:
        raw = RawStatement(parse(text)[0].node, 0, len(text))
        executable, _ = call.engine.compile(raw, session, [], text, {}, RoutineBody("", (), stored=True, trusted=True))
    finally:
        session.bypasses_policies = False
    statement = Statement(text, call.engine.catalog.version, [], executable, shareable=False)
    count = 0
    try:
        for batch in door.start(session, statement, ()).batches():
            for values in batch:
                count += 1
                if count <= TOLD_MAX:
                    yield Fault(name, key.name, f"the constraint is broken by the key ({', '.join(map(str, values))})")
    except (SqlError, InvariantViolation) as error:
        # The other table's pages may make no sense; its own check tells more.
        if isinstance(error, SqlError) and not is_of_the_data(error):
            raise
        yield Fault(name, key.name, f"cannot be read: {error}")
    if count > TOLD_MAX:
        yield Fault(name, key.name, f"the constraint is broken by {count - TOLD_MAX} more rows")


FUNCTIONS: Final[dict[str, Callable[..., Datum]]] = {
    "aurora_check": check_database,
    "aurora_check_catalogs": check_catalogs,
    "aurora_check_relation": check_one,
}
