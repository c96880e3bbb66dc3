"""The hash functions by name: PostgreSQL's hash of a value, Bob Jenkins' lookup3, to the bit.

Applications use them (``hashtext`` for advisory locks and for shards). Hash indexes and hash joins of this server have
hashes of their own.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from aurora.datum import Datum
from aurora.errors import UndefinedFunction
from aurora.kernels import values
from compute_node.hub import HUB
from compute_node.types.acl import decode
from compute_node.types.declare import fn, specialized
from compute_node.types.interval import Interval, interval_span
from compute_node.types.json.hashing import hash_jsonb, hash_jsonb_extended
from compute_node.types.long_text import PIECE, STEPS, paced
from compute_node.types.network import Inet
from compute_node.types.numeric import numeric_send
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.ranges.hashes import NARROW, WIDE, multirange_hash, range_hash
from compute_node.types.record import column_types
from compute_node.types.registry import PgType, RangeForm
from compute_node.types.text import without_padding

_MASK: Final = 0xFFFFFFFF
_MASK64: Final = 0xFFFFFFFFFFFFFFFF
_PIECE_BYTES: Final = STEPS * 12
"""Worked on without a pulse."""


def _hashed(data: bytes, seed: int) -> int:
    if len(data) <= PIECE:
        return values.hash_bytes(bytes(data), seed)
    state = values.hash_begin(len(data), seed)
    whole = len(data) - len(data) % 12
    for at in range(0, whole, _PIECE_BYTES):
        state = values.hash_more(state, bytes(data[at : min(at + _PIECE_BYTES, whole)]))
        HUB.pulse()
    return values.hash_end(state, bytes(data[whole:]))


def hash_bytes(data: bytes) -> int:
    """32 bits, unsigned."""
    return _hashed(data, 0) & _MASK


def hash_bytes_extended(data: bytes, seed: int) -> int:
    """64 bits, unsigned."""
    return _hashed(data, seed)


def _hash_word(value: int) -> int:
    return values.hash_word(value) & _MASK


_hash_word_extended = values.hash_word


Hash = Callable[[Datum], int]
Extended = Callable[[Datum, int], int]


def _of_bytes(encode: Callable[[Datum], bytes]) -> tuple[Hash, Extended]:
    return (lambda value: hash_bytes(encode(value))), (lambda value, seed: hash_bytes_extended(encode(value), seed))


_word: tuple[Hash, Extended] = (_hash_word, _hash_word_extended)


def _folded(value: int) -> int:
    """Eight bytes as four, so that equal numbers of all integer types have one hash."""
    low, high = value & _MASK, value >> 32 & _MASK
    return low ^ (high if value >= 0 else ~high & _MASK)


_long: tuple[Hash, Extended] = (
    lambda value: _hash_word(_folded(value)),
    lambda value, seed: _hash_word_extended(_folded(value), seed),
)


def _float_bytes(value: float) -> bytes:
    return struct.pack("<d", math.nan if value != value else value)


def hash_float(value: float) -> int:
    """Of float8 and float4: both zeros alike, all NaNs alike."""
    return hash_bytes(_float_bytes(value)) if value else 0


_float: tuple[Hash, Extended] = (
    hash_float,
    lambda value, seed: hash_bytes_extended(_float_bytes(value), seed) if value else seed,
)


def _numeric_parts(value: Decimal) -> tuple[bytes, int]:
    """Base-10000 digits, little-endian, and the first one's weight."""
    _, weight = struct.unpack_from(">hh", numeric_send(value))
    body = numeric_send(value)[8:]
    return struct.pack(f"<{len(body) // 2}h", *struct.unpack(f">{len(body) // 2}h", body)), weight


def _numeric_hash(value: Decimal) -> int:
    if not value.is_finite():
        return 0
    if not value:
        return _MASK
    digits, weight = _numeric_parts(value)
    return hash_bytes(digits) ^ (weight & _MASK)


def _numeric_extended(value: Decimal, seed: int) -> int:
    if not value.is_finite():
        return seed
    if not value:
        return seed - 1
    digits, weight = _numeric_parts(value)
    return hash_bytes_extended(digits, seed) ^ (weight & _MASK64)


def _signed_char(value: str | bool) -> int:
    """The "char" type's byte, which is signed; Booleans are hashed as such."""
    if isinstance(value, bool):
        return int(value)
    byte = value.encode("latin-1", "replace")[:1] or b"\0"
    return byte[0] - 256 if byte[0] > 127 else byte[0]


def _inet_bytes(value: Inet) -> bytes:
    size = value.width // 8
    return bytes((2 if value.version == 4 else 3, value.prefix)) + value.address.to_bytes(size, "big")


def _tid_bytes(value: int) -> bytes:
    block = value >> 16
    return struct.pack("<HHH", block >> 16, block & 0xFFFF, value & 0xFFFF)


