"""Memory of one storage node process at its worst: a flood of small records while the PGMRPL is held, so that nothing
can be coalesced, with page reads and a peer that fetches the log meanwhile, until the node refuses.

``python -m benchmarks.node_memory [--memory-mb 256]`` prints the process's memory when empty, when it refuses, and its
peak, and how long after the PGMRPL moved it took log again.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aurora import batch
from aurora.kernels import redo
from aurora.kernels.python.mtr import RedoLog
from aurora.kernels.python.redo import PUT, write_varint
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from aurora.rpc.stream import open_stream
from benchmarks.node_process import METHOD, PAGES_PER_PG, VOLUME, NodeProcess

PAGES = 2_000
RECORDS_PER_BATCH = 30
BATCHES_PER_MESSAGE = 20


class Flood:
    """Small records on random pages."""

    def __init__(self) -> None:
        self.log = RedoLog(16, 0, PAGES_PER_PG, {})
        self._rng = random.Random(1)
        self._last: dict[int, int] = {}

    def message(self, sequence: int, vdl: int, pgmrpl: int) -> bytes:
        """One append."""
        frames = []
        for _ in range(BATCHES_PER_MESSAGE):
            for _ in range(RECORDS_PER_BATCH):
                page_no = self._rng.randrange(PAGES)
                ops = bytearray()
                write_varint(ops, 100 << 2 | PUT)
                write_varint(ops, 8)
                ops += self._rng.randbytes(8)
                self._last[page_no] = self.log.append(page_no, self._last.get(page_no, 0), bytes(ops), redo.FLAG_CPL)
            frames += [batch.encode(VOLUME, 1, run) for run in self.log.take()]
        request = pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", sequence=sequence,
                                   membership_epoch=1, batches=b"".join(frames), vdl=vdl, pgmrpl=pgmrpl)  # fmt: skip
        return bytes(request.SerializeToString())


async def measure(folder: Path, memory_mb: float) -> dict[str, float]:
    """Flood one process until it refuses, let it coalesce; figures in MiB and seconds."""
    node = NodeProcess(folder, "--memory-mb", str(memory_mb), "--log-file-mb", "8")
    channel = open_channel(node.address)
    stub: Any = storage_stub(channel)
    found: dict[str, float] = {}
    try:
        log_address = await node.found_volume(stub)
        replies: asyncio.Queue[Any] = asyncio.Queue()
        stream = await open_stream(log_address, METHOD, replies.put_nowait, replies.put_nowait)
        found["empty"] = node.memory_mb("VmRSS")
        flood, held, sequence = Flood(), 0, 0

        async def send(pgmrpl: int) -> str:
            nonlocal sequence
            sequence += 1
            stream.send(flood.message(sequence, flood.log.last_lsn, pgmrpl))
            reply = await replies.get()
            return "" if isinstance(reply, bytes) and not (told := pb.AppendReply.FromString(reply)).error else (
                told.error if isinstance(reply, bytes) else str(reply)
            )  # fmt: skip

        readers = [asyncio.ensure_future(_read(stub)), asyncio.ensure_future(_fetch(stub))]
        started = time.monotonic()
        while not (error := await send(held)):
            if time.monotonic() - started > 120:
                raise RuntimeError("the node takes log without end")
        found["refused"] = node.memory_mb("VmRSS")
        if "memory limit" not in error:
            raise RuntimeError(error)
        freed = time.monotonic()
        advance = pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", vdl=flood.log.last_lsn,
                                    pgmrpl=flood.log.last_lsn)  # fmt: skip
        await stub.Advance(advance)
        while (await stub.Status(pb.StatusRequest())).note:
            await asyncio.sleep(0.05)
        found["resumed_s"] = time.monotonic() - freed
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        found["peak"] = node.memory_mb("VmHWM")
        stream.close()
    finally:
        await channel.close()
        node.stop()
    return found


async def _read(stub: Any) -> None:
    rng = random.Random(2)
    while True:
        scl = max((state.scl for state in (await stub.Status(pb.StatusRequest())).pgs), default=0)
        pages = [pb.PageAt(page_no=rng.randrange(PAGES), pg_lsn=scl, read_point=scl) for _ in range(4)]
        await stub.ReadPages(pb.ReadPagesRequest(volume_id=VOLUME, pages=pages))
        await asyncio.sleep(0.1)


async def _fetch(stub: Any) -> None:
    while True:
        async for _ in stub.FetchLog(pb.FetchLogRequest(volume_id=VOLUME, pg=0)):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory-mb", type=float, default=256)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), arguments.memory_mb))
    print(f"memory_mb {arguments.memory_mb:g}")
    print(f"  empty      {found['empty']:6.0f} MiB")
    print(f"  refusing   {found['refused']:6.0f} MiB")
    print(f"  peak       {found['peak']:6.0f} MiB")
    print(f"  takes log again {found['resumed_s']:.1f} s after the PGMRPL moved")


if __name__ == "__main__":
    main()
