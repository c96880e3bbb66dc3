"""Tables that others inherit from: the shapes of their plans, what constraints exclude, and what a rollback leaves."""

from __future__ import annotations

import dataclasses

import pytest
from support_catalog import Engine, in_greenlet

from aurora.errors import SqlError
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import plan as pl
from compute_node.sql.analyze import analyze
from compute_node.sql.parse import parse
from compute_node.sql.planner import plan
from tests.unit.support_sql import FakeCatalog, table


def _family() -> tuple[RelationDesc, ...]:
    """``top``, its children ``low`` (a < 100) and ``high`` (a >= 100), and ``leaf`` under ``high``; the children have
    other places for the columns, and an index."""
    top = table(18000, "top", "a int4, b text", rows=10)
    low = table(18010, "low", "b text, a int4", unique=("a",), rows=100000, checks=(("low_a", "a < 100"),))
    high = table(18020, "high", "x int4, b text, a int4", unique=("a",), rows=100000, checks=(("high_a", "a >= 100"),))
    leaf = table(18030, "leaf", "a int4, x int4, b text", unique=("a",), rows=100000, checks=(("high_a", "a >= 100"),))
    return (
        dataclasses.replace(top, children=(low.oid, high.oid)),
        dataclasses.replace(low, parents=(top.oid,)),
        dataclasses.replace(high, parents=(top.oid,), children=(leaf.oid,)),
        dataclasses.replace(leaf, parents=(high.oid,)),
    )


CATALOG = FakeCatalog(_family())


def planned(sql: str) -> pl.Plan:
    return plan(analyze(parse(sql)[0].node, CATALOG, [], sql), CATALOG).plan


def tables(node: pl.Plan) -> list[str]:
    """The tables that are scanned, in the order of the plan."""
    if isinstance(node, (pl.SeqScan, pl.IndexScan, pl.BitmapHeapScan)):
        return [node.relation.name]
    children = getattr(node, "children", ()) or [
        getattr(node, name) for name in ("child", "outer", "inner") if getattr(node, name, None) is not None
    ]
    return [name for child in children for name in tables(child)]


def test_named_table_first_then_descendants_level_by_level() -> None:
    found = planned("select b, a from top")
    assert type(found) is pl.Append
    assert tables(found) == ["top", "low", "high", "leaf"]
    columns = {child.relation.name: child.columns for child in found.children if isinstance(child, pl.SeqScan)}
    # The children's columns are in other places.
    assert columns == {"top": (2, 1), "low": (1, 2), "high": (2, 3), "leaf": (3, 1)}


def test_only_is_the_table_alone() -> None:
    assert tables(planned("select a from only top")) == ["top"]
    assert tables(planned("select a from leaf")) == ["leaf"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a = 7", ["top", "low"]),
        ("a = 700", ["top", "high", "leaf"]),
        ("a in (1, 2, 3)", ["top", "low"]),
        ("a = 5 or a = 6", ["top", "low"]),
        ("a between 20 and 30", ["top", "low"]),
        ("a > 99", ["top", "low", "high", "leaf"]),
        ("a >= 100", ["top", "high", "leaf"]),
        ("not (a < 100)", ["top", "high", "leaf"]),
        ("a is null", ["top", "low", "high", "leaf"]),
    ],
)
def test_constraints_exclude_tables(condition: str, expected: list[str]) -> None:
    assert tables(planned(f"select b from top where {condition}")) == expected


def test_condition_becomes_each_members_index_key() -> None:
    found = planned("select b from top where a = 700")
    assert isinstance(found, pl.Append)
    assert [type(child).__name__ for child in found.children] == ["SeqScan", "IndexScan", "IndexScan"]


def test_order_is_merged_from_indexes() -> None:
    found = planned("select a, b from top order by a limit 3")
    assert isinstance(found, pl.Limit)
    merged = found.child
    assert isinstance(merged, pl.MergeAppend)
    assert [type(child).__name__ for child in merged.children] == ["Sort", "IndexScan", "IndexScan", "IndexScan"]


def test_nested_loop_asks_members_by_index() -> None:
    found = planned("select t.b from pgbench_branches g join top t on t.a = g.bid")
    assert isinstance(found, pl.NestLoop)
    assert isinstance(found.inner, pl.Append)
    assert [type(child).__name__ for child in found.inner.children] == [
        "SeqScan", "IndexScan", "IndexScan", "IndexScan",
    ]  # fmt: skip


def test_change_of_one_table_is_a_plain_one() -> None:
    catalog = FakeCatalog(tuple(dataclasses.replace(each, checks=(("c", "a > 5"),)) if each.name == "top" else each
                                for each in _family()))  # fmt: skip
    sql = "update top set b = 'x' where a = 3"
    found = plan(analyze(parse(sql)[0].node, catalog, [], sql), catalog).plan
    assert type(found) is pl.Update
    assert found.relation.name == "low"
    assert found.named is not None
    assert found.named[0].name == "top"
    assert [attno for attno, _ in found.assignments] == [1]


def test_change_of_several_tables_says_what_is_stored_by_table() -> None:
    found = planned("update top set b = 'x' where a = 700")
    assert isinstance(found, pl.FamilyUpdate)
    assert [each.relation.name for each in found.tables] == ["top", "high", "leaf"]
    assert [each.assignments[0][0] for each in found.tables] == [2, 2, 3]
    assert {relation.name for relation in pl.changed_tables(found)} == {"top", "high", "leaf"}
    assert set(found.address.tables) == {18000, 18020, 18030}


def test_rolled_back_inherit_leaves_nothing() -> None:
    def body() -> None:
        engine = Engine()
        one, other = engine.session(), engine.session()
        one.run("create table p (a int)")
        one.run("create table c (a int)")
        one.run("insert into c values (1)")
        before = engine.catalog.shared().relation(engine.catalog.shared().relation_oid(2200, "p") or 0)
        one.begin()
        one.run("alter table c inherit p")
        assert one.run("select a from p") == [(1,)]
        assert other.run("select a from p") == []
        one.rollback()
        assert one.run("select a from p") == []
        after = engine.catalog.shared().relation(engine.catalog.shared().relation_oid(2200, "p") or 0)
        assert after is before
        assert after is not None
        assert after.children == ()
        assert one.run("select inhparent from pg_inherits") == []
        assert one.run("select attinhcount, attislocal from pg_attribute where attname = 'a' and attinhcount > 0") == []
        # The child may go where it likes.
        one.run("drop table p")
        assert one.run("select a from c") == [(1,)]

    in_greenlet(body)


def test_grandchild_is_seen_by_what_was_planned_before() -> None:
    def body() -> None:
        engine = Engine()
        one, other = engine.session(), engine.session()
        one.run("create table p (a int)")
        one.run("create table c () inherits (p)")
        assert one.run("select a from p") == []
        other.run("create table g () inherits (c)")
        other.run("insert into g values (3)")
        assert one.run("select a from p") == [(3,)]
        other.run("drop table g")
        assert one.run("select a from p") == []
        with pytest.raises(SqlError, match="other objects depend on it"):
            one.run("drop table p")

    in_greenlet(body)
