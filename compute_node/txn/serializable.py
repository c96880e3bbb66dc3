"""SERIALIZABLE: serializable snapshot isolation. Who read what, who wrote what, and who must not commit.

A serializable transaction runs under one snapshot, as a REPEATABLE READ one does, and leaves notes of what it reads
(rows, ranges of index keys, whole tables) and writes. A note of a read that meets a concurrent write is a
read-write dependency, reader → writer: the reader comes first in any serial order. An anomaly has in it two such
dependencies in a row, R → P → W, where W commits first of the three; P, the pivot, or who completes the structure is
ended with 40001. Nobody waits for anybody, and only serializable transactions take part.

Notes stay after the commit as long as somebody runs who was there before it. They grow coarse when there are many:
rows → page → table, ranges → index. All of it is in the writer's memory: a restart ends the transactions that it is
about, but for prepared ones (``kept``), and one that runs for very long is ended before the notes of those after it
fill the memory.
Sources: Ports and Grittner 2012 (SSI in PostgreSQL); Cahill, Röhm and Fekete 2008; PostgreSQL manual, 13.2.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

from aurora.errors import InvariantViolation, SerializationFailure, SqlError
from aurora.ids import Xid
from aurora.kernels import clog as clog_kernel
from compute_node.hub import HUB, Waiter

if TYPE_CHECKING:
    from compute_node.txn.manager import TransactionManager

ROWS_OF_PAGE_MAX = 2
"""Noted rows of a page before the page is noted instead."""
PLACES_MAX = 31
"""Noted rows and pages of a table before the table is, and ranges of an index before the index is."""
WRITES_MAX = 50_000
"""Rows that a transaction has replaced, and entries of one index that it has made, before the whole is noted."""

COMMITTED_MAX = 10_000
"""Committed transactions whose notes are kept for those that run; then the oldest of these is ended, with 40001."""


class Kept(TypedDict):
    """Of a prepared transaction, as JSON has it; the keys of ranges in hexadecimal. ``first_out``: commit LSN of the
    first of those that it depends on and that had committed, 0 for none."""

    lsn: int
    first_out: int
    tables: list[int]
    places: list[tuple[int, list[tuple[int, int]]]]
    spans: list[tuple[int, list[tuple[str, str | None]]]]
    written: list[int]
    replaced: bool
    entered: list[int]


Span = tuple[bytes, bytes | None]
"""A range of index keys: lower ≤ key < upper, None is no bound."""
EVERYTHING: Span = (b"", None)


def _failure(reason: str) -> SqlError:
    return SerializationFailure(
        "could not serialize access due to read/write dependencies among transactions",
        detail=f"Reason code: Canceled on {reason}.",
        hint="The transaction might succeed if retried.",
    )


class SerialSnapshot(clog_kernel.Snapshot):
    """The snapshot of a serializable transaction: tables and indexes that read with it leave notes with ``reader``, and
    read with ``plain``."""

    reader: SerialTxn
    plain: clog_kernel.Snapshot


def serial_snapshot(reader: SerialTxn, own: set[Xid], cid: int) -> SerialSnapshot:
    """What a statement of the transaction sees."""
    made = SerialSnapshot(reader.lsn, own, cid)
    made.reader, made.plain = reader, clog_kernel.Snapshot(reader.lsn, own, cid)
    return made


class Places:
    """Where the notes of one kind are: place → who left one."""

    def __init__(self) -> None:
        self._at: dict[tuple[int, int], set[SerialTxn]] = {}

    def add(self, place: tuple[int, int], who: SerialTxn) -> None:
        """Leave a note."""
        self._at.setdefault(place, set()).add(who)

    def remove(self, place: tuple[int, int], who: SerialTxn) -> None:
        """Take one back."""
        found = self._at.get(place)
        if found is not None:
            found.discard(who)
            if not found:
                del self._at[place]

    def at(self, place: tuple[int, int]) -> Iterable[SerialTxn]:
        """Who left one there."""
        return tuple(self._at.get(place, ()))


class SerialTxn:
    """A serializable transaction: its place in time, its dependencies and its notes.

    ``lsn``: its snapshot's. ``began`` and ``ended`` count beginnings and ends, ``prepared`` passes of the commit's
    check; 0 is not yet. ``earliest_out_lsn``: of a committed one, the commit LSN of the first of those that it depends
    on and that had committed before it. ``reads`` and ``writes``: it comes before whom, and after whom."""

    def __init__(self, serials: Serializables, lsn: int, began: int, read_only: bool, pid: int) -> None:
        self._serials = serials
        self.lsn = lsn
        self.began = began
        self.read_only = read_only
        self.pid = pid
        self.prepared = self.ended = self.commit_lsn = self.earliest_out_lsn = 0
        self.doomed = False
        self.out: set[SerialTxn] = set()
        self.into: set[SerialTxn] = set()
        self.unsafe = self.safe = False
        self.possible: set[SerialTxn] = set()
        """of a READ ONLY one: writers that were there at its snapshot and may make that one unsafe"""
        self.watchers: set[SerialTxn] = set()
        self.waiter: Waiter | None = None
        self.tables: set[int] = set()
        self.places: dict[int, set[tuple[int, int]]] = {}
        """table → (relation file, row address) and (relation file, -1 - block)"""
        self.spans: dict[int, list[Span]] = {}
        self.written: set[int] = set()
        self.replaced: list[tuple[int, int]] = []
        self.entries: dict[int, list[bytes] | None] = {}
        """index → keys that it has entered; None: too many to tell"""

    @property
    def is_committed(self) -> bool:
        """Whether it has ended well."""
        return bool(self.ended)

    def is_concurrent(self, other: SerialTxn) -> bool:
        """Whether ``other``, if it has ended, had not when this one began, as its snapshot shows it."""
        return not other.ended or other.ended > self.began or other.commit_lsn > self.lsn

    def check_doomed(self, when: str) -> None:
        """40001 when another has decided that this one must not commit."""
        if self.doomed:
            raise _failure(f"identification as a pivot, during {when}")

    # Reading

    def reads_table(self, table: int) -> None:
        """The whole of a table. Errors: 40001."""
        if self.safe:
            return
        self.check_doomed("conflict out checking")
        if table not in self.tables:
            self._serials.note_table(self, table)
        self._serials.out_of(self, self._serials.writers.at((table, 0)))

    def reads_rows(self, table: int, relfile: int, tids: Sequence[int]) -> None:
        """Row versions of a table."""
        if self.safe:
            return
        self.check_doomed("conflict out checking")
        serials = self._serials
        for tid in tids:
            if table not in self.tables:
                serials.note_row(self, table, relfile, tid)
            serials.out_of(self, serials.replacers.at((relfile, tid)))
        serials.out_of(self, serials.replacers.at((table, -1)))

    def reads_span(self, index: int, span: Span) -> None:
        """A range of an index's keys, whether there are entries or not."""
        if self.safe:
            return
        self.check_doomed("conflict out checking")
        serials = self._serials
        spans = self.spans.setdefault(index, [])
        if span not in spans and spans != [EVERYTHING]:
            if len(spans) >= PLACES_MAX:
                spans[:] = [EVERYTHING]
            else:
                spans.append(span)
        serials.readers_of_index.add((index, 0), self)
        low, high = span
        serials.out_of(
            self,
            [
                writer
                for writer in serials.writers_of_index.at((index, 0))
                if (keys := writer.entries.get(index, [])) is None
                or any(low <= key and (high is None or key < high) for key in keys)
            ],
        )

    # Writing

    def inserts(self, table: int) -> None:
        """A new row. Errors: 40001."""
        self.check_doomed("conflict in checking")
        self._writes(table)
        self._serials.into(self, self._serials.readers.at((table, 0)))

    def _writes(self, table: int) -> None:
        if table not in self.written:
            self.written.add(table)
            self._serials.writers.add((table, 0), self)

    def replaces(self, table: int, relfile: int, tid: int) -> None:
        """A row version is updated or deleted. Errors: 40001."""
        self.check_doomed("conflict in checking")
        self._writes(table)
        serials = self._serials
        if len(self.replaced) < WRITES_MAX:
            self.replaced.append((relfile, tid))
            serials.replacers.add((relfile, tid), self)
        elif self.replaced[-1] != (table, -1):
            self.replaced.append((table, -1))
            serials.replacers.add((table, -1), self)
        serials.into(self, serials.readers.at((table, 0)))
        serials.into(self, serials.readers_of_rows.at((relfile, tid)))
        serials.into(self, serials.readers_of_rows.at((relfile, -1 - (tid >> 16))))

    def enters(self, index: int, key: bytes) -> None:
        """A key is entered into an index. Errors: 40001."""
        serials = self._serials
        keys = self.entries.setdefault(index, [])
        if keys is not None:
            if len(keys) >= WRITES_MAX:
                self.entries[index] = None
            else:
                keys.append(key)
        serials.writers_of_index.add((index, 0), self)
        serials.into(
            self,
            [
                reader
                for reader in serials.readers_of_index.at((index, 0))
                if reader is not self
                and any(low <= key and (high is None or key < high) for low, high in reader.spans.get(index, ()))
            ],
        )


