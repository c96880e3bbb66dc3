"""json's operators and functions, which work on its text (manual, 9.16).

A json value is known to be valid JSON, so a part of it is found by its brackets and strings. Escapes are not checked
when a json is made: what needs them checked looks at all of them first, as PostgreSQL does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue
from compute_node.hub import HUB
from compute_node.types.array_value import flatten
from compute_node.types.json.access import path_integer
from compute_node.types.long_text import STEPS, paced

_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(r"[^ \t\n\r,\]}:]+")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODE = json.JSONDecoder(strict=False).decode
_KINDS: Final = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}

Span = tuple[int, int]


def checked(value: str) -> str:
    """The value, its escapes checked; 22P02, 22P05."""
    if "\\u" in value:
        from compute_node.types.json.reader import check_escapes

        check_escapes(value)
    return value


def _past_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _value_end(text: str, start: int) -> int:
    sign = text[start]
    if sign == '"':
        return _STRING.match(text, start).end()  # type: ignore[union-attr]
    if sign not in "{[":
        return _SCALAR.match(text, start).end()  # type: ignore[union-attr]
    depth = 0
    for found in paced(_BRACKET.finditer(text, start)):
        bracket = found[0]
        if bracket in ("{", "["):
            depth += 1
        elif bracket in ("}", "]"):
            depth -= 1
            if not depth:
                return found.end()
    return len(text)


def whole(text: str) -> Span:
    """Where the value stands, without the space around."""
    start = _past_space(text, 0)
    return start, _value_end(text, start)


def members(text: str, start: int) -> Iterator[tuple[Span, Span]]:
    """The keys and values of the object at ``start``."""
    at = _past_space(text, start + 1)
    steps = 0
    while text[at] != "}":
        key_end = _STRING.match(text, at).end()  # type: ignore[union-attr]
        colon = _past_space(text, key_end)
        value = _past_space(text, colon + 1)
        end = _value_end(text, value)
        yield (at, key_end), (value, end)
        at = _past_space(text, end)
        if text[at] == ",":
            at = _past_space(text, at + 1)
        steps += 1
        if not steps % STEPS:
            HUB.pulse()


def items(text: str, start: int) -> Iterator[Span]:
    """The elements of the array at ``start``."""
    at = _past_space(text, start + 1)
    steps = 0
    while text[at] != "]":
        end = _value_end(text, at)
        yield at, end
        at = _past_space(text, end)
        if text[at] == ",":
            at = _past_space(text, at + 1)
        steps += 1
        if not steps % STEPS:
            HUB.pulse()


def string_at(text: str, span: Span) -> str:
    """A string's content."""
    start, end = span
    return text[start + 1 : end - 1] if text.find("\\", start, end) < 0 else str(_DECODE(text[start:end]))


def raw(text: str, span: Span | None) -> str | None:
    """A part's own text."""
    return None if span is None else text[span[0] : span[1]]


def as_text(text: str, span: Span | None) -> str | None:
    """What ``->>`` gives of a part."""
    if span is None or text[span[0]] == "n":
        return None
    return string_at(text, span) if text[span[0]] == '"' else text[span[0] : span[1]]


def _member(text: str, start: int, name: str) -> Span | None:
    found = None
    for key, value in members(text, start):
        if string_at(text, key) == name:
            found = value
    return found


def _item(text: str, start: int, index: int) -> Span | None:
    if index < 0:
        spans = list(items(text, start))
        return spans[index] if -index <= len(spans) else None
    for number, span in enumerate(items(text, start)):
        if number == index:
            return span
    return None


def find_field(value: str, name: str) -> Span | None:
    """Where the last value of a key of the whole stands."""
    start = _past_space(checked(value), 0)
    return _member(value, start, name) if value[start] == "{" else None


def find_element(value: str, index: int) -> Span | None:
    """Where an element of the whole stands."""
    start = _past_space(checked(value), 0)
    return _item(value, start, index) if value[start] == "[" else None


