"""CREATE STATISTICS and ALTER STATISTICS … SET STATISTICS → pg_statistic_ext (manual, CREATE STATISTICS). What ANALYZE
finds for them: ``column_statistics/extended``. Names, owners, schemas, DROP: ``schema_objects``."""

from __future__ import annotations

from typing import Final

from pglast import ast

from aurora.errors import (
    DuplicateColumn,
    DuplicateObject,
    InsufficientPrivilege,
    InvalidObjectDefinition,
    InvalidParameterValue,
    InvariantViolation,
    NotSupported,
    SqlSyntaxError,
    TooManyColumns,
    UndefinedColumn,
    WrongObjectType,
)
from compute_node.catalog.ddl import schema_objects
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_RELATION, CLASS_STATISTIC_EXT, DdlContext
from compute_node.catalog.ddl.expressions import statistics_expression, uses
from compute_node.catalog.ddl.object_kinds import STATISTICS
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.names import SYSTEM_COLUMNS
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.analyze.typenames import format_type
from compute_node.txn.locks import SHARE_UPDATE_EXCLUSIVE

_COLUMNS_MAX: Final = 8
_TARGET_MAX: Final = 10_000
_KINDS: Final = {"ndistinct": "d", "dependencies": "f", "mcv": "m"}
_REFUSED: Final = {"v": "views", "i": "indexes", "S": "sequences", "t": "TOAST tables", "c": "composite types"}


def create_statistics(ctx: DdlContext, node: ast.CreateStatsStmt) -> str:
    """CREATE STATISTICS. 0A000, 42501, 42601, 42701, 42703, 42710, 42809, 42P17, 54011."""
    if len(node.relations) != 1:
        raise NotSupported("only a single relation is allowed in CREATE STATISTICS")
    if not isinstance(node.relations[0], ast.RangeVar):
        raise NotSupported("CREATE STATISTICS only supports relation names in the FROM clause")
    desc = _table(ctx, node.relations[0])
    namespace, name = ctx.place(node.defnames)
    if ctx.rows.find("pg_statistic_ext", stxname=name, stxnamespace=namespace):
        if not node.if_not_exists:
            raise DuplicateObject(f'statistics object "{name}" already exists')
        ctx.notice(f'statistics object "{name}" already exists, skipping', sqlstate="42710")
        return "CREATE STATISTICS"
    if len(node.exprs) > _COLUMNS_MAX:
        raise TooManyColumns(f"cannot have more than {_COLUMNS_MAX} columns in statistics")
    attnos, texts, used = _columns(ctx, desc, node)
    kinds = _kinds(node, len(attnos) + len(texts), bool(texts))
    if len(set(attnos)) < len(attnos):
        raise DuplicateColumn("duplicate column name in statistics definition")
    if len(set(texts)) < len(texts):
        raise DuplicateColumn("duplicate expression in statistics definition")
    _store(ctx, desc, (namespace, name), sorted(attnos), kinds, texts, used)
    return "CREATE STATISTICS"


def _store(
    ctx: DdlContext,
    desc: RelationDesc,
    place: tuple[int, str],
    attnos: list[int],
    kinds: list[str],
    texts: list[str],
    used: list[int],
) -> int:
    """The rows of a new object of that schema and name; its OID."""
    namespace, name = place
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_statistic_ext",
        oid=oid,
        stxrelid=desc.oid,
        stxname=name,
        stxnamespace=namespace,
        stxowner=ctx.user_oid,
        stxstattarget=-1,
        stxkeys=attnos,
        stxkind=kinds,
        stxexprs="\n".join(texts) if texts else None,
    )
    address = (CLASS_STATISTIC_EXT, oid, 0)
    for attno in [*attnos, *used]:
        ctx.depend(address, (CLASS_RELATION, desc.oid, attno), "a")
    if not attnos:
        ctx.depend(address, (CLASS_RELATION, desc.oid, 0), "a")
    for text in texts:
        ctx.depend_on_text(address, text)
    ctx.depend(address, (CLASS_NAMESPACE, namespace, 0), "n")
    record_owner(ctx, CLASS_STATISTIC_EXT, oid, ctx.user_oid)
    ctx.changes.touch(desc.oid)
    return oid


