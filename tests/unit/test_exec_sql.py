"""SQL text through analysis, planning and execution, against results recorded from PostgreSQL 15."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from aurora.errors import SqlError
from compute_node.exec import build
from compute_node.sql.analyze import analyze
from compute_node.sql.parse import parse
from compute_node.sql.planner import plan
from compute_node.types.registry import REGISTRY
from tests.unit import support_exec, support_sql

GOLDEN = Path(__file__).parent.parent / "golden"
DEPT = support_sql.table(30000, "dept", "id int4, title text", primary="id", rows=4)
EMP = support_sql.table(30010, "emp", "id int4, name text, dept int4, salary int4, boss int4", primary="id", rows=7)
DEPARTMENTS = [(10, "sales"), (20, "ops"), (30, "labs"), (40, "empty")]
EMPLOYEES = [
    (1, "anna", 10, 100, None),
    (2, "bob", 10, 200, 1),
    (3, "carl", 20, 300, 1),
    (4, "dora", 20, None, 2),
    (5, "emil", None, 250, 2),
    (6, "fay", 30, 300, 3),
    (7, "gus", 10, 150, 6),
]


class Database:
    """Fake tables under the real SQL front end."""

    def __init__(self) -> None:
        self.catalog = support_sql.FakeCatalog((DEPT, EMP))
        self.storage = support_exec.FakeStorage()
        self.storage.table(DEPT).load(list(DEPARTMENTS))
        self.storage.table(EMP).load(list(EMPLOYEES))

    def execute(self, sql: str, params: tuple[Any, ...] = (), types: tuple[int, ...] = ()) -> tuple[list[Any], str]:
        """(rows in text form, command tag)."""
        (statement,) = parse(sql)
        planned = plan(analyze(statement.node, self.catalog, list(types), sql), self.catalog, None)
        executable = build(planned, self.catalog)
        ctx = support_exec.context(self.storage, params)
        if executable.columns is None:
            count = executable.run(ctx, params)
            rows = []
        else:
            found = executable.fetch_all(ctx, params)
            kinds = [REGISTRY.types[column.type] for column in executable.columns]
            rows = [
                [None if item is None else kind.output(item, ctx.env) for item, kind in zip(row, kinds, strict=True)]
                for row in found
            ]
            count = len(rows)
        return rows, f"{executable.tag} {'0 ' if executable.tag == 'INSERT' else ''}{count}"


def test_statements_give_what_postgresql_gives() -> None:
    recorded = json.loads((GOLDEN / "exec_sql.json").read_text())
    database = Database()
    differences = []
    for item in recorded:
        try:
            rows, tag = database.execute(item["sql"])
        except SqlError as error:
            got: Any = (error.sqlstate, error.message, error.detail)
            wanted: Any = (item.get("error"), item.get("message"), item.get("detail"))
        else:
            ordered = "order by" in item["sql"]
            expected = item.get("rows", [])
            got = (rows if ordered else sorted(rows, key=str), tag)
            wanted = (expected if ordered else sorted(expected, key=str), item.get("tag", item.get("error")))
        if got != wanted:
            differences.append(f"{item['sql']}\n   got {got}\nwanted {wanted}")
    assert not differences, "\n\n".join(differences)


def test_recording_is_of_the_current_file() -> None:
    spec = importlib.util.spec_from_file_location("record_exec_sql", GOLDEN / "record_exec_sql.py")
    assert spec is not None
    assert spec.loader is not None
    recorder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    recorded = json.loads((GOLDEN / "exec_sql.json").read_text())
    assert [item["sql"] for item in recorded] == recorder.statements()


@pytest.mark.parametrize(
    ("sql", "types", "params", "expected", "point"),
    [
        ("select name from emp where id = $1", (23,), (3,), [["carl"]], True),
        ("select name from emp where id = $1 and dept = $2", (23, 23), (3, 10), [], True),
        ("update emp set salary = salary + $1 where id = $2", (23, 23), (5, 2), [], True),
        ("insert into emp values ($1, $2, $3, $4, $5)", (23, 25, 23, 23, 23), (77, "x", 1, 2, 3), [], True),
        ("delete from emp where id = $1", (23,), (2,), [], True),
        ("select $1 + 1", (23,), (2,), [["3"]], True),
    ],
)
def test_point_statements(sql: str, types: Any, params: Any, expected: Any, point: bool) -> None:
    database = Database()
    (statement,) = parse(sql)
    planned = plan(analyze(statement.node, database.catalog, list(types), sql), database.catalog, None)
    assert build(planned, database.catalog).is_point is point
    rows, tag = database.execute(sql, params, types)
    assert rows == expected
    assert tag.endswith(str(len(expected) if sql.startswith("select") else 1))
