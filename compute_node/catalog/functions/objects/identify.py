"""pg_describe_object, pg_identify_object, pg_identify_object_as_address."""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum, Row
from aurora.errors import InternalError
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.catalog.functions.objects.classes import CLASSES, ObjectClass, class_oid
from compute_node.catalog.functions.objects.naming import schema_of
from compute_node.catalog.rows import Record


def _object(call: Call, class_id: int, oid: int, column: int) -> tuple[ObjectClass, Record | None]:
    if column and class_id != class_oid("pg_class"):
        raise InternalError(f"invalid non-zero objectSubId for object class {class_id}")
    found = CLASSES.get(class_id)
    if found is None:
        raise InternalError(f"unrecognized object class: {class_id}")
    return found, call.reader.one(found.catalog, oid=oid)


def describe_object(call: Call, class_id: int, oid: int, column: int) -> str | None:
    """pg_describe_object: as messages call it; NULL for what is not there. XX000 for no catalog of objects."""
    if not class_id and not oid:
        return None
    found, row = _object(call, class_id, oid, column)
    return None if row is None else found.describe(call, row, column)


def identify_object(call: Call, class_id: int, oid: int, column: int) -> Row:
    """pg_identify_object: kind, schema, name where that identifies it, identity."""
    found, row = _object(call, class_id, oid, column)
    if row is None:
        return found.missing, None, None, None
    identity = found.identify(call, row, column)
    if identity is None:
        return found.kind(call, row, column), None, None, None
    schema = name = None
    if found.namespace and getattr(row, found.namespace):
        schema = quote_identifier(schema_of(call, getattr(row, found.namespace)))
    if found.unique:
        name = quote_identifier(getattr(row, found.name))
    return found.kind(call, row, column), schema, name, identity.text


def identify_as_address(call: Call, class_id: int, oid: int, column: int) -> Row:
    """pg_identify_object_as_address: what pg_get_object_address takes."""
    found, row = _object(call, class_id, oid, column)
    if row is None:
        return found.missing, None, None
    identity = found.identify(call, row, column)
    kind = found.kind(call, row, column)
    return (kind, None, None) if identity is None else (kind, identity.names, identity.arguments)


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_describe_object": describe_object,
    "pg_identify_object": identify_object,
    "pg_identify_object_as_address": identify_as_address,
}
