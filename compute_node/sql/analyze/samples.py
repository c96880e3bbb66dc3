"""TABLESAMPLE (manual, SELECT)."""

from __future__ import annotations

import dataclasses

from pglast import ast

from aurora.errors import InvalidTablesampleArgument, NotSupported, UndefinedObject
from compute_node.sql.analyze.coercion import coerce_to
from compute_node.sql.analyze.context import NameItem, Scope, fail
from compute_node.sql.analyze.expressions import transform
from compute_node.sql.analyze.from_clause import range_var
from compute_node.sql.query import Sample
from compute_node.types import oids

_METHODS = ("bernoulli", "system")


def range_sample(scope: Scope, node: ast.RangeTableSample) -> NameItem:
    """A table of which a sample is read."""
    location = node.location if node.location is not None else -1
    item = range_var(scope, node.relation)
    entry = scope.query.range_table[item.rte]
    if entry.kind != "relation" or entry.relation is None or entry.relation.kind not in ("r", "m", "p"):
        message = "TABLESAMPLE clause can only be applied to tables and materialized views"
        where = node.relation.location if node.relation.location is not None else 0
        raise fail(NotSupported, message, where)
    name = node.method[-1].sval
    schema = node.method[0].sval if len(node.method) > 1 else "pg_catalog"
    if name not in _METHODS or schema != "pg_catalog":
        shown = ".".join(each.sval for each in node.method)
        raise fail(UndefinedObject, f"tablesample method {shown} does not exist", location)
    if len(node.args) != 1:
        message = f"tablesample method {name} requires 1 argument, not {len(node.args)}"
        raise fail(InvalidTablesampleArgument, message, location)
    previous, scope.clause = scope.clause, "FROM"
    percent = coerce_to(scope, transform(scope, node.args[0]), oids.FLOAT4, "TABLESAMPLE")
    seed = None
    if node.repeatable is not None:
        seed = coerce_to(scope, transform(scope, node.repeatable), oids.FLOAT8, "REPEATABLE")
    scope.clause = previous
    scope.query.range_table[item.rte] = dataclasses.replace(entry, sample=Sample(name, percent, seed))
    return item
