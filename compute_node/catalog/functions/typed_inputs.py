"""Input functions whose type is an OID: ``array_in``, ``domain_in``, ``enum_in``, ``multirange_in``, ``range_in``,
``record_in``."""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import DatatypeMismatch, InvalidTextRepresentation, SqlError, UndefinedObject, WrongObjectType
from compute_node.catalog.functions.call import Call
from compute_node.types.administration.typed_inputs import with_type
from compute_node.types.array import make_array_type
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.record import Record
from compute_node.types.registry import PgType


def _type(call: Call, oid: int) -> PgType:
    found = call.view.layer.type(oid)
    if found is None:
        raise UndefinedObject(f"type with OID {oid} does not exist")
    return found


def _read(call: Call, kind: PgType, text: str, typmod: int = -1) -> Datum:
    return kind.input(text, typmod, call.session.env)


def array_in(call: Call, text: str, element: int, typmod: int) -> Datum:
    """An array of a type's values."""
    item = _type(call, element)
    kind = call.view.layer.type(item.array) if item.array else make_array_type(item)
    return with_type(_read(call, kind or make_array_type(item), text, typmod), kind or make_array_type(item))


def enum_in(call: Call, text: str, oid: int) -> Datum:
    """A label of an enum. 22P02."""
    kind = _type(call, oid)
    if kind.kind != "e":
        raise InvalidTextRepresentation(f'invalid input value for enum {call.type_name(oid)}: "{text}"')
    return with_type(_read(call, kind, text), kind)


def _range(letter: str, what: str) -> Callable[[Call, str, int, int], Datum]:
    def read(call: Call, text: str, oid: int, typmod: int) -> Datum:
        kind = _type(call, oid)
        if kind.kind != letter:
            raise WrongObjectType(f"type {oid} is not a {what} type")
        return with_type(_read(call, kind, text, typmod), kind)

    return read


def domain_in(call: Call, text: str | None, oid: int | None, typmod: int | None) -> Datum:
    """A domain's value, which has passed its rules; NULL is read too. 42804."""
    if oid is None:
        return None
    kind = _type(call, oid)
    if kind.kind != "d":
        raise DatatypeMismatch(f"type {call.type_name(oid)} is not a domain")
    if text is None:
        if kind.check is not None:
            kind.check(None, call.session.env)
        return None
    return _read(call, kind, text)


def _not_composite(call: Call, oid: int) -> SqlError:
    return WrongObjectType(f"type {call.type_name(oid)} is not composite")


def record_in(call: Call, text: str, oid: int, typmod: int) -> Datum:
    """A row of a composite type. 42809."""
    kind = _type(call, oid)
    if kind.oid == TYPE_OIDS["record"]:
        return _read(call, kind, text, typmod)
    if kind.kind != "c":
        raise _not_composite(call, oid)
    value = _read(call, kind, text, typmod)
    return Record.of(value, [field.type for field in kind.fields], tuple(field.name for field in kind.fields))


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "array_in": array_in,
    "domain_in": domain_in,
    "enum_in": enum_in,
    "multirange_in": _range("m", "multirange"),
    "range_in": _range("r", "range"),
    "record_in": record_in,
}
