"""The paths that join one pair of sets (PostgreSQL's joinpath.c): nested loops, merge joins, hash joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Expr, SortKey, Var
from compute_node.sql.planner.classes import Classes, Order, begins
from compute_node.sql.planner.cost import joining as cost
from compute_node.sql.planner.cost.parameters import DISABLED_COST, CostParameters
from compute_node.sql.planner.cost.sorting import kept_again, material, sort
from compute_node.sql.planner.joining import merging
from compute_node.sql.planner.joining.clauses import Clause, Clauses
from compute_node.sql.planner.joining.given import Given
from compute_node.sql.planner.joining.keep import is_hopeless, keep
from compute_node.sql.planner.paths import JoinPath, MemoizePath, Path, Rel, ScanPath, SortPath, SubPath
from compute_node.sql.planner.state import Statement

Costs = tuple[float, float]


@dataclass(slots=True)
class Pair:
    """A pair to be joined into ``joined``: ``kind`` as the outer side sees it. ``clauses`` decide matches, ``after`` is
    asked of joined rows. ``given``: scans of the inner side by the outer one's values; ``lateral``: the inner side
    names columns of the outer one. ``matches``: of semi and anti joins, and where ``single``: no outer row has two
    matches."""

    kind: str
    outer: Rel
    inner: Rel
    joined: Rel
    clauses: list[Clause]
    after: list[Expr] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    lateral: bool = False
    matches: cost.Matches | None = None
    single: bool = False
    unique: bool = False
    """the same of full joins too, which need all rows of both sides: it is shown, and saves nothing"""


class PairPaths:
    """Makes the paths of pairs. ``wants_first``: a path may be kept for its first row alone."""

    def __init__(self, statement: Statement, clauses: Clauses, classes: Classes, wants_first: bool) -> None:
        self._statement = statement
        self._catalog: CatalogView = statement.catalog
        self._known: CostParameters = statement.costs
        self._clauses, self._classes = clauses, classes
        self._wants_first = wants_first
        enabled = statement.enabled
        self._off = {
            "nest": 0.0 if enabled("enable_nestloop") else DISABLED_COST,
            "merge": 0.0 if enabled("enable_mergejoin") else DISABLED_COST,
            "hash": 0.0 if enabled("enable_hashjoin") else DISABLED_COST,
        }
        self._may_keep = enabled("enable_material")
        self._may_cache = enabled("enable_memoize")
        self._sort_off = 0.0 if enabled("enable_sort") else DISABLED_COST
        self.useful: dict[tuple[Order, int], Order] = {}

    # --- orders -----------------------------------------------------------------------------------------------------

    def used(self, order: Order, rel: Rel) -> Order:
        """The part of an order that is of use above a set (truncate_useless_pathkeys)."""
        if not order:
            return order
        key = (order, rel.mask)
        found = self.useful.get(key)
        if found is None:
            count = begins(order, self._classes.wanted)
            merge = 0
            wanted = {number: down for number, down, _ in self._classes.wanted}
            for number, down, _ in order:
                if down != wanted.get(number, False) or not self._merges_above(number, rel.mask):
                    break
                merge += 1
            found = self.useful[key] = order[: max(count, merge)]
        return found

    def _merges_above(self, number: int, mask: int) -> bool:
        """Whether a condition with other entries could use an order by this class."""
        if any(ids & ~mask for _, ids in self._classes[number].members):
            return True
        for clause in self.outside:
            if clause.merges and clause.left_class == number and not clause.left & ~mask and clause.right & ~mask:
                return True
            if clause.merges and clause.right_class == number and not clause.right & ~mask and clause.left & ~mask:
                return True
        return False

    outside: Sequence[Clause] = ()
    """conditions that belong to no class"""

    def sorted_path(self, path: Path, rel: Rel, order: Order) -> Path:
        """A path sorted whole."""
        known = rel.sorts.get((id(path), order))
        if known is not None and known.child is path:
            return known
        startup, total = sort(self._known, path.cost, path.rows, rel.width)
        keys = []
        for number, down, first in order:
            node = self._classes.member(number, rel.mask)
            if node is not None:
                keys.append(SortKey(node, node.type, down, first))
        found = rel.sorts[id(path), order] = SortPath(
            relids=path.relids,
            rows=path.rows,
            startup=startup + self._sort_off,
            cost=total + self._sort_off,
            required=path.required,
            order=order,
            child=path,
            keys=tuple(keys),
        )
        return found

    # --- sides ------------------------------------------------------------------------------------------------------

    def side(self, path: Path, width: float) -> cost.Side:
        """A path as the input of a join; what it costs to read it again."""
        if path.side is not None:
            return path.side
        found = path.side = cost.Side(path.startup, path.cost, path.rows, width, path.startup, path.cost)
        known = self._known
        if isinstance(path, SortPath):
            found.again_startup, found.again_total = 0.0, kept_again(known, known.cpu_operator, path.rows, width)
        elif isinstance(path, SubPath) and path.entry.kind == "function":
            found.again_startup, found.again_total = 0.0, path.cost - path.startup
        elif isinstance(path, SubPath) and path.entry.kind == "cte":
            found.again_startup, found.again_total = 0.0, kept_again(known, known.cpu_tuple, path.rows, width)
        elif isinstance(path, JoinPath) and path.method == "hash":
            found.again_startup, found.again_total = 0.0, path.cost - path.startup
        elif isinstance(path, MemoizePath):
            found.again_startup, found.again_total = path.again
        return found

    # --- all --------------------------------------------------------------------------------------------------------

    def add(self, pair: Pair) -> None:
        """Give ``pair.joined`` the paths that join it."""
        keys = [each for each in pair.clauses if each.merges and each.crosses(pair.outer.mask, pair.inner.mask)]
        if pair.kind in ("right", "full") and len(keys) != len(pair.clauses):
            # Whether a row of the kept side has a match must be known when its keys have passed.
            keys = []
        # Hash joins first: they tell soonest that others are too dear.
        if not pair.lateral:
            self._hashed(pair)
        self._unsorted(pair, keys)
        if not pair.lateral:
            self._sorted(pair, keys)

    def _path(
        self, pair: Pair, method: str, outer: Path, inner: Path, costs: Costs, order: Order, condition: list[Clause]
    ) -> JoinPath:
        mask = pair.joined.relids
        return JoinPath(
            relids=mask,
            rows=pair.joined.rows,
            startup=costs[0],
            cost=costs[1],
            required=_required(outer, inner, mask),
            order=order,
            kind=pair.kind,
            method=method,
            outer=outer,
            inner=inner,
            condition=[each.node for each in condition],
            filter=pair.after,
            single=pair.unique,
        )

    @staticmethod
    def _tests(clauses: Sequence[Clause]) -> float:
        found = 0.0
        for each in clauses:
            found += each.cost
        return found

    # --- nested loops -----------------------------------------------------------------------------------------------

    def _unsorted(self, pair: Pair, keys: list[Clause]) -> None:
        """Nested loops over each path of the outer side, and merges with those that are in order."""
        loops = pair.kind not in ("right", "full")
        inner = pair.inner.cheapest
        kept: cost.Side | None = None
        if loops and not pair.lateral and self._may_keep and not _is_kept(inner):
            kept = pair.inner.kept
            if kept is None:
                costs = material(self._known, (inner.startup, inner.cost), inner.rows, pair.inner.width)
                again = kept_again(self._known, self._known.cpu_operator, inner.rows, pair.inner.width)
                kept = pair.inner.kept = cost.Side(*costs, inner.rows, pair.inner.width, 0.0, again)
        for outer in list(pair.outer.paths):
            order = self.used(outer.order, pair.joined) if loops else ()
            cheapest = pair.outer.cheapest
            if outer is not cheapest and not order and not (self._wants_first and outer.startup < cheapest.startup):
                # The cheapest outer path does the same for less, but for merges.
                loops_here = False
            else:
                loops_here = loops
            if loops_here:
                side = self.side(outer, pair.outer.width)
                self._nest(pair, outer, side, inner, self.side(inner, pair.inner.width), order, pair.clauses)
                for scan in pair.given:
                    rest = scan.leaves(pair.clauses)
                    self._nest(pair, outer, side, scan.path, self.side(scan.path, pair.inner.width), order, rest, True)
                    cached = self._cached(pair, outer, scan)
                    if cached is not None:
                        self._nest(pair, outer, side, cached, self.side(cached, pair.inner.width), order, rest, True)
                if pair.lateral:
                    cached = self._cached_lateral(pair, outer, inner)
                    if cached is not None:
                        again_side = self.side(cached, pair.inner.width)
                        self._nest(pair, outer, side, cached, again_side, order, pair.clauses)
                if kept is not None:
                    self._nest(pair, outer, side, inner, kept, order, pair.clauses, False, True)
            if keys and not pair.lateral and outer.order:
                self._merge_with(pair, keys, outer)

    def _nest(
        self,
        pair: Pair,
        outer: Path,
        outer_side: cost.Side,
        inner: Path,
        inner_side: cost.Side,
        order: Order,
        rest: list[Clause],
        given: bool = False,
        materialize: bool = False,
    ) -> None:
        indexed = given and not rest and _finds(inner)
        startup, total = cost.nest_loop(self._known, outer_side, inner_side, pair.matches, indexed, self._tests(rest))
        off = self._off["nest"]
        startup, total = startup + off, total + off
        paths = pair.joined.paths
        if is_hopeless(paths, startup, total, order, self._wants_first):
            return
        path = self._path(pair, "nest", outer, inner, (startup, total), order, rest)
        path.materialize = materialize
        keep(paths, path, self._wants_first)

    def _cached(self, pair: Pair, outer: Path, scan: Given) -> MemoizePath | None:
        """The scan behind a cache of its rows by their keys."""
        if not self._may_cache or outer.rows < 2:
            return None
        if pair.kind in ("semi", "anti") and not pair.single:
            return None
        if pair.single and scan.leaves(pair.clauses):
            return None
        if not scan.may_cache(self._catalog):
            return None
        mask = pair.outer.mask
        keys: list[Expr] = []
        binary = False
        for clause in scan.clauses:
            if not clause.crosses(mask, pair.inner.mask):
                return None
            binary = binary or not clause.hashes
            node = clause.sides(mask)[0]
            if node not in keys:
                keys.append(node)
        if scan.distinct is None or scan.distinct[1] != outer.rows:
            scan.distinct = self._clauses.cache_keys(keys, outer.rows), outer.rows
        return self._memoize(pair, outer, scan.path, keys, scan.distinct[0], binary)

    def _cached_lateral(self, pair: Pair, outer: Path, inner: Path) -> MemoizePath | None:
        if not self._may_cache or outer.rows < 2 or (pair.kind in ("semi", "anti") and not pair.single):
            return None
        if isinstance(inner, SubPath) and inner.entry.kind == "subquery" and not inner.volatile:
            keys: list[Expr] = [*sorted(inner.required, key=lambda var: (var.rte, var.attno))]
            if keys and all(isinstance(var, Var) and var.rte in pair.outer.relids for var in inner.required):
                return self._memoize(pair, outer, inner, keys, self._clauses.cache_keys(keys, outer.rows), True)
        return None

    def _memoize(
        self, pair: Pair, outer: Path, inner: Path, keys: list[Expr], distinct: float, binary: bool = False
    ) -> MemoizePath | None:
        if not keys or any(not self._hashes(key) for key in keys):
            return None
        known = self._known
        side = self.side(inner, pair.inner.width)
        found = cost.memoize(known, side, outer.rows, distinct)
        return MemoizePath(
            relids=inner.relids,
            rows=inner.rows,
            startup=inner.startup + known.cpu_tuple,
            cost=inner.cost + known.cpu_tuple,
            required=inner.required,
            order=inner.order,
            child=inner,
            keys=tuple(keys),
            single=pair.single,
            binary=binary,
            entries=found.entries,
            again=(found.startup, found.total),
        )

    def _hashes(self, key: Expr) -> bool:
        return self._catalog.default_operator_class(key.type, 405) is not None

    # --- merge joins ------------------------------------------------------------------------------------------------

    def _sorted(self, pair: Pair, keys: list[Clause]) -> None:
        """Both sides sorted for the merge."""
        if not keys:
            return
        mask = pair.outer.mask
        order = merging.outer_order(self._classes, keys, mask, pair.joined.mask)
        # Sorts read their whole inputs before the first row; what is in an order may not have to be sorted.
        bound = sum(path.startup if path.order else path.cost for path in (pair.outer.cheapest, pair.inner.cheapest))
        for number in range(len(order)):
            mine = (order[number], *order[:number], *order[number + 1 :])
            result = () if pair.kind in ("right", "full") else self.used(mine, pair.joined)
            if is_hopeless(pair.joined.paths, bound, bound, result, self._wants_first):
                continue
            chosen = merging.keys_of(mine, keys, mask)
            if not chosen or (pair.kind in ("right", "full") and len(chosen) != len(keys)):
                continue
            wanted = merging.inner_order(chosen, mine, mask)
            self._merge(pair, chosen, mine, pair.outer.cheapest, mine, pair.inner.cheapest, wanted)

    def _merge_with(self, pair: Pair, keys: list[Clause], outer: Path) -> None:
        """An outer path that is in order, with inner ones."""
        mask = pair.outer.mask
        chosen = merging.keys_of(outer.order, keys, mask)
        whole = pair.kind in ("right", "full")
        if not chosen or (whole and len(chosen) != len(keys)):
            return
        wanted = merging.inner_order(chosen, outer.order, mask)
        cheapest = pair.inner.cheapest
        self._merge(pair, chosen, outer.order, outer, (), cheapest, wanted)
        best: Path | None = cheapest if begins(cheapest.order, wanted) == len(wanted) else None
        for count in range(len(wanted), 0, -1):
            trial = wanted[:count]
            inner = next((path for path in pair.inner.paths if begins(path.order, trial) == count), None)
            if inner is not None and (best is None or inner.cost < best.cost):
                best = inner
                part = chosen if count == len(wanted) else merging.within(chosen, trial, mask)
                if part:
                    self._merge(pair, part, outer.order, outer, (), inner, ())
            if whole:
                break

    def _merge(
        self,
        pair: Pair,
        chosen: list[Clause],
        order: Order,
        outer: Path,
        outer_sort: Order,
        inner: Path,
        inner_sort: Order,
    ) -> None:
        mask = pair.outer.mask
        if outer_sort and begins(outer.order, outer_sort) < len(outer_sort):
            outer = self.sorted_path(outer, pair.outer, outer_sort)
        is_sorted = bool(inner_sort) and begins(inner.order, inner_sort) < len(inner_sort)
        if is_sorted:
            inner = self.sorted_path(inner, pair.inner, inner_sort)
        result = () if pair.kind in ("right", "full") else self.used(order, pair.joined)
        paths = pair.joined.paths
        bound = outer.startup + inner.startup
        if is_hopeless(paths, bound, bound, result, self._wants_first):
            return
        rest = [each for each in pair.clauses if each not in chosen]
        rows = max(outer.rows * inner.rows * self._clauses.shares(chosen), 1.0)
        first = chosen[0]
        directions = {number: (number, down, nulls) for number, down, nulls in order}
        key = directions[first.outer_class(mask)]
        part = cost.Scanned()
        if pair.kind != "full":
            part = merging.scanned(self._clauses, self._catalog, first, pair.kind, mask, key)
        found = cost.MergeInput(
            scanned=part,
            pairs=float(round(rows)),
            single=(pair.kind in ("semi", "anti") or pair.single) and not rest,
            marks=_marks(inner),
            sorted=is_sorted,
            may_keep=self._may_keep,
            merge_tests=self._tests(chosen),
            tests=self._tests(rest),
        )
        made = cost.merge_join(
            self._known, self.side(outer, pair.outer.width), self.side(inner, pair.inner.width), found
        )
        off = self._off["merge"]
        startup, total = made.startup + off, made.total + off
        if is_hopeless(paths, startup, total, result, self._wants_first):
            return
        path = self._path(pair, "merge", outer, inner, (startup, total), result, rest)
        path.materialize = made.kept
        sides = [each.sides(mask) for each in chosen]
        path.outer_keys = [one for one, _ in sides]
        path.inner_keys = [other for _, other in sides]
        path.merged = [each.node for each in chosen]
        path.descending = tuple(directions[each.outer_class(mask)][1] for each in chosen)
        path.nulls_first = tuple(directions[each.outer_class(mask)][2] for each in chosen)
        keep(paths, path, self._wants_first)

    def _under_one_key(self, pair: Pair) -> None:
        """A FULL join on a constant alone: a merge without keys, so all rows have the same one."""
        outer, inner = pair.outer.cheapest, pair.inner.cheapest
        found = cost.MergeInput(
            scanned=cost.Scanned(),
            pairs=max(outer.rows * inner.rows, 1.0),
            single=False,
            marks=_marks(inner),
            sorted=False,
            may_keep=self._may_keep,
            merge_tests=self._tests(()),
            tests=self._tests(pair.clauses),
        )
        made = cost.merge_join(
            self._known, self.side(outer, pair.outer.width), self.side(inner, pair.inner.width), found
        )
        path = self._path(pair, "merge", outer, inner, (made.startup, made.total), (), pair.clauses)
        path.materialize = made.kept
        keep(pair.joined.paths, path, self._wants_first)

    # --- hash joins -------------------------------------------------------------------------------------------------

    def _hashed(self, pair: Pair) -> None:
        keys = [each for each in pair.clauses if each.hashes and each.crosses(pair.outer.mask, pair.inner.mask)]
        if not keys:
            if pair.kind == "full" and not any(each.merges for each in pair.clauses):
                self._under_one_key(pair)
            return
        inner = pair.inner.cheapest
        outers = [pair.outer.cheapest]
        if self._wants_first and pair.outer.first is not outers[0]:
            outers.append(pair.outer.first)
        rest = [each for each in pair.clauses if each not in keys or not each.is_exact]
        mask = pair.outer.mask
        sides = [each.hash_sides(mask) for each in keys]
        inner_side = self.side(inner, pair.inner.width)
        bound = inner.cost + pair.outer.cheapest.cost
        if is_hopeless(pair.joined.paths, bound, bound, (), self._wants_first):
            return
        if pair.inner.table is None:
            pair.inner.table = cost.hash_table(self._known, inner.rows, pair.inner.width)
        buckets, batches = pair.inner.table
        share, common = 1.0, 1.0
        for clause in keys:
            one, most = self._clauses.bucket(clause, clause.sides(mask)[1], pair.inner, buckets * batches)
            share, common = min(share, one), min(common, most)
        pairs = self._clauses.shares(keys)
        for outer in outers:
            found = cost.HashInput(
                len(keys), share, common, max(round(outer.rows * inner.rows * pairs), 1.0), self._tests(rest)
            )
            startup, total = cost.hash_join(
                self._known,
                self.side(outer, pair.outer.width),
                inner_side,
                found,
                pair.matches,
                pair.kind == "anti",
                pair.inner.table,
            )
            off = self._off["hash"]
            startup, total = startup + off, total + off
            if is_hopeless(pair.joined.paths, startup, total, (), self._wants_first):
                continue
            path = self._path(pair, "hash", outer, inner, (startup, total), (), rest)
            path.outer_keys = [one for one, _ in sides]
            path.inner_keys = [other for _, other in sides]
            keep(pair.joined.paths, path, self._wants_first)


def _required(outer: Path, inner: Path, mask: frozenset[int]) -> frozenset[Var]:
    """Columns of others that a join of two paths needs."""
    if not outer.required and not inner.required:
        return outer.required
    return frozenset(var for var in outer.required | inner.required if var.rte not in mask)


def _is_kept(path: Path) -> bool:
    """Whether a path keeps its rows by itself."""
    return isinstance(path, SortPath) or (isinstance(path, SubPath) and path.entry.kind in ("function", "cte"))


def _marks(path: Path) -> bool:
    """Whether a path can go back to a place that it was at."""
    return isinstance(path, SortPath) or (isinstance(path, ScanPath) and path.index is not None and path.bitmap is None)


def _finds(path: Path) -> bool:
    """Whether a scan finds its rows by an index."""
    if isinstance(path, MemoizePath):
        return _finds(path.child)
    return isinstance(path, ScanPath) and (path.index is not None or path.bitmap is not None)
