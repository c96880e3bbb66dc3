"""What clients do meanwhile: one class a workload; they compose, and any of them may be on in a run.

A workload is an object with ``start`` (the run begins), ``tick`` (some 15 to 60 times a virtual second) and ``check``
(everything healed; CheckFailed when its own invariant does not hold). It commits MTRs through ``SimWriter.commit`` and
reads through ``HeldRead``. A page's bytes below ``BANK_END`` belong to the bank, on every second page; what lies above
belongs to the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from aurora.kernels.python import redo
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from aurora.sim.checks import PageRead
from aurora.sim.cluster import SimCluster
from aurora.sim.world import World
from aurora.sim.writers import VOLUME_ID, Edit, SimWriter

BANK_START: Final = 64
BANK_END: Final = 512
BALANCE_BYTES: Final = 8


def put(offset: int, data: bytes) -> bytes:
    """Ops of a PUT."""
    ops = bytearray()
    redo.write_varint(ops, offset << 2 | redo.PUT)
    redo.write_varint(ops, len(data))
    return bytes(ops + data)


def move(to: int, source: int, count: int) -> bytes:
    """Ops of a MOVE."""
    ops = bytearray()
    redo.write_varint(ops, to << 2 | redo.MOVE)
    redo.write_varint(ops, source)
    redo.write_varint(ops, count)
    return bytes(ops)


def image(head: bytes, tail: bytes) -> bytes:
    """Ops of an IMAGE: ``head`` from byte 12 on, then zeros, ``tail`` at the page's end."""
    ops, to = bytearray(), redo.IMAGE_FROM + len(head)
    redo.write_varint(ops, to << 2 | redo.IMAGE)
    redo.write_varint(ops, PAGE_BYTES - to - len(tail))
    return bytes(ops + head + tail)


class HeldRead:
    """A read point of a writer, held until ``release``, and reads at it over the network; every answer is checked."""

    def __init__(self, cluster: SimCluster, writer: SimWriter) -> None:
        self.cluster = cluster
        self.writer = writer
        self.point = writer.vdl
        self.pg_lsns = {pg: writer.pg_last(pg) for pg in cluster.ledger.pgs()}
        self._released = False
        writer.hold(self.point)

    @property
    def valid(self) -> bool:
        """Whether the writer still holds the point."""
        return not self._released and self.writer.state == "open"

    def release(self) -> None:
        """Let it go."""
        if not self._released:
            self._released = True
            self.writer.release(self.point)

    def covering(self, pg: int) -> list[int]:
        """The nodes that can serve the group at this point."""
        return self.writer.covering(pg, self.pg_lsns[pg]) if self.pg_lsns[pg] else []

    def read(self, node: int, pg: int, page_nos: Sequence[int], done: Callable[[dict[int, bytes]], None]) -> None:
        """Ask one node for pages of one group; ``done`` gets those it served (empty bytes: never written)."""
        writer, opening = self.writer, self.writer.opening
        if opening is None or not self.valid:
            return
        request = pb.ReadPagesRequest(volume_id=VOLUME_ID, volume_epoch=opening.epoch)
        for page_no in page_nos:
            request.pages.add(page_no=page_no, pg_lsn=self.pg_lsns[pg], read_point=self.point)

        def answered(reply: pb.ReadPagesReply | None) -> None:
            found = {}
            for given in reply.pages if reply is not None else ():
                name = self.cluster.nodes[node].name
                self.cluster.checks.read(PageRead(name, given.page_no, self.point, given, opening, self.valid))
                if not given.behind and not given.collected:
                    found[given.page_no] = given.image
            done(found)

        writer.ask(node, "ReadPages", request, answered)


