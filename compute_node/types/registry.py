"""Declarations of types, functions, operators, casts and operator classes.

Each built-in is declared once, beside its code, in a module of this package; importing ``compute_node.types`` fills
``REGISTRY``. The analyzer resolves against it, the executor calls it, the catalog's rows are made from it. OIDs and
names are PostgreSQL 15's. Objects that users create are looked up in the catalog, which wraps the same dataclasses.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, SqlError

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.types.collation.collation import Collation


Value: TypeAlias = Datum
"""A SQL value in Python; see docs/architecture for each type's form. NULL is None."""


@dataclass(slots=True)
class TypeEnv:
    """The session settings that text conversions and some functions depend on."""

    timezone: tzinfo
    timezone_name: str = "UTC"
    datestyle: str = "ISO, MDY"
    intervalstyle: str = "postgres"
    extra_float_digits: int = 1
    stack_kb: int = 2048
    """max_stack_depth: bounds how deeply what is read may be nested"""
    bytea_output: str = "hex"
    xml_document: bool = False
    """xmloption = document: xml's text input takes documents alone"""
    xml_binary: str = "base64"
    qualified_set: bool = False
    """ansi_qualified_update_set_target: UPDATE … SET may qualify a column by its table"""
    transaction_timestamp: int = 0
    """µs since 2000-01-01 UTC; what now() gives."""
    statement_timestamp: int = 0
    session: object = None
    """whose settings these are, a ``SessionView`` once it is whole: what functions see that a domain's constraint
    calls"""
    check_context: object = None
    """what the constraints of domains run in, once there is one"""
    lookup: Callable[..., Datum] | None = None
    """The catalog's hook for text forms of OIDs: ``lookup("regclassin", "public.t")`` gives an OID,
    ``lookup("regclassout", 1259)`` a name. None (no catalog yet): only numeric text is accepted and given."""


class SessionView(Protocol):
    """What functions read of the session that runs them. Times are µs since 2000-01-01 UTC."""

    user: str
    """current_user"""
    session_user: str
    database: str
    pid: int

    def get_setting(self, name: str, missing_ok: bool) -> str | None:
        """A setting's text as SHOW gives it; 42704 when unknown and not ``missing_ok``."""

    def set_setting(self, name: str, value: str | None, is_local: bool) -> str:
        """Change a setting as SET (LOCAL) does; returns its new text."""

    def catalog_function(self, name: str, *args: Datum) -> Datum:
        """A catalog-dependent function by its pg_proc name: pg_get_indexdef, pg_table_is_visible, …"""

    def search_path_schemas(self, include_implicit: bool) -> list[str]:
        """The effective search path's existing schemas, in order."""

    def current_xid(self, assign: bool) -> int | None:
        """This transaction's xid; None when it has none and ``assign`` is false."""

    def run_sql(
        self, text: str, params: tuple[Value, ...], types: tuple[int, ...], snapshot: Snapshot | None
    ) -> SqlResult:
        """Statements of a function, in this session's transaction; see ``FunctionContext.run``."""

    def describe_sql(self, text: str, snapshot: Snapshot | None) -> SqlResult:
        """The columns of a query that changes nothing; no row is taken. 42P11, 0A000, 42501."""

    def read_sql(
        self, text: str, params: tuple[Value, ...], types: tuple[int, ...], snapshot: Snapshot | None
    ) -> Iterator[Datum]:
        """One query of a function, row by row."""

    def call_routine(self, call: RoutineCall, arguments: tuple[Value, ...], snapshot: Snapshot | None) -> Datum:
        """Run a function in the language SQL: its value, or the iterable of its values when it returns a set."""

    def notice(self, notice: SqlError, severity: str = "NOTICE") -> None:
        """Send a notice to the client."""

    def sleep(self, seconds: float) -> None:
        """Wait without holding up the loop; ends early with 57014 on cancel."""

    def signal_backend(self, pid: int, terminate: bool) -> bool:
        """Cancel or end another session; False when there is no such session."""


