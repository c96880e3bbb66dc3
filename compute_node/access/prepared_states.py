"""Where the states of prepared transactions are: rows of a relation file of the volume, in parts that fit a page.

::

    xid int8, part int4, content bytea

They are written and removed by transactions of their own, so that a state is there before its transaction is marked as
prepared, and until it has ended (``txn/prepared.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aurora.ids import Oid, RelFile, Xid
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.txn.locks import EXCLUSIVE

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.txn.transaction import Txn


PREPARED_RELFILE: Final = RelFile(4)
PART_BYTES = 4000
_COLUMNS = (1, 2, 3)
_STATES: Final = RelationDesc(
    oid=Oid(PREPARED_RELFILE),
    relfile=PREPARED_RELFILE,
    name="prepared_states",
    schema="",
    namespace=0,
    kind="r",
    columns=tuple(
        ColumnDesc(number, name, kind, -1, True)
        for number, (name, kind) in enumerate((("xid", 20), ("part", 23), ("content", 17)), 1)
    ),
    is_shared=True,
    database=0,
)


class PreparedStates:
    """The states on a volume, by top-level xid. All methods may wait."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def save(self, xid: Xid, state: bytes) -> None:
        """Write a state."""
        parts = [state[at : at + PART_BYTES] for at in range(0, len(state), PART_BYTES)]

        def write(txn: Txn) -> None:
            storage = self._storage
            storage.locks.lock_relation(txn, _STATES.lock_id, EXCLUSIVE, _STATES.name)
            if not storage.exists(PREPARED_RELFILE):
                storage.create_storage(txn, PREPARED_RELFILE)
            storage.table(_STATES).insert_many(txn, [(xid, number, part) for number, part in enumerate(parts)])

        self._apart(write)

    def remove(self, *xids: Xid) -> None:
        """Remove states."""

        def write(txn: Txn) -> None:
            table, snapshot = self._storage.table(_STATES), self._storage.txns.latest_snapshot(txn)
            gone = [tid for batch in table.scan(snapshot, (1,), True) for xid, tid in batch if xid in xids]
            table.delete_many(txn, snapshot, gone, lambda row, at: True, ())

        self._apart(write)

    def all(self) -> dict[Xid, bytes]:
        """Every state."""
        if not self._storage.exists(PREPARED_RELFILE):
            return {}
        table = self._storage.table(_STATES)
        with self._storage.txns.reading("prepared transactions") as snapshot:
            rows = sorted(row for batch in table.scan(snapshot, _COLUMNS, False) for row in batch)
        states: dict[Xid, bytes] = {}
        for xid, _, content in rows:
            states[Xid(xid)] = states.get(Xid(xid), b"") + content
        return states

    def _apart(self, write: Callable[[Txn], None]) -> None:
        txns = self._storage.txns
        txn = txns.begin()
        try:
            write(txn)
            txns.commit(txn)
        except BaseException:
            txns.abort(txn)
            raise
