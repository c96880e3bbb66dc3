"""Any value → JSON: what to_json, row_to_json, json_build_object and the aggregates write (manual, 9.16).

One writer a type, made once a call site. Two targets: the text of json, and the bytes of jsonb.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Final

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue
from compute_node.types import oids
from compute_node.types.json import layout
from compute_node.types.json.bounds import stack_depth_exceeded
from compute_node.types.json.parse import number_from, parse
from compute_node.types.json.value import number_data, string_data
from compute_node.types.long_text import STEPS, joined, paced
from compute_node.types.numeric import in_format
from compute_node.types.registry import PgType, TypeEnv

Writer = Callable[[Datum, TypeEnv], str]
"""the JSON text of a value that is not NULL"""
Encoder = Callable[[Datum, TypeEnv], bytes]
"""the jsonb bytes of a value that is not NULL"""

_NUMBERS: Final = frozenset((oids.INT2, oids.INT4, oids.INT8, oids.FLOAT4, oids.FLOAT8, oids.NUMERIC))
_STAMPS: Final = frozenset((oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ))
_NESTED_MAX: Final = 1000
CACHED: Final = 512
"""Types whose writers are kept; a row's columns ask for theirs again and again."""


def _iso(env: TypeEnv) -> TypeEnv:
    return env if env.datestyle.startswith("ISO") else dataclasses.replace(env, datestyle="ISO, MDY")


def stamp_text(item: PgType) -> Writer:
    """A date or timestamp as ISO 8601 writes it, whatever the DateStyle."""
    output = item.output
    if item.oid == oids.TIMESTAMPTZ:
        return lambda value, env: _full_offset(output(value, _iso(env)))
    if item.oid == oids.TIMESTAMP:
        return lambda value, env: output(value, _iso(env)).replace(" ", "T", 1)
    return lambda value, env: output(value, _iso(env))


def _full_offset(text: str) -> str:
    """PostgreSQL's ``2020-01-01 00:00:00+01`` as ``2020-01-01T00:00:00+01:00``."""
    day, blank, clock = text.partition(" ")
    if not blank:
        return text
    clock, blank, era = clock.partition(" ")
    if clock[-3] in "+-":
        clock += ":00"
    return f"{day}T{clock}{blank}{era}"


def is_array(item: PgType) -> bool:
    """Whether a value of the type becomes a JSON array."""
    return item.element_type is not None and item.element != 0 and item.length == -1


def is_row(item: PgType) -> bool:
    """Whether a value of the type becomes a JSON object."""
    return item.kind == "c" or item.oid == oids.RECORD


def is_structured(item: PgType) -> bool:
    """Whether a value of the type becomes a JSON array or object."""
    return is_array(item) or is_row(item)


def _word(text: str) -> str:
    """A number's text as JSON: NaN and the infinities as strings."""
    return text if text[-1].isdigit() else f'"{text}"'


@lru_cache(maxsize=CACHED)
def json_writer(item: PgType, depth: int = 0) -> Writer:
    """How a value of the type becomes JSON text."""
    item = _root(item)
    if item.oid == oids.BOOL:
        return lambda value, env: "true" if value else "false"
    if item.oid in _NUMBERS:
        output = item.output
        return lambda value, env: _word(output(value, env))
    if item.oid in _STAMPS:
        stamp = stamp_text(item)
        return lambda value, env: f'"{stamp(value, env)}"'
    if item.oid == oids.JSON:
        return lambda value, env: str(value)
    if item.oid == oids.JSONB:
        return lambda value, env: str(value.text())
    if item.json_text is not None:
        own = item.json_text
        return lambda value, env: own(value)
    if is_row(item):
        return lambda value, env: row_text(value, env, item, False, depth + 1)
    if is_array(item):
        return array_writer(item, False, depth)
    output = item.output
    return lambda value, env: encode_basestring(output(value, env))


def _root(item: PgType) -> PgType:
    """The type that a domain is over."""
    return item.root


def array_writer(item: PgType, pretty: bool, depth: int = 0) -> Writer:
    """An array; ``pretty`` puts its elements on lines of their own, at the first level only."""
    write = json_writer(item.element_type or item, depth + 1)

    def level(value: list[Datum], env: TypeEnv, separator: str) -> str:
        parts = []
        for each in value if len(value) <= STEPS else paced(value):
            if each is None:
                parts.append("null")
            else:
                parts.append(level(each, env, ",") if isinstance(each, list) else write(each, env))
        return f"[{joined(parts, separator)}]"

    return lambda value, env: level(value, env, ",\n " if pretty else ",")


