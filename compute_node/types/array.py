"""Arrays of every type, oidvector and int2vector: text and binary I/O, storage, comparison (manual, 8.15).

A value is a list as ``array_value`` says. Both vectors are flat lists, their lower bound is 0.

Binary and stored form::

    i32 dimensions | i32 has-NULLs | u32 element type | (i32 length, i32 lower bound) per dimension
    then each element: i32 length or -1 for NULL, bytes
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from aurora.datum import Datum
from aurora.errors import (
    ArraySubscriptError,
    InvalidBinaryRepresentation,
    InvalidTextRepresentation,
    NotSupported,
    NumericValueOutOfRange,
    ProgramLimitExceeded,
    SqlError,
)
from compute_node.hub import HUB
from compute_node.types.array_load import fast_load
from compute_node.types.array_value import (
    DIMENSIONS_MAX,
    INDEX_MAX,
    BoundedArray,
    bounded,
    dimensions,
    flatten,
    lower_bounds,
    map_elements,
    nest,
    too_many_dimensions,
)
from compute_node.types.common import WHITESPACE, invalid_syntax, value_out_of_range, whole_number
from compute_node.types.declare import comparisons, operator_classes, operators
from compute_node.types.long_text import STEPS, paced
from compute_node.types.registry import REGISTRY, PgType, TypeEnv
from compute_node.types.typenames import check_sent_type

PULSE_ITEMS = 256
_QUOTED = frozenset('{}"\\' + WHITESPACE)
_HEADER = struct.Struct(">iiI")
_DIMENSION = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")


def quote_element(text: str, delimiter: str) -> str:
    """An element's text as it stands in the array's: quoted when it could be misread."""
    if text and text.isalnum() and text.lower() != "null":
        return text
    if not text or text.lower() == "null" or delimiter in text or not _QUOTED.isdisjoint(text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _numbers(value: list[Datum]) -> str | None:
    """The text of an array of whole numbers of one dimension without NULLs; None of another."""
    parts = []
    for at in range(0, len(value), STEPS):
        piece = value[at : at + STEPS] if len(value) > STEPS else value
        if type(piece[0]) is list or None in piece:
            return None
        parts.append(",".join(map(str, piece)))
        if at:
            HUB.pulse()
    return "{" + ",".join(parts) + "}"


def array_output(element: PgType) -> Callable[[list[Datum], TypeEnv], str]:
    """Text output for arrays of ``element``."""
    write, delimiter = element.output, element.delimiter
    whole = element.name in ("int2", "int4", "int8", "oid")

    def braces(value: list[Datum], env: TypeEnv) -> str:
        parts = (
            "NULL"
            if each is None
            else braces(each, env)
            if isinstance(each, list)
            else quote_element(write(each, env), delimiter)
            for each in (value if len(value) <= STEPS else paced(value))
        )
        return "{" + delimiter.join(parts) + "}"

    def output(value: list[Datum], env: TypeEnv) -> str:
        plain = _numbers(value) if whole and type(value) is list else None
        if plain is not None:
            return plain
        if not isinstance(value, BoundedArray) or all(bound == 1 for bound in value.bounds):
            return braces(value, env)
        sizes = zip(value.bounds, dimensions(value), strict=True)
        return "".join(f"[{low}:{low + length - 1}]" for low, length in sizes) + "=" + braces(value, env)

    return output


def malformed(text: str, detail: str) -> SqlError:
    """22P02 with the detail that names what is wrong."""
    return InvalidTextRepresentation(f'malformed array literal: "{text}"', detail=detail)


_DIMENSION_ITEM = re.compile(r"\[([0-9+-]+)?(?:(:)([0-9+-]*))?(\])?")


def _integer(text: str) -> int:
    """As C's atoi: what does not read as a number counts as far as it does."""
    found = re.match(r"[+-]?[0-9]+", text)
    return whole_number(found[0]) if found is not None else 0


def _unexpected(sign: str) -> str:
    """What is wrong with a sign where an element has ended."""
    return f'Unexpected "{sign}" character.' if sign in "{\\" else "Unexpected array element."


