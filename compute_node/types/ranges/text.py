"""Text forms of ranges and multiranges, with PostgreSQL's words for what is wrong with one (manual, 8.17.5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto

from aurora.errors import InvalidTextRepresentation, SqlError
from compute_node.hub import HUB
from compute_node.types.common import WHITESPACE
from compute_node.types.ranges.value import (
    EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    NOTHING,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Multirange,
    Range,
    make_multirange,
    make_range,
    steps,
)
from compute_node.types.registry import RangeForm, TypeEnv

PULSE_SIGNS = 1 << 14
_EMPTY = "empty"
_ENDS = ",)]"
_PLAIN = re.compile(r'[^\\",)\]]{1,65536}')
_PLAIN_QUOTED = re.compile(r'[^\\"]{1,65536}')
_PLAIN_RANGE = re.compile(r'[\[(][^\\"\])]{0,200}[\])]')
_QUOTED = frozenset('"\\()[],' + WHITESPACE)


def _malformed(text: str, detail: str) -> SqlError:
    return InvalidTextRepresentation(f'malformed range literal: "{text}"', detail=detail)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in WHITESPACE:
        at += 1
    return at


def _bound(text: str, at: int) -> tuple[str | None, int]:
    """A bound's text (None: there is none) and where it ends."""
    if text[at : at + 1] and text[at] in _ENDS:
        return None, at
    out: list[str] = []
    quoted = False
    while True:
        HUB.pulse()
        plain = (_PLAIN_QUOTED if quoted else _PLAIN).match(text, at)
        if plain is not None:
            out.append(plain[0])
            at = plain.end()
        sign = text[at : at + 1]
        if sign and sign in _ENDS and not quoted:
            return "".join(out), at
        at += 1
        if sign == "\\":
            sign = text[at : at + 1]
            at += 1
            out.append(sign)
        elif sign == '"':
            if quoted and text[at : at + 1] == '"':
                out.append(sign)
                at += 1
            else:
                quoted = not quoted
        elif sign:
            out.append(sign)
        if not sign:
            raise _malformed(text, "Unexpected end of input.")


def _bounds(text: str) -> tuple[str | None, str | None, int]:
    """The bounds' texts and the flags of a range's text."""
    at = _skip(text, 0)
    if text[at : at + len(_EMPTY)].lower() == _EMPTY:
        if _skip(text, at + len(_EMPTY)) < len(text):
            raise _malformed(text, 'Junk after "empty" key word.')
        return None, None, EMPTY
    opening = text[at : at + 1]
    if not opening or opening not in "[(":
        raise _malformed(text, "Missing left parenthesis or bracket.")
    flags = LOWER_INCLUSIVE if opening == "[" else 0
    lower, at = _bound(text, at + 1)
    if text[at] != ",":
        raise _malformed(text, "Missing comma after lower bound.")
    upper, at = _bound(text, at + 1)
    if text[at] == ",":
        raise _malformed(text, "Too many commas.")
    flags |= UPPER_INCLUSIVE if text[at] == "]" else 0
    if _skip(text, at + 1) < len(text):
        raise _malformed(text, "Junk after right parenthesis or bracket.")
    return lower, upper, flags | (LOWER_INFINITE if lower is None else 0) | (UPPER_INFINITE if upper is None else 0)


def range_input(form: RangeForm) -> Callable[[str, int, TypeEnv], Range]:
    """Text input of ranges."""
    read_bound = form.subtype.input

    def read(text: str, typmod: int, env: TypeEnv) -> Range:
        lower, upper, flags = _bounds(text)
        if flags & EMPTY:
            return NOTHING
        low = None if lower is None else read_bound(lower, typmod, env)
        high = None if upper is None else read_bound(upper, typmod, env)
        return make_range(form, low, high, flags)

    return read


def _quoted(text: str) -> str:
    if text and _QUOTED.isdisjoint(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'


def range_output(form: RangeForm) -> Callable[[Range, TypeEnv], str]:
    """Text output of ranges."""
    write_bound = form.subtype.output

    def write(value: Range, env: TypeEnv) -> str:
        flags = value.flags
        if flags & EMPTY:
            return _EMPTY
        lower = "" if flags & LOWER_INFINITE else _quoted(write_bound(value.lower, env))
        upper = "" if flags & UPPER_INFINITE else _quoted(write_bound(value.upper, env))
        return f"{'[' if flags & LOWER_INCLUSIVE else '('}{lower},{upper}{']' if flags & UPPER_INCLUSIVE else ')'}"

    return write


class _State(Enum):
    BEFORE = auto()
    IN_RANGE = auto()
    ESCAPED = auto()
    QUOTED = auto()
    QUOTED_ESCAPED = auto()
    AFTER = auto()


def _range_texts(text: str) -> list[str]:
    """The texts of a multirange's ranges, of those that are not empty by name."""

    def fail(detail: str) -> SqlError:
        return InvalidTextRepresentation(f'malformed multirange literal: "{text}"', detail=detail)

    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise fail("Missing left brace.")
    found: list[str] = []
    start = seen = 0
    state = _State.BEFORE
    pulse_at = PULSE_SIGNS
    while True:
        at += 1
        if at >= pulse_at:
            HUB.pulse()
            pulse_at = at + PULSE_SIGNS
        sign = text[at : at + 1]
        if not sign:
            raise fail("Unexpected end of input.")
        if sign in WHITESPACE:
            continue
        if state is _State.BEFORE:
            if sign in "[(":
                start, state = at, _State.IN_RANGE
                plain = _PLAIN_RANGE.match(text, at)
                if plain is not None:
                    found.append(plain[0])
                    at = plain.end() - 1
                    seen, state = seen + 1, _State.AFTER
            elif sign == "}" and not seen:
                break
            elif text[at : at + len(_EMPTY)].lower() == _EMPTY:
                at += len(_EMPTY) - 1
                seen, state = seen + 1, _State.AFTER
            else:
                raise fail("Expected range start.")
        elif state is _State.IN_RANGE:
            if sign in "])":
                found.append(text[start : at + 1])
                seen, state = seen + 1, _State.AFTER
            elif sign == '"':
                state = _State.QUOTED
            elif sign == "\\":
                state = _State.ESCAPED
        elif state is _State.ESCAPED:
            state = _State.IN_RANGE
        elif state is _State.QUOTED:
            if sign == '"':
                if text[at + 1 : at + 2] == '"':
                    at += 1
                else:
                    state = _State.IN_RANGE
            elif sign == "\\":
                state = _State.QUOTED_ESCAPED
        elif state is _State.QUOTED_ESCAPED:
            state = _State.QUOTED
        elif sign == ",":
            state = _State.BEFORE
        elif sign == "}":
            break
        else:
            raise fail("Expected comma or end of multirange.")
    if _skip(text, at + 1) < len(text):
        raise fail("Junk after closing right brace.")
    return found


def multirange_input(form: RangeForm) -> Callable[[str, int, TypeEnv], Multirange]:
    """Text input of multiranges."""
    read = range_input(form)
    return lambda text, typmod, env: make_multirange(form, (read(each, typmod, env) for each in _range_texts(text)))


def multirange_output(form: RangeForm) -> Callable[[Multirange, TypeEnv], str]:
    """Text output of multiranges."""
    write = range_output(form)
    return lambda value, env: "{" + ",".join([write(each, env) for each in steps(value.ranges)]) + "}"
