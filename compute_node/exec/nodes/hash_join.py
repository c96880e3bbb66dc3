"""Hash join: the inner side in a dict by key, the outer side streamed through it.

When the inner side outgrows its memory, both sides are put into files by a hash of their keys, and each pair of files
is joined by itself; a file that is still too large is divided again, by another hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import is_identity, key_text
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, executes
from compute_node.exec.nodes.join import JoinNode
from compute_node.exec.vectors.expressions import columns_of
from compute_node.exec.vectors.join import ColumnJoin, Inner
from compute_node.exec.vectors.vector import KINDS, ColumnBatch, Unsuited
from compute_node.hub import HUB
from compute_node.sql import plan as pl
from compute_node.work.account import KB, Area, batch_bytes
from compute_node.work.spill import LEVELS_MAX, PARTITIONS, Partitions, TempFile

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

Probe = Callable[..., Datum]
OUT_ROWS = 4000


def _probe_source(kind: str, key: str, row: str, condition: str, null_aware: bool) -> list[str]:
    """Body of the probe function, a generator: a batch of outer rows → batches of joined rows. ``m`` are the inner rows
    of the key; right and full joins keep (row, number) pairs and mark the numbers they met in ``met``. No batch grows
    far beyond ``OUT_ROWS``, and a key with many inner rows lets others run between them."""
    keep_numbers = kind in ("right", "full")
    each = "for s, n in m:" if keep_numbers else "for s in m:"
    body = ["o = []", "a = o.append", "for r in b:"]
    body += [f"    if len(o) > {OUT_ROWS}:", "        yield o", "        o = []", "        a = o.append"]
    body += [f"    k = {key}", "    m = get(k)", f"    if m and len(m) > {OUT_ROWS}: m = paced(m)"]
    if kind in ("semi", "anti"):
        body.append("    hit = False")
        body += ["    if m:", "        for s in m:", f"            if {condition}:"]
        body += ["                hit = True", "                break"]
        if kind == "semi":
            body.append(f"    if hit: a({row})")
        else:
            # NOT IN: an outer NULL matches nothing that is certain, unless the inner side is empty (handled outside).
            known = "not hit and not has_null(k)" if null_aware else "not hit"
            body.append(f"    if {known}: a({row})")
        return [*body, "yield o"]
    if kind in ("inner", "right"):
        body += ["    if m:", f"        {each}"]
        body.append(f"            if {condition}:")
        if keep_numbers:
            body.append("                met[n] = 1")
        body.append(f"                a({row})")
        return [*body, "yield o"]
    body += ["    hit = False", "    if m:", f"        {each}", f"            if {condition}:"]
    body.append("                hit = True")
    if keep_numbers:
        body.append("                met[n] = 1")
    body += [f"                a({row})", "    if not hit:", "        s = nulls", f"        a({row})"]
    return [*body, "yield o"]


def _paced(rows: list[Datum]) -> Iterator[Datum]:
    """The rows, with time for others between them."""
    for start in range(0, len(rows), OUT_ROWS):
        HUB.pulse()
        yield from rows[start : start + OUT_ROWS]


def _cut(batch: ColumnBatch) -> Iterator[Batch]:
    """A batch's rows, a part at a time."""
    for start in range(0, batch.count, OUT_ROWS):
        yield batch.some(np.arange(start, min(start + OUT_ROWS, batch.count))).rows()


def _one_by_one(batches: list[ColumnBatch]) -> Iterator[Batch]:
    """The batches' rows; none is kept that has been passed on."""
    batches.reverse()
    while batches:
        yield batches.pop().rows()


def _released(rows: Iterator[Batch], area: Area) -> Iterator[Batch]:
    """What an area has counted, until it is passed on."""
    yield from rows
    area.clear()


def _has_null(key: Datum) -> bool:
    return key is None or (isinstance(key, tuple) and None in key)


