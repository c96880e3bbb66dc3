"""Encryption at rest: the encrypted disk behaves as the disk below it, and shows nothing without the key.

A model test holds ``EncryptedDisk(SimDisk)`` against plain bytes, with crashes; the hot log, the page store and a whole
node run over it, with torn tails and flipped bits.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_tools import Net, StepClock, Writer, append, make_node, read, store_pages

from aurora.encryption import BLOCK_BYTES, SEALED_EXTRA_BYTES, UNIT_BYTES, EncryptedDisk
from aurora.errors import InvariantViolation
from aurora.page import PAGE_BYTES
from aurora.seams import RESERVE_BYTES, FolderDisk
from aurora.sim.disk import SimDisk
from storage_node.hot_log import HotLog, LogDamaged, file_name
from storage_node.meta import MetaStore
from storage_node.node import StorageNode
from storage_node.page_store import PageDamaged, PageStore
from tests.log_rule import DAMAGE

pytestmark = pytest.mark.logs(DAMAGE, r"aurora\.encryption: .* is damaged")

KEY = bytes(range(32))


class SectorDisk(SimDisk):
    """A ``SimDisk`` whose sectors a crash leaves old or new, as real ones do; ``SimDisk`` itself tears within them."""

    def crash(self, rng: random.Random) -> SimDisk:
        """See ``SimDisk.crash``."""
        for file in self._files.values():
            for offset, written in file.writes:
                edges = [offset, *range((offset // 512 + 1) * 512, offset + len(written), 512), offset + len(written)]
                for start, stop in pairwise(edges):
                    if rng.random() < 0.6:
                        file.durable.extend(bytes(max(0, stop - len(file.durable))))
                        file.durable[start:stop] = written[start - offset : stop - offset]
            file.writes.clear()
        return super().crash(rng)


def encrypted(disk: SimDisk, key: bytes = KEY, reserve_bytes: int = 0) -> EncryptedDisk:
    """The disk behind a key, with nonces from a seed."""
    return EncryptedDisk(disk, key, random.Random(7).randbytes, reserve_bytes=reserve_bytes)


# -- the disk against a model

_chunk = st.binary(min_size=0, max_size=70) | st.builds(
    lambda seed, n: random.Random(seed).randbytes(n), st.integers(0, 99), st.integers(0, 3 * UNIT_BYTES)
)
_step = st.one_of(
    st.tuples(st.just("append"), st.lists(_chunk, max_size=3)),
    st.tuples(st.just("write"), st.tuples(st.integers(0, 3 * UNIT_BYTES), _chunk)),
    st.tuples(st.just("truncate"), st.floats(0, 1)),
    st.tuples(st.just("reopen"), st.none()),
    st.tuples(st.just("full"), _chunk),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(_step, max_size=12), reserve=st.sampled_from([0, 1000, 20_000]))
def test_it_is_the_disk_below_it_for_one_who_has_the_key(steps: list[tuple[str, object]], reserve: int) -> None:
    below = SimDisk()
    disk = encrypted(below, reserve_bytes=reserve)
    model: bytearray | None = None
    size_before = 0
    for action, argument in steps:
        if action == "append":
            parts: list[bytes] = argument  # type: ignore[assignment]
            at = disk.append("f", parts)
            model = model if model is not None else bytearray()
            assert at >= len(model) and (at == len(model) or at == size_before)
            model += bytes(at - len(model)) + b"".join(parts)
        elif action == "write":
            offset, data = argument  # type: ignore[misc]
            disk.write("f", offset, data)
            model = model if model is not None else bytearray()
            model.extend(bytes(max(0, offset + len(data) - len(model))))
            model[offset : offset + len(data)] = data
        elif action == "truncate" and model is not None:
            length = int(argument * len(model))  # type: ignore[operator]
            disk.truncate("f", length)
            del model[length:]
        elif action == "reopen":
            disk = encrypted(below, reserve_bytes=reserve)
        elif action == "full" and model is not None and argument:
            below.capacity_bytes = below.size("f")
            with pytest.raises(OSError, match="No space"):
                disk.append("f", [argument, bytes(reserve + BLOCK_BYTES)])  # type: ignore[list-item]
            below.capacity_bytes = None
        if model is None:
            with pytest.raises(FileNotFoundError):
                disk.read("f", 0, 1)
            continue
        size_before = disk.size("f")
        assert disk.size("f") >= len(model)
        whole = disk.read("f", 0, disk.size("f"))
        assert whole[: len(model)] == model
        assert not any(whole[len(model) :])
        cut = random.Random(len(model)).randrange(len(model) + 1)
        assert disk.read("f", cut, 50) == whole[cut : cut + 50]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_a_crash_loses_what_it_loses_without_encryption(seed: int) -> None:
    """What was synced is there after any crash; the rest is old bytes, new ones, or both by the sector."""
    rng = random.Random(seed)
    below = SectorDisk()
    disk = encrypted(below)
    appended, placed, whole = b"", bytearray(4 * UNIT_BYTES), b""
    disk.write("pages", 0, placed)
    disk.sync("pages")
    for _ in range(rng.randrange(1, 6)):
        appended += (more := rng.randbytes(rng.randrange(1, 3000)))
        disk.append("log", [more])
        place = rng.randrange(4) * UNIT_BYTES
        placed[place : place + UNIT_BYTES] = new = rng.randbytes(UNIT_BYTES)
        disk.write("pages", place, new)
        whole = rng.randbytes(rng.randrange(100))
        disk.write_atomic("meta", whole)
    disk.sync("log")
    disk.sync("pages")
    old = bytes(placed)
    disk.append("log", [rng.randbytes(rng.randrange(1, 3000))])
    place = rng.randrange(4) * UNIT_BYTES
    new = rng.randbytes(UNIT_BYTES)
    disk.write("pages", place, new)
    after = encrypted(below.crash(rng))
    assert after.read("log", 0, len(appended)) == appended
    assert after.read("meta", 0, 1000) == whole
    found = after.read("pages", 0, len(old))
    assert found[:place] == old[:place] and found[place + UNIT_BYTES :] == old[place + UNIT_BYTES :]
    for at in range(place, place + UNIT_BYTES, 512):
        assert found[at : at + 512] in (old[at : at + 512], new[at - place : at - place + 512])


def test_a_cut_that_a_crash_interrupts_keeps_what_stays() -> None:
    class DiesAtTheCut(SectorDisk):
        def truncate(self, name: str, length: int) -> None:
            raise OSError(errno.EIO, "the power went")

    below = DiesAtTheCut()
    disk = encrypted(below)
    data = random.Random(3).randbytes(1000)
    disk.append("log", [data])
    disk.sync("log")
    with pytest.raises(OSError, match="power"):
        disk.truncate("log", 777)
    for seed in range(20):
        assert encrypted(below.crash(random.Random(seed))).read("log", 0, 777) == data[:777]


def test_nothing_is_legible_and_nothing_repeats() -> None:
    below = SectorDisk()
    disk = encrypted(below)
    secret = b"the quick brown fox jumps over it" * 1000
    disk.append("log-1", [secret])
    disk.write("log-2", 0, secret)
    disk.write_atomic("meta", secret)
    disk.write_atomic("meta-copy", secret)
    held = [below.read(name, 0, below.size(name)) for name in below.list()]
    assert all(b"fox" not in data for data in held)
    blocks = [data[at : at + BLOCK_BYTES] for data in held[:2] for at in range(0, len(data), BLOCK_BYTES)]
    assert len(set(blocks)) == len(blocks), "equal plaintext must not show in equal ciphertext"
    before = below.read("meta", 0, below.size("meta"))
    disk.write_atomic("meta", secret)
    assert below.read("meta", 0, below.size("meta"))[20:] != before[20:]
    assert disk.read("meta", 0, len(secret)) == secret
    other = encrypted(below, bytes(32))
    assert other.read("log-1", 0, 100) != secret[:100]
    assert other.read("meta", 0, 100) != secret[:100]


def test_holes_stay_holes() -> None:
    below = SectorDisk()
    disk = encrypted(below)
    disk.write("pages-0", 5 * UNIT_BYTES, b"x" * UNIT_BYTES)
    assert not any(below.read("pages-0", 0, 5 * UNIT_BYTES))
    assert disk.read("pages-0", 0, 5 * UNIT_BYTES) == bytes(5 * UNIT_BYTES)
    disk.write("pages-0", 0, bytes(UNIT_BYTES))
    assert any(below.read("pages-0", 0, UNIT_BYTES)), "zeros that were written are hidden as anything else"
    assert disk.read("pages-0", 0, 2 * UNIT_BYTES) == bytes(2 * UNIT_BYTES)


def test_a_flipped_bit_spoils_one_block() -> None:
    rng = random.Random(5)
    data = rng.randbytes(2 * UNIT_BYTES)
    for _ in range(100):
        below = SectorDisk()
        disk = encrypted(below)
        disk.write("f", 0, data)
        at = rng.randrange(len(data))
        below.flip_bit("f", at, rng.randrange(8))
        found = disk.read("f", 0, len(data))
        start = at & -BLOCK_BYTES
        assert found[start : start + BLOCK_BYTES] != data[start : start + BLOCK_BYTES]
        assert found[:start] + found[start + BLOCK_BYTES :] == data[:start] + data[start + BLOCK_BYTES :]


def test_a_whole_file_with_any_flipped_bit_is_not_what_was_written(caplog: pytest.LogCaptureFixture) -> None:
    data = b"generation 7 of the meta file"
    for at in range(len(data) + SEALED_EXTRA_BYTES):
        below = SectorDisk()
        disk = encrypted(below)
        disk.write_atomic("meta", data)
        assert disk.read("meta", 0, 99) == data
        below.flip_bit("meta", at, at % 8)
        assert disk.read("meta", 0, 99) != data
        assert "authentication tag" in caplog.text
        assert encrypted(below).read("meta", 0, 99) != data
        caplog.clear()


def test_a_whole_file_under_another_name_is_not_taken() -> None:
    below = SectorDisk()
    disk = encrypted(below)
    disk.write_atomic("a", b"content")
    below.write_atomic("b", below.read("a", 0, below.size("a")))
    assert disk.read("b", 0, 99) != b"content"
    below.write_atomic("c", below.read("a", 0, 20))
    assert disk.read("c", 0, 99) == b""


def test_whole_files_are_not_changed_in_place() -> None:
    disk = encrypted(SectorDisk())
    disk.write_atomic("meta", b"content")
    changes: list[Callable[[], object]] = [
        lambda: disk.write("meta", 0, b"x"),
        lambda: disk.append("meta", [b"x"]),
        lambda: disk.truncate("meta", 1),
    ]
    for change in changes:
        with pytest.raises(InvariantViolation, match="replaced as a whole"):
            change()
    assert (disk.read("meta", 0, 99), disk.size("meta"), disk.list()) == (b"content", 7, ["meta"])
    disk.delete("meta")
    assert disk.append("meta", [b"now a log"]) == 0
    disk.write_atomic("meta", b"whole again")
    assert disk.read("meta", 0, 99) == b"whole again"


def test_on_a_folder_a_file_grows_by_its_reserve(tmp_path: Path) -> None:
    below = FolderDisk(tmp_path)
    disk = EncryptedDisk(below, KEY, random.Random(1).randbytes, reserve_bytes=RESERVE_BYTES)
    sizes = set()
    for n in range(40):
        assert disk.append("log", [b"%04d" % n * 10]) == n * 40
        sizes.add(below.size("log"))
    assert sizes == {RESERVE_BYTES + 48}
    disk.sync("log")
    below.close()
    again = EncryptedDisk(FolderDisk(tmp_path), KEY, random.Random(2).randbytes)
    whole = again.read("log", 0, again.size("log"))
    assert whole.rstrip(b"\0") == b"".join(b"%04d" % n * 10 for n in range(40))


# -- the layers above


def _filled_log(disk: EncryptedDisk, seed: int, batches: int = 8) -> tuple[HotLog, list[bytes]]:
    from aurora import batch

    writer = Writer(random.Random(seed))
    log = HotLog(disk, 1 << 20, 1)
    assert not list(log.load())
    frames = []
    for _ in range(batches):
        new = writer.frames(4)
        log.append([batch.decode(frame) for frame in new])
        frames += new
        log.sync()
    return log, frames


def test_the_hot_log_finds_its_torn_tail(caplog: pytest.LogCaptureFixture) -> None:
    from aurora import batch

    for seed in range(60):
        below = SectorDisk()
        log, frames = _filled_log(encrypted(below), seed)
        late = Writer(random.Random(seed), epoch=2).frames(40)
        log.append([batch.decode(frame) for frame in late])
        found = list(HotLog(encrypted(below.crash(random.Random(seed))), 1 << 20, 1).load())
        assert [entry.length for entry in found[: len(frames)]] == [len(frame) for frame in frames]
    assert "torn tail" in caplog.text


def test_space_held_ready_is_no_torn_tail(caplog: pytest.LogCaptureFixture) -> None:
    below = SectorDisk()
    _, frames = _filled_log(encrypted(below, reserve_bytes=100_000), 1)
    found = list(HotLog(encrypted(below), 1 << 20, 1).load())
    assert len(found) == len(frames)
    assert not caplog.records


def test_the_hot_log_finds_flipped_bits(caplog: pytest.LogCaptureFixture) -> None:
    below = SectorDisk()
    disk = encrypted(below)
    log, frames = _filled_log(disk, 2)
    log = HotLog(disk, 1 << 20, 1)
    entries = list(log.load())
    below.flip_bit(file_name(1), entries[3].offset + 90)
    with pytest.raises(LogDamaged):
        log.read(entries[3])
    found = list(HotLog(encrypted(below), 1 << 20, 1).load())
    assert [entry.offset for entry in found] == [entry.offset for entry in entries if entry is not entries[3]]
    assert "damaged bytes" in caplog.text
    assert any(name.startswith("damaged-log-") for name in disk.list())
    assert len(frames) == len(entries)


def _page(index: int) -> bytearray:
    return bytearray(index.to_bytes(8, "little") + bytes(4) + random.Random(index).randbytes(PAGE_BYTES - 12))


def test_the_page_store_finds_flipped_bits_and_survives_torn_pages() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        below = SectorDisk()
        store = PageStore(encrypted(below), 0)
        store_pages(store, [(index, _page(index)) for index in (1, 2, 40)])
        store.stage([(index, _page(index)) for index in (2, 3)])
        encrypted(below).sync(store.torn_name)
        store.place()
        store = PageStore(encrypted(below.crash(rng)), 0)
        assert [(index, page) for index, page in store.pages()] == [(i, _page(i)) for i in (1, 2, 3, 40)]
        assert store.read(5) is None
        below.flip_bit("pages-0", 2 * PAGE_BYTES + rng.randrange(PAGE_BYTES), rng.randrange(8))
        with pytest.raises(PageDamaged):
            store.read(2)
        assert store.read(3) == _page(3)


def test_the_meta_file_is_replaced_from_its_copy(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("meta", "meta-copy"):
        for at in (0, 5, 18, 40):
            below = SectorDisk()
            meta = MetaStore(encrypted(below), "n0")
            meta.value.volume_epoch = 9
            meta.write()
            below.flip_bit(name, at)
            assert MetaStore(encrypted(below), "n0").value.volume_epoch == 9
            assert "replaced from its copy" in caplog.text
            caplog.clear()


def test_a_node_lives_on_an_encrypted_disk_through_crashes() -> None:
    for seed in range(6):
        rng = random.Random(seed)
        below = SectorDisk()
        writer = Writer(rng)
        clock = StepClock()

        def node_on(disk: SimDisk, install: bool, clock: StepClock = clock) -> StorageNode[int]:
            return make_node(encrypted(disk), clock, install=install, coalesce_log_mb=0.01)  # type: ignore[arg-type]

        node = node_on(below, True)
        for _ in range(4):
            net = Net({"n0": node}, clock)
            for _ in range(10):
                lsn = writer.log.last_lsn
                assert not append(node, writer.frames(6), vdl=lsn, pgmrpl=lsn).error
                net.tick(3)
            below.crash(rng)
            node = node_on(below, False)
            lsn = writer.log.last_lsn
            assert node.segments[0].scl == writer.pg_lsn(0, lsn)
            for page_no in range(writer.pages):
                assert read(node, writer, page_no, lsn).image == writer.at(page_no, lsn)
        assert node.segments[0].collected_lsn > 0
        assert {name.partition("-")[0] for name in below.list()} == {"log", "meta", "pages", "torn"}
