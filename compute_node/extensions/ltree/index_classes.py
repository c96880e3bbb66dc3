"""The operator classes ``gist_ltree_ops`` and ``gist__ltree_ops``: of paths, of arrays of paths.

The key of a path is its place in the order and a signature of its labels; of many, from the first to the last place and
what is in any signature. The key of an array is the signature of all labels of its paths. What keys let through is
checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from aurora.datum import Datum
from aurora.errors import InvariantViolation, NotSupported
from compute_node.access.gist.classes import GIST_CLASSES, GistClass, Test
from compute_node.access.gist.forms import Form, Interval, IntervalForm, SignatureForm, interval
from compute_node.extensions.library import CLASS_CODES, base_type, supports
from compute_node.extensions.ltree.lquery import fixed_labels, items_of
from compute_node.extensions.ltree.lquery import may_match as may_match_query
from compute_node.extensions.ltree.ltxtquery import may_match as may_match_words
from compute_node.extensions.ltree.ltxtquery import program_of
from compute_node.extensions.ltree.paths import labels_of, sort_key
from compute_node.types import ctype
from compute_node.types.array_value import flatten
from compute_node.types.registry import PgType, TypeEnv

PATHS_CODE, ARRAYS_CODE = 13, 14
"""Of ``IndexDesc.codes``: no built-in class has these OIDs."""
_LESS, _LESS_EQUAL, _EQUAL, _GREATER_EQUAL, _GREATER = 1, 2, 3, 4, 5
_ABOVE, _BELOW = 10, 11
"""Of arrays it is ``_ABOVE`` that asks for a path below the value"""
_QUERY, _WORDS, _QUERIES = (12, 13), (14, 15), (16, 17)
PATH_SIGNATURE_BYTES: Final = 8
ARRAY_SIGNATURE_BYTES: Final = 28
"""Unless ``siglen`` says otherwise"""


class PathKey(NamedTuple):
    """Where paths lie in the order, and which labels they may have."""

    places: Interval
    signature: int


class PathForm(Form):
    """Signatures have ``size`` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.signatures = SignatureForm(size)
        self.intervals = IntervalForm()

    def encode(self, key: PathKey) -> bytes:
        """See ``Form``: the signature, then the interval."""
        return self.signatures.encode(key.signature) + self.intervals.encode(key.places)

    def decode(self, data: bytes) -> PathKey:
        """See ``Form``."""
        return PathKey(self.intervals.decode(data[self.size :]), self.signatures.decode(data[: self.size]))

    def union(self, keys: Sequence[PathKey]) -> PathKey:
        """See ``Form``."""
        return PathKey(
            self.intervals.union([key.places for key in keys]), self.signatures.union([key.signature for key in keys])
        )

    def holds(self, outer: PathKey, inner: PathKey) -> bool:
        """See ``Form``."""
        return self.intervals.holds(outer.places, inner.places) and self.signatures.holds(
            outer.signature, inner.signature
        )

    def penalty(self, outer: PathKey, inner: PathKey) -> float:
        """See ``Form``: by the order first."""
        grown = self.intervals.penalty(outer.places, inner.places)
        new = self.signatures.penalty(outer.signature, inner.signature)
        return grown + new / (1 + self.signatures.bits)

    def order(self, keys: Sequence[PathKey]) -> list[Datum]:
        """See ``Form``: that of the paths."""
        return self.intervals.order([key.places for key in keys])

    def curves(self, keys: Sequence[PathKey]) -> list[bytes]:
        """See ``Form``."""
        return self.intervals.curves([key.places for key in keys])


def _bit(label: str, bits: int) -> int:
    return 1 << crc32(ctype.lower(label).encode()) % bits


def _signature(labels: Iterable[str], bits: int) -> int:
    found = 0
    for label in labels:
        found |= _bit(label, bits)
    return found


def _size_of(options: tuple[str, ...], otherwise: int) -> int:
    return next((int(each.partition("=")[2]) for each in options if each.startswith("siglen=")), otherwise)


def _labels_may_match(strategy: int, value: Datum, has: Callable[[int, str], bool]) -> Callable[[int], bool]:
    """Whether paths with the labels of a signature may meet one of the conditions about queries."""
    if strategy in _WORDS:
        program = program_of(value)
        return lambda signature: may_match_words(program, lambda label: has(signature, label))
    several = [items_of(each) for each in flatten(value) if each is not None] if strategy in _QUERIES else [
        items_of(value)
    ]  # fmt: skip
    return lambda signature: any(may_match_query(items, lambda label: has(signature, label)) for items in several)


# paths


