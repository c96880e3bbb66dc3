"""The operator classes ``gin_trgm_ops`` and ``gist_trgm_ops``: which trigrams a condition asks for.

A text is at most as like another as the share of the other's trigrams that it has, whole or by words. Patterns are
``patterns``'. GIN finds rows by trigrams, GiST tests keys (``signatures``); what they let through is checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.access.gin.classes import GIN_CLASSES, GinClass
from compute_node.access.gin.search import ALL, NOTHING, AtLeast, Both, Either, Every, Item, Search, both, either
from compute_node.access.gist.classes import GIST_CLASSES, Distance, GistClass, Test
from compute_node.access.index_access import ScanKey
from compute_node.extensions.library import CLASS_CODES, base_type, supports
from compute_node.extensions.pg_trgm.patterns import like_search, regex_search
from compute_node.extensions.pg_trgm.signatures import SIGNATURE_BYTES, TrigramForm, TrigramKey, signature_of
from compute_node.extensions.pg_trgm.thresholds import threshold
from compute_node.extensions.pg_trgm.trigrams import distinct, trigrams
from compute_node.sql.planner.item_counts import COUNTS
from compute_node.types.common import refuse_input, refuse_output
from compute_node.types.registry import PgType

GIN_CODE, GIST_CODE = 1, 2
"""Of ``IndexDesc.codes``: no built-in class has these OIDs."""
_SIMILAR, _LIKE, _ILIKE, _REGEX, _IREGEX, _WORD, _STRICT_WORD, _EQUAL = 1, 3, 4, 5, 6, 7, 9, 11
_SETTINGS: Final = {
    _SIMILAR: "similarity_threshold", _WORD: "word_similarity_threshold",
    _STRICT_WORD: "strict_word_similarity_threshold",
}  # fmt: skip


class Alike(NamedTuple):
    """The right side of an operator of likeness, and how alike a text must be."""

    text: str
    limit: float


def _bound(key: ScanKey) -> Datum:
    setting = _SETTINGS.get(key.strategy)
    if setting is None:
        return key.value
    # Without a session anything may be alike enough.
    return Alike(key.value, 0.0 if key.settings is None else threshold(key.settings, setting))


def _search(strategy: int, value: Datum) -> Search:
    if isinstance(value, Alike):
        return _alike(value)
    if strategy in (_LIKE, _ILIKE):
        return like_search(value)
    if strategy in (_REGEX, _IREGEX):
        return regex_search(value, strategy == _IREGEX)
    if strategy != _EQUAL:
        raise InvariantViolation(f"strategy {strategy} is none of trigrams")
    return both([Item(each) for each in sorted(trigrams(value))])


def _alike(value: Alike) -> Search:
    if value.limit <= 0.0:
        return ALL
    wanted = sorted(trigrams(value.text))
    count = next((each for each in range(1, len(wanted) + 1) if _share(each, len(wanted)) >= value.limit), 0)
    items = [Item(each) for each in wanted]
    if not count:
        return NOTHING
    return either(items) if count == 1 else both(items) if count == len(items) else AtLeast(count, tuple(items))


def _share(common: int, whole: int) -> float:
    """In four bytes, as likeness is measured."""
    return float(np.float32(common) / np.float32(whole))


# GIN


def _itself(item: bytes) -> bytes:
    return item


def _items(value: str) -> Collection[Datum]:
    return distinct(value)


def _gin(kind: PgType) -> GinClass:
    return GinClass(_items, _itself, _search, _bound)


def _count(strategy: int, value: Datum) -> int:
    """For the planner, which does not know the thresholds: as if one trigram were enough."""
    if strategy in _SETTINGS:
        return len(trigrams(value))
    return len(_items_of(_search(strategy, value)))


def _items_of(search: Search) -> set[Search]:
    match search:
        case Item():
            return {search}
        case Both(parts) | Either(parts):
            return set().union(*map(_items_of, parts))
        case _:
            return set()


# GiST


class _Signatures:
    """What signatures of so many bits may have."""

    def __init__(self, bits: int) -> None:
        self._bits = bits

    def have_all(self, trigrams: Iterable[bytes]) -> Callable[[Any], bool]:
        """Whether one may have them all."""
        wanted = signature_of(trigrams, self._bits)
        return lambda found: not wanted & ~found

    def count(self, trigrams: Iterable[bytes]) -> Callable[[Any], int]:
        """How many of them it may have."""
        wanted = [signature_of((each,), self._bits) for each in trigrams]
        return lambda found: sum(1 for each in wanted if found & each)


class _Texts:
    """What sets of trigrams have."""

    def have_all(self, trigrams: Iterable[bytes]) -> Callable[[Any], bool]:
        """Whether one has them all."""
        return frozenset(trigrams).issubset

    def count(self, trigrams: Iterable[bytes]) -> Callable[[Any], int]:
        """How many of them it has."""
        wanted = frozenset(trigrams)
        return lambda found: len(wanted & found)


def _compiled(search: Search, of: _Signatures | _Texts) -> Callable[[Any], bool]:
    """Whether a key has what a search asks, or may have it."""
    match search:
        case Item(data):
            return of.have_all((data,))
        case Both(parts):
            plain = of.have_all([part.data for part in parts if isinstance(part, Item)])
            tests = [_compiled(part, of) for part in parts if not isinstance(part, Item)]
            return (lambda found: plain(found) and all(test(found) for test in tests)) if tests else plain
        case Either(parts):
            tests = [_compiled(part, of) for part in parts]
            return lambda found: any(test(found) for test in tests)
        case AtLeast(least, items):
            counted = of.count([item.data for item in items])
            return lambda found: counted(found) >= least
        case Every():
            return lambda found: True
        case _:
            raise InvariantViolation(f"{search} is none of trigrams")


def _gist(kind: PgType, options: tuple[str, ...]) -> GistClass:
    size = next((int(each.partition("=")[2]) for each in options if each.startswith("siglen=")), SIGNATURE_BYTES)
    form = TrigramForm(size)
    signatures, texts = _Signatures(form.bits), _Texts()

    def key(value: str) -> TrigramKey:
        return form.of(distinct(value))

    def test(strategy: int, value: Datum) -> Test:
        search = _search(strategy, value)
        may_have, has = _compiled(search, signatures), _compiled(search, texts)
        if strategy == _EQUAL:
            has = trigrams(value).__eq__

        def meets(found: TrigramKey, leaf: bool) -> bool:
            return may_have(found.signature) if found.trigrams is None else has(found.trigrams)

        return meets

    def distance(strategy: int, value: str) -> Distance:
        wanted = trigrams(value)
        may_have, has = signatures.count(wanted), texts.count(wanted)
        least = [
            float(np.float32(1) - np.float32(_share(common, max(len(wanted), 1))))
            for common in range(len(wanted) + 1)
        ]  # fmt: skip

        def far(found: TrigramKey) -> float:
            return least[may_have(found.signature) if found.trigrams is None else has(found.trigrams)]

        return far

    return GistClass(form, key, test, distance, bound=_bound)


def declare() -> None:
    """Make the classes, and the symbols of their functions, known."""
    GIN_CLASSES[GIN_CODE] = _gin
    GIST_CLASSES[GIST_CODE] = _gist
    COUNTS[GIN_CODE] = _count
    CLASS_CODES.update(gin_extract_value_trgm=GIN_CODE, gtrgm_consistent=GIST_CODE)
    base_type(
        PgType(
            oid=0, name="gtrgm", length=-1, by_value=False, category="U", align="i", storage="p", array=0,
            input=refuse_input("gtrgm"), output=refuse_output("gtrgm"), receive=None, send=None, disk="s",
        ),
        "gtrgm_in", "gtrgm_out",
    )  # fmt: skip
    supports(
        """
        gin_extract_value_trgm 2 gin_extract_query_trgm 7 gin_trgm_consistent 8 gin_trgm_triconsistent 7
        gtrgm_consistent 5 gtrgm_distance 5 gtrgm_compress 1 gtrgm_decompress 1 gtrgm_penalty 3 gtrgm_picksplit 2
        gtrgm_union 2 gtrgm_same 3 gtrgm_options 1
        """
    )
