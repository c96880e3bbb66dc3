"""A segment: one node's share of one protection group (PG): chain of log entries, page index, stored pages.

Input: entries of the hot log in any order, truncation ranges → output: SCL, page versions, log for peers. Pure state
over the passed-in hot log, page store and arena; nothing here waits or looks at a clock.

::

    collected ──── entries, a chain without gap ──── SCL        pending: behind a gap, or forked
        │ page store holds what is at or below        │
        └ may already hold newer pages, while a round of coalescing runs

Invariants: ``entries`` continue each other from ``collected_lsn`` to ``scl``; every page record in the indexed entries
is in ``chains`` unless the stored page already includes it; no entry is void.
"""

from __future__ import annotations

import heapq
import logging
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import count
from operator import attrgetter

from aurora import batch as frames
from aurora.batch import Batch
from aurora.errors import InvariantViolation
from aurora.kernels import redo
from aurora.page import PAGE_BYTES
from aurora.truncation import Range, valid_upto
from storage_node.coverage import Coverage
from storage_node.hot_log import Entry, HotLog, LogDamaged
from storage_node.limits import IndexSize
from storage_node.page_store import PageDamaged, PageStore, page_lsn

logger = logging.getLogger(__name__)

_last_lsn = attrgetter("last_lsn")


class Collected(Exception):
    """The page's oldest version here is newer than the read point."""


