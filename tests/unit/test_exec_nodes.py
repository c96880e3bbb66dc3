"""Executor nodes over hand-built plans and in-memory tables."""

from __future__ import annotations

from typing import Any

import pytest

from aurora.errors import CheckViolation, InvalidRowCountInLimit, NotNullViolation, QueryCanceled
from compute_node.exec import build
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.registry import REGISTRY
from tests.unit.support_exec import FakeCatalog, FakeStorage, context, relation

INT4, INT8, TEXT, BOOL = 23, 20, 25, 16
Row = tuple[Any, ...]


def col(index: int, type_: int = INT4, side: int = 0) -> ex.Column:
    return ex.Column(type=type_, index=index, side=side)


def const(value: Any, type_: int = INT4) -> ex.Const:
    return ex.Const(type=type_, value=value)


def op(name: str, left: ex.Expr, right: ex.Expr) -> ex.Call:
    operator = REGISTRY.operators_by_signature[(name, left.type, right.type)]
    return ex.Call(type=operator.result, function=operator.function, arguments=(left, right), operator=operator.oid)


def agg(name: str, *arguments: ex.Expr, **extra: Any) -> ex.AggregateCall:
    types = tuple(argument.type for argument in arguments)
    for function in REGISTRY.functions_by_name[name]:
        if function.arguments == types or (function.arguments == (2276,) and len(types) == 1):
            return ex.AggregateCall(
                type=function.result, function=function.oid, arguments=arguments, star=not arguments, **extra
            )
    raise LookupError(name)


def planned(plan: pl.Plan, command: str = "select", **extra: Any) -> pl.PlannedStmt:
    output: Any = getattr(plan, "returning", ()) if command != "select" else plan.output
    columns = tuple(pl.ResultColumn(f"c{n}", item.type) for n, item in enumerate(output)) or None
    return pl.PlannedStmt(command=command, plan=plan, columns=columns, **extra)


class Fixture:
    """Table t(a int not null, b int, c text), keys a and (b, c)."""

    def __init__(self) -> None:
        self.storage = FakeStorage()
        self.t = relation("t", [("a", INT4), ("b", INT4), ("c", TEXT)], 20000, ("a",), (("a",), ("b", "c")))
        self.u = relation("u", [("a", INT4), ("d", TEXT)], 21000)
        self.storage.table(self.t).load([(n, n % 3 if n % 4 else None, f"t{n}") for n in range(1, 11)])
        self.storage.table(self.u).load([(2, "two"), (3, "three"), (3, "drei"), (None, "none"), (99, "far")])

    def scan(self, **extra: Any) -> pl.SeqScan:
        extra.setdefault("columns", (1, 2, 3))
        extra.setdefault("output", (col(0), col(1), col(2, TEXT)))
        return pl.SeqScan(relation=self.t, **extra)

    def scan_u(self, **extra: Any) -> pl.SeqScan:
        return pl.SeqScan(relation=self.u, columns=(1, 2), output=(col(0), col(1, TEXT)), **extra)

    def by_key(self, key: ex.Expr, **extra: Any) -> pl.IndexScan:
        extra.setdefault("columns", (1, 2, 3))
        extra.setdefault("output", (col(0), col(1), col(2, TEXT)))
        return pl.IndexScan(
            relation=self.t, index=self.t.indexes[0], keys=(pl.IndexKey(0, 3, key),), unique=True, point=True,
            conditions=(op("=", col(0), key),), **extra,
        )  # fmt: skip

    def query(self, plan: pl.Plan, params: Row = (), **extra: Any) -> list[Row]:
        executable = build(planned(plan, **extra), FakeCatalog())
        ctx = context(self.storage, params)
        first = executable.fetch_all(ctx, params)
        again = [row for batch in executable.rows(context(self.storage, params), params) for row in batch]
        assert first == again, "an executable runs again to the same result"
        return first

    def run(self, plan: pl.Plan, command: str, params: Row = ()) -> int:
        executable = build(planned(plan, command), FakeCatalog())
        return executable.run(context(self.storage, params), params)

    def rows(self) -> list[Row]:
        return sorted(self.storage.table(self.t).rows())


