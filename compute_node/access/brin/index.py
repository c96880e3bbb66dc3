"""A BRIN index of a table: pages whose range's summary does not rule a condition out.

rows of a range → summary, by the classes of the columns → its entry; condition → test of summaries → all pages of the
ranges that may have rows. It gives whole pages, for bitmaps. A range without a summary is always read: VACUUM,
``brin_summarize_new_values`` and, with ``autosummarize``, the autovacuum daemon make what is missing.

While a range is being summarized its pages are read one by one, and what others enter there meanwhile is kept in
``RelationFile.unfinished`` until the summary is written: so it holds each row that came before, and who comes after
widens it. A crash in between leaves the range without a summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.access.brin.classes import brin_class
from compute_node.access.brin.store import BrinStore
from compute_node.access.brin.summary import Summaries, Summary
from compute_node.access.brin.versions import versions_of
from compute_node.access.index_access import IndexAccess, ScanKey
from compute_node.access.index_build import take_turn
from compute_node.access.vacuum import is_no
from compute_node.hub import HUB
from compute_node.relations.access_methods import BRIN, pages_per_range
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.transaction import Txn

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.dead_rows import DeadRows
    from compute_node.access.table_reader import TableReader
    from compute_node.work.account import Area

_AUTOSUMMARIZE: Final = "autosummarize="
KEYS_A_TURN: Final = 512
_BATCH_PAGES = 4096
_ADDRESS_BYTES = 8


class BrinIndex(IndexAccess):
    """One BRIN index of ``table``."""

    method = BRIN

    def __init__(self, table: TableReader, desc: IndexDesc) -> None:
        super().__init__(table, desc)
        self.store = BrinStore(table.storage, self.file, desc.name)
        self._summaries: Summaries | None = None
        self._known: tuple[int, bytes, Summary] | None = None
        """the summary that was decoded last: its range, its bytes"""
        self._pages_wanted = pages_per_range(desc.options)
        self._summarizes = any(each.startswith(_AUTOSUMMARIZE) and not is_no(each) for each in desc.options)

    @property
    def summaries(self) -> Summaries:
        """What its columns' classes make of rows. May wait."""
        if self._summaries is None:
            desc, pages = self.desc, self.store.pages_per_range
            types = self.table.desc.type_lookup(self._storage.type_lookup)
            options = desc.class_options or ((),) * len(desc.codes)
            self._summaries = Summaries(
                [
                    brin_class(code, types(kind), given, pages)
                    for code, kind, given in zip(desc.codes, desc.key_types, options, strict=True)
                ]
            )
        return self._summaries

    def range_of(self, block: int) -> int:
        """The number of a block's range. May wait."""
        return block // self.store.pages_per_range

    def summary(self, number: int) -> Summary | None:
        """A range's summary; None: it has none. May wait."""
        data = self.store.find(number)
        return None if data is None else self._decoded(number, data)

    def _decoded(self, number: int, data: bytes) -> Summary:
        known = self._known
        if known is None or known[:2] != (number, data):
            known = self._known = number, data, self.summaries.decode(data)
        return known[2]

    # Building

    def build(self, txn: Txn) -> None:
        """See ``IndexAccess``: range after range, up to the last one with rows."""
        table, keys, store = self.table, self.keys, self.store
        store.begin(self._pages_wanted)
        summaries, pages = self.summaries, store.pages_per_range
        snapshot = table.storage.txns.latest_snapshot(txn)
        number, summary = 0, summaries.empty
        for rows in table.scan_blocks(snapshot, keys.columns, True, 0, None, True):
            self.built.rows += len(rows)
            block = rows[0][-1] >> 16
            while block // pages > number:
                self._put(number, summary)
                number, summary = number + 1, summaries.empty
            found = [row[:-1] if keys.is_plain else keys.of(row[:-1]) for row in rows]
            summary = summaries.extended(summary, [key for key in found if key is not None])
            take_turn(txn)
        self._put(number, summary)
        self.built.entries = number + 1

    def _put(self, number: int, summary: Summary) -> None:
        data = self.summaries.encode(summary)
        self.store.change(number, lambda _: data)

    # Reading

    def lookup(self, snapshot: Snapshot, key_values: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        """There is no whole key to look up."""
        raise InvariantViolation(f"look-up of a whole key in BRIN index {self.desc.name}")

    @property
    def _heap_blocks(self) -> int:
        """Blocks of the table that may have rows."""
        file = self.table.file
        return int(file.fresh if file.end_known else file.map.blocks)

    def tids(self, keys: Sequence[ScanKey], backward: bool = False, area: Area | None = None) -> Iterator[list[int]]:
        """See ``IndexAccess``: pages, in the order of the table."""
        blocks, pages = self._heap_blocks, self.store.pages_per_range
        meets = self.summaries.test(keys)
        decode = self.summaries.decode
        found: list[int] = []
        for number, data in self.store.summaries(-(-blocks // pages)):
            if data is None or meets(decode(data)):
                found += [block << 16 for block in range(number * pages, min((number + 1) * pages, blocks))]
                if len(found) >= _BATCH_PAGES:
                    if area is not None:
                        area.add(_ADDRESS_BYTES * len(found))
                    yield found
                    found = []
        if found:
            yield found

    def entered(self) -> Iterator[list[int]]:
        """See ``IndexAccess``: no entry is a row's."""
        return iter(())

    # Writing

    def add(self, txn: Txn, values: Sequence[Datum], tid: int, check: bool = True) -> int:
        """See ``IndexAccess``."""
        key = self.keys.of(values)
        if key is not None:
            self._ask_for_summary(tid)
            self._widen(self.range_of(tid >> 16), [key])
        return 0

    def add_many(self, txn: Txn, rows: Sequence[Sequence[Datum]], tids: Sequence[int], check: bool = True) -> None:
        """See ``IndexAccess``: those of a range together."""
        found: dict[int, list[Row]] = {}
        for row, tid in zip(rows, tids, strict=True):
            key = self.keys.of(row)
            if key is not None:
                self._ask_for_summary(tid)
                found.setdefault(self.range_of(tid >> 16), []).append(key)
        for number, those in found.items():
            for start in range(0, len(those), KEYS_A_TURN):
                self._widen(number, those[start : start + KEYS_A_TURN])
                HUB.pulse()

    def _widen(self, number: int, keys: list[Row]) -> None:
        """A range has more rows, a few: its summary holds them when this returns, if it has one. May wait."""
        while True:
            data = self.store.find(number)
            unfinished = self.file.unfinished.get(number)
            if unfinished is not None:
                # Nothing has waited since the look at the summary.
                unfinished += keys
            if data is None:
                return
            summary = self._decoded(number, data)
            if self.summaries.extended(summary, keys) is summary or self.store.change(number, self._extension(keys)):
                return

    def _extension(self, keys: Sequence[Row]) -> Callable[[bytes | None], bytes | None]:
        def extended(data: bytes | None) -> bytes | None:
            if data is None:
                return None
            summary = self.summaries.decode(data)
            found = self.summaries.extended(summary, keys)
            return data if found is summary else self.summaries.encode(found)

        return extended

    def _ask_for_summary(self, tid: int) -> None:
        """The first row of a range: the range before it is full, and to be summarized where that is wanted."""
        if tid & 0xFFFF != 1 or not self._summarizes or not self.keys.is_plain:
            return
        block, pages = tid >> 16, self.store.pages_per_range
        if block and block % pages == 0 and self.store.find(block // pages - 1) is None:
            self._storage.unsummarized.setdefault(self.table.relfile, set()).add((self.desc.oid, block - pages))

    # Summaries

    def summarize(self, breathe: Callable[[], None], only: int | None = None, partial: bool = True) -> int:
        """Summarize the ranges without a summary, or the one of block ``only``; how many. With ``partial`` also the
        last one, which is still filled. The caller holds SHARE UPDATE EXCLUSIVE on the table. Errors: 54000."""
        pages = self.store.pages_per_range
        blocks = self._heap_blocks
        count = 0
        first = 0 if only is None else only // pages
        last = -(-blocks // pages) if partial else blocks // pages
        for number in range(first, last if only is None else min(last, first + 1)):
            breathe()
            if self.store.find(number) is None:
                self._summarize(number, breathe)
                count += 1
        self.store.keep_map()
        return count

    def _summarize(self, number: int, breathe: Callable[[], None]) -> None:
        pages, unfinished = self.store.pages_per_range, self.file.unfinished
        if number in unfinished:
            raise InvariantViolation(f"range {number} of index {self.desc.name} is summarized twice at a time")
        unfinished[number] = []
        try:
            summary = self.summaries.empty
            block = number * pages
            while block < min((number + 1) * pages, self._heap_blocks):
                breathe()
                HUB.pulse()
                rows = versions_of(self.table, block, self.keys.columns)
                found = [row if self.keys.is_plain else self.keys.of(row) for row in rows]
                summary = self.summaries.extended(summary, [key for key in found if key is not None])
                block += 1
            while len(added := unfinished[number]) > KEYS_A_TURN:
                unfinished[number] = added[KEYS_A_TURN:]
                summary = self.summaries.extended(summary, added[:KEYS_A_TURN])
                HUB.pulse()

            def finished(data: bytes | None) -> bytes | None:
                return self.summaries.encode(self.summaries.extended(summary, unfinished[number]))

            self.store.change(number, finished)
        finally:
            del unfinished[number]

    def desummarize(self, block: int) -> None:
        """Forget the summary of a block's range, if it has one. The lock as for ``summarize``."""
        self.store.remove(self.range_of(block))

    # Vacuum

    def remove(self, dead: DeadRows, breathe: Callable[[], None]) -> int:
        """See ``IndexAccess``: no entry is a row's, and summaries stay as wide as they are."""
        return 0
