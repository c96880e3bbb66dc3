"""Errors of the lexer and the grammar: pglast gives message and place, PostgreSQL also a SQLSTATE, DETAIL and HINT."""

from __future__ import annotations

import re

from aurora.errors import (
    CharacterNotInRepertoire,
    DuplicateObject,
    InvalidEscapeSequence,
    InvalidParameterValue,
    NotSupported,
    ReservedName,
    SqlError,
    SqlSyntaxError,
    WindowingError,
)

_KINDS: tuple[tuple[type[SqlError], str], ...] = (
    (
        NotSupported,
        r".* constraints cannot be marked (?:DEFERRABLE|NOT VALID|NO INHERIT)"
        r"|.* not (?:yet )?implemented|.* is no longer supported|.* not supported on recursive views"
        r"|CREATE SCHEMA IF NOT EXISTS cannot include schema elements|current database cannot be changed"
        r"|aggregates cannot have output arguments|an ordered-set aggregate with a VARIADIC direct argument must .*",
    ),
    (WindowingError, r"frame (?:start|end|starting from) .*"),
    (ReservedName, r'role name ".*" is reserved|.* cannot be used as a role name here'),
    (InvalidParameterValue, r"precision for type float must .*|column number must be in range .*"),
    (DuplicateObject, r"(?:modulus|remainder) for hash partition provided more than once"),
    (CharacterNotInRepertoire, r"invalid byte sequence for encoding .*"),
)
_HINTS = {
    "subquery in FROM must have an alias": "For example, FROM (SELECT ...) [AS] foo.",
    "VALUES in FROM must have an alias": "For example, FROM (VALUES ...) [AS] foo.",
    "LIMIT #,# syntax is not supported": "Use separate LIMIT and OFFSET clauses.",
    "missing argument": "Use NONE to denote the missing argument of a unary operator.",
    "UNENCRYPTED PASSWORD is no longer supported": (
        "Remove UNENCRYPTED to store the password in encrypted form instead."
    ),
}
_DETAILS = {
    "invalid publication object list": (
        "One of TABLE or TABLES IN SCHEMA must be specified before a standalone table or schema name."
    ),
}
_NEWER = frozenset({"invalid table name at or near", "invalid schema name at or near"})
"""Messages that a newer grammar has with a tail"""
_UNICODE_ESCAPE = "invalid Unicode escape"
_WITHOUT_PLACE = frozenset({"WITH TIES cannot be specified without ORDER BY clause"})
"""Errors that PostgreSQL gives no position"""


def grammar_error(source: str, message: str, location: int | None) -> SqlError:
    """The whole error; ``location`` in characters."""
    kind = next((kind for kind, pattern in _KINDS if re.fullmatch(pattern, message)), SqlSyntaxError)
    if message in _NEWER:
        message = message.removesuffix(" at or near")
    hint = _HINTS.get(message)
    if message.startswith("unrecognized row security option"):
        hint = "Only PERMISSIVE or RESTRICTIVE policies are supported currently."
    if message == _UNICODE_ESCAPE:
        if location is not None and source[location : location + 2] in ("\\u", "\\U"):
            kind, hint = InvalidEscapeSequence, "Unicode escapes must be \\uXXXX or \\UXXXXXXXX."
        else:
            hint = "Unicode escapes must be \\XXXX or \\+XXXXXX."
    if message in _WITHOUT_PLACE:
        location = None
    return kind(message, detail=_DETAILS.get(message), hint=hint, position=None if location is None else location + 1)
