"""Rule: a table that others inherit from is read as an Append of scans (PostgreSQL's inherit.c and appendrel paths).

``expand`` gives each table of a family (the named one first, then its descendants level by level) a range entry of its
own behind the others; a ``Member`` knows which of its columns is which of the named table's. Conditions, targets and
orders are said of the named table and translated where a member's scan is made, so that nobody above the Append knows
of members. Which tables a family has is for ``sql/family_tables`` to say.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Const, CurrentOf, Expr, SortKey, Var, map_children
from compute_node.sql.family_tables import matching_attnos, tables_of
from compute_node.sql.planner.classes import Order, begins
from compute_node.sql.planner.cost.parameters import DISABLED_COST
from compute_node.sql.planner.cost.sorting import sort
from compute_node.sql.planner.exclusion import Refutation, constraints_of
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.paths import AppendPath, Path, ScanPath, SortPath, type_width
from compute_node.sql.planner.prune import constant, pruning_of
from compute_node.sql.planner.quals import conjuncts, local_vars
from compute_node.sql.query import Query, RangeEntry

if TYPE_CHECKING:
    from compute_node.sql.planner.access import Access
    from compute_node.sql.planner.classes import Classes

APPEND_SHARE = 0.5
"""of a row's cost, what handing it on costs"""


@dataclass(frozen=True, slots=True)
class Member:
    """A table of a family: its range entry, that of the family, and for each column of the named table the member's
    attno (0: dropped)."""

    rte: int
    parent: int
    relation: RelationDesc
    attnos: tuple[int, ...]

    def down(self, node: Expr) -> Expr:
        """What is said of the named table, said of the member."""
        if isinstance(node, Var):
            if node.rte != self.parent or node.levels_up:
                return node
            attno = self.attnos[node.attno - 1] if node.attno > 0 else node.attno
            return dataclasses.replace(node, rte=self.rte, attno=attno)
        if isinstance(node, CurrentOf):
            return dataclasses.replace(node, relation=self.relation)
        return node if isinstance(node, Const) else map_children(node, self.down)

    def up(self, node: Expr) -> Expr | None:
        """The other way round; None for a column that the named table has not."""
        if any(var.rte == self.rte and var.attno > 0 and var.attno not in self.attnos for var in local_vars(node)):
            return None
        return self._up(node)

    def _up(self, node: Expr) -> Expr:
        if isinstance(node, Var):
            if node.rte != self.rte or node.levels_up:
                return node
            attno = self.attnos.index(node.attno) + 1 if node.attno > 0 else node.attno
            return dataclasses.replace(node, rte=self.parent, attno=attno)
        return node if isinstance(node, Const) else map_children(node, self._up)


def expand(catalog: CatalogView, query: Query, known: dict[int, tuple[Member, ...]]) -> Query:
    """The query with a range entry for each member of each family; what is found is added to ``known``, by the
    family's range entry."""
    entries = list(query.range_table)
    for rte, entry in enumerate(query.range_table):
        if entry.has_family and entry.relation is not None and rte not in known:
            members = []
            # ONLY a partitioned table is nothing.
            for table in tables_of(catalog, entry.relation) if entry.descends else ():
                members.append(Member(len(entries), rte, table, matching_attnos(entry.relation, table)))
                entries.append(_entry_of(entry, table))
            known[rte] = tuple(members)
    return query if len(entries) == len(query.range_table) else dataclasses.replace(query, range_table=entries)


def _entry_of(family: RangeEntry, table: RelationDesc) -> RangeEntry:
    return RangeEntry(
        "relation",
        family.alias,
        tuple("" if column.dropped else column.name for column in table.columns),
        tuple(column.type for column in table.columns),
        tuple(column.typmod for column in table.columns),
        relation=table,
        sample=family.sample,
        security=family.security,
    )


