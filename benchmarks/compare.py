"""``make bench``: pgbench against PostgreSQL, PostgreSQL with five synchronous standbys, and our cluster, in turn.

Every cell runs the three servers one after the other, round after round, so that the machine's drift hits all alike;
the figure is the median over rounds and what counts is the ratio. Prints one table and writes it as JSON.

    python -m benchmarks.compare [--seconds 10] [--rounds 3] [--scale 10] [--clients 1,16,64] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from aurora.addresses import LOOPBACK
from aurora.kernels import IMPLEMENTATION
from aurora.programs.keeper import HOLD_AFTER_S
from benchmarks.servers import STANDBYS, Aurora, Postgres, Server, postgres_bin

SCRIPTS = ("tpcb-like", "select-only")
MODES = ("simple", "prepared")
IDLE_CONNECTIONS = 500
COPY_ROWS = 1_000_000


def pgbench(
    server: Server, script: str, mode: str, clients: int, seconds: int, database: str = "postgres"
) -> dict[str, float]:
    """One pgbench run; transactions a second, number done and failed."""
    command = ["pgbench", "-h", LOOPBACK, "-p", str(server.port), "-U", "postgres", "-n", "-b", script, "-M", mode]
    command += ["-c", str(clients), "-j", "1", "-T", str(seconds), database]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    text = done.stdout
    tps = re.search(r"tps = ([0-9.]+) \(without initial", text)
    count = re.search(r"number of transactions actually processed: (\d+)", text)
    failed = re.search(r"number of failed transactions: (\d+)", text)
    if done.returncode or not tps or not count:
        raise RuntimeError(f"pgbench against {server.name} failed:\n{text}\n{done.stderr}")
    return {"tps": float(tps[1]), "count": int(count[1]), "failed": int(failed[1]) if failed else 0}


def throughput(servers: list[Server], args: argparse.Namespace) -> list[dict[str, Any]]:
    """The matrix script × mode × clients, interleaved."""
    rows = []
    for script in args.scripts.split(","):
        for mode in args.modes.split(","):
            for clients in (int(c) for c in args.clients.split(",")):
                tps: dict[str, list[float]] = {server.name: [] for server in servers}
                for _ in range(args.rounds):
                    for server in servers:
                        if server.name == "postgres + 5 standbys" and script == "select-only":
                            continue
                        tps[server.name].append(pgbench(server, script, mode, clients, args.seconds)["tps"])
                medians = {name: statistics.median(values) for name, values in tps.items() if values}
                rows.append({"script": script, "mode": mode, "clients": clients, "tps": medians, "all": tps})
                print(
                    f"  {script} {mode} {clients}: " + "  ".join(f"{n} {v:,.0f}" for n, v in medians.items()),
                    flush=True,
                )
    return rows


def log_bytes(server: Server, args: argparse.Namespace) -> dict[str, float]:
    """Log bytes (and for us sends) per TPC-B transaction, 16 clients, after a warm-up."""
    pgbench(server, "tpcb-like", "prepared", 16, max(2, args.seconds // 2))
    before = server.volume() if isinstance(server, Aurora) else {}
    start = server.wal_bytes()
    count = pgbench(server, "tpcb-like", "prepared", 16, args.seconds)["count"]
    figures = {"bytes": (server.wal_bytes() - start) / count}
    if isinstance(server, Aurora):
        after = server.volume()
        figures["sends"] = (after["messages"] - before["messages"]) / count
        figures["flushes"] = (after["flushes"] - before["flushes"]) / count
    return figures


def idle_memory(server: Server) -> float:
    """Bytes of resident memory an idle connection, over ``IDLE_CONNECTIONS``."""
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(psycopg.connect(server.dsn))
        before = server.backend_rss()
        for _ in range(IDLE_CONNECTIONS):
            stack.enter_context(psycopg.connect(server.dsn))
        return (server.backend_rss() - before) / IDLE_CONNECTIONS


def copy_seconds(server: Server) -> float:
    """Time of COPY FROM STDIN of a million rows (bigint, int, text) into an empty table without an index."""
    block = "".join(f"{i}\t{i % 1000}\tpayload {i}\n" for i in range(COPY_ROWS // 100)).encode()
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_copy")
        connection.execute("CREATE TABLE bench_copy (id bigint, n int, payload text)")
        started = time.perf_counter()
        with connection.cursor().copy("COPY bench_copy FROM STDIN") as copy:
            for _ in range(100):
                copy.write(block)
        taken = time.perf_counter() - started
        row = connection.execute("SELECT count(*) FROM bench_copy").fetchone()
        if row is None or row[0] != COPY_ROWS:
            raise RuntimeError(f"{server.name} holds {row} rows after COPY of {COPY_ROWS}")
        connection.execute("DROP TABLE bench_copy")
    return taken


def restart_seconds(server: Aurora) -> float:
    """From SIGKILL of the writer, in the middle of a run, to the first answered query; the keeper restarts it, as it
    does wherever ``aurora up`` has started the cluster."""
    seconds = int(HOLD_AFTER_S) + 5
    command = ["pgbench", "-h", LOOPBACK, "-p", str(server.port), "-U", "postgres", "-n", "-c", "8"]
    command += ["-T", str(seconds + 3), "postgres"]
    load = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)  # load time, in which the keeper prepares: not a wait for a condition
    server.cluster.signal(server.cluster.writer.id, signal.SIGKILL)
    started = time.perf_counter()
    while True:
        try:
            with psycopg.connect(server.dsn, connect_timeout=2) as connection:
                connection.execute("select count(*) from pgbench_branches")
            break
        except psycopg.OperationalError:
            time.sleep(0.005)
    taken = time.perf_counter() - started
    load.wait()
    return taken


def first_start_seconds(root: Path) -> float:
    """``up`` in an empty folder to the first answered query."""
    server = Aurora(root, "first")
    started = time.perf_counter()
    server.start()
    taken = time.perf_counter() - started
    server.stop()
    return taken


def machine() -> str:
    """What it ran on."""
    described = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.split(":")[1].strip() for x in described if x.startswith("model name")), "?")
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()}, kernels {IMPLEMENTATION}"


def table(result: dict[str, Any]) -> str:
    """The result as a Markdown table."""
    head = f"{result['date']}, {result['machine']}; scale {result['scale']}, medians of {result['rounds']} rounds of "
    lines = [f"{head}{result['seconds']} s, transactions a second", ""]
    lines += ["| pgbench | clients | PostgreSQL | with 5 standbys | ours | ours / alone | ours / standbys |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in result["throughput"]:
        alone, standbys, ours = (row["tps"].get(n) for n in ("postgres", "postgres + 5 standbys", "aurora"))
        cells = [f"{row['script']}, {row['mode']}", str(row["clients"])]
        cells += [f"{v:,.0f}" if v else "" for v in (alone, standbys, ours)]
        cells += [f"{ours / v:.2f}" if v and ours else "" for v in (alone, standbys)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| | PostgreSQL | ours |", "| --- | ---: | ---: |"]
    for name, alone, ours in result["other"]:
        lines.append(f"| {name} | {alone} | {ours} |")
    return "\n".join(lines)


def main() -> int:
    """Run the comparison; exit status 1 when a needed program is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--clients", default="1,16,64")
    parser.add_argument("--scripts", default=",".join(SCRIPTS))
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/result.json"))
    parser.add_argument("--throughput-only", action="store_true")
    args = parser.parse_args()
    if shutil.which("pgbench") is None or postgres_bin() is None:
        print("make bench needs PostgreSQL 15's server programs and pgbench (Debian: postgresql-15)", file=sys.stderr)
        return 1
    root = Path(tempfile.mkdtemp(prefix="aurora-bench-"))
    root.chmod(0o755)
    servers: list[Server] = [
        Postgres(root, "postgres"),
        Postgres(root, "postgres + 5 standbys", STANDBYS),
        Aurora(root),
    ]
    try:
        for server in servers:
            server.start()
            print(f"{server.name}: loading scale {args.scale}", flush=True)
            load = [
                "pgbench",
                "-h",
                LOOPBACK,
                "-p",
                str(server.port),
                "-U",
                "postgres",
                "-i",
                "-q",
                "-s",
                str(args.scale),
            ]
            subprocess.run([*load, "postgres"], check=True, capture_output=True)
        alone, _, ours = servers
        assert isinstance(ours, Aurora)
        result: dict[str, Any] = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": machine(),
            "seconds": args.seconds,
            "rounds": args.rounds,
            "scale": args.scale,
            "throughput": throughput(servers, args),
            "other": [],
        }
        # Kept as soon as it is known: what follows takes minutes more.
        args.json.write_text(json.dumps(result, indent=1))
        if not args.throughput_only:
            redo = {server.name: log_bytes(server, args) for server in (alone, ours)}
            other = result["other"]
            other.append(
                ["log bytes a TPC-B transaction", f"{redo['postgres']['bytes']:.0f}", f"{redo['aurora']['bytes']:.0f}"]
            )
            other.append(["network sends a TPC-B transaction, 16 clients", "", f"{redo['aurora']['sends']:.2f}"])
            memory = [idle_memory(server) / 1024 for server in (alone, ours)]
            other.append(["memory of an idle connection, KiB", *(f"{m:.0f}" for m in memory)])
            copies = [copy_seconds(server) for server in (alone, ours)]
            other.append([f"COPY of {COPY_ROWS:,} rows, s", *(f"{c:.1f}" for c in copies)])
            other.append(["SIGKILL of the writer to the first answered query, s", "", f"{restart_seconds(ours):.2f}"])
            other.append(
                [
                    "first start in an empty folder to the first answered query, s",
                    "",
                    f"{first_start_seconds(root):.2f}",
                ]
            )
        args.json.write_text(json.dumps(result, indent=1))
        print(table(result))
    finally:
        for server in servers:
            try:
                server.stop()
            except Exception as error:  # the next server must be stopped all the same
                print(f"stopping {server.name}: {error}", file=sys.stderr)
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
