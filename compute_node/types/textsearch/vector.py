"""tsvector: sorted lexemes with their positions (manual, 8.11.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from aurora.datum import Row
from aurora.errors import InternalError, ProgramLimitExceeded
from compute_node.types.array import make_array_type
from compute_node.types.common import decode_utf8
from compute_node.types.declare import comparisons, fn, operator_classes, operators
from compute_node.types.long_text import paced
from compute_node.types.registry import REGISTRY, PgType, TypeEnv
from compute_node.types.textsearch.scan import LEXEME_BYTES_MAX, POSITION_MAX, Scanner

POSITIONS_MAX: Final = 256
"""Positions that one lexeme keeps."""
TEXT_BYTES_MAX: Final = 1048575
Entry = tuple[str, tuple[int, ...]]
_STORED: Final = -2
"""A typmod that marks our own bytes: sorted."""
_LETTERS: Final = ("", "C", "B", "A")
_U16 = struct.Struct(">H")
_I32 = struct.Struct(">i")


class TsVector:
    """Lexemes in the order of their bytes, each with its positions; of a position, bits 14 and 15 are the weight."""

    __slots__ = ("_key", "entries")

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._key: bytes | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TsVector) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(self.entries)

    def __repr__(self) -> str:
        return f"TsVector({text_of(self)})"

    def __reduce__(self) -> Row:
        return TsVector, (self.entries,)

    @property
    def key(self) -> bytes:
        """memcmp key in PostgreSQL's order: the size first, then lexeme by lexeme, more and later positions first."""
        if self._key is None:
            out = [form_bytes(self).to_bytes(4, "big"), len(self.entries).to_bytes(4, "big")]
            for lexeme, positions in self.entries:
                out += (b"\0" if positions else b"\1", lexeme.encode(), b"\0")
                if positions:
                    out.append(_U16.pack(0xFFFF - len(positions)))
                    out += (_U16.pack(0xFFFF - (at & 0x3FFF)) + bytes((3 - (at >> 14),)) for at in positions)
            self._key = b"".join(out)
        return self._key


def form_bytes(vector: TsVector) -> int:
    """Bytes of the value in PostgreSQL's form, which its comparison looks at first."""
    size = 0
    for lexeme, positions in vector.entries:
        size += len(lexeme.encode())
        if positions:
            size += (size & 1) + 2 + 2 * len(positions)
    return 8 + 4 * len(vector.entries) + size


def merged_positions(positions: Iterable[int]) -> tuple[int, ...]:
    """Sorted; of equal ones the greatest weight, but of several at the last position the first; as many as a lexeme
    keeps."""
    out: list[int] = []
    for at in sorted(positions, key=lambda each: each & 0x3FFF):
        if not out or out[-1] & 0x3FFF != at & 0x3FFF:
            out.append(at)
            if len(out) > 1 and (len(out) == POSITIONS_MAX or at & 0x3FFF == POSITION_MAX):
                break
        elif at > out[-1]:
            out[-1] = at
    return tuple(out)


def make(found: dict[str, list[int]]) -> TsVector:
    """A value of lexemes in any order."""
    size = 0
    for lexeme, positions in found.items():
        size += len(lexeme.encode()) + (4 + 2 * len(positions) if positions else 0)
    if size > TEXT_BYTES_MAX and form_text_bytes(found) > TEXT_BYTES_MAX:
        raise too_long(form_text_bytes(found))
    return TsVector(tuple((lexeme, merged_positions(found[lexeme])) for lexeme in sorted(found)))


def form_text_bytes(found: dict[str, list[int]]) -> int:
    """Bytes of the lexemes and their kept positions."""
    vector = TsVector(tuple((lexeme, merged_positions(each)) for lexeme, each in found.items()))
    return form_bytes(vector) - 8 - 4 * len(found)


def too_long(size: int) -> Exception:
    """54000"""
    return ProgramLimitExceeded(f"string is too long for tsvector ({size} bytes, max {TEXT_BYTES_MAX} bytes)")


def tsvector_in(text: str, typmod: int, env: TypeEnv) -> TsVector:
    """Text input: 42601, 54000."""
    scanner = Scanner(text, False)
    found: dict[str, list[int]] = {}
    while (scanned := scanner.take()) is not None:
        size = len(scanned.lexeme.encode())
        if size > LEXEME_BYTES_MAX:
            raise ProgramLimitExceeded(f"word is too long ({size} bytes, max {LEXEME_BYTES_MAX} bytes)")
        found.setdefault(scanned.lexeme, []).extend(scanned.positions)
    return make(found)


