"""Keys of GiST for trigrams: of one text its trigrams, of many a signature, one bit for several trigrams.

A text of many trigrams has a signature, too. Bytes of a key: 0 and the signature, or 1 and the trigrams in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from aurora.datum import Datum
from compute_node.access.gist.forms import Form, SignatureForm, Together

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNATURE_BYTES: Final = 12
"""Unless ``siglen`` says otherwise"""
TRIGRAMS_MAX: Final = 160
"""Of a text whose key has them"""
_SIGNATURE, _TRIGRAMS = b"\0", b"\1"
_PLACES: Final = np.array((1 << 16, 1 << 8, 1), dtype=np.uint32)
_MIXERS: Final = np.array((0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F), dtype=np.uint32).reshape(-1, 1)


class TrigramKey:
    """``trigrams`` None: there is the signature alone."""

    __slots__ = ("_bits", "_signature", "trigrams")

    def __init__(self, trigrams: frozenset[bytes] | None, signature: int | None, bits: int) -> None:
        self.trigrams = trigrams
        self._signature = signature
        self._bits = bits

    @property
    def signature(self) -> int:
        """The bits of the trigrams."""
        found = self._signature
        if found is None:
            found = self._signature = signature_of(self.trigrams or (), self._bits)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrigramKey):
            return NotImplemented
        return self.trigrams == other.trigrams and self.signature == other.signature

    def __hash__(self) -> int:
        return hash(self.signature)


def signature_of(trigrams: Iterable[bytes], bits: int) -> int:
    """The bits of all."""
    found = 0
    for each in trigrams:
        found |= 1 << int.from_bytes(each, "big") % bits
    return found


class TrigramForm(Form):
    """Signatures have ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.bits = 8 * size
        self._signatures = SignatureForm(size)

    def of(self, trigrams: frozenset[bytes]) -> TrigramKey:
        """The key of a text."""
        return TrigramKey(trigrams if len(trigrams) <= TRIGRAMS_MAX else None, self._of_many(trigrams), self.bits)

    def _of_many(self, trigrams: frozenset[bytes]) -> int | None:
        return signature_of(trigrams, self.bits) if len(trigrams) > TRIGRAMS_MAX else None

    def encode(self, key: TrigramKey) -> bytes:
        """See ``Form``."""
        if key.trigrams is None:
            return _SIGNATURE + self._signatures.encode(key.signature)
        return _TRIGRAMS + b"".join(sorted(key.trigrams))

    def decode(self, data: bytes) -> TrigramKey:
        """See ``Form``."""
        if data[:1] == _TRIGRAMS:
            return TrigramKey(frozenset([data[at : at + 3] for at in range(1, len(data), 3)]), None, self.bits)
        return TrigramKey(None, self._signatures.decode(data[1:]), self.bits)

    def union(self, keys: Sequence[TrigramKey]) -> TrigramKey:
        """See ``Form``."""
        return TrigramKey(None, self._signatures.union([key.signature for key in keys]), self.bits)

    def union_of_stored(self, stored: Sequence[bytes]) -> TrigramKey:
        """See ``Form``."""
        trigrams: list[bytes] = []
        found = 0
        for data in stored:
            if data[:1] == _TRIGRAMS:
                trigrams.append(data[1:])
            else:
                found |= self._signatures.decode(data[1:])
        for bit in set((_numbers(trigrams) % self.bits).tolist()):
            found |= 1 << bit
        return TrigramKey(None, found, self.bits)

    def holds(self, outer: TrigramKey, inner: TrigramKey) -> bool:
        """See ``Form``."""
        return not inner.signature & ~outer.signature

    def penalty(self, outer: TrigramKey, inner: TrigramKey) -> float:
        """See ``Form``."""
        return self._signatures.penalty(outer.signature, inner.signature)

    def together(self, keys: Sequence[TrigramKey]) -> Together:
        """See ``Form``."""
        return _BySignature(self._signatures.together([key.signature for key in keys]))

    def order(self, keys: Sequence[TrigramKey]) -> list[Datum]:
        """See ``Form``."""
        return self._signatures.order([key.signature for key in keys])

    def curves(self, keys: Sequence[TrigramKey]) -> list[bytes]:
        """See ``Form``: the least of the trigrams under each of some hashes, which alike texts have in common (Broder
        1997); behind all others what has no trigrams here."""
        sets = [key.trigrams for key in keys]
        places = iter(_least_hashes([each for each in sets if each]))
        return [next(places) if each else b"\xff" for each in sets]


class _BySignature(Together):
    """Keys as their signatures."""

    def __init__(self, signatures: Together) -> None:
        self._signatures = signatures

    def least(self, inner: TrigramKey) -> int | None:
        """See ``Together``."""
        return self._signatures.least(inner.signature)

    def replaced(self, at: int, key: TrigramKey) -> Together | None:
        """See ``Together``."""
        found = self._signatures.replaced(at, key.signature)
        return None if found is None else _BySignature(found)


def _numbers(trigrams: Iterable[bytes]) -> NDArray[np.uint32]:
    """Trigrams, joined as they may be, as numbers."""
    parts = np.frombuffer(b"".join(trigrams), dtype=np.uint8).reshape(-1, 3).astype(np.uint32)
    return parts @ _PLACES


def _least_hashes(sets: Sequence[frozenset[bytes]]) -> list[bytes]:
    """Of each set, none of them empty."""
    if not sets:
        return []
    sizes = np.array([len(each) for each in sets])
    starts = np.cumsum(sizes) - sizes
    hashed = _numbers(chain.from_iterable(sets)) * _MIXERS
    least = np.minimum.reduceat(hashed, starts, axis=1).T.astype(">u4").tobytes()
    step = len(least) // len(sets)
    return [least[at : at + step] for at in range(0, len(least), step)]
