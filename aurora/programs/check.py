"""``aurora check``: asks the writer of a cluster what is wrong in its databases (``aurora_check()``).

Pages of storage have their own check, which runs all the time (``storage_node/scrub.py``); this one is about what the
pages say: rows, index entries, constraints, catalogs.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg

from aurora.programs.description import ClusterError
from aurora.programs.supervisor import Cluster

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DATABASES = "select datname from pg_catalog.pg_database where datallowconn order by oid"
CATALOGS = "select relation, place, problem from pg_catalog.aurora_check_catalogs()"
RELATIONS = "select oid::int8 from pg_catalog.pg_class where relkind in ('r', 'm', 'S') order by oid"
RELATION = "select relation, place, problem from pg_catalog.aurora_check_relation(%s::int8::oid)"
FOUND = 3
"""Exit status when something is wrong."""


def add_parsers(verbs: _SubParsersAction[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    """Its arguments."""
    check = verbs.add_parser("check", parents=[shared], help="check catalogs, rows, index entries and constraints")
    check.add_argument("databases", nargs="*", metavar="DATABASE", help="those that are checked (default: all)")


def faults_of(dsn: str, databases: Sequence[str] = ()) -> list[tuple[str, str, str, str]]:
    """(database, relation, place, problem) of all that is wrong. Errors: psycopg's."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        names = list(databases) or [name for (name,) in connection.execute(DATABASES)]
    found: list[tuple[str, str, str, str]] = []
    for name in names:
        with psycopg.connect(dsn, dbname=name, autocommit=True) as connection:
            found += [(name, *row) for row in connection.execute(CATALOGS)]
            for oid in connection.execute(RELATIONS).fetchall():
                # Each in a transaction of its own: its lock, which vacuum and DDL wait for, goes with it.
                with contextlib.suppress(psycopg.errors.UndefinedTable):  # dropped meanwhile
                    found += [(name, *row) for row in connection.execute(RELATION, oid)]
    return found


def check(args: argparse.Namespace) -> int:
    """0 when all is well, 3 when something is not; ClusterError when that cannot be told."""
    try:
        found = faults_of(Cluster(args.data).dsn(), args.databases)
    except psycopg.Error as error:
        raise ClusterError(str(error).strip()) from error
    for database, relation, place, problem in found:
        print(f"{database}: {relation}{' ' if place else ''}{place}: {problem}")
    print("all is well" if not found else f"{len(found)} faults")
    return FOUND if found else 0
