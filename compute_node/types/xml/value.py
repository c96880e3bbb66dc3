"""The type xml: input checks what PostgreSQL's would, output leaves the encoding out (manual, 8.13)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from aurora.errors import InvalidXmlDocument, NotSupported
from compute_node.types.array import make_array_type
from compute_node.types.common import decode_utf8
from compute_node.types.declare import casts, fn, fns
from compute_node.types.long_text import PIECE, pieces
from compute_node.types.registry import REGISTRY, FunctionContext, PgType, TypeEnv
from compute_node.types.xml.declaration import DeclarationError, read_declaration, shown

_PLAIN: Final = re.compile("[^<&\\]\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]*")


def _is_plain(text: str) -> bool:
    """Whether it is content because it has no markup."""
    if len(text) <= PIECE:
        return _PLAIN.fullmatch(text) is not None
    return all(_PLAIN.fullmatch(piece) is not None for piece in pieces(text))


def checked(text: str, is_document: bool) -> str:
    """The text, if it is a document or content: 2200M, 2200N."""
    if is_document or not _is_plain(text):
        from compute_node.types.xml.libxml import check

        check(text, is_document)
    return text


def xml_in(text: str, typmod: int, env: TypeEnv) -> str:
    """By xmloption: content, or documents alone."""
    return checked(text, env.xml_document)


def is_document(text: str) -> bool:
    """IS DOCUMENT."""
    try:
        checked(text, True)
    except InvalidXmlDocument:
        return False
    return True


def _receive(data: bytes, typmod: int) -> str:
    """In the encoding that the declaration names, in UTF-8 without one."""
    start = bytes(data[:200]).decode("ascii", errors="replace")
    try:
        encoding = read_declaration(start).encoding
    except DeclarationError:
        encoding = None
    if encoding is None or encoding.upper().replace("-", "") == "UTF8":
        text = decode_utf8(data)
    else:
        try:
            text = bytes(data).decode(encoding)
        except (LookupError, UnicodeDecodeError):
            text = decode_utf8(data)
    return checked(text, False)


_XML = REGISTRY.add_type(
    PgType(
        oid=142,
        name="xml",
        length=-1,
        by_value=False,
        category="U",
        storage="x",
        array=143,
        input=xml_in,
        output=lambda value, env: shown(value),
        text_bytes=lambda value: shown(value).encode(),
        receive=_receive,
        send=lambda value: shown(value).encode(),
        element_bytes=str.encode,
        element_value=bytes.decode,
        disk="s",
    )
)
REGISTRY.add_type(make_array_type(_XML))


def _of_text(context: FunctionContext, text: str) -> str:
    return checked(text, context.env.xml_document)


def _is_well_formed(text: str, is_document: bool) -> bool:
    from aurora.errors import SqlError

    try:
        checked(text, is_document)
    except SqlError as error:
        if error.sqlstate in ("2200M", "2200N"):
            return False
        raise
    return True


def _well_formed(document: bool) -> Callable[[str], bool]:
    return lambda text: _is_well_formed(text, document)


def _validate(value: str, schema: str) -> bool:
    raise NotSupported("xmlvalidate is not implemented")


fn(2896, "xml(text) xml stable", _of_text, needs_context=True)
fn(2922, "text(xml) text", lambda value: value)
fn(2897, "xmlvalidate(xml, text) bool", _validate)
fn(
    3051,
    "xml_is_well_formed(text) bool stable",
    lambda context, text: _is_well_formed(text, context.env.xml_document),
    needs_context=True,
)
fns("3052 xml_is_well_formed_document(text) bool", _well_formed(True))
fns("3053 xml_is_well_formed_content(text) bool", _well_formed(False))
casts("""
10192 xml text 0 a b
10193 text xml 2896 e f
10197 xml varchar 0 a b
10198 varchar xml 2896 e f
10202 xml bpchar 0 a b
10203 bpchar xml 2896 e f
""")
