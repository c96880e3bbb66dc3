"""The operator classes ``gin_hstore_ops`` and ``gist_hstore_ops``: items of a value, what a condition asks of them.

A value has an item for each key, and one for each text or NULL. GIN finds rows by items, GiST tests signatures of
``siglen`` bytes; neither knows which text belongs to which key, so what they let through is checked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from hashlib import blake2b
from typing import Final
from zlib import crc32

from aurora.datum import Datum
from compute_node.access.gin.classes import GIN_CLASSES, GinClass
from compute_node.access.gin.search import Item, Search, both, either
from compute_node.access.gist.classes import GIST_CLASSES, GistClass, Test
from compute_node.access.gist.forms import SignatureForm
from compute_node.extensions.hstore.value import Hstore
from compute_node.extensions.library import CLASS_CODES, base_type, supports
from compute_node.sql.planner.item_counts import COUNTS
from compute_node.types.array_value import flatten
from compute_node.types.common import refuse_input, refuse_output
from compute_node.types.registry import PgType

GIN_CODE, GIST_CODE = 11, 12
"""Of ``IndexDesc.codes``: no built-in class has these OIDs."""
_CONTAINS, _HAS, _HAS_ANY, _HAS_ALL = 7, 9, 10, 11
_KEY, _TEXT, _NULL, _HASHED = b"K", b"V", b"N", b"H"
_BYTES_MAX: Final = 125
"""A longer key or text is kept as its hash."""
SIGNATURE_BYTES: Final = 16
"""Unless ``siglen`` says otherwise"""


def _item(kind: bytes, text: str) -> bytes:
    data = text.encode()
    return kind + data if len(data) <= _BYTES_MAX else _HASHED + kind + blake2b(data, digest_size=16).digest()


def _all(value: Hstore) -> Iterator[bytes]:
    for key, text in value.pairs.items():
        yield _item(_KEY, key)
        yield _NULL if text is None else _item(_TEXT, text)


def _items(value: Hstore) -> Collection[Datum]:
    return set(_all(value))


def _wanted(strategy: int, value: Datum) -> list[bytes]:
    """The items that a condition asks for, all of them or, of ``?|``, any."""
    if strategy == _CONTAINS:
        return sorted(set(_all(value)))
    if strategy == _HAS:
        return [_item(_KEY, value)]
    return sorted({_item(_KEY, each) for each in flatten(value) if each is not None})


def _search(strategy: int, value: Datum) -> Search:
    items = [Item(each) for each in _wanted(strategy, value)]
    return either(items) if strategy == _HAS_ANY else both(items)


def _itself(item: bytes) -> bytes:
    return item


def _gin(kind: PgType) -> GinClass:
    return GinClass(_items, _itself, _search)


def _count(strategy: int, value: Datum) -> int:
    return len(_wanted(strategy, value))


def _signature(bits: int, items: Collection[bytes]) -> int:
    found = 0
    for each in items:
        found |= 1 << crc32(each) % bits
    return found


def _test(bits: int, strategy: int, value: Datum) -> Test:
    wanted = _wanted(strategy, value)
    if strategy == _HAS_ANY:
        any_of = _signature(bits, wanted)
        return lambda key, leaf: bool(key & any_of)
    all_of = _signature(bits, wanted)
    return lambda key, leaf: not all_of & ~key


def _gist(kind: PgType, options: tuple[str, ...]) -> GistClass:
    size = next((int(each.partition("=")[2]) for each in options if each.startswith("siglen=")), SIGNATURE_BYTES)
    form = SignatureForm(size)

    def key(value: Hstore) -> int:
        return _signature(form.bits, _items(value))

    return GistClass(form, key, partial(_test, form.bits))


def declare() -> None:
    """Make the classes, and the symbols of their functions, known."""
    GIN_CLASSES[GIN_CODE] = _gin
    GIST_CLASSES[GIST_CODE] = _gist
    COUNTS[GIN_CODE] = _count
    CLASS_CODES.update(gin_extract_hstore=GIN_CODE, ghstore_consistent=GIST_CODE)
    base_type(
        PgType(
            oid=0, name="ghstore", length=-1, by_value=False, category="U", align="i", storage="p", array=0,
            input=refuse_input("ghstore"), output=refuse_output("ghstore"), receive=None, send=None, disk="s",
        ),
        "ghstore_in", "ghstore_out",
    )  # fmt: skip
    supports(
        """
        gin_extract_hstore 2 gin_extract_hstore_query 5 gin_consistent_hstore 6 ghstore_consistent 5
        ghstore_compress 1 ghstore_decompress 1 ghstore_penalty 3 ghstore_picksplit 2 ghstore_union 2
        ghstore_same 3 ghstore_options 1
        """
    )
