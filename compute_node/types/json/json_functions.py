"""json's operators and functions: declarations (manual, 9.16)."""

from __future__ import annotations

from typing import Any

from compute_node.types.declare import fn, operators
from compute_node.types.json import document
from compute_node.types.json.document import as_text, find_element, find_field, find_path, raw
from compute_node.types.oids import JSON, TEXT

_FROM: dict[str, Any] = {"argument_names": ("from_json",)}
_FIELD: dict[str, Any] = {"argument_names": ("from_json", "field_name")}
_ELEMENT: dict[str, Any] = {"argument_names": ("from_json", "element_index")}
_PATH: dict[str, Any] = {"argument_names": ("from_json", "path_elems")}

fn(3947, "json_object_field(json, text) json", lambda value, name: raw(value, find_field(value, name)), **_FIELD)
fn(
    3948,
    "json_object_field_text(json, text) text",
    lambda value, name: as_text(value, find_field(value, name)),
    **_FIELD,
)
fn(3949, "json_array_element(json, int4) json", lambda value, at: raw(value, find_element(value, at)), **_ELEMENT)
fn(
    3950,
    "json_array_element_text(json, int4) text",
    lambda value, at: as_text(value, find_element(value, at)),
    **_ELEMENT,
)
fn(
    3951,
    "json_extract_path(json, variadic text[]) json",
    lambda value, path: raw(value, find_path(value, path)),
    **_PATH,
)
fn(
    3953,
    "json_extract_path_text(json, variadic text[]) text",
    lambda value, path: as_text(value, find_path(value, path)),
    **_PATH,
)
fn(3956, "json_array_length(json) int4", document.array_length)
fn(3957, "json_object_keys(json) setof text", document.object_keys)
fn(
    3958,
    "json_each(json) setof record",
    document.each,
    out_columns=(("key", TEXT), ("value", JSON)),
    **_FROM,
)
fn(
    3959,
    "json_each_text(json) setof record",
    document.each_text,
    out_columns=(("key", TEXT), ("value", TEXT)),
    **_FROM,
)
fn(
    3955,
    "json_array_elements(json) setof json",
    document.array_elements,
    out_columns=(("value", JSON),),
    **_FROM,
)
fn(
    3969,
    "json_array_elements_text(json) setof text",
    document.array_elements_text,
    out_columns=(("value", TEXT),),
    **_FROM,
)
fn(3968, "json_typeof(json) text", document.type_of)
fn(3261, "json_strip_nulls(json) json", document.strip_nulls)
operators("""
3962 json -> text json 3947
3963 json ->> text text 3948
3964 json -> int4 json 3949
3965 json ->> int4 text 3950
3966 json #> text[] json 3951
3967 json #>> text[] text 3953
""")
