"""What failovers may not lose, held against a ledger that stands outside the database.

::

    clients ── number a row, move money, COMMIT ──► whoever writes        ledger: sent ⊇ rows there ⊇ acknowledged
    watchers ─ one a instance: sums, counts ──────► whoever answers       money adds up, nothing goes back in a session
    failovers of every kind, in an order drawn from the seed

After each failover one instance writes, the acknowledged rows are there exactly once, no row that nobody sent is, and a
reader that has applied what the writer has shows the same.

``python -m tests.cluster.failover_ledger --failovers 100`` runs it at length.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg import errors

from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.cluster.failover_kinds import KINDS, Stage, settled, who_writes

ACCOUNTS: Final = 40
CLIENTS: Final = 3
LOOK_AGAIN_S: Final = 0.03
HALVES_EVERY: Final = 5
"""The costly look at whole tables is one of so many."""
CONNECT_TIMEOUT_S: Final = 2
SETTLE_TIMEOUT_S: Final = 60.0
TRANSFER_MAX: Final = 100
PAUSE_MAX_S: Final = 1.0
"""Between two failovers, at most."""
EXPECTED: Final = frozenset(("57P01", "25006", "40001", "40P01", "08007"))
"""SQLSTATEs that a failover may give to a statement."""
REFUSALS: Final = (
    "the database system is starting up",
    "the database system is shutting down",
    "terminating connection due to administrator command",  # it was let in, and the change began
    "terminating connection due to conflict with recovery",
    "Connection refused",
    "Connection reset by peer",
    "server closed the connection unexpectedly",
    "timeout expired",
)
"""What a failover may give to who connects."""


class Acknowledged(NamedTuple):
    """A COMMIT that was answered: by whom, under which epoch of the volume, and when (s, monotonic)."""

    instance: str
    epoch: int
    sent_s: float
    answered_s: float


@dataclass
class Ledger:
    """``sent``: rows whose COMMIT was sent. ``acknowledged``: those that were answered. What is in the first and not in
    the second is unknown."""

    cluster: Cluster
    clients: int = CLIENTS
    sent: set[tuple[int, int]] = field(default_factory=set)
    acknowledged: dict[tuple[int, int], Acknowledged] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What must not be, as it was seen."""
    outcomes: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    _last_sent_s: float = 0.0
    """Of the commits that were acknowledged, when the last one was sent."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _rest: threading.Event = field(default_factory=threading.Event)
    _resting: set[int] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    # Connections

    def connect(self, instance_id: str) -> psycopg.Connection:
        """A session of an instance. psycopg.OperationalError."""
        connection = psycopg.connect(self.cluster.dsn(instance_id), connect_timeout=CONNECT_TIMEOUT_S, autocommit=True)
        connection.prepare_threshold = 2
        return connection

    def _find_writer(self, first: str) -> tuple[str, psycopg.Connection] | None:
        names = [one.id for one in self.cluster.required.instances]
        for name in sorted(names, key=lambda name: name != first):
            try:
                connection = self.connect(name)
            except psycopg.OperationalError as error:
                self._refused(name, error)
                continue
            try:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
            except psycopg.Error as error:
                self._broken(name, "pg_is_in_recovery()", error)
                connection.close()
                continue
            if row == (False,):
                return name, connection
            connection.close()
        return None

    def _refused(self, name: str, error: psycopg.Error) -> None:
        """A connection attempt that failed: refused, or 57P03."""
        said = next((each for each in REFUSALS if each in str(error)), "")
        if not said:
            self.wrong.append(f"{name} refuses a connection with {error}")
        self.outcomes[f"connect: {said}"] += 1

    def _broken(self, name: str, what: str, error: psycopg.Error) -> None:
        """A statement that failed."""
        if error.sqlstate is not None and error.sqlstate not in EXPECTED:
            self.wrong.append(f"{what} on {name} fails with {error.sqlstate} {error}")
        self.outcomes[f"{what.split()[0]} {error.sqlstate or 'cut'}"] += 1

    # Clients

    def create(self) -> None:
        """The tables."""
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE ledger (client int, n int, filler text, PRIMARY KEY (client, n))")
            connection.execute("CREATE TABLE history (client int, n int, amount int)")
            connection.execute("CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL)")
            connection.execute("INSERT INTO accounts SELECT i, 0 FROM generate_series(1, %s) i", (ACCOUNTS,))

    def start(self, seed: int) -> None:
        """Start the clients and the watchers."""
        self._threads = [
            *(self._thread(self._client, c, random.Random(f"{seed}/{c}")) for c in range(self.clients)),
            *(self._thread(self._watch, one.id) for one in self.cluster.required.instances),
        ]
        for thread in self._threads:
            thread.start()

    def _thread(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        def body() -> None:
            try:
                target(*arguments)
            except BaseException as error:
                self.wrong.append(f"{target.__name__} of {arguments[0]} ends with {error!r}")
                raise

        return threading.Thread(target=body, name=f"{target.__name__} {arguments[0]}", daemon=True)

    def stop(self) -> None:
        """End them."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            if thread.is_alive():
                self.wrong.append(f"{thread.name} hangs")

    def _client(self, client: int, rng: random.Random) -> None:
        name, n = "", 0
        while not self._stop.is_set():
            found = self._find_writer(name)
            if found is None:
                self._rest_if_asked(client)
                time.sleep(LOOK_AGAIN_S)
                continue
            name, connection = found
            with contextlib.closing(connection):
                try:
                    epoch = _volume(connection)["epoch"]
                    while not self._stop.is_set():
                        self._rest_if_asked(client)
                        n += 1
                        self._transfer(connection, (client, n), name, epoch, rng)
                except psycopg.Error as error:
                    self._broken(name, "write", error)

    def _transfer(
        self, connection: psycopg.Connection, key: tuple[int, int], name: str, epoch: int, rng: random.Random
    ) -> None:
        amount = rng.randrange(1, TRANSFER_MAX)
        try:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO ledger VALUES (%s, %s, %s)", (*key, "f" * rng.randrange(300)))
            for account, by in zip(rng.sample(range(1, ACCOUNTS + 1), 2), (amount, -amount), strict=True):
                connection.execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (by, account))
            connection.execute("INSERT INTO history VALUES (%s, %s, %s)", (*key, amount))
            if rng.random() < 0.1:
                connection.execute("ROLLBACK")
                return
        except errors.DeadlockDetected:
            self.outcomes["deadlock"] += 1
            connection.execute("ROLLBACK")
            return
        self.sent.add(key)
        sent_s = time.monotonic()
        connection.execute("COMMIT")
        self.acknowledged[key] = Acknowledged(name, epoch, sent_s, time.monotonic())
        self._last_sent_s = max(self._last_sent_s, sent_s)

    def wait_for_commit(self, what: str) -> None:
        """Wait for a commit that is sent from now on."""
        now_s = time.monotonic()
        settled(lambda: self._last_sent_s > now_s, what, SETTLE_TIMEOUT_S)

    def _rest_if_asked(self, client: int) -> None:
        while self._rest.is_set() and not self._stop.is_set():
            self._resting.add(client)
            time.sleep(LOOK_AGAIN_S)
        self._resting.discard(client)

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """No client has a transaction open while this lasts."""
        self._rest.set()
        settled(lambda: len(self._resting) == self.clients, "the clients to rest", SETTLE_TIMEOUT_S)
        try:
            yield
        finally:
            self._rest.clear()

    # Watchers

    def _watch(self, name: str) -> None:
        """Look at an instance, whatever it is: as single statements, and in snapshots that must not move."""
        while not self._stop.is_set():
            try:
                connection = self.connect(name)
            except psycopg.OperationalError as error:
                self._refused(name, error)
                time.sleep(LOOK_AGAIN_S)
                continue
            with contextlib.closing(connection):
                seen: dict[int, int] = {}
                try:
                    while not self._stop.is_set():
                        self._look(connection, name, seen)
                        time.sleep(LOOK_AGAIN_S)
                except psycopg.Error as error:
                    self._broken(name, "read", error)

    _MONEY: Final = "SELECT count(*), coalesce(sum(balance), 0)::bigint FROM accounts"
    _HALVES: Final = (
        "SELECT count(*) FROM ledger l FULL JOIN history h USING (client, n) WHERE l.n IS NULL OR h.n IS NULL"
    )
    _LAST: Final = "SELECT client, max(n) FROM ledger GROUP BY client"

    def _look(self, connection: psycopg.Connection, name: str, seen: dict[int, int]) -> None:
        self._adds_up(connection, name)
        rows = dict(connection.execute(self._LAST).fetchall())
        if any(rows.get(client, 0) < n for client, n in seen.items()):
            self.wrong.append(f"{name} goes back in a session: {seen}, then {rows}")
        seen.update(rows)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        first = connection.execute(self._LAST).fetchall()
        self._adds_up(connection, name)
        time.sleep(LOOK_AGAIN_S)
        self._adds_up(connection, name)
        again = connection.execute(self._LAST).fetchall()
        both = connection.execute(self._HALVES).fetchone() if self.looks[name] % HALVES_EVERY == 0 else (0,)
        connection.execute("COMMIT")
        if sorted(first) != sorted(again):
            self.wrong.append(f"a snapshot on {name} moves: {sorted(first)}, then {sorted(again)}")
        if both != (0,):
            self.wrong.append(f"{name} shows halves of {both} transactions")
        self.looks[name] += 1

    def _adds_up(self, connection: psycopg.Connection, name: str) -> None:
        row = connection.execute(self._MONEY).fetchone()
        if row != (ACCOUNTS, 0):
            isolation = connection.execute("SHOW transaction_isolation").fetchone()
            applied = _volume(connection)["vdl"]
            self.wrong.append(
                f"{time.strftime('%H:%M:%S')} {name} shows {row}: {ACCOUNTS} accounts add up to 0 "
                f"({isolation}, has applied {applied})"
            )

    def describe(self) -> None:
        """Where everybody stands, for whoever reads of a hang."""
        faulthandler.dump_traceback(sys.stderr)
        for one in self.cluster.required.instances:
            self.cluster.signal(one.id, signal.SIGUSR1)  # it logs where its sessions wait
            with contextlib.suppress(psycopg.Error), contextlib.closing(self.connect(one.id)) as connection:
                for row in connection.execute("SELECT pid, state, wait_event, query FROM pg_stat_activity"):
                    print(one.id, *row, file=sys.stderr)

    # What holds after a failover

    def check(self) -> str:
        """Hold the instances against the ledger; returns who writes. No client writes meanwhile."""
        writer = self._one_writer()
        with contextlib.closing(self.connect(writer)) as connection:
            rows = connection.execute("SELECT client, n FROM ledger").fetchall()
            history = connection.execute("SELECT client, n FROM history").fetchall()
            self._adds_up(connection, writer)
            shown = self._shown(connection)
            vdl = _volume(connection)["vdl"]
        self._hold_against(writer, rows)
        self._hold_against(writer, history)
        for one in self.cluster.required.instances:
            if one.id == writer:
                continue

            def reached(name: str = one.id) -> bool:
                try:
                    with contextlib.closing(self.connect(name)) as connection:
                        return _volume(connection)["vdl"] >= vdl
                except psycopg.OperationalError:
                    return False

            settled(reached, f"{one.id} to have applied {vdl}", SETTLE_TIMEOUT_S)
            with contextlib.closing(self.connect(one.id)) as reader:
                found = self._shown(reader)
                self._adds_up(reader, one.id)
            if found != shown:
                self.wrong.append(f"{one.id} shows {found}, the writer {shown}")
        self._no_answer_after_another()
        return writer

    def _writes(self, name: str) -> bool:
        """Whether an instance takes a write. psycopg.OperationalError while it does not answer."""
        try:
            with contextlib.closing(self.connect(name)) as connection:
                connection.execute("UPDATE accounts SET balance = balance WHERE id = 1")
        except errors.ReadOnlySqlTransaction:
            return False
        return True

    def _one_writer(self) -> str:
        """Try to write everywhere: one instance does, and the others are readers (25006). Another may take over on the
        way; then the one before writes no more."""
        found: list[str] = []

        def all_settled() -> bool:
            try:
                found[:] = [one.id for one in self.cluster.required.instances if self._writes(one.id)]
                if len(found) > 1 and any(self._writes(name) for name in found[:-1]):
                    self.wrong.append(f"{found} write at the same time")
                    return True
            except psycopg.OperationalError:
                return False
            return len(found) == 1

        settled(all_settled, "every instance to answer, and one to write", SETTLE_TIMEOUT_S)
        return found[-1]

    @staticmethod
    def _shown(connection: psycopg.Connection) -> list[tuple[object, ...]]:
        return [
            *connection.execute(
                "SELECT client, count(*), sum(n), sum(length(filler)) FROM ledger GROUP BY client ORDER BY client"
            ).fetchall(),
            *connection.execute("SELECT id, balance FROM accounts ORDER BY id").fetchall(),
            *connection.execute("SELECT count(*), sum(amount) FROM history").fetchall(),
        ]

    def _hold_against(self, writer: str, rows: list[tuple[int, int]]) -> None:
        there = Counter(rows)
        twice = [key for key, count in there.items() if count > 1]
        lost = sorted(self.acknowledged.keys() - there.keys())
        unsent = sorted(there.keys() - self.sent)
        for what, keys in (("acknowledged and lost", lost), ("there twice", twice), ("there and never sent", unsent)):
            if keys:
                self.wrong.append(f"{len(keys)} rows on {writer} are {what}: {keys[:10]}")

    def _no_answer_after_another(self) -> None:
        """A COMMIT that was sent after a later writer had answered one is not answered by an earlier one."""
        first: dict[int, float] = {}
        for each in list(self.acknowledged.values()):
            first[each.epoch] = min(first.get(each.epoch, each.answered_s), each.answered_s)
        for key, each in list(self.acknowledged.items()):
            later = [epoch for epoch, answered_s in first.items() if epoch > each.epoch and answered_s < each.sent_s]
            if later:
                self.wrong.append(f"{key} was acknowledged by {each} while epoch {later[0]} wrote")


