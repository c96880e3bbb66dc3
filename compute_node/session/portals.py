"""Portals and cursors: a plan, its parameters and how far the client has fetched.

A portal of the extended protocol and a cursor of DECLARE are the same thing; they share one name space, as in
PostgreSQL. Rows come in batches from the executor; what a row limit leaves over waits in ``_pending``. A cursor WITH
HOLD keeps its rows when its transaction commits; a SCROLL cursor keeps all of them from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aurora.errors import NotSupported, ObjectNotInPrerequisiteState
from compute_node.session.plans import Plan

if TYPE_CHECKING:
    from compute_node.session.session import Session
    from compute_node.txn.horizon import Hold

ALL = 9223372036854775807


class Portal:
    """One open portal. ``outcome`` holds a utility statement's rows once it has run; ``done``: it ran to its end."""

    __slots__ = (
        "_batches", "_hold", "_lsn", "_pending", "count", "created", "declared", "done", "formats", "held", "name",
        "outcome", "params", "plan", "position", "rows", "scroll", "sql", "with_hold",
    )  # fmt: skip

    def __init__(
        self, name: str, plan: Plan | None, params: tuple[Any, ...], formats: bytes = b"", sql: str = ""
    ) -> None:
        self.name, self.plan, self.params, self.formats, self.sql = name, plan, params, formats, sql
        self._batches: Iterator[list[tuple[Any, ...]]] | None = None
        self._pending: list[tuple[Any, ...]] = []
        self._lsn = 0
        self._hold: Hold | None = None
        self.rows: list[tuple[Any, ...]] | None = None
        self.outcome: Any = None
        self.position = 0
        self.count = 0
        self.done = False
        self.scroll = self.with_hold = self.held = self.declared = False
        self.created = 0

    def start(self, session: Session) -> None:
        """Begin execution, once; a SCROLL cursor reads all its rows now."""
        if self._batches is None and self.rows is None and self.plan is not None:
            self.run_in(session.begin_statement(self.plan.source))
            if self.scroll:
                self._materialize()

    def run_in(self, context: Any) -> None:
        """Begin execution in a statement that has begun."""
        if self.plan is not None:
            self._lsn = context.snapshot.lsn
            self._batches = iter(self.plan.rows(context, self.params))

    def keep(self, session: Session) -> None:
        """Its statement ends and rows are left: from now on it holds the row horizon itself, until it has given its
        last row, is closed, or the transaction ends."""
        if self._batches is not None and self._hold is None:
            self._hold = session.engine.txns.hold(self._lsn, "portal", session.txn)

    def _end_scan(self) -> None:
        self._batches = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def close(self) -> None:
        """It gives no more rows."""
        self._end_scan()
        self._pending = []

    def _materialize(self) -> None:
        rows = list(self._pending)
        for batch in self._batches or ():
            rows += batch
        self.rows, self._pending = rows, []
        self._end_scan()

    def next_batch(self, limit: int) -> list[tuple[Any, ...]]:
        """At most ``limit`` more rows; an empty list is the end."""
        if self.rows is not None:
            batch = self.rows[self.position : self.position + limit]
            self.position += len(batch)
            return batch
        while not self._pending:
            if self._batches is None:
                return []
            following = next(self._batches, None)
            if following is None:
                self._end_scan()
                return []
            self._pending = following
        batch = self._pending[:limit]
        self._pending = self._pending[limit:]
        self.position += len(batch)
        return batch

    def has_more(self) -> bool:
        """Whether another row follows; may read ahead."""
        if self.rows is not None:
            return self.position < len(self.rows)
        while not self._pending and self._batches is not None:
            following = next(self._batches, None)
            if following is None:
                self._end_scan()
            else:
                self._pending = following
        return bool(self._pending)

    def forward(self, count: int) -> list[tuple[Any, ...]]:
        """FETCH FORWARD count."""
        rows: list[tuple[Any, ...]] = []
        while len(rows) < count:
            batch = self.next_batch(count - len(rows))
            if not batch:
                self.done = True
                break
            rows += batch
        return rows

    def fetch(self, kind: str, count: int) -> list[tuple[Any, ...]]:
        """FETCH's directions: forward, backward, absolute, relative. Raises 55000 for going back without SCROLL."""
        if kind == "forward" and count >= 0:
            if count == 0:
                return self._here()
            return self.forward(count)
        if self.rows is None:
            if kind == "relative" and count > 0:
                return self.forward(count)[count - 1 : count]
            if kind == "absolute" and count > self.position:
                return self.forward(count - self.position)[-1:]
            if kind == "relative" and count == 0:
                return self._here()
            raise ObjectNotInPrerequisiteState(
                "cursor can only scan forward", hint="Declare it with SCROLL option to enable backward scan."
            )
        return self._scroll(kind, count)

    def _here(self) -> list[tuple[Any, ...]]:
        if self.rows is None:
            if self.position == 0:
                return []
            raise NotSupported("reading a forward-only cursor's current row again is not supported: declare it SCROLL")
        index = self.current() - 1
        return [self.rows[index]] if 0 <= index < len(self.rows) else []

    def current(self) -> int:
        """The number of the row the cursor is on: 0 before the first, rows + 1 after the last."""
        total = len(self.rows or ())
        return total + 1 if self.done and self.position >= total else self.position

    def _scroll(self, kind: str, count: int) -> list[tuple[Any, ...]]:
        rows = self.rows or []
        here, total = self.current(), len(rows)
        if kind in ("forward", "backward"):
            steps = count if kind == "forward" else -count
            if steps >= 0:
                return self.forward(steps) if steps else self._here()
            first = max(here + steps, 0) if -steps < ALL else 0
            taken = rows[first if first else 0 : max(here - 1, 0)]
            wanted = taken[::-1] if first == 0 else rows[first - 1 : here - 1][::-1]
            self._move(first, total)
            return wanted
        target = here + count if kind == "relative" else count if count >= 0 else total + 1 + count
        self._move(max(min(target, total + 1), 0), total)
        return [rows[target - 1]] if 1 <= target <= total else []

    def _move(self, number: int, total: int) -> None:
        self.position, self.done = min(number, total), number > total

    def hold_rows(self, session: Session) -> bool:
        """At commit: a WITH HOLD cursor takes its remaining rows along; True when it stays."""
        if not self.with_hold:
            return False
        if self.rows is None:
            self.start(session)
            position = self.position
            self._materialize()
            if not self.scroll and self.rows is not None:
                self.rows, self.position = self.rows, 0
            else:
                self.position = position
        self.held = True
        return True
