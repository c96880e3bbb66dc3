"""The functions of the geometric types (pg_proc)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue
from compute_node.types.declare import fn, fns
from compute_node.types.geometric import numbers
from compute_node.types.geometric.areas import (
    Circle,
    Path,
    Polygon,
    box_polygon,
    circle_area,
    circle_box,
    circle_distance,
    circle_div,
    circle_mul,
    circle_polygon,
    circle_same,
    circle_to_point,
    circle_to_polygon,
    inside,
    path_area,
    path_distance,
    path_has,
    path_join,
    path_length,
    path_to_point,
    paths_meet,
    polygon_circle,
    polygon_distance,
    polygon_holds,
    polygon_same,
    polygon_to_point,
    polygons_overlap,
)
from compute_node.types.geometric.numbers import add, eq, ge, gt, le, lt, mul, ne, sub
from compute_node.types.geometric.shapes import (
    Box,
    Found,
    Lseg,
    Point,
    bounds,
    box_area,
    box_center,
    box_has,
    box_holds,
    box_meets_line,
    box_meets_lseg,
    box_near_lseg,
    box_near_point,
    box_of,
    boxes_meet,
    boxes_overlap,
    boxes_union,
    distance,
    inverse_slope,
    line_distance,
    line_eq,
    line_has,
    line_near_point,
    line_slope,
    line_through,
    lines_meet,
    lines_perpendicular,
    lseg_has,
    lseg_meets_line,
    lseg_near_line,
    lseg_near_lseg,
    lseg_near_point,
    lseg_slope,
    lsegs_meet,
    middle,
    point_add,
    point_div,
    point_eq,
    point_mul,
    point_sub,
    slope,
)

_COMPARE = {"eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge}
Key = Callable[[Datum], Datum]


def _ordered(block: str, key: Key) -> None:
    """Comparisons that go by a number of the value; fuzzily, except for whole numbers."""
    for line in block.strip().splitlines():
        oid, signature = line.split(" ", 1)
        compare = _COMPARE[signature[: signature.index("(")].rpartition("_")[2]]
        fn(int(oid), signature, _by(compare, key))


def _by(compare: Callable[[float, float], bool], key: Key) -> Callable[[Any, Any], bool]:
    return lambda a, b: compare(key(a), key(b))


def _swapped(function: Callable[[Datum, Datum], Datum]) -> Callable[[Datum, Datum], Datum]:
    return lambda a, b: function(b, a)


def _found(result: Found) -> Point | None:
    """The point of a search; NULL where there is none."""
    return result[1] if result[0] == result[0] else None


# points

fn(1440, "point(float8, float8) point", Point)
fn(135, "point_eq(point, point) bool", point_eq)
fn(988, "point_ne(point, point) bool", lambda a, b: not point_eq(a, b))
fn(131, "point_above(point, point) bool", lambda a, b: gt(a.y, b.y))
fn(134, "point_below(point, point) bool", lambda a, b: lt(a.y, b.y))
fn(132, "point_left(point, point) bool", lambda a, b: lt(a.x, b.x))
fn(133, "point_right(point, point) bool", lambda a, b: gt(a.x, b.x))
fns(
    """
990 point_horiz(point, point) bool
1407 ishorizontal(point, point) bool
""",
    lambda a, b: eq(a.y, b.y),
)
fns(
    """
989 point_vert(point, point) bool
1406 isvertical(point, point) bool
""",
    lambda a, b: eq(a.x, b.x),
)
fn(1441, "point_add(point, point) point", point_add)
fn(1442, "point_sub(point, point) point", point_sub)
fn(1443, "point_mul(point, point) point", point_mul)
fn(1444, "point_div(point, point) point", point_div)
fn(991, "point_distance(point, point) float8", distance)
fn(992, "slope(point, point) float8", slope)

# lines

fn(1493, "line(point, point) line", line_through)
fn(1492, "line_eq(line, line) bool", line_eq)
fn(239, "line_distance(line, line) float8", line_distance)
fn(1494, "line_interpt(line, line) point", lines_meet)
fn(1495, "line_intersect(line, line) bool", lambda a, b: lines_meet(a, b) is not None)
fns(
    """
1496 line_parallel(line, line) bool
1412 isparallel(line, line) bool
""",
    lambda a, b: lines_meet(a, b) is None,
)
fns(
    """