class ResultColumn(Protocol):
    """One column of a statement's rows."""

    @property
    def name(self) -> str:
        """As it is shown."""

    @property
    def kind(self) -> PgType:
        """Its type."""


@dataclass(frozen=True, slots=True)
class SqlResult:
    """What a function's statement gave: its rows, how many it gave or affected, its command tag."""

    rows: list[tuple[Value, ...]]
    count: int
    tag: str
    columns: Sequence[ResultColumn] | None = None
    """of its rows; None when it gives none"""
    kinds: Sequence[PgType] = ()
    """of a query's: their types, where ``columns`` has the types that domains are over"""


class FunctionContext:
    """Passed first to functions with ``needs_context``: what they may ask. An execution is one itself, for the
    functions that are not volatile."""

    __slots__ = ("env", "session")

    def __init__(self, env: TypeEnv, session: SessionView) -> None:
        self.env = env
        self.session = session

    @property
    def reads_with(self) -> Snapshot | None:
        """What the function's own SQL sees; None: the database as of each of its statements."""
        return None

    @property
    def called_with(self) -> Snapshot | None:
        """What the statement that calls the function sees."""
        return self.reads_with

    def run(self, text: str, params: tuple[Value, ...] = (), types: tuple[int, ...] = ()) -> SqlResult:
        """Run SQL in the caller's transaction; ``types`` are the parameters' type OIDs, found out without them. A
        volatile function sees the database as of each statement; another one what its caller sees, and may not change
        anything (0A000). Errors go on to the caller. 54001: functions nested too deeply."""
        return self.session.run_sql(text, params, types, self.reads_with)

    def run_reading(self, text: str) -> SqlResult:
        """As ``run`` of a function that is not volatile, whatever this one is."""
        return self.session.run_sql(text, (), (), self.called_with)

    def describe(self, text: str) -> SqlResult:
        """As ``run_reading``, for the columns alone."""
        return self.session.describe_sql(text, self.called_with)

    def read(self, text: str, params: tuple[Value, ...] = (), types: tuple[int, ...] = ()) -> Iterator[Datum]:
        """As ``run``, for one query that changes nothing: its rows as they are taken."""
        return self.session.read_sql(text, params, types, self.reads_with)


class Wire(NamedTuple):
    """The codes with which kernels and COPY handle a type faster than through its functions; empty: through them."""

    text: bytes = b""
    """row code (``kernels/python/wire.py``) of the text form; empty: ``text_bytes``, else ``output``"""
    binary: bytes = b""
    """row code of the binary form; empty: ``send``"""
    parameter: bytes = b"?"
    """code with which ``match_point`` decodes a parameter; ``?``: the general decoding"""
    copy: str = ""
    """how COPY FROM reads a column: ``i`` as an integer of the type's length, ``s`` as it stands"""


_NO_CODES = Wire()


@dataclass(frozen=True, slots=True)
class FieldDesc:
    """One column of a composite type; ``type`` is None for a dropped one."""

    name: str
    type: PgType | None
    typmod: int = -1
    collation: int = 0


