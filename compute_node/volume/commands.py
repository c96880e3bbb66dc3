"""The fleet's changes as SQL functions give them: ``aurora_replace_storage_node`` and its kin → one line of answer.

They begin a change and return; ``aurora_status()`` tells how far it is. Only a superuser may call them (42501). The
faults on purpose of storage nodes (``faults``) are called in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from aurora.datum import Datum
from aurora.errors import ConnectionFailure, InsufficientPrivilege, InvalidParameterValue, ObjectNotInPrerequisiteState
from aurora.geometry import Member
from compute_node.hub import HUB
from compute_node.volume.faults import LIKE_A_SUPERUSER, FaultCommands
from compute_node.volume.fleet import ChangeRefused, Fleet
from compute_node.volume.volume import Volume

ANSWER_S: Final = 10.0
"""How long a node that is to be added may take to answer."""


class CommandSession(Protocol):
    """Who gives the command."""

    superuser: bool

    def catalog_function(self, name: str, *args: Datum) -> Datum:
        """A function that asks the catalog, by its name."""


class FleetCommands:
    """See the module. ``member_at``: what the node at an address calls itself."""

    def __init__(self, volume: Volume, member_at: Callable[[str], Awaitable[Member]]) -> None:
        self._volume = volume
        self._member_at = member_at
        self._commands: dict[str, Callable[..., Datum]] = {
            "aurora_add_storage_node": self._add,
            "aurora_remove_storage_node": self._remove,
            "aurora_replace_storage_node": self._replace,
            "aurora_cancel_replacement": self._cancel,
            "aurora_set_zone_away": self._set_away,
        }
        self._faults = FaultCommands(lambda: volume.descriptor).commands

    def __contains__(self, name: str) -> bool:
        return name in self._commands or name in self._faults

    def call(self, session: CommandSession, name: str, *arguments: Datum) -> Datum:
        """Run a command in a session greenlet; 55000 with the reason when the fleet cannot do that now."""
        if name in self._faults:
            if name in LIKE_A_SUPERUSER:
                session.catalog_function("may_inject", name)
            return self._faults[name](*arguments)
        if not session.superuser:
            raise InsufficientPrivilege(f"permission denied for function {name}")
        return self._commands[name](*arguments)

    def _change(self, request: Callable[[Fleet], None]) -> None:
        if self._volume.read_only:
            raise ObjectNotInPrerequisiteState("the volume has no write quorum: its fleet cannot be changed now")
        try:
            self._volume.change_fleet(request)
        except ChangeRefused as error:
            raise ObjectNotInPrerequisiteState(str(error)) from error

    def _add(self, address: str) -> str:
        if ":" not in address:
            raise InvalidParameterValue(f"storage node address {address!r} is not host:port")
        try:
            member = HUB.await_(asyncio.wait_for(self._member_at(address), ANSWER_S))
        except TimeoutError as error:
            raise ConnectionFailure(f"no storage node answers at {address}") from error
        self._change(lambda fleet: fleet.add(member))
        return f"{member.node_id} in zone {member.az} joins the fleet"

    def _remove(self, node_id: str) -> str:
        self._change(lambda fleet: fleet.remove(node_id))
        return f"{node_id} leaves the fleet"

    def _replace(self, lost: str, by: str) -> str:
        self._change(lambda fleet: fleet.replace(lost, by or None))
        return f"{lost} is being replaced by {by or 'spare nodes of its zone'}"

    def _cancel(self, candidate: str) -> str:
        self._change(lambda fleet: fleet.go_back(candidate))
        return f"{candidate} replaces nobody any more"

    def _set_away(self, zone: str) -> str:
        self._change(lambda fleet: fleet.set_away(zone))
        self._volume.monitor.left_to_the_user()
        return f"zone {zone} is being counted out" if zone else "all zones are being counted again"
