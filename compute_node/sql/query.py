"""The analyzed query: names resolved, types known, nothing planned yet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pglast import ast
from pglast.enums import OverridingKind

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.expressions import Expr, SortKey, Var
from compute_node.types.registry import RoutineCall

if TYPE_CHECKING:
    from compute_node.sql.required import Required

Stars: TypeAlias = dict[int, tuple[ast.ColumnRef, list[tuple[str | None, str]]]]


@dataclass(frozen=True, slots=True)
class Sample:
    """TABLESAMPLE: ``method`` bernoulli or system, of so many ``percent`` (float4); ``seed`` (float8) of REPEATABLE."""

    method: str
    percent: Expr
    seed: Expr | None


_BARRIER = re.compile(r"security_barrier=(t|y|1|on)", re.IGNORECASE).match
"""a view's option, as it was given"""


def is_security_barrier(view: RelationDesc) -> bool:
    """Whether a view has the option security_barrier."""
    return any(map(_BARRIER, view.options))


@dataclass(slots=True)
class RangeEntry:
    """One entry of the range table.

    ``kind``: relation, subquery, join, function, values, cte. ``column_names/types/typmods`` describe its columns
    (attno = index + 1). A join's columns are expressions over its two sides in ``join_aliases``.
    """

    kind: str
    alias: str
    column_names: tuple[str, ...]
    column_types: tuple[int, ...]
    column_typmods: tuple[int, ...]
    relation: RelationDesc | None = None
    query: Query | None = None
    function: Expr | None = None
    with_ordinality: bool = False
    values: tuple[tuple[Expr, ...], ...] = ()
    join_aliases: tuple[Expr, ...] = ()
    cte: str | None = None
    cte_levels_up: int = 0
    lateral: bool = False
    sample: Sample | None = None
    column_collations: tuple[int, ...] = ()
    """of each column, -1 where it is not known; empty: those of the types"""
    written: ast.Alias | None = field(default=None, compare=False)
    """the alias, where the query gives one"""
    security: tuple[Expr, ...] = ()
    """of a table: what a row must meet before anything else may look at it (barrier views, row security), in this
    order"""
    check_as: int | None = None
    """of a table that a view which is changed stands for: the role that must hold the privileges, 0 for the current
    user"""
    modes: int | None = None
    """of such a table: the modes that the statement needs of the view, whatever the view itself reads"""
    descends: bool = False
    """a table's or view's: whether its descendants' rows are meant, too (no ONLY)"""

    @property
    def has_family(self) -> bool:
        """Whether its rows are those of several tables, or of other tables than its own."""
        relation = self.relation
        if relation is None or self.kind != "relation":
            return False
        return relation.is_partitioned or (self.descends and bool(relation.children))

    @property
    def is_barrier(self) -> bool:
        """Whether it is a view behind which nobody may look: conditions from outside see the rows that it shows and no
        others (security_barrier)."""
        return self.kind == "subquery" and self.relation is not None and is_security_barrier(self.relation)


@dataclass(slots=True)
class FromItem:
    """A leaf of the FROM tree: range table index."""

    rte: int


@dataclass(slots=True)
class JoinItem:
    """A join in the FROM tree: ``kind`` inner, left, right, full; ``rte`` its own range entry."""

    kind: str
    left: FromItem | JoinItem
    right: FromItem | JoinItem
    condition: Expr | None
    rte: int
    using: tuple[tuple[str, Expr, Expr, Expr], ...] = ()
    """USING and NATURAL, as the analyzer finds them: the name, the merged column, those of the two sides"""
    using_alias: str = ""
    """the name that the merged columns have together: ``USING (…) AS name``"""


@dataclass(slots=True)
class Target:
    """One target-list entry. ``junk``: only for ORDER BY / GROUP BY. ``table``/``column``: origin for
    RowDescription."""

    expression: Expr
    name: str
    junk: bool = False
    table: int = 0
    column: int = 0
    collation: int = 0
    """-1 where its parts disagree; 0 also where the query names no collation: then the type's own"""
    written: Expr | None = None
    """a set operation's column before it was converted to the common type"""


