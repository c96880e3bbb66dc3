"""Point statements as one function each: the paths that decide throughput (DESIGN wall 8).

A SELECT by full index key (FOR UPDATE and friends by that of a unique index), an UPDATE or DELETE through a unique
index (of a partitioned table, too), an INSERT of one VALUES row, and a SELECT without tables: each becomes a generated
function of (context, params) without generators or per-row dispatch. The kernels' entry points are bound when the
statement first runs. A plan that fits none of these shapes gives None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from compute_node.exec.assignments import RowChange, columns_used
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import batch_function, column_index, is_identity
from compute_node.exec.compile.unit import Scope, Unit, row_scope
from compute_node.exec.constraints import RowViolation, row_verifier
from compute_node.exec.index_keys import key_types, narrowing, scan_condition
from compute_node.exec.nodes.base import output_nullable, scan_nullable
from compute_node.exec.nodes.family_changes import FamilyChange
from compute_node.exec.plan_walk import plan_expressions, plan_nodes
from compute_node.exec.pruned import Pruned
from compute_node.exec.routing import Router
from compute_node.exec.stored_values import scan_columns
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.sql.planner.quals import contains_volatile

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

PointFunction: TypeAlias = "Callable[[ExecContext, Row], Datum]"
Link: TypeAlias = "Callable[[Storage], PointFunction]"
"""storage → the statement's function"""


def linked_at_first_run(link: Link) -> PointFunction:
    """The statement's function. Plans hold on to it, so it must be cheap for ever, not only until the first call."""
    linked: PointFunction | None = None

    def run_linked(ctx: ExecContext, params: Row) -> Any:
        nonlocal linked
        if linked is None:
            linked = link(ctx.storage)
        return linked(ctx, params)

    return run_linked


def is_self_contained(planned: pl.PlannedStmt) -> bool:
    """Whether the plan needs no scratch state: no sub-selects, CTEs or execution parameters."""
    if planned.subplans or planned.ctes:
        return False
    for node in plan_nodes(planned.plan):
        for top in plan_expressions(node):
            if any(isinstance(item, (ex.SubPlan, ex.ExecParam)) for item in ex.walk(top)):
                return False
    return True


def point_select(planned: pl.PlannedStmt, builder: Builder, general: PointFunction) -> Link | None:
    """``fetch_all`` of a SELECT by full key, or without tables. ``general``: the same by the plan's nodes."""
    plan = planned.plan
    if not is_self_contained(planned):
        return None
    if isinstance(plan, pl.Result) and plan.child is None and plan.filter is None:
        if any(isinstance(item, ex.Call) and builder.function(item.function).returns_set for item in plan.output):
            return None
        unit = Unit()
        text = Compiler(unit, Scope(), builder).tuple_of(plan.output)
        name = unit.function("c, p", [f"return [{text}]"])
        return lambda storage: unit.link(name)
    if isinstance(plan, pl.IndexScan) and _is_lookup(plan) and not plan.want_tid:
        return _lookup_select(plan, builder)
    if isinstance(plan, pl.LockRows):
        return _locked_select(plan, builder, general)
    found = _pruned_rows(plan, builder)
    return None if found is None else lambda storage: found


