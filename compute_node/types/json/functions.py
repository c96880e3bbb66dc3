"""jsonb's operators and functions: declarations (manual, 9.16)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue
from compute_node.types.declare import casts, comparisons, fn, operator_classes, operators
from compute_node.types.json import access, modify
from compute_node.types.json.value import Jsonb
from compute_node.types.oids import JSONB, TEXT
from compute_node.types.registry import REGISTRY

comparisons(
    """
4043 jsonb_eq(jsonb, jsonb) bool
4038 jsonb_ne(jsonb, jsonb) bool
4039 jsonb_lt(jsonb, jsonb) bool
4041 jsonb_le(jsonb, jsonb) bool
4040 jsonb_gt(jsonb, jsonb) bool
4042 jsonb_ge(jsonb, jsonb) bool
4044 jsonb_cmp(jsonb, jsonb) int4
"""
)

_FROM: dict[str, Any] = {"argument_names": ("from_json",)}
_PATH: dict[str, Any] = {"argument_names": ("from_json", "path_elems")}
fn(3478, "jsonb_object_field(jsonb, text) jsonb", access.field, argument_names=("from_json", "field_name"))
fn(3214, "jsonb_object_field_text(jsonb, text) text", access.field_text, argument_names=("from_json", "field_name"))
fn(3215, "jsonb_array_element(jsonb, int4) jsonb", access.element, argument_names=("from_json", "element_index"))
fn(
    3216,
    "jsonb_array_element_text(jsonb, int4) text",
    access.element_text,
    argument_names=("from_json", "element_index"),
)
fn(3217, "jsonb_extract_path(jsonb, variadic text[]) jsonb", access.extract_path, **_PATH)
fn(3940, "jsonb_extract_path_text(jsonb, variadic text[]) text", access.extract_path_text, **_PATH)
fn(4047, "jsonb_exists(jsonb, text) bool", access.exists)
fn(4048, "jsonb_exists_any(jsonb, text[]) bool", access.exists_any)
fn(4049, "jsonb_exists_all(jsonb, text[]) bool", access.exists_all)
fn(4046, "jsonb_contains(jsonb, jsonb) bool", access.contains)
fn(4050, "jsonb_contained(jsonb, jsonb) bool", lambda part, whole: access.contains(whole, part))
fn(3207, "jsonb_array_length(jsonb) int4", access.array_length)
fn(3931, "jsonb_object_keys(jsonb) setof text", access.object_keys)
fn(
    3208,
    "jsonb_each(jsonb) setof record",
    access.each,
    out_columns=(("key", TEXT), ("value", JSONB)),
    **_FROM,
)
fn(
    3932,
    "jsonb_each_text(jsonb) setof record",
    access.each_text,
    out_columns=(("key", TEXT), ("value", TEXT)),
    **_FROM,
)
fn(
    3219,
    "jsonb_array_elements(jsonb) setof jsonb",
    access.array_elements,
    out_columns=(("value", JSONB),),
    **_FROM,
)
fn(
    3465,
    "jsonb_array_elements_text(jsonb) setof text",
    access.array_elements_text,
    out_columns=(("value", TEXT),),
    **_FROM,
)
fn(3210, "jsonb_typeof(jsonb) text", lambda value: value.kind)
fn(3306, "jsonb_pretty(jsonb) text", access.pretty)

fn(3301, "jsonb_concat(jsonb, jsonb) jsonb", modify.concat)
fn(3302, "jsonb_delete(jsonb, text) jsonb", modify.delete_key)
fn(3303, "jsonb_delete(jsonb, int4) jsonb", modify.delete_element)
fn(3343, "jsonb_delete(jsonb, variadic text[]) jsonb", modify.delete_keys, **_PATH)
fn(3304, "jsonb_delete_path(jsonb, text[]) jsonb", modify.delete_path)
fn(3262, "jsonb_strip_nulls(jsonb) jsonb", modify.strip_nulls)
fn(
    3305,
    "jsonb_set(jsonb, text[], jsonb, bool) jsonb",
    modify.set_path,
    argument_names=("jsonb_in", "path", "replacement", "create_if_missing"),
    defaults=(True,),
)
fn(
    5054,
    "jsonb_set_lax(jsonb, text[], jsonb, bool, text) jsonb nullable",
    modify.set_path_lax,
    argument_names=("jsonb_in", "path", "replacement", "create_if_missing", "null_value_treatment"),
    defaults=(True, "use_json_null"),
)
fn(
    3579,
    "jsonb_insert(jsonb, text[], jsonb, bool) jsonb",
    modify.insert_path,
    argument_names=("jsonb_in", "path", "replacement", "insert_after"),
    defaults=(False,),
)

_KIND_NAMES = {"number": "numeric"}


def _cast(target: str, kind: str, convert: Callable[[Datum], Datum]) -> Callable[[Jsonb], Any]:
    """The cast of a scalar of ``kind``; 22023 of another value."""

    def cast(value: Jsonb) -> Datum:
        if value.kind != kind:
            shown = _KIND_NAMES.get(value.kind, value.kind)
            raise InvalidParameterValue(f"cannot cast jsonb {shown} to type {target}")
        return convert(value.scalar())

    return cast


def _by_cast(target: int) -> Callable[[Decimal], Any]:
    found = REGISTRY.casts[REGISTRY.types_by_name["numeric"].oid, target]
    return REGISTRY.functions[found.function].implementation


fn(3556, "bool(jsonb) bool", _cast("boolean", "boolean", bool))
fn(3449, "numeric(jsonb) numeric", _cast("numeric", "number", lambda value: value))
fn(3450, "int2(jsonb) int2", _cast("smallint", "number", _by_cast(21)))
fn(3451, "int4(jsonb) int4", _cast("integer", "number", _by_cast(23)))
fn(3452, "int8(jsonb) int8", _cast("bigint", "number", _by_cast(20)))
fn(3453, "float4(jsonb) float4", _cast("real", "number", _by_cast(700)))
fn(2580, "float8(jsonb) float8", _cast("double precision", "number", _by_cast(701)))

casts("""
10214 json jsonb 0 a i
10215 jsonb json 0 a i
10216 jsonb bool 3556 e f
10217 jsonb numeric 3449 e f
10218 jsonb int2 3450 e f
10219 jsonb int4 3451 e f
10220 jsonb int8 3452 e f
10221 jsonb float4 3453 e f
10222 jsonb float8 2580 e f
""")
operators("""
3211 jsonb -> text jsonb 3478
3477 jsonb ->> text text 3214
3212 jsonb -> int4 jsonb 3215
3481 jsonb ->> int4 text 3216
3213 jsonb #> text[] jsonb 3217
3206 jsonb #>> text[] text 3940
3240 jsonb = jsonb bool 4043 commutator=3240 negator=3241 merges hashes
3241 jsonb <> jsonb bool 4038 commutator=3241 negator=3240
3242 jsonb < jsonb bool 4039 commutator=3243 negator=3245
3243 jsonb > jsonb bool 4040 commutator=3242 negator=3244
3244 jsonb <= jsonb bool 4041 commutator=3245 negator=3243
3245 jsonb >= jsonb bool 4042 commutator=3244 negator=3242
3246 jsonb @> jsonb bool 4046 commutator=3250
3247 jsonb ? text bool 4047
3248 jsonb ?| text[] bool 4048
3249 jsonb ?& text[] bool 4049
3250 jsonb <@ jsonb bool 4050 commutator=3246
3284 jsonb || jsonb jsonb 3301
3285 jsonb - text jsonb 3302
3398 jsonb - text[] jsonb 3343
3286 jsonb - int4 jsonb 3303
3287 jsonb #- text[] jsonb 3304
""")
operator_classes("""
10088 jsonb_ops 4033 jsonb_ops jsonb 403 default 3242,3244,3240,3245,3243 4044
10089 jsonb_ops 4034 jsonb_ops jsonb 405 default 3240 4045,3416
""")
