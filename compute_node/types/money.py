"""money: an int of cents, written as the C locale's lc_monetary has it: ``-$1,234.50`` (manual, 8.2)."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from aurora.datum import Datum
from aurora.errors import FloatingPointException, NumericValueOutOfRange
from compute_node.types.common import (
    WHITESPACE,
    division_by_zero,
    fixed_codec,
    invalid_syntax,
    value_out_of_range,
    whole_number,
)
from compute_node.types.declare import agg, casts, comparisons, fn, fns, operator_classes, operators
from compute_node.types.numeric import EXACT, to_integer
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_LOW: Final = -(2**63)
_HIGH: Final = 2**63 - 1
_SPACE = f"[{WHITESPACE}]*"
_AMOUNT = re.compile(
    rf"{_SPACE}\$?{_SPACE}(?P<sign>[-(+]?){_SPACE}\$?{_SPACE}(?P<whole>[0-9,]*)(?P<point>\.?)(?P<cents>(?:,*[0-9])"
    rf"{{0,2}},*)(?P<next>[0-9]*)(?P<end>[-+$){WHITESPACE}]*)"
)


def money_in(text: str, typmod: int, env: TypeEnv) -> int:
    """A sign or parentheses, a dollar sign, groups and cents, rounded; 22P02, 22003."""
    match = _AMOUNT.fullmatch(text)
    if match is None or (match["next"] and not match["point"]):
        raise invalid_syntax("money", text)
    cents = match["cents"].replace(",", "")
    amount: int = whole_number((match["whole"] + cents).replace(",", "").ljust(1, "0") or "0") * 10 ** (2 - len(cents))
    if match["next"][:1] >= "5":
        amount += 1
    if match["sign"] in ("-", "(") or "-" in match["end"]:
        amount = -amount
    if not _LOW <= amount <= _HIGH:
        raise value_out_of_range("money", text)
    return amount


def money_out(value: int) -> str:
    """A minus sign, a dollar sign, groups of three digits, two decimals."""
    whole, cents = divmod(abs(value), 100)
    return f"{'-' if value < 0 else ''}${whole:,}.{cents:02d}"


_receive, _send = fixed_codec(">q")
REGISTRY.add_type(
    PgType(
        oid=790,
        name="money",
        length=8,
        by_value=True,
        category="N",
        align="d",
        array=791,
        input=money_in,
        output=lambda value, env: money_out(value),
        text_bytes=lambda value: money_out(value).encode(),
        receive=_receive,
        send=_send,
        disk="q",
        sort_key=lambda value: (value + 2**63).to_bytes(8, "big"),
    )
)

comparisons("""
888 cash_eq(money, money) bool
889 cash_ne(money, money) bool
890 cash_lt(money, money) bool
891 cash_le(money, money) bool
892 cash_gt(money, money) bool
893 cash_ge(money, money) bool
377 cash_cmp(money, money) int4
""")


def _checked(value: int) -> int:
    if not _LOW <= value <= _HIGH:
        raise NumericValueOutOfRange("money out of range")
    return value


def _rounded(value: float) -> int:
    """To the nearest cent; 22003."""
    if value != value or not float(_LOW) <= value < float(2**63):
        raise NumericValueOutOfRange("money out of range")
    return round(value)


def _times(value: int, factor: float) -> int:
    return _rounded(value * factor)


def _over(value: int, divisor: float) -> int:
    if divisor == 0:
        raise division_by_zero()
    return _rounded(value / divisor)


def _over_integer(value: int, divisor: int) -> int:
    if divisor == 0:
        raise division_by_zero()
    if value == _LOW and divisor == -1:
        raise FloatingPointException(  # what the processor says of it
            "floating-point exception",
            detail="An invalid floating-point operation was signaled. This probably means an out-of-range result or an"
            " invalid operation, such as division by zero.",
        )
    return _checked(abs(value) // abs(divisor) * (1 if (value < 0) == (divisor < 0) else -1))


def _ratio(a: int, b: int) -> float:
    if b == 0:
        raise division_by_zero()
    return float(a) / float(b)


def _from_number(value: int) -> int:
    if not _LOW <= value <= _HIGH:
        raise NumericValueOutOfRange("bigint out of range")
    return value


def _from_numeric(value: Decimal) -> int:
    if not value.is_finite():
        return to_integer(8)(value)
    return _from_number(int(value.scaleb(2, EXACT).to_integral_value(ROUND_HALF_UP, EXACT)))


_SMALL_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TEN_WORDS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL: Final = _SMALL_WORDS.split()
_TENS: Final = _TEN_WORDS.split()


def _words(number: int) -> str:
    """0…999 in English."""
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    if rest < 20:
        below, joint = _SMALL[rest], " and "
    else:
        below, joint = _TENS[tens] + (f" {_SMALL[ones]}" if ones else ""), " "
    if not hundreds:
        return below
    return f"{_SMALL[hundreds]} hundred" + (joint + below if rest else "")


def money_words(value: int) -> str:
    """The amount in English words."""
    whole, cents = divmod(abs(value), 100)
    text = ""
    for power, name in ((15, "quadrillion"), (12, "trillion"), (9, "billion"), (6, "million"), (3, "thousand")):
        group = whole // 10**power % 1000
        if group:
            text += f"{_words(group)} {name} "
    if whole % 1000:
        text += _words(whole % 1000)
    text = text or "zero"
    text += " dollar and " if whole == 1 else " dollars and "
    text += _words(cents) + (" cent" if cents == 1 else " cents")
    text = ("minus " if value < 0 else "") + text
    return text[0].upper() + text[1:]


fn(894, "cash_pl(money, money) money", lambda a, b: _checked(a + b))
fn(895, "cash_mi(money, money) money", lambda a, b: _checked(a - b))
fns(
    """
