"""XMLTABLE (manual, 9.15.3.3): the rows that an XPath expression finds, their columns by expressions from each row.

Analysis makes a call of it: the document, the row expression, a word that says what each column is, the prefixes and
the URIs of the namespaces, then each column's expression and default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from aurora.datum import Datum, Row
from aurora.errors import (
    CardinalityViolation,
    DataException,
    InternalError,
    NotSupported,
    NullValueNotAllowed,
    SqlSyntaxError,
)
from compute_node.types.long_text import paced
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, FieldDesc, Function, FunctionContext, PgType
from compute_node.types.xml.declaration import shown
from compute_node.types.xml.mapping import XML, escaped
from compute_node.types.xml.xpath import Document, Found, Namespaces, evaluate, values
from compute_node.types.xml.xpath_text import is_simple

XMLTABLE: Final = 8012
"""No name leads to it."""
ORDINALITY, NOT_NULL, PLAIN = "o", "n", "p"
_ITSELF: Final = frozenset((".", "self::node()", "string(.)", "string()", "text()"))


def number_text(value: float) -> str:
    """A number as XPath writes it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}"


class _Row:
    """One row: a node that the row expression found."""

    def __init__(self, document: Document, node: Found, namespaces: Namespaces) -> None:
        self.document, self.node, self.namespaces = document, node, namespaces

    def find(self, path: str) -> Found:
        """What a column's expression gives here."""
        document, node = self.document, self.node
        if node is document or path.strip() == "/":
            return document.find(path, self.namespaces)
        if not isinstance(node, str):
            return evaluate(node, path, self.namespaces, document.size, is_simple(path))
        return self._of_text(path.strip())

    def _of_text(self, path: str) -> Found:
        """From a text or an attribute, which lxml gives as a string that knows its element."""
        node: Any = self.node
        if path in _ITSELF and (path != "text()" or not node.is_attribute):
            return [node]
        parent = node.getparent()
        if parent is not None and node.is_tail:
            parent = parent.getparent()
        if path.startswith("..") and parent is not None:
            own = path[1:]
            return evaluate(parent, own, self.namespaces, self.document.size, is_simple(own))
        if path.startswith("/"):
            return self.document.find(path, self.namespaces)
        if path in ("name()", "name(.)", "local-name()", "local-name(.)"):
            return str(node.attrname or "") if node.is_attribute else ""
        return []


def _string(node: Found, document: Document) -> str:
    """A node's string value."""
    if node is document:
        node = document.root
    if isinstance(node, str):
        return str(node)
    if isinstance(node, tuple):
        return str(node[1])
    return "".join(node.itertext()) if isinstance(node.tag, str) else str(node.text or "")


class _Column:
    def __init__(self, field: FieldDesc, kind: str, path: str | None) -> None:
        if field.type is None:
            raise InternalError("a column of XMLTABLE without a type")
        self.item, self.typmod, self.name, self.kind = field.type, field.typmod, field.name, kind
        if kind == ORDINALITY:
            self.path = ""
        elif path is None:
            raise NullValueNotAllowed(
                "column filter expression must not be null", detail=f'Filter for column "{field.name}" is null.'
            )
        elif not path:
            raise DataException("column path filter must not be empty string")
        else:
            self.path = path

    def value(self, context: FunctionContext, row: _Row, default: Datum, number: int) -> Datum:
        if self.kind == ORDINALITY:
            return number
        text = self._text(row)
        value = default if text is None else self.item.input(text, self.typmod, context.env)
        if value is None and self.kind == NOT_NULL:
            raise NullValueNotAllowed(f'null is not allowed in column "{self.name}"')
        return value

    def _text(self, row: _Row) -> str | None:
        found = row.find(self.path)
        is_xml = self.item.oid == XML  # a domain over it is read from the text
        if isinstance(found, bool):
            if self.item.root.category == "N":
                return "1" if found else "0"
            return "true" if found else "false"
        if isinstance(found, float):
            return number_text(found)
        if isinstance(found, str):
            return escaped(str(found)) if is_xml else str(found)
        if not found:
            return None
        if is_xml:
            return "".join(values(found, row.document))
        if len(found) > 1:
            raise CardinalityViolation("more than one value returned by column XPath expression")
        return _string(found[0], row.document)


def _namespaces(names: Sequence[str | None], uris: Sequence[str | None]) -> Namespaces:
    found: Namespaces = {}
    for name, uri in zip(names, uris, strict=True):
        if uri is None:
            raise NullValueNotAllowed("namespace URI must not be null")
        if name is None:
            raise NotSupported("DEFAULT namespace is not supported")
        if not name or not uri:
            raise InternalError(f'could not register XML namespace with name "{name}" and URI "{uri}"')
        found[name] = uri
    return found


def _rows(context: FunctionContext, fields: Sequence[FieldDesc], arguments: Row) -> Iterator[Row]:
    value, path, kinds, names, *rest = arguments
    if value is None:
        return
    document = Document(context, shown(value))
    namespaces = _namespaces(names, rest[: len(names)])
    if path is None:
        raise NullValueNotAllowed("row filter expression must not be null")
    if not path:
        raise DataException("row path filter must not be empty string")
    own = rest[len(names) :]
    columns = [_Column(field, kind, own[2 * at]) for at, (field, kind) in enumerate(zip(fields, kinds, strict=True))]
    defaults = own[1::2]
    try:
        nodes = document.find(path, namespaces)
    except InternalError as error:
        if error.message != "invalid XPath expression":
            raise
        raise SqlSyntaxError(error.message, detail=error.detail) from None
    for number, node in enumerate(paced(nodes if isinstance(nodes, list) else []), 1):
        row = _Row(document, node, namespaces)
        yield tuple(
            [column.value(context, row, default, number) for column, default in zip(columns, defaults, strict=True)]
        )


def _with_fields(types: tuple[PgType, ...], fields: Sequence[FieldDesc]) -> Callable[..., Datum]:
    return lambda context, *arguments: _rows(context, fields, arguments)


def _uncalled(*_: Datum) -> Datum:
    raise InternalError("XMLTABLE without columns")


REGISTRY.functions[XMLTABLE] = Function(
    oid=XMLTABLE,
    name="aurora_xmltable",
    arguments=(TYPE_OIDS["xml"], TYPE_OIDS["text"]),
    result=TYPE_OIDS["record"],
    implementation=_uncalled,
    strict=False,
    volatility="s",
    returns_set=True,
    needs_context=True,
    with_fields=_with_fields,
    namespace=0,
)
