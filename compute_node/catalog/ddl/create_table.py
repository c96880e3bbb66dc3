"""CREATE TABLE: column definitions, constraints, LIKE → a relation, its defaults, keys and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pglast import ast, enums

from aurora.errors import (
    DatatypeMismatch,
    DuplicateColumn,
    InsufficientPrivilege,
    InvalidObjectDefinition,
    InvalidSchemaName,
    InvalidTableDefinition,
    NotSupported,
    SqlError,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.ddl import like
from compute_node.catalog.ddl.column_specs import ColumnSpec
from compute_node.catalog.ddl.constraints import add_check, add_key
from compute_node.catalog.ddl.context import DdlContext, cut_name
from compute_node.catalog.ddl.exclusion import add_exclusion
from compute_node.catalog.ddl.expressions import default_text
from compute_node.catalog.ddl.foreign_keys import add_foreign_key
from compute_node.catalog.ddl.generated_columns import depend_on_columns, generate_column
from compute_node.catalog.ddl.inheritance import merge_parents, open_parents, store_inheritance
from compute_node.catalog.ddl.on_commit import check_on_commit, remember
from compute_node.catalog.ddl.partitions.create import apply_options, bind, inherited_columns, open_partitioned
from compute_node.catalog.ddl.partitions.foreign_keys import inherit_foreign_keys
from compute_node.catalog.ddl.partitions.indexes import inherit_indexes
from compute_node.catalog.ddl.partitions.key import check_strategy, store_key
from compute_node.catalog.ddl.persistence import persistence_of
from compute_node.catalog.ddl.relation import create_relation, relation, set_default
from compute_node.catalog.ddl.sequence import SERIAL_TYPES, create_owned_sequence
from compute_node.catalog.ddl.toast import compression_letter, ensure_toast
from compute_node.catalog.ddl.typed_tables import composite_of, set_type
from compute_node.catalog.permissions import denied
from compute_node.catalog.reloptions import PARTITIONED, TABLE, TOAST, options_of
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.typenames import find_collation, format_type, resolve_type_name
from compute_node.types.acl import USAGE
from compute_node.types.registry import PgType

SYSTEM_COLUMNS = ("ctid", "xmin", "cmin", "xmax", "cmax", "tableoid")
_KEYS = (enums.ConstrType.CONSTR_PRIMARY, enums.ConstrType.CONSTR_UNIQUE)
_ATTRIBUTES = (
    enums.ConstrType.CONSTR_ATTR_DEFERRABLE,
    enums.ConstrType.CONSTR_ATTR_NOT_DEFERRABLE,
    enums.ConstrType.CONSTR_ATTR_DEFERRED,
    enums.ConstrType.CONSTR_ATTR_IMMEDIATE,
)
_ATTRIBUTE_WORDS = {
    enums.ConstrType.CONSTR_ATTR_DEFERRABLE: ("DEFERRABLE", "deferrable"),
    enums.ConstrType.CONSTR_ATTR_NOT_DEFERRABLE: ("NOT DEFERRABLE", "deferrable"),
    enums.ConstrType.CONSTR_ATTR_DEFERRED: ("INITIALLY DEFERRED", "initially"),
    enums.ConstrType.CONSTR_ATTR_IMMEDIATE: ("INITIALLY IMMEDIATE", "initially"),
}
"""as messages name them, and what they are about"""


def check_type_usage(ctx: DdlContext, item: PgType) -> None:
    """42501 for a column of a type that the user may not use; an array is as its elements."""
    if ctx.rights.superuser:
        return
    oid = item.element if item.element and item.length == -1 else item.oid
    if not ctx.rights.object("type", oid, USAGE):
        raise denied("type", format_type(ctx.view, oid))


def _name_within(item: PgType, of: int) -> str:
    """The name of the row type of relation ``of`` that a type contains."""
    waiting: list[PgType | None] = [item]
    while waiting:
        each = waiting.pop()
        if each is None:
            continue
        if each.relation == of:
            return each.name
        waiting += [each.base, each.element_type, *(field.type for field in each.fields)]
    return item.name


def check_column_type(column: str, item: PgType, of: int = 0) -> None:
    """42P16 for a pseudo-type or an array of one, and for what would contain itself: ``of`` is the OID of the relation
    that gets the column."""
    if item.kind == "p":
        raise InvalidTableDefinition(f'column "{column}" has pseudo-type {item.formatted_name or item.name}')
    if of and of in item.parts:
        raise InvalidTableDefinition(f"composite type {_name_within(item, of)} cannot be made a member of itself")


def column_spec(ctx: DdlContext, table: str, node: ast.ColumnDef, attno: int, of: int = 0) -> ColumnSpec:
    """Take one column definition apart; 42704, 42601, 42701 and 0A000 for what is not supported."""
    name = cut_name(node.colname)
    if name in SYSTEM_COLUMNS:
        raise DuplicateColumn(f'column name "{name}" conflicts with a system column name')
    view = ctx.view
    serial = _serial(node.typeName)
    if serial is not None:
        kind, typmod = SERIAL_TYPES[serial], -1
    else:
        kind, typmod = resolve_type_name(view, node.typeName)
    item = view.type(kind)
    check_column_type(name, item, of)
    check_type_usage(ctx, item)
    collation = item.collation
    if node.collClause is not None:
        collation = _collation(ctx, node.collClause, item.collation != 0, kind)
    spec = ColumnSpec(
        ColumnDesc(attno, name, kind, typmod, serial is not None, collation=collation),
        dimensions=len(node.typeName.arrayBounds or ()),
        serial=serial,
    )
    if node.compression:
        spec.column = replace(spec.column, compression=compression_letter(node.compression, item))
    nullable: bool | None = False if serial is not None else None
    for constraint in with_attributes(node.constraints or ()):
        nullable = _column_constraint(spec, table, constraint, nullable)
    if nullable is False:
        spec.column = replace(spec.column, not_null=True)
    return spec


def _serial(node: ast.TypeName) -> str | None:
    names: Sequence[ast.Node] = node.names or ()
    if len(names) == 1 and names[0].sval in SERIAL_TYPES:
        if node.arrayBounds:
            raise NotSupported("array of serial is not implemented", position=(node.location or 0) + 1)
        return str(names[0].sval)
    return None


def _collation(ctx: DdlContext, clause: ast.CollateClause, collatable: bool, of: int) -> int:
    location = clause.location or 0
    found = find_collation(ctx.view, clause.collname, location)
    if not collatable:
        kind = format_type(ctx.view, of)
        raise DatatypeMismatch(f"collations are not supported by type {kind}", position=location + 1)
    return found.oid


def _column_constraint(spec: ColumnSpec, table: str, node: ast.Constraint, nullable: bool | None) -> bool | None:
    kind, name = node.contype, spec.column.name
    position = (node.location or 0) + 1
    if kind in (enums.ConstrType.CONSTR_NULL, enums.ConstrType.CONSTR_NOTNULL):
        wanted: bool = kind == enums.ConstrType.CONSTR_NULL
        if nullable is not None and nullable != wanted:
            raise SqlSyntaxError(
                f'conflicting NULL/NOT NULL declarations for column "{name}" of table "{table}"', position=position
            )
        return wanted
    if kind == enums.ConstrType.CONSTR_DEFAULT:
        if spec.column.generated:
            raise _both("default", name, table, position)
        if spec.serial is not None:
            raise SqlSyntaxError(f'multiple default values specified for column "{name}" of table "{table}"')
        if spec.default is not None:
            raise SqlSyntaxError(
                f'multiple default values specified for column "{name}" of table "{table}"', position=position
            )
        spec.default = node.raw_expr
    elif kind in _KEYS:
        spec.keys.append(node)
    elif kind == enums.ConstrType.CONSTR_CHECK:
        spec.checks.append(node)
    elif kind == enums.ConstrType.CONSTR_IDENTITY:
        if spec.column.generated:
            raise _both("identity", name, table, position)
        spec.identity = node
        spec.column = replace(spec.column, identity=node.generated_when)
        return False
    elif kind == enums.ConstrType.CONSTR_GENERATED:
        if spec.column.generated:
            raise SqlSyntaxError(
                f'multiple generation clauses specified for column "{name}" of table "{table}"', position=position
            )
        if spec.default is not None or spec.serial is not None:
            raise _both("default", name, table, position if spec.serial is None else None)
        if spec.identity is not None:
            raise _both("identity", name, table, position)
        spec.generated = node.raw_expr
        spec.column = replace(spec.column, generated="s")
    elif kind == enums.ConstrType.CONSTR_FOREIGN:
        spec.foreign.append(node)
    else:
        raise NotSupported("this column constraint is not supported", position=position)
    return nullable


def _both(what: str, column: str, table: str, position: int | None) -> SqlError:
    message = f'both {what} and generation expression specified for column "{column}" of table "{table}"'
    return SqlSyntaxError(message, position=position)


def _is_foreign(node: ast.Constraint) -> bool:
    return bool(node.contype == enums.ConstrType.CONSTR_FOREIGN)


def with_attributes(constraints: Sequence[ast.Constraint]) -> list[ast.Constraint]:
    """A column's constraints, each with the DEFERRABLE, INITIALLY … that the grammar puts behind it. 42601."""
    found: list[ast.Constraint] = []
    kinds = enums.ConstrType
    said: set[str] = set()
    for node in constraints:
        kind = node.contype
        if kind not in _ATTRIBUTES:
            found.append(node)
            said = set()
            continue
        target = found[-1] if found and found[-1].contype in (*_KEYS, kinds.CONSTR_FOREIGN) else None
        word, what = _ATTRIBUTE_WORDS[kind]
        position = (node.location or 0) + 1
        if target is None:
            raise SqlSyntaxError(f"misplaced {word} clause", position=position)
        if what in said:
            clause = "DEFERRABLE/NOT DEFERRABLE" if what == "deferrable" else "INITIALLY IMMEDIATE/DEFERRED"
            raise SqlSyntaxError(f"multiple {clause} clauses not allowed", position=position)
        said.add(what)
        if kind == kinds.CONSTR_ATTR_DEFERRABLE:
            target.deferrable = True
        elif kind == kinds.CONSTR_ATTR_DEFERRED:
            target.initdeferred = True
            if "deferrable" not in said:
                target.deferrable = True
        if target.initdeferred and not target.deferrable:
            raise SqlSyntaxError("constraint declared INITIALLY DEFERRED must be DEFERRABLE", position=position)
    return found


