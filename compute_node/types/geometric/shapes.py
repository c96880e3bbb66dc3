"""Points, lines, segments and boxes: where they meet, how far they are apart, which point of one is nearest to another.

The rules, the order of the tests above all, are PostgreSQL's: with fuzzy comparison another order gives other answers.
A function that looks for a point gives (distance, point); the distance is NaN where there is none.
"""

from __future__ import annotations

from typing import NamedTuple

from aurora.errors import InvalidParameterValue
from compute_node.types.geometric.numbers import (
    INFINITY,
    NAN,
    add,
    div,
    eq,
    ge,
    greatest,
    hypot,
    is_zero,
    le,
    least,
    less,
    mul,
    same,
    sub,
)


class Point(NamedTuple):
    """A place in the plane."""

    x: float
    y: float


class Line(NamedTuple):
    """All points with a·x + b·y + c = 0."""

    a: float
    b: float
    c: float


class Lseg(NamedTuple):
    """A segment between two points."""

    begin: Point
    end: Point


class Box(NamedTuple):
    """A rectangle along the axes: its upper right and its lower left corner."""

    high: Point
    low: Point


Found = tuple[float, Point]


def point_eq(a: Point, b: Point) -> bool:
    """Nearly the same place; exactly, where a coordinate is NaN."""
    if a.x != a.x or a.y != a.y or b.x != b.x or b.y != b.y:
        return same(a.x, b.x) and same(a.y, b.y)
    return eq(a.x, b.x) and eq(a.y, b.y)


def distance(a: Point, b: Point) -> float:
    """Between two points."""
    return hypot(sub(a.x, b.x), sub(a.y, b.y))


def slope(a: Point, b: Point) -> float:
    """Of the line through two points; infinite when it is vertical."""
    if eq(a.x, b.x):
        return INFINITY
    if eq(a.y, b.y):
        return 0.0
    return div(sub(a.y, b.y), sub(a.x, b.x))


def inverse_slope(a: Point, b: Point) -> float:
    """Of a perpendicular to the line through two points."""
    if eq(a.x, b.x):
        return 0.0
    if eq(a.y, b.y):
        return INFINITY
    return div(sub(a.x, b.x), sub(b.y, a.y))


def point_add(a: Point, b: Point) -> Point:
    """The sum."""
    return Point(add(a.x, b.x), add(a.y, b.y))


def point_sub(a: Point, b: Point) -> Point:
    """The difference."""
    return Point(sub(a.x, b.x), sub(a.y, b.y))


def point_mul(a: Point, b: Point) -> Point:
    """The product, as of complex numbers."""
    return Point(sub(mul(a.x, b.x), mul(a.y, b.y)), add(mul(a.x, b.y), mul(a.y, b.x)))


def point_div(a: Point, b: Point) -> Point:
    """The quotient, as of complex numbers; 22012."""
    norm = add(mul(b.x, b.x), mul(b.y, b.y))
    return Point(
        div(add(mul(a.x, b.x), mul(a.y, b.y)), norm),
        div(sub(mul(a.y, b.x), mul(a.x, b.y)), norm),
    )


def middle(a: Point, b: Point) -> Point:
    """Half way."""
    return Point(div(add(a.x, b.x), 2.0), div(add(a.y, b.y), 2.0))


# lines


def line_at(point: Point, m: float) -> Line:
    """Through a point with a slope."""
    if m in (INFINITY, -INFINITY):
        return Line(-1.0, 0.0, point.x)
    if m == 0:
        return Line(0.0, -1.0, point.y)
    return Line(m, -1.0, sub(point.y, mul(m, point.x)) + 0.0)


def line_through(a: Point, b: Point) -> Line:
    """22023 for one point."""
    if point_eq(a, b):
        raise InvalidParameterValue("invalid line specification: must be two distinct points")
    return line_at(a, slope(a, b))


def line_slope(line: Line) -> float:
    """Infinite when the line is vertical."""
    if is_zero(line.a):
        return 0.0
    return INFINITY if is_zero(line.b) else div(line.a, -line.b)


def _line_inverse_slope(line: Line) -> float:
    if is_zero(line.a):
        return INFINITY
    return 0.0 if is_zero(line.b) else div(line.b, line.a)