@pytest.fixture
def fx() -> Fixture:
    return Fixture()


def param(number: int, type_: int = INT4) -> ex.Param:
    return ex.Param(type=type_, number=number)


def test_scan_filters_and_projects(fx: Fixture) -> None:
    plan = fx.scan(filter=op(">", col(1), const(0)), output=(op("+", col(0), col(1)), col(2, TEXT)))
    expected = [(n + n % 3, f"t{n}") for n in range(1, 11) if n % 4 and n % 3 > 0]
    assert fx.query(plan) == expected


@pytest.mark.parametrize(("key", "found"), [(3, [(3, 0, "t3")]), (77, []), (None, [])])
def test_point_select(fx: Fixture, key: int | None, found: list[Row]) -> None:
    executable = build(planned(fx.by_key(param(1))), FakeCatalog())
    assert executable.is_point
    assert executable.fetch_all(context(fx.storage), (key,)) == found
    wide = build(planned(fx.by_key(param(1, INT8))), FakeCatalog())
    assert wide.fetch_all(context(fx.storage), (2**40,)) == []


def test_point_select_with_filter_and_expression(fx: Fixture) -> None:
    plan = fx.by_key(param(1), filter=op("=", col(1), param(2)), output=(op("+", col(0), const(1)),))
    assert fx.query(plan, (5, 2)) == [(6,)]
    assert fx.query(plan, (5, 1)) == []


def test_index_range_and_array(fx: Fixture) -> None:
    plan = pl.IndexScan(
        relation=fx.t, index=fx.t.indexes[0], columns=(1,), output=(col(0),),
        keys=(pl.IndexKey(0, 4, const(3)), pl.IndexKey(0, 1, const(6))), backward=True,
    )  # fmt: skip
    assert fx.query(plan) == [(5,), (4,), (3,)]
    array = ex.ArrayExpr(type=1007, element_type=INT4, elements=(const(9), const(None), const(2), const(2)))
    plan = pl.IndexScan(
        relation=fx.t,
        index=fx.t.indexes[0],
        columns=(1,),
        output=(col(0),),
        keys=(pl.IndexKey(0, 3, array, array=True),),
        point=True,
    )
    assert fx.query(plan) == [(2,), (9,)]


def join(fx: Fixture, kind: str, **extra: Any) -> pl.HashJoin:
    extra.setdefault("output", (col(0), col(1, TEXT, side=1)))
    return pl.HashJoin(
        kind=kind, outer=fx.scan(), inner=fx.scan_u(), outer_keys=(col(0),), inner_keys=(col(0),), **extra
    )


def test_hash_joins(fx: Fixture) -> None:
    inner = [(2, "two"), (3, "three"), (3, "drei")]
    assert fx.query(join(fx, "inner")) == inner
    left = fx.query(join(fx, "left"))
    assert left == [row for n in range(1, 11) for row in ([r for r in inner if r[0] == n] or [(n, None)])]
    assert fx.query(join(fx, "right")) == [*inner, (None, "none"), (None, "far")]
    assert fx.query(join(fx, "full")) == [*left, (None, "none"), (None, "far")]
    only = {"output": (col(0),)}
    assert fx.query(join(fx, "semi", **only)) == [(2,), (3,)]
    assert fx.query(join(fx, "anti", **only)) == [(n,) for n in range(1, 11) if n not in (2, 3)]
    assert fx.query(join(fx, "anti", null_aware=True, **only)) == []
    condition = op("=", col(1, TEXT, side=1), const("drei", TEXT))
    assert fx.query(join(fx, "inner", condition=condition)) == [(3, "drei")]
    assert fx.query(join(fx, "semi", condition=condition, **only)) == [(3,)]


