"""The options of COPY (manual, reference page of COPY), checked as PostgreSQL checks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast

from aurora.errors import InvalidParameterValue, NotSupported, SqlSyntaxError
from compute_node.types.charsets.names import MULE, find_encoding


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """``header``: none, skip or match. ``force_*``: column names; ``*`` is all."""

    format: str = "text"
    delimiter: str = "\t"
    null: str = "\\N"
    header: str = "none"
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[str, ...] = ()
    force_not_null: tuple[str, ...] = ()
    force_null: tuple[str, ...] = ()
    encoding: str | None = None
    """of the data; None: the client's"""


_NAMES = frozenset(
    ("format", "delimiter", "null", "header", "quote", "escape", "force_quote", "force_not_null", "force_null",
     "encoding", "freeze")
)  # fmt: skip


def _text(argument: Any) -> str:
    if argument is None:
        return "true"
    if isinstance(argument, ast.Integer):
        return str(argument.ival)
    if isinstance(argument, ast.Boolean):
        return "true" if argument.boolval else "false"
    return str(argument.sval)


def _columns(argument: Any) -> tuple[str, ...]:
    if isinstance(argument, ast.A_Star):
        return ("*",)
    return tuple(item.sval for item in argument)


_TRUE, _FALSE = ("true", "on", "1"), ("false", "off", "0")


def _boolean(name: str, text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise SqlSyntaxError(f"{name} requires a Boolean value")


def parse_options(nodes: Sequence[ast.DefElem] | None, is_from: bool) -> CopyOptions:
    """Read and check DefElems. Raises 42601, 22023, 0A000."""
    given: dict[str, Any] = {}
    for node in nodes or ():
        name = node.defname
        if name not in _NAMES:
            raise SqlSyntaxError(f'option "{name}" not recognized', position=_position(node))
        if name in given:
            raise SqlSyntaxError("conflicting or redundant options", position=_position(node))
        given[name] = _columns(node.arg) if name.startswith("force_") else _text(node.arg)
    form = given.get("format", "text")
    if form not in ("text", "csv", "binary"):
        position = next((_position(node) for node in nodes or () if node.defname == "format"), None)
        raise InvalidParameterValue(f'COPY format "{form}" not recognized', position=position)
    csv = form == "csv"
    header = given.get("header", "false").lower()
    if header == "match":
        if not is_from:
            raise NotSupported('cannot use "match" with HEADER in COPY TO')
    else:
        if header not in (*_TRUE, *_FALSE):
            raise SqlSyntaxError('header requires a Boolean value or "match"')
        header = "skip" if header in _TRUE else "none"
    if "freeze" in given:
        _boolean("freeze", given["freeze"])
    encoding = _encoding(given, nodes or ())
    quote = given.get("quote", '"')
    options = CopyOptions(
        form,
        given.get("delimiter", "," if csv else "\t"),
        given.get("null", "" if csv else "\\N"),
        header,
        quote,
        given.get("escape", quote),
        given.get("force_quote", ()),
        given.get("force_not_null", ()),
        given.get("force_null", ()),
        encoding,
    )
    _check(options, given, is_from)
    return options


def _encoding(given: dict[str, Any], nodes: Sequence[ast.DefElem]) -> str | None:
    if "encoding" not in given:
        return None
    found = find_encoding(given["encoding"])
    if found is None:
        position = next((_position(node) for node in nodes if node.defname == "encoding"), None)
        raise InvalidParameterValue('argument to option "encoding" must be a valid encoding name', position=position)
    if found == MULE:
        raise NotSupported(f"default conversion function for encoding {MULE} to UTF8 does not exist")
    return found


def _position(node: ast.Node) -> int | None:
    return None if node.location is None or node.location < 0 else node.location + 1


def _check(options: CopyOptions, given: dict[str, Any], is_from: bool) -> None:
    csv, binary = options.format == "csv", options.format == "binary"
    if binary:
        for name in ("delimiter", "null"):
            if name in given:
                raise SqlSyntaxError(f"cannot specify {name.upper()} in BINARY mode")
        if options.header != "none":
            raise NotSupported("cannot specify HEADER in BINARY mode")
    if len(options.delimiter.encode()) != 1:
        raise NotSupported("COPY delimiter must be a single one-byte character")
    if options.delimiter in "\r\n":
        raise InvalidParameterValue("COPY delimiter cannot be newline or carriage return")
    if "\r" in options.null or "\n" in options.null:
        raise InvalidParameterValue("COPY null representation cannot use newline or carriage return")
    if not csv and options.delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
        raise InvalidParameterValue(f'COPY delimiter cannot be "{options.delimiter}"')
    for name in ("quote", "escape"):
        if name in given:
            if not csv:
                raise NotSupported(f"COPY {name} available only in CSV mode")
            if len(given[name].encode()) != 1:
                raise NotSupported(f"COPY {name} must be a single one-byte character")
    if csv and options.delimiter == options.quote:
        raise InvalidParameterValue("COPY delimiter and quote must be different")
    for name, words, wrong_way in (
        ("force_quote", "force quote", is_from),
        ("force_not_null", "force not null", not is_from),
        ("force_null", "force null", not is_from),
    ):
        if name in given:
            if not csv:
                raise NotSupported(f"COPY {words} available only in CSV mode")
            if wrong_way:
                raise NotSupported(f"COPY {words} only available using COPY {'TO' if is_from else 'FROM'}")
    if options.delimiter in options.null:
        raise NotSupported("COPY delimiter must not appear in the NULL specification")
    if csv and options.quote in options.null:
        raise NotSupported("CSV quote character must not appear in the NULL specification")
