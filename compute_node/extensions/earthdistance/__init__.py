"""earthdistance: distances on a globe, by cubes and, in statute miles, by points of degrees (manual, F.15)."""

from __future__ import annotations

from math import asin, cos, pi, radians, sin, sqrt
from typing import Final

from compute_node.extensions.library import define
from compute_node.types.geometric.shapes import Point

_RADIUS_MILES: Final = 3958.747716


def _miles(one: Point, other: Point) -> float:
    """By half the sine of the angle; x is the longitude."""
    apart = abs(radians(one.x) - radians(other.x))
    if apart > pi:
        apart = 2 * pi - apart
    low, high = radians(one.y), radians(other.y)
    half = sqrt(sin(abs(low - high) / 2) ** 2 + cos(low) * cos(high) * sin(apart / 2) ** 2)
    return 2 * _RADIUS_MILES * asin(min(half, 1.0))


define("geo_distance", 2, _miles)
