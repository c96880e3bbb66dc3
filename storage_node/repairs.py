"""What is being repaired: one entry a protection group (PG) whose log or pages are on their way from a peer.

Input: begin, progress and end of fetches (gossip) → output: for status and metrics, how far each is; what has been
fetched in all. Keeps no state that anything is decided by.
"""

from __future__ import annotations

from dataclasses import dataclass

LOG = "log"
PAGES = "pages"


@dataclass(slots=True)
class Repair:
    """A fetch under way. ``done`` and ``total`` are log bytes (LSNs) or pages of the PG's file; a total of 0: unknown.

    ``since_s`` is on the node's clock.
    """

    kind: str
    peer_id: str
    since_s: float
    done: int = 0
    total: int = 0
    fetched_bytes: int = 0


class Repairs:
    """The fetches of one node. ``*_total`` numbers only grow."""

    def __init__(self) -> None:
        self.running: dict[int, Repair] = {}
        self.fetches_total = {LOG: 0, PAGES: 0}
        self.failed_total = {LOG: 0, PAGES: 0}
        self.bytes_total = {LOG: 0, PAGES: 0}
        self.pages_repaired_total = 0
        self.log_damaged_total = 0

    def begin(self, pg: int, kind: str, peer_id: str, now_s: float, total: int = 0) -> None:
        """A fetch for the PG has been asked for."""
        self.running[pg] = Repair(kind, peer_id, now_s, total=total)
        self.fetches_total[kind] += 1

    def progress(self, pg: int, fetched_bytes: int, done: int, total: int = 0) -> None:
        """A part of it has come; ``done`` of ``total`` is how far it is now."""
        repair = self.running.get(pg)
        if repair is None:
            return
        self.bytes_total[repair.kind] += fetched_bytes
        repair.fetched_bytes += fetched_bytes
        repair.total = max(repair.total, total)
        repair.done = min(max(repair.done, done), repair.total or done)

    def end(self, pg: int, failed: bool = False) -> None:
        """It is over."""
        repair = self.running.pop(pg, None)
        if repair is not None and failed:
            self.failed_total[repair.kind] += 1