def _span(value: Interval) -> int:
    """The interval's length in µs as eight bytes hold it."""
    return (interval_span(value) + 2**63) % 2**64 - 2**63


_numeric = (_numeric_hash, _numeric_extended)
_text = _of_bytes(str.encode)
_timetz: tuple[Hash, Extended] = (
    lambda value: _long[0](value.us) ^ _hash_word(value.west_seconds),
    lambda value, seed: _long[1](value.us, seed) ^ _hash_word_extended(value.west_seconds, seed),
)
_char: tuple[Hash, Extended] = (
    lambda value: _hash_word(_signed_char(value)),
    lambda value, seed: _hash_word_extended(_signed_char(value), seed),
)
_bool: tuple[Hash, Extended] = (
    lambda value: _hash_word(int(value)),
    lambda value, seed: _hash_word_extended(value, seed),
)
_interval: tuple[Hash, Extended] = (
    lambda value: _long[0](_span(value)),
    lambda value, seed: _long[1](_span(value), seed),
)


def _int4(value: int) -> int:
    return (value & _MASK) - (1 << 32) if value & 0x80000000 else value & _MASK


def _int8(value: int) -> int:
    value &= _MASK64
    return value - (1 << 64) if value >> 63 else value


def _declare(block: str) -> None:
    """Each line: OIDs of the two functions, the name, the type, the pair of implementations."""
    for line in block.strip().splitlines():
        oid, extended_oid, name, argument, pair = line.split()
        plain, extended = _PAIRS[pair]
        tail = "_extended" if "_" in name else "extended"
        narrow = _hash_text if pair == "text" else values.hash_int if pair == "word" else _narrow(plain)
        fn(int(oid), f"{name}({argument}) int4", narrow)
        fn(int(extended_oid), f"{name}{tail}({argument}, int8) int8", _wide(extended))


def _hash_text(value: str) -> int:
    return values.hash_text(value) if len(value) <= PIECE else _int4(hash_bytes(value.encode()))


def _narrow(function: Hash) -> Hash:
    return lambda value: _int4(function(value))


def _wide(function: Extended) -> Extended:
    return lambda value, seed: _int8(function(value, seed))


_PAIRS: Final[dict[str, tuple[Hash, Extended]]] = {
    "word": _word,
    "long": _long,
    "float": _float,
    "numeric": _numeric,
    "text": _text,
    "bpchar": _of_bytes(lambda value: without_padding(value).encode()),
    "char": _char,
    "timetz": _timetz,
    "interval": _interval,
    "inet": _of_bytes(_inet_bytes),
    "macaddr": _of_bytes(lambda value: value.to_bytes(6, "big")),
    "macaddr8": _of_bytes(lambda value: value.to_bytes(8, "big")),
    "uuid": _of_bytes(lambda value: bytes.fromhex(value.replace("-", ""))),
    "tid": _of_bytes(_tid_bytes),
    "oidvector": _of_bytes(lambda value: struct.pack(f"<{len(value)}I", *value)),
    "bytes": _of_bytes(bytes),
    "bool": _bool,
    "jsonb": (
        lambda value: hash_jsonb(value, hash_bytes, _numeric_hash),
        lambda value, seed: hash_jsonb_extended(value, seed, hash_bytes_extended, _numeric_extended, _bool[1]),
    ),
}
_declare("""
449 441 hashint2 int2 word
450 425 hashint4 int4 word
949 442 hashint8 int8 long
451 443 hashfloat4 float4 float
452 444 hashfloat8 float8 float
453 445 hashoid oid word
454 446 hashchar char char
455 447 hashname name text
400 448 hashtext text text
1080 972 hashbpchar bpchar bpchar
457 776 hashoidvector oidvector oidvector
432 780 hash_numeric numeric numeric
422 779 hashinet inet inet
399 778 hashmacaddr macaddr macaddr
328 781 hashmacaddr8 macaddr8 macaddr8
1688 3409 time_hash time long
1696 3410 timetz_hash timetz timetz
1697 3418 interval_hash interval interval
2039 3411 timestamp_hash timestamp long
2963 3412 uuid_hash uuid uuid
3252 3413 pg_lsn_hash pg_lsn long
2233 2234 hashtid tid tid
4045 3416 jsonb_hash jsonb jsonb
456 772 hashvarlena internal bytes
""")

