"""Parsing, by libxml2 through lxml: documents and content, and what PostgreSQL says of those that are not well formed.

Nothing outside the text is ever read: external entities and DTDs are empty, as in PostgreSQL, and libxml2 bounds how
far internal ones may grow. A long text is parsed in a worker thread, which lxml lets run beside the loop.

This module imports lxml; others import it where they need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from lxml import etree

from aurora.datum import Datum
from aurora.errors import InvalidXmlContent, InvalidXmlDocument, SqlError, Warning_
from compute_node.hub import HUB
from compute_node.types.long_text import PIECE, pieces
from compute_node.types.xml.declaration import DeclarationError, has_doctype, read_declaration
from compute_node.work.workers import run_in_thread

XmlNode: TypeAlias = Datum
"""An lxml element, comment or processing instruction"""

LONG: Final = 1 << 15
"""Characters from which on a text is parsed in a thread."""
_SHOWN_BYTES: Final = 80
_WRAPPER: Final = '<!DOCTYPE x [<!ENTITY e SYSTEM "content">]><x>&e;</x>'
_SYNTAX_DOMAINS: Final = frozenset(("PARSER", "NONE", "MEMORY", "IO"))
_WARNING: Final = 1


class Problem(NamedTuple):
    """One of libxml2's errors: where it is (line from 1, character of the line from 1), and what it is."""

    line: int
    column: int
    message: str
    domain: str
    kind: str
    level: int


class _External(etree.Resolver):  # type: ignore[misc]  # lxml has no types
    """All that a text can name outside itself: empty, but for the content that is to be parsed."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.content = content

    def resolve(self, url: str | None, public: str | None, context: object) -> object:
        """The input for a URL."""
        text = self.content if url == "content" else ""
        return self.resolve_string(text, context)


def _parser(expand: bool, content: str = "", defaults: bool = True) -> etree.XMLParser:
    made = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=expand,
        attribute_defaults=expand and defaults,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        strip_cdata=False,
    )
    made.resolvers.add(_External(content))
    return made


def _run(data: bytes, parser: etree.XMLParser) -> tuple[XmlNode | None, list[Problem]]:
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        root = None
    found = [
        Problem(each.line, each.column, each.message.strip(), each.domain_name, each.type_name, each.level)
        for each in parser.error_log
        if each.type_name != "WAR_UNDECLARED_ENTITY"
    ]
    return root, found


def _parsed(text: str, parser: etree.XMLParser) -> tuple[XmlNode | None, list[Problem]]:
    data = text.encode()
    return run_in_thread(_run, data, parser) if len(text) > LONG else _run(data, parser)


def _line_places(text: str, numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Where lines of these numbers (from 1) are: start and end; a line that is not there is nowhere. One pass."""
    wanted = sorted(set(numbers), reverse=True)
    found: dict[int, tuple[int, int]] = {}
    number, at = 1, 0
    while wanted and at <= len(text):
        piece = text.count("\n", at, at + PIECE)
        if number + piece < wanted[-1] and at + PIECE < len(text):  # none of them begins here
            number += piece
            at += PIECE
            HUB.pulse()
            continue
        while number < wanted[-1] and (newline := text.find("\n", at)) >= 0:
            number, at = number + 1, newline + 1
        if number < wanted[-1]:
            break
        end = text.find("\n", at)
        found[wanted.pop()] = (at, len(text) if end < 0 else end)
    return found


def _located(text: str, problem: Problem, places: dict[int, tuple[int, int]]) -> str:
    """``line 1: message``, the line of the text where it is, and a mark below it."""
    first, last = places.get(problem.line, (0, 0))
    place = min(first + max(problem.column - 1, 0), last)
    if first == last and problem.line > 1:
        first, last = places.get(problem.line - 1, (0, 0))
        place = last
    first = max(first, place - _SHOWN_BYTES)
    last = min(last, place + _SHOWN_BYTES)
    at, whole = len(text[first:place].encode()), text[first:last].encode()
    start = max(0, at - _SHOWN_BYTES)
    shown = whole[start : start + _SHOWN_BYTES]
    blanks = "".join("\t" if byte == 9 else " " for byte in shown[: at - start])
    return f"line {problem.line}: {problem.message}\n{shown.decode(errors='replace')}\n{blanks}^"


