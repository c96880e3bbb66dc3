"""The type jsonpath: text and binary form, and the form of a stored value.

A stored value is a version byte and the path's text in a form that reads back as the same tree::

    0        1                n
    ├ 1 (u8) ┼ text, UTF-8 ───┤
"""

from __future__ import annotations

from aurora.errors import DataCorrupted, InternalError, ProtocolViolation
from compute_node.types.array import make_array_type
from compute_node.types.common import decode_utf8
from compute_node.types.declare import fn
from compute_node.types.jsonpath.tree import JsonPath
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_VERSION = 1


def jsonpath_in(text: str, typmod: int, env: TypeEnv) -> JsonPath:
    """22P02, 42601 and others (see ``parser``)."""
    from compute_node.types.jsonpath.parser import parse

    return parse(text)


def _receive(data: bytes, typmod: int) -> JsonPath:
    if not data:
        raise ProtocolViolation("no data left in message")
    if data[0] != _VERSION:
        raise InternalError(f"unsupported jsonpath version number: {data[0]}")
    from compute_node.types.jsonpath.parser import parse

    return parse(decode_utf8(bytes(data[1:])))


def _send(value: JsonPath) -> bytes:
    return bytes((_VERSION,)) + value.text.encode()


def to_disk(value: JsonPath) -> bytes:
    """The stored form."""
    from compute_node.types.jsonpath.output import write_for_storage

    return bytes((_VERSION,)) + write_for_storage(value).encode()


def from_disk(data: bytes) -> JsonPath:
    """Inverse of ``to_disk``; XX001 for another version."""
    from compute_node.types.jsonpath.parser import parse

    if data[0] != _VERSION:
        raise DataCorrupted(f"a stored jsonpath has version {data[0]}")
    return parse(bytes(data[1:]).decode())


JSONPATH = REGISTRY.add_type(
    PgType(
        oid=4072,
        name="jsonpath",
        length=-1,
        by_value=False,
        category="U",
        array=4073,
        input=jsonpath_in,
        output=lambda value, env: value.text,
        text_bytes=lambda value: value.text.encode(),
        receive=_receive,
        send=_send,
        disk="x",
        storage="x",
        to_disk=to_disk,
        from_disk=from_disk,
        element_bytes=to_disk,
        element_value=from_disk,
    )
)
REGISTRY.add_type(make_array_type(JSONPATH))
fn(4004, "jsonpath_send(jsonpath) bytea", _send)
