"""Hot-log ack: from sending a batch to a storage node process to having its ack, sync included, one batch in flight.

``python -m benchmarks.hot_log_ack [--seconds 5]`` prints median, p90 and p99 over the log port, as the writer sees them
(loopback and the client's own turn of the loop included): with nothing else to do, while the node coalesces all the
time, and while it scrubs; and of the same write and sync on the same disk without a node, which is what no node can
beat. ``node CPU`` is the processor time of the node's process an ack, all of its work included. The target: a median
under 0.5 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import time
from collections.abc import Callable
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
RECORDS = 6
RECORD_BYTES = 80
"""A batch about as TPC-B makes it: half a kilobyte."""

try:
    import uvloop
except ImportError:
    LOOP_FACTORY = None
else:
    LOOP_FACTORY = uvloop.new_event_loop


Figures = tuple[list[float], float]
"""Times of the acks in seconds, and processor time of the node in milliseconds an ack."""


class Source:
    """Batches of small edits of random pages."""

    def __init__(self) -> None:
        self.log = RedoLog(16, 0, PAGES_PER_PG, {})
        self._rng = random.Random(1)
        self._last: dict[int, int] = {}
        self._sequence = 0

    def message(self) -> bytes:
        """One append."""
        vdl = self.log.last_lsn
        for _ in range(RECORDS):
            page_no = self._rng.randrange(PAGES)
            ops = bytearray()
            write_varint(ops, self._rng.randrange(24, 8000) << 2 | PUT)
            write_varint(ops, RECORD_BYTES)
            ops += self._rng.randbytes(RECORD_BYTES)
            self._last[page_no] = self.log.append(page_no, self._last.get(page_no, 0), bytes(ops), redo.FLAG_CPL)
        frames = b"".join(batch.encode(VOLUME, 1, run) for run in self.log.take())
        self._sequence += 1
        request = pb.AppendRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", sequence=self._sequence,
                                   membership_epoch=1, batches=frames, vdl=vdl, pgmrpl=vdl)  # fmt: skip
        return bytes(request.SerializeToString())


async def _acks(address: str, source: Source, seconds: float) -> list[float]:
    """Times of one append after the other, in seconds."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[float] = loop.create_future()

    def on_message(data: bytes) -> None:
        now = time.perf_counter()
        error = pb.AppendReply.FromString(data).error
        if error:
            waiting.set_exception(RuntimeError(error))
        else:
            waiting.set_result(now)

    def on_closed(reason: str) -> None:
        if not waiting.done():
            waiting.set_exception(RuntimeError(reason))

    stream = await open_stream(address, METHOD, on_message, on_closed)
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        message = source.message()
        waiting = loop.create_future()
        start = time.perf_counter()
        stream.send(message)
        found.append(await waiting - start)
    stream.close()
    return found


async def _scrub_always(stub: Any) -> None:
    while True:
        await stub.Scrub(pb.ScrubRequest(start=True))
        await asyncio.sleep(0.05)


async def _with_node(folder: Path, seconds: float, flags: tuple[str, ...], scrub: bool) -> Figures:
    node = NodeProcess(folder, *flags)
    channel = open_channel(node.address)
    stub: Any = storage_stub(channel)
    try:
        log_address = await node.found_volume(stub)
        source = Source()
        await _acks(log_address, source, min(1.0, seconds))
        scrubbing = asyncio.ensure_future(_scrub_always(stub)) if scrub else None
        before_s = node.cpu_s()
        found = await _acks(log_address, source, seconds)
        used_ms = 1000 * (node.cpu_s() - before_s) / len(found)
        if scrubbing is not None:
            scrubbing.cancel()
            await asyncio.gather(scrubbing, return_exceptions=True)
        return found, used_ms
    finally:
        await channel.close()
        node.stop()


def _bare(folder: Path, seconds: float) -> Figures:
    """The same bytes written and synced by this process, into space that is there already."""
    data = Source().message()
    fd = os.open(folder / "bare", os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(fd, bytes(16 << 20), 0)
    os.fsync(fd)
    found, at = [], 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        os.pwrite(fd, data, at)
        os.fdatasync(fd)
        found.append(time.perf_counter() - start)
        at = (at + len(data)) % (8 << 20)
    os.close(fd)
    return found, 0.0


def _run(seconds: float, flags: tuple[str, ...], scrub: bool = False) -> Callable[[Path], Figures]:
    def run(folder: Path) -> Figures:
        with asyncio.Runner(loop_factory=LOOP_FACTORY) as runner:
            return runner.run(_with_node(folder, seconds, flags, scrub))

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line")
    parser.add_argument("--dir", type=Path, default=None, help="folder on the disk to measure (default: temporary)")
    arguments = parser.parse_args()
    idle = ("--coalesce-log-mb", "100000", "--coalesce-age-s", "100000")
    runs: list[tuple[str, Callable[[Path], Figures]]] = [
        ("write and sync, no node", lambda folder: _bare(folder, arguments.seconds)),
        ("node, nothing else to do", _run(arguments.seconds, idle)),
        (
            "node, coalescing all the time",
            _run(arguments.seconds, ("--coalesce-log-mb", "0.01", "--coalesce-age-s", "1")),
        ),
        ("node, scrubbing all the time", _run(arguments.seconds, idle, scrub=True)),
    ]
    print(f"{'ms':<32}{'median':>9}{'p90':>9}{'p99':>9}{'node CPU':>10}{'acks':>9}")
    for name, run in runs:
        with TemporaryDirectory(dir=arguments.dir) as folder:
            times_s, cpu_ms = run(Path(folder))
        times_ms = sorted(1000 * t for t in times_s)
        p90, p99 = (times_ms[int(len(times_ms) * share)] for share in (0.9, 0.99))
        line = f"{name:<32}{statistics.median(times_ms):>9.3f}{p90:>9.3f}{p99:>9.3f}{cpu_ms:>10.3f}{len(times_ms):>9}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