846 cash_mul_flt4(money, float4) money
896 cash_mul_flt8(money, float8) money
""",
    _times,
)
fns(
    """
848 flt4_mul_cash(float4, money) money
919 flt8_mul_cash(float8, money) money
""",
    lambda factor, value: _times(value, factor),
)
fns(
    """
847 cash_div_flt4(money, float4) money
897 cash_div_flt8(money, float8) money
""",
    _over,
)
fns(
    """
866 cash_mul_int2(money, int2) money
864 cash_mul_int4(money, int4) money
3344 cash_mul_int8(money, int8) money
863 int2_mul_cash(int2, money) money
862 int4_mul_cash(int4, money) money
3399 int8_mul_cash(int8, money) money
""",
    lambda a, b: _checked(a * b),
)
fns(
    """
867 cash_div_int2(money, int2) money
865 cash_div_int4(money, int4) money
3345 cash_div_int8(money, int8) money
""",
    _over_integer,
)
fn(3822, "cash_div_cash(money, money) float8", _ratio)
fn(935, "cash_words(money) text", money_words)
fn(898, "cashlarger(money, money) money", max)
fn(899, "cashsmaller(money, money) money", min)
fns(
    """
3811 money(int4) money stable
3812 money(int8) money stable
""",
    lambda value: _from_number(value * 100),
)
fn(3824, "money(numeric) money stable", _from_numeric)
fn(3823, "numeric(money) numeric stable", lambda value: Decimal(value).scaleb(-2, EXACT))


def _choose(choose: Any) -> Datum:
    return lambda state, value: value if state is None else choose(state, value)


for _oid, _signature, _combine in (
    (2112, "sum(money) money", lambda a, b: _checked(a + b)),
    (2125, "max(money) money", max),
    (2141, "min(money) money", min),
):
    agg(_oid, _signature, lambda: None, _choose(_combine), lambda state: state, transition_type=790)
operators("""
843 money * float4 money 846 commutator=845
844 money / float4 money 847
845 float4 * money money 848 commutator=843
900 money = money bool 888 commutator=900 negator=901 merges
901 money <> money bool 889 commutator=901 negator=900
902 money < money bool 890 commutator=903 negator=905
903 money > money bool 892 commutator=902 negator=904
904 money <= money bool 891 commutator=905 negator=903
905 money >= money bool 893 commutator=904 negator=902
906 money + money money 894 commutator=906
907 money - money money 895
908 money * float8 money 896 commutator=916
909 money / float8 money 897
912 money * int4 money 864 commutator=917
913 money / int4 money 865
914 money * int2 money 866 commutator=918
915 money / int2 money 867
916 float8 * money money 919 commutator=908
917 int4 * money money 862 commutator=912
918 int2 * money money 863 commutator=914
3346 money * int8 money 3344 commutator=3349
3347 money / int8 money 3345
3349 int8 * money money 3399 commutator=3346
3825 money / money float8 3822
""")
casts("""
10030 money numeric 3823 a f
10031 numeric money 3824 a f
10032 int4 money 3811 a f
10033 int8 money 3812 a f
""")
operator_classes("""
10047 money_ops 2099 money_ops money 403 default 902,904,900,905,903 377,0,0,5051
""")
