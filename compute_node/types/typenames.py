"""format_type: the SQL spelling of a built-in type with its modifier (manual, 9.26.4)."""

from __future__ import annotations

from aurora.errors import DatatypeMismatch
from compute_node.types.declare import fn
from compute_node.types.registry import REGISTRY, FunctionContext, PgType


def format_builtin(item: PgType, typmod: int = -1) -> str:
    """``numeric(10,2)``, ``timestamp(3) with time zone``, ``integer[]`` …"""
    if item.category == "A" and item.element and item.name.startswith("_") and item.element in REGISTRY.types:
        return format_builtin(REGISTRY.types[item.element], typmod) + "[]"
    name = item.formatted_name or item.name
    if typmod < 0 or item.typmod_out is None:
        return "bpchar" if item.name == "bpchar" and typmod == -1 else name
    if item.name in ("timestamp", "timestamptz", "time", "timetz"):
        return item.name.removesuffix("tz") + item.typmod_out(typmod)
    return name + item.typmod_out(typmod)


def format_type(oid: int, typmod: int = -1) -> str | None:
    """The spelling of a built-in type; None for an OID that is not one."""
    item = REGISTRY.types.get(oid)
    return None if item is None else format_builtin(item, typmod)


_BUILTIN_OIDS_END = 10000
"""Only below it has a type the same OID in every database."""


def check_sent_type(given: int, expected: int, what: str, where: str = "") -> None:
    """42804 when a binary value says that it is of another built-in type than expected."""
    if given != expected and 0 <= given < _BUILTIN_OIDS_END and expected < _BUILTIN_OIDS_END:
        names = f"{given} ({format_type(given) or '???'}) instead of expected {expected} ({format_type(expected)})"
        raise DatatypeMismatch(f"binary data has {what} {names}{where}")


def _format_type(context: FunctionContext, oid: int | None, typmod: int | None) -> str | None:
    if oid is None:
        return None
    if oid == 0:
        return "-"
    item = REGISTRY.types.get(oid)
    if item is None:
        found: str | None = context.session.catalog_function("format_type", oid, typmod)
        return "???" if found is None else found
    if typmod is None:
        return "character" if item.name == "bpchar" else format_builtin(item)
    found = format_builtin(item, typmod)
    # Without its length: bit alone would be bit(1).
    return f'"bit"{found[3:]}' if typmod < 0 and found in ("bit", "bit[]") else found


fn(1081, "format_type(oid, int4) text stable nullable", _format_type, needs_context=True)
