"""CREATE SCHEMA, CREATE VIEW, CREATE TABLE AS / SELECT INTO, TRUNCATE, LOCK."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pglast import ast, enums

from aurora.errors import (
    DuplicateColumn,
    DuplicateSchema,
    IndeterminateCollation,
    InvalidSchemaDefinition,
    InvalidTableDefinition,
    InvariantViolation,
    NoActiveSqlTransaction,
    NotSupported,
    ReservedName,
    SqlSyntaxError,
    WrongObjectType,
)
from compute_node.catalog.builders import attribute_row
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_RELATION, CLASS_REWRITE, DdlContext, cut_name
from compute_node.catalog.ddl.create_table import check_column_type, check_type_usage
from compute_node.catalog.ddl.expressions import expression_text, named_objects, walk
from compute_node.catalog.ddl.extensions.members import check_replaceable
from compute_node.catalog.ddl.foreign_keys import truncation
from compute_node.catalog.ddl.kept_texts import checked_text, read_view
from compute_node.catalog.ddl.new_owner import check_new_owner
from compute_node.catalog.ddl.persistence import UNLOGGED, persistence_of
from compute_node.catalog.ddl.relation import class_record, create_relation
from compute_node.catalog.ddl.rewrite import truncate
from compute_node.catalog.ddl.role_names import role_oid
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.layer import NEUTRAL_ENV
from compute_node.catalog.permissions import denied, denied_relation
from compute_node.catalog.reloptions import VIEW, options_of
from compute_node.relations.descriptors import NO_QUALIFICATION, ColumnDesc, RelationDesc
from compute_node.relations.foreign import refuse_changes
from compute_node.relations.schema import FIRST_NORMAL_OID, NAMESPACE_CATALOG
from compute_node.session.acting import as_owner
from compute_node.session.state import IDLE
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.from_clause import analyze_view
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.sql.deparse.queries import kept_query
from compute_node.sql.expressions import Const, FieldSelect
from compute_node.sql.parse import literal_location
from compute_node.sql.query import Query
from compute_node.sql.required import NOTHING, places_of, reader_of
from compute_node.sql.rewrite import own_nodes
from compute_node.sql.rewriter.views import why_not_updatable
from compute_node.txn.locks import ACCESS_EXCLUSIVE, ACCESS_SHARE, NOWAIT, ROW_EXCLUSIVE, WAIT
from compute_node.types import oids
from compute_node.types.acl import CREATE, DELETE, INSERT, SELECT, TRUNCATE, UPDATE
from compute_node.types.collation import INDETERMINATE

if TYPE_CHECKING:
    from compute_node.sql.query import Stars


_BATCH = 2000


def create_schema(ctx: DdlContext, node: ast.CreateSchemaStmt, execute: Callable[[ast.Node], str]) -> str:
    """CREATE SCHEMA with its schema elements, which ``execute`` runs."""
    owner = ctx.user_oid if node.authrole is None else role_oid(ctx, node.authrole)
    name = node.schemaname
    if name is None:
        name = ctx.view.layer.role_name(owner) or ctx.session.user
    name = cut_name(name)
    if name.startswith("pg_"):
        raise ReservedName(
            f'unacceptable schema name "{name}"', detail='The prefix "pg_" is reserved for system schemas.'
        )
    if ctx.view.layer.namespace_oid(name) is not None:
        if not node.if_not_exists:
            raise DuplicateSchema(f'schema "{name}" already exists')
        ctx.notice(f'schema "{name}" already exists, skipping', sqlstate="42P06")
        return "CREATE SCHEMA"
    if not ctx.rights.database(ctx.view.layer.database_oid, CREATE):
        raise denied("database", ctx.session.database)
    check_new_owner(ctx, owner)
    oid = ctx.next_oid()
    ctx.rows.insert("pg_namespace", oid=oid, nspname=name, nspowner=owner)
    record_owner(ctx, CLASS_NAMESPACE, oid, owner)
    ctx.changes.touch()
    if not node.schemaElts:
        return "CREATE SCHEMA"
    with as_owner(ctx.session, owner), _first_on_path(ctx, name):
        # Whatever the order in which they are written: what the others use comes first.
        for element in sorted(node.schemaElts, key=lambda each: _ELEMENTS.get(type(each), 0)):
            for attribute in ("sequence", "relation", "view"):
                target = getattr(element, attribute, None)
                if isinstance(target, ast.RangeVar):
                    if target.schemaname not in (None, name) and not isinstance(element, ast.GrantStmt):
                        raise InvalidSchemaDefinition(
                            f"CREATE specifies a schema ({target.schemaname}) different from the one being created"
                            f" ({name})"
                        )
                    target.schemaname = name
            execute(element)
    return "CREATE SCHEMA"


_ELEMENTS = {
    kind: place
    for place, kind in enumerate((ast.CreateSeqStmt, ast.CreateStmt, ast.ViewStmt, ast.IndexStmt, ast.CreateTrigStmt))
} | {ast.GrantStmt: 9}
"""the order of CREATE SCHEMA's elements"""


