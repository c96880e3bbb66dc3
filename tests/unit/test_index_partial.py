"""Partial and expression indexes below SQL: which rows have entries, what is heap-only, unique checks, a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aurora.errors import NotSupported, UniqueViolation
from compute_node.access.index_access import RowExpression, ScanKey
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.methods import build_index
from compute_node.access.vacuum import vacuum
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from tests.unit.support_access import INT4, TEXT, create, describe, latest, make_storage, run_greenlets

EXPRESSIONS = {
    "lower(b)": RowExpression(lambda row: None if row[1] is None else row[1].lower(), frozenset({2}), "lower(b)"),
    "c > 10": RowExpression(lambda row: None if row[2] is None else row[2] > 10, frozenset({3}), "c > 10"),
}


def storage_of(volume: MemoryVolume | None = None) -> Any:
    storage = make_storage(volume)
    storage.compile_row_expression = lambda relation, text: EXPRESSIONS[text]
    return storage


def described(method: str = "btree", unique: bool = True) -> RelationDesc:
    """(a, b, c) with an index on lower(b) where c > 10."""
    made = IndexDesc(
        2001,
        2001,
        "i",
        (0,),
        unique,
        False,
        key_types=(TEXT,),
        expressions=("lower(b)",),
        predicate="c > 10",
        method=method,
    )
    return replace(describe(2000, [INT4, TEXT, INT4, INT4]), indexes=(made,))


def found(table: Any, key: str, equality: int = 3) -> list[int]:
    keys = [ScanKey(0, equality, key)]
    rows = table.indexes[0].scan(latest(table.storage), keys, False, (1,), False)
    return sorted(row[0] for batch in rows for row in batch)


def entries(table: Any) -> int:
    return sum(len(tids) for tids in table.indexes[0].tids([]))


def test_without_a_compiler_such_an_index_is_refused() -> None:
    storage = make_storage()
    with pytest.raises(NotSupported, match="indexes on expressions and partial indexes"):
        create(storage, described())


@pytest.mark.parametrize(("method", "equality"), [("btree", 3), ("hash", 1)])
def test_rows_outside_the_predicate_have_no_entry(method: str, equality: int) -> None:
    def body() -> None:
        storage = storage_of()
        table = create(storage, described(method, unique=False))
        txn = storage.txns.begin()
        table.insert_many(txn, [(n, f"N{n % 50}", n, 0) for n in range(100)])
        table.insert(txn, (100, "n7", None, 0))
        storage.txns.commit(txn)
        assert found(table, "n7", equality) == [57]
        assert found(table, "n20", equality) == [20, 70]

    run_greenlets(body)


def test_an_update_is_heap_only_unless_expression_or_predicate_read_the_column() -> None:
    def body() -> None:
        storage = storage_of()
        table = create(storage, described())
        txn = storage.txns.begin()
        tid = table.insert(txn, (1, "A", 20, 0))
        storage.txns.commit(txn)

        def update(attno: int, value: Any) -> None:
            nonlocal tid
            txn = storage.txns.begin()
            snapshot = storage.txns.snapshot(txn)
            tid = table.update_columns(txn, snapshot, tid, (attno,), lambda row: (value,), (attno,))
            storage.txns.commit(txn)

        assert entries(table) == 1
        update(4, 9)
        assert entries(table) == 1 and found(table, "a") == [1]
        update(2, "B")
        assert entries(table) == 2 and found(table, "a") == [] and found(table, "b") == [1]
        update(3, 5)
        assert entries(table) == 2 and found(table, "b") == []
        update(3, 50)
        assert entries(table) == 3 and found(table, "b") == [1]
        vacuum(table)
        assert entries(table) == 1 and found(table, "b") == [1]

    run_greenlets(body)


def test_unique_among_the_rows_of_the_predicate() -> None:
    def body() -> None:
        volume = MemoryVolume()
        storage = storage_of(volume)
        table = create(storage, described())
        txn = storage.txns.begin()
        table.insert(txn, (1, "A", 20, 0))
        table.insert(txn, (2, "a", 5, 0))
        table.insert(txn, (3, None, 30, 0))
        table.insert(txn, (4, None, 30, 0))
        with pytest.raises(UniqueViolation) as caught:
            table.insert(txn, (5, "a", 11, 0))
        assert caught.value.detail == "Key (lower(b))=(a) already exists."
        storage.txns.abort(txn)
        txn = storage.txns.begin()
        rows = [(n, f"x{n}", n, 0) for n in range(40)] + [(40, "X39", 12, 0)]
        with pytest.raises(UniqueViolation) as bulk:
            table.insert_many(txn, rows)
        assert bulk.value.row in (39, 40)
        storage.txns.abort(txn)
        txn = storage.txns.begin()
        table.insert_many(txn, rows[:-1])
        storage.txns.commit(txn)
        txn = storage.txns.begin()
        assert table.insert_or_find(txn, (50, "X20", 60, 0), table.indexes)[1]
        assert table.insert_or_find(txn, (51, "X20", 6, 0), table.indexes)[0]
        storage.txns.commit(txn)
        volume.advance()
        again = storage_of(volume).table(described())
        assert found(again, "x20") == [20] and found(again, "x5") == []
        assert entries(again) >= 29

    run_greenlets(body)


def test_a_build_takes_the_rows_of_the_predicate() -> None:
    def body() -> None:
        storage = storage_of()
        bare = replace(described(), indexes=())
        table = create(storage, bare)
        txn = storage.txns.begin()
        table.insert_many(txn, [(n, f"N{n}", n, 0) for n in range(30)])
        table.insert(txn, (30, "n7", 3, 0))
        build_index(txn, table, described().indexes[0])
        storage.txns.commit(txn)
        table = storage.table(described())
        assert entries(table) == 19 and found(table, "n11") == [11] and found(table, "n7") == []
        txn = storage.txns.begin()
        table.insert(txn, (31, "N29", 3, 0))
        storage.txns.commit(txn)
        wider = replace(described().indexes[0], oid=2002, relfile=2002, predicate=None)
        txn = storage.txns.begin()
        with pytest.raises(UniqueViolation) as caught:
            build_index(txn, table, wider)
        assert caught.value.detail in ("Key (lower(b))=(n7) is duplicated.", "Key (lower(b))=(n29) is duplicated.")
        storage.txns.abort(txn)

    run_greenlets(body)


def test_a_table_whose_index_was_not_made_is_not_kept() -> None:
    """What autovacuum would else go on with."""

    def body() -> None:
        storage = make_storage()
        bare = describe(2000, [INT4, TEXT])
        table = create(storage, bare)
        txn = storage.txns.begin()
        made = describe(2000, [INT4, TEXT], [((1,), False)])
        build_index(txn, table, made.indexes[0])
        assert storage.table(made) is storage.open_table(made.relfile)
        storage.txns.abort(txn)
        assert storage.open_table(made.relfile) is None

    run_greenlets(body)
