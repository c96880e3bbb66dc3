"""Writers at once in GiST and exclusion constraints: wherever one may wait, others go on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from aurora.errors import ExclusionViolation, SqlError
from aurora.kernels import arena as arena_kernel
from compute_node.access.gist import tree
from compute_node.access.gist.pages import ROOT
from compute_node.access.gist.tree import GistTree
from compute_node.access.index_access import ScanKey
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.hub import HUB
from compute_node.relations.descriptors import ColumnDesc, Excluded, IndexDesc, RelationDesc
from compute_node.types.oids import TEXT
from compute_node.types.ranges.value import LOWER_INCLUSIVE, Range
from compute_node.types.registry import REGISTRY
from tests.unit.support_access import FakeSession, create, latest, run_greenlets, spawn

INT4, INT4RANGE = 23, 3904
TEXT_EQUALS, RANGES_OVERLAP = 3, 3
OVERLAP = 3888
TEXTS = IndexDesc(
    2001, 2001, "words", (2,), False, False, key_types=(TEXT,), operator_classes=(10086,), method="spgist",
    codes=(10086,), class_options=((),),
)  # fmt: skip
NO_OVERLAP = IndexDesc(
    2002, 2002, "no_overlap", (2,), False, False, key_types=(INT4RANGE,), operator_classes=(10078,), method="gist",
    codes=(10078,), class_options=((),), exclusion=(Excluded(OVERLAP, RANGES_OVERLAP),),
)  # fmt: skip


def made(kind: int, index: IndexDesc) -> Any:
    """A table (id, value) with an index on the value."""
    storage = Storage(arena_kernel.Arena(512), MemoryVolume(), REGISTRY.types.__getitem__)
    storage.mtr.verify = True
    storage.compile_comparison = lambda table, operator, kind: _overlap
    columns = (ColumnDesc(1, "id", INT4, -1, False), ColumnDesc(2, "v", kind, -1, False))
    return create(storage, RelationDesc(2000, 2000, "t", "public", 2200, "r", columns, (index,), database=0))


def _overlap(one: Any, other: Any) -> bool:
    return bool(one.lower < other.upper and other.lower < one.upper)


def test_a_split_writes_to_no_block_that_another_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small, and keys so different, that inner pages split because a key above grows, too."""
    rng = random.Random(3)
    texts = [f"{rng.randrange(10_000):04}" * rng.choice((1, 5, 15)) for _ in range(600)]
    monkeypatch.setattr(tree, "ROOM", 700)

    def body() -> None:
        table = made(TEXT, TEXTS)
        storage, index = table.storage, table.indexes[0]
        get = storage.cache.get

        def take_spare(page_no: int) -> int:
            """Now and then somebody else splits a page meanwhile, with the blocks that are at hand."""
            spare = index.file.spare
            if page_no in map(index.file.map.page_no, spare):
                storage.cache.waits += 1
                if rng.random() < 0.4:
                    spare.clear()
            return int(get(page_no))

        monkeypatch.setattr(storage.cache, "get", take_spare)
        txn = storage.txns.begin()
        for number, text in enumerate(texts):
            table.insert(txn, (number, text))
            index.file.spare.append(storage.extents.new_block(index.file))
        storage.txns.commit(txn)
        monkeypatch.setattr(storage.cache, "get", get)
        assert not index.tree.node(index.tree.node(ROOT).child(0)).is_leaf
        for number, text in enumerate(texts):
            keys = [ScanKey(0, TEXT_EQUALS, text)]
            found = [row for batch in index.scan(latest(storage), keys, False, (1,), False) for row in batch]
            assert (number,) in found

    run_greenlets(body)


def test_of_rows_on_conflict_at_once_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is the victim of a deadlock, and no two rows overlap. A plain INSERT is among them."""
    walk = GistTree.walk

    def waiting(of: GistTree, wanted: Any) -> Iterator[Any]:
        HUB.yield_turn()
        yield from walk(of, wanted)

    monkeypatch.setattr(GistTree, "walk", waiting)
    rng = random.Random(1)
    orders = [rng.sample(range(40), 40) for _ in range(5)]
    kept: list[int] = []

    def writer(number: int) -> Callable[[Any], None]:
        def write(table: Any) -> None:
            for n in orders[number]:
                txn = table.storage.txns.begin(session=FakeSession(number))
                row = n, Range(2 * n, 2 * n + 3, LOWER_INCLUSIVE)
                try:
                    if number:
                        kept.append(table.insert_or_find(txn, row, table.indexes)[0])
                    else:
                        kept.append(table.insert(txn, row))
                    table.storage.txns.commit(txn)
                except SqlError as error:
                    table.storage.txns.abort(txn)
                    if number or not isinstance(error, ExclusionViolation):
                        raise

        return write

    def look(table: Any) -> None:
        rows = sorted(row for batch in table.scan(latest(table.storage), (1, 2), False) for row in batch)
        assert len(rows) == sum(map(bool, kept))
        for (_, one), (_, other) in pairwise(rows):
            assert not _overlap(one, other)
        present = {number for number, _ in rows}
        assert all({n - 1, n, n + 1} & present for n in range(40))

    async def go() -> None:
        HUB.bind(asyncio.get_running_loop())
        table = await HUB.call(lambda: made(INT4RANGE, NO_OVERLAP))
        assert await spawn(*(partial(writer(n), table) for n in range(5))) == [None] * 5
        await HUB.call(lambda: look(table))

    asyncio.run(go())