@dataclass(frozen=True, slots=True)
class Domain:
    """The rules of a domain: its own and those of the domains that it is over, in the order in which they are checked.
    ``checks`` are (name, expression over VALUE as SQL text, type of VALUE); ``default`` is SQL text."""

    not_null: bool = False
    checks: tuple[tuple[str, str, int], ...] = ()
    default: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PgType:
    """One row of pg_type with its code.

    ``disk`` chooses the tuple codec: ``?`` bool, ``h i q`` signed 2/4/8 bytes, ``I`` u32, ``f d`` floats, ``c`` one
    byte (the "char" type, value a str), ``s`` UTF-8 varlena (value str), ``y`` bytes varlena, ``x`` varlena through
    ``to_disk`` and ``from_disk``. ``sort_value`` maps a value to a Python object whose ``<`` and ``==`` are the type's
    (None: the value itself); ``sort_key`` gives bytes whose memcmp order is the type's, for B-trees (None: not
    indexable).
    Text input raises 22P02 and friends; binary input 22P03 / 08P01.
    """

    oid: int
    name: str
    length: int
    by_value: bool
    category: str
    input: Callable[[str, int, TypeEnv], Value]
    """text, typmod (-1 none), env → value, already coerced to the typmod with input-function (not cast) semantics"""
    output: Callable[[Value, TypeEnv], str]
    receive: Callable[[bytes, int], Value] | None
    send: Callable[[Value], bytes] | None
    disk: str
    to_disk: Callable[[Value], bytes] | None = None
    from_disk: Callable[[bytes], Value] | None = None
    sort_value: Callable[[Value], Datum] | None = None
    sort_key: Callable[[Value], bytes] | None = None
    preferred: bool = False
    kind: str = "b"
    element: int = 0
    element_type: PgType | None = None
    """the type of OID ``element``, of arrays and vectors"""
    array: int = 0
    align: str = "i"
    storage: str = "p"
    delimiter: str = ","
    collation: int = 0
    typmod_in: Callable[[list[str]], int] | None = None
    typmod_out: Callable[[int], str] | None = None
    typmod_cast: Callable[[Value, int, bool], Value] | None = None
    """value, typmod, explicit → value coerced to the typmod (PostgreSQL's length-coercion function)"""
    formatted_name: str | None = None
    """format_type's spelling, e.g. ``timestamp with time zone``; None: the name"""
    text_bytes: Callable[[Value], bytes] | None = None
    """fast text output that needs no env (ints, text, bool); None: ``output``"""
    wire: Wire = _NO_CODES
    namespace: int = 11
    element_bytes: Callable[[Value], bytes] | None = None
    """form of an element in a stored array, where that is not the binary form; with ``element_value``, its inverse"""
    element_value: Callable[[bytes], Value] | None = None
    members: tuple[Value, ...] = ()
    """an enum's values, in order"""
    range_form: RangeForm | None = None
    """of a range type and its multirange type: what they are ranges of"""
    fields: tuple[FieldDesc, ...] = ()
    """a composite type's columns, dropped ones in their places"""
    relation: int = 0
    """the pg_class OID of a composite type"""
    of_type: int = 0
    """of a typed table's row type: the composite type that it is a table of"""
    is_shell: bool = False
    """whether nothing but its name is known"""
    base: PgType | None = None
    """what a domain is over; a domain behaves as that in everything but its name and its constraints"""
    base_typmod: int = -1
    domain: Domain | None = None
    """a domain's rules"""
    default: str | None = None
    """of a user's base type: what columns of it hold without a default of their own, as its input reads it"""
    check: Callable[[Value, TypeEnv], None] | None = None
    """what a value read in binary form, or a NULL, must satisfy besides: raises the error of a domain's constraint.
    Arrays and composite types have it when a part of them has."""
    parts: frozenset[int] = frozenset()
    """OIDs of the users' types and relations that this one is made of"""
    collated: Collation | None = None
    """of a type under a collation: that collation (``compute_node/types/collation``)"""
    subscripts: Subscripts | None = None
    """of a base type that has them; arrays and jsonb have their own"""
    json_text: Callable[[Value], str] | None = None
    """of an extension's type that has a cast to json: what that gives"""

    @property
    def root(self) -> PgType:
        """What is behind a domain over domains; any other type itself."""
        found = self
        while found.base is not None:
            found = found.base
        return found


@dataclass(frozen=True, slots=True)
class Subscripts:
    """What ``value[i]`` is of a base type that takes one subscript, without slices: ``index`` and ``element`` are the
    OIDs of its type and of what is fetched and stored. ``store(container, index, element)`` gives a new container; any
    of the three may be NULL."""

    name: str
    index: int
    element: int
    fetch: Callable[[Value, Value], Value]
    store: Callable[[Value, Value, Value], Value]


Canonical = Callable[[Value, Value, int], tuple[Value, Value, int]]
"""lower bound, upper bound, flags of a range → the same in its one form, of discrete subtypes"""


