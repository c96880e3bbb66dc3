"""In-memory tables with the access layer's interface, so that the executor is tested by itself.

Versions carry the numbers of the changes that made and ended them; a snapshot is such a number.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from datetime import UTC
from types import SimpleNamespace
from typing import Any

import compute_node.types  # noqa: F401 - fills the registry
from aurora.errors import UniqueViolation
from compute_node.access.index_access import ScanKey
from compute_node.exec.compile.rows import BatchFunction
from compute_node.exec.context import ExecContext
from compute_node.relations.descriptors import ColumnDesc, IndexDesc, RelationDesc
from compute_node.txn.counts import RelationCounts
from compute_node.types.registry import REGISTRY, Aggregate, Function, Operator, PgType, TypeEnv

Row = tuple[Any, ...]
BATCH = 3


def relation(
    name: str,
    columns: list[tuple[str, int]],
    oid: int = 20000,
    not_null: tuple[str, ...] = (),
    unique: tuple[tuple[str, ...], ...] = (),
) -> RelationDesc:
    """A table descriptor with unique B-trees."""
    described = tuple(
        ColumnDesc(attno=number, name=column, type=type_oid, typmod=-1, not_null=column in not_null)
        for number, (column, type_oid) in enumerate(columns, 1)
    )
    names = [column for column, _ in columns]
    indexes = tuple(
        IndexDesc(
            oid=oid + 1 + number,
            relfile=oid + 1 + number,
            name=f"{name}_{'_'.join(keys)}_key",
            columns=tuple(names.index(key) + 1 for key in keys),
            unique=True,
            primary=number == 0,
            key_types=tuple(columns[names.index(key)][1] for key in keys),
        )
        for number, keys in enumerate(unique)
    )
    return RelationDesc(
        rows=10.0,
        pages=1,
        oid=oid,
        relfile=oid,
        name=name,
        schema="public",
        namespace=2200,
        kind="r",
        columns=described,
        indexes=indexes,
    )


class Version:
    """One row version."""

    def __init__(self, tid: int, row: Row, made: int) -> None:
        self.tid, self.row, self.made = tid, row, made
        self.ended: int | None = None

    def visible(self, snapshot: int) -> bool:
        return self.made <= snapshot and (self.ended is None or self.ended > snapshot)


class FakeTable:
    """The interface of ``compute_node.access.table.Table``."""

    def __init__(self, storage: FakeStorage, desc: RelationDesc) -> None:
        self.storage, self.desc = storage, desc
        self.counts = RelationCounts()
        self.versions: list[Version] = []
        self.indexes = [FakeIndex(self, each) for each in desc.indexes]
        self.before_update: Callable[[], None] | None = None
        """what another transaction does while we wait for a lock"""

    def load(self, rows: list[Row]) -> None:
        for row in rows:
            self.insert(None, row)

    def _take(self, version: Version, columns: tuple[int, ...], want_tid: bool) -> Row:
        system = {-1: version.tid, -6: self.desc.oid}
        row = tuple(system[attno] if attno < 0 else version.row[attno - 1] for attno in columns)
        return (*row, version.tid) if want_tid else row

    def rows(self) -> list[Row]:
        return [version.row for version in self.versions if version.ended is None]

    def scan(self, snapshot: int, columns: tuple[int, ...], want_tid: bool) -> Iterator[list[Row]]:
        found = [version for version in self.versions if version.visible(snapshot)]
        for start in range(0, len(found), BATCH):
            yield [self._take(version, columns, want_tid) for version in found[start : start + BATCH]]

    def fetch(self, snapshot: int, tid: int, columns: tuple[int, ...]) -> Row | None:
        version = self._at(tid)
        return self._take(version, columns, False) if version.visible(snapshot) else None

    def fetch_chains(
        self, snapshot: int, roots: list[int], columns: tuple[int, ...], want_tid: bool
    ) -> Iterator[list[Row]]:
        found = [version for version in map(self._at, roots) if version.visible(snapshot)]
        yield [self._take(version, columns, want_tid) for version in found]

    def index(self, desc: IndexDesc) -> FakeIndex:
        return FakeIndex(self, desc)

    def _at(self, tid: int) -> Version:
        return self.versions[tid - 65537]

    def _latest(self, version: Version) -> Version | None:
        while version.ended is not None:
            following = getattr(version, "next", None)
            if following is None:
                return None
            version = following
        return version

    def find_conflict(self, txn: Any, row: Row, arbiters: tuple[int, ...]) -> int | None:
        for index in self.desc.indexes:
            if arbiters and index.oid not in arbiters:
                continue
            key = tuple(row[attno - 1] for attno in index.columns)
            if None in key:
                continue
            for version in self.versions:
                if version.ended is None and tuple(version.row[attno - 1] for attno in index.columns) == key:
                    return version.tid
        return None

    def insert_or_find(self, txn: Any, row: Row, arbiters: list[FakeIndex]) -> tuple[int, int]:
        found = self.find_conflict(txn, row, tuple(index.desc.oid for index in arbiters)) if arbiters else None
        return (0, found) if found is not None else (self.insert(txn, row), 0)

    def insert(self, txn: Any, row: Row) -> int:
        if self.find_conflict(txn, row, ()) is not None:
            raise UniqueViolation("duplicate key")
        version = Version(65537 + len(self.versions), row, self.storage.tick())
        self.versions.append(version)
        return version.tid

    def insert_many(self, txn: Any, rows: list[Row]) -> int:
        for row in rows:
            self.insert(txn, row)
        return len(rows)

    def update_many(
        self,
        txn: Any,
        snapshot: int | None,
        tids: list[int],
        changed: tuple[int, ...],
        compute: Callable[[list[Row], list[int], int], list[Row | None]],
        needed: tuple[int, ...],
        later: list[int],
    ) -> int:
        count = 0
        for at, tid in enumerate(tids):
            made = self.update_columns(
                txn, snapshot, tid, changed, lambda row, at=at: compute([row], tids, at)[0], needed
            )
            count += made is not None
        return count

    def enter_many(self, txn: Any, changed: tuple[int, ...], needed: tuple[int, ...], tids: list[int]) -> None:
        """Its indexes are looked up in the rows."""

    def update_columns(
        self,
        txn: Any,
        snapshot: int | None,
        tid: int,
        changed: tuple[int, ...],
        compute: Callable[[Row], Row | None],
        needed: tuple[int, ...],
        recheck: Callable[[int, Row], Any] | None = None,
        later: list[int] | None = None,
    ) -> int | None:
        if self.before_update is not None:
            action, self.before_update = self.before_update, None
            action()
        version = self._latest(self._at(tid))
        if version is None:
            return None
        found = self._take(version, needed, False)
        again = compute if version.tid == tid or recheck is None else recheck(version.tid, found)
        values = None if again is None else again(found)
        if values is None:
            return None
        row = list(version.row)
        for attno, value in zip(changed, values, strict=True):
            row[attno - 1] = value
        version.ended = self.storage.tick()
        new_tid = self._append(tuple(row), version.ended)
        version.next = self._at(new_tid)  # type: ignore[attr-defined]
        return new_tid

    def _append(self, row: Row, made: int) -> int:
        self.versions.append(Version(65537 + len(self.versions), row, made))
        return self.versions[-1].tid

    def delete(
        self, txn: Any, snapshot: int, tid: int, recheck: Callable[[Row, int], bool], needed: tuple[int, ...]
    ) -> bool:
        version = self._latest(self._at(tid))
        if version is None:
            return False
        if version.tid != tid and not recheck(self._take(version, needed, False), version.tid):
            return False
        version.ended = self.storage.tick()
        return True

    def delete_many(
        self,
        txn: Any,
        snapshot: int,
        tids: list[int],
        recheck: Callable[[Row, int], bool],
        needed: tuple[int, ...],
    ) -> int:
        return sum(self.delete(txn, snapshot, tid, recheck, needed) for tid in tids)

    def lock(self, txn: Any, snapshot: int, tid: int, strength: str, wait: str) -> tuple[int, Row, bool] | None:
        if self.before_update is not None:
            action, self.before_update = self.before_update, None
            action()
        version = self._latest(self._at(tid))
        return None if version is None else (version.tid, version.row, version.tid != tid)


class FakeIndex:
    """The interface of ``compute_node.access.index_access.IndexAccess``."""

    def __init__(self, table: FakeTable, desc: IndexDesc) -> None:
        self.table, self.desc = table, desc
        self.counts = RelationCounts()

    def _key(self, version: Version) -> Row:
        return tuple(version.row[attno - 1] for attno in self.desc.columns)

    def lookup(self, snapshot: int, key: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        assert len(key) == len(self.desc.columns)
        return [
            self.table._take(version, columns, want_tid)
            for version in self.table.versions
            if version.visible(snapshot) and self._key(version) == key
        ]

    def finder(self, columns: tuple[int, ...], want_tid: bool) -> Callable[[int, Row], list[Row]]:
        return lambda snapshot, key: self.lookup(snapshot, key, columns, want_tid)

    def _found(self, keys: list[ScanKey], backward: bool) -> list[Version]:
        """The versions that meet the keys, visible or not, in key order."""
        tests = {1: operator.lt, 2: operator.le, 3: operator.eq, 4: operator.ge, 5: operator.gt}
        found = []
        for version in self.table.versions:
            row = self._key(version)
            if any(row[key.column] is None for key in keys):
                continue
            if all(key.strategy == -2 or tests[key.strategy](row[key.column], key.value) for key in keys):
                found.append(version)
        found.sort(key=lambda version: [(item is None, item) for item in self._key(version)], reverse=backward)
        return found

    def tids(self, keys: list[ScanKey], backward: bool = False, area: Any = None) -> Iterator[list[int]]:
        found = self._found(keys, backward)
        for start in range(0, len(found), BATCH):
            yield [version.tid for version in found[start : start + BATCH]]

    def scan(
        self, snapshot: int, keys: list[ScanKey], backward: bool, columns: tuple[int, ...], want_tid: bool
    ) -> Iterator[list[Row]]:
        found = [version for version in self._found(keys, backward) if version.visible(snapshot)]
        for start in range(0, len(found), BATCH):
            yield [self.table._take(version, columns, want_tid) for version in found[start : start + BATCH]]


class FakeStorage:
    """Tables by descriptor."""

    def __init__(self) -> None:
        self.now = 0
        self.tables: dict[int, FakeTable] = {}

    @property
    def txns(self) -> FakeStorage:
        return self

    def latest_snapshot(self, txn: Any) -> int:
        return self.now

    def tick(self) -> int:
        self.now += 1
        return self.now

    def table(self, desc: RelationDesc) -> FakeTable:
        if desc.oid not in self.tables:
            self.tables[desc.oid] = FakeTable(self, desc)
        return self.tables[desc.oid]


class FakeSession:
    """What the executor reads of a session."""

    interrupt: Exception | None = None
    user = session_user = database = "postgres"
    pid = 1

    def catalog_function(self, name: str, *args: Any) -> Any:
        """Nothing is hidden from it."""
        assert name == "readable_columns"

    def check_interrupts(self) -> None:
        if self.interrupt is not None:
            raise self.interrupt

    def get_setting(self, name: str, missing_ok: bool) -> str | None:
        """No class of these tests asks for one."""
        raise AssertionError(f"setting {name} is not here")

    def search_path_schemas(self, include_implicit: bool) -> list[str]:
        return ["public"]


class FakeCatalog:
    """The registry, as the executor's part of ``CatalogView``."""

    def namespace_name(self, oid: int) -> str:
        return "pg_catalog" if oid == 11 else "public"

    def filtering(self, function: BatchFunction) -> BatchFunction:
        return function

    def function(self, oid: int) -> Function:
        return REGISTRY.functions[oid]

    def type(self, oid: int) -> PgType:
        return REGISTRY.types[oid]

    def operator(self, oid: int) -> Operator:
        return REGISTRY.operators[oid]

    def operators(self, schema: str | None, name: str) -> list[Operator]:
        return REGISTRY.operators_by_name.get(name, [])

    def aggregate(self, oid: int) -> Aggregate | None:
        return REGISTRY.aggregates.get(oid)

    def blocks(self, relation: RelationDesc) -> int:
        """Few: they are read row by row."""
        return 1


def context(storage: FakeStorage, params: Row = ()) -> ExecContext:
    """A context whose snapshot is now."""
    txn = SimpleNamespace(follow=True)
    return ExecContext(FakeSession(), txn, storage.now, TypeEnv(timezone=UTC), storage, params)
