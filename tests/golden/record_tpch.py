"""Records PostgreSQL 15's answers to the queries of TPC-H at a small scale: `python -m tests.golden.record_tpch DSN`.

The database of the DSN gets the eight tables anew. Review the diff: `tpch.json` is the specification.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import psycopg

from benchmarks import tpch

SCALE = 0.002
RECORDED = Path(__file__).with_name("tpch.json")


def answers(connection: psycopg.Connection) -> dict[str, list[list[str]]]:
    """The rows of each query, as text, in order."""
    with tempfile.TemporaryDirectory() as folder:
        tpch.make_data(Path(folder), SCALE)
        tpch.load(connection, Path(folder), SCALE)
    return {
        f"Q{number}": [
            [str(value) for value in row] for row in connection.execute(tpch.query(number, SCALE).encode()).fetchall()
        ]
        for number in tpch.NUMBERS
    }


if __name__ == "__main__":
    with psycopg.connect(sys.argv[1], autocommit=True) as server:
        entries = [
            f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]"
            for name, rows in answers(server).items()
        ]
    RECORDED.write_text("{\n" + ",\n".join(entries) + "\n}\n")
