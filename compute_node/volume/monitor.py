"""The monitor: suspects nodes that stay away, has them replaced, and sends a lost zone away. Sans-I/O.

Input: which streams are up, at each ``tick`` → output: requests to the ``Fleet``. A node without a stream for
``replace_after_s`` is a suspect: its segments go to spare nodes of its zone, if there are any, the least loaded first.
A suspect that comes back with all its log before its candidates are filled keeps its place, as the 2018 paper has it
(section 4.1). A zone of which no node has been heard for ``away_after_s`` and that has no spare is counted out (3/4 of
the other two); once its nodes are back and have caught up, all three count again. A zone that a user counted out
stays out until the user says otherwise.

Invariant: it only asks; what may be done, and when, is the fleet's word.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from compute_node.volume.fleet import ChangeRefused, Fleet
from compute_node.volume.writer_core import WriterCore

logger = logging.getLogger(__name__)


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
        if self._fleet.proposal is not None:
            return
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
                if slot.candidate and slot.member in self._begun and self._is_level(slot.member):
                    if self._ask(partial(fleet.go_back, slot.candidate)):
                        logger.warning("storage node %s is back and keeps its place", slot.member)
                        self._begun.discard(slot.member)
                        return

    def _is_level(self, node_id: str) -> bool:
        node = self._core.descriptor.index_of[node_id]
        return self._core.links[node].connected and not self._core.lag_bytes(node)

    def _zones(self, now: float) -> None:
        fleet, descriptor = self._fleet, self._fleet.committed
        away = self._away()
        if not away and not fleet.busy:
            self._counted_out = ""
        holders = [descriptor.nodes[node] for node in descriptor.active]
        for zone in sorted(descriptor.zones):
            there = [node.node_id for node in holders if node.az == zone]
            if zone == away:
                back = zone == self._counted_out and all(self._is_level(node_id) for node_id in there)
                if back and self._ask(partial(fleet.set_away, "")):
                    logger.warning("zone %s is back: all three zones count again", zone)
            elif not away and all(self.silent_s(node_id, now) >= self._away_after_s for node_id in there):
                if self._ask(partial(fleet.set_away, zone)):
                    logger.warning("zone %s has been silent for long: the other two count alone", zone)
                    self._counted_out = zone
                    return

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