def point_modify(planned: pl.PlannedStmt, builder: Builder) -> Link | None:
    """``run`` of a single-row INSERT, UPDATE or DELETE without RETURNING."""
    plan = planned.plan
    if not is_self_contained(planned):
        return None
    if isinstance(plan, (pl.Insert, pl.Update)) and (plan.generated or plan.row_checks):
        return None
    if isinstance(plan, pl.Insert) and plan.route is None and plan.relation.is_partition:
        return None
    if isinstance(plan, pl.Update) and plan.moves is not None:
        return None
    if isinstance(plan, pl.Insert) and not plan.returning and not plan.conflict:
        row = _values_row(plan.child)
        return None if row is None else _insert(plan, row, builder)
    if isinstance(plan, (pl.Update, pl.Delete)) and not plan.returning:
        child = plan.child
        if not isinstance(child, pl.IndexScan) or not child.unique or not _is_lookup(child):
            return None
        if plan.recheck is None or contains_volatile(builder, plan.recheck):
            # Without the re-check the scan's filter would be lost.
            return None
        if isinstance(plan, pl.Delete) and scan_condition(child) is not None:
            # ``Table.delete`` asks the re-check of newer versions alone.
            return None
        width = len(plan.relation.columns)
        if any(index >= width for index in columns_used([plan.recheck])):
            return None
        return _update(plan, child, builder) if isinstance(plan, pl.Update) else _delete(plan, child, builder)
    if isinstance(plan, (pl.FamilyUpdate, pl.FamilyDelete)) and not plan.returning:
        return _family_change(plan, planned, builder)
    return None


def _is_lookup(plan: pl.IndexScan) -> bool:
    return plan.point and not any(key.array for key in plan.keys)


def _key_lines(plan: pl.IndexScan, builder: Builder, unit: Unit, nothing: str) -> tuple[list[str], str]:
    """Lines that return early when no row can match, and the source of the key tuple."""
    compiler = Compiler(unit, Scope(), builder)
    types = key_types(plan.relation, plan.index)
    lines: list[str] = []
    parts: list[str] = []
    for key, key_type in zip(plan.keys, types, strict=True):
        node = key.value
        if node is None:
            raise InvariantViolation("a lookup by a key without a value")
        code = compiler.value(node)
        text = code.text
        if not code.simple or code.nullable:
            name = unit.fresh("v")
            lines.append(f"{name} = {text}")
            text = name
        if code.nullable:
            lines.append(f"if {text} is None: return {nothing}")
        limits = narrowing(node.type, key_type)
        if limits is not None:
            low, high = unit.bind(limits[0]), unit.bind(limits[1])
            lines.append(f"if not {low} <= {text} <= {high}: return {nothing}")
        parts.append(text)
    return lines, tuple_text(parts)


def _lookup_select(plan: pl.IndexScan, builder: Builder) -> Link:
    unit = Unit()
    lines, key = _key_lines(plan, builder, unit, "[]")
    positions = [column_index(node) for node in plan.output]
    condition = scan_condition(plan)
    read = scan_columns(builder, plan.relation, plan.columns, plan.output, condition, as_values=True)
    columns = read.columns
    if condition is None and positions and min(positions) >= 0:
        # The kernel projects: its tuples are the result.
        columns = tuple(plan.columns[position] for position in positions)
        shape = "{}"
    else:
        scope = row_scope(scan_nullable(plan.relation, plan.columns, False), stored=read.stored)
        compiler = Compiler(unit, scope, builder)
        whole = is_identity(plan.output, len(columns))
        row = "r" if whole else compiler.tuple_of(plan.output) if plan.output else "()"
        where = f" if {compiler.truth(condition).text}" if condition is not None else ""
        shape = f"[{row} for r in {{}}{where}]"
    call = f"find(c.snapshot, {key})"
    name = unit.function("c, p", [*lines, "return " + shape.format(call)])

    def link(storage: Storage) -> PointFunction:
        unit.names["find"] = storage.table(plan.relation).index(plan.index).finder(columns, False)
        return unit.link(name)

    return link


def _pruned_rows(plan: pl.Plan, builder: Builder) -> PointFunction | None:
    """The rows of a partitioned table by full key: those of the one or few partitions that may have some."""
    above = None
    if isinstance(plan, pl.Result) and plan.child is not None and plan.filter is None:
        above = batch_function(builder, plan.output, None, len(plan.child.output))
        plan = plan.child
    if type(plan) is not pl.Append or plan.pruning is None:
        return None
    runs: list[PointFunction] = []
    for child in plan.children:
        if type(child) is not pl.IndexScan or not _is_lookup(child) or child.want_tid:
            return None
        runs.append(linked_at_first_run(_lookup_select(child, builder)))
    choice = Pruned(plan.pruning, plan.tables, builder)
    own = batch_function(builder, plan.output, None, len(plan.children[0].output)) if plan.output else None

    def rows(ctx: ExecContext, params: Row) -> Any:
        ctx.params = params
        parts = [run(ctx, params) for run in choice.left(ctx, runs)]
        found = parts[0] if len(parts) == 1 else [row for part in parts for row in part]
        for shape in (own, above):
            if shape is not None:
                found = shape(ctx, found)
        return found

    return rows