def lines_meet(one: Line, other: Line) -> Point | None:
    """The common point of two lines; None when they are parallel."""
    if is_zero(one.b):
        if is_zero(other.b):
            return None
        one, other = other, one
    if eq(other.a, mul(one.a, div(other.b, one.b))):
        return None
    x = div(sub(mul(one.b, other.c), mul(other.b, one.c)), sub(mul(one.a, other.b), mul(other.a, one.b)))
    y = div(-add(mul(one.a, x), one.c), one.b)
    return Point(x + 0.0, y + 0.0)


def lines_perpendicular(one: Line, other: Line) -> bool:
    """Whether they meet at a right angle."""
    if is_zero(one.a):
        return is_zero(other.b)
    if is_zero(other.a):
        return is_zero(one.b)
    if is_zero(one.b):
        return is_zero(other.a)
    if is_zero(other.b):
        return is_zero(one.a)
    return eq(div(mul(one.a, other.a), mul(one.b, other.b)), -1.0)


def line_eq(one: Line, other: Line) -> bool:
    """Whether their parameters are proportional; exactly equal, where one is NaN."""
    if any(number != number for number in (*one, *other)):
        return all(map(same, one, other))
    ratio = next((div(a, b) for a, b in zip(one, other, strict=True) if not is_zero(b)), 1.0)
    return all(eq(a, mul(ratio, b)) for a, b in zip(one, other, strict=True))


def line_distance(one: Line, other: Line) -> float:
    """0 unless they are parallel."""
    if lines_meet(one, other) is not None:
        return 0.0
    ratio = 1.0
    for a, b in ((one.a, other.a), (one.b, other.b)):
        if not (is_zero(a) or a != a or is_zero(b) or b != b):
            ratio = div(a, b)
            break
    return div(abs(sub(one.c, mul(ratio, other.c))), hypot(one.a, one.b))


def line_has(line: Line, point: Point) -> bool:
    """Whether the point is on the line."""
    return is_zero(add(add(mul(line.a, point.x), mul(line.b, point.y)), line.c))


def line_near_point(line: Line, point: Point) -> Found:
    """The foot of the perpendicular."""
    found = lines_meet(line_at(point, _line_inverse_slope(line)), line)
    return (NAN, point) if found is None else (distance(found, point), found)


# segments


def lseg_slope(lseg: Lseg) -> float:
    """Of the line along it."""
    return slope(lseg.begin, lseg.end)


def lseg_has(lseg: Lseg, point: Point) -> bool:
    """Whether the point is on the segment."""
    return eq(distance(point, lseg.begin) + distance(point, lseg.end), distance(lseg.begin, lseg.end))


def lseg_meets_line(lseg: Lseg, line: Line) -> Point | None:
    """Their common point."""
    found = lines_meet(line_at(lseg.begin, lseg_slope(lseg)), line)
    if found is None or not lseg_has(lseg, found):
        return None
    if point_eq(lseg.begin, found):
        return lseg.begin
    return lseg.end if point_eq(lseg.end, found) else found


def lsegs_meet(one: Lseg, other: Lseg) -> Point | None:
    """Their common point."""
    found = lseg_meets_line(one, line_at(other.begin, lseg_slope(other)))
    return found if found is not None and lseg_has(other, found) else None


def lseg_near_line(lseg: Lseg, line: Line) -> Found:
    """The point of the segment that is nearest to the line."""
    found = lseg_meets_line(lseg, line)
    if found is not None:
        return 0.0, found
    begin, end = line_near_point(line, lseg.begin)[0], line_near_point(line, lseg.end)[0]
    return (begin, lseg.begin) if begin < end else (end, lseg.end)


def lseg_near_point(lseg: Lseg, point: Point) -> Found:
    """The point of the segment that is nearest to another point."""
    _, found = lseg_near_line(lseg, line_at(point, inverse_slope(lseg.begin, lseg.end)))
    return distance(found, point), found


def lseg_near_lseg(on: Lseg, to: Lseg) -> Found:
    """The point of ``on`` that is nearest to ``to``."""
    found = lsegs_meet(on, to)
    if found is not None:
        return 0.0, found
    best = nearer(lseg_near_point(on, to.begin), lseg_near_point(on, to.end))
    best = nearer(best, (lseg_near_point(to, on.begin)[0], on.begin))
    return nearer(best, (lseg_near_point(to, on.end)[0], on.end))


def nearer(best: Found, other: Found) -> Found:
    """``other`` only where its distance is smaller."""
    return other if less(other[0], best[0]) else best


# boxes


