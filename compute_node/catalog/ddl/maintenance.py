"""VACUUM and ANALYZE: the access layer's vacuum, and what the planner knows of tables and their columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from pglast import ast

from aurora.datum import Row
from aurora.errors import (
    DuplicateColumn,
    InvalidObjectDefinition,
    InvariantViolation,
    NotSupported,
    SqlSyntaxError,
    UndefinedColumn,
)
from compute_node.access.vacuum import Pace, is_no
from compute_node.access.vacuum_truncate import truncate_tail
from compute_node.catalog import statistics
from compute_node.catalog.column_statistics.gather import Gathering, gather
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.partitions.indexes import below
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.catalog.ddl.vacuum_full import rewrite_table
from compute_node.exec.foreign import wrapper_of
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.foreign import require_handler
from compute_node.relations.schema import CATALOGS, FIRST_NORMAL_OID, NAMESPACE_CATALOG
from compute_node.session.transactions import in_block, next_part
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.txn.locks import ACCESS_EXCLUSIVE, ACCESS_SHARE, SHARE_UPDATE_EXCLUSIVE
from compute_node.work.progress import Analyze, VacuumTable, reporting

_STATISTICS = CATALOGS["pg_statistic"].desc.oid
"""what is known of columns: nothing is gathered about it"""
_OF_BOTH = ("verbose", "skip_locked")
_OF_VACUUM = ("analyze", "freeze", "full", "disable_page_skipping", "process_toast", "truncate")
_WORKERS_MAX = 1024


def _options(node: ast.VacuumStmt) -> dict[str, bool]:
    """The options that are on or off, by name. 42601."""
    on: dict[str, bool] = {}
    what = "VACUUM" if node.is_vacuumcmd else "ANALYZE"
    for option in node.options or ():
        name, position = option.defname, None if option.location is None else option.location + 1
        if name in _OF_BOTH or (node.is_vacuumcmd and name in _OF_VACUUM):
            on[name] = is_on(option)
        elif node.is_vacuumcmd and name == "index_cleanup":
            if option.arg is not None and str(getattr(option.arg, "sval", "")).lower() != "auto":
                is_on(option)
        elif node.is_vacuumcmd and name == "parallel":
            if option.arg is None:
                message = f"parallel option requires a value between 0 and {_WORKERS_MAX}"
                raise SqlSyntaxError(message, position=position)
            if not isinstance(option.arg, ast.Integer):
                raise SqlSyntaxError("parallel requires an integer value")
            workers = option.arg.ival or 0
            if not 0 <= workers <= _WORKERS_MAX:
                message = f"parallel workers for vacuum must be between 0 and {_WORKERS_MAX}"
                raise SqlSyntaxError(message, position=position)
            on["parallel"] = workers > 0
        else:
            raise SqlSyntaxError(f'unrecognized {what} option "{name}"', position=position)
    return on


def vacuum_statement(ctx: DdlContext, node: ast.VacuumStmt) -> str:
    """VACUUM [(options)] [tables] and ANALYZE [tables]; each table in a transaction of its own, but for ANALYZE in a
    transaction block. FREEZE does what a plain VACUUM does."""
    options = _options(node)
    full, toast = options.get("full", False), options.get("process_toast", True)
    analyze_too = not node.is_vacuumcmd or options.get("analyze", False)
    if full and options.get("parallel"):
        raise NotSupported("VACUUM FULL cannot be performed in parallel")
    if not analyze_too and any(relation.va_cols for relation in node.rels or ()):
        raise NotSupported("ANALYZE option must be specified when a column list is provided")
    if full and options.get("disable_page_skipping"):
        raise NotSupported("VACUUM option DISABLE_PAGE_SKIPPING cannot be used with FULL")
    if full and not toast:
        raise NotSupported("PROCESS_TOAST required with VACUUM FULL")
    tables = _tables(ctx, node)
    own_parts = node.is_vacuumcmd or (len(tables) > 1 and not in_block(ctx.session))
    for table in tables:
        if node.is_vacuumcmd:
            ctx = ctx.renewed(next_part(ctx.session))
            desc = _locked(ctx, table, "vacuum", options)
            if desc is not None and full and desc.kind in "rmt" and desc.oid >= FIRST_NORMAL_OID:
                rewrite_table(ctx, desc, options.get("verbose", False))
            elif desc is not None and not desc.is_partitioned:
                vacuum_table(ctx, desc, options.get("truncate"), toast)
        if analyze_too and table.oid != _STATISTICS and table.kind != "t":
            if own_parts:
                ctx = ctx.renewed(next_part(ctx.session))
            desc = _locked(ctx, table, "analyze", options)
            if desc is not None:
                analyze_table(ctx, desc, table.columns, options.get("verbose", False))
    if node.is_vacuumcmd:
        next_part(ctx.session)
        ctx.storage.give_back()
    return "VACUUM" if node.is_vacuumcmd else "ANALYZE"


class _Target(NamedTuple):
    """A table whose turn will come; ``columns`` that are named of it. ``named``: the statement names the table itself,
    and is told if it has gone."""

    oid: int
    name: str
    kind: str
    columns: tuple[int, ...] = ()
    named: bool = False


def _locked(ctx: DdlContext, target: _Target, verb: str, options: dict[str, bool]) -> RelationDesc | None:
    """A table whose turn has come, locked; None for one that has gone or that is not the user's any more, a temporary
    one of another session, or with SKIP_LOCKED one that somebody holds."""
    mode = ACCESS_EXCLUSIVE if options.get("full") and verb == "vacuum" else SHARE_UPDATE_EXCLUSIVE
    desc = ctx.view.relation(target.oid)
    if desc is not None and ctx.is_of_other_session(desc):
        return None
    if desc is not None and desc.kind == "t" and mode == ACCESS_EXCLUSIVE and desc.oid >= FIRST_NORMAL_OID:
        # Its readers and writers lock its table alone.
        ctx.lock(relation(ctx, int(desc.name.removeprefix("pg_toast_"))), mode)
    if desc is not None and not options.get("skip_locked"):
        ctx.lock(desc, mode)
    elif desc is not None and not ctx.try_lock(desc, mode):
        if target.named:
            message = f'skipping {verb} of "{target.name}" --- lock not available'
            ctx.notice(message, severity="WARNING", sqlstate="55P03")
        return None
    desc = ctx.view.relation(target.oid)
    if desc is None:
        if target.named:
            message = f'skipping {verb} of "{target.name}" --- relation no longer exists'
            ctx.notice(message, severity="WARNING", sqlstate="42P01")
        return None
    return desc if _may_maintain(ctx, desc, verb) else None


def is_on(option: ast.DefElem) -> bool:
    """A Boolean option's value; given without one it is on."""
    if option.arg is None:
        return True
    value = option.arg
    text = str(value.ival if isinstance(value, ast.Integer) else getattr(value, "sval", None)).lower()
    if isinstance(value, ast.Boolean):
        text = "true" if value.boolval else "false"
    if text not in ("true", "on", "1", "false", "off", "0"):
        raise SqlSyntaxError(f"{option.defname} requires a Boolean value")
    return text in ("true", "on", "1")


