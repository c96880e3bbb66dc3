"""Whether a database is what it should be: catalogs, constraints, and all that ``access/check`` looks at.

    catalogs     columns that hold OIDs of other catalogs' rows; what pg_depend names; the number of columns
    relations    pages, rows, index entries, values out of line (``access/check``); whether there is a file
    files        each belongs to a relation of some database
    constraints  rows that a CHECK or a foreign key does not allow
    sequences    whether their row can be read

``SELECT * FROM aurora_check()`` on the writer, by a superuser (42501). A table that somebody drops meanwhile is passed
over. Vacuum of a table waits until the transaction that checks it has ended; nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum, Row
from aurora.errors import InsufficientPrivilege, InvariantViolation, SqlError, UndefinedTable, WrongObjectType
from compute_node.access.check import Fault, check_relation
from compute_node.access.check.findings import TOLD_MAX, is_of_the_data
from compute_node.access.storage import CLOG_RELFILE
from compute_node.catalog.databases import MAP_RELFILE
from compute_node.catalog.facts import answer_rows
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.relations.schema import CATALOGS
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE
from compute_node.types.registry import SqlResult
from compute_node.work.account import Account

if TYPE_CHECKING:
    from compute_node.relations.descriptors import RelationDesc

_SHARED_FILES: Final = "SELECT relfilenode FROM pg_catalog.pg_class WHERE relisshared AND relfilenode <> 0"
Query = Callable[[str], SqlResult]
"""Runs a statement in the caller's transaction"""
WITH_ROWS: Final = ("r", "m", "S", "t")
"""relkinds of what has rows of its own"""
_OF_HERE: Final = " AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"


def check_database(call: Call, query: Query) -> Iterator[Row]:
    """aurora_check(): a row for each thing that is wrong."""
    _may(call)
    yield from _references(query)
    yield from _dependencies(query)
    yield from _column_counts(query)
    relations = "SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'm', 'S') ORDER BY oid"
    for (oid,) in query(relations).rows:
        try:
            yield from _relation(call, query, oid)
        except (KeyError, InvariantViolation) as error:
            # Rows of the catalogs that describe it are not there, or make no sense.
            yield Fault(f"relation {oid}", "", f"cannot be looked at: {error!r}")
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
    known = {CLOG_RELFILE, MAP_RELFILE, *(each.desc.relfile for each in CATALOGS.values() if each.desc.is_shared)}
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
    storage = call.engine.storage
    desc = call.view.relation(oid)
    if desc is None:
        return
    storage.locks.lock_relation(call.txn, desc.lock_id, SHARE_UPDATE_EXCLUSIVE, desc.name)
    desc = call.engine.catalog.view(call.session).relation(oid)
    if desc is None:
        return  # dropped while this waited
    name = f"{desc.schema}.{desc.name}"
    files = [desc, *([desc.toast] if desc.toast is not None else ())]
    lost = [each.name for each in (*files, *desc.indexes) if not storage.exists(each.relfile)]
    for each in lost:
        yield Fault(name, each, "has no relation file")
    if lost:
        return
    if desc.kind == "S":
        yield from _guarded(name, query, f"SELECT last_value, is_called FROM {_quoted(desc)}")
        return
    account, is_sound = Account(), True
    try:
        for fault in check_relation(storage, desc, storage.txns.latest_snapshot(call.txn), account):
            is_sound = False
            yield fault
    finally:
        account.close()
    if desc.kind == "r" and is_sound:
        # Queries trust what pages say.
        yield from _constraints(call, query, desc)


def _quoted(desc: RelationDesc) -> str:
    return f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"


def _guarded(name: str, query: Query, text: str, place: str = "", found: str = "") -> Iterator[Fault]:
    """A row that the query finds is a fault where ``found`` says so; data that cannot be read always is."""
    try:
        rows = query(text).rows
    except SqlError as error:
        if not is_of_the_data(error):
            raise
        yield Fault(name, place, f"cannot be read: {error}")
        return
    if found:
        yield from (Fault(name, str(row[0]), found) for row in rows)


# Constraints


def _constraints(call: Call, query: Query, desc: RelationDesc) -> Iterator[Row]:
    """Rows that break what the table promises: CHECK and FOREIGN KEY, as far as they are validated."""
    name = f"{desc.schema}.{desc.name}"
    text = (
        "SELECT c.conname::text, c.contype::text, pg_catalog.pg_get_expr(c.conbin, c.conrelid), c.confrelid::int8,"
        " c.confmatchtype::text, ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k (n, o) JOIN"
        " pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n ORDER BY k.o), ARRAY(SELECT"
        " a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k (n, o) JOIN pg_catalog.pg_attribute a ON"
        " a.attrelid = c.confrelid AND a.attnum = k.n ORDER BY k.o) FROM pg_catalog.pg_constraint c WHERE"
        f" c.conrelid = {desc.oid} AND c.contype IN ('c', 'f') AND c.convalidated"
    )
    for constraint, kind, expression, target, match, columns, keys in query(text).rows:
        if kind == "c":
            wrong = f"SELECT ctid FROM ONLY {_quoted(desc)} WHERE NOT ({expression}) LIMIT {TOLD_MAX}"
        else:
            wrong = _orphans(call, desc, int(target), match, columns, keys)
        yield from _guarded(name, query, wrong, constraint, f'breaks the constraint "{constraint}"')


def _orphans(
    call: Call, desc: RelationDesc, target: int, match: str, columns: Sequence[str], keys: Sequence[Datum]
) -> str:
    """The query for rows whose key is not there."""
    referenced = call.view.relation(target)
    if referenced is None:
        raise InvariantViolation(f"a foreign key of {desc.name} names relation {target}, which is not there")
    only = "" if referenced.is_partitioned else "ONLY "
    mine = [f"f.{quote_identifier(column)}" for column in columns]
    equal = " AND ".join(f"p.{quote_identifier(str(key))} = {own}" for key, own in zip(keys, mine, strict=True))
    some = " OR " if match == "f" else " AND "
    given = some.join(f"{own} IS NOT NULL" for own in mine)
    return (
        f"SELECT f.ctid FROM ONLY {_quoted(desc)} f WHERE ({given}) AND NOT EXISTS (SELECT FROM {only}"
        f"{_quoted(referenced)} p WHERE {equal}) LIMIT {TOLD_MAX}"
    )


FUNCTIONS: Final[dict[str, Callable[..., Datum]]] = {"aurora_check": check_database, "aurora_check_relation": check_one}
