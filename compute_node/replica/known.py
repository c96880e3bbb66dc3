"""What an instance knows of the others, and which of the readers takes over. Sans-I/O.

Every reader decides for itself, from the same facts, and the facts may differ: two may promote themselves at once. That
is no danger, for who opens the volume fences all others (``docs/architecture/volume.md``): it only costs time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from compute_node.replica.topology import LAG_UNKNOWN, READER, WRITER, InstanceState, writer_of

GONE_S: Final = 30.0
"""An instance that has not been heard of for so long is forgotten."""
FORGOTTEN_MAX: Final = 64
AVAILABLE, PROMOTING, STARTING, DISCONNECTED = "available", "promoting", "starting", "disconnected"


class Known:
    """A ``TopologySource``. ``me`` is kept current by the instance; ``others`` by what they and the writer tell."""

    def __init__(self, me: InstanceState, peers: Iterable[str]) -> None:
        self.me = me
        self.others: dict[str, InstanceState] = {}
        self.heard_s: dict[str, float] = {}
        self.refresh: Callable[[], object] = lambda: None
        """Brings ``me`` up to date."""
        self._peers = set(peers)
        self._forgotten: deque[str] = deque(maxlen=FORGOTTEN_MAX)
        """Lives of instances that were removed: others tell of them until they have heard of it too."""

    @property
    def self_id(self) -> str:
        """See ``TopologySource``."""
        return self.me.id

    def instances(self) -> list[InstanceState]:
        """See ``TopologySource``: of several that say that they write, only the one with the highest epoch does."""
        self.refresh()
        every = {self.me.id: self.me} | self.others
        writer = writer_of(every)
        return [
            replace(state, role=READER) if state.role == WRITER and state is not writer else state
            for state in every.values()
        ]

    def lag_of(self, instance_id: str) -> int:
        """See ``TopologySource``."""
        return next((state.lag_us for state in self.instances() if state.id == instance_id), LAG_UNKNOWN)

    @property
    def addresses(self) -> set[str]:
        """Where others may be asked."""
        found = self._peers | {state.feed_address for state in self.others.values()}
        return found - {"", self.me.feed_address}

    def writer(self) -> InstanceState | None:
        """Who writes, as far as is known."""
        return writer_of({self.me.id: self.me} | self.others)

    def told(self, states: Iterable[InstanceState], now_s: float) -> None:
        """Somebody tells of instances: of what is known of one, the newer word counts."""
        for state in states:
            if state.id == self.me.id:
                if state.session_id != self.me.session_id:  # an earlier life, or another process of this name
                    self._peers.add(state.feed_address)
                continue
            if state.session_id in self._forgotten:
                continue
            known = self.others.get(state.id)
            if known is None or (state.epoch, state.last_update_us) >= (known.epoch, known.last_update_us):
                self.others[state.id] = state
            self.heard_s[state.id] = now_s

    def lost(self, instance_id: str) -> None:
        """An instance does not answer."""
        known = self.others.get(instance_id)
        if known is not None:
            self.others[instance_id] = replace(known, state=DISCONNECTED)

    def forget(self, instance_id: str) -> None:
        """An instance is none of the cluster any more; another life of that name may come."""
        known = self.others.pop(instance_id, None)
        self.heard_s.pop(instance_id, None)
        if known is not None:
            self._peers.discard(known.feed_address)
            if known.session_id:
                self._forgotten.append(known.session_id)

    def tick(self, now_s: float) -> None:
        """Forget those that nobody has told of for long."""
        for instance_id in [each for each, heard_s in self.heard_s.items() if now_s - heard_s > GONE_S]:
            del self.heard_s[instance_id]
            self.others.pop(instance_id, None)


def rank(state: InstanceState) -> tuple[int, int, str]:
    """Who takes over first: the lowest promotion tier, then who has applied most, then the name."""
    return (state.promotion_tier, -state.applied_lsn, state.id)


def followable(answering: Iterable[InstanceState], epoch: int) -> InstanceState | None:
    """Whom of those that answer a reader follows that has followed ``epoch``. One that writes under an older epoch does
    not know yet that it is over, and what it tells is older than what has been shown here."""
    writing = [state for state in answering if state.role == WRITER and state.state == AVAILABLE]
    return max((each for each in writing if each.epoch >= epoch), key=lambda state: state.epoch, default=None)
