"""int2, int4, int8: I/O, comparison, arithmetic with overflow errors, bit operations, casts among them (manual,
8.1.1, 9.3).

Every arithmetic result is checked against its type's range (22003); division and remainder truncate toward zero.
"""

from __future__ import annotations

import math
import operator
import re
import struct
from collections.abc import Callable
from typing import NoReturn

from aurora.errors import NumericValueOutOfRange
from compute_node.types.common import division_by_zero, fixed_codec, invalid_syntax, value_out_of_range, whole_number
from compute_node.types.declare import casts, family_operators, fn, fns, operator_classes, operators
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire

_INTEGER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+[ \t\n\v\f\r]*")
_DIGITS = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
FORMATTED = {2: "smallint", 4: "integer", 8: "bigint"}
LOW = {size: -(1 << size * 8 - 1) for size in (2, 4, 8)}
HIGH = {size: (1 << size * 8 - 1) - 1 for size in (2, 4, 8)}


def integer_input(name: str, low: int, high: int) -> Callable[[str, int, TypeEnv], int]:
    """Text input for the range [low, high]: 22P02 for bad syntax, 22003 for values outside."""

    def read(text: str, typmod: int, env: TypeEnv) -> int:
        if len(text) < 19 and text.isdigit() and text.isascii():
            value = int(text)
            if low <= value <= high:
                return value
        if _INTEGER.fullmatch(text) is None:
            digits = _DIGITS.match(text)
            if digits is not None and not low <= whole_number(digits[1]) <= high:
                raise value_out_of_range(name, text)  # found before what comes after the digits
            raise invalid_syntax(name, text)
        value = whole_number(text)
        if not low <= value <= high:
            raise value_out_of_range(name, text)
        return value

    return read


def overflow(size: int) -> NoReturn:
    """22003 for a result that does not fit ``size`` bytes."""
    raise NumericValueOutOfRange(f"{FORMATTED[size]} out of range")


def overflow2() -> NoReturn:
    """``overflow`` for the inline forms."""
    overflow(2)


def overflow4() -> NoReturn:
    """``overflow`` for the inline forms."""
    overflow(4)


def overflow8() -> NoReturn:
    """``overflow`` for the inline forms."""
    overflow(8)


OVERFLOW = {2: overflow2, 4: overflow4, 8: overflow8}
_KEY = {2: ">H", 4: ">I", 8: ">Q"}


def _sort_key(size: int) -> Callable[[int], bytes]:
    pack, bias = struct.Struct(_KEY[size]).pack, -LOW[size]
    return lambda value: pack(value + bias)


for _size, _oid, _array, _disk in ((2, 21, 1005, "h"), (4, 23, 1007, "i"), (8, 20, 1016, "q")):
    _receive, _send = fixed_codec(">" + _disk)
    REGISTRY.add_type(
        PgType(
            oid=_oid,
            name=f"int{_size}",
            formatted_name=FORMATTED[_size],
            length=_size,
            by_value=True,
            category="N",
            align={2: "s", 4: "i", 8: "d"}[_size],
            array=_array,
            input=integer_input(FORMATTED[_size], LOW[_size], HIGH[_size]),
            output=lambda value, env: str(value),
            text_bytes=lambda value: b"%d" % value,
            receive=_receive,
            send=_send,
            disk=_disk,
            sort_key=_sort_key(_size),
            wire=Wire(b"i", b"%d" % _size, b"%d" % _size, "i"),
        )
    )


def checked(size: int, operation: Callable[..., int]) -> Callable[..., int]:
    """``operation`` with its result checked against the range of ``size`` bytes."""
    low, high = LOW[size], HIGH[size]

    def apply(*arguments: int) -> int:
        result = operation(*arguments)
        if low <= result <= high:
            return result
        overflow(size)

    return apply


def truncated_quotient(dividend: int, divisor: int) -> int:
    """C's integer division; 22012 for a zero divisor."""
    if dividend >= 0 < divisor:
        return dividend // divisor
    if divisor == 0:
        raise division_by_zero()
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def truncated_remainder(dividend: int, divisor: int) -> int:
    """C's %: the sign is the dividend's; 22012 for a zero divisor."""
    if divisor == 0:
        raise division_by_zero()
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def shift_left(size: int) -> Callable[[int, int], int]:
    """<<: the count is taken modulo the width, bits beyond it are lost."""
    bits = max(size * 8, 32)
    low, span = LOW[size], 1 << size * 8

    def shift(value: int, count: int) -> int:
        return ((value << (count % bits)) - low) % span + low

    return shift


