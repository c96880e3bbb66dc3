"""A fresh database for each test, at hand when the test begins.

CREATE DATABASE copies its template by pages, 1.5 MB of log for an empty one: tens of milliseconds of CPU. So a thread
makes the next ones while a test runs, from a template that holds the project's schema, and drops those that have been
used::

    take() ◄── ready (AHEAD databases) ◄── CREATE DATABASE … TEMPLATE ─┐
    give_back() ─► used ─────────────────► DROP DATABASE … (FORCE) ────┴─ one thread, one connection
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from aurora.programs.embedded_instances import dsn_of

if TYPE_CHECKING:
    import psycopg

    from aurora.programs.embedded import EmbeddedCluster

AHEAD: Final = 3
TEMPLATE: Final = "aurora_fresh_template"
TAKE_TIMEOUT_S: Final = 60.0
READER_TIMEOUT_S: Final = 60.0
LOOK_S: Final = 0.01
AGAIN_S: Final = 0.1
"""Between two tries to connect, as after a failover."""


@dataclass(frozen=True, slots=True)
class FreshDatabase:
    """A test's own database."""

    name: str
    _cluster: EmbeddedCluster

    @property
    def dsn(self) -> str:
        """libpq connection string of the database at who is the writer now."""
        return dsn_of([self._cluster.address], self.name)

    @property
    def reader_dsn(self) -> str:
        """The same at a reader, once it has followed the log up to this database; at the writer when there is none."""
        import psycopg

        at = next(iter(self._cluster.readers), self._cluster.instances[0])
        deadline = time.monotonic() + READER_TIMEOUT_S
        with psycopg.connect(at.dsn, autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            while connection.execute(query, (self.name,)).fetchone() is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{at.id} has not heard of {self.name} after {READER_TIMEOUT_S:g} s")
                time.sleep(LOOK_S)
        return dsn_of([at.address], self.name)


class FreshDatabases:
    """Databases of one embedded cluster, each with ``schema`` (SQL) in it."""

    def __init__(self, cluster: EmbeddedCluster, schema: str = "") -> None:
        self._cluster, self._schema = cluster, schema
        self._work: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        """Names to drop; an empty one: look what is to be made; None: the end."""
        self._ready: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
        self._count = 0
        self._thread = threading.Thread(target=self._main, name="aurora-fresh-databases", daemon=True)

    def __enter__(self) -> Self:
        for _ in range(AHEAD):
            self._work.put("")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._work.put(None)
        self._thread.join()

    def take(self) -> FreshDatabase:
        """A database that nobody has used; waits for it when tests come faster than databases. What failed in making
        it is raised here."""
        try:
            made = self._ready.get(timeout=TAKE_TIMEOUT_S)
        except queue.Empty:
            raise TimeoutError(f"no fresh database after {TAKE_TIMEOUT_S:g} s") from None
        if isinstance(made, BaseException):
            self._ready.put(made)
            raise made
        self._work.put("")
        return FreshDatabase(made, self._cluster)

    def give_back(self, database: FreshDatabase) -> None:
        """It is dropped soon, whoever is still connected to it."""
        self._work.put(database.name)

    def _main(self) -> None:
        with contextlib.ExitStack() as open_now:
            try:
                self._work_through(open_now)
            except BaseException as error:
                self._ready.put(error)

    def _work_through(self, open_now: contextlib.ExitStack) -> None:
        """Until the end is asked for. Raises what cannot be helped by another connection."""
        import psycopg

        connection, template, deadline = None, False, 0.0
        todo = self._work.get()
        while todo is not None:
            try:
                if connection is None:
                    connection = open_now.enter_context(
                        contextlib.closing(psycopg.connect(self._cluster.dsn, autocommit=True))
                    )
                if not template:
                    self._make_template(connection)
                    template = True
                self._do(connection, todo)
            except psycopg.OperationalError:
                open_now.close()
                connection, deadline = None, deadline or time.monotonic() + TAKE_TIMEOUT_S
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN_S)
                continue
            deadline, todo = 0.0, self._work.get()

    def _make_template(self, connection: psycopg.Connection) -> None:
        import psycopg

        connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")  # of the last time, in a kept folder
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
        if self._schema:
            dsn = dsn_of([self._cluster.address], TEMPLATE)
            with psycopg.connect(dsn, autocommit=True) as inside:
                inside.execute(self._schema.encode())

    def _do(self, connection: psycopg.Connection, name: str) -> None:
        if name:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            return
        self._count += 1
        made = f"aurora_fresh_{self._count}"
        connection.execute(f"DROP DATABASE IF EXISTS {made} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {made} TEMPLATE {TEMPLATE}".encode())
        self._ready.put(made)
