"""json_agg, jsonb_agg, json_object_agg, jsonb_object_agg (manual, 9.21)."""

from __future__ import annotations

from json.encoder import encode_basestring
from typing import Any

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue
from compute_node.types.declare import agg
from compute_node.types.json import layout
from compute_node.types.json.render import is_structured, json_writer, jsonb_encoder, key_writer
from compute_node.types.json.value import Jsonb
from compute_node.types.long_text import joined
from compute_node.types.registry import Aggregate, FunctionContext, PgType

Types = tuple[PgType, ...]


def _nothing() -> Datum:
    return None


def _unspecialized(*_: Datum) -> Datum:
    raise InvalidParameterValue("could not determine input data type")


def _json_agg(types: Types) -> Aggregate:
    write = json_writer(types[0])
    gap = "\n " if is_structured(types[0]) else ""

    def step(context: FunctionContext, state: list[str] | None, value: Datum) -> list[str]:
        text = "null" if value is None else write(value, context.env)
        if state is None:
            return [text]
        state.append((gap if value is not None else "") + text)
        return state

    def final(state: list[str] | None) -> str | None:
        return None if state is None else f"[{joined(state, ', ')}]"

    return Aggregate(oid=3175, initial=_nothing, step=step, final=final, strict=False, needs_context=True)


def _jsonb_agg(types: Types) -> Aggregate:
    write = jsonb_encoder(types[0])

    def step(context: FunctionContext, state: list[bytes] | None, value: Datum) -> list[bytes]:
        state = [] if state is None else state
        state.append(layout.NULL_VALUE if value is None else write(value, context.env))
        return state

    def final(state: list[bytes] | None) -> Jsonb | None:
        return None if state is None else Jsonb(layout.array_of(state))

    return Aggregate(oid=3267, initial=_nothing, step=step, final=final, strict=False, needs_context=True)


def _key_missing() -> Exception:
    return InvalidParameterValue("field name must not be null")


def _json_object_agg(types: Types) -> Aggregate:
    name, write = key_writer(types[0]), json_writer(types[1])

    def step(context: FunctionContext, state: list[str] | None, key: Any, value: Datum) -> list[str]:
        if key is None:
            raise _key_missing()
        state = [] if state is None else state
        shown = "null" if value is None else write(value, context.env)
        state.append(f"{encode_basestring(name(key, context.env))} : {shown}")
        return state

    def final(state: list[str] | None) -> str | None:
        return None if state is None else "{ " + joined(state, ", ") + " }"

    return Aggregate(oid=3197, initial=_nothing, step=step, final=final, strict=False, needs_context=True)


def _jsonb_object_agg(types: Types) -> Aggregate:
    name, write = key_writer(types[0]), jsonb_encoder(types[1])

    def step(context: FunctionContext, state: dict[bytes, bytes] | None, key: Any, value: Datum) -> dict[bytes, bytes]:
        if key is None:
            raise _key_missing()
        state = {} if state is None else state
        state[name(key, context.env).encode()] = layout.NULL_VALUE if value is None else write(value, context.env)
        return state

    def final(state: dict[bytes, bytes] | None) -> Jsonb | None:
        return None if state is None else Jsonb(layout.object_of(state))

    return Aggregate(oid=3270, initial=_nothing, step=step, final=final, strict=False, needs_context=True)


for _oid, _signature, _specialize in (
    (3175, "json_agg(anyelement) json stable", _json_agg),
    (3267, "jsonb_agg(anyelement) jsonb stable", _jsonb_agg),
    (3197, "json_object_agg(any, any) json stable", _json_object_agg),
    (3270, "jsonb_object_agg(any, any) jsonb", _jsonb_object_agg),
):
    agg(_oid, _signature, _nothing, _unspecialized, _unspecialized, strict=False, specialize=_specialize)
