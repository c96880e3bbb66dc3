"""Real processes: serve, append, SIGKILL, restart, read back, catch up over gRPC."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from storage_tools import PAGES_PER_PG, VOLUME, Writer, descriptor

from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub


class Processes:
    """Node processes of a test; all are killed at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *flags: str) -> str:
        """Start a node; returns its address once it is ready."""
        command = [sys.executable, "-m", "storage_node", "--id", name, "--data", str(self.folder / name), *flags]
        log = open(self.folder / f"{name}.log", "a")  # noqa: SIM115
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        self.running[name] = process
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdout.close()
        assert line.startswith("ready "), (self.folder / f"{name}.log").read_text()
        return line.split()[1]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal a node and wait for its end; returns its exit status."""
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    for name in list(found.running):
        found.kill(name)


async def _with_stub(address: str, use: Callable[[Any], Awaitable[Any]]) -> Any:
    channel = open_channel(address)
    try:
        return await use(storage_stub(channel))
    finally:
        await channel.close()


def _append(frames: list[bytes], sequence: int, lsn: int) -> pb.AppendRequest:
    return pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", membership_epoch=1, sequence=sequence,
                            batches=b"".join(frames), vdl=lsn, pgmrpl=lsn)  # fmt: skip


async def _check(stub: Any, writer: Writer) -> None:
    lsn = writer.log.last_lsn
    asked = [
        pb.PageAt(page_no=p, pg_lsn=writer.pg_lsn(p // PAGES_PER_PG, lsn), read_point=lsn) for p in range(writer.pages)
    ]
    reply = await stub.ReadPages(pb.ReadPagesRequest(volume_id=VOLUME, volume_epoch=1, pages=asked))
    assert [page.image for page in reply.pages] == [writer.at(p, lsn) for p in range(writer.pages)]


def test_append_kill_restart_read_and_catch_up(processes: Processes) -> None:
    writer = Writer(random.Random(1), pages=100)
    flags = ("--listen", "127.0.0.1:0", "--gossip-ms", "20", "--coalesce-log-mb", "0.05", "--log-file-mb", "0.02")
    address = processes.start("n0", *flags)

    async def fill(stub: Any) -> None:
        assert (await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor()))).ok
        call = stub.AppendLog()
        acked = 0
        for sequence in range(60):
            await call.write(_append(writer.frames(20), sequence, acked))
            if sequence % 3 == 2:  # several in flight
                for _ in range(3):
                    reply = await call.read()
                    assert not reply.error
                acked = writer.log.last_lsn
        assert reply.sequence == 59
        assert max(item.lsn for item in reply.scl) == writer.log.last_lsn
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        await _check(stub, writer)

    asyncio.run(_with_stub(address, fill))
    assert processes.kill("n0") == -signal.SIGKILL
    address = processes.start("n0", *flags)
    asyncio.run(_with_stub(address, lambda stub: _check(stub, writer)))

    follower = processes.start("n1", *flags, "--peers", f"n0=az1={address}")

    async def caught_up(stub: Any) -> None:
        want = {pg: lsns[-1] for pg, lsns in writer.lsns.items()}
        while {s.pg: s.scl for s in (await stub.Status(pb.StatusRequest())).pgs if s.scl} != want:
            await asyncio.sleep(0.02)
        await _check(stub, writer)

    asyncio.run(asyncio.wait_for(_with_stub(follower, caught_up), 20))
    assert processes.kill("n1", signal.SIGTERM) == 0
    assert processes.kill("n0", signal.SIGTERM) == 0
    for name in ("n0", "n1"):
        told = (processes.folder / f"{name}.log").read_text()
        assert "ERROR" not in told, told
        assert "Traceback" not in told, told


def test_stale_writers_and_foreign_requests_over_grpc(processes: Processes) -> None:
    address = processes.start("n0", "--listen", "127.0.0.1:0")
    writer = Writer(random.Random(2))

    async def use(stub: Any) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1"))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor()))
        call = stub.AppendLog()
        await call.write(_append(writer.frames(3), 1, 0))
        assert not (await call.read()).error
        assert (await stub.Fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=2, writer_id="w2"))).adopted
        await call.write(_append(writer.frames(3), 2, 0))
        reply = await call.read()
        assert (reply.sequence, reply.refused_epoch) == (2, 2)
        call.cancel()

    asyncio.run(_with_stub(address, use))


def test_a_second_start_on_a_folder_is_refused_and_changes_nothing(processes: Processes) -> None:
    address = processes.start("n0", "--listen", "127.0.0.1:0")
    writer = Writer(random.Random(3))

    async def fill(stub: Any) -> None:
        assert (await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor()))).ok
        call = stub.AppendLog()
        await call.write(_append(writer.frames(20), 1, 0))
        assert not (await call.read()).error
        call.cancel()

    asyncio.run(_with_stub(address, fill))
    folder = processes.folder / "n0"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    command = [sys.executable, "-m", "storage_node", "--id", "n0", "--data", str(folder), "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert f"{folder} is in use by process {processes.running['n0'].pid}\n" in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    asyncio.run(_with_stub(address, lambda stub: _check(stub, writer)))


def test_a_port_in_use_ends_the_process_with_a_message(processes: Processes) -> None:
    address = processes.start("n0", "--listen", "127.0.0.1:0")
    command = [
        sys.executable,
        "-m",
        "storage_node",
        "--id",
        "n1",
        "--data",
        str(processes.folder / "n1"),
        "--listen",
        address,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
