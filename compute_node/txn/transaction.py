"""One transaction: its xids, commands, dependencies and what it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compute_node.hub import Waiter

READ_COMMITTED = "read committed"


class Level:
    """A transaction or savepoint level: ``xid`` 0 until its first write, ``xids`` with those of released levels
    below."""

    __slots__ = ("created", "dropped", "name", "xid", "xids")

    def __init__(self, name: str) -> None:
        self.name = name
        self.xid = 0
        self.xids: list[int] = []
        self.created: list[int] = []
        self.dropped: list[int] = []


class Txn:
    """``write_xid`` is the current level's xid, 0 before its first write; ``own`` the set of all its live xids,
    shared with its snapshots; ``cid`` the current command. ``follow``: rows changed since the snapshot are followed
    (READ COMMITTED) instead of failing with 40001. ``dep_lsn``: output depends on this LSN being durable."""

    __slots__ = (
        "_on_abort",
        "_on_commit",
        "catalog",
        "catalog_changed",
        "cid",
        "deferrable",
        "dep_lsn",
        "ended",
        "follow",
        "held",
        "isolation",
        "levels",
        "oldest_lsn",
        "own",
        "read_only",
        "row_locks",
        "row_queues",
        "session",
        "snapshot_lsn",
        "start_us",
        "table_locks",
        "waiters",
        "waiting",
        "weak_locks",
        "write_xid",
    )

    def __init__(self, isolation: str, read_only: bool, deferrable: bool, session: Any) -> None:
        self.session = session
        self.isolation = isolation
        self.read_only = read_only
        self.deferrable = deferrable
        self.follow = isolation in (READ_COMMITTED, "read uncommitted")
        self.write_xid = 0
        self.own: set[int] = set()
        self.cid = 0
        self.dep_lsn: int = 0 if session is None else session.dep_lsn
        self.snapshot_lsn = 0
        self.oldest_lsn = 0
        self.held: list[int] = []
        self.levels = [Level("")]
        self.catalog: Any = None
        self.catalog_changed = False
        self.table_locks: dict[int, int] = {}
        self.weak_locks: set[Any] = set()
        self.row_locks: dict[Any, int] = {}
        self.row_queues: dict[tuple[int, int], Any] = {}
        self.waiters: list[Waiter] = []
        self.waiting: Any = None
        self.ended = False
        self.start_us = 0
        self._on_commit: list[Callable[[int], None]] = []
        self._on_abort: list[Callable[[], None]] = []

    @property
    def xid(self) -> int | None:
        """The top-level xid; None before the first write."""
        return self.levels[0].xid or None

    @property
    def pid(self) -> int:
        """The session's process id in messages; 0 without a session."""
        return int(getattr(self.session, "pid", 0) or 0)

    def depend(self, lsn: int) -> None:
        """What this transaction shows from now on depends on ``lsn`` being durable."""
        if lsn > self.dep_lsn:
            self.dep_lsn = lsn
        session = self.session
        if session is not None and lsn > session.dep_lsn:
            session.dep_lsn = lsn

    def on_commit(self, callback: Callable[[int], None]) -> None:
        """Call with the commit LSN right after the commit record is in the log. It must neither raise nor wait."""
        self._on_commit.append(callback)

    def on_abort(self, callback: Callable[[], None]) -> None:
        """Call after an abort of the whole transaction. It must neither raise nor wait."""
        self._on_abort.append(callback)

    def hold(self, lsn: int) -> None:
        """A cursor keeps reading at snapshot ``lsn`` beyond this statement."""
        self.held.append(lsn)

    def unhold(self, lsn: int) -> None:
        """The cursor is closed."""
        self.held.remove(lsn)
