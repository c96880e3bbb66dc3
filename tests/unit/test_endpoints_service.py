"""The endpoints' process before stand-ins: handover, forwarding, waiting, cancel requests, strangers, descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import uvloop
from endpoint_fakes import Feed, Wired, endpoints, until
from test_session_protocol import Raw

from aurora.handover import frames
from aurora.handover.frames import Frame, Kind
from aurora.programs.endpoints import core, watch
from aurora.programs.endpoints.refusal import Cancel, Refusal, cancel_request
from aurora.programs.endpoints.service import Service
from compute_node.hub import HUB
from compute_node.wire.hba import DEFAULT_TRUST

LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
WAYS = ["handover", "proxy"]


def run(test: Callable[[], Awaitable[None]], factory: Any = uvloop.new_event_loop) -> None:
    async def body() -> None:
        HUB.bind(asyncio.get_running_loop())
        await asyncio.wait_for(test(), 20)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(body())


def place(service: Service, name: str) -> tuple[str, int]:
    host, _, port = service.addresses[name].rpartition(":")
    return host, int(port)


async def connect(service: Service, name: str, **options: Any) -> psycopg.AsyncConnection[Any]:
    host, port = place(service, name)
    settings = {"user": "postgres", "dbname": "postgres", "sslmode": "disable", **options}
    return await psycopg.AsyncConnection.connect(host=host, port=port, autocommit=True, **settings)


def sessions(*instances: Wired) -> list[int]:
    return [len(instance.server.sessions) for instance in instances]


@contextlib.asynccontextmanager
async def cluster(folder: Path, way: str, *roles: str, wait_s: float = 5.0, **config: Any) -> Any:
    """Instances a, b, … of these roles, and endpoints before them that know all of them."""
    instances = [Wired(name, role, **config) for name, role in zip("abcdef", roles, strict=False)]
    for each in instances:
        each.others = [other for other in instances if other is not each]
        await each.begin(folder if way == "handover" else None)
    try:
        async with endpoints([instances[0]], folder, wait_s=wait_s) as service:
            await until(
                lambda: all(service.router.counts(each.state.id, service._loop.time()) for each in instances), "all"
            )
            yield service, instances
    finally:
        for each in instances:
            await each.end()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS)
def test_sessions_run_where_the_endpoint_leads(tmp_path: Path, way: str, loop: Any) -> None:
    async def test() -> None:
        async with cluster(tmp_path, way, "writer", "reader", "reader") as (service, (a, b, c)):
            some = [await connect(service, "cluster") for _ in range(2)]
            some += [await connect(service, "reader") for _ in range(4)]
            assert sessions(a, b, c) == [2, 2, 2]
            for each in some:
                assert len(await (await each.execute("select series(9000)")).fetchall()) == 9000
            own = {port for server in (a, b, c) for _, port in server.server.addresses}
            seen = {int(line) for each in some for line in [each.info.port]}
            assert not own & seen
            for each in some:
                await each.close()
            await until(lambda: sessions(a, b, c) == [0, 0, 0], "the end of all")
            await until(lambda: not service.router.held and not service._fds and not service._pairs, "all given back")

    run(test, loop)


def test_the_client_is_seen_with_its_own_address(tmp_path: Path) -> None:
    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer") as (service, (a,)):
            reader, writer = await asyncio.open_connection(*place(service, "cluster"))
            await until(lambda: a.server.connections, "the connection")
            (connection,) = a.server.connections
            transport = connection._transport
            assert transport.get_extra_info("peername") == writer.get_extra_info("sockname")
            assert transport.get_extra_info("sockname") == place(service, "cluster")
            no_delay = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert no_delay
            writer.close()
            assert await reader.read() == b""

    run(test)


@pytest.mark.parametrize("way", WAYS)
def test_tls_is_end_to_end(tmp_path: Path, way: str) -> None:
    from aurora.programs import certs

    certs.make(tmp_path / "certs", ["127.0.0.1"])
    files = certs.tls_files(tmp_path / "certs", "compute")

    async def test() -> None:
        config = {"tls_cert": files.certificate, "tls_key": files.key, "default_rules": DEFAULT_TRUST}
        async with cluster(tmp_path, way, "writer", **config) as (service, _):
            db = await connect(service, "cluster", sslmode="require")
            assert db.pgconn.ssl_in_use
            assert len(await (await db.execute("select series(3000)")).fetchall()) == 3000
            await db.close()

    run(test)


@pytest.mark.parametrize("way", WAYS)
def test_a_cancel_request_finds_its_instance(tmp_path: Path, way: str) -> None:
    """It comes on a connection of its own, which the reader endpoint gives to another instance than the session's."""

    async def test() -> None:
        async with cluster(tmp_path, way, "writer", "reader", "reader", "reader") as (service, instances):
            canceled: list[str] = []
            for each in instances:
                signal = each.server.signal

                def note(pid: int, terminate: bool, name: str = each.state.id, signal: Any = signal) -> bool:
                    canceled.append(name)
                    return signal(pid, terminate)

                each.server.signal = note
            clients = [await Raw.open(SimpleNamespace(addresses=[place(service, "reader")])) for _ in range(3)]
            keys = [each.start.index(b"K\0\0\0\x0c") + 5 for each in clients]
            for at, client in zip(keys, clients, strict=True):
                reader, writer = await asyncio.open_connection(*place(service, "reader"))
                writer.write(struct.pack(">II", 16, 80877102) + client.start[at : at + 8])
                assert await reader.read() == b""
                writer.close()
            await until(lambda: len(canceled) == 3, "three cancels")
            await asyncio.sleep(0.05)
            for client in clients:
                await client.close()
            assert sorted(canceled) == ["b", "c", "d"]

    run(test)


