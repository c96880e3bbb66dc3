"""Plan nodes: what the planner makes and the executor builds iterators from.

Each node's output row is a tuple, one value per expression of ``output`` (for scans: of the ``columns`` they fetch).
Expressions within a node refer to input rows by ``Column(side, index)``. Costs are in PostgreSQL's units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from aurora.datum import Row
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.sql.expressions import AggregateCall, Expr, SortKey, WindowCall
from compute_node.sql.pruning import Pruning
from compute_node.sql.query import Frame
from compute_node.sql.required import NOTHING, Required
from compute_node.types.registry import RoutineCall

if TYPE_CHECKING:
    from compute_node.sql.query import RangeEntry


SYSTEM_COLUMNS = {-1: "ctid", -2: "xmin", -3: "cmin", -4: "xmax", -5: "cmax", -6: "tableoid"}
"""their names, by attno"""


@dataclass(slots=True, kw_only=True)
class Plan:
    """Base of all nodes. ``rows`` and costs are estimates for EXPLAIN; ``width`` is in bytes."""

    output: tuple[Expr, ...] = ()
    rows: float = 1.0
    width: int = 0
    startup_cost: float = 0.0
    total_cost: float = 0.0


@dataclass(slots=True, kw_only=True)
class Result(Plan):
    """Projection of ``child`` (one empty row without a child), with a one-time ``filter``/row filter."""

    child: Plan | None = None
    filter: Expr | None = None
    one_time: bool = False


@dataclass(slots=True, kw_only=True)
class ValuesScan(Plan):
    """Rows of expressions."""

    values: tuple[tuple[Expr, ...], ...] = ()
    filter: Expr | None = None


@dataclass(slots=True, kw_only=True)
class SeqScan(Plan):
    """Reads a whole table. ``columns``: attnos fetched, in the order of the scan row that ``filter`` and ``output`` see
    (negative: system columns ctid -1, xmin -2, cmin -3, xmax -4, cmax -5, tableoid -6). With ``want_tid`` the row's
    tid follows as one more column of the scan row, ``Column(index=len(columns), type=27)``, which ``output`` may name
    like any other (joins under DML, locking); Update and Delete directly over a scan take the tid by themselves."""

    relation: RelationDesc
    columns: tuple[int, ...] = ()
    filter: Expr | None = None
    alias: str = ""
    want_tid: bool = False


@dataclass(slots=True, kw_only=True)
class SampleScan(SeqScan):
    """Reads a part of a table, chosen by row (bernoulli) or page (system); ``want_tid`` always."""

    method: str
    percent: Expr
    seed: Expr | None = None


@dataclass(slots=True, kw_only=True)
class ForeignScan(Plan):
    """Reads a foreign table; ``columns`` as those of a SeqScan, tableoid alone of the system columns."""

    relation: RelationDesc
    columns: tuple[int, ...] = ()
    filter: Expr | None = None
    alias: str = ""


class TidBound(NamedTuple):
    """An end of a range of row addresses, and whether it belongs to the range. A NULL leaves no row."""

    value: Expr
    inclusive: bool


@dataclass(slots=True, kw_only=True)
class TidRangeScan(SeqScan):
    """Reads the part of a table whose addresses are within all the bounds; ``conditions`` as those of an IndexScan."""

    lower: tuple[TidBound, ...] = ()
    upper: tuple[TidBound, ...] = ()
    conditions: tuple[Expr, ...] = ()


class IndexKey(NamedTuple):
    """A scan key: key column (from 0), strategy of its operator class (or IS_NULL, NOT_NULL, without a value), and the
    value's expression, which names no column of the table. ``array``: its elements one after the other. ``width``
    columns are compared as a row, whose values are a row expression."""

    column: int
    strategy: int
    value: Expr | None = None
    array: bool = False
    width: int = 1


class IndexOrder(NamedTuple):
    """An order by the value of an operator of an index column: its strategy, its right side, its function."""

    column: int
    strategy: int
    value: Expr
    function: int


@dataclass(slots=True, kw_only=True)
class IndexScan(Plan):
    """Reads a table through an index.

    ``keys``: what the access method looks for, sorted by column. ``conditions`` are what EXPLAIN shows for them, over
    ``Column(index=attno - 1)``. ``recheck``: conditions of the index that the rows found need not meet; ``filter``: all
    others; both over the scan row. ``unique``: at most one row; ``point``: every key column equals one value.
    ``backward``: reverse order. ``orders``: rows come in the order of these distances, which EXPLAIN shows as
    ``ordering``.
    """

    relation: RelationDesc
    index: IndexDesc
    columns: tuple[int, ...] = ()
    keys: tuple[IndexKey, ...] = ()
    conditions: tuple[Expr, ...] = ()
    recheck: Expr | None = None
    filter: Expr | None = None
    unique: bool = False
    point: bool = False
    backward: bool = False
    alias: str = ""
    want_tid: bool = False
    orders: tuple[IndexOrder, ...] = ()
    ordering: tuple[Expr, ...] = ()


@dataclass(slots=True, kw_only=True)
class IndexOnlyScan(IndexScan):
    """The same where the index has every column that is asked for: of the table it is only asked who sees a row."""


@dataclass(slots=True, kw_only=True)
class BitmapIndexScan(Plan):
    """Row addresses by an index; as ``IndexScan``. It gives no rows."""

    relation: RelationDesc
    index: IndexDesc
    keys: tuple[IndexKey, ...] = ()
    conditions: tuple[Expr, ...] = ()


@dataclass(slots=True, kw_only=True)
class BitmapAnd(Plan):
    """Row addresses that all children give."""

    children: tuple[Plan, ...] = ()


@dataclass(slots=True, kw_only=True)
class BitmapOr(Plan):
    """Row addresses that any child gives."""

    children: tuple[Plan, ...] = ()


@dataclass(slots=True, kw_only=True)
class BitmapHeapScan(Plan):
    """Reads the rows of the ``child`` bitmap in the order of the table's pages. ``conditions`` are what EXPLAIN shows
    that the bitmap stands for, over ``Column(index=attno - 1)``; ``recheck``: those conditions where the rows found
    need
    not meet them; ``filter``: all others; both over the scan row."""

    relation: RelationDesc
    child: Plan
    columns: tuple[int, ...] = ()
    conditions: tuple[Expr, ...] = ()
    recheck: Expr | None = None
    filter: Expr | None = None
    alias: str = ""
    want_tid: bool = False


@dataclass(slots=True, kw_only=True)
class TidScan(Plan):
    """Reads the rows at ``tids``: each an address or an array of addresses. ``conditions`` are what EXPLAIN shows for
    them, as those of an IndexScan; one of them holds."""

    relation: RelationDesc
    columns: tuple[int, ...] = ()
    tids: tuple[Expr, ...]
    conditions: tuple[Expr, ...] = ()
    filter: Expr | None = None
    alias: str = ""
    want_tid: bool = False


@dataclass(slots=True, kw_only=True)
class FunctionScan(Plan):
    """Rows of a set-returning function (or one row of a plain one)."""

    call: Expr
    """a function's, or ``RowsFrom`` of several"""
    column_count: int = 1
    column_types: tuple[int, ...] = ()
    with_ordinality: bool = False
    filter: Expr | None = None
    alias: str = ""
    names: tuple[str, ...] = ()
    """of its columns"""


