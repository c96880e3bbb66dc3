"""Hash join: the inner side in a dict by key, the outer side streamed through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aurora.errors import NotSupported
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import is_identity, key_text
from compute_node.exec.compile.unit import Unit, row_scope
from compute_node.exec.nodes.base import Batch, Node, executes
from compute_node.sql import plan as pl

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

Probe = Callable[..., Any]


def _probe_source(kind: str, key: str, row: str, condition: str, null_aware: bool) -> list[str]:
    """Body of the probe function: a batch of outer rows → joined rows. ``m`` are the inner rows of the key; right and
    full joins keep (row, number) pairs and mark the numbers they met in ``met``."""
    keep_numbers = kind in ("right", "full")
    each = "for s, n in m:" if keep_numbers else "for s in m:"
    body = ["o = []", "a = o.append", "for r in b:"]
    body += [f"    k = {key}", "    m = get(k)"]
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
        return [*body, "return o"]
    if kind in ("inner", "right"):
        body += ["    if m:", f"        {each}"]
        body.append(f"            if {condition}:")
        if keep_numbers:
            body.append("                met[n] = 1")
        body.append(f"                a({row})")
        return [*body, "return o"]
    body += ["    hit = False", "    if m:", f"        {each}", f"            if {condition}:"]
    body.append("                hit = True")
    if keep_numbers:
        body.append("                met[n] = 1")
    body += [f"                a({row})", "    if not hit:", "        s = nulls", f"        a({row})"]
    return [*body, "return o"]


def _has_null(key: Any) -> bool:
    return key is None or (isinstance(key, tuple) and None in key)


@executes(pl.HashJoin)
class HashJoinNode(Node):
    """Keys with NULLs never match and are not stored."""

    __slots__ = ("_inner", "_kind", "_load", "_null_aware", "_outer", "_probe", "_unmatched")

    def __init__(self, plan: pl.HashJoin, builder: Builder) -> None:
        if plan.kind not in ("inner", "left", "right", "full", "semi", "anti"):
            raise NotSupported(f"{plan.kind} joins are not supported")
        self._kind = plan.kind
        self._null_aware = plan.null_aware and plan.kind == "anti"
        self._outer = builder.node(plan.outer)
        self._inner = builder.node(plan.inner)
        outer_width, inner_width = len(plan.outer.output), len(plan.inner.output)
        outer_nullable = self._outer.nullable if plan.kind not in ("right", "full") else None
        inner_nullable = self._inner.nullable if plan.kind not in ("left", "full", "anti") else None
        self.nullable = None

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
        key = key_text(Compiler(unit, row_scope(self._outer.nullable), builder), plan.outer_keys)
        compiler = Compiler(unit, row_scope(outer_nullable, inner_nullable), builder)
        condition = compiler.truth(plan.condition).text if plan.condition is not None else "True"
        row = compiler.tuple_of(plan.output) if plan.output else "()"
        if plan.kind in ("semi", "anti") and is_identity(plan.output, outer_width):
            row = "r"
        nulls = unit.bind((None,) * inner_width)
        tester = unit.bind(_has_null, "g")
        body = _probe_source(plan.kind, key, row, condition, self._null_aware)
        if plan.kind in ("left", "full"):
            body.insert(0, f"nulls = {nulls}")
        if self._null_aware:
            body.insert(0, f"has_null = {tester}")
        self._probe: Probe = unit.link(unit.function("c, b, get, met", body))
        self._unmatched: Probe | None = None
        if plan.kind in ("right", "full"):
            unit = Unit()
            row = Compiler(unit, row_scope(None, None), builder).tuple_of(plan.output)
            outer_nulls = unit.bind((None,) * outer_width)
            lines = [f"r = {outer_nulls}", "o = []", "for s in b:", f"    o.append({row})", "return o"]
            self._unmatched = unit.link(unit.function("c, b", lines))

    def batches(self, ctx: ExecContext) -> Iterator[Batch]:
        """Inner side first, as a whole; then the outer side batch by batch."""
        table: dict[Any, list[Any]] = {}
        load = self._load
        numbered: list[Any] = []
        saw_null = False
        count = 0
        for batch in self._inner.batches(ctx):
            ctx.check()
            count += len(batch)
            saw_null |= load(ctx, batch, table, numbered)
        if count == 0 and self._kind in ("inner", "semi", "right"):
            return
        if self._null_aware:
            if count == 0:
                yield from self._outer.batches(ctx)
                return
            if saw_null:
                return
        met = bytearray(len(numbered))
        get, probe = table.get, self._probe
        for batch in self._outer.batches(ctx):
            ctx.check()
            rows = probe(ctx, batch, get, met)
            if rows:
                yield rows
        if self._unmatched is not None:
            missed = [row for row, flag in zip(numbered, met, strict=True) if not flag]
            if missed:
                yield self._unmatched(ctx, missed)