def check_tablespace(ctx: DdlContext, name: str | None) -> None:
    """Tablespaces are accepted and mean nothing; an unknown one is 42704."""
    if name and ctx.rows.one("pg_tablespace", spcname=name) is None:
        raise UndefinedObject(f'tablespace "{name}" does not exist')


def create_table(ctx: DdlContext, node: ast.CreateStmt) -> str:
    """CREATE [TEMP|UNLOGGED] TABLE."""
    desc = create_table_of(ctx, node, "r" if node.partspec is None else "p")
    if desc is not None and any(isinstance(each, ast.ColumnDef) and each.fdwoptions for each in node.tableElts or ()):
        raise WrongObjectType(f'"{desc.name}" is not a foreign table')
    return "CREATE TABLE"


def create_table_of(ctx: DdlContext, node: ast.CreateStmt, kind: str) -> RelationDesc | None:
    """A table of a kind: r, p or f (foreign). None where IF NOT EXISTS found it."""
    name = cut_name(node.relation.relname)
    if node.partspec is not None:
        check_strategy(node.partspec)
        if node.inhRelations and node.partbound is None:
            raise InvalidObjectDefinition("cannot create partitioned table as inheritance child")
    check_on_commit(ctx, node.relation, node.oncommit)
    try:
        schema = ctx.creation_schema(node.relation)
    except (InvalidSchemaName, InvalidTableDefinition, InsufficientPrivilege) as error:
        if error.detail is None and not ctx.session.restricted:
            error.position = node.relation.location + 1
        raise
    if ctx.view.layer.relation_oid(schema[1], name) is not None and node.if_not_exists:
        ctx.notice(f'relation "{name}" already exists, skipping', sqlstate="42P07")
        return None
    check_tablespace(ctx, node.tablespacename)
    persistence = persistence_of(schema, node.relation)
    composite = None if node.ofTypename is None else composite_of(ctx, node.ofTypename)
    inherited, parent = None, None
    likes: list[tuple[RelationDesc, int]] = []
    if node.partbound is not None:
        parent = open_partitioned(ctx, node.inhRelations[0], persistence)
        specs, inherited = inherited_columns(ctx, parent)
        constraints = apply_options(specs, node.tableElts or (), _column_constraint, name)
    elif composite is None:
        specs, constraints, likes = _elements(ctx, name, node.tableElts or ())
    else:
        check_type_usage(ctx, ctx.view.type(composite.row_type))
        specs, constraints = _typed_elements(ctx, name, composite, node.tableElts or ())
    if node.inhRelations and parent is None:
        specs, inherited = merge_parents(ctx, open_parents(ctx, node.inhRelations, persistence), specs)
    desc = create_relation(
        ctx,
        schema,
        name,
        kind,
        [spec.column for spec in specs],
        persistence=persistence,
        options=options_of(TABLE if node.partspec is None else PARTITIONED, node.options) or None,
        dimensions={spec.column.attno: spec.dimensions for spec in specs},
    )
    if composite is not None:
        set_type(ctx, desc.oid, composite.row_type)
    if inherited is not None:
        store_inheritance(ctx, desc, inherited)
    if parent is not None:
        bind(ctx, desc, parent, node.partbound)
    if node.partspec is not None:
        store_key(ctx, relation(ctx, desc.oid), node.partspec)
    for spec in specs:
        add_column_default(ctx, desc, spec, "CREATE FOREIGN TABLE" if kind == "f" else "CREATE TABLE")
    for spec in specs:
        for key in spec.keys:
            add_key(ctx, relation(ctx, desc.oid), key, [spec.column.name])
    checks = [(check, spec.column.name) for spec in specs for check in spec.checks]
    for constraint in constraints:
        if not _is_foreign(constraint):
            add_table_constraint(ctx, desc.oid, constraint, validate=False)
    for check, column in checks:
        add_check(ctx, relation(ctx, desc.oid), check, column, validate=False)
    for source, options in likes:
        like.copy_extras(ctx, desc.oid, source, options)
    for foreign, columns in [
        *((each, [spec.column.name]) for spec in specs for each in spec.foreign),
        *((each, [item.sval for item in each.fk_attrs or ()]) for each in constraints if _is_foreign(each)),
    ]:
        add_foreign_key(ctx, relation(ctx, desc.oid), foreign, columns, validate=False)
    if parent is not None:
        inherit_indexes(ctx, desc, relation(ctx, parent.oid))
        inherit_foreign_keys(ctx, desc.oid, relation(ctx, parent.oid), validate=False)
    ensure_toast(ctx, desc.oid, options_of(TOAST, node.options))
    remember(ctx, desc, node.oncommit)
    return relation(ctx, desc.oid)


