"""anyarray as a column's type: arrays of any type, each of which says what its elements are (pg_statistic.stavalues1
and its like, pg_attribute.attmissingval). The stored form is that of the array (``array``), whose header has the
element type."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.types.array import quote_element, stored_codec
from compute_node.types.common import refuse_input
from compute_node.types.long_text import paced
from compute_node.types.pseudo import known_type, send_known
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_ELEMENT: Final = struct.Struct(">8xI")
_EMPTY: Final = struct.Struct(">iiI")
_HEADER: Final = struct.Struct(">iiIii")
_LENGTH: Final = struct.Struct(">i")


class AnyArray(list[Datum]):
    """A value. Elements of users' types are as they are stored until ``elements`` is told their type."""

    def __init__(self, values: list[Datum], element: int, stored: bytes) -> None:
        super().__init__(values)
        self.element = element
        self.stored = stored

    def elements(self, kind: PgType) -> list[Datum]:
        """The values; ``kind``: their type."""
        if self.element in REGISTRY.types:
            return list(self)
        decode = _codec(kind)[1]
        return [None if each is None else decode(each) for each in self]


def any_array(values: list[Datum], kind: PgType) -> AnyArray:
    """Values of type ``kind`` as an array of one dimension."""
    return AnyArray(values, kind.oid, _packed(values, kind, _codec(kind)[0]))


def _packed(values: list[Datum], kind: PgType, encode: Callable[[Datum], bytes]) -> bytes:
    parts = [_HEADER.pack(1, None in values, kind.oid, len(values), 1)] if values else [_EMPTY.pack(0, 0, kind.oid)]
    for value in values:
        data = None if value is None else encode(value)
        parts.append(_LENGTH.pack(-1 if data is None else len(data)))
        parts.append(data or b"")
    return b"".join(parts)


def _codec(kind: PgType) -> tuple[Callable[[Datum], bytes], Callable[[bytes], Datum]]:
    """How an element is stored: as its columns are, or as an element of its own arrays."""
    if kind.to_disk is not None and kind.from_disk is not None:
        return kind.to_disk, kind.from_disk
    encode, decode = stored_codec(kind)
    return encode, lambda data: decode(data, -1)


def text_array(values: list[Datum]) -> AnyArray:
    """Texts as an array."""
    return any_array(values, REGISTRY.types[25])


def _from_disk(stored: bytes) -> AnyArray:
    stored = bytes(stored)
    (element,) = _ELEMENT.unpack_from(stored)
    known = REGISTRY.types.get(element)
    decode = None if known is None else _codec(known)[1]
    values: list[Datum] = []
    at = _HEADER.size
    while at < len(stored):
        (size,) = _LENGTH.unpack_from(stored, at)
        at += 4
        data = stored[at : at + size] if size >= 0 else None
        values.append(data if data is None or decode is None else decode(data))
        at += max(size, 0)
    return AnyArray(values, element, stored)


def _to_disk(value: AnyArray) -> bytes:
    return value.stored


def _output(value: Datum, env: TypeEnv) -> str:
    if not isinstance(value, AnyArray):
        return known_type(value, "anyarray").output(value, env)
    kind = REGISTRY.types.get(value.element)
    if kind is None:
        if env.lookup is None:
            raise NotSupported(f"type {value.element} cannot be read without a catalog")
        kind = env.lookup("type", value.element)
    write, delimiter = kind.output, kind.delimiter
    texts = (
        "NULL" if each is None else quote_element(write(each, env), delimiter) for each in paced(value.elements(kind))
    )
    return "{" + delimiter.join(texts) + "}"


def _send(value: Datum) -> bytes:
    if not isinstance(value, AnyArray):
        return send_known(value, "anyarray")
    kind = REGISTRY.types.get(value.element)
    if kind is None or kind.send is None:
        raise NotSupported("arrays of users' types have no binary form outside their own columns")
    return _packed(value, kind, kind.send)


REGISTRY.add_type(
    PgType(
        oid=2277, name="anyarray", length=-1, by_value=False, category="P", kind="p", align="d", storage="x",
        input=refuse_input("anyarray"), output=_output, receive=None, send=_send,
        disk="x", to_disk=_to_disk, from_disk=_from_disk,
    )
)  # fmt: skip
