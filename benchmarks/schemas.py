"""pgbench's TPC-B over plain tables, with foreign keys and with partitions, beside PostgreSQL with five synchronous
standbys: ``python -m benchmarks.schemas [--seconds 8] [--rounds 5] [--scale 10] [--clients 16] [--modes prepared]``.

Every schema has a database of its own on each server. In each round every schema runs on one server and then on the
other, in turns which one begins. Printed are medians and the ratio to PostgreSQL; the target is that no schema's
ratio is below the plain tables' (the column "of plain", at least 1).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from aurora.addresses import LOOPBACK
from benchmarks.compare import pgbench
from benchmarks.servers import STANDBYS, Aurora, Postgres, Server

SCHEMAS = {
    "plain": [],
    "foreign_keys": ["--foreign-keys"],
    "partitions": ["--partitions=8"],
    "hash_partitions": ["--partitions=8", "--partition-method=hash"],
}


def _load(server: Server, schema: str, scale: int) -> None:
    place = ["-h", LOOPBACK, "-p", str(server.port), "-U", "postgres"]
    subprocess.run(["createdb", *place, schema], check=True)
    command = ["pgbench", *place, "-i", "-q", "-s", str(scale), *SCHEMAS[schema], schema]
    subprocess.run(command, check=True, capture_output=True)


def _measure(servers: list[Server], args: argparse.Namespace) -> dict[tuple[str, str, str], list[float]]:
    """Transactions a second by schema, mode and server."""
    told: dict[tuple[str, str, str], list[float]] = {}
    for turn in range(args.rounds):
        for mode in args.modes.split(","):
            for schema in SCHEMAS:
                for server in servers if turn % 2 else servers[::-1]:
                    run = pgbench(server, "tpcb-like", mode, args.clients, args.seconds, schema)
                    told.setdefault((schema, mode, server.name), []).append(run["tps"])
    return told


def main() -> int:
    """Parse the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--modes", default="prepared")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="aurora-bench-"))
    root.chmod(0o755)
    theirs, ours = Postgres(root, "postgres + 5 standbys", STANDBYS), Aurora(root)
    servers: list[Server] = [theirs, ours]
    try:
        for server in servers:
            server.start()
            for schema in SCHEMAS:
                _load(server, schema, args.scale)
        told = _measure(servers, args)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(root, ignore_errors=True)
    print("| mode | schema | PostgreSQL with 5 standbys, tps | ours, tps | ratio | of plain |")
    print("| --- | --- | --- | --- | --- | --- |")
    for mode in args.modes.split(","):
        plain = 0.0
        for schema in SCHEMAS:
            there, here = (told[schema, mode, server.name] for server in servers)
            ratio = statistics.median(mine / other for mine, other in zip(here, there, strict=True))
            plain = plain or ratio
            numbers = f"{statistics.median(there):.0f} | {statistics.median(here):.0f} | {ratio:.2f}"
            print(f"| {mode} | {schema} | {numbers} | {ratio / plain:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
