"""How a node is met before log goes to it: fenced, given what it missed, and asked again. Sans-I/O.

::

    FENCE ──► belongs to no volume, or has an older descriptor ──► DESCRIPTOR ──► FENCE
          ──► lacks truncation ranges ───────────────────────────► TRUNCATE … ──► FENCE
          ──► has all of it ──► done, with its answer

The node may have been away while the volume was recovered, or lost its disk, or never been told of the volume. Each
effect is answered once, and the next goes out then; a node that does not answer ends the handshake, and the caller
begins a new one later. What has been told is not told twice, so a handshake ends.

Invariant: the answer that ends it well is to a FENCE sent after the node had answered everything that it was told.
"""

from __future__ import annotations

from aurora.errors import InvariantViolation
from aurora.geometry import Descriptor
from compute_node.volume.fleet import SendDescriptor
from compute_node.volume.recovery import FenceAnswer, SendFence, SendTruncate, TruncateAnswer, TruncationRange
from compute_node.volume.writer_core import WriterCore


class NoVolume:
    """The answer of a node that refuses to be fenced: it belongs to no volume yet, or to another one."""


HandshakeEffect = SendFence | SendDescriptor | SendTruncate
HandshakeAnswer = FenceAnswer | NoVolume | TruncateAnswer | bool


class Handshake:
    """With one node, by one writer. ``truncations``: the ranges that hold for the volume.

    It is over when there is no next effect. ``answer`` is set then if the node is ready to take log; else its link in
    the core knows the newer epoch, if that is why.
    """

    def __init__(self, core: WriterCore, node: int, truncations: frozenset[TruncationRange]) -> None:
        self.answer: FenceAnswer | None = None
        self._core = core
        self._node = node
        self._truncations = truncations
        self._told: Descriptor | None = None
        self._missing: list[TruncationRange] = []

    def start(self) -> HandshakeEffect:
        """Begin. What the node acknowledged before counts no longer from here on, for once it has been fenced it may
        count as filled again after the loss of its disk (storage_node/membership.py).
        """
        self._core.on_meeting(self._node)
        return self._fence()

    def _fence(self) -> HandshakeEffect:
        return SendFence(0, self._node, self._core.epoch, opened=True)

    def on_reply(self, effect: HandshakeEffect, answer: HandshakeAnswer) -> HandshakeEffect | None:
        """The answer to the effect before; returns the next one, None when it is over. A ``SendDescriptor`` is answered
        by whether the node has the descriptor now.
        """
        if isinstance(effect, SendFence) and isinstance(answer, NoVolume):
            return self._tell_descriptor(self._core.committed) if self._told is None else None
        if isinstance(effect, SendFence) and isinstance(answer, FenceAnswer):
            return self._on_fence(answer)
        if isinstance(effect, SendDescriptor) and isinstance(answer, bool):
            return self._fence()
        if isinstance(effect, SendTruncate) and isinstance(answer, TruncateAnswer):
            return self._on_truncate(answer)
        raise InvariantViolation(f"{type(answer).__name__} answers {type(effect).__name__}")

    def _on_fence(self, answer: FenceAnswer) -> HandshakeEffect | None:
        if not answer.adopted:
            self._refused(answer.epoch)
            return None
        latest = self._core.latest_for(self._node)
        known = answer.descriptor is not None and answer.descriptor.version >= latest.version
        if answer.forgetful and self._told is None and self._core.committed is not latest:
            # The groups that the proposal adds are made later than what the node may have forgotten.
            return self._tell_descriptor(self._core.committed)
        if self._told is not latest and (answer.forgetful or not known):
            return self._tell_descriptor(latest)
        self._missing = sorted(self._truncations - answer.truncations)
        if self._missing:
            return self._tell_range()
        self.answer = answer
        return None

    def _tell_descriptor(self, descriptor: Descriptor) -> HandshakeEffect:
        self._told = descriptor
        return SendDescriptor(self._node, descriptor)

    def _tell_range(self) -> HandshakeEffect:
        span = self._missing.pop(0)
        self._truncations -= {span}
        return SendTruncate(0, self._node, self._core.epoch, span)

    def _on_truncate(self, answer: TruncateAnswer) -> HandshakeEffect | None:
        if not answer.ok:
            self._refused(answer.epoch if answer.epoch > self._core.epoch else 0)
            return None
        return self._tell_range() if self._missing else self._fence()

    def _refused(self, epoch: int) -> None:
        self._core.links[self._node].refused_epoch = epoch
