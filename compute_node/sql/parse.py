"""SQL text → raw parse trees (pglast nodes), with PostgreSQL's syntax errors.

Next stage: ``analyze``. All ``location`` fields of pglast nodes are character offsets into the whole source text.
pglast drops the location of literals (``A_Const``); ``parse`` restores it from libpg_query's JSON output, whose
literals come in the same order, and keeps it in the node's ``ancestors`` slot, which pglast reserves for visitors and
never fills while parsing.

The grammar is PostgreSQL 15's, as pglast 5 brings it, but for one rule of the lexer that libpg_query takes away: a
number or parameter that runs into an identifier (``123abc``) is an error. ``compute_node.sql.lexer_gaps`` looks for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from pglast import ast
from pglast.parser import ParseError, parse_sql, parse_sql_json

from aurora.errors import SqlError, SqlSyntaxError
from compute_node.sql.grammar_errors import grammar_error
from compute_node.sql.lexer_gaps import blank_comments, check_junk
from compute_node.sql.lexical_notices import Notice, lexical_notices
from compute_node.sql.long_literals import Cut, cut, moved, restore
from compute_node.work.account import Account
from compute_node.work.workers import NoCollection, run_in_thread


class RawStatement(NamedTuple):
    """One statement of the source: its parse tree and where its text is (offset and length in characters).
    ``addressed``: it is a cursor's, whose rows UPDATE may name. ``notices``: what the lexer says of the whole text,
    with its first statement."""

    node: ast.Node
    start: int
    length: int
    addressed: bool = False
    notices: Sequence[Notice] = ()


_LITERAL = re.compile(
    r'"A_Const":\{(?:"(?:ival|fval|boolval|sval|bsval)":\{(?:"\w+":(?:"[^"\\]*(?:\\.[^"\\]*)*"|[^"}]*))?\}|"isnull":true)?'
    r',?(?:"location":(-?\d+))?\}'
)
_BEYOND_ASCII = re.compile(r"[^\0-\x7f]")
LONG_TEXT = 64 << 10
"""Characters above which a text is parsed in a thread."""
LOCATED_TEXT_MAX = 1 << 20
"""Characters up to which literals know their places; errors about a literal of a longer text have no position."""
TREE_BYTES = 1000
"""What a comma of a list stands for, about: an element's nodes."""
_SLOTS: dict[type, tuple[str, ...]] = {}


def _slots(kind: type) -> tuple[str, ...]:
    names = _SLOTS.get(kind)
    if names is None:
        scalars = {"int", "bool", "char*", "ParseLoc", "int32", "Oid", "char"}
        slots: dict[str, object] = dict(kind.__slots__)  # type: ignore[attr-defined]
        names = tuple(name for name, info in slots.items() if getattr(info, "c_type", "") not in scalars)
        _SLOTS[kind] = names
    return names


def _literals(node: ast.Node, found: list[ast.A_Const]) -> None:
    if isinstance(node, tuple):
        for item in node:
            if item is not None:
                _literals(item, found)
    elif type(node) is ast.A_Const:
        found.append(node)
    elif isinstance(node, ast.Node):
        for name in _slots(type(node)):
            value = getattr(node, name)
            if value is not None:
                _literals(value, found)


def character_offsets(source: str) -> dict[int, int] | None:
    """UTF-8 byte offset → character offset; None when they are the same (ASCII text)."""
    if source.isascii():
        return None
    offsets = {}
    position = 0
    for index, character in enumerate(source):
        offsets[position] = index
        position += len(character.encode())
    offsets[position] = len(source)
    return offsets


def literal_location(node: ast.A_Const) -> int:
    """Character offset of a literal in its source; -1 when unknown (a literal that the grammar made up)."""
    location: int = getattr(node, "ancestors", -1)
    return location


def _syntax_error(source: str, error: ParseError) -> SqlError:
    """The grammar's error with what pglast leaves out: SQLSTATE, hint, and the position of the text's end."""
    message = str(error.args[0])
    location = _location(error)
    if location is not None and not source.isascii():
        location = _character_location(source, location)
    if location is None and message.endswith("at end of input"):
        location = len(source)
    return grammar_error(source, message, location)


def _location(error: ParseError) -> int | None:
    return error.args[1] if len(error.args) > 1 else None


def _character_location(source: str, location: int) -> int | None:
    """pglast takes the characters that libpg_query counted for bytes. A text of as many characters, all of them ASCII,
    has its error at the same character."""
    try:
        parse_sql(_BEYOND_ASCII.sub("_", source))
    except ParseError as error:
        return _location(error)
    return location


def parse(source: str) -> list[RawStatement]:
    """Parse a source text into its statements; an empty text gives an empty list.

    Raises SqlSyntaxError (42601) with PostgreSQL's message and the position in characters.
    """
    if "\0" in source:
        raise SqlSyntaxError('invalid byte sequence for encoding "UTF8": 0x00')
    if len(source) > LONG_TEXT:
        return run_in_thread(_parse_long, source)
    return _parse(source)


def _parse_long(source: str) -> list[RawStatement]:
    account = Account()
    account.charge(TREE_BYTES * source.count(",") + 3 * len(source))
    try:
        with NoCollection():
            shorter = cut(source)
            if shorter is None:
                return _parse(source)
            try:
                raw = parse_sql(shorter.text)
            except ParseError as error:
                raise _moved(_syntax_error(shorter.text, error), shorter) from None
            try:
                check_junk(shorter.text)
            except SqlSyntaxError as error:
                raise _moved(error, shorter) from None
            restore(shorter, raw, _slots)
            notices = lexical_notices(shorter.text)
            return _statements(source, raw, [(severity, _moved(notice, shorter)) for severity, notice in notices])
    finally:
        account.close()


def _moved(error: SqlError, shorter: Cut) -> SqlError:
    if error.position is not None:
        error.position = moved(shorter, error.position - 1) + 1
    return error


def _parse(source: str) -> list[RawStatement]:
    try:
        raw = parse_sql(source)
    except ParseError as error:
        apart = blank_comments(source) if "--" in source else source
        if apart != source:
            return _parse(apart)
        refused = _syntax_error(source, error)
        check_junk(source, None if refused.position is None else refused.position - 1)
        raise refused from None
    check_junk(source)
    if not raw:
        return []
    _located(source, raw)
    return _statements(source, raw, lexical_notices(source))


def _located(source: str, raw: Any) -> None:
    """Tell the literals where they are."""
    if len(source) > LOCATED_TEXT_MAX:
        return
    try:
        found: list[ast.A_Const] = []
        for statement in raw:
            _literals(statement.stmt, found)
    except RecursionError:
        found = []
    if found:
        # One by one: in a thread others get their turn between two of them.
        locations = [match[1] for match in _LITERAL.finditer(parse_sql_json(source))]
        if len(locations) == len(found):
            offsets = character_offsets(source)
            for node, text in zip(found, locations, strict=True):
                byte = int(text) if text else -1
                node.ancestors = byte if offsets is None else offsets.get(byte, -1)


def _statements(source: str, raw: Any, notices: Sequence[Notice]) -> list[RawStatement]:
    statements: list[RawStatement] = []
    for statement in raw:
        start = statement.stmt_location or 0
        length = statement.stmt_len or len(source) - start
        end = start + length
        while start < end and source[start].isspace():
            start += 1
        while end > start and source[end - 1].isspace():
            end -= 1
        statements.append(RawStatement(statement.stmt, start, end - start, notices=() if statements else notices))
    return statements
