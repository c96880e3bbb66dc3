"""Certificates, and mutual TLS on both ports of a storage node: who gets in, who does not, and what the node says."""

from __future__ import annotations

import asyncio
import random
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from storage_tools import VOLUME, Writer, descriptor

from aurora.programs import certs, cli
from aurora.programs.status import ask_nodes
from aurora.programs.supervisor import LOOPBACK, Cluster, ClusterError
from aurora.rpc import storage_pb2 as pb
from aurora.rpc import tls
from aurora.rpc.channels import OPTIONS, open_blocking_channel, open_channel, storage_stub
from aurora.rpc.stream import open_stream
from aurora.rpc.tls import Tls, TlsFiles, TlsUnusable
from compute_node import config as compute_config
from storage_node import config as storage_config
from storage_node.config import NodeConfig, Peer
from storage_node.server import NodeServer

pytestmark = pytest.mark.logs(r"aurora\.rpc\.tls: log port: a client is refused")

METHOD = "/aurora.storage.v1.Storage/AppendLog"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ours`` and ``theirs``: certificates of two authorities."""
    made = tmp_path_factory.mktemp("certs")
    for name in ("ours", "theirs"):
        certs.make(made / name, days=2)
    return made


def _tls(folder: Path, role: str, whose: str = "ours") -> Tls:
    return Tls(certs.tls_files(folder / whose, role))


def _config(folder: Path, data: Path, **more: Any) -> NodeConfig:
    files = certs.tls_files(folder / "ours", "storage")
    return NodeConfig(
        **{"node_id": "n0", "data": data, "tls_ca": files.ca, "tls_cert": files.certificate, "tls_key": files.key}
        | more
    )


# -- certificates


def test_what_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "new" / "certs"
    flags = [
        "--dir",
        str(made),
        "--days",
        "40",
        "--name",
        "node1.example",
        "--name",
        "192.0.2.7",
        "--name",
        "localhost",
    ]
    assert cli.main(["certs", *flags]) == 0
    names = {"ca.crt", "ca.key", "storage.crt", "storage.key", "compute.crt", "compute.key"}
    assert {path.name for path in made.iterdir()} == names
    assert {Path(line).name for line in capsys.readouterr().out.split()} == names
    for path in made.glob("*.key"):
        assert path.stat().st_mode & 0o077 == 0
    storage, compute, authority = (
        x509.load_pem_x509_certificate((made / f"{stem}.crt").read_bytes()) for stem in ("storage", "compute", "ca")
    )
    for certificate in (storage, compute):
        certificate.verify_directly_issued_by(authority)
        names_ext = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = ["localhost", "node1.example"] if certificate is storage else ["instance.aurora.internal"]
        addresses = ["127.0.0.1", "::1", "192.0.2.7"] if certificate is storage else []
        assert names_ext.get_values_for_type(x509.DNSName) == hosts
        assert [str(ip) for ip in names_ext.get_values_for_type(x509.IPAddress)] == addresses
        assert 40 <= (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 41
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = [
        set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        for certificate in (storage, compute)
    ]
    assert usages == [set(certs.ROLES["storage"]), set(certs.ROLES["compute"])]


def test_nothing_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "compute.key").write_text("precious")
    assert cli.main(["certs", "--dir", str(tmp_path)]) == 1
    assert "compute.key" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["compute.key"]


@pytest.mark.parametrize("flags", [["--name", "two words"], ["--name", ""], ["--name", "host:1"], ["--days", "0"]])
def test_what_certificates_cannot_be_made_for(tmp_path: Path, flags: list[str]) -> None:
    assert cli.main(["certs", "--dir", str(tmp_path / "c"), *flags]) == 1
    assert not (tmp_path / "c").exists()


def test_a_cluster_takes_the_certificates_that_are_there(tmp_path: Path) -> None:
    def create(folder: Path) -> Cluster:
        cluster = Cluster(folder)
        cluster.create(host=LOOPBACK, port=0, pages_per_pg=64, cache_mb=8, password=None, storage_tls=True)
        return cluster

    certs.make(tmp_path / "a" / "certs", ["node1.example"])
    held = (tmp_path / "a" / "certs" / "storage.crt").read_bytes()
    assert create(tmp_path / "a").tls() is not None
    assert (tmp_path / "a" / "certs" / "storage.crt").read_bytes() == held
    assert create(tmp_path / "b").tls() is not None
    (tmp_path / "c" / "certs").mkdir(parents=True)
    with pytest.raises(ClusterError, match="TLS files"):
        create(tmp_path / "c")
    assert not (tmp_path / "c" / "cluster.json").exists()


# -- settings


def test_the_three_files_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        storage_config.load(["--id", "n", "--data", "d", "--tls-ca", "a"], {})
    assert "go together" in capsys.readouterr().err
    with pytest.raises(compute_config.ConfigError, match="go together"):
        compute_config.load(["--id", "i", "--storage", "a:1", "--storage-tls-cert", "c"], {})
    given = {"AURORA_NODE_TLS_CA": "a", "AURORA_NODE_TLS_CERT": "b", "AURORA_NODE_TLS_KEY": "c"}
    want = TlsFiles(Path("a"), Path("b"), Path("c"))
    assert storage_config.load(["--id", "n", "--data", "d"], given).tls == want
    given = {name.replace("_NODE", "_STORAGE"): value for name, value in given.items()}
    assert compute_config.load(["--id", "i", "--storage", "a:1"], given).storage_tls == want
    assert cli.main(["status", "--storage", "127.0.0.1:1", "--tls-ca", "a"]) == 1
    assert "go together" in capsys.readouterr().err


def test_files_that_are_no_identity(folder: Path, tmp_path: Path) -> None:
    ours, theirs = certs.tls_files(folder / "ours", "storage"), certs.tls_files(folder / "theirs", "storage")
    (tmp_path / "junk").write_text("junk")
    for files in (
        TlsFiles(ours.ca, ours.certificate, theirs.key), TlsFiles(ours.ca, ours.certificate, tmp_path / "none"),
        TlsFiles(tmp_path / "junk", ours.certificate, ours.key), TlsFiles(ours.ca, tmp_path / "junk", ours.key),
    ):  # fmt: skip
        with pytest.raises(TlsUnusable):
            Tls(files)
    for program, flags in (
        ("storage_node", ["--id", "n", "--data", str(tmp_path / "n"), "--tls-ca", "/none", "--tls-cert", "/none",
                          "--tls-key", "/none"]),
        ("compute_node", ["--id", "i", "--storage", "127.0.0.1:1", "--storage-tls-ca", "/none", "--storage-tls-cert",
                          "/none", "--storage-tls-key", "/none"]),
    ):  # fmt: skip
        done = subprocess.run([sys.executable, "-m", program, *flags], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert "TLS files" in done.stderr and "Traceback" not in done.stderr


# -- a node


Body = Callable[[NodeServer, str, str], Awaitable[None]]


def _with_node(config: NodeConfig, body: Body) -> None:
    """Run ``body(server, contract's address, log port's address)`` against a node served in this process."""

    async def run() -> None:
        server = NodeServer(config)
        address = await server.start()
        serving = asyncio.ensure_future(server.wait())
        try:
            await asyncio.wait_for(body(server, address, f"127.0.0.1:{server._service.log_port}"), 20)
        finally:
            server.stop()
            await serving

    asyncio.run(run())


async def _install(stub: Any) -> None:
    await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor()))
    await stub.Fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1"))


def _request(writer: Writer, sequence: int, edits: int = 5) -> bytes:
    return pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", membership_epoch=1, sequence=sequence,
                            batches=b"".join(writer.frames(edits))).SerializeToString()  # fmt: skip


@pytest.fixture
def as_process() -> Iterator[None]:
    """``tls.use`` is undone at the end."""
    yield
    tls.use(None)


def test_the_log_flows_over_both_ports(folder: Path, tmp_path: Path, as_process: None) -> None:
    writer = Writer(random.Random(1))

    async def body(_: NodeServer, address: str, log_address: str) -> None:
        channel = open_channel(address)
        await _install(storage_stub(channel))
        replies: asyncio.Queue[Any] = asyncio.Queue()
        streams = [
            await open_stream(at, METHOD, replies.put_nowait, replies.put_nowait) for at in (address, log_address)
        ]
        for sequence in range(1, 21):
            streams[sequence % 2].send(_request(writer, sequence, 2000 if sequence % 10 == 0 else 5))
            reply = pb.AppendReply.FromString(await replies.get())
            assert (reply.sequence, reply.error) == (sequence, "")
        for stream in streams:
            stream.close()
        ordinary = open_channel(log_address)
        call = storage_stub(ordinary).AppendLog(iter([pb.AppendRequest.FromString(_request(writer, 21))]))
        assert [reply.sequence async for reply in call] == [21]
        await ordinary.close()
        await channel.close()
        (shown,) = await asyncio.to_thread(ask_nodes, [address])
        assert (shown["state"], shown["scl"]) == ("up", writer.log.last_lsn)
        files = certs.tls_files(folder / "ours", "compute")
        flags = ["--tls-ca", str(files.ca), "--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
        for more, status in ((flags, 0), ([], 1)):
            tls.use(None)
            command = ["status", "--check", "--storage", address, *more]
            assert await asyncio.to_thread(cli.main, command) == status

    tls.use(_tls(folder, "compute"))
    _with_node(_config(folder, tmp_path), body)


def _intruders(folder: Path) -> dict[str, tuple[grpc.ChannelCredentials | None, ssl.SSLContext | None, str]]:
    """Who must not get in: credentials for gRPC, a context for the log port, what the node says there."""
    authority = folder / "ours" / "ca.crt"
    without = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    without.load_verify_locations(authority)
    foreign = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    foreign.load_verify_locations(authority)
    files = certs.tls_files(folder / "theirs", "compute")
    foreign.load_cert_chain(files.certificate, files.key)
    read = authority.read_bytes()
    return {
        "in the clear": (None, None, "it does not speak TLS"),
        "without a certificate": (grpc.ssl_channel_credentials(read), without, "it showed no certificate"),
        "of another authority": (
            grpc.ssl_channel_credentials(read, files.key.read_bytes(), files.certificate.read_bytes()),
            foreign, "not of this authority",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("who", ["in the clear", "without a certificate", "of another authority"])
def test_who_is_kept_out(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, who: str) -> None:
    credentials, context, told = _intruders(folder)[who]
    writer = Writer(random.Random(2))

    async def body(server: NodeServer, address: str, log_address: str) -> None:
        for at in (address, log_address):
            if credentials is None:
                channel = grpc.aio.insecure_channel(at, options=OPTIONS)
            else:
                channel = grpc.aio.secure_channel(at, credentials, options=OPTIONS)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await storage_stub(channel).Status(pb.StatusRequest(), timeout=5)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            await channel.close()
        caplog.clear()
        host, _, port = log_address.rpartition(":")
        with pytest.raises(ConnectionError):
            await _say_hello(host, int(port), context)
        said = [record.getMessage() for record in caplog.records if "a client is refused" in record.getMessage()]
        assert any(told in line for line in said), (said, caplog.text)
        assert not any(server._log_port._streams.values())
        # The node serves those who may.
        channel = open_channel(address, server.tls)
        await _install(storage_stub(channel))
        replies: asyncio.Queue[Any] = asyncio.Queue()
        stream = await open_stream(log_address, METHOD, replies.put_nowait, replies.put_nowait, tls=server.tls)
        stream.send(_request(writer, 1))
        assert pb.AppendReply.FromString(await replies.get()).sequence == 1
        stream.close()
        await channel.close()

    with caplog.at_level("WARNING"):
        _with_node(_config(folder, tmp_path), body)


async def _say_hello(host: str, port: int, context: ssl.SSLContext | None) -> None:
    """Open a connection as the writer's stream does; ConnectionError when the other side ends it."""
    closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    if context is None:
        await open_stream(f"{host}:{port}", METHOD, lambda _: None, closed.set_result)
    else:
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        try:
            # In TLS 1.3 a client believes in its connection before the server has seen its certificate.
            if not await reader.read(1):
                raise ConnectionError("ended by the server")
        except ssl.SSLError as error:
            raise ConnectionError(str(error)) from error
        finally:
            writer.close()
        return
    raise ConnectionError(await closed)


