"""Two-phase commit: transactions that are prepared, and what of them survives this process.

PREPARE TRANSACTION takes a transaction away from its session. From then on it stands in ``PreparedTransactions`` under
its identifier, holds its locks, and waits for COMMIT PREPARED or ROLLBACK PREPARED of any session. Its state is written
to the volume first, then its xids are marked in the commit log; that mark decides::

    state is on the volume   xids are marked    after a restart or a failover
    yes                      yes                prepared again, with its locks
    yes                      no                 aborted, as all that was cut off; the state is removed
    no                       yes                never

What a state holds is what the end of the transaction needs (xids, relation files that it made or drops, catalogs that
it changed) and what keeps others away until then (relation locks, row locks, what a SERIALIZABLE one has read). Source:
PostgreSQL manual, PREPARE TRANSACTION.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aurora.ids import Lsn, RelFile, Xid
from aurora.notes import Invalidations
from compute_node.txn.dependency import Dependency
from compute_node.txn.transaction import READ_COMMITTED, SERIALIZABLE, Txn

if TYPE_CHECKING:
    from collections.abc import Callable

    from compute_node.txn.manager import TransactionManager


FORMAT = 1


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared transaction: its identifier, the OIDs of who prepared it and of the database, when (µs since
    2000-01-01 UTC). ``busy``: a session is ending it."""

    gid: str
    owner: int
    database: int
    prepared_us: int
    txn: Txn
    busy: bool = False

    @property
    def xid(self) -> Xid:
        """The top-level xid."""
        return self.txn.levels[0].xid


class _CatalogsChanged:
    """What a transaction of an earlier process has changed in the catalog."""

    def __init__(self, changed: Invalidations) -> None:
        self._changed = changed

    def touch(self, *oids: int) -> None:
        """It changes nothing any more."""

    def invalidations(self) -> Invalidations:
        """As it was prepared."""
        return self._changed

    def ended(self) -> None:
        """It keeps nothing else."""


class PreparedTransactions:
    """All of a volume, by identifier; on the writer only."""

    def __init__(self, manager: TransactionManager) -> None:
        self._manager = manager
        self._by_gid: dict[str, Prepared] = {}
        self._preparing: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_gid) + len(self._preparing)

    def __contains__(self, gid: str) -> bool:
        return gid in self._by_gid or gid in self._preparing

    def __iter__(self) -> Iterator[Prepared]:
        return iter(tuple(self._by_gid.values()))

    def find(self, gid: str) -> Prepared | None:
        """The transaction of that identifier."""
        return self._by_gid.get(gid)

    def reserve(self, gid: str) -> None:
        """Nobody else takes the identifier, until ``add`` or ``give_up``."""
        self._preparing.add(gid)

    def give_up(self, gid: str) -> None:
        """It was not prepared."""
        self._preparing.discard(gid)

    def add(self, prepared: Prepared) -> None:
        """From now on the transaction belongs to nobody's session."""
        self._preparing.discard(prepared.gid)
        self._by_gid[prepared.gid] = prepared

    def remove(self, prepared: Prepared) -> None:
        """It has ended."""
        del self._by_gid[prepared.gid]

    # What survives

    def state(self, prepared: Prepared) -> bytes:
        """All that is to survive of a transaction with one level."""
        txn = prepared.txn
        (level,) = txn.levels
        changed = txn.catalog.invalidations() if txn.catalog_changed and txn.catalog is not None else None
        locks = dict(txn.table_locks)
        for weak in txn.weak_locks:
            for key, mode in weak.modes:
                locks[key] = locks.get(key, 0) | 1 << mode
        state = {
            "format": FORMAT,
            "gid": prepared.gid,
            "owner": prepared.owner,
            "database": prepared.database,
            "prepared": prepared.prepared_us,
            "xid": level.xid,
            "xids": sorted(txn.own),
            "created": level.created,
            "dropped": level.dropped,
            "locks": list(locks.items()),
            "rows": self._manager.locks.rows_of(txn),
            "changed": None if changed is None else _plain(changed),
            "serial": None if txn.serial is None else self._manager.serials.kept(txn.serial),
        }
        return json.dumps(state, separators=(",", ":")).encode()

    def restore(self, states: dict[Xid, bytes], replayed: Callable[[Invalidations, Lsn], None]) -> list[Xid]:
        """Make them again as an earlier process has left them, before the first session begins; ``replayed`` is called
        when one that has changed catalogs is committed. The xids of those that were not prepared after all."""
        lost = []
        for xid, kept in states.items():
            if self._manager.state(xid):
                lost.append(xid)
                continue
            state: dict[str, Any] = json.loads(kept)  # of this module's own making
            txn = self._remade(state, replayed)
            self.add(Prepared(state["gid"], state["owner"], state["database"], state["prepared"], txn))
        return lost

    def _remade(self, state: dict[str, Any], replayed: Callable[[Invalidations, Lsn], None]) -> Txn:
        manager = self._manager
        serial = state["serial"]
        txn = Txn(READ_COMMITTED if serial is None else SERIALIZABLE, False, False, None)
        (level,) = txn.levels
        level.xid = txn.write_xid = Xid(state["xid"])
        level.xids = [Xid(each) for each in state["xids"]]
        level.created = [RelFile(each) for each in state["created"]]
        level.dropped = [RelFile(each) for each in state["dropped"]]
        txn.own.update(level.xids)
        manager.active[txn] = None
        for xid in level.xids:
            manager.by_xid[xid] = txn
        manager.locks.hold_again(txn, state["locks"], state["rows"])
        if state["changed"] is not None:
            changed = _invalidations(state["changed"])
            txn.tie().catalog = _CatalogsChanged(changed)
            txn.catalog_changed = True
            txn.on_commit(lambda lsn: replayed(changed, lsn))
        if serial is not None:
            txn.serial = manager.serials.restored(serial)
        return txn


def detach(txn: Txn) -> None:
    """Take a transaction from its session: it reads nothing any more, and nobody depends on what it shows."""
    ties = txn.tie()
    for hold in list(ties.holds):
        hold.release()
    ties.events = ties.large_objects = None
    txn.session, txn.dependency = None, Dependency()
    txn.snapshot_lsn = txn.oldest_lsn = Lsn(0)


def _plain(changed: Invalidations) -> dict[str, Any]:
    rows = {catalog: sorted(oids) for catalog, oids in changed.rows.items()}
    return {"database": changed.database, "relations": sorted(changed.relations), "rows": list(rows.items())}


def _invalidations(plain: dict[str, Any]) -> Invalidations:
    rows = {catalog: frozenset(oids) for catalog, oids in plain["rows"]}
    return Invalidations(plain["database"], frozenset(plain["relations"]), rows)
