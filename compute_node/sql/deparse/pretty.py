"""Expressions → SQL text with only the parentheses that are needed, as ``\\d`` and the pretty forms of pg_get_… show
them. Source: PostgreSQL's ``isSimpleNode``.
"""

from __future__ import annotations

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import Deparser, stored_namer
from compute_node.sql.deparse.layout import Layout, finished
from compute_node.sql.expressions import (
    AggregateCall,
    And,
    ArrayCoerce,
    ArrayExpr,
    ArrayOp,
    BooleanTest,
    Call,
    Case,
    Coalesce,
    CoerceToDomain,
    CoerceTypmod,
    CoerceViaIO,
    Collate,
    DistinctTest,
    Expr,
    FieldSelect,
    FieldStore,
    MinMax,
    Not,
    NullIf,
    NullTest,
    Or,
    Relabel,
    RowCompare,
    RowExpr,
    SubLink,
    Subscript,
    WindowCall,
    XmlExpr,
)
from compute_node.types.registry import TypeEnv

_ADDITIVE, _MULTIPLICATIVE = ("+", "-"), ("*", "/", "%")
_CASTS = (Relabel, CoerceViaIO, CoerceTypmod, CoerceToDomain, ArrayCoerce)
_BRACKETS = (
    Subscript, ArrayExpr, RowExpr, Coalesce, MinMax, NullIf, Case, XmlExpr, AggregateCall, WindowCall,
)  # fmt: skip
"""Parents that keep their arguments apart by themselves."""


class PrettyDeparser(Deparser):
    """``Deparser`` that writes parentheses around an argument only where it would else be read otherwise."""

    pretty = True

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
        if isinstance(node, (Call, SubLink, NullTest, BooleanTest, DistinctTest)):
            return _keeps_apart(parent) or isinstance(parent, (And, Or, Not))
        if isinstance(node, (And, Not)):
            return isinstance(parent, (And, Or)) or _keeps_apart(parent)
        if isinstance(node, Or):
            return isinstance(parent, Or) or _keeps_apart(parent)
        if isinstance(node, (FieldSelect, FieldStore)):
            return not isinstance(parent, type(node))
        return not isinstance(node, (ArrayOp, RowCompare, Collate))

    def _binds_tighter(self, node: Call, parent: Call) -> bool:
        name, around = self.catalog.operator(node.operator).name, self.catalog.operator(parent.operator).name
        known = _ADDITIVE + _MULTIPLICATIVE
        if len(node.arguments) != 2 or name not in known or around not in known:
            return False
        if (name in _MULTIPLICATIVE) != (around in _MULTIPLICATIVE):
            return name in _MULTIPLICATIVE
        return node is parent.arguments[0]

    def enclosed(self, text: str) -> str:
        return text

    def cast_argument(self, argument: Expr, type_oid: int) -> str:
        return self.inside(argument, Relabel(type=type_oid, argument=argument))


def _is_cast(node: Call) -> bool:
    return node.display in ("cast", "coercion")


def _keeps_apart(parent: Expr) -> bool:
    if isinstance(parent, Call):
        return not parent.operator and not parent.display
    return isinstance(parent, _BRACKETS)


def deparse_pretty(
    node: Expr,
    catalog: CatalogView,
    relation: RelationDesc | None,
    env: TypeEnv = DEFAULT_ENV,
    lines: bool = False,
) -> str:
    """The text of an expression over one relation's columns, as pretty pg_get_expr gives it."""
    return finished(PrettyDeparser(catalog, stored_namer(relation), env, Layout(lines)).text(node))
