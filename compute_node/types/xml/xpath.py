"""xpath, xpath_exists, XMLEXISTS (manual, 9.15.2 and 9.15.3): XPath 1.0 over one document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from aurora.datum import Datum
from aurora.errors import DataException, InternalError, NullValueNotAllowed, OutOfMemory, SqlError
from compute_node.types.array_value import dimensions
from compute_node.types.declare import fn
from compute_node.types.floating import float8_text
from compute_node.types.long_text import PIECE, joined, paced
from compute_node.types.registry import FunctionContext
from compute_node.types.xml.declaration import leniently
from compute_node.types.xml.mapping import escaped
from compute_node.types.xml.xpath_text import calls_prefixed, from_document, is_simple
from compute_node.work.workers import run_in_thread

Namespaces: TypeAlias = dict[str, str]
Found: TypeAlias = Datum
"""What an expression gives: a bool, a float, a str, or a list of nodes (lxml's)"""
_EXTENSIONS: Final = "http://exslt.org/"
"""Namespaces whose functions lxml brings, where PostgreSQL has none: ``str:padding`` makes texts of any length."""
_WHOLE: Final = frozenset(("/", ".", "/."))
"""Expressions that give the document itself"""
_MARKUP: Final = re.compile(r"<!\[CDATA\[.*?\]\]>|<!--.*?-->|<\?.*?\?>|<[^>]*>", re.DOTALL)
_VALUE: Final = re.compile(r'( (?!xmlns[=:])[^\s=]+=")([^"]*)"')
_TOGETHER: Final = 256
"""Nodes of a long document that are written together"""
_BEYOND_ASCII: Final = re.compile("[^\0-\x7f]")


class Document:
    """A document to look for things in. Raises 2200M for what is none."""

    def __init__(self, context: FunctionContext, value: str, where: str | None = None) -> None:
        from compute_node.types.xml import libxml

        text = value[leniently(value).end :]
        parsed = libxml.document(text)
        for problem in parsed.warnings:
            context.session.notice(libxml.warning_of(text, problem, where), "WARNING")
        self.root = parsed.root
        self.size = len(text)
        self.has_cdata = "<![CDATA[" in text

    def find(self, path: str, namespaces: Namespaces) -> Found:
        """What an expression gives from the document's own node."""
        if path.strip() in _WHOLE:
            return [self]
        return evaluate(self.root, from_document(path), namespaces, self.size, is_simple(path))

    def text(self) -> str:
        """The document as its own node is written."""
        nodes = [*reversed(list(self.root.itersiblings(preceding=True))), self.root, *self.root.itersiblings()]
        return "".join(f"{text}\n" for text in self.written(nodes))

    def written(self, nodes: list[Found]) -> list[str]:
        """Nodes as XML, those of a long document by a thread: a node may be as long as that."""
        from compute_node.types.xml.libxml import LONG

        if self.size <= LONG:
            return [numbered(text) for text in _serialized(nodes)]
        return [numbered(text) for text in paced(run_in_thread(_serialized, nodes))]


def evaluate(node: Found, path: str, namespaces: Namespaces, size: int, simple: bool) -> Found:
    """An expression from an element of a document of ``size``. ``simple``: it takes a few passes (``is_simple``), so
    that one over a short document needs no thread. XX000 with libxml2's reason."""
    from compute_node.types.xml.libxml import LONG
    from compute_node.work.workers import XPATHS

    if any(uri.startswith(_EXTENSIONS) for uri in namespaces.values()) and calls_prefixed(path):
        raise InternalError("could not create XPath object", detail="Unregistered function")
    if simple and size <= LONG:
        return _evaluated(node, path, namespaces)
    return XPATHS.run(_evaluated, node, path, namespaces)


def _evaluated(node: Found, path: str, namespaces: Namespaces) -> Found:
    """As PostgreSQL's, without extensions: lxml's regular expressions would run in Python, with everybody waiting."""
    from lxml import etree

    try:
        compiled = etree.XPath(path, namespaces=namespaces or None, regexp=False, smart_strings=True)
    except etree.XPathSyntaxError as error:
        raise InternalError("invalid XPath expression", detail=str(error) or None) from None
    try:
        return compiled(node)
    except etree.XPathError as error:
        raise InternalError("could not create XPath object", detail=str(error) or None) from None


def _serialized(nodes: list[Found]) -> list[str]:
    """Nodes that are no texts and no attributes, as lxml writes them, which lets others run meanwhile."""
    import copy

    from lxml import etree

    return [
        etree.tostring(copy.copy(node) if isinstance(node.tag, str) else node, encoding="unicode", with_tail=False)
        for node in nodes
    ]


def numbered(text: str) -> str:
    """XML with its attributes' characters beyond ASCII as numbers, as PostgreSQL writes them."""
    if text.isascii():
        return text
    if len(text) <= PIECE:
        return _MARKUP.sub(_numbered, text)
    out: list[str] = []
    at = 0
    for match in paced(_MARKUP.finditer(text)):
        out += [text[at : match.start()], _numbered(match)]
        at = match.end()
    return joined([*out, text[at:]])


def _numbered(match: re.Match[str]) -> str:
    """A tag, its attributes' characters beyond ASCII as numbers."""
    tag = match[0]
    if tag.startswith(("<!", "<?")) or tag.isascii():
        return tag
    return _VALUE.sub(lambda found: f'{found[1]}{_BEYOND_ASCII.sub(_number, found[2])}"', tag)


def _number(match: re.Match[str]) -> str:
    return f"&#x{ord(match[0]):X};"


class _Sections:
    """Tells CDATA sections from other texts, which lxml does not: by how their element is written."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left: dict[Found, list[tuple[bool, str]]] = {}

    def is_section(self, node: Found) -> bool:
        parent = node.getparent()
        if parent is not None and node.is_tail:
            parent = parent.getparent()
        if parent is None:
            return False
        left = self._left.get(parent)
        if left is None:
            left = self._left[parent] = list(_texts(self._document.written([parent])[0]))
        for at, (section, text) in enumerate(left):
            if section and text == str(node):
                del left[at]
                return True
            if not section and text == escaped(str(node)):
                del left[at]
                return False
        return False


def _texts(text: str) -> Iterator[tuple[bool, str]]:
    """(is a section, its text) of what stands directly within an element."""
    depth = at = 0
    for match in paced(_MARKUP.finditer(text)):
        if depth == 1 and match.start() > at:
            yield False, text[at : match.start()]
        tag, at = match[0], match.end()
        if tag.startswith("<![CDATA["):
            if depth == 1:
                yield True, tag[9:-3]
        elif tag.startswith("</"):
            depth -= 1
        elif not tag.startswith(("<!", "<?")) and not tag.endswith("/>"):
            depth += 1


def values(found: Found, document: Document) -> list[str]:
    """What an expression gave, as XML values."""
    if isinstance(found, bool):
        return ["true" if found else "false"]
    if isinstance(found, float):
        return [float8_text(found)]
    if isinstance(found, str):
        return [escaped(str(found))]
    sections = _Sections(document) if document.has_cdata else None
    out: list[str] = []
    for start in range(0, len(found), _TOGETHER):
        some = found[start : start + _TOGETHER]
        nodes = iter(document.written([node for node in some if _is_node(node)]))
        out += [next(nodes) if _is_node(node) else _value(node, document, sections) for node in paced(some)]
    return out


def _is_node(found: Found) -> bool:
    """An element, comment or processing instruction."""
    return not isinstance(found, Document | tuple | str)


def _value(node: Found, document: Document, sections: _Sections | None) -> str:
    if isinstance(node, Document):
        return node.text()
    if isinstance(node, tuple):
        raise OutOfMemory("could not copy node")
    if sections is not None and getattr(node, "is_attribute", True) is False and sections.is_section(node):
        return f"<![CDATA[{node}]]>"
    return escaped(str(node))


def _namespaces(given: list[Datum]) -> Namespaces:
    """Pairs of prefix and URI. 22000, 22004."""
    found: Namespaces = {}
    if not given:
        return found
    lengths = dimensions(given)
    if len(lengths) != 2 or lengths[1] != 2:
        raise DataException(
            "invalid array for XML namespace mapping",
            detail="The array must be two-dimensional with length of the second axis equal to 2.",
        )
    for prefix, uri in given:
        if prefix is None or uri is None:
            raise NullValueNotAllowed("neither namespace name nor URI may be null")
        if not prefix or not uri:
            raise InternalError(f'could not register XML namespace with name "{prefix}" and URI "{uri}"')
        found[prefix] = uri
    return found


def _found(
    context: FunctionContext, path: str, value: str, given: Sequence[Datum], where: str | None = None
) -> tuple[Found, Document]:
    namespaces = _namespaces(list(given))
    if not path:
        raise DataException("empty XPath expression")
    document = Document(context, value, where)
    return document.find(path, namespaces), document


def _in_sql(context: FunctionContext, name: str, path: str, value: str) -> tuple[Found, Document]:
    """Without namespaces: in PostgreSQL a function in SQL, which its errors and warnings name."""
    where = f'SQL function "{name}" statement 1'
    try:
        return _found(context, path, value, (), where)
    except SqlError as error:
        error.where = where
        raise


def _xpath(context: FunctionContext, path: str, value: str, given: list[Datum] | None = None) -> list[str]:
    found, document = (
        _found(context, path, value, given) if given is not None else _in_sql(context, "xpath", path, value)
    )
    return values(found, document)


def _exists(context: FunctionContext, path: str, value: str, given: list[Datum] | None = None) -> bool:
    found, _ = (
        _found(context, path, value, given) if given is not None else _in_sql(context, "xpath_exists", path, value)
    )
    return bool(found) if isinstance(found, list) else True


def _xmlexists(context: FunctionContext, path: str, value: str) -> bool:
    return _exists(context, path, value, [])


for _oid, _signature, _run in (
    (2614, "xmlexists(text, xml) bool", _xmlexists),
    (2931, "xpath(text, xml, text[]) xml[]", _xpath),
    (2932, "xpath(text, xml) xml[]", _xpath),
    (3049, "xpath_exists(text, xml, text[]) bool", _exists),
    (3050, "xpath_exists(text, xml) bool", _exists),
):
    fn(_oid, _signature, _run, needs_context=True)
