"""An index of a table: lookups and scans by key, entries for new row versions, unique checks.

key values → memcmp bytes → B-tree leaf items → chains in the heap → visible rows. Scans go leaf by leaf and find
their place again by key, so nothing is pinned across a wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aurora.errors import NotSupported, SqlError, UniqueViolation
from aurora.kernels import btree as btree_kernel
from aurora.kernels.python.btree import DUPLICATE, NEEDS_SPLIT, TID_BYTES, next_prefix
from aurora.kernels.python.heap import LIVE, NOT_LIVE, UNDECIDED
from compute_node.access.btree_write import BTreeWriter
from compute_node.access.keys import key_codec
from compute_node.access.read_ahead import FIRST_PAGES
from compute_node.relations.descriptors import IndexDesc
from compute_node.txn.transaction import Txn

Row = tuple[Any, ...]
Bound = tuple[Any, bool]
"""(value, inclusive)"""

_INTEGER_LIMITS = {
    "h": (-(1 << 15), 1 << 15),
    "i": (-(1 << 31), 1 << 31),
    "q": (-(1 << 63), 1 << 63),
    "I": (0, 1 << 32),
}
LONG_ITEM_BYTES = 2000


class Index:
    """One B-tree of ``table``. ``attnos`` are its key columns, 0 for an expression."""

    def __init__(self, table: Any, desc: IndexDesc) -> None:
        storage = table.storage
        self.table = table
        self.desc = desc
        self.unique = desc.unique
        self.relfile = desc.relfile
        self.file = storage.file(desc.relfile)
        self.codec: Any = key_codec(desc, table.desc, table.desc.type_lookup(storage.type_lookup))
        self.tree: Any = btree_kernel.BTree(storage.arena, storage.mtr, self.file.map, desc.relfile)
        self.writer = BTreeWriter(storage, self.tree, self.file, desc.name)
        self.attnos = desc.columns
        self.uses_all_columns = bool(desc.expressions) or desc.predicate is not None
        self._storage = storage
        self._cache = storage.cache
        self._heap = table.heap
        self._load = storage.cache.load
        self._lookup = self.tree.lookup_key
        self._insert = self.tree.insert
        self._item = self.codec.item
        self._positions = tuple(attno - 1 for attno in desc.columns)
        self._is_plain = not self.uses_all_columns
        self._one = self._positions[0] if self._is_plain and len(self._positions) == 1 else -1
        self._expressions: list[Callable[[Row], Any]] = []
        self._predicate: Callable[[Row], Any] | None = None
        if self.uses_all_columns:
            self._compile()

    def _compile(self) -> None:
        compile_row = self._storage.compile_row_expression
        if compile_row is None:
            raise NotSupported("indexes on expressions and partial indexes are not supported")
        self._expressions = [compile_row(self.table.desc, text) for text in self.desc.expressions]
        if self.desc.predicate is not None:
            self._predicate = compile_row(self.table.desc, self.desc.predicate)

    def key_of(self, values: Sequence[Any]) -> Row | None:
        """The key of a whole row; None when the index's predicate leaves it out."""
        if self._is_plain:
            return tuple([values[position] for position in self._positions])
        if self._predicate is not None and self._predicate(tuple(values)) is not True:
            return None
        row, expressions = tuple(values), iter(self._expressions)
        return tuple(values[position] if position >= 0 else next(expressions)(row) for position in self._positions)

    # Reading

    def lookup(self, snapshot: Any, key_values: Row, columns: tuple[int, ...], want_tid: bool) -> list[Row]:
        """Rows whose whole key equals ``key_values``; ``columns`` are attnos, the tid comes last with ``want_tid``."""
        table = self.table
        proj = table.projections.get((columns, want_tid)) or table.projection(columns, want_tid)
        while True:
            rows = self._lookup(snapshot, self.codec, key_values, self._heap, proj, self.unique)
            if type(rows) is list:
                return rows
            if not self.unique:
                # Many rows may have the key: not all of their pages need fit the cache at once.
                found = self.scan(snapshot, key_values, None, None, False, columns, want_tid)
                return [row for batch in found for row in batch]
            self._load(rows)

    def scan(
        self,
        snapshot: Any,
        equal: Row,
        lower: Bound | None,
        upper: Bound | None,
        backward: bool,
        columns: tuple[int, ...],
        want_tid: bool,
    ) -> Iterator[list[Row]]:
        """Rows in key order (``backward``: reverse), a batch a leaf: the leading columns equal ``equal``, the next
        one is within the bounds. NULL is equal to nothing and within no bound."""
        limits = self._range(equal, lower, upper)
        if limits is None:
            return
        low, high = limits
        proj = self.table.projection(columns, want_tid)
        while True:
            found = self.tree.range_tids(low, high, backward)
            if isinstance(found, int):
                self._load(found)
                continue
            tids, following = found
            if tids:
                yield from filter(None, self._rows(snapshot, tids, proj))
            if following is None:
                return
            if backward:
                high = following
            else:
                low = following

    def _rows(self, snapshot: Any, tids: list[int], proj: Any) -> Iterator[list[Row]]:
        """The visible rows of a leaf's tids, in their order: all in one batch when their pages are here."""
        fetch_many = self._heap.fetch_many
        rows = fetch_many(snapshot, tids, proj)
        if type(rows) is list:
            yield rows
            return
        # Parts, so that they fit a small cache, and so that each is on its way while the one before is looked at.
        page_no = self.table.file.map.page_no
        parts = list(_parts(tids, self._cache.read_ahead_pages))
        loads: list[Any] = []
        try:
            for at, part in enumerate(parts):
                for wanted in parts[at : at + 2] if not at else parts[at + 1 : at + 2]:
                    loads.append(self._cache.read_ahead(dict.fromkeys(page_no(tid >> 16) for tid in wanted)))
                while type(rows := fetch_many(snapshot, part, proj)) is not list:
                    self._load(rows)
                yield rows
        finally:
            for load in loads:
                if load is not None:
                    load.cancel()

    def _range(self, equal: Row, lower: Bound | None, upper: Bound | None) -> tuple[bytes, bytes | None] | None:
        """The half-open byte range of a scan; None when it is empty."""
        codec = self.codec
        if None in equal:
            return None
        try:
            prefix = codec.encode(equal)
        except OverflowError:
            return None
        if lower is None and upper is None:
            return prefix, next_prefix(prefix)
        column = len(equal)
        low, high = prefix + b"\1", prefix + b"\2"
        if self.codec.descending[column]:
            lower, upper = upper, lower
        for bound, is_lower in ((lower, True), (upper, False)):
            if bound is None:
                continue
            value, inclusive = bound
            if value is None:
                return None
            value, inclusive = self._clamp(column, value, inclusive, is_lower != self.codec.descending[column])
            key = prefix + codec.column(column, value)
            # A lower bound starts at the key's first entry or behind its last one; an upper bound ends likewise.
            edge = key if is_lower == inclusive else next_prefix(key)
            if edge is None:
                return None
            if is_lower:
                low = edge
            else:
                high = edge
        return (low, high) if low < high else None

    def _clamp(self, column: int, value: Any, inclusive: bool, is_least: bool) -> tuple[Any, bool]:
        """An integer bound outside the column's type becomes the type's limit, included or not as that makes no
        difference."""
        limits = _INTEGER_LIMITS.get(self.codec.kinds[column])
        if limits is None or limits[0] <= value < limits[1]:
            return value, inclusive
        if value < limits[0]:
            return limits[0], is_least
        return limits[1] - 1, not is_least

    # Writing

    def add(self, txn: Txn, values: Sequence[Any], tid: int, check: bool = True) -> int:
        """Enter the row at ``tid``. Errors: 23505, 40P01, 54000. ``check`` False: the key is known not to be a new
        one."""
        return self._add(txn, values, tid, check and self.unique, True)

    def try_add(self, txn: Txn, values: Sequence[Any], tid: int) -> int:
        """``add`` that answers a unique conflict with 1 instead of an error; 0 when entered."""
        return self._add(txn, values, tid, self.unique, False)

    def _add(self, txn: Txn, values: Sequence[Any], tid: int, unique: bool, raises: bool) -> int:
        if self._one >= 0:
            key: Row = (values[self._one],)
        else:
            found = self.key_of(values)
            if found is None:
                return 0
            key = found
        return self.add_item(txn, key, self._item(key, tid), tid, unique, raises)

    def add_item(self, txn: Txn, key: Row, item: bytes, tid: int, check: bool = True, raises: bool = True) -> int:
        """Enter an encoded item; see ``add`` and ``try_add``."""
        unique = check and self.unique
        if unique and None in key and not self.desc.nulls_not_distinct:
            unique = False
        if len(item) > LONG_ITEM_BYTES:
            self.writer.check_size(item)
        outcome = self._insert(item, unique)
        while outcome:
            conflict = False
            if outcome == NEEDS_SPLIT:
                self.writer.insert_splitting(item)
                # The split may have waited, so somebody may have come in between: look once more.
                conflict = unique and self._conflict(txn, item, tid)
                outcome = 0
            elif outcome == DUPLICATE:
                conflict = self._conflict(txn, item, tid)
                if not conflict:
                    # No wait since the check.
                    outcome = self._insert(item, False)
                    if outcome < NEEDS_SPLIT:
                        self._load(-outcome)
                        outcome = self._insert(item, unique)
            else:
                self._load(-outcome)
                outcome = self._insert(item, unique)
            if conflict:
                if raises:
                    raise self.violation(key)
                return 1
        return 0

    def _conflict(self, txn: Txn, item: bytes, tid: int) -> bool:
        """Whether a live row other than ``tid`` has the item's key; waits for those still in doubt. When it answers
        False, nothing else ran since it looked."""
        key = item[:-TID_BYTES]
        while True:
            outcome, extra = self._look(txn, key, tid)
            if outcome == UNDECIDED:
                self._storage.locks.wait_for_xid(txn, extra, self.desc.name)
                continue
            # The row found, or the commits that removed the rows of this key: the next snapshot must know of them.
            if extra > txn.dep_lsn:
                txn.depend(extra)
            return bool(outcome == LIVE)

    def _look(self, txn: Txn, key: bytes, tid: int) -> tuple[int, int]:
        upper = next_prefix(key)
        while True:
            waits = self._cache.waits
            lower: bytes | None = key
            outcome, removed_lsn = (-1, 0), 0
            while lower is not None and outcome[0] not in (LIVE, UNDECIDED):
                found = self.tree.range_tids(lower, upper, False)
                if isinstance(found, int):
                    self._load(found)
                    continue
                tids, lower = found
                for other in tids:
                    if other == tid:
                        continue
                    outcome = self._state(other, txn.own)
                    if outcome[0] in (LIVE, UNDECIDED):
                        break
                    removed_lsn = max(removed_lsn, outcome[1])
            if self._cache.waits == waits:
                return outcome if outcome[0] in (LIVE, UNDECIDED) else (NOT_LIVE, removed_lsn)

    def _state(self, tid: int, own: set[int]) -> tuple[int, int]:
        while True:
            state = self._heap.conflict(tid, own)
            if not isinstance(state, int):
                return state  # type: ignore[no-any-return]
            self._load(state)

    def find_conflict(self, txn: Txn, values: Sequence[Any]) -> int:
        """The tid of the live row (committed or own) with the key of ``values``, 0 without; waits for rows in doubt."""
        key = self.key_of(values)
        if key is None or (None in key and not self.desc.nulls_not_distinct):
            return 0
        if not self._conflict(txn, self._item(key, 0), 0):
            return 0
        rows = self.lookup(self._storage.txns.latest_snapshot(txn), key, (), True)
        return int(rows[0][-1]) if rows else 0

    def violation(self, key: Row) -> SqlError:
        """The 23505 of a key."""
        desc = self.desc
        names = [self.table.desc.columns[attno - 1].name if attno else text for attno, text in self._parts()]
        shown = ", ".join(self._text(position, value) for position, value in enumerate(key))
        return UniqueViolation(
            f'duplicate key value violates unique constraint "{desc.name}"',
            detail=f"Key ({', '.join(names)})=({shown}) already exists.",
            schema=self.table.desc.schema,
            table=self.table.desc.name,
            constraint=desc.name,
        )

    def _parts(self) -> list[tuple[int, str]]:
        texts = iter(self.desc.expressions)
        return [(attno, "" if attno else next(texts)) for attno in self.attnos]

    def _text(self, position: int, value: Any) -> str:
        if value is None:
            return "null"
        attno = self.attnos[position]
        oid = self.table.desc.columns[attno - 1].type if attno else self.desc.key_types[position]
        item = self.table.desc.type_lookup(self._storage.type_lookup)(oid)
        if item.text_bytes is not None:
            return str(item.text_bytes(value).decode())
        return str(item.output(value, self._storage.type_env))


def _parts(tids: list[int], pages_max: int) -> Iterator[list[int]]:
    """``tids`` cut where they come to more pages than ``FIRST_PAGES``, then twice as many, up to ``pages_max``."""
    pages = min(FIRST_PAGES, max(1, pages_max))
    part: list[int] = []
    blocks: set[int] = set()
    for tid in tids:
        blocks.add(tid >> 16)
        if len(blocks) > pages:
            yield part
            part, blocks = [], {tid >> 16}
            pages = min(2 * pages, max(1, pages_max))
        part.append(tid)
    yield part
