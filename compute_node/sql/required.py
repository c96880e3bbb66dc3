"""What a statement asks of whom: analyzed ``Query`` → the privileges that must be held when it runs (wall 13).

One ``RelationAccess`` for each use of a table, view or sequence: its modes, and the columns that are read, inserted and
updated. What a view reads is asked of the view's owner, unless the view is ``security_invoker``. The check itself is
made by the catalog (``catalog/permissions``), which has the lists. Source: PostgreSQL manual, ch. 5.7, 41.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, NamedTuple

from aurora.errors import InvariantViolation
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.expressions import Call, CurrentOf, Expr, SubLink, Var, walk
from compute_node.sql.query import FromItem, JoinItem, Query, RangeEntry
from compute_node.sql.rewrite import deep_map, map_query_expressions
from compute_node.types.acl import DELETE, INSERT, SELECT, UPDATE

WHOLE_ROW: Final = 0
"""attno of a reference to all columns"""


class RelationAccess(NamedTuple):
    """One use of a relation. ``check_as``: the role that must hold the privileges, 0 for the current user. Columns are
    attnos, ``WHOLE_ROW`` among them; a mode without columns is content with the privilege on any one. ``in_view``: not
    the statement names it, but a view that it reads."""

    relation: RelationDesc
    modes: int
    selected: frozenset[int] = frozenset()
    inserted: frozenset[int] = frozenset()
    updated: frozenset[int] = frozenset()
    check_as: int = 0
    in_view: bool = False


class Required(NamedTuple):
    """All that a statement needs: relations in the order in which they are checked, and functions by OID."""

    relations: tuple[RelationAccess, ...] = ()
    functions: frozenset[int] = frozenset()


NOTHING: Final = Required()


def both(one: Required, other: Required) -> Required:
    """What two statements need together."""
    if other is NOTHING:
        return one
    return Required(tuple(dict.fromkeys(one.relations + other.relations)), one.functions | other.functions)


class _Reader(NamedTuple):
    """Who reads: the role that must hold the privileges, for a view or by itself."""

    role: int
    in_view: bool = False


@dataclass(slots=True)
class _Use:
    relation: RelationDesc
    modes: int
    reader: _Reader
    selected: set[int] = field(default_factory=set)
    inserted: set[int] = field(default_factory=set)
    updated: set[int] = field(default_factory=set)


_Level = list["_Use | None"]


def required_privileges(query: Query, reader: int = 0) -> Required:
    """The privileges that running a statement needs; ``reader``: the role that must hold them, 0 for the current user.
    Of a table that stands for a view they are not among them: the rewriter has noted them."""
    collector = _Collector()
    collector.visit(query, [], _Reader(reader), False)
    return Required(tuple(collector.accesses()), frozenset(collector.functions))


def functions_of(expr: Expr) -> frozenset[int]:
    """The functions that one expression calls, for whoever runs it outside a statement's plan."""
    return frozenset(filter(None, [getattr(node, "function", 0) for node in walk(expr)]))


def is_security_invoker(view: RelationDesc) -> bool:
    """Whether a view reads as whoever selects from it."""
    for option in view.options:
        name, _, value = option.partition("=")
        if name == "security_invoker":
            return value.lower() in ("", "true", "on", "1", "yes")
    return False


def reader_of(view: RelationDesc) -> int:
    """The role that must hold the privileges on what a view reads: its owner, 0 for the current user."""
    return 0 if is_security_invoker(view) else view.owner


def read_as(expr: Expr, reader: int) -> Expr:
    """The expression of a view or policy as a part of another query: what its sub-selects read, ``reader`` reads (0:
    the current user), whatever stands around it."""
    if not any(isinstance(node, SubLink) for node in walk(expr)):
        return expr
    return deep_map(expr, _same, 0, _reading(reader))


def query_read_as(query: Query, reader: int) -> Query:
    """The action of a rule as a query of its own: what it reads and changes, ``reader`` does."""
    hook = _reading(reader)
    return map_query_expressions(
        query, lambda expr, depth: deep_map(expr, _same, depth - 1, hook), entry_hook=hook, hook_depth=0
    )


def _reading(reader: int) -> Callable[[RangeEntry, int], RangeEntry]:
    """What marks the range entries of a query, and of the views in it."""

    def hook(entry: RangeEntry, _depth: int) -> RangeEntry:
        if entry.relation is None or entry.check_as is not None:
            return entry
        inner = entry.query
        if inner is not None:
            marked = _reading(reader_of(entry.relation))
            inner = map_query_expressions(
                inner, lambda expr, depth: deep_map(expr, _same, depth - 1, marked), entry_hook=marked
            )
        return replace(entry, check_as=reader, query=inner)

    return hook


