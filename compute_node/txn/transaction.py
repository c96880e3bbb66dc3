"""One transaction: its xids, commands, dependencies and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from aurora.ids import NO_LSN, NO_XID, Lsn, RelFile, Xid
from compute_node.hub import Waiter
from compute_node.txn.counts import LevelCounts
from compute_node.txn.dependency import Dependency
from compute_node.txn.horizon import Hold

if TYPE_CHECKING:
    from compute_node.txn.interface import TxnChanges, TxnEvents, TxnSession
    from compute_node.txn.locks import RowHolders, RowQueue, Waiting, WeakLocks
    from compute_node.txn.serializable import SerialTxn


READ_COMMITTED, SERIALIZABLE = "read committed", "serializable"
_NO_LOCKS: Mapping[int, int] = MappingProxyType({})
_NONE: frozenset[int] = frozenset()
_T = TypeVar("_T")


class Level(LevelCounts):
    """A transaction or savepoint level: ``xid`` 0 until its first write, ``xids`` with those of released levels
    below. ``table_locks`` and ``weak_locks``: what the transaction held when the savepoint was set."""

    __slots__ = ("created", "dropped", "name", "table_locks", "weak_locks", "xid", "xids")

    def __init__(
        self, name: str, table_locks: Mapping[int, int] = _NO_LOCKS, weak_locks: frozenset[WeakLocks] = frozenset()
    ) -> None:
        self.name = name
        self.table_locks = table_locks
        self.weak_locks = weak_locks
        self.xid: Xid = NO_XID
        self.xids: list[Xid] = []
        self.created: list[RelFile] = []
        self.dropped: list[RelFile] = []
        self.rows = []
        self.changes = self.emptied = self.lost = None


class Ties:
    """What a transaction has to give back or tell when it ends, and who hangs on it. Most transactions are single reads
    and never have any: they end without a look at it (``TransactionManager.retire``). Whatever outlives a statement
    belongs here, so that its being there is the one thing to ask."""

    __slots__ = (
        "catalog", "events", "holds", "large_objects", "on_commit", "on_undo", "row_locks", "row_queues",
        "speculates", "table_locks", "waiters", "withdrawn",
    )  # fmt: skip

    def __init__(self) -> None:
        self.table_locks: dict[int, int] = {}
        """relation or advisory key → mask of modes (1 << mode)"""
        self.row_locks: dict[RowHolders, None] = {}
        self.row_queues: dict[tuple[int, int], RowQueue] = {}
        self.waiters: list[Waiter] = []
        self.holds: dict[Hold, None] = {}
        self.catalog: TxnChanges | None = None
        self.events: TxnEvents | None = None
        """changes of rows that foreign keys have yet to look at"""
        self.large_objects: object = None
        """descriptors that it has open (``catalog/large_objects``)"""
        self.speculates = False
        """a row of INSERT … ON CONFLICT goes into its indexes, and may be taken back yet"""
        self.withdrawn: set[tuple[int, int]] = set()
        """(relation file, row address) of such rows that were taken back"""
        self.on_commit: list[tuple[int, Callable[[Lsn], None]]] = []
        self.on_undo: list[tuple[int, Callable[[], None]]] = []
        """(savepoint level, callback), the levels in order"""

    def ended(self) -> None:
        """Nobody asks any more: what it had changed, and the callbacks, refer to the transaction, and would wait for
        the garbage collector with it."""
        if self.catalog is not None:
            self.catalog.ended()
            self.catalog = None
        self.on_commit.clear()
        self.on_undo.clear()


class Txn:
    """``write_xid`` is the current level's xid, 0 before its first write; ``own`` the set of all its live xids,
    shared with its snapshots; ``cid`` the current command. ``follow``: rows changed since the snapshot are followed
    (READ COMMITTED) instead of failing with 40001. ``dependency``: what its output depends on, shared with its session.
    ``oldest_lsn``: the snapshot of its current statement; snapshots that outlive it are holds. ``ties`` is None until
    something is attached; ``tie`` makes it."""

    __slots__ = (
        "catalog_changed",
        "cid",
        "deferrable",
        "dependency",
        "ended",
        "follow",
        "isolation",
        "levels",
        "oldest_lsn",
        "own",
        "plans_alone",
        "read_only",
        "serial",
        "session",
        "snapshot_lsn",
        "ties",
        "undetached",
        "unusable",
        "waiting",
        "weak_locks",
        "write_xid",
    )

    def __init__(self, isolation: str, read_only: bool, deferrable: bool, session: TxnSession | None) -> None:
        self.session = session
        self.isolation = isolation
        self.read_only = read_only
        self.deferrable = deferrable
        self.follow = isolation in (READ_COMMITTED, "read uncommitted")
        self.write_xid: Xid = NO_XID
        self.own: set[Xid] = set()
        self.cid = 0
        self.dependency: Dependency = Dependency() if session is None else session.dependency
        self.snapshot_lsn: Lsn = NO_LSN
        self.oldest_lsn: Lsn = NO_LSN
        self.levels = [Level("")]
        self.catalog_changed = False
        self.plans_alone = False
        """statements are planned for it alone: it sees another catalog, lacks an index or still has a partition"""
        self.unusable = _NONE
        """OIDs of indexes that were made after its snapshot, without the rows that only such a snapshot sees"""
        self.undetached = _NONE
        """OIDs of partitions that are being detached since its snapshot: it still has them where they were"""
        self.weak_locks: set[WeakLocks] = set()
        self.ties: Ties | None = None
        self.waiting: Waiting | None = None
        self.ended = False
        self.serial: SerialTxn | None = None
        """of a SERIALIZABLE one, from its snapshot on"""

    @property
    def xid(self) -> Xid | None:
        """The top-level xid; None before the first write."""
        return self.levels[0].xid or None

    @property
    def pid(self) -> int:
        """The session's process id in messages; 0 without a session."""
        return int(getattr(self.session, "pid", 0) or 0)

    def tie(self) -> Ties:
        """Its ties, made if there are none."""
        ties = self.ties
        if ties is None:
            ties = self.ties = Ties()
        return ties

    @property
    def table_locks(self) -> Mapping[int, int]:
        """Relation and advisory locks that it holds: key → mask of modes."""
        return _NO_LOCKS if self.ties is None else self.ties.table_locks

    @property
    def catalog(self) -> TxnChanges | None:
        """Its own side of the catalog, None when it has changed nothing there."""
        return None if self.ties is None else self.ties.catalog

    def leave_out(self, indexes: Collection[int]) -> None:
        """These indexes are not for its snapshot."""
        self.unusable = self.unusable.union(indexes)
        self.plans_alone = True

    def keep_partition(self, oid: int) -> None:
        """A partition is being detached, and its snapshot is of before."""
        self.undetached = self.undetached.union((oid,))
        self.plans_alone = True

    @contextmanager
    def of_now(self) -> Iterator[None]:
        """Statements that are planned meanwhile are for a newer snapshot than the transaction's."""
        kept, self.undetached = self.undetached, _NONE
        try:
            yield
        finally:
            self.undetached = kept

    def depend(self, lsn: Lsn) -> None:
        """What this transaction shows from now on depends on ``lsn`` being durable."""
        self.dependency.on(lsn)

    def on_commit(self, callback: Callable[[Lsn], None]) -> None:
        """Call with the commit LSN right after the commit record is in the log, unless what the current level has done
        is undone before. It must neither raise nor wait."""
        self.tie().on_commit.append((len(self.levels) - 1, callback))

    def on_commit_anyway(self, callback: Callable[[Lsn], None]) -> None:
        """``on_commit`` before the others, also if what the current level has done is undone."""
        self.tie().on_commit.insert(0, (0, callback))

    def on_undo(self, callback: Callable[[], None]) -> None:
        """Call when what the current level has done is undone: by its savepoint's rollback or the transaction's. It
        must neither raise nor wait."""
        self.tie().on_undo.append((len(self.levels) - 1, callback))

    def undone(self, level: int) -> None:
        """Savepoint level ``level`` and those below it are undone."""
        ties = self.tie()
        while ties.on_commit and ties.on_commit[-1][0] >= level:
            ties.on_commit.pop()
        while ties.on_undo and ties.on_undo[-1][0] >= level:
            ties.on_undo.pop()[1]()

    def kept(self, level: int) -> None:
        """Savepoint level ``level`` is released: what it did is its parent's."""
        ties = self.tie()
        _keep(ties.on_commit, level)
        _keep(ties.on_undo, level)


def _keep(callbacks: list[tuple[int, _T]], level: int) -> None:
    """Callbacks of ``level`` and below, which are the last ones, are the parent's."""
    at = len(callbacks)
    while at and callbacks[at - 1][0] >= level:
        at -= 1
        callbacks[at] = level - 1, callbacks[at][1]


class ReadingTxn(Txn):
    """One of a reader, which is read-only whatever was asked for. ``own`` and ``cid`` may be those that the writer has
    given to its part of the transaction (write forwarding)."""

    __slots__ = ("declared_read_only",)

    def __init__(self, isolation: str, read_only: bool, deferrable: bool, session: TxnSession | None) -> None:
        super().__init__(isolation, True, deferrable, session)
        self.declared_read_only = read_only
        """it was asked for"""
