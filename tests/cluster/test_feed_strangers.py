"""Strangers, and readers that misbehave, on the ports where instances speak to each other: nobody else suffers."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import grpc
import psycopg
import pytest

from aurora.programs.supervisor import LOOPBACK, Cluster
from aurora.rpc import compute_pb2 as cpb
from aurora.rpc import compute_pb2_grpc, secret
from aurora.rpc.instances import describe
from aurora.rpc.stream import GrpcStream, open_stream
from compute_node.replica.service import FOLLOW, FOLLOWERS_MAX
from tests.cluster.failover_kinds import settled
from tests.log_rule import WATCH

pytestmark = [pytest.mark.cluster]

GARBAGE = (
    b"\x00" * 4096,
    b"\xff" * 100_000,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff" * 50,
)


@pytest.fixture
def cluster(tmp_path: Path) -> object:
    made = Cluster(tmp_path / "cluster")
    made.create(host=LOOPBACK, port=0, pages_per_pg=512, cache_mb=64, password=None, readers=1)
    WATCH.follow(made.data / "log")
    made.up()
    yield made
    made.down()


def throw(address: str, data: bytes) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.settimeout(0.2)
        try:
            connection.sendall(data)
            connection.recv(100)
        except OSError:
            pass  # it hangs up, or waits for more: both are fine


class Stranger:
    """One Follow stream by hand."""

    def __init__(self) -> None:
        self.replies: list[cpb.FollowReply] = []
        self.ended: list[str] = []
        self.stream: GrpcStream

    async def follow(self, address: str, request: cpb.FollowRequest | bytes) -> Stranger:
        self.stream = await open_stream(
            address,
            FOLLOW,
            lambda message: self.replies.append(cpb.FollowReply.FromString(message)),
            self.ended.append,
        )
        self.stream.send(request if isinstance(request, bytes) else request.SerializeToString())
        return self

    async def until(self, condition: object) -> None:
        deadline_s = time.monotonic() + 20
        while not condition(self):  # type: ignore[operator]
            assert time.monotonic() < deadline_s, (self.replies[:3], self.ended)
            await asyncio.sleep(0.01)


def request(name: str, **changes: int) -> cpb.FollowRequest:
    made = cpb.FollowRequest(**changes)  # type: ignore[arg-type]
    made.self.id, made.self.role = name, "reader"
    return made


def test_strangers_on_the_ports_of_the_instances(cluster: Cluster) -> None:
    feed = cluster.writer.feed
    told = cluster.topologies()[cluster.writer.id]
    stream = f"{feed.rpartition(':')[0]}:{told.self.stream_port}"
    reader = next(one.id for one in cluster.required.instances if one.id != cluster.writer.id)
    with psycopg.connect(cluster.dsn(), autocommit=True) as writing:
        writing.execute("CREATE TABLE seen (n int)")
        for address in (feed, stream):
            for data in GARBAGE:
                throw(address, data)
        with grpc.insecure_channel(feed) as channel:
            stub = compute_pb2_grpc.InstanceStub(channel)  # type: ignore[no-untyped-call]
            for call in (
                lambda: stub.Promote(cpb.PromoteRequest(reason="stranger"), timeout=5),
                lambda: stub.StepDown(cpb.StepDownRequest(), timeout=5),
                lambda: stub.Describe(cpb.DescribeRequest(), timeout=5),
            ):
                with pytest.raises(grpc.RpcError) as refused:
                    call()
                assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        before = secret.held()
        try:
            secret.use(None)
            asyncio.run(_without_secret(stream))
            secret.use(cluster.secret())
            asyncio.run(_misbehaving(stream, feed, writing))
        finally:
            secret.use(before)
        writing.execute("INSERT INTO seen VALUES (1)")

        def shown() -> bool:
            with psycopg.connect(cluster.dsn(reader), autocommit=True) as reading:
                return reading.execute("SELECT n FROM seen").fetchall() == [(1,)]

        settled(shown, "the reader to go on", 20)


async def _without_secret(stream: str) -> None:
    stranger = await Stranger().follow(stream, request("stranger"))
    await stranger.until(lambda each: each.ended)
    assert not stranger.replies, "a stranger is told of the log"
    stranger.stream.close()
    await asyncio.sleep(0)


async def _misbehaving(stream: str, feed: str, writing: psycopg.Connection) -> None:
    """Readers with the secret that ask for nonsense: they begin anew, or are sent away."""
    for lsn in (1, 1 << 62, (1 << 64) - 1):
        far = await Stranger().follow(stream, request("far", resume_lsn=lsn, row_horizon=lsn))
        await far.until(lambda each: each.replies)
        assert not far.replies[0].begin.resumed
        far.stream.send(request("far", row_horizon=lsn, read_point=lsn).SerializeToString())
        far.stream.close()
    broken = await Stranger().follow(stream, b"\xff\xff\xff\xff")
    await broken.until(lambda each: each.ended)

    other = request("other")
    other.volume_id = b"another volume's"
    elsewhere = await Stranger().follow(stream, other)
    await elsewhere.until(lambda each: each.ended)
    assert not any(reply.HasField("begin") for reply in elsewhere.replies), "a reader of another volume follows"

    first = await Stranger().follow(stream, request("twin"))
    await first.until(lambda each: each.replies)
    second = await Stranger().follow(stream, request("twin"))
    await second.until(lambda each: each.replies)
    await first.until(lambda each: each.ended)

    crowd = [await Stranger().follow(stream, request(f"crowd-{n}")) for n in range(20)]
    for each in crowd:
        await each.until(lambda each: each.replies or each.ended)
    assert sum(each.replies[0].HasField("begin") for each in crowd) == FOLLOWERS_MAX - 2, "a reader and a twin follow"
    for each in (*crowd, second, first, elsewhere, broken):
        each.stream.close()
    await asyncio.sleep(0)  # transports close in the loop's next turn

    assert (await describe(feed)).self.role == "writer"
