"""Array functions and operators (manual, 9.19), and string_to_array / array_to_string (9.4)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from aurora.datum import Datum
from aurora.errors import (
    ArraySubscriptError,
    DataException,
    NotSupported,
    NullValueNotAllowed,
    ProgramLimitExceeded,
)
from compute_node.types.array import array_order
from compute_node.types.array_value import (
    DIMENSIONS_MAX,
    ELEMENTS_MAX,
    INDEX_MAX,
    Array,
    BoundedArray,
    bounded,
    dimensions,
    flatten,
    lower_bound,
    lower_bounds,
    map_elements,
    nest,
    too_many_dimensions,
)
from compute_node.types.declare import fn, fns, specialized
from compute_node.types.long_text import STEPS, joined, paced, split
from compute_node.types.record import EQUALITY, ORDER, Lacking
from compute_node.types.registry import REGISTRY, FunctionContext, PgType, Specialize

Types = tuple[PgType, ...]


def _order(array: PgType) -> Callable[[Array], Any]:
    element = array.element_type
    return array_order(element if element is not None else REGISTRY.types_by_name["text"])


def _refusal(array: PgType, lacking: Lacking) -> Callable[..., Any] | None:
    """What raises 42883 in place of a comparison, where the elements have none."""
    element = array.element_type
    if element is None or not lacking.concerns(element):
        return None

    def refuse(*values: Datum) -> Datum:
        raise lacking.error(element)

    return refuse


def _bounds_of(value: Array) -> tuple[Any, Any]:
    return dimensions(value), lower_bounds(value)


def _compare(lacking: Lacking, test: Callable[[Datum, Datum], Datum]) -> Specialize:
    def specialize(types: Types, result: PgType) -> Callable[..., Datum]:
        refuse = _refusal(types[0], lacking)
        if refuse is not None:
            # Arrays of another shape are unequal whatever their elements are.
            return (
                refuse if lacking is ORDER else lambda a, b: refuse() if _bounds_of(a) == _bounds_of(b) else test(0, 1)
            )
        order = _order(types[0])
        element = types[0].element_type
        if element is None or element.sort_value is not None:
            return lambda a, b: test(order(a), order(b))

        def compare(a: Array, b: Array) -> Datum:
            return test(a, b) if _is_plain(a) and _is_plain(b) else test(order(a), order(b))

        return compare

    return specialize


_FEW = 256


def _is_plain(value: Array) -> bool:
    """Whether it has one dimension from 1 on, no NULL, and few elements: then it compares as the list does."""
    return type(value) is list and 0 < len(value) <= _FEW and type(value[0]) is not list and None not in value


specialized(744, "array_eq(anyarray, anyarray) bool", _compare(EQUALITY, lambda a, b: a == b))
specialized(390, "array_ne(anyarray, anyarray) bool", _compare(EQUALITY, lambda a, b: a != b))
specialized(391, "array_lt(anyarray, anyarray) bool", _compare(ORDER, lambda a, b: a < b))
specialized(393, "array_le(anyarray, anyarray) bool", _compare(ORDER, lambda a, b: a <= b))
specialized(392, "array_gt(anyarray, anyarray) bool", _compare(ORDER, lambda a, b: a > b))
specialized(396, "array_ge(anyarray, anyarray) bool", _compare(ORDER, lambda a, b: a >= b))
specialized(382, "btarraycmp(anyarray, anyarray) int4", _compare(ORDER, lambda a, b: (a > b) - (a < b)))


def _keys(array: PgType) -> Callable[[Array], list[Datum]]:
    element = array.element_type
    key = element.sort_value if element is not None else None
    return lambda value: [each if each is None or key is None else key(each) for each in flatten(value)]


def _contains(types: Types, result: PgType) -> Callable[..., bool]:
    refuse = _refusal(types[0], EQUALITY)
    if refuse is not None:
        return refuse
    keys = _keys(types[0])
    element = types[0].element_type
    plain = element is not None and element.sort_value is None

    def contains(whole: Array, part: Array) -> bool:
        if plain and _is_plain(whole) and _is_plain(part):
            return not [each for each in part if each not in whole]
        have = [each for each in keys(whole) if each is not None]
        return all(each is not None and each in have for each in keys(part))

    return contains


def _contained(types: Types, result: PgType) -> Callable[..., bool]:
    contains = _contains(types, result)
    return lambda part, whole: contains(whole, part)


def _overlap(types: Types, result: PgType) -> Callable[..., bool]:
    refuse = _refusal(types[0], EQUALITY)
    if refuse is not None:
        return refuse
    keys = _keys(types[0])
    element = types[0].element_type
    plain = element is not None and element.sort_value is None

    def overlap(a: Array, b: Array) -> bool:
        if plain and _is_plain(a) and _is_plain(b):
            return bool([each for each in a if each in b])
        have = keys(b)
        return any(each is not None and each in have for each in keys(a))

    return overlap


specialized(2748, "arraycontains(anyarray, anyarray) bool", _contains)
specialized(2749, "arraycontained(anyarray, anyarray) bool", _contained)
specialized(2747, "arrayoverlap(anyarray, anyarray) bool", _overlap)


def _base(array: PgType) -> int:
    """The lower bound of a plain list: oidvector and int2vector start at 0, every other array at 1."""
    return 0 if array.name in ("oidvector", "int2vector") else 1


def _shape(array: PgType) -> Callable[[Array], tuple[int, ...]]:
    """Lengths of the dimensions; a vector has one, though it be empty."""
    return (lambda value: tuple(dimensions(value))) if _base(array) else (lambda value: (len(value),))


def _specialized_length(types: Types, result: PgType) -> Callable[..., int | None]:
    shape = _shape(types[0])

    def length(value: Array, dimension: int) -> int | None:
        if dimension == 1 and value:
            return len(value)
        lengths = shape(value)
        return lengths[dimension - 1] if 1 <= dimension <= len(lengths) else None

    return length


def _specialized_ndims(types: Types, result: PgType) -> Callable[..., int | None]:
    shape = _shape(types[0])
    return lambda value: len(shape(value)) or None


specialized(2176, "array_length(anyarray, int4) int4", _specialized_length)


def _bounds(array: PgType) -> Callable[[Array], tuple[int, ...]]:
    """Lower bounds of the dimensions."""
    base, shape = _base(array), _shape(array)
    return lambda value: value.bounds if isinstance(value, BoundedArray) else (base,) * len(shape(value))


def _specialized_lower(types: Types, result: PgType) -> Callable[..., int | None]:
    bounds = _bounds(types[0])

    def lower(value: Array, dimension: int) -> int | None:
        found = bounds(value)
        return found[dimension - 1] if 1 <= dimension <= len(found) else None

    return lower


def _specialized_upper(types: Types, result: PgType) -> Callable[..., int | None]:
    lower, length = _specialized_lower(types, result), _specialized_length(types, result)

    def upper(value: Array, dimension: int) -> int | None:
        low, found = lower(value, dimension), length(value, dimension)
        return None if low is None or found is None else low + found - 1

    return upper


def _specialized_dims(types: Types, result: PgType) -> Callable[..., str | None]:
    bounds, shape = _bounds(types[0]), _shape(types[0])

    def dims(value: Array) -> str | None:
        pairs = zip(bounds(value), shape(value), strict=True)
        return "".join(f"[{low}:{low + length - 1}]" for low, length in pairs) or None

    return dims


specialized(2091, "array_lower(anyarray, int4) int4", _specialized_lower)
specialized(2092, "array_upper(anyarray, int4) int4", _specialized_upper)


def _cardinality(value: Array) -> int:
    if not value or type(value[0]) is not list:
        return len(value)
    return sum(1 for _each in flatten(value))


fn(3179, "cardinality(anyarray) int4", _cardinality)
specialized(748, "array_ndims(anyarray) int4", _specialized_ndims)
specialized(747, "array_dims(anyarray) text", _specialized_dims)


def _one_dimensional(value: Array | None) -> Array:
    if value and isinstance(value[0], list):
        raise DataException("argument must be empty or one-dimensional array")
    return value or []


def array_append(value: Array | None, element: Datum) -> Array:
    """array || element."""
    if type(value) is list and value and type(value[0]) is not list:
        return [*value, element]
    old = _one_dimensional(value)
    return bounded([*old, element], lower_bounds(old) or (1,))


def array_prepend(element: Datum, value: Array | None) -> Array:
    """element || array; the lower bound stays."""
    old = _one_dimensional(value)
    return bounded([element, *old], lower_bounds(old) or (1,))


def array_cat(a: Array | None, b: Array | None) -> Array | None:
    """array || array: of like dimensions, or one the element of the other."""
    if not a or not b:
        return b if not a and b is not None else a
    depth_a, depth_b = dimensions(a), dimensions(b)
    low_a, low_b = lower_bounds(a), lower_bounds(b)
    differing = "dimensions"
    if len(depth_a) == len(depth_b):
        if (depth_a[1:], low_a[1:]) == (depth_b[1:], low_b[1:]):
            return bounded([*a, *b], low_a)
        differing = "element dimensions"
    elif len(depth_a) == len(depth_b) + 1:
        if (depth_a[1:], low_a[1:]) == (depth_b, low_b):
            return bounded([*a, list(b)], low_a)
    elif len(depth_b) == len(depth_a) + 1:
        if (depth_b[1:], low_b[1:]) == (depth_a, low_a):
            return bounded([list(a), *b], low_b)
    else:
        raise ArraySubscriptError(
            "cannot concatenate incompatible arrays",
            detail=f"Arrays of {len(depth_a)} and {len(depth_b)} dimensions are not compatible for concatenation.",
        )
    raise ArraySubscriptError(
        "cannot concatenate incompatible arrays",
        detail=f"Arrays with differing {differing} are not compatible for concatenation.",
    )


fn(378, "array_append(anycompatiblearray, anycompatible) anycompatiblearray nullable", array_append)
fn(379, "array_prepend(anycompatible, anycompatiblearray) anycompatiblearray nullable", array_prepend)
fn(383, "array_cat(anycompatiblearray, anycompatiblearray) anycompatiblearray nullable", array_cat)


def _key(array: PgType) -> Callable[[Datum], Datum] | None:
    """What of an element compares as its type does; NULL is equal to itself alone. None: the element itself."""
    element = array.element_type
    key = element.sort_value if element is not None else None
    return _refusal(array, EQUALITY) or (None if key is None else lambda each: None if each is None else key(each))


def _cannot_hold(value: Array, element: Datum) -> bool:
    """Whether there is nothing to look for: in an empty array, or for NULL where none is."""
    if value and isinstance(value[0], list):
        raise NotSupported("searching for elements in multidimensional arrays is not supported")
    return not value or (element is None and None not in value)


def _equal_places(value: Array, element: Datum, key: Callable[[Datum], Datum] | None, first: int) -> Iterator[int]:
    """Where in the list, from ``first`` on, an element is equal to another."""
    wanted = element if key is None else key(element)
    rest = value if not first else islice(value, first, None)
    for at, each in enumerate(rest if len(value) <= STEPS else paced(rest), first):
        if (each if key is None else key(each)) == wanted:
            yield at


def _position(types: Types, result: PgType) -> Callable[..., int | None]:
    key = _key(types[0])

    def position(value: Array | None, element: Datum, start: int | None = -INDEX_MAX) -> int | None:
        if value is None:
            return None
        if _cannot_hold(value, element):
            return None
        if start is None:
            raise NullValueNotAllowed("initial position must not be null")
        low = lower_bound(value)
        if key is None and start <= low and len(value) <= STEPS:
            return value.index(element) + low if element in value else None
        found = next(_equal_places(value, element, key, max(start - low, 0)), None)
        return None if found is None else found + low

    return position


def _positions(types: Types, result: PgType) -> Callable[..., Array | None]:
    key = _key(types[0])

    def positions(value: Array | None, element: Datum) -> Array | None:
        if value is None:
            return None
        if _cannot_hold(value, element):
            return []
        low = lower_bound(value)
        return [at + low for at in _equal_places(value, element, key, 0)]

    return positions


def _one_dimension(value: Array, action: str) -> None:
    if value and isinstance(value[0], list):
        raise NotSupported(f"{action} elements from multidimensional arrays is not supported")


def _remove(types: Types, result: PgType) -> Callable[..., Array | None]:
    key = _key(types[0])

    def remove(value: Array | None, element: Datum) -> Array | None:
        if not value:
            return value
        _one_dimension(value, "removing")
        kept: Array = []
        start = 0
        for at in _equal_places(value, element, key, 0):
            kept += value[start:at]
            start = at + 1
        return bounded(kept + value[start:], lower_bounds(value))

    return remove


def _replace(types: Types, result: PgType) -> Callable[..., Array | None]:
    key = _key(types[0])

    def replace(value: Array | None, old: Datum, new: Datum) -> Array | None:
        if not value:
            return value
        if key is None:
            return map_elements(value, lambda each: new if each == old else each)
        wanted = key(old)
        return map_elements(value, lambda each: new if key(each) == wanted else each)

    return replace


specialized(3277, "array_position(anycompatiblearray, anycompatible) int4 nullable", _position)
specialized(3278, "array_position(anycompatiblearray, anycompatible, int4) int4 nullable", _position)
specialized(3279, "array_positions(anycompatiblearray, anycompatible) int4[] nullable", _positions)
specialized(3167, "array_remove(anycompatiblearray, anycompatible) anycompatiblearray nullable", _remove)
specialized(
    3168, "array_replace(anycompatiblearray, anycompatible, anycompatible) anycompatiblearray nullable", _replace
)


def _width_bucket(types: Types, result: PgType) -> Callable[..., int]:
    key = types[0].sort_value

    def bucket(operand: Any, thresholds: Array) -> int:
        """How many of the sorted thresholds are not above the operand."""
        if thresholds and isinstance(thresholds[0], list):
            raise ArraySubscriptError("thresholds must be one-dimensional array")
        if None in thresholds:
            raise NullValueNotAllowed("thresholds array must not contain NULLs")
        return bisect_right(thresholds, operand if key is None else key(operand), key=key)

    return bucket


specialized(3218, "width_bucket(anycompatible, anycompatiblearray) int4", _width_bucket)


_ONES: Array = [1]


def _fill(element: Datum, lengths: Array | None, lower: Array | None = _ONES) -> Array:
    if lengths is None or lower is None:
        raise NullValueNotAllowed("dimension array or low bound array cannot be null")
    for array in (lengths, lower):
        if array is not _ONES and len(dimensions(array)) > 1:
            raise ArraySubscriptError(
                "wrong number of array subscripts", detail="Dimension array must be one dimensional."
            )
        if None in array:
            raise NullValueNotAllowed("dimension values cannot be null")
    if len(lengths) > DIMENSIONS_MAX:
        raise too_many_dimensions(len(lengths))
    bounds = [1] * len(lengths) if lower is _ONES else lower
    if len(bounds) != len(lengths):
        raise ArraySubscriptError(
            "wrong number of array subscripts", detail="Low bound array has different size than dimensions array."
        )
    total = 1
    for length in lengths:
        if length < 0:
            raise ProgramLimitExceeded(f"array size exceeds the maximum allowed ({ELEMENTS_MAX})")
        total *= length
    if total > ELEMENTS_MAX:
        raise ProgramLimitExceeded(f"array size exceeds the maximum allowed ({ELEMENTS_MAX})")
    return bounded(nest([element] * total, lengths), bounds) if lengths and total else []


fn(1193, "array_fill(anyelement, int4[]) anyarray nullable", _fill)
fn(1286, "array_fill(anyelement, int4[], int4[]) anyarray nullable", _fill)


def _trim_array(value: Array, count: int) -> Array:
    if not 0 <= count <= len(value):
        raise ArraySubscriptError(f"number of elements to trim must be between 0 and {len(value)}")
    return list(value[: len(value) - count])


fn(6172, "trim_array(anyarray, int4) anyarray", _trim_array)
fn(2331, "unnest(anyarray) setof anyelement", flatten)


def _specialized_subscripts(types: Types, result: PgType) -> Callable[..., Iterator[int]]:
    lower, size = _specialized_lower(types, result), _specialized_length(types, result)

    def subscripts(value: Array, dimension: int, backwards: bool = False) -> Iterator[int]:
        low, length = lower(value, dimension), size(value, dimension)
        found = range(low, low + length) if low is not None and length is not None else range(0)
        return reversed(found) if backwards else iter(found)

    return subscripts


specialized(1192, "generate_subscripts(anyarray, int4) setof int4", _specialized_subscripts)
specialized(1191, "generate_subscripts(anyarray, int4, bool) setof int4", _specialized_subscripts)


def _to_string(types: Types, result: PgType) -> Callable[..., str | None]:
    element = types[0].element_type
    write = element.output if element is not None else lambda value, env: str(value)

    def join(
        context: FunctionContext, value: Array | None, separator: str | None, null_text: str | None = None
    ) -> str | None:
        if value is None or separator is None:
            return None
        if value and _is_plain(value):
            env = context.env
            return joined([write(each, env) for each in value], separator)
        parts = []
        for each in flatten(value):
            if each is not None:
                parts.append(write(each, context.env))
            elif null_text is not None:
                parts.append(null_text)
        return joined(parts, separator)

    return join


specialized(395, "array_to_string(anyarray, text) text stable", _to_string, needs_context=True)
specialized(384, "array_to_string(anyarray, text, text) text stable nullable", _to_string, needs_context=True)


def _string_to_array(value: str | None, separator: str | None, null_text: str | None = None) -> Array | None:
    if value is None:
        return None
    if not value:
        return []
    parts = list(value) if separator is None else split(value, separator) if separator else [value]
    if null_text is None:
        return list(parts)
    return [None if each == null_text else each for each in (parts if len(parts) <= STEPS else paced(parts))]


fns(
    """
394 string_to_array(text, text) text[] nullable
376 string_to_array(text, text, text) text[] nullable
""",
    _string_to_array,
)
fns(
    """
6160 string_to_table(text, text) setof text nullable
6161 string_to_table(text, text, text) setof text nullable
""",
    lambda *arguments: _string_to_array(*arguments) or [],
)