def _family_change(plan: pl.FamilyUpdate | pl.FamilyDelete, planned: pl.PlannedStmt, builder: Builder) -> Link | None:
    """UPDATE or DELETE of such rows."""
    rows = _pruned_rows(plan.child, builder)
    if rows is None:
        return None
    node = builder.node(plan)
    if not isinstance(node, FamilyChange):
        raise InvariantViolation("a family's rows are changed by no node of its own")

    def run(ctx: ExecContext, params: Row) -> Datum:
        ctx.start(params, planned.exec_params)
        try:
            return node.run_over(ctx, (rows(ctx, params),))
        finally:
            ctx.finish()

    return lambda storage: run


def _locked_select(plan: pl.LockRows, builder: Builder, general: PointFunction) -> Link | None:
    """One row, locked; one that has changed since the snapshot is found again by ``general``, with its lock held."""
    child = plan.child
    if not isinstance(child, pl.IndexScan) or not child.unique or not _is_lookup(child):
        return None
    lock, *others = plan.locks
    if others or lock.address.table >= 0:
        return None
    unit = Unit()
    lines, key = _key_lines(child, builder, unit, "[]")
    condition = scan_condition(child)
    read = scan_columns(builder, child.relation, child.columns, child.output, condition, as_values=True)
    nullable = scan_nullable(child.relation, child.columns, child.want_tid)
    compiler = Compiler(unit, row_scope(nullable, stored=read.stored), builder)
    lines.append(f"m = find(c.snapshot, {key})")
    lines += ["if not m: return []", "r = m[0]"]
    if condition is not None:
        lines.append(f"if not {compiler.truth(condition).text}: return []")
    if not is_identity(child.output, len(nullable)):
        lines.append(f"r = {compiler.tuple_of(child.output)}")
    lines.append(f"held = lock(c.txn, c.snapshot, r[{lock.address.tid}], {lock.strength!r}, {lock.wait!r})")
    lines += ["if held is None: return []", f"if held[2]: return {unit.bind(general, 'g')}(c, p)"]
    shaped = Compiler(unit, row_scope(output_nullable(child.output, nullable)), builder).tuple_of(plan.output)
    name = unit.function("c, p", [*lines, f"return [{shaped}]"])

    def link(storage: Storage) -> PointFunction:
        table = storage.table(child.relation)
        unit.names |= {"find": table.index(child.index).finder(read.columns, child.want_tid), "lock": table.lock}
        return unit.link(name)

    return link


def _values_row(child: pl.Plan) -> tuple[ex.Expr, ...] | None:
    """The expressions of a one-row source."""
    if isinstance(child, pl.Result) and child.child is None and child.filter is None:
        return child.output
    if isinstance(child, pl.ValuesScan) and len(child.values) == 1 and child.filter is None:
        values = child.values[0]
        if not child.output:
            return values

        def place(node: ex.Expr) -> ex.Expr:
            if isinstance(node, ex.Column):
                return values[node.index]
            return ex.map_children(node, place)

        used = [item.index for node in child.output for item in ex.walk(node) if isinstance(item, ex.Column)]
        return tuple(place(node) for node in child.output) if len(used) == len(set(used)) else None
    return None


