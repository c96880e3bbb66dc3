"""TPC-H beside PostgreSQL: ``python -m benchmarks.tpch``.

    python -m benchmarks.tpch [--scale 0.1] [--rounds 3] [--json FILE] [--cpu] [--ours] [number …]

The data are those of the TPC's own generator, made here and offline by ``tpchgen-cli`` (``pip install
"aurora-py[bench]"``). The queries are the specification's 22 with its validation parameters, in
``benchmarks/tpch_queries``; the keys are the specification's, with an index on each foreign key. Both servers' answers
are compared row by row, digit by digit.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.beside import Connection, Query, measure, report, run_all, running, total

FOLDER = Path(__file__).with_name("tpch_queries")
TABLES = ("region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem")
NUMBERS = range(1, 23)
TARGET_TOTAL = 1.0
TARGET_EACH = 3.0

SCALE_MIN = 0.008
"""Below it the generator's formula names a supplier twice for a part: partsupp's key is an index, nothing names it."""


def generator() -> Path | None:
    """The program that makes the data: beside the interpreter that runs this, or on the path."""
    beside = Path(sys.executable).with_name("tpchgen-cli")
    found = str(beside) if beside.exists() else shutil.which("tpchgen-cli")
    return Path(found) if found else None


def make_data(folder: Path, scale: float) -> None:
    """One CSV file a table."""
    program = generator()
    if program is None:
        raise RuntimeError('tpchgen-cli is not installed: pip install "aurora-py[bench]"')
    command = [str(program), "csv", "--scale-factor", str(scale), "--output-dir", str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def script(name: str) -> list[str]:
    """The statements of a file of the folder."""
    text = (FOLDER / f"{name}.sql").read_text()
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def keys(scale: float) -> list[str]:
    """The statements that make keys and indexes."""
    statements = script("keys")
    if scale >= SCALE_MIN:
        return statements
    unkeyed = [
        each for each in statements if "(ps_partkey, ps_suppkey)" not in each and "references partsupp" not in each
    ]
    return [*unkeyed, "create index on partsupp (ps_partkey, ps_suppkey)"]


def load(connection: Connection, folder: Path, scale: float) -> None:
    """Tables, rows, keys and statistics."""
    run_all(connection, [f"drop table if exists {', '.join(TABLES)} cascade", *script("schema")])
    for table in TABLES:
        with connection.cursor().copy(f"copy {table} from stdin (format csv, header)".encode()) as copy:
            with open(folder / f"{table}.csv", "rb") as rows:
                while block := rows.read(1 << 18):
                    copy.write(block)
    run_all(connection, keys(scale))
    run_all(connection, [f"vacuum analyze {table}" for table in TABLES])


def query(number: int, scale: float) -> str:
    """The text of a query. Query 11's fraction is 0.0001 / scale."""
    return (FOLDER / f"{number:02}.sql").read_text().replace("{fraction}", f"{0.0001 / scale:.10f}")


def main() -> int:
    """Run it; exit status 1 when an answer differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--cpu", action="store_true", help="processor time instead of the client's")
    parser.add_argument("--ours", action="store_true", help="without PostgreSQL")
    parser.add_argument("numbers", nargs="*", type=int, help="queries to run (default: all)")
    args = parser.parse_args()
    if generator() is None:
        print('the data need tpchgen-cli: pip install "aurora-py[bench]"', file=sys.stderr)
        return 1
    queries = [Query(f"Q{n}", query(n, args.scale), TARGET_EACH) for n in args.numbers or NUMBERS]
    with tempfile.TemporaryDirectory(prefix="aurora-tpch-") as folder, running(args.ours, args.cpu) as connections:
        make_data(Path(folder), args.scale)
        for connection in connections.values():
            load(connection, Path(folder), args.scale)
        timings = measure(connections, queries, args.rounds)
    timings.append(total(timings, TARGET_TOTAL))
    return report(
        f"TPC-H, scale {args.scale:g}", timings, args.json, scale=args.scale, rounds=args.rounds, by_cpu=args.cpu
    )


if __name__ == "__main__":
    sys.exit(main())
