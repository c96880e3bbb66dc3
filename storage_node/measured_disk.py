"""The node's disk, with a watch on its syncs: how long they take, and which one held the event loop up."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic

from aurora.histogram import Histogram
from aurora.seams import FolderDisk
from aurora.stalls import Stalls

LOG_PREFIX = "log-"


class MeasuredDisk(FolderDisk):
    """Times ``sync``: of hot log files, which acks wait for, and of the others, which run in threads of their own."""

    def __init__(self, folder: Path, stalls: Stalls) -> None:
        """FolderInUse when another process has the folder open so."""
        super().__init__(folder, exclusive=True)
        self.log_sync_seconds = Histogram()
        self.page_sync_seconds = Histogram()
        self._stalls = stalls
        self._loop_thread = threading.get_ident()

    def sync(self, name: str) -> None:
        """See ``Disk.sync``."""
        start_s = monotonic()
        super().sync(name)
        end_s = monotonic()
        measured = self.log_sync_seconds if name.startswith(LOG_PREFIX) else self.page_sync_seconds
        measured.observe(end_s - start_s)
        if threading.get_ident() == self._loop_thread:
            self._stalls.note(start_s, end_s, f"sync of {name}")
