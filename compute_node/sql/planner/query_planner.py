"""One query level: sub-selects, FROM, joins, then grouping, DISTINCT, ORDER BY, LIMIT on top."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

from aurora.errors import InvariantViolation, NotSupported
from compute_node.sql.expressions import (
    AggregateCall,
    And,
    Call,
    Case,
    Const,
    Expr,
    Not,
    NullTest,
    Or,
    RowExpr,
    RowsFrom,
    SortKey,
    SubLink,
    SubPlan,
    Var,
    children,
    map_children,
    walk,
)
from compute_node.sql.plan import Plan, RecursiveUnion
from compute_node.sql.planner.access import Access
from compute_node.sql.planner.anti_joins import AntiJoin, take_anti_joins
from compute_node.sql.planner.classes import Classes, Order
from compute_node.sql.planner.create import Creator, identity
from compute_node.sql.planner.disjunctions import factored, restrictions
from compute_node.sql.planner.equivalence import Equivalences
from compute_node.sql.planner.extremes import ends_of_indexes, is_better
from compute_node.sql.planner.families import expand
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.from_tree import FromTree, leaves, nullable, reduce_outer
from compute_node.sql.planner.joining.clauses import hash_keys, hashes_values
from compute_node.sql.planner.joining.search import Item, JoinSearch
from compute_node.sql.planner.joining.uniqueness import is_unique_key
from compute_node.sql.planner.paths import (
    AppendPath,
    EmptyPath,
    Path,
    Rel,
    SubPath,
    entry_statistics,
    rows_of,
    type_width,
)
from compute_node.sql.planner.pull_up import pull_up
from compute_node.sql.planner.push_down import having_as_where, push_down
from compute_node.sql.planner.quals import conjuncts, contains_volatile, local_vars, nonnullable, relids
from compute_node.sql.planner.state import CtePlan, Level, Statement
from compute_node.sql.planner.sublinks import pull_up_exists
from compute_node.sql.query import CommonTable, FromItem, JoinItem, Query, RangeEntry, Sample, Target
from compute_node.sql.rewrite import deep_walk, nested_query, query_expressions
from compute_node.types import oids

_CTID = -1
"""attno of the system column that no row lacks"""


class QueryPlanner:
    """Plans one query level and, through children, everything below it."""

    def __init__(self, statement: Statement, query: Query, parent: Level | None = None) -> None:
        self.statement = statement
        self.catalog = statement.catalog
        self.level = Level(statement, query, parent, resolve=self.prepare)
        self.query = query
        self.creator = Creator(self.catalog, self.level)
        statement.entries[id(self.level)] = len(query.range_table)
        self.path: Path | None = None
        """of FROM and WHERE, once it is chosen"""
        self.constant_quals: list[Expr] = []
        """conditions without columns, found by ``join_path``: they gate the whole level"""
        self.classes = Classes(self.catalog)
        self.first_rows = 0.0
        """so many rows are asked for at most, above 0; below 0 such a share of them"""
        self._widths: dict[int, float] | None = None
        self._order: Sequence[SortKey[Expr]] = ()
        self._shares: dict[int, tuple[Expr, float]] = {}
        """conditions of joins of which part is asked of one side before, by identity; the share of pairs left then"""
        self.where_quals: list[Expr] = []
        """all conditions of WHERE that did not become joins, found by ``join_path``"""
        self._anti_joins: list[AntiJoin] = []
        """left joins of which only the rows without a partner are asked for"""
        self._grouped_by: list[tuple[Expr, Expr]] = []
        """keys of groups with sub-selects, as they are written and prepared"""

    # --- expressions ------------------------------------------------------------------------------------------------

    def prepare(self, node: Expr) -> Expr:
        """An expression with outer references as execution parameters, sub-selects planned, constants folded."""
        if isinstance(node, Var) and node.levels_up == 0 and node.attno:
            return node
        if any(
            isinstance(item, SubLink)
            or (isinstance(item, (Var, AggregateCall)) and item.levels_up > 0)
            or (isinstance(item, Var) and item.attno == 0)
            or (isinstance(item, RowExpr) and item.whole)
            for item in walk(node)
        ):
            node = self._resolve(node)
        return fold(self.catalog, node)

    def targets(self) -> list[Expr]:
        """The query's targets, prepared. A sub-select that is grouped by is planned once: where it is written again it
        is the group's."""
        query = self.query
        ready: dict[int, Expr] = {}
        for index in query.group_by:
            written = query.targets[index].expression
            if any(isinstance(item, SubLink) for item in walk(written)):
                ready[index] = self.prepare(written)
                self._grouped_by.append((written, ready[index]))
        return [ready.get(index) or self.prepare(each.expression) for index, each in enumerate(query.targets)]

    def conditions(self, node: Expr) -> list[Expr]:
        """The conjuncts of a condition, prepared."""
        return conjuncts(factored(self.prepare(node)))

    def _resolve(self, node: Expr) -> Expr:
        for written, ready in self._grouped_by:
            if node == written:
                return ready
        if isinstance(node, Var) and node.attno == 0:
            row = self._whole_row(node)
            return self._resolve(row) if node.levels_up else row
        if isinstance(node, RowExpr) and node.whole:
            node = self._missing_row(node)
        if isinstance(node, (Var, AggregateCall)) and node.levels_up > 0:
            return self.level.outer_param(node, node.levels_up)
        if isinstance(node, Var):
            return node
        node = map_children(node, self._resolve)
        return self._sublink(node) if isinstance(node, SubLink) else node

    def _whole_row(self, node: Var) -> Expr:
        query, levels = self._query_at(node.levels_up), node.levels_up
        entry = query.range_table[node.rte]
        relation = entry.relation if entry.kind == "relation" else None
        # Dropped columns keep their places in a value of the table's row type.
        columns: list[tuple[str, Expr]] = [
            (name, Const(type=oids.INT4, value=None))
            if relation is not None and relation.columns[index].dropped
            else (name, Var(type=type_oid, typmod=typmod, rte=node.rte, attno=index + 1, levels_up=levels))
            for index, (name, type_oid, typmod) in enumerate(
                zip(entry.column_names, entry.column_types, entry.column_typmods, strict=True)
            )
        ]
        row = RowExpr(
            type=node.type, arguments=tuple(column for _, column in columns), names=tuple(name for name, _ in columns)
        )
        if entry.kind != "relation":
            return self._missing_row(row)
        if not any(node.rte in nullable(item) for item in query.from_items):
            return row
        # Where an outer join found no row the whole row is NULL, not a row of NULLs: it has no ctid.
        ctid = Var(type=oids.TID, rte=node.rte, attno=_CTID, levels_up=levels)
        missing = NullTest(type=oids.BOOL, argument=ctid, negated=False)
        return Case(type=node.type, operand=None, branches=((missing, Const(type=node.type, value=None)),), default=row)

    def _missing_row(self, node: RowExpr) -> Expr:
        """The whole row of a sub-select, function or WITH item: NULL where an outer join found none, as all of its
        columns are then."""
        row = dataclasses.replace(node, whole=False)
        columns = [item for item in node.arguments if isinstance(item, Var)]
        if not columns or len(columns) < len(node.arguments) or len({(c.rte, c.levels_up) for c in columns}) > 1:
            return row
        rte, levels = columns[0].rte, columns[0].levels_up
        query = self._query_at(levels)
        if not any(rte in nullable(item) for item in query.from_items):
            return row
        if query.range_table[rte].kind == "relation":
            columns = [Var(type=oids.TID, rte=rte, attno=_CTID, levels_up=levels)]
        tests = tuple(NullTest(type=oids.BOOL, argument=column, negated=False, as_value=True) for column in columns)
        missing: Expr = tests[0] if len(tests) == 1 else And(type=oids.BOOL, arguments=tests)
        return Case(type=node.type, operand=None, branches=((missing, Const(type=node.type, value=None)),), default=row)

    def _query_at(self, levels: int) -> Query:
        """The query so many levels out."""
        level: Level | None = self.level
        for _ in range(levels):
            level = None if level is None else level.parent
        if level is None:
            raise InvariantViolation(f"there is no query level {levels} levels out")
        return level.query

    def _sublink(self, node: SubLink) -> Expr:
        child = QueryPlanner(self.statement, node.query, self.level)
        child.first_rows = 1.0 if node.kind == "EXISTS" else 0.0
        before = set(self.level.params)
        plan = child.plan(exists=node.kind == "EXISTS")
        # references to this level made anywhere inside are set from this level's row
        parameters = tuple(
            (number, self.prepare(expr))
            for expr, number in list(self.level.params.items())
            if expr not in before or self._mentions(node, expr)
        )
        self.statement.subplans.append(plan)
        hashed = (
            node.kind == "ANY"
            and not child.level.uses_outer
            and not parameters
            and all(hashes_values(self.catalog, test) for test in conjuncts(node.test))
        )
        return SubPlan(
            type=node.type,
            typmod=node.typmod,
            kind=node.kind,
            plan=len(self.statement.subplans) - 1,
            parameters=parameters,
            test=node.test,
            hashed=hashed,
            location=node.location,
        )

    @staticmethod
    def _mentions(node: SubLink, expr: Expr) -> bool:
        """Whether the sub-select refers to this column, or aggregate, of the level around it. The columns in such an
        aggregate are not the sub-select's own: it is computed where they are."""
        waiting = list(query_expressions(node.query, 1))
        while waiting:
            item, level = waiting.pop()
            if isinstance(item, AggregateCall) and item.levels_up == level:
                if isinstance(expr, AggregateCall):
                    return True
                continue
            if isinstance(item, Var) and item.levels_up == level and isinstance(expr, Var):
                if item.rte == expr.rte and item.attno in (0, expr.attno):
                    return True
            if isinstance(item, SubLink):
                waiting += query_expressions(item.query, level + 1)
            waiting += [(child, level) for child in children(item)]
        return False

    # --- the whole level --------------------------------------------------------------------------------------------

    def plan(self, exists: bool = False) -> Plan:
        """The plan of a SELECT: its rows are the visible targets. ``exists``: only whether there is a row matters."""
        from compute_node.sql.planner.upper import plan_upper

        self.plan_ctes()
        if exists and not (
            self.query.set_op
            or self.query.has_aggregates
            or self.query.group_by
            or self.query.distinct
            or self.query.has_windows
        ):
            if not (self.query.having or self.query.limit or self.query.offset or self.query.has_srfs):
                # the target list and order of an EXISTS sub-select do not matter
                one = Target(Const(type=oids.INT4, value=1), "?column?")
                self._replace(dataclasses.replace(self.query, targets=[one], order_by=(), locking=()))
        ends = ends_of_indexes(self)
        return plan_upper(self) if ends is None else self._better(ends)

    def _better(self, other: Query) -> Plan:
        """The cheaper of the query's own plan and that of another query for the same rows."""
        from compute_node.sql.planner.upper import plan_upper

        whole = plan_upper(self)
        mark = len(self.statement.subplans)
        planner = QueryPlanner(self.statement, other, self.level.parent)
        plan = plan_upper(planner)
        self.level.uses_outer = self.level.uses_outer or planner.level.uses_outer
        if is_better(plan, self.statement.subplans, whole):
            return plan
        del self.statement.subplans[mark:]
        return whole

    def _replace(self, query: Query) -> None:
        self.query = query
        self.level.query = query
        self.statement.entries[id(self.level)] = len(query.range_table)

    def plan_ctes(self) -> None:
        """Plan or mark for inlining the WITH items of this level."""
        for item in self.query.ctes:
            self.level.ctes[item.name] = self._cte(item)

    def _cte(self, item: CommonTable) -> CtePlan:
        if not item.recursive and item.materialized is not True and item.query.command == "select":
            count = _references(self.query, item.name)
            wanted = item.materialized is False or (count <= 1 and not self._has_volatile(item.query))
            if wanted and not _locks_rows(item.query):
                return CtePlan(item, None)
        if item.recursive:
            return self._recursive(item)
        if item.query.command != "select":
            return self._change(item)
        index = len(self.statement.ctes)
        self.statement.ctes.append(_PLACEHOLDER)
        child = QueryPlanner(self.statement, item.query, self.level)
        plan = child.plan()
        self.statement.ctes[index] = plan
        return CtePlan(item, index, plan.rows)

    def _change(self, item: CommonTable) -> CtePlan:
        """A data-modifying item: it runs once, whether or not it is read."""
        from compute_node.sql.planner.modify import plan_modify

        index = len(self.statement.ctes)
        self.statement.ctes.append(_PLACEHOLDER)
        plan = plan_modify(QueryPlanner(self.statement, item.query, self.level))
        self.statement.ctes[index] = plan
        return CtePlan(item, index, max(plan.rows, 1.0))

    def _has_volatile(self, query: Query) -> bool:
        return any(
            isinstance(node, Call) and self.catalog.function(node.function).volatility == "v"
            for expr, _ in query_expressions(query)
            for node, _ in deep_walk(expr)
        )

    def _recursive(self, item: CommonTable) -> CtePlan:
        """WITH RECURSIVE: the CTE's body is a set operation whose right side reads the working table."""
        if item.query.set_op is None:
            raise InvariantViolation("a recursive CTE that is no UNION")
        _, keep_all, initial, recursive = item.query.set_op
        index = len(self.statement.ctes)
        self.statement.ctes.append(_PLACEHOLDER)
        body = QueryPlanner(self.statement, item.query, self.level)
        body.plan_ctes()
        first = QueryPlanner(self.statement, initial, body.level).plan()
        body.level.ctes[item.name] = CtePlan(item, index, first.rows * 10, working=True)
        second = QueryPlanner(self.statement, recursive, body.level).plan()
        self.statement.ctes[index] = RecursiveUnion(
            cte=index,
            initial=first,
            recursive=second,
            distinct=not keep_all,
            output=identity(first.output),
            rows=first.rows + second.rows * 10,
            width=first.width,
            startup_cost=first.startup_cost,
            total_cost=first.total_cost + second.total_cost * 10,
        )
        return CtePlan(item, index, first.rows * 10)

    # --- FROM and WHERE ---------------------------------------------------------------------------------------------

    def simplify(self) -> None:
        """Rules on the query before paths are made: inline CTEs, pull up sub-selects."""
        query = self.query
        while True:
            # a merged sub-select may bring references to WITH items, an inlined one is a sub-select to merge
            merged = pull_up(self.catalog, self._inline_ctes(query))
            if merged is query:
                break
            query = merged
        query = having_as_where(self.catalog, query)
        query, self._anti_joins = take_anti_joins(self.catalog, query)
        if query is not self.query:
            self._replace(query)

    def _inline_ctes(self, query: Query) -> Query:
        entries = [self._inlined(entry) for entry in query.range_table]
        if all(new is old for new, old in zip(entries, query.range_table, strict=True)):
            return query
        return dataclasses.replace(query, range_table=entries)

    def _inlined(self, entry: RangeEntry) -> RangeEntry:
        """A reference to a WITH item that is to be inlined, as a sub-select; any other entry as it is."""
        if entry.kind != "cte":
            return entry
        found = self.find_cte(entry)
        if found.index is not None:
            return entry
        levels = entry.cte_levels_up
        inner = nested_query(found.table.query, levels) if levels else found.table.query
        return dataclasses.replace(entry, kind="subquery", query=inner, cte=None, cte_levels_up=0)

    def find_cte(self, entry: RangeEntry) -> CtePlan:
        """How the WITH item of a range entry is read."""
        level: Level | None = self.level
        for _ in range(entry.cte_levels_up):
            level = level.parent if level is not None else None
        while level is not None:
            found = level.ctes.get(entry.cte or "")
            if found is not None:
                return found
            level = level.parent
        raise InvariantViolation(f"WITH item {entry.cte} is not planned")

    def join_path(self) -> Path:
        """The cheapest path for FROM and WHERE."""
        self.path = self.join_rel().cheapest
        return self.path

    def join_rel(self, order: Sequence[SortKey[Expr]] = (), needs: Sequence[Expr] = ()) -> Rel:
        """The paths for FROM and WHERE. ``order``: the rows had best come so (keys over Vars); ``needs``: what is
        computed of them, which says how wide they are."""
        query = self.query
        where, extra_items = self._pull_up_sublinks(conjuncts(query.where))
        self._expand_families()
        query = self.query
        prepared = [_decided(part) for item in where for part in self.conditions(item)]
        self.where_quals = prepared
        # What a semi join asks of a row holds for each that is left.
        asked = [part for kind, parts, _ in extra_items if kind == "semi" for part in parts]
        trees = self._reduced(query.from_items, [*prepared, *asked])
        for strength, _, entries in query.locking:
            if any(nullable(tree) & frozenset(entries) for tree in trees):
                shown = f"FOR {strength.upper()}"
                raise NotSupported(f"{shown} cannot be applied to the nullable side of an outer join")
        constant = [item for item in prepared if not relids(item)]
        rest = [item for item in prepared if relids(item)]
        if not trees and not extra_items:
            self.constant_quals = constant
            return Rel(frozenset(), 0, 1.0, 0.0, [EmptyPath(relids=frozenset(), cost=0.01)])
        # A volatile condition is asked for each row, though it has no column.
        volatile = [item for item in constant if contains_volatile(self.catalog, item)]
        self.constant_quals = [item for item in constant if item not in volatile]
        single = len(trees) == 1 and isinstance(trees[0], FromItem) and not extra_items
        if single and not order:
            self._widths = None
        else:
            self._widths = self._needed([*needs, *rest])
        self._order = order
        items, placed = self._flatten(
            trees, [*rest, *volatile] if single else rest, [parts for _, parts, _ in extra_items]
        )
        for _, _, make in extra_items:
            items.append(make())
        if not single:
            everywhere = frozenset[int]().union(*(item.relids for item in items))
            placed += [(qual, everywhere) for qual in volatile]
        rel = self._search(items, placed)
        self.path = rel.cheapest
        if len(items) > 1 and _has_no_rows(items):
            self.constant_quals = [*self.constant_quals, Const(type=oids.BOOL, value=False)]
        return rel

    def _reduced(self, trees: Sequence[FromTree], conditions: Sequence[Expr]) -> list[FromTree]:
        """FROM with what its conditions make of outer joins; no join is a right one any more."""
        nonnull = frozenset[int]().union(*(nonnullable(self.catalog, item) for item in conditions))
        return [reduce_outer(self.catalog, item, nonnull) for item in trees]

    def _expand_families(self) -> None:
        """A range entry for each table of each family."""
        query = expand(self.catalog, self.query, self.level.families)
        if query is not self.query:
            self._replace(query)
            for members in self.level.families.values():
                self.statement.relations.update(member.relation.oid for member in members)

    def _search(self, items: list[Item], quals: Sequence[tuple[Expr, frozenset[int]]]) -> Rel:
        return JoinSearch(self._access(), self.classes, items, quals, self.wants_first, self._shares).best()

    def _access(self) -> Access:
        return Access(self.statement, self.query, self.level.families)

    @property
    def wants_first(self) -> bool:
        """Whether not all rows will be asked for."""
        return self.query.limit is not None or self.first_rows != 0

    def _needed(self, expressions: Sequence[Expr]) -> dict[int, float]:
        """How wide each entry's rows are: the columns that something above their scan needs."""
        found: dict[int, float] = {}
        seen: set[Var] = set()
        for node in expressions:
            for var in local_vars(node):
                if var not in seen:
                    seen.add(var)
                    found[var.rte] = found.get(var.rte, 0.0) + self._column_width(var)
        return found

    def target_width(self, targets: Sequence[Expr]) -> float:
        """Bytes of a row of these."""
        return sum(
            self._column_width(item)
            if isinstance(item, Var) and not item.levels_up
            else float(type_width(self.catalog, item.type, item.typmod))
            for item in targets
        )

    def _column_width(self, var: Var) -> float:
        entry = self.query.range_table[var.rte]
        known = entry_statistics(self.catalog, entry, var.attno)
        if known is not None:
            return float(known.width)
        return float(type_width(self.catalog, var.type, var.typmod))

    def groups(self, keys: Sequence[Expr], rows: float) -> float:
        """How many groups such keys make of so many rows of FROM."""
        estimator = self._access().estimator
        return round(estimator.groups(keys, rows, lambda rte: rows_of(self.path, rte) or rows))

    # --- flattening -------------------------------------------------------------------------------------------------

    def _flatten(
        self, trees: Sequence[FromTree], quals: list[Expr], others: Sequence[Sequence[Expr]] = ()
    ) -> tuple[list[Item], list[tuple[Expr, frozenset[int]]]]:
        """Items of a join problem and the conditions that neither a single item nor a class can take, each with the
        entries that must be joined before. ``others``: conditions of semi and anti joins to come."""
        pending: list[tuple[str, FromTree, list[Expr], frozenset[int]]] = []
        pool: list[Expr] = []
        loose: list[tuple[Expr, frozenset[int]]] = []
        limit = int(self.statement.number("join_collapse_limit", 8))

        def visit(item: FromTree) -> None:
            if isinstance(item, FromItem) or item.kind == "full":
                pending.append(("inner", item, [], frozenset()))
                return
            condition = [] if item.condition is None else self.conditions(item.condition)
            start = len(pending)
            visit(item.left)
            if item.kind == "inner":
                middle = len(pending)
                visit(item.right)
                for qual in condition:
                    # A volatile one that names no column is asked for each row of its join.
                    if not relids(qual) and contains_volatile(self.catalog, qual):
                        loose.append((qual, leaves(item)))
                    else:
                        pool.append(qual)
                self._collapse(pending, start, middle, item, limit)
                return
            if item.kind != "left":
                raise InvariantViolation(f"a {item.kind} join that was not reduced")
            left, right = leaves(item.left), leaves(item.right)
            if len(pending) - start >= limit and len(pending) - start > 1:
                pending[start:] = [("inner", item.left, [], frozenset())]
            mentioned = frozenset[int]().union(*(relids(qual) for qual in condition))
            pending.append(("left", item.right, condition, (mentioned & left) or left))
            if not mentioned <= left | right:
                # references to items outside the join itself: only LATERAL makes them
                pending[-1] = ("left", item.right, condition, mentioned - right)

        for tree in trees:
            visit(tree)
        pool += quals
        equal = Equivalences(self.catalog, pool)
        pool = self._equalities_last(equal.conditions(pool))
        if len(pending) > 1 or others:
            nulls = 0
            for tree in trees:
                for rte in nullable(tree):
                    nulls |= 1 << rte
            entries = 0
            for rte in frozenset[int]().union(*(leaves(tree) for tree in trees)):
                entries |= 1 << rte
            pool = self._classify(pool, nulls, entries)
            single = [tree.rte for kind, tree, _, _ in pending if kind == "inner" and isinstance(tree, FromItem)]
            pool += self._restrictions(pool, single)
        elif self._order:
            for qual in pool:
                self.classes.fix(qual)
        if self._order:
            self.classes.wanted = self.classes.order(self._order) or ()
            self.classes.sorted_by = self._order
            self.classes.interesting.update(number for number, _, _ in self.classes.wanted)
        left_conditions = [
            self._equalities_last(equal.below(condition, leaves(tree))) if kind != "inner" else condition
            for kind, tree, condition, _ in pending
        ]
        for conditions in [*left_conditions, *others]:
            for qual in conditions:
                self._note(qual)
        items = []
        taken: set[int] = set()
        for (kind, tree, _, min_left), condition in zip(pending, left_conditions, strict=True):
            own = leaves(tree)
            if kind != "inner" and isinstance(tree, FromItem):
                condition = [*condition, *self._restrictions(condition, [tree.rte])]
            if kind == "inner":
                mine = [qual for qual in pool if relids(qual) <= own]
                taken |= {id(qual) for qual in mine}
                items.append(Item(kind, self._unless_never(self._tree_rel(tree, mine), mine), mine))
            else:
                mine = [qual for qual in condition if relids(qual) and relids(qual) <= own]
                rest = [qual for qual in condition if qual not in mine]
                items.append(Item(kind, self._unless_never(self._tree_rel(tree, mine), rest), mine, rest, min_left))
        placed = [(qual, relids(qual)) for qual in pool if id(qual) not in taken]
        # What is of a join within an item is found once more when that is planned.
        within = [leaves(tree) for _, tree, _, _ in pending]
        return items, [*placed, *(each for each in loose if not any(each[1] <= own for own in within))]

    @staticmethod
    def _collapse(
        pending: list[tuple[str, FromTree, list[Expr], frozenset[int]]],
        start: int,
        middle: int,
        item: JoinItem,
        limit: int,
    ) -> None:
        """Where a JOIN has more items than ``join_collapse_limit``, its sides become problems of their own."""
        if len(pending) - start <= limit:
            return
        if len(pending) - middle > 1:
            pending[middle:] = [("inner", item.right, [], frozenset())]
        if middle - start > 1:
            pending[start:middle] = [("inner", item.left, [], frozenset())]

    def _equalities_last(self, conditions: list[Expr]) -> list[Expr]:
        """Conditions in the order in which they are checked: those that make classes come after the others."""
        conditions = [self._without_itself(item) for item in conditions]
        if len(conditions) < 2:
            return conditions
        classes = [bool(self.classes.family(item)) for item in conditions]
        first = [item for item, of_class in zip(conditions, classes, strict=True) if not of_class]
        return first + [item for item, of_class in zip(conditions, classes, strict=True) if of_class]

    def _without_itself(self, node: Expr) -> Expr:
        """What equals itself is not NULL, and that is all that such a condition says."""
        if isinstance(node, Call) and len(node.arguments) == 2 and node.arguments[0] == node.arguments[1]:
            strict = self.catalog.function(node.function).strict
            if strict and self.classes.family(node) and not contains_volatile(self.catalog, node):
                argument = node.arguments[0]
                # A row with NULLs in it is not NULL.
                is_row = self.catalog.type(argument.type).root.kind not in "berm"
                return NullTest(type=oids.BOOL, argument=argument, negated=True, as_value=is_row)
        return node

    def _classify(self, pool: list[Expr], nulls: int, entries: int) -> list[Expr]:
        """The conditions that no class enforces."""
        for qual in pool:
            self.classes.fix(qual)
        rest = [qual for qual in pool if not self.classes.add(qual, nulls)]
        rest += self.classes.within_entries(entries)
        self.classes.interesting.update(number for number, _ in self.classes.joining())
        return rest

    def _restrictions(self, conditions: Sequence[Expr], entries: Sequence[int]) -> list[Expr]:
        """What ORs over several of the entries ask of one alone."""
        if not any(isinstance(item, Or) for item in conditions):
            return []
        estimator = self._access().estimator
        found = []
        for condition, asked, share in restrictions(self.catalog, estimator, conditions, entries):
            before = self._shares.get(id(condition))
            of_pairs = estimator.of(condition) if before is None else before[1]
            self._shares[id(condition)] = condition, min(of_pairs / share, 1.0) if share > 0 else of_pairs
            found.append(asked)
        return found

    def _note(self, qual: Expr) -> None:
        """An order by a side of an outer join's equality is of use."""
        family = self.classes.family(qual)
        if family and isinstance(qual, Call):
            self.classes.interesting.update(self.classes.of(side, family) for side in qual.arguments)

    def _tree_rel(self, tree: FromTree, quals: list[Expr]) -> Rel:
        """The paths of one item: a leaf, a FULL join, or a nested join problem (the nullable side of an outer join)."""
        if isinstance(tree, FromItem):
            return self._leaf(tree.rte, quals)
        if tree.kind == "full":
            return self._full_join(tree, quals)
        items, placed = self._flatten([tree], quals)
        found = self._search(items, placed)
        return self._nothing_of(found) if _has_no_rows(items) else found

    def _unless_never(self, rel: Rel, asked: Sequence[Expr]) -> Rel:
        """An item of a join; what is known never to be true is ``asked`` of its rows: it is not read."""
        return self._nothing_of(rel) if any(isinstance(each, Const) and not each.value for each in asked) else rel

    def _nothing_of(self, rel: Rel) -> Rel:
        """No rows in the place of these."""
        rte = min(rel.relids)
        nothing = AppendPath(
            relids=rel.relids, rte=rte, entry=self.query.range_table[rte], members=[], children=[], rows=rel.rows
        )
        return Rel(rel.relids, rel.mask, rel.rows, rel.width, [nothing])

    def _full_join(self, tree: JoinItem, quals: list[Expr]) -> Rel:
        condition = [] if tree.condition is None else self.conditions(tree.condition)
        if any(isinstance(item, Const) and item.value is not True for item in self.constant_quals):
            # No row is asked for, so it does not matter what cannot be joined.
            condition = []
        for qual in condition:
            self._note(qual)
        left = Item("inner", self._tree_rel(tree.left, []))
        right = Item("full", self._tree_rel(tree.right, []), on=condition)
        keys, rest = hash_keys(self.catalog, condition, left.relids, right.relids)
        merges = bool(condition) and all(self._merges(qual, left.relids, right.relids) for qual in condition)
        if not keys and not merges and any(not isinstance(item, Const) for item in rest):
            raise NotSupported("FULL JOIN is only supported with merge-joinable or hash-joinable join conditions")
        everywhere = left.relids | right.relids
        return self._search([left, right], [(qual, relids(qual) & everywhere or everywhere) for qual in quals])

    def _merges(self, qual: Expr, left: frozenset[int], right: frozenset[int]) -> bool:
        """Whether a condition is an equality of the two sides that sorted rows can be merged by."""
        if not isinstance(qual, Call) or not self.classes.family(qual):
            return False
        one, other = (relids(side) for side in qual.arguments)
        return bool(one and other) and ((one <= left and other <= right) or (one <= right and other <= left))

    def _rel(self, paths: Sequence[Path]) -> Rel:
        """Of one range entry."""
        first = paths[0]
        (rte,) = first.relids
        width = 0.0 if self._widths is None else self._widths.get(rte, 0.0)
        return Rel(first.relids, 1 << rte, first.rows, width, sorted(paths, key=lambda path: path.cost))

    def security_of(self, rte: int) -> list[Expr]:
        """What a row of a range entry must meet before any other condition looks at it, prepared."""
        return [part for item in self.query.range_table[rte].security for part in self.conditions(item)]

    def _leaf(self, rte: int, quals: list[Expr]) -> Rel:
        entry = self._inlined(self.query.range_table[rte])
        security = self.security_of(rte)
        rel = self._entry_rel(rte, entry, [*security, *quals])
        rel.security = security
        return rel

    def _entry_rel(self, rte: int, entry: RangeEntry, quals: list[Expr]) -> Rel:
        """The same with all its conditions given."""
        if entry.kind == "relation" and entry.relation is not None:
            self.statement.relations.add(entry.relation.oid)
            if entry.sample is not None:
                return self._rel([self._sampled(rte, entry, entry.sample, quals)])
            return self._rel(self._access().paths(rte, entry, quals, self.classes))
        path = SubPath(relids=frozenset({rte}), rte=rte, entry=entry, filter=quals, rows=1000.0, cost=10.0)
        if entry.kind == "subquery":
            self._plan_subquery(path, entry)
        elif entry.kind == "cte":
            found = self.find_cte(entry)
            if found.index is None:
                raise InvariantViolation(f"WITH item {entry.cte} should have been inlined")
            path.cte, path.working, path.rows = found.index, found.working, found.rows
            path.cost = found.rows * 0.02
        elif entry.kind == "values":
            rows = tuple(tuple(self.prepare(value) for value in row) for row in entry.values)
            path.entry = dataclasses.replace(entry, values=rows)
            path.rows, path.cost = float(len(rows)), len(rows) * 0.0125
            path.required = frozenset(var for row in rows for value in row for var in local_vars(value))
        elif entry.kind == "function" and entry.function is not None:
            function = self.prepare(entry.function)
            path.entry = dataclasses.replace(entry, function=function)
            path.rows = 1.0
            for call in function.calls if isinstance(function, RowsFrom) else (function,):
                if isinstance(call, Call) and self.catalog.function(call.function).returns_set:
                    path.rows = max(path.rows, self._set_rows(call))
            path.cost = path.rows * 0.01
            path.required = frozenset(local_vars(function))
        else:
            raise InvariantViolation(f"range entry of kind {entry.kind} cannot be read")
        for var in path.required:
            if var not in self.level.params:
                self.level.params[var] = self.statement.new_param()
        if path.filter:
            estimator = self._access().estimator
            path.rows = max(1.0, round(path.rows * estimator.of_all(path.filter)))
        return self._rel([path])

    def _sampled(self, rte: int, entry: RangeEntry, sample: Sample, quals: list[Expr]) -> Path:
        """A table's sample; what it is asked of may be columns of LATERAL's left side."""
        percent = self.prepare(sample.percent)
        seed = None if sample.seed is None else self.prepare(sample.seed)
        entry = dataclasses.replace(entry, sample=dataclasses.replace(sample, percent=percent, seed=seed))
        access = self._access()
        family = access.family(rte)
        path: Path
        if family is None:
            path = access.seq_path(rte, entry, quals)
        else:
            path = family.sampled(rte, entry, quals)
        path.required |= frozenset(var for item in (percent, seed) if item is not None for var in local_vars(item))
        for var in path.required:
            if var not in self.level.params:
                self.level.params[var] = self.statement.new_param()
        if isinstance(percent, Const) and isinstance(percent.value, float):
            path.rows = max(1.0, path.rows * min(max(percent.value, 0.0), 100.0) / 100)
        return path

    def _set_rows(self, call: Call) -> float:
        name = self.catalog.function(call.function).name
        arguments = call.arguments
        if name == "generate_series" and all(isinstance(item, Const) for item in arguments[:2]) and len(arguments) == 2:
            low, high = (item.value for item in arguments if isinstance(item, Const))
            if isinstance(low, int) and isinstance(high, int):
                return float(max(high - low + 1, 1))
        return 10.0 if name in ("unnest", "aclexplode") else 1000.0

    def _plan_subquery(self, path: SubPath, entry: RangeEntry) -> None:
        if entry.query is None:
            raise InvariantViolation(f"sub-select {entry.alias} has no query")
        before = set(self.level.params)
        query, path.filter = push_down(self.catalog, entry.query, path.rte, path.filter, entry.is_barrier)
        child = QueryPlanner(self.statement, query, self.level)
        path.plan = child.plan()
        path.volatile = self._has_volatile(entry.query)
        path.order = self._order_of(path.rte, query)
        path.rows, path.startup, path.cost = path.plan.rows, path.plan.startup_cost, path.plan.total_cost
        probe = SubLink(type=oids.BOOL, kind="EXISTS", query=entry.query)
        path.required = frozenset(
            var
            for var in self.level.params
            if isinstance(var, Var) and (var not in before or self._mentions(probe, var))
        )
        if any(isinstance(item, AggregateCall) and item not in before for item in self.level.params):
            raise NotSupported("aggregates of an outer query inside a LATERAL sub-select are not supported")

    def _order_of(self, rte: int, query: Query) -> Order:
        """What a sub-select's rows come in the order of."""
        keys: list[SortKey[Expr]] = []
        for key in query.order_by:
            target = query.targets[key.expression]
            if target.junk:
                break
            kind = target.expression
            column = Var(type=kind.type, typmod=kind.typmod, rte=rte, attno=key.expression + 1)
            keys.append(SortKey(column, key.type, key.descending, key.nulls_first))
        return self.classes.order(keys) or ()

    # --- sub-selects of WHERE as joins ------------------------------------------------------------------------------

    def _pull_up_sublinks(
        self, where: list[Expr]
    ) -> tuple[list[Expr], list[tuple[str, list[Expr], Callable[[], Item]]]]:
        """The conditions that are left, and for EXISTS, NOT EXISTS and IN (the kind of join that they become, its
        conditions, what makes it)."""
        kept: list[Expr] = []
        makers: list[tuple[str, list[Expr], Callable[[], Item]]] = []
        for item in where:
            kind, link = "semi", item
            if isinstance(item, Not) and isinstance(item.argument, SubLink) and item.argument.kind == "EXISTS":
                kind, link = "anti", item.argument
            if not isinstance(link, SubLink) or link.kind not in ("EXISTS", "ANY") or not self.query.from_items:
                kept.append(item)
                continue
            merged = pull_up_exists(self.catalog, self.query, link)
            if merged is None:
                kept.append(item)
                continue
            query, trees, conditions = merged
            self._replace(query)
            if not trees:
                kept += conditions
                continue
            if kind == "semi" and len(trees) == 1 and isinstance(trees[0], FromItem):
                if is_unique_key(self.catalog, query.range_table[trees[0].rte], trees[0].rte, conditions):
                    # Nothing matches twice, so it is a join like others.
                    self._replace(dataclasses.replace(query, from_items=[*query.from_items, *trees]))
                    kept += conditions
                    continue
            parts = [part for each in conditions for part in self.conditions(each)]
            if _is_never(parts):
                # No row of the sub-select is ever found.
                if kind == "semi":
                    kept.append(Const(type=oids.BOOL, value=False))
                continue
            makers.append(self._maker(kind, trees, parts))
        for tree, condition in self._anti_joins:
            parts = self.conditions(condition)
            if not _is_never(parts):
                makers.append(self._maker("anti", [tree], parts))
        return kept, makers

    def _maker(
        self, kind: str, trees: Sequence[FromTree], parts: list[Expr]
    ) -> tuple[str, list[Expr], Callable[[], Item]]:
        """A semi or anti join to come with ``trees``."""
        trees = self._reduced(trees, parts)
        if len(trees) == 1 and isinstance(trees[0], FromItem):
            parts = parts + self._restrictions(parts, [trees[0].rte])
        return kind, parts, partial(self._semi_item, kind, trees, parts)

    def _semi_item(self, kind: str, trees: list[FromTree], prepared: list[Expr]) -> Item:
        own = frozenset[int]().union(*(leaves(tree) for tree in trees))
        mine = [qual for qual in prepared if relids(qual) and relids(qual) <= own]
        others = [qual for qual in prepared if qual not in mine]
        mentioned = frozenset[int]().union(*(relids(qual) for qual in others)) - own
        if len(trees) == 1:
            rel = self._tree_rel(trees[0], mine)
        else:
            rel = self._search(*self._flatten(trees, mine))
        lateral = frozenset(var.rte for var in rel.required) - own
        outer = frozenset[int]().union(*(leaves(tree) for tree in self.query.from_items))
        return Item(kind, rel, mine, others, ((mentioned | lateral) & outer) or outer)


