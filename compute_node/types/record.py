"""record: anonymous composite values, text and binary forms, comparison (manual, 8.16).

A record value is a ``Record``: a tuple that knows its columns' types, which its text form needs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from aurora.errors import DatatypeMismatch, NotSupported
from compute_node.types.common import refuse_input
from compute_node.types.declare import comparisons, operator_classes, operators
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_SPECIAL = frozenset('(),"\\ \t\n\r\v\f')


class Record(tuple[Any, ...]):
    """A row value with its column types."""

    types: tuple[PgType, ...]
    names: tuple[str, ...] = ()
    """of its columns, where they are known"""

    @classmethod
    def of(cls, values: Iterable[Any], types: Iterable[PgType], names: tuple[str, ...] = ()) -> Record:
        """A record from its values, their types and the columns' names."""
        record = cls(values)
        record.types = tuple(types)
        if names:
            record.names = names
        return record


def column_types(value: tuple[Any, ...]) -> tuple[PgType, ...]:
    """The column types of a record; a plain tuple's are unknown: 0A000."""
    types = getattr(value, "types", None)
    if types is None:
        raise NotSupported("a record without column types has no text form")
    return tuple(types)


def record_out(value: tuple[Any, ...], env: TypeEnv) -> str:
    """``(a,"b c",)``: NULL is nothing, the empty string is quoted."""
    parts = []
    for each, item in zip(value, column_types(value), strict=True):
        if each is None:
            parts.append("")
            continue
        text = record_out(each, env) if isinstance(each, Record) else item.output(each, env)
        if not text or not _SPECIAL.isdisjoint(text):
            text = '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'
        parts.append(text)
    return "(" + ",".join(parts) + ")"


def record_send(value: tuple[Any, ...]) -> bytes:
    """i32 columns, then for each: u32 type, i32 length or -1, bytes."""
    types = column_types(value)
    parts = [struct.pack(">i", len(types))]
    for each, item in zip(value, types, strict=True):
        if each is None:
            parts.append(struct.pack(">Ii", item.oid, -1))
            continue
        if item.send is None:
            raise NotSupported(f"no binary output function available for type {item.name}")
        data = item.send(each)
        parts.append(struct.pack(">Ii", item.oid, len(data)) + data)
    return b"".join(parts)


def record_order(value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Column by column, NULLs last and equal to each other."""
    keys: list[Callable[[Any], Any] | None] = [item.sort_value for item in getattr(value, "types", ())]
    if len(keys) != len(value):
        keys = [None] * len(value)
    return tuple(
        (1, 0) if each is None else (0, each if key is None else key(each))
        for each, key in zip(value, keys, strict=True)
    )


def _checked_order(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise DatatypeMismatch("cannot compare dissimilar column types")
    return record_order(value)


REGISTRY.add_type(
    PgType(
        oid=2249,
        name="record",
        length=-1,
        by_value=False,
        category="P",
        kind="p",
        align="d",
        storage="x",
        array=2287,
        input=refuse_input("record"),
        output=record_out,
        receive=None,
        send=record_send,
        disk="x",
        sort_value=record_order,
    )
)
comparisons(
    """
2981 record_eq(record, record) bool
2982 record_ne(record, record) bool
2983 record_lt(record, record) bool
2985 record_le(record, record) bool
2984 record_gt(record, record) bool
2986 record_ge(record, record) bool
2987 btrecordcmp(record, record) int4
""",
    _checked_order,
)
operators("""
2988 record = record bool 2981 commutator=2988 negator=2989 merges hashes
2989 record <> record bool 2982 commutator=2989 negator=2988
2990 record < record bool 2983 commutator=2991 negator=2993
2991 record > record bool 2984 commutator=2990 negator=2992
2992 record <= record bool 2985 commutator=2993 negator=2991
2993 record >= record bool 2986 commutator=2992 negator=2990
""")
operator_classes("""
10034 record_ops 2994 record_ops record 403 default 2990,2992,2988,2993,2991 2987
10035 record_ops 6194 record_ops record 405 default 2988 6192,6193
""")
