"""One storage node process for a benchmark, with a volume on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from aurora.geometry import Member
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb

VOLUME: Final = b"benchmark-volume"
PAGES_PER_PG: Final = 1 << 20
METHOD: Final = "/aurora.storage.v1.Storage/AppendLog"


class NodeProcess:
    """``python -m storage_node`` on a free port, its files in ``folder``. ``address`` is the contract's."""

    def __init__(self, folder: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "storage_node", "--id", "n0", "--data", str(folder / "n0"), *flags]
        command += ["--listen", "127.0.0.1:0"]
        with open(folder / "n0.log", "w") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        if self._process.stdout is None:
            raise RuntimeError("no pipe to the node")
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            raise RuntimeError((folder / "n0.log").read_text())
        self.address = line.split()[1]

    async def found_volume(self, stub: Any) -> str:
        """Set the volume up and adopt the writer ``w1`` at epoch 1; returns the log port's address."""
        members = [Member(node_id, f"az{at // 2}", node_id) for at, node_id in enumerate(["n0", *"abcde"])]
        descriptor = initial(VOLUME, members, PAGES_PER_PG).to_proto(pb.Descriptor())
        await stub.WriteDescriptor(pb.WriteDescriptorRequest(descriptor=descriptor))
        fence = await stub.Fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1"))
        truncation = pb.Truncation(epoch=1, vdl=0, upper=0)
        await stub.Truncate(pb.TruncateRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", range=truncation))
        return f"{self.address.rpartition(':')[0]}:{fence.log_port}"

    def memory_mb(self, what: str) -> float:
        """``VmRSS`` or ``VmHWM`` of the process, in MiB."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"no {what}")

    def cpu_s(self) -> float:
        """Processor time that the process has used, in seconds."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(20)
        if self._process.stdout is not None:
            self._process.stdout.close()
