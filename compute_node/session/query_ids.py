"""The identifier of a statement, and its text with ``$n`` for its constants (manual, F.32 and 20.9.2).

```
parse tree ─ walk ─► pieces ─ hash ─► identifier        places of constants ─► text with $n
```

Two statements have one identifier when their trees differ only in the values of constants and in the names of the
columns that they give, and their tables are the same ones, whatever schema they were found in. That of a utility
statement is of its text. The numbers are this program's own: they stay as they are over a restart, as long as the
tables do. Nothing of it runs for a statement that nobody asks for (docs/decisions/query-identifiers.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from pglast import ast
from pglast.parser import scan

from aurora.errors import SqlError
from compute_node.hub import HUB
from compute_node.session.prepare import is_query
from compute_node.sql.parse import RawStatement, literal_location, parse

if TYPE_CHECKING:
    from compute_node.session.state import SessionState
    from compute_node.sql.catalog_view import CatalogView

TEXT_CHARACTERS: Final = 64 << 10
"""Of a longer text nothing is kept."""
_PULSE_NODES: Final = 2048
_INT8_MAX: Final = (1 << 63) - 1
_UNSEEN: Final = frozenset(("location", "stmt_location", "stmt_len"))
_UNSEEN_OF_FOUND: Final = _UNSEEN | {"catalogname", "schemaname", "relname"}
_ORDINALS: Final = frozenset(("groupClause", "sortClause", "distinctClause"))
"""clauses where a bare integer is the number of a column"""
_GIVEN: Final = frozenset(("targetList", "returningList"))


class _Fixed:
    """A part whose constants are none of the statement's: the length of a type, the number of a column."""

    __slots__ = ("node",)

    def __init__(self, node: ast.Node) -> None:
        self.node = node


class _Given:
    """A column of the result, whose name says nothing of what runs."""

    __slots__ = ("node",)

    def __init__(self, node: ast.Node) -> None:
        self.node = node


class Shape:
    """What is left of a statement without its constants: its identifier, where they are (offsets in characters) and the
    highest ``$n`` that it has itself."""

    __slots__ = ("last_parameter", "places", "query_id")

    def __init__(self, node: ast.Node, view: CatalogView, param_types: Sequence[int] = ()) -> None:
        self.places: list[int] = []
        self.last_parameter = 0
        digest = blake2b(digest_size=8)
        for piece in self._pieces(node, view):
            digest.update(piece.encode("utf-8", "surrogatepass") + b"\0")
        # What a lifted literal is of is in its token; the others are declared.
        for kind in param_types[: self.last_parameter]:
            digest.update(b"%d " % kind)
        self.query_id = _number(digest.digest())

    def _pieces(self, top: ast.Node, view: CatalogView) -> Iterator[str]:
        stack: list[object] = [top]
        seen = 0
        while stack:
            item = stack.pop()
            seen += 1
            if seen % _PULSE_NODES == 0:
                HUB.pulse()
            fixed, given = isinstance(item, _Fixed), isinstance(item, _Given)
            if isinstance(item, (_Fixed, _Given)):
                item = item.node
            if isinstance(item, tuple):
                yield f"({len(item)}"
                stack.extend([_Fixed(each) if fixed else each for each in reversed(item)])
            elif isinstance(item, ast.A_Const):
                yield repr(item.val) if fixed else self._constant(item)
            elif isinstance(item, ast.Node):
                yield type(item).__name__
                if isinstance(item, ast.ParamRef):
                    self.last_parameter = max(self.last_parameter, int(item.number or 0))
                unseen = _UNSEEN
                if isinstance(item, ast.RangeVar):
                    relation = view.find_relation(item.schemaname, item.relname)
                    if relation is not None:
                        yield str(relation.oid)
                        unseen = _UNSEEN_OF_FOUND
                stack.extend(_children(item, unseen, item is top, fixed, given))
            else:
                yield str(item.value) if isinstance(item, Enum) else str(item)

    def _constant(self, item: ast.A_Const) -> str:
        place = literal_location(item)
        if place >= 0:
            self.places.append(place)
        if item.isnull:
            return "null"
        if isinstance(item.val, ast.Float):
            digits = str(item.val.fval).lstrip("+-")
            return "int8" if digits.isdigit() and int(digits) <= _INT8_MAX else "numeric"
        return type(item.val).__name__

    def text(self, source: str, start: int, length: int) -> str | None:
        """The statement's own part of the source, its constants as parameters behind its own; None when it is too
        long."""
        if length > TEXT_CHARACTERS or len(source) > 4 * TEXT_CHARACTERS:
            return None
        end = start + length
        parts, at, number = [], start, self.last_parameter
        for first, last in _spans(source, self.places):
            if at <= first and last <= end:
                number += 1
                parts += [source[at:first], f"${number}"]
                at = last
        return trimmed("".join([*parts, source[at:end]]))


