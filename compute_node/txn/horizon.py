"""Who reads at which LSN: the holds behind the row horizon.

Row versions that were deleted at or below the row horizon are removed by pruning and vacuum, and freed extents are used
again. So whoever reads at an LSN is registered for as long as it may read on:

- a statement by ``Txn.oldest_lsn``, a field that costs nothing;
- whatever outlives its statement, or has no transaction (a portal with rows left, a cursor, a catalog reader, a vacuum
  that counts rows, a reader instance), by a ``Hold``.

``TransactionManager.row_horizon`` is the lowest of both.
"""

from __future__ import annotations

from types import TracebackType

from aurora.errors import InvariantViolation
from aurora.ids import Lsn


class Hold:
    """One reader's LSN, until ``release``; a scope is a ``with``."""

    __slots__ = ("_holds", "_tied", "lsn", "owner")

    def __init__(self, holds: Holds, lsn: Lsn, owner: str) -> None:
        self._holds = holds
        self.lsn = lsn
        self.owner = owner
        self._tied: dict[Hold, None] | None = None

    def tie(self, tied: dict[Hold, None]) -> None:
        """Its transaction's holds, among which it is until it is released."""
        tied[self] = None
        self._tied = tied

    def move(self, lsn: Lsn) -> None:
        """The reader has gone on to ``lsn`` (a reader instance): what it needed below is free. Never back."""
        if lsn < self.lsn:
            raise InvariantViolation(f"the hold of {self.owner} goes back from {self.lsn} to {lsn}")
        self.lsn = lsn

    def release(self) -> None:
        """The reader needs nothing any more; a second release does nothing."""
        self._holds.current.pop(self, None)
        if self._tied is not None:
            self._tied.pop(self, None)

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Holds:
    """All holds of this process."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current: dict[Hold, None] = {}

    def add(self, lsn: Lsn, owner: str) -> Hold:
        """Register a reader; ``owner`` says in messages and views who it is."""
        hold = Hold(self, lsn, owner)
        self.current[hold] = None
        return hold

    def oldest(self, limit: Lsn) -> Lsn:
        """The lowest LSN held, at most ``limit``."""
        for hold in self.current:
            if hold.lsn < limit:
                limit = hold.lsn
        return limit