def find_path(value: str, path: list[Datum]) -> Span | None:
    """Where a path leads to."""
    steps = list(flatten(path))
    if None in steps:
        return None
    span: Span | None = whole(checked(value))
    for word in steps:
        if span is None:
            return None
        sign = value[span[0]]
        if sign == "{":
            span = _member(value, span[0], word)
        elif sign == "[":
            index = path_integer(word)
            span = None if index is None else _item(value, span[0], index)
        else:
            return None
    return span


def kind_at(text: str, start: int) -> str:
    """What stands there: object, array, string, number, boolean or null."""
    return _KINDS.get(text[start], "number")


def type_of(value: str) -> str:
    """json_typeof."""
    return kind_at(value, _past_space(value, 0))


def _start(value: str, sign: str, other: str, scalar: str) -> int:
    """Where the container that begins with ``sign`` begins; 22023 with ``other`` of the other kind, or ``scalar``."""
    start = _past_space(value, 0)
    if value[start] != sign:
        raise InvalidParameterValue(other if value[start] in "{[" else scalar)
    return start


def array_length(value: str) -> int:
    """json_array_length."""
    message = "cannot get array length of a {}"
    start = _start(value, "[", message.format("non-array"), message.format("scalar"))
    return sum(1 for _ in items(value, start))


def object_keys(value: str) -> Iterator[str]:
    """json_object_keys: as often as they stand there."""
    message = "cannot call json_object_keys on {}"
    start = _start(checked(value), "{", message.format("an array"), message.format("a scalar"))
    return (string_at(value, key) for key, _ in members(value, start))


def _each(value: str) -> Iterator[tuple[Span, Span]]:
    start = _start(checked(value), "{", "cannot deconstruct an array as an object", "cannot deconstruct a scalar")
    return members(value, start)


def each(value: str) -> Iterator[tuple[str, str | None]]:
    """json_each."""
    return ((string_at(value, key), raw(value, span)) for key, span in _each(value))


def each_text(value: str) -> Iterator[tuple[str, str | None]]:
    """json_each_text."""
    return ((string_at(value, key), as_text(value, span)) for key, span in _each(value))


def _elements(value: str, name: str) -> Iterator[Span]:
    start = _start(checked(value), "[", f"cannot call {name} on a non-array", f"cannot call {name} on a scalar")
    return items(value, start)


def array_elements(value: str) -> Iterator[str | None]:
    """json_array_elements."""
    return (raw(value, span) for span in _elements(value, "json_array_elements"))


def array_elements_text(value: str) -> Iterator[str | None]:
    """json_array_elements_text."""
    return (as_text(value, span) for span in _elements(value, "json_array_elements_text"))


def strip_nulls(value: str) -> str:
    """json_strip_nulls: without the members that are null, and without space."""
    text = checked(value)
    out: list[str] = []
    left: list[tuple[Iterator[Datum], str]] = []
    span: Span | None = whole(text)
    first = True
    while True:
        if span is not None:
            sign = text[span[0]]
            first = True
            if sign == "{":
                out.append("{")
                left.append((_kept(text, span[0]), "}"))
            elif sign == "[":
                out.append("[")
                left.append(((((0, 0), each) for each in items(text, span[0])), "]"))
            else:
                out.append(
                    json.dumps(string_at(text, span), ensure_ascii=False) if sign == '"' else raw(text, span) or ""
                )
                first = False
        if not left:
            return "".join(out)
        inside, end = left[-1]
        found = next(inside, None)
        if found is None:
            out.append(end)
            left.pop()
            span, first = None, False
            continue
        if not first:
            out.append(",")
        if end == "}":
            out.append(json.dumps(string_at(text, found[0]), ensure_ascii=False) + ":")
        span = found[1]


def _kept(text: str, start: int) -> Iterator[tuple[Span, Span]]:
    return (pair for pair in members(text, start) if text[pair[1][0]] != "n")
