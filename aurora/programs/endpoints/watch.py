"""Who the instances are: each is asked to describe itself, again and again, as often as the router wants.

One poller an address. The first addresses are given; the others are told by those who answer. Two addresses of one
instance (a name and a number) are one poller's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import grpc
import grpc.aio

from aurora.programs.endpoints.core import Claim, Router
from aurora.rpc import compute_pb2 as pb
from aurora.rpc.channels import Access, open_channel
from aurora.rpc.instances import instance_stub
from aurora.rpc.tls import INSTANCE_NAME

if TYPE_CHECKING:
    from aurora.rpc.compute_pb2 import InstanceState

LOGGER = logging.getLogger(__name__)

DESCRIBE_TIMEOUT_S: Final = 1.0
FORGET_S: Final = 300.0
"""After so long without an answer an instance that was only heard of is asked no more."""


def claim_of(state: InstanceState) -> Claim:
    """What the router needs of it."""
    return Claim(state.id, state.role, state.state, state.epoch, state.sql_address, state.feed_address)


def is_everywhere(address: str) -> bool:
    """Whether an address says only that all of its host's are listened at."""
    return address.rpartition(":")[0] in ("0.0.0.0", "[::]", "::", "*", "")


def reachable(sql_address: str, asked: str) -> str:
    """Where to connect to an instance that listens at all addresses: where it was asked, at its port."""
    if not is_everywhere(sql_address):
        return sql_address
    return f"{asked.rpartition(':')[0]}:{sql_address.rpartition(':')[2]}"


class Watch:
    """Keeps a router up to date. ``on_heard(id)`` and ``on_unheard(id, refused)`` are called after it was told."""

    def __init__(
        self,
        router: Router,
        access: Access,
        on_heard: Callable[[str], None],
        on_unheard: Callable[[str, bool], None],
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._access = access
        self._on_heard, self._on_unheard = on_heard, on_unheard
        self._clock = clock
        self._given: frozenset[str] = frozenset()
        self._pollers: dict[str, asyncio.Task[None]] = {}
        self._address_of: dict[str, str] = {}
        """Which address speaks for an instance."""
        self._kick = asyncio.Event()
        self._has_writer = False

    def ask(self, addresses: Iterable[str]) -> None:
        """Poll these addresses, whatever becomes of them."""
        self._given |= frozenset(addresses)
        for address in self._given:
            self._start(address)

    def _start(self, address: str) -> None:
        if address and address not in self._pollers:
            self._pollers[address] = asyncio.ensure_future(self._poll(address))

    def kick(self) -> None:
        """Ask all of them now."""
        self._kick.set()
        self._kick = asyncio.Event()

    async def close(self) -> None:
        """Ask nobody any more."""
        pollers = list(self._pollers.values())
        for poller in pollers:
            poller.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)

    async def _poll(self, address: str) -> None:
        instance_id = ""
        answered_s = self._clock()
        problem = ""
        async with open_channel(address, self._access.tls, INSTANCE_NAME) as channel:
            stub = instance_stub(channel, self._access.secret)
            while True:
                kick = self._kick
                try:
                    topology = await stub.Describe(pb.DescribeRequest(), timeout=DESCRIBE_TIMEOUT_S)
                except grpc.aio.AioRpcError as error:
                    if error.code().name != problem:
                        problem = error.code().name
                        LOGGER.info("%s %s does not answer: %s %s", address, instance_id, problem, error.details())
                    if instance_id:
                        refused = error.code() is grpc.StatusCode.UNAVAILABLE
                        self._router.unheard(instance_id, self._clock(), refused)
                        self._on_unheard(instance_id, refused)
                    if self._is_forgotten(address, instance_id, answered_s):
                        return
                else:
                    answered_s, problem = self._clock(), ""
                    if not self._speaks(address, topology.self.id):
                        return
                    instance_id = topology.self.id
                    self._heard(topology, address)
                pause_s = self._router.poll_after_s(instance_id, self._clock())
                try:
                    await asyncio.wait_for(kick.wait(), pause_s)
                except TimeoutError:
                    continue

    def _speaks(self, address: str, instance_id: str) -> bool:
        """Whether this address speaks for the instance; another one may do so already."""
        speaker = self._address_of.get(instance_id, address)
        if speaker != address and speaker in self._pollers:
            if self._router.counts(instance_id, self._clock()) and address not in self._given:
                self._pollers.pop(address, None)
                return False
        self._address_of[instance_id] = address
        return True

    def _is_forgotten(self, address: str, instance_id: str, answered_s: float) -> bool:
        if address in self._given or self._clock() - answered_s < FORGET_S:
            return False
        instance = self._router.instances.get(instance_id)
        if instance is not None and instance.connections:
            return False
        LOGGER.info("%s %s is asked no more", address, instance_id)
        self._router.forget(instance_id)
        self._pollers.pop(address, None)
        return True

    def _heard(self, topology: pb.Topology, address: str) -> None:
        me = claim_of(topology.self)
        me = me._replace(sql_address=reachable(me.sql_address, address))
        others = [claim_of(state) for state in topology.instances if state.id != me.id]
        self._router.heard(me, others, self._clock())
        for other in others:
            if other.id not in self._address_of and not is_everywhere(other.feed_address):
                self._start(other.feed_address)
        had, self._has_writer = self._has_writer, self._router.writer(self._clock()) is not None
        if had and not self._has_writer:
            self.kick()
        self._on_heard(me.id)
