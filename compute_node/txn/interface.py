"""What transactions need of the stages above them: the pages of the volume (``access``) and the session.

``access.Storage`` and ``session.SessionState`` are these; the simulator has its own session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from aurora.datum import Datum
from aurora.ids import Lsn, RelFile, Xid
from aurora.notes import Invalidations

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena
    from aurora.kernels.python.clog import BlockMap, Clog
    from aurora.kernels.python.mtr import Mtr
    from compute_node.txn.counts import Counts
    from compute_node.txn.dependency import Dependency
    from compute_node.txn.transaction import Txn
    from compute_node.volume.interface import PagedVolume


class Pages(Protocol):
    """The page cache."""

    @property
    def arena(self) -> Arena:
        """Where the pages are."""

    def get(self, page_no: int) -> int:
        """The page's frame; waits when it has to be loaded."""

    def load(self, page_no: int) -> None:
        """Bring a missing page in; it may be gone again after a further wait."""


class ClogFile(Protocol):
    """The commit log's relation file."""

    fresh: int
    """Blocks below are in use."""

    @property
    def map(self) -> BlockMap:
        """Its extents."""


class Extents(Protocol):
    """Who gives relation files their pages."""

    def committed(self, relfile: RelFile) -> None:
        """Part of a commit's MTR: the file stays."""


class XidLimit(Protocol):
    """The superblock's limit of the xids handed out."""

    xid_limit: Xid

    def put_xid_limit(self, limit: Xid) -> None:
        """Log it; inside an MTR."""


class TxnStorage(Protocol):
    """The pages of one volume as ``TransactionManager`` needs them."""

    clock: Callable[[], int]
    """µs since 2000-01-01 UTC"""

    counts: Counts
    """what statistics count"""

    @property
    def volume(self) -> PagedVolume:
        """The log and its durable point."""

    @property
    def mtr(self) -> Mtr:
        """The page editor."""

    @property
    def cache(self) -> Pages:
        """The page cache."""

    @property
    def clog(self) -> Clog:
        """The commit log."""

    @property
    def clog_file(self) -> ClogFile:
        """Its file."""

    @property
    def superblock(self) -> XidLimit:
        """The limit of xids."""

    @property
    def extents(self) -> Extents:
        """The files' extents."""

    def extend_clog(self, last_block: int) -> None:
        """Make the commit log's pages up to that block; may wait."""

    def release_storage(self, relfile: RelFile, lsn: Lsn) -> None:
        """Part of a commit's or abort's MTR: the relation file is gone as of ``lsn``."""


class TxnSession(Protocol):
    """The session of a transaction."""

    dependency: Dependency
    """What its output depends on."""

    @property
    def pid(self) -> int:
        """Its number in messages."""

    @property
    def txn(self) -> Txn | None:
        """Its transaction of now."""

    @property
    def lock_timeout_ms(self) -> int:
        """0: it waits for a lock without limit."""

    @property
    def database(self) -> str:
        """The one that it is connected to."""

    @property
    def state(self) -> str:
        """As in pg_stat_activity: "active" while it runs a statement."""

    def catalog_function(self, name: str, *args: Datum) -> Datum:
        """A function that asks the catalog, by its name."""

    def has_waited(self, event: int, seconds: float) -> None:
        """A wait for that event (``work.waits``) has ended."""


class TxnChanges(Protocol):
    """What a transaction has changed in the catalog."""

    def touch(self, *oids: int) -> None:
        """Relations (or other objects) whose cached form is out of date."""

    def invalidations(self) -> Invalidations:
        """What those who follow the log have to forget."""

    def ended(self) -> None:
        """The transaction has ended: nobody asks any more."""


class TxnEvents(Protocol):
    """Changes of rows from which something is to follow (``access/row_events.py``)."""

    def forget_statement(self) -> None:
        """The statement that made the last ones has failed."""
