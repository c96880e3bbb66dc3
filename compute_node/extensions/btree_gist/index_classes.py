"""The operator classes of btree_gist: keys are intervals of the bytes in whose order a B-tree has the values.

Long bytes are cut, outwards: of such keys a condition holds for more than it should, and the row is asked. Keys of
the types that have distances are numbers, so that these come from the keys alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import InvariantViolation, NotSupported, SqlError
from compute_node.access.gist.classes import GIST_CLASSES, Distance, GistClass, Test
from compute_node.access.gist.forms import Interval, IntervalForm, interval
from compute_node.extensions.library import CLASS_CODES, base_type, supports
from compute_node.relations.access_methods import RETURNING_CLASSES
from compute_node.types import oids
from compute_node.types.calendar_ import DATE_INFINITY, DATE_MINUS_INFINITY
from compute_node.types.datetime_ import is_infinite as is_infinite_moment
from compute_node.types.floating import float_key, float_of_key
from compute_node.types.interval import interval_span
from compute_node.types.registry import PgType, TypeEnv

RETURNING_CODE, SEARCHING_CODE = 100, 101
"""Of ``IndexDesc.codes``: classes that give the values back, as PostgreSQL's do, and those that do not."""
_LESS, _LESS_EQUAL, _EQUAL, _GREATER_EQUAL, _GREATER, _NOT_EQUAL = 1, 2, 3, 4, 5, 6
_FAR: Final = 1.0e308
"""Of two finite values no distance is greater; of an infinite moment it is this."""
_MONEY: Final = 790
Number = int | float


class _Numbers(NamedTuple):
    """Values as numbers: ``of`` a value; ``to_bytes`` in memcmp order, and ``back``. ``is_infinite``: of a number
    that is far from all; ``is_measured``: of one whose distances the operator has to tell."""

    of: Callable[[Datum], Number]
    to_bytes: Callable[[Number], bytes]
    back: Callable[[bytes], Number]
    is_infinite: Callable[[Number], bool] = lambda number: False
    is_measured: Callable[[Number], bool] = lambda number: False


def _integers(size: int) -> tuple[Callable[[Number], bytes], Callable[[bytes], Number]]:
    """(bytes of an integer in memcmp order, and back)."""
    bias = 1 << 8 * size - 1
    return (
        lambda number: (int(number) + bias).to_bytes(size, "big"),
        lambda data: int.from_bytes(data, "big") - bias,
    )


def _itself(value: Number) -> Number:
    return value


def _is_infinite_day(number: Number) -> bool:
    return number in (DATE_INFINITY, DATE_MINUS_INFINITY)


def _is_no_number(number: Number) -> bool:
    return number != number


_PLAIN: Final = _Numbers(_itself, *_integers(8))
_MOMENTS: Final = _Numbers(_itself, *_integers(8), is_infinite=lambda number: is_infinite_moment(int(number)))
_FLOATS: Final = _Numbers(_itself, float_key, float_of_key, is_measured=_is_no_number)
_NUMBERS: Final[dict[int, _Numbers]] = {
    oids.INT2: _PLAIN,
    oids.INT4: _PLAIN,
    oids.INT8: _PLAIN,
    oids.OID: _PLAIN,
    _MONEY: _PLAIN,
    oids.TIME: _PLAIN,
    oids.FLOAT4: _FLOATS,
    oids.FLOAT8: _FLOATS,
    oids.DATE: _Numbers(_itself, *_integers(4), is_measured=_is_infinite_day),
    oids.TIMESTAMP: _MOMENTS,
    oids.TIMESTAMPTZ: _MOMENTS,
    oids.INTERVAL: _Numbers(interval_span, *_integers(16)),
}
"""by the type, where there is ``<->``"""


def _class(kind: PgType, options: tuple[str, ...]) -> GistClass:
    numbers = _NUMBERS.get(kind.root.oid)
    if numbers is not None:
        return _of_numbers(numbers)
    order = kind.sort_key
    if order is None:
        raise InvariantViolation(f"type {kind.name} has no order of bytes")
    to_bytes = order

    def key(value: Datum) -> Interval:
        data = to_bytes(value)
        return interval(data, data)

    return GistClass(IntervalForm(), key, lambda strategy, value: _test(strategy, key(value)))


