"""The plans that speed depends on: point access, key pushdown, order by index, join methods, semi joins."""

from __future__ import annotations

import dataclasses

import pytest

from compute_node.sql import plan as pl
from compute_node.sql.analyze import analyze
from compute_node.sql.expressions import Column, ExecParam, Expr, Param, SubLink, Var, walk
from compute_node.sql.parse import parse
from compute_node.sql.planner import plan
from tests.unit.support_sql import FakeCatalog

CATALOG = FakeCatalog()


def planned(sql: str) -> pl.PlannedStmt:
    return plan(analyze(parse(sql)[0].node, CATALOG, [], sql), CATALOG)


def shape(node: pl.Plan) -> str:
    """``Node(child, child)`` with scans showing their table and index."""
    children = [
        getattr(node, field.name)
        for field in dataclasses.fields(node)
        if isinstance(getattr(node, field.name), pl.Plan)
    ]
    children += list(getattr(node, "children", ()))
    name = type(node).__name__
    if isinstance(node, (pl.HashJoin, pl.NestLoop)):
        name += f"[{node.kind}]"
    if isinstance(node, pl.IndexScan):
        name += f"[{node.index.name}{' backward' if node.backward else ''}]"
    elif isinstance(node, pl.SeqScan):
        name += f"[{node.relation.name}]"
    return name + (f"({', '.join(shape(child) for child in children)})" if children else "")


def test_point_select_is_one_lookup_without_projection_or_filter() -> None:
    scan = planned("select abalance from pgbench_accounts where aid = $1").plan
    assert isinstance(scan, pl.IndexScan)
    assert scan.unique
    assert scan.columns == (3,)
    assert scan.filter is None
    assert scan.output == (Column(type=23, index=0),)
    assert [key.value for key in scan.keys] == [Param(type=23, number=1)]


def test_point_update() -> None:
    update = planned("update pgbench_accounts set abalance = abalance + $1 where aid = $2").plan
    assert isinstance(update, pl.Update)
    scan = update.child
    assert isinstance(scan, pl.IndexScan)
    assert scan.unique
    assert scan.want_tid
    assert scan.columns == (1, 2, 3, 4)
    assert [attno for attno, _ in update.assignments] == [3]
    assert update.tid_column == -1


def test_single_row_insert() -> None:
    insert = planned(
        "insert into pgbench_history (tid, bid, aid, delta, mtime) values ($1, $2, $3, $4, current_timestamp)"
    ).plan
    assert isinstance(insert, pl.Insert)
    assert isinstance(insert.child, pl.ValuesScan)
    assert len(insert.child.values[0]) == 6


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from t order by id desc limit 2", "Limit(IndexScan[t_pkey backward])"),
        ("select * from t where a = 1 order by b limit 1", "Limit(IndexScan[t_a_b_idx])"),
        ("select * from t order by c", "Sort(SeqScan[t])"),
        ("select a, count(*) from t group by a", "AggregatePlan(SeqScan[t])"),
        ("select * from t where id in (select t_id from u)", "HashJoin[inner](SeqScan[t], Unique(SeqScan[u]))"),
        (
            "select * from t where not exists (select 1 from u where u.t_id = t.id)",
            "HashJoin[anti](SeqScan[t], SeqScan[u])",
        ),
        (
            "select * from t join u on u.t_id = t.id where t.id = 5",
            "NestLoop[inner](IndexScan[t_pkey], BitmapHeapScan(BitmapIndexScan))",
        ),
        ("select * from t left join u on u.t_id = t.id where u.big > 1", "HashJoin[inner](SeqScan[t], SeqScan[u])"),
        ("with w as (select * from t) select * from w where id = 1", "IndexScan[t_pkey]"),
        ("select * from (select * from (select * from t) x) y where id = 1", "IndexScan[t_pkey]"),
        ("select 1 union all select 2 union all select 3", "Append(Result, Result, Result)"),
        ("select * from t where ctid = '(0,1)'", "TidScan"),
        ("select id, generate_series(1, 2) from t", "ProjectSet(SeqScan[t])"),
        ("select * from t where id = 1 for update", "LockRows(IndexScan[t_pkey])"),
        ("select distinct a from t order by a", "Sort(Unique(SeqScan[t]))"),
        (
            "delete from t using u where u.id = t.id and u.id = 3",
            "Delete(NestLoop[inner](IndexScan[t_pkey], IndexScan[u_pkey]))",
        ),
    ],
)
def test_shape(sql: str, expected: str) -> None:
    joined = shape(planned(sql).plan)
    swapped = expected.replace("SeqScan[t], SeqScan[u]", "SeqScan[u], SeqScan[t]")
    inner = "[inner]" in expected and "HashJoin" in expected
    assert joined in ((expected, swapped) if inner else (expected,))


def test_parameterised_inner_scan() -> None:
    join = planned("select t.b from u join t on t.id = u.t_id where u.id = 1").plan
    assert isinstance(join, pl.NestLoop)
    assert isinstance(join.inner, pl.IndexScan)
    (number, value) = join.parameters[0]
    assert [key.value for key in join.inner.keys] == [ExecParam(type=23, number=number)]
    assert isinstance(value, Column)


def expressions(node: object) -> list[Expr]:
    found: list[Expr] = []
    if isinstance(node, Expr):
        return list(walk(node))
    if isinstance(node, tuple):
        for item in node:
            found += expressions(item)
    elif isinstance(node, pl.Plan):
        for field in dataclasses.fields(node):
            if field.name not in ("relation", "index"):
                found += expressions(getattr(node, field.name))
    return found


@pytest.mark.parametrize(
    "sql",
    [
        "select (select max(big) from u where t_id = t.id), a in (select id from u) from t where exists (table u)",
        "select * from t, lateral (select * from u where u.t_id = t.id limit 1) x order by t.a + x.id",
        "select a, sum(id) from t group by a having count(*) > (select count(*) from u where u.id = a)",
        "update t set a = u.id from u where u.t_id = t.id returning t.*, u.name",
        "select * from pg_tables",
    ],
)
def test_no_names_are_left_in_a_plan(sql: str) -> None:
    statement = planned(sql)
    for root in (statement.plan, *statement.subplans, *statement.ctes):
        assert not [item for item in expressions(root) if isinstance(item, (Var, SubLink))]


def test_analysis_is_not_changed_by_planning() -> None:
    sql = "with w as (select * from t where a = 1) select w.id from w join (select id from u) q on q.id = w.id"
    query = analyze(parse(sql)[0].node, CATALOG, [], sql)
    before = repr(query)
    first = repr(plan(query, CATALOG))
    assert repr(query) == before
    assert repr(plan(query, CATALOG)) == first
