"""Work on long texts, a piece at a time: others run between pieces, and results have a limit.

Short texts, nearly all, take one test of their length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from aurora.datum import Datum
from aurora.errors import ProgramLimitExceeded
from compute_node.hub import HUB

PIECE: Final = 1 << 18
"""Characters that are worked on without a pulse."""
VALUE_BYTES_MAX: Final = 0x3FFFFFFF
STEPS: Final = 4096
_STEPS_FIRST: Final = 64
_PULSE_S: Final = 0.001

_T = TypeVar("_T")


def paced(items: Iterable[_T]) -> Iterator[_T]:
    """The items, with a pulse now and then: for loops whose length a user decides. How many items are between pulses
    follows from how long they took, since one may cost a hundred times what another does."""
    steps = due = _STEPS_FIRST
    HUB.pulse()
    began_s = HUB.now_s()
    for number, item in enumerate(items):
        if number == due:
            took_s = HUB.now_s() - began_s
            if took_s > _PULSE_S:
                steps = max(1, int(steps * _PULSE_S / took_s))
            elif took_s < _PULSE_S / 2:
                steps = min(STEPS, steps * 2)
            due += steps
            HUB.pulse()
            began_s = HUB.now_s()
        yield item


def by_pieces(function: Callable[[str], str], piece: int = PIECE) -> Callable[[str], str]:
    """A function that works on each character by itself, made to work on any length, ``piece`` characters at a time."""

    def apply(value: str) -> str:
        if len(value) <= piece:
            return function(value)
        out = []
        for start in range(0, len(value), piece):
            out.append(function(value[start : start + piece]))
            HUB.pulse()
        return "".join(out)

    return apply


def pieces(value: str) -> Iterator[str]:
    """The text in pieces."""
    for start in range(0, len(value), PIECE):
        yield value[start : start + PIECE]
        HUB.pulse()


def split(value: str, separator: str) -> list[str]:
    """``value.split(separator)``."""
    if len(value) <= PIECE:
        return value.split(separator)
    out: list[str] = []
    at, begun = 0, ""
    while at + PIECE + len(separator) < len(value):
        found = value[at : at + PIECE].split(separator)
        rest = found.pop()
        # What may be the beginning of a separator is looked at again, with what follows.
        keep = min(len(rest), len(separator) - 1)
        if found:
            found[0] = begun + found[0]
            out += found
            begun = ""
        begun += rest[: len(rest) - keep]
        at += PIECE - keep
        HUB.pulse()
    found = value[at:].split(separator)
    found[0] = begun + found[0]
    return out + found


def replace(value: str, old: str, new: str) -> str:
    """``value.replace(old, new)``; 54000 for a result that is too long."""
    if not old:
        return value
    if len(value) * max(len(new), 1) <= PIECE:
        return value.replace(old, new)
    if len(new) > len(old):
        at = count = 0
        while at < len(value):
            count += value.count(old, at, at + PIECE)
            at += PIECE
            HUB.pulse()
        if len(value) + count * (len(new) - len(old)) > VALUE_BYTES_MAX:
            check_bytes(VALUE_BYTES_MAX // len(new) * len(new), len(new))
    out: list[str] = []
    at = 0
    while at + PIECE + len(old) < len(value):
        found = value[at : at + PIECE].split(old)
        keep = min(len(found[-1]), len(old) - 1)
        found[-1] = found[-1][: len(found[-1]) - keep]
        out.append(new.join(found))
        at += PIECE - keep
        HUB.pulse()
    out.append(value[at:].replace(old, new))
    return "".join(out)


def size_bytes(value: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(value) if value.isascii() else sum([len(piece.encode()) for piece in pieces(value)])


def concat(left: str, right: str) -> str:
    """``||`` of texts; 54000."""
    if len(left) + len(right) > PIECE:
        check_length(size_bytes(left) + size_bytes(right))
    return left + right


def concat_bytes(left: bytes, right: bytes) -> bytes:
    """``||`` of byte strings; 54000."""
    if len(left) + len(right) > PIECE:
        check_length(len(left) + len(right))
    return left + right


def filled(fill: str, length: int) -> list[str]:
    """Parts of a text of ``length`` characters that repeats ``fill``."""
    if length <= PIECE:
        return [(fill * (length // len(fill) + 1))[:length]]
    copies = max(PIECE // len(fill), 1)
    piece = fill * copies
    count, rest = divmod(length, len(piece))
    return [piece] * count + [piece[:rest]]


def check_length(size: int) -> None:
    """54000 for a result of more bytes than a value may have, before it is made."""
    if size > VALUE_BYTES_MAX:
        raise ProgramLimitExceeded("requested length too large")


def check_bytes(have: int, more: int) -> None:
    """54000 where a text of ``have`` bytes would grow by ``more`` beyond what a value may have."""
    if have + more > VALUE_BYTES_MAX:
        raise ProgramLimitExceeded(
            "out of memory", detail=f"Cannot enlarge string buffer containing {have} bytes by {more} more bytes."
        )


def _check_parts(parts: list[Datum]) -> None:
    total = 0
    for part in parts if len(parts) <= STEPS else paced(parts):
        check_bytes(total, len(part))
        total += len(part)


def joined(parts: list[str], separator: str = "") -> str:
    """All parts in one text; 54000."""
    if len(parts) > STEPS or sum(map(len, parts)) > PIECE:
        _check_parts(parts)
    return separator.join(parts)


def joined_bytes(parts: list[bytes]) -> bytes:
    """All parts in one string; 54000."""
    _check_parts(parts)
    return b"".join(parts)


def digest(name: str, value: str | bytes) -> bytes:
    """A hash of a text's UTF-8 form, or of bytes."""
    made = hashlib.new(name, usedforsecurity=False)
    if len(value) <= PIECE:
        made.update(value.encode() if isinstance(value, str) else value)
        return made.digest()
    for start in range(0, len(value), PIECE):
        piece = value[start : start + PIECE]
        made.update(piece.encode() if isinstance(piece, str) else piece)
        HUB.pulse()
    return made.digest()
