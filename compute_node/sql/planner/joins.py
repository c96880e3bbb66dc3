"""Rule: join order and methods. Left-deep search over items, each a table or a nested join problem, that are joined
inner, left, semi or anti; exhaustive for few items, greedy beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aurora.errors import InvariantViolation, NotSupported
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Expr
from compute_node.sql.planner.access import Access
from compute_node.sql.planner.paths import CPU_OPERATOR_COST, CPU_TUPLE_COST, DISABLED_COST, JoinPath, Path, ScanPath
from compute_node.sql.planner.quals import relids
from compute_node.types import oids

EXHAUSTIVE_MAX = 5


@dataclass(slots=True)
class Item:
    """One input of a join problem. ``on``: its ON condition (left, semi, anti), of which ``quals`` (about the item
    alone) are already in ``path``; ``min_left``: relations that must be joined before it."""

    kind: str
    path: Path
    quals: list[Expr] = field(default_factory=list)
    on: list[Expr] = field(default_factory=list)
    min_left: frozenset[int] = frozenset()

    @property
    def relids(self) -> frozenset[int]:
        """The relations it brings."""
        return self.path.relids


class JoinSearch:
    """Finds the cheapest left-deep order of the items under the conditions ``quals`` (each over more than one item, or
    over the nullable side of an outer join)."""

    def __init__(
        self,
        access: Access,
        items: Sequence[Item],
        quals: Sequence[tuple[Expr, frozenset[int]]],
    ) -> None:
        self.access = access
        self.catalog = access.catalog
        self.entries = access.entries
        self.items = list(items)
        self.quals = list(quals)
        self.universe = frozenset().union(*(item.relids for item in items))

    def best(self) -> Path:
        """The cheapest path over all items."""
        if len(self.items) == 1:
            path = self.items[0].path
            rest = [qual for qual, _ in self.quals]
            return path if not rest else self._filtered(path, rest)
        return self._exhaustive() if len(self.items) <= EXHAUSTIVE_MAX else self._greedy()

    def _filtered(self, path: Path, quals: list[Expr]) -> Path:
        if isinstance(path, JoinPath):
            path.filter += quals
            return path
        raise InvariantViolation("conditions on a single relation were not pushed into its scan")

    def _ready(self, item: Item, have: frozenset[int]) -> bool:
        lateral = frozenset(var.rte for var in item.path.required) & self.universe
        return (item.min_left & self.universe) <= have and lateral <= have

    def _starts(self) -> list[int]:
        found = [
            index for index, item in enumerate(self.items) if item.kind == "inner" and self._ready(item, frozenset())
        ]
        if not found:
            raise NotSupported("circular lateral references between FROM items are not supported")
        return found

    def _exhaustive(self) -> Path:
        best: dict[int, Path] = {1 << index: self.items[index].path for index in self._starts()}
        full = (1 << len(self.items)) - 1
        level = dict(best)
        while full not in best:
            following: dict[int, Path] = {}
            for mask, path in level.items():
                candidates = self._candidates(mask, path.relids)
                for index in candidates:
                    joined = self.join(path, self.items[index])
                    if joined is None:
                        continue
                    key = mask | 1 << index
                    known = following.get(key)
                    if known is None or joined.cost < known.cost:
                        following[key] = joined
            if not following:
                raise NotSupported("no join order satisfies the lateral references of this query")
            best.update(following)
            level = following
        return best[full]

    def _candidates(self, mask: int, have: frozenset[int]) -> list[int]:
        """Items that may come next: the connected ones when there are any."""
        ready = [index for index, item in enumerate(self.items) if not mask >> index & 1 and self._ready(item, have)]
        connected = [index for index in ready if self._connected(self.items[index], have)]
        return connected or ready

    def _connected(self, item: Item, have: frozenset[int]) -> bool:
        if item.kind != "inner" or any(var.rte in have for var in item.path.required):
            return True
        together = have | item.relids
        return any(ids & item.relids and ids & have and ids <= together for _, ids in self.quals)

    def _greedy(self) -> Path:
        starts = sorted(self._starts(), key=lambda index: self.items[index].path.rows)[:3]
        results: list[Path] = []
        for start in starts:
            path: Path | None = self.items[start].path
            mask = 1 << start
            for _ in range(len(self.items) - 1):
                if path is None:
                    break
                options = []
                for index in self._candidates(mask, path.relids):
                    joined = self.join(path, self.items[index])
                    if joined is not None:
                        options.append((joined.rows + joined.cost * 0.01, index, joined))
                if not options:
                    path = None
                    break
                _, chosen, path = min(options, key=lambda option: option[:2])
                mask |= 1 << chosen
            if path is not None:
                results.append(path)
        if not results:
            raise NotSupported("no join order satisfies the lateral references of this query")
        return min(results, key=lambda result: result.cost)

    # --- one join ---------------------------------------------------------------------------------------------------

    def join(self, outer: Path, item: Item) -> JoinPath | None:
        """The cheapest join of what there is with one more item."""
        have = outer.relids
        together = have | item.relids
        hidden = item.kind in ("semi", "anti")
        fresh = [
            qual
            for qual, ids in self.quals
            if ids <= together and not ids <= have and not (hidden and ids & item.relids)
        ]
        if item.kind == "inner":
            condition, after = fresh, []
        else:
            condition, after = list(item.on), fresh
        rows = self._rows(outer, item, condition, after)
        required = frozenset(var for var in outer.required | item.path.required if var.rte not in together)
        options: list[JoinPath] = []
        lateral = any(var.rte in have for var in item.path.required)

        def add(method: str, inner: Path, startup: float, cost: float, **extra: object) -> None:
            options.append(
                JoinPath(
                    relids=together,
                    rows=rows,
                    startup=startup,
                    cost=cost,
                    required=required | frozenset(var for var in inner.required if var.rte not in together),
                    kind=item.kind,
                    method=method,
                    outer=outer,
                    inner=inner,
                    filter=after,
                    **extra,  # type: ignore[arg-type]
                )
            )

        if not lateral:
            keys, rest = hash_keys(self.catalog, condition, have, item.relids)
            if keys:
                costs = hash_join_cost(outer, item.path, len(keys), rows, self._bucket(keys[0][1], item.path.rows))
                costs = self._dear("enable_hashjoin", costs)
                add(
                    "hash",
                    item.path,
                    *costs,
                    outer_keys=[k for k, _ in keys],
                    inner_keys=[k for _, k in keys],
                    condition=rest,
                )
        inner_scan = self._parameterised(outer, item, condition)
        if inner_scan is not None and inner_scan.index is not None:
            rest = [qual for qual in condition if qual not in inner_scan.keys]
            costs = nest_loop_cost(outer, inner_scan, inner_scan.cost, inner_scan.rows, len(rest))
            add("nest", inner_scan, *self._dear("enable_nestloop", costs), condition=rest)
        if lateral:
            costs = nest_loop_cost(outer, item.path, item.path.cost, item.path.rows, len(condition))
            add("nest", item.path, *self._dear("enable_nestloop", costs), condition=condition)
        else:
            again = item.path.rows * CPU_OPERATOR_COST
            costs = nest_loop_cost(outer, item.path, again, item.path.rows, len(condition))
            stored = 2 * CPU_OPERATOR_COST * item.path.rows if outer.rows > 1 else 0.0
            costs = costs[0], costs[1] + stored
            add(
                "nest",
                item.path,
                *self._dear("enable_nestloop", costs),
                condition=condition,
                materialize=outer.rows > 1,
            )
        return min(options, key=lambda option: option.cost)

    def _rows(self, outer: Path, item: Item, condition: list[Expr], after: list[Expr]) -> float:
        estimator = self.access.estimator
        if item.kind in ("semi", "anti"):
            share = 1.0
            for qual in condition:
                if qual not in item.quals:
                    share *= estimator.semi(qual, item.relids, item.path.rows)
            rows = outer.rows * (share if item.kind == "semi" else 1.0 - share)
        else:
            rows = outer.rows * item.path.rows
            rows *= estimator.of_all([qual for qual in condition if qual not in item.quals])
            if item.kind == "left":
                rows = max(rows, outer.rows)
        return max(round(rows * estimator.of_all(after)), 1.0)

    def _bucket(self, key: Expr, rows: float) -> float:
        known = self.access.estimator.variable(key)
        share = 1.0 / max(min(known.distinct, rows), 1.0)
        _, frequencies = known.common
        return max(share, frequencies[0]) if frequencies else share

    def _dear(self, setting: str, costs: Costs) -> Costs:
        """The costs, out of all measure when the method is turned off."""
        if self.access.statement.enabled(setting):
            return costs
        return costs[0] + DISABLED_COST, costs[1] + DISABLED_COST

    def _parameterised(self, outer: Path, item: Item, condition: list[Expr]) -> ScanPath | None:
        """The best index scan of a base table whose keys come from the outer rows."""
        path = item.path
        if not isinstance(path, ScanPath):
            return None
        usable = item.quals + [qual for qual in condition if qual not in item.quals]
        best: ScanPath | None = None
        for scan, _ in self.access.index_paths(path.rte, path.entry, usable, item.quals, loops=outer.rows):
            needed = frozenset(var.rte for var in scan.required)
            if not needed or not needed <= outer.relids:
                continue
            if best is None or (scan.index is not None and scan.index.unique) or scan.cost < best.cost:
                best = scan
                if scan.index is not None and scan.index.unique:
                    break
        return best


Costs = tuple[float, float]
"""(to the first row, to the last)"""


def hash_join_cost(outer: Path, inner: Path, keys: int, rows: float, bucket: float) -> Costs:
    """``bucket``: the share of the inner rows that an outer row is compared with."""
    startup = outer.startup + inner.cost + inner.rows * (CPU_OPERATOR_COST * keys + CPU_TUPLE_COST)
    run = outer.cost - outer.startup + outer.rows * CPU_OPERATOR_COST * keys
    run += CPU_OPERATOR_COST * keys * outer.rows * max(1.0, inner.rows * bucket) * 0.5
    return startup, startup + run + rows * CPU_TUPLE_COST


def nest_loop_cost(outer: Path, inner: Path, again: float, inner_rows: float, conditions: int) -> Costs:
    """``again``: what each run of the inner side but the first costs."""
    pairs = outer.rows * inner_rows
    run = outer.cost - outer.startup + inner.cost - inner.startup + max(outer.rows - 1, 0.0) * again
    run += pairs * (CPU_TUPLE_COST + CPU_OPERATOR_COST * conditions)
    startup = outer.startup + inner.startup
    return startup, startup + run


def hash_keys(
    catalog: CatalogView, condition: Sequence[Expr], have: frozenset[int], new: frozenset[int]
) -> tuple[list[tuple[Expr, Expr]], list[Expr]]:
    """(outer, inner) key pairs of the hashable equalities between the two sides, and the other conditions. What a
    user's operator holds for equal need not be equal values: its keys are what its hash functions give, and it stays a
    condition."""
    keys: list[tuple[Expr, Expr]] = []
    rest: list[Expr] = []
    for qual in condition:
        sides = [(side, relids(side)) for side in _hashed(catalog, qual)]
        found = None
        for (outer, ids_outer), (inner, ids_inner) in (sides, sides[::-1]) if sides else ():
            if ids_outer and ids_inner and ids_outer <= have and ids_inner <= new:
                found = outer, inner
        if found is not None:
            keys.append(found)
        if found is None or not hashes_values(catalog, qual):
            rest.append(qual)
    return keys, rest


def hashes_values(catalog: CatalogView, node: Expr) -> bool:
    """Whether a condition is an equality of two values that have one hash where they are equal: a built-in one."""
    if not isinstance(node, Call) or not 0 < node.operator < FIRST_NORMAL_OID:
        return False
    return catalog.operator(node.operator).can_hash


def _hashed(catalog: CatalogView, node: Expr) -> Sequence[Expr]:
    """What is hashed of the two sides of an equality; nothing of any other condition."""
    if not isinstance(node, Call) or not node.operator or not catalog.operator(node.operator).can_hash:
        return ()
    if node.operator < FIRST_NORMAL_OID:
        return node.arguments
    functions = catalog.hash_functions(node.operator) or ()
    return [
        Call(type=oids.INT4, function=function, arguments=(side,))
        for function, side in zip(functions, node.arguments, strict=bool(functions))
    ]