def test_connections_wait_for_the_new_writer(tmp_path: Path) -> None:
    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer", "reader") as (service, (a, b)):
            old = await connect(service, "cluster")
            await a.end()
            with pytest.raises(psycopg.OperationalError):
                await old.execute("select 1")
            waiting = [asyncio.ensure_future(connect(service, "cluster")) for _ in range(3)]
            await until(lambda: len(list(service.router.waiting())) == 3, "three that wait")
            b.state.role, b.state.epoch = "writer", 2
            for each in await asyncio.gather(*waiting):
                await each.execute("select 1")
                await each.close()
            assert b.asked > 2

    run(test)


def test_an_instance_that_changes_its_role_gives_connections_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer", "reader") as (service, (a, b)):
            a.server._away = "becoming a reader"  # and nobody has heard of it yet
            late = asyncio.ensure_future(connect(service, "cluster"))
            await until(lambda: list(service.router.waiting()), "one that waits")
            asked = b.asked
            a.state.role, b.state.role, b.state.epoch = "reader", "writer", 2
            b.server.away = "becoming the writer"
            b.server.away = ""
            await until(lambda: b.asked > asked, "the question", 0.5)
            await (await late).close()
            assert not a.server.connections

    run(test)


@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
def test_what_waits_too_long_hears_57p03(tmp_path: Path, sslmode: str) -> None:
    async def test() -> None:
        async with endpoints([Feed("a", "writer")], None, wait_s=0.1) as service:
            with pytest.raises(psycopg.OperationalError, match="the database system is starting up"):
                await connect(service, "cluster", sslmode=sslmode)
            assert not service._fds

    run(test)


def test_refusals_are_57p03_in_the_form_that_was_asked_for() -> None:
    startup = struct.pack(">II", 23, 3 << 16) + b"user\0postgres\0\0"
    ssl = struct.pack(">II", 8, 80877103)
    some = Refusal("why")
    assert some.feed(ssl[:5]) == (b"", False)
    assert some.feed(ssl[5:]) == (b"N", False)
    assert some.feed(struct.pack(">II", 8, 80877104)) == (b"N", False)
    data, close = some.feed(startup)
    assert close and data[:1] == b"E" and len(data) == 1 + int.from_bytes(data[1:5], "big")
    assert b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0" in data
    assert Refusal("why").feed(ssl + startup) == (b"", True)
    assert Refusal("why").feed(cancel_request(Cancel(5, 7))) == (b"", True)
    assert Refusal("why").feed(b"GET / HTTP/1.1\r\n") == (b"", True)


def test_instances_are_asked_often_without_a_writer_and_no_more_often_than_that(tmp_path: Path) -> None:
    async def test() -> None:
        async with cluster(tmp_path, "handover", "reader", "reader") as (_, (a, b)):
            before = a.asked, b.asked
            await asyncio.sleep(0.5)
            for asked in (a.asked - before[0], b.asked - before[1]):
                assert 2 <= asked <= 12

    run(test)


@pytest.mark.parametrize(
    ("said", "asked", "expected"),
    [
        ("10.0.0.5:5432", "writer:6000", "10.0.0.5:5432"),
        ("0.0.0.0:5432", "writer:6000", "writer:5432"),
        ("[::]:5432", "[fd00::1]:6000", "[fd00::1]:5432"),
    ],
)
def test_an_instance_that_listens_everywhere_is_found_where_it_was_asked(said: str, asked: str, expected: str) -> None:
    assert watch.reachable(said, asked) == expected


def test_who_hangs_up_while_it_waits_costs_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with endpoints([Feed("a", "writer")], None) as service:
            clients = [socket.create_connection(place(service, "cluster")) for _ in range(50)]
            await until(lambda: len(service._fds) == 50, "fifty that wait")
            for each in clients[:49]:
                each.close()
            await until(lambda: len(service._fds) == 1, "the one that stayed")
            clients[49].close()

    run(test)


