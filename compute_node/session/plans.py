"""Plans and the shared plan cache: statement text → something that runs.

A cache holds one ``PlanSpace`` for each combination of settings that analysis depends on; within it plans are found
by text and, for simple queries, by the text without its literals (``lifting``). A plan knows the catalog version that
it was made under, and is made again under another one. Bounded: the oldest half goes when a space is full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from compute_node.protocol.messages import Column
from compute_node.session.results import ResultFormat, parameter_codes
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.session.session import Session

MAX_PLANS = 4096
"""Entries of each table of a space."""
MAX_SPACES = 64

PLAN_SETTINGS = frozenset(
    [
        "search_path",
        "DateStyle",
        "IntervalStyle",
        "TimeZone",
        "transform_null_equals",
        "extra_float_digits",
        "array_nulls",
        "work_mem",
        "constraint_exclusion",
        "from_collapse_limit",
        "join_collapse_limit",
        "session_authorization",
        "role",
        "bytea_output",
        "standard_conforming_strings",
        "row_security",
        "seq_page_cost",
        "random_page_cost",
        "cpu_tuple_cost",
        "cpu_index_tuple_cost",
        "cpu_operator_cost",
        "effective_cache_size",
        "jit",
    ]
)


def plan_depends_on(name: str) -> bool:
    """Whether analysis or planning looks at this setting."""
    return name in PLAN_SETTINGS or name.startswith("enable_")


class Plan:
    """One statement, ready to run: a query (``executable``) or a utility statement (``node``).

    ``columns`` is None when it gives no rows. ``fast`` is set for plain BEGIN, COMMIT and ROLLBACK and runs them.
    ``kinds`` are the parameters' types, ``codes`` the kernel's codes for them. ``locks`` are the executable's relation
    locks. ``shareable``: other statements of the same text may use it.
    """

    __slots__ = (
        "codes", "columns", "executable", "fast", "fetch_all", "formats", "is_point", "kinds", "locks", "node",
        "param_types", "rows", "run", "shareable", "source", "tag", "version", "writes",
    )  # fmt: skip

    def __init__(
        self,
        source: str,
        version: int,
        param_types: Sequence[int] = (),
        executable: Any = None,
        node: Any = None,
        columns: Sequence[Column] | None = None,
        fast: Callable[[Session], bytes] | None = None,
        kinds: Sequence[PgType] = (),
    ) -> None:
        self.source = source
        self.version = version
        self.param_types = tuple(param_types)
        self.kinds = tuple(kinds if executable is None else executable.param_kinds)
        self.codes = parameter_codes(self.kinds)
        self.executable = executable
        self.node = node
        self.fast = fast
        self.formats: dict[bytes, ResultFormat] = {}
        self.shareable = True
        self.tag: str = ""
        self.is_point = self.writes = False
        self.columns: list[Column] | None = None if columns is None else list(columns)
        self.run: Any = None
        self.rows: Any = None
        self.fetch_all: Any = None
        self.locks: Any = None
        if executable is not None:
            self.tag = executable.tag
            self.is_point = bool(executable.is_point)
            self.locks = executable.locks
            self.writes = not executable.planned.read_only
            self.shareable = not executable.planned.momentary
            self.run, self.rows = executable.run, executable.rows
            self.fetch_all = executable.fetch_all if self.is_point else None
            if executable.columns is not None:
                self.columns = [
                    Column(column.name, kind, column.typmod, column.table, column.column)
                    for column, kind in zip(executable.columns, executable.column_kinds, strict=True)
                ]

    def format_for(self, raw_formats: bytes) -> ResultFormat:
        """The result format for Bind's raw format codes."""
        found = self.formats.get(raw_formats)
        if found is None:
            found = ResultFormat(self.columns or [], raw_formats)
            if len(self.formats) < 8:
                self.formats[raw_formats] = found
        return found

    def same_result(self, other: Plan) -> bool:
        """Whether two plans promise the client the same columns."""
        mine, theirs = self.columns, other.columns
        if mine is None or theirs is None:
            return mine is theirs
        return [(c.name, c.type_oid, c.typmod) for c in mine] == [(c.name, c.type_oid, c.typmod) for c in theirs]


def bounded_put(table: dict[Any, Any], key: Any, value: Any, limit: int = MAX_PLANS) -> None:
    """Insert; when the table is full, drop its older half first."""
    if len(table) >= limit:
        for old in list(table)[: limit // 2]:
            del table[old]
    table[key] = value


class PlanSpace:
    """The plans of one combination of settings."""

    __slots__ = ("shapes", "texts")

    def __init__(self) -> None:
        self.texts: dict[tuple[bytes, tuple[int, ...]], Plan] = {}
        self.shapes: dict[bytes, Any] = {}


class PlanCache:
    """All sessions' plans."""

    def __init__(self) -> None:
        self.utilities: dict[bytes, Plan] = {}
        """Utility statements by text; they depend on no setting."""
        self.statements = 0
        """Statements begun, by all sessions."""
        self._spaces: dict[tuple[Any, ...], PlanSpace] = {}

    def space(self, environment: tuple[Any, ...]) -> PlanSpace:
        """The plans for this combination of settings."""
        found = self._spaces.get(environment)
        if found is None:
            found = PlanSpace()
            bounded_put(self._spaces, environment, found, MAX_SPACES)
        return found