@dataclass(frozen=True, slots=True, eq=False)
class RangeForm:
    """What a range type and its multirange type have in common: one row of pg_range with its code.

    ``key`` maps a bound to a Python object that ``<`` and ``==`` order as the subtype's operator class does (None: the
    bound itself), ``bound_key`` to bytes that memcmp orders so (None: not indexable).
    """

    range: int
    multirange: int
    subtype: PgType
    key: Callable[[Value], Datum] | None
    bound_key: Callable[[Value], bytes] | None
    canonical: Canonical | None = None
    operator_class: int = 0
    collation: int = 0
    canonical_function: int = 0
    difference_function: int = 0


Specialize = Callable[[tuple[PgType, ...], PgType], Callable[..., Datum]]


@dataclass(frozen=True, slots=True)
class Routine:
    """What a function or procedure in the language SQL has beyond its signature. ``text``: its statements; ``stored``:
    they are an SQL-standard body, whose names are written whole, and ``expression`` when that is ``RETURN`` of one."""

    text: str
    owner: int
    stored: bool = False
    expression: bool = False
    security_definer: bool = False
    settings: tuple[tuple[str, str], ...] = ()
    """SET name TO value: in force while it runs"""


class Parameter(NamedTuple):
    """One argument of a user's function, as declared: mode ``i`` in, ``o`` out, ``b`` in and out, ``v`` variadic, ``t``
    a column of TABLE."""

    mode: str
    name: str
    type: int


class RoutineCall(NamedTuple):
    """One call site: the types that the arguments and the result have there. ``columns``: (type, typmod) of each, where
    the caller says them (a column definition list)."""

    function: Function
    arguments: tuple[int, ...]
    result: int
    columns: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """One row of pg_proc with its code.

    ``implementation`` takes the arguments positionally (after a ``FunctionContext`` when ``needs_context``) and is
    never called with a NULL when ``strict``. ``inline`` is an optional Python expression template with ``{0}``, ``{1}``
    … that the expression compiler may use instead of a call; it may name helpers from ``inline_names``. A set-returning
    function returns an iterable of values (of tuples when ``out_columns``).

    Functions whose code depends on the actual types of polymorphic or "any" arguments have ``specialize``: called once
    a call site with the actual argument types (variadic arguments already gathered: the call passes one list for a
    typed VARIADIC parameter, and the separate values for VARIADIC "any") and the result type, it gives what is called
    instead of ``implementation``, with the same calling convention.
    """

    oid: int
    name: str
    arguments: tuple[int, ...]
    result: int
    implementation: Callable[..., Datum]
    strict: bool = True
    volatility: str = "i"
    kind: str = "f"
    returns_set: bool = False
    variadic: int = 0
    needs_context: bool = False
    inline: str | None = None
    inline_names: dict[str, Any] = field(default_factory=dict)
    out_columns: tuple[tuple[str, int], ...] = ()
    argument_names: tuple[str, ...] = ()
    defaults: tuple[Value, ...] = ()
    source: str = ""
    namespace: int = 11
    specialize: Specialize | None = None
    default_texts: tuple[str, ...] = ()
    """the defaults of a user's function, as SQL; ``defaults`` are then as many placeholders"""
    output_name: str = ""
    """the name of the only OUT argument, which is then the result"""
    parameters: tuple[Parameter, ...] = ()
    """all arguments of a user's function, those that only give a result too"""
    routine: Routine | None = None
    with_columns: Callable[[tuple[int, ...], int, tuple[tuple[int, int], ...]], Callable[..., Datum]] | None = None
    """how it runs for arguments and a result of these types where the query says which columns (type, typmod) its rows
    have; None: as ever"""
    with_fields: Callable[[tuple[PgType, ...], Sequence[FieldDesc]], Callable[..., Datum]] | None = None
    """the same for a function that asks for the columns' names and types themselves"""
    cost: float = 1.0
    rows: float = 1000.0
    missing: str = ""
    """of a built-in function whose code is not here: what a call is told (0A000)"""

    @property
    def signature(self) -> tuple[int, ...]:
        """What tells it from others of its name."""
        return self.arguments


