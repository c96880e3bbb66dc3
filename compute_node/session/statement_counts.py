"""What is counted by statement: the rows of ``pg_stat_statements`` (manual, F.32).

```
compile_statement ─ watch ─► executable whose run, rows and fetch_all count ─► Counted, by (user, database, id, level)
utility.execute ─ run_utility ─►                                              ┘
```

An instance that has ``pg_stat_statements`` in ``shared_preload_libraries`` has one ``StatementCounts``
(``PlanCache.counts``); in one that has not, no statement's path knows of it. Times are in ms, as the view shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Final

from pglast import ast

from compute_node.exec.several import SeveralQueries
from compute_node.session.query_ids import TEXT_CHARACTERS, Shape, trimmed, utility_id

if TYPE_CHECKING:
    from aurora.datum import Datum
    from compute_node.exec.context import ExecContext
    from compute_node.exec.executable import Executable
    from compute_node.exec.nodes.base import Batch
    from compute_node.session.state import SessionState
    from compute_node.session.statement import Params, Statement
    from compute_node.sql.parse import RawStatement

LIBRARY: Final = "pg_stat_statements"
"""its name in shared_preload_libraries"""
_MS: Final = 1000.0
_UNHANDLED: Final = (ast.ExecuteStmt, ast.PrepareStmt, ast.DeallocateStmt)
"""Utility statements that are not counted: what EXECUTE runs is, as if it had been sent itself."""
_WITH_ROWS: Final = ("COPY", "FETCH", "SELECT")
_LEAST_USED: Final = 20
"""one in so many goes when there are too many"""
_LEAST_GONE: Final = 10
_STICKS: Final = 0.99
"""how much of a statement's use is left each time that others have to go"""

Key = tuple[int, int, int, bool]
"""user, database, identifier, whether the client itself has sent it"""


class Times:
    """How often, and how long in ms: sum, least, most, mean, and the sum of squares of what differs from the mean."""

    __slots__ = ("calls", "greatest", "least", "mean", "squares", "total")

    def __init__(self) -> None:
        self.calls = 0
        self.total = self.least = self.greatest = self.mean = self.squares = 0.0

    def add(self, ms: float) -> None:
        """One more (Welford's method)."""
        self.calls = calls = self.calls + 1
        self.total += ms
        if calls == 1:
            self.least = self.greatest = self.mean = ms
            return
        off = ms - self.mean
        self.mean = mean = self.mean + off / calls
        self.squares += off * (ms - mean)
        if ms < self.least:
            self.least = ms
        elif ms > self.greatest:
            self.greatest = ms

    @property
    def deviation(self) -> float:
        """The standard deviation of the population."""
        return float((self.squares / self.calls) ** 0.5) if self.calls > 1 else 0.0


class Counted:
    """One statement of one user in one database. ``text`` is None when it is too long to be kept."""

    __slots__ = ("is_kept", "planned", "rows", "run", "text", "usage")

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.run, self.planned = Times(), Times()
        self.rows = 0
        self.usage = 0.0
        self.is_kept = True
        """whether it is still in the table"""


