"""A real node process: it stages into a folder, and an object store that never answers holds up nothing."""

from __future__ import annotations

import asyncio
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from storage_tools import VOLUME, Writer, descriptor
from test_storage_process import Processes, _append, _with_stub

from aurora.object_store import open_store
from aurora.rpc import storage_pb2 as pb
from storage_node.restore_plan import Survey


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Killed at the test's end."""
    found = Processes(tmp_path)
    yield found
    for name in list(found.running):
        found.kill(name)


async def _fill(stub: Any, writer: Writer, batches: int) -> None:
    assert (await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor()))).ok
    call = stub.AppendLog()
    acked = 0
    for sequence in range(batches):
        await call.write(_append(writer.frames(20), sequence, acked))
        reply = await call.read()
        assert not reply.error
        acked = writer.log.last_lsn
    last = [pb.PgLsn(pg=pg, lsn=lsns[-1]) for pg, lsns in writer.lsns.items()]
    await stub.Advance(pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", vdl=acked, pgmrpl=acked,
                                         pg_last=last))  # fmt: skip
    await call.done_writing()


def test_a_node_stages_into_a_folder(processes: Processes, tmp_path: Path) -> None:
    writer = Writer(random.Random(1), pages=100)
    backup = (tmp_path / "backup").as_uri()
    address = processes.start(
        "n0", "--listen", "127.0.0.1:0", "--backup", backup, "--stage-age-s", "0.1", "--takeover-s", "0.1"
    )

    async def use(stub: Any) -> None:
        await _fill(stub, writer, 30)
        store = open_store(backup)
        while True:
            if store.list("") and Survey(store, VOLUME).ranges() == [(1, writer.log.last_lsn)]:
                return
            await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(_with_stub(address, use), 20))
    assert processes.kill("n0", signal.SIGTERM) == 0


def test_a_store_that_never_answers_holds_up_neither_appends_nor_the_end(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-a-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-a-test")
    writer = Writer(random.Random(2), pages=100)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        deaf.settimeout(20)
        url = f"s3://bucket/x?endpoint=http://127.0.0.1:{deaf.getsockname()[1]}"
        flags = ("--listen", "127.0.0.1:0", "--backup", url, "--stage-age-s", "0.05", "--coalesce-log-mb", "0.02")
        address = processes.start("n0", *flags)

        async def use(stub: Any) -> None:
            await _fill(stub, writer, 60)
            asked, _ = await asyncio.to_thread(deaf.accept)  # it gets no answer
            with asked:
                await _fill_more(stub, writer)

        asyncio.run(asyncio.wait_for(_with_stub(address, use), 30))
        assert processes.running["n0"].poll() is None
        processes.running["n0"].send_signal(signal.SIGTERM)
        assert processes.running.pop("n0").wait(timeout=15) == 0


async def _fill_more(stub: Any, writer: Writer) -> None:
    call = stub.AppendLog()
    for sequence in range(30):
        await call.write(_append(writer.frames(20), sequence, writer.log.last_lsn))
        assert not (await call.read()).error
    await call.done_writing()
