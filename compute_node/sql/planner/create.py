"""Path → plan nodes: chooses what each node hands on and turns Vars into columns of input rows.

``create(path, needs)`` gives a plan whose rows are exactly the ``needs`` expressions, so nothing that no one asked for
is fetched, and a scan's projection happens in the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

from aurora.errors import InvariantViolation
from compute_node.relations.access_methods import METHODS, RETURNING_CLASSES
from compute_node.relations.descriptors import IndexDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Column, Const, ExecParam, Expr, SubPlan, Var, map_children, walk
from compute_node.sql.plan import (
    SYSTEM_COLUMNS,
    Append,
    BitmapAnd,
    BitmapHeapScan,
    BitmapIndexScan,
    BitmapOr,
    CteScan,
    ForeignScan,
    FunctionScan,
    HashJoin,
    IncrementalSort,
    IndexKey,
    IndexOnlyScan,
    IndexScan,
    Materialize,
    Memoize,
    MergeAppend,
    MergeJoin,
    NestLoop,
    Plan,
    Result,
    SampleScan,
    SeqScan,
    Sort,
    SubqueryScan,
    TidBound,
    TidRangeScan,
    TidScan,
    Unique,
    ValuesScan,
)
from compute_node.sql.planner.bitmap_paths import Bitmap
from compute_node.sql.planner.cost.sorting import material
from compute_node.sql.planner.paths import (
    AppendPath,
    EmptyPath,
    JoinPath,
    MemoizePath,
    Path,
    ScanPath,
    SortPath,
    SubPath,
    UniquePath,
    row_width,
    test_cost,
    width_of,
)
from compute_node.sql.planner.prune import bound, pruning_of
from compute_node.sql.planner.quals import conjunction, local_vars
from compute_node.sql.planner.selectivity import table_size
from compute_node.sql.planner.state import Level
from compute_node.sql.pruning import Pruning
from compute_node.sql.query import RangeEntry
from compute_node.types import oids
from compute_node.types.long_text import paced

SUB_SELECT_COST = 1.0e4
"""more than any condition without one"""
Mapping_ = Mapping[tuple[int, int], Expr]


def replace_columns(node: Expr, lookup: Callable[[Var], Expr]) -> Expr:
    """The expression with each Var of this level replaced."""
    if isinstance(node, Var):
        return lookup(node)
    if isinstance(node, Const):
        return node
    return map_children(node, lambda child: replace_columns(child, lookup))


def identity(expressions: Sequence[Expr]) -> tuple[Expr, ...]:
    """Columns that hand on a row as it is."""
    return tuple(Column(type=item.type, typmod=item.typmod, index=index) for index, item in enumerate(expressions))


def _dearness(node: Expr) -> float:
    """What conditions are checked in the order of: cheap ones first, sub-selects last."""
    links = sum(isinstance(item, SubPlan) for item in walk(node))
    return test_cost([node]) + links * SUB_SELECT_COST


class Creator:
    """Makes the plan nodes of one query level. ``tid_entry``: the range entry whose scan hands on tids (DML)."""

    def __init__(self, catalog: CatalogView, level: Level, tid_entry: int = -1) -> None:
        self.catalog = catalog
        self.level = level
        self.tid_entry = tid_entry

    def create(self, path: Path, needs: Sequence[Expr]) -> Plan:
        """The plan whose rows are ``needs``."""
        if isinstance(path, ScanPath):
            plan = self._scan(path, needs)
        elif isinstance(path, AppendPath):
            plan = self._append(path, needs)
        elif isinstance(path, JoinPath):
            plan = self._join(path, needs)
        elif isinstance(path, UniquePath):
            plan = self._unique(path, needs)
        elif isinstance(path, SortPath):
            plan = self._sorted(path, needs)
        elif isinstance(path, SubPath):
            plan = self._sub(path, needs)
        elif isinstance(path, EmptyPath):
            plan = Result(output=self._bound(needs, {}))
        else:
            raise InvariantViolation(f"path of unknown kind {type(path).__name__}")
        plan.rows, plan.startup_cost, plan.total_cost = (
            max(1.0, round(path.rows)),
            path.startup,
            max(path.cost, path.startup),
        )
        plan.width = width_of(self.catalog, path, needs)
        return plan

    def _bind(self, node: Expr, mapping: Mapping_) -> Expr:
        return replace_columns(node, lambda var: self._lookup(var, mapping))

    def _lookup(self, var: Var, mapping: Mapping_) -> Expr:
        found = mapping.get((var.rte, var.attno))
        if found is not None:
            return found
        number = self.level.params.get(var)
        if number is None:
            raise InvariantViolation(f"column {var.attno} of range entry {var.rte} is not in the input row")
        return ExecParam(type=var.type, typmod=var.typmod, number=number)

    def _bound(self, needs: Sequence[Expr], mapping: Mapping_) -> tuple[Expr, ...]:
        return tuple(self._bind(item, mapping) for item in needs)

    def _filter(self, quals: Sequence[Expr], mapping: Mapping_) -> Expr | None:
        condition = conjunction(quals if len(quals) < 2 else sorted(quals, key=_dearness))
        return None if condition is None else self._bind(condition, mapping)

    # --- scans ------------------------------------------------------------------------------------------------------

    def _scan(self, path: ScanPath, needs: Sequence[Expr]) -> Plan:
        relation = path.entry.relation
        if relation is None:
            raise InvariantViolation("a table scan without a table")
        columns: list[int] = []
        mapping: dict[tuple[int, int], Expr] = {}
        for item in (*needs, *path.filter, *path.recheck):
            for var in local_vars(item):
                if var.rte == path.rte and (var.rte, var.attno) not in mapping:
                    mapping[var.rte, var.attno] = Column(type=var.type, typmod=var.typmod, index=len(columns))
                    columns.append(var.attno)
        output = self._bound(needs, mapping)
        condition = self._filter(path.filter, mapping)
        if relation.kind == "f":
            return ForeignScan(
                relation=relation, columns=tuple(columns), filter=condition, alias=path.entry.alias, output=output
            )
        want_tid = path.rte == self.tid_entry
        if path.tids is not None and path.tids.values:
            return TidScan(
                relation=relation,
                columns=tuple(columns),
                tids=self._bound(path.tids.values, {}),
                conditions=self._shown(path.conditions, path.rte),
                filter=condition,
                alias=path.entry.alias,
                want_tid=want_tid,
                output=output,
            )
        if path.tids is not None:
            return TidRangeScan(
                relation=relation,
                columns=tuple(columns),
                lower=self._tid_bounds(path.tids.lower),
                upper=self._tid_bounds(path.tids.upper),
                conditions=self._shown(path.conditions, path.rte),
                filter=condition,
                alias=path.entry.alias,
                want_tid=want_tid,
                output=output,
            )
        if path.bitmap is not None:
            return BitmapHeapScan(
                relation=relation,
                child=self._bitmap(path, path.bitmap),
                columns=tuple(columns),
                conditions=self._shown(path.conditions, path.rte),
                recheck=self._filter(path.recheck, mapping),
                filter=condition,
                alias=path.entry.alias,
                want_tid=want_tid,
                output=output,
            )
        sample = path.entry.sample
        if sample is not None:
            return SampleScan(
                relation=relation,
                columns=tuple(columns),
                filter=condition,
                alias=path.entry.alias,
                want_tid=True,
                output=output,
                method=sample.method,
                percent=self._bind(sample.percent, {}),
                seed=None if sample.seed is None else self._bind(sample.seed, {}),
            )
        if path.index is None:
            return SeqScan(
                relation=relation,
                columns=tuple(columns),
                filter=condition,
                alias=path.entry.alias,
                want_tid=want_tid,
                output=output,
            )
        made = replace(
            path.index,
            columns=tuple(columns),
            keys=self._keys(path.index.keys),
            orders=tuple(each._replace(value=self._bind(each.value, {})) for each in path.index.orders),
            ordering=self._shown(path.ordering, path.rte),
            conditions=self._shown(path.conditions, path.rte),
            recheck=self._filter(path.recheck, mapping),
            filter=condition,
            want_tid=want_tid,
            output=output,
        )
        return self._index_only(made) if self._has_all(path.index.index, columns) and not want_tid else made

    def _tid_bounds(self, bounds: Sequence[TidBound]) -> tuple[TidBound, ...]:
        return tuple(TidBound(self._bind(value, {}), inclusive) for value, inclusive in bounds)

    def _has_all(self, index: IndexDesc, columns: Sequence[int]) -> bool:
        """Whether an index could give these columns by itself."""
        method = METHODS[index.method]
        if method.ordered:
            has = {attno for attno in index.columns if attno > 0}
        else:
            places = zip(index.columns, index.codes, strict=True)
            has = {attno for attno, code in places if attno > 0 and code in RETURNING_CLASSES}
        if not set(columns) <= has:
            return False
        return self.level.statement.enabled("enable_indexonlyscan") and not self.level.query.locking

    @staticmethod
    def _index_only(scan: IndexScan) -> IndexOnlyScan:
        return IndexOnlyScan(**{each.name: getattr(scan, each.name) for each in fields(scan)})

    def _bitmap(self, path: ScanPath, bitmap: Bitmap) -> Plan:
        relation = path.entry.relation
        if relation is None:
            raise InvariantViolation("a bitmap without a table")
        rows = max(1.0, round(bitmap.fraction * table_size(self.catalog, relation)[1]))
        if bitmap.index is not None:
            return BitmapIndexScan(
                relation=relation,
                index=bitmap.index,
                keys=self._keys(bitmap.keys),
                conditions=self._shown(bitmap.conditions, path.rte),
                rows=rows,
                total_cost=bitmap.cost,
            )
        kind = BitmapAnd if bitmap.kind == "and" else BitmapOr
        children = tuple(self._bitmap(path, part) for part in bitmap.parts)
        return kind(children=children, rows=rows, startup_cost=bitmap.cost, total_cost=bitmap.cost)

    def _keys(self, keys: Sequence[IndexKey]) -> tuple[IndexKey, ...]:
        return tuple(key if key.value is None else key._replace(value=self._bind(key.value, {})) for key in keys)

    def _shown(self, conditions: Sequence[Expr], rte: int) -> tuple[Expr, ...]:
        """Conditions of an index, over the columns of the table."""

        def lookup(var: Var) -> Expr:
            if var.rte == rte:
                return Column(type=var.type, typmod=var.typmod, index=var.attno - 1)
            return self._lookup(var, {})

        return tuple(replace_columns(item, lookup) for item in conditions)

    def _sub(self, path: SubPath, needs: Sequence[Expr]) -> Plan:
        entry, rte = path.entry, path.rte
        mapping: dict[tuple[int, int], Expr] = {
            (rte, index + 1): Column(type=type_oid, typmod=typmod, index=index)
            for index, (type_oid, typmod) in enumerate(zip(entry.column_types, entry.column_typmods, strict=True))
        }
        output = self._bound(needs, mapping)
        condition = self._filter(path.filter, mapping)
        if entry.kind == "values":
            rows = tuple([self._bound(row, {}) for row in paced(entry.values)])
            return ValuesScan(values=rows, filter=condition, output=output)
        if entry.kind == "function":
            if entry.function is None:
                raise InvariantViolation("a function entry without a function")
            return FunctionScan(
                call=self._bind(entry.function, {}),
                column_count=len(entry.column_types) - int(entry.with_ordinality),
                column_types=entry.column_types[: len(entry.column_types) - int(entry.with_ordinality)],
                with_ordinality=entry.with_ordinality,
                filter=condition,
                alias=entry.alias,
                names=tuple(entry.column_names),
                output=output,
            )
        if path.cte >= 0:
            return CteScan(
                cte=path.cte,
                working=path.working,
                filter=condition,
                alias=entry.alias,
                name=entry.cte or "",
                names=tuple(entry.column_names),
                output=output,
            )
        if path.plan is None:
            raise InvariantViolation(f"range entry {entry.alias} has no plan")
        if condition is None and output == identity(path.plan.output):
            return path.plan
        names = tuple(entry.column_names)
        return SubqueryScan(child=path.plan, filter=condition, alias=entry.alias, names=names, output=output)

    def _sorted(self, path: SortPath, needs: Sequence[Expr]) -> Plan:
        named = (*needs, *(key.expression for key in path.keys if isinstance(key.expression, Var)))
        wanted: list[Expr] = list(dict.fromkeys(var for item in named for var in local_vars(item)))
        wanted = [var for var in wanted if isinstance(var, Var) and var.rte in path.relids]
        wanted += [key.expression for key in path.keys if key.expression not in wanted]
        child = self.create(path.child, wanted)
        columns = identity(wanted)
        mapping: dict[tuple[int, int], Expr] = {
            (var.rte, var.attno): column for var, column in zip(wanted, columns, strict=True) if isinstance(var, Var)
        }
        keys = tuple(replace(key, expression=columns[wanted.index(key.expression)]) for key in path.keys)
        output = self._bound(needs, mapping)
        if path.presorted:
            return IncrementalSort(child=child, keys=keys, output=output, presorted=path.presorted)
        return Sort(child=child, keys=keys, output=output)

    def _unique(self, path: UniquePath, needs: Sequence[Expr]) -> Plan:
        """The keys come first in the rows that are made unique; what else is wanted is of any row of a key."""
        wanted = list(path.keys)
        wanted += [var for item in needs for var in local_vars(item) if var.rte in path.relids and var not in wanted]
        child = self.create(path.child, wanted)
        mapping: dict[tuple[int, int], Expr] = {
            (var.rte, var.attno): column
            for var, column in zip(wanted, identity(wanted), strict=True)
            if isinstance(var, Var)
        }
        for item in needs:
            for var in local_vars(item):
                if (var.rte, var.attno) not in mapping and var.rte in path.relids:
                    raise InvariantViolation(f"column {var.attno} of range entry {var.rte} is not kept")
        return Unique(child=child, count=len(path.keys), output=self._bound(needs, mapping))

    def _append(self, path: AppendPath, needs: Sequence[Expr]) -> Plan:
        """Members give columns; what is computed of them is computed above, but of partitions."""
        if not path.children:
            nothing = tuple(Const(type=item.type, typmod=item.typmod, value=None) for item in needs)
            return Result(filter=Const(type=oids.BOOL, value=False), one_time=True, output=nothing)
        if len(path.children) == 1:
            return self.create(path.children[0], [path.members[0].down(item) for item in needs])
        wanted = list(needs)
        if not all(isinstance(item, Var) for item in wanted):
            wanted = list(dict.fromkeys(var for item in needs for var in local_vars(item) if var.rte == path.rte))
        shown = len(wanted)
        wanted += [key.expression for key in path.keys if key.expression not in wanted]
        children = tuple(
            self.create(child, [member.down(item) for item in wanted])
            for member, child in zip(path.members, path.children, strict=True)
        )
        pruning = self._pruning(path)
        tables = tuple([int(member.relation.oid) for member in path.members]) if pruning is not None else ()
        columns = identity(wanted)
        names = tuple(self._column_name(path.entry, item) for item in wanted)
        if path.keys:
            keys = tuple(replace(key, expression=columns[wanted.index(key.expression)]) for key in path.keys)
            plan: Plan = MergeAppend(
                children=children, keys=keys, output=columns[:shown], alias=path.entry.alias, names=names,
                pruning=pruning, tables=tables,
            )  # fmt: skip
        else:
            plan = Append(
                children=children, output=columns, alias=path.entry.alias, names=names, pruning=pruning, tables=tables
            )
        if shown == len(needs) and wanted[:shown] == list(needs):
            return plan
        plan.rows, plan.startup_cost, plan.total_cost = max(1.0, round(path.rows)), path.startup, path.cost
        plan.width = width_of(self.catalog, path, wanted)
        mapping = {
            (var.rte, var.attno): column for var, column in zip(wanted, columns, strict=True) if isinstance(var, Var)
        }
        return Result(child=plan, output=self._bound(needs, mapping))

    def _pruning(self, path: AppendPath) -> Pruning | None:
        """What is to be asked of a partitioned table's bounds when the statement runs."""
        relation = path.entry.relation
        if relation is None or not relation.is_partitioned:
            return None
        if not self.level.statement.enabled("enable_partition_pruning"):
            return None
        return bound(pruning_of(self.catalog, relation, path.rte, path.filter), lambda node: self._bind(node, {}))

    @staticmethod
    def _column_name(entry: RangeEntry, node: Expr) -> str:
        if not isinstance(node, Var):
            return ""
        return entry.column_names[node.attno - 1] if node.attno > 0 else SYSTEM_COLUMNS[node.attno]

    # --- joins ------------------------------------------------------------------------------------------------------

    def _join(self, path: JoinPath, needs: Sequence[Expr]) -> Plan:
        if path.filter:
            wanted = list(dict.fromkeys(var for item in (*needs, *path.filter) for var in local_vars(item)))
            child = self._join_node(path, wanted)
            child.rows, child.startup_cost, child.total_cost = path.rows, path.startup, path.cost
            child.width = row_width(self.catalog, child.output)
            mapping: dict[tuple[int, int], Expr] = {
                (var.rte, var.attno): column for var, column in zip(wanted, identity(wanted), strict=True)
            }
            return Result(child=child, filter=self._filter(path.filter, mapping), output=self._bound(needs, mapping))
        return self._join_node(path, needs)

    def _join_node(self, path: JoinPath, needs: Sequence[Expr]) -> Plan:
        outer_ids, inner_ids = path.outer.relids, path.inner.relids
        passed = [var for var in path.inner.required if var.rte in outer_ids]
        wanted = list(
            dict.fromkeys(
                var
                for item in (*needs, *path.condition, *path.outer_keys, *path.inner_keys, *passed)
                for var in local_vars(item)
            )
        )
        outer_needs = [var for var in wanted if var.rte in outer_ids]
        inner_needs = [var for var in wanted if var.rte in inner_ids]
        parameters = []
        for var in passed:
            number = self.level.params.get(var)
            if number is None:
                number = self.level.params[var] = self.level.statement.new_param()
            parameters.append((number, var))
        outer = self.create(path.outer, outer_needs)
        cached = path.inner if isinstance(path.inner, MemoizePath) else None
        inner = self.create(path.inner if cached is None else cached.child, inner_needs)
        mapping: dict[tuple[int, int], Expr] = {}
        for side, vars_ in ((0, outer_needs), (1, inner_needs)):
            for index, var in enumerate(vars_):
                mapping[var.rte, var.attno] = Column(type=var.type, typmod=var.typmod, index=index, side=side)
        output = self._bound(needs, mapping)
        condition = self._filter(path.condition, mapping)
        if path.materialize:
            kept = (inner.startup_cost, inner.total_cost)
            kept = material(self.level.statement.costs, kept, inner.rows, inner.width)
            inner = Materialize(
                child=inner,
                output=identity(inner.output),
                rows=inner.rows,
                width=inner.width,
                startup_cost=kept[0],
                total_cost=kept[1],
            )
        if path.method == "merge":
            as_input = {key: replace(item, side=0) for key, item in mapping.items() if isinstance(item, Column)}
            return MergeJoin(
                kind=path.kind,
                outer=outer,
                inner=inner,
                inner_unique=path.single,
                outer_keys=self._bound(path.outer_keys, as_input),
                inner_keys=self._bound(path.inner_keys, as_input),
                descending=path.descending,
                nulls_first=path.nulls_first,
                condition=condition,
                output=output,
            )
        if path.method == "hash":
            as_input = {key: replace(item, side=0) for key, item in mapping.items() if isinstance(item, Column)}
            return HashJoin(
                kind=path.kind,
                outer=outer,
                inner=inner,
                inner_unique=path.single,
                outer_keys=self._bound(path.outer_keys, as_input),
                inner_keys=self._bound(path.inner_keys, as_input),
                condition=condition,
                output=output,
            )
        if cached is not None:
            inner = self._memoized(cached, inner, mapping)
        return NestLoop(
            kind=path.kind,
            outer=outer,
            inner=inner,
            inner_unique=path.single,
            condition=condition,
            parameters=tuple((number, self._bind(var, mapping)) for number, var in parameters),
            output=output,
        )

    def _memoized(self, path: MemoizePath, child: Plan, mapping: Mapping_) -> Plan:
        return Memoize(
            child=child,
            keys=self._bound(path.keys, mapping),
            single=path.single,
            binary=path.binary,
            entries=path.entries,
            output=identity(child.output),
            rows=child.rows,
            width=child.width,
            startup_cost=path.startup,
            total_cost=path.cost,
        )