def shift_right(size: int) -> Callable[[int, int], int]:
    """>>: arithmetic, the count modulo the width."""
    bits = max(size * 8, 32)
    return lambda value, count: value >> (count % bits)


def _declare_arithmetic(size: int, block: str, operation: Callable[..., int], expression: str | None) -> None:
    inline = None
    if expression is not None:
        inline = f"(_r if {LOW[size]} <= (_r := {expression}) <= {HIGH[size]} else _overflow{size}())"
    fns(block, checked(size, operation), inline, inline_names={f"_overflow{size}": OVERFLOW[size]} if inline else {})


fns(
    """
    63 int2eq(int2, int2) bool
    65 int4eq(int4, int4) bool
    467 int8eq(int8, int8) bool
    158 int24eq(int2, int4) bool
    159 int42eq(int4, int2) bool
    474 int84eq(int8, int4) bool
    852 int48eq(int4, int8) bool
    1856 int82eq(int8, int2) bool
    1850 int28eq(int2, int8) bool
    """,
    operator.eq,
    "({0} == {1})",
)
fns(
    """
    145 int2ne(int2, int2) bool
    144 int4ne(int4, int4) bool
    468 int8ne(int8, int8) bool
    164 int24ne(int2, int4) bool
    165 int42ne(int4, int2) bool
    475 int84ne(int8, int4) bool
    853 int48ne(int4, int8) bool
    1857 int82ne(int8, int2) bool
    1851 int28ne(int2, int8) bool
    """,
    operator.ne,
    "({0} != {1})",
)
fns(
    """
    64 int2lt(int2, int2) bool
    66 int4lt(int4, int4) bool
    469 int8lt(int8, int8) bool
    160 int24lt(int2, int4) bool
    161 int42lt(int4, int2) bool
    476 int84lt(int8, int4) bool
    854 int48lt(int4, int8) bool
    1858 int82lt(int8, int2) bool
    1852 int28lt(int2, int8) bool
    """,
    operator.lt,
    "({0} < {1})",
)
fns(
    """
    148 int2le(int2, int2) bool
    149 int4le(int4, int4) bool
    471 int8le(int8, int8) bool
    166 int24le(int2, int4) bool
    167 int42le(int4, int2) bool
    478 int84le(int8, int4) bool
    856 int48le(int4, int8) bool
    1860 int82le(int8, int2) bool
    1854 int28le(int2, int8) bool
    """,
    operator.le,
    "({0} <= {1})",
)
fns(
    """
    146 int2gt(int2, int2) bool
    147 int4gt(int4, int4) bool
    470 int8gt(int8, int8) bool
    162 int24gt(int2, int4) bool
    163 int42gt(int4, int2) bool
    477 int84gt(int8, int4) bool
    855 int48gt(int4, int8) bool
    1859 int82gt(int8, int2) bool
    1853 int28gt(int2, int8) bool
    """,
    operator.gt,
    "({0} > {1})",
)
fns(
    """
    151 int2ge(int2, int2) bool
    150 int4ge(int4, int4) bool
    472 int8ge(int8, int8) bool
    168 int24ge(int2, int4) bool
    169 int42ge(int4, int2) bool
    479 int84ge(int8, int4) bool
    857 int48ge(int4, int8) bool
    1861 int82ge(int8, int2) bool
    1855 int28ge(int2, int8) bool
    """,
    operator.ge,
    "({0} >= {1})",
)
fns(
    """
    351 btint4cmp(int4, int4) int4
    842 btint8cmp(int8, int8) int4
    2190 btint24cmp(int2, int4) int4
    2191 btint42cmp(int4, int2) int4
    2189 btint84cmp(int8, int4) int4
    2188 btint48cmp(int4, int8) int4
    2193 btint82cmp(int8, int2) int4
    2192 btint28cmp(int2, int8) int4
    """,
    lambda a, b: (a > b) - (a < b),
)