class _Reader:
    """Recursive-descent reader of one array literal: first what its parts are, then their values, so that an element
    that is none is not told of in a literal that is none."""

    def __init__(self, text: str, element: PgType, typmod: int, env: TypeEnv) -> None:
        self.shown = text
        self.text, self.element, self.typmod, self.env = text, element, typmod, env
        self.at = 0
        self.lengths: list[int | None] = []

    def fail(self, detail: str) -> SqlError:
        return malformed(self.shown, detail)

    def skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in WHITESPACE:
            self.at += 1

    def peek(self) -> str:
        if self.at >= len(self.text):
            raise self.fail("Unexpected end of input.")
        return self.text[self.at]

    def read(self) -> list[Datum]:
        bounds, sizes = self.dimension_items()
        if not bounds:
            if self.text[self.at : self.at + 1] != "{":
                raise self.fail('Array value must start with "{" or dimension information.')
        else:
            if self.text[self.at : self.at + 1] != "=":
                raise self.fail('Missing "=" after array dimensions.')
            self.at += 1
            self.skip_space()
            if self.text[self.at : self.at + 1] != "{":
                raise self.fail('Array contents must start with "{".')
        if self.at:
            self.shown = self.text[self.at :]
        words = self.level(0)
        self.skip_space()
        if self.at < len(self.text):
            raise self.fail("Junk after closing right brace.")
        if bounds and sizes != self.lengths:
            raise malformed(self.text, "Specified array dimensions do not match array contents.")
        if not any(True for _ in flatten(words)):
            return []
        value = map_elements(words, self.converted) if len(self.lengths) > 1 else self.converted_all(words)
        return bounded(value, bounds) if bounds else value

    def converted(self, word: str | None) -> Datum:
        """An element of its text; NULL is checked where the type wants that."""
        if word is not None:
            return self.element.input(word, self.typmod, self.env)
        if self.element.check is not None:
            self.element.check(None, self.env)
        return None

    def converted_all(self, words: list[Datum]) -> list[Datum]:
        """The elements of one dimension."""
        convert = self.converted
        return [convert(word) for word in (words if len(words) <= PULSE_ITEMS else paced(words))]

    def dimension_items(self) -> tuple[list[int], list[int]]:
        """Lower bounds and lengths as ``[m:n]`` or ``[n]`` items give them."""
        bounds: list[int] = []
        sizes: list[int] = []
        while True:
            self.skip_space()
            if self.text[self.at : self.at + 1] != "[":
                return bounds, sizes
            if len(bounds) == DIMENSIONS_MAX:
                raise too_many_dimensions(len(bounds) + 1)
            found = _DIMENSION_ITEM.match(self.text, self.at)
            if found is None or found[1] is None:
                raise self.fail('"[" must introduce explicitly-specified array dimensions.')
            low, colon, high, end = found.groups()
            if colon and not high:
                raise self.fail("Missing array dimension value.")
            if not end:
                raise self.fail('Missing "]" after array dimensions.')
            first, last = (_integer(low), _integer(high)) if colon else (1, _integer(low))
            if last < first:
                raise ArraySubscriptError("upper bound cannot be less than lower bound")
            bounds.append(first)
            sizes.append(last - first + 1)
            self.at = found.end()

    def level(self, depth: int) -> list[Datum]:
        self.at += 1
        if depth == len(self.lengths):
            if depth == DIMENSIONS_MAX:
                raise too_many_dimensions(depth + 1)
            self.lengths.append(None)
        items: list[Datum] = []
        self.skip_space()
        if self.peek() == "}" and depth == 0:
            self.at += 1
            return self.checked(items, depth)
        while True:
            if not len(items) % PULSE_ITEMS:
                HUB.pulse()
            self.skip_space()
            if self.peek() == "{":
                if items and not isinstance(items[-1], list):
                    raise self.fail('Unexpected "{" character.')
                items.append(self.level(depth + 1))
            else:
                if items and isinstance(items[-1], list):
                    raise self.fail(_unexpected(self.peek()))
                items.append(self.scalar())
            self.skip_space()
            sign = self.peek()
            self.at += 1
            if sign == "}":
                return self.checked(items, depth)
            if sign != self.element.delimiter:
                raise self.fail(f'Unexpected "{sign}" character.' if sign in '{"' else "Unexpected array element.")

    def checked(self, items: list[Datum], depth: int) -> list[Datum]:
        if self.lengths[depth] not in (None, len(items)):
            raise self.fail("Multidimensional arrays must have sub-arrays with matching dimensions.")
        self.lengths[depth] = len(items)
        return items

    def scalar(self) -> str | None:
        """The text of an element; None for NULL."""
        text, quoted, delimiter = self.text, False, self.element.delimiter
        out: list[str] = []
        kept = 0
        while True:
            sign = self.peek()
            if sign == '"':
                if quoted or out:
                    raise self.fail("Unexpected array element.")
                quoted = True
                self.at += 1
                while (sign := self.peek()) != '"':
                    if sign == "\\":
                        self.at += 1
                        sign = self.peek()
                    out.append(sign)
                    self.at += 1
                self.at += 1
                self.skip_space()
                if self.peek() not in (delimiter, "}"):
                    raise self.fail(_unexpected(self.peek()))
                break
            if sign in (delimiter, "}"):
                break
            if sign == "{":
                raise self.fail('Unexpected "{" character.')
            if sign == "\\":
                self.at += 1
                out.append(self.peek())
                kept = len(out)
            else:
                out.append(sign)
                if sign not in WHITESPACE:
                    kept = len(out)
            self.at += 1
        if quoted:
            return "".join(out)
        word = "".join(out[:kept])
        if not word:
            raise self.fail(f'Unexpected "{text[self.at]}" character.')
        return None if word.lower() == "null" else word


