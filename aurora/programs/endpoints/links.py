"""The router's side of handover: one link an instance on this machine, and who has which connection.

A connection given over a link is the router's until the instance has said TAKEN, and the router keeps its descriptor
until GONE: so it can shut it down under an instance that stands still (``cut``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aurora.handover import frames
from aurora.handover.frames import Frame, Kind
from aurora.handover.link import FrameLink, close_fd
from aurora.programs.endpoints.refusal import Cancel

LOGGER = logging.getLogger(__name__)


class Owner(Protocol):
    """Who is told."""

    def gone(self, number: int) -> None:
        """A connection is closed, or nobody's to close but its instance's."""

    def back(self, instance_id: str, number: int) -> None:
        """An instance had no room for a connection."""

    def unlinked(self, instance_id: str, untaken: list[int]) -> None:
        """A link is over, by the instance's doing; these it has not taken."""

    def changed(self, instance_id: str) -> None:
        """An instance is to be asked again."""

    def stray_cancel(self, instance_id: str, cancel: Cancel) -> None:
        """A cancel request that fits no session of an instance."""


@dataclass(slots=True)
class InstanceLink:
    """A link; ``taken``: those that the instance serves."""

    link: FrameLink
    untaken: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)


class Links:
    """The links to the instances whose sockets ``ID.sock`` are in ``folder``."""

    def __init__(self, folder: Path | None, owner: Owner) -> None:
        self._folder = folder if frames.AVAILABLE else None
        self._owner = owner
        self._links: dict[str, InstanceLink] = {}
        self._adrift: dict[str, set[int]] = {}
        """Connections that an instance has taken over a link that was settled."""

    def open(self, instance_id: str) -> bool:
        """Link to an instance, if it is not linked yet; whether it is."""
        if instance_id in self._links:
            return True
        if self._folder is None:
            return False
        try:
            connected = frames.connect(self._folder / f"{instance_id}.sock")
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            LOGGER.warning("no handover to %s: %s", instance_id, error)
            return False
        made = FrameLink(
            connected,
            lambda frame, fd: self._heard(instance_id, frame, fd),
            lambda reason: self._ended(instance_id, reason),
        )
        self._links[instance_id] = InstanceLink(made)
        self.release(instance_id)
        return True

    def release(self, instance_id: str) -> None:
        """An instance goes on, or has ended: what it closed while it was not linked, nobody has said."""
        for number in self._adrift.pop(instance_id, ()):
            self._owner.gone(number)

    def give(self, instance_id: str, number: int, fd: int) -> None:
        """Hand a connection over; the descriptor stays open here."""
        held = self._links[instance_id]
        held.untaken.add(number)
        held.link.send(Frame(Kind.GIVE, number), fd)

    def cancel(self, instance_id: str, cancel: Cancel) -> bool:
        """Ask an instance whether a cancel request is for one of its sessions; False: it is not linked."""
        held = self._links.get(instance_id)
        if held is not None:
            held.link.send(Frame(Kind.CANCEL, cancel.pid, cancel.secret))
        return held is not None

    def untaken(self, instance_id: str) -> bool:
        """Whether an instance was given connections that it has not taken yet."""
        held = self._links.get(instance_id)
        return held is not None and bool(held.untaken)

    def settle(self, instance_id: str) -> list[int]:
        """End the link to an instance that does not answer; what it has not taken by now it never takes."""
        held = self._links.get(instance_id)
        if held is None:
            return []
        held.link.on_end = lambda _reason: None
        held.link.settle()
        self._links.pop(instance_id, None)
        self._adrift.setdefault(instance_id, set()).update(held.taken)
        return list(held.untaken)

    def _heard(self, instance_id: str, frame: Frame, fd: int | None) -> None:
        close_fd(fd)  # nobody sends us any
        held = self._links[instance_id]
        if frame.kind is Kind.TAKEN:
            if frame.number in held.untaken:
                held.untaken.discard(frame.number)
                held.taken.add(frame.number)
        elif frame.kind is Kind.GONE:
            if frame.number in held.taken:
                held.taken.discard(frame.number)
                self._owner.gone(frame.number)
        elif frame.kind is Kind.BACK:
            if frame.number in held.untaken:
                held.untaken.discard(frame.number)
                self._owner.back(instance_id, frame.number)
        elif frame.kind is Kind.CHANGED:
            self._owner.changed(instance_id)
        elif frame.kind is Kind.CANCEL:
            self._owner.stray_cancel(instance_id, Cancel(frame.number & 0xFFFFFFFF, frame.secret))

    def _ended(self, instance_id: str, reason: str) -> None:
        LOGGER.info("the link to %s has ended: %s", instance_id, reason)
        held = self._links.pop(instance_id)
        for number in held.taken:
            self._owner.gone(number)
        self._owner.unlinked(instance_id, list(held.untaken))

    def drop(self, number: int) -> None:
        """A connection was cut: nobody is to be told of it any more."""
        for held in self._links.values():
            held.taken.discard(number)
            if number in held.untaken:
                held.untaken.discard(number)
                held.link.forget(number)
        for numbers in self._adrift.values():
            numbers.discard(number)

    def taken(self) -> list[int]:
        """All connections that linked instances serve, of each link the oldest first."""
        return [number for held in self._links.values() for number in sorted(held.taken)]

    def close(self) -> None:
        """End all links; connections stay with their instances."""
        links, self._links = self._links, {}
        for held in links.values():
            held.link.end()
