"""jsonb's operators that look: ``-> ->> #> #>> ? ?| ?& @>`` and the functions that list parts (manual, 9.16)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from aurora.datum import Datum, Row
from aurora.errors import InvalidParameterValue
from aurora.kernels import jsonb as kernel
from aurora.kernels.python.jsonb import SHORT_BYTES
from compute_node.hub import HUB
from compute_node.types.array_value import flatten
from compute_node.types.json import layout
from compute_node.types.json.bounds import stack_depth_exceeded
from compute_node.types.json.layout import ARRAY, NULL, NUMBER, OBJECT, STRING
from compute_node.types.json.value import PART_BYTES, Jsonb, scalar_text, text
from compute_node.types.long_text import STEPS, paced

NESTED_MAX: Final = 5000
"""Levels that recursive functions go down; 54001 below."""
sys.setrecursionlimit(max(sys.getrecursionlimit(), 3 * NESTED_MAX))
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)", re.ASCII)


def text_of(data: bytes) -> str | None:
    """What ``->>`` gives of a value: a string's content, NULL of null, JSON of all else."""
    kind = data[0]
    if kind == STRING:
        return data[1:].decode()
    return None if kind == NULL else text(data)


def path_integer(word: str) -> int | None:
    """A path's step as an array's subscript, as strtoint reads it; None when it is no int4."""
    found = _INTEGER.fullmatch(word)
    if found is None or len(found[1]) > 12:
        return None
    number = int(found[1])
    return number if -(1 << 31) <= number < 1 << 31 else None


def field(value: Jsonb, name: str) -> Jsonb | None:
    """``object -> name``."""
    found = kernel.field(value.data, name)
    return None if found is None else Jsonb(found)


def field_text(value: Jsonb, name: str) -> str | None:
    """``object ->> name``."""
    found = kernel.field(value.data, name)
    return None if found is None else text_of(found)


def element(value: Jsonb, index: int) -> Jsonb | None:
    """``array -> index``; negative ones count from the end."""
    found = kernel.element(value.data, index)
    return None if found is None else Jsonb(found)


def element_text(value: Jsonb, index: int) -> str | None:
    """``array ->> index``."""
    found = kernel.element(value.data, index)
    return None if found is None else text_of(found)


def step_into(data: bytes, word: str) -> bytes | None:
    """One step of a path."""
    if data[0] == OBJECT:
        return kernel.field(data, word)
    if data[0] != ARRAY:
        return None
    index = path_integer(word)
    return None if index is None else kernel.element(data, index)


def _follow(data: bytes, path: list[Datum]) -> bytes | None:
    words = list(flatten(path)) if path and isinstance(path[0], list) else path
    if None in words:
        return None
    found: bytes | None = data
    for word in words:
        if found is None:
            return None
        found = step_into(found, word)
    return found


def extract_path(value: Jsonb, path: list[Datum]) -> Jsonb | None:
    """``value #> path``."""
    found = _follow(value.data, path)
    return None if found is None else Jsonb(found)


def extract_path_text(value: Jsonb, path: list[Datum]) -> str | None:
    """``value #>> path``."""
    found = _follow(value.data, path)
    return None if found is None else text_of(found)


def subscripted(value: Jsonb | None, steps: Row) -> Jsonb | None:
    """``value[step]…``: steps are texts and integers; NULL where one is NULL or leads nowhere."""
    if value is None or None in steps:
        return None
    return extract_path(value, [step if isinstance(step, str) else str(step) for step in steps])


# keys


def exists(value: Jsonb, name: str) -> bool:
    """``value ? name``: a key of an object, or a string that is an array's element or the value itself."""
    data = value.data
    if len(data) <= SHORT_BYTES or data[0] != ARRAY:
        return kernel.exists(data, name)
    return b"\1" + name.encode() in _elements(data)


def _elements(data: bytes) -> Iterator[bytes]:
    return layout.elements(data) if layout.count_of(data) <= STEPS else paced(layout.elements(data))


def exists_any(value: Jsonb, names: list[Datum]) -> bool:
    """``value ?| names``."""
    return any(name is not None and exists(value, name) for name in flatten(names))


def exists_all(value: Jsonb, names: list[Datum]) -> bool:
    """``value ?& names``."""
    return all(name is None or exists(value, name) for name in flatten(names))


# containment


def contains(value: Jsonb, part: Jsonb) -> bool:
    """``value @> part``."""
    whole = value.data
    short = len(whole) <= SHORT_BYTES and len(part.data) <= PART_BYTES
    found = kernel.contains(whole, part.data) if short else None
    return contains_long(whole, part.data) if found is None else found


def contains_long(whole: bytes, part: bytes) -> bool:
    """The same, of long values: others run in between."""
    if (whole[0] == OBJECT) != (part[0] == OBJECT):
        return False
    if whole[0] < ARRAY:
        return part[0] < ARRAY and kernel.same_scalar(whole, part)
    if part[0] < ARRAY:  # an array contains a scalar that is an element, at the top only
        return _has_scalar(whole, part)
    return _contains(whole, part, 0)


