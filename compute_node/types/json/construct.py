"""Functions that make json and jsonb of other values: to_json, row_to_json, build, object (manual, 9.16)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from json.encoder import encode_basestring
from typing import Any

from aurora.datum import Datum
from aurora.errors import ArraySubscriptError, InvalidParameterValue, NullValueNotAllowed
from compute_node.types.array_value import dimensions, flatten
from compute_node.types.declare import fn, specialized
from compute_node.types.json import layout
from compute_node.types.json.render import (
    array_writer,
    json_writer,
    jsonb_encoder,
    key_writer,
    row_text,
)
from compute_node.types.json.value import Jsonb, string_data
from compute_node.types.long_text import STEPS, joined, paced
from compute_node.types.registry import FunctionContext, PgType

Types = tuple[PgType, ...]


def _to_json(types: Types, result: PgType) -> Callable[..., str]:
    write = json_writer(types[0])
    return lambda context, value: write(value, context.env)


def _to_jsonb(types: Types, result: PgType) -> Callable[..., Jsonb]:
    write = jsonb_encoder(types[0])
    return lambda context, value: Jsonb(write(value, context.env))


def _array_to_json(types: Types, result: PgType) -> Callable[..., str]:
    plain, lines = array_writer(types[0], False), array_writer(types[0], True)
    return lambda context, value, pretty=False: (lines if pretty else plain)(value, context.env)


def _row_to_json(types: Types, result: PgType) -> Callable[..., str]:
    item = types[0]
    return lambda context, value, pretty=False: row_text(value, context.env, item, pretty)


specialized(3176, "to_json(anyelement) json stable", _to_json, needs_context=True)
specialized(3787, "to_jsonb(anyelement) jsonb stable", _to_jsonb, needs_context=True)
specialized(3153, "array_to_json(anyarray) json stable", _array_to_json, needs_context=True)
specialized(3154, "array_to_json(anyarray, bool) json stable", _array_to_json, needs_context=True)
specialized(3155, "row_to_json(record) json stable", _row_to_json, needs_context=True)
specialized(3156, "row_to_json(record, bool) json stable", _row_to_json, needs_context=True)


# building from arguments


def _cycled(makers: list[Any], count: int) -> list[Any]:
    """A writer for each argument: the elements of an array given with VARIADIC share the last one."""
    return makers if count == len(makers) else [makers[min(at, len(makers) - 1)] for at in range(count)]


def _steps(count: int, step: int) -> Iterable[int]:
    """The places of arguments: every ``step``-th."""
    places = range(0, count, step)
    return places if count <= STEPS else paced(places)


def _build_array(types: Types, result: PgType) -> Callable[..., str]:
    writers = [json_writer(item) for item in types]

    def build(context: FunctionContext, *values: Datum) -> str:
        env = context.env
        made = _cycled(writers, len(values))
        parts = ["null" if values[at] is None else made[at](values[at], env) for at in _steps(len(values), 1)]
        return f"[{joined(parts, ', ')}]"

    return build


def _jsonb_build_array(types: Types, result: PgType) -> Callable[..., Jsonb]:
    writers = [jsonb_encoder(item) for item in types]

    def build(context: FunctionContext, *values: Datum) -> Jsonb:
        env = context.env
        made = _cycled(writers, len(values))
        return Jsonb(
            layout.array_of(
                [
                    layout.NULL_VALUE if values[at] is None else made[at](values[at], env)
                    for at in _steps(len(values), 1)
                ]
            )
        )

    return build


def _check_even(count: int, name: str) -> None:
    if count % 2:
        raise InvalidParameterValue(
            "argument list must have even number of elements",
            hint=f"The arguments of {name}() must consist of alternating keys and values.",
        )


def _build_object(types: Types, result: PgType) -> Callable[..., str]:
    writers = [(key_writer(item), json_writer(item)) for item in types]

    def build(context: FunctionContext, *values: Datum) -> str:
        _check_even(len(values), "json_build_object")
        env = context.env
        made = _cycled(writers, len(values))
        parts = []
        for at in _steps(len(values), 2):
            key, value = values[at], values[at + 1]
            if key is None:
                raise InvalidParameterValue(f"argument {at + 1} cannot be null", hint="Object keys should be text.")
            shown = "null" if value is None else made[at + 1][1](value, env)
            parts.append(f"{encode_basestring(made[at][0](key, env))} : {shown}")
        return "{" + joined(parts, ", ") + "}"

    return build


def _jsonb_build_object(types: Types, result: PgType) -> Callable[..., Jsonb]:
    writers = [(key_writer(item), jsonb_encoder(item)) for item in types]

    def build(context: FunctionContext, *values: Datum) -> Jsonb:
        _check_even(len(values), "jsonb_build_object")
        env = context.env
        made = _cycled(writers, len(values))
        pairs = {}
        for at in _steps(len(values), 2):
            key, value = values[at], values[at + 1]
            if key is None:
                raise InvalidParameterValue(f"argument {at + 1}: key must not be null")
            name = made[at][0](key, env).encode()
            pairs[name] = layout.NULL_VALUE if value is None else made[at + 1][1](value, env)
        return Jsonb(layout.object_of(pairs))

    return build


specialized(3198, "json_build_array(variadic any) json stable nullable", _build_array, needs_context=True)
fn(3199, "json_build_array() json stable nullable", lambda: "[]")
specialized(3271, "jsonb_build_array(variadic any) jsonb stable nullable", _jsonb_build_array, needs_context=True)
fn(3272, "jsonb_build_array() jsonb stable nullable", lambda: Jsonb(layout.EMPTY_ARRAY))
specialized(3200, "json_build_object(variadic any) json stable nullable", _build_object, needs_context=True)
fn(3201, "json_build_object() json stable nullable", lambda: "{}")
specialized(3273, "jsonb_build_object(variadic any) jsonb stable nullable", _jsonb_build_object, needs_context=True)
fn(3274, "jsonb_build_object() jsonb stable nullable", lambda: Jsonb(layout.EMPTY_OBJECT))


# from arrays of text


def _pairs(value: list[Datum]) -> Iterator[tuple[str, Any]]:
    """Keys and values that alternate, or stand in rows of two; 2202E, 22004."""
    lengths = dimensions(value)
    if len(lengths) == 1 and lengths[0] % 2:
        raise ArraySubscriptError("array must have even number of elements")
    if len(lengths) == 2 and lengths[1] != 2:
        raise ArraySubscriptError("array must have two columns")
    if len(lengths) > 2:
        raise ArraySubscriptError("wrong number of array subscripts")
    words = list(flatten(value))
    return _named(words[::2], words[1::2])


def _two_arrays(keys: list[Datum], values: list[Datum]) -> Iterator[tuple[str, Any]]:
    if len(dimensions(keys)) > 1 or len(dimensions(keys)) != len(dimensions(values)):
        raise ArraySubscriptError("wrong number of array subscripts")
    if len(keys) != len(values):
        raise ArraySubscriptError("mismatched array dimensions")
    return _named(keys, values)


def _named(keys: list[Datum], values: list[Datum]) -> Iterator[tuple[str, Any]]:
    for key, value in paced(zip(keys, values, strict=True)):
        if key is None:
            raise NullValueNotAllowed("null value not allowed for object key")
        yield key, value


def _object(pairs: Iterator[tuple[str, Any]]) -> str:
    parts = [
        f"{encode_basestring(key)} : {'null' if value is None else encode_basestring(value)}" for key, value in pairs
    ]
    return "{" + joined(parts, ", ") + "}"


def _jsonb_object(pairs: Iterator[tuple[str, Any]]) -> Jsonb:
    return Jsonb(
        layout.object_of(
            {key.encode(): layout.NULL_VALUE if value is None else string_data(value) for key, value in pairs}
        )
    )


fn(3202, "json_object(text[]) json", lambda value: _object(_pairs(value)))
fn(3203, "json_object(text[], text[]) json", lambda keys, values: _object(_two_arrays(keys, values)))
fn(3263, "jsonb_object(text[]) jsonb", lambda value: _jsonb_object(_pairs(value)))
fn(3264, "jsonb_object(text[], text[]) jsonb", lambda keys, values: _jsonb_object(_two_arrays(keys, values)))