@contextmanager
def _first_on_path(ctx: DdlContext, schema: str) -> Iterator[None]:
    """With the new schema before the others of the search path."""
    settings = ctx.session.settings
    path, mark, first = settings.show("search_path"), settings.mark(), quote_identifier(schema)
    settings.set("search_path", f"{first}, {path}" if path else first, local=True)
    try:
        yield
    finally:
        settings.leave(mark, ["search_path"])
        ctx.session.environment_changed()


def query_columns(ctx: DdlContext, query: Query, names: list[str], what: str) -> list[ColumnDesc]:
    """The columns of a view or table (``what``) of a query, called by ``names`` first. 42601, 42701, 42P22."""
    targets = [target for target in query.targets if not target.junk]
    if len(names) > len(targets):
        message = (
            "CREATE VIEW specifies more column names than columns"
            if what == "view"
            else "too many column names were specified"
        )
        raise SqlSyntaxError(message)
    columns = []
    seen: set[str] = set()
    for number, target in enumerate(targets, 1):
        name = names[number - 1] if number <= len(names) else target.name
        if name in seen:
            raise DuplicateColumn(f'column "{name}" specified more than once')
        seen.add(name)
        kind = oids.TEXT if target.expression.type == oids.UNKNOWN else target.expression.type
        check_column_type(name, ctx.view.type(kind))
        check_type_usage(ctx, ctx.view.type(kind))
        typmod = getattr(target.expression, "typmod", -1)
        collation = ctx.view.type(kind).collation
        if collation and target.collation == INDETERMINATE:
            hint = "Use the COLLATE clause to set the collation explicitly."
            if what == "view":
                message = f'could not determine which collation to use for view column "{name}"'
            else:
                shown = format_type(ctx.view, kind)
                message = f'no collation was derived for column "{name}" with collatable type {shown}'
            raise IndeterminateCollation(message, hint=hint)
        if collation and target.collation > 0:
            collation = target.collation
        columns.append(ColumnDesc(number, name, kind, typmod, False, collation=collation))
    return columns


def create_view(ctx: DdlContext, node: ast.ViewStmt) -> str:
    """CREATE [OR REPLACE] VIEW; the query's text is kept, with the names of its relations made complete."""
    if getattr(node.query, "intoClause", None) is not None:
        raise NotSupported("views must not contain SELECT INTO")
    if node.view.relpersistence == UNLOGGED:
        raise SqlSyntaxError("views cannot be unlogged because they do not have storage")
    name = cut_name(node.view.relname)
    analyzing = ctx.tracing()
    query = analyze(node.query, analyzing, [], ctx.source, session=ctx.session, allow_params=False)
    if any(item.query.command != "select" for item in query.ctes):
        raise NotSupported("views must not contain data-modifying statements in WITH")
    columns = query_columns(ctx, query, [item.sval for item in node.aliases or ()], "view")
    relations: set[int] = set(query.relations)
    view = ctx.view
    if node.view.relpersistence == "p" and any(
        (desc := view.relation(oid)) is not None and desc.persistence == "t" for oid in relations
    ):
        ctx.notice(f'view "{name}" will be a temporary view')
        node.view.relpersistence = "t"
    given = list(node.options or ())
    if node.withCheckOption != enums.ViewCheckOption.NO_CHECK_OPTION:
        kind = "local" if node.withCheckOption == enums.ViewCheckOption.LOCAL_CHECK_OPTION else "cascaded"
        given.append(ast.DefElem(defname="check_option", arg=ast.String(sval=kind)))
    options = options_of(VIEW, given)
    refuse_check_option(options, query)
    schema = ctx.creation_schema(node.view)
    text = ctx.keep(view_text(ctx, node.query, query), analyzing, named_objects(own_nodes(query)))
    existing = view.layer.relation_oid(schema[1], name)
    if existing is not None and node.replace:
        desc = view.relation(existing)
        if desc is None:
            raise InvariantViolation("desc is not there")
        check_replaceable(ctx, (CLASS_RELATION, desc.oid, 0))
        _replace_view(ctx, desc, columns)
        ctx.rows.update("pg_class", class_record(ctx, desc.oid), reloptions=options or None)
        oid = existing
    else:
        persistence = persistence_of(schema, node.view)
        oid = create_relation(ctx, schema, name, "v", columns, persistence=persistence, options=options or None).oid
    store_query(ctx, oid, query, text)
    return "CREATE VIEW"


