"""A failure of replication on purpose: which messages wait, for how long, and in which order they go on."""

from __future__ import annotations

from collections.abc import Callable

from aurora.rpc import compute_pb2 as cpb
from compute_node.replica.injected import AGAIN_S, HeldOutlet, InjectedFailure


class World:
    """A clock with timers, numbers that come as told, and a stream that notes what it sends."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.chances: list[float] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.sent: list[int] = []
        self.backlog_bytes = 0
        self.closed = False
        self.injected = InjectedFailure(lambda: self.now_s, lambda: self.chances.pop(0) if self.chances else 0.5)

    def send(self, message: bytes) -> None:
        reply = cpb.FollowReply.FromString(message)
        self.sent.append(reply.log.vdl if reply.HasField("log") else 0)

    def close(self) -> None:
        self.closed = True

    def outlet(self, reader: str) -> HeldOutlet:
        return HeldOutlet(self, self.injected, reader, lambda s, call: self.timers.append((self.now_s + s, call)))

    def run_to(self, now_s: float) -> None:
        while self.timers and min(due for due, _ in self.timers) <= now_s + 1e-9:
            due, call = min(self.timers, key=lambda timer: timer[0])
            self.timers.remove((due, call))
            self.now_s = due
            call()
        self.now_s = now_s


def log(vdl: int) -> bytes:
    return cpb.FollowReply(log=cpb.Log(vdl=vdl)).SerializeToString()


TOPOLOGY = cpb.FollowReply(topology=cpb.Topology(writer_id="w")).SerializeToString()


def test_log_waits_until_the_failure_is_over_and_topology_does_not() -> None:
    world = World()
    outlet = world.outlet("r1")
    outlet.send(log(1))
    world.injected.inject(100, 2)
    outlet.send(log(2))
    outlet.send(TOPOLOGY)
    outlet.send(log(3))
    assert world.sent == [1, 0]
    assert outlet.backlog_bytes == len(log(2)) + len(log(3))
    world.run_to(1.9)
    assert world.sent == [1, 0]
    world.run_to(2.0 + AGAIN_S)
    assert world.sent == [1, 0, 2, 3]
    assert outlet.backlog_bytes == 0
    assert not world.injected.active
    outlet.send(log(4))
    assert world.sent[-1] == 4
    assert not world.timers


def test_a_failure_of_one_reader_is_not_anothers() -> None:
    world = World()
    world.injected.inject(100, 5, "r1")
    first, second = world.outlet("r1"), world.outlet("r2")
    first.send(log(1))
    second.send(log(1))
    assert world.sent == [1]
    world.injected.inject(0, 0, "r1")
    world.run_to(AGAIN_S)
    assert world.sent == [1, 1]


def test_a_share_of_the_messages_waits_and_the_order_stays() -> None:
    world = World()
    world.injected.inject(50, 60)
    outlet = world.outlet("r1")
    world.chances = [0.9, 0.1]  # the first goes, the second waits
    for vdl in (1, 2, 3, 4):
        outlet.send(log(vdl))
    assert world.sent == [1]
    world.chances = [0.9, 0.1]
    world.run_to(AGAIN_S)
    assert world.sent == [1, 2]
    world.chances = [0.9, 0.9]
    world.run_to(2 * AGAIN_S)
    assert world.sent == [1, 2, 3, 4]


def test_a_closed_stream_gets_nothing_more() -> None:
    world = World()
    world.injected.inject(100, 1)
    outlet = world.outlet("r1")
    outlet.send(log(1))
    outlet.close()
    assert world.closed
    assert outlet.backlog_bytes == 0
    world.run_to(5.0)
    assert world.sent == []
