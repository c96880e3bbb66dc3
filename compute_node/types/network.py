"""inet and cidr: I/O, order, operators and functions (manual, 8.9 and 9.12).

Both are an ``Inet``; a cidr has no bits to the right of its mask. What a value is called decides how it is written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, NamedTuple

from aurora.datum import Datum
from aurora.errors import (
    InvalidBinaryRepresentation,
    InvalidParameterValue,
    InvalidTextRepresentation,
    NumericValueOutOfRange,
    ProtocolViolation,
    SqlError,
)
from compute_node.types.common import invalid_syntax, whole_number
from compute_node.types.declare import agg, casts, comparisons, fn, operator_classes, operators
from compute_node.types.registry import REGISTRY, PgType, TypeEnv


class Inet(NamedTuple):
    """An address with the length of its network's prefix."""

    version: int
    """4 or 6"""
    prefix: int
    address: int

    @property
    def width(self) -> int:
        """Bits of an address."""
        return 32 if self.version == 4 else 128

    @property
    def host_mask(self) -> int:
        """Ones where the host's bits are."""
        return (1 << (self.width - self.prefix)) - 1

    @property
    def network(self) -> int:
        """The address without the host's bits."""
        return self.address & ~self.host_mask


_CLASSES = ((240, 32), (224, 8), (192, 24), (128, 16), (0, 8))
"""Prefix of a cidr without one, by its first byte."""


def _octets(text: str) -> list[int] | None:
    """The numbers of a dotted text, at most four."""
    parts = text.split(".")
    if len(parts) > 4 or any(not part.isascii() or not part.isdigit() or whole_number(part) > 255 for part in parts):
        return None
    return [whole_number(part) for part in parts]


def _prefix(text: str | None, most: int) -> int | None:
    """A prefix length; None when it is none, -1 when there is no text."""
    if text is None:
        return -1
    if not text.isascii() or not text.isdigit() or whole_number(text) > most:
        return None
    return whole_number(text)


def _inet4(text: str, mask: str | None) -> Inet | None:
    octets = _octets(text.removesuffix("."))
    prefix = _prefix(mask, 32)
    if octets is None or prefix is None:
        return None
    if prefix == -1:
        if len(octets) < 4:
            return None
        prefix = 32
    if prefix // 8 > len(octets):
        return None
    return Inet(4, prefix, int.from_bytes(bytes([*octets, 0, 0, 0][:4]), "big"))


def _cidr4(text: str, mask: str | None) -> Inet | None:
    if text[:2] in ("0x", "0X") and len(text) > 2:
        digits = text[2:]
        if any(char not in "0123456789abcdefABCDEF" for char in digits) or len(digits) > 8:
            return None
        octets: list[int] | None = list(bytes.fromhex(digits + "0" * (len(digits) % 2)))
    else:
        octets = _octets(text)
    prefix = _prefix(mask, 32)
    if not octets or prefix is None:
        return None
    if prefix == -1:
        prefix = next(bits for least, bits in _CLASSES if octets[0] >= least)
        prefix = max(prefix, len(octets) * 8)
        if prefix == 8 and octets[0] == 224:
            prefix = 4
    return Inet(4, prefix, int.from_bytes(bytes([*octets, 0, 0, 0][:4]), "big"))


def _inet6(text: str, mask: str | None) -> Inet | None:
    prefix = _prefix(mask, 128)
    if prefix is None or (mask is not None and len(mask) > 1 and mask.startswith("0")) or "%" in text:
        return None
    try:
        address = int(ipaddress.IPv6Address(text))
    except ValueError:
        return None
    return Inet(6, 128 if prefix == -1 else prefix, address)


def _read(text: str, name: str) -> Inet:
    address, slash, mask = text.partition("/")
    bits = mask if slash else None
    if ":" in text:
        value = _inet6(address, bits)
    else:
        value = (_inet4 if name == "inet" else _cidr4)(address, bits)
    if value is None:
        raise invalid_syntax(name, text)
    return value


def inet_in(text: str, typmod: int, env: TypeEnv) -> Inet:
    """An address with an optional prefix length; 22P02."""
    return _read(text, "inet")


def _cidr_in(text: str, typmod: int, env: TypeEnv) -> Inet:
    value = _read(text, "cidr")
    if value.address & value.host_mask:
        raise InvalidTextRepresentation(f'invalid cidr value: "{text}"', detail="Value has bits set to right of mask.")
    return value


