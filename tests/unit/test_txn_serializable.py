"""The rules of SERIALIZABLE without a database: histories over a toy store, of which what commits must be serial.

The oracle is the graph of dependencies among committed transactions: a history is serializable if it has no cycle.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from types import SimpleNamespace

import pytest

from aurora.errors import SerializationFailure
from compute_node.txn import serializable
from compute_node.txn.serializable import EVERYTHING, PLACES_MAX, Serializables, SerialTxn

TABLE, FILE, INDEX = 7, 70, 700
KEYS = 6


class Run:
    """One transaction of a history: what it read (key → the version's number) and wrote."""

    def __init__(self, number: int, serial: SerialTxn) -> None:
        self.number = number
        self.serial = serial
        self.seen: dict[int, int] = {}
        self.written: set[int] = set()
        self.commit_lsn = 0


class Store:
    """Rows by key, each with its versions (commit LSN, writer). A version's address is its row's key here."""

    def __init__(self) -> None:
        self.manager = SimpleNamespace(vdl=1)
        self.serials = Serializables(self.manager)  # type: ignore[arg-type]
        self.versions: dict[int, list[tuple[int, int]]] = {key: [(1, -1)] for key in range(KEYS)}
        self.joining = False
        """whether some take the snapshots of others, as SET TRANSACTION SNAPSHOT does"""
        self.committed: list[Run] = []
        self.refused = 0

    def version_at(self, key: int, lsn: int) -> int:
        return max(number for number, (at, _) in enumerate(self.versions[key]) if at <= lsn)

    def read(self, run: Run, random: Random, key: int) -> None:
        kind = random.randrange(3)
        keys = list(range(KEYS)) if kind == 0 else [key]
        if kind == 0:
            run.serial.reads_table(TABLE)
        elif kind == 1:
            run.serial.reads_rows(TABLE, FILE, [key])
        else:
            run.serial.reads_span(INDEX, (bytes([key]), bytes([key + 1])))
            run.serial.reads_rows(TABLE, FILE, [key])
        for each in keys:
            if each not in run.written:
                run.seen[each] = self.version_at(each, run.serial.lsn)

    def write(self, run: Run, key: int) -> None:
        if self.versions[key][-1][0] > run.serial.lsn:
            raise SerializationFailure("could not serialize access due to concurrent update")
        run.serial.replaces(TABLE, FILE, key)
        run.serial.enters(INDEX, bytes([key]))
        run.written.add(key)

    def commit(self, run: Run) -> None:
        self.serials.before_commit(run.serial)
        if run.written:
            run.commit_lsn = self.manager.vdl = self.manager.vdl + 1
            for key in run.written:
                self.versions[key].append((run.commit_lsn, run.number))
        self.serials.ended(run.serial, True, run.commit_lsn)
        self.committed.append(run)

    def is_serializable(self) -> bool:
        before: dict[int, set[int]] = {run.number: set() for run in self.committed}
        writers = {number for versions in self.versions.values() for _, number in versions}
        for versions in self.versions.values():
            order = [number for _, number in versions]
            for first, second in pairwise(order):
                before[second].add(first)
        for run in self.committed:
            for key, number in run.seen.items():
                before[run.number].add(self.versions[key][number][1])
                if number + 1 < len(self.versions[key]):
                    before[self.versions[key][number + 1][1]].add(run.number)
        assert writers <= {-1, *before}
        left = {number: {each for each in others if each not in (-1, number)} for number, others in before.items()}
        while left:
            free = [number for number, others in left.items() if not others]
            if not free:
                return False
            for number in free:
                del left[number]
            for others in left.values():
                others.difference_update(free)
        return True


def play(seed: int, checking: bool = True, joining: bool = False) -> Store:
    """A random history of transactions, up to four at a time."""
    random, store = Random(seed), Store()
    store.joining = joining
    running: list[Run] = []
    busy: dict[int, Run] = {}
    for number in range(30):
        while len(running) < 4 and random.random() < 0.6:
            running.append(Run(len(store.committed) * 1000 + number * 10 + len(running), _begin(store, random)))
        if not running:
            continue
        run = random.choice(running)
        try:
            step, key = random.random(), random.randrange(KEYS)
            if step < 0.45:
                store.read(run, random, key)
            elif step < 0.75 and not run.serial.read_only:
                if busy.get(key, run) is run:  # a row that another is changing would be waited for
                    store.write(run, key)
                    busy[key] = run
            else:
                if not checking:
                    run.serial.into.clear()
                    run.serial.doomed = False
                store.commit(run)
                running.remove(run)
        except SerializationFailure:
            store.refused += 1
            store.serials.ended(run.serial, False, 0)
            running.remove(run)
        if run not in running:
            busy = {key: each for key, each in busy.items() if each is not run}
    for run in running:
        store.serials.ended(run.serial, False, 0)
    return store


def _begin(store: Store, random: Random) -> SerialTxn:
    read_only = random.random() < 0.2
    sources = [each for each in store.serials.running if read_only or not each.read_only]
    if store.joining and sources and random.random() < 0.4:
        return store.serials.join(random.choice(sources), read_only)
    return store.serials.begin(store.manager.vdl, read_only)


def test_what_commits_is_serializable() -> None:
    refused = 0
    for seed in range(1500):
        store = play(seed)
        assert store.is_serializable(), seed
        refused += store.refused
    assert refused > 1000, "the histories have no conflicts in them"


def test_what_commits_with_the_snapshot_of_another_is_serializable() -> None:
    refused = 0
    for seed in range(1500):
        store = play(seed, joining=True)
        assert store.is_serializable(), seed
        refused += store.refused
    assert refused > 1000, "the histories have no conflicts in them"


def test_one_with_the_snapshot_of_another_is_older_than_those_after_it() -> None:
    """What has committed since the snapshot is not forgotten when the one that had it first ends, for one later began
    after all of that."""
    store, source, writer = _pair()
    writer.replaces(TABLE, FILE, 5)
    store.serials.before_commit(writer)
    store.manager.vdl = 2
    store.serials.ended(writer, True, 2)
    later = store.serials.begin(2, False)
    joined = store.serials.join(source, False)
    store.serials.ended(source, False, 0)
    joined.reads_rows(TABLE, FILE, [5])
    assert writer in joined.out and writer not in later.out


def test_a_reader_is_not_safe_from_one_that_takes_an_older_snapshot() -> None:
    store, source, other = _pair()
    reader = store.serials.begin(1, True)
    joined = store.serials.join(source, False)
    for each in (source, other):
        store.serials.ended(each, True, 0)
    assert not reader.safe
    store.serials.ended(joined, True, 0)
    assert reader.safe


def test_the_oracle_sees_what_the_rules_prevent() -> None:
    assert not all(play(seed, checking=False).is_serializable() for seed in range(300))


def test_nothing_is_left_of_those_that_matter_no_more() -> None:
    store = play(5)
    store.serials.begin(store.manager.vdl, False)
    assert not store.serials.committed
    for places in (store.serials.readers, store.serials.readers_of_rows, store.serials.writers):
        assert not places._at


def _pair() -> tuple[Store, SerialTxn, SerialTxn]:
    store = Store()
    return store, store.serials.begin(1, False), store.serials.begin(1, False)


def test_many_rows_become_pages_and_a_table() -> None:
    _, reader, writer = _pair()
    reader.reads_rows(TABLE, FILE, [0x10001, 0x10002, 0x10003])
    writer.replaces(TABLE, FILE, 0x10009)
    assert writer in reader.out, "another row of the page"
    other = Store()
    reader, writer = other.serials.begin(1, False), other.serials.begin(1, False)
    reader.reads_rows(TABLE, FILE, [block << 16 | 1 for block in range(PLACES_MAX + 1)])
    writer.inserts(TABLE)
    assert writer in reader.out, "the table"


def test_ranges_of_keys() -> None:
    _, reader, writer = _pair()
    reader.reads_span(INDEX, (b"b", b"d"))
    writer.enters(INDEX, b"d")
    assert writer not in reader.out
    writer.enters(INDEX, b"b")
    assert writer in reader.out
    for number in range(PLACES_MAX + 1):
        writer.reads_span(INDEX, (bytes([number]), bytes([number, 0])))
    assert writer.spans[INDEX] == [EVERYTHING]


def test_a_reader_that_comes_late_finds_the_entry() -> None:
    _, reader, writer = _pair()
    writer.enters(INDEX, b"b")
    reader.reads_span(INDEX, (b"a", b"b"))
    assert writer not in reader.out
    reader.reads_span(INDEX, (b"a", None))
    assert writer in reader.out


def test_a_rewritten_table_is_noted_as_a_whole() -> None:
    store, reader, writer = _pair()
    reader.reads_rows(TABLE, FILE, [5])
    store.serials.rewritten(TABLE)
    writer.replaces(TABLE, FILE + 1, 9)
    assert writer in reader.out


def test_a_table_that_is_emptied() -> None:
    store, reader, writer = _pair()
    reader.reads_rows(TABLE, FILE, [5])
    store.serials.empties(writer, TABLE)
    assert writer in reader.out


def test_a_read_only_one_is_safe_once_no_writer_is_left() -> None:
    store, writer, _ = _pair()
    reader = store.serials.begin(1, True)
    reader.reads_rows(TABLE, FILE, [5])
    assert not reader.safe
    for each in list(store.serials.running):
        if each is not reader:
            store.serials.ended(each, True, 0)
    assert reader.safe and writer.is_committed
    assert not store.serials.readers_of_rows._at
    assert store.serials.begin(1, True).safe


def test_one_that_runs_for_ever_is_ended_before_the_notes_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serializable, "COMMITTED_MAX", 100)
    store = Store()
    oldest = store.serials.begin(1, False)
    for number in range(300):
        each = store.serials.begin(store.manager.vdl, False)
        each.replaces(TABLE, FILE, number)
        store.manager.vdl += 1
        store.serials.before_commit(each)
        store.serials.ended(each, True, store.manager.vdl)
        assert len(store.serials.committed) <= 101
    with pytest.raises(SerializationFailure):
        oldest.reads_table(TABLE)
    store.serials.ended(oldest, False, 0)
    assert not store.serials.replacers._at


@pytest.mark.parametrize("write_first", [True, False])
def test_a_pivot_does_not_commit(write_first: bool) -> None:
    store, left, right = _pair()
    left.reads_rows(TABLE, FILE, [1])
    right.reads_rows(TABLE, FILE, [2])
    left.replaces(TABLE, FILE, 2)
    if write_first:
        right.replaces(TABLE, FILE, 1)
    store.serials.before_commit(left)
    store.serials.ended(left, True, 2)
    with pytest.raises(SerializationFailure, match="read/write dependencies"):
        if not write_first:
            right.replaces(TABLE, FILE, 1)
        store.serials.before_commit(right)
