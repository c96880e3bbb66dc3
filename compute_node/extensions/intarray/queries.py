"""``query_int``: integers under AND, OR and NOT, which arrays are asked for (manual, F.19.2).

text → tokens → ``Wanted``, a tree; it is kept as its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import InternalError, SqlSyntaxError, StatementTooComplex
from compute_node.extensions.intarray.arrays import integers
from compute_node.extensions.library import base_type, define
from compute_node.types.array_value import Array
from compute_node.types.common import WHITESPACE
from compute_node.types.registry import PgType, TypeEnv
from compute_node.types.textsearch.query import bounded

NUMBER, AND, OR, NOT = "", "&", "|", "!"
_DIGITS_MAX: Final = 15
_OPEN_MAX: Final = 16
_TOKEN: Final = re.compile(r"[ \t\n\v\f\r]*(?:(-?[0-9]+|-)|([&|!()]))")
_BASES: Final = re.compile(r"-?(?:0[0-7]*|[1-9][0-9]*)?")


class Wanted(NamedTuple):
    """``number`` of a leaf; of an operator its operands, of NOT the right one alone."""

    operator: str
    number: int = 0
    left: Wanted | None = None
    right: Wanted | None = None


def _number(text: str) -> int:
    """As C reads it: octal behind a zero, up to the first other digit."""
    match = _BASES.match(text)
    plain = match.group() if match is not None else ""
    digits = plain.lstrip("-")
    value = int(digits, 8 if digits.startswith("0") else 10) if digits else 0
    value = -value if plain.startswith("-") else value
    if len(text) > _DIGITS_MAX or not -(2**31) <= value < 2**31:
        raise SqlSyntaxError("syntax error")
    return value


class _Reader:
    """NOT binds before AND, AND before OR, equal ones from the left."""

    def __init__(self) -> None:
        self._made: list[Wanted] = []
        self._waiting: list[list[str]] = [[]]
        """operators whose right operand is not there yet, by open parenthesis"""

    def read(self, text: str) -> Wanted:
        """The whole text. Errors: 42601, 54001."""
        at, end, has_operand = 0, len(text.rstrip(WHITESPACE)), False
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise SqlSyntaxError("syntax error")
            number, sign = match.groups()
            has_operand = self._operand(number, sign) if not has_operand else self._operator(number, sign)
            at = match.end()
        if not has_operand or len(self._waiting) > 1:
            raise SqlSyntaxError("syntax error")
        self._finish(self._waiting[0], (AND, OR, NOT))
        return self._made[0]

    def _operand(self, number: str | None, sign: str | None) -> bool:
        """Where an operand is expected; whether it is there."""
        if number:
            self._made.append(Wanted(NUMBER, _number(number)))
            self._finish(self._waiting[-1], (AND, NOT))
            return True
        if sign == "(":
            self._waiting.append([])
        elif sign == NOT:
            self._wait(NOT)
        else:
            raise SqlSyntaxError("syntax error")
        return False

    def _operator(self, number: str | None, sign: str | None) -> bool:
        """Behind an operand; whether there still is one."""
        if sign == ")" and len(self._waiting) > 1:
            self._finish(self._waiting.pop(), (AND, OR, NOT))
            self._finish(self._waiting[-1], (AND, NOT))
            return True
        if number or sign not in (AND, OR):
            raise SqlSyntaxError("syntax error")
        if sign == OR:
            self._finish(self._waiting[-1], (OR,))
        self._wait(sign)
        return False

    def _wait(self, operator: str) -> None:
        waiting = self._waiting[-1]
        if len(waiting) == _OPEN_MAX:
            raise StatementTooComplex("statement too complex")
        waiting.append(operator)

    def _finish(self, waiting: list[str], operators: Iterable[str]) -> None:
        """The last operators that wait, of these kinds, have their right operand."""
        while waiting and waiting[-1] in operators:
            operator = waiting.pop()
            right = self._made.pop()
            left = None if operator == NOT else self._made.pop()
            self._made.append(Wanted(operator, 0, left, right))


def _read(text: str, typmod: int, env: TypeEnv) -> Wanted:
    return _Reader().read(text)


def _text(wanted: Wanted, first: bool = True) -> str:
    """Parentheses are around every OR in something else, and behind NOT."""
    if wanted.operator == NUMBER or wanted.right is None:
        return str(wanted.number)
    if wanted.left is None:
        inner = _text(wanted.right)
        return f"!{inner}" if wanted.right.operator == NUMBER else f"!( {inner} )"
    text = f"{_text(wanted.left, False)} {wanted.operator} {_text(wanted.right, False)}"
    return f"( {text} )" if wanted.operator == OR and not first else text


def _holds(wanted: Wanted, has: Callable[[int], bool], sure: bool = True) -> bool:
    if wanted.operator == NUMBER or wanted.right is None:
        return has(wanted.number)
    if wanted.left is None:
        return not sure or not _holds(wanted.right, has)
    first = _holds(wanted.left, has, sure)
    if first is (wanted.operator == OR):
        return first
    return _holds(wanted.right, has, sure)


def numbers(wanted: Wanted) -> set[int]:
    """All that it names."""
    found, left = set(), [wanted]
    while left:
        node = left.pop()
        if node.operator == NUMBER:
            found.add(node.number)
        left += [each for each in (node.left, node.right) if each is not None]
    return found


_written = bounded(_text)


def meets(wanted: Wanted, has: Callable[[int], bool], sure: bool = True) -> bool:
    """Whether a set has what is wanted; ``sure`` False: where ``has`` means that it may have, whether it may. Errors:
    54001."""
    found: bool = _bounded(wanted, has, sure)
    return found


_bounded = bounded(_holds)


def _asked(value: Array, wanted: Wanted) -> Datum:
    return meets(wanted, set(integers(value)).__contains__)


def _tree(wanted: Wanted) -> str:
    raise InternalError("querytree is no longer implemented")


def declare() -> None:
    """Make the type and its functions known."""
    base_type(
        PgType(
            oid=0, name="query_int", length=-1, by_value=False, category="U", align="i", storage="p", array=0,
            input=_read, output=lambda value, env: _written(value), receive=None, send=None, disk="x",
            to_disk=lambda value: _written(value).encode(), from_disk=lambda data: _Reader().read(data.decode()),
        ),
        "bqarr_in", "bqarr_out",
    )  # fmt: skip
    define("boolop", 2, _asked)
    define("rboolop", 2, lambda wanted, value: _asked(value, wanted))
    define("querytree", 1, _tree)
