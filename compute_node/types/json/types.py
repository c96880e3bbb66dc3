"""The types json and jsonb: text, binary and stored forms (manual, 8.14)."""

from __future__ import annotations

from aurora.errors import InternalError
from compute_node.types.common import decode_utf8
from compute_node.types.json.parse import check, parse
from compute_node.types.json.value import Jsonb, sort_key
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire


def json_in(text: str, typmod: int, env: TypeEnv) -> str:
    """Text input of json: the text as it stands."""
    check(text, env.stack_kb)
    return text


def _json_receive(data: bytes, typmod: int) -> str:
    text = decode_utf8(data)
    check(text)
    return text


def jsonb_in(text: str, typmod: int, env: TypeEnv) -> Jsonb:
    """Text input of jsonb."""
    return parse(text, env.stack_kb)


def _jsonb_receive(data: bytes, typmod: int) -> Jsonb:
    """A version byte (1) and the text."""
    if not data or data[0] != 1:
        raise InternalError(f"unsupported jsonb version number {data[0] if data else 0}")
    return parse(decode_utf8(data[1:]))


REGISTRY.add_type(
    PgType(
        oid=114,
        name="json",
        length=-1,
        by_value=False,
        category="U",
        storage="x",
        array=199,
        input=json_in,
        output=lambda value, env: value,
        text_bytes=str.encode,
        receive=_json_receive,
        send=str.encode,
        disk="s",
        wire=Wire(b"s", b"s"),
    )
)
REGISTRY.add_type(
    PgType(
        oid=3802,
        name="jsonb",
        length=-1,
        by_value=False,
        category="U",
        storage="x",
        array=3807,
        input=jsonb_in,
        output=lambda value, env: value.text(),
        text_bytes=lambda value: value.text().encode(),
        receive=_jsonb_receive,
        send=lambda value: b"\1" + value.text().encode(),
        element_bytes=lambda value: value.data,
        element_value=Jsonb,
        disk="x",
        to_disk=lambda value: value.data,
        from_disk=Jsonb,
        sort_value=lambda value: sort_key(value.data),
        sort_key=lambda value: sort_key(value.data),
    )
)
