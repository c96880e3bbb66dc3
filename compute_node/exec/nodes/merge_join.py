"""Merge join: both sides come in the order of the keys; each is read once.

::

    outer row ─ key ─┬─ past the group at hand ─► the inner side goes on to the first key not before it: a new group
                     └─ the group's ────────────► (outer row, group), gathered ─► joined by a compiled function

The inner rows of one key are the group; a place that outer rows of the same key go back to is the group's beginning.
One that outgrows ``work_mem`` goes to a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import gt, lt
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from aurora.errors import NotSupported
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import is_identity
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.hub import HUB
from compute_node.sql import plan as pl
from compute_node.sql.expressions import Expr
from compute_node.work.spill import Tuplestore

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

OUT_ROWS = 1000
GROUP_ROWS = 4000
"""A group of more rows is counted against the statement's memory, and lets others run while it is read."""
_KINDS = ("inner", "left", "right", "full", "semi", "anti")


class LargeGroup:
    """The inner rows of one key, when there are many."""

    __slots__ = ("_store",)

    def __init__(self, store: Tuplestore) -> None:
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[Row]:
        for batch in self._store.batches():
            HUB.pulse()
            yield from batch


Group = Sequence[Row] | LargeGroup
Match = tuple[Row, Group, bytearray]
"""An outer row, the inner rows of its key, and which of these have a match (right and full joins)"""
_NO_FLAGS = bytearray()


def _body(kind: str, row: str, condition: str) -> list[str]:
    """The joining function, a generator: matches → batches of joined rows. No batch grows far beyond ``OUT_ROWS``."""
    marks = kind in ("right", "full")
    each = "for n, s in enumerate(m):" if marks else "for s in m:"
    lines = ["o = []", "a = o.append", "for r, m, met in b:"]
    if kind in ("semi", "anti"):
        lines += ["    hit = False", f"    {each}", f"        if {condition}:"]
        lines += ["            hit = True", "            break", "    if hit:" if kind == "semi" else "    if not hit:"]
        if kind == "anti":
            lines.append("        s = nulls")
        return [*lines, f"        a({row})", "yield o"]
    if kind in ("left", "full"):
        lines.append("    hit = False")
    lines += [f"    {each}", f"        if {condition}:"]
    if marks:
        lines.append("            met[n] = 1")
    if kind in ("left", "full"):
        lines.append("            hit = True")
    lines.append(f"            a({row})")
    lines += [
        f"        if len(o) > {OUT_ROWS}:",
        "            yield o",
        "            o = []",
        "            a = o.append",
    ]
    if kind in ("left", "full"):
        lines += ["    if not hit:", "        s = nulls", f"        a({row})"]
    return [*lines, "yield o"]


def _mixed(descending: Sequence[bool]) -> Callable[[Row, Row], bool]:
    """Whether one key comes before another, where not all parts have one direction."""

    def before(one: Row, other: Row) -> bool:
        for left, right, down in zip(one, other, descending, strict=True):
            if left != right:
                return bool(left > right) if down else bool(left < right)
        return False

    return before