class Workload:
    """See the module."""

    name: ClassVar[str]

    def start(self, world: World, cluster: SimCluster) -> None:
        """The run begins."""
        self.world = world
        self.cluster = cluster
        self.rng: random.Random = world.stream(f"workload {self.name}")

    def tick(self) -> None:
        """Do something, or not."""
        raise NotImplementedError

    def check(self) -> None:
        """The run is over and everything is healed."""

    def some_writer(self) -> SimWriter | None:
        """A writer that would take a commit."""
        found = self.cluster.open_writers()
        return self.rng.choice(found) if found else None

    def scribble(self, page_no: int, bytes_max: int) -> Edit:
        """A random change of the part of a page that is nobody's."""
        rng, luck = self.rng, self.rng.random()
        count = rng.randint(1, bytes_max)
        if page_no % 2 and luck < 0.1:  # the page anew: never one of the bank's
            return Edit(page_no, put(rng.randrange(BANK_END, PAGE_BYTES - count), rng.randbytes(count)), fresh=True)
        if page_no % 2 and luck < 0.15:
            return Edit(
                page_no, image(rng.randbytes(count), rng.randbytes(rng.randint(1, bytes_max))), fresh=luck < 0.12
            )
        if luck < 0.3:
            low, high = (rng.randrange(BANK_END, PAGE_BYTES - 2000) for _ in "ab")
            return Edit(page_no, move(low, high, rng.randint(1, 2000)))
        return Edit(page_no, put(rng.randrange(BANK_END, PAGE_BYTES - count), rng.randbytes(count)))