def _paths(kind: PgType, options: tuple[str, ...]) -> GistClass:
    form = PathForm(_size_of(options, PATH_SIGNATURE_BYTES))
    bits = form.signatures.bits

    def key(value: str) -> PathKey:
        place = sort_key(value)
        return PathKey(interval(place, place), _signature(labels_of(value), bits))

    def test(strategy: int, value: Datum) -> Test:
        if strategy in (*_QUERY, *_WORDS, *_QUERIES):
            return _query_test(strategy, value, bits)
        return _order_test(strategy, value, bits)

    return GistClass(form, key, test)


def _order_test(strategy: int, value: str, bits: int) -> Test:
    place = sort_key(value)
    if strategy == _ABOVE:
        labels = labels_of(value)
        above = [sort_key(".".join(labels[:count])) for count in range(len(labels) + 1)]
        return lambda key, leaf: any(_low(key) <= each <= _high(key) for each in above)
    if strategy == _BELOW:
        wanted = _signature(labels_of(value), bits)
        return lambda key, leaf: _may_begin(key, place) and not wanted & ~key.signature
    tests: dict[int, Test] = {
        _LESS: lambda key, leaf: _low(key) <= place,
        _LESS_EQUAL: lambda key, leaf: _low(key) <= place,
        _EQUAL: lambda key, leaf: _low(key) <= place <= _high(key),
        _GREATER_EQUAL: lambda key, leaf: _high(key) >= place,
        _GREATER: lambda key, leaf: _high(key) >= place,
    }
    if strategy not in tests:
        raise InvariantViolation(f"strategy {strategy} is none of ltree")
    return tests[strategy]


def _low(key: PathKey) -> bytes:
    return key.places.low or b""


def _high(key: PathKey) -> bytes:
    return key.places.high or b""


def _may_begin(key: PathKey, prefix: bytes) -> bool:
    """Whether a path may be there whose place begins so."""
    return _low(key)[: len(prefix)] <= prefix and _high(key) >= prefix


def _query_test(strategy: int, value: Datum, bits: int) -> Test:
    prefixes = [b""]
    if strategy in _QUERY:
        prefixes = [sort_key(".".join(fixed_labels(items_of(value))))]
    elif strategy in _QUERIES:
        prefixes = [sort_key(".".join(fixed_labels(items_of(each)))) for each in flatten(value) if each is not None]
    may_match = _labels_may_match(strategy, value, lambda signature, label: bool(signature & _bit(label, bits)))
    return lambda key, leaf: any(_may_begin(key, each) for each in prefixes) and may_match(key.signature)


# arrays


def _arrays(kind: PgType, options: tuple[str, ...]) -> GistClass:
    form = SignatureForm(_size_of(options, ARRAY_SIGNATURE_BYTES))
    bits = form.bits

    def key(value: Datum) -> int:
        return _signature((label for each in flatten(value) if each is not None for label in labels_of(each)), bits)

    def test(strategy: int, value: Datum) -> Test:
        if strategy in (_ABOVE, _BELOW):
            wanted = _signature(labels_of(value), bits)
            return lambda key, leaf: not wanted & ~key
        may_match = _labels_may_match(strategy, value, lambda signature, label: bool(signature & _bit(label, bits)))
        return lambda key, leaf: may_match(key)

    return GistClass(form, key, test)


def _refuse_in(text: str, typmod: int, env: TypeEnv) -> Datum:
    raise NotSupported("ltree_gist_in() not implemented")


def _refuse_out(value: Datum, env: TypeEnv) -> str:
    raise NotSupported("ltree_gist_out() not implemented")


def declare() -> None:
    """Make the classes, and the symbols of their functions, known."""
    GIST_CLASSES[PATHS_CODE] = _paths
    GIST_CLASSES[ARRAYS_CODE] = _arrays
    CLASS_CODES.update(ltree_consistent=PATHS_CODE, _ltree_consistent=ARRAYS_CODE)
    base_type(
        PgType(
            oid=0, name="ltree_gist", length=-1, by_value=False, category="U", align="i", storage="p", array=0,
            input=_refuse_in, output=_refuse_out, receive=None, send=None, disk="s",
        ),
        "ltree_gist_in", "ltree_gist_out",
    )  # fmt: skip
    supports(
        """
        ltree_consistent 5 ltree_compress 1 ltree_decompress 1 ltree_penalty 3 ltree_picksplit 2 ltree_union 2
        ltree_same 3 ltree_gist_options 1 _ltree_consistent 5 _ltree_compress 1 _ltree_penalty 3 _ltree_picksplit 2
        _ltree_union 2 _ltree_same 3 _ltree_gist_options 1 ltreeparentsel 4
        """
    )