@dataclass(slots=True, kw_only=True)
class SubqueryScan(Plan):
    """A sub-select in FROM that was not pulled up."""

    child: Plan
    filter: Expr | None = None
    alias: str = ""
    names: tuple[str, ...] = ()
    """of its columns"""


@dataclass(slots=True, kw_only=True)
class CteScan(Plan):
    """Reads CTE number ``cte`` of PlannedStmt.ctes; ``working``: the recursive term's working table."""

    cte: int
    working: bool = False
    filter: Expr | None = None
    alias: str = ""
    name: str = ""
    """the WITH item's"""
    names: tuple[str, ...] = ()
    """of its columns"""


@dataclass(slots=True, kw_only=True)
class RecursiveUnion(Plan):
    """WITH RECURSIVE."""

    cte: int
    initial: Plan
    recursive: Plan
    distinct: bool = False


@dataclass(slots=True, kw_only=True)
class ProjectSet(Plan):
    """Set-returning functions in the target list."""

    child: Plan


@dataclass(slots=True, kw_only=True)
class NestLoop(Plan):
    """``kind`` inner, left, semi, anti. Before each inner run ``parameters`` sets ExecParams from the outer row.
    ``inner_unique``: the planner knows that no outer row has two matches."""

    kind: str
    outer: Plan
    inner: Plan
    inner_unique: bool = False
    condition: Expr | None = None
    parameters: tuple[tuple[int, Expr], ...] = ()


