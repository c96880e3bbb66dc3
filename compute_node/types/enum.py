"""Enumerated types: the functions and operators over any enum, and the type of one (manual, 8.7 and 9.10).

A value is the OID of its label's row in pg_enum, which renaming a label does not change. Its place among the others is
the row's enumsortorder: a new label between two others gets an OID above both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aurora.datum import Datum, Row
from aurora.errors import InvalidBinaryRepresentation, InvalidTextRepresentation, UnsafeNewEnumValueUsage
from compute_node.types.declare import operator_classes, operators, specialized
from compute_node.types.registry import PgType, Specialize, TypeEnv

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")
Types = tuple[PgType, ...]


class Label(NamedTuple):
    """One row of pg_enum."""

    oid: int
    order: float
    name: str
    unsafe: bool = False
    """added by a transaction that is still under way, which may not use it: an index that it left behind could not be
    sorted any more if the label went"""


class _Labels:
    """The labels of one type, by OID and by name."""

    def __init__(self, type_name: str, labels: Sequence[Label]) -> None:
        self.type_name = type_name
        self.sorted = sorted(labels, key=lambda label: label.order)
        self.orders = {label.oid: label.order for label in labels}
        self.names = {label.oid: label.name for label in labels}
        self.oids = {label.name: label.oid for label in labels}

        self.unsafe = frozenset(label.oid for label in labels if label.unsafe)

    def checked(self, value: int) -> int:
        """The value; 55P04 for one that is not committed yet."""
        if value in self.unsafe:
            raise UnsafeNewEnumValueUsage(
                f'unsafe use of new value "{self.names[value]}" of enum type {self.type_name}',
                hint="New enum values must be committed before they can be used.",
            )
        return value

    def read(self, text: str, typmod: int, env: TypeEnv) -> int:
        """Text input; 22P02."""
        found = self.oids.get(text)
        if found is None:
            raise InvalidTextRepresentation(f'invalid input value for enum {self.type_name}: "{text}"')
        return self.checked(found) if self.unsafe else found

    def write(self, value: int) -> str:
        """Text output; 22P03 for an OID without a label."""
        found = self.names.get(value)
        if found is None:
            raise InvalidBinaryRepresentation(f"invalid internal value for enum: {value}")
        return found

    def key(self, value: int) -> bytes:
        """memcmp key of a value: its order's IEEE 754 bits, made comparable."""
        (bits,) = _U64.unpack(_F64.pack(self.orders[value]))
        return _U64.pack(bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 0x8000000000000000))


class Members(tuple[int, ...]):
    """The values of an enum, in order."""

    labels: _Labels

    @classmethod
    def of(cls, labels: _Labels) -> Members:
        """From the labels."""
        members = cls(label.oid for label in labels.sorted)
        members.labels = labels
        return members


def _checked(members: Row, values: list[int]) -> list[int]:
    """The values, none of which may be one that is not committed yet."""
    if isinstance(members, Members) and members.labels.unsafe:
        for value in values:
            members.labels.checked(value)
    return values


def make_enum_type(oid: int, name: str, namespace: int, array: int, labels: Sequence[Label]) -> PgType:
    """The type of an enum with these labels."""
    known = _Labels(name, labels)
    return PgType(
        oid=oid,
        name=name,
        namespace=namespace,
        array=array,
        length=4,
        by_value=True,
        category="E",
        kind="e",
        align="i",
        storage="p",
        input=known.read,
        output=lambda value, env: known.write(value),
        text_bytes=lambda value: known.write(value).encode(),
        receive=lambda data, typmod: known.read(data.decode(), typmod, _NO_ENV),
        send=lambda value: known.write(value).encode(),
        element_bytes=_U32.pack,
        element_value=lambda data: int(_U32.unpack(data)[0]),
        disk="I",
        sort_value=known.orders.__getitem__,
        sort_key=known.key,
        members=Members.of(known),
    )


_NO_ENV: Any = None


def _compare(test: Callable[[Datum, Datum], Datum]) -> Specialize:
    def specialize(types: Types, result: PgType) -> Callable[..., Datum]:
        key = types[0].sort_value or (lambda value: value)
        return lambda a, b: test(key(a), key(b))

    return specialize


def _pick(choose: Callable[..., Datum]) -> Specialize:
    def specialize(types: Types, result: PgType) -> Callable[..., Datum]:
        key = types[0].sort_value
        return lambda a, b: choose(a, b, key=key)

    return specialize


def _at(index: int) -> Specialize:
    """The first or last value of the argument's type; its value is not looked at."""

    def specialize(types: Types, result: PgType) -> Callable[..., Datum]:
        members = types[0].members
        return lambda value: _checked(members, [members[index]])[0] if members else None

    return specialize


def _range(types: Types, result: PgType) -> Callable[..., list[int]]:
    members, order = types[0].members, types[0].sort_value or (lambda value: value)

    def between(low: int | None, high: int | None) -> list[int]:
        found = [
            each
            for each in members
            if (low is None or order(each) >= order(low)) and (high is None or order(each) <= order(high))
        ]
        return _checked(members, found)

    return between


specialized(3508, "enum_eq(anyenum, anyenum) bool", lambda types, result: lambda a, b: a == b)
specialized(3509, "enum_ne(anyenum, anyenum) bool", lambda types, result: lambda a, b: a != b)
specialized(3510, "enum_lt(anyenum, anyenum) bool", _compare(lambda a, b: a < b))
specialized(3511, "enum_gt(anyenum, anyenum) bool", _compare(lambda a, b: a > b))
specialized(3512, "enum_le(anyenum, anyenum) bool", _compare(lambda a, b: a <= b))
specialized(3513, "enum_ge(anyenum, anyenum) bool", _compare(lambda a, b: a >= b))
specialized(3514, "enum_cmp(anyenum, anyenum) int4", _compare(lambda a, b: (a > b) - (a < b)))
specialized(3524, "enum_smaller(anyenum, anyenum) anyenum", _pick(min))
specialized(3525, "enum_larger(anyenum, anyenum) anyenum", _pick(max))
specialized(3528, "enum_first(anyenum) anyenum stable nullable", _at(0))
specialized(3529, "enum_last(anyenum) anyenum stable nullable", _at(-1))
specialized(3530, "enum_range(anyenum, anyenum) anyarray stable nullable", _range)
specialized(
    3531,
    "enum_range(anyenum) anyarray stable nullable",
    lambda types, result: lambda value: _checked(types[0].members, list(types[0].members)),
)
operators("""
3516 anyenum = anyenum bool 3508 commutator=3516 negator=3517 merges hashes
3517 anyenum <> anyenum bool 3509 commutator=3517 negator=3516
3518 anyenum < anyenum bool 3510 commutator=3519 negator=3521
3519 anyenum > anyenum bool 3511 commutator=3518 negator=3520
3520 anyenum <= anyenum bool 3512 commutator=3521 negator=3519
3521 anyenum >= anyenum bool 3513 commutator=3520 negator=3518
""")
operator_classes("""
10069 enum_ops 3522 enum_ops anyenum 403 default 3518,3520,3516,3521,3519 3514,0,0,5051
10070 enum_ops 3523 enum_ops anyenum 405 default 3516 3515,3414
""")
