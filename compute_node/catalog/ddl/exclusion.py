"""EXCLUDE constraints of tables: operators → index and constraint rows (manual, CREATE TABLE)."""

from __future__ import annotations

from pglast import ast

from aurora.errors import InvariantViolation, NotSupported, SqlError, UndefinedColumn, WrongObjectType
from compute_node.catalog.ddl.context import DdlContext, cut_name
from compute_node.catalog.ddl.expressions import predicate_text
from compute_node.catalog.ddl.foreign_key_rows import add_recheck_trigger
from compute_node.catalog.ddl.indexes import (
    IndexOptions,
    KeyColumn,
    column_names,
    find_method,
    included_column,
    index_key,
    make_index,
)
from compute_node.catalog.ddl.relation import create_constraint
from compute_node.catalog.reloptions import index_options
from compute_node.relations.descriptors import Excluded, RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.analyze.typenames import format_type
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.sql.expressions import Call


def add_exclusion(ctx: DdlContext, desc: RelationDesc, node: ast.Constraint) -> None:
    """EXCLUDE [USING method] (column WITH operator, …): the index and the constraint. 42704, 42809, 42883, 23P01."""
    if desc.kind == "p":
        place = node.location if node.location is not None else -1
        raise NotSupported("exclusion constraints are not supported on partitioned tables", position=place + 1 or None)
    method = find_method(ctx, node.access_method or "btree")
    if method.bitmap_only:
        raise NotSupported(f'access method "{method.name}" does not support exclusion constraints')
    included = tuple(
        included_column(desc, ast.IndexElem(name=item.sval, ordering=0, nulls_ordering=0))
        for item in node.including or ()
    )
    if len(node.exclusions) > 1 and not method.multi_column:
        raise NotSupported(f'access method "{method.name}" does not support multicolumn indexes')
    if included and not method.include:
        raise NotSupported(f'access method "{method.name}" does not support included columns')
    predicate = None if node.where_clause is None else predicate_text(ctx, node.where_clause, desc)
    for element, _ in node.exclusions:
        if element.name is not None and desc.column(element.name) is None:
            raise UndefinedColumn(f'column "{element.name}" named in key does not exist')
    keys = [index_key(ctx, desc, element, method) for element, _ in node.exclusions]
    excluded = tuple(
        _excluded(ctx, desc, key, [item.sval for item in names])
        for key, (_, names) in zip(keys, node.exclusions, strict=True)
    )
    if node.conname:
        name = cut_name(node.conname)
    else:
        parts = column_names([key.name for key in keys] + [desc.columns[attno - 1].name for attno in included])
        name = ctx.free_name(desc.namespace, [desc.name, *parts], "excl")
    options = IndexOptions(
        unique=False,
        included=included,
        immediate=not node.deferrable,
        exclusion=excluded,
        method=method,
        storage=index_options(method, node.options),
    )
    if predicate is not None:
        options.predicate, options.predicate_uses = predicate.text, predicate.uses
    index = make_index(ctx, desc, name, keys, options)
    constraint = create_constraint(
        ctx,
        desc,
        name,
        "x",
        tuple(key.attno for key in keys),
        index=index.oid,
        deferrable=bool(node.deferrable),
        deferred=bool(node.initdeferred),
        operators=tuple(each.operator for each in excluded),
    )
    if node.deferrable:
        add_recheck_trigger(ctx, desc, constraint, index.oid, primary=False, deferred=bool(node.initdeferred))


def _excluded(ctx: DdlContext, desc: RelationDesc, key: KeyColumn, names: list[str]) -> Excluded:
    """The operator of a column: it is its own commutator, and a member of the operator class's family."""
    kind = format_type(ctx.view, key.type)
    *schemas, name = names
    written = ".".join([*map(quote_identifier, schemas), name])
    text = f"NULL::{kind} OPERATOR({written}) NULL::{kind}"
    try:
        call = analyze_stored(ctx.view, desc, text, "INDEX", session=ctx.session)
    except SqlError as error:
        error.position = None  # it would be one of this text
        raise
    if not isinstance(call, Call) or not call.operator:
        raise InvariantViolation(f"an operator {written} that is none")
    found = ctx.view.operator(call.operator)
    is_visible = any(each.oid == found.oid for each in ctx.view.operators(None, found.name))
    prefix = "" if is_visible else f"{quote_identifier(ctx.view.namespace_name(found.namespace))}."
    shown = f"{prefix}{found.name}({format_type(ctx.view, found.left)},{format_type(ctx.view, found.right)})"
    if found.commutator != found.oid:
        raise WrongObjectType(
            f"operator {shown} is not commutative",
            detail="Only commutative operators can be used in exclusion constraints.",
        )
    known = ctx.view.operator_class(key.operator_class)
    strategy = 0 if known is None else ctx.view.operator_strategy(known.family, found.oid)
    if known is None or not strategy:
        raise WrongObjectType(
            f'operator {shown} is not a member of operator family "{known.family_name if known else ""}"',
            detail="The exclusion operator must be related to the index operator class for the constraint.",
        )
    return Excluded(found.oid, strategy)