@dataclass(slots=True, kw_only=True)
class HashJoin(Plan):
    """``kind`` inner, left, right, full, semi, anti; the inner side is hashed. Keys pair up; ``condition``
    re-checks."""

    kind: str
    outer: Plan
    inner: Plan
    inner_unique: bool = False
    outer_keys: tuple[Expr, ...] = ()
    inner_keys: tuple[Expr, ...] = ()
    condition: Expr | None = None
    null_aware: bool = False


@dataclass(slots=True, kw_only=True)
class MergeJoin(Plan):
    """Both sides in the order of their keys, which pair up and are ``descending`` and ``nulls_first`` each. ``kind``
    and ``condition`` as of ``HashJoin``."""

    kind: str
    outer: Plan
    inner: Plan
    inner_unique: bool = False
    outer_keys: tuple[Expr, ...] = ()
    inner_keys: tuple[Expr, ...] = ()
    descending: tuple[bool, ...] = ()
    nulls_first: tuple[bool, ...] = ()
    condition: Expr | None = None


@dataclass(slots=True, kw_only=True)
class Memoize(Plan):
    """The rows of a parameterised ``child``, kept by the parameters that it needs, as far as memory goes. ``keys`` are
    what EXPLAIN shows for these, over the outer row of the join above; ``single``: at most one row each."""

    child: Plan
    keys: tuple[Expr, ...] = ()
    single: bool = False
    binary: bool = False
    """parameters are told apart as they are written, not as they compare"""
    entries: float = 0.0


@dataclass(slots=True, kw_only=True)
class Sort(Plan):
    """Sorts the child's rows by Column keys; ``limit`` bounds what is kept, to so many after ``offset``."""

    child: Plan
    keys: tuple[SortKey[Expr], ...] = ()
    limit: Expr | None = None
    offset: Expr | None = None


@dataclass(slots=True, kw_only=True)
class IncrementalSort(Sort):
    """Sorts rows that are in the order of the first ``presorted`` keys already, a group of equal ones at a time."""

    presorted: int


@dataclass(slots=True, kw_only=True)
class AggregatePlan(Plan):
    """Groups by the ``keys`` expressions over the child's row; the internal row is keys + aggregates, which ``having``
    and ``output`` see as Columns. ``plain``: no keys, always one row."""

    child: Plan
    keys: tuple[Expr, ...] = ()
    aggregates: tuple[AggregateCall, ...] = ()
    having: Expr | None = None
    plain: bool = False


@dataclass(slots=True, kw_only=True)
class SortedGroups(AggregatePlan):
    """The same over rows in the order of the keys: a group is finished when the next one begins."""


@dataclass(slots=True, kw_only=True)
class GroupingSetsPlan(AggregatePlan):
    """Groups by several sets of the keys. The internal row is keys (NULL where the set is without one), aggregates and,
    for each of ``groupings``, its bits."""

    sets: tuple[tuple[int, ...], ...]
    """indexes of each set's keys"""
    groupings: tuple[tuple[int, ...], ...] = ()
    """key indexes of each GROUPING call's arguments"""


@dataclass(slots=True, kw_only=True)
class WindowAgg(Plan):
    """Window functions of one window over input sorted by ``partition`` and ``order``. The internal row is the child's
    row and the values of ``calls``, which ``output`` sees as Columns. ``start`` and ``end`` are the frame's offsets."""

    child: Plan
    partition: tuple[Expr, ...] = ()
    order: tuple[SortKey[Expr], ...] = ()
    peers: tuple[Expr, ...] = ()
    """what rows of one group of peers have in common: the keys of ``order``, as they are compared"""
    frame: Frame
    start: Expr | None = None
    end: Expr | None = None
    calls: tuple[WindowCall, ...] = ()


@dataclass(slots=True, kw_only=True)
class Unique(Plan):
    """DISTINCT over the first ``count`` columns; ``sorted_on``: DISTINCT ON columns of sorted input."""

    child: Plan
    count: int = 0
    sorted_on: tuple[int, ...] = ()
    key_types: tuple[int, ...] = ()
    """as what the columns are compared; empty: as what they are"""


@dataclass(slots=True, kw_only=True)
class SetOp(Plan):
    """UNION, INTERSECT, EXCEPT of two inputs with the same columns."""

    kind: str
    all: bool
    left: Plan
    right: Plan
    key_types: tuple[int, ...] = ()
    """as what the columns are compared; empty: as what they are"""


