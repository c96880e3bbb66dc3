"""EXPLAIN's entry, and the plan as text and as a document (PostgreSQL manual, EXPLAIN and 14.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Final

from compute_node.exec.builder import Builder
from compute_node.exec.executable import Executable
from compute_node.exec.explain.describe import Describer, Shown
from compute_node.exec.explain.expressions import Wording
from compute_node.exec.explain.formats import WRITERS, Number
from compute_node.exec.explain.instrument import MeasuredNode, Measurements, RemovedRows
from compute_node.exec.explain.options import Settings, settings_of
from compute_node.exec.several import SeveralQueries
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.plan import BitmapHeapScan, PlannedStmt
from compute_node.types.registry import TypeEnv

if TYPE_CHECKING:
    from aurora.documents import JsonObject
    from compute_node.exec.context import Fact


class Explanation:
    """A planned statement as EXPLAIN shows it. ``options`` are as written: lower-case names, True/False or text. 42601
    for an unknown option, 22023 for a bad value. ``changed``: settings that the planner looks at and that are not as
    they are by default, for SETTINGS.

    With ANALYZE ``executable`` is the statement with every node measured: whoever has it runs it, within ``measure``.
    """

    def __init__(
        self,
        planned: PlannedStmt,
        options: Mapping[str, bool | str],
        catalog: CatalogView,
        env: TypeEnv,
        planning_s: float | None = None,
        changed: Mapping[str, str] | None = None,
    ) -> None:
        self._planning_s = planning_s
        self._changed = changed or {}
        self._settings = settings_of(options)
        self._form = str(self._settings["form"])
        wording = Wording(Builder(planned, catalog), env, catalog.namespace_name)
        self._tree = Describer(planned, wording, bool(self._settings["verbose"])).tree()
        self._measurements: Measurements | None = None
        self._removed: Mapping[int, int] = {}
        self._execution_s = 0.0
        self.executable: Executable | None = None
        self.query_id: int | None = None
        if self._settings["analyze"]:
            kept: Measurements = {}
            self._measurements = kept
            removed = RemovedRows()
            self._removed = removed.of
            self.executable = Executable(planned, catalog, lambda plan, node: MeasuredNode(plan, node, kept), removed)

    def measure(self, run: Callable[[], object]) -> None:
        """Run the statement and take its time."""
        began = perf_counter()
        run()
        self._execution_s = perf_counter() - began

    def lines(self) -> list[str]:
        """The rows of EXPLAIN's one column."""
        if self._form != "text":
            return [WRITERS[self._form]([self.document()])]
        settings = self._settings
        lines = self._writer().text(self._tree)
        if settings["settings"] and self._changed:
            lines.append("Settings: " + ", ".join([f"{name} = '{value}'" for name, value in self._changed.items()]))
        if settings["verbose"] and self.query_id is not None:
            lines.append(f"Query Identifier: {self.query_id}")
        if self._has_summary and self._planning_s is not None:
            lines.append(f"Planning Time: {self._planning_s * 1000:.3f} ms")
        if settings["analyze"] and self._has_summary:
            lines.append(f"Execution Time: {self._execution_s * 1000:.3f} ms")
        return lines

    def document(self) -> JsonObject:
        """What the other formats write."""
        settings = self._settings
        document: JsonObject = {"Plan": self._writer().json(self._tree)}
        if settings["settings"]:
            document["Settings"] = dict(self._changed)
        if settings["verbose"] and self.query_id is not None:
            document["Query Identifier"] = self.query_id
        if self._has_summary and self._planning_s is not None:
            document["Planning Time"] = Number(f"{self._planning_s * 1000:.3f}")
        if settings["analyze"]:
            document["Triggers"] = []
        if settings["analyze"] and self._has_summary:
            document["Execution Time"] = Number(f"{self._execution_s * 1000:.3f}")
        return document

    @property
    def _has_summary(self) -> bool:
        given = self._settings["summary"]
        return bool(self._settings["analyze"] if given is None else given)

    def _writer(self) -> _Writer:
        return _Writer(self._settings, self._measurements, self._removed)


class _Measured(SeveralQueries):
    """Several queries, each explained and measured by itself."""

    __slots__ = ("parts",)

    def __init__(self, planned: PlannedStmt, catalog: CatalogView, parts: list[Explanation]) -> None:
        steps = tuple([part.executable for part in parts if part.executable is not None])
        super().__init__(planned, catalog, steps)
        self.parts = parts

    def run_step(self, at: int, run: Callable[[], int]) -> int:
        counts: list[int] = []
        self.parts[at].measure(lambda: counts.append(run()))
        return counts[0]


