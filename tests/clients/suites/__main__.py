"""``python -m tests.clients.suites --postgres "host=… port=… user=…"``: runs the suites on both servers, compares, and
writes ``docs/clients.md``."""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from aurora.addresses import LOOPBACK
from aurora.programs.supervisor import Cluster
from tests.clients.suites.catalogue import SUITES, Run, Server, Suite
from tests.clients.suites.fetch import Cache
from tests.clients.suites.outcomes import MISSING, Outcome, compare, read_junit, read_program
from tests.clients.suites.page import Result, reason_of, write

ROOT: Final = Path(__file__).parents[3]
SUITE_S: Final = 3600
PAGES_PER_PG: Final = 65536


def main() -> int:
    options = _options()
    chosen = [one for one in SUITES if not options.only or one.name in options.only.split(",")]
    if options.list:
        print("\n".join(f"{one.name:<20} {one.title}" for one in SUITES))
        return 0
    cache = Cache(options.cache)
    cache.prepare(chosen)
    with _ours(options.ours) as ours:
        servers = (_server("PostgreSQL 15", options.postgres), ours)
        for suite in chosen:
            cache.keep(_run(cache, suite, servers))
    options.page.write_text(write(cache.kept(SUITES)))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.clients.suites", description=__doc__)
    parser.add_argument("--postgres", default="", help="a PostgreSQL 15's conninfo: host, port and user of a superuser")
    parser.add_argument("--ours", default="", help="conninfo of a running cluster; without it one is started")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "aurora-clients")
    parser.add_argument("--only", default="", help="names with commas; the page has the others' last results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "clients.md")
    parser.add_argument("--list", action="store_true", help="the suites' names")
    return parser.parse_args()


def _server(name: str, conninfo: str) -> Server:
    told = conninfo_to_dict(conninfo)
    return Server(
        name, str(told.get("host", LOOPBACK)), int(told.get("port") or 5432), str(told.get("user", "postgres"))
    )


@contextmanager
def _ours(conninfo: str) -> Iterator[Server]:
    """The cluster that was named, or one that lives as long as the run."""
    if conninfo:
        yield _server("here", conninfo)
        return
    folder = Path(tempfile.mkdtemp(prefix="aurora-clients-"))
    cluster = Cluster(folder / "data")
    cluster.create(host=LOOPBACK, port=0, pages_per_pg=PAGES_PER_PG, cache_mb=256, password=None)
    cluster.up()
    try:
        yield _server("here", cluster.dsn())
    finally:
        cluster.down()
        shutil.rmtree(folder)


def _run(cache: Cache, suite: Suite, servers: Sequence[Server]) -> Result:
    """Both runs at once, each with its own copy of the sources and its own database."""
    version = _version(cache, suite)
    try:
        with ThreadPoolExecutor(len(servers)) as both:
            theirs, ours = both.map(lambda server: _outcomes(cache, suite, server), servers)
    except FileNotFoundError as error:
        print(f"{suite.name}: did not run: {error}", flush=True)
        return Result(suite, version, _today(), None, f"{Path(str(error.filename)).name} is missing")
    told = compare(theirs, ours)
    print(f"{suite.name}: {told.equal} of {told.expected}", flush=True)
    for test, outcome in told.differing.items():
        print(f"  {test}: {reason_of(suite.name, test, outcome)}", flush=True)
    return Result(suite, version, _today(), told)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _version(cache: Cache, suite: Suite) -> str:
    if suite.sdist:
        return cache.archive(suite.sdist).name.removeprefix(f"{suite.sdist}-").removesuffix(".tar.gz")
    return cache.version(re.split(r"[\[<>=]", suite.needs[0])[0]) if suite.needs else ""


def _outcomes(cache: Cache, suite: Suite, server: Server) -> dict[str, Outcome]:
    place = cache.folder / "runs" / server.name.replace(" ", "_") / suite.name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    folder = place
    if suite.sdist:
        folder = cache.sources(suite.sdist, place / "sources")
    elif suite.npm:
        folder = cache.node
    run = Run(server, folder, cache.python, f"clients_{suite.name.replace('-', '_')}", place / "report.xml")
    _databases(server, (run.database, *suite.databases))
    with psycopg.connect(_conninfo(server, run.database), autocommit=True) as connection:
        for statement in suite.setup:
            connection.execute(statement.encode())
    environment = {**os.environ, **server.environment(run.database), **suite.environment(run)}
    with (place / "output.txt").open("w+") as output:
        ended = subprocess.run(
            suite.command(run), cwd=folder if suite.sdist else place, env=environment, timeout=SUITE_S,
            stdout=output, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        if suite.sdist:
            return read_junit(run.report)
        output.seek(0)
        found = read_program(output.read())
    # A program that broke off has fewer lines, so its end is a check too.
    found["(its end)"] = Outcome("passed" if ended.returncode == 0 else MISSING, str(ended.returncode))
    return found


def _conninfo(server: Server, database: str) -> str:
    return f"host={server.host} port={server.port} user={server.user} dbname={database}"


def _databases(server: Server, names: Sequence[str]) -> None:
    with psycopg.connect(_conninfo(server, "postgres"), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE IF EXISTS {name} (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())


if __name__ == "__main__":
    sys.exit(main())