@dataclass(slots=True, kw_only=True)
class Append(Plan):
    """The rows of each child in turn: UNION ALL, or (with an ``alias``, and ``names`` of the children's columns) a
    table and those that inherit from it."""

    children: tuple[Plan, ...] = ()
    alias: str = ""
    names: tuple[str, ...] = ()
    pruning: Pruning | None = None
    """of a partitioned table: which children have rows is known when it runs"""
    tables: tuple[int, ...] = ()
    """with ``pruning``: OIDs of the children's tables"""


@dataclass(slots=True, kw_only=True)
class MergeAppend(Append):
    """The same, merged by ``keys`` over a child's row, in whose order each child's rows are."""

    keys: tuple[SortKey[Expr], ...]


@dataclass(slots=True, kw_only=True)
class Limit(Plan):
    """LIMIT and OFFSET."""

    child: Plan
    limit: Expr | None = None
    offset: Expr | None = None
    with_ties: tuple[SortKey[Expr], ...] = ()


@dataclass(slots=True, kw_only=True)
class HeldRow(Plan):
    """The one row of ``source`` (a range entry's number) that the execution holds while it finds a row again; none when
    it holds none. ``columns``: attnos of the row that ``filter`` and ``output`` see; ``relation``: of a table's row."""

    source: int
    relation: RelationDesc | None = None
    columns: tuple[int, ...] = ()
    filter: Expr | None = None


@dataclass(frozen=True, slots=True)
class RowAddress:
    """Where a result row says which table's row it was made of: its column ``tid`` and, where that may be one of
    several tables, its column ``table`` with the OID. ``tables``: by OID, the range entry's number and the table."""

    tid: int
    tables: Mapping[int, tuple[int, RelationDesc]]
    table: int = -1

    def of(self, row: Row) -> tuple[int, RelationDesc]:
        """(range entry's number, table) of a row that has a tid."""
        if self.table >= 0:
            return self.tables[row[self.table]]
        (only,) = self.tables.values()
        return only


@dataclass(slots=True)
class Recheck:
    """How a row is found again after one of the rows it is made of has changed: ``plan`` gives it from held rows.

    ``tids``: where the rows of tables were; ``values``: (source, ((attno, column of the row), …)).
    """

    plan: Plan
    tids: tuple[RowAddress, ...]
    values: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = ()


class RowLock(NamedTuple):
    """What LockRows locks of each row."""

    address: RowAddress
    strength: str
    wait: str

    @property
    def relations(self) -> list[RelationDesc]:
        """The tables whose rows it may be."""
        return [relation for _, relation in self.address.tables.values()]


@dataclass(slots=True, kw_only=True)
class LockRows(Plan):
    """FOR UPDATE and friends: the child's rows have an address for each lock."""

    child: Plan
    locks: tuple[RowLock, ...] = ()
    recheck: Recheck | None = None


@dataclass(slots=True, kw_only=True)
class Materialize(Plan):
    """Keeps the child's rows for repeated reading."""

    child: Plan


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A partitioned table, or one that is below it, on the way of new rows. ``places``: for each of its columns the
    place in a row of the table that the statement names (-1: dropped); None: rows are laid out alike. ``target_of``:
    the other way round. ``partitions`` by their numbers (``PartitionIndex``); none: the rows stay here, and are
    ``checks``, ``generated`` and ``arbiters`` as those of ``Insert``."""

    relation: RelationDesc
    places: tuple[int, ...] | None
    target_of: tuple[int, ...]
    partitions: tuple[Route, ...] = ()
    checks: tuple[tuple[str, Expr], ...] = ()
    generated: tuple[tuple[int, Expr], ...] = ()
    arbiters: tuple[int, ...] = ()

    def leaves(self) -> Iterator[Route]:
        """The tables below that have rows."""
        if not self.relation.is_partitioned:
            yield self
        for each in self.partitions:
            yield from each.leaves()


class PlannedCheck(NamedTuple):
    """A ``RowCheck`` over the full new row (of kinds conflict and merge: over the row that is found); it is met when
    ``condition`` is true. ``of_view``: it is asked when the row is stored and in its indexes; others precede the
    table's own constraints."""

    kind: str
    relation: str
    policy: str
    condition: Expr

    @property
    def of_view(self) -> bool:
        """Whether WITH CHECK OPTION asks for it."""
        return self.kind == "view"


