"""The hash access method: against a dict, with pages so small that everything splits, and cut off at every
mini-transaction."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aurora.errors import IndexCorrupted, UndefinedObject
from aurora.kernels import mtr as mtr_kernel
from aurora.kernels import redo
from compute_node.access.hash import pages
from compute_node.access.hash.pages import POPULATING, SPLITTING, bucket_of, newest_child_of, parent_of
from compute_node.access.hash.values import value_hash
from compute_node.access.index_access import ScanKey
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.vacuum import vacuum
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.types import registry
from compute_node.types.oids import BPCHAR, FLOAT4, FLOAT8, INT2, INT8, NAME, NUMERIC, RECORD, VARCHAR
from tests.unit.support_access import INT4, TEXT, create, describe, latest, make_storage, run_greenlets

HASHED = IndexDesc(2001, 2001, "h", (1,), False, False, method="hash")


def described(*types: int) -> RelationDesc:
    plain = describe(2000, list(types))
    return RelationDesc(2000, 2000, "t", "public", 2200, "r", plain.columns, (HASHED,))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four entries a page."""
    monkeypatch.setattr(pages, "CAPACITY", 4)


def found(table: Any, key: Any) -> list[Any]:
    """The rows of a key, as the executor has them: what the lossy scan gives, checked again."""
    snapshot = latest(table.storage)
    index = table.indexes[0]
    rows = index.lookup(snapshot, (key,), (1, 2), False)
    scanned = [row for batch in index.scan(snapshot, [ScanKey(0, 1, key)], False, (1, 2), False) for row in batch]
    assert sorted(rows) == sorted(scanned)
    return sorted(row for row in rows if row[0] == key)


def structure(table: Any) -> tuple[int, int, int]:
    """(buckets, pages, entries) of the index; every entry is where it belongs, once."""
    writer = table.indexes[0].writer
    last, seen, count = writer.last_bucket, set(), 0
    for bucket in range(last + 1):
        block = writer.primary(bucket)
        populating = writer.page(block).flags & POPULATING
        splitting = writer.page(block).flags & SPLITTING
        while block:
            page = writer.page(block)
            assert page.bucket == bucket
            assert page.items() == sorted(page.items())
            for item in page.items():
                home = bucket_of(pages.hash_of(item), last)
                assert home == bucket or (splitting and parent_of(home) == bucket), (home, bucket)
                assert item not in seen
                seen.add(item)
            count += 1
            block = page.following
        if populating:
            assert writer.page(writer.primary(parent_of(bucket))).flags & SPLITTING
    return last + 1, count, len(seen)


def test_buckets_by_linear_hashing() -> None:
    for last in range(70):
        buckets = {bucket_of(n, last) for n in range(256)}
        assert buckets == set(range(last + 1))
        if last:
            parent = parent_of(last)
            assert newest_child_of(parent, last) == last
            moved = {n for n in range(256) if bucket_of(n, last) != bucket_of(n, last - 1)}
            assert all(bucket_of(n, last) == last and bucket_of(n, last - 1) == parent for n in moved)


def test_equal_values_of_a_family_have_equal_hashes() -> None:
    types = registry.REGISTRY.types
    kinds = (INT2, INT4, INT8, FLOAT4, FLOAT8, TEXT, VARCHAR, NAME, BPCHAR, NUMERIC)
    of = {oid: value_hash(types[oid]) for oid in kinds}
    for value in (0, 1, -1, 32767, -32768):
        assert len({of[INT2](value), of[INT4](value), of[INT8](value)}) == 1
    assert of[FLOAT4](1.5) == of[FLOAT8](1.5) and of[FLOAT8](0.0) == of[FLOAT8](-0.0)
    assert of[TEXT]("x") == of[VARCHAR]("x") == of[NAME]("x") and of[BPCHAR]("x") == of[BPCHAR]("x  ")
    one = types[NUMERIC].input("1", -1, None)  # type: ignore[arg-type]
    assert of[NUMERIC](one) == of[NUMERIC](types[NUMERIC].input("1.00", -1, None))  # type: ignore[arg-type]
    assert of[INT4](1) != of[INT4](2)
    # They are stored, so they may never change.
    assert (of[INT4](1), of[TEXT]("aurora"), of[NUMERIC](one)) == (3806452006, 3805843387, 1452480290)
    with pytest.raises(UndefinedObject, match="no default operator class for access method"):
        value_hash(types[RECORD])


@pytest.mark.parametrize("seed", range(6))
def test_random_work(seed: int, small_pages: None) -> None:
    rng = random.Random(seed)

    def body() -> None:
        storage = make_storage(frames=64)
        table = create(storage, described(INT4, TEXT))
        model: dict[int, tuple[int | None, str]] = {}
        for step in range(300):
            txn = storage.txns.begin()
            choice = rng.random()
            if choice < 0.4:
                rows = [(rng.choice([rng.randrange(60), None]), f"r{step}.{n}") for n in range(rng.choice([1, 1, 30]))]
                if len(rows) > 1:
                    table.insert_many(txn, rows)
                else:
                    table.insert(txn, rows[0])
                storage.txns.commit(txn)
                model = dict(tids(table))
                continue
            if not model:
                storage.txns.abort(txn)
                continue
            tid = rng.choice(list(model))
            snapshot = storage.txns.snapshot(txn)
            if choice < 0.7:
                new = (rng.randrange(60), model[tid][1])
                table.update_columns(txn, snapshot, tid, (1,), lambda row, new=new: new[:1], (1,))
            else:
                table.delete(txn, snapshot, tid, lambda row: True, (1,))
            if choice < 0.65 or choice > 0.75:
                storage.txns.commit(txn)
            else:
                storage.txns.abort(txn)
            model = dict(tids(table))
            if step % 50 == 49:
                vacuum(table)
                assert structure(table)[2] == sum(row[0] is not None for row in model.values())
            for key in rng.sample(range(60), 5):
                assert found(table, key) == sorted(row for row in model.values() if row[0] == key)
        assert structure(table)[0] > 8
        for key in range(60):
            assert found(table, key) == sorted(row for row in model.values() if row[0] == key)
        assert found(table, None) == []

    run_greenlets(body)


