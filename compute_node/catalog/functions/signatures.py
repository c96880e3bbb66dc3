"""``name(type, …)`` as text: what regprocedure and regoperator read (manual, 8.19)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aurora.errors import InvalidTextRepresentation, TooManyArguments
from compute_node.types.common import WHITESPACE

ARGUMENTS_MAX = 100


def split_signature(text: str, check: Callable[[str], object] = str) -> tuple[str, Iterator[str]]:
    """The name and the types, each as written. The name is checked before what follows it, and who takes the types
    checks each before the next. 22P02."""
    opened = _find(text, 0, lambda character: character == "(")
    if opened == len(text):
        raise InvalidTextRepresentation("expected a left parenthesis")
    check(text[:opened])
    rest = text[opened + 1 :].rstrip(WHITESPACE)
    if not rest.endswith(")"):
        raise InvalidTextRepresentation("expected a right parenthesis")
    return text[:opened], _types(rest[:-1])


def _find(text: str, at: int, wanted: Callable[[str], bool]) -> int:
    """The first such character outside quotes; the length without one."""
    quoted = False
    for place in range(at, len(text)):
        if text[place] == '"':
            quoted = not quoted
        elif not quoted and wanted(text[place]):
            return place
    return len(text)


def _types(text: str) -> Iterator[str]:
    at, count, after_comma = 0, 0, False
    while True:
        while at < len(text) and text[at] in WHITESPACE:
            at += 1
        if at == len(text):
            if after_comma:
                raise InvalidTextRepresentation("expected a type name")
            return
        if count == ARGUMENTS_MAX:
            raise TooManyArguments("too many arguments")
        end = _end_of_type(text, at)
        yield text[at:end].rstrip(WHITESPACE)
        count += 1
        after_comma = end < len(text)
        at = end + after_comma


def _end_of_type(text: str, at: int) -> int:
    """Where the comma behind a type is, outside quotes, parentheses and brackets."""
    depth, quoted = 0, False
    for place in range(at, len(text)):
        character = text[place]
        if character == '"':
            quoted = not quoted
        elif not quoted:
            if character == "," and not depth:
                return place
            depth += (character in "([") - (character in ")]")
    if quoted or depth:
        raise InvalidTextRepresentation("improper type name")
    return len(text)
