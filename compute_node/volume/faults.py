"""``aurora_inject_disk_failure`` and ``aurora_inject_disk_congestion`` → ``Inject`` calls to storage nodes, and
``aurora_show_volume_status``, which says what may be named in them.

A *disk* is a logical block of the volume: a protection group (PG), on its six nodes. Both kinds are counted from 0, the
nodes in the order of the descriptor, those that have left the fleet not among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import grpc

from aurora.datum import Datum, Row
from aurora.errors import ConnectionFailure, InvalidParameterValue
from aurora.geometry import Descriptor, Member
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from compute_node.hub import HUB

CALL_S: Final = 2.0
DELAY_MS_MAX: Final = 100.0
SECONDS_MAX: Final = 86_400

LIKE_A_SUPERUSER: Final = frozenset(("aurora_inject_disk_failure", "aurora_inject_disk_congestion"))
"""Those that take a superuser's right, or that of rds_superuser."""


class FaultCommands:
    """``descriptor`` gives that of the volume as it is now."""

    def __init__(self, descriptor: Callable[[], Descriptor]) -> None:
        self._descriptor = descriptor
        self.commands: dict[str, Callable[..., Datum]] = {
            "aurora_inject_disk_failure": self._failure,
            "aurora_inject_disk_congestion": self._congestion,
            "aurora_show_volume_status": self._volume_status,
        }

    def _volume_status(self) -> Iterator[Row]:
        descriptor = self._descriptor()
        yield (len(descriptor.groups), len(descriptor.active))

    def _failure(self, percent: float, index: int, is_disk: bool, seconds: int) -> str:
        self._inject(percent, index, is_disk, seconds, pb.InjectRequest(refuse=True))
        return ""

    def _congestion(
        self, percent: float, index: int, is_disk: bool, seconds: int, least_ms: float, most_ms: float
    ) -> str:
        if not 0 <= least_ms < most_ms <= DELAY_MS_MAX:
            raise InvalidParameterValue(
                f"minimum and maximum are from 0 to {DELAY_MS_MAX:g} ms, and the maximum is greater"
            )
        delay = pb.InjectRequest(delay_min_us=round(least_ms * 1000), delay_max_us=round(most_ms * 1000))
        self._inject(percent, index, is_disk, seconds, delay)
        return ""

    def _inject(self, percent: float, index: int, is_disk: bool, seconds: int, request: pb.InjectRequest) -> None:
        if not 0 <= percent <= 100:
            raise InvalidParameterValue("percentage of failure is from 0 to 100")
        if not 0 <= seconds <= SECONDS_MAX:
            raise InvalidParameterValue(f"time interval is from 0 to {SECONDS_MAX} seconds")
        descriptor = self._descriptor()
        request.volume_id = descriptor.volume_id
        request.share, request.duration_ms = percent / 100, seconds * 1000
        members = self._members(descriptor, index, is_disk)
        if is_disk:
            request.pg = index
        reached = HUB.await_(_send(members, request))
        if not reached:
            raise ConnectionFailure("no storage node has taken the fault: none of those that it is for answers")

    @staticmethod
    def _members(descriptor: Descriptor, index: int, is_disk: bool) -> list[Member]:
        nodes = [descriptor.nodes[number] for number in descriptor.active]
        what, count = ("logical block", len(descriptor.groups)) if is_disk else ("storage node", len(nodes))
        if not 0 <= index < count:
            raise InvalidParameterValue(f"index {index} is no {what}: the maximum is {count - 1}")
        return [descriptor.nodes[number] for number in descriptor.holders(index)] if is_disk else [nodes[index]]


async def _send(members: list[Member], request: pb.InjectRequest) -> int:
    """Tell every node; returns how many have taken it."""

    async def one(address: str) -> None:
        channel = open_channel(address)
        try:
            await storage_stub(channel).Inject(request, timeout=CALL_S)
        finally:
            await channel.close()

    results = await asyncio.gather(*(one(member.address) for member in members), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, grpc.aio.AioRpcError):
            raise result
    return sum(result is None for result in results)