def quoted(lexeme: str) -> str:
    """A lexeme as both types write it."""
    return "'" + lexeme.replace("'", "''").replace("\\", "\\\\") + "'"


def text_of(vector: TsVector) -> str:
    """Text output."""
    out = []
    for lexeme, positions in paced(vector.entries):
        marks = ",".join(f"{at & 0x3FFF}{_LETTERS[at >> 14]}" for at in positions)
        out.append(f"{quoted(lexeme)}:{marks}" if marks else quoted(lexeme))
    return " ".join(out)


def _send(vector: TsVector) -> bytes:
    """i32 count; per lexeme its text, a NUL, u16 count, u16 positions."""
    out = [_I32.pack(len(vector.entries))]
    for lexeme, positions in vector.entries:
        out += (lexeme.encode(), b"\0", struct.pack(f">H{len(positions)}H", len(positions), *positions))
    return b"".join(out)


def _receive(data: bytes, typmod: int) -> TsVector:
    """XX000 for what is not well formed."""
    data = bytes(data)
    try:
        (count,) = _I32.unpack_from(data)
        if not 0 <= count <= len(data):
            raise InternalError("invalid size of tsvector")
        at, entries = 4, []
        for _ in range(count):
            end = data.index(b"\0", at)
            (positions,) = _U16.unpack_from(data, end + 1)
            if end - at > LEXEME_BYTES_MAX:
                raise InternalError("invalid tsvector: lexeme too long")
            if positions > POSITIONS_MAX:
                raise InternalError("unexpected number of tsvector positions")
            places = struct.unpack_from(f">{positions}H", data, end + 3)
            if any(b & 0x3FFF <= a & 0x3FFF for a, b in pairwise(places)):
                raise InternalError("position information is misordered")
            entries.append((decode_utf8(data[at:end]), places))
            at = end + 3 + 2 * positions
    except (struct.error, ValueError):
        raise InternalError("invalid size of tsvector") from None
    return TsVector(tuple(entries) if typmod == _STORED else tuple(sorted(entries)))


def positions_of(vector: TsVector) -> int:
    """The greatest position."""
    return max((positions[-1] & 0x3FFF for _, positions in vector.entries if positions), default=0)


def shifted(positions: Sequence[int], kept: Sequence[int], by: int) -> tuple[int, ...]:
    """``kept``, then ``positions`` moved up, as far as there is room."""
    out = list(kept)
    for at in positions:
        if len(out) >= POSITIONS_MAX or (out and out[-1] & 0x3FFF == POSITION_MAX):
            break
        out.append(at & 0xC000 | min((at & 0x3FFF) + by, POSITION_MAX))
    return tuple(out)


TSVECTOR = REGISTRY.add_type(
    PgType(
        oid=3614,
        name="tsvector",
        length=-1,
        by_value=False,
        category="U",
        array=3643,
        input=tsvector_in,
        output=lambda value, env: text_of(value),
        text_bytes=lambda value: text_of(value).encode(),
        receive=_receive,
        send=_send,
        disk="x",
        storage="x",
        to_disk=_send,
        from_disk=lambda data: _receive(data, _STORED),
        sort_key=lambda value: value.key,
        sort_value=lambda value: value.key,
    )
)
REGISTRY.add_type(make_array_type(TSVECTOR))
comparisons(
    """
3616 tsvector_lt(tsvector, tsvector) bool
3617 tsvector_le(tsvector, tsvector) bool
3618 tsvector_eq(tsvector, tsvector) bool
3619 tsvector_ne(tsvector, tsvector) bool
3620 tsvector_ge(tsvector, tsvector) bool
3621 tsvector_gt(tsvector, tsvector) bool
3622 tsvector_cmp(tsvector, tsvector) int4
""",
    lambda value: value.key,
)
fn(3638, "tsvectorsend(tsvector) bytea", _send)
operators("""
3627 tsvector < tsvector bool 3616 commutator=3632 negator=3631
3628 tsvector <= tsvector bool 3617 commutator=3631 negator=3632
3629 tsvector = tsvector bool 3618 commutator=3629 negator=3630 merges
3630 tsvector <> tsvector bool 3619 commutator=3630 negator=3629
3631 tsvector >= tsvector bool 3620 commutator=3628 negator=3627
3632 tsvector > tsvector bool 3621 commutator=3627 negator=3628
""")
operator_classes("""
10071 tsvector_ops 3626 tsvector_ops tsvector 403 default 3627,3628,3629,3631,3632 3622
""")