class FamilyPaths:
    """The ways to read one family."""

    def __init__(self, access: Access, members: Sequence[Member]) -> None:
        self._access = access
        self._members = members
        self._costs = access.statement.costs
        self._keys_of: dict[int, SortKey[Expr]] = {}
        """what the members' orders are made of: by the class, the key over the named table"""

    def paths(self, rte: int, entry: RangeEntry, quals: Sequence[Expr], classes: Classes) -> list[AppendPath]:
        """Of all rows, and in the orders that some members have."""
        found = list(self._member_paths(quals, classes))
        made = [self._append(rte, entry, [min(paths, key=lambda path: path.cost) for _, paths in found], quals)]
        if len(found) == 1:
            _, paths = found[0]
            return [self._append(rte, entry, [path], quals, path.order) for path in paths]
        orders = dict.fromkeys(path.order for _, paths in found for path in paths if path.order)
        for order in orders:
            keys = self._keys(order)
            for by_startup in (True, False):
                children = [self._in_order(member, paths, order, keys, by_startup) for member, paths in found]
                merged = self._merged(rte, entry, children, order, keys)
                if not any(path.startup == merged.startup and path.cost == merged.cost for path in made):
                    made.append(merged)
        return made

    def sampled(self, rte: int, entry: RangeEntry, quals: Sequence[Expr]) -> AppendPath:
        """Of a part of each member's rows."""
        children: list[Path] = []
        for member, mine in self._conditions(quals):
            of = dataclasses.replace(self._access.entries[member.rte], sample=entry.sample)
            children.append(self._access.seq_path(member.rte, of, mine))
        return self._append(rte, entry, children, quals)

    def given_paths(self, rte: int, entry: RangeEntry, quals: Sequence[Expr], loops: float) -> Iterator[AppendPath]:
        """Scans whose conditions name columns of other entries, too: the cheapest of each member."""
        children: list[Path] = []
        by_index = False
        for member, mine in self._conditions(quals):
            of = self._access.entries[member.rte]
            others = frozenset(var for item in mine for var in local_vars(item) if var.rte != member.rte)
            whole: ScanPath = self._access.seq_path(member.rte, of, mine)
            whole.required = others
            best = whole
            for path in self._access.given_scans(member.rte, of, mine, loops):
                if path.cost < best.cost:
                    path.required |= others
                    best, by_index = path, True
            children.append(best)
        if by_index:
            yield self._append(rte, entry, children, quals)

    def _conditions(self, quals: Sequence[Expr]) -> Iterator[tuple[Member, list[Expr]]]:
        """Each member that may have rows, with the conditions as they are about it."""
        catalog = self._access.catalog
        for member in self._left(quals):
            mine = [part for item in quals for part in conjuncts(fold(catalog, member.down(item)))]
            constant = [item for item in mine if isinstance(item, Const)]
            asked = [item for item in mine if not isinstance(item, Const)]
            if all(item.value is True for item in constant) and not self._is_excluded(member, asked):
                yield member, asked

    def _is_excluded(self, member: Member, asked: Sequence[Expr]) -> bool:
        """Whether the member's constraints say that it has no such row."""
        statement, relation = self._access.statement, member.relation
        if not asked or (statement.settings is not None and statement.settings.get("constraint_exclusion") == "off"):
            return False
        constraints = constraints_of(self._access.catalog, relation, member.rte)
        return Refutation(self._access.catalog, asked, statement.decisive_literals).refutes(constraints)

    def _left(self, quals: Sequence[Expr]) -> Sequence[Member]:
        """The members that the conditions leave in: of a partitioned table, by the bounds."""
        rte = self._members[0].parent if self._members else -1
        relation = self._access.entries[rte].relation if self._members else None
        if relation is None or not relation.is_partitioned:
            return self._members
        if not self._access.statement.enabled("enable_partition_pruning"):
            return self._members
        left = pruning_of(self._access.catalog, relation, rte, quals).leaves(constant)
        return [member for member in self._members if member.relation.oid in left]

    def _member_paths(self, quals: Sequence[Expr], classes: Classes) -> Iterator[tuple[Member, list[ScanPath]]]:
        for member, mine in self._conditions(quals):
            order_of = partial(self._order_of, member, classes)
            yield (
                member,
                self._access.table_paths(member.rte, self._access.entries[member.rte], mine, order_of, classes),
            )

    def _order_of(self, member: Member, classes: Classes, keys: Sequence[SortKey[Expr]]) -> Order:
        """The order that keys over a member's columns are, in the named table's terms."""
        said: list[SortKey[Expr]] = []
        for key in keys:
            node = member.up(key.expression)
            if node is None:
                break
            said.append(dataclasses.replace(key, expression=node))
        kept = classes.kept(said) or []
        for place, (number, _, _) in kept:
            self._keys_of[number] = said[place]
        return tuple(each for _, each in kept)

    def _append(
        self, rte: int, entry: RangeEntry, children: Sequence[Path], quals: Sequence[Expr], order: Order = ()
    ) -> AppendPath:
        rows = sum(path.rows for path in children)
        handed = self._costs.cpu_tuple * APPEND_SHARE * rows if len(children) > 1 else 0.0
        return AppendPath(
            relids=frozenset({rte}),
            rows=rows,
            startup=children[0].startup if children else 0.0,
            cost=sum(path.cost for path in children) + handed,
            required=self._required(children),
            order=order,
            rte=rte,
            entry=entry,
            members=self._members_of(children),
            children=list(children),
            filter=list(quals),
        )

    def _merged(
        self, rte: int, entry: RangeEntry, children: Sequence[Path], order: Order, keys: tuple[SortKey[Expr], ...]
    ) -> AppendPath:
        """The members' rows in one order, by a heap of their next rows."""
        found = self._append(rte, entry, children, (), order)
        streams = math.log2(max(len(children), 2))
        compare = 2.0 * self._costs.cpu_operator
        started = compare * max(len(children), 2) * streams
        found.startup = sum(path.startup for path in children) + started
        found.cost += started + found.rows * compare * streams
        found.keys = keys
        return found

    def _members_of(self, children: Sequence[Path]) -> list[Member]:
        by_entry = {member.rte: member for member in self._members}
        return [by_entry[next(iter(path.relids))] for path in children]

    @staticmethod
    def _required(children: Sequence[Path]) -> frozenset[Var]:
        return frozenset[Var]().union(*(path.required for path in children))

    def _keys(self, order: Order) -> tuple[SortKey[Expr], ...]:
        """An order as keys over the named table."""
        known = [(self._keys_of[number], down, first) for number, down, first in order]
        return tuple(SortKey(key.expression, key.type, down, first) for key, down, first in known)

    def _in_order(
        self, member: Member, paths: Sequence[Path], order: Order, keys: tuple[SortKey[Expr], ...], by_startup: bool
    ) -> Path:
        """A member's rows in an order: by the path that has it and costs least, else sorted."""
        ordered = [path for path in paths if begins(path.order, order) == len(order)]
        if ordered:
            return min(ordered, key=lambda path: (path.startup, path.cost) if by_startup else (path.cost, path.startup))
        cheapest = min(paths, key=lambda path: path.cost)
        width = sum(type_width(self._access.catalog, each.type, each.typmod) for each in member.relation.columns)
        startup, total = sort(self._costs, cheapest.cost, cheapest.rows, width)
        off = 0.0 if self._access.statement.enabled("enable_sort") else DISABLED_COST
        return SortPath(
            relids=cheapest.relids,
            rows=cheapest.rows,
            startup=startup + off,
            cost=total + off,
            required=cheapest.required,
            order=order,
            child=cheapest,
            keys=tuple(dataclasses.replace(key, expression=member.down(key.expression)) for key in keys),
        )