def detail_of(text: str, problems: Sequence[Problem]) -> str:
    """The DETAIL of PostgreSQL's errors."""
    places = _line_places(text, [number for each in problems for number in (each.line - 1, each.line) if number])
    return "\n".join(_located(text, each, places) for each in problems)


def _errors(problems: Sequence[Problem], strict: bool = False) -> list[Problem]:
    """Those that count; only ``strict`` minds prefixes of namespaces that are not declared and the like."""
    return [each for each in problems if each.level > _WARNING and (strict or each.domain in _SYNTAX_DOMAINS)]


def check_document(text: str) -> str | None:
    """The DETAIL of what is wrong with a document; None when it is well formed."""
    root, problems = _parsed(text, _parser(True))
    found = _errors(problems)
    if root is None and not found and not text.strip():
        return detail_of(text, [Problem(1, 1, "Document is empty", "PARSER", "ERR_DOCUMENT_EMPTY", 3)])
    return detail_of(text, found) if found else None


def check_content(text: str) -> str | None:
    """The same of content: a sequence of elements, texts, comments and processing instructions.

    The content is the text of an entity, whose errors libxml2 words as PostgreSQL's are; the places of the errors come
    from a second look at it, within an element.
    """
    _, problems = _parsed(_WRAPPER, _parser(True, text)) if len(text) <= LONG else _long_content(text)
    found = _errors(problems)
    if not found:
        return None
    _, placed = _parsed(f"<x>\n{text}", _parser(True))
    newlines = sum([piece.count("\n") for piece in pieces(text)])
    end = Problem(newlines + 1, len(text) - text.rfind("\n"), "", "", "", 0)
    places = [each._replace(line=each.line - 1) for each in placed if each.line > 1]
    lines = _line_places(text, [each.line for each in places])
    out = []
    for problem in found:
        place = next((each for each in places if each.kind == problem.kind), None)
        if place is not None:
            places.remove(place)
        elif problem.kind == "ERR_NOT_WELL_BALANCED":
            place = next((each for each in places if each.kind == "ERR_TAG_NAME_MISMATCH"), None)
            if place is not None:
                first, last = lines.get(place.line, (0, 0))
                start = text.rfind("</", first, min(first + place.column - 1, last))
                place = place._replace(column=start - first + 1 if start >= 0 else 0)
        place = place or end
        out.append(problem._replace(line=place.line, column=place.column))
    return detail_of(text, out)


def _long_content(text: str) -> tuple[XmlNode | None, list[Problem]]:
    return run_in_thread(_run, _WRAPPER.encode(), _parser(True, text))


def check(text: str, is_document: bool) -> None:
    """2200M or 2200N unless the text is a document, or content."""
    if is_document:
        detail = check_document(text)
        if detail is not None:
            raise InvalidXmlDocument("invalid XML document", detail=detail)
        return
    try:
        start = read_declaration(text).end
    except DeclarationError as error:
        raise error.of(InvalidXmlContent, "invalid XML content: invalid XML declaration") from None
    if has_doctype(text, start):
        detail = check_document(text)
    else:
        detail = check_content(text[start:])
    if detail is not None:
        raise InvalidXmlContent("invalid XML content", detail=detail)


class Parsed(NamedTuple):
    """A document to look for things in."""

    root: XmlNode
    warnings: list[Problem]
    text: str


def document(text: str) -> Parsed:
    """The document as a tree, entities left as they stand; 2200M."""
    root, problems = _parsed(text, _parser(False))
    found = _errors(problems, strict=True)
    if found or root is None:
        detail = detail_of(text, found) if found else None
        raise InvalidXmlDocument("could not parse XML document", detail=detail)
    return Parsed(root, [each for each in problems if each.level == _WARNING], text)


def warning_of(text: str, problem: Problem, where: str | None) -> SqlError:
    """What the client is told of something suspicious."""
    return Warning_(detail_of(text, [problem]), where=where)