1497 line_perp(line, line) bool
1413 isperp(line, line) bool
""",
    lines_perpendicular,
)
fns(
    """
1498 line_vertical(line) bool
1414 isvertical(line) bool
""",
    lambda line: numbers.is_zero(line.b),
)
fns(
    """
1499 line_horizontal(line) bool
1415 ishorizontal(line) bool
""",
    lambda line: numbers.is_zero(line.a),
)
fn(725, "dist_pl(point, line) float8", lambda point, line: line_near_point(line, point)[0])
fn(702, "dist_lp(line, point) float8", lambda line, point: line_near_point(line, point)[0])
fn(959, "on_pl(point, line) bool", lambda point, line: line_has(line, point))
fn(961, "close_pl(point, line) point", lambda point, line: _found(line_near_point(line, point)))

# segments


def _lseg_length(lseg: Lseg) -> float:
    return distance(lseg.begin, lseg.end)


def _lseg_eq(a: Lseg, b: Lseg) -> bool:
    return point_eq(a.begin, b.begin) and point_eq(a.end, b.end)


fn(993, "lseg(point, point) lseg", Lseg)
fns(
    """
981 diagonal(box) lseg
1541 lseg(box) lseg
""",
    lambda box: Lseg(box.high, box.low),
)
fn(999, "lseg_eq(lseg, lseg) bool", _lseg_eq)
fn(1482, "lseg_ne(lseg, lseg) bool", lambda a, b: not _lseg_eq(a, b))
_ordered(
    """
1483 lseg_lt(lseg, lseg) bool
1484 lseg_le(lseg, lseg) bool
1485 lseg_gt(lseg, lseg) bool
1486 lseg_ge(lseg, lseg) bool
""",
    _lseg_length,
)
fns(
    """
1487 lseg_length(lseg) float8
1530 length(lseg) float8
""",
    _lseg_length,
)
fns(
    """
225 lseg_center(lseg) point
1532 point(lseg) point
""",
    lambda lseg: middle(lseg.begin, lseg.end),
)
fns(
    """
995 lseg_parallel(lseg, lseg) bool
1408 isparallel(lseg, lseg) bool
""",
    lambda a, b: eq(lseg_slope(a), lseg_slope(b)),
)
fns(
    """
996 lseg_perp(lseg, lseg) bool
1409 isperp(lseg, lseg) bool
""",
    lambda a, b: eq(lseg_slope(a), inverse_slope(b.begin, b.end)),
)
fns(
    """
997 lseg_vertical(lseg) bool
1410 isvertical(lseg) bool
""",
    lambda lseg: eq(lseg.begin.x, lseg.end.x),
)
fns(
    """
998 lseg_horizontal(lseg) bool
1411 ishorizontal(lseg) bool
""",
    lambda lseg: eq(lseg.begin.y, lseg.end.y),
)
fn(994, "lseg_intersect(lseg, lseg) bool", lambda a, b: lsegs_meet(a, b) is not None)
fn(362, "lseg_interpt(lseg, lseg) point", lsegs_meet)
fn(361, "lseg_distance(lseg, lseg) float8", lambda a, b: lseg_near_lseg(a, b)[0])
fn(363, "dist_ps(point, lseg) float8", lambda point, lseg: lseg_near_point(lseg, point)[0])
fn(380, "dist_sp(lseg, point) float8", lambda lseg, point: lseg_near_point(lseg, point)[0])
fn(727, "dist_sl(lseg, line) float8", lambda lseg, line: lseg_near_line(lseg, line)[0])
fn(704, "dist_ls(line, lseg) float8", lambda line, lseg: lseg_near_line(lseg, line)[0])
fn(277, "inter_sl(lseg, line) bool", lambda lseg, line: lseg_meets_line(lseg, line) is not None)
fn(369, "on_ps(point, lseg) bool", lambda point, lseg: lseg_has(lseg, point))
fn(960, "on_sl(lseg, line) bool", lambda lseg, line: line_has(line, lseg.begin) and line_has(line, lseg.end))
fn(366, "close_ps(point, lseg) point", lambda point, lseg: _found(lseg_near_point(lseg, point)))
fn(
    1488,
    "close_ls(line, lseg) point",
    lambda line, lseg: None if lseg_slope(lseg) == line_slope(line) else _found(lseg_near_line(lseg, line)),
)
fn(
    1489,
    "close_lseg(lseg, lseg) point",
    lambda a, b: None if lseg_slope(a) == lseg_slope(b) else _found(lseg_near_lseg(b, a)),
)

# boxes

fn(1421, "box(point, point) box", box_of)
fn(4091, "box(point) box", lambda point: Box(point, point))
fn(1446, "box(polygon) box", lambda polygon: bounds(polygon.points))
fn(1480, "box(circle) box", circle_box)
fn(4067, "bound_box(box, box) box", boxes_union)
fns(
    """
