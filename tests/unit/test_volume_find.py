"""Which volume is found at a list of addresses: nodes of others, empty ones and moved ones among them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from support_virtual_loop import run_virtual

from aurora.errors import ConnectionFailure, ObjectNotInPrerequisiteState
from aurora.geometry import Descriptor, Member
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from compute_node.volume import driver

pytestmark = pytest.mark.logs(r"some storage nodes belong to another volume")

SIX = [Member(f"az{zone}-{name}", f"az{zone}", f"az{zone}-{name}:1") for zone in (1, 2, 3) for name in "ab"]
OURS = replace(initial(b"v" * 16, SIX, 4), proposer_epoch=3, generation=7)
OLDER = replace(OURS, generation=6)
THEIRS = replace(initial(b"o" * 16, SIX, 4), proposer_epoch=9)
TIMEOUT_S = 5.0

Nodes = Mapping[str, tuple[str, Descriptor | None]]
"""Address → node id, and what descriptor the node has."""


def with_nodes(monkeypatch: pytest.MonkeyPatch, nodes: Nodes, body: Callable[[], Awaitable[None]]) -> None:
    class Node:
        def __init__(self, address: str) -> None:
            if address not in nodes:
                raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
            self.node_id, self.descriptor = nodes[address]

        async def Status(self, request: Any, timeout: float) -> Any:
            return pb.StatusReply(node_id=self.node_id, az=self.node_id[:3])

        async def ReadDescriptor(self, request: Any, timeout: float) -> Any:
            if self.descriptor is None:
                return pb.ReadDescriptorReply(present=False)
            return pb.ReadDescriptorReply(present=True, descriptor=self.descriptor.to_proto(pb.Descriptor()))

    async def close() -> None:
        pass

    monkeypatch.setattr(driver, "open_channel", lambda address: SimpleNamespace(address=address, close=close))
    monkeypatch.setattr(driver, "storage_stub", lambda channel: Node(channel.address))
    run_virtual(body)


def at_home(*descriptors: Descriptor | None) -> dict[str, tuple[str, Descriptor | None]]:
    return {node.address: (node.node_id, descriptor) for node, descriptor in zip(SIX, descriptors)}


def test_a_node_of_another_volume_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = at_home(OURS, OURS, OLDER, OURS, None)
    nodes["elsewhere:1"] = ("az3-b", THEIRS)

    async def body() -> None:
        assert await driver.find(list(nodes), TIMEOUT_S) == OURS

    with_nodes(monkeypatch, nodes, body)
    assert f"volume {THEIRS.volume_id.hex()}: az3-b at elsewhere:1" in caplog.text


def test_nodes_that_moved_are_taken_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = at_home(OURS, OURS, OLDER)
    nodes["elsewhere:1"] = ("az3-b", OLDER)

    async def body() -> None:
        found = await driver.find(list(nodes), TIMEOUT_S)
        assert found is not None
        assert found == replace(OURS, nodes=(*OURS.nodes[:5], replace(OURS.nodes[5], address="elsewhere:1")))

    with_nodes(monkeypatch, nodes, body)


@pytest.mark.parametrize("rest", [(THEIRS,) * 2, (None,) * 4, ()])
def test_nodes_of_no_volume_or_of_another_make_no_quorum(
    monkeypatch: pytest.MonkeyPatch, rest: tuple[Descriptor | None, ...]
) -> None:
    nodes = at_home(OURS, OURS, *rest)

    async def body() -> None:
        with pytest.raises(ConnectionFailure) as failure:
            await driver.find([node.address for node in SIX], TIMEOUT_S)
        assert failure.value.detail is not None
        assert f"volume {OURS.volume_id.hex()}: az1-a at az1-a:1, az1-b at az1-b:1" in failure.value.detail

    with_nodes(monkeypatch, nodes, body)


def test_two_volumes_are_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = at_home(*[OURS] * 6) | {f"their-{node.address}": (node.node_id, THEIRS) for node in SIX}

    async def body() -> None:
        with pytest.raises(ObjectNotInPrerequisiteState) as refused:
            await driver.find(list(nodes), TIMEOUT_S)
        assert refused.value.detail is not None
        assert all(each.volume_id.hex() in refused.value.detail for each in (OURS, THEIRS))

    with_nodes(monkeypatch, nodes, body)


def test_empty_nodes_hold_no_volume_once_all_of_them_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        assert await driver.find([node.address for node in SIX], TIMEOUT_S) is None

    with_nodes(monkeypatch, at_home(*[None] * 6), body)

    async def fails() -> None:
        with pytest.raises(ConnectionFailure):
            await driver.find([node.address for node in SIX], TIMEOUT_S)

    with_nodes(monkeypatch, at_home(*[None] * 5), fails)
