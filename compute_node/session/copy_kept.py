"""What COPY FROM keeps of a line, record or row that is not whole yet: counted, charged to an account, and at most what
PostgreSQL's buffer for it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aurora.errors import ProgramLimitExceeded
from compute_node.work.account import Account

BUFFER_BYTES: Final = (1 << 30) - 1


def check_buffer(size_bytes: int, more_bytes: int, where: str) -> None:
    """54000 for a buffer that cannot take that many bytes more."""
    if size_bytes + more_bytes >= BUFFER_BYTES:
        raise ProgramLimitExceeded(
            "out of memory",
            detail=f"Cannot enlarge string buffer containing {size_bytes} bytes by {more_bytes} more bytes.",
            where=where,
        )


class KeptInput:
    """The counter of one reader: bytes of the data, and what they take in memory."""

    __slots__ = ("_account", "_memory_bytes", "_size_bytes")

    def __init__(self, account: Account | None) -> None:
        self._account = Account() if account is None else account
        self._size_bytes = self._memory_bytes = 0

    def add(self, count: int, memory_bytes: int, where: str) -> None:
        """Keep ``count`` bytes more. 53200, 54000."""
        check_buffer(self._size_bytes, count, where)
        self.charge(memory_bytes)
        self._size_bytes += count

    def charge(self, memory_bytes: int) -> None:
        """Keep what no buffer has any more. 53200."""
        self._account.charge(memory_bytes)
        self._memory_bytes += memory_bytes

    def drop(self, count: int) -> None:
        """``count`` bytes, which took as much memory, are not kept any more."""
        self._account.release(count)
        self._size_bytes -= count
        self._memory_bytes -= count

    def clear(self) -> None:
        """Nothing is kept any more."""
        self._account.release(self._memory_bytes)
        self._size_bytes = self._memory_bytes = 0

    @contextmanager
    def working(self, memory_bytes: int) -> Iterator[None]:
        """Memory that is needed meanwhile. 53200."""
        self._account.charge(memory_bytes)
        yield
        # Where an error comes, the statement ends, and its account with it.
        self._account.release(memory_bytes)
