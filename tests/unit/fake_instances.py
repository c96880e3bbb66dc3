"""A stand-in for a cluster's instances: they answer Describe, Promote and StepDown, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from aurora.rpc import compute_pb2 as pb
from aurora.rpc import compute_pb2_grpc
from aurora.rpc.secret import HEADER, fits


@dataclass
class FakeCluster:
    """What the fakes know of one another, and what they were asked."""

    secret: str | None = None
    states: dict[str, pb.InstanceState] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(call, instance, argument)"""
    problem: str = ""
    seen_by: dict[str, dict[str, str]] = field(default_factory=dict)
    """What an instance says of the others' states, where it is not what they say of themselves."""

    def topology(self, name: str) -> pb.Topology:
        """As ``name`` tells it."""
        epoch, writer = max(((s.epoch, s.id) for s in self.states.values() if s.role == "writer"), default=(0, ""))
        told = pb.Topology(self=self.states[name], instances=self.states.values(), writer_id=writer, epoch=epoch)
        for state in told.instances:
            state.state = self.seen_by.get(name, {}).get(state.id, state.state)
        return told


class FakeInstance(compute_pb2_grpc.InstanceServicer):
    """One of them."""

    def __init__(self, cluster: FakeCluster, name: str) -> None:
        self._cluster, self._name = cluster, name

    def _enter(self, context: grpc.ServicerContext, call: str, argument: str) -> None:
        if not fits(self._cluster.secret, dict(context.invocation_metadata()).get(HEADER)):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "secret")
        self._cluster.asked.append((call, self._name, argument))

    def Describe(self, request: pb.DescribeRequest, context: grpc.ServicerContext) -> pb.Topology:
        self._enter(context, "describe", "")
        return self._cluster.topology(self._name)

    def Promote(self, request: pb.PromoteRequest, context: grpc.ServicerContext) -> pb.PromoteReply:
        self._enter(context, "promote", request.reason)
        if self._cluster.problem:
            return pb.PromoteReply(problem=self._cluster.problem)
        state = self._cluster.states[self._name]
        state.epoch = max(each.epoch for each in self._cluster.states.values()) + 1
        state.role = "writer"
        return pb.PromoteReply(epoch=state.epoch, vdl=100)

    def StepDown(self, request: pb.StepDownRequest, context: grpc.ServicerContext) -> pb.StepDownReply:
        self._enter(context, "step_down", request.successor)
        self._cluster.states[self._name].role = "reader"
        return pb.StepDownReply(vdl=100)


@contextmanager
def fake_instances(roles: dict[str, str], secret: str | None = None) -> Iterator[FakeCluster]:
    """Fakes of these ids and roles, listening at the ``feed_address`` of their states."""
    cluster = FakeCluster(secret)
    servers = []
    try:
        for name, role in roles.items():
            server = grpc.server(ThreadPoolExecutor(2))
            compute_pb2_grpc.add_InstanceServicer_to_server(FakeInstance(cluster, name), server)  # type: ignore[no-untyped-call]
            address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            server.start()
            servers.append(server)
            cluster.states[name] = pb.InstanceState(
                id=name, role=role, state="available", feed_address=address, promotion_tier=1, epoch=3,
                lag_us=-1 if role == "writer" else 1500, applied_lsn=100,
            )  # fmt: skip
        yield cluster
    finally:
        for server in servers:
            server.stop(None)
