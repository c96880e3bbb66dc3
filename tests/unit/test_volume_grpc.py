"""The volume against six storage node processes: durability, reads, lost nodes, restart and takeover."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aurora.errors import AdminShutdown, ObjectNotInPrerequisiteState
from aurora.geometry import Member
from aurora.kernels import redo
from aurora.page import PAGE_BYTES
from compute_node.hub import HUB
from compute_node.volume.driver import TICK_S
from compute_node.volume.volume import Volume, VolumeNotFound

pytestmark = pytest.mark.logs(r"is fenced by epoch")

PAGES_PER_PG = 4
READY_S = 30.0


class Fleet:
    """Six storage node processes on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = [f"az{zone}-{name}" for zone in (1, 2, 3) for name in "ab"]
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
            ports = [sock.getsockname()[1] for sock in held]
        self.members = [Member(n, n[:3], f"127.0.0.1:{p}") for n, p in zip(names, ports, strict=True)]
        self.addresses = [member.address for member in self.members]
        self.running: list[subprocess.Popen[str] | None] = [None] * 6
        self.start(*range(6))

    def start(self, *nodes: int) -> None:
        peers = ",".join(f"{m.node_id}={m.az}={m.address}" for m in self.members)
        started = []
        for node in nodes:
            member = self.members[node]
            with open(self.folder / f"{member.node_id}.log", "a") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "storage_node", "--id", member.node_id, "--az", member.az, "--listen",
                    member.address,
                     "--data", str(self.folder / member.node_id), "--peers", peers],
                    stdout=subprocess.PIPE, stderr=log, text=True,
                )  # fmt: skip
            self.running[node] = process
            started.append(process)
        for process in started:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], READY_S)[0], "a storage node does not get ready"
            assert process.stdout.readline().startswith("ready ")

    def kill(self, *nodes: int) -> None:
        for node in nodes:
            process = self.running[node]
            if process is not None:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                assert process.stdout is not None
                process.stdout.close()
                self.running[node] = None


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.kill(*range(6))


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def bound() -> None:
        HUB.bind(asyncio.get_running_loop())
        await asyncio.wait_for(body(), 60)

    asyncio.run(bound())


class Pages:
    """Commits to pages through a volume, and what they should hold."""

    def __init__(self) -> None:
        self.content: dict[int, bytes] = {}
        self.lsn: dict[int, int] = {}

    def commit(self, volume: Volume, page_no: int, data: bytes) -> int:
        ops = bytearray()
        redo.write_varint(ops, 100 << 2 | redo.PUT)
        redo.write_varint(ops, len(data))
        lsn = int(volume.log.append(page_no, self.lsn.get(page_no, 0), bytes(ops + data), redo.FLAG_CPL))
        self.content[page_no], self.lsn[page_no] = data, lsn
        return lsn

    async def check(self, volume: Volume) -> None:
        numbers = sorted(self.content)
        for page_no, page in zip(numbers, await volume.read_pages(numbers), strict=True):
            assert page is not None and len(page) == PAGE_BYTES
            assert page[100 : 100 + len(self.content[page_no])] == self.content[page_no]
            assert int.from_bytes(page[:8], "little") == self.lsn[page_no]


async def durable(volume: Volume, lsn: int, timeout_s: float = 20.0) -> None:
    await asyncio.wait_for(HUB.call(volume.wait_durable, lsn), timeout_s)