def array_input(element: PgType) -> Callable[[str, int, TypeEnv], list[Datum]]:
    """Text input for arrays of ``element``."""
    return lambda text, typmod, env: _Reader(text, element, typmod, env).read()


def stored_codec(element: PgType) -> tuple[Callable[[Datum], bytes], Callable[[bytes, int], Datum]]:
    """(encode, decode) of one element for the stored form."""
    encode, decode = element.element_bytes, element.element_value
    if encode is None or decode is None:
        return element_codec(element)
    return encode, lambda data, typmod: decode(data)


def element_codec(element: PgType) -> tuple[Callable[[Datum], bytes], Callable[[bytes, int], Datum]]:
    """(encode, decode) of one element: its binary form, or for types without it the text."""
    if element.send is not None and element.receive is not None:
        return element.send, element.receive
    return str.encode, lambda data, typmod: data.decode()


def array_send(element: PgType, encode: Callable[[Datum], bytes]) -> Callable[[list[Datum]], bytes]:
    """Binary output for arrays of ``element``."""

    def send(value: list[Datum]) -> bytes:
        lengths = dimensions(value)
        flat = list(flatten(value))
        parts = [_HEADER.pack(len(lengths), None in flat, element.oid)]
        parts.extend(map(_DIMENSION.pack, lengths, lower_bounds(value)))
        for each in flat:
            if each is None:
                parts.append(b"\xff\xff\xff\xff")
            else:
                data = encode(each)
                parts.append(_LENGTH.pack(len(data)))
                parts.append(data)
        return b"".join(parts)

    return send


def array_receive(element: PgType, decode: Callable[[bytes, int], Datum]) -> Callable[[bytes, int], list[Datum]]:
    """Binary input for arrays of ``element``; 22P03 for a malformed value."""

    def receive(data: bytes, typmod: int = -1) -> list[Datum]:
        if len(data) < 12:
            raise InvalidBinaryRepresentation("incorrect binary data format")
        count, flags, element_oid = _HEADER.unpack_from(data)
        if not 0 <= count <= 6 or flags not in (0, 1) or len(data) < 12 + 8 * count:
            raise InvalidBinaryRepresentation(f"invalid number of dimensions: {count}")
        check_sent_type(element_oid, element.oid, "array element type")
        lengths, bounds, total, at = [], [], 1, 12
        for _dimension in range(count):
            length, lower = _DIMENSION.unpack_from(data, at)
            if length < 0:
                raise InvalidBinaryRepresentation("incorrect binary data format")
            if lower + length > INDEX_MAX:
                raise ProgramLimitExceeded(f"array lower bound is too large: {lower}")
            lengths.append(length)
            bounds.append(lower)
            total *= length
            at += 8
        elements: list[Datum] = []
        for _element in range(total if count else 0):
            if at + 4 > len(data):
                raise InvalidBinaryRepresentation("insufficient data left in message")
            (size,) = _LENGTH.unpack_from(data, at)
            at += 4
            if size < -1 or at + size > len(data):
                raise InvalidBinaryRepresentation("insufficient data left in message")
            if size == -1:
                elements.append(None)
            else:
                elements.append(decode(bytes(data[at : at + size]), typmod))
                at += size
        if at != len(data):
            raise InvalidBinaryRepresentation("incorrect binary data format")
        return bounded(nest(elements, lengths), bounds) if elements else []

    return receive


