"""Polymorphic functions, aggregates, sets and inline forms; expected values are PostgreSQL 15's."""

from __future__ import annotations

import zoneinfo
from decimal import Decimal
from typing import Any

import pytest

from aurora.errors import InvalidParameterValue, NumericValueOutOfRange
from compute_node.types import REGISTRY
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import Aggregate, FunctionContext, TypeEnv

ENV = TypeEnv(zoneinfo.ZoneInfo("UTC"))


class Session:
    """Only identity matters here."""


CONTEXT = FunctionContext(ENV, Session())  # type: ignore[arg-type]


def call(name: str, types: list[str], *values: Any) -> Any:
    """A function specialized to argument types and called."""
    function = next(
        each
        for each in REGISTRY.functions_by_name[name]
        if each.specialize and (len(each.arguments) == len(types) or each.variadic)
    )
    assert function.specialize is not None
    implementation = function.specialize(
        tuple(REGISTRY.types[TYPE_OIDS[each]] for each in types), REGISTRY.types[function.result]
    )
    return implementation(CONTEXT, *values) if function.needs_context else implementation(*values)


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("%s %I %L %%", ("a", "B c", None), 'a "B c" NULL %'),
        ("%2$s %1$-5s|%5s", ("a", "b"), "b a    |    b"),
        ("%-4L|", ("x",), "'x' |"),
    ],
)
def test_format(template: str, values: tuple[Any, ...], expected: str) -> None:
    assert call("format", ["text"] * (1 + len(values)), template, *values) == expected


def test_format_refuses() -> None:
    with pytest.raises(InvalidParameterValue, match="unrecognized"):
        call("format", ["text", "text"], "%x", "a")
    with pytest.raises(InvalidParameterValue, match="too few"):
        call("format", ["text"], "%s")


def test_concat() -> None:
    assert call("concat", ["int4", "text", "bool", "numeric"], 1, None, True, Decimal("1.50")) == "1t1.50"
    assert call("concat_ws", ["text", "int4", "text", "text"], ",", 1, None, "b") == "1,b"
    assert call("textanycat", ["text", "date"], "on ", 0) == "on 2000-01-01"


def test_arrays() -> None:
    assert call("array_to_string", ["int4[]", "text", "text"], [1, None, 3], ",", "*") == "1,*,3"
    assert call("array_eq", ["float8[]", "float8[]"], [float("nan")], [float("nan")]) is True
    assert call("btarraycmp", ["int4[]", "int4[]"], [1, 2], [1, None]) == -1
    assert call("arraycontains", ["int4[]", "int4[]"], [1, 2, 3], [3, 1]) is True
    assert call("array_lower", ["oidvector", "int4"], [1, 2], 1) == 0
    assert call("pg_typeof", ["int4[]"], [1]) == TYPE_OIDS["int4[]"]


def aggregate(name: str, argument: str) -> Aggregate:
    """An aggregate by its one argument's type."""
    found = next(each for each in REGISTRY.functions_by_name[name] if each.arguments == (TYPE_OIDS[argument],))
    return REGISTRY.aggregates[found.oid]


@pytest.mark.parametrize(
    ("name", "argument", "values", "expected"),
    [
        ("sum", "int4", [1, 2, 4], "7"),
        ("sum", "int4", [], "None"),
        ("sum", "int8", [2**63 - 1, 5], "9223372036854775812"),
        ("avg", "int4", list(range(1, 11)), "5.5000000000000000"),
        ("stddev", "int4", list(range(1, 11)), "3.0276503540974917"),
        ("variance", "int4", list(range(1, 11)), "9.1666666666666667"),
        ("var_pop", "int4", list(range(1, 11)), "8.2500000000000000"),
        ("variance", "numeric", [Decimal("1.5"), Decimal("2.25"), Decimal("3.125")], "0.66145833333333333333"),
        ("stddev", "numeric", [Decimal("1.5"), Decimal("2.25"), Decimal("3.125")], "0.81330088733096395985"),
        ("stddev", "float8", [1.5, 3.0, 4.5, 6.0], "1.9364916731037085"),
        ("max", "text", ["a", "c", "b"], "c"),
        ("min", "numeric", [Decimal("NaN"), Decimal(3)], "3"),
        ("bool_and", "bool", [True, False], "False"),
        ("bit_xor", "int4", [12, 10], "6"),
        ("array_agg", "anynonarray", [1, None], "[1, None]"),
    ],
)
def test_aggregates(name: str, argument: str, values: list[Any], expected: str) -> None:
    item = aggregate(name, argument)
    state = item.initial()
    for value in values:
        state = item.step(state, value)
    assert str(item.final(state)) == expected
    if item.batch is not None:
        halves = item.batch(item.batch(item.initial(), values[:2]), values[2:])
        assert str(item.final(halves)) == expected


def test_sum_of_floats_overflows() -> None:
    item = aggregate("sum", "float8")
    with pytest.raises(NumericValueOutOfRange):
        item.step(item.step(item.initial(), 1e308), 1e308)


def test_series() -> None:
    series = {each.arguments: each.implementation for each in REGISTRY.functions_by_name["generate_series"]}
    int4, numeric = TYPE_OIDS["int4"], TYPE_OIDS["numeric"]
    assert list(series[int4, int4, int4](5, 1, -2)) == [5, 3, 1]
    steps = series[numeric, numeric, numeric](Decimal("1.0"), Decimal("2.0"), Decimal("0.5"))
    assert [str(each) for each in steps] == ["1.0", "1.5", "2.0"]
    with pytest.raises(InvalidParameterValue, match="zero"):
        series[int4, int4, int4](1, 2, 0)


def test_setseed_gives_postgresql_s_sequence() -> None:
    REGISTRY.functions_by_name["setseed"][0].implementation(CONTEXT, 0.5)
    assert REGISTRY.functions_by_name["random"][0].implementation(CONTEXT) == 0.9851677175347999


def test_inline_forms_equal_the_implementations() -> None:
    samples = {
        16: [True, False],
        21: [-7, 3, 32767],
        23: [-7, 3, 2**31 - 1],
        20: [-7, 3, 2**63 - 1],
        25: ["a", "b"],
        19: ["a", "b"],
    }
    checked = 0
    for function in REGISTRY.functions.values():
        if function.inline is None or any(each not in samples for each in function.arguments):
            continue
        names = [f"a{at}" for at in range(len(function.arguments))]
        code = compile(function.inline.format(*names), function.name, "eval")
        for at in range(2):
            values = [samples[oid][(at + index) % 2] for index, oid in enumerate(function.arguments)]
            assert eval(
                code, dict(function.inline_names), dict(zip(names, values, strict=True))
            ) == function.implementation(*values)
            checked += 1
        top = [samples[oid][-1] for oid in function.arguments]
        try:
            expected = function.implementation(*top)
        except NumericValueOutOfRange:
            with pytest.raises(NumericValueOutOfRange):
                eval(code, dict(function.inline_names), dict(zip(names, top, strict=True)))
        else:
            assert eval(code, dict(function.inline_names), dict(zip(names, top, strict=True))) == expected
    assert checked > 100
