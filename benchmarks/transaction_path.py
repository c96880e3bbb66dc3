"""Bytecodes that a TPC-B transaction of prepared statements costs in the writer, from its messages' arrival to the
answers: ``python -m benchmarks.transaction_path [--functions 30]``.

Processor time on a shared machine differs by ten per cent from one start of the same program to the next; how many
bytecodes a path runs does not differ at all. It is no measure of time by itself (an operation may be cheap or dear),
but what a path gains or loses shows. What runs between messages is not counted (acknowledgements of storage nodes, the
answer to a commit that has become durable).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from unittest.mock import patch

import psycopg
from psycopg.types.numeric import Int4

import aurora
from compute_node.wire.connection import Connection

if TYPE_CHECKING:
    Trace = Callable[[FrameType, str, object], Any]

_P = ParamSpec("_P")
_R = TypeVar("_R")
ROOT = Path(aurora.__file__).parent.parent
BRANCHES, TELLERS, ACCOUNTS = 2, 20, 2000
WARM = 40
"""Transactions before the count: generic plans are chosen by then, pages loaded and page images written."""
SCHEMA = f"""
CREATE TABLE branches (bid int PRIMARY KEY, bbalance int);
CREATE TABLE tellers (tid int PRIMARY KEY, tbalance int);
CREATE TABLE accounts (aid int PRIMARY KEY, abalance int);
CREATE TABLE history (tid int, bid int, aid int, delta int, mtime timestamp);
INSERT INTO branches SELECT i, 0 FROM generate_series(1, {BRANCHES}) i;
INSERT INTO tellers SELECT i, 0 FROM generate_series(1, {TELLERS}) i;
INSERT INTO accounts SELECT i, 0 FROM generate_series(1, {ACCOUNTS}) i;
"""


@contextmanager
def traced(counts: Counter[CodeType]) -> Iterator[None]:
    """While it lasts, bytecodes are counted that run for what clients send."""

    def local(frame: FrameType, event: str, _: object) -> Trace:
        if event == "opcode":
            counts[frame.f_code] += 1
        return local

    def entered(frame: FrameType, _event: str, _: object) -> Trace:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return local

    def counted(function: Callable[_P, _R]) -> Callable[_P, _R]:
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            before = sys.gettrace()
            sys.settrace(entered)
            try:
                return function(*args, **kwargs)
            finally:
                sys.settrace(before)

        return run

    # A turn runs in a greenlet, which begins without a trace function.
    with patch.object(Connection, "data_received", counted(Connection.data_received)):
        with patch.object(Connection, "_turn", counted(Connection._turn)):
            yield


def _transaction(connection: psycopg.Connection[Any], random: Random) -> None:
    aid, tid = Int4(random.randint(1, ACCOUNTS)), Int4(random.randint(1, TELLERS))
    bid, delta = Int4(random.randint(1, BRANCHES)), Int4(random.randint(-5000, 5000))
    run = connection.execute
    run("BEGIN", prepare=True)
    run("UPDATE accounts SET abalance = abalance + %s WHERE aid = %s", (delta, aid), prepare=True)
    run("SELECT abalance FROM accounts WHERE aid = %s", (aid,), prepare=True)
    run("UPDATE tellers SET tbalance = tbalance + %s WHERE tid = %s", (delta, tid), prepare=True)
    run("UPDATE branches SET bbalance = bbalance + %s WHERE bid = %s", (delta, bid), prepare=True)
    run("INSERT INTO history VALUES (%s, %s, %s, %s, CURRENT_TIMESTAMP)", (tid, bid, aid, delta), prepare=True)
    run("END", prepare=True)


def bytecodes(transactions: int = 60) -> dict[str, float]:
    """Bytecodes a transaction by function (``path:name``), the most first."""
    counts: Counter[CodeType] = Counter()
    random = Random(7)
    with aurora.cluster() as cluster, psycopg.connect(cluster.dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
        for _ in range(WARM):
            _transaction(connection, random)
        with traced(counts):
            for _ in range(transactions):
                _transaction(connection, random)
    told: Counter[str] = Counter()
    for code, count in counts.items():
        told[f"{code.co_filename.removeprefix(f'{ROOT}/')}:{code.co_name}"] += count
    return {name: count / transactions for name, count in told.most_common()}


def main() -> int:
    """Parse the flags, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, default=30)
    args = parser.parse_args()
    told = bytecodes()
    print(f"{sum(told.values()):8.1f} bytecodes a transaction")
    for name, count in list(told.items())[: args.functions]:
        print(f"{count:8.1f} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