def _children(item: ast.Node, unseen: frozenset[str], is_top: bool, fixed: bool, given: bool) -> list[object]:
    """The fields of a node that count, the last one first."""
    found: list[object] = []
    for name in reversed(tuple(item)):
        value = getattr(item, name)
        if value is None or name in unseen or (given and name == "name"):
            continue
        if fixed or name == "typmods":
            value = _Fixed(value)
        elif is_top and name in _GIVEN:
            value = tuple([_Given(each) for each in value])
        elif name in _ORDINALS and isinstance(item, ast.SelectStmt):
            value = tuple([_Fixed(each) if _is_ordinal(each) else each for each in value])
        found += [value, name]
    return found


def _is_ordinal(item: ast.Node) -> bool:
    node = item.node if isinstance(item, ast.SortBy) else item
    return isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer)


def _spans(source: str, places: list[int]) -> Iterator[tuple[int, int]]:
    """Where the constants at these places begin and end: one token each, or a sign and a number."""
    wanted = set(places)
    begun = -1
    for token in scan(source):
        if begun >= 0:
            yield begun, token.end + 1
            begun = -1
        elif token.start in wanted:
            if source[token.start] == "-":
                begun = token.start
            else:
                yield token.start, token.end + 1


def _number(digest: bytes) -> int:
    """A signed number of eight bytes that is not 0, which says that there is none."""
    return int.from_bytes(digest, "big", signed=True) or 2


def trimmed(text: str) -> str:
    """A statement's text without the space around it and the semicolon behind it."""
    return text.strip(" \t\n\r\f\v").rstrip("; \t\n\r\f\v")


def utility_id(text: str) -> int:
    """The identifier of a utility statement, of its trimmed text."""
    return _number(blake2b(b"utility\0" + text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def is_computed(session: SessionState) -> bool:
    """Whether the session's statements have identifiers (compute_query_id)."""
    wanted = session.settings.get("compute_query_id")
    return wanted in ("on", "regress") or (wanted == "auto" and session.plans.counts is not None)


def is_shown(session: SessionState) -> bool:
    """Whether EXPLAIN shows them."""
    return is_computed(session) and session.settings.get("compute_query_id") != "regress"


def of_statement(session: SessionState, statement: RawStatement, source: str, param_types: Sequence[int] = ()) -> int:
    """The identifier of a parsed statement, for this session."""
    if is_query(statement.node):
        return Shape(statement.node, session.engine.catalog.view(session), param_types).query_id
    return utility_id(trimmed(source[statement.start : statement.start + statement.length]))


def of_latest(session: SessionState) -> int | None:
    """The identifier of what the session runs or has run last; None without one, and of a text of several statements.

    It is computed when somebody asks, from the text and under the settings that the session has by then."""
    if not session.query or not is_computed(session):
        return None
    try:
        statements = parse(session.query)
    except SqlError:
        return None  # the client has got the error
    return of_statement(session, statements[0], session.query) if len(statements) == 1 else None
