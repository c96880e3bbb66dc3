"""Functions and operators of ranges and multiranges, and those between the two (manual, 9.20)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.types.declare import casts, operator_classes, operators, specialized
from compute_node.types.ranges import value as arithmetic
from compute_node.types.ranges.value import (
    EMPTY,
    LOWER_INCLUSIVE,
    LOWER_INFINITE,
    NOTHING,
    UPPER_INCLUSIVE,
    UPPER_INFINITE,
    Ends,
    Multirange,
    Range,
)
from compute_node.types.registry import PgType, RangeForm, Specialize

Types = tuple[PgType, ...]


def form_of(kind: PgType) -> RangeForm:
    """The form of a range or multirange type."""
    if kind.range_form is None:
        raise InvariantViolation(f"a range function was called with type {kind.name}")
    return kind.range_form


def of_form(function: Callable[..., Datum], swapped: bool = False) -> Specialize:
    """A function of (form, values …) as one of the values; ``swapped``: of two values in the other order. The first of
    the function's values is a range, the second may be an element of it, and a range itself."""

    def specialize(types: Types, result: PgType) -> Callable[..., Datum]:
        bound = partial(function, form_of(types[1 if swapped else 0]))
        return (lambda a, b: bound(b, a)) if swapped else bound

    return specialize


# bounds


def _lower(form: RangeForm, value: Range) -> Datum:
    return value.lower


def _upper(form: RangeForm, value: Range) -> Datum:
    return value.upper


def _flag(bit: int) -> Callable[[RangeForm, Range], bool]:
    return lambda form, value: bool(value.flags & bit)


def _of_first(function: Callable[[RangeForm, Range], Any]) -> Callable[[RangeForm, Multirange], Any]:
    """Of a multirange what the function gives for its first range, or for the empty one."""
    return lambda form, value: function(form, value.ranges[0] if value.ranges else NOTHING)


def _of_last(function: Callable[[RangeForm, Range], Any]) -> Callable[[RangeForm, Multirange], Any]:
    return lambda form, value: function(form, value.ranges[-1] if value.ranges else NOTHING)


for _oid, _multi_oid, _name, _signature, _function, _part in (
    (3848, 4235, "lower", "lower({}) anyelement", _lower, _of_first),
    (3849, 4236, "upper", "upper({}) anyelement", _upper, _of_last),
    (3851, 4238, "lower_inc", "lower_inc({}) bool", _flag(LOWER_INCLUSIVE), _of_first),
    (3852, 4239, "upper_inc", "upper_inc({}) bool", _flag(UPPER_INCLUSIVE), _of_last),
    (3853, 4240, "lower_inf", "lower_inf({}) bool", _flag(LOWER_INFINITE), _of_first),
    (3854, 4241, "upper_inf", "upper_inf({}) bool", _flag(UPPER_INFINITE), _of_last),
    (3850, 4237, "empty", "isempty({}) bool", _flag(EMPTY), _of_first),
):
    specialized(_oid, _signature.format("anyrange"), of_form(_function), source=f"range_{_name}")
    specialized(_multi_oid, _signature.format("anymultirange"), of_form(_part(_function)), source=f"multirange_{_name}")


# order


def _compared(test: Callable[[Datum, Datum], Datum]) -> Specialize:
    def specialize(types: Types, result: PgType) -> Callable[..., Datum]:
        key = types[0].sort_value
        if key is None:
            raise InvariantViolation("a range type has no order")
        order = key
        return lambda a, b: test(order(a), order(b))

    return specialize


for _oid, _multi_oid, _name, _result, _order in (
    (3855, 4244, "eq", "bool", lambda a, b: a == b),
    (3856, 4245, "ne", "bool", lambda a, b: a != b),
    (3871, 4274, "lt", "bool", lambda a, b: a < b),
    (3872, 4275, "le", "bool", lambda a, b: a <= b),
    (3874, 4277, "gt", "bool", lambda a, b: a > b),
    (3873, 4276, "ge", "bool", lambda a, b: a >= b),
    (3870, 4273, "cmp", "int4", lambda a, b: (a > b) - (a < b)),
):
    specialized(_oid, f"range_{_name}(anyrange, anyrange) {_result}", _compared(_order))
    specialized(_multi_oid, f"multirange_{_name}(anymultirange, anymultirange) {_result}", _compared(_order))


# containment and overlap


def _contains_element(form: RangeForm, value: Range, element: Datum) -> bool:
    if form.key is None and value.flags == arithmetic.LOWER_INCLUSIVE:
        return bool(value.lower <= element < value.upper)
    return arithmetic.contains_place(form, value, arithmetic.element_place(form, element))


def _multirange_contains_element(form: RangeForm, value: Multirange, element: Datum) -> bool:
    return arithmetic.multirange_contains_place(form, value, arithmetic.element_place(form, element))


def _contains_multirange(form: RangeForm, first: Range, second: Multirange) -> bool:
    return not second.ranges or arithmetic.contains(form, first, arithmetic.span(form, second))