@pytest.mark.parametrize("kind", ["inner", "left", "semi", "anti"])
def test_nested_loop_agrees_with_hash_join(fx: Fixture, kind: str) -> None:
    output = (col(0), col(1, TEXT, side=1)) if kind in ("inner", "left") else (col(0),)
    hashed = fx.query(join(fx, kind, output=output))
    condition = op("=", col(0), col(0, side=1))
    plain = pl.NestLoop(kind=kind, outer=fx.scan(), inner=fx.scan_u(), condition=condition, output=output)
    assert fx.query(plain) == hashed


def test_nested_loop_with_parameterised_inner(fx: Fixture) -> None:
    inner = fx.by_key(ex.ExecParam(type=INT4, number=0))
    plan = pl.NestLoop(
        kind="left", outer=fx.scan_u(), inner=inner, parameters=((0, col(0)),),
        output=(col(1, TEXT), col(2, TEXT, side=1)),
    )  # fmt: skip
    expected = [("two", "t2"), ("three", "t3"), ("drei", "t3"), ("none", None), ("far", None)]
    assert fx.query(plan, exec_params=1) == expected


def test_sort_orders(fx: Fixture) -> None:
    keys = (ex.SortKey(col(1), INT4, descending=True, nulls_first=True), ex.SortKey(col(0), INT4))
    plan = pl.Sort(child=fx.scan(), keys=keys, output=(col(1), col(0)))
    rows = fx.query(plan)
    assert rows[:2] == [(None, 4), (None, 8)]
    assert rows[2:] == sorted(rows[2:], key=lambda r: (-r[0], r[1]))
    last = pl.Sort(child=fx.scan(), keys=(ex.SortKey(col(1), INT4),), output=(col(1),), limit=const(9, INT8))
    assert fx.query(last) == [(0,)] * 3 + [(1,)] * 3 + [(2,)] * 2 + [(None,)]


def test_limit_offset_and_ties(fx: Fixture) -> None:
    def limit(**extra: Any) -> pl.Limit:
        return pl.Limit(child=fx.scan(output=(col(0),), columns=(1,)), output=(col(0),), **extra)

    assert fx.query(limit(limit=const(2), offset=const(4))) == [(5,), (6,)]
    assert fx.query(limit(limit=const(None), offset=const(8))) == [(9,), (10,)]
    assert fx.query(limit(limit=const(0))) == []
    with pytest.raises(InvalidRowCountInLimit):
        fx.query(limit(limit=const(-1)))
    child = pl.Sort(child=fx.scan(columns=(2,), output=(col(0),)), keys=(ex.SortKey(col(0), INT4),), output=(col(0),))
    ties = pl.Limit(child=child, limit=const(4), output=(col(0),), with_ties=(ex.SortKey(col(0), INT4),))
    assert fx.query(ties) == [(0,)] * 3 + [(1,)] * 3


def test_aggregates(fx: Fixture) -> None:
    calls = (agg("count"), agg("count", col(1)), agg("sum", col(0)), agg("max", col(2, TEXT)))
    plain = pl.AggregatePlan(
        child=fx.scan(), aggregates=calls, plain=True, output=tuple(col(n, call.type) for n, call in enumerate(calls))
    )
    assert fx.query(plain) == [(10, 8, 55, "t9")]
    empty = pl.AggregatePlan(
        child=fx.scan(filter=const(False, BOOL)), aggregates=calls, plain=True,
        output=tuple(col(n, call.type) for n, call in enumerate(calls)),
    )  # fmt: skip
    assert fx.query(empty) == [(0, 0, None, None)]
    grouped = pl.AggregatePlan(
        child=fx.scan(), keys=(col(1),), aggregates=calls[:3], having=op(">", col(1, INT8), const(1, INT8)),
        output=(col(0), col(1, INT8), col(3, INT8)),
    )  # fmt: skip
    expected: dict[Any, list[int]] = {}
    for a, b, _ in fx.storage.table(fx.t).rows():
        expected.setdefault(b, []).append(a)
    assert fx.query(grouped) == [(b, len(v), sum(v)) for b, v in expected.items()]