class SeveralExplanations:
    """As ``Explanation``, of a statement that rules have made several queries of, or none."""

    def __init__(
        self,
        planned: PlannedStmt,
        options: Mapping[str, bool | str],
        catalog: CatalogView,
        env: TypeEnv,
        planning_s: float | None = None,
        changed: Mapping[str, str] | None = None,
    ) -> None:
        self._form = str(settings_of(options)["form"])
        self._steps = planned.steps
        self._parts = [Explanation(step, options, catalog, env, planning_s, changed) for step in planned.steps]
        self.executable: Executable | None = None
        if settings_of(options)["analyze"]:
            self.executable = _Measured(planned, catalog, self._parts)

    @property
    def query_id(self) -> int | None:
        """That of the statement, which each query has that was made of it."""
        return self._parts[0].query_id if self._parts else None

    @query_id.setter
    def query_id(self, query_id: int | None) -> None:
        for part in self._parts:
            part.query_id = query_id

    def measure(self, run: Callable[[], object]) -> None:
        """Run the statement: each query takes its own time."""
        run()

    def lines(self) -> list[str]:
        """The rows of EXPLAIN's one column; empty ones between the plans."""
        if self._form != "text":
            return [WRITERS[self._form]([part.document() for part in self._parts])]
        if not self._parts:
            return ["Query rewrites to nothing"]
        lines: list[str] = []
        for step, part in zip(self._steps, self._parts, strict=True):
            if lines:
                lines.append("")
            lines += ["NOTIFY"] if step.command == "notify" else part.lines()
        return lines


_STRATEGIES: Final = {
    "Aggregate": "Plain",
    "GroupAggregate": "Sorted",
    "HashAggregate": "Hashed",
    "MixedAggregate": "Mixed",
}
_REMOVING: Final = {"Filter": "Rows Removed by Filter", "Recheck Cond": "Rows Removed by Index Recheck"}
_FIRST_FACTS: Final = ("Operation",)
_CHILDREN: Final = {
    "Append": "Member",
    "Merge Append": "Member",
    "BitmapAnd": "Member",
    "BitmapOr": "Member",
    "Subquery Scan": "Subquery",
}


class _Writer:
    def __init__(self, settings: Settings, measurements: Measurements | None, removed: Mapping[int, int]) -> None:
        self._settings = settings
        self._measurements = measurements
        self._removed = removed

    def _properties(self, shown: Shown) -> Iterator[tuple[str, object]]:
        """The node's properties, and how many rows its filter has removed in a run, and how many were found by an index
        and did not meet its condition. What is not so is not told as text, and what is so only if asked (VERBOSE)."""
        as_text, verbose = self._settings["form"] == "text", self._settings["verbose"]
        plan = shown.plan
        rechecked = self._removed.get(id(plan.child), 0) if isinstance(plan, BitmapHeapScan) else 0
        for name, value in shown.properties:
            if not (as_text and isinstance(value, bool)):
                yield name, value
            elif value and verbose:
                yield name, "true"
            if self._measurements is None or name not in _REMOVING:
                continue
            measured = self._measurements.get(id(plan))
            loops = measured.loops if measured is not None else 0
            # What was checked again is counted among all that the node has left out.
            removed = rechecked if name == "Recheck Cond" else self._removed.get(id(plan), 0) - rechecked
            if removed or not as_text:
                yield _REMOVING[name], round(removed / loops) if loops else 0

    def text(self, tree: Shown) -> list[str]:
        lines: list[str] = []
        self._text(tree, 0, lines, self._facts(tree))
        return lines

    def _text(self, shown: Shown, column: int, lines: list[str], facts: dict[str, Fact]) -> None:
        """``facts``: what the node told of its memory. ``column``: where the title starts. A child's title stands six
        further in than its parent's, behind an arrow; under a label of its own eight."""
        arrow = f"{' ' * (column - 4)}->  " if column else ""
        lines.append(f"{arrow}{shown.title}{self._numbers(shown)}")
        memory = [f"{' ' * (column + 2)}{line}" for line in _memory(shown, facts)]
        for name, value in self._properties(shown):
            if name == "Rows Removed by Filter" and shown.kind == "Aggregate":
                lines += memory
                memory = []
            text = ", ".join(value) if isinstance(value, list) else value
            lines.append(f"{' ' * (column + 2)}{name}: {text}")
        lines += memory
        lines += [f"{' ' * (column + 2)}{target.title}" for target in shown.targets]
        for child in shown.children:
            if child.label:
                lines.append(f"{' ' * (column + 2)}{child.label}")
            # What a hash join told is of its Hash.
            told = facts if child.kind == "Hash" else self._facts(child)
            self._text(child, column + (8 if child.label else 6), lines, told)

    def _numbers(self, shown: Shown) -> str:
        plan = shown.plan
        text = ""
        if self._settings["costs"]:
            startup = plan.total_cost if shown.kind == "Hash" else plan.startup_cost
            text += f"  (cost={startup:.2f}..{plan.total_cost:.2f} rows={plan.rows:.0f} width={plan.width})"
        if self._measurements is not None:
            text += " "
            measured = self._measurements.get(id(plan))
            if measured is None or not measured.loops:
                return text + "(never executed)"
            loops = measured.loops
            rows = f"rows={measured.rows / loops:.0f} loops={loops}"
            if self._settings["timing"]:
                first, total = measured.first_s / loops * 1000, measured.total_s / loops * 1000
                return text + f"(actual time={first:.3f}..{total:.3f} {rows})"
            return text + f"(actual {rows})"
        return text

    def _facts(self, shown: Shown) -> dict[str, Fact]:
        """What the node told of its memory when it ran."""
        measured = None if self._measurements is None else self._measurements.get(id(shown.told or shown.plan))
        return {} if measured is None else measured.facts

    def json(self, shown: Shown, relationship: str = "") -> JsonObject:
        plan = shown.plan
        item: JsonObject = {"Node Type": shown.kind}
        if shown.kind == "Aggregate":
            item |= {"Strategy": _STRATEGIES[shown.title], "Partial Mode": "Simple"}
        item |= {name: shown.facts[name] for name in _FIRST_FACTS if name in shown.facts}
        if relationship:
            item["Parent Relationship"] = relationship
        if shown.label:
            item["Subplan Name"] = shown.label
        item |= {"Parallel Aware": False, "Async Capable": False} | shown.facts
        if self._settings["costs"]:
            item |= {
                "Startup Cost": Number(f"{plan.total_cost if shown.kind == 'Hash' else plan.startup_cost:.2f}"),
                "Total Cost": Number(f"{plan.total_cost:.2f}"),
                "Plan Rows": round(plan.rows),
                "Plan Width": plan.width,
            }
        if self._measurements is not None:
            measured = self._measurements.get(id(plan))
            loops = measured.loops if measured is not None else 0
            if measured is not None and loops and self._settings["timing"]:
                item["Actual Startup Time"] = Number(f"{measured.first_s / loops * 1000:.3f}")
                item["Actual Total Time"] = Number(f"{measured.total_s / loops * 1000:.3f}")
            item["Actual Rows"] = round(measured.rows / loops) if measured is not None and loops else 0
            item["Actual Loops"] = loops
        item |= dict(self._properties(shown))
        if shown.kind != "Hash":
            item |= self._facts(shown)
        if shown.targets:
            item["Target Tables"] = [target.facts for target in shown.targets]
        if shown.kind in ("Append", "Merge Append"):
            item["Subplans Removed"] = 0
        if shown.children:
            named = zip(shown.children, _relationships(shown), strict=True)
            item["Plans"] = [self.json(child, relationship) for child, relationship in named]
        return item


