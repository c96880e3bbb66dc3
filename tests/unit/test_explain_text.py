"""EXPLAIN's text and JSON, and COPY's sink."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aurora.errors import InvalidParameterValue, NotNullViolation, SqlSyntaxError, UndefinedColumn
from compute_node.exec.copy_target import CopyTarget
from compute_node.exec.explain import Explanation
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from tests.unit.support_exec import FakeCatalog, context
from tests.unit.test_exec_nodes import INT8, TEXT, Fixture, agg, col, const, join, op, param, planned

CATALOG: Any = FakeCatalog()


def lines(fx: Fixture, plan: pl.Plan, command: str = "select", /, **options: Any) -> list[str]:
    options.setdefault("costs", False)
    return explained(fx, planned(plan, command), options)


def explained(fx: Fixture, statement: pl.PlannedStmt, options: dict[str, Any]) -> list[str]:
    ctx = context(fx.storage)
    explanation = Explanation(statement, options, CATALOG, ctx.env)
    executable = explanation.executable
    if executable is not None:
        explanation.measure(lambda: executable.run(ctx, ()))
    return explanation.lines()


@pytest.fixture
def fx() -> Fixture:
    return Fixture()


def test_scans(fx: Fixture) -> None:
    where = ex.And(type=16, arguments=(op(">", col(1), const(0)), op("=", col(2, TEXT), const("it's", TEXT))))
    assert lines(fx, fx.scan(filter=where)) == ["Seq Scan on t", "  Filter: ((b > 0) AND (c = 'it''s'::text))"]
    assert lines(fx, fx.by_key(param(1), alias="x")) == ["Index Scan using t_a_key on t x", "  Index Cond: (a = $1)"]
    costs = lines(fx, fx.scan(rows=10.0, width=40, total_cost=1.1), costs=True)
    assert costs == ["Seq Scan on t  (cost=0.00..1.10 rows=10 width=40)"]


def test_join_sort_limit(fx: Fixture) -> None:
    joined = join(fx, "left")
    ordered = pl.Sort(child=joined, keys=(ex.SortKey(col(0), 23, descending=True, nulls_first=True),), output=(col(0),))
    assert lines(fx, pl.Limit(child=ordered, limit=const(1, INT8), output=(col(0),))) == [
        "Limit",
        "  ->  Sort",
        "        Sort Key: t.a DESC",
        "        ->  Hash Left Join",
        "              Hash Cond: (t.a = u.a)",
        "              ->  Seq Scan on t",
        "              ->  Hash",
        "                    ->  Seq Scan on u",
    ]


def test_aggregate_and_modify(fx: Fixture) -> None:
    calls = (agg("count"), agg("sum", col(0)))
    having = op(">", col(2, INT8), const(5, INT8))
    plan = pl.AggregatePlan(child=fx.scan(), keys=(col(1),), aggregates=calls, having=having, output=(col(0),))
    assert lines(fx, plan) == [
        "HashAggregate",
        "  Group Key: b",
        "  Filter: (sum(a) > '5'::bigint)",
        "  ->  Seq Scan on t",
    ]
    delete = pl.Delete(relation=fx.t, child=fx.by_key(const(1)), recheck=op("=", col(0), const(1)))
    assert lines(fx, delete, "delete") == [
        "Delete on t",
        "  ->  Index Scan using t_a_key on t",
        "        Index Cond: (a = 1)",
    ]


def test_analyze_measures_and_runs(fx: Fixture) -> None:
    where = op("=", col(1), const(2))
    delete = pl.Delete(relation=fx.t, child=fx.scan(filter=where), recheck=where)
    text = lines(fx, delete, "delete", analyze=True, timing=False, summary=False)
    assert text == [
        "Delete on t (actual rows=0 loops=1)",
        "  ->  Seq Scan on t (actual rows=2 loops=1)",
        "        Filter: (b = 2)",
        "        Rows Removed by Filter: 8",
    ]
    assert len(fx.rows()) == 8
    timed = lines(fx, fx.scan(), analyze=True)
    assert "actual time=" in timed[0]
    assert timed[-1].startswith("Execution Time: ")


def test_json(fx: Fixture) -> None:
    (text,) = explained(fx, planned(join(fx, "inner")), {"format": "json"})
    top = json.loads(text)[0]["Plan"]
    assert (top["Node Type"], top["Join Type"], top["Hash Cond"]) == ("Hash Join", "Inner", "(t.a = u.a)")
    assert [child["Node Type"] for child in top["Plans"]] == ["Seq Scan", "Hash"]


def test_options_are_checked(fx: Fixture) -> None:
    with pytest.raises(SqlSyntaxError, match='unrecognized EXPLAIN option "nope"'):
        lines(fx, fx.scan(), nope=True)
    with pytest.raises(InvalidParameterValue, match="TIMING requires ANALYZE"):
        lines(fx, fx.scan(), timing=True)
    with pytest.raises(InvalidParameterValue, match='unrecognized value for EXPLAIN option "format": "html"'):
        lines(fx, fx.scan(), format="html")


def test_copy_target(fx: Fixture) -> None:
    ctx = context(fx.storage)
    defaults = {2: op("+", const(40), const(2))}
    target = CopyTarget(ctx, CATALOG, fx.t, ["c", "a"], defaults, (), ())
    assert [(name, item.name) for name, item, _ in target.columns] == [("c", "text"), ("a", "int4")]
    target.write_rows([("x", 100), ("y", 101)])
    assert target.finish() == 2
    assert fx.rows()[-2:] == [(100, 42, "x"), (101, 42, "y")]
    with pytest.raises(NotNullViolation):
        target.write_rows([("z", None)])
    with pytest.raises(UndefinedColumn, match='column "zz" of relation "t" does not exist'):
        CopyTarget(ctx, CATALOG, fx.t, ["zz"], {}, (), ())
