"""What the core asks its surroundings to do; the surroundings report back to the node that asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """Call ``method`` of the peer; each reply goes to ``node.on_reply``, then ``node.on_end`` or ``node.on_failed``."""

    peer_id: str
    address: str
    method: str
    request: Any
    streaming: bool = False
    timeout_s: float = 5.0


@dataclass(frozen=True)
class SyncFile:
    """Sync the file, best away from the append path, then call ``node.on_synced``."""

    name: str


Effect = Call | SyncFile
