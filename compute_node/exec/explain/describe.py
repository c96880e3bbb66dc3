"""Plan tree → tree of what EXPLAIN shows: node titles, properties, children, in PostgreSQL's terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compute_node.exec.explain.expressions import Names, Wording, quoted
from compute_node.exec.explain.names import base_alias, changed_scan, cte_name, returned_parameters, unique_aliases
from compute_node.exec.foreign import wrapper_of
from compute_node.exec.plan_walk import plan_children, plan_expressions, plan_nodes
from compute_node.sql import expressions as ex
from compute_node.sql import plan as pl
from compute_node.types.xml.table import XMLTABLE

if TYPE_CHECKING:
    from compute_node.exec.context import Fact


_JOINS = {"inner": "", "left": " Left", "right": " Right", "full": " Full", "semi": " Semi", "anti": " Anti"}
_JOINED = (pl.NestLoop, pl.HashJoin, pl.MergeJoin)
_LEAVES = (pl.SeqScan, pl.IndexScan, pl.BitmapHeapScan, pl.TidScan)
_NAMED_LEAVES = (*_LEAVES, pl.ForeignScan)


@dataclass(slots=True)
class Shown:
    """One node. ``title`` is the text form's; ``kind`` and ``facts`` the JSON form's; ``label`` heads sub-plans and
    CTEs."""

    plan: pl.Plan
    title: str
    kind: str
    facts: dict[str, Fact] = field(default_factory=dict)
    properties: list[tuple[str, object]] = field(default_factory=list)
    children: list[Shown] = field(default_factory=list)
    label: str = ""
    targets: list[Shown] = field(default_factory=list)
    """the tables that a node changes, where they are several"""
    told: pl.Plan | None = None
    """whose memory it tells of, unless it is ``plan``"""


class Describer:
    """Describes one statement. Columns are qualified with ``verbose``, and above the scans when it has several
    tables."""

    def __init__(self, planned: pl.PlannedStmt, wording: Wording, verbose: bool) -> None:
        self._planned = planned
        self._wording = wording
        self._verbose = verbose
        plans = [planned.plan, *planned.subplans, *planned.ctes]
        named = [node for plan in plans for node in plan_nodes(plan) if hasattr(node, "alias")]
        others = (pl.Insert, pl.Update, pl.Delete, pl.Merge, pl.Append)
        leaves = [node for node in named if not isinstance(node, others)]
        inserting = isinstance(planned.plan, (pl.Insert, pl.Merge)) and bool(leaves)
        self._several = len(leaves) > 1 or inserting or planned.range_entries > 1
        self._qualify = verbose or self._several
        self._aliases = unique_aliases(planned)
        self._shown_subplans: set[int] = set()
        wording.returned |= returned_parameters(planned)
        self._shown_ctes: set[int] = set()
        self._whole_rows: set[int] = set()
        """ids of scans above which nobody minds how wide rows are"""
        self._changing: dict[int, pl.Update | pl.Delete] = {}
        """id of the plan node below one that changes rows → that one"""

    def tree(self) -> Shown:
        """The whole statement."""
        root = self._level(self._planned.plan)
        for number in range(len(self._planned.ctes)):
            if number not in self._shown_ctes:
                root.children.insert(0, self._cte(number))
        return root

    def _alias(self, plan: Any) -> str:
        """The name of what a node reads or changes."""
        return self._aliases.get(id(plan)) or base_alias(self._planned, plan)

    def _level(self, plan: pl.Plan) -> Shown:
        """A query level: its init plans stand under its first node."""
        once = self._init_plans(plan)
        self._shown_subplans.update(once)
        shown = self._node(plan)
        labelled = []
        for number in once:
            child = self._level(self._planned.subplans[number])
            child.label = f"InitPlan {number + 1} (returns {self._wording.returned[number]})"
            labelled.append(child)
        shown.children[:0] = labelled
        return shown

    def _init_plans(self, plan: pl.Plan) -> list[int]:
        """The init plans of a query level, in order; those of sub-selects in FROM are theirs."""
        found: set[int] = set()
        waiting = [plan]
        while waiting:
            each = waiting.pop()
            for top in plan_expressions(each):
                found |= {item.plan for item in ex.walk(top) if isinstance(item, ex.SubPlan)}
            if not isinstance(each, pl.SubqueryScan):
                waiting += plan_children(each)
        return sorted(found & self._wording.returned.keys() - self._shown_subplans)

    def _cte(self, number: int) -> Shown:
        self._shown_ctes.add(number)
        shown = self._level(self._planned.ctes[number])
        shown.label = f"CTE {quoted(cte_name(self._planned, number))}"
        return shown

    # Columns

    def _scan_names(self, plan: Any, qualify: bool) -> Names:
        alias = quoted(self._alias(plan))

        def name(side: int, index: int) -> str:
            if index >= len(plan.columns):
                text = "ctid"
            else:
                attno = plan.columns[index]
                text = pl.SYSTEM_COLUMNS.get(attno) or quoted(plan.relation.columns[attno - 1].name)
            return f"{alias}.{text}" if qualify else text

        return name

    def _names(self, *inputs: pl.Plan) -> Names:
        """Names of the columns that a node sees of its inputs."""

        def name(side: int, index: int) -> str:
            source = inputs[side] if side < len(inputs) else inputs[-1]
            return self._output_name(source, index)

        return name

    def _output_name(self, plan: pl.Plan, index: int) -> str:
        if not plan.output:
            inner = getattr(plan, "child", None)
            return self._output_name(inner, index) if inner is not None else f"column{index + 1}"
        if index >= len(plan.output):
            return f"column{index + 1}"
        text = self._wording.text(plan.output[index], self._input_names(plan))
        # What a node below has computed is put in parentheses.
        return f"({text})" if self._is_computed(plan, plan.output[index]) else text

    @staticmethod
    def _is_computed(plan: pl.Plan, node: ex.Expr) -> bool:
        """Whether a node makes an output column, rather than hand on one of its input."""
        if isinstance(node, ex.Column) and isinstance(plan, pl.AggregatePlan):
            items = (*plan.keys, *plan.aggregates)
            return node.index >= len(items) or not isinstance(items[node.index], ex.Column)
        if isinstance(node, ex.Column) and isinstance(plan, pl.WindowAgg):
            return node.index >= len(plan.child.output)
        return not isinstance(node, (ex.Column, ex.Const, ex.ExecParam, ex.Param))

    def _group_key(self, child: pl.Plan, index: int) -> str:
        """A column that is grouped by, as the node below has it."""
        if not child.output or index >= len(child.output):
            return self._output_name(child, index)
        return self._wording.text(child.output[index], self._input_names(child))

    def _outputs(self, plan: pl.Plan) -> list[str]:
        """The node's columns: with their tables when there are several."""
        if isinstance(plan, (pl.Append, pl.RecursiveUnion)):
            return []  # they are those of each child
        kept, self._qualify = self._qualify, self._several
        if isinstance(plan, _LEAVES) and id(plan) in self._whole_rows and self._is_physical(plan):
            alias = f"{quoted(self._alias(plan))}." if self._several else ""
            found = [alias + quoted(column.name) for column in plan.relation.columns]
        elif id(plan) in self._changing:
            found = self._changed_columns(plan, self._changing[id(plan)])
        elif isinstance(plan, (pl.FamilyUpdate, pl.FamilyDelete)) and plan.tables:
            first = plan.tables[0]
            names = self._target_names(first, plan.child)
            found = [self._wording.text(item, names) for item in first.returning]
        else:
            names = self._input_names(plan)
            found = [self._wording.shown(item, names) for item in plan.output]
        self._qualify = kept
        return found

    def _handed_on(self, plan: pl.Plan) -> list[str]:
        """A node's columns as the one above has them that changes nothing of them."""
        shown = self._outputs(plan)
        if len(shown) != len(plan.output):
            return shown  # whole rows of a table
        pairs = zip(shown, plan.output, strict=True)
        return [f"({text})" if self._is_computed(plan, node) else text for text, node in pairs]

    @staticmethod
    def _is_physical(plan: pl.SeqScan | pl.IndexScan | pl.BitmapHeapScan | pl.TidScan) -> bool:
        """Whether PostgreSQL's scan would hand rows on as they are stored, where nobody minds how wide they are."""
        if plan.want_tid or any(column.dropped for column in plan.relation.columns):
            return False
        return all(isinstance(item, ex.Column) and plan.columns[item.index] > 0 for item in plan.output)

    def _changed_columns(self, plan: pl.Plan, above: pl.Update | pl.Delete) -> list[str]:
        """What PostgreSQL's plan gives to the node that changes rows: the new values and where the row is."""
        if isinstance(above, pl.FamilyUpdate):
            first, alias = above.tables[0], self._alias(above)
            width, below = len(first.relation.columns), self._names(plan)
            names = self._target_columns(first, alias, lambda side, index: below(side, index - width))
            values = [self._wording.text(value, names) for _, value in first.assignments]
            return [*values, f"{quoted(alias)}.tableoid", f"{quoted(alias)}.ctid"]
        names = self._changed_names(above)
        found = []
        if isinstance(above, pl.Update):
            found = [self._wording.shown(value, names) for _, value in above.assignments]
        if (scan := changed_scan(above)) is not None:
            alias = quoted(self._alias(scan))
            return [*found, f"{alias}.tableoid", f"{alias}.ctid"]
        alias = f"{quoted(self._alias(above))}." if self._several else ""
        return [*found, f"{alias}ctid"]

    def _input_names(self, plan: pl.Plan) -> Names:
        """Names of what the node's own expressions refer to."""
        if isinstance(plan, _NAMED_LEAVES):
            return self._scan_names(plan, self._qualify)
        if isinstance(plan, (pl.NestLoop, pl.HashJoin, pl.MergeJoin)):
            return self._names(plan.outer, plan.inner)
        if isinstance(plan, pl.AggregatePlan):
            return self._aggregate_names(plan)
        if isinstance(plan, pl.WindowAgg):
            return self._window_names(plan)
        if isinstance(plan, pl.SetOp):
            return self._names(plan.left)
        if isinstance(plan, pl.Append):
            return self._named_columns(plan, self._qualify) if plan.alias else self._names(plan.children[0])
        if isinstance(plan, (pl.Insert, pl.Update, pl.Delete)):
            return self._changed_names(plan)
        if isinstance(plan, pl.Merge):
            return self._names(plan.child)
        if isinstance(plan, pl.FunctionScan):
            return self._named_columns(plan, self._qualify)
        if isinstance(plan, pl.SubqueryScan):
            return self._named_columns(plan, True)
        if isinstance(plan, pl.ValuesScan):
            values = '"*VALUES*".' if self._qualify else ""
            return lambda side, index: f"{values}column{index + 1}"
        if isinstance(plan, pl.CteScan):
            return self._named_columns(plan, self._qualify)
        child = getattr(plan, "child", None)
        return self._names(child) if child is not None else (lambda side, index: f"column{index + 1}")

    def _changed_names(self, plan: pl.Insert | pl.Update | pl.Delete) -> Names:
        """What RETURNING names: the target's columns, its system columns, and those joined to it."""
        if isinstance(plan, (pl.FamilyUpdate, pl.FamilyDelete)) and plan.tables:
            return self._target_names(plan.tables[0], plan.child)
        scan = None if isinstance(plan, pl.Insert) else changed_scan(plan)
        below = self._names(plan.child)
        return self._target_columns(plan, self._alias(plan if scan is None else scan), below)

    def _target_names(self, table: pl.ChangedTable, child: pl.Plan) -> Names:
        """The same of one table of a family."""
        below, width = self._names(child), len(table.relation.columns)
        return self._target_columns(table, self._alias(table), lambda side, index: below(side, index - width))

    def _target_columns(
        self, plan: pl.Insert | pl.Update | pl.Delete | pl.ChangedTable, name_of: str, below: Names
    ) -> Names:
        columns, alias = plan.relation.columns, quoted(name_of)

        def name(side: int, index: int) -> str:
            if side == 2:
                text = pl.SYSTEM_COLUMNS[plan.system[index]]
            elif index < len(columns):
                text = quoted(columns[index].name)
            else:
                return below(side, index)
            return f"{alias}.{text}" if self._qualify else text

        return name

    def _named_columns(self, plan: pl.FunctionScan | pl.SubqueryScan | pl.CteScan | pl.Append, qualify: bool) -> Names:
        """Columns that their range entry names."""
        alias = f"{quoted(self._alias(plan))}." if qualify else ""

        def name(side: int, index: int) -> str:
            return alias + (quoted(plan.names[index]) if index < len(plan.names) else f"column{index + 1}")

        return name

    def _aggregate_names(self, plan: pl.AggregatePlan) -> Names:
        below = self._names(plan.child)

        def name(side: int, index: int) -> str:
            items = (*plan.keys, *plan.aggregates)
            if isinstance(plan, pl.GroupingSetsPlan) and index >= len(items):
                keys = [self._wording.text(plan.keys[key], below) for key in plan.groupings[index - len(items)]]
                return f"GROUPING({', '.join(keys)})"
            return self._wording.text(items[index], below)

        return name

    def _window_names(self, plan: pl.WindowAgg) -> Names:
        below, width = self._names(plan.child), len(plan.child.output)

        def name(side: int, index: int) -> str:
            return below(0, index) if index < width else self._wording.text(plan.calls[index - width], below)

        return name

    # Nodes

    def _node(self, plan: pl.Plan) -> Shown:
        if isinstance(plan, pl.Result) and isinstance(plan.child, _JOINED) and plan.filter and not plan.one_time:
            return self._filtered(plan, plan.child, plan.filter)
        self._mark_inputs(plan)
        shown = self._title(plan)
        names = self._input_names(plan)
        if isinstance(plan, _JOINED):
            shown.properties.insert(0, ("Inner Unique", plan.inner_unique))
        if self._verbose and plan.output and self._outputs(plan):
            shown.properties.insert(0, ("Output", self._outputs(plan)))
        if isinstance(plan, _NAMED_LEAVES):
            names = self._scan_names(plan, self._verbose)
        elif isinstance(plan, (pl.CteScan, pl.FunctionScan)):
            names = self._named_columns(plan, self._verbose)
        for name in ("filter", "condition", "having"):
            condition = getattr(plan, name, None)
            if condition is not None:
                label = "Join Filter" if name == "condition" else "Filter"
                if isinstance(plan, pl.Result) and plan.one_time:
                    label = "One-Time Filter"
                shown.properties.append((label, self._wording.text(condition, names)))
        if isinstance(plan, pl.ForeignScan):
            shown.properties += wrapper_of(plan.relation).explained(plan.relation)
        self._add_subplans(plan, shown)
        return shown

    def _mark_inputs(self, plan: pl.Plan) -> None:
        """Note which inputs may hand on more than is asked of them, and which give what changes rows."""
        if isinstance(plan, pl.AggregatePlan) or (isinstance(plan, pl.Unique) and not plan.sorted_on):
            self._whole_rows.add(id(plan.child))
        elif isinstance(plan, (pl.NestLoop, pl.MergeJoin)):
            self._whole_rows.update((id(plan.outer), id(plan.inner)))
        elif isinstance(plan, pl.HashJoin):
            self._whole_rows.add(id(plan.outer))
        elif isinstance(plan, pl.Limit) and id(plan) in self._whole_rows:
            self._whole_rows.add(id(plan.child))
        elif (isinstance(plan, pl.FamilyUpdate) and type(plan.child) is pl.Result and plan.tables) or (
            isinstance(plan, (pl.Update, pl.Delete)) and isinstance(plan.child, _LEAVES)
        ):
            self._changing[id(plan.child)] = plan

    def _filtered(self, plan: pl.Result, child: pl.Plan, condition: ex.Expr) -> Shown:
        """A join whose rows are filtered: one node."""
        shown = self._node(child)
        names = self._input_names(plan)
        if self._verbose:
            shown.properties[0] = ("Output", self._outputs(plan))
        shown.properties.append(("Filter", self._wording.text(condition, names)))
        shown.plan, shown.told = plan, child
        self._add_subplans(plan, shown)
        return shown

    def _add_subplans(self, plan: pl.Plan, shown: Shown) -> None:
        extra = []
        names_of = self._expression_names(plan)
        for top in plan_expressions(plan):
            for item in ex.walk(top):
                if not isinstance(item, ex.SubPlan) or item.plan in self._wording.returned:
                    continue
                if item.plan not in self._shown_subplans:
                    self._shown_subplans.add(item.plan)
                    names = names_of(top)
                    self._wording.given |= {number: self._wording.text(node, names) for number, node in item.parameters}
                    child = self._level(self._planned.subplans[item.plan])
                    child.label = f"SubPlan {item.plan + 1}"
                    extra.append(child)
        # New values of an UPDATE are computed where its rows are found.
        below = isinstance(plan, pl.Update) and isinstance(plan.child, _LEAVES)
        (shown.children[-1] if below else shown).children += extra

    def _expression_names(self, plan: pl.Plan) -> Callable[[ex.Expr], Names]:
        """Names of what each of the node's expressions refers to: the node below an aggregate, if not its result."""
        own = self._input_names(plan)
        if not isinstance(plan, pl.AggregatePlan):
            return lambda _: own
        below, inputs = self._names(plan.child), {id(item) for item in (*plan.keys, *plan.aggregates)}
        return lambda item: below if id(item) in inputs else own

    def _conditions(self, plan: Any, conditions: Sequence[ex.Expr], joined: str = " AND ") -> str:
        """Conditions over the columns of a scan's table, joined."""
        alias = quoted(self._alias(plan)) + "." if self._verbose else ""

        def name(side: int, index: int) -> str:
            return alias + (pl.SYSTEM_COLUMNS.get(index + 1) or quoted(plan.relation.columns[index].name))

        tests = [self._wording.text(item, name) for item in conditions]
        return tests[0] if len(tests) == 1 else f"({joined.join(tests)})" if tests else ""

    def _bitmap(self, plan: pl.Plan, heap: pl.BitmapHeapScan) -> Shown:
        """What gives the row addresses of a bitmap scan."""
        if isinstance(plan, pl.BitmapIndexScan):
            name = plan.index.name
            shown = Shown(plan, f"Bitmap Index Scan on {quoted(name)}", "Bitmap Index Scan", {"Index Name": name})
            shown.properties.append(("Index Cond", self._conditions(heap, plan.conditions)))
            return shown
        kind = type(plan).__name__
        children = plan.children if isinstance(plan, (pl.BitmapAnd, pl.BitmapOr)) else ()
        return Shown(plan, kind, kind, children=[self._bitmap(child, heap) for child in children])

    def _on(self, name: str, alias: str) -> str:
        return f" on {quoted(name)}" + (f" {quoted(alias)}" if alias and alias != name else "")

    def _scan(self, plan: Any, kind: str, using: str = "") -> Shown:
        relation = plan.named[0] if getattr(plan, "named", None) else plan.relation
        schema = f"{quoted(relation.schema)}." if self._verbose else ""
        name = relation.name
        shown_as = self._alias(plan)
        alias = f" {quoted(shown_as)}" if shown_as != name else ""
        facts: dict[str, Fact] = {"Relation Name": name}
        if self._verbose:
            facts["Schema"] = relation.schema
        facts["Alias"] = shown_as
        return Shown(plan, f"{kind}{using} on {schema}{quoted(name)}{alias}", kind, facts)

    def _over(self, plan: pl.Plan, title: str, *children: pl.Plan, kind: str = "", **facts: Fact) -> Shown:
        return Shown(plan, title, kind or title, facts, children=[self._node(child) for child in children])

    def _title(self, plan: pl.Plan) -> Shown:
        match plan:
            case pl.SampleScan():
                return self._sample(plan)
            case pl.TidRangeScan():
                shown = self._scan(plan, "Tid Range Scan")
                shown.properties.append(("TID Cond", self._conditions(plan, plan.conditions)))
                return shown
            case pl.ForeignScan():
                shown = self._scan(plan, "Foreign Scan")
                shown.facts = {"Operation": "Select", **shown.facts}
                return shown
            case pl.SeqScan():
                return self._scan(plan, "Seq Scan")
            case pl.TidScan():
                shown = self._scan(plan, "Tid Scan")
                shown.properties.append(("TID Cond", self._conditions(plan, plan.conditions, " OR ")))
                return shown
            case pl.IndexScan():
                way = " Backward" if plan.backward else ""
                kind = "Index Only Scan" if isinstance(plan, pl.IndexOnlyScan) else "Index Scan"
                shown = self._scan(plan, kind, f"{way} using {quoted(plan.index.name)}")
                shown.facts = {
                    "Scan Direction": "Backward" if plan.backward else "Forward",
                    "Index Name": plan.index.name,
                    **shown.facts,
                }
                condition = self._conditions(plan, plan.conditions)
                if condition:
                    shown.properties.append(("Index Cond", condition))
                if plan.ordering:
                    shown.properties.append(("Order By", self._conditions(plan, plan.ordering)))
                return shown
            case pl.BitmapHeapScan():
                shown = self._scan(plan, "Bitmap Heap Scan")
                if plan.conditions:
                    shown.properties.append(("Recheck Cond", self._conditions(plan, plan.conditions)))
                shown.children.append(self._bitmap(plan.child, plan))
                return shown
            case pl.FunctionScan() if isinstance(plan.call, ex.Call) and plan.call.function == XMLTABLE:
                alias = "" if plan.alias == "xmltable" else f" {quoted(plan.alias)}"
                title = f'Table Function Scan on "xmltable"{alias}'
                return Shown(plan, title, "Table Function Scan", {"Alias": plan.alias})
            case pl.FunctionScan():
                name = ""
                called = plan.call if isinstance(plan.call, ex.Call) else None
                if called is not None:
                    name = self._wording.function_name(called.function)
                alias = self._alias(plan)
                facts: dict[str, Fact] = {"Function Name": name, "Alias": alias}
                where = self._on(name, alias) if name else f" on {quoted(alias)}"
                schema = self._wording.function_schema(called) if called is not None and self._verbose else ""
                if schema:
                    where = f" on {quoted(schema)}.{where.removeprefix(' on ')}"
                    facts = {"Function Name": name, "Schema": schema, "Alias": alias}
                shown = Shown(plan, f"Function Scan{where}", "Function Scan", facts)
                if self._verbose:
                    call = self._wording.text(plan.call, self._input_names(plan))
                    shown.properties.append(("Function Call", call))
                return shown
            case pl.ValuesScan() if len(plan.values) == 1:
                return Shown(plan, "Result", "Result")
            case pl.ValuesScan():
                return Shown(plan, 'Values Scan on "*VALUES*"', "Values Scan", {"Alias": "*VALUES*"})
            case pl.SubqueryScan():
                title = f"Subquery Scan on {quoted(self._alias(plan))}"
                shown = Shown(plan, title, "Subquery Scan", {"Alias": self._alias(plan)})
                shown.children.append(self._level(plan.child))
                return shown
            case pl.CteScan():
                kind = "WorkTable Scan" if plan.working else "CTE Scan"
                name = cte_name(self._planned, plan.cte)
                return Shown(
                    plan, kind + self._on(name, self._alias(plan)), kind, {"CTE Name": name, "Alias": self._alias(plan)}
                )
            case pl.NestLoop() | pl.HashJoin() | pl.MergeJoin():
                return self._join(plan)
            case pl.Insert() | pl.Update() | pl.Delete() | pl.Merge():
                verb = type(plan).__name__.removeprefix("Family")
                shown = self._scan(plan, verb)
                shown.targets = [self._scan(table, verb) for table in self._changed_tables(plan)]
                shown.kind, shown.facts = "ModifyTable", {"Operation": verb, **shown.facts}
                if isinstance(plan, pl.Insert) and plan.conflict:
                    self._add_conflict(plan, shown)
                shown.children.append(self._node(plan.child))
                return shown
        return self._upper(plan)

    @staticmethod
    def _changed_tables(plan: pl.Plan) -> Sequence[pl.Plan]:
        """What is shown of the tables that are changed, where they are others than the one that is named."""
        if isinstance(plan, (pl.FamilyUpdate, pl.FamilyDelete, pl.Merge)):
            return plan.tables
        if isinstance(plan, (pl.Update, pl.Delete)) and (scan := changed_scan(plan)) is not None:
            return [scan]
        return []

    def _add_conflict(self, plan: pl.Insert, shown: Shown) -> None:
        """What ON CONFLICT does, and by which indexes."""
        shown.properties.append(("Conflict Resolution", plan.conflict.upper()))
        arbiters = [quoted(index.name) for index in plan.relation.indexes if index.oid in plan.arbiters]
        if arbiters:
            shown.properties.append(("Conflict Arbiter Indexes", arbiters))
        if plan.conflict_where is not None:
            columns, alias = plan.relation.columns, quoted(self._alias(plan))

            def name(side: int, index: int) -> str:
                return f"{alias if side == 0 else 'excluded'}.{quoted(columns[index].name)}"

            shown.properties.append(("Conflict Filter", self._wording.text(plan.conflict_where, name)))

    def _sample(self, plan: pl.SampleScan) -> Shown:
        shown = self._scan(plan, "Sample Scan")
        names = self._scan_names(plan, self._verbose)
        text = f"{plan.method} ({self._wording.shown(plan.percent, names)})"
        if plan.seed is not None:
            text += f" REPEATABLE ({self._wording.shown(plan.seed, names)})"
        shown.properties.append(("Sampling", text))
        return shown

    def _join(self, plan: pl.NestLoop | pl.HashJoin | pl.MergeJoin) -> Shown:
        kind = _JOINS[plan.kind]
        if isinstance(plan, pl.NestLoop):
            above = self._input_names(plan)
            self._wording.given |= {number: self._wording.text(node, above) for number, node in plan.parameters}
            title = f"Nested Loop{kind} Join" if kind else "Nested Loop"
            shown = self._over(
                plan, title, plan.outer, plan.inner, kind="Nested Loop", **{"Join Type": plan.kind.title()}
            )
            if isinstance(plan.inner, pl.Memoize):
                names = self._names(plan.outer)
                keys = [self._wording.text(key, names) for key in plan.inner.keys]
                mode = "binary" if plan.inner.binary else "logical"
                text = ", ".join(keys)
                shown.children[1].properties[:0] = [("Cache Key", text), ("Cache Mode", mode)]
            return shown
        method = "Hash" if isinstance(plan, pl.HashJoin) else "Merge"
        title = f"{method}{kind} Join" if kind or method == "Hash" else "Merge Join"
        shown = self._over(plan, title, plan.outer, kind=f"{method} Join", **{"Join Type": plan.kind.title()})
        outer, inner = self._names(plan.outer), self._names(plan.inner)
        pairs = [
            f"({self._wording.text(left, outer)} = {self._wording.text(right, lambda _, index: inner(0, index))})"
            for left, right in zip(plan.outer_keys, plan.inner_keys, strict=True)
        ]
        if pairs:
            shown.properties.append((f"{method} Cond", pairs[0] if len(pairs) == 1 else f"({' AND '.join(pairs)})"))
        if isinstance(plan, pl.MergeJoin):
            shown.children.append(self._node(plan.inner))
        else:
            hashed = Shown(plan.inner, "Hash", "Hash", children=[self._node(plan.inner)])
            if self._verbose and self._outputs(plan.inner):
                hashed.properties.append(("Output", self._handed_on(plan.inner)))
            shown.children.append(hashed)
        return shown

    def _grouping_sets(self, plan: pl.GroupingSetsPlan) -> Shown:
        empty = any(not keys for keys in plan.sets)
        hashed = any(plan.sets)
        title = "MixedAggregate" if empty and hashed else "HashAggregate" if hashed else "Aggregate"
        shown = self._over(plan, title, plan.child, kind="Aggregate")
        names = self._names(plan.child)
        for keys in sorted(plan.sets, key=len, reverse=True):
            texts = [self._wording.text(plan.keys[key], names) for key in keys]
            shown.properties.append(("Hash Key", texts) if keys else ("Group Key", ["()"]))
        return shown

    def _upper(self, plan: pl.Plan) -> Shown:
        match plan:
            case pl.Result():
                return self._over(plan, "Result", *([plan.child] if plan.child is not None else []))
            case pl.Sort():
                by_groups = isinstance(plan, pl.IncrementalSort)
                shown = self._over(plan, "Incremental Sort" if by_groups else "Sort", plan.child)
                names = self._names(plan.child)
                keys = [self._wording.key(key, names) for key in plan.keys]
                shown.properties.append(("Sort Key", keys))
                if isinstance(plan, pl.IncrementalSort):
                    shown.properties.append(("Presorted Key", [*map(_without_direction, keys[: plan.presorted])]))
                return shown
            case pl.GroupingSetsPlan():
                return self._grouping_sets(plan)
            case pl.AggregatePlan():
                title = "Aggregate" if plan.plain or not plan.keys else "HashAggregate"
                if isinstance(plan, pl.SortedGroups):
                    title = "GroupAggregate" if plan.aggregates else "Group"
                shown = self._over(plan, title, plan.child, kind="Group" if title == "Group" else "Aggregate")
                if plan.keys:
                    names = self._names(plan.child)
                    keys = [
                        self._group_key(plan.child, key.index)
                        if isinstance(key, ex.Column)
                        else self._wording.text(key, names)
                        for key in plan.keys
                    ]
                    shown.properties.append(("Group Key", keys))
                return shown
            case pl.Unique():
                if plan.sorted_on:
                    return self._over(plan, "Unique", plan.child)
                shown = self._over(plan, "HashAggregate", plan.child, kind="Aggregate")
                count = plan.count or len(plan.child.output)
                shown.properties.append(("Group Key", [self._group_key(plan.child, n) for n in range(count)]))
                return shown
            case pl.SetOp():
                if plan.kind == "union":
                    inner = self._over(plan, "Append", plan.left, plan.right)
                    if plan.all:
                        return inner
                    keys = [self._group_key(plan.left, index) for index in range(len(plan.left.output))]
                    return Shown(plan, "HashAggregate", "Aggregate", properties=[("Group Key", keys)], children=[inner])
                suffix = " All" if plan.all else ""
                title = f"HashSetOp {plan.kind.title()}{suffix}"
                return self._over(plan, title, plan.left, plan.right, kind="SetOp")
            case pl.MergeAppend():
                shown = self._over(plan, "Merge Append", *plan.children)
                names = self._input_names(plan)
                shown.properties.append(("Sort Key", [self._wording.key(key, names) for key in plan.keys]))
                return shown
            case pl.Append():
                return self._over(plan, "Append", *plan.children)
            case pl.RecursiveUnion():
                return self._over(plan, "Recursive Union", plan.initial, plan.recursive)
        titles: dict[type, str] = {pl.ProjectSet: "ProjectSet", pl.Limit: "Limit", pl.LockRows: "LockRows"}
        titles[pl.WindowAgg] = "WindowAgg"
        children: Sequence[pl.Plan] = [plan.child] if hasattr(plan, "child") else []
        return self._over(plan, titles.get(type(plan), type(plan).__name__), *children)


def _without_direction(key: str) -> str:
    """A sort key as it is shown where it has no direction."""
    for ending in (" NULLS FIRST", " NULLS LAST"):
        key = key.removesuffix(ending)
    return key.removesuffix(" DESC")
