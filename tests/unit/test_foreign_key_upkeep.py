"""ADD FOREIGN KEY over rows that are there: its query has ``maintenance_work_mem``, whatever ``work_mem`` is."""

from __future__ import annotations

import psycopg
import pytest
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from compute_node.wire.server import Server

ROWS = 20_000


def test_the_rows_are_checked_with_the_memory_of_upkeep() -> None:
    async def body(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table a (id int primary key)")
        await db.execute("insert into a select generate_series(1, %s)", [ROWS])
        await db.execute("create table b (id int)")
        await db.execute("insert into b select id from a")
        await db.execute("set work_mem = '64kB'")

        async def files() -> int:
            text = "select temp_files from pg_stat_database where datname = current_database()"
            (found,) = await (await db.execute(text)).fetchall()
            return int(found[0])

        before = await files()
        await db.execute("select count(*) from b join a using (id)")
        used = await files()
        assert used > before, "the join of the check would not need files"
        await db.execute("alter table b add constraint k foreign key (id) references a")
        assert await files() == used
        await db.execute("alter table b drop constraint k")
        await db.execute("insert into b values (0)")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            await db.execute("alter table b add constraint k foreign key (id) references a")
        assert await (await db.execute("show work_mem")).fetchone() == ("64kB",)
        assert await (await db.execute("show hash_mem_multiplier")).fetchone() == ("2",)
        await db.close()

    serve_engine(body)
