"""A storage on a memory volume, and tables without a catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aurora.kernels import arena as arena_kernel
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.storage import Storage
from compute_node.hub import HUB
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.txn.dependency import Dependency
from compute_node.types.registry import PgType

SIGN = {2: 1 << 15, 4: 1 << 31, 8: 1 << 63}


def _integer(oid: int, name: str, width: int, disk: str) -> PgType:
    return PgType(
        oid, name, width, True, "N", lambda t, m, e: int(t), lambda v, e: str(v), None, None, disk,
        sort_key=lambda v: (v + SIGN[width]).to_bytes(width, "big"),
    )  # fmt: skip


def _text(oid: int, name: str) -> PgType:
    return PgType(
        oid, name, -1, False, "S", lambda t, m, e: t, lambda v, e: v, None, None, "s", sort_key=lambda v: v.encode()
    )


TYPES = {20: _integer(20, "int8", 8, "q"), 23: _integer(23, "int4", 4, "i"), 25: _text(25, "text")}
INT4, INT8, TEXT = 23, 20, 25


class FakeSession:
    """What transactions use of a session."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.dependency = Dependency()
        self.lock_timeout_ms = 0

    def catalog_function(self, name: str, *args: Any) -> Any:
        """What the access layer asks of a session: it is a superuser's."""

    def has_waited(self, event: int, seconds: float) -> None:
        """Nobody asks."""


def make_storage(volume: Any = None, frames: int = 512, verify: bool = True) -> Storage:
    """Open (or initialise) a storage with pages verified at each MTR."""
    storage = Storage(arena_kernel.Arena(frames), volume or MemoryVolume(), TYPES.__getitem__)
    storage.mtr.verify = verify
    return storage


def describe(
    oid: int,
    types: list[int],
    keys: Sequence[tuple[tuple[int, ...], bool]] = (),
    fillfactor: int = 100,
) -> RelationDesc:
    """A table with columns a, b, c … and an index per (attnos, unique)."""
    columns = tuple(ColumnDesc(i + 1, chr(97 + i), kind, -1, False) for i, kind in enumerate(types))
    indexes = tuple(
        IndexDesc(oid + 1 + i, oid + 1 + i, f"t{oid}_i{i}", attnos, unique, False)
        for i, (attnos, unique) in enumerate(keys)
    )
    return RelationDesc(oid, oid, f"t{oid}", "public", 2200, "r", columns, indexes, fillfactor=fillfactor, database=0)


def create(storage: Storage, desc: RelationDesc) -> Any:
    """Make the storage of a table and its indexes, committed."""
    txn = storage.txns.begin()
    storage.create_storage(txn, desc.relfile)
    bare = RelationDesc(
        desc.oid, desc.relfile, desc.name, desc.schema, desc.namespace, desc.kind, desc.columns, database=0
    )
    table = storage.table(bare)
    for index in desc.indexes:
        build_index(txn, table, index)
    storage.txns.commit(txn)
    return storage.table(desc)


def latest(storage: Any) -> Any:
    """A snapshot of everything committed so far, that holds nothing: for a reader that nobody prunes beside."""
    with storage.txns.reading("test") as snapshot:
        return snapshot


def rows_of(table: Any, txn: Any = None) -> list[tuple[Any, ...]]:
    """All rows as the latest snapshot has them, sorted."""
    snapshot = latest(table.storage) if txn is None else table.storage.txns.latest_snapshot(txn)
    columns = tuple(range(1, len(table.desc.columns) + 1))
    return sorted(row for batch in table.scan(snapshot, columns, False) for row in batch)


def run_greenlets(main: Callable[[], Any]) -> Any:
    """Run ``main`` in a session greenlet on a fresh loop."""

    async def go() -> Any:
        HUB.bind(asyncio.get_running_loop())
        return await HUB.call(main)

    return asyncio.run(go())


async def spawn(*functions: Callable[[], Any]) -> list[Any]:
    """Run functions as interleaved greenlets; their results, exceptions included."""
    return await asyncio.gather(*(HUB.call(each) for each in functions), return_exceptions=True)