def store_query(ctx: DdlContext, oid: int, query: Query, text: str) -> None:
    """The query of a view, as the rule that it is, and what it depends on."""
    rule = ctx.next_oid()
    ctx.rows.insert(
        "pg_rewrite",
        oid=rule,
        rulename="_RETURN",
        ev_class=oid,
        ev_type="1",
        ev_enabled="O",
        is_instead=True,
        ev_qual=NO_QUALIFICATION,
        ev_action=text,
    )
    ctx.depend((CLASS_REWRITE, rule, 0), (CLASS_RELATION, oid, 0), "i")
    ctx.depend_on_text((CLASS_REWRITE, rule, 0), text)
    for address in sorted(used_columns(ctx, query)):
        ctx.depend((CLASS_REWRITE, rule, 0), address, "n")
    ctx.changes.touch(oid)


def refuse_check_option(options: Sequence[str], query: Query) -> None:
    """0A000 for a check option of a view of ``query`` that cannot be changed by itself."""
    if any(option.startswith("check_option=") for option in options):
        why = why_not_updatable(query)
        if why is not None:
            raise NotSupported("WITH CHECK OPTION is supported only on automatically updatable views", hint=why)


def view_text(ctx: DdlContext, node: ast.Node, query: Query) -> str:
    """The query as it is kept: written back from what it means, or, where that fails, as its creator wrote it."""

    def as_written() -> str:
        write_stars(node, query.stars)
        write_constants(ctx, node, query)
        qualify(ctx, node)
        return expression_text(node)

    return checked_text(query, partial(read_view, ctx), lambda: kept_query(query, ctx.stored_view), as_written)


def used_columns(ctx: DdlContext, query: Query) -> set[tuple[int, int, int]]:
    """The relations that a query itself reads, and the columns that it names of them; what a view reads in its turn is
    that view's matter."""
    required = query.privileges or NOTHING
    used: set[tuple[int, int, int]] = set()
    for access in required.relations:
        if not access.in_view:
            used.add((CLASS_RELATION, access.relation.oid, 0))
            used |= {(CLASS_RELATION, access.relation.oid, attno) for attno in access.selected if attno > 0}
    for node in own_nodes(query):
        if isinstance(node, FieldSelect):
            kind = ctx.view.type(node.argument.type).root
            if kind.relation >= FIRST_NORMAL_OID:
                used.add((CLASS_RELATION, kind.relation, node.index + 1))
    return used


