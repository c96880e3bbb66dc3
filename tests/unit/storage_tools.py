"""Tools of the storage tests: a writer that makes real redo, a model that replays it, nodes on simulated disks."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from aurora import batch
from aurora.errors import InvariantViolation
from aurora.geometry import Member
from aurora.kernels import redo
from aurora.kernels.python.mtr import RedoLog, Run
from aurora.kernels.python.redo import PUT, write_varint
from aurora.page import PAGE_BYTES
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from aurora.seams import Buffer, Clock, Disk
from aurora.sim.disk import SimDisk
from storage_node import meta, page_store
from storage_node.config import NodeConfig, Peer
from storage_node.effects import Call, Effect
from storage_node.node import Refused, StorageNode

VOLUME = b"volume-of-a-test"
PAGES_PER_PG = 64


class StepClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """See ``Clock``."""
        return self.now

    def wall(self) -> float:
        """See ``Clock``."""
        return 1_700_000_000 + self.now


class Writer:
    """Appends random page edits; remembers every version of every page and the PG's LSNs."""

    def __init__(self, rng: random.Random, pages: int = 8, epoch: int = 1) -> None:
        self.rng = rng
        self.pages = pages
        self.epoch = epoch
        self.log = RedoLog(16, 0, PAGES_PER_PG, {})
        self.images: dict[int, bytearray] = {}
        self.versions: dict[int, list[tuple[int, bytes]]] = {}
        self.lsns: dict[int, list[int]] = {}

    def edit(self, page_no: int | None = None, flags: int = redo.FLAG_CPL) -> int:
        """One record on one page; returns its LSN. Now and then the page starts anew."""
        if page_no is None:
            page_no = self.rng.randrange(self.pages)
        page = self.images.get(page_no)
        prev = int.from_bytes(page[:8], "little") if page else 0
        if page is None or self.rng.random() < 0.03:
            page, prev = bytearray(PAGE_BYTES), 0
        ops = bytearray()
        for _ in range(self.rng.randrange(1, 4)):
            data = self.rng.randbytes(self.rng.randrange(1, 40))
            write_varint(ops, self.rng.randrange(12, PAGE_BYTES - 64) << 2 | PUT)
            write_varint(ops, len(data))
            ops += data
        lsn = self.log.append(page_no, prev, bytes(ops), flags)
        redo.apply(page, bytes(ops), 0, len(ops), lsn)
        self.images[page_no] = page
        self.versions.setdefault(page_no, []).append((lsn, bytes(page)))
        self.lsns.setdefault(page_no // PAGES_PER_PG, []).append(lsn)
        return lsn

    def free(self, page_no: int) -> int:
        """A FREE: nobody needs the page any more; returns its LSN."""
        lsn = self.log.append(page_no, 0, b"", redo.FLAG_CPL)
        self.images.pop(page_no, None)
        self.versions.setdefault(page_no, []).append((lsn, b""))
        self.lsns.setdefault(page_no // PAGES_PER_PG, []).append(lsn)
        return lsn

    def runs(self, edits: int) -> list[Run]:
        """Some edits, as the runs of one flush."""
        for _ in range(edits):
            self.edit()
        return self.log.take()

    def frames(self, edits: int) -> list[bytes]:
        """Some edits, as encoded batches."""
        return [batch.encode(VOLUME, self.epoch, run, compress_from=200) for run in self.runs(edits)]

    def at(self, page_no: int, lsn: int) -> bytes:
        """The page as of ``lsn``, empty when not written by then."""
        return next((image for at, image in reversed(self.versions.get(page_no, [])) if at <= lsn), b"")

    def pg_lsn(self, pg: int, lsn: int) -> int:
        """The PG's last LSN at or below ``lsn``."""
        return max((at for at in self.lsns.get(pg, []) if at <= lsn), default=0)


def descriptor(nodes: int = 6) -> pb.Descriptor:
    """A descriptor of the test's volume."""
    members = [Member(f"n{i}", f"az{i // 2}", f"n{i}") for i in range(nodes)]
    return initial(VOLUME, members, PAGES_PER_PG, groups=8).to_proto(pb.Descriptor())


def make_node(
    disk: SimDisk, clock: Clock | None = None, node_id: str = "n0", *, install: bool = True, **settings: float
) -> StorageNode[int]:
    """A node on the disk, with the test's descriptor."""
    config = replace(NodeConfig(node_id=node_id, data=Path("unused"), cache_mb=0.2, log_file_mb=0.01), **settings)  # type: ignore[arg-type]
    node: StorageNode[int] = StorageNode(config, disk, clock or StepClock(), random.Random(node_id))
    if install:
        node.install_descriptor(descriptor(), created=True)
    return node


def append(
    node: StorageNode[int], frames: list[bytes], *, epoch: int = 1, writer: str = "w1", vdl: int = 0, pgmrpl: int = 0
) -> pb.AppendReply:
    """Append and flush; the reply."""
    request = pb.AppendRequest(volume_id=VOLUME, volume_epoch=epoch, writer_id=writer, sequence=7, membership_epoch=1,
                               batches=b"".join(frames), vdl=vdl, pgmrpl=pgmrpl)  # fmt: skip
    reply = node.on_append(request, 0)
    return reply if reply is not None else node.flush()[-1][1]


def read(node: StorageNode[int], writer: Writer, page_no: int, lsn: int) -> pb.PageImage:
    """Read one page as of ``lsn``."""
    pg_lsn = writer.pg_lsn(page_no // PAGES_PER_PG, lsn)
    request = pb.ReadPagesRequest(volume_id=VOLUME, pages=[pb.PageAt(page_no=page_no, pg_lsn=pg_lsn, read_point=lsn)])
    return node.on_read(request).pages[0]


class RefusingDisk(SimDisk):
    """``refuses``: names that cannot be written, in whatever way."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: set[str] = set()

    def _check(self, name: str) -> None:
        if name in self.refuses:
            raise OSError(errno.ENOSPC, "No space left on device")

    def append(self, name: str, parts: Sequence[Buffer]) -> int:
        """See ``Disk``."""
        self._check("log" if name.startswith("log") else name)
        return super().append(name, parts)

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk``."""
        self._check(name)
        super().write_atomic(name, data)


class Net:
    """Delivers effects among nodes in one process, at once. ``down`` names nodes that do not answer."""

    def __init__(self, nodes: dict[str, StorageNode[int]], clock: StepClock) -> None:
        self.nodes = nodes
        self.clock = clock
        self.down: set[str] = set()
        self.calls: list[str] = []

    def tick(self, rounds: int = 1, step_s: float = 0.2) -> None:
        """Tick every node that is up, and carry out what they ask for."""
        for _ in range(rounds):
            self.clock.now += step_s
            for name, node in self.nodes.items():
                if name not in self.down:
                    self._carry(node, node.tick())

    def _carry(self, node: StorageNode[int], effects: list[Effect]) -> None:
        for effect in effects:
            if not isinstance(effect, Call):
                node.disk.sync(effect.name)
                self._carry(node, node.on_synced(effect.name))
                continue
            self.calls.append(effect.method)
            if effect.peer_id in self.down or effect.peer_id not in self.nodes:
                node.on_failed(effect, "down")
                continue
            peer = self.nodes[effect.peer_id]
            handler = {
                "Gossip": peer.on_gossip, "FetchLog": peer.on_fetch_log, "FetchRange": peer.on_fetch_range,
                "ReadDescriptor": peer.on_read_descriptor, "ReadPages": peer.on_read,
            }[effect.method]  # fmt: skip
            try:
                replies = handler(effect.request)
                for reply in replies if effect.streaming else [replies]:
                    self._carry(node, node.on_reply(effect, reply))
            except Refused as error:
                node.on_failed(effect, str(error))
            else:
                node.on_end(effect)


def peer_list(count: int) -> tuple[Peer, ...]:
    """Peers n0 … of a test."""
    return tuple(Peer(f"n{i}", f"az{i // 2}", f"n{i}") for i in range(count))


def store_pages(store: page_store.PageStore, pages: Sequence[tuple[int, bytearray | None]]) -> None:
    """Stage and place with both syncs, at once."""
    store.stage(pages)
    store._disk.sync(store.torn_name)
    store.place()
    store._disk.sync(store.name)


def copy_disk(disk: SimDisk) -> SimDisk:
    """A disk of its own with the same state, what is not synced included."""
    return deepcopy(disk)


def unsound_files(disk: Disk) -> list[str]:
    """Names of a node's files in which some byte that counts is not as its checksum says, read without the node."""
    return [name for name in disk.list() if not _is_sound(name, disk.read(name, 0, disk.size(name)))]


def _is_sound(name: str, data: bytes) -> bool:
    try:
        if name.startswith("meta"):
            meta.decode(data)
        elif name.startswith("log-"):
            at, end = 0, len(data.rstrip(b"\0"))
            while at < end:  # zeros behind the last batch are space held ready
                at += len(batch.decode(data, at).frame)
        elif name.startswith("pages-"):
            pg = int(name.removeprefix("pages-"))
            return all(
                page_store.unseal(data[at : at + PAGE_BYTES], pg, at // PAGE_BYTES) is not None
                for at in range(0, len(data), PAGE_BYTES)
            )
        elif name.startswith("torn-"):
            return not data or page_store.decode_torn(data) is not None
    except InvariantViolation:
        return False
    return True