138 box_center(box) point
1542 center(box) point
1534 point(box) point
""",
    box_center,
)
fn(975, "area(box) float8", box_area)
fn(976, "width(box) float8", lambda box: sub(box.high.x, box.low.x))
fn(977, "height(box) float8", lambda box: sub(box.high.y, box.low.y))
_ordered(
    """
128 box_eq(box, box) bool
129 box_lt(box, box) bool
130 box_le(box, box) bool
127 box_gt(box, box) bool
126 box_ge(box, box) bool
""",
    box_area,
)
fn(186, "box_same(box, box) bool", lambda a, b: point_eq(a.high, b.high) and point_eq(a.low, b.low))
fn(125, "box_overlap(box, box) bool", boxes_overlap)
fn(187, "box_contain(box, box) bool", box_holds)
fn(192, "box_contained(box, box) bool", _swapped(box_holds))
fn(193, "box_contain_pt(box, point) bool", box_has)
fn(136, "on_pb(point, box) bool", _swapped(box_has))
fn(188, "box_left(box, box) bool", lambda a, b: lt(a.high.x, b.low.x))
fn(189, "box_overleft(box, box) bool", lambda a, b: le(a.high.x, b.high.x))
fn(190, "box_overright(box, box) bool", lambda a, b: ge(a.low.x, b.low.x))
fn(191, "box_right(box, box) bool", lambda a, b: gt(a.low.x, b.high.x))
fn(2562, "box_below(box, box) bool", lambda a, b: lt(a.high.y, b.low.y))
fn(2563, "box_overbelow(box, box) bool", lambda a, b: le(a.high.y, b.high.y))
fn(2564, "box_overabove(box, box) bool", lambda a, b: ge(a.low.y, b.low.y))
fn(2565, "box_above(box, box) bool", lambda a, b: gt(a.low.y, b.high.y))
fn(115, "box_above_eq(box, box) bool", lambda a, b: ge(a.low.y, b.high.y))
fn(116, "box_below_eq(box, box) bool", lambda a, b: le(a.high.y, b.low.y))
fn(1422, "box_add(box, point) box", lambda box, point: Box(point_add(box.high, point), point_add(box.low, point)))
fn(1423, "box_sub(box, point) box", lambda box, point: Box(point_sub(box.high, point), point_sub(box.low, point)))
fn(1424, "box_mul(box, point) box", lambda box, point: box_of(point_mul(box.high, point), point_mul(box.low, point)))
fn(1425, "box_div(box, point) box", lambda box, point: box_of(point_div(box.high, point), point_div(box.low, point)))
fn(980, "box_intersect(box, box) box", boxes_meet)
fn(978, "box_distance(box, box) float8", lambda a, b: distance(box_center(a), box_center(b)))
fn(364, "dist_pb(point, box) float8", lambda point, box: box_near_point(box, point)[0])
fn(357, "dist_bp(box, point) float8", lambda box, point: box_near_point(box, point)[0])
fn(365, "dist_sb(lseg, box) float8", lambda lseg, box: box_near_lseg(box, lseg)[0])
fn(381, "dist_bs(box, lseg) float8", lambda box, lseg: box_near_lseg(box, lseg)[0])
fn(367, "close_pb(point, box) point", lambda point, box: _found(box_near_point(box, point)))
fn(368, "close_sb(lseg, box) point", lambda lseg, box: _found(box_near_lseg(box, lseg)))
fn(372, "on_sb(lseg, box) bool", lambda lseg, box: box_has(box, lseg.begin) and box_has(box, lseg.end))
fn(373, "inter_sb(lseg, box) bool", _swapped(box_meets_lseg))
fn(278, "inter_lb(line, box) bool", box_meets_line)

# paths


def _each(function: Callable[[Point, Point], Point]) -> Callable[[Path, Point], Path]:
    return lambda path, point: Path(path.closed, tuple([function(each, point) for each in path.points]))


def _path_polygon(path: Path) -> Polygon:
    if not path.closed:
        raise InvalidParameterValue("open path cannot be converted to polygon")
    return Polygon(path.points)


def _count(path: Path | Polygon) -> int:
    return len(path.points)


fn(1447, "path(polygon) path", lambda polygon: Path(True, polygon.points))
fns(
    """