fn(350, "btint2cmp(int2, int2) int4", lambda a, b: a - b)
_declare_arithmetic(2, "176 int2pl(int2, int2) int2", operator.add, "{0} + {1}")
_declare_arithmetic(
    4,
    """
177 int4pl(int4, int4) int4
178 int24pl(int2, int4) int4
179 int42pl(int4, int2) int4
""",
    operator.add,
    "{0} + {1}",
)
_declare_arithmetic(
    8,
    """
463 int8pl(int8, int8) int8
1274 int84pl(int8, int4) int8
1278 int48pl(int4, int8) int8
837 int82pl(int8, int2) int8
841 int28pl(int2, int8) int8
""",
    operator.add,
    "{0} + {1}",
)
_declare_arithmetic(2, "180 int2mi(int2, int2) int2", operator.sub, "{0} - {1}")
_declare_arithmetic(
    4,
    """
181 int4mi(int4, int4) int4
182 int24mi(int2, int4) int4
183 int42mi(int4, int2) int4
""",
    operator.sub,
    "{0} - {1}",
)
_declare_arithmetic(
    8,
    """
464 int8mi(int8, int8) int8
1275 int84mi(int8, int4) int8
1279 int48mi(int4, int8) int8
838 int82mi(int8, int2) int8
942 int28mi(int2, int8) int8
""",
    operator.sub,
    "{0} - {1}",
)
_declare_arithmetic(2, "152 int2mul(int2, int2) int2", operator.mul, "{0} * {1}")
_declare_arithmetic(
    4,
    """
141 int4mul(int4, int4) int4
170 int24mul(int2, int4) int4
171 int42mul(int4, int2) int4
""",
    operator.mul,
    "{0} * {1}",
)
_declare_arithmetic(
    8,
    """
465 int8mul(int8, int8) int8
1276 int84mul(int8, int4) int8
1280 int48mul(int4, int8) int8
839 int82mul(int8, int2) int8
943 int28mul(int2, int8) int8
""",
    operator.mul,
    "{0} * {1}",
)
_declare_arithmetic(2, "153 int2div(int2, int2) int2", truncated_quotient, None)
_declare_arithmetic(
    4,
    """
154 int4div(int4, int4) int4
172 int24div(int2, int4) int4
173 int42div(int4, int2) int4
""",
    truncated_quotient,
    None,
)
_declare_arithmetic(
    8,
    """
466 int8div(int8, int8) int8
1277 int84div(int8, int4) int8
1281 int48div(int4, int8) int8
840 int82div(int8, int2) int8
948 int28div(int2, int8) int8
""",
    truncated_quotient,
    None,
)
fns(
    """
155 int2mod(int2, int2) int2
156 int4mod(int4, int4) int4
945 int8mod(int8, int8) int8
940 mod(int2, int2) int2
941 mod(int4, int4) int4
947 mod(int8, int8) int8
""",
    truncated_remainder,
)
_declare_arithmetic(2, "213 int2um(int2) int2", operator.neg, "-{0}")
_declare_arithmetic(4, "212 int4um(int4) int4", operator.neg, "-{0}")
_declare_arithmetic(8, "462 int8um(int8) int8", operator.neg, "-{0}")
fns(
    """
1911 int2up(int2) int2
1912 int4up(int4) int4
1910 int8up(int8) int8
""",
    operator.pos,
    "{0}",
)
_declare_arithmetic(
    2,
    """
1253 int2abs(int2) int2
1398 abs(int2) int2
""",
    abs,
    None,
)
_declare_arithmetic(
    4,
    """
1251 int4abs(int4) int4
1397 abs(int4) int4
""",
    abs,
    None,
)
_declare_arithmetic(
    8,
    """
1230 int8abs(int8) int8
1396 abs(int8) int8
""",
    abs,
    None,
)
fns(
    """
1892 int2and(int2, int2) int2
1898 int4and(int4, int4) int4
1904 int8and(int8, int8) int8
""",
    operator.and_,
    "({0} & {1})",
)
fns(
    """
1893 int2or(int2, int2) int2
1899 int4or(int4, int4) int4
1905 int8or(int8, int8) int8
""",
    operator.or_,
    "({0} | {1})",
)
fns(
    """
1894 int2xor(int2, int2) int2
1900 int4xor(int4, int4) int4
1906 int8xor(int8, int8) int8
""",
    operator.xor,
    "({0} ^ {1})",
)
fns(
    """
1895 int2not(int2) int2
1901 int4not(int4) int4
1907 int8not(int8) int8
""",
    operator.invert,
    "(~{0})",
)
fn(1896, "int2shl(int2, int4) int2", shift_left(2))
fn(1902, "int4shl(int4, int4) int4", shift_left(4))
fn(1908, "int8shl(int8, int4) int8", shift_left(8))
fn(1897, "int2shr(int2, int4) int2", shift_right(2))
fn(1903, "int4shr(int4, int4) int4", shift_right(4))
fn(1909, "int8shr(int8, int4) int8", shift_right(8))


def _identity(value: int) -> int:
    return value


