"""Portals and cursors: a statement, its parameters and how far the client has fetched.

A portal of the extended protocol and a cursor of DECLARE are the same thing; they share one name space, as in
PostgreSQL. Rows come from the executor as they are fetched. A portal that has to go back keeps its rows as they pass:
a SCROLL cursor from the start, another one that may scroll from the first time it does (its statement is then run
again, under its own snapshot, up to where it stands). A cursor WITH HOLD takes its rows along when its transaction
commits. Positions are counted as PostgreSQL's portals count them (src/backend/tcop/pquery.c, DoPortalRunFetch).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import InvariantViolation, ObjectNotInPrerequisiteState
from compute_node.session import door
from compute_node.session.door import ALL, BATCH_ROWS, Execution
from compute_node.session.kept_rows import KeptRows
from compute_node.session.results import ResultFormat
from compute_node.session.sinks import NO_ROWS, Sink
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement

if TYPE_CHECKING:
    from compute_node.session.current_rows import Addresses
    from compute_node.txn.horizon import Hold


class Portal:
    """One open portal. ``position`` is the number of the row it stands on, or with ``at_end`` of the last row;
    ``level`` how many savepoints were open when it was made; ``failed``: it cannot be run (again); ``tag`` and
    ``result``: of a utility statement that has run."""

    __slots__ = (
        "_base", "_execution", "_hold", "_kept", "_started", "addresses", "at_end", "at_start", "created", "declared",
        "failed", "formats", "held", "level", "name", "params", "position", "result", "row", "scroll", "sql",
        "statement", "tag", "with_hold",
    )  # fmt: skip

    def __init__(
        self, name: str, statement: Statement | None, params: Params = (), formats: bytes = b"", sql: str = ""
    ) -> None:
        self.name, self.statement, self.params, self.formats, self.sql = name, statement, params, formats, sql
        self._execution: Execution | None = None
        self._hold: Hold | None = None
        self._kept: KeptRows | None = None
        self._base = 0
        self._started = False
        self.tag: str | None = None
        self.result: ResultFormat | None = None
        self.position = 0
        self.at_start, self.at_end = True, False
        self.scroll = self.with_hold = self.held = self.declared = self.failed = False
        self.created = self.level = 0
        self.addresses: Addresses | None = None
        """what behind the columns of its rows says where these came from, of a cursor that UPDATE may name"""
        self.row: Row | None = None
        """with ``addresses``: the row that was given last"""

    def hold_horizon(self, session: SessionState) -> None:
        """Its statement ends and rows are left: from now on it holds the row horizon itself, until it has given its
        last row, is closed, or the transaction ends."""
        if self._execution is not None and self._hold is None and not (self.at_end and not self.scroll):
            context = self._execution.context
            self._hold = session.engine.txns.hold(context.snapshot.lsn, "portal", context.txn)

    def reads(self, lock_id: int) -> bool:
        """Whether it has rows yet to take from the relation with that lock."""
        if self._execution is None or self.statement is None:
            return False
        return any(lock_id == held for held, _ in self.statement.locks.modes)

    def start(self, session: SessionState) -> None:
        """Begin execution, once."""
        if not self._started and self.statement is not None:
            self._started = True
            self._execution = door.start(session, self.statement, self.params)

    def keep_rows(self, session: SessionState) -> None:
        """From here on rows are kept as they pass, in memory or past ``work_mem`` in a file; those passed already are
        computed again."""
        if self._kept is not None:
            return
        self._kept = KeptRows(session)
        if self.position and self._execution is not None:
            self._execution.restart()
            self._read_to(self.position)

    def give(self, session: SessionState, rows: list[Row], result: ResultFormat) -> None:
        """The rows of a utility statement."""
        self._kept, self.result = KeptRows(session), result
        for at in range(0, len(rows), BATCH_ROWS):
            self._kept.add(rows[at : at + BATCH_ROWS])

    def read_all(self, session: SessionState) -> None:
        """Run to the end, and keep the rows."""
        self.keep_rows(session)
        self._read_to(ALL)

    def _read_to(self, number: int) -> None:
        """Keep rows up to that one, as far as there are."""
        kept = self._kept
        if kept is None or self._execution is None:
            return
        while (missing := number - self._base - len(kept)) > 0:
            batch = self._execution.take(min(missing, BATCH_ROWS))
            if not batch:
                self.end_scan()
                return
            kept.add(batch)

    def forward(self, count: int, sink: Sink) -> int:
        """Give the sink at most ``count`` rows; returns how many."""
        if self.at_end or count <= 0:
            return 0
        sent = 0
        while sent < count:
            batch = self._next(min(count - sent, BATCH_ROWS))
            if not batch:
                self.at_end = True
                if not self.scroll:
                    self.end_scan()
                break
            sent += len(batch)
            self.position += len(batch)
            self.at_start = False
            self._give(sink, batch)
        return sent

    def _give(self, sink: Sink, batch: list[Row]) -> None:
        if self.addresses is None:
            sink.rows(batch)
            return
        width = self.addresses.width
        self.row = batch[-1]
        sink.rows([row[:width] for row in batch])

    def _next(self, limit: int) -> list[Row]:
        if self._kept is None:
            return [] if self._execution is None else self._execution.take(limit)
        at = self.position - self._base
        if at >= len(self._kept):
            self._read_to(self.position + limit)
        return self._kept.rows(at, at + limit)

    def has_more(self) -> bool:
        """Whether another row follows; may read ahead."""
        if self.at_end:
            return False
        if self._kept is not None and self.position - self._base < len(self._kept):
            return True
        return self._execution is not None and self._execution.has_more()

    def _must_scroll(self) -> None:
        if not self.scroll:
            raise ObjectNotInPrerequisiteState(
                "cursor can only scan forward", hint="Declare it with SCROLL option to enable backward scan."
            )

    def backward(self, session: SessionState, count: int, sink: Sink) -> int:
        """As ``forward``, the other way. Raises 55000 for a cursor that cannot."""
        self._must_scroll()
        if self.at_start or count <= 0:
            return 0
        self.keep_rows(session)
        if self._kept is None:
            raise InvariantViolation("a portal that scrolls keeps no rows")
        last = self.position if self.at_end else self.position - 1
        passed = min(count, last)
        for end in range(last, last - passed, -BATCH_ROWS):
            self._give(sink, self._kept.rows(max(end - BATCH_ROWS, last - passed), end)[::-1])
        if passed < count:
            self.at_start, self.position = True, 0
        else:
            self.position = last - passed + 1
        if passed:
            self.at_end = False
        return passed

    def rewind(self, session: SessionState) -> None:
        """Back before the first row."""
        if self.at_start and not self.at_end:
            return
        self._must_scroll()
        self.keep_rows(session)
        self.at_start, self.at_end, self.position = True, False, 0

    def fetch(self, session: SessionState, kind: str, count: int, sink: Sink, moving: bool = False) -> int:
        """FETCH and MOVE: forward, backward, absolute or relative; returns the number of rows of the tag."""
        if self.failed:
            raise ObjectNotInPrerequisiteState(f'portal "{self.name}" cannot be run')
        self.start(session)
        if kind == "absolute":
            return self._absolute(session, count, sink)
        if kind == "relative" and count > 0:
            self.forward(count - 1, NO_ROWS)
            return self.forward(1, sink)
        if kind == "relative" and count < 0:
            if count < -1:
                self.backward(session, -count - 1, NO_ROWS)
            return self.backward(session, 1, sink)
        if kind == "backward":
            count = -count
        if count == 0:
            return self._again(session, sink, moving)
        if count < 0 and -count == ALL and moving:
            passed = self.position - (self.position > 0 and not self.at_end)
            self.rewind(session)
            return passed
        return self.forward(count, sink) if count > 0 else self.backward(session, -count, sink)

    def _again(self, session: SessionState, sink: Sink, moving: bool) -> int:
        """FETCH 0: the row that it stands on, once more."""
        on_row = not self.at_start and not self.at_end
        if not on_row or moving:
            return int(on_row)
        self.backward(session, 1, NO_ROWS)
        return self.forward(1, sink)

    def _absolute(self, session: SessionState, count: int, sink: Sink) -> int:
        if count == 0:
            self.rewind(session)
            return 0
        if count < 0:
            self.forward(ALL, NO_ROWS)
            if count < -1:
                self.backward(session, -count - 1, NO_ROWS)
            return self.backward(session, 1, sink)
        if count - 1 <= self.position // 2:
            self.rewind(session)
            self.forward(count - 1, NO_ROWS)
        else:
            here = self.position + self.at_end
            if count <= here:
                self.backward(session, here - count + 1, NO_ROWS)
            else:
                self.forward(count - here - 1, NO_ROWS)
        return self.forward(1, sink)

    def hold_rows(self, session: SessionState) -> bool:
        """At commit: a WITH HOLD cursor takes its rows along, all of them when it may scroll; True when it stays."""
        if not self.with_hold or self.failed:
            return False
        if not self.held:
            self.start(session)
            if self.scroll:
                self.keep_rows(session)
            elif self._kept is None:
                self._kept, self._base = KeptRows(session), self.position
            self._read_to(ALL)
            self.end_scan()
            self.held = True
        return True

    def close(self) -> None:
        """It gives no more rows."""
        self.end_scan()
        if self._kept is not None:
            self._kept.close()

    def end_scan(self) -> None:
        """Nothing more is read from the executor."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None
        execution, self._execution = self._execution, None
        if execution is not None:
            execution.close()
