"""What a volume runs beside its sessions: a defect there ends the writer, and closing comes to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import greenlet
import pytest
from storage_tools import VOLUME

from aurora import exit_status
from aurora.errors import AdminShutdown, CrashShutdown
from aurora.geometry import Member
from aurora.kernels import mtr, redo
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from compute_node import server as server_module
from compute_node.config import Config
from compute_node.hub import HUB
from compute_node.server import ComputeServer, Ended
from compute_node.volume import driver
from compute_node.volume.recovery import Recovered
from compute_node.volume.streams import NodeStream
from compute_node.volume.volume import HOUSEKEEPING_S, Volume

pytestmark = pytest.mark.logs(
    r"the writer is broken", r"autovacuum met a defect", r"a stream could not be closed", r"is fenced by epoch"
)

SIX = [Member(f"az{zone}-{name}", f"az{zone}", "127.0.0.1:1") for zone in (1, 2, 3) for name in "ab"]


class Injected(Exception):
    """The fault."""


def fail(*_: Any) -> Any:
    raise Injected


@pytest.fixture(autouse=True)
def _no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NodeStream, "start", lambda self: None)


def opened() -> Volume:
    """A volume that is open for writing, at VDL 0; no node is ever connected."""
    HUB.bind(asyncio.get_running_loop())
    descriptor = initial(VOLUME, SIX, 4, groups=1)
    volume = Volume(descriptor, "w")
    volume.log = mtr.RedoLog(16, 0, 4, {})
    volume.recovered = Recovered(3, 0, 16, {}, frozenset(), False, {}, descriptor)
    volume._start_writing(volume.recovered)
    return volume


def commit(volume: Volume) -> int:
    return int(volume.log.append(0, 0, b"\0\1x", redo.FLAG_CPL))


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(body(), 30))  # type: ignore[arg-type]


def test_housekeeping_that_breaks_ends_the_writer(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        volume = opened()
        over = asyncio.Event()
        told: list[Any] = []
        volume.on_over = over.set
        volume.when_durable(commit(volume), told.append)
        space = asyncio.ensure_future(HUB.call(fill_and_reserve, volume))
        volume.monitor.tick = fail  # type: ignore[method-assign]
        volume.background(volume._housekeeping())
        await asyncio.wait_for(over.wait(), HOUSEKEEPING_S * 50)
        assert volume.broken and volume.state == volume.status()["state"] == "broken"
        assert [type(error) for error in told] == [CrashShutdown]
        with pytest.raises(CrashShutdown):
            await space
        volume.when_durable(commit(volume), told.append)
        assert [type(error) for error in told] == [CrashShutdown] * 2
        with pytest.raises(CrashShutdown):
            await volume.read_pages([0])
        await volume.close()

    run(body)
    [record] = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert record.exc_info is not None and isinstance(record.exc_info[1], Injected)


def test_a_closed_volume_keeps_nobody_waiting() -> None:
    """Whoever still reads it, after its instance has another role, would try for half a minute."""

    async def body() -> None:
        volume = opened()
        told: list[Any] = []
        volume.doubt.since_s = 0.0
        volume.when_sure(told.append)
        await volume.close()
        assert [type(error) for error in told] == [AdminShutdown]
        volume.when_sure(told.append)
        volume.when_durable(commit(volume), told.append)
        assert [type(error) for error in told] == [AdminShutdown] * 3
        with pytest.raises(AdminShutdown):
            await asyncio.wait_for(volume.read_pages([0]), 5)
        assert volume.state == "closed"

    run(body)


def fill_and_reserve(volume: Volume) -> None:
    volume.log.next_lsn = volume.core.lsn_limit
    volume.reserve(1000)


def test_a_flush_that_breaks_ends_the_writer() -> None:
    async def body() -> None:
        volume = opened()
        told: asyncio.Queue[Any] = asyncio.Queue()
        volume._flusher.flush = fail  # type: ignore[method-assign]
        volume.when_durable(commit(volume), told.put_nowait)
        assert isinstance(await told.get(), CrashShutdown) and volume.broken
        await volume.close()

    run(body)


def test_an_advance_that_not_all_are_told_of_ends_the_writer() -> None:
    async def body() -> None:
        volume = opened()
        told: list[Any] = []
        lsn = commit(volume)
        volume.durable_callbacks.append(fail)
        volume.when_durable(lsn, told.append)
        await asyncio.sleep(0)  # it is flushed
        for node in range(4):
            volume.core.links[node].connected = True
            volume.on_reply(node, pb.AppendReply(sequence=1, scl=[pb.PgLsn(pg=0, lsn=lsn)]))
        assert volume.broken and [type(error) for error in told] == [CrashShutdown]
        await volume.close()

    run(body)


def test_an_errand_that_breaks_ends_the_writer() -> None:
    async def body() -> None:
        volume = opened()
        over = asyncio.Event()
        volume.on_over = over.set
        stream = volume.streams[2]
        stream._write_descriptor = fail  # type: ignore[method-assign]
        stream.tell(volume.descriptor)
        await over.wait()
        assert volume.broken
        await volume.close()

    run(body)


def test_closing_goes_on_whatever_fails() -> None:
    async def body() -> None:
        volume = opened()
        told: list[Any] = []
        volume.when_durable(commit(volume), told.append)

        async def falls_at_the_end() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                fail()

        volume.background(falls_at_the_end())
        await asyncio.sleep(0)
        closed: list[int] = []
        for stream in volume.streams:
            stream.close = fails_or_notes(stream, closed)  # type: ignore[method-assign]
        await volume.close()
        assert closed == [1, 2, 3, 4, 5] and len(told) == 1 and told[0] is not None

    run(body)


def fails_or_notes(stream: NodeStream, closed: list[int]) -> Callable[[], Awaitable[None]]:
    close = stream.close

    async def closing() -> None:
        await close()
        if stream.index == 0:
            fail()
        closed.append(stream.index)

    return closing


@pytest.mark.parametrize("beyond", [0, 40])
def test_a_volume_opened_for_reading_starts_again_when_there_is_more_log(
    monkeypatch: pytest.MonkeyPatch, beyond: int
) -> None:
    async def body() -> None:
        volume = opened()
        volume.read_only, volume.vdl = True, 100
        events: asyncio.Queue[str] = asyncio.Queue()
        volume.on_over = lambda: events.put_nowait("over")
        volume.on_writable = lambda: events.put_nowait("writable")
        found = replace(volume.recovered, vdl=100 + beyond, next_lsn=1000)

        async def recover(*_: Any, reading_epoch: int) -> Recovered:
            assert reading_epoch == volume.epoch
            return found

        monkeypatch.setattr(driver, "recover", recover)
        volume.background(volume._upgrade())
        assert await events.get() == ("over" if beyond else "writable")
        assert volume.broken == bool(beyond) and volume.read_only == bool(beyond) and volume.vdl == 100
        await volume.close()

    run(body)


@pytest.mark.parametrize(
    ("broken", "ended"),
    [
        (True, Ended(exit_status.BROKEN, "the writer met a defect")),
        (False, Ended(exit_status.FENCED, "another writer has taken over the volume")),
    ],
)
def test_the_process_ends_with_a_status_of_its_own(broken: bool, ended: Ended) -> None:
    async def body() -> None:
        server = ComputeServer(Config("i", "writer", "127.0.0.1", 0, ("127.0.0.1:1",)))
        volume = server._volume = opened()
        volume.on_over = server._over
        if broken:
            volume.on_defect(Injected())
        else:
            for node in range(6):
                volume.core.links[node].refused_epoch = 9
            volume.check_fenced()
        assert await server.wait() == ended

    run(body)


def test_autovacuum_goes_on_after_a_defect(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        HUB.bind(asyncio.get_running_loop())
        monkeypatch.setattr(server_module, "VACUUM_NAP_S", 0.0)
        monkeypatch.setattr(server_module, "AutoVacuum", lambda storage, **_: SimpleNamespace(step=fail))
        server = ComputeServer(Config("i", "writer", "127.0.0.1", 0, ("127.0.0.1:1",)))
        databases = SimpleNamespace(
            table_of=None, current=None, vacuumed=None, shown=None, in_use=list,
            initial=SimpleNamespace(session_function=lambda *_: 0.0),
        )  # fmt: skip
        engine = SimpleNamespace(storage=None, catalog=None, databases=databases)
        task = asyncio.ensure_future(server._autovacuum(engine))  # type: ignore[arg-type]
        while len([record for record in caplog.records if "autovacuum" in record.message]) < 3:
            await asyncio.sleep(0)
            assert not task.done()
        task.cancel()

    run(body)


class Cancelled(Exception):
    """What a session is cancelled with."""


def session(wait: Callable[[], None], ended: list[str], name: str) -> greenlet.greenlet:
    """Run ``wait`` in a greenlet; it notes in ``ended`` how it ended."""
    started: list[greenlet.greenlet] = []

    def body() -> None:
        started.append(greenlet.getcurrent())
        try:
            wait()
        except Cancelled:
            ended.append(f"{name} cancelled")
        else:
            ended.append(name)

    HUB.run(body)
    return started[0]


def test_cancelled_reservations_take_no_room() -> None:
    async def body() -> None:
        volume = opened()
        volume.log.next_lsn = volume.core.lsn_limit
        ended: list[str] = []
        sessions = [session(lambda: volume.reserve(64 << 10), ended, f"session {n}") for n in range(300)]
        for each in sessions[:299]:
            assert HUB.interrupt(each, Cancelled())
        # The quorum is back before they have had their turn.
        volume.core.tracker.vdl = volume.log.next_lsn
        volume.on_vdl()
        while len(ended) < 300:
            await asyncio.sleep(0)
        assert "session 299" in ended and not volume._space
        await volume.close()

    run(body)


def test_a_cancelled_reservation_lets_those_behind_it_go() -> None:
    async def body() -> None:
        volume = opened()
        volume.log.next_lsn = volume.core.lsn_limit
        ended: list[str] = []
        large = session(lambda: volume.reserve(1 << 20), ended, "large")
        session(lambda: volume.reserve(1000), ended, "small")
        volume.log.next_lsn -= 2000
        volume._wake_space()
        await asyncio.sleep(0)
        assert not ended, "in turn"
        assert HUB.interrupt(large, Cancelled())
        while len(ended) < 2:
            await asyncio.sleep(0)
        assert sorted(ended) == ["large cancelled", "small"] and not volume._space
        await volume.close()

    run(body)


def test_who_waits_for_growth_and_is_cancelled_is_forgotten() -> None:
    async def body() -> None:
        volume = opened()
        ended: list[str] = []
        waiting = session(lambda: volume.ensure_pages(5), ended, "growth")
        assert len(volume._growing) == 1
        assert HUB.interrupt(waiting, Cancelled())
        while not ended:
            await asyncio.sleep(0)
        assert ended == ["growth cancelled"] and not volume._growing
        await volume.close()

    run(body)