def box_of(a: Point, b: Point) -> Box:
    """Between two opposite corners."""
    high_x, low_x = (a.x, b.x) if less(b.x, a.x) else (b.x, a.x)
    high_y, low_y = (a.y, b.y) if less(b.y, a.y) else (b.y, a.y)
    return Box(Point(high_x, high_y), Point(low_x, low_y))


def bounds(points: tuple[Point, ...]) -> Box:
    """The smallest box around points."""
    high_x = low_x = points[0].x
    high_y = low_y = points[0].y
    for x, y in points[1:]:
        low_x, high_x = (x if less(x, low_x) else low_x), (x if less(high_x, x) else high_x)
        low_y, high_y = (y if less(y, low_y) else low_y), (y if less(high_y, y) else high_y)
    return Box(Point(high_x, high_y), Point(low_x, low_y))


def box_edges(box: Box) -> tuple[Lseg, Lseg, Lseg, Lseg]:
    """In the order in which PostgreSQL looks at them."""
    left, right = Point(box.low.x, box.high.y), Point(box.high.x, box.low.y)
    return Lseg(box.low, left), Lseg(box.high, left), Lseg(box.low, right), Lseg(box.high, right)


def box_center(box: Box) -> Point:
    """Half way between the corners."""
    return middle(box.high, box.low)


def box_area(box: Box) -> float:
    """Width by height."""
    return mul(sub(box.high.x, box.low.x), sub(box.high.y, box.low.y))


def boxes_overlap(a: Box, b: Box) -> bool:
    """Whether they have a point in common."""
    return le(a.low.x, b.high.x) and le(b.low.x, a.high.x) and le(a.low.y, b.high.y) and le(b.low.y, a.high.y)


def box_holds(outer: Box, inner: Box) -> bool:
    """Whether ``inner`` is in ``outer``."""
    return (
        ge(outer.high.x, inner.high.x)
        and le(outer.low.x, inner.low.x)
        and ge(outer.high.y, inner.high.y)
        and le(outer.low.y, inner.low.y)
    )


def box_has(box: Box, point: Point) -> bool:
    """Whether the point is in the box: exactly."""
    return box.low.x <= point.x <= box.high.x and box.low.y <= point.y <= box.high.y


def boxes_meet(a: Box, b: Box) -> Box | None:
    """What they have in common."""
    if not boxes_overlap(a, b):
        return None
    return Box(
        Point(least(a.high.x, b.high.x), least(a.high.y, b.high.y)),
        Point(greatest(a.low.x, b.low.x), greatest(a.low.y, b.low.y)),
    )


def boxes_union(a: Box, b: Box) -> Box:
    """The smallest box around both."""
    return Box(
        Point(greatest(a.high.x, b.high.x), greatest(a.high.y, b.high.y)),
        Point(least(a.low.x, b.low.x), least(a.low.y, b.low.y)),
    )


def box_meets_lseg(box: Box, lseg: Lseg) -> bool:
    """Whether they have a point in common."""
    if not boxes_overlap(bounds(lseg), box):
        return False
    if box_has(box, lseg.begin) or box_has(box, lseg.end):
        return True
    return any(lsegs_meet(edge, lseg) is not None for edge in box_edges(box))


def box_meets_line(line: Line, box: Box) -> bool:
    """Whether they have a point in common."""
    low_high, high_low = Point(box.low.x, box.high.y), Point(box.high.x, box.low.y)
    edges = (
        Lseg(box.low, low_high),
        Lseg(box.high, low_high),
        Lseg(box.high, high_low),
        Lseg(box.low, high_low),
    )
    return any(lseg_meets_line(edge, line) is not None for edge in edges)


def box_near_point(box: Box, point: Point) -> Found:
    """The point of the box that is nearest to another point."""
    if box_has(box, point):
        return 0.0, point
    edges = box_edges(box)
    best = lseg_near_point(edges[0], point)
    for edge in edges[1:]:
        best = nearer(best, lseg_near_point(edge, point))
    return best


def box_near_lseg(box: Box, lseg: Lseg) -> Found:
    """The point of the box that is nearest to a segment; of the segment to the box's centre where they meet."""
    if box_meets_lseg(box, lseg):
        return 0.0, lseg_near_point(lseg, box_center(box))[1]
    edges = box_edges(box)
    best = lseg_near_lseg(edges[0], lseg)
    for edge in edges[1:]:
        best = nearer(best, lseg_near_lseg(edge, lseg))
    return best
