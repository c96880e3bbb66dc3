"""What the instances of a cluster are asked by whoever is none of them: who they are, to promote, to step down.

::

    HOST:PORT of an instance's --feed-listen ─ Describe ─► Topology
                                             ─ Promote ──► PromoteReply    (a reader becomes the writer)
                                             ─ StepDown ─► StepDownReply   (the writer ends its writing)
                                             ─ Cancel ───► CancelReply     (a client's cancel request, by another)
                                             ─ Forget ───► ForgetReply     (another instance is removed)
                                             ─ UseDatabase ► its reply     (a reader's session needs its catalogs)

``Instances`` is for code without an event loop, which asks several at the same time. All raise ConnectionError for an
instance that does not answer, and InstanceRefused with its reason for one that will not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Self, TypeVar

import grpc
import grpc.aio

from aurora.rpc import compute_pb2, compute_pb2_grpc
from aurora.rpc.channels import NO_ACCESS, Access, open_blocking_channel, open_channel
from aurora.rpc.secret import SecretStub, held
from aurora.rpc.tls import INSTANCE_NAME

if TYPE_CHECKING:
    from aurora.rpc.compute_pb2_grpc import InstanceStub


DESCRIBE_TIMEOUT_S: Final = 2.0
CHANGE_TIMEOUT_S: Final = 30.0
"""How long an instance may take to change its role."""


class InstanceRefused(Exception):
    """An instance does not do what it was asked to; the message is its reason."""


def instance_stub(channel: grpc.aio.Channel | grpc.Channel, secret: str | None = None) -> InstanceStub:
    """The typed calls of one instance, which show the secret, else the process's, if there is one."""
    secret = secret or held()
    stub = compute_pb2_grpc.InstanceStub(channel)  # type: ignore[no-untyped-call]
    return stub if secret is None else SecretStub(stub, secret)  # type: ignore[return-value]


def _unreachable(address: str, error: grpc.RpcError) -> ConnectionError:
    return ConnectionError(f"the instance at {address} does not answer: {error.code().name} {error.details()}")


Reply = TypeVar("Reply", compute_pb2.PromoteReply, compute_pb2.StepDownReply)


def _done(reply: Reply) -> Reply:
    if reply.problem:
        raise InstanceRefused(reply.problem)
    return reply


async def describe(
    address: str, access: Access = NO_ACCESS, timeout_s: float = DESCRIBE_TIMEOUT_S
) -> compute_pb2.Topology:
    """What the instance is, and what it knows of the others."""
    async with open_channel(address, access.tls, INSTANCE_NAME) as channel:
        try:
            request = compute_pb2.DescribeRequest()
            return await instance_stub(channel, access.secret).Describe(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _unreachable(address, error) from error


async def promote(
    address: str, access: Access = NO_ACCESS, reason: str = "", timeout_s: float = CHANGE_TIMEOUT_S
) -> compute_pb2.PromoteReply:
    """Have a reader become the writer; returns when it writes."""
    async with open_channel(address, access.tls, INSTANCE_NAME) as channel:
        try:
            request = compute_pb2.PromoteRequest(reason=reason)
            return _done(await instance_stub(channel, access.secret).Promote(request, timeout=timeout_s))
        except grpc.aio.AioRpcError as error:
            raise _unreachable(address, error) from error


async def step_down(
    address: str, successor: str, access: Access = NO_ACCESS, timeout_s: float = CHANGE_TIMEOUT_S
) -> compute_pb2.StepDownReply:
    """Have the writer end its writing, for the instance ``successor`` (its id) to take over."""
    async with open_channel(address, access.tls, INSTANCE_NAME) as channel:
        try:
            request = compute_pb2.StepDownRequest(successor=successor)
            return _done(await instance_stub(channel, access.secret).StepDown(request, timeout=timeout_s))
        except grpc.aio.AioRpcError as error:
            raise _unreachable(address, error) from error


async def cancel(address: str, pid: int, secret: int, timeout_s: float = DESCRIBE_TIMEOUT_S) -> bool:
    """Pass a client's cancel request on; whether it fits a session of the instance."""
    async with open_channel(address, None, INSTANCE_NAME) as channel:
        try:
            request = compute_pb2.CancelRequest(pid=pid, secret=secret)
            return (await instance_stub(channel).Cancel(request, timeout=timeout_s)).found
        except grpc.aio.AioRpcError as error:
            raise _unreachable(address, error) from error


async def use_database(address: str, oid: int, timeout_s: float = CHANGE_TIMEOUT_S) -> int:
    """Have the writer write the catalogs of a database that nobody has used yet; the LSN as of which they are there."""
    async with open_channel(address, None, INSTANCE_NAME) as channel:
        try:
            request = compute_pb2.UseDatabaseRequest(oid=oid)
            reply = await instance_stub(channel).UseDatabase(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _unreachable(address, error) from error
    if reply.problem:
        raise InstanceRefused(reply.problem)
    return reply.lsn


class Instances:
    """Blocking calls of several instances by address, over channels that stay open until ``close``."""

    def __init__(self, access: Access = NO_ACCESS) -> None:
        self._access = access
        self._channels: dict[str, grpc.Channel] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every channel."""
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.close()

    def _stub(self, address: str) -> InstanceStub:
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = open_blocking_channel(address, self._access.tls, INSTANCE_NAME)
        return instance_stub(channel, self._access.secret)

    def describe(
        self, addresses: Iterable[str], timeout_s: float = DESCRIBE_TIMEOUT_S
    ) -> dict[str, compute_pb2.Topology]:
        """What each says of itself, all asked at the same time; without those that do not answer."""
        request = compute_pb2.DescribeRequest()
        calls = {each: self._stub(each).Describe.future(request, timeout=timeout_s) for each in addresses}  # type: ignore[attr-defined]
        answers = {}
        for address, call in calls.items():
            try:
                answers[address] = call.result()
            except grpc.RpcError:
                continue
        return answers

    def promote(self, address: str, reason: str = "", timeout_s: float = CHANGE_TIMEOUT_S) -> compute_pb2.PromoteReply:
        """See ``promote``."""
        try:
            return _done(self._stub(address).Promote(compute_pb2.PromoteRequest(reason=reason), timeout=timeout_s))
        except grpc.RpcError as error:
            raise _unreachable(address, error) from error

    def step_down(self, address: str, successor: str, timeout_s: float = CHANGE_TIMEOUT_S) -> compute_pb2.StepDownReply:
        """See ``step_down``."""
        try:
            request = compute_pb2.StepDownRequest(successor=successor)
            return _done(self._stub(address).StepDown(request, timeout=timeout_s))
        except grpc.RpcError as error:
            raise _unreachable(address, error) from error

    def forget(self, address: str, instance_id: str, timeout_s: float = DESCRIBE_TIMEOUT_S) -> None:
        """Tell the instance at ``address`` that another one is none of the cluster any more."""
        try:
            self._stub(address).Forget(compute_pb2.ForgetRequest(id=instance_id), timeout=timeout_s)
        except grpc.RpcError as error:
            raise _unreachable(address, error) from error


def writer_of(answers: Iterable[compute_pb2.Topology]) -> compute_pb2.InstanceState | None:
    """The instance that writes: of those that say so of themselves, the one with the highest epoch."""
    writers = [answer.self for answer in answers if answer.self.role == "writer"]
    return max(writers, key=lambda state: state.epoch, default=None)
