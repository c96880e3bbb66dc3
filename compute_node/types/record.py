"""record: anonymous composite values, text and binary forms, comparison (manual, 8.16).

A record value is a ``Record``: a tuple that knows its columns' types, which its text form needs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aurora.datum import Datum, Row
from aurora.errors import DatatypeMismatch, NotSupported, SqlError, UndefinedFunction
from compute_node.hub import HUB
from compute_node.types.declare import fn, operator_classes, operators
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

PULSE_COLUMNS = 64
_SPECIAL = frozenset('(),"\\ \t\n\r\v\f')


class Record(tuple[Datum, ...]):
    """A row value with its column types."""

    types: tuple[PgType | None, ...]
    names: tuple[str, ...] = ()
    """of its columns, where they are known"""

    @classmethod
    def of(cls, values: Iterable[Datum], types: Iterable[PgType | None], names: tuple[str, ...] = ()) -> Record:
        """A record from its values, their types (None for a dropped column) and the columns' names."""
        record = cls(values)
        record.types = tuple(types)
        if names:
            record.names = names
        return record


def column_types(value: Row) -> tuple[PgType | None, ...]:
    """The column types of a record, None for a dropped column; a plain tuple's are unknown: 0A000."""
    types = getattr(value, "types", None)
    if types is None:
        raise NotSupported("a record without column types has no text form")
    return tuple(types)


def record_out(value: Row, env: TypeEnv) -> str:
    """``(a,"b c",)``: NULL is nothing, the empty string is quoted."""
    parts = []
    for number, (each, item) in enumerate(zip(value, column_types(value), strict=True)):
        if not number % PULSE_COLUMNS:
            HUB.pulse()
        if item is None:
            continue
        if each is None:
            parts.append("")
            continue
        text = record_out(each, env) if isinstance(each, Record) else item.output(each, env)
        if not text or not _SPECIAL.isdisjoint(text):
            text = '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'
        parts.append(text)
    return "(" + ",".join(parts) + ")"


def record_send(value: Row) -> bytes:
    """i32 columns, then for each: u32 type, i32 length or -1, bytes."""
    columns = [(each, item) for each, item in zip(value, column_types(value), strict=True) if item is not None]
    parts = [struct.pack(">i", len(columns))]
    for each, item in columns:
        if each is None:
            parts.append(struct.pack(">Ii", item.oid, -1))
            continue
        if item.send is None:
            raise NotSupported(f"no binary output function available for type {item.name}")
        data = item.send(each)
        parts.append(struct.pack(">Ii", item.oid, len(data)) + data)
    return b"".join(parts)


def record_order(value: Row) -> Row:
    """Column by column, NULLs last and equal to each other. A column whose type has no order raises 42883 where the
    columns before it are equal, so that it would decide."""
    types: tuple[PgType | None, ...] = getattr(value, "types", ())
    if len(types) != len(value):
        return tuple((1, 0) if each is None else (0, each) for each in value)
    return tuple(
        (0, order(each)) if each is not None or isinstance(order, _Unordered) else (1, 0)
        for each, order in zip(value, _orders(types), strict=True)
        if order is not None
    )


@lru_cache(maxsize=1024)
def _orders(types: tuple[PgType | None, ...]) -> tuple[Callable[[Datum], Datum] | None, ...]:
    """What makes of each column an object that compares as its value does; None for a dropped column."""
    return tuple(None if item is None else _order(item) for item in types)


def _order(item: PgType) -> Callable[[Datum], Datum]:
    if ORDER.concerns(item):
        return _Unordered(item)
    return item.sort_value or (lambda value: value)


@dataclass(frozen=True, slots=True)
class _Unordered:
    """What makes of a value, NULL too, an object that refuses to be compared."""

    item: PgType

    def __call__(self, _: Datum) -> _Incomparable:
        return _Incomparable(self.item)


class _Incomparable:
    """42883 for who compares it: a value of a type without an order."""

    __slots__ = ("_item",)

    def __init__(self, item: PgType) -> None:
        self._item = item

    def __eq__(self, _: object) -> bool:
        raise ORDER.error(self._item)

    __lt__ = __gt__ = __le__ = __ge__ = __ne__ = __eq__

    def __hash__(self) -> int:
        """The same of all: a table of hashes compares where all other columns are equal."""
        return 0


def _columns(value: Row) -> list[tuple[Any, PgType]]:
    """The values of the live columns with their types."""
    return [(each, item) for each, item in zip(value, column_types(value), strict=True) if item is not None]


class Lacking(NamedTuple):
    """What the built-in types of these OIDs do not have, for want of an operator class."""

    oids: frozenset[int]
    name: str

    def concerns(self, item: PgType) -> bool:
        """Whether a type, or that of its elements or of one of its columns, is one of them."""
        kind = item.root
        if kind.oid in self.oids:
            return True
        if kind.element_type is not None:
            return self.concerns(kind.element_type)
        return any(field.type is not None and self.concerns(field.type) for field in kind.fields)

    def error(self, item: PgType) -> SqlError:
        """42883."""
        return UndefinedFunction(f"could not identify {self.name} for type {_name(item)}")


