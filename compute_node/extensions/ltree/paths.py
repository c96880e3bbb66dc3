"""ltree: the labels on the way down to a node, as a text with points between them (manual, F.23.1).

A value is that text. Labels have letters, digits and underscores of the database's character set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from aurora.errors import (
    InternalError,
    InvalidParameterValue,
    NameTooLong,
    ProgramLimitExceeded,
    ProtocolViolation,
    SqlError,
    SqlSyntaxError,
)
from compute_node.types import ctype
from compute_node.types.common import decode_utf8
from compute_node.types.long_text import paced
from compute_node.types.registry import TypeEnv

LEVELS_MAX: Final = 65535
LABEL_CHARS_MAX: Final = 255
_VERSION: Final = b"\x01"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_]{1,255}(?:\.[A-Za-z0-9_]{1,255})*")
_PLAIN_MAX: Final = 4096


@lru_cache(maxsize=1)
def name_pattern() -> re.Pattern[str]:
    """Matches as many characters of a label as there are, if only none."""
    parts = []
    for low, high in ctype.char_class("alnum") or ():
        parts.append(f"\\U{low:08x}-\\U{high:08x}")
    return re.compile(f"[_{''.join(parts)}]*")


def name_end(text: str, at: int) -> int:
    """Where the label that begins there ends."""
    found = name_pattern().match(text, at)
    return at if found is None else found.end()


def read(text: str, typmod: int, env: TypeEnv) -> str:
    """The text input. 42601, 42622, 54000."""
    return path_of(text)


def path_of(text: str) -> str:
    """A text that is a path. 42601, 42622, 54000."""
    if not text or (len(text) <= _PLAIN_MAX and _PLAIN.fullmatch(text) is not None):
        return text
    count = text.count(".") + 1
    if count > LEVELS_MAX:
        raise ProgramLimitExceeded(f"number of ltree labels ({count}) exceeds the maximum allowed ({LEVELS_MAX})")
    at = 0
    for label in paced(text.split(".")):
        end = name_end(label, 0)
        if not label and at == len(text):
            raise SqlSyntaxError("ltree syntax error", detail="Unexpected end of input.")
        if not label or end < len(label):
            raise SqlSyntaxError(f"ltree syntax error at character {at + end + 1}")
        check_length(end, at + end + 1)
        at += end + 1
    return text


def check_length(count: int, place: int) -> None:
    """42622 for a label of too many characters, which ends before that place."""
    if count > LABEL_CHARS_MAX:
        raise NameTooLong(
            "label string is too long",
            detail=f"Label length is {count}, must be at most {LABEL_CHARS_MAX}, at character {place}.",
        )


def write(value: str, env: TypeEnv) -> str:
    """The text output of the three types: their values are texts."""
    return value


def send(value: str) -> bytes:
    """Of the three types: a byte for the version of the form, then the text."""
    return _VERSION + value.encode()


def receiver(name: str, reads: Callable[[str], str]) -> Callable[[bytes, int], str]:
    """Inverse of ``send`` for a type. 08P01, XX000, and the errors of its text input."""

    def receive(data: bytes, typmod: int) -> str:
        data = bytes(data)
        if not data:
            raise ProtocolViolation("no data left in message")
        if data[:1] != _VERSION:
            raise InternalError(f"unsupported {name} version number {data[0]}")
        return reads(decode_utf8(data[1:]))

    return receive


def sort_key(value: str) -> bytes:
    """Label by label; no label has a NUL."""
    return value.replace(".", "\0").encode() + b"\0" if value else b""


def labels_of(value: str) -> list[str]:
    """From the top."""
    return value.split(".") if value else []


def compare(one: str, other: str) -> int:
    """As PostgreSQL's: the sign says the order, the size how far from the end they differ."""
    first, second = labels_of(one), labels_of(other)
    left = len(first)
    for label, another in zip(first, second, strict=False):
        if label != another:
            a, b = label.encode(), another.encode()
            common = min(len(a), len(b))
            if a[:common] == b[:common]:
                return (len(a) - len(b)) * 10 * (left + 1)
            return (10 if a > b else -10) * (left + 1)
        left -= 1
    return (len(first) - len(second)) * 10 * (left + 1)


def is_ancestor(one: str, other: str) -> bool:
    """Whether a path leads to, or is, the other."""
    return not one or one == other or (other.startswith(one) and other[len(one)] == ".")


def level_count(value: str) -> int:
    """How many labels it has."""
    return value.count(".") + 1 if value else 0


def _part(value: str, begin: int, end: int) -> str:
    if begin < 0 or end < 0 or begin >= level_count(value) or begin > end:
        raise InvalidParameterValue("invalid positions")
    return ".".join(labels_of(value)[begin:end])


def subtree(value: str, begin: int, end: int) -> str:
    """Labels from a place to before another. 22023."""
    return _part(value, begin, end)


def subpath(value: str, offset: int, count: int | None = None) -> str:
    """Labels from a place on; places and counts below 0 are from the end. 22023."""
    levels = level_count(value)
    for _ in range(2):
        if offset < 0:
            offset += levels
    if count is None:
        return _part(value, offset, LEVELS_MAX)
    return _part(value, offset, levels + count if count < 0 else offset + count)


def index(value: str, part: str, offset: int = 0) -> int:
    """The place of a part's first occurrence, at or after an offset; -1 without one."""
    levels, wanted = labels_of(value), labels_of(part)
    if offset < 0:
        offset = max(len(levels) + offset, 0)
    if not wanted:
        return -1
    size = len(wanted)
    for at in paced(range(offset, len(levels) - size + 1)):
        if levels[at : at + size] == wanted:
            return at
    return -1


def concat(one: str, other: str) -> str:
    """One path, then the other. 54000."""
    count = level_count(one) + level_count(other)
    if count > LEVELS_MAX:
        raise ProgramLimitExceeded(f"number of ltree levels ({count}) exceeds the maximum allowed ({LEVELS_MAX})")
    return f"{one}.{other}" if one and other else one or other


def common_ancestor(*values: str) -> str | None:
    """The longest path that is above all; NULL for none, or when one is empty."""
    return common_ancestor_of(values)


def common_ancestor_of(values: Sequence[str]) -> str | None:
    """See ``common_ancestor``."""
    if not values or not all(values):
        return None
    above = [labels_of(each)[:-1] for each in values]
    found = []
    for several in zip(*above, strict=False):
        if any(label != several[0] for label in several):
            break
        found.append(several[0])
    return ".".join(found)


def lexemes(label: str) -> list[str]:
    """The words of a label, between underscores."""
    return [word for word in label.split("_") if word]


def syntax_error(name: str, place: int, detail: str | None = None) -> SqlError:
    """42601 for the character at a place, from 1 on."""
    return SqlSyntaxError(f"{name} syntax error at character {place}", detail=detail)
