"""Names of objects, with their schema where that is needed (``shown``) or always (``whole``)."""

from __future__ import annotations

from aurora.datum import Datum
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.relations.descriptors import RelationDesc
from compute_node.types.oids import INT2VECTOR, OIDVECTOR

_GRAMMAR = frozenset((16, 20, 21, 23, 700, 701, 1042, 1043, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700))
"""Types that SQL has words for, and which so have no schema: boolean, integer, timestamp with time zone …"""
_SYSTEM_COLUMNS = {-1: "ctid", -2: "xmin", -3: "cmin", -4: "xmax", -5: "cmax", -6: "tableoid"}


def schema_of(call: Call, namespace: int) -> str:
    """A schema's name; a session's own temporary one is ``pg_temp``."""
    name = call.view.layer.namespace_name(namespace) or ""
    return "pg_temp" if name.startswith("pg_temp_") and name in call.view.search_path else name


def whole(call: Call, namespace: int, name: str) -> str:
    """``schema.name``, quoted where they need it."""
    return f"{quote_identifier(schema_of(call, namespace))}.{quote_identifier(name)}"


def shown(call: Call, namespace: int, name: str, is_visible: Datum) -> str:
    """The name, with its schema unless it is visible."""
    return quote_identifier(name) if is_visible else whole(call, namespace, name)


def whole_type(call: Call, oid: int) -> str:
    """A type with its schema, but for those that have words of their own in SQL."""
    kind = call.view.layer.type(oid)
    if kind is None:
        return "???"
    if kind.element and kind.length == -1 and oid not in (INT2VECTOR, OIDVECTOR):
        return whole_type(call, kind.element) + "[]"
    if oid in _GRAMMAR:
        return call.type_name(oid)
    return whole(call, kind.namespace, kind.name)


def describe_relation(call: Call, desc: RelationDesc) -> str:
    """``table t``, with its schema unless it is visible."""
    is_visible = call.view.relation_is_visible(desc)
    return f"{desc.noun} {shown(call, desc.namespace, desc.name, is_visible)}"


def column_name(desc: RelationDesc, attno: int) -> str | None:
    """A column's name by its number; None without one."""
    if attno in _SYSTEM_COLUMNS:
        return _SYSTEM_COLUMNS[attno]
    return next((item.name for item in desc.columns if item.attno == attno and not item.dropped), None)
