"""jsonb's operators and functions that make a changed copy: ``|| - #-``, jsonb_set, jsonb_insert, jsonb_strip_nulls
(manual, 9.16), and assignment to subscripts (8.14.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aurora.datum import Datum
from aurora.errors import ArraySubscriptError, InvalidParameterValue, InvalidTextRepresentation, NullValueNotAllowed
from aurora.kernels import jsonb as kernel
from compute_node.types.array_value import dimensions, flatten
from compute_node.types.json import layout
from compute_node.types.json.access import NESTED_MAX, path_integer
from compute_node.types.json.bounds import stack_depth_exceeded
from compute_node.types.json.layout import ARRAY, NULL, OBJECT
from compute_node.types.json.value import Jsonb
from compute_node.types.long_text import paced

_SHORT_BYTES: Final = 1 << 14
_INT_MIN: Final = -(1 << 31)


_CREATE: Final = 1
"""What happens at the end of a path, as bits."""
_DELETE: Final = 2
_REPLACE: Final = 4
_BEFORE: Final = 8
"""insert before the element, or as a new key"""
_AFTER: Final = 16
_FILL_GAPS: Final = 32
"""missing levels are made, and missing elements are null"""
_CONSISTENT: Final = 64
"""an element before the first is an error"""
_INSERT: Final = _BEFORE | _AFTER
_ADDS: Final = _INSERT | _CREATE
_REPLACES: Final = _CREATE | _REPLACE
_ASSIGN: Final = _CREATE | _FILL_GAPS | _CONSISTENT
"""what assignment to a subscript does"""


def concat(a: Jsonb, b: Jsonb) -> Jsonb:
    """``a || b``: keys of both objects, or elements of both arrays; what is no array counts as an array of itself."""
    one, two = a.data, b.data
    if one[0] == OBJECT == two[0]:
        if not layout.count_of(one) or not layout.count_of(two):
            return a if layout.count_of(one) else b
        if len(one) + len(two) <= _SHORT_BYTES:
            merged = dict(kernel.members(one))
            merged.update(kernel.members(two))
        else:
            merged = dict(paced(layout.pairs(one)))
            merged.update(paced(layout.pairs(two)))
        return Jsonb(layout.object_of(merged))
    parts = [*_as_elements(one), *_as_elements(two)]
    return Jsonb(layout.array_of(parts))


def _as_elements(data: bytes) -> list[bytes]:
    return list(paced(layout.elements(data))) if data[0] == ARRAY else [data]


def delete_key(value: Jsonb, name: str) -> Jsonb:
    """``value - name``: without that key, or without the elements that are that string."""
    return delete_keys(value, [name])


def delete_keys(value: Jsonb, names: list[Datum]) -> Jsonb:
    """``value - names``."""
    if len(dimensions(names)) > 1:
        raise ArraySubscriptError("wrong number of array subscripts")
    data = value.data
    if data[0] < ARRAY:
        raise InvalidParameterValue("cannot delete from scalar")
    wanted = {name.encode() for name in names if name is not None}
    if not wanted or not layout.count_of(data):
        return value
    if data[0] == ARRAY:
        return Jsonb(
            layout.array_of([each for each in paced(layout.elements(data)) if each[0] != 1 or each[1:] not in wanted])
        )
    kept = [pair for pair in paced(layout.pairs(data)) if pair[0] not in wanted]
    return Jsonb(layout.sorted_object([key for key, _ in kept], [each for _, each in kept]) if kept else _NO_KEYS)


_NO_KEYS: Final = layout.EMPTY_OBJECT


def delete_element(value: Jsonb, index: int) -> Jsonb:
    """``array - index``."""
    data = value.data
    if data[0] < ARRAY:
        raise InvalidParameterValue("cannot delete from scalar")
    if data[0] == OBJECT:
        raise InvalidParameterValue("cannot delete from object using integer index")
    count = layout.count_of(data)
    at = index + count if index < 0 else index
    if not 0 <= at < count:
        return value
    parts = list(paced(layout.elements(data)))
    del parts[at]
    return Jsonb(layout.array_of(parts))


def strip_nulls(value: Jsonb) -> Jsonb:
    """Without the keys whose value is null, at every level."""
    return Jsonb(_stripped(value.data, 0))


def _stripped(data: bytes, depth: int) -> bytes:
    if data[0] < ARRAY:
        return data
    if depth > NESTED_MAX:
        raise stack_depth_exceeded()
    values = []
    if data[0] == ARRAY:
        for each in paced(layout.elements(data)):
            values.append(_stripped(each, depth + 1))
        return layout.array_of(values)
    keys = []
    for key, each in paced(layout.pairs(data)):
        if each[0] != NULL:
            keys.append(key)
            values.append(_stripped(each, depth + 1))
    return layout.sorted_object(keys, values) if keys else layout.EMPTY_OBJECT


# paths


def _steps(path: list[Datum]) -> list[Datum]:
    if len(dimensions(path)) > 1:
        raise ArraySubscriptError("wrong number of array subscripts")
    return list(flatten(path))


def delete_path(value: Jsonb, path: list[Datum]) -> Jsonb:
    """``value #- path``."""
    steps = _steps(path)
    if value.data[0] < ARRAY:
        raise InvalidParameterValue("cannot delete path in scalar")
    if not steps or not layout.count_of(value.data):
        return value
    return Jsonb(_Path(steps, layout.NULL_VALUE, _DELETE).apply(value.data))