@dataclass(slots=True, kw_only=True)
class Insert(Plan):
    """Inserts the child's rows, one value per table column. ``returning`` is over the full new row (Columns in attno
    order), and as side 2 over its system columns ``system``; ``conflict_assignments`` see the existing row as side 0
    and the proposed one as side 1."""

    relation: RelationDesc
    child: Plan
    checks: tuple[tuple[str, Expr], ...] = ()
    row_checks: tuple[PlannedCheck, ...] = ()
    generated: tuple[tuple[int, Expr], ...] = ()
    """generated columns: attno ← expression over the full new row"""
    returning: tuple[Expr, ...] = ()
    system: tuple[int, ...] = ()
    alias: str = ""
    conflict: str = ""
    arbiters: tuple[int, ...] = ()
    conflict_assignments: tuple[tuple[int, Expr], ...] = ()
    conflict_where: Expr | None = None
    route: Route | None = None
    """of a partitioned table: where its rows go"""


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """A partition key is among what an UPDATE assigns: each new row is tested, and goes by ``route`` to the partition
    of ``root`` that takes it; without one it may not leave its table. ``row_checks``: what views and policies ask of
    such a row, over the columns of ``root``."""

    root: RelationDesc
    route: Route | None
    row_checks: tuple[PlannedCheck, ...] = ()


@dataclass(slots=True, kw_only=True)
class Update(Plan):
    """Updates the rows that ``child`` finds.

    The child's output row is: every column of the target in attno order (dropped ones None), then the columns of the
    other FROM items that the expressions need; its tid is handed on beside it (``want_tid`` of the target's scan;
    under a join, as the last output column, ``tid_column``). ``assignments``: attno ← expression over that row.
    ``recheck``: the WHERE over that row, for a row that changed while we waited for its lock (READ COMMITTED); of a
    join it is None, and ``again`` finds the row again.
    ``returning`` is over the same layout, with the target's columns as they are after the change, and as side 2 its
    system columns: those that ``system`` names, of the version that was made (or deleted).
    """

    relation: RelationDesc
    child: Plan
    assignments: tuple[tuple[int, Expr], ...] = ()
    recheck: Expr | None = None
    again: Recheck | None = None
    source: int = -1
    """the target's range entry"""
    tid_column: int = -1
    """-1: the tid comes beside the row from the only scan"""
    checks: tuple[tuple[str, Expr], ...] = ()
    row_checks: tuple[PlannedCheck, ...] = ()
    generated: tuple[tuple[int, Expr], ...] = ()
    returning: tuple[Expr, ...] = ()
    system: tuple[int, ...] = ()
    alias: str = ""
    named: tuple[RelationDesc, tuple[int, ...]] | None = None
    """the table that the statement names, where ``relation`` is the only one of its family with such rows, and the
    attno here of each of its columns"""
    moves: Moves | None = None
    """of partitions: new rows may belong elsewhere"""


@dataclass(slots=True, kw_only=True)
class Delete(Plan):
    """Deletes the rows that ``child`` finds; as Update."""

    relation: RelationDesc
    child: Plan
    recheck: Expr | None = None
    again: Recheck | None = None
    source: int = -1
    tid_column: int = -1
    returning: tuple[Expr, ...] = ()
    system: tuple[int, ...] = ()
    alias: str = ""
    named: tuple[RelationDesc, tuple[int, ...]] | None = None


@dataclass(slots=True, kw_only=True)
class ChangedTable(Plan):
    """One of the tables of a family whose rows a ``FamilyUpdate``, ``FamilyDelete`` or ``Merge`` changes. Its
    expressions are over the table's own columns in attno order, and the child's row behind them. ``steps``: MERGE's for
    rows that match, with conditions over the child's row alone. It is no node of its own."""

    relation: RelationDesc
    source: int
    """its range entry"""
    attnos: tuple[int, ...]
    """for each column of the named table its own, 0 for one that is dropped there"""
    assignments: tuple[tuple[int, Expr], ...] = ()
    checks: tuple[tuple[str, Expr], ...] = ()
    row_checks: tuple[PlannedCheck, ...] = ()
    generated: tuple[tuple[int, Expr], ...] = ()
    returning: tuple[Expr, ...] = ()
    system: tuple[int, ...] = ()
    steps: tuple[MergeStep, ...] = ()
    alias: str = ""


