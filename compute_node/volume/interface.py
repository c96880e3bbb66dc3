"""What the stages above need of a volume: the log's open end, its durable point, pages.

``Volume`` is the one over storage nodes; ``access.memory_volume`` stands in for it where there are none (the initial
image, tests), and the simulator has its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from aurora.ids import Lsn, PageNo

if TYPE_CHECKING:
    from aurora.errors import SqlError
    from aurora.kernels.python.mtr import RedoLog
    from compute_node.volume.doubt import Doubt


class PagedVolume(Protocol):
    """One log and the pages that it makes."""

    log: RedoLog

    @property
    def volume_id(self) -> bytes:
        """Sixteen bytes, as the descriptor has them."""

    @property
    def vdl(self) -> Lsn:
        """Everything up to this LSN is durable."""

    @property
    def doubt(self) -> Doubt:
        """Whether another writer may have opened the volume while this process stood still."""

    @property
    def fenced(self) -> bool:
        """Whether another writer has taken over."""

    def flush_soon(self, reason: str = "") -> None:
        """Flush at the end of this turn of the loop; ``reason`` is for the reader of the caller's code."""

    def reserve(self, nbytes: int) -> None:
        """Wait until there is log space for that many bytes."""

    def when_durable(self, lsn: Lsn, done: Callable[[SqlError | None], None]) -> None:
        """Call ``done`` once ``vdl`` has reached ``lsn``."""

    def holds_back(self, now_s: float) -> bool:
        """Whether nothing may be shown now: see ``doubt``."""

    def when_sure(self, done: Callable[[SqlError | None], None]) -> None:
        """Call ``done(None)`` once nothing is held back any more, ``done(error)`` when this instance is over."""

    def wait_durable(self, lsn: Lsn) -> None:
        """Wait until ``vdl`` has reached ``lsn``."""

    def ensure_pages(self, upto_page: int) -> None:
        """See that protection groups exist for all pages before ``upto_page``; may wait."""

    def read_page(self, page_no: PageNo) -> bytes | None:
        """The page as of the VDL, None when nothing was ever written to it; waits."""

    def read_pages(self, page_nos: Sequence[PageNo]) -> Awaitable[Sequence[bytes | None]]:
        """Several pages as of the VDL."""
