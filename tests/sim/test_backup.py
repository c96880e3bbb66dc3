"""A storm with a backup, the object store failing now and then: what was durable comes back as the model has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aurora.object_store import MemoryStore
from aurora.rpc import storage_pb2 as pb
from aurora.seams import FolderDisk, SystemClock
from aurora.sim.model import Opening
from aurora.sim.scenario import Scenario
from aurora.sim.writers import VOLUME_ID
from storage_node.config import NodeConfig, Peer
from storage_node.node import StorageNode
from storage_node.restore import restore
from storage_node.restore_plan import Survey
from tests.log_rule import DAMAGE, DISK_REFUSES, STORE_FAILS

pytestmark = pytest.mark.logs(DAMAGE, STORE_FAILS, DISK_REFUSES)

SEEDS = range(8)
STAGE_S = 14.0
"""Calm enough for the last node in rank to take over."""
TARGET = tuple(Peer(f"t{number}", f"az{number // 2}", f"t{number}:1") for number in range(6))


def _storm(seed: int) -> tuple[MemoryStore, Opening, Scenario]:
    store = MemoryStore()
    scenario = Scenario(seed, store=store)
    world, storm_s = scenario.world, scenario.knobs.storm_s
    rng = world.stream("object store")

    def toggle() -> None:
        store.broken = "" if store.broken or world.now > storm_s else "the object store is away"
        if world.now < storm_s or store.broken:
            world.after(rng.uniform(0.1, 1.0), toggle)

    if seed % 2:
        toggle()
    scenario.run()
    world.run(world.now + STAGE_S)
    return store, scenario.cluster.ledger.openings[-1], scenario


def _check(folder: Path, volume_id: bytes, last: Opening, lsn: int, pages: int, pages_per_pg: int) -> None:
    """Every page on a restored node is the model's."""
    disk = FolderDisk(folder / TARGET[0].node_id)
    node: StorageNode[int] = StorageNode(NodeConfig(node_id=TARGET[0].node_id), disk, SystemClock(), _Unused())
    for page_no in range(pages):
        if page_no // pages_per_pg not in node.pgs:
            assert last.history.page(page_no, lsn) is None, "the volume had not grown so far"
            continue
        lsns = [at for at in last.history.lsns(page_no // pages_per_pg) if at <= lsn]
        asked = pb.PageAt(page_no=page_no, pg_lsn=max(lsns, default=0), read_point=lsn)
        (image,) = node.on_read(pb.ReadPagesRequest(volume_id=volume_id, pages=[asked])).pages
        assert not image.behind
        found = image.image or None
        assert found == last.history.page(page_no, lsn), f"page {page_no} at {lsn}"
    disk.close()


class _Unused:
    def random(self) -> float:
        """Nothing random happens on a node that is only read."""
        raise AssertionError

    def choice(self, seq: object) -> object:
        """The same."""
        raise AssertionError


@pytest.mark.parametrize("seed", SEEDS)
def test_the_backup_of_a_storm_restores_the_model(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    store, last, scenario = _storm(seed)
    knobs = scenario.knobs
    ((low, high),) = Survey(store, VOLUME_ID).ranges()
    assert (low, high) == (1, last.vdl)
    cpls = [change.lsn for change in last.history.changes if change.cpl and low <= change.lsn <= high]
    for number, lsn in enumerate({cpls[0], cpls[len(cpls) // 2], cpls[-1]}):
        done = restore(store, str(lsn), tmp_path / str(number), TARGET)
        assert done.lsn == lsn
        _check(tmp_path / str(number), done.volume_id, last, lsn, knobs.pages, knobs.pages_per_pg)
