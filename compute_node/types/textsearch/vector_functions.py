"""Functions of a tsvector alone (manual, 9.13 and 12.4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aurora.datum import Datum
from aurora.errors import InternalError, InvalidParameterValue, NullValueNotAllowed, ZeroLengthCharacterString
from compute_node.types.array_value import flatten
from compute_node.types.declare import fn, operators
from compute_node.types.long_text import paced
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.textsearch.vector import TsVector, positions_of, shifted

_WEIGHTS = {"A": 3, "B": 2, "C": 1, "D": 0}


def _weight(letter: str) -> int | None:
    return _WEIGHTS.get(letter.upper()) if letter else None


def _strip(vector: TsVector) -> TsVector:
    return TsVector(tuple((lexeme, ()) for lexeme, _ in vector.entries))


def _needed_weight(letter: str, shown: str) -> int:
    weight = _weight(letter)
    if weight is None:
        raise InternalError(f"unrecognized weight: {shown}")
    return weight


def _set(positions: tuple[int, ...], weight: int) -> tuple[int, ...]:
    return tuple(weight << 14 | (at & 0x3FFF) for at in positions)


def _setweight(vector: TsVector, letter: str) -> TsVector:
    weight = _needed_weight(letter, str(ord(letter)) if letter else "0")
    return TsVector(tuple((lexeme, _set(positions, weight)) for lexeme, positions in paced(vector.entries)))


def _setweight_of(vector: TsVector, letter: str, lexemes: list[Datum]) -> TsVector:
    weight, chosen = _needed_weight(letter, letter), set(flatten(lexemes))
    return TsVector(
        tuple(
            (lexeme, _set(positions, weight) if lexeme in chosen else positions)
            for lexeme, positions in paced(vector.entries)
        )
    )


def _delete(vector: TsVector, lexemes: set[Any]) -> TsVector:
    return TsVector(tuple(entry for entry in paced(vector.entries) if entry[0] not in lexemes))


def _filter(vector: TsVector, letters: list[Datum]) -> TsVector:
    """Only positions of these weights; lexemes without any go. 22004, 22023."""
    chosen = set()
    for letter in flatten(letters):
        if letter is None:
            raise NullValueNotAllowed("weight array may not contain nulls")
        weight = _weight(letter)
        if weight is None:
            raise InvalidParameterValue(f'unrecognized weight: "{letter}"')
        chosen.add(weight)
    kept = ((lexeme, tuple(at for at in each if at >> 14 in chosen)) for lexeme, each in paced(vector.entries))
    return TsVector(tuple(entry for entry in kept if entry[1]))


def concat(left: TsVector, right: TsVector) -> TsVector:
    """Both; the right one's positions count on from the left one's last."""
    by = positions_of(left)
    found = dict(left.entries)
    for lexeme, positions in paced(right.entries):
        found[lexeme] = shifted(positions, found.get(lexeme, ()), by)
    return TsVector(tuple((lexeme, found[lexeme]) for lexeme in sorted(found)))


def _unnest(vector: TsVector) -> Iterator[tuple[str, list[int] | None, list[str] | None]]:
    for lexeme, positions in vector.entries:
        if positions:
            yield lexeme, [at & 0x3FFF for at in positions], ["DCBA"[at >> 14] for at in positions]
        else:
            yield lexeme, None, None


def _of_array(lexemes: list[Datum]) -> TsVector:
    for lexeme in flatten(lexemes):
        if lexeme is None:
            raise NullValueNotAllowed("lexeme array may not contain nulls")
        if not lexeme:
            raise ZeroLengthCharacterString("lexeme array may not contain empty strings")
    return TsVector(tuple((lexeme, ()) for lexeme in sorted(set(flatten(lexemes)))))


fn(3711, "length(tsvector) int4", lambda vector: len(vector.entries))
fn(3623, "strip(tsvector) tsvector", _strip)
fn(3624, "setweight(tsvector, char) tsvector", _setweight)
fn(3320, "setweight(tsvector, char, text[]) tsvector", _setweight_of)
fn(3625, "tsvector_concat(tsvector, tsvector) tsvector", concat)
fn(3321, "ts_delete(tsvector, text) tsvector", lambda vector, lexeme: _delete(vector, {lexeme}))
fn(3323, "ts_delete(tsvector, text[]) tsvector", lambda vector, lexemes: _delete(vector, set(flatten(lexemes))))
fn(3319, "ts_filter(tsvector, char[]) tsvector", _filter)
fn(
    3322,
    "unnest(tsvector) setof record",
    _unnest,
    argument_names=("tsvector",),
    out_columns=(("lexeme", TYPE_OIDS["text"]), ("positions", TYPE_OIDS["int2[]"]), ("weights", TYPE_OIDS["text[]"])),
)
fn(3326, "tsvector_to_array(tsvector) text[]", lambda vector: [lexeme for lexeme, _ in vector.entries])
fn(3327, "array_to_tsvector(text[]) tsvector", _of_array)
operators("""
3633 tsvector || tsvector tsvector 3625
""")