async def until(condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(poll(), timeout_s)


def test_commits_survive_lost_nodes_and_wait_without_a_quorum(fleet: Fleet) -> None:
    async def body() -> None:
        with pytest.raises(VolumeNotFound):
            await Volume.open(fleet.addresses, "w")
        await Volume.create(fleet.members, PAGES_PER_PG)
        with pytest.raises(ObjectNotInPrerequisiteState):
            await Volume.create(fleet.members, PAGES_PER_PG)
        volume = await Volume.open(fleet.addresses, "w")
        pages, told = Pages(), []
        volume.durable_callbacks.append(told.append)
        assert (volume.epoch, volume.log.next_lsn) == (1, 16)
        assert await volume.read_pages([3]) == [None]
        for number in range(30):
            lsn = pages.commit(volume, number % 10, b"one %d" % number)
            await HUB.call(volume.reserve, 1000)
        await durable(volume, lsn)
        assert volume.vdl == lsn == told[-1] and told == sorted(set(told))
        await pages.check(volume)
        assert await HUB.call(volume.read_page, 3) is not None

        fleet.kill(0, 1)
        await durable(volume, pages.commit(volume, 1, b"four of six"))
        await pages.check(volume)
        fleet.kill(2)
        durable_before = volume.vdl
        lsn = pages.commit(volume, 2, b"three of six")
        waiting = asyncio.ensure_future(durable(volume, lsn))
        await until(lambda: sum(link.connected for link in volume.core.links) == 3)
        assert (await volume.read_pages([1]))[0] is not None
        assert volume.vdl == durable_before and not waiting.done()
        assert [node["state"] for node in volume.status()["nodes"]][:3] == ["down"] * 3
        fleet.start(1)
        await waiting
        await pages.check(volume)
        fleet.start(0, 2)
        await until(lambda: all(node["state"] == "up" and not node["lag_bytes"] for node in volume.status()["nodes"]))
        await volume.close()

    run(body)


def test_restart_finds_every_acknowledged_commit_and_fences_the_older_writer(fleet: Fleet) -> None:
    async def body() -> None:
        await Volume.create(fleet.members, PAGES_PER_PG)
        older = await Volume.open(fleet.addresses, "w")
        pages = Pages()
        for number in range(20):
            lsn = pages.commit(older, number % 9, b"first %d" % number)
        await durable(older, lsn)
        fleet.kill(4, 5)
        newer = await Volume.open(fleet.addresses, "w")
        assert newer.vdl == lsn and newer.epoch > older.epoch and newer.log.next_lsn > lsn
        await pages.check(newer)

        lost = asyncio.ensure_future(durable(older, Pages().commit(older, 20, b"never")))
        with pytest.raises(AdminShutdown):
            await lost
        assert older.fenced
        with pytest.raises(AdminShutdown):
            await HUB.call(older.reserve, 100)
        await older.close()

        await durable(newer, pages.commit(newer, 3, b"second"))
        fleet.start(4, 5)
        await until(lambda: all(node["state"] == "up" for node in newer.status()["nodes"]))
        await pages.check(newer)
        assert await newer.read_pages([20]) == [None]
        await newer.close()

        fleet.kill(*range(6))
        fleet.start(*range(6))
        again = await Volume.open(fleet.addresses, "w")
        assert again.vdl == newer.vdl
        await pages.check(again)
        await again.close()

    run(body)


def test_three_nodes_open_for_reading_and_a_fourth_for_writing(fleet: Fleet) -> None:
    async def body() -> None:
        await Volume.create(fleet.members, PAGES_PER_PG)
        volume = await Volume.open(fleet.addresses, "w")
        pages = Pages()
        lsn = pages.commit(volume, 1, b"kept")
        await durable(volume, lsn)
        await until(lambda: all(volume.scl(0, node) == lsn for node in range(6)))
        await volume.close()
        fleet.kill(0, 1, 2)
        volume = await Volume.open(fleet.addresses, "w", read_only_after_s=0.2)
        assert volume.read_only and volume.vdl == lsn
        loop = asyncio.get_running_loop()
        end = loop.time() + 20 * TICK_S  # meanwhile the nodes are asked to adopt it for writing again and again
        while loop.time() < end:
            await pages.check(volume)
        assert volume.reader.retries == 0
        reserved = asyncio.ensure_future(HUB.call(volume.reserve, 100))
        await asyncio.sleep(0)
        assert not reserved.done() and volume.status()["state"] == "read only"
        fleet.start(0)
        await reserved
        await durable(volume, pages.commit(volume, 2, b"after"))
        await pages.check(volume)
        await volume.close()

    run(body)


BROKEN_WRITER = """
import sys
from compute_node.__main__ import main
from compute_node.volume.monitor import Monitor
def tick(self, now_s):
    raise RuntimeError("injected")
Monitor.tick = tick
sys.exit(main())
"""


def test_a_defect_in_the_background_ends_the_writers_process(fleet: Fleet) -> None:
    command = [sys.executable, "-c", BROKEN_WRITER, "--id", "w", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, "--storage", ",".join(fleet.addresses)], capture_output=True, text=True, timeout=READY_S * 2
    )
    assert done.returncode == 4, done.stderr
    assert "RuntimeError: injected" in done.stderr and "the writer met a defect" in done.stderr