1432 path_npoints(path) int4
1545 npoints(path) int4
1445 poly_npoints(polygon) int4
1556 npoints(polygon) int4
""",
    _count,
)
_ordered(
    """
984 path_n_eq(path, path) bool
982 path_n_lt(path, path) bool
985 path_n_le(path, path) bool
983 path_n_gt(path, path) bool
986 path_n_ge(path, path) bool
""",
    _count,
)
fn(1430, "isclosed(path) bool", lambda path: path.closed)
fn(1431, "isopen(path) bool", lambda path: not path.closed)
fn(1433, "pclose(path) path", lambda path: Path(True, path.points))
fn(1434, "popen(path) path", lambda path: Path(False, path.points))
fn(979, "area(path) float8", path_area)
fns(
    """
987 path_length(path) float8
1531 length(path) float8
""",
    path_length,
)
fn(1435, "path_add(path, path) path", path_join)
fn(1436, "path_add_pt(path, point) path", _each(point_add))
fn(1437, "path_sub_pt(path, point) path", _each(point_sub))
fn(1438, "path_mul_pt(path, point) path", _each(point_mul))
fn(1439, "path_div_pt(path, point) path", _each(point_div))
fn(973, "path_inter(path, path) bool", paths_meet)
fn(370, "path_distance(path, path) float8", path_distance)
fn(371, "dist_ppath(point, path) float8", _swapped(path_to_point))
fn(421, "dist_pathp(path, point) float8", path_to_point)
fn(137, "on_ppath(point, path) bool", _swapped(path_has))
fn(1426, "path_contain_pt(path, point) bool", path_has)

# polygons


def _bounded(test: Callable[[Box, Box], bool]) -> Callable[[Polygon, Polygon], bool]:
    return lambda a, b: test(bounds(a.points), bounds(b.points))


def _has(polygon: Polygon, point: Point) -> bool:
    return inside(point, polygon.points) != 0


fn(1448, "polygon(box) polygon", box_polygon)
fn(1449, "polygon(path) polygon", _path_polygon)
fn(1475, "polygon(int4, circle) polygon", circle_polygon)
fn(1544, "polygon(circle) polygon", lambda circle: circle_polygon(12, circle))
fns(
    """
227 poly_center(polygon) point
1540 point(polygon) point
""",
    lambda polygon: polygon_circle(polygon).center,
)
fn(339, "poly_same(polygon, polygon) bool", polygon_same)
fn(340, "poly_contain(polygon, polygon) bool", polygon_holds)
fn(345, "poly_contained(polygon, polygon) bool", _swapped(polygon_holds))
fn(346, "poly_overlap(polygon, polygon) bool", polygons_overlap)
fn(1428, "poly_contain_pt(polygon, point) bool", _has)
fn(1429, "pt_contained_poly(point, polygon) bool", _swapped(_has))
fn(341, "poly_left(polygon, polygon) bool", _bounded(lambda a, b: a.high.x < b.low.x))
fn(342, "poly_overleft(polygon, polygon) bool", _bounded(lambda a, b: a.high.x <= b.high.x))
fn(343, "poly_overright(polygon, polygon) bool", _bounded(lambda a, b: a.low.x >= b.low.x))
fn(344, "poly_right(polygon, polygon) bool", _bounded(lambda a, b: a.low.x > b.high.x))
fn(2566, "poly_below(polygon, polygon) bool", _bounded(lambda a, b: a.high.y < b.low.y))
fn(2567, "poly_overbelow(polygon, polygon) bool", _bounded(lambda a, b: a.high.y <= b.high.y))
fn(2568, "poly_overabove(polygon, polygon) bool", _bounded(lambda a, b: a.low.y >= b.low.y))
fn(2569, "poly_above(polygon, polygon) bool", _bounded(lambda a, b: a.low.y > b.high.y))
fn(729, "poly_distance(polygon, polygon) float8", polygon_distance)
fn(3275, "dist_ppoly(point, polygon) float8", _swapped(polygon_to_point))
fn(3292, "dist_polyp(polygon, point) float8", polygon_to_point)

# circles

fn(1473, "circle(point, float8) circle", Circle)
fn(1474, "circle(polygon) circle", polygon_circle)
fn(1479, "circle(box) circle", lambda box: Circle(box_center(box), distance(box_center(box), box.high)))
fns(
    """