def _tables(ctx: DdlContext, node: ast.VacuumStmt) -> list[_Target]:
    """What the statement is about, in its order."""
    result: list[_Target] = []
    view = ctx.view
    verb = "vacuum" if node.is_vacuumcmd else "analyze"
    if not node.rels:
        for record in ctx.rows.find("pg_class"):
            desc = view.relation(record.oid) if record.relkind in "rmp" else None
            if desc is not None and _may_maintain(ctx, desc, verb):
                result.append(_Target(desc.oid, desc.name, desc.kind))
        # Two that take all tables take them in one order.
        return sorted(result)
    for item in node.rels:
        desc = ctx.find(item.relation)
        if desc is None:
            raise InvariantViolation("desc is not there")
        if not _may_maintain(ctx, desc, verb):
            continue
        samples = desc.kind == "f" and not node.is_vacuumcmd and wrapper_of(desc).pages(desc) > 0
        if desc.kind not in ("rmpt" if node.is_vacuumcmd else "rmp") and not samples:
            _skip(ctx, desc, verb)
            continue
        result.append(_Target(desc.oid, desc.name, desc.kind, _columns(desc, item.va_cols or ()), named=True))
        for part in below(ctx, desc):
            if part.kind == "f":
                _skip(ctx, part, verb)
                continue
            result.append(_Target(part.oid, part.name, part.kind, _columns(part, item.va_cols or ())))
    return result


def _skip(ctx: DdlContext, desc: RelationDesc, verb: str) -> None:
    """Warns of a relation that has nothing to look at. 55000 for a foreign table without a handler."""
    what = "non-tables or special system tables"
    if desc.kind == "f" and verb == "analyze":
        require_handler(desc)
        what = "this foreign table"
    ctx.notice(f'skipping "{desc.name}" --- cannot {verb} {what}', severity="WARNING", sqlstate="01000")


