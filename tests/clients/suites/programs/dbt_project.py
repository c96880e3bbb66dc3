"""dbt, on the project beside this file: seeds, models of every materialization, incremental runs, snapshots, tests, and
the catalog that its documentation shows. Database: libpq's variables."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg2
from dbt.cli.main import dbtRunner
from report import check

FOLDER = Path(tempfile.mkdtemp(prefix="warehouse-"))
PROFILE = {
    "warehouse": {
        "target": "one",
        "outputs": {
            "one": {
                "type": "postgres", "host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"]),
                "user": os.environ["PGUSER"], "password": os.environ.get("PGPASSWORD", "none"),
                "dbname": os.environ["PGDATABASE"], "schema": "warehouse", "threads": 4,
            }
        },
    }
}  # fmt: skip
TABLES = ("customer_totals", "order_log", "order_parts", "by_status")


def _run(*arguments: str) -> list[Any]:
    """A command of dbt: what became of each node. What it says itself goes to standard error."""
    where = ("--project-dir", str(FOLDER), "--profiles-dir", str(FOLDER))
    with contextlib.redirect_stdout(sys.stderr):
        done = dbtRunner().invoke([*arguments, *where, "--no-use-colors", "--no-partial-parse"])
    if done.exception is not None:
        raise done.exception
    results = getattr(done.result, "results", done.result)
    return sorted(
        [each.node.name, str(each.status), each.adapter_response.get("_message", ""), each.failures]
        for each in results
    )  # fmt: skip


def _query(text: str) -> list[Any]:
    connection = psycopg2.connect("")
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(text)
            return [[str(value) for value in row] for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


def _rows() -> list[Any]:
    return [_query(f"SELECT * FROM warehouse.{name} ORDER BY 1, 2") for name in TABLES]


def _change() -> list[Any]:
    _query("UPDATE warehouse.orders SET status = 'paid', amount = amount + 1 WHERE id = 11")
    return _query("INSERT INTO warehouse.orders VALUES (14, 4, 7.5, 'open', '2024-04-01 00:00:00') RETURNING id")


def _catalog() -> list[Any]:
    with contextlib.redirect_stdout(io.StringIO()):
        _generate()
    told = json.loads((FOLDER / "target" / "catalog.json").read_text())
    return sorted(
        [
            name, node["metadata"]["type"], node["metadata"]["comment"],
            [[one["name"], one["type"], one["comment"]] for one in node["columns"].values()],
        ]
        for name, node in told["nodes"].items()
    )  # fmt: skip


def _generate() -> None:
    done = dbtRunner().invoke(["docs", "generate", "--project-dir", str(FOLDER), "--profiles-dir", str(FOLDER)])
    if done.exception is not None:
        raise done.exception


shutil.copytree(Path(__file__).parent / "warehouse", FOLDER, dirs_exist_ok=True)
(FOLDER / "profiles.yml").write_text(json.dumps(PROFILE))
check("seed", lambda: _run("seed"))
check("run", lambda: _run("run"))
check("rows", _rows)
check("snapshot", lambda: _run("snapshot"))
check("test", lambda: _run("test"))
check("change", _change)
check("run again", lambda: _run("run"))
check("rows again", _rows)
check("snapshot again", lambda: _run("snapshot"))
HISTORY = "SELECT id, status, amount, dbt_valid_to IS NULL FROM warehouse.statuses ORDER BY 1, 2"
check("history", lambda: _query(HISTORY))
check("full refresh", lambda: _run("run", "--full-refresh"))
check("rows after it", _rows)
check("test again", lambda: _run("test"))
check("catalog", _catalog)
INDEXES = "SELECT tablename, count(*) FROM pg_indexes WHERE schemaname = 'warehouse' GROUP BY 1 ORDER BY 1"
check("indexes", lambda: _query(INDEXES))
shutil.rmtree(FOLDER)