def _relationships(shown: Shown) -> Iterator[str]:
    """What each child is to the node."""
    sides = iter(("Outer", "Inner"))
    for child in shown.children:
        if child.label:
            yield "SubPlan" if child.label.startswith("SubPlan") else "InitPlan"
        else:
            yield _CHILDREN.get(shown.kind) or next(sides)


def _memory(shown: Shown, facts: dict[str, Fact]) -> list[str]:
    """A node's memory in the text form."""
    if "Hash Batches" in facts:
        buckets = f"Buckets: {facts['Hash Buckets']}  Batches: {facts['Hash Batches']}"
        return [f"{buckets}  Memory Usage: {facts['Peak Memory Usage']}kB"] if shown.kind == "Hash" else []
    if "Sort Method" in facts:
        used = f"{facts['Sort Space Type']}: {facts['Sort Space Used']}kB"
        return [f"Sort Method: {facts['Sort Method']}  {used}"]
    if "Full-sort Groups" in facts:
        method = "Sort Methods" if "," in str(facts["Sort Methods"]) else "Sort Method"
        memory = f"Average Memory: {facts['Average Memory']}kB  Peak Memory: {facts['Peak Memory']}kB"
        return [f"Full-sort Groups: {facts['Full-sort Groups']}  {method}: {facts['Sort Methods']}  {memory}"]
    if "Exact Heap Blocks" in facts:
        kinds = {"exact": facts["Exact Heap Blocks"], "lossy": facts["Lossy Heap Blocks"]}
        blocks = " ".join([f"{name}={count}" for name, count in kinds.items() if count])
        return [f"Heap Blocks: {blocks}"] if blocks else []
    if "Heap Fetches" in facts:
        return [f"Heap Fetches: {facts['Heap Fetches']}"]
    if "Cache Misses" in facts:
        if not facts["Cache Misses"]:
            return []
        counts = f"Hits: {facts['Cache Hits']}  Misses: {facts['Cache Misses']}  Evictions: {facts['Cache Evictions']}"
        return [f"{counts}  Overflows: {facts['Cache Overflows']}  Memory Usage: {facts['Peak Memory Usage']}kB"]
    if "HashAgg Batches" in facts:
        disk = f"  Disk Usage: {facts['Disk Usage']}kB" if "Disk Usage" in facts else ""
        return [f"Batches: {facts['HashAgg Batches']}  Memory Usage: {facts['Peak Memory Usage']}kB{disk}"]
    return []