def set_path(value: Jsonb, path: list[Datum], new: Jsonb, create: bool = True) -> Jsonb:
    """jsonb_set."""
    steps = _steps(path)
    if value.data[0] < ARRAY:
        raise InvalidParameterValue("cannot set path in scalar")
    if not steps or (not create and not layout.count_of(value.data)):
        return value
    return Jsonb(_Path(steps, new.data, _CREATE if create else _REPLACE).apply(value.data))


def insert_path(value: Jsonb, path: list[Datum], new: Jsonb, after: bool = False) -> Jsonb:
    """jsonb_insert."""
    steps = _steps(path)
    if value.data[0] < ARRAY:
        raise InvalidParameterValue("cannot set path in scalar")
    if not steps:
        return value
    return Jsonb(_Path(steps, new.data, _AFTER if after else _BEFORE).apply(value.data))


_TREATMENTS: Final = 'must be "delete_key", "return_target", "use_json_null", or "raise_exception"'


def set_path_lax(
    value: Jsonb | None, path: list[Datum] | None, new: Jsonb | None, create: bool | None, treatment: str | None
) -> Jsonb | None:
    """jsonb_set_lax: as jsonb_set, and what a NULL value means is told."""
    if value is None or path is None or create is None:
        return None
    if treatment is None:
        raise InvalidParameterValue(f"null_value_treatment {_TREATMENTS}")
    if new is not None:
        return set_path(value, path, new, create)
    if treatment == "raise_exception":
        raise NullValueNotAllowed(
            "JSON value must not be null",
            detail='Exception was raised because null_value_treatment is "raise_exception".',
            hint="To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.",
        )
    if treatment == "use_json_null":
        return set_path(value, path, Jsonb(layout.NULL_VALUE), create)
    if treatment == "delete_key":
        return delete_path(value, path)
    if treatment == "return_target":
        return value
    raise InvalidParameterValue(f"null_value_treatment {_TREATMENTS}")


def store_subscripted(value: Jsonb | None, steps: Sequence[Datum], new: Jsonb | None) -> Jsonb:
    """``value[step]… = new``, by assignment: a NULL becomes an array where the first step is an integer, else an
    object."""
    if None in steps:
        raise NullValueNotAllowed("jsonb subscript in assignment must not be null")
    if value is None:
        data = layout.EMPTY_OBJECT if isinstance(steps[0], str) else layout.EMPTY_ARRAY
    else:
        data = value.data
    path = [step if isinstance(step, str) else str(step) for step in steps]
    return Jsonb(_Path(path, layout.NULL_VALUE if new is None else new.data, _ASSIGN).apply(data))


