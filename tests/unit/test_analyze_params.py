"""Parameters, lifted literals and what they do to types, keys and errors."""

from __future__ import annotations

import pytest

from aurora.errors import SqlError
from compute_node.sql.analyze import analyze
from compute_node.sql.expressions import Call, Const, Param
from compute_node.sql.parse import parse
from compute_node.sql.query import Query
from compute_node.types import oids
from tests.unit.support_sql import FakeCatalog, lifted_literals

CATALOG = FakeCatalog()


def analyzed(sql: str, types: list[int] | None = None, lift: bool = False) -> Query:
    statement = parse(sql)[0]
    lifted = {where: slot for where, (slot, _) in lifted_literals(statement.node).items()} if lift else None
    return analyze(statement.node, CATALOG, types if types is not None else [], sql, lifted)


@pytest.mark.parametrize(
    ("sql", "types"),
    [
        ("select * from t where id = $1", [oids.INT4]),
        ("select * from t where b = $1 and c > $2", [oids.TEXT, oids.NUMERIC]),
        ("select $1", [oids.TEXT]),
        ("select $1::int, $2 + 1", [oids.INT4, oids.INT4]),
        ("insert into t(id, d) values ($1, $2)", [oids.INT4, oids.TIMESTAMPTZ]),
        ("update pgbench_accounts set abalance = abalance + $1 where aid = $2", [oids.INT4, oids.INT4]),
        ("select * from t where a = any($1)", [1007]),
        ("select * from t limit $1", [oids.INT8]),
        ("select case when $1 then 1 else $2 end", [oids.BOOL, oids.INT4]),
    ],
)
def test_types_of_unknown_parameters(sql: str, types: list[int]) -> None:
    assert analyzed(sql).param_types == types


@pytest.mark.parametrize(
    ("sql", "state", "message"),
    [
        ("select $1 is null", "42P18", "could not determine data type of parameter $1"),
        ("select $2::int", "42P18", "could not determine data type of parameter $1"),
        ("select $1::int, $1::text || 'a', $1 = 'x'::text", "42883", "operator does not exist: integer = text"),
    ],
)
def test_parameter_errors(sql: str, state: str, message: str) -> None:
    with pytest.raises(SqlError) as caught:
        analyzed(sql)
    assert (caught.value.sqlstate, caught.value.message) == (state, message)


def test_literals_become_parameters_of_their_resolved_types() -> None:
    query = analyzed("update t set a = a + -5, b = 'x' where id = 7", lift=True)
    assert query.param_types == [oids.INT4, oids.TEXT, oids.INT4]
    assert query.kept_literals == set()
    assert query.assignments[1][1] == Param(type=oids.TEXT, number=2)
    assert isinstance(query.where, Call)
    assert query.where.arguments[1] == Param(type=oids.INT4, number=3)


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("select a from t order by 1", 1),
        ("select a + 1 from t group by a + 1", 2),
        ("select 'x'::varchar(3) from t", 1),
        ("select distinct a + 1 from t where id = 3", 1),
        ("select a from t where id in (1, 2, 3) limit 4", 0),
        ("select count(*) from t where id = -2147483648", 1),
    ],
)
def test_literals_that_stay_in_the_key(sql: str, kept: int) -> None:
    assert len(analyzed(sql, lift=True).kept_literals) == kept


def test_kept_literals_are_byte_offsets() -> None:
    sql = "select 'é' from t order by 1"
    statement = parse(sql)[0]
    place = sql.encode().rindex(b"1")
    query = analyze(statement.node, CATALOG, [], sql, {place: 1, 7: 2})
    assert place in query.kept_literals


def test_error_positions_are_characters() -> None:
    sql = "select 'éé', nosuch from t"
    with pytest.raises(SqlError) as caught:
        analyzed(sql)
    assert caught.value.position == sql.index("nosuch") + 1
    with pytest.raises(SqlError) as caught:
        parse("select 'é', from t")
    assert (caught.value.message, caught.value.position) == ('syntax error at or near "from"', 13)


def test_constants_keep_their_type() -> None:
    query = analyzed("select 1, 3000000000, 1.5, 'a', true, null")
    kinds = [target.expression.type for target in query.targets]
    assert kinds == [oids.INT4, oids.INT8, oids.NUMERIC, oids.TEXT, oids.BOOL, oids.TEXT]
    assert all(isinstance(target.expression, Const) for target in query.targets)