def test_strangers_and_port_scans_leave_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer", authentication_timeout_s=0.3) as (service, (a,)):
            silent = socket.create_connection(place(service, "cluster"))
            for number in range(200):
                scan = socket.create_connection(place(service, "cluster"))
                if number % 2:
                    linger = struct.pack("ii", 1, 0)
                    scan.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # a reset, not a FIN
                scan.close()
            for rubbish in (b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100):
                scan = socket.create_connection(place(service, "cluster"))
                scan.sendall(rubbish)
                scan.close()
            db = await connect(service, "cluster")
            silent.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(silent, 100) == b"", "closed by its instance"
            silent.close()
            await db.close()
            await until(lambda: not service._fds and not a.server.connections, "nothing left")

    run(test)


def test_thousands_of_idle_connections_cost_the_router_no_task(tmp_path: Path) -> None:
    count = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer") as (service, (a,)):
            tasks = len(asyncio.all_tasks())
            body = struct.pack(">II", 23, 3 << 16) + b"user\0postgres\0\0"
            clients = []
            for number in range(count):
                clients.append(socket.create_connection(place(service, "cluster")))
                clients[-1].sendall(body)
                if number % 200 == 0:
                    await asyncio.sleep(0)
            await until(lambda: sessions(a) == [count], "all of them", 15)
            assert len(asyncio.all_tasks()) - tasks < 10
            await until(lambda: len(service._fds) == count, "the router to know of all of them", 15)
            for each in clients:
                each.close()
            await until(lambda: not service._fds, "nothing left", 15)

    run(test)


@pytest.mark.logs("Too many open files; connections let go")
def test_descriptors_that_run_out_stop_nobody(tmp_path: Path) -> None:
    """Those kept of connections that an instance serves are let go; the connections live on."""

    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer") as (service, _):
            clients = [await connect(service, "cluster") for _ in range(8)]
            await until(lambda: len(service.links.taken()) == 8, "all taken")
            real = service._listeners["cluster"][1]

            class Listener:
                refusals = 1

                def accept(self) -> Any:
                    if self.refusals:
                        self.refusals -= 1
                        raise OSError(24, os.strerror(24))
                    return real.accept()

                def __getattr__(self, name: str) -> Any:
                    return getattr(real, name)

            listener = Listener()
            service._listeners["cluster"] = (service._listeners["cluster"][0], listener)  # type: ignore[assignment]
            late = await connect(service, "cluster")
            assert not listener.refusals and len(service._fds) == 1
            listener.refusals = 1
            service.links.drop(next(iter(service._fds)))
            later = await connect(service, "cluster")  # nothing was kept: it listens again after a while
            for each in (*clients, late, later):
                await each.execute("select 1")
                await each.close()

    run(test)


@pytest.mark.logs("no file descriptor is left")
def test_an_instance_without_descriptors_gives_the_connection_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer") as (service, (a,)):
            loop = asyncio.get_running_loop()
            await until(lambda: a.receiver._links, "the link")
            (link,) = a.receiver._links
            real, refused = link.on_frame, []

            def none_left(frame: Frame, fd: int | None) -> None:
                if frame.kind is Kind.GIVE and not refused:
                    os.close(fd or -1)
                    refused.append(loop.time())
                    fd = None
                real(frame, fd)

            link.on_frame = none_left
            db = await connect(service, "cluster")
            assert loop.time() - refused[0] >= 0.1
            await db.close()

    run(test)