def copy_statistics(ctx: DdlContext, desc: RelationDesc, model: RelationDesc) -> list[tuple[int, int]]:
    """The statistics objects of ``model`` for a table with columns of the same names: (OID there, OID here)."""
    made = []
    for row in sorted(ctx.rows.find("pg_statistic_ext", stxrelid=model.oid), key=lambda row: int(row.oid)):
        names = [model.columns[attno - 1].name for attno in row.stxkeys]
        attnos = [column.attno for name in names if (column := desc.column(name)) is not None]
        texts = row.stxexprs.split("\n") if row.stxexprs else []
        used: list[int] = []
        for text in texts:
            used += [attno for attno in uses(analyze_stored(ctx.view, desc, text, "STATISTICS")) if attno]
        parts = [desc.name, *names, *("expr" for _ in texts)]
        name = ctx.free_name(desc.namespace, parts, "stat", _names(ctx, desc.namespace))
        made.append((int(row.oid), _store(ctx, desc, (desc.namespace, name), sorted(attnos), row.stxkind, texts, used)))
    return made


def _names(ctx: DdlContext, namespace: int) -> set[str]:
    return {row.stxname for row in ctx.rows.find("pg_statistic_ext", stxnamespace=namespace)}


def _table(ctx: DdlContext, name: ast.RangeVar) -> RelationDesc:
    desc = ctx.find(name)
    if desc is None:
        raise InvariantViolation("desc is not there")
    if desc.kind not in "rmpf":
        shown = _REFUSED.get(desc.kind)
        raise WrongObjectType(
            f'cannot define statistics for relation "{desc.name}"',
            detail=f"This operation is not supported for {shown}." if shown else None,
        )
    ctx.check_owner(desc)
    if desc.oid < FIRST_NORMAL_OID:
        raise InsufficientPrivilege(f'permission denied: "{desc.name}" is a system catalog')
    ctx.lock(desc, SHARE_UPDATE_EXCLUSIVE)
    found = ctx.view.relation(desc.oid)
    return desc if found is None else found


def _columns(ctx: DdlContext, desc: RelationDesc, node: ast.CreateStatsStmt) -> tuple[list[int], list[str], list[int]]:
    """Columns, the texts of expressions, and the columns that these use."""
    attnos: list[int] = []
    texts: list[str] = []
    used: list[int] = []
    for element in node.exprs:
        name = element.name
        if name is None and isinstance(element.expr, ast.ColumnRef) and len(element.expr.fields) == 1:
            name = element.expr.fields[0].sval
        if name is None:
            text, kind, reads = statistics_expression(ctx, element.expr, desc)
            if len(node.exprs) > 1:
                _check_order(ctx, kind, None)
            texts.append(text)
            used += reads
            continue
        column = desc.column(name)
        if column is None:
            if name in SYSTEM_COLUMNS:
                raise NotSupported("statistics creation on system columns is not supported")
            raise UndefinedColumn(f'column "{name}" does not exist')
        _check_order(ctx, column.type, name)
        attnos.append(column.attno)
    return attnos, texts, used


def _check_order(ctx: DdlContext, kind: int, name: str | None) -> None:
    """0A000 for what cannot be sorted."""
    if ctx.view.default_operator_class(kind) is None:
        what = f'column "{name}"' if name is not None else "expression"
        shown = format_type(ctx.view, kind)
        raise NotSupported(
            f"{what} cannot be used in statistics because its type {shown} has no default btree operator class"
        )


def _kinds(node: ast.CreateStatsStmt, count: int, has_expressions: bool) -> list[str]:
    named = [item.sval for item in node.stat_types or ()]
    if count == 1 and has_expressions:
        if named:
            raise NotSupported("when building statistics on a single expression, statistics kinds may not be specified")
        return ["e"]
    for name in named:
        if name not in _KINDS:
            raise SqlSyntaxError(f'unrecognized statistics kind "{name}"')
    if count < 2:
        raise InvalidObjectDefinition("extended statistics require at least 2 columns")
    found = [letter for name, letter in _KINDS.items() if not named or name in named]
    return [*found, "e"] if has_expressions else found


def alter_statistics(ctx: DdlContext, node: ast.AlterStatsStmt) -> str:
    """ALTER STATISTICS … SET STATISTICS. 22023, 42501, 42704."""
    if schema_objects.find(ctx, STATISTICS, node.defnames, bool(node.missing_ok)) is None:
        name = schema_objects.dotted(node.defnames)
        ctx.notice(f'statistics object "{name}" does not exist, skipping')
        return "ALTER STATISTICS"
    row = schema_objects.owned(ctx, STATISTICS, node.defnames)
    target = int(node.stxstattarget)
    if target < -1:
        raise InvalidParameterValue(f"statistics target {target} is too low")
    if target > _TARGET_MAX:
        target = _TARGET_MAX
        ctx.notice(f"lowering statistics target to {target}", severity="WARNING", sqlstate="22023")
    ctx.rows.update("pg_statistic_ext", row, stxstattarget=target)
    ctx.changes.touch(row.stxrelid)
    return "ALTER STATISTICS"
