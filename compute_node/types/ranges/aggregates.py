"""Aggregates of ranges and multiranges: range_agg, range_intersect_agg, with their support functions (manual, 9.21)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora.datum import Datum
from compute_node.types.declare import agg, specialized
from compute_node.types.ranges.functions import form_of, of_form
from compute_node.types.ranges.value import (
    NOTHING,
    Multirange,
    Range,
    intersection,
    make_multirange,
    multirange_intersection,
)
from compute_node.types.registry import Aggregate, PgType, RangeForm, Value

Types = tuple[PgType, ...]


def _add_range(state: list[Range], value: Range | None) -> list[Range]:
    if value is not None:
        state.append(value)
    return state


def _add_multirange(state: list[Range], value: Multirange | None) -> list[Range]:
    if value is not None:
        state.extend(value.ranges or (NOTHING,))
    return state


def _collecting(oid: int, step: Callable[..., Datum]) -> Callable[[Types], Aggregate]:
    def specialize(types: Types) -> Aggregate:
        form = form_of(types[0])

        def final(state: list[Range]) -> Multirange | None:
            """NULL when there was no value; an empty one is a value."""
            return make_multirange(form, state) if state else None

        return Aggregate(oid=oid, initial=list, step=step, final=final, strict=False)

    return specialize


def _intersecting(oid: int, intersect: Callable[[RangeForm, Any, Any], Any]) -> Callable[[Types], Aggregate]:
    def specialize(types: Types) -> Aggregate:
        form = form_of(types[0])

        def step(state: Value, value: Value) -> Value:
            return value if state is None else intersect(form, state, value)

        return Aggregate(oid=oid, initial=lambda: None, step=step, final=lambda state: state)

    return specialize


for _oid, _signature, _transition, _specialize in (
    (4301, "range_agg(anyrange) anymultirange", 2281, _collecting(4301, _add_range)),
    (6227, "range_agg(anymultirange) anymultirange", 2281, _collecting(6227, _add_multirange)),
    (4450, "range_intersect_agg(anyrange) anyrange", 3831, _intersecting(4450, intersection)),
    (4389, "range_intersect_agg(anymultirange) anymultirange", 4537, _intersecting(4389, multirange_intersection)),
):
    agg(
        _oid,
        _signature,
        lambda: None,
        lambda state, value: value,
        lambda state: state,
        specialize=_specialize,
        transition_type=_transition,
    )
specialized(4401, "range_intersect_agg_transfn(anyrange, anyrange) anyrange", of_form(intersection))
specialized(
    4388,
    "multirange_intersect_agg_transfn(anymultirange, anymultirange) anymultirange",
    of_form(multirange_intersection),
)
