"""Random concurrent SERIALIZABLE transactions, with storage nodes and the writer killed meanwhile: some serial order of
those that committed explains all that they read.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable

import psycopg
import pytest
from psycopg import errors

from aurora.programs.supervisor import NODES, Cluster
from tests.append_history import ABORTED, COMMITTED, Transaction, anomalies
from tests.cluster.support import assert_sound, wait_for

pytestmark = pytest.mark.cluster

KEYS = 6
CLIENTS = 6
ENOUGH = 400
"""Committed transactions"""


class Clients:
    """Threads that run transactions and note what came of each."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._seed = seed
        self._values = itertools.count(1)
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self.history: list[Transaction] = []
        self.wrong: list[str] = []
        self.refused: list[int] = []
        """transactions that were in another's way"""
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(CLIENTS)]

    @property
    def committed(self) -> int:
        return sum(txn.outcome == COMMITTED for txn in self.history)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def _run(self, client: int) -> None:
        rng = random.Random(self._seed * 100 + client)
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._cluster.dsn(), autocommit=True, connect_timeout=5) as db:
                    db.execute("set default_transaction_isolation = 'serializable'")
                    while not self._stop.is_set():
                        self._transaction(db, rng)
            except psycopg.OperationalError:
                self._stop.wait(0.05)  # the writer is down: again soon
            except Exception as error:
                self.wrong.append(repr(error))
                return

    def _transaction(self, db: psycopg.Connection, rng: random.Random) -> None:
        txn = Transaction(next(self._numbers))
        self.history.append(txn)
        sent = False
        try:
            db.execute("begin")
            for _ in range(rng.randint(1, 4)):
                key = rng.randrange(KEYS)
                if rng.random() < 0.5:
                    value = next(self._values)
                    txn.steps.append((key, value, None))
                    db.execute("update lists set held = held || %s::int where key = %s", (value, key))
                else:
                    row = db.execute("select held from lists where key = %s", (key,)).fetchone()
                    assert row is not None
                    txn.steps.append((key, None, tuple(row[0])))
            if rng.random() < 0.1:
                db.execute("rollback")
                txn.outcome = ABORTED
                return
            sent = True
            db.execute("commit")
            txn.outcome = COMMITTED
        except (errors.SerializationFailure, errors.DeadlockDetected):
            txn.outcome = ABORTED
            self.refused.append(txn.number)
            db.execute("rollback")
        except psycopg.OperationalError:
            if not sent:
                txn.outcome = ABORTED
            raise


def test_a_serial_order_explains_what_was_read(make_cluster: Callable[..., Cluster]) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    cluster = make_cluster()
    with psycopg.connect(cluster.dsn(), autocommit=True) as db:
        db.execute("create table lists (key int primary key, held int[])")
        db.execute(f"insert into lists select i, '{{}}' from generate_series(0, {KEYS - 1}) i")
    clients = Clients(cluster, seed)
    clients.start()
    for goal in (ENOUGH // 4, ENOUGH // 2, ENOUGH):
        wait_for(lambda goal=goal: clients.committed >= goal or clients.wrong, f"{goal} commits")  # type: ignore[misc]
        if goal == ENOUGH:
            break
        node, _ = rng.choice(NODES)
        cluster.kill(node)
        cluster.kill(cluster.writer.id)
        cluster.start_node(node)
        cluster.start_instance(cluster.writer.id)
        cluster.wait_ready()
    clients.stop()
    assert not clients.wrong
    with psycopg.connect(cluster.dsn(), autocommit=True) as db:
        lists = {key: list(held) for key, held in db.execute("select key, held from lists")}
    assert anomalies(clients.history, lists) == []
    assert clients.refused, "no two transactions were in each other's way"
    assert_sound(cluster)
