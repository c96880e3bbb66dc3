"""Assignments to a part of a column: ``c.field = …``, ``a[1] = …``, ``a[2:3].f = …`` → the column's whole new value.

The parts are taken from the outside in, each as an expression over the one around it; the value goes into the innermost
and the others are built around that again. Source: PostgreSQL manual, ch. 8.15.4 and 8.16.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast

from aurora.datum import Row
from aurora.errors import DatatypeMismatch, NotSupported, UndefinedColumn
from compute_node.relations.descriptors import ColumnDesc
from compute_node.sql.analyze.coercion import coerce, coerce_type, to_domain
from compute_node.sql.analyze.context import Scope, fail
from compute_node.sql.analyze.expressions import subscript
from compute_node.sql.analyze.names import SYSTEM_COLUMNS
from compute_node.sql.analyze.typenames import format_type, is_true_array
from compute_node.sql.expressions import (
    CoerceToDomain,
    ElementStore,
    Expr,
    FieldSelect,
    FieldStore,
    SetDefault,
    Subscript,
)
from compute_node.types.oids import JSONB

_REWRITE = "You will need to rewrite or cast the expression."


def store(scope: Scope, base: Expr, column: ColumnDesc, steps: Sequence[ast.Node], value: Expr, location: int) -> Expr:
    """``base``, the column's value, with the part that ``steps`` names replaced. 42703, 42804, 0A000."""
    if isinstance(value, SetDefault):
        what = "an array element" if isinstance(steps[0], ast.A_Indices) else "a subfield"
        raise fail(NotSupported, f"cannot set {what} to DEFAULT", location)
    return _Store(scope, value, location).into(base, column.type, column.typmod, column.name, tuple(steps))


class _Store:
    """One assignment; ``location`` is where its target is written."""

    def __init__(self, scope: Scope, value: Expr, location: int) -> None:
        self.scope = scope
        self.value = value
        self.location = location

    def into(self, base: Expr, type_oid: int, typmod: int, name: str, steps: Row) -> Expr:
        """The new value of a part called ``name``."""
        if not steps:
            return self.leaf(type_oid, typmod, name, False)
        kind = self.scope.catalog.type(type_oid)
        if kind.domain is not None:
            # Another part of the same new value: the domain's checks are for the whole one.
            again = isinstance(base, CoerceToDomain) and base.type == type_oid and base.argument.type == kind.root.oid
            inner = base.argument if again else coerce_type(self.scope, base, kind.root.oid, -1, "i")  # type: ignore[attr-defined]
            made = self.into(inner, kind.root.oid, kind.base_typmod, name, steps)
            return to_domain(self.scope, made, kind, "a", self.location)
        count = 0
        while count < len(steps) and isinstance(steps[count], ast.A_Indices):
            count += 1
        if count:
            return self.element(base, type_oid, typmod, name, steps[:count], steps[count:])
        return self.field(base, type_oid, name, steps)

    def leaf(self, type_oid: int, typmod: int, name: str, is_element: bool) -> Expr:
        """The value, as it is stored."""
        result = coerce(self.scope, self.value, type_oid, typmod, "a", -1)
        if result is not None:
            return result
        catalog = self.scope.catalog
        wanted, have = format_type(catalog, type_oid), format_type(catalog, self.value.type)
        message = (
            f'subscripted assignment to "{name}" requires type {wanted} but expression is of type {have}'
            if is_element
            else f'subfield "{name}" is of type {wanted} but expression is of type {have}'
        )
        raise fail(DatatypeMismatch, message, self.location, hint=_REWRITE)

    def field(self, base: Expr, type_oid: int, name: str, steps: Row) -> Expr:
        """``….field``."""
        if isinstance(steps[0], ast.A_Star):
            raise fail(NotSupported, 'row expansion via "*" is not supported here', self.location)
        wanted = steps[0].sval
        kind = self.scope.catalog.type(type_oid)
        shown = format_type(self.scope.catalog, type_oid)
        if kind.kind != "c":
            raise fail(
                DatatypeMismatch,
                f'cannot assign to field "{wanted}" of column "{name}" because its type {shown} is not a composite'
                " type",
                self.location,
            )
        for index, each in enumerate(kind.fields):
            if each.name == wanted and each.type is not None:
                part = FieldSelect(type=each.type.oid, typmod=each.typmod, argument=base, index=index)
                value = self.into(part, each.type.oid, each.typmod, wanted, steps[1:])
                return FieldStore(type=type_oid, argument=base, indexes=(index,), values=(value,))
        if wanted in SYSTEM_COLUMNS:
            raise fail(UndefinedColumn, f'cannot assign to system column "{wanted}"', self.location)
        raise fail(
            UndefinedColumn,
            f'cannot assign to field "{wanted}" of column "{name}" because there is no such column in data type'
            f" {shown}",
            self.location,
        )

    def element(self, base: Expr, type_oid: int, typmod: int, name: str, indices: Row, rest: Row) -> Expr:
        """``…[1]`` or ``…[1:2]``."""
        kind = self.scope.catalog.type(type_oid)
        part = subscript(self.scope, base, indices, self.location)
        known = is_true_array(kind) or kind.length > 0 or kind.oid == JSONB or kind.subscripts is not None
        if not isinstance(part, Subscript) or not known:
            shown = format_type(self.scope.catalog, type_oid)
            raise fail(NotSupported, f"assignment to elements of type {shown} is not supported", self.location)
        if kind.subscripts is not None:
            target = kind.subscripts.element
        else:
            target = type_oid if part.slices is not None or kind.oid == JSONB else kind.element
        value = self.into(part, target, typmod, name, rest) if rest else self.leaf(target, typmod, name, True)
        return ElementStore(
            type=type_oid, typmod=typmod, container=base, indexes=part.indexes, slices=part.slices, value=value
        )
