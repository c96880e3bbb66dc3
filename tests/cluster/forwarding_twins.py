"""Random statements of two sessions, run twice: by sessions on readers that forward, and by sessions on the writer,
each pair in a schema of its own. Every answer has to be the same: rows and their bytes, tags, columns, errors with all
their fields.

    python -m tests.cluster.forwarding_twins --seconds 60 --seed 1
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

import psycopg

import aurora
from aurora.programs.embedded import EmbeddedCluster

Db = psycopg.Connection[Any]

SCHEMA = """drop schema if exists {0} cascade; create schema {0}; set search_path = {0};
create table t (a int primary key, b text default 'dflt', c numeric check (c < 1000), d timestamptz, e int[]);
create table u (a int unique, b text);
create table child (a int references t on delete cascade deferrable initially deferred);
create index on t (b)"""
COLUMNS = {
    "a": ("0", "1", "2", "3", "5", "8"),
    "b": ("'t'", "null", "'é€'", "repeat('u', 3000)"),
    "c": ("1.25", "null", "-3", "1e10"),
    "d": ("'2030-01-02 03:04:05+02'", "null", "'2030-01-02'", "'bad'"),
    "e": ("'{1,2}'", "null", "array[3]"),
    "nothing": ("1",),
}
RETURNING = (
    "", "", "", " returning *", " returning a * 2 as n, b || 'x', row(a, b)", " returning (select count(*) from u)",
    " returning 1 / a", " returning d::text, c", " returning e, c",
)  # fmt: skip
LOCKS = ("update", "share", "no key update", "key share", "update nowait", "update skip locked")
SETTINGS = (
    "set timezone = 'Asia/Tokyo'", "reset timezone", "set datestyle = 'SQL, DMY'", "reset datestyle",
    "set local extra_float_digits = 0", "set bytea_output = escape", "set role none",
)  # fmt: skip
BEGINS = ("begin", "begin", "begin isolation level repeatable read", "start transaction read write", "begin read only")
ENDS = ("commit", "commit", "rollback", "commit and chain", "rollback and chain")


def _where(rng: random.Random) -> str:
    number = rng.randrange(9)
    return rng.choice(
        (
            f"a = {number}",
            f"a < {number}",
            "b is null",
            f"c > {number - 4}",
            "true",
            f"a in ({number}, 3)",
            "e @> '{1}'",
        )
    )


def _insert(rng: random.Random, column: str, value: str) -> str:
    conflict = f" on conflict (a) do update set b = excluded.b || 'c' where t.a > {rng.randrange(6)}"
    columns, values = (
        ("a", str(rng.randrange(9))) if column == "a" else (f"a, {column}", f"{rng.randrange(9)}, {value}")
    )
    how = rng.choice(("", "", " on conflict do nothing", conflict))
    return f"insert into t ({columns}) values ({values}){how}{rng.choice(RETURNING)}"


def statement(rng: random.Random) -> str:
    """The next statement of a session."""
    column = "nothing" if rng.random() < 0.03 else rng.choice("abcde")
    value, where, chance = rng.choice(COLUMNS[column]), _where(rng), rng.random()
    number = rng.randrange(9)
    if chance < 0.25:
        return _insert(rng, column, value)
    if chance < 0.45:
        return f"update t set {column} = {value} where {where}{rng.choice(RETURNING)}"
    if chance < 0.55:
        return f"delete from t where {where}{rng.choice(RETURNING)}"
    if chance < 0.75:
        return rng.choice(
            (
                f"insert into u select a, b from t where {where} on conflict do nothing",
                f"delete from u where a = {number}",
                f"update t set b = u.b, c = c + 1 from u where u.a = t.a and u.a < {number}",
                f"insert into child values ({number})",
                f"update t set a = a + 1 where {where}",
                f"with x as (select a from t where {where}) delete from u where a in (select a from x) returning *",
                f"insert into t (a) values ({number}); select 1; update u set b = '{number}' where a = {number}",
                f"select a, b from t where {where} order by a for {rng.choice(LOCKS)}",
                f"select a, b from t where {where} order by a for {rng.choice(LOCKS)}",
            )
        )
    if chance < 0.87:
        return rng.choice((f"select * from t where {where}", "select count(*), sum(c) from t", "table child"))
    if chance < 0.90:
        return rng.choice(SETTINGS)
    return rng.choice(BEGINS if chance < 0.95 else ENDS)


def answer(db: Db, sql: str, binary: bool, prepare: bool) -> tuple[object, ...]:
    """Everything that a client can tell of an answer."""
    try:
        cursor = db.cursor(binary=binary)
        cursor.execute(sql, prepare=prepare)
    except psycopg.Error as error:
        diag = error.diag
        return (
            error.sqlstate, diag.severity, diag.message_primary, diag.message_detail, diag.message_hint,
            diag.statement_position, diag.constraint_name, diag.table_name, diag.column_name,
        )  # fmt: skip
    result = cursor.pgresult
    if result is None or cursor.description is None:
        return (cursor.statusmessage,)
    columns = [(column.name, column.type_code) for column in cursor.description]
    rows = [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]
    return (cursor.statusmessage, columns, sorted(map(repr, rows)))


def run(cluster: EmbeddedCluster, seed: int, steps: int = 80) -> int:
    """Run the statements of one seed; how many there were. AssertionError at the first that differs. The cluster
    forwards."""
    rng = random.Random(seed)
    with psycopg.connect(cluster.dsn, autocommit=True) as admin:
        for schema in ("near", "far"):
            admin.execute(SCHEMA.format(schema))
        lsn = admin.execute("select aurora_last_commit_lsn()::text").fetchone()
    pairs = []
    for number in range(2):
        near = psycopg.connect(cluster.dsn, autocommit=True)
        far = psycopg.connect(cluster.readers[number % len(cluster.readers)].dsn, autocommit=True)
        far.execute("select aurora_wait_for_lsn(%s, 10000)", lsn)
        far.execute("set apg_write_forward.consistency_mode = global")
        for db, schema in ((near, "near"), (far, "far")):
            db.execute(f"set search_path = {schema}")
            db.execute("set lock_timeout = 50")
        pairs.append((near, far))
    done: list[tuple[int, str]] = []
    try:
        for _ in range(steps):
            number = rng.randrange(2)
            sql, binary, prepare = statement(rng), rng.random() < 0.3, rng.random() < 0.3
            done.append((number, sql))
            near_answer, far_answer = (
                repr(answer(db, sql, binary, prepare)).replace(f"{schema}.", "")
                for db, schema in zip(pairs[number], ("near", "far"), strict=True)
            )
            assert far_answer == near_answer, (seed, binary, prepare, near_answer, far_answer, done[-30:])
    finally:
        for db in (each for pair in pairs for each in pair):
            db.close()
    return len(done)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="compare sessions that forward with sessions on the writer")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with aurora.cluster(readers=2) as cluster:
        with psycopg.connect(cluster.dsn, autocommit=True) as admin:
            admin.execute("alter system set aurora.local_write_forwarding = on")
        seed, count, end_s = options.seed, 0, time.monotonic() + options.seconds
        while time.monotonic() < end_s:
            count += run(cluster, seed)
            seed += 1
    print(f"{count} statements were answered alike; the next seed is {seed}")


if __name__ == "__main__":
    main()