def _has_scalar(array: bytes, part: bytes) -> bool:
    if part[0] != NUMBER:
        return part in _elements(array)
    return any(kernel.same_scalar(each, part) for each in _elements(array))


def _contains(whole: bytes, part: bytes, depth: int) -> bool:
    """Both are containers."""
    if whole[0] != part[0]:
        return False
    if len(whole) <= PART_BYTES and len(part) <= PART_BYTES:
        short = kernel.contains(whole, part)
        if short is not None:
            return short
    if depth > NESTED_MAX:
        raise stack_depth_exceeded()
    if part[0] == OBJECT:
        if layout.count_of(part) > layout.count_of(whole):
            return False
        for key, wanted in paced(layout.pairs(part)):
            found = layout.value_of(whole, key)
            if found is None:
                return False
            if wanted[0] < ARRAY:
                if not kernel.same_scalar(found, wanted):
                    return False
            elif found[0] < ARRAY or not _contains(found, wanted, depth + 1):
                return False
        return True
    containers: list[bytes] | None = None
    for wanted in paced(layout.elements(part)):
        if wanted[0] < ARRAY:
            if not _has_scalar(whole, wanted):
                return False
            continue
        if containers is None:
            containers = [each for each in _elements(whole) if each[0] >= ARRAY]
        for each in paced(containers):
            if _contains(each, wanted, depth + 1):
                break
        else:
            return False
    return True


# lists of parts


def array_length(value: Jsonb) -> int:
    """jsonb_array_length; 22023 of what is no array."""
    if value.data[0] != ARRAY:
        what = "a non-array" if value.data[0] == OBJECT else "a scalar"
        raise InvalidParameterValue(f"cannot get array length of {what}")
    return layout.count_of(value.data)


def object_keys(value: Jsonb) -> list[str]:
    """jsonb_object_keys; 22023 of what is no object."""
    if value.data[0] != OBJECT:
        what = "an array" if value.data[0] == ARRAY else "a scalar"
        raise InvalidParameterValue(f"cannot call jsonb_object_keys on {what}")
    if len(value.data) <= PART_BYTES:
        return [key.decode() for key, _ in kernel.members(value.data)]
    return [key.decode() for key in paced(layout.keys(value.data))]


def _pairs(value: Jsonb, name: str) -> Iterable[tuple[bytes, bytes]]:
    if value.data[0] != OBJECT:
        raise InvalidParameterValue(f"cannot call {name} on a non-object")
    if len(value.data) <= PART_BYTES:
        return kernel.members(value.data)
    return paced(layout.pairs(value.data))


def each(value: Jsonb) -> Iterator[tuple[str, Jsonb]]:
    """jsonb_each; 22023 of what is no object."""
    return ((key.decode(), Jsonb(data)) for key, data in _pairs(value, "jsonb_each"))


def each_text(value: Jsonb) -> Iterator[tuple[str, str | None]]:
    """jsonb_each_text; 22023 of what is no object."""
    return ((key.decode(), text_of(data)) for key, data in _pairs(value, "jsonb_each_text"))


def _array_elements(value: Jsonb) -> Iterable[bytes]:
    if value.data[0] != ARRAY:
        what = "an object" if value.data[0] == OBJECT else "a scalar"
        raise InvalidParameterValue(f"cannot extract elements from {what}")
    if len(value.data) <= PART_BYTES:
        return kernel.parts(value.data)
    return paced(layout.elements(value.data))


def array_elements(value: Jsonb) -> Iterator[Jsonb]:
    """jsonb_array_elements; 22023 of what is no array."""
    return map(Jsonb, _array_elements(value))


def array_elements_text(value: Jsonb) -> Iterator[str | None]:
    """jsonb_array_elements_text; 22023 of what is no array."""
    return map(text_of, _array_elements(value))


def pretty(value: Jsonb) -> str:
    """jsonb_pretty: a line for each key and element, four blanks a level."""
    if value.data[0] < ARRAY:
        return scalar_text(value.data)
    out: list[str] = []
    left: list[tuple[Iterator[tuple[bytes, bytes]], str]] = []
    current: bytes | None = value.data
    steps, first = 0, False
    while True:
        if current is not None:
            kind = current[0]
            first = kind >= ARRAY
            if kind < ARRAY:
                out.append(scalar_text(current))
            elif kind == ARRAY:
                out.append("[")
                left.append((((b"", each) for each in layout.elements(current)), "]"))
            else:
                out.append("{")
                left.append((layout.pairs(current), "}"))
        if not left:
            return "".join(out)
        inside, end = left[-1]
        found = next(inside, None)
        if found is None:
            left.pop()
            out.append("\n" + "    " * len(left) + end)
            current, first = None, False
        else:
            out.append(("\n" if first else ",\n") + "    " * len(left))
            if end == "}":
                out.append(scalar_text(b"\1" + found[0]) + ": ")
            current = found[1]
        steps += 1
        if not steps % STEPS:
            HUB.pulse()