@executes(pl.MergeJoin)
class MergeJoinNode(Node):
    """Keys with NULLs never match, wherever they stand in the order."""

    __slots__ = (
        "_before", "_inner", "_inner_keys", "_join", "_kind", "_outer", "_outer_keys", "_unmatched",
    )  # fmt: skip

    def __init__(self, plan: pl.MergeJoin, builder: Builder) -> None:
        if plan.kind not in _KINDS:
            raise NotSupported(f"{plan.kind} joins are not supported")
        self._kind = plan.kind
        self._outer, self._inner = builder.node(plan.outer), builder.node(plan.inner)
        self.nullable = None
        self._outer_keys = self._keys(plan.outer_keys, builder)
        self._inner_keys = self._keys(plan.inner_keys, builder)
        down = set(plan.descending)
        self._before: Callable[[Datum, Datum], bool] = lt
        if down == {True}:
            self._before = gt
        elif len(down) > 1:
            self._before = _mixed(plan.descending)
        unit = Unit()
        outer_nullable = self._outer.nullable if plan.kind not in ("right", "full") else None
        inner_nullable = self._inner.nullable if plan.kind not in ("left", "full", "anti") else None
        compiler = Compiler(unit, row_scope(outer_nullable, inner_nullable), builder)
        condition = compiler.truth(plan.condition).text if plan.condition is not None else "True"
        row = compiler.tuple_of(plan.output) if plan.output else "()"
        if plan.kind in ("semi", "anti") and is_identity(plan.output, len(plan.outer.output)):
            row = "r"
        body = _body(plan.kind, row, condition)
        if plan.kind in ("left", "full", "anti"):
            body.insert(0, f"nulls = {unit.bind((None,) * len(plan.inner.output))}")
        self._join: Callable[..., Iterator[Batch]] = unit.link(unit.function("c, b", body))
        self._unmatched: Callable[..., Batch] | None = None
        if plan.kind in ("right", "full"):
            unit = Unit()
            row = Compiler(unit, row_scope(None, None), builder).tuple_of(plan.output) if plan.output else "()"
            nulls = unit.bind((None,) * len(plan.outer.output))
            self._unmatched = unit.link(unit.function("c, b", [f"r = {nulls}", f"return [{row} for s in b]"]))

    @staticmethod
    def _keys(keys: Sequence[Expr], builder: Builder) -> Callable[[ExecContext, Batch], list[Datum]]:
        """What rows are compared by; None for a key with a NULL."""
        unit = Unit()
        compiler = Compiler(unit, row_scope(None), builder)
        parts = []
        for key in keys:
            code = compiler.value(key)
            convert = builder.type(key.type).sort_value
            if convert is None:
                parts.append(code.text)
                continue
            first, again = compiler.named(code)
            parts.append(f"(None if {first} is None else {unit.bind(convert, 'g')}({again}))")
        if len(parts) == 1:
            return unit.link(unit.function("c, b", [f"return [{parts[0]} for r in b]"]))
        lines = [f"k = [{tuple_text(parts)} for r in b]", "return [None if None in i else i for i in k]"]
        return unit.link(unit.function("c, b", lines))

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """In the outer side's order, but for right and full joins."""
        run = _Run(ctx, self._inner.batches(ctx), self._inner_keys, self._before, self._unmatched is not None)
        keeps_outer = self._kind in ("left", "full", "anti")
        matches: list[Match] = []
        pairs = 0
        for batch in self._outer.batches(ctx):
            ctx.check()
            for row, key in zip(batch, self._outer_keys(ctx, batch), strict=True):
                group: Group = ()
                if key is not None:
                    group = run.group if run.has_key and key == run.key else run.find(key)
                    if not group and run.ended and not keeps_outer and self._unmatched is None:
                        yield from self._joined(ctx, matches, run)
                        return
                if group or keeps_outer:
                    matches.append((row, group, run.flags if group else _NO_FLAGS))
                    pairs += len(group) + 1
                    if pairs > OUT_ROWS:
                        yield from self._joined(ctx, matches, run)
                        matches, pairs = [], 0
            if matches:
                yield from self._joined(ctx, matches, run)
                matches, pairs = [], 0
        if self._unmatched is not None:
            run.rest()
            yield from self._missed(ctx, run)
            for rows in run.remaining():
                yield self._unmatched(ctx, rows)
            yield from self._missed(ctx, run)

    def _joined(self, ctx: ExecContext, matches: list[Match], run: _Run) -> Iterator[Batch]:
        for rows in self._join(ctx, matches):
            ctx.check()
            if rows:
                yield rows
        if self._unmatched is not None:
            yield from self._missed(ctx, run)

    def _missed(self, ctx: ExecContext, run: _Run) -> Iterator[Batch]:
        """The inner rows that have been passed and had no match."""
        if self._unmatched is None:
            return
        for rows in run.missed():
            ctx.check()
            yield self._unmatched(ctx, rows)


