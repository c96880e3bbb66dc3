"""Set-returning functions: generate_series (manual, 9.25)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from aurora.errors import InvalidParameterValue
from compute_node.types import numeric
from compute_node.types.datetime_functions import add_interval, add_interval_zoned
from compute_node.types.declare import fn, fns
from compute_node.types.interval import Interval, interval_span
from compute_node.types.registry import FunctionContext


def integer_series(start: int, stop: int, step: int = 1) -> range:
    """start, start + step … up to and including stop; 22023 for a zero step."""
    if step == 0:
        raise InvalidParameterValue("step size cannot equal zero")
    return range(start, stop + (1 if step > 0 else -1), step)


def numeric_series(start: Decimal, stop: Decimal, step: Decimal = Decimal(1)) -> Iterator[Decimal]:
    """As ``integer_series``; NaN and the infinities are refused (22023)."""
    for name, value in (("start", start), ("stop", stop), ("step size", step)):
        if not value.is_finite():
            label = f"{name} value" if name != "step size" else name
            raise InvalidParameterValue(f"{label} cannot be {'NaN' if value.is_nan() else 'infinity'}")
    if not step:
        raise InvalidParameterValue("step size cannot equal zero")
    return _numeric_steps(start, stop, step)


def _numeric_steps(value: Decimal, stop: Decimal, step: Decimal) -> Iterator[Decimal]:
    while value <= stop if step > 0 else value >= stop:
        yield value
        value = numeric.add(value, step)


def _stamp_steps(value: int, stop: int, step: Interval, advance: Callable[[int, Interval], int]) -> Iterator[int]:
    forward = interval_span(step) > 0
    while value <= stop if forward else value >= stop:
        yield value
        value = advance(value, step)


def _check_step(step: Interval) -> None:
    if interval_span(step) == 0:
        raise InvalidParameterValue("step size cannot equal zero")


def _timestamp_series(start: int, stop: int, step: Interval) -> Iterator[int]:
    _check_step(step)
    return _stamp_steps(start, stop, step, add_interval)


def _timestamptz_series(context: FunctionContext, start: int, stop: int, step: Interval) -> Iterator[int]:
    _check_step(step)
    return _stamp_steps(start, stop, step, lambda value, span: add_interval_zoned(value, span, context.env))


fns(
    """
1067 generate_series(int4, int4) setof int4
1066 generate_series(int4, int4, int4) setof int4
1069 generate_series(int8, int8) setof int8
1068 generate_series(int8, int8, int8) setof int8
""",
    integer_series,
)
fns(
    """
3260 generate_series(numeric, numeric) setof numeric
3259 generate_series(numeric, numeric, numeric) setof numeric
""",
    numeric_series,
)
fn(938, "generate_series(timestamp, timestamp, interval) setof timestamp", _timestamp_series)
fn(
    939,
    "generate_series(timestamptz, timestamptz, interval) setof timestamptz stable",
    _timestamptz_series,
    needs_context=True,
)


def _options(options: list[str | None]) -> Iterator[tuple[str, str | None]]:
    """``name=value`` items of a catalog column, as rows."""
    for item in options:
        name, separator, value = (item or "").partition("=")
        yield name, value if separator else None


fn(
    2289,
    "pg_options_to_table(text[]) setof record stable",
    _options,
    argument_names=("options_array",),
    out_columns=(("option_name", 25), ("option_value", 25)),
)


# There are no partitions: nothing is above a table, and no table is the root of others.