def array_order(element: PgType) -> Callable[[list[Datum]], Datum]:
    """A comparable and hashable object: elements first (NULLs last), then dimensions and lower bounds."""
    key = element.sort_value

    def order(value: list[Datum]) -> Datum:
        flat = tuple((1, 0) if each is None else (0, each if key is None else key(each)) for each in flatten(value))
        lengths = tuple(dimensions(value))
        return flat, len(lengths), lengths, lower_bounds(value)

    return order


def array_key(element: PgType) -> Callable[[list[Datum]], bytes] | None:
    """memcmp key: 01 and the key of each element (02 for NULL), 00, the dimensions, the lower bounds. An element's key
    of variable length ends with two zero bytes, and zeros in it are followed by FF."""
    key = element.sort_key
    if key is None:
        return None
    escaped = element.length < 0

    def encode(value: list[Datum]) -> bytes:
        lengths = dimensions(value)
        parts = []
        for each in flatten(value):
            if each is None:
                parts.append(b"\x02")
            elif escaped:
                parts.append(b"\x01" + key(each).replace(b"\0", b"\0\xff") + b"\0\0")
            else:
                parts.append(b"\x01" + key(each))
        parts.append(bytes((0, len(lengths))))
        parts.extend(length.to_bytes(4, "big") for length in lengths)
        parts.extend((bound + (1 << 31)).to_bytes(4, "big") for bound in lower_bounds(value))
        return b"".join(parts)

    return encode


def _typmod_cast(element: PgType) -> Callable[[list[Datum], int, bool], list[Datum]] | None:
    cast = element.typmod_cast
    if cast is None:
        return None

    def apply(value: list[Datum], typmod: int, explicit: bool) -> list[Datum]:
        return map_elements(value, lambda each: None if each is None else cast(each, typmod, explicit))

    return apply


def _check(element: PgType) -> Callable[[list[Datum] | None, TypeEnv], None] | None:
    check = element.check
    if check is None:
        return None

    def apply(value: list[Datum] | None, env: TypeEnv) -> None:
        if value is not None:
            for each in flatten(value):
                check(each, env)

    return apply


def _refuse_input(text: str, typmod: int, env: TypeEnv) -> list[Datum]:
    raise NotSupported("arrays of a domain over arrays, or of a vector, are not supported")


def make_array_type(element: PgType) -> PgType:
    """The array type of ``element`` (also for types that users create)."""
    encode, decode = element_codec(element)
    send, receive = array_send(element, encode), array_receive(element, decode)
    keep, load = send, receive
    if element.element_bytes is not None:
        encode, decode = stored_codec(element)
        keep, load = array_send(element, encode), array_receive(element, decode)
    has_binary = element.send is not None and element.receive is not None
    # Elements that are arrays themselves could not be told from further dimensions.
    holds_arrays = element.root.element != 0 and element.root.length == -1
    return PgType(
        oid=element.array,
        name="_" + element.name[:62],
        formatted_name=(element.formatted_name or element.name) + "[]",
        length=-1,
        by_value=False,
        category="P" if element.name == "record" else "A",
        kind="p" if element.name == "record" else "b",
        input=_refuse_input if holds_arrays else array_input(element),
        output=array_output(element),
        receive=receive if has_binary and not holds_arrays else None,
        send=send if has_binary else None,
        disk="x",
        to_disk=keep,
        from_disk=fast_load(element.name if element.base is None else "", lambda data: load(data, -1)),
        sort_value=array_order(element),
        sort_key=array_key(element),
        element=element.oid,
        element_type=element,
        align="d" if element.align == "d" else "i",
        storage="x",
        delimiter=element.delimiter,
        collation=element.collation,
        typmod_in=element.typmod_in,
        typmod_out=element.typmod_out,
        typmod_cast=_typmod_cast(element),
        check=_check(element),
        parts=element.parts | {element.oid},
    )


_VECTOR_NAMES = {"oid": "oid", "int2": "smallint"}
_VECTOR_NUMBER = re.compile(r"\s*([+-]?[0-9]+)")