class _Run:
    """The inner side of one execution: where it is, and the group at hand."""

    __slots__ = (
        "_at", "_batches", "_before", "_closed", "_ctx", "_key_of", "_keys", "_lone", "_marks", "_passed", "_rows",
        "ended", "flags", "group", "has_key", "key",
    )  # fmt: skip

    def __init__(
        self,
        ctx: ExecContext,
        batches: Iterator[Batch],
        key_of: Callable[[ExecContext, Batch], list[Datum]],
        before: Callable[[Datum, Datum], bool],
        marks: bool,
    ) -> None:
        self._ctx, self._batches, self._key_of, self._before, self._marks = ctx, batches, key_of, before, marks
        self._rows: Batch = []
        self._keys: list[Datum] = []
        self._at = 0
        self.group: Group = ()
        self.flags = _NO_FLAGS
        self.key: Datum = None
        self.has_key = False
        self.ended = False
        self._closed: list[tuple[Group, bytearray]] = []
        """groups that no outer row will meet any more (right and full joins)"""
        self._lone: Batch = []
        """inner rows without a match, of no group, the last few"""
        self._passed: Tuplestore | None = None
        """those before, when they are many"""

    def _fill(self) -> bool:
        """Have a row at hand; False at the end."""
        while self._at == len(self._rows):
            batch = next(self._batches, None)
            if batch is None:
                self.ended = True
                self._rows, self._keys, self._at = [], [], 0
                return False
            self._ctx.check()
            keys = self._key_of(self._ctx, batch)
            if None in keys:
                if self._marks:
                    self._pass([row for row, key in zip(batch, keys, strict=True) if key is None])
                batch = [row for row, key in zip(batch, keys, strict=True) if key is not None]
                keys = [key for key in keys if key is not None]
            self._rows, self._keys, self._at = batch, keys, 0
        return True

    def _pass(self, rows: Batch) -> None:
        """Keep inner rows that have no match for ``missed``."""
        self._lone += rows
        if len(self._lone) > GROUP_ROWS:
            if self._passed is None:
                self._passed = self._ctx.tuplestore()
            self._passed.append(self._lone)
            self._lone = []

    def find(self, key: Datum) -> Group:
        """Go on to a key; its rows."""
        if self._marks and self.group:
            self._closed.append((self.group, self.flags))
        self.group, self.flags, self.key, self.has_key = (), _NO_FLAGS, key, True
        before = self._before
        while self._fill():
            keys, at, count = self._keys, self._at, len(self._keys)
            start = at
            while at < count and before(keys[at], key):
                at += 1
            if self._marks and at > start:
                self._pass(self._rows[start:at])
            self._at = at
            if at < count:
                if keys[at] == key:
                    self._gather(key)
                break
        return self.group

    def _gather(self, key: Datum) -> None:
        """The rows of the key from here on."""
        found: Batch = []
        store: Tuplestore | None = None
        while self._fill():
            keys, at, count = self._keys, self._at, len(self._keys)
            start = at
            while at < count and keys[at] == key:
                at += 1
            found += self._rows[start:at]
            self._at = at
            if len(found) > GROUP_ROWS or (store is not None and found):
                store = self._ctx.tuplestore() if store is None else store
                store.append(found)
                found = []
            if at < count:
                break
        if store is not None:
            store.append(found)
            self.group = LargeGroup(store)
        else:
            self.group = found
        self.flags = bytearray(len(self.group)) if self._marks else _NO_FLAGS

    def rest(self) -> None:
        """No outer row is left: what was not read has no match."""
        if self.group:
            self._closed.append((self.group, self.flags))
            self.group = ()

    def missed(self) -> Iterator[Batch]:
        """Inner rows that have no match and can get none, those that were passed so far."""
        closed, self._closed = self._closed, []
        lone, self._lone = self._lone, []
        passed, self._passed = self._passed, None
        if passed is not None:
            for batch in passed.batches():
                for start in range(0, len(batch), OUT_ROWS):
                    yield batch[start : start + OUT_ROWS]
            passed.close()
        for start in range(0, len(lone), OUT_ROWS):
            yield lone[start : start + OUT_ROWS]
        for group, flags in closed:
            if 0 in flags:
                rows: Batch = []
                for row, flag in zip(group, flags, strict=True):
                    if not flag:
                        rows.append(row)
                        if len(rows) >= OUT_ROWS:
                            yield rows
                            rows = []
                if rows:
                    yield rows

    def remaining(self) -> Iterator[Batch]:
        """What has not been read at all."""
        while self._fill():
            rows = self._rows[self._at :]
            self._at = len(self._rows)
            yield rows