class StatementCounts:
    """All of an instance. ``most``: how many are kept; ``clock`` gives µs since 2000-01-01 UTC."""

    def __init__(self, most: int, clock: Callable[[], int]) -> None:
        self.kept: dict[Key, Counted] = {}
        self.dealloc = 0
        """how often the least used have been thrown out"""
        self._most = most
        self._clock = clock
        self.reset_us = clock()
        """when all were reset last"""

    def reset(self, user: int, database: int, query_id: int) -> None:
        """Forget those of a user, of a database and of an identifier; 0 stands for each of them."""
        for key in list(self.kept):
            if all(not asked or asked == has for asked, has in zip((user, database, query_id), key, strict=False)):
                self.kept.pop(key).is_kept = False
        if not (user or database or query_id):
            self.dealloc = 0
            self.reset_us = self._clock()

    def entry(self, key: Key, text: str | None) -> Counted:
        """The one of a key."""
        found = self.kept.get(key)
        if found is None:
            if len(self.kept) >= self._most:
                self._make_room()
            found = self.kept[key] = Counted(text)
        return found

    def _make_room(self) -> None:
        for each in self.kept.values():
            each.usage *= _STICKS
        gone = min(len(self.kept), max(_LEAST_GONE, len(self.kept) // _LEAST_USED))
        for key in sorted(self.kept, key=lambda key: self.kept[key].usage)[:gone]:
            self.kept.pop(key).is_kept = False
        self.dealloc += 1

    # ---- queries ----

    def watch(
        self,
        session: SessionState,
        executable: Executable,
        statement: RawStatement,
        source: str,
        param_types: list[int],
        planning_s: float,
    ) -> None:
        """From now on count the runs of a query that has just been planned, in whatever session it runs."""
        shape = Shape(statement.node, session.engine.catalog.view(session), param_types)
        watched = _Watched(self, shape.query_id, shape.text(source, statement.start, statement.length))
        if session.settings.get("pg_stat_statements.track_planning") and session.tracks > (session.count_level > 0):
            watched.entry(session, session.count_level).planned.add(planning_s * _MS)
        if not executable.is_point:
            executable.rows = watched.rows(executable.rows)
        executable.fetch_all = watched.fetch_all(executable.fetch_all)
        executable.run = watched.run(executable.run)
        if isinstance(executable, SeveralQueries):
            executable.run_showing = watched.run(executable.run_showing)

    # ---- utility statements ----

    def run_utility(self, session: SessionState, statement: Statement, run: Callable[[], str]) -> str:
        """Run a utility statement, and count it if such are; what it runs is a level deeper. Returns its tag."""
        level = session.count_level
        counts = bool(session.settings.get("pg_stat_statements.track_utility")) and session.tracks > (level > 0)
        if isinstance(statement.node, _UNHANDLED):
            return run()
        session.count_level = level + 1
        began = perf_counter()
        try:
            tag = run()
        finally:
            session.count_level = level
        if counts:
            word, _, last = tag.rpartition(" ")
            rows = int(last) if word.split(" ")[0] in _WITH_ROWS and last.isdigit() else 0
            self._add_utility(session, level, statement.source, perf_counter() - began, rows)
        return tag

    def counting(
        self, run: Callable[[SessionState], bytes] | None, source: str
    ) -> Callable[[SessionState], bytes] | None:
        """What runs a plain BEGIN, COMMIT or ROLLBACK, and counts it."""
        if run is None:
            return None

        def run_counted(session: SessionState) -> bytes:
            if not session.tracks or not session.settings.get("pg_stat_statements.track_utility"):
                return run(session)
            began = perf_counter()
            done = run(session)
            self._add_utility(session, 0, source, perf_counter() - began, 0)
            return done

        return run_counted

    def _add_utility(self, session: SessionState, level: int, source: str, seconds: float, rows: int) -> None:
        text = trimmed(source)
        key = (session.user_oid, session.engine.database_oid, utility_id(text), not level)
        found = self.entry(key, text if len(text) <= TEXT_CHARACTERS else None)
        found.run.add(seconds * _MS)
        found.rows += rows
        found.usage += 1


class _Watched:
    """A query whose runs count."""

    __slots__ = ("_counts", "_known", "_query_id", "_text")

    def __init__(self, counts: StatementCounts, query_id: int, text: str | None) -> None:
        self._counts, self._query_id, self._text = counts, query_id, text
        self._known: dict[tuple[int, int, bool], Counted] = {}
        """where the runs of (user, database, level) are counted: as a rule there is one"""

    def entry(self, session: SessionState, level: int) -> Counted:
        """What counts a run."""
        place = (session.user_oid, session.engine.database_oid, not level)
        found = self._known.get(place)
        if found is None or not found.is_kept:
            key = (place[0], place[1], self._query_id, place[2])
            found = self._known[place] = self._counts.entry(key, self._text)
        return found

    def _add(self, session: SessionState, level: int, seconds: float, rows: int) -> None:
        found = self.entry(session, level)
        found.run.add(seconds * _MS)
        found.rows += rows
        found.usage += 1

    def run(self, run: Callable[..., int]) -> Callable[..., int]:
        """``Executable.run``: a number of rows."""

        def run_counted(ctx: ExecContext, params: Params, *more: Datum) -> int:
            session = _session(ctx)
            level = session.count_level
            if session.tracks <= (level > 0):
                return run(ctx, params, *more)
            session.count_level = level + 1
            began = perf_counter()
            try:
                count = run(ctx, params, *more)
            finally:
                session.count_level = level
            self._add(session, level, perf_counter() - began, count)
            return count

        return run_counted

    def fetch_all(self, fetch: Callable[[ExecContext, Params], Batch]) -> Callable[[ExecContext, Params], Batch]:
        """``Executable.fetch_all``: all rows."""

        def fetch_counted(ctx: ExecContext, params: Params) -> Batch:
            session = _session(ctx)
            level = session.count_level
            if session.tracks <= (level > 0):
                return fetch(ctx, params)
            session.count_level = level + 1
            began = perf_counter()
            try:
                found = fetch(ctx, params)
            finally:
                session.count_level = level
            self._add(session, level, perf_counter() - began, len(found))
            return found

        return fetch_counted

    def rows(
        self, rows: Callable[[ExecContext, Params], Iterator[Batch]]
    ) -> Callable[[ExecContext, Params], Iterator[Batch]]:
        """``Executable.rows``: batches, which are taken as they are wanted; the time between them is none of it."""

        def rows_watched(ctx: ExecContext, params: Params) -> Iterator[Batch]:
            session = _session(ctx)
            first = session.count_level
            batches = rows(ctx, params)
            return batches if session.tracks <= (first > 0) else rows_counted(session, first, batches)

        def rows_counted(session: SessionState, first: int, batches: Iterator[Batch]) -> Iterator[Batch]:
            seconds, count = 0.0, 0
            try:
                while True:
                    level = session.count_level
                    session.count_level = level + 1
                    began = perf_counter()
                    try:
                        batch = next(batches, None)
                    finally:
                        session.count_level = level
                    seconds += perf_counter() - began
                    if batch is None:
                        break
                    count += len(batch)
                    yield batch
            except GeneratorExit:  # no more are wanted: that is how it ends
                self._close(batches)
                self._add(session, first, seconds, count)
                raise
            self._add(session, first, seconds, count)

        return rows_watched

    @staticmethod
    def _close(batches: Iterator[Batch]) -> None:
        end = getattr(batches, "close", None)
        if end is not None:
            end()


def _session(ctx: ExecContext) -> SessionState:
    session: SessionState = ctx.session  # type: ignore[assignment]
    return session