def _insert(plan: pl.Insert, row: tuple[ex.Expr, ...], builder: Builder) -> Link | None:
    for top in row:
        if any(isinstance(item, ex.Call) and builder.function(item.function).returns_set for item in ex.walk(top)):
            return None
    unit = Unit()
    compiler = Compiler(unit, Scope(), builder)
    codes = [compiler.value(node) for node in row]
    text = tuple_text([code.text for code in codes])
    if plan.route is not None:
        # The partition that takes the row is another one each time.
        router = Router(plan, plan.route, builder)
        routed = unit.function("c, p", ["c.params = p", f"{unit.bind(router.store_one, 'g')}(c, {text})", "return 1"])
        return lambda storage: unit.link(routed)
    verify = row_verifier(builder, plan.relation, plan.checks)
    must = [column.attno - 1 for column in plan.relation.columns if column.not_null and not column.dropped]
    suspects = [index for index in must if codes[index].nullable]
    lines = []
    if verify is None or not (suspects or plan.checks):
        lines.append(f"insert(c.txn, {text})")
    else:
        lines.append(f"r = {text}")
        # The verifier words the error; a cheap test of the few columns that may be NULL decides whether to call it.
        doubt = "" if plan.checks else f"if {' or '.join(f'r[{index}] is None' for index in suspects)}: "
        if plan.checks:
            lines.append("c.params = p")
        lines += [f"{doubt}{unit.bind(verify, 'g')}(c, (r,))", "insert(c.txn, r)"]
    name = unit.function("c, p", [*lines, "return 1"])

    def link(storage: Storage) -> PointFunction:
        unit.names["insert"] = storage.table(plan.relation).insert
        return unit.link(name)

    return link


def _update(plan: pl.Update, child: pl.IndexScan, builder: Builder) -> Link | None:
    change = RowChange(builder, plan.relation, plan.assignments, plan.recheck, plan.checks, (), shown=plan.named)
    if change.uses_joined:
        return None
    unit = Unit()
    lines, key = _key_lines(child, builder, unit, "0")
    lines += [f"m = find(c.snapshot, {key})", "if not m: return 0", "d = m[0][0]", "def compute(r):"]
    body = change.compute_lines(unit, plan.assignments, plan.recheck, plan.checks, keep=False)
    lines += [f"    {line}" for line in body]
    changed, needed = unit.bind(change.changed), unit.bind(change.needed)
    call = f"update(c.txn, c.snapshot, d, {changed}, compute, {needed})"
    if any("raise" in line or "fail" in line or line.startswith("n = ") for line in body):
        violation = unit.bind(RowViolation, "g")
        lines += ["try:", f"    return 0 if {call} is None else 1"]
        lines += [f"except {violation} as failure:", "    error = explain(c, table, d, failure)", "raise error"]
    else:
        lines.append(f"return 0 if {call} is None else 1")
    name = unit.function("c, p", lines)

    def link(storage: Storage) -> PointFunction:
        table = storage.table(plan.relation)
        unit.names |= {
            "find": table.index(child.index).finder((), True),
            "update": table.update_columns,
            "table": table,
            "explain": change.explain,
        }
        return unit.link(name)

    return link


def _delete(plan: pl.Delete, child: pl.IndexScan, builder: Builder) -> Link:
    change = RowChange(builder, plan.relation, (), plan.recheck, (), ())
    unit = Unit()
    lines, key = _key_lines(child, builder, unit, "0")
    compiler = Compiler(unit, change.old_row_scope(proposed=False), builder)
    test = compiler.truth(plan.recheck).text if plan.recheck is not None else "True"
    lines += [f"m = find(c.snapshot, {key})", "if not m: return 0"]
    lines += ["def recheck(r, at):", f"    return {test}"]
    lines.append(f"return 1 if delete(c.txn, c.snapshot, m[0][0], recheck, {unit.bind(change.needed)}) else 0")
    name = unit.function("c, p", lines)

    def link(storage: Storage) -> PointFunction:
        table = storage.table(plan.relation)
        unit.names |= {"find": table.index(child.index).finder((), True), "delete": table.delete}
        return unit.link(name)

    return link