def test_a_frozen_instance_neither_keeps_a_connection_nor_serves_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had taken is shut down under it when another writes, what it had not goes to that one, and when it goes
    on it finds that it may not serve what still lies in its queue."""
    monkeypatch.setattr(core, "TRUST_S", 0.3)
    monkeypatch.setattr(watch, "DESCRIBE_TIMEOUT_S", 0.1)

    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer", "reader") as (service, (a, b)):
            loop = asyncio.get_running_loop()
            old = await connect(service, "cluster")
            await until(lambda: a.receiver._links, "the link")
            (link,) = a.receiver._links
            loop.remove_reader(link._link.fileno())
            a.silent = True
            late = asyncio.ensure_future(connect(service, "cluster"))
            await until(lambda: service.links.untaken("a"), "a connection in the frozen one's queue")
            b.state.role, b.state.epoch = "writer", 2
            db = await late
            assert sessions(b) == [1]
            with pytest.raises(psycopg.OperationalError):
                await old.execute("select 1")
            if link.is_open:
                loop.add_reader(link._link.fileno(), link._read)
            await until(lambda: not link.is_open, "the end of the frozen one's link")
            assert sessions(a, b) == [0, 1]
            await db.execute("select 1")
            await db.close()

    run(test)


def test_a_client_that_never_reads_costs_bounded_memory(tmp_path: Path) -> None:
    async def test() -> None:
        sent = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            with contextlib.suppress(ConnectionError):
                while sent < 256 << 20:
                    writer.write(bytes(1 << 16))
                    await writer.drain()
                    sent += 1 << 16
            writer.close()

        behind = await asyncio.start_server(flood, "127.0.0.1", 0)
        feed = Feed("a", "writer")
        feed.state.sql_address = f"127.0.0.1:{behind.sockets[0].getsockname()[1]}"
        await feed.start()
        async with endpoints([feed], None) as service:
            client = socket.create_connection(place(service, "cluster"))
            await until(lambda: sent, "the flood")
            last = -1
            while last != sent:
                last = sent
                await asyncio.sleep(0.2)
            (pair,) = service._pairs.values()
            assert pair._sides[0].transport.get_write_buffer_size() < 1 << 20
            assert sent < 64 << 20, "the sockets' buffers and no more"
            client.close()
            await until(lambda: not service._pairs, "the end")
        behind.close()
        await feed.stop()

    run(test)


def test_half_a_close_is_passed_on(tmp_path: Path) -> None:
    async def test() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard = await reader.read()
            writer.write(heard[::-1])
            writer.close()

        behind = await asyncio.start_server(echo, "127.0.0.1", 0)
        feed = Feed("a", "writer")
        feed.state.sql_address = f"127.0.0.1:{behind.sockets[0].getsockname()[1]}"
        await feed.start()
        async with endpoints([feed], None) as service:
            reader, writer = await asyncio.open_connection(*place(service, "cluster"))
            writer.write(b"x" * 300_000 + b"end")
            writer.write_eof()
            answer = await reader.read()
            assert answer == b"dne" + b"x" * 300_000
            writer.close()
            await until(lambda: not service._pairs and not service.router.held, "the end")
        behind.close()
        await feed.stop()

    run(test)


def test_endpoints_come_and_go_while_it_runs(tmp_path: Path) -> None:
    from aurora.programs.endpoints.spec import Endpoint
    from aurora.programs.endpoints.spec import Kind as EndpointKind

    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer", "reader") as (service, (a, b)):
            kept = [endpoint for endpoint, _ in service._listeners.values()]
            before = dict(service.addresses)
            service.set_endpoints([*kept, Endpoint("some", EndpointKind.CUSTOM, "127.0.0.1:0", static=("b",))])
            db = await connect(service, "some")
            assert sessions(a, b) == [0, 1]
            assert {name: service.addresses[name] for name in before} == before
            some = place(service, "some")
            service.set_endpoints(kept)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(some)
            await db.execute("select 1")  # new connections only
            await db.close()
            taken = "{}:{}".format(*a.server.addresses[0])
            with pytest.raises(OSError, match="endpoint some cannot listen on"):
                service.set_endpoints([*kept, Endpoint("some", EndpointKind.CUSTOM, taken)])
            await (await connect(service, "cluster")).close()

    run(test)


@pytest.mark.logs("a link by another user's process was refused", "is served by another user's process")
def test_a_link_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with cluster(tmp_path, "handover", "writer") as (_, (a,)):
            path = tmp_path / "a.sock"
            assert path.stat().st_mode & 0o777 == 0o600
            links = len(a.receiver._links)
            monkeypatch.setattr(frames, "is_same_user", lambda _link: False)
            stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stranger.connect(str(path))
            stranger.setblocking(False)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.get_running_loop().sock_recv(stranger, 100) == b""
            assert len(a.receiver._links) <= links
            stranger.close()
            with pytest.raises(PermissionError):
                frames.connect(path)

    run(test)


def test_paths_longer_than_an_address_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)
    with frames.listen(folder / "a.sock") as listener, frames.connect(folder / "a.sock") as link:
        accepted, _ = listener.accept()
        with accepted:
            assert frames.send(link, Frame(Kind.CANCEL, 5, 7))
            assert frames.receive(accepted) == (Frame(Kind.CANCEL, 5, 7), None)
    frames.listen(folder / "a.sock").close()
    (folder / "file").write_text("")
    with pytest.raises(FileExistsError):
        frames.listen(folder / "file")


@pytest.mark.parametrize("data", [b"", bytes(15), bytes(17), b"\x02\x09" + bytes(14), b"\x63\x01" + bytes(14)])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(frames.BadFrame):
        frames.unpack(data)


def test_frames_go_round() -> None:
    for kind in Kind:
        frame = Frame(kind, (1 << 63) + 5, (1 << 32) - 1)
        assert frames.unpack(frames.pack(frame)) == frame
