"""Records exec_sql.json: runs exec_sql.sql's statements on a live PostgreSQL 15.

Usage: ``python tests/golden/record_exec_sql.py DSN``. Everything happens in one transaction that is rolled back.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SETUP = """
create temp table dept (id int primary key, title text);
create temp table emp (id int primary key, name text, dept int, salary int, boss int);
insert into dept values (10, 'sales'), (20, 'ops'), (30, 'labs'), (40, 'empty');
insert into emp values (1, 'anna', 10, 100, null), (2, 'bob', 10, 200, 1), (3, 'carl', 20, 300, 1),
  (4, 'dora', 20, null, 2), (5, 'emil', null, 250, 2), (6, 'fay', 30, 300, 3), (7, 'gus', 10, 150, 6);
"""


def statements() -> list[str]:
    """The statements of the file, in order."""
    paragraphs = (HERE / "exec_sql.sql").read_text().split("\n\n")
    return [item.strip() for item in paragraphs if not item.startswith("--")]


def main() -> None:
    """Record."""
    import psycopg

    results: list[dict[str, Any]] = []
    with psycopg.connect(sys.argv[1]) as connection:
        connection.execute(SETUP)
        for sql in statements():
            item: dict[str, Any] = {"sql": sql}
            try:
                with connection.transaction():
                    cursor = connection.cursor()
                    cursor.execute(sql)
                    item["tag"] = cursor.statusmessage
                    if cursor.description is not None:
                        texts = [
                            [None if (data := cursor.pgresult.get_value(row, column)) is None else data.decode()
                             for column in range(cursor.pgresult.nfields)]
                            for row in range(cursor.pgresult.ntuples)
                        ]  # fmt: skip
                        item["columns"] = [column.name for column in cursor.description]
                        item["rows"] = texts
            except psycopg.Error as error:
                item["error"] = error.sqlstate
                item["message"] = error.diag.message_primary
                item["detail"] = error.diag.message_detail
            results.append(item)
        connection.rollback()
    (HERE / "exec_sql.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
