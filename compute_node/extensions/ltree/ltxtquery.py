"""ltxtquery: labels joined by AND, OR and NOT, wherever they are in a path: text → program → test (manual, F.23.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from aurora.errors import InternalError, InvalidParameterValue, SqlSyntaxError
from compute_node.extensions.ltree.paths import labels_of, name_end
from compute_node.extensions.ltree.variants import Variant, flags_end, variant
from compute_node.types.long_text import joined, paced
from compute_node.types.registry import TypeEnv

_NAME_BYTES_MAX: Final = 255
_PENDING_MAX: Final = 32
"""Operators that wait for their right side, on one level of parentheses"""
_CACHED: Final = 256
_CACHED_CHARS: Final = 2000
_STRENGTH: Final = {"|": 1, "&": 2, "!": 3}
Step = Variant | str
"""of a program in postfix order: a label that is looked for, or an operator"""


def _tokens(text: str) -> Iterator[Variant | str]:
    """Labels, operators and parentheses. 42601, 22023."""
    at, wants_operand, depth = 0, True, 0
    while at < len(text):
        char = text[at]
        if wants_operand:
            end = name_end(text, at)
            if end > at:
                name, at = text[at:end], flags_end(text, end)
                if name_end(text, at) > at:
                    raise SqlSyntaxError("modifiers syntax error")
                if len(name.encode()) > _NAME_BYTES_MAX:
                    raise InvalidParameterValue("operand is too long")
                yield variant(name, text[end:at])
                wants_operand = False
            elif char in "!(":
                depth += char == "("
                at += 1
                yield char
            elif char.isspace():
                at += 1
            else:
                raise SqlSyntaxError("operand syntax error")
        elif char in "&|":
            wants_operand = True
            at += 1
            yield char
        elif char == ")":
            depth -= 1
            at += 1
            if depth < 0:
                raise SqlSyntaxError("syntax error")
            yield char
        elif char == " " or ord(char) > 127:
            # PostgreSQL steps over whatever has more bytes than one here.
            at += 1
        else:
            raise SqlSyntaxError("syntax error")
    if wants_operand:
        raise SqlSyntaxError("operand syntax error")
    if depth:
        raise SqlSyntaxError("syntax error")


def _program(text: str) -> list[Step]:
    """The query in postfix order (Dijkstra's shunting yard). XX000 where too many operators wait."""
    found: list[Step] = []
    waiting: list[str] = []
    for token in paced(_tokens(text)):
        if isinstance(token, Variant):
            found.append(token)
        elif token == "(":
            waiting.append(token)
        elif token == ")":
            while (operator := waiting.pop()) != "(":
                found.append(operator)
        else:
            strength = _STRENGTH[token]
            while token != "!" and waiting and _STRENGTH.get(waiting[-1], 0) >= strength:
                found.append(waiting.pop())
            if len(waiting) >= _PENDING_MAX and "(" not in waiting[-_PENDING_MAX:]:
                raise InternalError("stack too short")
            waiting.append(token)
    return found + waiting[::-1]


def _shown(program: Sequence[Step]) -> str:
    """The query as PostgreSQL shows it: parentheses around OR within another operator, and around what is negated."""
    # Pieces of text by node, as ropes: (operator, parts).
    ropes: list[tuple[str, tuple[object, ...]]] = []
    for step in program:
        if isinstance(step, Variant):
            ropes.append(("", (step.text(),)))
        elif step == "!":
            operator, parts = ropes.pop()
            ropes.append(("!", ("!( ", parts, " )") if operator else ("!", parts)))
        else:
            right, left = ropes.pop(), ropes.pop()
            sides = [("( ", parts, " )") if operator == "|" else parts for operator, parts in (left, right)]
            ropes.append((step, (sides[0], f" {step} ", sides[1])))
    return joined(list(_flat(ropes[0][1])), "")


def _flat(rope: tuple[object, ...]) -> Iterator[str]:
    left: list[object] = [rope]
    while left:
        part = left.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, tuple):
            left.extend(reversed(part))


def read(text: str, typmod: int, env: TypeEnv) -> str:
    """The text input: the query as it is shown. 42601, 22023, XX000."""
    return query_of(text)


def query_of(text: str) -> str:
    """A text that is a query, as it is shown."""
    return _shown(_program(text))


@lru_cache(maxsize=_CACHED)
def _kept(query: str) -> tuple[Step, ...]:
    return tuple(_program(query))


def program_of(query: str) -> tuple[Step, ...]:
    """What a query asks, in postfix order."""
    return _kept(query) if len(query) <= _CACHED_CHARS else tuple(_program(query))


def matches(path: str, query: str) -> bool:
    """Whether the path has the labels that the query asks for."""
    labels = labels_of(path)
    return evaluate(
        program_of(query), lambda wanted: any(wanted.matches(each) for each in labels), lambda item: not item
    )


def evaluate(program: Sequence[Step], has: Callable[[Variant], bool], negated: Callable[[bool], bool]) -> bool:
    """What a program says where ``has`` says which labels are there, ``negated`` what NOT makes of that."""
    values: list[bool] = []
    for step in program:
        if isinstance(step, Variant):
            values.append(has(step))
        elif step == "!":
            values.append(negated(values.pop()))
        else:
            right, left = values.pop(), values.pop()
            values.append((left and right) if step == "&" else (left or right))
    return values[0]


def may_match(program: Sequence[Step], has: Callable[[str], bool]) -> bool:
    """Whether a path may match of which only is known which labels it may have."""
    return evaluate(program, lambda wanted: not wanted.is_exact or has(wanted.name), lambda item: True)
