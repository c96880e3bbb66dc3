"""Domains as the catalog has them: rows of pg_type and pg_constraint → a type whose constraints are compiled.

The constraints of a domain are those of the domains that it is over, and its own, each level in the order of its
names; NOT NULL of any level comes first. They are kept as SQL text over ``VALUE``, and compiled when a value is first
tested. What they name is part of the layer's answer: see ``layer._TAGS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from aurora.errors import InternalError
from compute_node.catalog.permissions import check_functions
from compute_node.catalog.rows import Record
from compute_node.exec.builder import Builder
from compute_node.exec.compile.rows import value_function
from compute_node.exec.compile.unit import row_scope
from compute_node.exec.context import ExecContext
from compute_node.relations.schema import FIRST_NORMAL_OID, NAMESPACE_CATALOG
from compute_node.sql.analyze.stored import analyze_domain_check
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Column, DomainValue, Expr, map_children
from compute_node.sql.plan import PlannedStmt, Result
from compute_node.sql.planner.fold import fold
from compute_node.sql.required import functions_of
from compute_node.types.domain import Tests, make_domain_type
from compute_node.types.registry import Domain, PgType, TypeEnv

if TYPE_CHECKING:
    from compute_node.catalog.layer import CatalogLayer

Compiled = list[tuple[str, Callable[..., Datum]]]


def domain_type(layer: CatalogLayer, row: Record) -> PgType:
    """The type of a pg_type row with ``typtype`` d."""
    base = layer.type(row.typbasetype)
    if base is None:
        raise InternalError(f"cache lookup failed for type {row.typbasetype}")
    rows = [each for each in layer.reader.find("pg_constraint", contypid=row.oid) if each.contype == "c"]
    own = tuple((each.conname, each.conbin, base.oid) for each in sorted(rows, key=lambda each: str(each.conname)))
    above = base.domain or Domain()
    rules = Domain(above.not_null or row.typnotnull, above.checks + own, row.typdefault)
    return make_domain_type(
        base,
        rules,
        _tests(layer, rules),
        oid=row.oid,
        name=row.typname,
        namespace=row.typnamespace,
        array=row.typarray,
        collation=row.typcollation,
        base_typmod=base.base_typmod if base.domain is not None else row.typtypmod,
    )


def _tests(layer: CatalogLayer, rules: Domain) -> Tests:
    compiled: Compiled = []
    functions: set[int] = set()

    def first_failure(value: Datum, env: TypeEnv) -> str | None:
        if not compiled:
            compiled.extend(_compile(layer, rules, functions))
        context = _context(env)
        if functions and env.session is not None:
            # Whoever makes the value calls them, so it is asked of the user of now; built-in ones are not asked for.
            session: Any = env.session
            check_functions(session.engine.catalog.view(session), session.user_oid, functions)
        row = (value,)
        for name, test in compiled:
            if test(context, row) is False:
                return name
        return None

    return first_failure


def _context(env: TypeEnv) -> ExecContext:
    """What a constraint's functions run in: the session's settings, outside any statement. One for all values of a
    session, which keeps it."""
    found = env.check_context
    if not isinstance(found, ExecContext):
        nothing: Any = None
        session: Any = env.session
        found = env.check_context = ExecContext(session, nothing, nothing, env, nothing)
    return found


def _compile(layer: CatalogLayer, rules: Domain, functions: set[int]) -> Compiled:
    """The tests, and in ``functions`` the users' functions that they call."""
    from compute_node.catalog.view import CatalogView as LayerView

    path = ("pg_catalog", NAMESPACE_CATALOG)
    view = LayerView(layer, (path,), path[:1], None, 0).of_stored_text()
    linker = Builder(PlannedStmt(command="select", plan=Result(), columns=None), view)
    analyzed = [(name, analyze_domain_check(view, base, text)) for name, text, base in rules.checks]
    for _, node in analyzed:
        functions |= {oid for oid in functions_of(node) if oid >= FIRST_NORMAL_OID}
    return [(name, _compiled(linker, view, node)) for name, node in analyzed]


def _compiled(linker: Builder, view: CatalogView, node: Expr) -> Callable[..., Datum]:
    expression = fold(view, _over_row(node))
    test: Callable[..., Datum] = value_function(linker, expression, row_scope([True]), "c, r")
    return test


def _over_row(node: Expr) -> Expr:
    """``VALUE`` becomes the only column of a row."""
    if isinstance(node, DomainValue):
        return Column(type=node.type, typmod=node.typmod, index=0)
    return map_children(node, _over_row)
