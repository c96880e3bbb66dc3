"""Transition and final functions of the regression aggregates (regr_slope, corr …), for aggregates that users make of
them.

The state is {N, Sx, Sxx, Sy, Syy, Sxy}: sums, and sums of squared distances from the mean, kept as Youngs and Cramer
do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import InternalError, NumericValueOutOfRange
from compute_node.types.declare import fn
from compute_node.types.floating import over, root

State = list[float]


def _six(state: list[Datum], name: str) -> State:
    if len(state) != 6 or None in state:
        raise InternalError(f"{name}: expected 6-element float8 array")
    return state


def _overflows(x: float, y: float, state: State, sums: State) -> bool:
    """Whether an infinity is not one that came in."""
    _, sx, sxx, sy, syy, sxy = map(math.isinf, sums)
    x_given = math.isinf(state[1]) or math.isinf(x)
    y_given = math.isinf(state[3]) or math.isinf(y)
    return ((sx or sxx) and not x_given) or ((sy or syy) and not y_given) or (sxy and not x_given and not y_given)


def _accumulate(state: State, y: float, x: float) -> State:
    before, sx, sxx, sy, syy, sxy = _six(state, "float8_regr_accum")
    count = before + 1
    sx, sy = sx + x, sy + y
    if before > 0:
        dx, dy = x * count - sx, y * count - sy
        scale = 1 / (count * before)
        sxx, syy, sxy = sxx + dx * dx * scale, syy + dy * dy * scale, sxy + dx * dy * scale
        if any(map(math.isinf, (sx, sxx, sy, syy, sxy))):
            if _overflows(x, y, state, [count, sx, sxx, sy, syy, sxy]):
                raise NumericValueOutOfRange("value out of range: overflow")
            sxx, syy, sxy = (math.nan if math.isinf(each) else each for each in (sxx, syy, sxy))
    else:
        if not math.isfinite(x):
            sxx = sxy = math.nan
        if not math.isfinite(y):
            syy = sxy = math.nan
    return [count, sx, sxx, sy, syy, sxy]


def _combine(one: State, other: State) -> State:
    n1, sx1, sxx1, sy1, syy1, sxy1 = _six(one, "float8_regr_combine")
    n2, sx2, sxx2, sy2, syy2, sxy2 = _six(other, "float8_regr_combine")
    if not n1:
        return other
    if not n2:
        return one
    count = n1 + n2
    dx, dy = sx1 / n1 - sx2 / n2, sy1 / n1 - sy2 / n2
    made = [
        count,
        sx1 + sx2,
        sxx1 + sxx2 + n1 * n2 * dx * dx / count,
        sy1 + sy2,
        syy1 + syy2 + n1 * n2 * dy * dy / count,
        sxy1 + sxy2 + n1 * n2 * dx * dy / count,
    ]
    for at in range(1, 6):
        if math.isinf(made[at]) and not math.isinf(one[at]) and not math.isinf(other[at]):
            raise NumericValueOutOfRange("value out of range: overflow")
    return made


Final = Callable[[float, float, float, float, float, float], float | None]


def _final(oid: int, name: str, least: int, compute: Final) -> None:
    """``compute`` from N, Sx, Sxx, Sy, Syy, Sxy; NULL of fewer than ``least`` rows."""

    def final(state: State) -> float | None:
        values = _six(state, name)
        return None if values[0] < least else compute(*values)

    fn(oid, f"{name}(float8[]) float8", final)


def _r2(n: float, sx: float, sxx: float, sy: float, syy: float, sxy: float) -> float | None:
    if not sxx:
        return None
    return over(sxy * sxy, sxx * syy) if syy else 1.0


fn(2806, "float8_regr_accum(float8[], float8, float8) float8[]", _accumulate)
fn(3342, "float8_regr_combine(float8[], float8[]) float8[]", _combine)
_final(2807, "float8_regr_sxx", 1, lambda n, sx, sxx, sy, syy, sxy: sxx)
_final(2808, "float8_regr_syy", 1, lambda n, sx, sxx, sy, syy, sxy: syy)
_final(2809, "float8_regr_sxy", 1, lambda n, sx, sxx, sy, syy, sxy: sxy)
_final(2810, "float8_regr_avgx", 1, lambda n, sx, sxx, sy, syy, sxy: sx / n)
_final(2811, "float8_regr_avgy", 1, lambda n, sx, sxx, sy, syy, sxy: sy / n)
_final(2812, "float8_regr_r2", 1, _r2)
_final(2813, "float8_regr_slope", 1, lambda n, sx, sxx, sy, syy, sxy: sxy / sxx if sxx else None)
_final(2814, "float8_regr_intercept", 1, lambda n, sx, sxx, sy, syy, sxy: (sy - sx * sxy / sxx) / n if sxx else None)
_final(2815, "float8_covar_pop", 1, lambda n, sx, sxx, sy, syy, sxy: sxy / n)
_final(2816, "float8_covar_samp", 2, lambda n, sx, sxx, sy, syy, sxy: sxy / (n - 1))
_final(
    2817,
    "float8_corr",
    1,
    lambda n, sx, sxx, sy, syy, sxy: over(sxy, root(sxx * syy)) if sxx and syy else None,
)
