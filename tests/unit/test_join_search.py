"""The search for a join order: classes of equal columns, paths that are kept, bounds of the search, settings."""

from __future__ import annotations

from typing import Any

import pytest

from compute_node.sql import plan as pl
from compute_node.sql.analyze import analyze
from compute_node.sql.parse import parse
from compute_node.sql.planner import plan
from compute_node.sql.planner.joining import search
from compute_node.sql.planner.joining.keep import keep
from compute_node.sql.planner.paths import EmptyPath
from tests.unit.support_sql import FakeCatalog
from tests.unit.test_planner_shapes import expressions, shape

CATALOG = FakeCatalog()


class Settings:
    """Defaults, but for what is given."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def get(self, name: str) -> Any:
        return self.values.get(
            name, True if name.startswith(("enable_", "geqo")) and name != "geqo_threshold" else None
        )


def planned(sql: str, **values: Any) -> pl.PlannedStmt:
    return plan(analyze(parse(sql)[0].node, CATALOG, [], sql), CATALOG, Settings(**values))


def nodes(top: pl.Plan) -> list[pl.Plan]:
    from compute_node.exec.plan_walk import plan_nodes

    return list(plan_nodes(top))


def path(startup: float, cost: float, *order: int) -> EmptyPath:
    keys = tuple((number, False, False) for number in order)
    return EmptyPath(relids=frozenset(), startup=startup, cost=cost, order=keys)


def test_paths_are_kept_for_cost_order_and_first_row() -> None:
    for wants_first in (False, True):
        paths: list[Any] = []
        for each in (path(0, 20, 1), path(0, 10), path(0, 12), path(0, 30, 1, 2), path(9, 30, 1), path(0, 20, 1)):
            keep(paths, each, wants_first)
        assert [(each.startup, each.cost, len(each.order)) for each in paths] == [(0, 10, 0), (0, 20, 1), (0, 30, 2)]
        keep(paths, path(0, 11, 1, 2), wants_first)
        assert [(each.cost, len(each.order)) for each in paths] == [(10, 0), (11, 2)]
        # The first row costs more, all rows less.
        keep(paths, path(5, 8), wants_first)
        assert [each.cost for each in paths] == ([8, 10, 11] if wants_first else [8, 11])


def test_a_class_joins_what_no_condition_names() -> None:
    # t and z are joined by what follows from u: whichever pair comes first, each join has one condition.
    statement = planned("select * from t, u, t z where t.id = u.t_id and u.t_id = z.id")
    joins = [node for node in nodes(statement.plan) if isinstance(node, (pl.HashJoin, pl.MergeJoin, pl.NestLoop))]
    assert len(joins) == 2
    for node in joins:
        if isinstance(node, (pl.HashJoin, pl.MergeJoin)):
            assert len(node.outer_keys) == 1
            assert node.condition is None


def test_columns_of_one_table_in_a_class_are_compared_in_its_scan() -> None:
    statement = planned("select * from t, u where t.id = u.t_id and t.a = u.t_id")
    tested = [node for node in nodes(statement.plan) if getattr(node, "filter", None) is not None]
    assert len(tested) == 1


@pytest.mark.parametrize("method", ["nestloop", "hashjoin", "mergejoin"])
def test_each_method_can_be_had_by_itself(method: str) -> None:
    others = {f"enable_{name}": False for name in ("nestloop", "hashjoin", "mergejoin") if name != method}
    wanted = {"nestloop": pl.NestLoop, "hashjoin": pl.HashJoin, "mergejoin": pl.MergeJoin}[method]
    for kind in ("", "left", "full"):
        if kind == "full" and method == "nestloop":
            continue
        statement = planned(f"select * from t {kind} join u on u.t_id = t.id", **others)
        assert any(isinstance(node, wanted) for node in nodes(statement.plan)), kind


@pytest.mark.parametrize("count", [10, 14])
def test_many_tables_are_joined(count: int) -> None:
    tables = ", ".join(f"t t{n}" for n in range(count))
    conditions = " and ".join(f"t{n}.id = t{n + 1}.a" for n in range(count - 1))
    statement = planned(f"select count(*) from {tables} where {conditions}")
    scans = [node for node in nodes(statement.plan) if hasattr(node, "relation") and hasattr(node, "alias")]
    assert len({node.alias for node in scans}) == count


def test_too_many_pairs_are_joined_greedily(monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "select * from t a, t b, t c, t d where a.id = b.a and b.id = c.a and c.id = d.a and d.id = a.a"
    whole = planned(sql).plan
    monkeypatch.setattr(search, "PAIRS_MAX", 2)
    greedy = planned(sql).plan
    assert greedy.total_cost >= whole.total_cost
    assert len(expressions(greedy)) >= 4


def test_join_collapse_limit_keeps_the_order_that_is_written() -> None:
    sql = "select * from t cross join u join pgbench_tellers b on b.tid = t.id and b.bid = u.id"
    written = planned(sql, join_collapse_limit=1).plan
    top = next(node for node in nodes(written) if isinstance(node, (pl.HashJoin, pl.MergeJoin, pl.NestLoop)))
    scans = [[node for node in nodes(each) if hasattr(node, "alias")] for each in (top.outer, top.inner)]
    assert {"t", "u"} in [{node.relation.name for node in each} for each in scans]


def test_an_order_below_serves_the_order_above() -> None:
    assert shape(planned("select * from t order by a, b, c limit 3").plan) == (
        "Limit(IncrementalSort(IndexScan[t_a_b_idx]))"
    )
    assert "Sort" not in shape(planned("select a, b from t order by a, b", enable_seqscan=False).plan)
    grouped = planned("select a, count(*) from t group by a", enable_hashagg=False, enable_seqscan=False).plan
    assert isinstance(grouped, pl.SortedGroups)
    assert isinstance(grouped.child, pl.IndexScan)
