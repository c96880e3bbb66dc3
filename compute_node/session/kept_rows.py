"""Rows that a portal keeps: in memory up to ``work_mem``, then in a temporary file, for as long as the portal lives."""

from __future__ import annotations

from aurora.datum import Row
from compute_node.session.state import SessionState
from compute_node.work.account import KB, Account, Area
from compute_node.work.spill import TempFile, Tuplestore, setting_of, temp_usage


class KeptRows:
    """A list of rows, counted from 0, in an account of its own."""

    __slots__ = ("_account", "_store")

    def __init__(self, session: SessionState) -> None:
        account = self._account = Account()
        area = Area(account, setting_of(session, "work_mem") * KB)
        self._store = Tuplestore(area, lambda: TempFile(account, temp_usage(session)))

    def __len__(self) -> int:
        return len(self._store)

    def add(self, batch: list[Row]) -> None:
        """More rows. 53200, 53400."""
        self._store.append(batch)

    def rows(self, start: int, stop: int) -> list[Row]:
        """The rows from ``start`` up to ``stop``, as far as there are."""
        return self._store.rows(start, stop)

    @property
    def spilled(self) -> bool:
        """Whether rows are in a file."""
        return self._store.spilled

    def close(self) -> None:
        """Give memory and file back."""
        self._store.close()
        self._account.close()

    def __del__(self) -> None:
        self._account.close()
