"""The tree of a GiST or SP-GiST index: reading, descent, insertion with splits, removal.

Each change is one mini-transaction, so that the tree is right between any two: an entry, its page's split and those of
the pages above, and what its ancestors' keys grow by, are written together. The gather phase reads the way down and
takes new blocks; it begins again when it has waited. The root stays where it is: when it splits, both halves move.
Splits are counted (``pages``); a scan that meets a page which was split after its parent was read goes on to the right
sibling.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation, ProgramLimitExceeded
from aurora.page import HEADER_BYTES, OFF_KIND, OFF_LOWER, PAGE_BYTES, PageKind
from compute_node.access import free_space
from compute_node.access.gist.forms import Together
from compute_node.access.gist.keys import VALUES, KeyForms, Keys
from compute_node.access.gist.pages import (
    DELETED,
    ENTRY,
    KEY_BYTES_MAX,
    LEAF,
    OFF_SPLITS,
    ROOM,
    ROOT,
    entries_of,
    entry,
    is_deleted,
    links_of,
    meta_image,
    page_image,
    splits_of,
)
from compute_node.access.page_reuse import take_block
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.access.extents import RelationFile
    from compute_node.access.storage import Storage

CHANGE_REDO_BYTES = 16 * PAGE_BYTES
"""Log space reserved before a change: of a tree of seven levels that splits everywhere."""
NODES_KEPT = 64
"""Pages whose keys are kept decoded."""


@dataclass(slots=True)
class Node:
    """A page of the tree. ``lsn`` tells whether it is what it was. Its keys are decoded when they are asked for: a leaf
    that gets an entry need not know those that it has."""

    block: int
    lsn: int
    flags: int
    right: int
    number: int
    entries: list[bytes]
    forms: KeyForms
    decoded: list[Keys] | None = None
    _together: Together | None = None
    _is_looked_at: bool = False

    @property
    def keys(self) -> list[Keys]:
        """Those of the entries. Errors: XX002."""
        if self.decoded is None:
            self.decoded = self.forms.decode_all(self.entries, ENTRY.size)
        return self.decoded

    def least(self, keys: Keys) -> int:
        """The place of the entry, of at least one, whose key grows least by another."""
        if not self._is_looked_at:
            self._together, self._is_looked_at = self.forms.together(self.keys), True
        return self.forms.least(self.keys, self._together, keys)

    def keep_together(self, before: Node, at: int) -> None:
        """Keep the arrays of what the page was before it got another key in a place."""
        (part, *_) = self.keys[at]
        if before._together is not None and part.flags & VALUES:
            self._together = before._together.replaced(at, part.key)
            self._is_looked_at = self._together is not None

    @property
    def is_leaf(self) -> bool:
        """Its entries are rows'."""
        return bool(self.flags & LEAF)

    def child(self, at: int) -> int:
        """The block that an entry of an inner page leads to."""
        return int(ENTRY.unpack_from(self.entries[at])[1])

    def tid(self, at: int) -> int:
        """The row address of an entry of a leaf."""
        _, block, slot = ENTRY.unpack_from(self.entries[at])
        return int(block << 16 | slot)


@dataclass(slots=True)
class _Change:
    """Pages to be written in one mini-transaction: by block, (flags, right, number, entries). ``blocks``: those for new
    pages, of which ``taken`` are among the pages."""

    blocks: list[int]
    pages: dict[int, tuple[int, int, int, list[bytes]]] = field(default_factory=dict)
    taken: int = 0

    def next_block(self) -> int:
        """The block of a new page."""
        if self.taken == len(self.blocks):
            raise _NeedsBlock
        self.taken += 1
        return self.blocks[self.taken - 1]


class _NeedsBlock(Exception):
    """A change has more new pages than blocks were taken for it."""