def _replace_view(ctx: DdlContext, desc: RelationDesc, columns: list[ColumnDesc]) -> None:
    """CREATE OR REPLACE keeps the columns and may add some behind; 42P16 otherwise."""
    if desc.kind != "v":
        raise WrongObjectType(f'"{desc.name}" is not a view')
    ctx.check_owner(desc)
    if len(columns) < len(desc.columns):
        raise InvalidTableDefinition("cannot drop columns from view")
    view = ctx.view
    for old, new in zip(desc.columns, columns, strict=False):
        if old.name != new.name:
            raise InvalidTableDefinition(
                f'cannot change name of view column "{old.name}" to "{new.name}"',
                hint="Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            )
        if (old.type, old.typmod) != (new.type, new.typmod):
            raise InvalidTableDefinition(
                f'cannot change data type of view column "{old.name}" from '
                f"{format_type(view, old.type, old.typmod)} to {format_type(view, new.type, new.typmod)}"
            )
    added = columns[len(desc.columns) :]
    ctx.rows.insert_many("pg_attribute", [attribute_row(desc.oid, each, view.type(each.type)) for each in added])
    ctx.rows.update("pg_class", class_record(ctx, desc.oid), relnatts=len(columns))
    record = ctx.rows.one("pg_rewrite", ev_class=desc.oid, rulename="_RETURN")
    if record is not None:
        ctx.rows.delete_where("pg_depend", classid=CLASS_REWRITE, objid=record.oid)
        ctx.rows.delete("pg_rewrite", record)


def write_stars(node: ast.Node, stars: Stars) -> None:
    """Write the columns that stars of a query stand for: a view keeps those that there were when it was made."""
    for each in walk(node):
        targets = getattr(each, "targetList", None)
        if not isinstance(each, ast.SelectStmt) or not targets:
            continue
        written: list[ast.ResTarget] = []
        for target in targets:
            _, columns = stars.get(id(target.val), (None, None))
            if columns is None:
                written.append(target)
                continue
            for qualifier, name in columns:
                fields = [ast.String(sval=part) for part in (qualifier, name) if part is not None]
                written.append(ast.ResTarget(val=ast.ColumnRef(fields=tuple(fields), location=-1), location=-1))
        each.targetList = tuple(written)


def write_constants(ctx: DdlContext, node: ast.Node, query: Query) -> None:
    """Write what the literals of a query mean, so that they mean it later ('now') and under other settings, too."""
    constants = {
        each.location: each
        for each in own_nodes(query)
        if isinstance(each, Const) and each.location >= 0 and each.value is not None and each.type != oids.UNKNOWN
    }
    for each in walk(node):
        if isinstance(each, ast.A_Const) and isinstance(each.val, ast.String):
            constant = constants.get(literal_location(each))
            if constant is not None:
                text = ctx.view.type(constant.type).output(constant.value, NEUTRAL_ENV)
                each.val = ast.String(sval=text)


def qualify(ctx: DdlContext, node: ast.Node, hidden: frozenset[str] = frozenset()) -> None:
    """Give every relation name of a query its schema, so that the stored text does not depend on the search path.
    ``hidden``:
    names of CTEs in scope."""
    if isinstance(node, tuple):
        for item in node:
            qualify(ctx, item, hidden)
        return
    if not isinstance(node, ast.Node):
        return
    clause = getattr(node, "withClause", None)
    if clause is not None:
        hidden = hidden | {item.ctename for item in clause.ctes}
    if isinstance(node, ast.RangeVar) and node.schemaname is None and node.relname not in hidden:
        found = ctx.view.find_relation(None, node.relname)
        if found is not None:
            node.schemaname = found.schema
    _qualify_object(ctx, node)
    for attribute in node:
        value = getattr(node, attribute)
        if isinstance(value, (tuple, ast.Node)):
            qualify(ctx, value, hidden)


def _qualify_object(ctx: DdlContext, node: ast.Node) -> None:
    """The schema of a user's type, function or operator, where its bare name can mean no other."""
    if isinstance(node, ast.TypeName):
        attribute = "names"
    elif isinstance(node, ast.FuncCall):
        attribute = "funcname"
    elif isinstance(node, ast.A_Expr):
        attribute = "name"
    else:
        return
    names = getattr(node, attribute)
    if names is None or len(names) != 1:
        return
    view, name = ctx.view, names[0].sval
    if isinstance(node, ast.TypeName):
        kind = view.find_type(None, name)
        namespaces = set() if kind is None else {kind.namespace}
    elif isinstance(node, ast.FuncCall):
        namespaces = {item.namespace for item in view.functions(None, name)}
    else:
        namespaces = {item.namespace for item in view.operators(None, name)}
    if len(namespaces) == 1 and NAMESPACE_CATALOG not in namespaces:
        schema = view.namespace_name(namespaces.pop())
        setattr(node, attribute, (ast.String(sval=schema), ast.String(sval=name)))


def truncate_statement(ctx: DdlContext, node: ast.TruncateStmt) -> str:
    """TRUNCATE of one or more tables."""
    tables: dict[int, RelationDesc] = {}
    for name in node.relations:
        desc = ctx.truncatable(name)
        tables.setdefault(desc.oid, desc)
        for child in ctx.lock_descendants(desc, partial(_lock_truncated, ctx)) if name.inh else ():
            if not ctx.is_of_other_session(child):
                tables.setdefault(child.oid, child)
    for desc in truncation(ctx, list(tables.values()), node.behavior == enums.DropBehavior.DROP_CASCADE):
        refuse_changes(desc, "truncate")
        ctx.check_unused(desc, "TRUNCATE")
        if node.restart_seqs:
            _restart_sequences(ctx, desc)
        if desc.is_partitioned:
            continue
        counts = ctx.storage.table(desc).counts
        truncate(ctx, desc)
        ctx.txn.levels[-1].empty(counts)
    return "TRUNCATE TABLE"


def _lock_truncated(ctx: DdlContext, desc: RelationDesc) -> None:
    """A descendant of a table that is emptied; the privilege is asked of the table alone. Those of other sessions'
    temporary schemas are left out."""
    if not ctx.is_of_other_session(desc):
        ctx.lock(desc, ACCESS_EXCLUSIVE)


def _restart_sequences(ctx: DdlContext, desc: RelationDesc) -> None:
    for record in ctx.rows.find("pg_depend", refclassid=CLASS_RELATION, refobjid=desc.oid):
        sequence = ctx.view.relation(record.objid) if record.classid == CLASS_RELATION and record.refobjsubid else None
        if sequence is not None and sequence.kind == "S":
            parameters = ctx.rows.one("pg_sequence", seqrelid=sequence.oid)
            if parameters is not None:
                ctx.lock(sequence, ACCESS_EXCLUSIVE)
                ctx.engine.sequences.alter(sequence, ctx.txn, restart=parameters.seqstart)


def _check_lock(ctx: DdlContext, desc: RelationDesc, mode: int, role: int) -> None:
    """ACCESS SHARE takes SELECT, ROW EXCLUSIVE any right to change rows, the others one that is more than INSERT."""
    wanted = UPDATE | DELETE | TRUNCATE
    if mode == ACCESS_SHARE:
        wanted = SELECT
    elif mode == ROW_EXCLUSIVE:
        wanted |= INSERT
    if not ctx.view.rights(role).relation(desc, wanted):
        raise denied_relation(desc)


LOCKED_NOT = {
    "m": "materialized views",
    "i": "indexes",
    "S": "sequences",
    "c": "composite types",
    "t": "TOAST tables",
    "f": "foreign tables",
}


def lock_statement(ctx: DdlContext, node: ast.LockStmt) -> str:
    """LOCK TABLE in the mode given; 25P01 outside a transaction block."""
    if ctx.session.block == IDLE and not (ctx.session.several_statements or ctx.session.depth):
        raise NoActiveSqlTransaction("LOCK TABLE can only be used in transaction blocks")
    for name in node.relations:
        desc = ctx.find(name)
        if desc is None:
            raise InvariantViolation("desc is not there")
        if desc.kind not in "rpv":
            what = LOCKED_NOT.get(desc.kind)
            detail = f"This operation is not supported for {what}." if what else None
            raise WrongObjectType(f'cannot lock relation "{desc.name}"', detail=detail)
        lock = partial(ctx.lock, mode=int(node.mode), wait=NOWAIT if node.nowait else WAIT)
        _lock_checked(ctx, desc, lock, int(node.mode), ctx.user_oid, bool(name.inh))
        if desc.kind != "v":
            continue
        # What a view reads, too, as its owner or who invokes it.
        for place in places_of(analyze_view(ctx.view, desc, ctx.session).query, reader_of(desc)).values():
            if place.relation.kind in "rpv":
                _lock_checked(ctx, place.relation, lock, int(node.mode), place.check_as or ctx.user_oid, place.descends)
    return "LOCK TABLE"


def _lock_checked(
    ctx: DdlContext, desc: RelationDesc, lock: Callable[[RelationDesc], None], mode: int, role: int, descends: bool
) -> None:
    """A table that a role names, with its descendants, of which no privilege is asked; or a view."""
    _check_lock(ctx, desc, mode, role)
    lock(desc)
    if descends and desc.kind != "v":
        ctx.lock_descendants(desc, lock)
