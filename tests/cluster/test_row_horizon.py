"""Cursors and portals with rows left hold the row horizon until they have given their last row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest

import aurora

pytestmark = pytest.mark.cluster

ROWS = 3000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with aurora.cluster() as running:
        yield running


@pytest.fixture
def table(cluster: Any) -> Iterator[str]:
    with psycopg.connect(cluster.dsn, autocommit=True) as one:
        one.execute("create table held (id int primary key, v int)")
        one.execute(f"insert into held select i, 0 from generate_series(1, {ROWS}) i")
        yield "held"
        one.execute("drop table held")


def change(cluster: Any) -> None:
    """What the reader's snapshot does not see."""
    with psycopg.connect(cluster.dsn, autocommit=True) as other:
        other.execute("update held set v = 1")


def prune_by_updates(cluster: Any) -> None:
    with psycopg.connect(cluster.dsn, autocommit=True) as other:
        for number in range(2, 6):
            other.execute("update held set v = %s", (number,))


def prune_by_vacuum(cluster: Any) -> None:
    with psycopg.connect(cluster.dsn, autocommit=True) as other:
        other.execute("vacuum held")


PRUNERS = [prune_by_updates, prune_by_vacuum]


@pytest.mark.parametrize("prune", PRUNERS)
def test_a_cursor_gives_all_rows_of_its_snapshot(cluster: Any, table: str, prune: Callable[[Any], None]) -> None:
    with psycopg.connect(cluster.dsn) as one:
        one.execute("declare c cursor for select id, v from held")
        assert len(one.execute("fetch 10 from c").fetchall()) == 10
        change(cluster)
        # Another statement of the transaction has a newer snapshot; the cursor keeps its own.
        assert one.execute("select min(v) from held").fetchone() == (1,)
        prune(cluster)
        assert one.execute("fetch all from c").fetchall() == [(number, 0) for number in range(11, ROWS + 1)]


@pytest.mark.parametrize("prune", PRUNERS)
def test_a_cursor_with_hold_gives_all_rows(cluster: Any, table: str, prune: Callable[[Any], None]) -> None:
    with psycopg.connect(cluster.dsn) as one:
        one.execute("declare c cursor with hold for select id, v from held")
        change(cluster)
        one.execute("select 1 from held limit 1")
        prune(cluster)
        one.commit()
        assert one.execute("fetch all from c").fetchall() == [(number, 0) for number in range(1, ROWS + 1)]


@pytest.mark.parametrize("prune", PRUNERS)
def test_a_portal_with_rows_left_gives_all_of_them(cluster: Any, table: str, prune: Callable[[Any], None]) -> None:
    async def fetch() -> list[Any]:
        host, port = cluster.address
        one = await asyncpg.connect(host=host, port=port, user="postgres", database="postgres")
        try:
            async with one.transaction():
                cursor = await one.cursor("select id, v from held")
                rows = await cursor.fetch(10)
                await asyncio.to_thread(change, cluster)
                await one.fetch("select min(v) from held")
                await asyncio.to_thread(prune, cluster)
                return rows + await cursor.fetch(ROWS)
        finally:
            await one.close()

    assert [tuple(row) for row in asyncio.run(fetch())] == [(number, 0) for number in range(1, ROWS + 1)]


def test_the_horizon_goes_on_when_a_cursor_has_given_its_last_row_or_is_closed(cluster: Any, table: str) -> None:
    with psycopg.connect(cluster.dsn) as one:
        holds = cluster._compute.engine.txns.holds.current
        one.execute("declare a no scroll cursor for select id from held")
        one.execute("declare b cursor for select id from held")
        one.execute("declare c cursor for select id from held")
        assert len(holds) == 3
        one.execute("fetch all from a")
        assert len(holds) == 2
        one.execute("close b")
        assert len(holds) == 1
        one.rollback()
        assert not holds