class GistTree:
    """The pages of one index. ``storage`` gives cache, page editor and extents."""

    def __init__(self, storage: Storage, file: RelationFile, forms: KeyForms, name: str) -> None:
        self._storage = storage
        self._cache = storage.cache
        self._arena = storage.cache.arena
        self._mtr = storage.mtr
        self._file = file
        self._name = name
        self.forms = forms
        self._nodes: OrderedDict[int, Node] = OrderedDict()

    # Reading

    def _frame(self, block: int) -> int:
        return int(self._cache.get(self._file.map.page_no(block)))

    def splits(self) -> int:
        """How many there have been; may wait."""
        return splits_of(self._arena.page(self._frame(0)), self._file.relfile)

    def node(self, block: int) -> Node:
        """A page; may wait. It stays what it is when the page changes."""
        frame = self._frame(block)
        lsn = self._arena.page_lsn(frame)
        kept = self._nodes.get(block)
        if kept is not None and kept.lsn == lsn:
            self._nodes.move_to_end(block)
            return kept
        page = self._arena.page(frame)
        flags, right, number = links_of(page)
        entries = entries_of(page, self._file.relfile, block)
        found = Node(block, lsn, flags, right, number, entries, self.forms)
        self._nodes[block] = found
        if len(self._nodes) > NODES_KEPT:
            self._nodes.popitem(last=False)
        return found

    def is_written(self, block: int) -> bool:
        """Whether the block has a page: one may have been taken for a change that has not come. May wait."""
        return bool(self._arena.page(self._frame(block))[OFF_KIND] == PageKind.GIST)

    def node_now(self, block: int) -> tuple[Node, int]:
        """A page, and how many splits there had been when it was read."""
        while True:
            waits = self._cache.waits
            number = self.splits()
            found = self.node(block)
            if self._cache.waits == waits:
                return found, number

    def walk(self, wanted: Callable[[Keys, bool], bool]) -> Iterator[Node]:
        """The leaves that may have keys that are wanted. May wait between them."""
        stack = [(ROOT, self.splits())]
        while stack:
            block, seen = stack.pop()
            node, number = self.node_now(block)
            if node.right and node.number > seen:
                stack.append((node.right, seen))
            if node.is_leaf:
                yield node
                continue
            stack += [(node.child(at), number) for at, key in enumerate(node.keys) if wanted(key, False)]

    # Building

    def append(self, block: int, image: bytes) -> None:
        """Write the next block of a tree under construction."""
        self._storage.volume.reserve(PAGE_BYTES)
        made = self._storage.extents.new_block(self._file)
        if made != block:
            raise InvariantViolation(f"block {made} of new index {self._name}, expected {block}")
        frame = self._frame(block)
        with self._mtr:
            self._mtr.image(frame, image)

    def put_root(self, image: bytes) -> None:
        """Write the root of a tree under construction, whose place has been taken."""
        self._storage.volume.reserve(PAGE_BYTES)
        frame = self._frame(ROOT)
        with self._mtr:
            self._mtr.image(frame, image)

    def begin(self) -> None:
        """Meta page, and an empty root."""
        relfile = self._file.relfile
        self.append(0, meta_image(relfile))
        self.append(ROOT, page_image(relfile, LEAF, 0, 0, []))

    # Inserting

    def encoded(self, keys: Keys) -> bytes:
        """The bytes of a key. Errors: 54000."""
        data = self.forms.encode(keys)
        if len(data) > KEY_BYTES_MAX:
            raise ProgramLimitExceeded(
                f'index row size {len(data)} exceeds maximum {KEY_BYTES_MAX} for index "{self._name}"'
            )
        return data

    def insert(self, rows: Sequence[tuple[Keys, int]]) -> None:
        """Enter rows, each with its address; neighbours that follow each other go to a leaf together. Errors: 54000."""
        done = 0
        blocks: list[int] = []
        try:
            while done < len(rows):
                self._storage.volume.reserve(CHANGE_REDO_BYTES)
                try:
                    done += self._inserted(rows, done, blocks)
                except _NeedsBlock:
                    blocks.append(self._new_block())
                if done < len(rows):
                    HUB.pulse()
        finally:
            self._file.spare += blocks

    def _entry(self, row: tuple[Keys, int]) -> bytes:
        keys, tid = row
        return entry(tid >> 16, tid & 0xFFFF, self.encoded(keys))

    def _new_block(self) -> int:
        """A block that is this change's alone: nobody else takes it before it is given back."""
        spare: list[int] = self._file.spare
        return spare.pop() if spare else take_block(self._storage, self._file, is_deleted)

    def _inserted(self, rows: Sequence[tuple[Keys, int]], start: int, blocks: list[int]) -> int:
        """Enter the row at ``start``, and those behind it that belong to its leaf, with the pages that this takes out
        of ``blocks``; how many. 0: something came in between, or had to be done before: it is to be looked at again."""
        keys, new = rows[start][0], self._entry(rows[start])
        with self._cache.pinned(map(self._file.map.page_no, (0, *blocks))):
            waits = self._cache.waits
            path = self._descend(keys)
            leaf = self.node(path[-1][0].child(path[-1][1]) if path else ROOT)
            if self._cache.waits != waits or not leaf.is_leaf:
                return 0
            # Nothing waits from here on: what was read is in memory.
            room = ROOM - sum(map(len, leaf.entries)) - len(new)
            fresh, whole = self._company(rows, start, path, room) if room >= 0 else ([], keys)
            grown = list(self._grown(path, whole)) if room >= 0 else []
            full = next((at for at, each in enumerate(grown, 1) if not self._fits(*each)), 0)
            if room >= 0 and not full:
                self._put(leaf, [new, *fresh], grown)
                return 1 + len(fresh)
            change = _Change(blocks)
            if full:
                # An inner page without room for a greater key is split alone.
                node = grown[full - 1][0]
                self._divide(change, path[: len(path) - full], node, node.entries, node.keys)
            else:
                self._divide(change, path, leaf, [*leaf.entries, new], [*leaf.keys, keys])
            self._write(change)
            return 0 if full else 1

    def _company(
        self, rows: Sequence[tuple[Keys, int]], start: int, path: list[tuple[Node, int]], room: int
    ) -> tuple[list[bytes], Keys]:
        """(entries of the rows behind the one at ``start`` that go to the same leaf, what holds all of these): up to
        the first that its key, grown by those before, does not hold and whose way down is another one, or for which
        there is no room."""
        forms, whole = self.forms, rows[start][0]
        held = forms.union([path[-1][0].keys[path[-1][1]], whole]) if path else None
        found: list[bytes] = []
        for at in range(start + 1, len(rows)):
            keys = rows[at][0]
            if held is not None and not forms.holds(held, keys):
                if any(node.least(keys) != place for node, place in path):
                    break
                held = forms.union([held, keys])
            made = self._entry(rows[at])
            room -= len(made)
            if room < 0:
                break
            found.append(made)
            if held is not None and not forms.holds(whole, keys):
                whole = forms.union([whole, keys])
        return found, whole

    @staticmethod
    def _fits(node: Node, at: int, found: bytes) -> bool:
        """Whether a page has room for another entry in an entry's place."""
        return sum(map(len, node.entries)) - len(node.entries[at]) + len(found) <= ROOM

    def _descend(self, keys: Keys) -> list[tuple[Node, int]]:
        """The inner pages on the way to the leaf whose key grows least, with the entry taken on each."""
        path: list[tuple[Node, int]] = []
        node = self.node(ROOT)
        while not node.is_leaf:
            best = node.least(keys)
            path.append((node, best))
            node = self.node(node.child(best))
        return path

    def _grown(self, path: list[tuple[Node, int]], keys: Keys) -> Iterator[tuple[Node, int, bytes]]:
        """The entries on a way, the lowest first, whose keys have to grow to hold one more: (page, place, new
        entry)."""
        for node, at in reversed(path):
            held = node.keys[at]
            if self.forms.holds(held, keys):
                return
            yield node, at, entry(node.child(at), 0, self.encoded(self.forms.union([held, keys])))

    def _put(self, leaf: Node, fresh: Sequence[bytes], grown: list[tuple[Node, int, bytes]]) -> None:
        """Edit: entries for a leaf that has room, and the keys above it that grow."""
        lower = HEADER_BYTES + sum(map(len, leaf.entries))
        frame = self._frame(leaf.block)
        content = b"".join(fresh)
        with self._mtr:
            self._mtr.put(frame, lower, content)
            self._mtr.put_u16(frame, OFF_LOWER, lower + len(content))
            for node, at, found in grown:
                self._replace(node, at, found)
        self._keep_with(leaf, len(leaf.entries), fresh)
        for node, at, found in grown:
            self._keep_with(node, at, (found,))

    def _keep_with(self, node: Node, at: int, found: Sequence[bytes]) -> None:
        """Keep a page decoded that has just got another entry in a place, or some behind all."""
        entries, keys = node.entries.copy(), None
        entries[at : at + 1] = found
        if node.decoded is not None:
            keys = node.decoded.copy()
            keys[at : at + 1] = [self.forms.decode(each, ENTRY.size) for each in found]
        lsn = self._arena.page_lsn(self._frame(node.block))
        made = Node(node.block, lsn, node.flags, node.right, node.number, entries, self.forms, keys)
        if keys is not None and at < len(node.entries):
            made.keep_together(node, at)
        self._nodes[node.block] = made

    def _replace(self, node: Node, at: int, found: bytes) -> None:
        """Part of the current MTR: another entry in an entry's place."""
        frame, old = self._frame(node.block), node.entries[at]
        if len(found) == len(old):
            self._mtr.put(frame, HEADER_BYTES + sum(map(len, node.entries[:at])), found)
            return
        entries = [*node.entries[:at], found, *node.entries[at + 1 :]]
        self._mtr.image(frame, page_image(self._file.relfile, node.flags, node.right, node.number, entries))

    # Splitting

    def _divide(
        self, change: _Change, path: list[tuple[Node, int]], node: Node, entries: list[bytes], keys: list[Keys]
    ) -> None:
        """A page becomes two; the page above gets their keys, and is divided in turn when it has no room."""
        halves = self.forms.divided(keys, [len(each) for each in entries])
        parts = [[entries[at] for at in half] for half in halves]
        unions = [self.forms.union([keys[at] for at in half]) for half in halves]
        right = change.next_block()
        number = self.splits() + 1
        if node.block == ROOT:
            left = change.next_block()
            change.pages[left] = (node.flags, right, number, parts[0])
            change.pages[right] = (node.flags, 0, 0, parts[1])
            above = [entry(block, 0, self.encoded(key)) for block, key in zip((left, right), unions, strict=True)]
            change.pages[ROOT] = (0, 0, 0, above)
            return
        change.pages[node.block] = (node.flags, right, number, parts[0])
        change.pages[right] = (node.flags, node.right, node.number, parts[1])
        parent, at = path[-1]
        made = [entry(block, 0, self.encoded(key)) for block, key in zip((node.block, right), unions, strict=True)]
        held = [*parent.entries[:at], made[0], *parent.entries[at + 1 :], made[1]]
        held_keys = [*parent.keys[:at], unions[0], *parent.keys[at + 1 :], unions[1]]
        if sum(map(len, held)) > ROOM:
            self._divide(change, path[:-1], parent, held, held_keys)
            return
        change.pages[parent.block] = (parent.flags, parent.right, parent.number, held)
        whole = self.forms.union(unions)
        for above_node, above_at, found in self._grown(path[:-1], whole):
            others = [*above_node.entries[:above_at], found, *above_node.entries[above_at + 1 :]]
            if sum(map(len, others)) > ROOM:
                grown = [*above_node.keys[:above_at], self.forms.union([above_node.keys[above_at], whole])]
                grown += above_node.keys[above_at + 1 :]
                way = path[: next(place for place, (each, _) in enumerate(path) if each is above_node)]
                self._divide(change, way, above_node, others, grown)
                return
            change.pages[above_node.block] = (above_node.flags, above_node.right, above_node.number, others)

    def _write(self, change: _Change) -> None:
        """Edit: all pages of a change, which are in memory."""
        relfile = self._file.relfile
        number = self.splits()
        waits = self._cache.waits
        images = [
            (self._frame(block), page_image(relfile, flags, right, split, entries))
            for block, (flags, right, split, entries) in change.pages.items()
        ]
        if self._cache.waits != waits:
            raise InvariantViolation(f"a change of index {self._name} waited for one of its pages")
        with self._mtr:
            for frame, image in images:
                self._mtr.image(frame, image)
            self._mtr.put(self._frame(0), OFF_SPLITS, struct.pack("<Q", number + 1))
        del change.blocks[: change.taken]

    # Removing

    def rewrite(self, block: int, kept: Callable[[Node], list[bytes] | None]) -> Node:
        """Write a page anew with the entries that ``kept`` gives; None: it stays. What it was before."""
        while True:
            self._storage.volume.reserve(PAGE_BYTES)
            frame = self._frame(block)
            waits = self._cache.waits
            node = self.node(block)
            entries = kept(node)
            if self._cache.waits != waits:
                continue
            if entries is not None:
                with self._mtr:
                    self._mtr.image(frame, page_image(self._file.relfile, node.flags, node.right, node.number, entries))
            return node

    def inner_blocks(self) -> Iterator[int]:
        """The inner pages, from the root down."""
        stack = [ROOT]
        while stack:
            block = stack.pop()
            node = self.node(block)
            if node.is_leaf:
                continue
            yield block
            below = self.node(node.child(0)) if node.entries else None
            if below is not None and not below.is_leaf:
                stack += [node.child(at) for at in range(len(node.entries))]

    def drop_empty(self, parent: int, empty: set[int]) -> None:
        """Take empty leaves below an inner page out of the tree, all but one."""
        while True:
            self._storage.volume.reserve(CHANGE_REDO_BYTES)
            waits = self._cache.waits
            node = self.node(parent)
            gone = None
            for at in range(len(node.entries)):
                if len(node.entries) > 1 and node.child(at) in empty:
                    leaf = self.node(node.child(at))
                    if leaf.is_leaf and not leaf.entries:
                        gone = at, leaf
                        break
            if gone is None or node.is_leaf:
                return
            at, leaf = gone
            frames = self._frame(parent), self._frame(leaf.block)
            if self._cache.waits != waits:
                continue
            relfile = self._file.relfile
            others = node.entries[:at] + node.entries[at + 1 :]
            with self._mtr:
                self._mtr.image(frames[0], page_image(relfile, node.flags, node.right, node.number, others))
                self._mtr.image(frames[1], page_image(relfile, LEAF | DELETED, leaf.right, leaf.number, []))
            empty.discard(leaf.block)
            self._file.free.put(leaf.block, free_space.WHOLE_BLOCK)

    def keep_map(self) -> None:
        """Let the space map know of the deleted pages."""
        free_space.write(self._storage, self._file)

    @property
    def blocks(self) -> int:
        """How many the index has."""
        return int(self._file.map.blocks)
