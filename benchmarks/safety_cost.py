"""What TLS and encryption at rest cost: the same work with and without, in turn, in one process.

Prints the median time and the mean CPU time (of this process) an operation: a 2 KiB append with its sync, a read of a
page, a read of 64 pages on the node's disk; an append's way to the node's log port and back, sync included.

    python -m benchmarks.safety_cost [--rounds 5] [--operations 300] [--dir DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from aurora import batch, keys
from aurora.geometry import Member
from aurora.kernels.python.mtr import RedoLog
from aurora.kernels.python.redo import PUT, write_varint
from aurora.page import PAGE_BYTES
from aurora.placement import initial
from aurora.programs import certs
from aurora.rpc import storage_pb2 as pb
from aurora.rpc.channels import open_channel, storage_stub
from aurora.rpc.stream import open_stream
from aurora.rpc.tls import Tls
from aurora.seams import Disk
from storage_node.config import NodeConfig
from storage_node.server import NodeServer

METHOD = "/aurora.storage.v1.Storage/AppendLog"
VOLUME = b"volume-of-a-test"
APPEND_BYTES = 2048
PAGES = 512
Figures = dict[str, list[tuple[float, float]]]
"""Operation → (seconds, CPU seconds) of each."""


def _measure(figures: Figures, name: str, operations: int, work: Callable[[], object]) -> None:
    for _ in range(operations):
        cpu, start = time.process_time(), time.perf_counter()
        work()
        figures.setdefault(name, []).append((time.perf_counter() - start, time.process_time() - cpu))


def measure_disk(disk: Disk, kind: str, figures: Figures, operations: int) -> None:
    """The node's disk alone."""
    rng = random.Random(1)
    data = rng.randbytes(APPEND_BYTES)
    disk.write("pages-0", 0, rng.randbytes(PAGES * PAGE_BYTES))

    def append() -> None:
        disk.append("log-00000001", [data])
        disk.sync("log-00000001")

    def read(pages: int) -> bytes:
        return disk.read("pages-0", rng.randrange(PAGES - pages) * PAGE_BYTES, pages * PAGE_BYTES)

    _measure(figures, f"append 2 KiB, sync     {kind}", operations, append)
    _measure(figures, f"read a page            {kind}", operations, lambda: read(1))
    _measure(figures, f"read 64 pages          {kind}", operations, lambda: read(64))


async def measure_wire(folder: Path, tls_folder: Path | None, kind: str, figures: Figures, operations: int) -> None:
    """The writer's stream on the node's log port, client and node on one loop."""
    config, tls = NodeConfig(node_id="n0", data=folder), None
    if tls_folder is not None:
        files = certs.tls_files(tls_folder, "storage")
        config, tls = replace(config, tls_ca=files.ca, tls_cert=files.certificate, tls_key=files.key), Tls(files)
    server = NodeServer(config)
    channel = open_channel(await server.start(), tls)
    serving = asyncio.ensure_future(server.wait())
    stub = storage_stub(channel)
    members = [Member(f"n{i}", f"az{i // 2}", f"n{i}") for i in range(6)]
    descriptor = initial(VOLUME, members, PAGES).to_proto(pb.Descriptor())
    await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor))
    fence = await stub.Fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w"))
    replies: asyncio.Queue[bytes] = asyncio.Queue()
    stream = await open_stream(
        f"127.0.0.1:{fence.log_port}", METHOD, replies.put_nowait, lambda reason: replies.put_nowait(b""), tls=tls
    )
    rng, log, previous = random.Random(2), RedoLog(16, 0, PAGES, {}), 0
    for sequence in range(operations):
        ops = bytearray()
        write_varint(ops, 100 << 2 | PUT)
        write_varint(ops, APPEND_BYTES)
        ops += rng.randbytes(APPEND_BYTES)
        previous = log.append(0, previous, bytes(ops), 1)
        frames = b"".join(batch.encode(VOLUME, 1, run) for run in log.take())
        message = pb.AppendRequest(
            membership_epoch=1, volume_id=VOLUME, volume_epoch=1, writer_id="w", sequence=sequence, batches=frames
        ).SerializeToString()
        cpu, start = time.process_time(), time.perf_counter()
        stream.send(message)
        reply = pb.AppendReply.FromString(await replies.get())
        if reply.error or reply.sequence != sequence:
            raise RuntimeError(f"append refused: {reply}")
        name = f"append over the wire   {kind}"
        figures.setdefault(name, []).append((time.perf_counter() - start, time.process_time() - cpu))
    stream.close()
    await channel.close()
    server.stop()
    await serving


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--operations", type=int, default=300, help="of each kind a round")
    parser.add_argument("--dir", default=None, help="where the files go (default: the system's temporary folder)")
    args = parser.parse_args()
    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=args.dir) as name:
        root = Path(name)
        certs.make(root / "certs")
        keys.make_master_key_file(root / "master.key")
        source = keys.KeySource(root / "master.key")
        for turn in range(args.rounds):
            for kind, key in (("in the clear", None), ("encrypted", source)):
                disk = keys.open_disk(root / f"{turn}-{kind}", key)
                measure_disk(disk, kind, figures, args.operations)
                disk.close()
            for kind, made in (("in the clear", None), ("TLS", root / "certs")):
                asyncio.run(measure_wire(root / f"{turn}-wire-{kind}", made, kind, figures, args.operations))
    for what, taken in figures.items():
        median = statistics.median(seconds for seconds, _ in taken) * 1e6
        cpu = statistics.mean(cpu for _, cpu in taken) * 1e6
        print(f"{what:<36} median {median:7.0f} µs   CPU {cpu:6.0f} µs")


if __name__ == "__main__":
    main()