_GEOMETRIC = {600, 601, 602, 603, 604, 628, 718}
EQUALITY: Final = Lacking(
    frozenset({114, 142, *_GEOMETRIC, 1790, 2970, 3642, 4072, 5038}),  # json, xml, refcursor, snapshots, jsonpath
    "an equality operator",
)
ORDER: Final = Lacking(EQUALITY.oids | {28, 29, 1033}, "a comparison function")  # xid, cid, aclitem
_NOTHING: Final = Lacking(frozenset(), "")


def _pairs(left: Row, right: Row, lacking: Lacking) -> Iterator[tuple[Any, Any, PgType]]:
    """The columns side by side; 42804 where they differ in type, 42883 for a type that cannot be compared so."""
    ours, theirs = _columns(left), _columns(right)
    for number, ((a, item), (b, other)) in enumerate(zip(ours, theirs, strict=False), 1):
        if item.oid != other.oid:
            raise DatatypeMismatch(
                f"cannot compare dissimilar column types {_name(item)} and {_name(other)} at record column {number}"
            )
        if lacking.concerns(item):
            raise lacking.error(item)
        yield a, b, item
    if len(ours) != len(theirs):
        raise DatatypeMismatch("cannot compare record types with different numbers of columns")


def _name(item: PgType) -> str:
    return item.formatted_name or item.name


def _compare(left: Row, right: Row) -> int:
    for a, b, item in _pairs(left, right, ORDER):
        if a is None or b is None:
            found = (a is None) - (b is None)
        else:
            key = item.sort_value
            if key is not None:
                a, b = key(a), key(b)
            found = (a > b) - (a < b)
        if found:
            return found
    return 0


def _equal(left: Row, right: Row) -> bool:
    for a, b, item in _pairs(left, right, EQUALITY):
        if a is None or b is None:
            if a is not b:
                return False
            continue
        key = item.sort_value
        if (a != b) if key is None else key(a) != key(b):
            return False
    return True


def _image(value: Datum, item: PgType) -> tuple[bytes, int]:
    """A value as bytes that are equal when the values are the same to the last bit, in the order in which they are
    compared."""
    code = item.disk
    if code in "?hiqI":
        return (int(value) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big"), 0
    if code in "fd":
        return struct.pack(">" + code, value), 0
    if code == "s":
        data = value.encode()
    elif item.to_disk is not None:
        data = item.to_disk(value)
    else:
        data = bytes(value, "latin-1") if isinstance(value, str) else bytes(value)
    return data, len(data)


def _compare_images(left: Row, right: Row) -> int:
    for a, b, item in _pairs(left, right, _NOTHING):
        if a is None or b is None:
            found = (a is None) - (b is None)
        else:
            one, other = _image(a, item), _image(b, item)
            found = (one > other) - (one < other)
        if found:
            return found
    return 0


def _refuse_input(text: str, typmod: int, env: TypeEnv) -> Datum:
    raise NotSupported("input of anonymous composite types is not implemented")


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
        input=_refuse_input,
        output=record_out,
        receive=None,
        send=record_send,
        disk="x",
        sort_value=record_order,
    )
)
_TESTS: tuple[tuple[str, Callable[[int], Any]], ...] = (
    ("lt", lambda sign: sign < 0),
    ("gt", lambda sign: sign > 0),
    ("le", lambda sign: sign <= 0),
    ("ge", lambda sign: sign >= 0),
)


def _through(compare: Callable[[Row, Row], int], test: Callable[[int], Any]) -> Callable[[Row, Row], Any]:
    return lambda left, right: test(compare(left, right))


fn(2981, "record_eq(record, record) bool", _equal)
fn(2982, "record_ne(record, record) bool", lambda left, right: not _equal(left, right))
fn(2987, "btrecordcmp(record, record) int4", _compare)
fn(3181, "record_image_eq(record, record) bool", _through(_compare_images, lambda sign: sign == 0))
fn(3182, "record_image_ne(record, record) bool", _through(_compare_images, lambda sign: sign != 0))
fn(3187, "btrecordimagecmp(record, record) int4", _compare_images)
for _place, (_suffix, _test) in enumerate(_TESTS):
    fn(2983 + _place, f"record_{_suffix}(record, record) bool", _through(_compare, _test))
    fn(3183 + _place, f"record_image_{_suffix}(record, record) bool", _through(_compare_images, _test))
operators("""
2988 record = record bool 2981 commutator=2988 negator=2989 merges hashes
2989 record <> record bool 2982 commutator=2989 negator=2988
2990 record < record bool 2983 commutator=2991 negator=2993
2991 record > record bool 2984 commutator=2990 negator=2992
2992 record <= record bool 2985 commutator=2993 negator=2991
2993 record >= record bool 2986 commutator=2992 negator=2990
3188 record *= record bool 3181 commutator=3188 negator=3189 merges
3189 record *<> record bool 3182 commutator=3189 negator=3188
3190 record *< record bool 3183 commutator=3191 negator=3193
3191 record *> record bool 3184 commutator=3190 negator=3192
3192 record *<= record bool 3185 commutator=3193 negator=3191
3193 record *>= record bool 3186 commutator=3192 negator=3190
""")
operator_classes("""
10034 record_ops 2994 record_ops record 403 default 2990,2992,2988,2993,2991 2987
10035 record_ops 6194 record_ops record 405 default 2988 6192,6193
10036 record_image_ops 3194 record_image_ops record 403 extra 3190,3192,3188,3193,3191 3187
""")
