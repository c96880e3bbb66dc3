"""pg_size_bytes, parse_ident, and what else takes a text apart into values (manual, 9.4 and 9.27)."""

from __future__ import annotations

import re
from decimal import Decimal

from aurora.errors import InvalidParameterValue, SqlError
from compute_node.types.common import WHITESPACE
from compute_node.types.declare import fn
from compute_node.types.long_text import paced
from compute_node.types.numeric import multiply, numeric_in, to_integer
from compute_node.types.registry import FunctionContext

_SIZE = re.compile(
    rf"[{WHITESPACE}]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[{WHITESPACE}]*(.*?)[{WHITESPACE}]*",
    re.DOTALL,
)
_UNITS = {"bytes": 0, "kb": 10, "mb": 20, "gb": 30, "tb": 40, "pb": 50}


def _size_bytes(context: FunctionContext, text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidParameterValue(f'invalid size: "{text}"')
    number = numeric_in(match[1], -1, context.env)
    if match[2]:
        bits = _UNITS.get(match[2].lower())
        if bits is None:
            raise InvalidParameterValue(
                f'invalid size: "{text}"',
                detail=f'Invalid size unit: "{match[2]}".',
                hint='Valid units are "bytes", "kB", "MB", "GB", "TB", and "PB".',
            )
        number = multiply(Decimal(1 << bits), number)
    return to_integer(8)(number)


fn(3334, "pg_size_bytes(text) int8", _size_bytes, needs_context=True)

_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_PLAIN = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")
_SPACES = re.compile(r"[ \t\n\r\f\v]*")


def _bad(text: str, detail: str | None = None) -> SqlError:
    return InvalidParameterValue(f'string is not a valid identifier: "{text}"', detail=detail)


def _ascii_lower(word: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in word)


def _spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match else at


def _parse_ident(text: str, strict: bool) -> list[str]:
    found: list[str] = []
    at = _spaces(text, 0)
    for _ in paced(iter(int, 1)):
        quoted, plain = _QUOTED.match(text, at), _PLAIN.match(text, at)
        if quoted is not None:
            if not quoted[1]:
                raise _bad(text, "Quoted identifier must not be empty.")
            found.append(quoted[1].replace('""', '"'))
            at = quoted.end()
        elif plain is not None:
            found.append(_ascii_lower(plain[0]))
            at = plain.end()
        elif text.startswith('"', at):
            raise _bad(text, "String has unclosed double quotes.")
        elif text.startswith(".", at):
            raise _bad(text, 'No valid identifier before ".".')
        else:
            raise _bad(text, 'No valid identifier after ".".' if found else None)
        at = _spaces(text, at)
        if not text.startswith(".", at):
            break
        at = _spaces(text, at + 1)
    if at < len(text) and strict:
        raise _bad(text)
    return found


fn(1268, "parse_ident(text, bool) text[]", _parse_ident, argument_names=("str", "strict"), defaults=(True,))