@executes(pl.HashJoin)
class HashJoinNode(JoinNode):
    """Keys with NULLs never match and are not stored."""

    __slots__ = (
        "_inner_keys", "_load", "_null_aware", "_outer_keys", "_probe", "_unmatched",
    )  # fmt: skip

    _by_columns: ColumnJoin | None

    def __init__(self, plan: pl.HashJoin, builder: Builder) -> None:
        if plan.kind not in ("inner", "left", "right", "full", "semi", "anti"):
            raise NotSupported(f"{plan.kind} joins are not supported")
        super().__init__(plan, builder)
        self._null_aware = plan.null_aware and plan.kind == "anti"
        outer_width, inner_width = len(plan.outer.output), len(plan.inner.output)
        outer_nullable = self._outer.nullable if plan.kind not in ("right", "full") else None
        inner_nullable = self._inner.nullable if plan.kind not in ("left", "full", "anti") else None

        # Inner keys see their row as side 0 of its own input: the planner numbers them so, or as side 1.
        unit = Unit()
        scope = row_scope(None, None)
        scope.variables = ("r",)
        plain = scope.column
        scope.column = lambda side, index: plain(0, index)
        inner_text = key_text(Compiler(unit, scope, builder), plan.inner_keys)
        some_null = "k is None" if len(plan.inner_keys) == 1 else "None in k"
        numbered = plan.kind in ("right", "full")
        # Rows go into the dict by key; numbered ones as (row, number) pairs. The result tells whether a key had a NULL.
        lines = ["null = False", "get = table.get", "for r in b:"]
        lines += ["    i = (r, len(numbered))", "    numbered.append(r)"] if numbered else ["    i = r"]
        lines += [f"    k = {inner_text}", f"    if {some_null}:", "        null = True", "        continue"]
        lines += ["    m = get(k)", "    if m is None: table[k] = [i]", "    else: m.append(i)", "return null"]
        self._load: Probe = unit.link(unit.function("c, b, table, numbered", lines))
        unit = Unit()
        scope = row_scope(None, None)
        inner_plain = scope.column
        scope.column = lambda side, index: inner_plain(0, index)
        scope.variables = ("r",)
        text = key_text(Compiler(unit, scope, builder), plan.inner_keys)
        self._inner_keys: Probe = unit.link(unit.function("c, b", [f"return [{text} for r in b]"]))
        unit = Unit()
        text = key_text(Compiler(unit, row_scope(self._outer.nullable), builder), plan.outer_keys)
        self._outer_keys: Probe = unit.link(unit.function("c, b", [f"return [{text} for r in b]"]))

        unit = Unit()
        key = key_text(Compiler(unit, row_scope(self._outer.nullable), builder), plan.outer_keys)
        compiler = Compiler(unit, row_scope(outer_nullable, inner_nullable), builder)
        condition = compiler.truth(plan.condition).text if plan.condition is not None else "True"
        row = compiler.tuple_of(plan.output) if plan.output else "()"
        if plan.kind in ("semi", "anti") and is_identity(plan.output, outer_width):
            row = "r"
        nulls = unit.bind((None,) * inner_width)
        tester = unit.bind(_has_null, "g")
        body = _probe_source(plan.kind, key, row, condition, self._null_aware)
        if plan.kind in ("left", "full", "anti"):
            # An anti join's output names no inner row, but what it calls is given one.
            body[0:0] = [f"nulls = {nulls}", "s = nulls"]
        body.insert(0, f"paced = {unit.bind(_paced, 'g')}")
        if self._null_aware:
            body.insert(0, f"has_null = {tester}")
        self._probe: Probe = unit.link(unit.function("c, b, get, met", body))
        self._by_columns = self._for_columns(plan, builder)
        self._unmatched: Probe | None = None
        if plan.kind in ("right", "full"):
            unit = Unit()
            row = Compiler(unit, row_scope(None, None), builder).tuple_of(plan.output)
            outer_nulls = unit.bind((None,) * outer_width)
            lines = [f"r = {outer_nulls}", "o = []", "for s in b:", f"    o.append({row})", "return o"]
            self._unmatched = unit.link(unit.function("c, b", lines))

    def _for_columns(self, plan: pl.HashJoin, builder: Builder) -> ColumnJoin | None:
        inner = self._inner.column_kinds
        if inner is None:
            inner = "".join(KINDS.get(item.type, "o") for item in plan.inner.output)
        return ColumnJoin.of(plan, builder, self._outer.column_kinds, inner)

    def columns(self, ctx: ExecContext) -> Iterator[ColumnBatch]:
        """As ``batches``, by columns as far as that goes."""
        join = self._by_columns
        if join is None:
            return
        area = ctx.area(hashed=True)
        inner = join.start()
        source = self._inner_columns(ctx, join.inner_kinds)
        rest = self._rest_of_inner(ctx, source, inner, area)
        if rest is not None:
            del inner
            for rows in self._by_rows(ctx, rest, self._outer.batches(ctx)):
                yield ColumnBatch.of_rows(rows, len(join.kinds))
            return
        inner.finish(area)
        self._tell(ctx, inner.batch.count, 1, area.peak_bytes)
        if inner.batch.count == 0 and self._kind in ("inner", "semi", "right"):
            return
        numbered: list[Datum] = []
        table: dict[Datum, list[Datum]] | None = None
        outer = self._outer.columns(ctx)
        for batch in outer:
            ctx.check()
            try:
                found = join.joined(ctx, batch, inner)
            except Unsuited:
                pass
            else:
                yield from found
                continue
            if table is None:
                table = self._dict_of(ctx, inner.batch, area, numbered)
            if table is None:
                # What is left goes on by rows, which may use files.
                kept = _released(_cut(inner.batch), area)
                del inner
                rest = chain([batch.rows()], (each.rows() for each in outer))
                for rows in self._by_rows(ctx, kept, rest):
                    yield ColumnBatch.of_rows(rows, len(join.kinds))
                return
            for rows in self._probe(ctx, batch.rows(), table.get, inner.met):
                if rows:
                    yield ColumnBatch.of_rows(rows, len(join.kinds))
        if self._unmatched is not None:
            yield from join.unmatched(ctx, inner)
        area.clear()

    def _inner_columns(self, ctx: ExecContext, kinds: str) -> Iterator[ColumnBatch]:
        if self._inner.has_columns(ctx):
            return self._inner.columns(ctx)
        return (columns_of(rows, kinds) for rows in self._inner.batches(ctx))

    @staticmethod
    def _rest_of_inner(
        ctx: ExecContext, source: Iterator[ColumnBatch], inner: Inner, area: Area
    ) -> Iterator[Batch] | None:
        """Keep the inner side by columns. When that does not go on, all of its rows; else None."""
        for batch in source:
            ctx.check()
            try:
                is_full = area.add(inner.add(batch, ctx))
            except Unsuited:
                kept, inner.batches = [*inner.batches, batch], []
            else:
                if not is_full:
                    continue
                kept, inner.batches = inner.batches, []
            return chain(_released(_one_by_one(kept), area), (each.rows() for each in source))
        return None

    def _dict_of(
        self, ctx: ExecContext, batch: ColumnBatch, area: Area, numbered: list[Datum]
    ) -> dict[Datum, list[Datum]] | None:
        """The inner rows by key, beside their columns; None when the area has no room for both. Those of right and full
        joins stay, whatever they take: which of them had a match is known by their numbers."""
        table: dict[Datum, list[Datum]] = {}
        added = 0
        for rows in _cut(batch):
            ctx.check()
            size = batch_bytes(rows)
            added += size
            if area.add(size) and self._unmatched is None:
                area.take_back(added)
                return None
            self._load(ctx, rows, table, numbered)
        return table

    def _tell(self, ctx: ExecContext, rows: int, batches: int, peak_bytes: int) -> None:
        ctx.tell(
            self,
            Hash_Buckets=max(1024, 1 << (rows - 1).bit_length() if rows else 0),
            Hash_Batches=batches,
            Peak_Memory_Usage=-(-peak_bytes // KB),
        )

    def _rows(self, ctx: ExecContext) -> Iterator[Batch]:
        return self._by_rows(ctx, self._inner.batches(ctx), self._outer.batches(ctx))

    def _by_rows(self, ctx: ExecContext, inner: Iterator[Batch], outer: Iterator[Batch]) -> Iterator[Batch]:
        """The inner side first, as a whole; then the outer side batch by batch."""
        area = ctx.area(hashed=True)
        table: dict[Datum, list[Datum]] = {}
        numbered: list[Datum] = []
        parts: Partitions | None = None
        saw_null = False
        count = 0
        for batch in inner:
            ctx.check()
            count += len(batch)
            if parts is not None:
                keys = self._inner_keys(ctx, batch)
                saw_null = saw_null or any(map(_has_null, keys))
                parts.add(keys, batch)
                continue
            saw_null |= self._load(ctx, batch, table, numbered)
            if area.add(batch_bytes(batch)):
                parts = self._divide(ctx, 0, table, numbered)
                table, numbered = {}, []
                area.clear()
        self._tell(ctx, count, 1 if parts is None else PARTITIONS, area.peak_bytes)
        if count == 0 and self._kind in ("inner", "semi", "right"):
            return
        if self._null_aware:
            if count == 0:
                yield from outer
                return
            if saw_null:
                return
        if parts is not None:
            yield from self._joined_parts(ctx, parts, outer, 0)
        else:
            yield from self._joined(ctx, outer, table, numbered)
        area.clear()

    def _joined(
        self, ctx: ExecContext, outer: Iterator[Batch], table: dict[Datum, list[Datum]], numbered: list[Datum]
    ) -> Iterator[Batch]:
        met = bytearray(len(numbered))
        get, probe = table.get, self._probe
        for batch in outer:
            ctx.check()
            for rows in probe(ctx, batch, get, met):
                if rows:
                    yield rows
        if self._unmatched is not None:
            for start in range(0, len(numbered), 1000):
                ctx.check()
                flags = met[start : start + 1000]
                missed = [row for row, flag in zip(numbered[start : start + 1000], flags, strict=True) if not flag]
                if missed:
                    yield self._unmatched(ctx, missed)

    def _divide(
        self, ctx: ExecContext, level: int, table: dict[Datum, list[Datum]], numbered: list[Datum]
    ) -> Partitions:
        """Move the rows of the dict to files; of right and full joins those too that match nothing."""
        parts = Partitions(ctx.open_file, PARTITIONS, level)
        if self._kind in ("right", "full"):
            for start in range(0, len(numbered), 1000):
                rows = numbered[start : start + 1000]
                parts.add(self._inner_keys(ctx, rows), rows)
                ctx.check()
            return parts
        gathered: list[Datum] = []
        for rows in table.values():
            gathered += rows
            if len(gathered) >= 1000:
                parts.add(self._inner_keys(ctx, gathered), gathered)
                gathered = []
                ctx.check()
        parts.add(self._inner_keys(ctx, gathered), gathered)
        return parts

    def _joined_parts(self, ctx: ExecContext, inner: Partitions, outer: Iterator[Batch], level: int) -> Iterator[Batch]:
        inner.flush()
        outer_parts = Partitions(ctx.open_file, PARTITIONS, level)
        for batch in outer:
            ctx.check()
            outer_parts.add(self._outer_keys(ctx, batch), batch)
        outer_parts.flush()
        for left, right in zip(inner.files, outer_parts.files, strict=True):
            yield from self._joined_part(ctx, left.file, right.file, level + 1)
            left.file.close()
            right.file.close()

    def _joined_part(self, ctx: ExecContext, inner: TempFile, outer: TempFile, level: int) -> Iterator[Batch]:
        area = ctx.area(hashed=True)
        table: dict[Datum, list[Datum]] = {}
        numbered: list[Datum] = []
        parts: Partitions | None = None
        for batch in inner.batches():
            if parts is not None:
                parts.add(self._inner_keys(ctx, batch), batch)
                continue
            self._load(ctx, batch, table, numbered)
            if area.add(batch_bytes(batch)) and level < LEVELS_MAX:
                parts = self._divide(ctx, level, table, numbered)
                table, numbered = {}, []
                area.clear()
        if parts is not None:
            yield from self._joined_parts(ctx, parts, outer.batches(), level)
        else:
            yield from self._joined(ctx, outer.batches(), table, numbered)
        area.clear()