def tids(table: Any) -> list[tuple[int, Any]]:
    """(tid, row) of what is visible now."""
    return [(row[-1], row[:-1]) for batch in table.scan(latest(table.storage), (1, 2), True) for row in batch]


def test_a_bucket_of_one_hash_grows_without_splits(small_pages: None) -> None:
    def body() -> None:
        storage = make_storage()
        table = create(storage, described(INT4, TEXT))
        txn = storage.txns.begin()
        table.insert_many(txn, [(7, f"{n:03}") for n in range(100)])
        storage.txns.commit(txn)
        assert found(table, 7) == [(7, f"{n:03}") for n in range(100)]
        buckets, count, entries = structure(table)
        assert entries == 100 and count >= 25 and buckets <= 3

    run_greenlets(body)


def test_build_makes_what_inserts_make() -> None:
    def body() -> None:
        storage = make_storage()
        desc = RelationDesc(2000, 2000, "t", "public", 2200, "r", described(INT4, TEXT).columns)
        table = create(storage, desc)
        txn = storage.txns.begin()
        table.insert_many(txn, [(n % 1500 if n % 100 else None, f"{n}") for n in range(6000)])
        build_index(txn, table, HASHED)
        storage.txns.commit(txn)
        table = storage.table(described(INT4, TEXT))
        assert structure(table) == (10, 10, 5940)
        for key in (1, 99, 1499):
            assert found(table, key) == sorted((key, f"{n}") for n in range(key, 6000, 1500) if n % 100)
        assert found(table, 5000) == []

    run_greenlets(body)


def test_the_log_ends_after_any_mini_transaction(small_pages: None) -> None:
    """Whatever of a split has reached storage, all committed rows are found, and the index goes on from there."""

    def body() -> None:
        volume = MemoryVolume(auto=False, keep_history=True)
        storage = make_storage(volume)
        table = create(storage, described(INT4, TEXT))
        volume.advance()
        committed: list[tuple[int, int]] = []
        for n in range(90):
            txn = storage.txns.begin()
            table.insert(txn, (n % 40, f"{n}"))
            committed.append((int(storage.txns.commit(txn) or volume.log.last_cpl), n))
        start = volume.vdl
        whole = MemoryVolume(auto=False)
        whole.log, whole.pages, whole.vdl = volume.log, volume.pages, volume.vdl
        runs = volume.log.take()
        points = sorted(
            at for run in runs for at, _, _, _, flags, _, _ in redo.scan(run[5], run[1]) if flags & 1 and at > start
        )
        assert len(points) > 150
        incomplete = 0
        for point in points[::2]:
            reopened = make_storage(cut_off(volume, runs, point))
            again = reopened.table(described(INT4, TEXT))
            incomplete += has_flags(again)
            done = [n for lsn, n in committed if lsn <= point]
            check_rows(again, done)
            txn = reopened.txns.begin()
            more = range(1000, 1030)
            for n in more:
                again.insert(txn, (n % 40, f"{n}"))
            reopened.txns.commit(txn)
            check_rows(again, [*done, *more])
            vacuum(again)
            check_rows(again, [*done, *more])
        assert incomplete > 5, "the cuts fall into splits"

    run_greenlets(body)


def has_flags(table: Any) -> bool:
    writer = table.indexes[0].writer
    return any(writer.page(writer.primary(bucket)).flags for bucket in range(writer.last_bucket + 1))


def check_rows(table: Any, numbers: list[int]) -> None:
    structure(table)
    for key in range(40):
        assert found(table, key) == sorted((key, f"{n}") for n in numbers if n % 40 == key)


def cut_off(volume: MemoryVolume, runs: list[Any], lsn: int) -> MemoryVolume:
    """What a writer finds that starts after the log was lost above ``lsn``."""
    records = []
    for run in runs:
        for at, _, page_no, page_prev, flags, offset, end in redo.scan(run[5], run[1]):
            if at <= lsn and not flags & 2:
                records.append((at, page_no, run[5][offset:end], not page_prev))
    found_ = MemoryVolume()
    found_.pages = {page_no: bytearray(page) for page_no, page in volume.pages.items()}
    for at, page_no, ops, starts_anew in sorted(records):
        if starts_anew:
            found_.pages.pop(page_no, None)
        if starts_anew and not ops:
            continue
        page = found_.pages.setdefault(page_no, bytearray(8192))
        redo.apply(page, ops, 0, len(ops), at)
    found_.vdl = lsn
    found_.log = mtr_kernel.RedoLog(volume.log.next_lsn + 1000, lsn, 512, {})
    return found_


def test_a_page_of_another_kind_is_told(small_pages: None) -> None:
    def body() -> None:
        storage = make_storage()
        table = create(storage, described(INT4, TEXT))
        with pytest.raises(IndexCorrupted, match="is not a bucket page"):
            table.indexes[0].writer.page(0)

    run_greenlets(body)