def _dotted(address: int) -> str:
    return ".".join(map(str, address.to_bytes(4, "big")))


def host(value: Inet) -> str:
    """The address alone."""
    if value.version == 4:
        return _dotted(value.address)
    words = [value.address >> shift & 0xFFFF for shift in range(112, -1, -16)]
    begin, length = _longest_zeros(words)
    if begin == 0 and (length == 6 or (length == 5 and words[5] == 0xFFFF)):
        return f"::{'ffff:' if length == 5 else ''}{_dotted(value.address & 0xFFFFFFFF)}"
    if length < 2:
        return ":".join(f"{word:x}" for word in words)
    left = ":".join(f"{word:x}" for word in words[:begin])
    right = ":".join(f"{word:x}" for word in words[begin + length :])
    return f"{left}::{right}"


def _longest_zeros(words: list[int]) -> tuple[int, int]:
    """(begin, length) of the first longest run of zero words."""
    best, begin = (0, 0), -1
    for at, word in enumerate([*words, 1]):
        if word == 0:
            begin = at if begin < 0 else begin
        else:
            if begin >= 0 and at - begin > best[1]:
                best = (begin, at - begin)
            begin = -1
    return best


def inet_out(value: Inet) -> str:
    """The prefix only where it leaves host bits."""
    return host(value) if value.prefix == value.width else f"{host(value)}/{value.prefix}"


def cidr_out(value: Inet) -> str:
    """Always with the prefix."""
    return f"{host(value)}/{value.prefix}"