def _vector_numbers(element: PgType, text: str, whole_words: bool, env: TypeEnv) -> Iterator[int]:
    """The numbers of a text that is no list of words: the error names the text from the fault on. ``whole_words``:
    after a number only a space may come."""
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _VECTOR_NUMBER.match(text, at)
        if match is None or (whole_words and text[match.end() : match.end() + 1].strip()):
            raise invalid_syntax(_VECTOR_NAMES[element.name], text[at:].lstrip())
        try:
            yield element.input(match[1], -1, env)
        except SqlError:
            raise value_out_of_range(_VECTOR_NAMES[element.name], text[at:].lstrip()) from None
        at = match.end()


def _vector(oid: int, name: str, element: PgType, array: int) -> None:
    # oidvector has an order of its own; int2vector is compared as an array.
    is_array = name == "int2vector"
    encode, decode = element_codec(element)
    send, receive = array_send(element, encode), array_receive(element, decode)

    def read(text: str, typmod: int, env: TypeEnv) -> list[int]:
        try:
            return [element.input(word, -1, env) for word in paced(text.split())]
        except (InvalidTextRepresentation, NumericValueOutOfRange):
            return list(paced(_vector_numbers(element, text, is_array, env)))

    def vector_send(value: list[int]) -> bytes:
        """As an array's, with the vectors' lower bound 0, of one dimension even when empty."""
        data = send(value)
        return (
            data[:12] + _DIMENSION.pack(len(value), 0) + data[20:]
            if value
            else _HEADER.pack(1, 0, element.oid) + _DIMENSION.pack(0, 0)
        )

    def vector_receive(data: bytes, typmod: int) -> list[int]:
        one_from_zero = len(data) >= 20 and data[:8] == b"\0\0\0\1\0\0\0\0" and data[16:20] == bytes(4)
        if not one_from_zero and _HEADER.size <= len(data):
            raise InvalidBinaryRepresentation(f"invalid {name} data")
        data = data[:16] + b"\0\0\0\1" + data[20:]
        return receive(data, typmod)

    REGISTRY.add_type(
        PgType(
            oid=oid,
            name=name,
            length=-1,
            by_value=False,
            category="A",
            array=array,
            element=element.oid,
            element_type=element,
            input=read,
            output=lambda value, env: " ".join(map(str, value)),
            text_bytes=lambda value: " ".join(map(str, value)).encode(),
            receive=vector_receive,
            send=vector_send,
            disk="x",
            to_disk=send,
            from_disk=lambda data: receive(data, -1),
            sort_value=tuple if is_array else lambda value: (len(value), tuple(value)),
            sort_key=array_key(element)
            if is_array
            else lambda value: len(value).to_bytes(4, "big") + b"".join(map(element.sort_key or bytes, value)),
        )
    )


_vector(30, "oidvector", REGISTRY.types_by_name["oid"], 1013)
_vector(22, "int2vector", REGISTRY.types_by_name["int2"], 1006)
comparisons(
    """
679 oidvectoreq(oidvector, oidvector) bool
619 oidvectorne(oidvector, oidvector) bool
677 oidvectorlt(oidvector, oidvector) bool
678 oidvectorle(oidvector, oidvector) bool
681 oidvectorgt(oidvector, oidvector) bool
680 oidvectorge(oidvector, oidvector) bool
404 btoidvectorcmp(oidvector, oidvector) int4
""",
    lambda value: (len(value), value),
)

for _type in [each for each in REGISTRY.types.values() if each.array]:
    REGISTRY.add_type(make_array_type(_type))
operators("""
349 anycompatiblearray || anycompatible anycompatiblearray 378
374 anycompatible || anycompatiblearray anycompatiblearray 379
375 anycompatiblearray || anycompatiblearray anycompatiblearray 383
1070 anyarray = anyarray bool 744 commutator=1070 negator=1071 merges hashes
1071 anyarray <> anyarray bool 390 commutator=1071 negator=1070
1072 anyarray < anyarray bool 391 commutator=1073 negator=1075
1073 anyarray > anyarray bool 392 commutator=1072 negator=1074
1074 anyarray <= anyarray bool 393 commutator=1075 negator=1073
1075 anyarray >= anyarray bool 396 commutator=1074 negator=1072
2750 anyarray && anyarray bool 2747 commutator=2750
2751 anyarray @> anyarray bool 2748 commutator=2752
2752 anyarray <@ anyarray bool 2749 commutator=2751
2779 text || anynonarray text 2003
2780 anynonarray || text text 2004
""")
operator_classes("""
10000 array_ops 397 array_ops anyarray 403 default 1072,1074,1070,1075,1073 382
10001 array_ops 627 array_ops anyarray 405 default 1070 626,782
""")
