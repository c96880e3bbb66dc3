"""pgcli: the catalog queries by which it completes names, and statements through its executor. Database: libpq's
variables."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial
from report import check

EXECUTE = PGExecute(
    os.environ["PGDATABASE"], os.environ["PGUSER"], None, os.environ["PGHOST"], os.environ["PGPORT"], None
)
SETUP = """
CREATE SCHEMA side; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS int CHECK (VALUE < 9);
CREATE TABLE people (id serial PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', m mood, s small);
CREATE TABLE side.orders (id bigint GENERATED ALWAYS AS IDENTITY, who int REFERENCES people (id));
CREATE VIEW v AS SELECT name, count(*) AS n FROM people GROUP BY name;
CREATE FUNCTION twice(a int, b int DEFAULT 2, OUT c int) LANGUAGE sql AS 'SELECT a * b';
CREATE FUNCTION several(a int) RETURNS TABLE (x int, y text) LANGUAGE sql AS 'SELECT a, ''y''';
INSERT INTO people (name, m) VALUES ('Ann', 'ok'), ('Bob', NULL)
"""


def _run(statement: str) -> list[object]:
    told: list[object] = []
    for title, rows, headers, status, _, success, _ in EXECUTE.run(statement, PGSpecial()):
        told.append([title, [[str(value) for value in row] for row in rows or ()], headers, str(status), success])
    return told


def _of_user(rows: Iterable[object]) -> list[str]:
    return sorted(row for row in map(repr, rows) if "pg_catalog" not in row and "information_schema" not in row)


check("setup", lambda: [_run(each)[0][3] for each in SETUP.strip().split(";")])
for name in (
    "schemata", "tables", "views", "table_columns", "view_columns", "foreignkeys", "functions", "datatypes",
    "search_path",
):  # fmt: skip
    check(name, lambda name=name: _of_user(getattr(EXECUTE, name)()))
check("all functions", lambda: sum(1 for row in EXECUTE.functions() if not row.func_name.startswith("aurora_")))
check("system tables", lambda: sum(1 for row in EXECUTE.tables() if row[0] == "pg_catalog"))
check("information_schema", lambda: sorted(row for row in EXECUTE.view_columns() if row[0] == "information_schema"))
for statement in (
    "SELECT * FROM people ORDER BY id", "UPDATE people SET name = name || '!'", "SELECT nothing", "SELECT 1 / 0",
    "EXPLAIN SELECT 1", "BEGIN", "ROLLBACK", r"\d people", r"\d side.orders", r"\dt", r"\dv", r"\ds", r"\di", r"\dn",
    r"\dT", r"\dD", r"\df", r"\df+ twice", r"\dp", r"\d+ v", r"\sf twice",
):  # fmt: skip
    check(statement, lambda statement=statement: _run(statement))
check("view definition", lambda: EXECUTE.view_definition("v"))
check("function definition", lambda: EXECUTE.function_definition("twice"))
