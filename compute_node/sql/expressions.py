"""Typed expressions: what the analyzer makes, the planner rewrites and the executor compiles.

Every node is immutable and carries ``type`` (OID) and ``typmod``. ``location`` is the character offset in the source
text, -1 when unknown; it takes no part in equality. Children are reached with ``children`` and replaced with
``map_children``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from math import copysign
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aurora.datum import Datum
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.types import oids

if TYPE_CHECKING:
    from compute_node.sql.query import Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Expr:
    """Base: result type OID and typmod."""

    type: int
    typmod: int = -1
    location: int = field(default=-1, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Const(Expr):
    """A value in its Python form; None is NULL."""

    value: Datum

    def __eq__(self, other: object) -> bool:
        """Whether it is written alike: equal numbers of other scales, and zeros of other signs, are other constants."""
        if other.__class__ is not Const:
            return NotImplemented
        if (self.type, self.typmod, self.value) != (other.type, other.typmod, other.value):
            return False
        value = self.value
        if value.__class__ is float:
            return bool(value) or copysign(1.0, value) == copysign(1.0, other.value)
        return value.__class__ is not Decimal or value.as_tuple() == other.value.as_tuple()

    def __hash__(self) -> int:
        try:
            return hash((self.type, self.value))
        except TypeError:  # an array is a list
            return hash(self.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Param(Expr):
    """An external parameter ``$number`` (from 1), or a literal that was lifted out (numbers behind the declared
    ones)."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecParam(Expr):
    """A value that an outer plan node sets while running: correlation of a sub-select, a lateral reference, an init
    plan."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Var(Expr):
    """Analyzer's column reference: range table index (from 0), attribute number (from 1; system columns negative; 0 the
    whole row), ``levels_up`` query levels out."""

    rte: int
    attno: int
    levels_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Expr):
    """Planner's column reference: ``index`` in the row of input ``side`` (0 the only or outer input, 1 the inner
    one)."""

    index: int
    side: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Expr):
    """A function call; operators too (``operator`` is then the operator's OID, for naming and index matching)."""

    function: int
    arguments: tuple[Expr, ...]
    operator: int = 0
    variadic: bool = False
    """the last argument is an array that holds the VARIADIC arguments (gathered here or given with VARIADIC)"""
    display: str = field(default="", compare=False)
    """how EXPLAIN and column naming show it: ``cast``, ``coercion``, operator or SQL syntax; the same call otherwise"""
    columns: tuple[tuple[int, int, str], ...] = ()
    """(type, typmod, name) of each column of its rows, where the query says them (a column definition list)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relabel(Expr):
    """Binary-coercible cast: the same value under another type, or the same type under a collation
    (``compute_node/types/collation``)."""

    argument: Expr
    implicit: bool = field(default=True, compare=False)


_UNSIGNED = frozenset(
    {oids.OID, oids.REGCLASS, oids.REGTYPE, oids.REGPROC, oids.REGNAMESPACE}
    | {2202, 2203, 2204, 3734, 3769, 4096, 4191}  # regprocedure, regoper(ator), regconfig, regdictionary, regrole …
)


_VECTORS = (oids.INT2VECTOR, oids.OIDVECTOR)


def value_change(node: Relabel) -> str:
    """Casts that are binary in PostgreSQL and change the Python value: between int4 and the OID types to ``unsigned``
    or ``signed`` numbers, of a vector to an array with the vector's ``bounds``. Nothing for all others."""
    source = node.argument.type
    if source == oids.INT4 and node.type in _UNSIGNED:
        return "unsigned"
    if source in _VECTORS and node.type not in _VECTORS:
        return "bounds"
    return "signed" if node.type == oids.INT4 and source in _UNSIGNED else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collate(Expr):
    """COLLATE: the value itself; what compares it does so by that collation. ``location`` is the clause's."""

    argument: Expr
    collation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CoerceViaIO(Expr):
    """Cast through the source's output and the target's input function."""

    argument: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class CoerceToDomain(Expr):
    """A value of the base type as one of the domain's: its constraints are tested (``PgType.check``)."""

    argument: Expr
    implicit: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainValue(Expr):
    """VALUE in a domain's constraint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoerceTypmod(Expr):
    """Length coercion through ``PgType.typmod_cast``."""

    argument: Expr
    explicit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayCoerce(Expr):
    """Cast of every element: ``element`` is an expression over ``ElementValue``."""

    argument: Expr
    element: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementValue(Expr):
    """The current element within ``ArrayCoerce``, or the CASE test value within ``Case``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class And(Expr):
    """N-ary AND with three-valued logic."""

    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or(Expr):
    """N-ary OR with three-valued logic."""

    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(Expr):
    """NOT with three-valued logic."""

    argument: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class NullTest(Expr):
    """IS [NOT] NULL. ``as_value``: a row counts as one value, whatever its fields are (IS DISTINCT FROM NULL)."""

    argument: Expr
    negated: bool
    as_value: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanTest(Expr):
    """IS [NOT] TRUE | FALSE | UNKNOWN: ``target`` is True, False or None."""

    argument: Expr
    target: bool | None
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DistinctTest(Expr):
    """IS [NOT] DISTINCT FROM; ``equality`` is the ``=`` function's OID."""

    left: Expr
    right: Expr
    equality: int
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NullIf(Expr):
    """NULLIF(left, right)."""

    left: Expr
    right: Expr
    equality: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case(Expr):
    """CASE: with ``operand`` the conditions are already comparisons over ``ElementValue``."""

    operand: Expr | None
    branches: tuple[tuple[Expr, Expr], ...]
    default: Expr | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coalesce(Expr):
    """COALESCE."""

    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MinMax(Expr):
    """GREATEST or LEAST."""

    arguments: tuple[Expr, ...]
    greatest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayOp(Expr):
    """``left op ANY|ALL (array)``; ``function`` is the operator's function; IN lists are this over ``ArrayExpr``."""

    function: int
    operator: int
    left: Expr
    right: Expr
    use_or: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayExpr(Expr):
    """ARRAY[…]; ``nested`` when the elements are arrays of the same type."""

    elements: tuple[Expr, ...]
    element_type: int
    nested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscript(Expr):
    """array[i] (several for more dimensions), or slices: pairs of lower and upper (None = open)."""

    container: Expr
    indexes: tuple[Expr | None, ...]
    slices: tuple[tuple[Expr | None, Expr | None], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowExpr(Expr):
    """ROW(…)."""

    arguments: tuple[Expr, ...]
    names: tuple[str, ...] = ()
    whole: bool = False
    """all columns of a range entry that is no table: NULL, not a row, where an outer join found no row of it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCompare(Expr):
    """Row-wise ``<  <=  >  >=`` (kind); equality rows become And of calls."""

    kind: str
    less: tuple[int, ...]
    equal: tuple[int, ...]
    left: tuple[Expr, ...]
    right: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSelect(Expr):
    """(row).field, ``index`` from 0."""

    argument: Expr
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStore(Expr):
    """The row with some of its fields replaced: ``indexes`` from 0; a NULL row counts as one of NULLs."""

    argument: Expr
    indexes: tuple[int, ...]
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementStore(Expr):
    """The array with one element, or a slice (``slices``: pairs of lower and upper, None = open), replaced."""

    container: Expr
    indexes: tuple[Expr | None, ...]
    slices: tuple[tuple[Expr | None, Expr | None], ...] | None
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateCall(Expr):
    """An aggregate in a target list or HAVING; the planner turns it into a Column of the Aggregate node. The keys of
    ``order_by`` are expressions over the same row as ``arguments``. An ordered-set aggregate's ``arguments`` are what
    it sorts by; its ``direct`` ones use only grouped columns, and in a plan the group's keys are their row."""

    function: int
    arguments: tuple[Expr, ...]
    distinct: bool = False
    order_by: tuple[SortKey[Expr], ...] = ()
    filter: Expr | None = None
    star: bool = False
    levels_up: int = 0
    direct: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupingCall(AggregateCall):
    """GROUPING(…): a bit for each argument, the first one the highest: whether the row's grouping set is without it.
    It stands where an aggregate may; ``function`` is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCall(Expr):
    """A window function, or an aggregate over a window, in a target list; the planner turns it into a Column of a
    WindowAgg node. ``window`` is the number of its window in ``Query.windows``."""

    function: int
    arguments: tuple[Expr, ...]
    window: int
    filter: Expr | None = None
    star: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubLink(Expr):
    """A sub-select in an expression.

    ``kind``: EXISTS, ANY, ALL, EXPR (scalar), ARRAY. For ANY/ALL ``test`` is the comparison over ``left`` values and
    ``SubColumn``s of the sub-select's row.
    """

    kind: str
    query: Query = field(hash=False)
    test: Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubColumn(Expr):
    """Output column ``index`` (from 0) of the sub-select within a SubLink's test."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubPlan(Expr):
    """Planner's form of a SubLink: runs ``plan`` (index in PlannedStmt.subplans) after setting ``parameters``
    (ExecParam number ← expression of the outer row). ``hashed``: uncorrelated ANY, probed through a hash table."""

    kind: str
    plan: int
    parameters: tuple[tuple[int, Expr], ...] = ()
    test: Expr | None = None
    hashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlValue(Expr):
    """CURRENT_DATE, CURRENT_TIMESTAMP, CURRENT_USER …; ``name`` in lower case."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentOf(Expr):
    """The address of the row of a table that a cursor stands on (WHERE CURRENT OF), or of its version of now."""

    cursor: str
    relation: RelationDesc


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlExpr(Expr):
    """XMLELEMENT, XMLFOREST … (SQL/XML): ``kind`` is the construct in lower case, ``name`` the element's or
    instruction's, ``names`` those of the ``named`` arguments; ``document``: DOCUMENT rather than CONTENT."""

    kind: str
    name: str = ""
    named: tuple[Expr, ...] = ()
    names: tuple[str, ...] = ()
    arguments: tuple[Expr, ...] = ()
    document: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsFrom(Expr):
    """ROWS FROM (f(…), g(…)): the functions' rows side by side, a shorter one's with NULLs. Of a range entry alone.
    ``widths``: how many columns each gives."""

    calls: tuple[Expr, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDefault(Expr):
    """DEFAULT in VALUES or SET, before the analyzer replaces it."""


Key = TypeVar("Key", int, Expr)


@dataclass(frozen=True, slots=True)
class SortKey(Generic[Key]):
    """One ORDER BY item: ``expression`` is a target-list index in an analyzed query, an expression in a plan."""

    expression: Key
    type: int
    descending: bool = False
    nulls_first: bool = False


_EXPR_FIELDS: dict[type, tuple[str, ...]] = {}
_WITHOUT_EXPRESSIONS = {"int", "bool", "str", "bool | None", "tuple[int, ...]", "tuple[str, ...]"}
"""Annotations of fields that hold no expression: nobody need look into them."""


def _fields(kind: type) -> tuple[str, ...]:
    """The names of the fields that may hold expressions, without a SubLink's query."""
    names = _EXPR_FIELDS.get(kind)
    if names is None:
        names = _EXPR_FIELDS[kind] = tuple(
            each.name
            for each in dataclasses.fields(kind)
            if each.name != "query" and each.type not in _WITHOUT_EXPRESSIONS and not issubclass(kind, Const)
        )
    return names


def _gather(value: object, found: list[Expr]) -> None:
    if isinstance(value, Expr):
        found.append(value)
    elif isinstance(value, SortKey):
        _gather(value.expression, found)
    elif isinstance(value, tuple):
        for item in value:
            _gather(item, found)


def children(node: Expr) -> list[Expr]:
    """The direct sub-expressions, in order (not into a SubLink's query)."""
    found: list[Expr] = []
    for name in _fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, Expr):
            found.append(value)
        elif value is not None:
            _gather(value, found)
    return found


def walk(node: Expr) -> Iterator[Expr]:
    """The node and everything below it, parents first."""
    HUB.pulse()
    stack = [node]
    while stack:
        item = stack.pop()
        yield item
        stack += children(item)


def map_children(node: Expr, function: Callable[[Expr], Expr]) -> Expr:
    """The node with ``function`` applied to each direct sub-expression; the node itself when none changed."""
    changes = {}
    for name in _fields(type(node)):
        old = getattr(node, name)
        if old is not None:
            new = _mapped(old, function)
            if new is not old:
                changes[name] = new
    return dataclasses.replace(node, **changes) if changes else node


def _mapped(value: Datum, function: Callable[[Expr], Expr]) -> Any:
    """What a field holds, with ``function`` applied to the expressions in it; itself when none changed."""
    if isinstance(value, Expr):
        return function(value)
    if isinstance(value, tuple):
        items = [_mapped(item, function) for item in value]
        for new, old in zip(items, value, strict=True):
            if new is not old:
                return tuple(items)
        return value
    if isinstance(value, SortKey):
        changed = _mapped(value.expression, function)
        return value if changed is value.expression else dataclasses.replace(value, expression=changed)
    return value


_OF_ONE = (Relabel, CoerceViaIO, CoerceToDomain, CoerceTypmod, ArrayCoerce, Not, NullTest, BooleanTest)


def leftmost_location(expr: Expr) -> int:
    """Where the text of an expression begins, as PostgreSQL's ``exprLocation`` tells: of an operator or a cast that
    may be at its operand. -1 when unknown."""
    if isinstance(expr, Call | And | Or):
        parts: tuple[Expr, ...] = expr.arguments
    elif isinstance(expr, _OF_ONE):
        parts = (expr.argument,)
    elif isinstance(expr, DistinctTest | NullIf | ArrayOp):
        parts = (expr.left, expr.right)
    elif isinstance(expr, FieldSelect | Collate):
        return leftmost_location(expr.argument)
    elif isinstance(expr, Subscript):
        return leftmost_location(expr.container)
    else:
        return expr.location
    known = [each for each in (expr.location, *map(leftmost_location, parts)) if each >= 0]
    return min(known, default=-1)
