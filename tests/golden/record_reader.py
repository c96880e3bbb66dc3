"""Records what a PostgreSQL 15 hot standby answers: ``python tests/golden/record_reader.py PRIMARY_DSN STANDBY_DSN``.

``reader_statements.sql`` → ``reader_statements.json``: for each script the answers of its statements, an answer being
``[SQLSTATE or "", message or tag, detail, hint, state of the transaction, rows]``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "reader_statements.sql"
ANSWERS = HERE / "reader_statements.json"
SETUP = """
create table t (id int primary key, v text);
insert into t values (1, 'x'), (2, 'x'), (3, 'x');
create sequence s;
create view vw as select * from t;
create role plain;
grant select on t to plain;
create function wr() returns int language sql as 'insert into t values (77) returning 1';
create function nx() returns bigint language sql as $$select nextval('s')$$;
create procedure pr() language sql as 'delete from t';
"""
"""what the writer has made before"""


def scripts() -> list[list[str]]:
    """Each script's statements."""
    lines = [line for line in SCRIPTS.read_text().splitlines() if line and not line.startswith("--")]
    return [line.split(" ;; ") for line in lines]


def _answer(connection: psycopg.Connection[Any], sql: str) -> list[Any]:
    try:
        cursor = connection.execute(sql)
        rows = [[str(value) for value in row] for row in cursor.fetchall()] if cursor.description else None
        head = ["", cursor.statusmessage, None, None]
    except psycopg.Error as error:
        found = error.diag
        head, rows = [found.sqlstate, found.message_primary, found.message_detail, found.message_hint], None
    return [*head, connection.info.transaction_status.name, rows]


def main(primary: str, standby: str) -> None:
    """Record."""
    with psycopg.connect(primary, autocommit=True) as writer:
        writer.execute(SETUP)
        row = writer.execute("select pg_current_wal_lsn()").fetchone()
        assert row is not None
    recorded = []
    for statements in scripts():
        with psycopg.connect(standby, autocommit=True) as reader:
            while reader.execute("select pg_last_wal_replay_lsn() < %s::pg_lsn", row).fetchone() == (True,):
                time.sleep(0.01)
            recorded.append([[sql, *_answer(reader, sql)] for sql in statements])
    text = ",\n".join(json.dumps(script) for script in recorded)
    ANSWERS.write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
