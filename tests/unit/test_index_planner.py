"""How conditions meet indexes: operator families, derived ranges, predicates of partial indexes, bitmaps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compute_node.relations.access_methods import IS_NULL, NOT_NULL
from compute_node.relations.column_statistics import HISTOGRAM, MOST_COMMON, ColumnStatistics, Slot
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.sql import plan as pl
from compute_node.sql.analyze import analyze
from compute_node.sql.expressions import Const, Param
from compute_node.sql.parse import parse
from compute_node.sql.planner import plan
from compute_node.sql.planner.values import KnownValues
from tests.unit.support_sql import FakeCatalog, lifted_literals, table

COLUMNS = "id int4, a int4, b int8, c text, n name, f bool, d date, ts timestamptz, v varchar, x float4, tags _int4"


def described(*indexes: IndexDesc, rows: float = 100000.0) -> RelationDesc:
    return replace(table(18000, "w", COLUMNS, primary="id", rows=rows), indexes=indexes)


def index(columns: str, number: int = 0, **extra: object) -> IndexDesc:
    names = [item.split()[0] for item in COLUMNS.split(", ")]
    attnos = tuple(names.index(each) + 1 if each in names else 0 for each in columns.split(",")) if columns else ()
    n = len(attnos)
    made = IndexDesc(
        18001 + number, 18001 + number, f"w_{columns.replace(',', '_') or 'e'}_{number}", attnos, False, False,
        descending=(False,) * n, nulls_first=(False,) * n, codes=(0,) * n,
    )  # fmt: skip
    return replace(made, **extra)  # type: ignore[arg-type]


def planned(where: str, *indexes: IndexDesc, rows: float = 100000.0, order: str = "") -> pl.Plan:
    catalog = FakeCatalog((described(*indexes, rows=rows),))
    sql = f"select * from w where {where}" + (f" order by {order}" if order else "")
    return plan(analyze(parse(sql)[0].node, catalog, [], sql), catalog, INDEXES).plan


INDEXES = {"enable_seqscan": False, "enable_indexscan": True, "enable_bitmapscan": False}
"""Settings under which any index that can be used is."""


def keys(node: pl.Plan) -> list[tuple[int, int, object]]:
    assert isinstance(node, pl.IndexScan)
    return [
        (key.column, key.strategy, key.value.value if isinstance(key.value, Const) else key.value) for key in node.keys
    ]


@pytest.mark.parametrize(
    ("where", "columns", "expected"),
    [
        ("a = 5", "a", [(0, 3, 5)]),
        ("5 > a", "a", [(0, 1, 5)]),
        ("a = 5 and b >= 7", "a,b", [(0, 3, 5), (1, 4, 7)]),
        ("b = 5::int2", "b", [(0, 3, 5)]),
        ("a = 5 and b < 7 and b > 3", "a,b", [(0, 3, 5), (1, 1, 7), (1, 5, 3)]),
        ("a is null and b = 1", "a,b", [(0, IS_NULL, None), (1, 3, 1)]),
        ("a is not null", "a", [(0, NOT_NULL, None)]),
        ("n = 'x'::text", "n", [(0, 3, "x")]),
        ("v = 'x'", "v", [(0, 3, "x")]),
        ("f", "f", [(0, 3, True)]),
        ("not f", "f", [(0, 3, False)]),
        ("f is false", "f", [(0, 3, False)]),
        ("c like 'ab%'", "c", [(0, 4, "ab"), (0, 1, "ac")]),
        ("c like 'ab'", "c", [(0, 3, "ab")]),
        ("c like 'a_b%'", "c", [(0, 4, "a"), (0, 1, "b")]),
        ("c ~ '^ab'", "c", [(0, 4, "ab"), (0, 1, "ac")]),
        ("c like U&'a\\D7FF%'", "c", [(0, 4, "a\ud7ff"), (0, 1, "a\ue000")]),
        ("x = 1.5::float8", "x", [(0, 3, 1.5)]),
    ],
)
def test_conditions_become_scan_keys(where: str, columns: str, expected: list[tuple[int, int, object]]) -> None:
    assert keys(planned(where, index(columns))) == expected


@pytest.mark.parametrize(
    ("where", "columns"),
    [
        ("a + 1 = 5", "a"),
        ("a = id", "a"),
        ("a <> 5", "a"),
        ("d = ts", "d"),
        ("d < '2020-01-01 12:00'::timestamp", "d"),
        ("c like '%b'", "c"),
        ("c like $1", "c"),
        ("c ~ 'ab'", "c"),
        ("c ~~* 'ab%'", "c"),
        ("f is not true", "f"),
        ("b = 1", "a,b"),
        ("a = random()", "a"),
    ],
)
def test_conditions_that_no_operator_family_serves(where: str, columns: str) -> None:
    assert isinstance(planned(where, index(columns)), pl.SeqScan)


def test_a_timestamp_column_takes_a_date_by_its_cast() -> None:
    scan = planned("ts > '2020-01-01'::date", index("ts"))
    assert isinstance(scan, pl.IndexScan) and scan.keys[0].strategy == 5
    assert scan.keys[0].value is not None and scan.keys[0].value.type == 1184


def test_the_class_decides_not_the_name_of_the_operator() -> None:
    """A pattern class has no ``<``, and its order is not ORDER BY's."""
    pattern = index("c", operator_classes=(4217,))
    assert isinstance(planned("c < 'x'", pattern), pl.SeqScan)
    assert keys(planned("c = 'x'", pattern)) == [(0, 3, "x")]
    assert keys(planned("c ~<~ 'x'", pattern)) == [(0, 1, "x")]
    assert isinstance(planned("c = 'x'", pattern, order="c"), (pl.Sort, pl.IndexScan))
    assert isinstance(planned("true", pattern, order="c"), pl.Sort)
    assert isinstance(planned("true", index("c"), order="c"), pl.IndexScan)