_BY_TYPE: Final = {
    TYPE_OIDS[name]: pair
    for names, pair in (
        ("int2 int4 oid regproc regclass regtype date", "word"),
        ("int8 timestamp timestamptz time xid8 pg_lsn", "long"),
        ("float4 float8", "float"),
        ("text varchar name", "text"),
        ("numeric", "numeric"),
        ("bpchar", "bpchar"),
        ("char", "char"),
        ("bool", "bool"),
        ("bytea", "bytes"),
        ("uuid", "uuid"),
        ("timetz", "timetz"),
        ("interval", "interval"),
        ("inet cidr", "inet"),
        ("macaddr", "macaddr"),
        ("macaddr8", "macaddr8"),
        ("tid", "tid"),
        ("jsonb", "jsonb"),
    )
    for name in names.split()
}


def _pair_of(item: PgType | None, what: str = "a hash") -> tuple[Hash, Extended]:
    """The hash of a type's values; 42883 where it has none."""
    if item is not None and item.kind == "e":
        return _word
    if item is not None and item.range_form is not None:
        return _range_pair(item, item.range_form)
    found = None if item is None else _BY_TYPE.get(item.oid)
    if found is None:
        name = "???" if item is None else item.formatted_name or item.name
        raise UndefinedFunction(f"could not identify {what} function for type {name}")
    return _PAIRS[found]


def _range_pair(item: PgType, form: RangeForm) -> tuple[Hash, Extended]:
    """Of a range or multirange type, by the hash of its bounds."""
    combine = range_hash if item.kind == "r" else multirange_hash
    plain, extended = _pair_of(form.subtype.root)

    def wide(value: Datum, seed: int) -> int:
        return combine(WIDE, lambda flags: _hash_word_extended(flags, seed), lambda bound: extended(bound, seed), value)

    return lambda value: combine(NARROW, _hash_word, plain, value), wide


def _plain_of(types: tuple[PgType, ...], result: PgType) -> Hash:
    plain = _pair_of(types[0])[0]
    return lambda value: _int4(plain(value))


def _extended_of(types: tuple[PgType, ...], result: PgType) -> Extended:
    extended = _pair_of(types[0])[1]
    return lambda value, seed: _int8(extended(value, seed))


def _elements(value: Datum) -> Datum:
    for item in value:
        if isinstance(item, list):
            yield from _elements(item)
        else:
            yield item


def _array_hash(types: tuple[PgType, ...], result: PgType) -> Hash:
    def run(value: Datum) -> int:
        plain = _pair_of(types[0].element_type)[0]
        total = 1
        for item in paced(_elements(value)):
            total = (total << 5) - total + (0 if item is None else plain(item)) & _MASK
        return _int4(total)

    return run


def _array_extended(types: tuple[PgType, ...], result: PgType) -> Extended:
    def run(value: Datum, seed: int) -> int:
        extended = _pair_of(types[0].element_type)[1]
        total = 1
        for item in paced(_elements(value)):
            total = (total << 5) - total + (0 if item is None else extended(item, seed)) & _MASK64
        return _int8(total)

    return run


specialized(626, "hash_array(anyarray) int4", _array_hash)
specialized(782, "hash_array_extended(anyarray, int8) int8", _array_extended)
specialized(3902, "hash_range(anyrange) int4", _plain_of)
specialized(3417, "hash_range_extended(anyrange, int8) int8", _extended_of)
specialized(4278, "hash_multirange(anymultirange) int4", _plain_of)
specialized(4279, "hash_multirange_extended(anymultirange, int8) int8", _extended_of)
specialized(3515, "hashenum(anyenum) int4", lambda types, result: lambda value: _int4(_hash_word(value)))
specialized(
    3414,
    "hashenumextended(anyenum, int8) int8",
    lambda types, result: lambda value, seed: _int8(_hash_word_extended(value, seed)),
)


def _record_hash(value: Datum) -> int:
    """Of the columns' hashes, one after the other. 42883 for a column without one."""
    total = 0
    for item, kind in zip(value, column_types(value), strict=True):
        plain = _pair_of(kind)[0]
        total = (total << 5) - total + (0 if item is None else plain(item)) & _MASK
    return _int4(total)


def _record_extended(value: Datum, seed: int) -> int:
    total = 0
    for item, kind in zip(value, column_types(value), strict=True):
        extended = _pair_of(kind, "an extended hash")[1]
        total = (total << 5) - total + (0 if item is None else extended(item, seed)) & _MASK64
    return _int8(total)


fn(6192, "hash_record(record) int4", _record_hash)
fn(6193, "hash_record_extended(record, int8) int8", _record_extended)


def _aclitem_word(text: str) -> int:
    """The roles and the privileges, those with grant option in the upper half, as one number."""
    item = decode(text)
    return (item.privileges | item.options << 16) + item.grantee + item.grantor & _MASK


fn(329, "hash_aclitem(aclitem) int4", lambda item: _int4(_aclitem_word(item)))
fn(
    777,
    "hash_aclitem_extended(aclitem, int8) int8",
    lambda item, seed: _int8(_hash_word_extended(_aclitem_word(item), seed)) if seed else _aclitem_word(item),
)