_PLACEHOLDER = Plan()


def _is_never(conditions: Sequence[Expr]) -> bool:
    """Whether no row can meet them all."""
    return any(isinstance(part, Const) and part.value is not True for part in conditions)


def _locks_rows(query: Query) -> bool:
    """Whether a WITH query locks rows, which it must do once."""
    if query.locking or any(entry.query is not None and _locks_rows(entry.query) for entry in query.range_table):
        return True
    return query.set_op is not None and any(_locks_rows(side) for side in query.set_op[2:])


def _references(query: Query, name: str) -> int:
    """How often the query reads its WITH item of that name."""

    def count(inner: Query, level: int) -> int:
        total = 0
        for entry in inner.range_table:
            if entry.kind == "cte" and entry.cte == name and entry.cte_levels_up == level:
                total += 1
            if entry.query is not None:
                total += count(entry.query, level + 1)
        nested = [cte.query for cte in inner.ctes]
        if inner.set_op is not None:
            nested += [inner.set_op[2], inner.set_op[3]]
        if inner.source is not None:
            nested.append(inner.source)
        total += sum(count(each, level + 1) for each in nested)
        for expr, depth in _own_expressions(inner):
            for node in walk(expr):
                if isinstance(node, SubLink):
                    total += count(node.query, level + 1 + depth)
        return total

    return count(query, 0)


def _own_expressions(query: Query) -> list[tuple[Expr, int]]:
    """The query's own top expressions (not those of nested queries)."""
    return [(expr, 0) for expr, depth in query_expressions(query, 0) if depth == 0]


def _has_no_rows(items: Sequence[Item]) -> bool:
    """Whether joining these gives no row, because one of them is known to have none."""
    paths = [item.rel.cheapest for item in items if item.kind == "inner"]
    return any(isinstance(path, AppendPath) and not path.children for path in paths)


def _decided(condition: Expr) -> Expr:
    """A condition that is NULL is as good as false."""
    if isinstance(condition, Const) and condition.value is None:
        return dataclasses.replace(condition, value=False)
    return condition