_PAIRS: tuple[tuple[int, str, Callable[..., bool], bool], ...] = (
    (3858, "range_contains_elem(anyrange, anyelement)", _contains_element, False),
    (3860, "elem_contained_by_range(anyelement, anyrange)", _contains_element, True),
    (3859, "range_contains(anyrange, anyrange)", arithmetic.contains, False),
    (3861, "range_contained_by(anyrange, anyrange)", arithmetic.contains, True),
    (4249, "multirange_contains_elem(anymultirange, anyelement)", _multirange_contains_element, False),
    (4252, "elem_contained_by_multirange(anyelement, anymultirange)", _multirange_contains_element, True),
    (4250, "multirange_contains_range(anymultirange, anyrange)", arithmetic.multirange_contains_range, False),
    (4253, "range_contained_by_multirange(anyrange, anymultirange)", arithmetic.multirange_contains_range, True),
    (4251, "multirange_contains_multirange(anymultirange, anymultirange)", arithmetic.multirange_contains, False),
    (4254, "multirange_contained_by_multirange(anymultirange, anymultirange)", arithmetic.multirange_contains, True),
    (4541, "range_contains_multirange(anyrange, anymultirange)", _contains_multirange, False),
    (4542, "multirange_contained_by_range(anymultirange, anyrange)", _contains_multirange, True),
    (3857, "range_overlaps(anyrange, anyrange)", arithmetic.overlaps, False),
    (4246, "range_overlaps_multirange(anyrange, anymultirange)", arithmetic.multirange_overlaps_range, True),
    (4247, "multirange_overlaps_range(anymultirange, anyrange)", arithmetic.multirange_overlaps_range, False),
    (4248, "multirange_overlaps_multirange(anymultirange, anymultirange)", arithmetic.multirange_overlaps, False),
)
for _oid, _signature, _test, _swapped in _PAIRS:
    specialized(_oid, f"{_signature} bool", of_form(_test, _swapped))


# places: of a multirange those of its first and its last range count


def _outer(value: Range | Multirange) -> tuple[Range, Range] | None:
    """The first and the last range; None when there is no point in it."""
    if isinstance(value, Range):
        return None if value.flags & EMPTY else (value, value)
    return (value.ranges[0], value.ranges[-1]) if value.ranges else None


def _placed(test: Callable[[Ends, Ends], bool]) -> Callable[..., bool]:
    def compare(form: RangeForm, a: Range | Multirange, b: Range | Multirange) -> bool:
        one, other = _outer(a), _outer(b)
        if one is None or other is None:
            return False
        ends = arithmetic.ends
        return test(
            Ends(ends(form, one[0]).low, ends(form, one[1]).high),
            Ends(ends(form, other[0]).low, ends(form, other[1]).high),
        )

    return compare


def _adjacent(form: RangeForm, a: Range | Multirange, b: Range | Multirange) -> bool:
    one, other = _outer(a), _outer(b)
    if one is None or other is None:
        return False
    return arithmetic.meets(form, one[1], other[0]) or arithmetic.meets(form, other[1], one[0])


for _oids, _name, _test in (
    ((3863, 4258, 4259, 4260), "before", _placed(lambda a, b: a.high < b.low)),
    ((3864, 4261, 4262, 4263), "after", _placed(lambda a, b: a.low > b.high)),
    ((3865, 4264, 4265, 4266), "overleft", _placed(lambda a, b: a.high <= b.high)),
    ((3866, 4267, 4268, 4269), "overright", _placed(lambda a, b: a.low >= b.low)),
    ((3862, 4255, 4257, 4256), "adjacent", _adjacent),
):
    for _oid, _signature in zip(
        _oids,
        (
            "range_{}(anyrange, anyrange) bool",
            "range_{}_multirange(anyrange, anymultirange) bool",
            "multirange_{}_range(anymultirange, anyrange) bool",
            "multirange_{}_multirange(anymultirange, anymultirange) bool",
        ),
        strict=True,
    ):
        specialized(_oid, _signature.format(_name), of_form(_test))


# sets of points


def _multirange_union(form: RangeForm, first: Multirange, second: Multirange) -> Multirange:
    return arithmetic.make_multirange(form, first.ranges + second.ranges)


specialized(3867, "range_union(anyrange, anyrange) anyrange", of_form(arithmetic.union))
specialized(3868, "range_intersect(anyrange, anyrange) anyrange", of_form(arithmetic.intersection))
specialized(3869, "range_minus(anyrange, anyrange) anyrange", of_form(arithmetic.difference))
specialized(4057, "range_merge(anyrange, anyrange) anyrange", of_form(arithmetic.merged))
specialized(4270, "multirange_union(anymultirange, anymultirange) anymultirange", of_form(_multirange_union))
specialized(
    4271,
    "multirange_minus(anymultirange, anymultirange) anymultirange",
    of_form(arithmetic.multirange_difference),
)
specialized(
    4272,
    "multirange_intersect(anymultirange, anymultirange) anymultirange",
    of_form(arithmetic.multirange_intersection),
)
specialized(4228, "range_merge(anymultirange) anyrange", of_form(arithmetic.span), source="range_merge_from_multirange")
specialized(
    1293,
    "unnest(anymultirange) setof anyrange",
    of_form(lambda form, value: value.ranges),
    source="multirange_unnest",
)