def _volume(connection: psycopg.Connection) -> dict[str, int]:
    """The volume as the instance of a session has it."""
    row = connection.execute("SELECT aurora_status()").fetchone()
    assert row is not None
    found: dict[str, int] = json.loads(row[0])["volume"]
    return found


def run(cluster: Cluster, seed: int, kinds: list[str], say: object = print) -> Ledger:
    """Failovers of these kinds in turn, under load; every check after each."""
    rng = random.Random(seed)
    ledger = Ledger(cluster)
    ledger.create()
    ledger.start(seed)
    try:
        for number, kind in enumerate(kinds, 1):
            time.sleep(rng.uniform(0.1, PAUSE_MAX_S))
            begun_s = time.monotonic()
            stage = Stage(cluster, who_writes(cluster), rng, ledger.wrong)
            KINDS[kind](stage)
            ledger.wait_for_commit(f"a commit after {kind}")
            took_s = time.monotonic() - begun_s
            stage.mend()
            with ledger.at_rest():
                writer = ledger.check()
            if callable(say):
                say(f"{number}: {kind}: {stage.writer} -> {writer}, {took_s:.1f} s, {len(ledger.acknowledged)} commits")
            if ledger.wrong:
                break
    except AssertionError:
        ledger.describe()
        raise
    finally:
        ledger.stop()
    return ledger