class Bank(Workload):
    """Transfers between accounts on several pages and groups; at every read point the money is the same: none."""

    name = "bank"

    def start(self, world: World, cluster: SimCluster) -> None:
        super().start(world, cluster)
        pages = range(0, cluster.knobs.pages, 2)
        offsets = range(BANK_START, BANK_END, 2 * BALANCE_BYTES)
        self.accounts = [(page_no, offset) for page_no in pages for offset in self.rng.sample(offsets, 3)]
        self._audits = 0

    def tick(self) -> None:
        for writer in self.cluster.open_writers():
            for _ in range(self.rng.choice((0, 1, 1, 3))):
                self._transfer(writer)
        asked = self.some_writer()
        if asked is not None and asked.vdl and self._audits < 3 and self.rng.random() < 0.08:
            self._audits += 1
            self._audit(HeldRead(self.cluster, asked))

    def _transfer(self, writer: SimWriter) -> None:
        opening = writer.opening
        if opening is None:
            return
        amount = self.rng.randint(1, 1000)
        edits = []
        taken: dict[tuple[int, int], int] = {}
        for account, change in zip(self.rng.sample(self.accounts, 2), (-amount, amount), strict=True):
            page = opening.history.page(account[0], 1 << 62)
            taken[account] = _balance(page, account[1]) + change
            edits.append(
                Edit(account[0], put(account[1], taken[account].to_bytes(BALANCE_BYTES, "little", signed=True)))
            )
        if self.rng.random() < 0.5:
            edits.append(Edit(redo.NO_PAGE, b"commit"))
        writer.commit(edits)

    def _audit(self, held: HeldRead) -> None:
        """Read all accounts at one point, each page from any node that covers it, and add up."""
        pages: dict[int, bytes] = {}
        by_pg: dict[int, list[int]] = {}
        for page_no in sorted({page_no for page_no, _ in self.accounts}):
            by_pg.setdefault(page_no // self.cluster.knobs.pages_per_pg, []).append(page_no)
        left = len(by_pg)

        def group(pg: int, tries: int) -> None:
            able = held.covering(pg)
            if not held.pg_lsns[pg]:
                finish(pg, dict.fromkeys(by_pg[pg], b""), tries)
            elif able:
                held.read(self.rng.choice(able), pg, by_pg[pg], lambda found: finish(pg, found, tries))

        def finish(pg: int, found: dict[int, bytes], tries: int) -> None:
            nonlocal left
            if len(found) < len(by_pg[pg]):
                if tries:
                    group(pg, tries - 1)
                return
            pages.update(found)
            left -= 1
            if not left:
                self._count(pages, held.point)

        def end() -> None:
            self._audits -= 1
            held.release()

        for pg in by_pg:
            group(pg, 3)
        self.world.after(self.rng.uniform(0.2, 1.0), end)

    def _count(self, pages: dict[int, bytes], point: int) -> None:
        total = sum(_balance(pages[page_no], offset) for page_no, offset in self.accounts)
        self.cluster.checks.half.balance(total, point)

    def check(self) -> None:
        current = self.cluster.ledger.current
        if current is None:
            return
        for node in self.cluster.nodes:
            groups = {page_no // self.cluster.knobs.pages_per_pg for page_no, _ in self.accounts}
            if any(
                node not in self.cluster.checks.copies.keepers([node], pg) for pg in groups & set(current.history.pgs)
            ):
                continue
            pages = {}
            for page_no in sorted({page_no for page_no, _ in self.accounts}):
                request = pb.ReadPagesRequest(volume_id=VOLUME_ID)
                pg_lsn = current.history.pg_last(page_no // self.cluster.knobs.pages_per_pg, current.vdl)
                request.pages.add(page_no=page_no, pg_lsn=pg_lsn, read_point=current.vdl)
                pages[page_no] = node.serve("ReadPages", request).pages[0].image if pg_lsn else b""
            self._count(pages, current.vdl)


class Scatter(Workload):
    """MTRs of one to three changes anywhere."""

    name = "scatter"

    def tick(self) -> None:
        for writer in self.cluster.open_writers():
            for _ in range(self.rng.choice((1, 1, 2, 5))):
                pages = self.rng.sample(range(self.cluster.knobs.pages), self.rng.randint(1, 3))
                writer.commit([self.scribble(page_no, 40) for page_no in pages])


class ReadHold(Workload):
    """Takes a read point, holds it, and reads the same pages at it from every node, now and later."""

    name = "read-hold"

    def start(self, world: World, cluster: SimCluster) -> None:
        super().start(world, cluster)
        self.held: list[HeldRead] = []

    def tick(self) -> None:
        rng = self.rng
        self.held = [held for held in self.held if held.valid]
        writer = self.some_writer()
        if writer is not None and writer.vdl and len(self.held) < 2 and rng.random() < 0.1:
            held = HeldRead(self.cluster, writer)
            self.held.append(held)
            self.world.after(rng.uniform(0.2, 2.5), held.release)
        if self.held and rng.random() < 0.15:
            held, pg = rng.choice(self.held), rng.choice(self.cluster.ledger.pgs())
            pages = self.cluster.ledger.pages_of(pg)
            for node in held.covering(pg):
                held.read(node, pg, rng.sample(pages, min(len(pages), 3)), lambda found: None)

    def check(self) -> None:
        for held in self.held:
            held.release()


class Large(Workload):
    """Now and then an MTR of many records, some thousand bytes each, over all groups."""

    name = "large"

    def tick(self) -> None:
        writer = self.some_writer()
        if writer is not None and self.rng.random() < 0.04:
            pages = self.rng.choices(range(self.cluster.knobs.pages), k=self.rng.randint(5, 20))
            writer.commit([self.scribble(page_no, 2000) for page_no in pages])


class HotPage(Workload):
    """Small changes of one page, again and again."""

    name = "hot-page"

    def tick(self) -> None:
        writer = self.some_writer()
        if writer is not None:
            page_no = self.cluster.knobs.pages // 2
            for _ in range(self.rng.randint(1, 4)):
                writer.commit([Edit(page_no, put(self.rng.randrange(BANK_END, 8000), self.rng.randbytes(4)))])


class Idle(Workload):
    """A commit now and then."""

    name = "idle"

    def tick(self) -> None:
        writer = self.some_writer()
        if writer is not None and self.rng.random() < 0.03:
            writer.commit([self.scribble(self.rng.randrange(self.cluster.knobs.pages), 100)])


def _balance(page: bytes | None, offset: int) -> int:
    return int.from_bytes(page[offset : offset + BALANCE_BYTES], "little", signed=True) if page else 0


WORKLOADS: Final[dict[str, type[Workload]]] = {
    kind.name: kind for kind in (Bank, Scatter, ReadHold, Large, HotPage, Idle)
}
