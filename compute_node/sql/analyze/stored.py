"""Expressions that the catalog stores as SQL text: column defaults, checks, index expressions and predicates.

Each is analyzed against its relation alone. Parsing is cached per text; analysis is not, since it depends on the
catalog.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

from pglast import ast

from aurora.errors import InvalidColumnReference, InvalidObjectDefinition, SqlError
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.coercion import coerce, coerce_to_boolean, to_domain
from compute_node.sql.analyze.collations import collate_stored
from compute_node.sql.analyze.context import DEFAULT_ENV, Analysis, NameItem, Scope, fail, session_env, stored_env
from compute_node.sql.analyze.expressions import transform
from compute_node.sql.analyze.from_clause import relation_entry
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.sql.analyze.targets import assign
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Const, DomainValue, Expr, Var, walk
from compute_node.sql.parse import parse
from compute_node.sql.query import Query
from compute_node.types.registry import PgType, TypeEnv
from compute_node.types.system import IDENTITY_NEXTVAL


@lru_cache(maxsize=1024)
def _expression_node(text: str) -> Any:
    return parse(f"SELECT {text}")[0].node.targetList[0].val


def _reading(catalog: CatalogView, env: TypeEnv) -> Analysis:
    return Analysis(catalog.of_stored_text(), [], "", stored_env(env), allow_params=False)


def _stored_scope(analysis: Analysis, clause: str) -> Scope:
    return Scope(_reading(analysis.catalog, analysis.env), Query("select"), clause=clause)


def column_default(scope: Scope, column: ColumnDesc) -> Expr:
    """The column's default as an expression of its type; NULL without one, nextval of its sequence for identity
    columns."""
    if column.dropped or column.generated:
        # A generated column is filled in when the rest of the row is known.
        return Const(type=column.type, typmod=column.typmod, value=None)
    text = column.default
    if text is None and (kind := scope.catalog.type(column.type)).domain is not None:
        text = kind.domain.default
        if text is None:
            # Its constraints hold for a NULL that nobody gave, too.
            given = kind.root
            value = None if given.default is None else given.input(given.default, -1, scope.analysis.env)
            return to_domain(scope, Const(type=given.oid, value=value), kind, "i", -1)
    if text is None:
        given = scope.catalog.type(column.type)
        value = None if given.default is None else given.input(given.default, column.typmod, scope.analysis.env)
        return Const(type=column.type, typmod=column.typmod, value=value)
    stored = _stored_scope(scope.analysis, "DEFAULT")
    value = _with_collations(stored, transform(stored, _expression_node(text)))
    if column.identity and isinstance(value, Call):
        # Whoever may insert into the column may take its sequence's values.
        value = dataclasses.replace(value, function=IDENTITY_NEXTVAL)
    return assign(stored, value, column, -1)


def argument_default(scope: Scope, text: str) -> Expr:
    """A function argument's default."""
    stored = _stored_scope(scope.analysis, "DEFAULT")
    return _with_collations(stored, transform(stored, _expression_node(text)))


def analyze_stored(
    catalog: CatalogView, relation: RelationDesc | None, text: str, clause: str = "CHECK", session: object = None
) -> Expr:
    """A stored expression of a relation, its columns as ``Var(rte=0)``. ``clause``: CHECK (must be boolean), DEFAULT,
    INDEX, POLICY and PUBLICATION (boolean, too); SHOWN: of any of them, to be shown."""
    analysis = _reading(catalog, session_env(session))
    scope = Scope(analysis, Query("select"), clause=clause)
    if relation is not None:
        scope.items = [relation_entry(scope, relation, None)]
    expr = transform(scope, _expression_node(text))
    return _finished(scope, relation, expr, clause)


def analyze_expression(
    catalog: CatalogView,
    relation: RelationDesc | None,
    node: ast.Node,
    source: str,
    clause: str,
    session: object = None,
) -> Expr:
    """A parse node of DDL (DEFAULT, CHECK, index expression) checked against the relation; errors carry positions."""
    analysis = Analysis(catalog, [], source, session_env(session), allow_params=False)
    scope = Scope(analysis, Query("select"), clause=clause)
    if relation is not None:
        scope.items = [relation_entry(scope, relation, None)]
    return _finished(scope, relation, transform(scope, node), clause)


def _finished(scope: Scope, relation: RelationDesc | None, expr: Expr, clause: str) -> Expr:
    conditions = {"CHECK": "CHECK", "COPY": "WHERE", "POLICY": "POLICY", "PUBLICATION": "PUBLICATION WHERE"}
    if clause in conditions:
        expr = coerce_to_boolean(scope, expr, conditions[clause])
    else:
        expr = resolve_unknown(scope, expr)
    return _with_collations(scope, expr, relation)


def _with_collations(scope: Scope, expr: Expr, relation: RelationDesc | None = None) -> Expr:
    return collate_stored(scope, relation, expr) if scope.analysis.collated else expr


def _domain_scope(analysis: Analysis, base: PgType) -> Scope:
    """VALUE is the only name that a domain's constraint knows."""
    value = DomainValue(type=base.oid)
    analysis.collated = base.collation not in (0, 100, 950)
    scope = Scope(analysis, Query("select"), clause="CHECK")
    scope.items = [NameItem(-1, "", ("value",), (value,), table_visible=False)]
    return scope