def _of_numbers(numbers: _Numbers) -> GistClass:
    def key(value: Datum) -> Interval:
        data = numbers.to_bytes(numbers.of(value))
        return Interval(data, data)

    def distance(strategy: int, value: Datum) -> Distance:
        return _distance(numbers, numbers.of(value))

    return GistClass(IntervalForm(), key, lambda strategy, value: _test(strategy, key(value)), distance, exact=True)


def _test(strategy: int, wanted: Interval) -> Test:
    low, high = wanted.low, wanted.high
    if low is None or high is None:
        raise InvariantViolation("a value has no bytes")
    if strategy == _NOT_EQUAL and low != high:
        # Cut bytes do not tell which values are another one.
        return lambda key, leaf: True
    tests: dict[int, Test] = {
        _LESS: lambda key, leaf: key.low < high,
        _LESS_EQUAL: lambda key, leaf: key.low <= high,
        _EQUAL: lambda key, leaf: key.low <= high and key.high >= low,
        _GREATER_EQUAL: lambda key, leaf: key.high >= low,
        _GREATER: lambda key, leaf: key.high > low,
        _NOT_EQUAL: lambda key, leaf: not key.low == key.high == low,
    }
    return tests[strategy]


def _distance(numbers: _Numbers, value: Number) -> Distance:
    """From the nearest number of a key; no number where the operator has to tell."""
    back, is_infinite, is_measured = numbers.back, numbers.is_infinite, numbers.is_measured
    if is_measured(value):
        return lambda key: float("nan")
    if is_infinite(value):
        return lambda key: _FAR

    def far(key: Interval) -> Number:
        if key.low is None or key.high is None:
            raise InvariantViolation("a key has no bytes")
        low, high = back(key.low), back(key.high)
        if is_measured(low) or is_measured(high):
            return float("nan")
        if low == high and is_infinite(low):
            return _FAR
        if low <= value <= high:
            return 0.0
        return min(low - value if low > value else value - high, _FAR)

    return far


_SUPPORT: Final = {"consistent": 5, "union": 2, "compress": 1, "penalty": 3, "picksplit": 2, "same": 3}
"""Functions that there are for each kind of key, and their numbers of arguments"""
_KINDS: Final = (
    "oid", "int2", "int4", "int8", "float4", "float8", "ts", "time", "date", "intv", "cash", "macad", "macad8", "text",
    "bytea", "numeric", "bit", "inet", "uuid", "enum", "bool",
)  # fmt: skip
_OTHERS: Final = """
    gbt_tstz_consistent 5 gbt_tstz_compress 1 gbt_tstz_distance 5 gbt_timetz_consistent 5 gbt_timetz_compress 1
    gbt_bpchar_consistent 5 gbt_bpchar_compress 1 gbt_decompress 1 gbt_var_decompress 1 gbt_var_fetch 1
    gbt_intv_decompress 1
"""
_SEARCHING: Final = ("inet", "timetz")


def _refuse(what: str) -> SqlError:
    return NotSupported(f"<datatype>{what}() not implemented")


def _refuse_input(text: str, typmod: int, env: TypeEnv) -> Datum:
    raise _refuse("key_in")


def _refuse_output(value: Datum, env: TypeEnv) -> str:
    raise _refuse("key_out")


def declare() -> None:
    """Make the classes, the types of their keys and the symbols of their functions known."""
    GIST_CLASSES[RETURNING_CODE] = GIST_CLASSES[SEARCHING_CODE] = _class
    RETURNING_CLASSES.add(RETURNING_CODE)
    for kind in (*_KINDS, "tstz", "timetz", "bpchar"):
        CLASS_CODES[f"gbt_{kind}_consistent"] = SEARCHING_CODE if kind in _SEARCHING else RETURNING_CODE
    base_type(
        PgType(
            oid=0, name="gbtreekey", length=-1, by_value=False, category="U", align="i", storage="p", array=0,
            input=_refuse_input, output=_refuse_output, receive=None, send=None, disk="y",
        ),
        "gbtreekey_in", "gbtreekey_out",
    )  # fmt: skip
    supports(_OTHERS)
    for kind in _KINDS:
        words = dict(_SUPPORT)
        if kind in ("oid", "int2", "int4", "int8", "float4", "float8", "ts", "time", "date", "intv", "cash"):
            words.update(distance=5, fetch=1)
        elif kind in ("macad", "macad8", "uuid", "enum", "bool"):
            words.update(fetch=1)
        supports(" ".join(f"gbt_{kind}_{word} {count}" for word, count in words.items()))