def main() -> int:
    """Exit status 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.failover_ledger", description=__doc__)
    parser.add_argument("--failovers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="0: a new one")
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument(
        "--keep",
        type=Path,
        default=None,
        metavar="DIR",
        help="the cluster's folder; it is kept, and runs on when something was wrong",
    )
    args = parser.parse_args()
    seed = args.seed or random.SystemRandom().randrange(1, 1 << 32)
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    wanted = args.kinds.split(",")
    kinds: list[str] = []
    while len(kinds) < args.failovers:
        kinds += rng.sample(wanted, len(wanted))
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(args.keep or Path(folder) / "cluster")
        cluster.create(host=LOOPBACK, port=0, pages_per_pg=512, cache_mb=64, password=None, readers=args.readers)
        cluster.up()
        try:
            ledger = run(cluster, seed, kinds[: args.failovers], lambda line: print(line, flush=True))
        except BaseException:
            cluster.down()
            raise
        if not (ledger.wrong and args.keep):  # else it is there to be looked at
            cluster.down()
    unknown = len(ledger.sent) - len(ledger.acknowledged)
    print(f"{len(ledger.acknowledged)} acknowledged, {unknown} unknown; looks {dict(ledger.looks)}")
    print(f"outcomes {dict(ledger.outcomes)}")
    for each in ledger.wrong[:50]:
        print(f"WRONG: {each}")
    return 1 if ledger.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
