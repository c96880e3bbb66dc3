"""Tools of the backup tests: a fleet whose nodes stage into a memory store, and what a restored folder holds."""

from __future__ import annotations

import random
from pathlib import Path

from storage_tools import PAGES_PER_PG, VOLUME, Net, StepClock, Writer, append, make_node

from aurora import batch
from aurora.kernels import redo
from aurora.keys import KeySource, NodeDisk, open_disk
from aurora.object_store import MemoryStore, ObjectStore, ObjectStoreError
from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.backup_objects import perform
from storage_node.config import Peer
from storage_node.effects import Call, Effect, SyncFile
from storage_node.node import StorageNode
from storage_node.restore import restore

TARGET = tuple(Peer(f"az{zone}-{letter}", f"az{zone}", f"h{zone}{letter}:1") for zone in (1, 2, 3) for letter in "ab")


class BackupNet(Net):
    """A ``Net`` that carries store effects out as well, at once."""

    def __init__(self, nodes: dict[str, StorageNode[int]], clock: StepClock, store: MemoryStore) -> None:
        super().__init__(nodes, clock)
        self.store = store
        self.stores: dict[str, ObjectStore] = {}
        """Node → what it has in place of ``store``."""

    def _carry(self, node: StorageNode[int], effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Call | SyncFile):
                super()._carry(node, [effect])
                continue
            try:
                names = perform(self.stores.get(node.config.node_id, self.store), effect)
            except ObjectStoreError as error:
                node.on_store_failed(effect, str(error))
            else:
                node.on_stored(effect, names)


class BackupFleet:
    """Nodes n0 …, a writer, a store. ``write`` gives the frames to all nodes that are up."""

    def __init__(self, seed: int, nodes: int = 2, pages: int = 3 * PAGES_PER_PG, **settings: float) -> None:
        self.rng = random.Random(seed)
        self.writer = Writer(self.rng, pages=pages)
        self.clock = StepClock()
        self.store = MemoryStore()
        self.disks = {f"n{i}": SimDisk() for i in range(nodes)}
        self.settings: dict[str, float] = {
            "coalesce_log_mb": 0.002,
            "coalesce_age_s": 5,
            "stage_mb": 0.01,
            "takeover_s": 0.5,
            "hole_wait_s": 3,
            **settings,
        }
        self.net = BackupNet({}, self.clock, self.store)
        for name in self.disks:
            self.start(name)
        self.epoch, self.name = 1, "w1"

    def start(self, name: str) -> StorageNode[int]:
        """Start the node (again) from its disk."""
        node = make_node(self.disks[name], self.clock, name, backup="memory:", **self.settings)
        self.net.nodes[name] = node
        self.net.down.discard(name)
        return node

    def crash(self, name: str) -> None:
        """Power off."""
        self.disks[name] = self.disks[name].crash(self.rng)
        self.net.down.add(name)

    @property
    def up(self) -> list[StorageNode[int]]:
        """Nodes that run."""
        return [node for name, node in sorted(self.net.nodes.items()) if name not in self.net.down]

    def write(self, edits: int = 5, records_a_mtr: int = 1) -> int:
        """Some mini-transactions, sent to all nodes; returns the last LSN, which is a consistency point."""
        for _ in range(edits):
            for left in reversed(range(records_a_mtr)):
                self.writer.edit(flags=0 if left else redo.FLAG_CPL)
        return self.flush()

    def flush(self) -> int:
        """Send what is open."""
        runs = self.writer.log.take()
        frames = [batch.encode(VOLUME, self.epoch, run, compress_from=200) for run in runs]
        vdl = self.writer.log.last_lsn
        for node in self.up:
            append(node, frames, epoch=self.epoch, writer=self.name, vdl=vdl, pgmrpl=vdl)
        return vdl

    def point(self) -> None:
        """The writer's heartbeat: VDL and each PG's last LSN."""
        vdl = self.writer.log.last_lsn
        last = [pb.PgLsn(pg=pg, lsn=lsn) for pg, lsn in sorted(self.writer.log.pg_last.items())]
        for node in self.up:
            node.on_advance(pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=self.epoch, writer_id=self.name, vdl=vdl,
                                              pgmrpl=vdl, pg_last=last))  # fmt: skip

    def settle(self, rounds: int = 20, step_s: float = 0.3) -> None:
        """A restore point, and time enough to stage everything."""
        self.point()
        self.net.tick(rounds, step_s)

    def check(
        self,
        folder: Path,
        lsn: int,
        expected: int | None = None,
        store: ObjectStore | None = None,
        keys: KeySource | None = None,
    ) -> None:
        """Restore at ``lsn``: every page on every node is the model's as of ``expected`` (``lsn`` when not given).
        ``store``: what the fleet's is read through; ``keys``: where the new folders' master key is.
        """
        expected = lsn if expected is None else expected
        done = restore(store or self.store, str(lsn), folder, TARGET, keys=keys)
        assert done.lsn == expected
        assert done.volume_id != VOLUME
        for at, peer in enumerate(TARGET):
            disk = open_disk(folder / peer.node_id, keys)
            self._check_node(disk, peer, done.volume_id, expected, self.writer.pages if at in (0, 5) else 3)
            disk.close()

    def _check_node(self, disk: NodeDisk, peer: Peer, volume_id: bytes, lsn: int, pages: int) -> None:
        node = make_node(disk, node_id=peer.node_id, install=False)  # type: ignore[arg-type]
        assert node.volume_id == volume_id
        assert (node.vdl, node.epoch) == (lsn, 0)
        for page_no in range(pages):
            pg_lsn = self.writer.pg_lsn(page_no // PAGES_PER_PG, lsn)
            held = node.segments.get(page_no // PAGES_PER_PG)
            assert (held.scl if held else 0) == pg_lsn
            request = pb.ReadPagesRequest(
                volume_id=volume_id, pages=[pb.PageAt(page_no=page_no, pg_lsn=pg_lsn, read_point=lsn)]
            )
            image = node.on_read(request).pages[0]
            assert not image.behind
            assert image.image == self.writer.at(page_no, lsn), (page_no, lsn)
