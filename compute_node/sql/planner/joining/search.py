"""The order of joins: dynamic programming over sets of items, bushy trees included (PostgreSQL's joinrels.c); greedy
past ``geqo_threshold`` items, and where there are too many pairs to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aurora.errors import InvariantViolation, NotSupported
from compute_node.hub import HUB
from compute_node.sql.expressions import Expr
from compute_node.sql.planner.access import Access
from compute_node.sql.planner.classes import Classes
from compute_node.sql.planner.cost.grouping import Grouped, hashed_groups
from compute_node.sql.planner.cost.joining import Matches
from compute_node.sql.planner.cost.parameters import clamped
from compute_node.sql.planner.joining.clauses import Clause, Clauses
from compute_node.sql.planner.joining.foreign_keys import joined_keys, share_of_keys
from compute_node.sql.planner.joining.given import Given, GivenScans
from compute_node.sql.planner.joining.keep import keep
from compute_node.sql.planner.joining.pairs import Pair, PairPaths
from compute_node.sql.planner.joining.uniqueness import finds_one
from compute_node.sql.planner.paths import AppendPath, JoinPath, Path, Rel, ScanPath, UniquePath
from compute_node.types.collation import collation_of

PAIRS_MAX = 400
"""pairs of sets that a statement looks at before it goes on greedily"""


@dataclass(slots=True)
class Item:
    """One input of a join problem. ``on``: its ON condition (left, semi, anti, full), of which ``quals`` (about the
    item alone) are already in ``rel``; ``min_left``: relations that must be joined before it."""

    kind: str
    rel: Rel
    quals: list[Expr] = field(default_factory=list)
    on: list[Expr] = field(default_factory=list)
    min_left: frozenset[int] = frozenset()

    @property
    def relids(self) -> frozenset[int]:
        """The relations it brings."""
        return self.rel.relids


class JoinSearch:
    """Joins the items under the conditions ``quals`` (each over more than one item, or over the nullable side of an
    outer join) and those of the classes."""

    def __init__(
        self,
        access: Access,
        classes: Classes,
        items: Sequence[Item],
        quals: Sequence[tuple[Expr, frozenset[int]]],
        wants_first: bool = False,
        shares: Mapping[int, tuple[Expr, float]] | None = None,
    ) -> None:
        self.access = access
        self._shares = shares or {}
        self.items = list(items)
        self._wants_first = wants_first
        self._statement = access.statement
        self._clauses = Clauses(access.catalog, classes, access.estimator)
        self._universe = 0
        for item in self.items:
            self._universe |= item.rel.mask
        self._clauses.use(self._universe)
        self._quals = [self._qual(node, ids) for node, ids in quals]
        self._on = [[self._clause(node) for node in item.on] for item in self.items]
        self._pairs = PairPaths(self._statement, self._clauses, classes, wants_first)
        self._pairs.outside = [*self._quals, *(clause for each in self._on for clause in each)]
        self._given: list[GivenScans | None] = [None] * len(self.items)
        self._rels: dict[int, Rel] = {}
        self._keys = joined_keys(access.catalog, access.entries, self._universe, classes)
        self._masks = [item.rel.mask for item in self.items]
        self._min_left = [_bits(item.min_left) & self._universe for item in self.items]
        self._lateral = [_bits(frozenset(var.rte for var in item.rel.required)) & self._universe for item in self.items]
        self._near = self._neighbours()
        self._near_sets: dict[int, int] = {}

    def _clause(self, node: Expr) -> Clause:
        clause = self._clauses.clause(node)
        known = self._shares.get(id(node))
        if known is not None:
            clause.share = known[1]
        return clause

    def _qual(self, node: Expr, ids: frozenset[int]) -> Clause:
        clause = self._clause(node)
        clause.ids = _bits(ids)
        return clause

    # --- what belongs together --------------------------------------------------------------------------------------

    def _neighbours(self) -> list[int]:
        """For each item the bits of the items that a condition, an outer join's order or a lateral reference ties it
        to."""
        near = [0] * len(self.items)

        def tie(mask: int) -> None:
            found = [at for at, own in enumerate(self._masks) if own & mask]
            for one in found:
                for other in found:
                    if one != other:
                        near[one] |= 1 << other

        for clause in self._quals:
            tie(clause.ids)
        for _, mask in self._clauses.joining():
            tie(mask)
        for at, item in enumerate(self.items):
            if item.kind != "inner" or self._lateral[at]:
                tie(self._masks[at] | self._min_left[at] | self._lateral[at])
        return near

    def best(self) -> Rel:
        """All items joined."""
        for at, item in enumerate(self.items):
            rel = item.rel
            if len(self.items) > 1 or any(path.order for path in rel.paths):
                paths: list[Path] = []
                for path in sorted(rel.paths, key=lambda path: path.cost):
                    path.order = self._pairs.used(path.order, rel)
                    keep(paths, path, self._wants_first)
                rel.paths = paths
            self._rels[1 << at] = rel
        if len(self.items) == 1:
            for path in self.items[0].rel.paths if self._quals else ():
                if not isinstance(path, JoinPath):
                    raise InvariantViolation("conditions on a single relation were not pushed into its scan")
                path.filter = [*path.filter, *(each.node for each in self._quals)]
            return self.items[0].rel
        threshold = self._statement.number("geqo_threshold", 12)
        if len(self.items) >= threshold and self._statement.enabled("geqo"):
            return self._greedy(list(range(len(self.items))))
        if self._pairs_to_join() > PAIRS_MAX:
            return self._greedy(list(range(len(self.items))))
        return self._exhaustive()

    def _pairs_to_join(self) -> int:
        """How many pairs of sets the search would look at, up to some more than it may."""
        count = len(self.items)
        whole = (1 << count) - 1
        # What has no condition with others may be joined to all of them.
        levels: list[dict[int, int]] = [{}, {1 << at: self._near[at] or whole & ~(1 << at) for at in range(count)}]
        pairs = 0
        for size in range(2, count + 1):
            found: dict[int, int] = {}
            for small in range(1, size // 2 + 1):
                for one, near in levels[small].items():
                    for other, near_other in levels[size - small].items():
                        if not one & other and near & other and (small * 2 < size or one < other):
                            pairs += 1
                            both = one | other
                            found[both] = (near | near_other) & ~both or whole & ~both
                            if pairs > PAIRS_MAX:
                                return pairs
            levels.append(found)
        return pairs

    # --- exhaustive -------------------------------------------------------------------------------------------------

    def _exhaustive(self) -> Rel:
        count = len(self.items)
        levels: list[list[int]] = [[], [1 << at for at in range(count)]]
        for size in range(2, count + 1):
            found: dict[int, None] = {}
            for one in levels[size - 1]:
                near = self._near_of(one)
                for at in range(count):
                    if not one >> at & 1 and (near >> at & 1 or not self._near[at] or not near):
                        self._join_sets(one, 1 << at, found)
            for small in range(2, size // 2 + 1):
                for one in levels[small]:
                    near = self._near_of(one)
                    for other in levels[size - small]:
                        if not one & other and near & other and (small * 2 < size or one < other):
                            self._join_sets(one, other, found)
            if not found:
                for one in levels[size - 1]:
                    for at in range(count):
                        if not one >> at & 1:
                            self._join_sets(one, 1 << at, found)
            levels.append(list(found))
        whole = self._rels.get((1 << count) - 1)
        if whole is None or not whole.paths:
            raise NotSupported("no join order satisfies the lateral references of this query")
        return whole

    def _near_of(self, items: int) -> int:
        known = self._near_sets.get(items)
        if known is None:
            known = 0
            for at, near in enumerate(self._near):
                if items >> at & 1:
                    known |= near
            known = self._near_sets[items] = known & ~items
        return known

    def _join_sets(self, one: int, other: int, found: dict[int, None]) -> None:
        if len(self.items) == 2 and one > other:
            one, other = other, one
        elif not other & (other - 1) and not one & (one - 1) and one > other:
            return
        if self._join(one, other):
            found[one | other] = None

    # --- greedy -----------------------------------------------------------------------------------------------------

    def _greedy(self, order: list[int]) -> Rel:
        """Join the pair of sets that gives the fewest rows, again and again (greedy operator ordering)."""
        sets = [1 << at for at in order]
        while len(sets) > 1:
            best: tuple[float, float, int, int] | None = None
            for only_near in (True, False):
                for at, one in enumerate(sets):
                    near = self._near_of(one)
                    for other in sets[at + 1 :]:
                        if only_near and not near & other:
                            continue
                        rel = self._rels.get(one | other)
                        if rel is None and not self._join(one, other):
                            continue
                        rel = self._rels[one | other]
                        key = (rel.rows, rel.cheapest.cost, one, other)
                        if best is None or key < best:
                            best = key
                if best is not None:
                    break
            if best is None:
                raise NotSupported("no join order satisfies the lateral references of this query")
            _, _, one, other = best
            sets = [each for each in sets if each not in (one, other)] + [one | other]
        return self._rels[sets[0]]

    # --- one pair ---------------------------------------------------------------------------------------------------

    def _join(self, one: int, other: int) -> bool:
        """Add the paths that join two sets; False where these two cannot be joined."""
        HUB.pulse()
        special = self._special(one, other)
        if special is None:
            return False
        kind, outer, inner = special
        left, right = self._rels[outer], self._rels[inner]
        mask = left.mask | right.mask
        at = inner.bit_length() - 1 if not inner & (inner - 1) else -1
        back = outer.bit_length() - 1 if not outer & (outer - 1) else -1
        needs = self._lateral_of(inner) & left.mask
        needs_back = self._lateral_of(outer) & right.mask
        if (
            (needs and needs_back)
            or self._open(outer, left.mask, right.mask)
            or self._open(inner, right.mask, left.mask)
        ):
            return False
        hidden = kind in ("semi", "anti")
        fresh = [
            each
            for each in self._quals
            if not each.ids & ~mask
            and (each.ids & ~left.mask or kind == "full")
            and (each.ids & ~right.mask or (kind != "inner" and not hidden))
            and not (hidden and each.ids & right.mask)
        ]
        if kind == "inner":
            clauses, after = [*self._clauses.of_classes(left.mask, right.mask), *fresh], []
        else:
            clauses, after = self._on[at], fresh
        joined = self._rels.get(one | other)
        if joined is None:
            rows = self._rows(kind, left, right, clauses, after)
            width = left.width if hidden else left.width + right.width
            kept = left.relids | right.relids
            joined = self._rels[one | other] = Rel(kept, mask, rows, width)
        asked = [each.node for each in after]
        if needs_back:
            left, right, outer, inner, at, back = right, left, inner, outer, back, at
            needs = needs_back
            if kind != "inner":
                return bool(joined.paths)
        self._add(Pair(kind, left, right, joined, clauses, asked, lateral=bool(needs)), at)
        if kind == "semi" and not needs:
            once = self._once(at, right, left.mask)
            if once is not None:
                found = Pair("inner", left, once, joined, clauses, asked, single=True, unique=True)
                found.matches = self._matches(found)
                self._pairs.add(found)
                self._add(Pair("inner", once, left, joined, clauses, asked), back)
        if not needs and kind == "inner":
            self._add(Pair(kind, right, left, joined, clauses, asked), back)
        elif not needs and kind == "left":
            self._add(Pair("right", right, left, joined, clauses, asked), -1)
        elif kind == "full":
            self._add(Pair("full", right, left, joined, clauses, asked), -1)
        if not joined.paths:
            del self._rels[one | other]
            return False
        return True

    def _special(self, one: int, other: int) -> tuple[str, int, int] | None:
        """(kind, outer set, inner set) of a join of two sets; None where it is not allowed."""
        for inner, outer in ((other, one), (one, other)):
            if not inner & (inner - 1):
                at = inner.bit_length() - 1
                if self.items[at].kind != "inner":
                    have = self._rels[outer].mask
                    alone = not outer & (outer - 1) and self.items[outer.bit_length() - 1].kind != "inner"
                    if self.items[at].kind == "full":
                        return "full", outer, inner
                    if alone or self._min_left[at] & ~have:
                        return None
                    return self.items[at].kind, outer, inner
        return "inner", one, other

    def _lateral_of(self, items: int) -> int:
        if not items & (items - 1):
            return self._lateral[items.bit_length() - 1]
        return _bits(frozenset(var.rte for var in self._rels[items].required)) & self._universe

    def _open(self, items: int, own: int, other: int) -> bool:
        """Whether a set of several items still needs columns of a third one: those must come first."""
        return bool(self._lateral_of(items) & ~own & ~other)

    def _add(self, pair: Pair, inner_item: int) -> None:
        """Complete a pair and make its paths."""
        if not pair.inner.paths or not pair.outer.paths:
            return
        if inner_item >= 0 and pair.kind not in ("right", "full"):
            pair.given = self._given_of(inner_item, pair.outer.mask)
        kind = pair.kind
        pair.unique = kind not in ("semi", "anti") and finds_one(
            self._statement.catalog,
            self._clauses,
            self.items[inner_item].rel if inner_item >= 0 else None,
            pair.clauses,
            pair.outer.mask,
        )
        pair.single = pair.unique and kind != "full"
        if kind in ("semi", "anti") or pair.single:
            pair.matches = self._matches(pair)
        self._pairs.add(pair)

    def _given_of(self, at: int, outer: int) -> list[Given]:
        """The scans of an item by keys from these entries."""
        found = self._given[at]
        if found is None:
            item = self.items[at]
            scan = next((path for path in item.rel.paths if isinstance(path, (ScanPath, AppendPath))), None)
            if scan is None or len(item.rel.relids) > 1 or item.rel.required:
                return []
            if item.kind == "inner":
                clauses = [each for each in self._quals if each.ids & item.rel.mask and each.ids & ~item.rel.mask]
                clauses += self._clauses.with_entry(item.rel.mask)
                clauses = [each for each in clauses if not self._over_outer_join(each)]
                for other, semi in enumerate(self.items):
                    if semi.kind == "semi":
                        clauses += [each for each in self._on[other] if each.ids & item.rel.mask]
            else:
                clauses = [each for each in self._on[at] if each.ids & ~item.rel.mask]
            own = [*item.rel.security, *item.quals]
            found = self._given[at] = GivenScans(self.access, scan, own, clauses, self._least_rows)
        return found.within(outer)

    def _over_outer_join(self, clause: Clause) -> bool:
        """Whether a condition of WHERE speaks of the nullable side of an outer join: it is asked of joined rows."""
        return any(
            item.kind != "inner" and clause.ids & mask for item, mask in zip(self.items, self._masks, strict=True)
        )

    def _least_rows(self, mask: int) -> float:
        rows = [item.rel.rows for item in self.items if item.rel.mask & mask]
        return min(rows, default=1.0)

    def _once(self, at: int, inner: Rel, outer: int) -> Rel | None:
        """The inner side of a semi join with one row for each key, where all conditions are equalities of such keys
        (create_unique_path)."""
        clauses = self._on[at]
        if not clauses or not all(each.is_exact and each.crosses(outer, inner.mask) for each in clauses):
            return None
        keys: list[Expr] = []
        for each in clauses:
            key = each.sides(outer)[1]
            if key not in keys:
                keys.append(key)
        if any(collation_of(key.type) for key in keys):
            return None
        path = inner.cheapest
        rows = max(self._clauses.groups(keys, inner.rows), 1.0)
        known = self._statement.costs
        found = Grouped(len(keys), rows, 0.0, 0.0, 0)
        startup, total = hashed_groups(known, path.cost, path.rows, inner.width, found)
        once = UniquePath(
            relids=path.relids,
            rows=rows,
            startup=startup,
            cost=total,
            required=path.required,
            child=path,
            keys=tuple(keys),
        )
        return Rel(inner.relids, inner.mask, rows, inner.width, [once])

    # --- estimates --------------------------------------------------------------------------------------------------

    def _rows(self, kind: str, left: Rel, right: Rel, clauses: list[Clause], after: list[Clause]) -> float:
        if kind in ("semi", "anti"):
            share = self._semi_share(clauses, right)
            rows = left.rows * (share if kind == "semi" else 1.0 - share)
        else:
            share, rest = share_of_keys(self._keys, clauses, left.mask, right.mask) if self._keys else (1.0, clauses)
            rows = left.rows * right.rows * share * self._clauses.shares(rest)
            if kind in ("left", "full"):
                rows = max(rows, left.rows)
            if kind == "full":
                rows = max(rows, right.rows)
        return clamped(rows * self._clauses.shares(after))

    def _semi_share(self, clauses: Sequence[Clause], right: Rel) -> float:
        share = 1.0
        for clause in clauses:
            found = self.access.estimator.semi(clause.node, right.relids, right.rows)
            share *= min(found, right.rows * self._clauses.share(clause))
        return share

    def _matches(self, pair: Pair) -> Matches:
        if pair.kind not in ("semi", "anti"):
            # PostgreSQL estimates these by the joins' own selectivity.
            return Matches(self._clauses.shares(pair.clauses), max(pair.inner.rows, 1.0))
        share = self._semi_share(pair.clauses, pair.inner)
        count = self._clauses.shares(pair.clauses) * pair.inner.rows / share if share > 0 else 1.0
        return Matches(share, max(count, 1.0))


def _bits(numbers: frozenset[int]) -> int:
    found = 0
    for number in numbers:
        found |= 1 << number
    return found
