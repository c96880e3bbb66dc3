"""The executor on the real access layer: DML, conflicts, re-checks after waiting."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

import pytest

from aurora.errors import UniqueViolation
from aurora.kernels import arena as arena_kernel
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.storage import Storage
from compute_node.exec import ExecContext, build
from compute_node.hub import HUB
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.txn.dependency import Dependency
from compute_node.types.registry import REGISTRY, TypeEnv
from tests.unit.support_exec import FakeCatalog, FakeSession, relation
from tests.unit.test_exec_nodes import INT4, TEXT, col, const, op, param, planned

CATALOG: Any = FakeCatalog()
TABLE = relation("t", [("a", INT4), ("b", INT4), ("c", TEXT)], 20000, ("a",), (("a",),))


class Session(FakeSession):
    """What transactions use of a session besides."""

    lock_timeout_ms = 0

    def __init__(self) -> None:
        self.dependency = Dependency()

    def has_waited(self, event: int, seconds: float) -> None:
        """Nobody asks."""


class Database:
    """One table on a memory volume."""

    def __init__(self) -> None:
        self.storage = Storage(arena_kernel.Arena(256), MemoryVolume(), REGISTRY.types.__getitem__)
        self.storage.mtr.verify = True
        txn = self.storage.txns.begin()
        self.storage.create_storage(txn, TABLE.relfile)
        bare = relation("t", [("a", INT4), ("b", INT4), ("c", TEXT)], 20000, ("a",))
        build_index(txn, self.storage.table(bare), TABLE.indexes[0])
        self.storage.txns.commit(txn)

    def begin(self) -> Any:
        return self.storage.txns.begin()

    def context(self, txn: Any) -> ExecContext:
        snapshot = self.storage.txns.snapshot(txn)
        return ExecContext(Session(), txn, snapshot, TypeEnv(timezone=UTC), self.storage)

    def run(self, plan: pl.Plan, command: str, params: tuple[Any, ...] = (), txn: Any = None) -> Any:
        """In the transaction given, or in one of its own."""
        executable = build(planned(plan, command), CATALOG)
        own = txn or self.begin()
        ctx = self.context(own)
        result = executable.run(ctx, params) if executable.columns is None else executable.fetch_all(ctx, params)
        own.cid += 1
        if txn is None:
            self.storage.txns.commit(own)
        return result

    def rows(self) -> list[tuple[Any, ...]]:
        return sorted(self.run(scan(), "select"))


def scan(**extra: Any) -> pl.SeqScan:
    extra.setdefault("output", (col(0), col(1), col(2, TEXT)))
    return pl.SeqScan(relation=TABLE, columns=(1, 2, 3), **extra)


def by_key(key: ex.Expr, **extra: Any) -> pl.IndexScan:
    extra.setdefault("output", (col(0), col(1), col(2, TEXT)))
    return pl.IndexScan(
        relation=TABLE, index=TABLE.indexes[0], columns=(1, 2, 3), keys=(pl.IndexKey(0, 3, key),), unique=True,
        point=True, **extra
    )  # fmt: skip


def add(child: pl.Plan, where: ex.Expr | None, **extra: Any) -> pl.Update:
    """UPDATE t SET b = b + $1."""
    return pl.Update(
        relation=TABLE, child=child, recheck=where, assignments=((2, op("+", col(1), param(1))),), **extra
    )  # fmt: skip


INSERT = pl.Insert(relation=TABLE, child=pl.Result(output=(param(1), param(2), param(3, TEXT))))


@pytest.fixture
def db() -> Database:
    database = Database()
    for number in range(1, 41):
        assert database.run(INSERT, "insert", (number, number % 4, f"row {number}")) == 1
    return database


def test_statements(db: Database) -> None:
    assert db.run(by_key(param(1)), "select", (7,)) == [(7, 3, "row 7")]
    key = op("=", col(0), param(2))
    assert db.run(add(by_key(param(2)), key), "update", (100, 7)) == 1
    assert db.run(by_key(param(1)), "select", (7,)) == [(7, 103, "row 7")]
    where = op("=", col(1), const(2))
    assert db.run(add(scan(filter=where), where, returning=(col(0), col(1))), "update", (5,)) == [
        (n, 7) for n in range(2, 41, 4)
    ]
    assert db.run(add(scan(), None), "update", (1,)) == 40
    gone = op(">", col(0), const(35))
    assert sorted(
        db.run(pl.Delete(relation=TABLE, child=scan(filter=gone), recheck=gone, returning=(col(0),)), "delete")
    ) == [(n,) for n in range(36, 41)]
    assert db.run(pl.Delete(relation=TABLE, child=by_key(param(1)), recheck=op("=", col(0), param(1))), "delete", (1,))
    assert [row[0] for row in db.rows()] == list(range(2, 36))
    with pytest.raises(UniqueViolation, match="duplicate key value"):
        db.run(INSERT, "insert", (2, 0, ""))


def test_insert_select_from_itself(db: Database) -> None:
    child = scan(output=(op("+", col(0), const(1000)), col(1), col(2, TEXT)))
    assert db.run(pl.Insert(relation=TABLE, child=child), "insert") == 40
    assert len(db.rows()) == 80


def test_on_conflict(db: Database) -> None:
    values = ((const(3), const(50), const("new", TEXT)), (const(300), const(51), const("new", TEXT)))

    def insert(**extra: Any) -> pl.Insert:
        return pl.Insert(relation=TABLE, child=pl.ValuesScan(values=values), **extra)

    assignments = ((2, op("+", col(1), col(1, side=1))),)
    update = insert(conflict="update", conflict_assignments=assignments, returning=(col(0), col(1), col(2, TEXT)))
    assert db.run(update, "insert") == [(3, 53, "row 3"), (300, 51, "new")]
    assert db.run(insert(conflict="nothing"), "insert") == 0
    never = insert(conflict="update", conflict_assignments=assignments, conflict_where=op("<", col(1), const(0)))
    assert db.run(never, "insert") == 0
    assert len(db.rows()) == 41


def test_concurrent_updates_lose_nothing_and_recheck(db: Database) -> None:
    below = op("<", col(1), const(12))
    where = ex.And(type=16, arguments=(op("=", col(0), param(2)), below))
    statement = add(by_key(param(2)), where)

    def client() -> int:
        count = 0
        for _ in range(4):
            txn = db.begin()
            count += db.run(statement, "update", (1, 4), txn)
            HUB.yield_turn()
            db.storage.txns.commit(txn)
        return count

    async def main() -> list[int]:
        HUB.bind(asyncio.get_running_loop())
        return await asyncio.gather(*(HUB.call(client) for _ in range(5)))

    counts = asyncio.run(main())
    # 20 attempts on b = 0: every one that found b < 12 added one, the others saw the newer row and left it.
    assert sum(counts) == 12
    assert db.run(by_key(const(4)), "select") == [(4, 12, "row 4")]


def test_locked_row_is_read_again(db: Database) -> None:
    child = scan(filter=op("=", col(1), const(3)), want_tid=True, output=(col(0), col(1), col(3, 27)))
    held = pl.HeldRow(
        source=0,
        relation=TABLE,
        columns=(1, 2, -1),
        filter=op("=", col(1), const(3)),
        output=(col(0), col(1), col(2, 27)),
    )
    address = pl.RowAddress(2, {TABLE.oid: (0, TABLE)})
    recheck = pl.Recheck(plan=held, tids=(address,))
    lock = pl.RowLock(address, "update", "block")
    locking = pl.LockRows(child=child, locks=(lock,), recheck=recheck, output=(col(0), col(1)))
    found: list[Any] = []

    def writer() -> None:
        txn = db.begin()
        db.run(add(by_key(param(2)), op("=", col(0), param(2))), "update", (1, 3), txn)
        HUB.yield_turn()
        HUB.yield_turn()
        db.storage.txns.commit(txn)

    def locker() -> None:
        txn = db.begin()
        found.extend(db.run(locking, "select", (), txn))
        db.storage.txns.commit(txn)

    async def main() -> None:
        HUB.bind(asyncio.get_running_loop())
        await asyncio.gather(HUB.call(writer), HUB.call(locker))

    asyncio.run(main())
    assert found == [(n, 3) for n in range(7, 41, 4)]