def test_aggregate_distinct_filter_and_order(fx: Fixture) -> None:
    calls = (
        agg("count", col(1), distinct=True),
        agg("sum", col(0), filter=op("=", col(1), const(2))),
    )
    plan = pl.AggregatePlan(child=fx.scan(), aggregates=calls, plain=True, output=(col(0, INT8), col(1, INT8)))
    assert fx.query(plan) == [(3, 2 + 5)]


def test_distinct_and_set_operations(fx: Fixture) -> None:
    b = fx.scan(columns=(2,), output=(col(0),))
    assert set(fx.query(pl.Unique(child=b, count=1, output=(col(0),)))) == {(1,), (2,), (0,), (None,)}
    u = pl.SeqScan(relation=fx.u, columns=(1,), output=(col(0),))

    def combined(kind: str, all_: bool) -> list[Row]:
        return fx.query(pl.SetOp(kind=kind, all=all_, left=b, right=u, output=(col(0),)))

    assert combined("intersect", False) == [(2,), (None,)]
    assert combined("intersect", True) == [(2,), (None,)]
    assert combined("except", False) == [(1,), (0,)]
    assert len(combined("except", True)) == 8
    assert len(combined("union", True)) == 15
    assert len(combined("union", False)) == 6


def test_insert_checks_constraints(fx: Fixture) -> None:
    def insert(*values: ex.Expr, **extra: Any) -> pl.Insert:
        return pl.Insert(relation=fx.t, child=pl.Result(output=values), **extra)

    assert fx.run(insert(param(1), const(7), const("x", TEXT)), "insert", (11,)) == 1
    assert fx.rows()[-1] == (11, 7, "x")
    with pytest.raises(NotNullViolation) as missing:
        fx.run(insert(param(1), const(7), const("y" * 80, TEXT)), "insert", (None,))
    assert missing.value.message == 'null value in column "a" of relation "t" violates not-null constraint'
    assert missing.value.detail == f"Failing row contains (null, 7, {'y' * 64}...)."
    check = (("t_b_check", op("<", col(1), const(5))),)
    with pytest.raises(CheckViolation) as failed:
        fx.run(insert(const(12), const(7), const(None, TEXT), checks=check), "insert")
    assert failed.value.message == 'new row for relation "t" violates check constraint "t_b_check"'
    assert failed.value.detail == "Failing row contains (12, 7, null)."
    assert fx.run(insert(const(12), const(None), const(None, TEXT), checks=check), "insert") == 1


def test_insert_select_returning_reads_itself_once(fx: Fixture) -> None:
    child = fx.scan(output=(op("+", col(0), const(100)), const(None), col(2, TEXT)))
    plan = pl.Insert(relation=fx.t, child=child, returning=(col(0),))
    executable = build(planned(plan, "insert"), FakeCatalog())
    rows = [row for batch in executable.rows(context(fx.storage), ()) for row in batch]
    assert rows == [(100 + n,) for n in range(1, 11)]
    assert len(fx.rows()) == 20


def test_on_conflict(fx: Fixture) -> None:
    def insert(**extra: Any) -> pl.Insert:
        values = ((const(3), const(50), const("new", TEXT)), (const(30), const(51), const("new", TEXT)))
        return pl.Insert(relation=fx.t, child=pl.ValuesScan(values=values), arbiters=(fx.t.indexes[0].oid,), **extra)

    update = {
        "conflict": "update",
        "conflict_assignments": ((2, op("+", col(1), col(1, side=1))),),
        "returning": (col(0), col(1), col(2, TEXT)),
    }
    executable = build(planned(insert(**update), "insert"), FakeCatalog())
    assert executable.fetch_all(context(fx.storage), ()) == [(3, 50, "t3"), (30, 51, "new")]
    assert fx.run(insert(conflict="nothing"), "insert") == 0


def update_plan(fx: Fixture, child: pl.Plan, recheck: ex.Expr | None, **extra: Any) -> pl.Update:
    return pl.Update(
        relation=fx.t, child=child, recheck=recheck, assignments=((2, op("+", col(1), param(1))),), **extra
    )


