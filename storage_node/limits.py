"""What bounds a node's memory, and what it says while it refuses: the index's size, its limit, the reasons in force.

``memory_mb`` is divided at start: the process itself, its two caches, what is queued or on the wire, and the index with
the rest::

    memory_mb = PROCESS_MB + cache_mb + log_cache_mb + QUEUES_MB + index

Caches and queues have bounds of their own. The index (log entries, and the records of each page) grows with the log
that cannot be coalesced yet; log that is kept for the backup (``KeptLog``) counts as well, a quarter at the most. At
half of its share coalescing begins at once; at ``APPENDS_SHARE`` of it the node refuses appends, as with a full disk,
and the writer goes on with the others. Log that fills a gap is taken up to the whole share, for what lies behind the
gap can be coalesced only then.

Sizes are estimates, kept as the index changes: what they leave out is small beside PROCESS_MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from aurora.batch import Batch
from storage_node.config import INDEX_MIN_MB, PROCESS_MB, QUEUES_MB, NodeConfig

if TYPE_CHECKING:
    from array import array

ENTRY_BYTES = 640
"""A log entry: its object and numbers, its place in the lists of its segment and its file."""
PAGE_BYTES = 320
"""A page in the index: its array's object, its number, its place in the table, one LSN at which it starts anew."""
RECORD_BYTES = 18
"""A record in a page's array of u64s, two a record, with what the array holds ready."""
RAW_SHARE = 0.5
"""Index bytes a byte of log that is not counted yet: more than a record's share of the smallest records."""
COUNT_EVERY_BYTES = 4 << 20

PRESSED_SHARE = 0.5
APPENDS_SHARE = 0.85
RESUME_SHARE = 0.75
"""Having refused, a node takes appends again below this share."""


class Indexed(Protocol):
    """A segment, or the log kept for the backup, as far as it takes memory."""

    @property
    def index_bytes(self) -> int:
        """Memory that entries and index take."""


class IndexSize:
    """How much memory one segment's page index takes. Records are counted now and then, log since then is estimated."""

    def __init__(self) -> None:
        self._records = 0
        self._raw_bytes = 0

    def indexed(self, raw_bytes: int, chains: dict[int, array[int]]) -> None:
        """Records of so many bytes have come into the index."""
        self._raw_bytes += raw_bytes
        if self._raw_bytes > COUNT_EVERY_BYTES:
            self._records = (sum(map(len, chains.values())) - len(chains)) // 2
            self._raw_bytes = 0

    def forgot(self, records: int) -> None:
        """So many records have left it."""
        self._records = max(0, self._records - records)

    def reset(self) -> None:
        """It is empty."""
        self._records = self._raw_bytes = 0

    def bytes(self, entries: int, pages: int, waiting_bytes: int) -> int:
        """The estimate for so many entries and pages, and log that is not indexed yet."""
        raw_bytes = self._raw_bytes + waiting_bytes
        if not pages and not waiting_bytes:
            self.reset()
            raw_bytes = 0
        return entries * ENTRY_BYTES + pages * PAGE_BYTES + self._records * RECORD_BYTES + int(raw_bytes * RAW_SHARE)


class IndexMemory:
    """The whole index against its share of ``memory_mb``."""

    def __init__(self, config: NodeConfig) -> None:
        caches_mb = config.cache_mb + config.log_cache_mb
        index_mb = max(INDEX_MIN_MB, config.memory_mb - PROCESS_MB - QUEUES_MB - caches_mb)
        self.limit_bytes = int(index_mb * (1 << 20))
        self.bytes = 0
        self._refusing = False

    def measure(self, parts: Iterable[Indexed]) -> None:
        """Add it up anew."""
        self.bytes = sum(part.index_bytes for part in parts)

    def take(self, batches: Sequence[Batch]) -> None:
        """Log has been taken in since."""
        self.bytes += sum(ENTRY_BYTES + int(batch.raw_bytes * RAW_SHARE) for batch in batches)

    @property
    def pressed(self) -> bool:
        """Whether to coalesce at once."""
        return self.bytes > self.limit_bytes * PRESSED_SHARE

    @property
    def full(self) -> bool:
        """Whether nothing more fits, not even log that fills a gap."""
        return self.bytes > self.limit_bytes

    def refuses_appends(self) -> bool:
        """Whether the writer's log is refused."""
        share = RESUME_SHARE if self._refusing else APPENDS_SHARE
        self._refusing = self.bytes > self.limit_bytes * share
        return self._refusing


class Refusals:
    """Why the node refuses, by what refuses: ``log``, ``pages``, ``meta`` (the disk), ``memory``."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def set(self, what: str, reason: str) -> bool:
        """It refuses; False when that is known already."""
        if self._reasons.get(what) == reason:
            return False
        self._reasons[what] = reason
        return True

    def clear(self, what: str) -> None:
        """It refuses no more."""
        self._reasons.pop(what, None)

    @property
    def note(self) -> str:
        """All reasons in force; empty when there is none."""
        return "; ".join(self._reasons.values())