@dataclass(slots=True, kw_only=True)
class FamilyUpdate(Update):
    """UPDATE of a table and those that inherit from it: ``address`` says which row the child's row is to change.
    ``relation`` is the named table, whose rows are changed if it is one of ``tables``."""

    tables: tuple[ChangedTable, ...]
    address: RowAddress


@dataclass(slots=True, kw_only=True)
class FamilyDelete(Delete):
    """As ``FamilyUpdate``."""

    tables: tuple[ChangedTable, ...]
    address: RowAddress


class MergeStep(NamedTuple):
    """A WHEN clause over the joined row; as ``MergeAction``."""

    matched: bool
    command: str
    condition: Expr | None
    assignments: tuple[tuple[int, Expr], ...]
    values: tuple[Expr, ...]


@dataclass(slots=True, kw_only=True)
class Merge(Plan):
    """Works on the joined rows of ``child``, which are laid out as those of ``Update``; the tid is NULL where the
    source matches no row. ``tables``: those of a family; what matches is changed by their steps."""

    relation: RelationDesc
    child: Plan
    steps: tuple[MergeStep, ...]
    again: Recheck
    address: RowAddress
    tables: tuple[ChangedTable, ...] = ()
    checks: tuple[tuple[str, Expr], ...] = ()
    row_checks: tuple[PlannedCheck, ...] = ()
    generated: tuple[tuple[int, Expr], ...] = ()
    alias: str = ""
    route: Route | None = None
    """of a partitioned table: where new rows go"""
    moves: Moves | None = None


def changed_tables(plan: Plan) -> tuple[RelationDesc, ...]:
    """The tables whose rows a node itself changes."""
    if isinstance(plan, (FamilyUpdate, FamilyDelete)):
        return tuple(each.relation for each in plan.tables)
    if isinstance(plan, Merge) and plan.tables:
        inserts = any(step.command == "insert" for step in plan.steps)
        return (*((plan.relation,) if inserts else ()), *(each.relation for each in plan.tables))
    return (plan.relation,) if isinstance(plan, (Insert, Update, Delete, Merge)) else ()


@dataclass(slots=True)
class ResultColumn:
    """What RowDescription tells of an output column."""

    name: str
    type: int
    typmod: int = -1
    table: int = 0
    column: int = 0


class Probe(NamedTuple):
    """Conditions whose estimate depends on the values of the parameters ``slots`` (numbers from 1), over the range
    entries of their query level."""

    entries: tuple[RangeEntry, ...]
    conditions: tuple[Expr, ...]
    slots: frozenset[int]
    rows: float
    """of the table whose conditions they are, or of one of them"""


class Addressed(NamedTuple):
    """Of which ``tables`` (OIDs) a column with a row's address is; ``told``: another column, the next, has the table's
    OID."""

    tables: frozenset[int]
    told: bool = False


@dataclass(slots=True)
class PlannedStmt:
    """A whole statement: the plan, its sub-plans and CTEs, and what the client sees."""

    command: str
    plan: Plan
    columns: tuple[ResultColumn, ...] | None
    param_types: tuple[int, ...] = ()
    subplans: list[Plan] = field(default_factory=list)
    ctes: list[Plan] = field(default_factory=list)
    exec_params: int = 0
    read_only: bool = True
    relations: frozenset[int] = frozenset()
    """OIDs of the relations it reads or writes"""
    momentary: bool = False
    """it holds a constant such as 'now', which is the time of its analysis"""
    kept_literals: frozenset[int] = frozenset()
    decisive_slots: frozenset[int] = frozenset()
    """slots of lifted literals whose values would decide about an index"""
    privileges: Required = NOTHING
    """what its user must hold"""
    procedure: RoutineCall | None = None
    """of a CALL, whose plan gives the arguments"""
    range_entries: int = 0
    """how many tables, sub-selects and the like it names: EXPLAIN qualifies columns where there are several"""
    addressed: tuple[Addressed, ...] = ()
    """whose rows' addresses its last columns are, for WHERE CURRENT OF"""
    probes: tuple[Probe, ...] = ()
    """estimates that depend on parameters' values"""
    values_decide: bool = False
    """whether another plan is thinkable with constants in the places of the declared parameters, whatever their
    estimates"""
    steps: tuple[PlannedStmt, ...] = ()
    """of a statement that rules have made several queries of, or none, or another one: these, in their order"""
    main: int = -1
    """which of the steps is the statement for its client; -1: none"""
    shape: str = ""
    """of what kind the rules were, in words; empty for a statement without any"""