class Serializables:
    """All serializable transactions that still matter."""

    def __init__(self, manager: TransactionManager) -> None:
        self._manager = manager
        self._count = 0
        self.running: dict[SerialTxn, None] = {}
        self.committed: dict[SerialTxn, None] = {}
        self.readers, self.readers_of_rows, self.readers_of_index = Places(), Places(), Places()
        self.writers, self.replacers, self.writers_of_index = Places(), Places(), Places()

    def _next(self) -> int:
        self._count += 1
        return self._count

    # Life

    def begin(self, lsn: int, read_only: bool, pid: int = 0) -> SerialTxn:
        """A transaction that takes its snapshot at ``lsn``. A READ ONLY one is safe, and needs no notes, once no writer
        can come between it and one that committed before it."""
        self._forget()
        made = SerialTxn(self, lsn, self._next(), read_only, pid)
        if read_only:
            made.possible = {each for each in self.running if not each.read_only}
            for each in made.possible:
                each.watchers.add(made)
            made.safe = not made.possible
        self.running[made] = None
        return made

    def join(self, source: SerialTxn, read_only: bool, pid: int = 0) -> SerialTxn:
        """A transaction that takes the snapshot of another, which runs: it began when that one did, and the notes that
        are kept for that one are its own, too. Whether it is safe is known only if the other is, for who has ended
        since then is not asked any more."""
        made = SerialTxn(self, source.lsn, source.began, read_only, pid)
        made.safe, made.doomed = source.safe, source.doomed
        made.unsafe = not made.safe
        if not read_only:
            # Those that have begun since, and only read, have to know of one more.
            made.watchers = set(source.watchers)
            for each in made.watchers:
                each.possible.add(made)
        self.running[made] = None
        return made

    def wait_until_known(self, serial: SerialTxn) -> bool:
        """Of a READ ONLY one: wait until its snapshot is known to be safe or unsafe; whether it is safe."""
        while not serial.safe and not serial.unsafe:
            serial.waiter = Waiter()
            try:
                HUB.wait(serial.waiter)
            finally:
                serial.waiter = None
        return serial.safe

    def before_commit(self, serial: SerialTxn) -> None:
        """The commit's check; 40001. Whoever could be a pivot between others and this one, which will be the first of
        them to commit, is doomed."""
        serial.check_doomed("commit attempt")
        for near in serial.into:
            if near.is_committed or near.doomed:
                continue
            for far in near.into:
                if far is serial or not (far.is_committed or far.read_only or far.doomed):
                    if near.prepared:
                        raise _failure("commit attempt with conflict in from prepared pivot")
                    near.doomed = True
                    break
        serial.prepared = self._next()

    def ended(self, serial: SerialTxn, committed: bool, commit_lsn: int) -> None:
        """It has ended; ``commit_lsn`` is 0 when it wrote nothing."""
        if serial not in self.running:
            raise InvariantViolation("a serializable transaction ends twice")
        del self.running[serial]
        for each in serial.possible:
            each.watchers.discard(serial)
        if committed:
            serial.commit_lsn = commit_lsn
            serial.ended = self._next()
            before = [each.commit_lsn for each in serial.out if each.is_committed]
            serial.earliest_out_lsn = min(before, default=0)
            self.committed[serial] = None
        else:
            self._drop(serial)
        for watcher in serial.watchers:
            watcher.possible.discard(serial)
            if committed and serial.earliest_out_lsn and serial.earliest_out_lsn <= watcher.lsn:
                watcher.unsafe = True
            elif not watcher.possible and not watcher.unsafe:
                watcher.safe = True
                self._drop(watcher)
            if watcher.waiter is not None and (watcher.safe or watcher.unsafe):
                watcher.waiter.wake()
        serial.watchers.clear()
        self._forget()

    def _forget(self) -> None:
        """Those go that are concurrent with nobody who runs, nor with anybody who may begin."""
        if not self.committed:
            return
        # Who is doomed, or safe, makes no dependencies any more; who is prepared makes none, but others do with it.
        running = [each for each in self.running if not (each.doomed or each.safe or each.prepared)]
        if len(self.committed) > COMMITTED_MAX and running:
            running.pop(0).doomed = True
        began = min((each.began for each in running), default=self._count + 1)
        lsn = min((each.lsn for each in running), default=self._manager.vdl)
        gone = []
        for each in self.committed:
            if each.ended > began:
                break  # and so did those that ended later
            if each.commit_lsn <= lsn and each.commit_lsn <= self._manager.vdl:
                gone.append(each)
        for each in gone:
            del self.committed[each]
            prepared = [
                reader
                for reader in each.into
                if reader.prepared
                and not reader.ended
                and not any(other.is_committed and other.prepared < each.prepared for other in reader.out)
            ]
            self._drop(each)
            for reader in prepared:
                reader.out.add(each)  # whoever is to depend on the reader must know that one had committed before

    def _drop(self, serial: SerialTxn) -> None:
        """Its notes and dependencies go."""
        for other in serial.out:
            other.into.discard(serial)
        for other in serial.into:
            other.out.discard(serial)
        serial.out, serial.into = set(), set()
        for table in serial.tables:
            self.readers.remove((table, 0), serial)
        for places in serial.places.values():
            for place in places:
                self.readers_of_rows.remove(place, serial)
        for index in serial.spans:
            self.readers_of_index.remove((index, 0), serial)
        for table in serial.written:
            self.writers.remove((table, 0), serial)
        for place in serial.replaced:
            self.replacers.remove(place, serial)
        for index in serial.entries:
            self.writers_of_index.remove((index, 0), serial)
        serial.tables, serial.places, serial.spans = set(), {}, {}
        serial.written, serial.replaced, serial.entries = set(), [], {}

    # Two-phase commit

    def kept(self, serial: SerialTxn) -> Kept:
        """What must be known of a prepared transaction after a restart. What it wrote is kept by table and index: more
        fail with 40001 than would have to, and none too few."""
        firsts = [each.commit_lsn for each in serial.out if each.is_committed]
        return {
            "lsn": serial.lsn,
            "first_out": min(firsts, default=0),
            "tables": sorted(serial.tables),
            "places": [(table, sorted(places)) for table, places in serial.places.items()],
            "spans": [
                (index, [(low.hex(), None if high is None else high.hex()) for low, high in spans])
                for index, spans in serial.spans.items()
            ],
            "written": sorted(serial.written),
            "replaced": bool(serial.replaced),
            "entered": sorted(serial.entries),
        }

    def restored(self, kept: Kept) -> SerialTxn:
        """A prepared transaction of an earlier process."""
        made = SerialTxn(self, kept["lsn"], self._next(), False, 0)
        if kept["first_out"]:
            before = SerialTxn(self, kept["lsn"], made.began, False, 0)
            before.prepared = before.ended = made.began
            before.commit_lsn = kept["first_out"]
            made.out.add(before)
            before.into.add(made)
        made.prepared = self._next()
        for table in kept["tables"]:
            self.note_table(made, table)
        for table, places in kept["places"]:
            made.places[table] = {(relfile, at) for relfile, at in places}
            for place in made.places[table]:
                self.readers_of_rows.add(place, made)
        for index, spans in kept["spans"]:
            made.spans[index] = [
                (bytes.fromhex(low), None if high is None else bytes.fromhex(high)) for low, high in spans
            ]
            self.readers_of_index.add((index, 0), made)
        for table in kept["written"]:
            made.written.add(table)
            self.writers.add((table, 0), made)
            if kept["replaced"]:
                made.replaced.append((table, -1))
                self.replacers.add((table, -1), made)
        for index in kept["entered"]:
            made.entries[index] = None
            self.writers_of_index.add((index, 0), made)
        self.running[made] = None
        return made

    # Tables as a whole

    def rewritten(self, table: int) -> None:
        """The table's rows have got other addresses: who has read some has read the table."""
        for each in (*self.running, *self.committed):
            if table in each.places:
                self.note_table(each, table)

    def empties(self, serial: SerialTxn, table: int) -> None:
        """A serializable transaction empties the table. Errors: 40001."""
        serial.check_doomed("conflict in checking")
        self.into(
            serial, [each for each in (*self.running, *self.committed) if table in each.tables or table in each.places]
        )

    # Notes

    def note_table(self, serial: SerialTxn, table: int) -> None:
        """The whole table takes the place of its rows."""
        serial.tables.add(table)
        self.readers.add((table, 0), serial)
        for place in serial.places.pop(table, ()):
            self.readers_of_rows.remove(place, serial)

    def note_row(self, serial: SerialTxn, table: int, relfile: int, tid: int) -> None:
        """A row, or its page or table when there are too many."""
        places = serial.places.setdefault(table, set())
        page = (relfile, -1 - (tid >> 16))
        if page in places or (relfile, tid) in places:
            return
        rows = [place for place in places if place[1] >= 0 and place[1] >> 16 == tid >> 16]
        place = (relfile, tid)
        if len(rows) >= ROWS_OF_PAGE_MAX:
            for each in rows:
                places.discard(each)
                self.readers_of_rows.remove(each, serial)
            place = page
        if len(places) >= PLACES_MAX:
            self.note_table(serial, table)
            return
        places.add(place)
        self.readers_of_rows.add(place, serial)

    # Dependencies

    def out_of(self, reader: SerialTxn, writers: Iterable[SerialTxn]) -> None:
        """``reader`` has not seen what these wrote, if they are concurrent."""
        for writer in writers:
            if writer is reader or writer.doomed or writer in reader.out or not reader.is_concurrent(writer):
                continue
            if reader.read_only and writer.is_committed:
                first = writer.earliest_out_lsn
                if not first or first > reader.lsn:
                    continue  # the reader can be put before both
            self._depends(reader, writer, me=reader)

    def into(self, writer: SerialTxn, readers: Iterable[SerialTxn]) -> None:
        """``writer`` changes what these have read, if they are concurrent."""
        for reader in readers:
            if reader is writer or reader.doomed or reader in writer.into or not writer.is_concurrent(reader):
                continue
            self._depends(reader, writer, me=writer)

    def _depends(self, reader: SerialTxn, writer: SerialTxn, me: SerialTxn) -> None:
        if self._is_dangerous(reader, writer):
            if me is writer:
                raise _failure("identification as a pivot, during write")
            if writer.prepared:
                raise _failure(f"conflict out to pivot {writer.began}, during read")
            writer.doomed = True
        reader.out.add(writer)
        writer.into.add(reader)

    @staticmethod
    def _is_dangerous(reader: SerialTxn, writer: SerialTxn) -> bool:
        """Whether reader → writer completes a structure R → P → W in which W commits first."""
        if writer.is_committed and writer.earliest_out_lsn:
            return True  # the writer is the pivot, and its W has committed before it
        for last in writer.out:
            if (
                last.prepared
                and (not reader.is_committed or last.prepared <= reader.prepared)
                and (not writer.is_committed or last.prepared <= writer.prepared)
                and (not reader.read_only or (last.is_committed and last.commit_lsn <= reader.lsn))
            ):
                return True
        if not writer.prepared or reader.read_only:
            return False
        return any(  # the reader is the pivot
            not first.doomed
            and (not first.is_committed or first.prepared >= writer.prepared)
            and (not first.read_only or (writer.is_committed and writer.commit_lsn <= first.lsn))
            for first in reader.into
        )
