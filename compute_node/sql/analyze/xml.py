"""XMLELEMENT and its kin, XMLTABLE (manual, 9.15): parse nodes → typed expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pglast import ast

from aurora.datum import Datum
from aurora.errors import CannotCoerce, InvalidColumnReference, InvalidTableDefinition, SqlSyntaxError
from compute_node.sql.analyze.coercion import coerce, coerce_to
from compute_node.sql.analyze.context import NameItem, Scope, fail
from compute_node.sql.analyze.expressions import handle, transform
from compute_node.sql.analyze.from_clause import column_aliases, entry_columns
from compute_node.sql.analyze.functions import resolve_unknown
from compute_node.sql.analyze.naming import column_name
from compute_node.sql.analyze.typenames import format_type, resolve_type_name
from compute_node.sql.expressions import Call, Const, Expr, XmlExpr
from compute_node.sql.query import RangeEntry
from compute_node.types import oids
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.xml.mapping import XML
from compute_node.types.xml.names import xml_name
from compute_node.types.xml.table import NOT_NULL, ORDINALITY, PLAIN, XMLTABLE

_ARGUMENTS: Final[dict[str, tuple[int, ...]]] = {
    "xmlconcat": (XML,),
    "xmlelement": (),
    "xmlforest": (),
    "xmlparse": (oids.TEXT, oids.BOOL),
    "xmlpi": (oids.TEXT,),
    "xmlroot": (XML, oids.TEXT, oids.INT4),
    "document": (XML,),
}
"""The types of a construct's arguments, the last one's repeated; none: any type"""
_ONE_DEFAULT: Final = "only one default namespace is allowed"


def _place(node: ast.Node) -> int:
    location = getattr(node, "location", None)
    return -1 if location is None else int(location)


def _expression(scope: Scope, node: ast.XmlExpr) -> Expr:
    kind = node.op.name.removeprefix("IS_").lower()
    named, names = _named(scope, node)
    shown = "IS DOCUMENT" if kind == "document" else kind.upper()
    wanted = _ARGUMENTS[kind]
    arguments = []
    for at, item in enumerate(node.args or ()):
        value = transform(scope, item)
        if wanted:
            value = coerce_to(scope, value, wanted[min(at, len(wanted) - 1)], shown)
        arguments.append(resolve_unknown(scope, value))
    return XmlExpr(
        type=oids.BOOL if kind == "document" else XML,
        kind=kind,
        name=xml_name(node.name, False) if node.name else "",
        named=named,
        names=names,
        arguments=tuple(arguments),
        document=node.xmloption.name == "XMLOPTION_DOCUMENT",
        location=_place(node),
    )


def _named(scope: Scope, node: ast.XmlExpr) -> tuple[tuple[Expr, ...], tuple[str, ...]]:
    """The arguments that have names: attributes, or the elements of XMLFOREST."""
    values: list[Expr] = []
    names: list[str] = []
    is_element = node.op.name == "IS_XMLELEMENT"
    for item in node.named_args or ():
        values.append(resolve_unknown(scope, transform(scope, item.val)))
        if item.name:
            name = xml_name(item.name, False)
        elif isinstance(item.val, ast.ColumnRef):
            name = xml_name(column_name(item.val), True)
        else:
            what = "attribute" if is_element else "element"
            raise fail(SqlSyntaxError, f"unnamed XML {what} value must be a column reference", _place(item))
        if is_element and name in names:
            raise fail(SqlSyntaxError, f'XML attribute name "{name}" appears more than once', _place(item))
        names.append(name)
    return tuple(values), tuple(names)


def _serialize(scope: Scope, node: ast.XmlSerialize) -> Expr:
    value = coerce_to(scope, transform(scope, node.expr), XML, "XMLSERIALIZE")
    target, typmod = resolve_type_name(scope.catalog, node.typeName)
    text = XmlExpr(
        type=oids.TEXT,
        kind="xmlserialize",
        arguments=(resolve_unknown(scope, value),),
        document=node.xmloption.name == "XMLOPTION_DOCUMENT",
        location=_place(node),
    )
    result = coerce(scope, text, target, typmod, "i", _place(node))
    if result is None:
        shown = format_type(scope.catalog, target)
        raise fail(CannotCoerce, f"cannot cast XMLSERIALIZE result to {shown}", _place(node))
    return result


handle(ast.XmlExpr, _expression)
handle(ast.XmlSerialize, _serialize)


# XMLTABLE


def _constant(kind: str, value: Datum) -> Const:
    return Const(type=TYPE_OIDS[kind], value=value)


def range_xmltable(scope: Scope, node: ast.RangeTableFunc) -> NameItem:
    """XMLTABLE in FROM as a range entry."""
    saved, scope.clause = scope.clause, "FROM"
    try:
        return _xmltable(scope, node)
    finally:
        scope.clause = saved


def _text(scope: Scope, node: ast.Node, wanted: int = oids.TEXT) -> Expr:
    return resolve_unknown(scope, coerce_to(scope, transform(scope, node), wanted, "XMLTABLE"))


def _xmltable(scope: Scope, node: ast.RangeTableFunc) -> NameItem:
    row, document = _text(scope, node.rowexpr), _text(scope, node.docexpr, XML)
    names, kinds, types, own = _columns(scope, node.columns)
    prefixes, uris = _namespaces(scope, node.namespaces or ())
    call = Call(
        type=oids.RECORD,
        function=XMLTABLE,
        arguments=(
            document, row, _constant("text", kinds), _constant("text[]", prefixes), *uris, *own,
        ),
        columns=tuple((kind, typmod, name) for name, (kind, typmod) in zip(names, types, strict=True)),
        location=_place(node),
    )  # fmt: skip
    alias = node.alias
    given = len(alias.colnames or ()) if alias is not None else 0
    if given > len(names):
        message = f"XMLTABLE function has {len(names)} columns available but {given} columns specified"
        raise InvalidColumnReference(message)
    shown = alias.aliasname if alias is not None else "xmltable"
    entry = RangeEntry(
        "function",
        shown,
        column_aliases(alias, tuple(names), shown),
        tuple(kind for kind, _ in types),
        tuple(typmod for _, typmod in types),
        function=call,
        lateral=True,
        written=alias,
    )
    rte = scope.add_entry(entry)
    return NameItem(rte, shown, entry.column_names, entry_columns(rte, entry), schema="function")


_Columns = tuple[list[str], str, list[tuple[int, int]], list[Expr]]


def _columns(scope: Scope, nodes: Sequence[ast.RangeTableFuncCol]) -> _Columns:
    """Names, what each is, types, and each one's expression and default."""
    names: list[str] = []
    kinds: list[str] = []
    types: list[tuple[int, int]] = []
    own: list[Expr] = []
    for item in nodes:
        if item.colname in names:
            raise fail(SqlSyntaxError, f'column name "{item.colname}" is not unique', _place(item))
        names.append(item.colname)
        if item.for_ordinality:
            if ORDINALITY in kinds:
                raise fail(SqlSyntaxError, "only one FOR ORDINALITY column is allowed", _place(item))
            kinds.append(ORDINALITY)
            types.append((oids.INT4, -1))
            own += [_constant("text", None), _constant("int4", None)]
            continue
        if item.typeName.setof:
            raise fail(InvalidTableDefinition, f'column "{item.colname}" cannot be declared SETOF', _place(item))
        kind, typmod = resolve_type_name(scope.catalog, item.typeName)
        kinds.append(NOT_NULL if item.is_not_null else PLAIN)
        types.append((kind, typmod))
        own.append(_constant("text", item.colname) if item.colexpr is None else _text(scope, item.colexpr))
        own.append(_default(scope, item, kind, typmod))
    return names, "".join(kinds), types, own


def _default(scope: Scope, item: ast.RangeTableFuncCol, kind: int, typmod: int) -> Expr:
    if item.coldefexpr is None:
        return Const(type=kind, typmod=typmod, value=None)
    value = coerce_to(scope, transform(scope, item.coldefexpr), kind, "XMLTABLE")
    return coerce(scope, value, kind, typmod, "a", _place(item)) or value


def _namespaces(scope: Scope, nodes: Sequence[ast.ResTarget]) -> tuple[list[str | None], list[Expr]]:
    """Prefixes (None: the default namespace) and URIs. 42601 for a prefix given twice."""
    prefixes: list[str | None] = []
    uris: list[Expr] = []
    for item in nodes:
        uri = _text(scope, item.val)
        if item.name in prefixes:
            what = f'namespace name "{item.name}" is not unique' if item.name else _ONE_DEFAULT
            raise fail(SqlSyntaxError, what, _place(item))
        prefixes.append(item.name)
        uris.append(uri)
    return prefixes, uris
