"""Functions over arguments of any type: concat, format, ``||`` with text, pg_typeof, num_nulls, quote_literal
(manual, 9.4).
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from aurora.datum import Datum, Row
from aurora.errors import InvalidParameterValue, NullValueNotAllowed, NumericValueOutOfRange
from compute_node.types.array_value import dimensions, flatten
from compute_node.types.common import whole_number
from compute_node.types.declare import fn, specialized
from compute_node.types.integer import integer_input
from compute_node.types.long_text import PIECE, STEPS, check_bytes, joined, paced
from compute_node.types.numeric import numeric_send
from compute_node.types.oids import BOOL, TYPE_OIDS
from compute_node.types.registry import FunctionContext, PgType, Specialize, TypeEnv
from compute_node.types.string_functions import quote_identifier, quote_literal
from compute_node.types.textsearch.vector import TsVector

Writer = Callable[[Datum, TypeEnv], str]
Types = tuple[PgType, ...]


def writer(item: PgType) -> Writer:
    """Text output for a type."""
    if item.oid == BOOL:
        return lambda value, env: "t" if value else "f"
    return item.output


def _concat(types: Types, result: PgType) -> Callable[..., str]:
    writers = [writer(item) for item in types]

    def concat(context: FunctionContext, *values: Datum) -> str:
        env = context.env
        if len(values) == len(writers):
            return joined([write(each, env) for write, each in zip(writers, values, strict=True) if each is not None])
        given = enumerate(values) if len(values) <= STEPS else paced(enumerate(values))
        return joined([writers[min(at, len(writers) - 1)](each, env) for at, each in given if each is not None])

    if len(writers) == 2:
        first, second = writers

        def concat_two(context: FunctionContext, *values: Datum) -> str:
            if len(values) != 2:
                return concat(context, *values)
            env = context.env
            left = "" if values[0] is None else first(values[0], env)
            right = "" if values[1] is None else second(values[1], env)
            return joined([left, right]) if len(left) + len(right) > PIECE else left + right

        return concat_two
    return concat


def _concat_ws(types: Types, result: PgType) -> Callable[..., str | None]:
    writers = [writer(item) for item in types]

    def concat_ws(context: FunctionContext, separator: str | None, *values: Datum) -> str | None:
        if separator is None:
            return None
        env = context.env
        if len(values) == len(writers) - 1:
            rest = zip(writers[1:], values, strict=True)
            return joined([write(each, env) for write, each in rest if each is not None], separator)
        given = enumerate(values, 1) if len(values) <= STEPS else paced(enumerate(values, 1))
        parts = [writers[min(at, len(writers) - 1)](each, env) for at, each in given if each is not None]
        return joined(parts, separator)

    if len(writers) == 3:
        _, first, second = writers

        def two_ws(context: FunctionContext, separator: str | None, *values: Datum) -> str | None:
            if separator is None or len(values) != 2 or values[0] is None or values[1] is None:
                return concat_ws(context, separator, *values)
            env = context.env
            left, right = first(values[0], env), second(values[1], env)
            parts = [left, right]
            return joined(parts, separator) if len(left) + len(right) > PIECE else separator.join(parts)

        return two_ws
    return concat_ws


specialized(3058, "concat(variadic any) text stable nullable", _concat, needs_context=True)
specialized(3059, "concat_ws(text, variadic any) text stable nullable", _concat_ws, needs_context=True)

_SPECIFIER = re.compile(
    r"%(?:(?P<position>\d+)\$)?(?P<minus>-?)(?:(?P<width>\d+)|\*(?:(?P<star>\d+)\$)?(?P<any>))?(?P<kind>.?)", re.DOTALL
)


_INT_MAX: Final = 2**31 - 1
_WIDTH: Final = integer_input("integer", -(2**31), _INT_MAX)


class _Arguments:
    """format()'s arguments, taken in turn or by position."""

    def __init__(self, values: Row, writers: list[Writer], env: TypeEnv) -> None:
        self.values, self.writers, self.env, self.next = values, writers, env, 0

    def take(self, position: str | None) -> str | None:
        index = self.next if position is None else _number(position) - 1
        if index < 0:
            raise InvalidParameterValue("format specifies argument 0, but arguments are numbered from 1")
        self.next = index + 1
        if index >= len(self.values):
            raise InvalidParameterValue("too few arguments for format()")
        value = self.values[index]
        return None if value is None else self.writers[min(index, len(self.writers) - 1)](value, self.env)


