"""Expression → Code: the dispatch, and the nodes without logic of their own.

Three views of an expression: ``value`` (SQL value, None for NULL), ``truth`` (truthy exactly when TRUE) and ``falsity``
(truthy exactly when FALSE). Filters use ``truth``, which spares the third value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aurora.errors import InvariantViolation, NotSupported, SqlError, StatementTooComplex
from compute_node.exec.compile.unit import NESTING_MAX, NULL, Code, Scope, Unit
from compute_node.sql import expressions as ex
from compute_node.types.array_value import from_vector
from compute_node.types.registry import Aggregate, Function, Operator, PgType

if TYPE_CHECKING:
    from compute_node.exec.compile.rows import BatchFunction
    from compute_node.exec.subplan import SubplanRunner


DEPTH_MAX = 3000
"""levels of expression nesting, as PostgreSQL's max_stack_depth would bound them"""

# Pure Python calls take no C stack, so the interpreter's own limit may lie above ours: five frames a level.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 6 * DEPTH_MAX))


class Linker(Protocol):
    """What expressions need of the statement that they belong to."""

    def function(self, oid: int) -> Function:
        """By OID."""

    def type(self, oid: int) -> PgType:
        """By OID."""

    def operator(self, oid: int) -> Operator:
        """By OID."""

    def aggregate(self, oid: int) -> Aggregate | None:
        """By OID."""

    def subplan(self, node: ex.SubPlan) -> SubplanRunner:
        """The runner of a sub-select (``compute_node.exec.subplan``)."""

    def filtering(self, function: BatchFunction) -> BatchFunction:
        """A compiled filter of a node, as it is to be used."""


Handler = Callable[["Compiler", Any], Code]
VALUE_HANDLERS: dict[type, Handler] = {}
TRUTH_HANDLERS: dict[type, Handler] = {}
FALSITY_HANDLERS: dict[type, Handler] = {}

_H = TypeVar("_H", bound=Handler)


def handles(table: dict[type, Handler], *kinds: type) -> Callable[[_H], _H]:
    """Register a function as the handler of expression classes in one of the three tables."""

    def register(handler: _H) -> _H:
        for kind in kinds:
            if kind in table:
                raise InvariantViolation(f"two handlers for {kind.__name__}")
            table[kind] = handler
        return handler

    return register


def too_complex() -> SqlError:
    """54001, as PostgreSQL words it."""
    return StatementTooComplex(
        "stack depth limit exceeded",
        hint='Increase the configuration parameter "max_stack_depth" (currently 2048kB), '
        "after ensuring the platform's stack depth limit is adequate.",
    )


class Compiler:
    """Compiles expressions of one scope into one unit."""

    __slots__ = ("_level", "linker", "scope", "unit")

    def __init__(self, unit: Unit, scope: Scope, linker: Linker) -> None:
        self.unit = unit
        self.scope = scope
        self.linker = linker
        self._level = 0

    def value(self, node: ex.Expr) -> Code:
        """The expression's SQL value."""
        handler = VALUE_HANDLERS.get(type(node))
        if handler is None:
            raise NotSupported(f"{type(node).__name__} expressions are not supported here")
        return self._dispatch(handler, node)

    def truth(self, node: ex.Expr) -> Code:
        """Truthy exactly when the expression is TRUE."""
        handler = TRUTH_HANDLERS.get(type(node))
        return self.value(node) if handler is None else self._dispatch(handler, node)

    def falsity(self, node: ex.Expr) -> Code:
        """Truthy exactly when the expression is FALSE."""
        handler = FALSITY_HANDLERS.get(type(node))
        if handler is not None:
            return self._dispatch(handler, node)
        inner = self.value(node)
        return self.wrap(f"{inner.text} is False" if inner.nullable else f"not {inner.text}", (inner,), nullable=False)

    def _dispatch(self, handler: Handler, node: ex.Expr) -> Code:
        self._level += 1
        if self._level > DEPTH_MAX:
            raise too_complex()
        code = handler(self, node)
        self._level -= 1
        return code

    def wrap(self, text: str, parts: Iterable[Code], *, nullable: bool, extra: int = 1) -> Code:
        """``text`` in parentheses; moved into a function of its own when it would nest too deeply."""
        depth = max((part.depth for part in parts), default=0) + extra
        if depth > NESTING_MAX:
            return self.outline(text, nullable)
        return Code(f"({text})", nullable, False, depth)

    def outline(self, text: str, nullable: bool) -> Code:
        """A call of a new function that returns ``text``."""
        self.unit.uses_params = self.unit.uses_exec_params = True
        arguments = self.scope.arguments
        name = self.unit.helper(arguments, [f"return {text}"])
        return Code(f"{name}({arguments})", nullable, False, 1)

    def named(self, code: Code) -> tuple[str, str]:
        """(text that evaluates and names the code, text to use afterwards); the same text when it is simple."""
        if code.simple:
            return code.text, code.text
        name = self.unit.fresh()
        return f"({name} := {code.text})", name

    def chain(self, steps: list[tuple[str, str]], last: str, parts: list[Code]) -> Code:
        """``(value if condition else … else last)`` for (condition, value) steps; long chains go into functions."""
        text, size = last, 0
        for condition, value in reversed(steps):
            text = f"{value} if {condition} else {text}"
            size += 1
            if size == 20:
                text, size = self.outline(text, True).text, 0
        return self.wrap(text, parts, nullable=True)

    def tuple_of(self, nodes: Iterable[ex.Expr]) -> str:
        """Source of the tuple of the expressions' values."""
        return tuple_text([self.value(node).text for node in nodes])


