"""The operator classes ``gin__int_ops``, ``gist__int_ops`` and ``gist__intbig_ops``.

GIN finds rows by their integers. GiST has sets of bits, one for several integers, so that what it lets through is
checked again; for NOT it lets everything through.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Final

from aurora.datum import Datum
from aurora.errors import InvariantViolation, NotSupported, ProgramLimitExceeded
from compute_node.access.gin.classes import GIN_CLASSES, GinClass
from compute_node.access.gin.search import ALL, IS_EMPTY, NOTHING, Item, Search, both, either
from compute_node.access.gist.classes import GIST_CLASSES, GistClass, Test
from compute_node.access.gist.forms import SignatureForm
from compute_node.extensions.intarray.arrays import integers
from compute_node.extensions.intarray.queries import AND, NOT, NUMBER, Wanted, meets, numbers
from compute_node.extensions.library import CLASS_CODES, base_type, supports
from compute_node.sql.planner.item_counts import COUNTS
from compute_node.types.array_value import Array, flatten
from compute_node.types.registry import PgType, TypeEnv

GIN_CODE, GIST_CODE, GIST_BIG_CODE = 120, 121, 122
"""Of ``IndexDesc.codes``"""
_OVERLAPS, _SAME, _CONTAINS, _CONTAINED, _MATCHES = 3, 6, 7, 8, 20
_RANGES, _RANGE_BYTES = 100, 2
"""Unless ``numranges`` says otherwise; bytes of a set for each"""
_SIGNATURE_BYTES: Final = 252
"""Unless ``siglen`` says otherwise"""
_BIAS: Final = 1 << 31


# GIN


def _encode(element: int) -> bytes:
    return (element + _BIAS).to_bytes(4, "big")


def _items(value: Array) -> Collection[Datum]:
    return set(flatten(value))


def _search(strategy: int, value: Datum) -> Search:
    if strategy == _MATCHES:
        return _of_query(value)
    wanted = [Item(_encode(each)) for each in sorted(set(integers(value)))]
    if strategy == _OVERLAPS:
        return either(wanted) if wanted else NOTHING
    if strategy == _CONTAINED:
        return either([*wanted, IS_EMPTY])
    if strategy == _CONTAINS:
        return both(wanted) if wanted else ALL
    return both(wanted) if wanted else IS_EMPTY


def _of_query(wanted: Wanted) -> Search:
    if wanted.operator == NUMBER:
        return Item(_encode(wanted.number))
    if wanted.operator == NOT or wanted.left is None or wanted.right is None:
        return ALL
    parts = (_of_query(wanted.left), _of_query(wanted.right))
    return both(parts) if wanted.operator == AND else either(parts)


def _count(strategy: int, value: Datum) -> int:
    if strategy == _MATCHES:
        return 0 if _of_query(value) == ALL else len(numbers(value))
    return max(1, len(_items(value)))


def _gin(kind: PgType) -> GinClass:
    return GinClass(_items, _encode, _search)


# GiST


def _option(options: tuple[str, ...], name: str, usual: int) -> int:
    return next((int(each.partition("=")[2]) for each in options if each.startswith(f"{name}=")), usual)


def _signature(form: SignatureForm, elements: Collection[int]) -> int:
    found = 0
    for each in elements:
        found |= 1 << each % form.bits
    return found


def _test(form: SignatureForm, strategy: int, value: Datum) -> Test:
    if strategy == _MATCHES:
        wanted: Wanted = value
        return lambda key, leaf: meets(wanted, lambda number: bool(key >> number % form.bits & 1), False)
    asked = _signature(form, integers(value))
    if strategy == _OVERLAPS:
        return lambda key, leaf: bool(asked & key)
    if strategy == _CONTAINS:
        return lambda key, leaf: not asked & ~key
    if strategy != _SAME:
        raise InvariantViolation(f"strategy {strategy} is none of arrays of integers")
    return lambda key, leaf: asked == key if leaf else not asked & ~key


def _gist(kind: PgType, options: tuple[str, ...]) -> GistClass:
    """Arrays may have so many integers as PostgreSQL's ranges could tell apart."""
    ranges = _option(options, "numranges", _RANGES)
    form = SignatureForm(_RANGE_BYTES * ranges)

    def key(value: Array) -> int:
        elements = set(integers(value))
        if len(elements) >= 2 * ranges:
            raise ProgramLimitExceeded(
                f"input array is too big ({2 * ranges - 1} maximum allowed, {len(elements)} current),"
                " use gist__intbig_ops opclass instead"
            )
        return _signature(form, elements)

    return GistClass(form, key, partial(_test, form))


def _gist_big(kind: PgType, options: tuple[str, ...]) -> GistClass:
    form = SignatureForm(_option(options, "siglen", _SIGNATURE_BYTES))
    return GistClass(form, lambda value: _signature(form, integers(value)), partial(_test, form))


def _refuse_input(text: str, typmod: int, env: TypeEnv) -> Datum:
    raise NotSupported("_intbig_in() not implemented")


def _refuse_output(value: Datum, env: TypeEnv) -> str:
    raise NotSupported("_intbig_out() not implemented")


def declare() -> None:
    """Make the classes, and the symbols of their functions, known."""
    GIN_CLASSES[GIN_CODE] = _gin
    GIST_CLASSES[GIST_CODE] = _gist
    GIST_CLASSES[GIST_BIG_CODE] = _gist_big
    COUNTS[GIN_CODE] = _count
    CLASS_CODES.update(
        ginint4_queryextract=GIN_CODE, g_int_consistent=GIST_CODE, g_intbig_consistent=GIST_BIG_CODE
    )  # fmt: skip
    base_type(
        PgType(
            oid=0, name="intbig_gkey", length=-1, by_value=False, category="U", align="i", storage="p", array=0,
            input=_refuse_input, output=_refuse_output, receive=None, send=None, disk="y",
        ),
        "_intbig_in", "_intbig_out",
    )  # fmt: skip
    supports("ginint4_queryextract 7 ginint4_consistent 8")
    for word in ("int", "intbig"):
        supports(
            f"g_{word}_consistent 5 g_{word}_compress 1 g_{word}_decompress 1 g_{word}_penalty 3 g_{word}_picksplit 2"
            f" g_{word}_union 2 g_{word}_same 3 g_{word}_options 1"
        )
