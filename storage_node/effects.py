"""What the core asks its surroundings to do; the surroundings report back to the node that asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from google.protobuf.message import Message


@dataclass(frozen=True)
class Call:
    """Call ``method`` of the peer; each reply goes to ``node.on_reply``, then ``node.on_end`` or ``node.on_failed``."""

    peer_id: str
    address: str
    method: str
    request: Message
    streaming: bool = False
    timeout_s: float = 5.0


@dataclass(frozen=True)
class SyncFile:
    """Sync the file, best away from the append path, then call ``node.on_synced``."""

    name: str


class Encodes(Protocol):
    """What an object's bytes are made of."""

    def encode(self) -> bytes:
        """The bytes; best away from the append path."""


@dataclass(frozen=True)
class PutObject:
    """Write an object of the backup, then call ``node.on_stored``, or ``node.on_store_failed``."""

    name: str
    content: Encodes


@dataclass(frozen=True)
class ListObjects:
    """List objects of the backup: see ``ObjectStore.list``."""

    folder: str
    after: str = ""
    limit: int = 0


@dataclass(frozen=True)
class DeleteObjects:
    """Remove objects of the backup."""

    names: tuple[str, ...]


StoreEffect = PutObject | ListObjects | DeleteObjects
Effect = Call | SyncFile | StoreEffect