fns(
    """
313 int4(int2) int4
754 int8(int2) int8
481 int8(int4) int8
""",
    _identity,
    "{0}",
)
_declare_arithmetic(
    2,
    """
314 int2(int4) int2
714 int2(int8) int2
""",
    _identity,
    "{0}",
)
_declare_arithmetic(4, "480 int4(int8) int4", _identity, "{0}")


def _lcm(size: int) -> Callable[[int, int], int]:
    return checked(size, math.lcm)


fn(5044, "gcd(int4, int4) int4", checked(4, math.gcd))
fn(5045, "gcd(int8, int8) int8", checked(8, math.gcd))
fn(5046, "lcm(int4, int4) int4", _lcm(4))
fn(5047, "lcm(int8, int8) int8", _lcm(8))
fns(
    """
770 int2larger(int2, int2) int2
768 int4larger(int4, int4) int4
1236 int8larger(int8, int8) int8
""",
    max,
)
fns(
    """
771 int2smaller(int2, int2) int2
769 int4smaller(int4, int4) int4
1237 int8smaller(int8, int8) int8
""",
    min,
)
operators("""
15 int4 = int8 bool 852 commutator=416 negator=36 merges hashes
36 int4 <> int8 bool 853 commutator=417 negator=15
37 int4 < int8 bool 854 commutator=419 negator=82
76 int4 > int8 bool 855 commutator=418 negator=80
80 int4 <= int8 bool 856 commutator=430 negator=76
82 int4 >= int8 bool 857 commutator=420 negator=37
94 int2 = int2 bool 63 commutator=94 negator=519 merges hashes
95 int2 < int2 bool 64 commutator=520 negator=524
96 int4 = int4 bool 65 commutator=96 negator=518 merges hashes
97 int4 < int4 bool 66 commutator=521 negator=525
410 int8 = int8 bool 467 commutator=410 negator=411 merges hashes
411 int8 <> int8 bool 468 commutator=411 negator=410
412 int8 < int8 bool 469 commutator=413 negator=415
413 int8 > int8 bool 470 commutator=412 negator=414
414 int8 <= int8 bool 471 commutator=415 negator=413
415 int8 >= int8 bool 472 commutator=414 negator=412
416 int8 = int4 bool 474 commutator=15 negator=417 merges hashes
417 int8 <> int4 bool 475 commutator=36 negator=416
418 int8 < int4 bool 476 commutator=76 negator=430
419 int8 > int4 bool 477 commutator=37 negator=420
420 int8 <= int4 bool 478 commutator=82 negator=419
430 int8 >= int4 bool 479 commutator=80 negator=418
439 int8 % int8 int8 945
473 - @ int8 int8 1230
484 - - int8 int8 462
514 int4 * int4 int4 141 commutator=514
518 int4 <> int4 bool 144 commutator=518 negator=96
519 int2 <> int2 bool 145 commutator=519 negator=94
520 int2 > int2 bool 146 commutator=95 negator=522
521 int4 > int4 bool 147 commutator=97 negator=523
522 int2 <= int2 bool 148 commutator=524 negator=520
523 int4 <= int4 bool 149 commutator=525 negator=521
524 int2 >= int2 bool 151 commutator=522 negator=95
525 int4 >= int4 bool 150 commutator=523 negator=97
526 int2 * int2 int2 152 commutator=526
527 int2 / int2 int2 153
528 int4 / int4 int4 154
529 int2 % int2 int2 155
530 int4 % int4 int4 156
532 int2 = int4 bool 158 commutator=533 negator=538 merges hashes
533 int4 = int2 bool 159 commutator=532 negator=539 merges hashes
534 int2 < int4 bool 160 commutator=537 negator=542
535 int4 < int2 bool 161 commutator=536 negator=543
536 int2 > int4 bool 162 commutator=535 negator=540
537 int4 > int2 bool 163 commutator=534 negator=541
538 int2 <> int4 bool 164 commutator=539 negator=532
539 int4 <> int2 bool 165 commutator=538 negator=533
540 int2 <= int4 bool 166 commutator=543 negator=536
541 int4 <= int2 bool 167 commutator=542 negator=537
542 int2 >= int4 bool 168 commutator=541 negator=534
543 int4 >= int2 bool 169 commutator=540 negator=535
544 int2 * int4 int4 170 commutator=545
545 int4 * int2 int4 171 commutator=544
546 int2 / int4 int4 172
547 int4 / int2 int4 173
550 int2 + int2 int2 176 commutator=550
551 int4 + int4 int4 177 commutator=551
552 int2 + int4 int4 178 commutator=553
553 int4 + int2 int4 179 commutator=552
554 int2 - int2 int2 180
555 int4 - int4 int4 181
556 int2 - int4 int4 182
557 int4 - int2 int4 183
558 - - int4 int4 212
559 - - int2 int2 213
682 - @ int2 int2 1253
684 int8 + int8 int8 463 commutator=684
685 int8 - int8 int8 464
686 int8 * int8 int8 465 commutator=686
687 int8 / int8 int8 466
688 int8 + int4 int8 1274 commutator=692
689 int8 - int4 int8 1275
690 int8 * int4 int8 1276 commutator=694
691 int8 / int4 int8 1277
692 int4 + int8 int8 1278 commutator=688
693 int4 - int8 int8 1279
694 int4 * int8 int8 1280 commutator=690
695 int4 / int8 int8 1281
773 - @ int4 int4 1251
818 int8 + int2 int8 837 commutator=822
819 int8 - int2 int8 838
820 int8 * int2 int8 839 commutator=824
821 int8 / int2 int8 840
822 int2 + int8 int8 841 commutator=818
823 int2 - int8 int8 942
824 int2 * int8 int8 943 commutator=820
825 int2 / int8 int8 948
1862 int2 = int8 bool 1850 commutator=1868 negator=1863 merges hashes
1863 int2 <> int8 bool 1851 commutator=1869 negator=1862
1864 int2 < int8 bool 1852 commutator=1871 negator=1867
1865 int2 > int8 bool 1853 commutator=1870 negator=1866
1866 int2 <= int8 bool 1854 commutator=1873 negator=1865
1867 int2 >= int8 bool 1855 commutator=1872 negator=1864
1868 int8 = int2 bool 1856 commutator=1862 negator=1869 merges hashes
1869 int8 <> int2 bool 1857 commutator=1863 negator=1868
1870 int8 < int2 bool 1858 commutator=1865 negator=1873
1871 int8 > int2 bool 1859 commutator=1864 negator=1872
1872 int8 <= int2 bool 1860 commutator=1867 negator=1871
1873 int8 >= int2 bool 1861 commutator=1866 negator=1870
1874 int2 & int2 int2 1892 commutator=1874
1875 int2 | int2 int2 1893 commutator=1875
1876 int2 # int2 int2 1894 commutator=1876
1877 - ~ int2 int2 1895
1878 int2 << int4 int2 1896
1879 int2 >> int4 int2 1897
1880 int4 & int4 int4 1898 commutator=1880
1881 int4 | int4 int4 1899 commutator=1881
1882 int4 # int4 int4 1900 commutator=1882
1883 - ~ int4 int4 1901
1884 int4 << int4 int4 1902
1885 int4 >> int4 int4 1903
1886 int8 & int8 int8 1904 commutator=1886
1887 int8 | int8 int8 1905 commutator=1887
1888 int8 # int8 int8 1906 commutator=1888
1889 - ~ int8 int8 1907
1890 int8 << int4 int8 1908
1891 int8 >> int4 int8 1909
1916 - + int8 int8 1910
1917 - + int2 int2 1911
1918 - + int4 int4 1912
""")
casts("""
10000 int8 int2 714 a f
10001 int8 int4 480 a f
10005 int2 int8 754 i f
10006 int2 int4 313 i f
10010 int4 int8 481 i f
10011 int4 int2 314 a f
10034 int4 bool 2557 e f
10035 bool int4 2558 e f
""")
operator_classes("""
1978 int4_ops 1976 integer_ops int4 403 default 97,523,96,525,521 351,3130,4128,5051
1979 int2_ops 1976 integer_ops int2 403 default 95,522,94,524,520 350,3129,4132,5051
3124 int8_ops 1976 integer_ops int8 403 default 412,414,410,415,413 842,3131,4126,5051
10019 int2_ops 1977 integer_ops int2 405 default 94 449,441
10020 int4_ops 1977 integer_ops int4 405 default 96 450,425
10021 int8_ops 1977 integer_ops int8 405 default 410 949,442
""")
family_operators("""
1976 403 int8 int2 1870,1872,1868,1873,1871
1976 403 int8 int4 418,420,416,430,419
1976 403 int2 int8 1864,1866,1862,1867,1865
1976 403 int2 int4 534,540,532,542,536
1976 403 int4 int8 37,80,15,82,76
1976 403 int4 int2 535,541,533,543,537
1977 405 int8 int2 1868
1977 405 int8 int4 416
1977 405 int2 int8 1862
1977 405 int2 int4 532
1977 405 int4 int8 15
1977 405 int4 int2 533
""")