class _Path:
    """A change at the end of a path; the steps before it are copied. PostgreSQL's setPath, level by level."""

    def __init__(self, steps: Sequence[Datum], new: bytes, change: int) -> None:
        self.steps, self.new = steps, new
        self.change = change
        self.last = len(steps) - 1
        self.fills = bool(change & _FILL_GAPS)

    def apply(self, data: bytes, level: int = 0) -> bytes:
        if self.steps[level] is None:
            raise NullValueNotAllowed(f"path element at position {level + 1} is null")
        if level > NESTED_MAX:
            raise stack_depth_exceeded()
        if data[0] == OBJECT:
            return self._object(data, level)
        if data[0] == ARRAY:
            return self._array(data, level)
        if self.fills:
            raise InvalidParameterValue(
                "cannot replace existing key",
                detail="The path assumes key is a composite object, but it is a scalar value.",
            )
        return data

    def _object(self, data: bytes, level: int) -> bytes:
        name = self.steps[level].encode()
        at = layout.find_key(data, name)
        if at < 0:
            if level == self.last and self.change & _ADDS:
                new = self.new
            elif level < self.last and self.fills:
                new = self._chain(level + 1)
            else:
                return data
            pairs = dict(paced(layout.pairs(data)))
            pairs[name] = new
            return layout.object_of(pairs)
        if level < self.last:
            return layout.replaced(data, at, self.apply(layout.value_at(data, at), level + 1))
        if self.change & _INSERT:
            raise InvalidParameterValue(
                "cannot replace existing key", hint="Try using the function jsonb_set to replace key value."
            )
        if not self.change & _DELETE:
            return layout.replaced(data, at, self.new)
        kept = dict(paced(layout.pairs(data)))
        del kept[name]
        return layout.object_of(kept)

    def _index(self, count: int, level: int) -> int:
        word = self.steps[level]
        index = path_integer(word)
        if index is None:
            raise InvalidTextRepresentation(f'path element at position {level + 1} is not an integer: "{word}"')
        if index < 0:
            if -index <= count:
                return index + count
            if self.change & _CONSISTENT:
                raise InvalidParameterValue(f"path element at position {level + 1} is out of range: {index}")
            return _INT_MIN
        return index if self.fills else min(index, count)

    def _array(self, data: bytes, level: int) -> bytes:
        count = layout.count_of(data)
        index = self._index(count, level)
        inside = 0 <= index < count
        if level < self.last:
            if inside:
                old = layout.element_at(data, index) or layout.NULL_VALUE
                return layout.replaced(data, index, self.apply(old, level + 1))
            if not self.fills:
                return data
            parts = [*paced(layout.elements(data)), *[layout.NULL_VALUE] * (index - count), self._chain(level + 1)]
            return layout.array_of(parts)
        if inside and self.change & _REPLACES:
            return layout.replaced(data, index, self.new)
        parts = list(paced(layout.elements(data)))
        if inside:
            if self.change & _BEFORE:
                parts.insert(index, self.new)
            elif self.change & _AFTER:
                parts.insert(index + 1, self.new)
            else:
                del parts[index]
        elif self.change & _ADDS:
            if index == _INT_MIN:
                parts.insert(0, self.new)
            else:
                if self.fills:
                    parts += [layout.NULL_VALUE] * (index - count)
                parts.append(self.new)
        return layout.array_of(parts)

    def _chain(self, level: int) -> bytes:
        """The new value under the containers that the steps from ``level`` on ask for."""
        value = self.new
        for word in reversed(self.steps[level:]):
            index = path_integer(word)
            if index is None:
                value = layout.object_of({word.encode(): value})
            else:
                value = layout.array_of([layout.NULL_VALUE] * index + [value])
        return value
