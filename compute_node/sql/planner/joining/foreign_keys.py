"""What foreign keys say of a join: a row finds the one that it names (PostgreSQL's get_foreign_key_join_selectivity).

Conditions over the columns of a key are not independent of each other: together they leave one row of the table that
the key names, however many values each column has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Expr, Var
from compute_node.sql.planner.classes import Classes
from compute_node.sql.planner.joining.clauses import Clause
from compute_node.sql.planner.quals import strip_relabel
from compute_node.sql.planner.selectivity import table_size
from compute_node.sql.query import RangeEntry


@dataclass(frozen=True, slots=True)
class JoinedKey:
    """A foreign key between two entries of the query. ``columns``: (entry, column) of both sides, and the class that
    holds them equal, -1 for none."""

    naming: int
    named: int
    rows: float
    """of the table that is named"""
    columns: tuple[tuple[frozenset[tuple[int, int]], int], ...]

    def joins(self, left: int, right: int) -> bool:
        """Whether one side has the rows that name, and the other those that are named."""
        return bool((self.naming & left and self.named & right) or (self.naming & right and self.named & left))

    def takes(self, clause: Clause) -> bool:
        """Whether a condition is one of the key's."""
        if clause.of_class >= 0:
            return any(clause.of_class == number for _, number in self.columns)
        node = clause.node
        if not isinstance(node, Call) or not clause.hashes:
            return False
        sides = frozenset(_column(item) for item in node.arguments)
        return any(sides == pair for pair, _ in self.columns)


def joined_keys(
    catalog: CatalogView, entries: Sequence[RangeEntry], universe: int, classes: Classes
) -> list[JoinedKey]:
    """The foreign keys between entries of these bits."""
    tables = [
        (rte, entry.relation)
        for rte, entry in enumerate(entries)
        if universe >> rte & 1 and entry.kind == "relation" and entry.relation is not None and not entry.has_family
    ]
    found = []
    for naming, relation in tables:
        for key in relation.foreign_keys:
            for named, other in tables:
                if other.oid != key.referenced or named == naming:
                    continue
                columns = []
                for one, two in zip(key.columns, key.referenced_columns, strict=True):
                    pair = frozenset(((naming, one), (named, two)))
                    columns.append((pair, _class_of(classes, pair)))
                rows = max(table_size(catalog, other)[1], 1.0)
                found.append(JoinedKey(1 << naming, 1 << named, rows, tuple(columns)))
    return found


def share_of_keys(
    keys: Sequence[JoinedKey], clauses: list[Clause], left: int, right: int
) -> tuple[float, list[Clause]]:
    """(of all pairs of rows, those that conditions over whole foreign keys leave; the other conditions)."""
    share = 1.0
    for key in keys:
        if len(clauses) >= len(key.columns) and key.joins(left, right):
            taken = [each for each in clauses if key.takes(each)]
            if len(taken) == len(key.columns):
                share /= key.rows
                clauses = [each for each in clauses if each not in taken]
    return share, clauses


def _column(node: Expr) -> tuple[int, int]:
    node = strip_relabel(node)
    return (node.rte, node.attno) if isinstance(node, Var) and not node.levels_up else (-1, 0)


def _class_of(classes: Classes, pair: frozenset[tuple[int, int]]) -> int:
    for number, found in classes.joining():
        if pair <= {_column(member) for member, _ in found.members}:
            return number
    return -1