class SetOrder(Protocol):
    """The order of an ordered-set aggregate's rows."""

    def key(self, row: Row) -> Datum:
        """What is equal for equal rows."""

    def before(self, rows: Sequence[Row], row: Row, *, with_equals: bool) -> int:
        """How many of the sorted rows come before a row, or are equal to it (``with_equals``)."""


@dataclass(frozen=True, slots=True, eq=False)
class Moving:
    """How an aggregate runs over a frame that rows leave again, in the order in which they came (manual, 38.12.1):
    ``inverse(state, *args)`` takes a row out; None when it cannot, and then the frame is aggregated anew. ``final`` may
    not change the state. A strict step and its inverse skip rows with a NULL argument."""

    initial: Callable[[], Datum]
    step: Callable[..., Datum]
    inverse: Callable[..., Datum]
    final: Callable[..., Value]
    strict: bool = True
    needs_context: bool = False
    """step, inverse and final get a ``FunctionContext`` first"""


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """How an aggregate of the same OID in pg_proc runs: ``state = step(state, *args)`` from ``initial()``, then
    ``final(state)``. A strict step skips rows with a NULL argument. ``batch`` is optional:
    ``batch(state, column)`` folds a list of values at once: without the NULLs when the step is strict."""

    oid: int
    initial: Callable[[], Datum]
    step: Callable[..., Datum]
    final: Callable[..., Value]
    strict: bool = True
    batch: Callable[[Datum, list[Value]], Datum] | None = None
    transition_type: int = 2281
    ordered_set: bool = False
    needs_context: bool = False
    """``step`` gets a ``FunctionContext`` first, then the state and the arguments"""
    final_needs_context: bool = False
    """``final`` gets one first, then the state"""
    volatile: bool = False
    """what it calls may see and do what a volatile function may"""
    specialize: Callable[[tuple[PgType, ...]], Aggregate] | None = None
    """how it runs over arguments of these types, for polymorphic ones"""
    parts: tuple[int, ...] = ()
    """the functions that a user's aggregate is made of: its owner must be allowed to call them"""
    set_final: Callable[[Sequence[Row], Row, SetOrder], Datum] | None = None
    """an ordered-set aggregate's: its rows in order, direct arguments, order → the result"""
    direct: int = 0
    """how many direct arguments an ordered-set aggregate has, as declared"""
    hypothetical: bool = False
    moving: Moving | None = None
    running: Callable[[Datum, list[Value]], list[Value]] | None = None
    """state, non-NULL values → the state after each of them; its final function gives results as they are"""
    windowed: bool = True
    """whether its final function may be called again and again, as a window needs it"""


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """One row of pg_operator. ``left`` is 0 for a prefix operator."""

    oid: int
    name: str
    left: int
    right: int
    result: int
    function: int
    commutator: int = 0
    negator: int = 0
    can_merge: bool = False
    can_hash: bool = False
    namespace: int = 11

    @property
    def signature(self) -> tuple[int, ...]:
        """What tells it from others of its name."""
        return self.left, self.right


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """One row of pg_cast: context ``i`` implicit, ``a`` assignment, ``e`` explicit; method ``f`` function, ``b`` binary
    coercible, ``i`` through text I/O."""

    oid: int
    source: int
    target: int
    function: int
    context: str
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class OperatorClass:
    """An operator class of the access method ``method``: ``operators`` of its input type by strategy, ``orderings`` by
    whose values it orders rows, and ``support`` functions by number, from 1 on, 0 where there is none. Orderings of
    built-in classes are in ``Registry.ordering``."""

    oid: int
    name: str
    family: int
    family_name: str
    input_type: int
    method: int = 403
    default: bool = True
    operators: tuple[int, ...] = ()
    support: tuple[int, ...] = ()
    namespace: int = 11
    orderings: tuple[int, ...] = ()
    mixed: Mapping[int, int] = field(default_factory=dict)
    """of a user's class of a method that has no strategies of its own: operators with another right side → strategy"""
    mixed_orderings: Mapping[int, int] = field(default_factory=dict)
    """the same of operators by whose values it orders rows"""


