"""What a statement leaves behind goes by reference count: nothing of it waits for the garbage collector, which would
keep rows and snapshots of thousands of transactions in memory meanwhile, cold for whoever comes after."""

from __future__ import annotations

import gc

import pytest
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.catalog.answers import Answers
from compute_node.catalog.layer import CatalogLayer
from compute_node.exec.context import ExecContext
from compute_node.txn.transaction import Txn
from compute_node.wire.server import Server

STATEMENTS = [
    "select n from t where id = 3",
    "update t set n = n + 1, at = current_timestamp where id = 3",
    "insert into t values (nextval('s'), 1, now(), random())",
    "select id, to_char(at, 'YYYY'), clock_timestamp() from t order by n desc limit 3",
    "select count(*), max(a.n) from t a join t b using (id) group by a.n % 2",
    "begin; savepoint a; update t set n = 0 where id = 2; rollback to a; commit",
    "select format('%s', n) from t where id in (select id from t where at < now())",
    "insert into t values (3, 1, now(), 0) on conflict (id) do update set n = t.n + 1",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_transaction_waits_for_the_collector(statement: str) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute(
            "create table t (id int primary key, n int, at timestamptz, r float8); create sequence s start 100"
        )
        await db.execute("insert into t select i, i, now(), 0 from generate_series(1, 50) i")
        for _ in range(3):
            await db.execute(statement)
        gc.collect()
        before = [each for each in gc.get_objects() if isinstance(each, Txn | ExecContext)]
        known = {id(each) for each in before}  # held by the list, so that nobody else gets their ids
        gc.disable()
        try:
            for _ in range(5):
                await db.execute(statement)
            await db.execute("select 1")
            found = [each for each in gc.get_objects() if isinstance(each, Txn | ExecContext)]
            left = [type(each).__name__ for each in found if id(each) not in known]
        finally:
            gc.enable()
        assert len(left) < 5, left

    serve_engine(test)


def test_states_of_the_catalog_do_not_wait_for_the_collector() -> None:
    """Each keeps lists of what is known of thousands of objects; a statement of DDL makes several."""

    async def test(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table t0 (id serial primary key, n int default 3)")
        gc.collect()
        gc.disable()
        try:
            before = sum(isinstance(each, CatalogLayer | Answers) for each in gc.get_objects())
            for number in range(1, 6):
                await db.execute(f"create table t{number} (id serial primary key, n int default 3)".encode())
                await db.execute(
                    f"begin; create index on t{number} (n); alter table t{number} add k int; commit".encode()
                )
            after = sum(isinstance(each, CatalogLayer | Answers) for each in gc.get_objects())
        finally:
            gc.enable()
        assert after - before < 10, (before, after)

    serve_engine(test)