def test_a_server_must_be_a_storage_node_of_the_authority(folder: Path, tmp_path: Path) -> None:
    """A compute instance's certificate serves nobody, nor does one of another authority, nor a server in the clear."""
    files = certs.tls_files(folder / "ours", "compute")
    theirs = certs.tls_files(folder / "theirs", "storage")
    ours = _tls(folder, "compute")

    async def body(_: NodeServer, address: str, log_address: str) -> None:
        channel = open_channel(address, ours)
        with pytest.raises(grpc.aio.AioRpcError):
            await storage_stub(channel).Status(pb.StatusRequest(), timeout=5)
        await channel.close()
        with pytest.raises(ConnectionError):
            await open_stream(log_address, METHOD, lambda _: None, lambda _: None, tls=ours)

    for number, config in enumerate((
        _config(folder, tmp_path / "0", tls_cert=files.certificate, tls_key=files.key),
        _config(folder, tmp_path / "1", tls_ca=theirs.ca, tls_cert=theirs.certificate, tls_key=theirs.key),
        NodeConfig(node_id="n0", data=tmp_path / "2"),
    )):  # fmt: skip
        assert config.data == tmp_path / str(number)
        _with_node(config, body)


def test_a_certificate_is_good_for_its_hosts_only(folder: Path, tmp_path: Path) -> None:
    ours = _tls(folder, "compute")

    async def body(_: NodeServer, address: str, log_address: str) -> None:
        for at in (address, log_address):
            with pytest.raises(ConnectionError):
                await open_stream(at.replace("127.0.0.1", "127.0.0.2"), METHOD, print, print, tls=ours)

    _with_node(_config(folder, tmp_path, listen="0.0.0.0:0"), body)