operators("""
3891 anyelement <@ anyrange bool 3860 commutator=3889
2872 anyelement <@ anymultirange bool 4252 commutator=2869
3889 anyrange @> anyelement bool 3858 commutator=3891
3882 anyrange = anyrange bool 3855 commutator=3882 negator=3883 merges hashes
3883 anyrange <> anyrange bool 3856 commutator=3883 negator=3882
3884 anyrange < anyrange bool 3871 commutator=3887 negator=3886
3885 anyrange <= anyrange bool 3872 commutator=3886 negator=3887
3886 anyrange >= anyrange bool 3873 commutator=3885 negator=3884
3887 anyrange > anyrange bool 3874 commutator=3884 negator=3885
3888 anyrange && anyrange bool 3857 commutator=3888
3890 anyrange @> anyrange bool 3859 commutator=3892
3892 anyrange <@ anyrange bool 3861 commutator=3890
3893 anyrange << anyrange bool 3863 commutator=3894
3894 anyrange >> anyrange bool 3864 commutator=3893
3895 anyrange &< anyrange bool 3865
3896 anyrange &> anyrange bool 3866
3897 anyrange -|- anyrange bool 3862 commutator=3897
3898 anyrange + anyrange anyrange 3867 commutator=3898
3899 anyrange - anyrange anyrange 3869
3900 anyrange * anyrange anyrange 3868 commutator=3900
2866 anyrange && anymultirange bool 4246 commutator=2867
2873 anyrange <@ anymultirange bool 4253 commutator=2870
2875 anyrange &< anymultirange bool 4264
3585 anyrange &> anymultirange bool 4267
4179 anyrange -|- anymultirange bool 4255 commutator=4180
4395 anyrange << anymultirange bool 4258 commutator=4399
4398 anyrange >> anymultirange bool 4261 commutator=4396
4539 anyrange @> anymultirange bool 4541 commutator=4540
2869 anymultirange @> anyelement bool 4249 commutator=2872
2867 anymultirange && anyrange bool 4247 commutator=2866
2870 anymultirange @> anyrange bool 4250 commutator=2873
2876 anymultirange &< anyrange bool 4265
4035 anymultirange &> anyrange bool 4268
4180 anymultirange -|- anyrange bool 4257 commutator=4179
4396 anymultirange << anyrange bool 4259 commutator=4398
4399 anymultirange >> anyrange bool 4262 commutator=4395
4540 anymultirange <@ anyrange bool 4542 commutator=4539
2860 anymultirange = anymultirange bool 4244 commutator=2860 negator=2861 merges hashes
2861 anymultirange <> anymultirange bool 4245 commutator=2861 negator=2860
2862 anymultirange < anymultirange bool 4274 commutator=2865 negator=2864
2863 anymultirange <= anymultirange bool 4275 commutator=2864 negator=2865
2864 anymultirange >= anymultirange bool 4276 commutator=2863 negator=2862
2865 anymultirange > anymultirange bool 4277 commutator=2862 negator=2863
2868 anymultirange && anymultirange bool 4248 commutator=2868
2871 anymultirange @> anymultirange bool 4251 commutator=2874
2874 anymultirange <@ anymultirange bool 4254 commutator=2871
2877 anymultirange &< anymultirange bool 4266
4142 anymultirange &> anymultirange bool 4269
4198 anymultirange -|- anymultirange bool 4256 commutator=4198
4392 anymultirange + anymultirange anymultirange 4270 commutator=4392
4393 anymultirange - anymultirange anymultirange 4271
4394 anymultirange * anymultirange anymultirange 4272 commutator=4394
4397 anymultirange << anymultirange bool 4260 commutator=4400
4400 anymultirange >> anymultirange bool 4263 commutator=4397
""")
operator_classes("""
10076 range_ops 3901 range_ops anyrange 403 default 3884,3885,3882,3886,3887 3870
10077 range_ops 3903 range_ops anyrange 405 default 3882 3902,3417
10080 multirange_ops 4199 multirange_ops anymultirange 403 default 2862,2863,2860,2864,2865 4273
10081 multirange_ops 4225 multirange_ops anymultirange 405 default 2860 4278,4279
""")
casts("""
10223 int4range int4multirange 4281 e f
10224 int8range int8multirange 4296 e f
10225 numrange nummultirange 4284 e f
10226 daterange datemultirange 4293 e f
10227 tsrange tsmultirange 4287 e f
10228 tstzrange tstzmultirange 4290 e f
""")
