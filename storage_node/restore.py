"""Builds a new cluster's six node folders from a backup: ``python -m storage_node.restore``, for ``aurora restore``.

Progress goes to stderr, the result to stdout as one JSON object: what was restored, or ``{"error": …}``.

::

    Plan ─ per PG: snapshot chunks ─ pages file ◄─ log objects, in LSN order, records ≤ L applied
         └ six folders: the pages files, and a meta file that says: volume N (a new id), collected and durable up to L

With a master key the objects may be encrypted (``aurora/sealed_store.py``), and the folders are, each with a data key
of its own; nothing is written in the clear on the way.

Offline: neither the old fleet nor the new one runs. The new nodes hold pages alone, no log, so a writer recovers from
them as it does from nodes that have collected everything. The pages are built once and copied. A folder becomes visible
under its name only when all of it is durable. Memory: a few objects, and ``PAGES_CACHED`` pages.

Invariants: a PG's records follow each other by their back-links from the snapshot's base on; each page's records follow
each other from the version that the snapshot has; anything else is named and refused.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import sys
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aurora import truncation
from aurora.batch import Batch
from aurora.errors import InvariantViolation
from aurora.geometry import Member
from aurora.kernels import redo
from aurora.kernels.python.redo import is_free
from aurora.keys import KeyRefused, KeySource, NodeDisk, open_disk
from aurora.object_store import ObjectStore, ObjectStoreError, open_store
from aurora.page import PAGE_BYTES
from aurora.placement import initial
from aurora.rpc import storage_pb2 as pb
from aurora.sealed_store import SealedStore
from aurora.seams import Disk
from storage_node import backup_objects as objects
from storage_node.backup_objects import Kind
from storage_node.config import Peer, parse_peers
from storage_node.meta import MetaStore
from storage_node.page_store import page_lsn, seal
from storage_node.restore_plan import (
    Damaged,
    PgPlan,
    Plan,
    RestoreError,
    Survey,
    fetch,
    logs_of,
    time_text,
    volumes,
)

PAGES_CACHED = 4096
COPY_BYTES = 1 << 20

Progress = Callable[[str], None]
Change = tuple[bytes, int, int, int, int]
"""``(records, offset, end, lsn, the page's previous LSN)``."""


@dataclass(frozen=True)
class Restored:
    """What was built. ``wall_ms``: as of when; 0 when no moment of the timeline says."""

    volume_id: bytes
    lsn: int
    wall_ms: int
    pages_per_pg: int
    pages: int


class PageFile:
    """One PG's new pages file while it is built; written pages are sealed, a page never written or freed is a hole."""

    def __init__(self, disk: Disk, name: str, pg: int) -> None:
        self._disk = disk
        self._name = name
        self._pg = pg
        disk.write(name, 0, b"")
        self._cache: OrderedDict[int, bytearray] = OrderedDict()
        self._dirty: set[int] = set()

    def put(self, index: int, page: bytes | bytearray) -> None:
        """Write a page, past the cache."""
        self._disk.write(self._name, index * PAGE_BYTES, seal(bytearray(page), self._pg, index))

    def page(self, index: int) -> bytearray:
        """The page, to be changed in place; zeros when there is none."""
        page = self._cache.get(index)
        if page is None:
            held = self._disk.read(self._name, index * PAGE_BYTES, PAGE_BYTES)
            page = bytearray(held) if len(held) == PAGE_BYTES else bytearray(PAGE_BYTES)
            page[8:12] = bytes(4)  # the checksum field, set again when it is written
            self._cache[index] = page
            if len(self._cache) > PAGES_CACHED:
                self._write(self._cache.popitem(last=False))
        self._cache.move_to_end(index)
        self._dirty.add(index)
        return page

    def _write(self, item: tuple[int, bytearray]) -> None:
        if item[0] in self._dirty:
            self._dirty.discard(item[0])
            if page_lsn(item[1]):
                self.put(*item)
            else:
                self._disk.discard(self._name, item[0] * PAGE_BYTES, PAGE_BYTES)

    def close(self) -> None:
        """Write what is cached; durable afterwards."""
        for item in self._cache.items():
            self._write(item)
        self._cache.clear()
        self._disk.sync(self._name)


class PgBuilder:
    """Brings one PG to the plan's LSN in a pages file."""

    def __init__(self, survey: Survey, plan: PgPlan, lsn: int, file: PageFile, pages_per_pg: int) -> None:
        self.last_lsn = 0
        """The PG's last record at or below the LSN."""
        self.last_cpl = 0
        self._survey = survey
        self._plan = plan
        self._lsn = lsn
        self._file = file
        self._first_page = plan.pg * pages_per_pg
        self._upto_lsn = 0
        """The snapshot's."""
        self._to_be_freed: dict[int, int] = {}
        """Page that the snapshot does not have any more → its last record so far: the log has yet to free it."""

    def build(self) -> None:
        """Pages, then log. Damaged when an object is not what it should be."""
        survey, plan = self._survey, self._plan
        if plan.snapshot is not None:
            head, snapshot = plan.snapshot
            self.last_lsn, self.last_cpl, self._upto_lsn = head.base_lsn, head.base_cpl, head.upto_lsn
            names = [objects.chunk_name(survey.volume_id, plan.pg, snapshot.key, chunk) for chunk in range(head.chunks)]
            for _, found in fetch(survey.store, names, Kind.PAGES, survey.volume_id):
                if isinstance(found, Damaged):
                    raise found
                for index, page in objects.pages_of(found.body):
                    self._file.put(index, page)
        for log, batches in logs_of(survey.store, plan.logs, survey.volume_id):
            try:
                self._apply(batches)
            except InvariantViolation as error:
                raise Damaged(log.name, f"object {log.name} does not fit what comes before it: {error}") from error
        if plan.snapshot is not None and self._to_be_freed:
            name = plan.snapshot[1].name
            index, lsn = min(self._to_be_freed.items())
            raise Damaged(name, f"the snapshot {name} lacks page {index}, which the log has at {lsn} and does not free")

    def _apply(self, batches: Sequence[Batch]) -> None:
        changes: dict[int, list[Change]] = {}
        for batch in batches:
            if batch.pg != self._plan.pg or batch.volume_id != self._survey.volume_id:
                raise InvariantViolation(f"{batch!r} is of another PG or volume")
            if batch.first_lsn > self._lsn:
                break
            if batch.last_lsn <= self.last_lsn:
                continue
            prev = batch.prev_lsn
            for lsn, _, page_no, page_prev, flags, offset, end in redo.scan(batch.records, batch.prev_lsn):
                if lsn > self._lsn or truncation.is_void(self._survey.truncations, lsn):
                    break
                if lsn > self.last_lsn:
                    if prev != self.last_lsn:
                        raise InvariantViolation(f"record {lsn} follows {prev}, not {self.last_lsn}")
                    self.last_lsn = lsn
                    if flags & redo.FLAG_CPL:
                        self.last_cpl = lsn
                    if page_no >= 0:
                        changes.setdefault(page_no, []).append((batch.records, offset, end, lsn, page_prev))
                prev = lsn
        for page_no, chain in changes.items():
            self._change(page_no - self._first_page, chain)

    def _change(self, index: int, chain: list[Change]) -> None:
        page = self._file.page(index)
        for records, offset, end, lsn, page_prev in chain:
            held = page_lsn(page)
            if lsn <= held:
                continue  # the snapshot took a newer version of the page
            if not page_prev:
                page[:] = bytes(PAGE_BYTES)
                self._to_be_freed.pop(index, None)
            elif not held and lsn <= self._upto_lsn:
                self._to_be_freed[index] = lsn  # the snapshot read it after it had been freed
                continue
            elif page_prev != held:
                raise InvariantViolation(f"page {index}: record {lsn} follows {page_prev}, the page is at {held}")
            if is_free(page_prev, offset, end):
                continue  # a hole, until a record starts it anew
            redo.apply(page, records, offset, end, lsn)


def new_descriptor(old: pb.Descriptor, volume_id: bytes, nodes: Sequence[Peer]) -> pb.Descriptor:
    """The restored volume's descriptor: the old geometry, a new volume id, all PGs on the new nodes."""
    members = tuple(Member(node.node_id, node.az, node.address) for node in nodes)
    groups = max(1, len(old.groups))
    return initial(volume_id, members, old.pages_per_pg, groups).to_proto(pb.Descriptor())


def build(
    survey: Survey, plan: Plan, folder: Path, nodes: Sequence[Peer], progress: Progress, keys: KeySource | None
) -> Restored:
    """Build the nodes' folders as ``folder/ID``, which must not exist. Damaged; KeyRefused; OSError."""
    if survey.descriptor is None:
        raise RestoreError("the backup does not say what the volume looks like")
    descriptor = new_descriptor(survey.descriptor, uuid.uuid4().bytes, nodes)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with ExitStack() as opened:
            disks = {}
            for node in nodes:
                disk = disks[node.node_id] = open_disk(partial / node.node_id, keys)
                opened.callback(disk.close)
            pages = _build_folders(survey, plan, partial, disks, descriptor, progress)
        os.replace(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync_folder(folder.parent)
    return Restored(descriptor.volume_id, plan.lsn, plan.wall_ms, descriptor.pages_per_pg, pages)


def _build_folders(
    survey: Survey, plan: Plan, partial: Path, disks: dict[str, NodeDisk], descriptor: pb.Descriptor, progress: Progress
) -> int:
    """All nodes' folders below ``partial``; returns how many pages one has. ``disks``: node id → its folder."""
    first_id, *others = disks
    first, first_disk = partial / first_id, disks[first_id]
    meta = pb.NodeMeta(descriptor=descriptor, vdl=plan.lsn, pgmrpl=plan.lsn, settled_vdl=plan.lsn)
    pages = 0
    for number, pg in enumerate(plan.pgs, 1):
        name = f"pages-{pg.pg}"
        file = PageFile(first_disk, name, pg.pg)
        builder = PgBuilder(survey, pg, plan.lsn, file, descriptor.pages_per_pg)
        try:
            builder.build()
        finally:
            file.close()
        if builder.last_lsn:
            meta.segments.add(pg=pg.pg, collected_lsn=builder.last_lsn, collected_cpl=builder.last_cpl)
        else:
            first_disk.delete(name)  # its first record lies above the LSN
            continue
        pages += first_disk.allocated(name) // PAGE_BYTES
        progress(f"protection group {number} of {len(plan.pgs)} is at LSN {builder.last_lsn}")
    for node_id in others:
        for held in meta.segments:
            copy_pages(first, first_disk, disks[node_id], f"pages-{held.pg}")
    for node_id, disk in disks.items():
        _write_meta(disk, node_id, meta)
        _sync_folder(partial / node_id)
    _sync_folder(partial)
    return pages


def _write_meta(disk: Disk, node_id: str, meta: pb.NodeMeta) -> None:
    store = MetaStore(disk, node_id)
    store.value.CopyFrom(meta)
    store.value.node_id = node_id
    store.write()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_pages(folder: Path, source: Disk, target: Disk, name: str) -> None:
    """Copy a pages file, holes as holes; durable afterwards. ``folder``: that of ``source``, to find its holes."""
    target.write(name, 0, b"")
    with open(folder / name, "rb") as file:
        for offset, length in _extents(file.fileno()):
            end = offset + length + -(offset + length) % PAGE_BYTES
            for at in range(offset - offset % PAGE_BYTES, end, COPY_BYTES):
                data = source.read(name, at, min(COPY_BYTES, end - at))
                for run, part in _written(data):
                    target.write(name, at + run, part)
    target.sync(name)


def _written(data: bytes) -> Iterator[tuple[int, bytes]]:
    """``(offset, bytes)`` of each run of pages that are not zeros."""
    start = 0
    for at in range(0, len(data) + PAGE_BYTES, PAGE_BYTES):
        page = data[at : at + PAGE_BYTES]
        if page.count(0) == len(page):
            if start < at:
                yield start, data[start:at]
            start = at + PAGE_BYTES


def _extents(fd: int) -> Iterator[tuple[int, int]]:
    size = os.fstat(fd).st_size
    if not hasattr(os, "SEEK_DATA"):
        yield 0, size
        return
    at = 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # a hole up to the end
        end = os.lseek(fd, at, os.SEEK_HOLE)
        yield at, end - at
        at = end


def parse_at(text: str) -> tuple[str, int]:
    """``("lsn", n)`` for ``123456`` or PostgreSQL's ``0/1E240``, ``("time", wall ms)`` for an ISO 8601 time."""
    if text.isdecimal():
        return "lsn", int(text)
    high, slash, low = text.partition("/")
    if slash and len(low) <= 8:
        try:
            return "lsn", int(high, 16) << 32 | int(low, 16)
        except ValueError as error:
            raise RestoreError(f"{text!r} is no LSN") from error
    try:
        return "time", round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError as error:
        raise RestoreError(f"{text!r} is neither an LSN nor a time such as 2026-11-22 14:05:00+01:00") from error


def survey_of(store: ObjectStore, volume: str | None) -> Survey:
    """The backup of the volume, or the only one there is."""
    found = volumes(store)
    if volume is not None:
        found = [volume_id for volume_id in found if volume_id.hex() == volume.replace("-", "").lower()]
    if not found:
        raise RestoreError(f"there is no backup{f' of volume {volume}' if volume else ''} in this object store")
    if len(found) > 1:
        ids = ", ".join(volume_id.hex() for volume_id in found)
        raise RestoreError(f"there are backups of several volumes: choose one with --volume: {ids}")
    return Survey(store, found[0])


def resolve(survey: Survey, at: str | None) -> int:
    """The LSN that the user means; the highest that can be restored when he says nothing."""
    ranges = survey.ranges()
    if not ranges:
        raise RestoreError(survey.summary())
    if at is None:
        return ranges[-1][1]
    what, value = parse_at(at)
    return value if what == "lsn" else survey.at_time(value)


def restore(
    store: ObjectStore,
    at: str | None,
    folder: Path,
    nodes: Sequence[Peer],
    volume: str | None = None,
    progress: Progress = lambda _: None,
    keys: KeySource | None = None,
) -> Restored:
    """Build ``folder/ID`` for every node, encrypted when ``keys`` says where the master key is. RestoreError when that
    point cannot be restored; ObjectStoreError; KeyRefused.
    """
    if folder.exists():
        raise RestoreError(f"{folder} is there already")
    survey = survey_of(store, volume)
    lsn = resolve(survey, at)
    for remark in survey.remarks():
        progress(remark)
    while True:
        try:
            return build(survey, survey.plan(lsn), folder, nodes, progress, keys)
        except Damaged as error:
            # Another snapshot, or log that overlaps, may do instead; when nothing does, the next plan says so.
            survey.drop(error.name, str(error))
            progress(str(error))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when it was done, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m storage_node.restore", description="Build a cluster's storage node folders from a backup."
    )
    parser.add_argument("--from", dest="source", required=True, help="object store: file:///folder or s3://bucket")
    parser.add_argument("--volume", default=None, help="id of the volume, when the store holds several")
    parser.add_argument("--at", default=None, help="LSN or time; the latest point when not given")
    parser.add_argument("--folder", type=Path, help="where the nodes' folders are made; must not exist")
    parser.add_argument("--nodes", default="", help="id=az=host:port,… in segment order")
    parser.add_argument("--list", action="store_true", help="only say what can be restored")
    parser.add_argument("--master-key-file", type=Path, help="of an encrypted backup: file with the master key")
    parser.add_argument("--key-provider", help="the same: module:factory that gives the holder of the master key")
    args = parser.parse_args(arguments)
    try:
        nodes = parse_peers(args.nodes)
        keys = KeySource.of(args.master_key_file, args.key_provider)
    except (argparse.ArgumentTypeError, ValueError) as error:
        parser.error(str(error))
    try:
        store = SealedStore(open_store(args.source), keys.open() if keys is not None else None)
        if args.list:
            survey = survey_of(store, args.volume)
            ranges = [[low, high] for low, high in survey.ranges()]
            _tell({"volume_id": survey.volume_id.hex(), "ranges": ranges, "text": survey.summary()})
            return 0
        if args.folder is None or not nodes:
            parser.error("--folder and --nodes are needed, or --list")
        done = restore(store, args.at, args.folder, nodes, args.volume, _progress, keys)
    except (RestoreError, ObjectStoreError, KeyRefused, InvariantViolation, OSError) as error:
        _tell({"error": str(error)})
        return 1
    _tell(
        {
            "volume_id": done.volume_id.hex(),
            "lsn": done.lsn,
            "time": time_text(done.wall_ms),
            "pages_per_pg": done.pages_per_pg,
            "pages": done.pages,
        }
    )
    return 0


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


def _tell(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    sys.exit(main())
