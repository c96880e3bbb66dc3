"""pg_export_snapshot and SET TRANSACTION SNAPSHOT: several sessions of one instance read at the same LSN.

A snapshot is an LSN, so that is all there is to hand on. It can be imported as long as the transaction that exported it
goes on: that one's hold keeps the row versions. Source: PostgreSQL manual, 9.27.5 and SET TRANSACTION.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aurora.errors import ActiveSqlTransaction, InvalidParameterValue, NotSupported
from aurora.ids import Lsn
from compute_node.session import transactions
from compute_node.txn.transaction import SERIALIZABLE, Txn

if TYPE_CHECKING:
    from compute_node.session.state import SessionState


@dataclass(frozen=True, slots=True)
class Exported:
    """One exported snapshot."""

    txn: Txn
    lsn: Lsn


@dataclass(slots=True)
class ExportedSnapshots:
    """Those of a database by their identifiers; of transactions that have ended they go with the next export."""

    known: dict[str, Exported] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, exported: Exported, pid: int) -> str:
        """Its identifier."""
        self.known = {name: each for name, each in self.known.items() if not each.txn.ended}
        name = f"{pid:08X}-{next(self.numbers):08X}-1"
        self.known[name] = exported
        return name


def export(session: SessionState) -> str:
    """pg_export_snapshot: of the running statement. 25001 in a savepoint."""
    txn = transactions.ensure(session)
    if len(txn.levels) > 1:
        raise ActiveSqlTransaction("cannot export a snapshot from a subtransaction")
    engine = session.engine
    lsn = txn.snapshot_lsn or txn.oldest_lsn
    engine.txns.hold(lsn, "exported snapshot", txn)
    return engine.exported_snapshots.add(Exported(txn, lsn), session.pid)


def import_snapshot(session: SessionState, name: str) -> None:
    """SET TRANSACTION SNAPSHOT: the transaction reads at that snapshot's LSN. 25001, 0A000, 22023."""
    txn = transactions.ensure(session)
    if session.statements_in_txn or session.savepoints:
        raise ActiveSqlTransaction("SET TRANSACTION SNAPSHOT must be called before any query")
    if txn.follow:
        raise NotSupported("a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ")
    found = session.engine.exported_snapshots.known.get(name) if re.fullmatch(r"[0-9A-F-]+", name) else None
    if found is None or found.txn.ended:
        raise InvalidParameterValue(f'invalid snapshot identifier: "{name}"')
    if txn.isolation == SERIALIZABLE:
        _join(session, txn, found.txn)
    txn.snapshot_lsn = txn.oldest_lsn = found.lsn
    # On the writer it may lie above what is durable.
    txn.depend(found.lsn)


def _join(session: SessionState, txn: Txn, source: Txn) -> None:
    """A serializable transaction takes the other's place in time. 0A000."""
    if source.serial is None:
        raise NotSupported("a serializable transaction cannot import a snapshot from a non-serializable transaction")
    if source.read_only and not txn.read_only:
        raise NotSupported(
            "a non-read-only serializable transaction cannot import a snapshot from a read-only transaction"
        )
    if txn.read_only and txn.deferrable:
        raise NotSupported("a snapshot-importing transaction must not be READ ONLY DEFERRABLE")
    txn.serial = session.engine.txns.serials.join(source.serial, txn.read_only, txn.pid)
