"""The cluster's secret: without it a storage node answers nobody, on neither port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from aurora.programs.status import ask_nodes
from aurora.programs.supervisor import LOOPBACK, Cluster, ClusterError
from aurora.rpc import secret
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import Access, open_channel, storage_stub
from aurora.rpc.stream import open_stream
from compute_node import config as compute_config
from storage_node import config as storage_config
from storage_node.append import APPEND_LOG
from storage_node.config import NodeConfig
from storage_node.server import NodeServer

SECRET = "a" * 43


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    """The clients of this file show what the test says."""
    before = secret.held()
    secret.use(None)
    yield
    secret.use(before)


@pytest.mark.parametrize("shown", [None, "b" * 43, "a" * 42, ""])
def test_a_node_refuses_who_does_not_show_the_secret(tmp_path: Path, shown: str | None) -> None:
    async def run() -> None:
        server = NodeServer(NodeConfig(node_id="n", data=tmp_path / "n", secret=SECRET))
        address = await server.start()
        log_port = server._service.log_port
        channel = open_channel(address)
        stub = storage_stub(channel, shown)
        fence = pb.FenceRequest(volume_id=b"v", volume_epoch=2**64 - 1, writer_id="eve")
        for call in (stub.Status(pb.StatusRequest(), timeout=5), stub.Fence(fence, timeout=5)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.FetchLog(pb.FetchLogRequest(), timeout=5):
                pass
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.AppendLog(iter([pb.AppendRequest()]), timeout=5):
                pass
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED

        secret.use(shown)
        closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        got: list[bytes] = []
        stream = await open_stream(f"{LOOPBACK}:{log_port}", APPEND_LOG, got.append, closed.set_result)
        stream.send(pb.AppendRequest(sequence=1).SerializeToString())
        assert "ended" in await asyncio.wait_for(closed, 10)
        assert got == []
        (node,) = await asyncio.to_thread(ask_nodes, [address], Access(secret=shown))
        assert (node["state"], node["error"]) == ("down", "unauthenticated")
        await channel.close()
        server.stop()
        await server.wait()

    asyncio.run(run())


def test_a_node_serves_who_shows_it(tmp_path: Path) -> None:
    async def run() -> None:
        server = NodeServer(NodeConfig(node_id="n", data=tmp_path / "n", secret=SECRET))
        address = await server.start()
        secret.use(SECRET)
        channel = open_channel(address)
        assert (await storage_stub(channel).Status(pb.StatusRequest(), timeout=5)).node_id == "n"
        replies: asyncio.Queue[bytes] = asyncio.Queue()
        for port in (address, f"{LOOPBACK}:{server._service.log_port}"):
            stream = await open_stream(port, APPEND_LOG, replies.put_nowait, print)
            stream.send(pb.AppendRequest(sequence=9).SerializeToString())
            reply = pb.AppendReply.FromString(await asyncio.wait_for(replies.get(), 10))
            assert (reply.sequence, "belongs to no volume" in reply.error) == (9, True)
            stream.close()
        secret.use(None)
        (node,) = await asyncio.to_thread(ask_nodes, [address], Access(secret=SECRET))
        assert node["state"] != "down"
        await channel.close()
        server.stop()
        await server.wait()

    asyncio.run(run())


def test_a_port_that_asks_for_nothing_is_not_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "secret"
    secret.make(file)
    common = ["--id", "n", "--data", str(tmp_path / "n")]
    for flags, complaint in (
        (["--listen", "127.0.0.1:0"], "asks its clients for nothing"),
        (["--listen", "0.0.0.0:7000", "--secret-file", str(file)], "beyond loopback: that needs mutual TLS"),
        (["--listen", "192.0.2.1:7000"], "beyond loopback: that needs mutual TLS"),
        (["--listen", "127.0.0.1:0", "--secret-file", str(tmp_path / "none")], "No such file"),
    ):
        with pytest.raises(SystemExit):
            storage_config.load([*common, *flags], {})
        assert complaint in capsys.readouterr().err
    assert storage_config.load([*common, "--secret-file", str(file)], {}).secret == file.read_text()
    assert storage_config.load([*common, "--listen", "unix:/tmp/n"], {}).secret is None


def test_a_secret_is_long_and_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    made = secret.make(file)
    assert secret.read(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        secret.make(file)
    file.chmod(0o644)
    with pytest.raises(secret.SecretUnusable, match="can be read by everybody"):
        secret.read(file)
    file.chmod(0o600)
    file.write_text("short")
    with pytest.raises(secret.SecretUnusable, match="fewer than 32"):
        secret.read(file)


def test_a_cluster_has_a_secret_that_its_processes_are_told(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "c")
    cluster.create(host=LOOPBACK, port=5999, pages_per_pg=512, cache_mb=64, password=None)
    node = storage_config.load(cluster._node_command("az1-a")[1:], {})
    writer = compute_config.load(cluster._instance_command("instance-1")[1:], {})
    assert node.secret == writer.storage_secret == cluster.access().secret == Cluster(tmp_path / "c").secret()
    assert node.secret not in repr(node) + repr(writer)
    cluster.secret_path.write_text("")
    with pytest.raises(ClusterError, match="secret"):
        cluster.secret()


def test_a_secret_file_of_compute_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(compute_config.ConfigError, match="No such file"):
        compute_config.load(["--id", "i", "--storage", "a:1", "--storage-secret-file", str(tmp_path / "x")], {})
