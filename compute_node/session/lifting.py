"""Lifted literals: (text without its literals, literals) → a shared plan and its parameters (design, wall 8).

At first sight of a key the original text is analyzed with the places of its literals. Analysis tells which literals'
values it looked at; those stay in the key as a second step, a tuple of values. The others became parameters of their
resolved types, and later texts of the same key convert their literals with the type's input function, so that a bad
one gives the error, with its position, that the text itself would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pglast import ast

from aurora.datum import Datum, Row
from aurora.errors import SqlError
from aurora.kernels import lifter
from compute_node.session.statement import Params, Statement
from compute_node.sql.expressions import Const, Param
from compute_node.sql.parse import RawStatement, literal_location
from compute_node.types.registry import TypeEnv

if TYPE_CHECKING:
    from compute_node.session.plan_choice import Family
    from compute_node.session.state import SessionState

_INTEGERS = frozenset((20, 21, 23))
_TEXTS = frozenset((25, 705, 1043))
MAX_VARIANTS = 256


class LiftedBinding:
    """A statement whose lifted literals are its parameters. ``plain`` when the literals are the parameters as they are;
    otherwise ``negated`` and ``kinds`` say, per slot, how to make one from the other (None: the slot is in the key,
    unused). ``family``: the plans of the same shape for literals of other selectivity."""

    __slots__ = ("family", "kinds", "negated", "plain", "statement")

    def __init__(
        self, statement: Statement, literals: list[Datum], pinned: frozenset[int], negated: frozenset[int]
    ) -> None:
        types = list(statement.param_types) + [0] * (len(literals) - len(statement.param_types))
        self.statement = statement
        self.negated = negated
        for index, literal in enumerate(literals):
            if index in pinned or (type(literal) is int and types[index] in _INTEGERS) or types[index] in _TEXTS:
                types[index] = 0
        self.kinds = tuple([statement.kinds[index] if oid else None for index, oid in enumerate(types)])
        self.plain = not negated and not any(types)
        self.family: Family[LiftedBinding] | None = None

    def bind(self, literals: list[Datum], env: TypeEnv, sql: bytes) -> Params:
        """The parameters that the literals stand for."""
        if self.plain:
            return tuple(literals)
        values = list(literals)
        for index in self.negated:
            value = values[index]
            values[index] = -value if type(value) is int else f"-{value}"
        for index, kind in enumerate(self.kinds):
            if kind is not None:
                try:
                    values[index] = kind.input(str(values[index]), -1, env)
                except SqlError as error:
                    places = lifter.positions(sql)
                    if places is not None:
                        error.position = len(sql[: places[index]].decode()) + 1
                    raise
        return tuple(values)


def values_of(session: SessionState, literals: list[Datum], negated: frozenset[int]) -> Callable[[Param], Const | None]:
    """What the planner may know of lifted literals: the values that their parameters will have."""

    def value(param: Param) -> Const | None:
        literal = literals[param.number - 1] if param.number <= len(literals) else None
        if literal is None:
            return None
        if param.number - 1 in negated:
            literal = -literal if type(literal) is int else f"-{literal}"
        if not (type(literal) is int and param.type in _INTEGERS) and param.type not in _TEXTS:
            try:
                literal = session.type_of(param.type).input(str(literal), -1, session.env)
            except SqlError:
                return None  # whoever binds it says so
        return Const(type=param.type, typmod=param.typmod, value=literal)

    return value


class Shape:
    """All statements of one key. ``liftable`` False: texts of this key are analyzed as they are."""

    __slots__ = ("liftable", "pinned", "variants")

    def __init__(self, liftable: bool = True, pinned: frozenset[int] = frozenset()) -> None:
        self.liftable = liftable
        self.pinned = tuple(sorted(pinned))
        self.variants: dict[Row, LiftedBinding] = {}

    def key_of(self, literals: list[Datum]) -> Row:
        """The values that stay in the key."""
        return tuple([literals[index] for index in self.pinned]) if self.pinned else ()


def _constants(node: ast.Node) -> Iterator[ast.A_Const]:
    if isinstance(node, tuple):
        for item in node:
            yield from _constants(item)
    elif isinstance(node, ast.A_Const):
        yield node
    elif isinstance(node, ast.Node):
        for name in node:
            yield from _constants(getattr(node, name))


def _needs_all(node: ast.Node) -> bool:
    """Whether some clause compares whole expressions, so that two equal constants must stay visibly equal."""
    if isinstance(node, tuple):
        return any(_needs_all(item) for item in node)
    if not isinstance(node, ast.Node):
        return False
    if isinstance(node, ast.SelectStmt):
        compared = (node.groupClause, node.distinctClause, node.windowClause, node.havingClause, node.sortClause)
        # ORDER BY a column is common and harmless; an ordinal or expression there is not.
        for clause in compared:
            if clause is not None and (clause is not node.sortClause or any(True for _ in _constants(clause))):
                return True
        if node.distinctClause is not None:
            return True
    return any(_needs_all(getattr(node, name)) for name in node)


class Places:
    """Where the literals of one text are: ``slots`` maps an A_Const's byte offset to its parameter number."""

    __slots__ = ("negated", "slot_at", "slots")

    def __init__(self, statement: RawStatement, source: str, offsets: list[int]) -> None:
        by_offset = {offset: index for index, offset in enumerate(offsets)}
        ascii_only = source.isascii()
        self.slots: dict[int, int] = {}
        self.slot_at: dict[int, int] = {}
        negated = set()
        seen: set[int] = set()
        for constant in _constants(statement.node):
            location = literal_location(constant)
            index = by_offset.get(location)
            if index is None and location >= 0 and source[location : location + 1] == "-":
                # The grammar folds a sign into the number, and then the place is the sign's.
                after = location + 1
                while source[after : after + 1].isspace():
                    after += 1
                index = by_offset.get(after)
                if index is not None:
                    negated.add(index)
            if index is None or index in seen:
                continue
            seen.add(index)
            if not ascii_only:
                location = len(source[:location].encode())
            self.slots[location] = index + 1
            self.slot_at[index] = location
        self.negated = frozenset(negated)


def places(statement: RawStatement, source: str, sql: bytes) -> Places | None:
    """The liftable literals of a parsed text; None when every literal must stay."""
    found = lifter.positions(sql)
    if found is None or _needs_all(statement.node):
        return None
    if not source.isascii():
        found = [len(sql[:offset].decode()) for offset in found]
    return Places(statement, source, found)
