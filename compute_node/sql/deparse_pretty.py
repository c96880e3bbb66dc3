"""Expressions → SQL text with only the parentheses that are needed, as ``\\d`` and the pretty forms of pg_get_… show
them. Source: PostgreSQL's ``isSimpleNode``.
"""

from __future__ import annotations

from aurora.errors import InvariantViolation
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse import Deparser, quote_identifier
from compute_node.sql.expressions import (
    And,
    ArrayCoerce,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Case,
    Coalesce,
    CoerceTypmod,
    CoerceViaIO,
    Const,
    DistinctTest,
    Expr,
    MinMax,
    Not,
    NullIf,
    NullTest,
    Or,
    Relabel,
    RowExpr,
    Subscript,
    Var,
)
from compute_node.types.registry import TypeEnv

_ADDITIVE, _MULTIPLICATIVE = ("+", "-"), ("*", "/", "%")
_CASTS = (Relabel, CoerceViaIO, CoerceTypmod, ArrayCoerce)
_BRACKETS = (Subscript, ArrayExpr, RowExpr, Coalesce, MinMax, NullIf, Case)
"""Parents that keep their arguments apart by themselves."""


class PrettyDeparser(Deparser):
    """``Deparser`` that writes parentheses around an argument only where it would else be read otherwise."""

    def inside(self, node: Expr, parent: Expr, show_implicit: bool = False) -> str:
        """An argument of ``parent``."""
        text = self.text(node, show_implicit)
        return text if self._is_simple(node, parent) else f"({text})"

    def _is_simple(self, node: Expr, parent: Expr) -> bool:
        if isinstance(node, _CASTS):
            return self._is_simple(node.argument, node)
        if isinstance(node, Call) and not node.operator:
            return not _is_cast(node) or self._is_simple(node.arguments[0], node)
        if isinstance(node, Call) and isinstance(parent, Call) and parent.operator:
            return self._binds_tighter(node, parent)
        if isinstance(node, (Call, NullTest, BooleanTest, DistinctTest)):
            return _keeps_apart(parent) or isinstance(parent, (And, Or, Not))
        if isinstance(node, (And, Not)):
            return isinstance(parent, (And, Or)) or _keeps_apart(parent)
        if isinstance(node, Or):
            return isinstance(parent, Or) or _keeps_apart(parent)
        return not isinstance(node, ArrayOp)

    def _binds_tighter(self, node: Call, parent: Call) -> bool:
        name, around = self.catalog.operator(node.operator).name, self.catalog.operator(parent.operator).name
        known = _ADDITIVE + _MULTIPLICATIVE
        if len(node.arguments) != 2 or name not in known or around not in known:
            return False
        if (name in _MULTIPLICATIVE) != (around in _MULTIPLICATIVE):
            return name in _MULTIPLICATIVE
        return node is parent.arguments[0]

    # --- what differs -----------------------------------------------------------------------------------------------

    def call(self, node: Call, show_implicit: bool) -> str:
        if not node.operator:
            return super().call(node, show_implicit)
        texts = [self.inside(item, node, True) for item in node.arguments]
        name = self.catalog.operator(node.operator).name
        return f"{name} {texts[0]}" if len(texts) == 1 else f"{texts[0]} {name} {texts[1]}"

    def cast(self, argument: Expr, type_oid: int, typmod: int) -> str:
        inner = self.text(argument, True)
        if isinstance(argument, Const):
            inner = inner if inner.startswith("'") and "::" not in inner else f"({inner})"
            inner = inner[1:-1] if inner.startswith("(") and inner[1:2].isdigit() else inner
        elif not self._is_simple(argument, Relabel(type=type_oid, argument=argument)):
            inner = f"({inner})"
        return f"{inner}::{self.type(type_oid, typmod)}"

    def array_op(self, node: ArrayOp, _: bool) -> str:
        quantifier = "ANY" if node.use_or else "ALL"
        operator = self.catalog.operator(node.operator).name
        right = self.text(node.right, True)
        return f"{self.inside(node.left, node, True)} {operator} {quantifier} ({right})"

    def conjunction(self, node: And, _: bool) -> str:
        return " AND ".join(self.inside(item, node) for item in node.arguments)

    def disjunction(self, node: Or, _: bool) -> str:
        return " OR ".join(self.inside(item, node) for item in node.arguments)

    def negation(self, node: Not, _: bool) -> str:
        return f"NOT {self.inside(node.argument, node)}"

    def null_test(self, node: NullTest, _: bool) -> str:
        return f"{self.inside(node.argument, node, True)} IS {'NOT ' if node.negated else ''}NULL"

    def boolean_test(self, node: BooleanTest, _: bool) -> str:
        target = {True: "TRUE", False: "FALSE", None: "UNKNOWN"}[node.target]
        return f"{self.inside(node.argument, node)} IS {'NOT ' if node.negated else ''}{target}"

    def distinct_test(self, node: DistinctTest, _: bool) -> str:
        left, right = self.inside(node.left, node, True), self.inside(node.right, node, True)
        return f"{left} IS {'NOT ' if node.negated else ''}DISTINCT FROM {right}"


def _is_cast(node: Call) -> bool:
    return node.display in ("cast", "coercion")


def _keeps_apart(parent: Expr) -> bool:
    if isinstance(parent, Call):
        return not parent.operator and not _is_cast(parent)
    return isinstance(parent, _BRACKETS)


def deparse_pretty(node: Expr, catalog: CatalogView, relation: RelationDesc | None, env: TypeEnv = DEFAULT_ENV) -> str:
    """The text of an expression over one relation's columns (``Var(rte=0)``), as pretty pg_get_expr gives it."""

    def name(leaf: Expr) -> str:
        if isinstance(leaf, Var) and relation is not None:
            if leaf.attno > 0:
                return quote_identifier(relation.columns[leaf.attno - 1].name)
            return SYSTEM_NAMES[leaf.attno] if leaf.attno else quote_identifier(relation.name) + ".*"
        raise InvariantViolation(f"{type(leaf).__name__} in a stored expression")

    return PrettyDeparser(catalog, name, env).text(node)