def _same(node: Expr, _depth: int) -> Expr:
    return node


def change_of(query: Query) -> RelationAccess:
    """What an INSERT, UPDATE or DELETE needs of its target; SELECT where it reads it, without the columns."""
    if query.target is None:
        raise InvariantViolation("a data change without a target")
    use = _Use(query.target, 0, _Reader(0))
    _note_change(query, use)
    modes = places_of(query)[id(query.range_table[query.result_rte])].modes
    return RelationAccess(use.relation, modes, inserted=frozenset(use.inserted), updated=frozenset(use.updated))


def _note_change(query: Query, use: _Use) -> None:
    if query.command == "merge":
        for action in query.merge_actions:
            use.modes |= {"update": UPDATE, "delete": DELETE, "insert": INSERT}.get(action.command, 0)
            use.updated |= {attno for attno, _ in action.assignments}
            use.inserted |= set(action.inserted)
    elif query.command == "delete":
        use.modes |= DELETE
    elif query.command == "update":
        use.modes |= UPDATE
        use.updated |= {attno for attno, _ in query.assignments}
    else:
        use.modes |= INSERT
        use.inserted |= set(query.inserted)
        if query.on_conflict is not None:
            if query.arbiter_columns:
                use.modes |= SELECT
                use.selected |= query.arbiter_columns
            if query.on_conflict.action == "update":
                use.modes |= UPDATE
                use.updated |= {attno for attno, _ in query.on_conflict.assignments}


class Place(NamedTuple):
    """A relation's range entry in a statement: its ``number`` in its query, the query's command, whether it is what
    that changes; the modes and the role that must hold them (0: the current user). ``descends``: as the entry's."""

    relation: RelationDesc
    descends: bool
    number: int
    command: str
    is_target: bool
    modes: int
    check_as: int


def places_of(query: Query, reader: int = 0) -> dict[int, Place]:
    """Every range entry of a relation in a statement, by the entry's id. ``reader``: see ``required_privileges``."""
    collector = _Collector(with_copies=True)
    collector.visit(query, [], _Reader(reader), False)
    return collector.places()


def places_in(expr: Expr) -> dict[int, Place]:
    """The same of the sub-selects of a policy's expression."""
    collector = _Collector(with_copies=True)
    collector._expression(expr, [[None]], _Reader(0))
    return collector.places()


def read_by(expr: Expr) -> list[RelationAccess]:
    """What the sub-selects of a policy's expression read."""
    collector = _Collector()
    collector._expression(expr, [[None]], _Reader(0))
    return collector.accesses()


def read_by_rule(query: Query) -> list[RelationAccess]:
    """What an action of a rule reads and changes besides OLD and NEW, which are of the level around it."""
    collector = _Collector()
    collector.visit(query, [[None, None]], _Reader(0), False)
    return collector.accesses()


