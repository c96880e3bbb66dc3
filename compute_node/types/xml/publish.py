"""Making XML: XMLELEMENT, XMLFOREST, XMLCONCAT, XMLPARSE, XMLPI, XMLROOT, XMLSERIALIZE, xmlcomment, xmlagg (manual,
9.15.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aurora.datum import Datum
from aurora.errors import (
    InvalidXmlComment,
    InvalidXmlProcessingInstruction,
    NotAnXmlDocument,
    SqlSyntaxError,
)
from compute_node.types.declare import agg, fn
from compute_node.types.long_text import PIECE, STEPS, by_pieces, concat, joined, paced
from compute_node.types.registry import PgType, TypeEnv
from compute_node.types.xml.declaration import declaration_text, leniently
from compute_node.types.xml.mapping import writer
from compute_node.types.xml.value import checked, is_document

_IN_ATTRIBUTE: Final = re.compile('[&<>"\t\n\r]|[^\0-\x7f]')
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
YES, NO, NO_VALUE = 0, 1, 2
"""STANDALONE of XMLROOT; another number: not said"""


def _referred(match: re.Match[str]) -> str:
    return _NAMED.get(match[0]) or f"&#x{ord(match[0]):X};"


attribute_text = by_pieces(lambda text: _IN_ATTRIBUTE.sub(_referred, text), PIECE >> 4)
"""A text as an attribute's value, as libxml2 writes it: each character of some may become a reference."""


def element(
    name: str,
    names: Sequence[str],
    attributes: Sequence[Datum],
    attribute_types: Sequence[PgType],
    contents: Sequence[Datum],
    content_types: Sequence[PgType],
    env: TypeEnv,
) -> str:
    """XMLELEMENT; attributes and contents that are NULL are not there."""
    parts = [f"<{name}"]
    for key, value, item in zip(names, attributes, attribute_types, strict=True):
        if value is not None:
            parts.append(f' {key}="{attribute_text(writer(item, False)(value, env))}"')
    inner = [
        writer(item, True)(value, env) for value, item in zip(contents, content_types, strict=True) if value is not None
    ]
    parts += [">", *inner, f"</{name}>"] if inner else ["/>"]
    return joined(parts)


def forest(names: Sequence[str], values: Sequence[Datum], types: Sequence[PgType], env: TypeEnv) -> str | None:
    """XMLFOREST: an element for each value that is not NULL; NULL when all are."""
    parts: list[str] = []
    for name, value, item in zip(names, values, types, strict=True):
        if value is not None:
            parts += [f"<{name}>", writer(item, True)(value, env), f"</{name}>"]
    return joined(parts) if parts else None


def concatenated(values: Sequence[str | None]) -> str | None:
    """XMLCONCAT: one declaration for all, where those that there are agree."""
    parts: list[str] = []
    version: str | None = None
    agrees, standalone = True, 1
    for value in values if len(values) <= STEPS else paced(values):
        if value is None:
            continue
        found = leniently(value)
        if found.standalone < 0:
            standalone = -1
        elif found.standalone == 0 and standalone == 1:
            standalone = 0
        if found.version is None or (version is not None and version != found.version):
            agrees = False
        version = version or found.version
        parts.append(value[found.end :] if found.end else value)
    if not parts:
        return None
    if agrees or standalone >= 0:
        parts.insert(0, declaration_text(version if agrees else None, standalone))
    return joined(parts)


def parsed(text: str | None, document: bool) -> str | None:
    """XMLPARSE."""
    return None if text is None else checked(text, document)


def instruction(name: str, has_text: bool, text: str | None) -> str | None:
    """XMLPI. 42601, 2200T."""
    if name.lower() == "xml":
        raise SqlSyntaxError(
            "invalid XML processing instruction",
            detail=f'XML processing instruction target name cannot be "{name}".',
        )
    if not has_text:
        return f"<?{name}?>"
    if text is None:
        return None
    if "?>" in text:
        raise InvalidXmlProcessingInstruction(
            "invalid XML processing instruction", detail='XML processing instruction cannot contain "?>".'
        )
    return joined([f"<?{name} ", text.lstrip(" "), "?>"])


def root(value: str | None, version: str | None, standalone: int) -> str | None:
    """XMLROOT: the value with another declaration."""
    if value is None:
        return None
    found = leniently(value)
    said = {YES: 1, NO: 0, NO_VALUE: -1}.get(standalone, found.standalone)
    return concat(declaration_text(version, said), value[found.end :] if found.end else value)


def serialized(value: str | None, document: bool) -> str | None:
    """XMLSERIALIZE: the text; 2200L when it is to be a document and is none."""
    if value is not None and document and not is_document(value):
        raise NotAnXmlDocument("not an XML document")
    return value


def _comment(text: str) -> str:
    if "--" in text or text.endswith("-"):
        raise InvalidXmlComment("invalid XML comment")
    return joined(["<!--", text, "-->"])


def _append(state: list[str], value: str | None) -> list[str]:
    if value is not None:
        state.append(value)
    return state


def _gathered(state: list[str]) -> str | None:
    return state[0] if len(state) == 1 else concatenated(state)


def _concat_two(left: str | None, right: str | None) -> str | None:
    if left is None or right is None:
        return right if left is None else left
    return concatenated((left, right))


fn(2895, "xmlcomment(text) xml", _comment)
fn(2900, "xmlconcat2(xml, xml) xml nullable", _concat_two)
agg(2901, "xmlagg(xml) xml", list, _append, _gathered, strict=False, transition_type=142)
