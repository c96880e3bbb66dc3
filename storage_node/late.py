"""Appends that a fault on purpose keeps waiting (``faults``): in the order in which they came, until their time.

::

    Appends.stage ─► takes ─┬ no fault ─► staged at once
                            ├ refused ──► an answer with an error
                            └ delayed ──► waits here ─► Appends.take and a flush

Order is kept over all streams of the node: one that is delayed delays what comes after it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from aurora.rpc import storage_pb2 as pb
from storage_node.faults import REFUSAL, Faults, groups_of

HELD_BYTES_MAX: Final = 64 << 20
"""Log that may wait here; more is refused, and the writer sends it again."""


class Answers(Protocol):
    """Where the replies of a stream go."""

    def put(self, reply: pb.AppendReply) -> None:
        """Send a reply."""


class LateAppends:
    """``take`` stages an append, ``flush`` writes and answers what is staged."""

    def __init__(
        self, faults: Faults, take: Callable[[pb.AppendRequest, Answers], None], flush: Callable[[], None]
    ) -> None:
        self.faults = faults
        self._take, self._flush = take, flush
        self.held: deque[tuple[float, pb.AppendRequest, Answers]] = deque()
        """(due, append, whose it is), in order"""
        self._held_bytes = 0
        self._armed = False

    def takes(self, request: pb.AppendRequest, replies: Answers) -> bool:
        """Whether a fault has this append: then it has been answered, or waits here. Asked while there is a fault, or
        somebody waits."""
        delay_s = self.faults.verdict(groups_of(request.batches))
        if delay_s is None or self._held_bytes + len(request.batches) > HELD_BYTES_MAX:
            replies.put(pb.AppendReply(sequence=request.sequence, error=REFUSAL))
            return True
        if not (delay_s or self.held):
            return False
        due_s = monotonic() + delay_s
        if self.held:
            due_s = max(due_s, self.held[-1][0])
        self.held.append((due_s, request, replies))
        self._held_bytes += len(request.batches)
        self._arm()
        return True

    def _arm(self) -> None:
        if self.held and not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_later(max(0.0, self.held[0][0] - monotonic()), self._due)

    def _due(self) -> None:
        self._armed = False
        now_s = monotonic()
        while self.held and self.held[0][0] <= now_s:
            _, request, replies = self.held.popleft()
            self._held_bytes -= len(request.batches)
            self._take(request, replies)
        self._flush()
        self._arm()