class _Collector:
    """``visit`` finds every range entry of a relation that ``map_query_expressions`` does, ``with_copies`` also those
    of expressions that a query keeps twice."""

    def __init__(self, with_copies: bool = False) -> None:
        self._with_copies = with_copies
        self._entries: list[tuple[Query, int, _Use]] = []
        self._copied: list[tuple[Query, int, _Use]] = []
        """of sub-selects that stand elsewhere, too"""
        self.functions: set[int] = set()

    def accesses(self) -> list[RelationAccess]:
        """What was found of relations, in order."""
        return [
            RelationAccess(
                use.relation,
                use.modes,
                frozenset(use.selected),
                frozenset(use.inserted),
                frozenset(use.updated),
                *use.reader,
            )
            for query, number, use in self._entries
            if use.modes and query.range_table[number].modes is None
        ]

    def places(self) -> dict[int, Place]:
        """What was found, by the range entries' ids."""
        found = {}
        for query, number, use in (*self._copied, *self._entries):
            entry = query.range_table[number]
            modes = use.modes if entry.modes is None else entry.modes
            is_target = query.target is not None and number == query.result_rte
            place = Place(use.relation, entry.descends, number, query.command, is_target, modes, use.reader.role)
            found[id(entry)] = place
        return found

    def visit(self, query: Query, outer: list[_Level], reader: _Reader, locked: bool) -> None:
        """One query level. ``outer``: the levels around it, innermost last; ``locked``: a FOR UPDATE outside means its
        tables too."""
        level: _Level = []
        locked_here = {rte for _, _, entries in query.locking for rte in entries}
        for number, entry in enumerate(query.range_table):
            if entry.relation is None:
                level.append(None)
                continue
            modes = SELECT
            if query.target is not None and entry.relation is query.target and number >= query.result_rte >= 0:
                # The target, and ``excluded`` after it, are read only where an expression says so.
                modes = 0 if number == query.result_rte or entry.alias == "excluded" else SELECT
            if locked or number in locked_here:
                modes |= UPDATE
            role = reader.role if entry.check_as is None else entry.check_as
            used = _Use(entry.relation, modes, _Reader(role, reader.in_view))
            level.append(used)
            self._entries.append((query, number, used))
        levels = [*outer, level]
        use = level[query.result_rte] if query.target is not None and query.result_rte >= 0 else None
        if use is not None:
            _note_change(query, use)
        for expr in _expressions(query):
            self._expression(expr, levels, reader)
        tests = _tests(query)
        if tests or self._with_copies:
            self._unseen(query, tests, [[None] * len(each) for each in levels], reader)
        for cte in query.ctes:
            self.visit(cte.query, levels, reader, False)
        for number, entry in enumerate(query.range_table):
            if entry.query is not None:
                inner = reader if entry.relation is None else _Reader(reader_of(entry.relation), True)
                self.visit(entry.query, levels, inner, locked or number in locked_here)
        if query.set_op is not None:
            self.visit(query.set_op[2], levels, reader, locked)
            self.visit(query.set_op[3], levels, reader, locked)
        if query.source is not None:
            self.visit(query.source, levels, reader, False)

    def _unseen(self, query: Query, tests: list[Expr], levels: list[_Level], reader: _Reader) -> None:
        """What a query has besides what its statement says. ``levels`` note nothing: who may see or change a row may
        have it tested, whatever columns that reads."""
        for expr in tests:
            self._expression(expr, levels, reader)
        for expr in _copies(query) if self._with_copies else ():
            copies = _Collector(with_copies=True)
            copies._expression(expr, levels, reader)
            self._copied += (*copies._copied, *copies._entries)

    def _expression(self, expr: Expr, levels: list[_Level], reader: _Reader) -> None:
        for node in walk(expr):
            if isinstance(node, Var):
                use = levels[-1 - node.levels_up][node.rte]
                if use is not None:
                    use.modes |= SELECT
                    use.selected.add(node.attno)
            elif isinstance(node, SubLink):
                self.visit(node.query, levels, reader, False)
            else:
                function = getattr(node, "function", 0)
                if function:
                    self.functions.add(function)


def _is_current_of(where: Expr | None) -> bool:
    """Whether it is WHERE CURRENT OF, which reads no column that anybody has named."""
    return isinstance(where, Call) and any(isinstance(argument, CurrentOf) for argument in where.arguments)


def _tests(query: Query) -> list[Expr]:
    """What views and policies ask of rows."""
    found = [check.condition for check in query.row_checks if check.condition is not None]
    return [*found, *chain.from_iterable(entry.security for entry in query.range_table)]


def _copies(query: Query) -> Iterator[Expr]:
    """What else a query keeps of expressions with sub-selects."""
    for target in (*query.targets, *query.returning):
        if target.written is not None:
            yield target.written
    for entry in query.range_table:
        yield from entry.join_aliases
    waiting = list(query.from_items)
    while waiting:
        item = waiting.pop()
        if isinstance(item, JoinItem):
            for _, *parts in item.using:
                yield from parts
            waiting += [item.left, item.right]


def _expressions(query: Query) -> list[Expr]:
    """The top expressions of this level alone; a join's aliases stand for columns that somebody names, or nobody."""
    found = [target.expression for target in (*query.targets, *query.returning)]
    where = None if _is_current_of(query.where) else query.where
    found += [expr for expr in (where, query.having, query.limit, query.offset) if expr is not None]
    found += [expr for window in query.windows for expr in (window.start, window.end) if expr is not None]
    found += [expr for _, expr in query.assignments]
    if query.on_conflict is not None:
        found += [expr for _, expr in query.on_conflict.assignments]
        if query.on_conflict.where is not None:
            found.append(query.on_conflict.where)
    for action in query.merge_actions:
        found += [*(value for _, value in action.assignments), *action.values]
        if action.condition is not None:
            found.append(action.condition)
    for entry in query.range_table:
        if entry.function is not None:
            found.append(entry.function)
        if entry.sample is not None:
            found += [entry.sample.percent, *([] if entry.sample.seed is None else [entry.sample.seed])]
        found += chain.from_iterable(entry.values)
    waiting: list[FromItem | JoinItem] = list(query.from_items)
    while waiting:
        item = waiting.pop()
        if isinstance(item, JoinItem):
            if item.condition is not None:
                found.append(item.condition)
            waiting += [item.left, item.right]
    return found
