"""What the backup costs an append: one node process, one batch in flight, with and without a backup, in turn.

    python -m benchmarks.backup_ack [--rounds 5] [--seconds 2]

Prints the median and the 99th percentile of the time from sending a batch to its ack (sync included), over all rounds:
without a backup, with one in a local folder on the same disk, and with an object store that takes connections and never
answers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aurora import batch
from aurora.geometry import Member
from aurora.kernels import redo
from aurora.kernels.python.mtr import RedoLog
from aurora.kernels.python.redo import PUT, write_varint
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from aurora.rpc.stream import open_stream

VOLUME = b"volume of a test"
BATCH_BYTES = 4096
PAUSE_S = 0.002
"""Between two batches: what is measured is latency, on a machine that is not full."""


class Client:
    """A writer that has one batch in flight."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.log = RedoLog(16, 0, 1 << 20, {})
        self._page_lsn = 0
        self._acked = asyncio.Event()

    def _message(self, sequence: int) -> bytes:
        ops = bytearray()
        write_varint(ops, 100 << 2 | PUT)
        write_varint(ops, BATCH_BYTES)
        ops += os.urandom(BATCH_BYTES)
        vdl = self.log.last_lsn
        self._page_lsn = self.log.append(7, self._page_lsn, bytes(ops), redo.FLAG_CPL)
        frames = b"".join(batch.encode(VOLUME, 1, run) for run in self.log.take())
        request = pb.AppendRequest(
            membership_epoch=1,
            volume_id=VOLUME,
            volume_epoch=1,
            writer_id="w",
            sequence=sequence,
            batches=frames,
            vdl=vdl,
            pgmrpl=vdl,
        )
        message: bytes = request.SerializeToString()
        return message

    def _on_message(self, data: bytes) -> None:
        reply = pb.AppendReply.FromString(data)
        if reply.error:
            raise RuntimeError(reply.error)
        self._acked.set()

    async def run(self, seconds: float) -> list[float]:
        """Milliseconds of each ack."""
        channel = open_channel(self.address)
        stub = storage_stub(channel)
        descriptor = initial(VOLUME, [Member(f"n{i}", f"az{i // 2}", f"n{i}") for i in range(6)], 1 << 20).to_proto(
            pb.Descriptor()
        )
        await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor))
        status = await stub.Status(pb.StatusRequest())
        log_port = f"127.0.0.1:{status.log_port}"
        stream = await open_stream(log_port, "/aurora.storage.v1.Storage/AppendLog", self._on_message, print)
        found: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            message = self._message(len(found))
            self._acked.clear()
            start = time.perf_counter()
            stream.send(message)
            await self._acked.wait()
            found.append((time.perf_counter() - start) * 1000)
            await asyncio.sleep(PAUSE_S)
        stream.close()
        await channel.close()
        return found


def measure(backup: str, folder: Path, seconds: float) -> list[float]:
    """Acks of one fresh node process."""
    command = [sys.executable, "-m", "storage_node", "--id", "n0", "--data", str(folder), "--backup", backup]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            return asyncio.run(Client(line.split()[1]).run(seconds))
        finally:
            process.terminate()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    args = parser.parse_args()
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "none")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "none")
    with tempfile.TemporaryDirectory() as name, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        folder = Path(name)
        stores = {
            "no backup": "",
            "local folder": (folder / "backup").as_uri(),
            "deaf store": f"s3://bucket/x?endpoint=http://127.0.0.1:{deaf.getsockname()[1]}",
        }
        acks: dict[str, list[float]] = {name: [] for name in stores}
        for number in range(args.rounds):
            for name, url in stores.items():
                acks[name] += measure(url, folder / f"{name}-{number}", args.seconds)
    print(f"{'':14}{'acks':>8}{'median ms':>12}{'p99 ms':>10}")
    for name, found in acks.items():
        p99 = statistics.quantiles(found, n=100)[98]
        print(f"{name:14}{len(found):>8}{statistics.median(found):>12.3f}{p99:>10.3f}")


if __name__ == "__main__":
    main()