def test_what_the_keys_do_not_say_is_checked_again() -> None:
    scan = planned("a > 5 and b = 7", index("a,b"))
    assert isinstance(scan, pl.IndexScan)
    assert [key.column for key in scan.keys] == [0] and scan.recheck is not None and scan.filter is None
    assert len(scan.conditions) == 2
    rows = planned("(a, b) > (1, 2)", index("a,b"))
    assert isinstance(rows, pl.IndexScan) and rows.keys[0].width == 2 and rows.recheck is not None
    part = planned("(a, c) > (1, 'x')", index("a,b"))
    assert isinstance(part, pl.IndexScan) and part.keys[0].width == 1 and part.keys[0].strategy == 4
    assert part.filter is not None
    hashed = planned("c = 'x' and a = 3", index("c", method="hash"))
    assert isinstance(hashed, pl.IndexScan) and hashed.recheck is not None and hashed.filter is not None
    assert isinstance(planned("c > 'x'", index("c", method="hash")), pl.SeqScan)


@pytest.mark.parametrize(
    ("predicate", "where", "usable"),
    [
        ("b > 10", "b > 10", True),
        ("b > 10", "b > 11", True),
        ("b > 10", "b >= 11", True),
        ("b > 10", "b >= 10", False),
        ("b >= 10", "b > 10", True),
        ("b > 10", "b = 12", True),
        ("b > 10", "12 = b", True),
        ("b > 10", "b = 5", False),
        ("b <> 3", "b = 4", True),
        ("b <> 3", "b < 3", True),
        ("b <> 3", "b < 4", False),
        ("b is not null", "b = 4", True),
        ("b is not null", "b in (4, 5)", True),
        ("b is not null", "b + 1 > 4", True),
        ("b is not null", "b is null", False),
        ("b > 10", "b in (11, 12)", True),
        ("b > 10", "b in (10, 12)", False),
        ("b > 10 or c = 'x'", "c = 'x'", True),
        ("b > 10 or c = 'x'", "c = 'y'", False),
        ("b > 10", "(b = 11 or b = 12)", True),
        ("b > 10 and f", "b > 10", False),
        ("b > 10 and f", "b > 10 and f", True),
        ("f", "f", True),
        ("f", "not f", False),
        ("lower(c) = 'x'", "lower(c) = 'x'", True),
    ],
)
def test_partial_indexes(predicate: str, where: str, usable: bool) -> None:
    found = planned(f"a = 1 and {where}", index("a", predicate=predicate))
    assert isinstance(found, pl.IndexScan if usable else pl.SeqScan)


def test_indexed_expressions() -> None:
    lowered = index("e", expressions=("lower(c)",), key_types=(25,))
    assert keys(planned("lower(c) = 'x'", lowered)) == [(0, 3, "x")]
    assert isinstance(planned("upper(c) = 'x'", lowered), pl.SeqScan)
    assert isinstance(planned("true", lowered, order="lower(c)"), pl.IndexScan)
    added = index("e", expressions=("((a + 1))",), key_types=(23,))
    assert keys(planned("a + 1 = 5", added)) == [(0, 3, 5)]
    assert isinstance(planned("a + 2 = 5", added), pl.SeqScan)


