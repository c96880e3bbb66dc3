"""The fleet's SQL functions: who may call them, what they ask the fleet for, and what a refusal looks like."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aurora.errors import InsufficientPrivilege, ObjectNotInPrerequisiteState
from aurora.geometry import Member
from compute_node.types import REGISTRY
from compute_node.volume.commands import FleetCommands
from compute_node.volume.fleet import ChangeRefused, Fleet
from compute_node.volume.volume import Volume

SUPERUSER = SimpleNamespace(superuser=True)


class Asked:
    """A fleet that notes what it is asked for, and refuses what it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, ...]] = []
        self.refusal = ""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def request(*arguments: Any) -> None:
            if self.refusal:
                raise ChangeRefused(self.refusal)
            self.requests.append((name, *arguments))

        return request


async def nobody(address: str) -> Member:
    raise ConnectionError(address)


def commands(fleet: Asked, read_only: bool = False, left: Callable[[], None] = lambda: None) -> FleetCommands:
    volume = SimpleNamespace(
        read_only=read_only,
        change_fleet=lambda change: change(cast(Fleet, fleet)),
        monitor=SimpleNamespace(left_to_the_user=left),
    )
    return FleetCommands(cast(Volume, volume), nobody)


@pytest.mark.parametrize(
    ("name", "arguments", "request_", "said"),
    [
        ("aurora_remove_storage_node", ("az1-c",), ("remove", "az1-c"), "az1-c leaves the fleet"),
        (
            "aurora_replace_storage_node",
            ("az1-a", ""),
            ("replace", "az1-a", None),
            "az1-a is being replaced by spare nodes of its zone",
        ),
        ("aurora_cancel_replacement", ("az1-c",), ("go_back", "az1-c"), "az1-c replaces nobody any more"),
        ("aurora_set_zone_away", ("az3",), ("set_away", "az3"), "zone az3 is being counted out"),
    ],
)
def test_a_command_asks_the_fleet(name: str, arguments: tuple[str, ...], request_: tuple[Any, ...], said: str) -> None:
    fleet = Asked()
    assert commands(fleet).call(SUPERUSER, name, *arguments) == said
    assert fleet.requests == [request_]
    (function,) = REGISTRY.functions_by_name[name]
    assert len(function.arguments) == len(arguments)
    fleet.refusal = "not as it is"
    with pytest.raises(ObjectNotInPrerequisiteState, match="not as it is"):
        commands(fleet).call(SUPERUSER, name, *arguments)
    with pytest.raises(InsufficientPrivilege, match=f"permission denied for function {name}"):
        commands(fleet).call(SimpleNamespace(superuser=False), name, *arguments)
    with pytest.raises(ObjectNotInPrerequisiteState, match="no write quorum"):
        commands(fleet, read_only=True).call(SUPERUSER, name, *arguments)
    assert fleet.requests == [request_]


def test_a_zone_set_away_by_the_user_is_left_to_the_user() -> None:
    """Only that command tells the monitor to keep its hands off, and only when the fleet agreed."""
    told: list[str] = []
    fleet = Asked()
    commands(fleet, left=lambda: told.append("left")).call(SUPERUSER, "aurora_remove_storage_node", "az1-c")
    assert not told
    commands(fleet, left=lambda: told.append("left")).call(SUPERUSER, "aurora_set_zone_away", "az3")
    assert told == ["left"]
    fleet.refusal = "not as it is"
    with pytest.raises(ObjectNotInPrerequisiteState):
        commands(fleet, left=lambda: told.append("left")).call(SUPERUSER, "aurora_set_zone_away", "az3")
    assert told == ["left"]