def tuple_text(items: list[str]) -> str:
    """Source of a tuple display."""
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


@handles(VALUE_HANDLERS, ex.Const)
def _const(compiler: Compiler, node: ex.Const) -> Code:
    if node.value is None:
        return NULL
    if node.value is True or node.value is False:
        return Code(str(node.value), False, True, 0)
    return Code(compiler.unit.bind(node.value), False, True, 0)


@handles(VALUE_HANDLERS, ex.Param)
def _param(compiler: Compiler, node: ex.Param) -> Code:
    compiler.unit.uses_params = True
    return Code(f"p[{node.number - 1}]", True, True)


@handles(VALUE_HANDLERS, ex.ExecParam)
def _exec_param(compiler: Compiler, node: ex.ExecParam) -> Code:
    compiler.unit.uses_exec_params = True
    return Code(f"x[{node.number}]", True, True)


@handles(VALUE_HANDLERS, ex.Column)
def _column(compiler: Compiler, node: ex.Column) -> Code:
    code, stored = compiler.scope.column(node.side, node.index), compiler.scope.stored
    if stored is None or node.side != 0 or node.index not in stored.mixed:
        return code
    return compiler.wrap(f"{compiler.unit.bind(stored.value, 'g')}({code.text})", (code,), nullable=code.nullable)


@handles(VALUE_HANDLERS, ex.Collate)
def _collate(compiler: Compiler, node: ex.Collate) -> Code:
    return compiler.value(node.argument)


@handles(VALUE_HANDLERS, ex.SubColumn)
def _sub_column(compiler: Compiler, node: ex.SubColumn) -> Code:
    return Code(f"q[{node.index}]", True, True)


@handles(VALUE_HANDLERS, ex.ElementValue)
def _element(compiler: Compiler, node: ex.ElementValue) -> Code:
    if not compiler.scope.elements:
        raise InvariantViolation("an element value outside CASE and array coercion")
    return Code(compiler.scope.elements[-1], True, True, 0)


@handles(VALUE_HANDLERS, ex.Relabel)
def _relabel(compiler: Compiler, node: ex.Relabel) -> Code:
    code = compiler.value(node.argument)
    change = ex.value_change(node)
    if not change:
        return code
    first, again = compiler.named(code)
    if change == "bounds":
        changed = f"{compiler.unit.bind(from_vector, 'g')}({again})"
        return compiler.wrap(f"None if {first} is None else {changed}", (code,), nullable=True, extra=2)
    changed = f"{again} & 0xFFFFFFFF" if change == "unsigned" else f"({again} ^ 0x80000000) - 0x80000000"
    return compiler.wrap(f"None if {first} is None else {changed}", (code,), nullable=True)