1472 circle_center(circle) point
1543 center(circle) point
1416 point(circle) point
""",
    lambda circle: circle.center,
)
fn(1468, "area(circle) float8", circle_area)
fn(1469, "diameter(circle) float8", lambda circle: mul(circle.radius, 2.0))
fn(1470, "radius(circle) float8", lambda circle: circle.radius)
fn(1452, "circle_same(circle, circle) bool", circle_same)
_ordered(
    """
1462 circle_eq(circle, circle) bool
1463 circle_ne(circle, circle) bool
1464 circle_lt(circle, circle) bool
1466 circle_le(circle, circle) bool
1465 circle_gt(circle, circle) bool
1467 circle_ge(circle, circle) bool
""",
    circle_area,
)


def _west(circle: Circle) -> float:
    return sub(circle.center.x, circle.radius)


def _east(circle: Circle) -> float:
    return add(circle.center.x, circle.radius)


def _south(circle: Circle) -> float:
    return sub(circle.center.y, circle.radius)


def _north(circle: Circle) -> float:
    return add(circle.center.y, circle.radius)


fn(1454, "circle_left(circle, circle) bool", lambda a, b: lt(_east(a), _west(b)))
fn(1455, "circle_overleft(circle, circle) bool", lambda a, b: le(_east(a), _east(b)))
fn(1456, "circle_overright(circle, circle) bool", lambda a, b: ge(_west(a), _west(b)))
fn(1457, "circle_right(circle, circle) bool", lambda a, b: gt(_west(a), _east(b)))
fn(1460, "circle_below(circle, circle) bool", lambda a, b: lt(_north(a), _south(b)))
fn(2587, "circle_overbelow(circle, circle) bool", lambda a, b: le(_north(a), _north(b)))
fn(2588, "circle_overabove(circle, circle) bool", lambda a, b: ge(_south(a), _south(b)))
fn(1461, "circle_above(circle, circle) bool", lambda a, b: gt(_south(a), _north(b)))
fn(
    1453,
    "circle_contain(circle, circle) bool",
    lambda a, b: le(distance(a.center, b.center), sub(a.radius, b.radius)),
)
fn(
    1458,
    "circle_contained(circle, circle) bool",
    lambda a, b: le(distance(a.center, b.center), sub(b.radius, a.radius)),
)
fn(
    1459,
    "circle_overlap(circle, circle) bool",
    lambda a, b: le(distance(a.center, b.center), add(a.radius, b.radius)),
)
fn(1477, "circle_contain_pt(circle, point) bool", lambda a, point: distance(a.center, point) <= a.radius)
fn(1478, "pt_contained_circle(point, circle) bool", lambda point, a: distance(a.center, point) <= a.radius)
fn(1146, "circle_add_pt(circle, point) circle", lambda a, point: Circle(point_add(a.center, point), a.radius))
fn(1147, "circle_sub_pt(circle, point) circle", lambda a, point: Circle(point_sub(a.center, point), a.radius))
fn(1148, "circle_mul_pt(circle, point) circle", circle_mul)
fn(1149, "circle_div_pt(circle, point) circle", circle_div)
fn(1471, "circle_distance(circle, circle) float8", circle_distance)
fn(1476, "dist_pc(point, circle) float8", _swapped(circle_to_point))
fn(3290, "dist_cpoint(circle, point) float8", circle_to_point)
fn(728, "dist_cpoly(circle, polygon) float8", circle_to_polygon)
fn(785, "dist_polyc(polygon, circle) float8", _swapped(circle_to_polygon))
fn(5011, "spg_poly_quad_compress(polygon) box", lambda polygon: bounds(polygon.points))
