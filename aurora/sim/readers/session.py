"""A session on a reader, and what its transactions do."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar, Final

from aurora.sim.compute.checks import SNAPSHOT_ROWS
from aurora.sim.compute.instance import BANK_ACCOUNTS, BANK_START
from aurora.sim.compute.model import ModelTxn
from aurora.sim.compute.session import SimSession
from aurora.sim.compute.tables import CATALOG_RELFILE, lock_id
from aurora.sim.compute.workloads import BANK_OID, OTHER_OIDS, Scans, Workload
from aurora.sim.readers.checks import FORWARD, NOTED
from compute_node.hub import HUB
from compute_node.txn.locks import WAIT, WeakLocks

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from aurora.sim.readers.reader import Reader


class ReaderSession(SimSession):
    """``locked``: the tables that its transaction has locked → the relation file that each had then."""

    def __init__(self, reader: Reader, number: int, rng: random.Random) -> None:
        super().__init__(reader, number, rng)  # type: ignore[arg-type]
        self.reader = reader
        self.locked: dict[int, int] = {}
        self.read_lsn = 0

    def begin(self, isolation: str) -> None:
        self._count += 1
        self.txn = self.storage.txns.begin(isolation, session=self)
        self.model = ModelTxn(f"{self.reader.name}.s{self.pid}.{self._count}", isolation == "repeatable read")

    def commit(self) -> int:
        self._end()
        self.storage.txns.commit(self.running)
        self.txn = None
        return 0

    def abort(self) -> None:
        txn, self.txn = self.txn, None
        self._end()
        if txn is not None:
            self.storage.txns.abort(txn)

    def _end(self) -> None:
        self.close_cursors(0)
        self.locked.clear()

    def lock_table(self, oid: int, mode: int, wait: str = WAIT) -> None:
        self.locked.pop(oid, None)
        self.storage.locks.take_weak(self.running, WeakLocks(((lock_id(oid), mode),)))
        row = self.oracle.visible(CATALOG_RELFILE, self.reader.volume.vdl).get(oid)
        if row is not None:
            self.locked[oid] = row[1]

    def snapshot(self) -> Snapshot:
        snapshot = super().snapshot()
        self.checks.require(
            FORWARD, snapshot.lsn >= self.read_lsn,
            f"{self.model.name} reads at {snapshot.lsn}, and has read at {self.read_lsn}",
        )  # fmt: skip
        self.read_lsn = int(snapshot.lsn)
        return snapshot

    def may_read_below(self, below: int) -> bool:
        """As ``_in_the_way`` of ``compute_node/catalog/reading.py``."""
        txn = self.txn
        if txn is None:
            return False
        held = [hold.lsn for hold in txn.ties.holds] if txn.ties is not None else []
        return any(lsn and lsn < below for lsn in (*held, txn.oldest_lsn))

    def look_at_locks(self) -> None:
        """The tables that it has locked are what they were."""
        if not self.locked:
            return
        lsn = self.reader.volume.vdl
        rows = self.oracle.visible(CATALOG_RELFILE, lsn)
        for oid, relfile in self.locked.items():
            now = rows.get(oid)
            self.checks.require(
                NOTED, now is not None and now[1] == relfile,
                f"{self.model.name} has locked table {oid} with file {relfile}, and {lsn} is applied: {now}",
            )  # fmt: skip


class Totals(Workload):
    """The bank's balances add up at every snapshot."""

    name: ClassVar[str] = "totals"

    def script(self, session: SimSession, rng: random.Random) -> None:
        for _ in range(rng.randint(1, 3)):
            opened = session.open(BANK_OID)
            if opened is None:
                return
            total, wanted = sum(row[3] for row in session.scan(opened[0])), BANK_ACCOUNTS * BANK_START
            session.checks.require(SNAPSHOT_ROWS, total == wanted, f"the bank has {total}, not {wanted}")


class Lookups(Workload):
    """Single rows by their number."""

    name: ClassVar[str] = "lookups"

    def script(self, session: SimSession, rng: random.Random) -> None:
        opened = session.open(rng.choice(OTHER_OIDS))
        if opened is None:
            return
        for _ in range(rng.randint(1, 6)):
            with session.statement("lookup", opened[0]) as reading:
                session.lookup(reading, self.some_number(rng, opened[0].relfile))


class OpenCursors(Workload):
    """Cursors that stay open while log is applied."""

    name: ClassVar[str] = "open-cursors"

    def script(self, session: SimSession, rng: random.Random) -> None:
        for _ in range(rng.randint(1, 2)):
            opened = session.open(rng.choice((BANK_OID, *OTHER_OIDS)))
            if opened is not None:
                session.open_cursor(opened[0])
        for _ in range(rng.randint(1, 4)):
            HUB.sleep(rng.random() * self.knobs.flush_s[1] * 2)
            for cursor in list(session.cursors):
                session.fetch(cursor, 1)
        for cursor in list(session.cursors):
            session.fetch(cursor, 1 << 30)


class Holders(Workload):
    """Locks on several tables, which stay what they are while log is applied."""

    name: ClassVar[str] = "holders"

    def script(self, session: SimSession, rng: random.Random) -> None:
        opened = [session.open(oid) for oid in rng.sample(OTHER_OIDS, rng.randint(1, len(OTHER_OIDS)))]
        HUB.sleep(rng.random() * self.knobs.flush_s[1] * 2)
        for each in opened:
            if each is not None and rng.random() < 0.5:
                session.scan(each[0])


READER_WORKLOADS: Final[dict[str, type[Workload]]] = {
    kind.name: kind for kind in (Scans, Totals, Lookups, OpenCursors, Holders)
}