@pytest.mark.parametrize(
    ("where", "made", "decisive"),
    [
        ("c like 'ab%'", index("c"), {1}),
        ("a + 1 = 5", index("e", expressions=("((a + 1))",), key_types=(23,)), {1}),
        ("a = 4 and b > 11", index("a", predicate="b > 10"), {2}),
        ("a = 4 and b > 11", index("a"), set()),
        ("c = 'ab'", index("c"), set()),
    ],
)
def test_lifted_literals_that_decide_are_named(where: str, made: IndexDesc, decisive: set[int]) -> None:
    catalog = FakeCatalog((described(made),))
    sql = f"select * from w where {where}"
    node = parse(sql)[0].node
    slots = {offset: slot for offset, (slot, _) in lifted_literals(node).items()}
    assert plan(analyze(node, catalog, [], sql, slots), catalog).decisive_slots == decisive


@pytest.mark.parametrize(
    ("where", "pages", "decisive"),
    [
        ("a > 5", 100, {1}),
        ("a > 5", 10, set()),
        ("id < 3", 100, {1}),
        ("id = 3", 100, set()),
        ("b = 3", 100, {1}),
        ("c = 'x'", 100, set()),
    ],
)
def test_lifted_literals_that_tell_how_many_rows_there_are_are_named(
    where: str, pages: int, decisive: set[int]
) -> None:
    desc = replace(described(index("id", unique=True, primary=True), rows=5000.0), pages=pages)
    catalog = FakeCatalog((desc,))
    spread = Slot(HISTOGRAM, 97, 0, None, [0, 100, 200], 23)
    for name, slot in (
        ("id", spread),
        ("a", spread),
        ("b", Slot(MOST_COMMON, 96, 0, [0.9, 0.01], [1, 2], 23)),
        ("c", Slot(MOST_COMMON, 98, 100, [0.01, 0.01], ["x", "y"], 25)),
    ):
        column = desc.column(name)
        assert column is not None
        catalog.statistics[desc.oid, column.attno] = ColumnStatistics(0.0, 4, -1.0 if name == "id" else 90.0, (slot,))
    sql = f"select * from w where {where}"
    node = parse(sql)[0].node
    slots = {offset: slot for offset, (slot, _) in lifted_literals(node).items()}
    values = KnownValues(lambda param: None, eager=False)
    probes = plan(analyze(node, catalog, [], sql, slots), catalog, values=values).probes
    assert {slot for probe in probes for slot in probe.slots} == decisive


def bitmap(where: str, *indexes: IndexDesc) -> pl.Plan:
    catalog = FakeCatalog((described(*indexes, rows=1000000.0),))
    sql = f"select * from w where {where}"
    return plan(analyze(parse(sql)[0].node, catalog, [], sql), catalog).plan


def shape(node: pl.Plan) -> str:
    if isinstance(node, pl.BitmapHeapScan):
        return f"heap({shape(node.child)})"
    if isinstance(node, (pl.BitmapAnd, pl.BitmapOr)):
        return f"{type(node).__name__[6:].lower()}({', '.join(map(shape, node.children))})"
    return node.index.name if isinstance(node, (pl.BitmapIndexScan, pl.IndexScan)) else type(node).__name__


def test_bitmaps_under_and_and_or() -> None:
    a, b, c = index("a", 0), index("b", 1), index("c", 2)
    assert shape(bitmap("a = 1", a)) == "heap(w_a_0)"
    assert shape(bitmap("a = 1 and b = 2", a, b)) == "heap(and(w_a_0, w_b_1))"
    assert shape(bitmap("a = 1 or b = 2", a, b)) == "heap(or(w_a_0, w_b_1))"
    assert shape(bitmap("a = 1 or b = 2", a)) == "SeqScan"
    assert shape(bitmap("(a = 1 or b = 2) and c = 'x'", a, b, c)) in (
        "heap(and(w_c_2, or(w_a_0, w_b_1)))", "heap(w_c_2)",
    )  # fmt: skip
    half = bitmap("a = 1 or (b = 2 and x = 3)", a, b)
    assert isinstance(half, pl.BitmapHeapScan) and half.filter is not None and half.recheck is None
    lossy = bitmap("c = 'x' or a = 1", a, index("c", 3, method="hash"))
    assert isinstance(lossy, pl.BitmapHeapScan) and lossy.recheck is not None and lossy.filter is None


def test_a_parameter_is_no_literal() -> None:
    scan = planned("a = $1", index("a"))
    assert isinstance(scan, pl.IndexScan) and isinstance(scan.keys[0].value, Param)
