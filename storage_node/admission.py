"""What a node has on its hands at once for those who ask: bounded in bytes, first come, first served.

Input: requests with an estimate of their answers' bytes → output: leave to begin, when there is room. Memory of answers
that wait for a slow reader counts until they are sent. With ``QUEUES_MB`` of ``storage_node/config.py``::

    page reads      READ_PAGES_MAX a request; on either port one request at a time is built (page_reads.py)
      contract's port  READ_BYTES_MAX   a request and its answer, twice a page's bytes, until it has been taken
      log port         UNREAD_BYTES_MAX of answers that clients leave unread, over all streams
    streams         STREAMS_MAX      log and pages for peers, one message of about 1 MiB in the making, one on the way
    append streams  APPEND_STREAMS_MAX on each port, each with a backlog of replies of BACKLOG_BYTES_MAX
    read streams    READ_STREAMS_MAX on the log port
    all calls       CALLS_MAX        beyond that gRPC refuses (RESOURCE_EXHAUSTED)
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

READ_BYTES_MAX: Final = 16 << 20
UNREAD_BYTES_MAX: Final = 32 << 20
TAKE_S: Final = 10.0
"""How long a client on a stream of the contract's port may leave an answer unread."""
READ_PAGES_MAX: Final = 1024
STREAMS_MAX: Final = 8
CALLS_MAX: Final = 512
APPEND_STREAMS_MAX: Final = 32
READ_STREAMS_MAX: Final = 64
BACKLOG_BYTES_MAX: Final = 1 << 20
REPLIES_MAX: Final = 256
"""Replies that may wait on one append stream of the contract's port before it is read on."""


class Admission:
    """Lets callers begin while what they hold stays within ``limit``; one that asks for more begins alone."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """Callers that wait for room."""
        return len(self._waiting)

    async def enter(self, amount: int) -> None:
        """Wait for one's turn and for room; then ``amount`` is held until ``leave``."""
        if not self._waiting and self._fits(amount):
            self.held += amount
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(amount)  # it was let in and has gone away in the same moment
            elif (amount, turn) in self._waiting:  # else its turn came before it woke up, and it was passed over
                self._waiting.remove((amount, turn))
                self._admit()
            raise

    def leave(self, amount: int) -> None:
        """Give back what ``enter`` took; the next ones begin."""
        self.held -= amount
        self._admit()

    def _fits(self, amount: int) -> bool:
        return not self.held or self.held + amount <= self.limit

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            amount, turn = self._waiting.popleft()
            if not turn.done():
                self.held += amount
                turn.set_result(None)
