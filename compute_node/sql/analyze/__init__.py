"""Semantic analysis: parse tree → ``Query`` with names resolved and every expression typed (PostgreSQL manual, chapter
10).

Next stage: ``planner``. One construct family a file: names, targets, from_clause, expressions, operators, functions,
coercion, aggregates, ctes, select, set_operations, dml, stored (defaults, checks). Invariants: no expression of the
result is of type unknown except arguments of "any"; a Var names a base range entry, never a join.
"""

from __future__ import annotations

from pglast import ast

from aurora.errors import IndeterminateDatatype, NotSupported, StatementTooComplex
from compute_node.sql.analyze import xml as xml  # the expressions that it adds
from compute_node.sql.analyze.calls import analyze_call, call_privileges
from compute_node.sql.analyze.collations import collate_query
from compute_node.sql.analyze.context import Analysis, Scope, fail, session_env, stored_env
from compute_node.sql.analyze.dml import analyze_delete, analyze_insert, analyze_update
from compute_node.sql.analyze.merge import analyze_merge
from compute_node.sql.analyze.routines import RoutineBody, fit_result
from compute_node.sql.analyze.select import analyze_select
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.parse import character_offsets
from compute_node.sql.query import Query
from compute_node.sql.required import required_privileges
from compute_node.types import oids

__all__ = ["analyze", "analyze_in"]


def analyze(
    statement: ast.Node,
    catalog: CatalogView,
    param_types: list[int],
    source: str,
    lifted: dict[int, int] | None = None,
    session: object = None,
    allow_params: bool = True,
    routine: RoutineBody | None = None,
) -> Query:
    """Analyze one SELECT, INSERT, UPDATE, DELETE, MERGE or CALL.

    ``param_types``: declared types of ``$1`` …, 0 where unknown; the list is extended and filled with what analysis
    finds and becomes ``query.param_types``. ``source`` is the whole text that ``statement``'s locations point into.
    ``lifted`` maps UTF-8 byte offsets of literals to parameter slots: each literal whose value analysis does not look
    at becomes ``Param(slot)`` of its resolved type; the others stay constants and their offsets are in
    ``query.kept_literals``. ``session`` gives ``env`` (TypeEnv) for literals that depend on settings. With
    ``allow_params`` false, ``$n`` raises 42P02.
    ``routine``: the function whose statement this is, of whose arguments ``param_types`` are the types.

    Raises PostgreSQL's errors: 42P01, 42703, 42702, 42883, 42804, 42803, 42P18 …, with ``position`` in characters.
    """
    offsets = character_offsets(source) if lifted else None
    by_character = lifted or {}
    if lifted and offsets is not None:
        by_character = {offsets[location]: slot for location, slot in lifted.items() if location in offsets}
    analysis = Analysis(
        catalog,
        param_types,
        source,
        stored_env(session_env(session)) if catalog.reads_stored_text else session_env(session),
        lifted=by_character,
        allow_params=allow_params,
        routine=routine,
    )
    scope = Scope(analysis, Query("select"))
    try:
        query = analyze_in(scope, statement)
        if routine is not None and routine.shape is not None:
            query = fit_result(scope, query, routine.shape)
        if analysis.collated:
            collate_query(scope, query)
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None
    for index, type_oid in enumerate(param_types):
        if type_oid == oids.UNKNOWN or (type_oid == 0 and not lifted):
            raise fail(IndeterminateDatatype, f"could not determine data type of parameter ${index + 1}")
    query.param_types = param_types
    kept = {location for location in by_character if location not in analysis.used or location in analysis.kept}
    if lifted and offsets is not None:
        bytes_of = {character: byte for byte, character in offsets.items()}
        kept = {bytes_of[location] for location in kept}
    query.kept_literals = kept
    query.relations = frozenset(analysis.relations)
    query.stars = analysis.stars
    is_call = isinstance(statement, ast.CallStmt)
    query.privileges = call_privileges(query) if is_call else required_privileges(query)
    query.momentary = analysis.momentary
    return query


def analyze_in(scope: Scope, statement: ast.Node) -> Query:
    """One statement as a query of that level. 0A000 for what is none."""
    if isinstance(statement, ast.SelectStmt):
        return analyze_select(scope, statement)
    if isinstance(statement, ast.InsertStmt):
        return analyze_insert(scope, statement)
    if isinstance(statement, ast.UpdateStmt):
        return analyze_update(scope, statement)
    if isinstance(statement, ast.DeleteStmt):
        return analyze_delete(scope, statement)
    if isinstance(statement, ast.CallStmt):
        return analyze_call(scope, statement)
    if isinstance(statement, ast.MergeStmt):
        return analyze_merge(scope, statement)
    raise NotSupported(f"{type(statement).__name__} cannot be analyzed as a query")