class Segment:
    """See the module. All LSNs are of this PG's records."""

    def __init__(
        self, pg: int, pages_per_pg: int, log: HotLog, store: PageStore, collected: int, collected_cpl: int
    ) -> None:
        self.pg = pg
        self.first_page = pg * pages_per_pg
        self.log = log
        self.store = store
        self.tail = False
        """A tail segment keeps log and no pages: it is not indexed, and collected when the full ones have the pages."""
        self.collected_lsn = collected
        self.collected_cpl = collected_cpl
        self.scl = collected
        self.scl_cpl = collected_cpl
        self.entries: list[Entry] = []
        self.chains: dict[int, array[int]] = {}
        """Page → u64s: the LSN that the first record follows (0: it starts the page anew), then two a record in LSN
        order: its LSN, and offset << 32 | end of its ops in the entry's records."""
        self.fresh: dict[int, list[int]] = {}
        """Page → LSNs of those of its records that start it anew, from zeros."""
        self.indexed = 0
        self.held_back = ""
        """Why the index ends before the chain does: a record does not fit its page's, which only its writer can have
        got wrong. What comes before it is served and coalesced; the node's other PGs go on.
        """
        self._held: Entry | None = None
        self.version = 0
        """Changes whenever entries have gone for another reason than collection."""
        self.live_bytes = 0
        self.floor_lsn = 0
        """Every stored hole is right from here on: what was freed was freed at or below."""
        self.broken: set[int] = set()
        """Indexes of stored pages that are damaged or stale, and wait for a peer's copy."""
        self._pending: list[tuple[int, int, Entry]] = []
        self._ahead = Coverage()
        """How far ``_pending`` reaches."""
        self._order = count()
        self._size = IndexSize()
        self._waiting_bytes = 0

    @property
    def highest_lsn(self) -> int:
        """Highest LSN held, in the chain or behind a gap."""
        return max(self.scl, self._ahead.highest)

    @property
    def pending(self) -> int:
        """Entries that wait behind a gap."""
        return len(self._pending)

    @property
    def gap_end(self) -> int:
        """Where the first gap ends: what is held goes on after it. 0 when there is no gap, or none with a known end."""
        after = self._pending[0][0] if self._pending else 0
        return after if after > self.scl else 0

    @property
    def unindexed(self) -> int:
        """Entries that wait for the index."""
        return self._end_of_index() - self.indexed

    @property
    def index_bytes(self) -> int:
        """Memory that entries and index take, estimated."""
        return self._size.bytes(len(self.entries) + len(self._pending), len(self.chains), self._waiting_bytes)

    # --- the fast path

    def covers(self, last_lsn: int) -> bool:
        """Whether a batch that ends at ``last_lsn`` is held already."""
        return last_lsn <= self.scl

    def add(self, entry: Entry, truncations: Sequence[Range]) -> None:
        """Take an entry of the hot log in: to the chain's end, aside behind a gap, or released when held or void."""
        if truncations and not self.clip(entry, truncations):
            self.log.release((entry,))
            return
        if entry.prev_lsn == self.scl and not self._pending:
            self._attach(entry)
            return
        heapq.heappush(self._pending, (entry.prev_lsn, next(self._order), entry))
        self._ahead.add(entry.prev_lsn, entry.first_lsn, entry.last_lsn)
        self._drain()

    def _attach(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.scl = entry.last_lsn
        if entry.last_cpl:
            self.scl_cpl = entry.last_cpl
        self.live_bytes += entry.length
        self._waiting_bytes += entry.raw_bytes

    def _drain(self) -> None:
        # A fork contradicts the chain: void records are held, and their truncation is not known here yet. It waits for
        # that.
        forks = []
        while self._pending and self._pending[0][0] <= self.scl:
            item = heapq.heappop(self._pending)
            entry = item[2]
            if entry.last_lsn <= self.scl:
                self.log.release((entry,))
            elif entry.prev_lsn == self.scl or self._passes_scl(entry):
                self._attach(entry)
            else:
                forks.append(item)
        for item in forks:
            heapq.heappush(self._pending, item)
        self._ahead.forget(self.scl)

    def _passes_scl(self, entry: Entry) -> bool:
        """Whether the chain's last record is inside the entry, which was cut differently from those held."""
        return any(record[0] == self.scl for record in self._scan_or_none(entry))

    def clip(self, entry: Entry, truncations: Sequence[Range]) -> bool:
        """Take void records off the entry's end; False when none is left."""
        upto = valid_upto(truncations, entry.first_lsn, entry.last_lsn)
        if upto == entry.last_lsn:
            return upto > 0  # 0: it has been clipped before, to nothing
        last = cpl = 0
        for record in self._scan_or_none(entry):
            if record[0] > upto:
                break
            last = record[0]
            if record[4] & redo.FLAG_CPL:
                cpl = last
        entry.last_lsn, entry.last_cpl = last, cpl
        return last > 0

    def _scan_or_none(self, entry: Entry) -> list[tuple[int, int, int, int, int, int, int]]:
        """The entry's records; none when it cannot be read back, which leaves a gap for the peers to fill."""
        try:
            found: list[tuple[int, int, int, int, int, int, int]] = redo.scan(
                self.log.read(entry).records, entry.prev_lsn
            )
        except LogDamaged as error:
            logger.error("%s; peers will be asked for it", error)
            return []
        return found

    def truncate(self, truncations: Sequence[Range]) -> None:
        """Apply ranges that have become known: void entries go, the chain ends before the first of them."""
        held = self.entries + [entry for _, _, entry in sorted(self._pending)]
        if all(valid_upto(truncations, e.first_lsn, e.last_lsn) == e.last_lsn for e in held):
            return
        self._rebuild(held, truncations)

    def _rebuild(self, held: Sequence[Entry], truncations: Sequence[Range]) -> None:
        self.entries, self._pending, self.live_bytes = [], [], 0
        self._held, self.held_back = None, ""
        self._clear_index()
        self._waiting_bytes = 0
        self.scl, self.scl_cpl = self.collected_lsn, self.collected_cpl
        self._ahead.clear()
        for entry in held:
            self.add(entry, truncations)

    def damaged(self, lost: Sequence[Entry], truncations: Sequence[Range]) -> list[Entry]:
        """Entries cannot be read back: forget them, which leaves gaps for peers to fill. Returns those held here."""
        gone = set(map(id, lost))
        held = self.entries + [e for _, _, e in sorted(self._pending)]
        found = [entry for entry in held if id(entry) in gone]
        if found:
            self.log.release(found)
            self._rebuild([entry for entry in held if id(entry) not in gone], truncations)
        return found

    # --- the index

    @property
    def indexed_lsn(self) -> int:
        """The chain is indexed, or collected, up to here."""
        return self.entries[self.indexed - 1].last_lsn if self.indexed else self.collected_lsn

    def index(self, entries: int) -> bool:
        """Index up to ``entries`` more entries; False when all are that can be."""
        stop = min(self._end_of_index(), self.indexed + entries)
        while self.indexed < stop:
            entry = self.entries[self.indexed]
            after = self.entries[self.indexed - 1].last_lsn if self.indexed else self.collected_lsn
            records = self.log.read(entry).records
            try:
                redo.index_run(self.chains, self.fresh, records, entry.prev_lsn, after, entry.last_lsn)
            except InvariantViolation as error:
                self._hold_back(entry, error)
                break
            self.indexed += 1
            self._waiting_bytes -= entry.raw_bytes
            self._size.indexed(entry.raw_bytes, self.chains)
        return self.indexed < self._end_of_index()

    def holds_back(self, lsn: int) -> bool:
        """Whether a record at or below the LSN cannot be indexed."""
        return self._held is not None and lsn >= self._held.first_lsn

    def _end_of_index(self) -> int:
        """How many leading entries can be indexed."""
        if self.tail:
            return self.indexed
        return self.target(self._held.first_lsn - 1) if self._held is not None else len(self.entries)

    def _hold_back(self, entry: Entry, error: InvariantViolation) -> None:
        """Index anew, up to before the entry: how much of it has been added is not known."""
        self._held = entry
        self.held_back = f"PG {self.pg} cannot be read from LSN {entry.first_lsn} on: {error}"
        logger.error("%s", self.held_back)
        self._clear_index()
        self._waiting_bytes = sum(entry.raw_bytes for entry in self.entries)

    def _clear_index(self) -> None:
        self.chains.clear()
        self.fresh.clear()
        self.indexed = 0
        self._size.reset()
        self.version += 1

    def last_lsn_upto(self, read_point: int) -> int:
        """A chain point ≤ ``read_point``: the PG's last record of the last whole entry, or ``collected_lsn``."""
        at = bisect_right(self.entries, read_point, key=_last_lsn)
        return self.entries[at - 1].last_lsn if at else self.collected_lsn

    def base(self, page_no: int) -> bytearray | None:
        """The stored page, None when never written; PageDamaged when it waits for repair or is found damaged now."""
        index = page_no - self.first_page
        if index in self.broken:
            raise PageDamaged(self.pg, index)
        try:
            return self.store.read(index)
        except PageDamaged as error:
            logger.error("%s; a peer will be asked for it", error)
            self.broken.add(index)
            raise

    def materialize(self, page_no: int, read_point: int, cached: memoryview | None) -> bytearray | None:
        """The page at ``read_point``; None when it was never written by then, or freed since it was. The caller has
        indexed all records up to there.

        ``cached`` is some version of the page at or below the read point. Raises Collected, LogDamaged, and PageDamaged
        also when the page lacks a record that the next one follows: a write of it was lost. What is cached may then
        have been made of it.
        """
        if self.holds_back(read_point):
            raise PageDamaged(self.pg, page_no - self.first_page, f"is asked for at {read_point}; {self.held_back}")
        chain = self.chains.get(page_no)
        fresh_lsn = max((lsn for lsn in self.fresh.get(page_no, ()) if lsn <= read_point), default=0)
        page: bytearray | None
        if cached is not None and page_lsn(cached) >= fresh_lsn:
            page = bytearray(cached)
        elif fresh_lsn:
            page = None
        else:
            page = self.base(page_no)
        base_lsn = page_lsn(page) if page is not None else 0
        if base_lsn > read_point:
            raise Collected(f"page {page_no} is held from {base_lsn} on, asked for at {read_point}")
        if page is None and not fresh_lsn and read_point < max(self.floor_lsn, self.collected_lsn):
            raise Collected(f"page {page_no} is a hole from {self.floor_lsn} on, asked for at {read_point}")
        if chain is None:
            return page
        start, stop = _chain_upto(chain, max(base_lsn, fresh_lsn - 1)), _chain_upto(chain, read_point)
        if page is not None or not fresh_lsn:
            self._check_link(page_no, base_lsn, chain[max(start - 2, 0)])
        if start >= stop:
            return page
        if page is None:
            if fresh_lsn and chain[stop - 2] == fresh_lsn and _has_no_ops(chain[stop - 1]):
                return None
            page = bytearray(PAGE_BYTES)
        redo.apply_chain(page, self._records(chain, start, stop))
        return page

    def _check_link(self, page_no: int, base_lsn: int, follows: int) -> None:
        """The record to apply next, or the last one that the page includes, tells which LSN the page must have."""
        if follows and follows != base_lsn:
            index = page_no - self.first_page
            error = PageDamaged(self.pg, index, f"is at LSN {base_lsn}, its log goes on from {follows}")
            logger.error("%s; a peer will be asked for it", error)
            self.broken.add(index)
            raise error

    def _records(self, chain: array[int], start: int, stop: int) -> Iterator[tuple[bytes, int, int, int]]:
        """The chain's records as ``apply_chain`` takes them; consecutive ones of one entry share its bytes."""
        upto, data = 0, b""
        for at in range(start, stop, 2):
            lsn, where = chain[at], chain[at + 1]
            if lsn > upto:
                entry = self.entries[bisect_left(self.entries, lsn, key=_last_lsn)]
                upto, data = entry.last_lsn, self.log.read(entry).records
            yield data, where >> 32, where & 0xFFFFFFFF, lsn

    # --- coalescing and collection

    def target(self, limit_lsn: int) -> int:
        """How many leading entries lie wholly at or below ``limit_lsn``."""
        return bisect_right(self.entries, limit_lsn, key=_last_lsn)

    def has_older(self, epoch: int, after_lsn: int) -> bool:
        """Whether the chain holds a record above ``after_lsn`` written under an older epoch."""
        return any(entry.epoch < epoch for entry in self.entries[self.target(after_lsn) :])

    def dirty_pages(self, upto_lsn: int) -> list[int]:
        """Pages with indexed records at or below ``upto_lsn``, in page order."""
        return sorted(page_no for page_no, chain in self.chains.items() if chain[1] <= upto_lsn)

    def stored(self, page_no: int, upto_lsn: int) -> None:
        """The stored page now includes the records up to ``upto_lsn``, durably: the index forgets them."""
        chain = self.chains.get(page_no)
        if chain is None:
            return
        gone = _chain_upto(chain, upto_lsn)
        self._size.forgot(gone // 2)
        if gone == len(chain):
            del self.chains[page_no]
        elif gone > 1:
            chain[0] = 0 if chain[gone] in self.fresh.get(page_no, ()) else chain[gone - 2]
            del chain[1:gone]
        if page_no in self.fresh:
            later = [lsn for lsn in self.fresh.pop(page_no) if lsn > upto_lsn]
            if later:
                self.fresh[page_no] = later

    def collect(self, upto_lsn: int) -> list[Entry]:
        """All pages are stored up to ``upto_lsn``, an entry's end: give its entries up; they are the caller's to
        release.
        """
        n = self.target(upto_lsn)
        gone = self.entries[:n]
        if not gone:
            return []
        if self.indexed < n and not self.tail:
            raise InvariantViolation(f"PG {self.pg}: collect of {n} entries, {self.indexed} are indexed")
        del self.entries[:n]
        self.indexed = max(0, self.indexed - n)
        self.live_bytes -= sum(entry.length for entry in gone)
        self.collected_lsn = gone[-1].last_lsn
        self.collected_cpl = max((entry.last_cpl for entry in gone), default=0) or self.collected_cpl
        return gone

    def give_up(self, upto_lsn: int) -> list[Entry]:
        """The chain's entries that lie wholly at or below ``upto_lsn``, which a baseline is about to cover: they are
        the caller's to release.
        """
        n = self.target(upto_lsn)
        gone, self.entries[:n] = self.entries[:n], []
        return gone

    def adopt_baseline(self, baseline_lsn: int, baseline_cpl: int, truncations: Sequence[Range]) -> None:
        """The stored pages are a peer's, right with the log after ``baseline_lsn`` on top: the chain starts there
        now.
        """
        if baseline_lsn <= self.collected_lsn:
            return
        held = self.entries + [entry for _, _, entry in sorted(self._pending)]
        self.collected_lsn, self.collected_cpl = baseline_lsn, baseline_cpl
        self._rebuild(held, truncations)

    def release_all(self) -> list[Entry]:
        """The segment is given up: its entries, which are the caller's to release."""
        held = self.entries + [entry for _, _, entry in self._pending]
        self.entries, self._pending, self.live_bytes, self.indexed = [], [], 0, 0
        self._ahead.clear()
        self.chains.clear()
        self.fresh.clear()
        self.version += 1
        return held

    def reach(self, after_lsn: int) -> tuple[int, int]:
        """How far the entries held continue each other from ``after_lsn``, were the chain to start there, and the first
        LSN behind the gap that follows (0: nothing is held there). Forks are not looked at.
        """
        at, behind_gap = self._ahead.reach(after_lsn)
        if self.entries:
            first = self.entries[0]
            if first.prev_lsn <= at < self.scl:
                return self._ahead.reach(self.scl)
            if at < first.prev_lsn and (not behind_gap or first.first_lsn < behind_gap):
                return at, first.first_lsn
        return at, behind_gap

    # --- log for others

    def fetch(self, after_lsn: int, upto_lsn: int) -> Iterator[Batch]:
        """The chain's batches that hold records above ``after_lsn``, none that starts above ``upto_lsn`` (0: no
        limit). Ends early when the chain changes meanwhile, or the log has been collected.
        """
        version = self.version
        for entry in self.entries[self.target(after_lsn) :]:
            if upto_lsn and entry.first_lsn > upto_lsn:
                return
            if self.version != version or entry.last_lsn <= self.collected_lsn:
                return
            whole = self.log.read(entry)
            clipped = frames.clip(whole, entry.last_lsn)
            if clipped is None:
                raise LogDamaged(entry, "it has no record left")
            yield clipped


def _has_no_ops(where: int) -> bool:
    """Whether the ops at ``offset << 32 | end`` are none: of a record that starts its page anew, a FREE's."""
    return where >> 32 == where & 0xFFFFFFFF


def _chain_upto(chain: array[int], lsn: int) -> int:
    """Position behind the chain's last record at or below ``lsn``."""
    low, high = 0, len(chain) // 2
    while low < high:
        middle = (low + high) // 2
        if chain[2 * middle + 1] <= lsn:
            low = middle + 1
        else:
            high = middle
    return 2 * low + 1