def test_point_update(fx: Fixture) -> None:
    recheck = op("=", col(0), param(2))
    executable = build(planned(update_plan(fx, fx.by_key(param(2)), recheck), "update"), FakeCatalog())
    assert executable.is_point
    assert executable.run(context(fx.storage), (40, 5)) == 1
    assert executable.run(context(fx.storage), (40, 500)) == 0
    assert executable.run(context(fx.storage), (40, None)) == 0
    assert (5, 42, "t5") in fx.rows()


def test_point_update_rechecks_the_row_that_changed(fx: Fixture) -> None:
    recheck = ex.And(type=BOOL, arguments=(op("=", col(0), param(2)), op("<", col(1), const(10))))
    executable = build(planned(update_plan(fx, fx.by_key(param(2)), recheck), "update"), FakeCatalog())
    table = fx.storage.table(fx.t)
    tid = next(version.tid for version in table.versions if version.row[0] == 5)
    table.before_update = lambda: table.update_columns(None, 0, tid, (2,), lambda r: (20,), ())
    assert executable.run(context(fx.storage), (1, 5)) == 0
    table.before_update = lambda: table.update_columns(None, 0, table.versions[-1].tid, (2,), lambda r: (7,), ())
    assert executable.run(context(fx.storage), (1, 5)) == 1
    assert (5, 8, "t5") in fx.rows()


def test_update_by_scan_with_returning_and_checks(fx: Fixture) -> None:
    where = op("=", col(1), const(2))
    plan = update_plan(fx, fx.scan(filter=where), where, returning=(col(0), col(1)))
    executable = build(planned(plan, "update"), FakeCatalog())
    rows = [row for batch in executable.rows(context(fx.storage), (10,)) for row in batch]
    assert rows == [(n, 12) for n in (2, 5)]
    assert fx.run(update_plan(fx, fx.scan(), None), "update", (1,)) == 10
    check = (("b_check", op("<", col(1), const(5))),)
    with pytest.raises(CheckViolation) as failed:
        fx.run(update_plan(fx, fx.by_key(const(2)), op("=", col(0), const(2)), checks=check), "update", (100,))
    assert failed.value.detail == "Failing row contains (2, 113, t2)."
    null = pl.Update(
        relation=fx.t, child=fx.by_key(const(2)), recheck=op("=", col(0), const(2)), assignments=((1, param(1)),)
    )
    with pytest.raises(NotNullViolation) as missing:
        fx.run(null, "update", (None,))
    assert missing.value.detail == "Failing row contains (null, 13, t2)."


def test_update_from_join(fx: Fixture) -> None:
    tid = col(3, 27)
    target = fx.scan(want_tid=True, output=(col(0), col(1), col(2, TEXT), tid))
    child = pl.HashJoin(
        kind="inner", outer=target, inner=fx.scan_u(), outer_keys=(col(0),), inner_keys=(col(0),),
        output=(col(0), col(1), col(2, TEXT), col(1, TEXT, side=1), tid),
    )  # fmt: skip
    plan = pl.Update(
        relation=fx.t, child=child, tid_column=4, assignments=((3, col(3, TEXT)),), returning=(col(0), col(2, TEXT))
    )
    executable = build(planned(plan, "update"), FakeCatalog())
    assert executable.fetch_all(context(fx.storage), ()) == [(2, "two"), (3, "three")]


def test_delete(fx: Fixture) -> None:
    point = pl.Delete(relation=fx.t, child=fx.by_key(param(1)), recheck=op("=", col(0), param(1)))
    assert fx.run(point, "delete", (4,)) == 1
    assert fx.run(point, "delete", (4,)) == 0
    where = op(">", col(0), const(8))
    plan = pl.Delete(relation=fx.t, child=fx.scan(filter=where), recheck=where, returning=(col(0),))
    executable = build(planned(plan, "delete"), FakeCatalog())
    assert executable.fetch_all(context(fx.storage), ()) == [(9,), (10,)]
    assert len(fx.rows()) == 7