@dataclass(slots=True)
class CommonTable:
    """A WITH item."""

    name: str
    query: Query
    recursive: bool = False
    materialized: bool | None = None
    hidden: int = 0
    """how many of its last columns ``*`` does not stand for: those of SEARCH and CYCLE, for the item itself"""
    written: WrittenItem | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class WrittenItem:
    """What a WITH item says besides its query: ``node`` has the column names, SEARCH and CYCLE. ``mark`` and
    ``unmarked`` are CYCLE's values; ``terms`` the two sides of the union before SEARCH and CYCLE extend them."""

    node: ast.CommonTableExpr
    names: tuple[str, ...] = ()
    """what its query calls the columns"""
    mark: Expr | None = None
    unmarked: Expr | None = None
    terms: tuple[Query, Query] | None = None


@dataclass(frozen=True, slots=True)
class ArbiterInference:
    """ON CONFLICT (columns, expressions) WHERE …: which unique indexes are meant, over the target's range entry."""

    attnos: frozenset[int]
    expressions: tuple[Expr, ...]
    where: Expr | None


@dataclass(slots=True)
class OnConflict:
    """INSERT … ON CONFLICT: ``action`` nothing or update; ``arbiters`` index OIDs, or ``inference`` to find them
    (neither: any)."""

    action: str
    arbiters: tuple[int, ...]
    assignments: tuple[tuple[int, Expr], ...] = ()
    where: Expr | None = None
    inference: ArbiterInference | None = None


@dataclass(frozen=True, slots=True)
class MergeAction:
    """A WHEN clause of MERGE: ``command`` update, delete, insert or nothing. ``values``: one for each column of the new
    row, of which the statement gives those of ``inserted``."""

    matched: bool
    command: str
    condition: Expr | None = None
    assignments: tuple[tuple[int, Expr], ...] = ()
    values: tuple[Expr, ...] = ()
    inserted: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """Which rows of a partition a window function sees (manual, 4.2.8), offsets apart.

    ``mode``: rows, range or groups. ``start`` and ``end``: unbounded preceding, preceding, current row, following or
    unbounded following. ``exclude``: current row, group, ties, or nothing. ``start_in_range`` and ``end_in_range``: the
    functions that compare with an offset of mode range.
    """

    mode: str = "range"
    start: str = "unbounded preceding"
    end: str = "current row"
    exclude: str = ""
    start_in_range: int = 0
    end_in_range: int = 0


@dataclass(slots=True)
class Window:
    """A window, of a WINDOW or an OVER clause; ``partition`` and ``order`` name targets."""

    name: str
    partition: tuple[SortKey[int], ...]
    order: tuple[SortKey[int], ...]
    frame: Frame
    start: Expr | None = None
    """the offset of the frame's start"""
    end: Expr | None = None
    written: ast.WindowDef | None = field(default=None, compare=False)
    """the clause: what it names, orders and frames by itself"""


@dataclass(frozen=True, slots=True)
class Grouping:
    """An item of GROUP BY as it is written: ``kind`` simple, empty, sets, rollup or cube; a simple one is of
    ``targets``."""

    kind: str
    targets: tuple[int, ...] = ()
    content: tuple[Grouping, ...] = ()


@dataclass(frozen=True, slots=True)
class RowCheck:
    """What a new row must meet besides its table's constraints: the WHERE of a view WITH CHECK OPTION, or of a policy.

    ``kind``: view, insert, update, conflict (the row that ON CONFLICT finds), merge update, merge delete (the row that
    MERGE finds). ``relation``: the view's or table's name, ``policy``: of a policy that restricts. ``condition`` is
    over the target's range entry, None for a view without one; ``cascaded``: views below are checked, too.
    """

    kind: str
    relation: str
    condition: Expr | None
    policy: str = ""
    cascaded: bool = False


