"""State of one analysis: what holds for the whole statement (``Analysis``) and for one query level (``Scope``)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from pglast.ast import WindowDef

from aurora.errors import SqlError
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    AggregateCall,
    ArrayCoerce,
    Call,
    CoerceTypmod,
    CoerceViaIO,
    Collate,
    Expr,
    Relabel,
    Var,
    children,
)
from compute_node.sql.query import CommonTable, Query, RangeEntry
from compute_node.sql.rewrite import deep_map
from compute_node.types.registry import TypeEnv

if TYPE_CHECKING:
    from compute_node.sql.analyze.routines import RoutineBody
    from compute_node.sql.query import Stars


@dataclass(slots=True)
class Analysis:
    """The statement: catalog, parameters and lifted literals.

    ``lifted`` maps character offsets of literals to parameter slots; ``used`` holds those that became parameters,
    ``kept`` those whose value was looked at. ``keep_depth`` > 0 while everything under analysis must stay literal.
    """

    catalog: CatalogView
    param_types: list[int]
    source: str
    env: TypeEnv
    lifted: dict[int, int] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)
    keep_depth: int = 0
    allow_params: bool = True
    momentary: bool = False
    """a literal such as 'now' was converted: the query holds the time of its analysis"""
    view_depth: int = 0
    routine: RoutineBody | None = None
    """the function whose statement this is; ``param_types`` are its arguments'"""
    relations: set[int] = field(default_factory=set)
    collated: bool = False
    """a collation other than the usual ones was named: ``collations`` works out which holds where"""
    stars: Stars = field(default_factory=dict)
    """each ``*`` of the statement itself: by its node's id, the node and (qualifier, column) of what it stands for"""

    def slot(self, location: int) -> int:
        """The parameter slot of the literal at ``location``; 0 when it stays a literal."""
        if not self.lifted or self.keep_depth or location in self.kept:
            return 0
        return self.lifted.get(location, 0)

    def set_param_type(self, number: int, type_oid: int) -> None:
        """Record the type of parameter ``number``, extending the list with 0 (unknown)."""
        while len(self.param_types) < number:
            self.param_types.append(0)
        self.param_types[number - 1] = type_oid


@dataclass(slots=True)
class NameItem:
    """What a range entry offers to name resolution: its alias and the expression of each column.

    ``origins``: (table OID, attno) per column. ``columns_visible``: unqualified names reach it; ``table_visible``:
    qualified ones do. ``lateral_only``: visible only to LATERAL items while FROM is being analyzed.
    """

    rte: int
    alias: str
    names: tuple[str, ...]
    columns: tuple[Expr, ...]
    relation: RelationDesc | None = None
    schema: str | None = None
    columns_visible: bool = True
    table_visible: bool = True
    lateral_only: bool = False
    lateral_ok: bool = True
    dropped: frozenset[int] = frozenset()
    unexpanded: frozenset[int] = frozenset()
    """columns that ``*`` does not stand for"""
    hinted: bool = True
    """hints name its columns; not those of an alias of USING, which are others' too"""
    system_columns: bool = True
    """not those of ``excluded``, which is no stored row"""
    row_type: int = 0
    """the composite type of a function's rows; 0 of any other entry"""


@dataclass(slots=True)
class Scope:
    """One query level: its query under construction, visible names, CTEs and the clause being analyzed."""

    analysis: Analysis
    query: Query
    parent: Scope | None = None
    items: list[NameItem] = field(default_factory=list)
    ctes: dict[str, CommonTable] = field(default_factory=dict)
    clause: str = "SELECT"
    lateral_active: bool = False
    """a LATERAL item is being analyzed: the items to its left may be referenced"""
    in_aggregate: bool = False
    """inside an aggregate's arguments"""
    has_srf: bool = False
    windows: list[WindowDef] = field(default_factory=list)
    """of this level, as they are written: those of WINDOW, then those of OVER"""
    unreachable: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """aliases and columns that cannot be referenced, for hints: of INSERT's table"""
    is_around_rule: bool = False
    """the level of a rule's OLD and NEW: a statement within it is none within another"""
    gives_rows: bool = False
    """the query that an INSERT takes its rows from"""
    pending_cte: tuple[str, ...] = ()
    """names of CTEs of this WITH RECURSIVE that are not analyzed yet"""

    @property
    def catalog(self) -> CatalogView:
        """The statement's catalog view."""
        return self.analysis.catalog

    def child(self) -> Scope:
        """A scope for a sub-select of this one."""
        return Scope(self.analysis, Query("select"), parent=self)

    def of_original(self) -> tuple[int, Scope] | None:
        """In an action of a rule: the query level that OLD and NEW are columns of, the statement or what gives an
        INSERT its rows, and how many levels out it is. None elsewhere."""
        path = [self]
        while (outer := path[-1].parent) is not None:
            path.append(outer)
        if len(path) == 1 or not path[-1].is_around_rule:
            return None
        level = max((number for number, scope in enumerate(path) if scope.gives_rows), default=len(path) - 2)
        return level, path[level]

    def add_entry(self, entry: RangeEntry) -> int:
        """Append a range entry; returns its index."""
        self.query.range_table.append(entry)
        return len(self.query.range_table) - 1


def fail(
    error: type[SqlError], message: str, location: int = -1, *, detail: str | None = None, hint: str | None = None
) -> SqlError:
    """The error with its position made from a character offset; to be raised by the caller."""
    return error(
        message, detail=detail, hint=hint, position=location + 1 if location is not None and location >= 0 else None
    )


_LEFTMOST = (Call, Relabel, CoerceViaIO, ArrayCoerce, CoerceTypmod)
"""What begins where the leftmost of its parts does"""


def start_of(node: Expr) -> int:
    """Where an expression begins in the text, as messages point to it."""
    if isinstance(node, Collate):
        return start_of(node.argument)
    places = [node.location, *(start_of(child) for child in children(node))] if isinstance(node, _LEFTMOST) else []
    return min((place for place in places if place >= 0), default=node.location)


def shift_levels(node: Expr, delta: int) -> Expr:
    """The expression seen from ``delta`` query levels further in (or out, negative); references to levels inside it
    stay."""

    def shift(item: Expr, depth: int) -> Expr:
        if isinstance(item, (Var, AggregateCall)) and item.levels_up >= depth:
            return dataclasses.replace(item, levels_up=item.levels_up + delta)
        return item

    return deep_map(node, shift)


DEFAULT_ENV = TypeEnv(timezone=UTC)


def session_env(session: object) -> TypeEnv:
    """The session's ``env``; UTC defaults without a session."""
    env = getattr(session, "env", None)
    return env if isinstance(env, TypeEnv) else DEFAULT_ENV


def stored_env(env: TypeEnv) -> TypeEnv:
    """The settings under which the catalog's texts are read, whoever's ``env`` it is: those that they are written
    under."""
    return dataclasses.replace(
        DEFAULT_ENV,
        stack_kb=env.stack_kb,
        transaction_timestamp=env.transaction_timestamp,
        statement_timestamp=env.statement_timestamp,
        session=env.session,
        check_context=env.check_context,
        lookup=env.lookup,
    )
