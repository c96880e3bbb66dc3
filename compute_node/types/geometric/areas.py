"""Paths, polygons and circles. Loops over points and pairs of edges give others a turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from aurora.errors import InvalidParameterValue, NotSupported, ProgramLimitExceeded
from compute_node.types.geometric.numbers import add, div, eq, ge, gt, hypot, is_zero, le, less, lt, mul, sub
from compute_node.types.geometric.shapes import (
    Box,
    Lseg,
    Point,
    bounds,
    box_holds,
    boxes_overlap,
    distance,
    lseg_has,
    lseg_near_lseg,
    lseg_near_point,
    lsegs_meet,
    middle,
    point_add,
    point_div,
    point_eq,
    point_mul,
)
from compute_node.types.long_text import paced


class Path(NamedTuple):
    """Points in a row; a closed one goes back to its first."""

    closed: bool
    points: tuple[Point, ...]


class Polygon(NamedTuple):
    """An area within a closed line."""

    points: tuple[Point, ...]


class Circle(NamedTuple):
    """All points within a distance of a centre."""

    center: Point
    radius: float


_POINTS_MAX: Final = 67_108_860
_ON_EDGE: Final = 1 << 60
"""What ``_crossing`` gives for a point on the edge."""


def edges(points: tuple[Point, ...], closed: bool) -> Iterator[Lseg]:
    """From point to point, first the one that closes."""
    if closed:
        yield Lseg(points[-1], points[0])
    for begin, end in itertools.pairwise(points):
        yield Lseg(begin, end)


# paths


def path_area(path: Path) -> float | None:
    """NULL for an open path."""
    if not path.closed:
        return None
    area, points = 0.0, path.points
    for begin, end in paced(zip(points, points[1:] + points[:1], strict=True)):
        area = sub(add(area, mul(begin.x, end.y)), mul(begin.y, end.x))
    return div(abs(area), 2.0)


def path_length(path: Path) -> float:
    """The sum of its edges."""
    total = 0.0
    for edge in paced(edges(path.points, path.closed)):
        total = add(total, distance(edge.begin, edge.end))
    return total


def paths_meet(a: Path, b: Path) -> bool:
    """Whether two edges cross."""
    if not boxes_overlap(bounds(a.points), bounds(b.points)):
        return False
    pairs = itertools.product(edges(a.points, a.closed), edges(b.points, b.closed))
    return any(lsegs_meet(one, other) is not None for one, other in paced(pairs))


def _nearest(a: tuple[Point, ...], a_closed: bool, b: tuple[Point, ...], b_closed: bool) -> float | None:
    best = None
    for one, other in paced(itertools.product(edges(a, a_closed), edges(b, b_closed))):
        apart = lseg_near_lseg(one, other)[0]
        if best is None or less(apart, best):
            best = apart
    return best


def path_distance(a: Path, b: Path) -> float | None:
    """Between the two edges that are nearest to each other; NULL without an edge."""
    return _nearest(a.points, a.closed, b.points, b.closed)


def path_to_point(path: Path, point: Point) -> float:
    """To the nearest edge; 0 without an edge."""
    best = None
    for edge in paced(edges(path.points, path.closed)):
        apart = lseg_near_point(edge, point)[0]
        if best is None or less(apart, best):
            best = apart
    return 0.0 if best is None else best


def path_has(path: Path, point: Point) -> bool:
    """Whether the point is on an open path, or within a closed one."""
    if path.closed:
        return inside(point, path.points) != 0
    before = distance(point, path.points[0])
    for begin, end in paced(itertools.pairwise(path.points)):
        after = distance(point, end)
        if eq(add(before, after), distance(begin, end)):
            return True
        before = after
    return False


def path_join(a: Path, b: Path) -> Path | None:
    """One open path after another; NULL where one is closed."""
    return None if a.closed or b.closed else Path(False, a.points + b.points)


# polygons


def inside(point: Point, corners: tuple[Point, ...]) -> int:
    """0 outside, 1 inside, 2 on the edge: counts how often the outline goes around the point."""
    first = previous = Point(sub(corners[0].x, point.x), sub(corners[0].y, point.y))
    total = 0
    for corner in paced(corners[1:]):
        current = Point(sub(corner.x, point.x), sub(corner.y, point.y))
        crossing = _crossing(current, previous)
        if crossing == _ON_EDGE:
            return 2
        total += crossing
        previous = current
    crossing = _crossing(first, previous)
    if crossing == _ON_EDGE:
        return 2
    return 1 if total + crossing else 0


def _crossing(to: Point, come: Point) -> int:
    """How an edge crosses the positive x axis: ±1 where it ends or begins on it, ±2 across, 0 not at all."""
    x, y = to
    if is_zero(y):
        if is_zero(x):
            return _ON_EDGE
        if gt(x, 0.0):
            if is_zero(come.y):
                return 0 if gt(come.x, 0.0) else _ON_EDGE
            return 1 if lt(come.y, 0.0) else -1
        if is_zero(come.y):
            return 0 if lt(come.x, 0.0) else _ON_EDGE
        return 0
    sign = 1 if gt(y, 0.0) else -1
    if is_zero(come.y):
        return 0 if lt(come.x, 0.0) else sign
    if (sign < 0 and lt(come.y, 0.0)) or (sign > 0 and gt(come.y, 0.0)):
        return 0
    if ge(x, 0.0) and gt(come.x, 0.0):
        return 2 * sign
    if lt(x, 0.0) and le(come.x, 0.0):
        return 0
    side = sub(mul(sub(x, come.x), y), mul(sub(y, come.y), x))
    if is_zero(side):
        return _ON_EDGE
    if (sign < 0 and lt(side, 0.0)) or (sign > 0 and gt(side, 0.0)):
        return 0
    return 2 * sign


def polygon_same(a: Polygon, b: Polygon) -> bool:
    """The same corners in the same or the opposite turn, from any of them on."""
    count = len(a.points)
    if count != len(b.points):
        return False
    for begin in paced(range(count)):
        if point_eq(b.points[begin], a.points[0]):
            for step in (1, -1):
                if all(point_eq(b.points[(begin + step * at) % count], a.points[at]) for at in paced(range(1, count))):
                    return True
    return False


def polygons_overlap(a: Polygon, b: Polygon) -> bool:
    """Whether edges cross, or one is within the other."""
    if not boxes_overlap(bounds(a.points), bounds(b.points)):
        return False
    pairs = itertools.product(edges(a.points, True), edges(b.points, True))
    if any(lsegs_meet(one, other) is not None for one, other in paced(pairs)):
        return True
    return bool(inside(a.points[0], b.points) or inside(b.points[0], a.points))


def polygon_holds(outer: Polygon, inner: Polygon) -> bool:
    """Whether all of ``inner`` is within ``outer``."""
    if not box_holds(bounds(outer.points), bounds(inner.points)):
        return False
    return all(_edge_within(edge, outer.points) for edge in edges(inner.points, True))


def _edge_within(edge: Lseg, corners: tuple[Point, ...]) -> bool:
    """Whether a segment is within a polygon: it is cut where it crosses or touches an edge, and the middle of what
    remains whole must be inside. ``waiting``: pieces, each with the edge from which on it is to be looked at."""
    waiting = [(edge.begin, edge.end, 0)]
    while waiting:
        begin, end, start = waiting.pop()
        piece = Lseg(begin, end)
        crossed = contained = False
        for at in paced(range(start, len(corners))):
            side = Lseg(corners[at - 1], corners[at])
            has_begin, has_end = lseg_has(side, begin), lseg_has(side, end)
            if has_begin and has_end:
                contained = True
                break
            if has_begin or has_end:
                on, off = (begin, end) if has_begin else (end, begin)
                corner = _touched(on, off, side)
                if corner is not None:
                    waiting.append((off, corner, at + 1))
                continue
            found = lsegs_meet(piece, side)
            if found is not None:
                crossed = True
                waiting += [(begin, found, at + 1), (end, found, at + 1)]
        if not (contained or crossed) and not inside(middle(begin, end), corners):
            return False
    return True


def _touched(on: Point, off: Point, side: Lseg) -> Point | None:
    """Of a segment that touches an edge with ``on``: the corner of the edge that it goes through."""
    piece = Lseg(on, off)
    if point_eq(on, side.begin):
        return side.end if lseg_has(piece, side.end) else None
    if point_eq(on, side.end):
        return side.begin if lseg_has(piece, side.begin) else None
    if lseg_has(piece, side.begin):
        return side.begin
    return side.end if lseg_has(piece, side.end) else None


def polygon_distance(a: Polygon, b: Polygon) -> float | None:
    """0 when they overlap."""
    return 0.0 if polygons_overlap(a, b) else _nearest(a.points, True, b.points, True)


def polygon_to_point(polygon: Polygon, point: Point) -> float:
    """0 inside."""
    if inside(point, polygon.points):
        return 0.0
    points = polygon.points
    best = lseg_near_point(Lseg(points[0], points[-1]), point)[0]
    for edge in paced(edges(points, False)):
        apart = lseg_near_point(edge, point)[0]
        best = apart if less(apart, best) else best
    return best


def polygon_circle(polygon: Polygon) -> Circle:
    """Around the mean of the corners, with their mean distance from it."""
    center = Point(0.0, 0.0)
    for corner in paced(polygon.points):
        center = point_add(center, corner)
    count = len(polygon.points)
    center = Point(div(center.x, count), div(center.y, count))
    radius = 0.0
    for corner in paced(polygon.points):
        radius = add(radius, distance(corner, center))
    return Circle(center, div(radius, count))


def box_polygon(box: Box) -> Polygon:
    """Its four corners."""
    (high_x, high_y), (low_x, low_y) = box
    return Polygon((Point(low_x, low_y), Point(low_x, high_y), Point(high_x, high_y), Point(high_x, low_y)))


# circles


def circle_area(circle: Circle) -> float:
    """π·r²."""
    return mul(mul(circle.radius, circle.radius), math.pi)


def circle_distance(a: Circle, b: Circle) -> float:
    """0 when they overlap."""
    apart = sub(distance(a.center, b.center), add(a.radius, b.radius))
    return 0.0 if apart < 0.0 else apart


def circle_to_point(circle: Circle, point: Point) -> float:
    """0 inside."""
    apart = sub(distance(point, circle.center), circle.radius)
    return 0.0 if apart < 0.0 else apart


def circle_to_polygon(circle: Circle, polygon: Polygon) -> float:
    """0 when they overlap."""
    apart = sub(polygon_to_point(polygon, circle.center), circle.radius)
    return 0.0 if apart < 0.0 else apart


def circle_same(a: Circle, b: Circle) -> bool:
    """Centre and radius."""
    both_nan = a.radius != a.radius and b.radius != b.radius
    return (both_nan or eq(a.radius, b.radius)) and point_eq(a.center, b.center)


def circle_mul(circle: Circle, point: Point) -> Circle:
    """Turned and scaled."""
    return Circle(point_mul(circle.center, point), mul(circle.radius, hypot(point.x, point.y)))


def circle_div(circle: Circle, point: Point) -> Circle:
    """Turned and scaled back."""
    return Circle(point_div(circle.center, point), div(circle.radius, hypot(point.x, point.y)))


def circle_box(circle: Circle) -> Box:
    """The square within."""
    delta = div(circle.radius, math.sqrt(2.0))
    (x, y) = circle.center
    return Box(Point(add(x, delta), add(y, delta)), Point(sub(x, delta), sub(y, delta)))


def circle_polygon(count: int, circle: Circle) -> Polygon:
    """So many corners on the circle. 0A000, 22023, 54000."""
    if is_zero(circle.radius):
        raise NotSupported("cannot convert circle with radius zero to polygon")
    if count < 2:
        raise InvalidParameterValue("must request at least 2 points")
    if count > _POINTS_MAX:
        raise ProgramLimitExceeded("too many points requested")
    step = div(2.0 * math.pi, count)
    (x, y), radius = circle
    corners = []
    for at in paced(range(count)):
        angle = mul(step, at)
        corners.append(Point(sub(x, mul(radius, math.cos(angle))), add(y, mul(radius, math.sin(angle)))))
    return Polygon(tuple(corners))
