"""The one door: every statement that runs a plan goes through here.

```
Statement + parameters ─ begin ─► ExecContext ─ executable ─► batches ─► Sink
```

``begin`` is where a statement starts, whoever asked for it: the wire's two protocols, cursors, COPY, EXPLAIN ANALYZE,
EXECUTE, DDL's own queries, functions. What must hold for each run (privileges; later statistics and row security) has
its place there, once. ``run`` runs to the end; ``start`` gives an ``Execution``, of which a portal takes as much as the
client asks for. ``turn.run_point`` is the inlined twin of ``run`` for the packet that prepared statements come as; a
test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Row
from compute_node.exec.context import ExecContext
from compute_node.exec.several import SeveralQueries, Show
from compute_node.session import transactions
from compute_node.session.read_only import check_write
from compute_node.session.sinks import NO_ROWS, Sink
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot


BATCH_ROWS = 2048
"""Rows that go to a sink at once."""
ALL = 9223372036854775807
"""FETCH ALL"""


def begin(session: SessionState, statement: Statement, snapshot: Snapshot | None = None) -> ExecContext:
    """Begin one run: who may, since when, under which snapshot. The statement is current, and its relation locks are
    held (``prepare.is_ready``). ``snapshot``: run under this one; None: under one of now."""
    if not statement.executable.sound:
        statement.executable.check()
    statement.tally.runs += 1
    return begin_text(session, statement.source, snapshot)


def allowed(session: SessionState, statement: Statement) -> Statement:
    """What runs for a statement that writes: itself, or on a reader perhaps one that has the writer run it. 25006."""
    txn = session.txn or transactions.ensure(session)
    return check_write(session, statement) if txn.read_only else statement


def begin_text(session: SessionState, source: str, snapshot: Snapshot | None = None) -> ExecContext:
    """Book-keeping at the start of a statement: its transaction, times, the engine's context. Those of a function's
    statements are their caller's."""
    if not session.depth:
        session.query = source
        session.query_start = session.env.statement_timestamp = now_us = session.clock()
        if session.txn is None:
            transactions.ensure(session, now_us)
        session.statements_in_txn += 1
    return session.engine.begin_statement(session, snapshot)


def run(
    session: SessionState, statement: Statement, params: Params, sink: Sink, snapshot: Snapshot | None = None
) -> int:
    """Run a statement to its end; returns how many rows it gave or, without a result, affected."""
    if statement.writes:
        statement = allowed(session, statement)
    context = begin(session, statement, snapshot)
    executable = statement.executable
    if statement.columns is None:
        return int(executable.run(context, params))
    sink.begin()
    if statement.is_point:
        rows = executable.fetch_all(context, params)
        if rows:
            sink.rows(rows)
        count = len(rows)
    else:
        count = Execution(context, statement, params).pump(sink, ALL)
    sink.end()
    # One that has come since the last batch, or that the statement asked for itself.
    if session.interrupt_error is not None:
        session.check_interrupts()
    return count


def run_showing(session: SessionState, statement: Statement, params: Params, show: Show) -> int:
    """As ``run``, for a statement without a result: what other queries give that rules have put beside it goes to
    ``show``."""
    running = allowed(session, statement) if statement.writes else statement
    if not isinstance(running.executable, SeveralQueries):
        return run(session, running, params, NO_ROWS)
    return running.executable.run_showing(begin(session, running), params, show)


def start(session: SessionState, statement: Statement, params: Params, snapshot: Snapshot | None = None) -> Execution:
    """Begin a statement with a result; its rows come as they are taken."""
    if statement.writes:
        statement = allowed(session, statement)
    return Execution(begin(session, statement, snapshot), statement, params)


def finds(session: SessionState, statement: Statement, params: Params, snapshot: Snapshot | None = None) -> bool:
    """Whether a statement with a result gives a row; no more than one is asked for."""
    if statement.is_point:
        if statement.writes:
            statement = allowed(session, statement)
        return bool(statement.executable.fetch_all(begin(session, statement, snapshot), params))
    execution = start(session, statement, params, snapshot)
    try:
        return execution.has_more()
    finally:
        execution.close()


class Execution:
    """A statement under way: batches come from the executor as somebody takes rows."""

    __slots__ = ("_at", "_batch", "_batches", "_params", "context", "statement")

    def __init__(self, context: ExecContext, statement: Statement, params: Params) -> None:
        self.context = context
        self.statement = statement
        self._params = params
        self._batches: Iterator[list[Row]] | None = iter(statement.executable.rows(context, params))
        self._batch: list[Row] = []
        self._at = 0

    def restart(self) -> None:
        """From the first row again, in the same context and so under the same snapshot."""
        self.close()
        self._batches = iter(self.statement.executable.rows(self.context, self._params))

    def has_more(self) -> bool:
        """Whether another row follows; may read ahead, by one batch of the executor."""
        while self._at >= len(self._batch):
            if self._batches is None:
                return False
            following = next(self._batches, None)
            if following is None:
                self.close()
                return False
            self._batch, self._at = following, 0
        return True

    def take(self, limit: int) -> list[Row]:
        """At most ``limit`` more rows; none is the end."""
        if not self.has_more():
            return []
        at, batch = self._at, self._batch
        if not at and len(batch) <= limit:
            self._at = len(batch)
            return batch
        taken = batch[at : at + limit]
        self._at = at + len(taken)
        return taken

    def batches(self) -> Iterator[list[Row]]:
        """The rows that are left, a batch at a time."""
        while batch := self.take(BATCH_ROWS):
            yield batch

    def pump(self, sink: Sink, limit: int) -> int:
        """Give the sink at most ``limit`` rows; returns how many it got."""
        sent = 0
        while sent < limit:
            batch = self.take(min(limit - sent, BATCH_ROWS))
            if not batch:
                break
            sent += len(batch)
            sink.rows(batch)
        return sent

    def close(self) -> None:
        """No more rows are wanted."""
        batches, self._batches = self._batches, None
        self._batch, self._at = [], 0
        if batches is not None and (end := getattr(batches, "close", None)) is not None:
            end()