def test_peers_gossip_over_tls(folder: Path, tmp_path: Path) -> None:
    """A node that was away gets its log from a peer, with its own certificate as the client's."""
    writer = Writer(random.Random(3))

    async def body(server: NodeServer, address: str, log_address: str) -> None:
        channel = open_channel(address, server.tls)
        await _install(storage_stub(channel))
        replies: asyncio.Queue[Any] = asyncio.Queue()
        stream = await open_stream(log_address, METHOD, replies.put_nowait, replies.put_nowait, tls=server.tls)
        stream.send(_request(writer, 1, 50))
        await replies.get()
        peer = Peer("n0", "az1", address)
        follower = NodeServer(_config(folder, tmp_path / "n1", node_id="n1", gossip_ms=20, peers=(peer,)))
        await follower.start()
        serving = asyncio.ensure_future(follower.wait())
        while 0 not in follower.node.segments or follower.node.segments[0].scl < writer.log.last_lsn:
            await asyncio.sleep(0.02)
        follower.stop()
        await serving
        stream.close()
        await channel.close()

    _with_node(_config(folder, tmp_path / "n0"), body)


def test_a_nodes_process_says_whom_it_refused(folder: Path, tmp_path: Path) -> None:
    """gRPC writes of refused clients on its port to stderr by itself."""
    files = certs.tls_files(folder / "ours", "storage")
    command = [sys.executable, "-m", "storage_node", "--id", "n0", "--data", str(tmp_path / "n0"), "--listen",
               "127.0.0.1:0", "--tls-ca", str(files.ca), "--tls-cert", str(files.certificate), "--tls-key",
               str(files.key)]  # fmt: skip
    with open(tmp_path / "log", "w") as log:
        node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert node.stdout is not None
        with node.stdout as out:
            address = out.readline().split()[1]
        assert ask_nodes([address])[0]["state"] == "down"
        without = grpc.ssl_channel_credentials((folder / "ours" / "ca.crt").read_bytes())
        with grpc.secure_channel(address, without) as channel, pytest.raises(grpc.RpcError):
            storage_stub(channel).Status(pb.StatusRequest(), timeout=5)
        with open_blocking_channel(address, _tls(folder, "compute")) as channel:
            assert storage_stub(channel).Status(pb.StatusRequest(), timeout=5).node_id == "n0"
            port = storage_stub(channel).Status(pb.StatusRequest(), timeout=5).log_port
        with pytest.raises(ConnectionError):
            asyncio.run(_say_hello("127.0.0.1", port, None))
    finally:
        node.terminate()
        assert node.wait(20) == 0
    said = (tmp_path / "log").read_text()
    assert "Handshake failed" in said and "PEER_DID_NOT_RETURN_A_CERTIFICATE" in said
    assert "log port: a client is refused" in said
    assert "Traceback" not in said
