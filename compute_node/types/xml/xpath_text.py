"""XPath expressions as PostgreSQL takes them: relative paths begin at the document, where lxml begins at its root
element. So the expression is read token by token, and each relative path that does not stand within a predicate gets a
``/`` before it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s+|"[^"]*"|'[^']*'|\.\.|::|//|!=|<=|>=|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+|\$?[^\W\d][\w.\-·]*(?::(?:[^\W\d][\w.\-·]*|\*))?"""
    r"|.",
    re.VERBOSE | re.DOTALL,
)
_OPERATORS: Final = frozenset(("|", "+", "-", "=", "!=", "<", "<=", ">", ">=", "and", "or", "div", "mod", "*"))
_NODE_TYPES: Final = frozenset(("comment", "text", "processing-instruction", "node"))
_OF_CONTEXT: Final = frozenset(
    ("name", "local-name", "namespace-uri", "string", "string-length", "normalize-space", "number")
)
"""Functions that, without an argument, are of the context node."""
_STEP_OF_SIMPLE: Final = r"(?:@?(?:[^\W\d][\w.\-]*:)?(?:[^\W\d][\w.\-]*(?:\(\))?|\*)|\.)(?:\[\d+\])?"
_SIMPLE: Final = re.compile(rf"/{{0,2}}{_STEP_OF_SIMPLE}(?://?{_STEP_OF_SIMPLE})*")
"""Steps to children, attributes and texts: no axes, no parents, no predicates but positions."""
SIMPLE_MAX: Final = 256
"""Characters from which on an expression is no simple one: each step is a pass over the nodes."""
_LITERAL: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_PREFIXED_CALL: Final = re.compile(r"(?<!:):[^:/()\[\]|,=<>+$@*\s]+\s*\(")
_OPERAND, _STEP, _OPERATOR = range(3)
"""What the next token may be: the beginning of an operand, a step of a path, an operator"""


def _tokens(text: str) -> list[str]:
    return [found for found in _TOKEN.findall(text) if not found.isspace()]


def is_simple(path: str) -> bool:
    """Whether the expression, as it was given, takes no more time than a few passes over the document."""
    return len(path) < SIMPLE_MAX and path.count("//") <= 1 and _SIMPLE.fullmatch(path) is not None


def calls_prefixed(path: str) -> bool:
    """Whether the expression calls a function with a prefix, of which XPath has none."""
    return ":" in path and _PREFIXED_CALL.search(_LITERAL.sub("''", path)) is not None


@lru_cache(maxsize=1024)
def from_document(path: str) -> str:
    """The expression, its relative paths from the document's own node."""
    tokens = _tokens(path)
    out: list[str] = []
    predicates = 0
    expects = _OPERAND
    for at, token in enumerate(tokens):
        following = tokens[at + 1 : at + 2]
        if expects == _OPERAND and not predicates:
            is_name = token[0].isalpha() or token[0] == "_"
            if is_name and following == ["("] and token not in _NODE_TYPES:
                if token in _OF_CONTEXT and tokens[at + 2 : at + 3] == [")"]:
                    tokens.insert(at + 2, "/")
            elif is_name or token in ("*", "@", ".", ".."):
                out.append("/")
        out.append(token)
        if token == "[":
            predicates += 1
        elif token == "]":
            predicates -= 1
        expects = _after(expects, token)
    return " ".join(out)


def _after(expects: int, token: str) -> int:
    """What may come after a token."""
    if token in ("(", "[", ","):
        return _OPERAND
    if token in ("/", "//", "::", "@"):
        return _STEP
    if expects == _OPERATOR and token in _OPERATORS:
        return _OPERAND
    if token in ("|", "+", "-", "=", "!=", "<", "<=", ">", ">="):
        return _OPERAND
    return _OPERATOR