def test_lock_rows_follows_the_changed_row(fx: Fixture) -> None:
    scan = fx.scan(filter=op("=", col(1), const(2)), want_tid=True, output=(col(0), col(1), col(3, 27)))
    held = pl.HeldRow(
        source=0,
        relation=fx.t,
        columns=(1, 2, -1),
        filter=op("=", col(1), const(2)),
        output=(col(0), col(1), col(2, 27)),
    )
    plan = pl.LockRows(
        child=scan,
        locks=(pl.RowLock(pl.RowAddress(2, {fx.t.oid: (0, fx.t)}), "update", "block"),),
        recheck=pl.Recheck(plan=held, tids=(pl.RowAddress(2, {fx.t.oid: (0, fx.t)}),)),
        output=(col(0), col(1)),
    )
    executable = build(planned(plan), FakeCatalog())
    table = fx.storage.table(fx.t)
    tid = next(version.tid for version in table.versions if version.row[0] == 2)
    table.before_update = lambda: table.update_columns(None, 0, tid, (2,), lambda r: (3,), ())
    assert executable.fetch_all(context(fx.storage), ()) == [(5, 2)]
    tid = next(version.tid for version in table.versions if version.row[0] == 5)
    table.before_update = lambda: table.update_columns(None, 0, tid, (1,), lambda r: (55,), ())
    assert executable.fetch_all(context(fx.storage), ()) == [(55, 2)]


def test_subplans(fx: Fixture) -> None:
    u = pl.SeqScan(relation=fx.u, columns=(1,), output=(col(0),))
    in_u = ex.SubPlan(
        type=BOOL, kind="ANY", plan=0, hashed=True, test=op("=", col(0), ex.SubColumn(type=INT4, index=0))
    )
    assert fx.query(fx.scan(filter=in_u, output=(col(0),)), subplans=[u]) == [(2,), (3,)]
    assert fx.query(fx.scan(filter=ex.Not(type=BOOL, argument=in_u), output=(col(0),)), subplans=[u]) == []
    slow = ex.SubPlan(type=BOOL, kind="ANY", plan=0, test=op("<", ex.SubColumn(type=INT4, index=0), col(0)))
    assert fx.query(fx.scan(filter=slow, output=(col(0),)), subplans=[u]) == [(n,) for n in range(3, 11)]
    correlated = pl.SeqScan(
        relation=fx.u, columns=(1,), output=(col(0),), filter=op("=", col(0), ex.ExecParam(type=INT4, number=0))
    )
    exists = ex.SubPlan(type=BOOL, kind="EXISTS", plan=0, parameters=((0, col(0)),))
    assert fx.query(fx.scan(filter=exists, output=(col(0),)), subplans=[correlated], exec_params=1) == [(2,), (3,)]
    array = ex.SubPlan(type=1007, kind="ARRAY", plan=0)
    assert fx.query(pl.Result(output=(array,)), subplans=[u]) == [([2, 3, 3, None, 99],)]


def test_recursive_cte_is_lazy(fx: Fixture) -> None:
    recursive = pl.RecursiveUnion(
        cte=0, initial=pl.Result(output=(const(1),)), output=(col(0),),
        recursive=pl.CteScan(cte=0, working=True, output=(op("+", col(0), const(1)),)),
    )  # fmt: skip
    plan = pl.Limit(child=pl.CteScan(cte=0, output=(col(0),)), limit=const(5), output=(col(0),))
    assert fx.query(plan, ctes=[recursive]) == [(n,) for n in range(1, 6)]


def test_cancel(fx: Fixture) -> None:
    executable = build(planned(fx.scan()), FakeCatalog())
    ctx = context(fx.storage)
    ctx.session.interrupt = QueryCanceled("canceling statement due to user request")
    with pytest.raises(QueryCanceled):
        executable.fetch_all(ctx, ())