def _columns(desc: RelationDesc, names: Sequence[ast.String]) -> tuple[int, ...]:
    found: list[int] = []
    for name in names:
        column = desc.column(name.sval)
        if column is None:
            raise UndefinedColumn(f'column "{name.sval}" of relation "{desc.name}" does not exist')
        if column.attno in found:
            raise DuplicateColumn(f'column "{name.sval}" of relation "{desc.name}" appears more than once')
        found.append(column.attno)
    return tuple(found)


def _may_maintain(ctx: DdlContext, desc: RelationDesc, verb: str) -> bool:
    """Owners of the table, and of the database for all but shared catalogs; others are warned and passed over."""
    if ctx.owns(desc.owner) or (not desc.is_shared and ctx.owns(ctx.rights.graph.database_owner)):
        return True
    who = "table or database owner"
    if desc.is_shared:
        who = "superuser"
    elif desc.namespace == NAMESPACE_CATALOG:
        who = "superuser or database owner"
    ctx.notice(f'skipping "{desc.name}" --- only {who} can {verb} it', severity="WARNING", sqlstate="01000")
    return False


def _pace(ctx: DdlContext) -> Pace:
    """What the session's settings say of pauses."""
    what = ("delay", "limit", "page_hit", "page_miss", "page_dirty")
    return Pace(*(float(ctx.session.settings.get(f"vacuum_cost_{each}")) for each in what))


def _keeps_its_end(desc: RelationDesc) -> bool:
    return any(is_no(option) for option in desc.options if option.startswith("vacuum_truncate="))


def vacuum_table(ctx: DdlContext, desc: RelationDesc, truncate: bool | None, toast: bool) -> None:
    """Prune a table, with ``toast`` its TOAST table, and their indexes; with ``truncate`` empty blocks at their ends
    go (None: as each table's storage parameter says)."""
    for each in (desc,) if desc.toast is None or not toast else (desc, desc.toast):
        if each is desc.toast:
            ctx.lock(each, SHARE_UPDATE_EXCLUSIVE)
        table = ctx.storage.table(each)
        with reporting(ctx.session, "VACUUM", each.oid) as progress:
            with ctx.maintaining(desc):
                stats = ctx.storage.vacuum(table, pace=_pace(ctx), progress=progress)
            table.counts.was_vacuumed(stats.rows, table.file.dead_rows, False, ctx.session.clock())
            if truncate if truncate is not None else not _keeps_its_end(each):
                progress.put(VacuumTable.PHASE, VacuumTable.TRUNCATING)
                truncate_tail(ctx.txn, table)
            progress.put(VacuumTable.PHASE, VacuumTable.FINAL)
            statistics.vacuumed(ctx.catalog, each, stats)


def _foreign_rows(
    ctx: DdlContext, desc: RelationDesc, columns: Sequence[ColumnDesc]
) -> tuple[int, Iterator[list[Row]]]:
    """The pages of a foreign table, and these columns of its rows."""
    names = ", ".join(quote_identifier(each.name) for each in columns) or "NULL"
    source = f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"
    return wrapper_of(desc).pages(desc), ctx.fetch_own(f"SELECT {names} FROM {source}")


def analyze_table(ctx: DdlContext, desc: RelationDesc, named: Sequence[int] = (), verbose: bool = False) -> None:
    """Gather what the planner knows of a table: of its columns (the ``named`` alone, if any), its size and its
    indexes'."""

    def say(text: str) -> None:
        ctx.notice(text, severity="INFO")

    if verbose and not desc.is_partitioned:
        say(f'analyzing "{desc.schema}.{desc.name}"')
    if desc.children:
        ctx.lock_descendants(desc, partial(ctx.lock, mode=ACCESS_SHARE))
    record = class_record(ctx, desc.oid)
    if record.relhassubclass and not desc.children:
        # All its children have gone.
        ctx.rows.update("pg_class", record, relhassubclass=False)

    def warn(text: str) -> None:
        ctx.session.notice(InvalidObjectDefinition(text, schema=desc.schema, table=desc.name), "WARNING")

    target = int(ctx.session.settings.get("default_statistics_target"))
    now_us = ctx.session.clock()
    by = Gathering(
        ctx.storage, ctx.changes, ctx.view, target, now_us, say=say if verbose else None, warn=warn,
        foreign=partial(_foreign_rows, ctx),
    )  # fmt: skip
    with reporting(ctx.session, "ANALYZE", desc.oid) as progress, ctx.maintaining(desc):
        progress.put(Analyze.PHASE, Analyze.ACQUIRING)
        gather(by, desc, named)