def _number(digits: str) -> int:
    number = whole_number(digits)
    if number > _INT_MAX:
        raise NumericValueOutOfRange("number is out of range")
    return number


def _format_one(match: re.Match[str], arguments: _Arguments) -> str:
    kind = match["kind"]
    if match[0] == "%%":
        return "%"
    if not kind:
        raise InvalidParameterValue("unterminated format() type specifier", hint='For a single "%" use "%%".')
    width = _number(match["width"] or "0")
    if match["any"] is not None:
        given = arguments.take(match["star"])
        width = 0 if given is None else _WIDTH(given, -1, arguments.env)
    if kind not in "sIL":
        raise InvalidParameterValue(f'unrecognized format() type specifier "{kind}"', hint='For a single "%" use "%%".')
    text = arguments.take(match["position"])
    if kind == "I":
        if text is None:
            raise NullValueNotAllowed("null values cannot be formatted as an SQL identifier")
        text = quote_identifier(text)
    elif kind == "L":
        text = "NULL" if text is None else quote_literal(text)
    text = text or ""
    left = bool(match["minus"]) or width < 0
    if abs(width) > PIECE:
        check_bytes(0, abs(width) - len(text))
    return text.ljust(abs(width)) if left else text.rjust(abs(width))


_PLAIN_MAX: Final = 1000


@functools.lru_cache(maxsize=512)
def _plain_pieces(template: str) -> list[str] | None:
    """The texts around the ``%s`` of a template that has no other specifiers."""
    pieces = template.split("%s")
    return None if any("%" in piece for piece in pieces) else pieces


def _format(types: Types, result: PgType) -> Callable[..., str | None]:
    writers = [writer(item) for item in types[1:]]

    def render(context: FunctionContext, template: str | None, *values: Datum) -> str | None:
        if template is None:
            return None
        pieces = _plain_pieces(template) if len(template) <= _PLAIN_MAX else None
        if pieces is not None and len(pieces) <= len(values) + 1 and len(values) <= len(writers):
            env = context.env
            texts = [pieces[0]]
            for write, each, piece in zip(writers, values, pieces[1:], strict=False):
                texts += ("" if each is None else write(each, env), piece)
            if sum(map(len, texts)) <= PIECE:
                return "".join(texts)
        arguments = _Arguments(values, writers, context.env)
        parts: list[str] = []
        at = size = 0
        for match in paced(_SPECIFIER.finditer(template)):
            made = _format_one(match, arguments)
            size += match.start() - at + len(made)
            if size > PIECE:
                check_bytes(size - len(made), len(made))
            parts += (template[at : match.start()], made)
            at = match.end()
        return joined([*parts, template[at:]])

    return render


specialized(3539, "format(text, variadic any) text stable nullable", _format, needs_context=True)
specialized(3540, "format(text) text stable nullable", _format, needs_context=True)


def _text_any(types: Types, result: PgType) -> Callable[..., str]:
    write = writer(types[1])
    return lambda context, text, value: text + write(value, context.env)


def _any_text(types: Types, result: PgType) -> Callable[..., str]:
    write = writer(types[0])
    return lambda context, value, text: write(value, context.env) + text


specialized(2003, "textanycat(text, anynonarray) text stable", _text_any, needs_context=True)
specialized(2004, "anytextcat(anynonarray, text) text stable", _any_text, needs_context=True)


def _typeof(types: Types, result: PgType) -> Callable[..., int]:
    oid = types[0].oid
    return lambda value: oid


specialized(1619, "pg_typeof(any) regtype stable nullable", _typeof)