def add_table_constraint(
    ctx: DdlContext, oid: int, node: ast.Constraint, *, validate: bool, recurse: bool = True
) -> None:
    """A table constraint of CREATE or ALTER TABLE; without ``recurse`` of the table ONLY."""
    desc = relation(ctx, oid)
    if node.contype in _KEYS:
        add_key(ctx, desc, node, [key.sval for key in node.keys or ()], recurse)
    elif node.contype == enums.ConstrType.CONSTR_EXCLUSION:
        add_exclusion(ctx, desc, node)
    elif node.contype == enums.ConstrType.CONSTR_CHECK:
        add_check(ctx, desc, node, None, validate=validate)
    elif _is_foreign(node):
        columns = [item.sval for item in node.fk_attrs or ()]
        add_foreign_key(ctx, desc, node, columns, validate=validate, recurse=recurse)
    else:
        raise NotSupported("this table constraint is not supported", position=(node.location or 0) + 1)


def add_column_default(ctx: DdlContext, desc: RelationDesc, spec: ColumnSpec, statement: str) -> None:
    """Store a column's default: its own, a serial's sequence, or an identity's; for CREATE or ALTER TABLE."""
    attno = spec.column.attno
    if spec.serial is not None or spec.identity is not None:
        options = spec.identity.options if spec.identity is not None else None
        is_identity = spec.identity is not None
        sequence = create_owned_sequence(ctx, desc, spec.column, options, identity=is_identity, statement=statement)
        if not is_identity:
            # By OID, so that neither renaming nor the search path matters; pg_get_expr shows the name. An identity has
            # no default of its own (``CatalogLayer``).
            set_default(ctx, desc.oid, attno, f"nextval('{sequence}'::regclass)", sequence)
    elif spec.default is not None:
        set_default(ctx, desc.oid, attno, default_text(ctx, spec.default, spec.column))
    elif spec.generated is not None:
        generate_column(ctx, desc.oid, attno, spec.generated)
    elif spec.default_text is not None:
        set_default(ctx, desc.oid, attno, spec.default_text, spec.sequence)
        if spec.column.generated:
            depend_on_columns(ctx, relation(ctx, desc.oid), attno)