def columns_of(value: Datum, item: PgType) -> list[tuple[str, Datum, PgType]]:
    """(name, value, type) of each column of a row."""
    fields = getattr(item, "fields", ())
    if fields:
        return [
            (field.name, each, field.type) for field, each in zip(fields, value, strict=False) if field.type is not None
        ]
    types: Sequence[Datum] = getattr(value, "types", ())
    names = getattr(value, "names", ()) or tuple(f"f{number}" for number in range(1, len(types) + 1))
    return [(name, each, kind) for name, each, kind in zip(names, value, types, strict=True) if kind is not None]


def row_text(value: Datum, env: TypeEnv, item: PgType, pretty: bool, depth: int = 0) -> str:
    """A row as an object; ``pretty`` puts its columns on lines of their own."""
    if depth > _NESTED_MAX:
        raise stack_depth_exceeded()
    parts = []
    for name, each, kind in columns_of(value, item):
        shown = "null" if each is None else json_writer(kind, depth)(each, env)
        parts.append(f"{encode_basestring(name)}:{shown}")
    return "{" + joined(parts, ",\n " if pretty else ",") + "}"


def key_writer(item: PgType) -> Writer:
    """How a value of the type becomes a key: its text. 22023 of what is no scalar."""
    item = _root(item)
    if is_structured(item) or item.oid in (oids.JSON, oids.JSONB) or item.json_text is not None:
        return _no_key
    if item.oid == oids.BOOL:
        return lambda value, env: "true" if value else "false"
    return stamp_text(item) if item.oid in _STAMPS else item.output


def _no_key(value: Datum, env: TypeEnv) -> str:
    raise InvalidParameterValue("key value must be scalar, not array, composite, or json")


@lru_cache(maxsize=CACHED)
def jsonb_encoder(item: PgType, depth: int = 0) -> Encoder:
    """How a value of the type becomes jsonb."""
    item = _root(item)
    if item.oid == oids.BOOL:
        return lambda value, env: layout.TRUE_VALUE if value else layout.FALSE_VALUE
    if item.oid in (oids.INT2, oids.INT4, oids.INT8):
        return lambda value, env: b"\2%d" % value
    if item.oid == oids.NUMERIC:
        return _numeric
    if item.oid in _NUMBERS:
        output = item.output
        return lambda value, env: _float(output(value, env))
    if item.oid in _STAMPS:
        stamp = stamp_text(item)
        return lambda value, env: string_data(stamp(value, env))
    if item.oid == oids.JSON:
        return lambda value, env: parse(value).data
    if item.oid == oids.JSONB:
        return lambda value, env: bytes(value.data)
    if item.json_text is not None:
        own = item.json_text
        return lambda value, env: parse(own(value)).data
    if is_row(item):
        return lambda value, env: row_data(value, env, item, depth + 1)
    if is_array(item):
        return _array_encoder(item, depth)
    output = item.output
    return lambda value, env: string_data(output(value, env))


def _numeric(value: Decimal, env: TypeEnv) -> bytes:
    return number_data(in_format(value)) if value.is_finite() else string_data(str(value))


def _float(text: str) -> bytes:
    return number_from(text) if text[-1].isdigit() else string_data(text)


def _array_encoder(item: PgType, depth: int) -> Encoder:
    write = jsonb_encoder(item.element_type or item, depth + 1)

    def level(value: list[Datum], env: TypeEnv) -> bytes:
        parts = []
        for each in value if len(value) <= STEPS else paced(value):
            if each is None:
                parts.append(layout.NULL_VALUE)
            else:
                parts.append(level(each, env) if isinstance(each, list) else write(each, env))
        return layout.array_of(parts)

    return level


def row_data(value: Datum, env: TypeEnv, item: PgType, depth: int = 0) -> bytes:
    """A row as a jsonb object."""
    if depth > _NESTED_MAX:
        raise stack_depth_exceeded()
    return layout.object_of(
        {
            name.encode(): layout.NULL_VALUE if each is None else jsonb_encoder(kind, depth)(each, env)
            for name, each, kind in columns_of(value, item)
        }
    )