def _abbreviated(value: Inet) -> str:
    """A cidr without the bytes that its prefix does not reach."""
    if value.version == 6:
        return _abbreviated6(value)
    if not value.prefix:
        return "0/0"
    octets = value.network.to_bytes(4, "big")[: (value.prefix + 7) // 8]
    return f"{'.'.join(map(str, octets))}/{value.prefix}"


def _abbreviated6(value: Inet) -> str:
    if not value.prefix:
        return "::/0"
    data = value.network.to_bytes(16, "big")
    count = max((value.prefix + 15) // 16, 2)
    words = [data[at] << 8 | data[at + 1] for at in range(0, count * 2, 2)]
    begin, length = _zeros_as_inet_cidr_ntop(words)
    embedded = (
        length != count
        and begin == 0
        and (
            length == 6 or (length == 5 and data[10:12] == b"\xff\xff") or (length == 7 and data[14] and data[15] != 1)
        )
    )
    out = ""
    for at, word in enumerate(words):
        if begin <= at < begin + length:
            out += (":" if at == begin else "") + (":" if at == count - 1 else "")
        elif embedded and at > 5:
            out += f"{':' if at == 6 else '.'}{word >> 8}"
            if at != 7 or value.prefix > 120:
                out += f".{word & 0xFF}"
        else:
            out += (":" if out else "") + f"{word:x}"
    return f"{out}/{value.prefix}"


def _zeros_as_inet_cidr_ntop(words: list[int]) -> tuple[int, int]:
    """The run of zeros that the C library's function finds: a shorter run's length is not forgotten."""
    begin = length = run_begin = run = 0
    for at, word in enumerate(words):
        if word == 0:
            if run == 0:
                run_begin = at
            run += 1
        elif run and length < run:
            begin, length, run = run_begin, run, 0
    return (run_begin, run) if run and length < run else (begin, length)


def _key(value: Inet) -> tuple[int, int, int, int]:
    return value.version, value.network, value.prefix, value.address


def _sort_key(value: Inet) -> bytes:
    size = value.width // 8
    return bytes((value.version,)) + value.network.to_bytes(size, "big") + _body(value)


def _body(value: Inet) -> bytes:
    return bytes((value.prefix,)) + value.address.to_bytes(value.width // 8, "big")


def _to_disk(value: Inet) -> bytes:
    """Prefix length (u8), then 4 or 16 bytes of address."""
    return _body(value)


def _from_disk(data: bytes) -> Inet:
    return Inet(4 if len(data) == 5 else 6, data[0], int.from_bytes(data[1:], "big"))


def _sender(is_cidr: bool) -> Callable[[Inet], bytes]:
    def send(value: Inet) -> bytes:
        size = value.width // 8
        header = bytes((2 if value.version == 4 else 3, value.prefix, is_cidr, size))
        return header + value.address.to_bytes(size, "big")

    return send


def _receiver(name: str) -> Callable[[bytes, int], Inet]:
    def refuse(what: str) -> SqlError:
        return InvalidBinaryRepresentation(f'invalid {what} in external "{name}" value')

    def receive(data: bytes, typmod: int) -> Inet:
        if len(data) < 4:
            raise ProtocolViolation("no data left in message")
        family, prefix, _, size = data[:4]
        if family not in (2, 3):
            raise refuse("address family")
        width = 32 if family == 2 else 128
        if prefix > width:
            raise refuse("bits")
        if size * 8 != width:
            raise refuse("length")
        if len(data) < 4 + size:
            raise ProtocolViolation("no data left in message")
        if len(data) > 4 + size:
            raise InvalidBinaryRepresentation("incorrect binary data format")
        value = Inet(4 if family == 2 else 6, prefix, int.from_bytes(data[4:], "big"))
        if name == "cidr" and value.address & value.host_mask:
            raise InvalidBinaryRepresentation(
                'invalid external "cidr" value', detail="Value has bits set to right of mask."
            )
        return value

    return receive


for _oid, _name, _array, _input, _output in (
    (869, "inet", 1041, inet_in, inet_out),
    (650, "cidr", 651, _cidr_in, cidr_out),
):
    REGISTRY.add_type(
        PgType(
            oid=_oid,
            name=_name,
            length=-1,
            by_value=False,
            category="I",
            preferred=_name == "inet",
            storage="m",
            array=_array,
            input=_input,
            output=lambda value, env, write=_output: write(value),  # type: ignore[misc]
            receive=_receiver(_name),
            send=_sender(_name == "cidr"),
            disk="x",
            to_disk=_to_disk,
            from_disk=_from_disk,
            sort_value=_key,
            sort_key=_sort_key,
        )
    )

comparisons(
    """
920 network_eq(inet, inet) bool
925 network_ne(inet, inet) bool
921 network_lt(inet, inet) bool
922 network_le(inet, inet) bool
923 network_gt(inet, inet) bool
924 network_ge(inet, inet) bool
926 network_cmp(inet, inet) int4
""",
    _key,
)


def _within(inner: Inet, outer: Inet) -> bool:
    """Whether the network of ``outer`` holds that of ``inner``, or is the same."""
    return (
        inner.version == outer.version
        and inner.prefix >= outer.prefix
        and inner.address >> (inner.width - outer.prefix) == outer.address >> (outer.width - outer.prefix)
    )


def _overlap(a: Inet, b: Inet) -> bool:
    return _within(a, b) or _within(b, a)


def _same_size(word: str, a: Inet, b: Inet) -> None:
    if a.version != b.version:
        raise InvalidParameterValue(f"cannot {word} inet values of different sizes")


def _and(a: Inet, b: Inet) -> Inet:
    _same_size("AND", a, b)
    return Inet(a.version, max(a.prefix, b.prefix), a.address & b.address)


def _or(a: Inet, b: Inet) -> Inet:
    _same_size("OR", a, b)
    return Inet(a.version, max(a.prefix, b.prefix), a.address | b.address)


def _plus(value: Inet, count: int) -> Inet:
    address = value.address + count
    if not 0 <= address < 1 << value.width:
        raise NumericValueOutOfRange("result is out of range")
    return value._replace(address=address)


def _minus(value: Inet, count: int) -> Inet:
    # -2**63 has no opposite in 64 bits: PostgreSQL adds it as it is.
    return _plus(value, count if count == -(2**63) else -count)


def _difference(a: Inet, b: Inet) -> int:
    if a.version != b.version:
        raise InvalidParameterValue("cannot subtract inet values of different sizes")
    result = a.address - b.address
    if not -(2**63) <= result < 2**63:
        raise NumericValueOutOfRange("result is out of range")
    return result


def _network(value: Inet) -> Inet:
    return value._replace(address=value.network)


def _netmask(value: Inet) -> Inet:
    return Inet(value.version, value.width, ((1 << value.width) - 1) ^ value.host_mask)


def _with_prefix(value: Inet, prefix: int) -> Inet:
    if prefix == -1:
        prefix = value.width
    if not 0 <= prefix <= value.width:
        raise InvalidParameterValue(f"invalid mask length: {prefix}")
    return value._replace(prefix=prefix)


def _merge(a: Inet, b: Inet) -> Inet:
    """The smallest network that holds both."""
    if a.version != b.version:
        raise InvalidParameterValue("cannot merge addresses from different families")
    common = min(a.prefix, b.prefix, a.width - (a.address ^ b.address).bit_length())
    return _network(a._replace(prefix=common))


fn(3551, "network_overlap(inet, inet) bool", _overlap)
fn(927, "network_sub(inet, inet) bool", lambda a, b: _within(a, b) and a.prefix > b.prefix)
fn(928, "network_subeq(inet, inet) bool", _within)
fn(929, "network_sup(inet, inet) bool", lambda a, b: _within(b, a) and b.prefix > a.prefix)
fn(930, "network_supeq(inet, inet) bool", lambda a, b: _within(b, a))
fn(3562, "network_larger(inet, inet) inet", lambda a, b: a if _key(a) > _key(b) else b)
fn(3563, "network_smaller(inet, inet) inet", lambda a, b: a if _key(a) < _key(b) else b)
fn(2627, "inetnot(inet) inet", lambda value: value._replace(address=value.address ^ ((1 << value.width) - 1)))
fn(2628, "inetand(inet, inet) inet", _and)
fn(2629, "inetor(inet, inet) inet", _or)
fn(2630, "inetpl(inet, int8) inet", _plus)
fn(2631, "int8pl_inet(int8, inet) inet", lambda count, value: _plus(value, count))
fn(2632, "inetmi_int8(inet, int8) inet", _minus)
fn(2633, "inetmi(inet, inet) int8", _difference)
fn(598, "abbrev(inet) text", inet_out)
fn(599, "abbrev(cidr) text", _abbreviated)
fn(605, "set_masklen(inet, int4) inet", _with_prefix)
fn(635, "set_masklen(cidr, int4) cidr", lambda value, prefix: _network(_with_prefix(value, prefix)))
fn(683, "network(inet) cidr", _network)
fn(
    696,
    "netmask(inet) inet",
    lambda value: Inet(value.version, value.width, ((1 << value.width) - 1) ^ value.host_mask),
)
fn(697, "masklen(inet) int4", lambda value: value.prefix)
fn(698, "broadcast(inet) inet", lambda value: value._replace(address=value.address | value.host_mask))
fn(699, "host(inet) text", host)
fn(711, "family(inet) int4", lambda value: value.version)
fn(730, "text(inet) text", cidr_out)
fn(1362, "hostmask(inet) inet", lambda value: Inet(value.version, value.width, value.host_mask))
fn(1715, "cidr(inet) cidr", _network)
fn(4063, "inet_merge(inet, inet) cidr", _merge)
fn(4071, "inet_same_family(inet, inet) bool", lambda a, b: a.version == b.version)


def _extreme(choose: Any) -> Datum:
    return lambda state, value: value if state is None else choose(state, value, key=_key)


agg(3564, "max(inet) inet", lambda: None, _extreme(max), lambda state: state, transition_type=869)
agg(3565, "min(inet) inet", lambda: None, _extreme(min), lambda state: state, transition_type=869)
operators("""
931 inet << inet bool 927 commutator=933
932 inet <<= inet bool 928 commutator=934
933 inet >> inet bool 929 commutator=931
934 inet >>= inet bool 930 commutator=932
1201 inet = inet bool 920 commutator=1201 negator=1202 merges hashes
1202 inet <> inet bool 925 commutator=1202 negator=1201
1203 inet < inet bool 921 commutator=1205 negator=1206
1204 inet <= inet bool 922 commutator=1206 negator=1205
1205 inet > inet bool 923 commutator=1203 negator=1204
1206 inet >= inet bool 924 commutator=1204 negator=1203
2634 - ~ inet inet 2627
2635 inet & inet inet 2628
2636 inet | inet inet 2629
2637 inet + int8 inet 2630 commutator=2638
2638 int8 + inet inet 2631 commutator=2637
2639 inet - int8 inet 2632
2640 inet - inet int8 2633
3552 inet && inet bool 3551 commutator=3552
""")
casts("""
10181 cidr inet 0 i b
10182 inet cidr 1715 a f
10189 cidr text 730 a f
10190 inet text 730 a f
10194 cidr varchar 730 a f
10195 inet varchar 730 a f
10199 cidr bpchar 730 a f
10200 inet bpchar 730 a f
""")
operator_classes("""
10009 cidr_ops 1974 network_ops inet 403 extra 1203,1204,1201,1206,1205 926,5033,0,5051
10010 cidr_ops 1975 network_ops inet 405 extra 1201 422,779
10015 inet_ops 1974 network_ops inet 403 default 1203,1204,1201,1206,1205 926,5033,0,5051
10016 inet_ops 1975 network_ops inet 405 default 1201 422,779
""")
