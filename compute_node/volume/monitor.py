"""The monitor: suspects nodes that stay away, has them replaced, and sends a lost zone away. Sans-I/O.

Input: which streams are up and what they acknowledged, at each ``tick`` → output: requests to the ``Fleet``.

* A node without a stream for ``replace_after_s`` is a suspect: its segments go to spare nodes of its zone, if there are
  any, the least loaded first. A suspect that comes back and is level before its candidates are filled keeps its place,
  as the 2018 paper has it (section 4.1).
* A candidate that does not count yet is given up, whoever asked for it, when the write quorum has been missing for
  ``UNBLOCK_AFTER_S`` and would be there with the member that it is to replace.
* A zone is counted out (3/4 of the other two) when no node with a segment in it has been heard for ``away_after_s``;
  once its members are level, all three zones count again. A zone that a user counted out stays out until the user says
  otherwise.

*Level* is a connected node that has what was durable ``LEVEL_S`` to twice ``LEVEL_S`` ago: what is in flight is not
held against it, so that it is level under load too.

Invariant: it only asks; what may be done, and when, is the fleet's word.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final

from aurora.geometry import Group, Slot
from compute_node.volume.fleet import ChangeRefused, Fleet
from compute_node.volume.writer_core import WriterCore

logger = logging.getLogger(__name__)

LEVEL_S: Final = 1.0
"""How often it is noted what is durable."""
UNBLOCK_AFTER_S: Final = 3.0
"""Longer than a stream needs to come back: the filling of a candidate, which may have taken an hour, is not given up
for a moment's silence.
"""


class Monitor:
    """See the module. Zero for a time switches that part off."""

    def __init__(self, core: WriterCore, fleet: Fleet, replace_after_s: float, away_after_s: float) -> None:
        self._core = core
        self._fleet = fleet
        self._replace_after_s = replace_after_s
        self._away_after_s = away_after_s
        self._away_since: dict[str, float] = {}
        self._begun: set[str] = set()
        """Suspects whose replacement this monitor began."""
        self._counted_out = self._away()
        """The zone to be taken back: this monitor counted it out, or it was out when this writer began."""
        self._noted_at: float | None = None
        self._noted = self._before = dict(core.tracker.pg_durable)
        """PG → LSN that was durable when it was last noted, and the time before."""
        self._blocked_since: float | None = None

    def silent_s(self, node_id: str, now: float) -> float:
        """How long the node has been without a stream; 0 while it has one."""
        return now - self._away_since[node_id] if node_id in self._away_since else 0.0

    def tick(self, now: float) -> None:
        """Look at the streams; to be called some times a second."""
        descriptor = self._core.descriptor
        for node, link in zip(descriptor.nodes, self._core.links):
            if link.connected or node.retired:
                self._away_since.pop(node.node_id, None)
            else:
                self._away_since.setdefault(node.node_id, now)
        if self._noted_at is None or now - self._noted_at >= LEVEL_S:
            self._noted_at = now
            self._before, self._noted = self._noted, dict(self._core.tracker.pg_durable)
        if self._fleet.proposal is not None:
            self._blocked_since = None
            return
        if not self._fleet.busy:
            self._begun.clear()
        self._unblock(now)
        if self._replace_after_s:
            self._replace(now)
        if self._away_after_s:
            self._zones(now)

    def _replace(self, now: float) -> None:
        fleet = self._fleet
        silent = {node_id for node_id in self._away_since if self.silent_s(node_id, now) >= self._replace_after_s}
        for group in fleet.committed.groups:
            for slot in group.slots:
                if slot.candidate in silent and self._ask(partial(fleet.go_back, slot.candidate)):
                    logger.warning("storage node %s is silent: it replaces nobody", slot.candidate)
                    return
                if not slot.candidate and slot.member in silent:
                    if self._ask(partial(fleet.replace, slot.member, None, silent)):
                        logger.warning("storage node %s is silent: it is being replaced", slot.member)
                        self._begun.add(slot.member)
                        return
                if slot.candidate and slot.member in self._begun:
                    if self._is_level(slot.member, fleet.committed.groups_of(slot.member)):
                        self._keep(slot.member)
                        return

    def _keep(self, member: str) -> None:
        """Give up all replacements of the member, which may be by several candidates."""
        slots = [slot for group in self._fleet.committed.groups for slot in group.slots]
        candidates = {slot.candidate for slot in slots if slot.member == member and slot.candidate}
        for candidate in sorted(candidates):
            if self._ask(partial(self._fleet.go_back, candidate)):
                logger.warning("storage node %s is back and keeps its place: %s is given up", member, candidate)
        self._begun.discard(member)

    def _unblock(self, now: float) -> None:
        """Give up the candidates for which the write quorum waits, once it has waited for long."""
        groups = self._fleet.committed.groups
        blocking = {
            slot.candidate: slot.member for pg, group in enumerate(groups) for slot in self._blocking(pg, group)
        }
        if not blocking:
            self._blocked_since = None
            return
        if self._blocked_since is None:
            self._blocked_since = now
        if now - self._blocked_since < UNBLOCK_AFTER_S:
            return
        for candidate, member in sorted(blocking.items()):
            if self._ask(partial(self._fleet.go_back, candidate)):
                logger.warning(
                    "no write quorum while storage node %s is not filled: it is given up, %s keeps its place "
                    "and can be replaced later",
                    candidate,
                    member,
                )
        self._blocked_since = None

    def _blocking(self, pg: int, group: Group) -> Iterable[Slot]:
        """The slots whose candidates a write waits for: none while those that count are a write quorum, or when they
        would be none without these candidates either.
        """
        if not any(slot.candidate for slot in group.slots):
            return ()
        descriptor, links = self._fleet.committed, self._core.links
        counting = {
            node_id
            for node_id in group.holders()
            if self._is_level(node_id, (pg,))
            and (pg in links[descriptor.index_of[node_id]].filled or not group.is_candidate(node_id))
        }
        bits = sum(1 << descriptor.index_of[node_id] for node_id in counting)
        if descriptor.write_quorum(pg).satisfied(bits):
            return ()
        blocking = [slot for slot in group.slots if slot.member in counting and slot.candidate not in ("", *counting)]
        slots = tuple(replace(slot, candidate="") if slot in blocking else slot for slot in group.slots)
        groups = list(descriptor.groups)
        groups[pg] = replace(group, slots=slots)
        return blocking if replace(descriptor, groups=tuple(groups)).write_quorum(pg).satisfied(bits) else ()

    def _is_level(self, node_id: str, pgs: Iterable[int]) -> bool:
        node, scl = self._core.descriptor.index_of[node_id], self._core.tracker.scl
        return self._core.links[node].connected and all(scl(pg, node) >= self._before.get(pg, 0) for pg in pgs)

    def _zones(self, now: float) -> None:
        fleet, descriptor = self._fleet, self._fleet.committed
        away = self._away()
        if not away and not fleet.busy:
            self._counted_out = ""
        holders = [descriptor.nodes[node] for node in descriptor.active]
        for zone in sorted(descriptor.zones):
            there = [node.node_id for node in holders if node.az == zone]
            if zone == away:
                back = zone == self._counted_out and self._is_zone_level(zone)
                if back and self._ask(partial(fleet.set_away, "")):
                    logger.warning("zone %s is back: all three zones count again", zone)
            elif not away and all(self.silent_s(node_id, now) >= self._away_after_s for node_id in there):
                if self._ask(partial(fleet.set_away, zone)):
                    logger.warning("zone %s has been silent for long: the other two count alone", zone)
                    self._counted_out = zone
                    return

    def left_to_the_user(self) -> None:
        """A zone that is counted out from now on is the user's decision: it is not taken back by itself."""
        self._counted_out = ""

    def _is_zone_level(self, zone: str) -> bool:
        descriptor = self._fleet.committed
        return all(
            self._is_level(slot.member, (pg,))
            for pg, group in enumerate(descriptor.groups)
            for slot in group.slots
            if descriptor.az_of[slot.member] == zone
        )

    def _away(self) -> str:
        return next((group.away for group in self._fleet.committed.groups if group.away), "")

    @staticmethod
    def _ask(request: Callable[[], None]) -> bool:
        try:
            request()
        except ChangeRefused as error:
            logger.debug("not now: %s", error)
            return False
        return True