def _quote_any(null_text: str | None) -> Specialize:
    def specialize(types: Types, result: PgType) -> Callable[..., str | None]:
        write = writer(types[0])
        return lambda context, value: null_text if value is None else quote_literal(write(value, context.env))

    return specialize


specialized(1285, "quote_literal(anyelement) text stable", _quote_any(None), needs_context=True)
specialized(1290, "quote_nullable(anyelement) text stable nullable", _quote_any("NULL"), needs_context=True)
fn(438, "num_nulls(variadic any) int4 nullable", lambda *values: sum(1 for each in values if each is None))
fn(440, "num_nonnulls(variadic any) int4 nullable", lambda *values: sum(1 for each in values if each is not None))


def _larger(pick_larger: bool) -> Specialize:
    def specialize(types: Types, result: PgType) -> Callable[..., Datum]:
        key = types[0].sort_value or (lambda value: value)
        return lambda a, b: (a if key(a) > key(b) else b) if pick_larger else (a if key(a) < key(b) else b)

    return specialize


specialized(515, "array_larger(anyarray, anyarray) anyarray", _larger(True))
specialized(516, "array_smaller(anyarray, anyarray) anyarray", _larger(False))


_ALIGN = {"c": 1, "s": 2, "i": 4, "d": 8}
_HEADERS = {TYPE_OIDS["inet"]: 2, TYPE_OIDS["cidr"]: 2, TYPE_OIDS["path"]: 11, TYPE_OIDS["polygon"]: 36}
"""What a value of these types has beyond its binary form, where that is not 4 bytes of length."""


def _numeric_size(value: Decimal) -> int:
    """A header of 2 bytes, of 4 for wide scales and weights, and 2 bytes for each base-10000 digit."""
    count: int
    count, weight, _, scale = struct.unpack_from(">hhHH", numeric_send(value))
    size: int = 4 + (2 if scale <= 63 and -64 <= weight <= 63 else 4) + 2 * count
    return size


def _array_size(item: PgType, value: Any) -> int:
    """Header, dimensions, a bitmap when there are NULLs, then the aligned elements."""
    lengths = dimensions(value)
    if item.element_type is None or not lengths:
        return 16
    head = 16 + 8 * len(lengths)
    elements = list(paced(flatten(value)))
    if any(element is None for element in elements):
        head += (len(elements) + 7) // 8
    size, step, of_element = -(-head // 8) * 8, _ALIGN[item.element_type.align], size_function(item.element_type)
    for element in paced(elements):
        if element is not None:
            size = -(-(size + of_element(element)) // step) * step
    return size


def _document_size(value: TsVector) -> int:
    """Two counts, 4 bytes a lexeme, then each lexeme's bytes, and aligned to 2 its positions after their count."""
    size = 0
    for lexeme, positions in value.entries:
        size += len(lexeme.encode())
        if positions:
            size = size + (size & 1) + 2 + 2 * len(positions)
    return 8 + 4 * len(value.entries) + size


def size_function(item: PgType) -> Callable[[Datum], int]:
    """Bytes that PostgreSQL keeps a value of the type in, uncompressed."""
    if item.length > 0:
        return lambda value: item.length
    send = item.send or item.to_disk or str.encode
    if item.length == -2:
        return lambda value: len(send(value)) + 1
    if item.oid == TYPE_OIDS["numeric"]:
        return _numeric_size
    if item.oid == TYPE_OIDS["tsvector"]:
        return _document_size
    if item.oid in _HEADERS:
        header = _HEADERS[item.oid]
        return lambda value: len(send(value)) + header
    if item.category == "A":
        return lambda value: _array_size(item, value)
    return lambda value: len(send(value)) + 4


def _column_size(types: Types, result: PgType) -> Callable[..., int]:
    return size_function(types[0])


specialized(1269, "pg_column_size(any) int4 stable", _column_size)
# Of a table's column see compute_node/exec/stored_values.py; no other value is compressed.
fn(2121, "pg_column_compression(any) text stable", lambda value: None)