@dataclass(slots=True)
class Query:
    """SELECT, INSERT, UPDATE or DELETE after analysis.

    SELECT: targets, from_items, where, group_by (indexes into targets), having, distinct, order_by, limit, offset,
    locking. Set operations: ``set_op`` = (kind union|intersect|except, all, left Query, right Query), targets describe
    the output. VALUES is a SELECT from a values entry. INSERT: ``target`` relation, ``insert_columns`` attnos in the
    source's order, the source is ``source`` (a Query) or None for DEFAULT VALUES; defaults already filled in, so the
    source has one column per table column. UPDATE: ``assignments`` (attno, expression); result_rte is the target's
    entry.
    """

    command: str
    range_table: list[RangeEntry] = field(default_factory=list)
    from_items: list[FromItem | JoinItem] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    where: Expr | None = None
    group_by: tuple[int, ...] = ()
    grouping_sets: tuple[tuple[int, ...], ...] | None = None
    """of GROUPING SETS, ROLLUP, CUBE and (): the targets of each set, all of them in ``group_by``"""
    having: Expr | None = None
    has_aggregates: bool = False
    windows: list[Window] = field(default_factory=list)
    has_windows: bool = False
    """its targets have window functions"""
    distinct: bool = False
    distinct_on: tuple[int, ...] = ()
    order_by: tuple[SortKey[int], ...] = ()
    limit: Expr | None = None
    offset: Expr | None = None
    with_ties: bool = False
    locking: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    """(strength update|no key update|share|key share, wait block|nowait|skip, range entries)"""
    set_op: tuple[str, bool, Query, Query] | None = None
    ctes: list[CommonTable] = field(default_factory=list)
    target: RelationDesc | None = None
    result_rte: int = -1
    source: Query | None = None
    assignments: tuple[tuple[int, Expr], ...] = ()
    on_conflict: OnConflict | None = None
    merge_actions: list[MergeAction] = field(default_factory=list)
    returning: list[Target] = field(default_factory=list)
    param_types: list[int] = field(default_factory=list, compare=False)
    kept_literals: set[int] = field(default_factory=set, compare=False)
    """offsets of literals whose value analysis looked at, so that they may not be lifted"""
    groupings: tuple[Grouping, ...] = ()
    """the items of a GROUP BY with grouping sets"""
    group_distinct: bool = False
    order_written: int = -1
    """how many of ``order_by`` ORDER BY has: the others come from DISTINCT ON; -1: all"""
    made: bool = False
    """the analyzer made it around its only range entry's query: to convert the columns of a set operation's side, or to
    compare them with a row"""
    has_srfs: bool = False
    """its select list has set-returning functions"""
    inserted: tuple[int, ...] = ()
    """INSERT: attnos of the columns that the statement gives values for"""
    overriding: OverridingKind = OverridingKind.OVERRIDING_NOT_SET
    row_checks: tuple[RowCheck, ...] = ()
    """what views and policies ask of new rows, in the order in which it is checked; found by ``rewriter``"""
    arbiter_columns: frozenset[int] = frozenset()
    """INSERT … ON CONFLICT: the columns that finding a conflict reads"""
    relations: frozenset[int] = field(default=frozenset(), compare=False)
    """OIDs of what the whole statement reads, views too; like what follows, of the outermost query alone"""
    privileges: Required | None = field(default=None, compare=False)
    """what its user must hold"""
    momentary: bool = field(default=False, compare=False)
    """a literal such as 'now' was converted: the query holds the time of its analysis"""
    notifies: tuple[str, str] | None = None
    """channel and message of a NOTIFY, the action of a rule; its only target does it"""
    procedure: RoutineCall | None = None
    """what a CALL, whose input arguments are the targets, calls"""
    stars: Stars = field(default_factory=dict, compare=False)
    """each ``*`` of the statement itself: by its node's id, the node and (qualifier, column) of what it stands for"""


def own_values(source: Query) -> RangeEntry | None:
    """The VALUES whose rows an INSERT's source is, as they are; None of any other source."""
    if len(source.range_table) != 1 or source.where is not None or source.ctes or source.order_by:
        return None
    entry = source.range_table[0]
    if entry.kind != "values" or len(source.targets) != len(entry.column_names):
        return None
    for attno, target in enumerate(source.targets, 1):
        column = target.expression
        if not isinstance(column, Var) or column.levels_up or column.attno != attno:
            return None
    return entry