def analyze_domain_check(catalog: CatalogView, base: int, text: str) -> Expr:
    """A domain's stored CHECK over ``DomainValue``s of the base type."""
    analysis = _reading(catalog, DEFAULT_ENV)
    scope = _domain_scope(analysis, catalog.type(base))
    return _with_collations(scope, coerce_to_boolean(scope, transform(scope, _expression_node(text)), "CHECK"))


def analyze_new_domain_check(catalog: CatalogView, base: int, node: ast.Node, session: object = None) -> Expr:
    """The CHECK of CREATE or ALTER DOMAIN; its errors carry no positions."""
    analysis = Analysis(catalog, [], "", session_env(session), allow_params=False)
    scope = _domain_scope(analysis, catalog.type(base))
    try:
        return _with_collations(scope, coerce_to_boolean(scope, transform(scope, node), "CHECK"))
    except SqlError as error:
        error.position = None
        raise


def analyze_default(
    catalog: CatalogView, column: ColumnDesc, node: ast.Node, source: str, session: object = None
) -> Expr:
    """A DEFAULT of DDL, converted to its column's type; 42804 when it does not fit."""
    analysis = Analysis(catalog, [], source, session_env(session), allow_params=False)
    scope = Scope(analysis, Query("select"), clause="DEFAULT")
    expr = transform(scope, node)
    from compute_node.sql.analyze.typenames import format_type

    result = coerce(scope, expr, column.type, column.typmod, "a")
    if result is None:
        from aurora.errors import DatatypeMismatch

        have, wanted = format_type(catalog, expr.type), format_type(catalog, column.type)
        raise DatatypeMismatch(
            f'column "{column.name}" is of type {wanted} but default expression is of type {have}',
            hint="You will need to rewrite or cast the expression.",
        )
    return result


def analyze_generated(
    catalog: CatalogView,
    relation: RelationDesc,
    column: ColumnDesc,
    node: ast.Node,
    source: str,
    session: object = None,
) -> Expr:
    """The expression of GENERATED ALWAYS AS over the table's row, converted to its column's type. 42804, 42P17,
    42P10."""
    analysis = Analysis(catalog, [], source, session_env(session), allow_params=False)
    scope = Scope(analysis, Query("select"), clause="GENERATED")
    scope.items = [relation_entry(scope, relation, None)]
    expr = transform(scope, node)
    for item in walk(expr):
        if isinstance(item, Var):
            _check_generating(relation, item)
    from compute_node.sql.analyze.typenames import format_type

    result = coerce(scope, expr, column.type, column.typmod, "a")
    if result is None:
        from aurora.errors import DatatypeMismatch

        have, wanted = format_type(catalog, expr.type), format_type(catalog, column.type)
        raise DatatypeMismatch(
            f'column "{column.name}" is of type {wanted} but default expression is of type {have}',
            hint="You will need to rewrite or cast the expression.",
        )
    return _with_collations(scope, result, relation)


def generated_value(catalog: CatalogView, relation: RelationDesc, column: ColumnDesc, session: object = None) -> Expr:
    """A generated column's stored expression over its row, as a value of the column."""
    analysis = _reading(catalog, session_env(session))
    scope = Scope(analysis, Query("select"), clause="GENERATED")
    scope.items = [relation_entry(scope, relation, None)]
    found = _with_collations(scope, transform(scope, _expression_node(column.default or "NULL")), relation)
    return assign(scope, found, column, -1)


def _check_generating(relation: RelationDesc, item: Var) -> None:
    if item.attno == 0:
        raise fail(
            InvalidObjectDefinition,
            "cannot use whole-row variable in column generation expression",
            item.location,
            detail="This would cause the generated column to depend on its own value.",
        )
    if item.attno < 0 and item.attno != -6:
        name = SYSTEM_NAMES[item.attno]
        raise fail(
            InvalidColumnReference, f'cannot use system column "{name}" in column generation expression', item.location
        )
    if item.attno > 0 and relation.columns[item.attno - 1].generated:
        raise fail(
            InvalidObjectDefinition,
            f'cannot use generated column "{relation.columns[item.attno - 1].name}" in column generation expression',
            item.location,
            detail="A generated column cannot reference another generated column.",
        )


def analyze_assigned(
    catalog: CatalogView,
    relation: RelationDesc,
    target: ColumnDesc,
    node: ast.Node,
    source: str,
    session: object = None,
) -> Expr | None:
    """An expression over a relation's old columns as what a column of a new type takes; None without such a cast."""
    analysis = Analysis(catalog, [], source, session_env(session), allow_params=False)
    scope = Scope(analysis, Query("select"), clause="TRANSFORM")
    scope.items = [relation_entry(scope, relation, None)]
    value = coerce(scope, transform(scope, node), target.type, target.typmod, "a")
    return None if value is None else _with_collations(scope, value, relation)


def assigned_default(catalog: CatalogView, target: ColumnDesc, text: str, session: object = None) -> Expr | None:
    """A stored default as what a column of a new type takes; None without such a cast."""
    analysis = _reading(catalog, session_env(session))
    scope = Scope(analysis, Query("select"), clause="DEFAULT")
    return coerce(scope, transform(scope, _expression_node(text)), target.type, target.typmod, "a")


def default_of(catalog: CatalogView, column: ColumnDesc, session: object = None) -> Expr:
    """``column_default`` outside a statement, for COPY."""
    analysis = Analysis(catalog, [], "", session_env(session), allow_params=False)
    return column_default(Scope(analysis, Query("select"), clause="DEFAULT"), column)