@dataclass(frozen=True, slots=True)
class FamilyOperators:
    """Members of an operator family between two types; ``operators`` by strategy from 1, 0 where there is none."""

    family: int
    method: int
    left: int
    right: int
    operators: tuple[int, ...]


@dataclass(slots=True)
class Registry:
    """All declarations, with the indexes that resolution needs."""

    types: dict[int, PgType] = field(default_factory=dict)
    types_by_name: dict[str, PgType] = field(default_factory=dict)
    functions: dict[int, Function] = field(default_factory=dict)
    functions_by_name: dict[str, list[Function]] = field(default_factory=dict)
    aggregates: dict[int, Aggregate] = field(default_factory=dict)
    operators: dict[int, Operator] = field(default_factory=dict)
    operators_by_name: dict[str, list[Operator]] = field(default_factory=dict)
    operators_by_signature: dict[tuple[str, int, int], Operator] = field(default_factory=dict)
    casts: dict[tuple[int, int], Cast] = field(default_factory=dict)
    operator_classes: dict[int, OperatorClass] = field(default_factory=dict)
    cross_type_operators: list[FamilyOperators] = field(default_factory=list)
    strategies: dict[tuple[int, int], int] = field(default_factory=dict)
    """(family, operator) → the operator's strategy there"""
    family_operators: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    """(family, left type, right type, strategy) → operator"""
    ordering: dict[tuple[int, int], int] = field(default_factory=dict)
    """(family, operator) → strategy of an operator by whose value an index gives rows in order"""

    def add_type(self, item: PgType) -> PgType:
        """Declare a type; returns it."""
        self._once(self.types, item.oid, item)
        self._once(self.types_by_name, item.name, item)
        return item

    def add_function(self, item: Function) -> Function:
        """Declare a function (aggregates too: kind ``a``); returns it."""
        self._once(self.functions, item.oid, item)
        self.functions_by_name.setdefault(item.name, []).append(item)
        return item

    def add_aggregate(self, item: Aggregate) -> Aggregate:
        """Declare how the aggregate of that OID runs."""
        self._once(self.aggregates, item.oid, item)
        return item

    def add_operator(self, item: Operator) -> Operator:
        """Declare an operator; returns it."""
        self._once(self.operators, item.oid, item)
        self._once(self.operators_by_signature, (item.name, item.left, item.right), item)
        self.operators_by_name.setdefault(item.name, []).append(item)
        return item

    def add_cast(self, item: Cast) -> Cast:
        """Declare a cast; returns it."""
        self._once(self.casts, (item.source, item.target), item)
        return item

    def add_operator_class(self, item: OperatorClass) -> OperatorClass:
        """Declare an operator class; returns it."""
        self._once(self.operator_classes, item.oid, item)
        self._add_members(item.family, item.input_type, item.input_type, item.operators)
        return item

    def add_family_operators(self, item: FamilyOperators) -> None:
        """Declare members of a family between two of its types."""
        self.cross_type_operators.append(item)
        self._add_members(item.family, item.left, item.right, item.operators)

    def _add_members(self, family: int, left: int, right: int, operators: tuple[int, ...]) -> None:
        for strategy, operator in enumerate(operators, 1):
            if operator:
                self.strategies[family, operator] = strategy
                self.family_operators[family, left, right, strategy] = operator

    @staticmethod
    def _once(table: dict[Any, Any], key: Any, item: Datum) -> None:
        if key in table:
            raise InvariantViolation(f"{type(item).__name__} {key} is declared twice")
        table[key] = item


REGISTRY = Registry()


# Row values that a statement moves to a temporary file name their columns' types; only this process reads them again.

TYPES_KEPT = 4096
_kept: dict[int, PgType] = {}


def _reduced(item: PgType) -> Row:
    if _kept.get(id(item)) is not item:
        if len(_kept) >= TYPES_KEPT:
            del _kept[next(iter(_kept))]
        _kept[id(item)] = item
    return _restored, (id(item),)


def _restored(number: int) -> PgType:
    found = _kept.get(number)
    if found is None:
        raise InvariantViolation("the type of a row value in a temporary file is not known any more")
    return found


copyreg.pickle(PgType, _reduced)