def _elements(
    ctx: DdlContext, table: str, elements: Sequence[ast.Node]
) -> tuple[list[ColumnSpec], list[ast.Constraint], list[tuple[RelationDesc, int]]]:
    specs: list[ColumnSpec] = []
    constraints: list[ast.Constraint] = []
    likes: list[tuple[RelationDesc, int]] = []
    names: set[str] = set()
    for element in elements:
        if isinstance(element, ast.ColumnDef):
            added = [column_spec(ctx, table, element, len(specs) + 1)]
        elif isinstance(element, ast.TableLikeClause):
            source = like.source(ctx, element)
            likes.append((source, element.options))
            added = like.columns(ctx, source, element.options, len(specs))
        else:
            constraints.append(element)
            continue
        for spec in added:
            if spec.column.name in names:
                raise DuplicateColumn(f'column "{spec.column.name}" specified more than once')
            names.add(spec.column.name)
            specs.append(spec)
    primary = [each for spec in specs for each in spec.keys if each.contype == enums.ConstrType.CONSTR_PRIMARY]
    primary += [each for each in constraints if each.contype == enums.ConstrType.CONSTR_PRIMARY]
    if len(primary) > 1:
        position = (primary[1].location or 0) + 1
        raise InvalidTableDefinition(f'multiple primary keys for table "{table}" are not allowed', position=position)
    return specs, constraints, likes


def _typed_elements(
    ctx: DdlContext, table: str, composite: RelationDesc, elements: Sequence[Any]
) -> tuple[list[ColumnSpec], list[ast.Constraint]]:
    """The columns of a composite type with what the statement says of them; 42703, 42701."""
    live = [column for column in composite.columns if not column.dropped]
    specs = {
        column.name: ColumnSpec(
            ColumnDesc(number, column.name, column.type, column.typmod, False, collation=column.collation)
        )
        for number, column in enumerate(live, 1)
    }
    constraints: list[ast.Constraint] = []
    seen: set[str] = set()
    for element in elements:
        if not isinstance(element, ast.ColumnDef):
            constraints.append(element)
            continue
        spec = specs.get(element.colname)
        if spec is None:
            raise UndefinedColumn(f'column "{element.colname}" does not exist')
        if element.colname in seen:
            raise DuplicateColumn(f'column "{element.colname}" specified more than once')
        seen.add(element.colname)
        nullable: bool | None = None
        for constraint in element.constraints or ():
            nullable = _column_constraint(spec, table, constraint, nullable)
        if nullable is False:
            spec.column = replace(spec.column, not_null=True)
    return list(specs.values()), constraints
