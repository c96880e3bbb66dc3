"""Paths: ways to compute a set of relations, compared by cost before plan nodes are made of the cheapest.

A path speaks of the query's Vars; ``create`` turns it into plan nodes that speak of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compute_node.relations.column_statistics import ColumnStatistics
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    ArrayExpr,
    ArrayOp,
    Call,
    Const,
    DistinctTest,
    Expr,
    MinMax,
    NullIf,
    RowCompare,
    SortKey,
    Var,
    walk,
)
from compute_node.sql.plan import IndexScan, Plan, TidBound
from compute_node.sql.planner.classes import Order
from compute_node.sql.planner.cost.joining import Side
from compute_node.sql.query import RangeEntry

if TYPE_CHECKING:
    from compute_node.sql.planner.bitmap_paths import Bitmap
    from compute_node.sql.planner.families import Member

SEQ_PAGE_COST = 1.0
RANDOM_PAGE_COST = 4.0
CPU_TUPLE_COST = 0.01
CPU_INDEX_TUPLE_COST = 0.005
CPU_OPERATOR_COST = 0.0025


@dataclass(slots=True, kw_only=True, eq=False)
class Path:
    """Base: ``relids`` computed, ``rows`` and costs; ``required``: Vars of other relations that must be known before
    each run (lateral references, keys of a parameterised index scan)."""

    relids: frozenset[int]
    rows: float = 1.0
    startup: float = 0.0
    cost: float = 0.0
    required: frozenset[Var] = frozenset()
    order: Order = ()
    """that its rows come in"""
    side: Side | None = None
    """as the input of a join, once it has been looked at"""


@dataclass(slots=True, eq=False)
class Rel:
    """A set of relations, joined: the same rows by each of its paths, of which none is better than another in every
    respect. ``mask``: its range entries as bits; ``width`` in bytes of a row."""

    relids: frozenset[int]
    mask: int
    rows: float
    width: float
    paths: list[Path] = field(default_factory=list)
    kept: Side | None = None
    """its cheapest path with its rows kept, as the inner side of a nested loop"""
    table: tuple[float, float] | None = None
    """buckets and batches of its cheapest path hashed"""
    sorts: dict[tuple[int, Order], SortPath] = field(default_factory=dict)
    """its paths sorted, by their places"""
    security: Sequence[Expr] = ()
    """of one range entry: what its rows must meet before any other condition looks at them; all its paths check it"""

    @property
    def cheapest(self) -> Path:
        """To the last row."""
        return self.paths[0]

    @property
    def first(self) -> Path:
        """To the first row."""
        return min(self.paths, key=lambda path: path.startup)

    @property
    def required(self) -> frozenset[Var]:
        """Columns of others that all its paths need."""
        return self.paths[0].required


@dataclass(slots=True, kw_only=True, eq=False)
class EmptyPath(Path):
    """No FROM: one row without columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TidAccess:
    """Which rows by their addresses: those of ``values`` (each an address or an array of them), or those within all the
    bounds. The expressions still hold Vars."""

    values: tuple[Expr, ...] = ()
    lower: tuple[TidBound, ...] = ()
    upper: tuple[TidBound, ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class ScanPath(Path):
    """A base table: sequential, or by ``index`` (an IndexScan whose expressions still hold Vars), or by ``tids``."""

    rte: int
    entry: RangeEntry
    filter: list[Expr] = field(default_factory=list)
    index: IndexScan | None = None
    keys: list[Expr] = field(default_factory=list)
    """the conditions that the index scan makes true"""
    ordering: list[Expr] = field(default_factory=list)
    """the distances in whose order the index gives rows, as EXPLAIN shows them"""
    conditions: list[Expr] = field(default_factory=list)
    """those and what follows from others, as EXPLAIN shows them"""
    recheck: list[Expr] = field(default_factory=list)
    """the conditions among ``keys`` that the rows found need not meet"""
    bitmap: Bitmap | None = None
    """instead of ``index``: row addresses first, then the rows"""
    tids: TidAccess | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class SubPath(Path):
    """A range entry whose plan is already made, or needs none: sub-select, function, VALUES, CTE. ``plan``: its rows
    are the entry's columns (sub-selects only)."""

    rte: int
    entry: RangeEntry
    filter: list[Expr] = field(default_factory=list)
    plan: Plan | None = None
    volatile: bool = False
    """another run of it may give other rows"""
    cte: int = -1
    working: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class AppendPath(Path):
    """The rows of a table and of those that inherit from it: one child for each of ``members`` that may have rows.
    ``keys``: the children are in this order and merged by it."""

    rte: int
    entry: RangeEntry
    members: list[Member]
    children: list[Path]
    filter: list[Expr] = field(default_factory=list)
    """the conditions that its children check, about the table"""
    keys: tuple[SortKey[Expr], ...] = ()


@dataclass(slots=True, kw_only=True, eq=False)
class JoinPath(Path):
    """``method`` hash, merge or nest. ``filter`` applies to joined rows (after null extension), ``condition`` decides
    matches."""

    kind: str
    method: str
    outer: Path
    inner: Path
    outer_keys: list[Expr] = field(default_factory=list)
    inner_keys: list[Expr] = field(default_factory=list)
    condition: list[Expr] = field(default_factory=list)
    filter: list[Expr] = field(default_factory=list)
    materialize: bool = False
    single: bool = False
    """no outer row has two matches (``joining/uniqueness.py``)"""
    descending: tuple[bool, ...] = ()
    """of a merge join's keys"""
    nulls_first: tuple[bool, ...] = ()
    merged: list[Expr] = field(default_factory=list)
    """the conditions that its keys are made of"""


@dataclass(slots=True, kw_only=True, eq=False)
class SortPath(Path):
    """``child`` sorted; its rows are in order by the first ``presorted`` keys already."""

    child: Path
    keys: tuple[SortKey[Expr], ...]
    presorted: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class MemoizePath(Path):
    """The rows of a parameterised ``child``, kept by the values of ``keys``, which are the outer side's. ``single``:
    there is at most one for each. ``entries``: how many keys there is room for."""

    child: Path
    keys: tuple[Expr, ...]
    single: bool = False
    binary: bool = False
    entries: float = 0.0
    again: tuple[float, float] = (0.0, 0.0)
    """what each run but the first costs"""


@dataclass(slots=True, kw_only=True, eq=False)
class UniquePath(Path):
    """One row of ``child`` for each value of ``keys``: the inner side of a semi join as that of a plain one."""

    child: Path
    keys: tuple[Expr, ...]


def rows_of(path: Path | None, rte: int) -> float:
    """How many rows of a range entry its conditions have left; 0 where the path does not read it."""
    if isinstance(path, JoinPath):
        return rows_of(path.outer, rte) or rows_of(path.inner, rte)
    if isinstance(path, (SortPath, MemoizePath, UniquePath)):
        return rows_of(path.child, rte)
    return path.rows if isinstance(path, (ScanPath, SubPath, AppendPath)) and path.rte == rte else 0.0


ARRAY_ELEMENTS = 10
"""of an array that is not known"""

_WIDTHS = {"?": 1, "h": 2, "i": 4, "q": 8, "I": 4, "f": 4, "d": 8, "c": 1}


def type_width(catalog: CatalogView, type_oid: int, typmod: int = -1) -> int:
    """Average bytes of a column, for EXPLAIN."""
    kind = catalog.type(type_oid)
    if kind.length > 0:
        return kind.length
    if typmod > 4 and kind.category == "S":
        return typmod - 4 if kind.name == "bpchar" else min(typmod - 4, 32)
    return 32


def row_width(catalog: CatalogView, output: tuple[Expr, ...]) -> int:
    """Average bytes of a row, for EXPLAIN."""
    return sum(type_width(catalog, item.type, item.typmod) for item in output)


def width_of(catalog: CatalogView, path: Path, needs: Sequence[Expr]) -> int:
    """The same of a path's row; of tables' columns as ANALYZE found them."""
    width = 0
    for item in needs:
        known = None
        if isinstance(item, Var) and item.attno > 0:
            entry = _entry_of(path, item.rte)
            known = None if entry is None else entry_statistics(catalog, entry, item.attno)
        width += type_width(catalog, item.type, item.typmod) if known is None else known.width
    return width


def _entry_of(path: Path, rte: int) -> RangeEntry | None:
    if isinstance(path, JoinPath):
        return _entry_of(path.outer if rte in path.outer.relids else path.inner, rte)
    if isinstance(path, (SortPath, MemoizePath, UniquePath)):
        return _entry_of(path.child, rte)
    return path.entry if isinstance(path, (ScanPath, AppendPath)) and path.rte == rte else None


def entry_statistics(catalog: CatalogView, entry: RangeEntry, attno: int) -> ColumnStatistics | None:
    """What ANALYZE has found about a table's column; of a family over all of its tables."""
    relation = entry.relation if entry.kind == "relation" and attno > 0 else None
    return None if relation is None else catalog.column_statistics(relation.oid, attno, entry.has_family)


def test_cost(conditions: Sequence[Expr]) -> float:
    """What evaluating the conditions costs for a row: an operator a function that is called."""
    return CPU_OPERATOR_COST * sum(_calls(node) for condition in conditions for node in walk(condition))


def array_elements(node: Expr | None) -> int:
    """How many elements an array has, as far as that is known."""
    if isinstance(node, ArrayExpr):
        return len(node.elements)
    return len(node.value or ()) if isinstance(node, Const) else ARRAY_ELEMENTS


def _calls(node: Expr) -> float:
    if isinstance(node, ArrayOp):
        return array_elements(node.right) * 0.5
    return float(isinstance(node, (Call, DistinctTest, NullIf, RowCompare, MinMax)))
