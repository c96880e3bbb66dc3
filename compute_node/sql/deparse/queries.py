"""SELECT as text, laid out as ``pg_get_viewdef`` shows it: target lists, clauses, set operations, WITH, windows and the
sub-selects of expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from aurora.errors import InvariantViolation
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import Deparser, direction, quote_identifier
from compute_node.sql.deparse.from_clause import FromDeparser
from compute_node.sql.deparse.layout import BREAK, ITEM, STANDARD, Layout, finished
from compute_node.sql.deparse.names import Level, OuterReferences, is_bare
from compute_node.sql.deparse.pretty import PrettyDeparser
from compute_node.sql.expressions import (
    And,
    Call,
    Const,
    Expr,
    Or,
    Param,
    RowCompare,
    SortKey,
    SubLink,
    Var,
    WindowCall,
)
from compute_node.sql.query import CommonTable, FromItem, Grouping, Query, RangeEntry, Target, Window
from compute_node.types.registry import TypeEnv

_NONDEFAULT: Final = 0x1
_BETWEEN: Final = 0x10
"""of a window's frameOptions"""
_OF_RULES: Final = ("old", "new")
"""names that range entries of a view's rule have"""
_LIKE_A_NUMBER = "?column?"
_GROUPINGS = {"sets": "GROUPING SETS ", "rollup": "ROLLUP", "cube": "CUBE"}


class QueryDeparser(FromDeparser):
    """Text of one query and of what is in it."""

    def query(self, query: Query, names: Sequence[str] = (), *, visible: bool = True) -> str:
        """The query as one of the current level's; ``names``: of its columns, where they are called otherwise.
        ``visible``: somebody sees the names."""
        with self.opened(query):
            return self.select(query, names, visible)

    @contextmanager
    def opened(self, query: Query) -> Iterator[None]:
        """The query's level is the innermost one."""
        levels, indent = self.levels, self.layout.level
        self.levels = (self._level(query), *levels)
        try:
            yield
        finally:
            self.levels, self.layout.level = levels, indent

    reserved: tuple[str, ...] = ()
    """names that no range entry of the outermost query gets"""
    outer: OuterReferences | None = None
    """For a text that is kept: the names that a level needs of outer ones. It may use the others again, and has no bare
    names."""

    @property
    def is_read_again(self) -> bool:
        """See ``Deparser``."""
        return self.outer is not None

    def _level(self, query: Query) -> Level:
        HUB.pulse()
        if not self.levels:
            return Level(self.catalog, query, frozenset(self.reserved), None, self.outer is None)
        around = self.levels[0]
        taken = around.taken if self.outer is None else self.outer.names(query, self.levels)
        return Level(self.catalog, query, taken, around, self.outer is None)

    def select(self, query: Query, names: Sequence[str], visible: bool) -> str:
        """A SELECT whose level is the innermost."""
        layout = self.layout
        text = self.with_clause(query)
        if query.set_op is not None:
            text += self._set_operation(query, names, visible)
        else:
            text += self._plain(query, names, visible)
        keys = query.order_by if query.order_written < 0 else query.order_by[: query.order_written]
        if keys:
            text += layout.clause(" ORDER BY ", 1) + self._order(query, keys, names)
        if query.offset is not None:
            text += layout.clause(" OFFSET ") + self.text(query.offset)
        if query.limit is not None and query.with_ties:
            text += layout.clause(" FETCH FIRST ") + f"({self.text(query.limit)}) ROWS WITH TIES"
        elif query.limit is not None:
            text += layout.clause(" LIMIT ") + self.text(query.limit)
        for strength, wait, entries in query.locking:
            for rte in entries:
                text += layout.clause(f" FOR {strength.upper()}")
                text += f" OF {quote_identifier(self.levels[0].names[rte])}"
                text += {"nowait": " NOWAIT", "skip": " SKIP LOCKED"}.get(wait, "")
        return text

    # --- WITH -------------------------------------------------------------------------------------------------------

    def with_clause(self, query: Query) -> str:
        """WITH and its items, up to the query's own keyword."""
        if not query.ctes:
            return ""
        layout = self.layout
        text = ""
        if layout.lines:
            layout.level += STANDARD
            text = " "
        text += "WITH RECURSIVE " if any(item.recursive for item in query.ctes) else "WITH "
        text += ", ".join(self._item(item) for item in query.ctes)
        if not layout.lines:
            return text + " "
        layout.level -= STANDARD
        return text + layout.keyword("")

    def _item(self, item: CommonTable) -> str:
        layout, written = self.layout, item.written
        text = quote_identifier(item.name)
        given = [] if written is None else [each.sval for each in written.node.aliascolnames or ()]
        if given:
            text += f"({', '.join(map(quote_identifier, given))})"
        text += " AS "
        if item.materialized is not None and item.query.command == "select":
            text += "MATERIALIZED " if item.materialized else "NOT MATERIALIZED "
        text += "(" + layout.keyword("")
        query = item.query
        if written is not None and written.terms is not None and query.set_op is not None:
            # Without what SEARCH and CYCLE add to it.
            query = Query("select", ctes=query.ctes, set_op=(*query.set_op[:2], *written.terms))
        # The sides of a set operation have kept their own.
        names = () if written is None or query.set_op is not None else written.names
        text += self.query(query, names) + layout.keyword("") + ")"
        return text + self._search_and_cycle(item)

    def _search_and_cycle(self, item: CommonTable) -> str:
        if item.written is None:
            return ""
        search, cycle = item.written.node.search_clause, item.written.node.cycle_clause
        text = ""
        if search is not None:
            text += f" SEARCH {'BREADTH' if search.search_breadth_first else 'DEPTH'} FIRST BY "
            text += ", ".join(quote_identifier(each.sval) for each in search.search_col_list)
            text += f" SET {quote_identifier(search.search_seq_column)}"
        if cycle is not None:
            text += f" CYCLE {', '.join(quote_identifier(each.sval) for each in cycle.cycle_col_list)}"
            text += f" SET {quote_identifier(cycle.cycle_mark_column)}"
            mark, unmarked = item.written.mark, item.written.unmarked
            usual = (
                isinstance(mark, Const)
                and isinstance(unmarked, Const)
                and (mark.value, unmarked.value)
                == (
                    True,
                    False,
                )
            )
            if mark is not None and unmarked is not None and not usual:
                text += f" TO {self.text(mark)} DEFAULT {self.text(unmarked)}"
            text += f" USING {quote_identifier(cycle.cycle_path_column)}"
        return text

    # --- set operations ---------------------------------------------------------------------------------------------

    def _set_operation(self, query: Query, names: Sequence[str], visible: bool) -> str:
        """The arms in order: there may be thousands, each around all before it."""
        layout, levels = self.layout, self.levels
        parts: list[str] = []
        waiting: list[tuple[tuple[Level, ...], Query, bool]] = []
        inner: Query | None = query
        while inner is not None and inner.set_op is not None:
            kind, keep_all, left, _ = inner.set_op
            nested = left if left.set_op is not None and _is_bare(left) else None
            below = _written(left)
            around = below.set_op is not None and _is_bare(below) and below.set_op[:2] != (kind, keep_all)
            if around:
                parts.append("(" + layout.keyword("", STANDARD))
            waiting.append((self.levels, inner, around))
            if nested is None:
                parts.append(self._side(left, names, visible))
            else:
                self.levels = (self._level(nested), *self.levels)
            inner = nested
        while waiting:
            self.levels, inner, around = waiting.pop()
            parts.append(self._right_arm(inner, names, around))
        self.levels = levels
        return "".join(parts)

    def _right_arm(self, query: Query, names: Sequence[str], around: bool) -> str:
        """From the left side's end on; ``around``: it is in parentheses."""
        layout = self.layout
        if query.set_op is None:
            raise InvariantViolation("no set operation")
        kind, keep_all, _, right = query.set_op
        text = layout.keyword(") ", -STANDARD) if around else layout.keyword("")
        text += "" if layout.lines or around else " "
        text += kind.upper() + " " + ("ALL " if keep_all else "")
        below = _written(right)
        around = below.set_op is not None and _is_bare(below)
        text += "(" if around else ""
        text += layout.keyword("", STANDARD if around else 0)
        text += self._side(right, names, False)
        if around:
            layout.level -= STANDARD if layout.lines else 0
            text += layout.keyword(")")
        return text

    def _side(self, query: Query, names: Sequence[str], visible: bool) -> str:
        """A side of a set operation."""
        inner = _inside(query)
        if inner is not None:
            with self.opened(query):
                return self._side(inner, names, visible)
        if query.set_op is not None and _is_bare(query):
            levels = self.levels
            self.levels = (self._level(query), *levels)
            text = self._set_operation(query, names, visible)
            self.levels = levels
            return text
        text = self.query(query, names, visible=visible)
        return text if _is_bare(query) else f"({text})"

    # --- a plain SELECT ---------------------------------------------------------------------------------------------

    def _plain(self, query: Query, names: Sequence[str], visible: bool) -> str:
        layout = self.layout
        text = ""
        if layout.lines:
            layout.level += STANDARD
            text = " "
        rows = _values_alone(query, names)
        if rows is not None:
            return text + self.values(rows)
        text += "SELECT"
        if query.distinct_on:
            keys = ", ".join(self._output_key(query, at, names) for at in query.distinct_on)
            text += f" DISTINCT ON ({keys})"
        elif query.distinct:
            text += " DISTINCT"
        text += self.targets(query.targets, names, visible, text)
        text += self.from_clause(query, before=text)
        if query.where is not None:
            text += layout.clause(" WHERE ", 1) + self.text(query.where)
        if query.group_by or query.grouping_sets is not None:
            text += layout.clause(" GROUP BY ", 1) + ("DISTINCT " if query.group_distinct else "")
            if query.grouping_sets is None:
                text += ", ".join(self.sort_key(query.targets[at].expression) for at in query.group_by)
            else:
                text += ", ".join(self._grouping(query, each, True) for each in query.groupings)
        if query.having is not None:
            text += layout.clause(" HAVING ") + self.text(query.having)
        named = [window for window in query.windows if window.name]
        if named:
            text += layout.clause(" WINDOW ", 1)
            text += ", ".join(f"{quote_identifier(each.name)} AS {self._window(query, each)}" for each in named)
        return text

    def targets(self, targets: Iterable[Target], names: Sequence[str], visible: bool, before: str = "") -> str:
        """A select list or RETURNING, with a space before it; ``before`` is the text up to there."""
        text, several, count = "", False, 0
        for target in targets:
            if target.junk:
                continue
            text += ", " if count else " "
            expr = target.expression if target.written is None else target.written
            written, label = self._target(expr, visible)
            name = names[count] if count < len(names) else target.name
            if name != label:
                written += f" AS {quote_identifier(name)}"
            if written.startswith(BREAK):
                text = text.rstrip(" ")
            elif count:
                text += self.layout.wrapped(before + text, written, ITEM, always=several)
            count += 1
            several = BREAK in written[1:]
            text += written
        return text

    def _target(self, expr: Expr, visible: bool) -> tuple[str, str | None]:
        """An expression of a select list, and the name that it has by itself."""
        joined = self.joined_name(expr)
        if joined is not None:
            return joined
        if isinstance(expr, Var):
            text, name = self.column(expr)
            return (text, name) if expr.attno else (f"{text}::{self.type(expr.type)}", None)
        return self.text(expr, True), None if visible else _LIKE_A_NUMBER

    def _order(self, query: Query, keys: Iterable[SortKey[int]], names: Sequence[str]) -> str:
        texts = []
        for key in keys:
            by_number = query.set_op is not None
            text = str(key.expression + 1) if by_number else self._output_key(query, key.expression, names)
            texts.append(text + direction(key))
        return ", ".join(texts)

    def _output_key(self, query: Query, at: int, names: Sequence[str]) -> str:
        """A key of ORDER BY or DISTINCT ON, where a bare name means the column of the result that is called so."""
        expr = query.targets[at].expression
        found = self.joined_name(expr)
        if found is not None and is_bare(found):
            visible = [target for target in query.targets if not target.junk]
            for place, target in enumerate(visible):
                name = names[place] if place < len(names) else target.name
                if name == found[1] and target.expression != expr:
                    return Deparser.text(self, expr, True)
        return self.sort_key(expr)

    def _grouping(self, query: Query, item: Grouping, omit_parentheses: bool) -> str:
        if item.kind == "empty":
            return "()"
        if item.kind == "simple":
            keys = ", ".join(self.sort_key(query.targets[at].expression) for at in item.targets)
            return keys if omit_parentheses and len(item.targets) == 1 else f"({keys})"
        parts = [self._grouping(query, each, item.kind != "sets") for each in item.content]
        return f"{_GROUPINGS[item.kind]}({', '.join(parts)})"

    # --- windows ----------------------------------------------------------------------------------------------------

    def _window(self, query: Query, window: Window) -> str:
        node = window.written
        base = node.refname if node is not None and node.refname else ""
        parts = [quote_identifier(base)] if base else []
        if window.partition and not base:
            keys = ", ".join(self.sort_key(query.targets[key.expression].expression) for key in window.partition)
            parts.append(f"PARTITION BY {keys}")
        if window.order and (node is None or node.orderClause):
            keys = ", ".join(
                self.sort_key(query.targets[key.expression].expression) + direction(key) for key in window.order
            )
            parts.append(f"ORDER BY {keys}")
        options = int(node.frameOptions or 0) if node is not None else 0
        if options & _NONDEFAULT:
            parts.append(self._frame(window, bool(options & _BETWEEN)))
        return f"({' '.join(parts)})"

    def _frame(self, window: Window, between: bool) -> str:
        frame = window.frame

        def bound(kind: str, offset: Expr | None) -> str:
            return kind.upper() if offset is None else f"{self.text(offset)} {kind.upper()}"

        text = bound(frame.start, window.start)
        if between:
            text = f"BETWEEN {text} AND {bound(frame.end, window.end)}"
        return f"{frame.mode.upper()} {text}" + (f" EXCLUDE {frame.exclude.upper()}" if frame.exclude else "")

    def window_call(self, node: WindowCall, _: bool) -> str:
        """A function with OVER."""
        query = self.levels[0].query
        name = self.function_name(self.catalog.function(node.function))
        arguments = "*" if node.star else self.list(node.arguments)
        condition = "" if node.filter is None else f" FILTER (WHERE {self.text(node.filter)})"
        window = query.windows[node.window]
        over = quote_identifier(window.name) if window.name else self._window(query, window)
        return f"{name}({arguments}){condition} OVER {over}"

    # --- sub-selects ------------------------------------------------------------------------------------------------

    def sub_link(self, node: SubLink, _: bool) -> str:
        """A sub-select in an expression."""
        if node.kind == "ARRAY":
            return f"ARRAY({self.query(node.query, visible=False)})"
        if node.kind == "EXISTS":
            return f"(EXISTS ({self.query(node.query, visible=False)}))"
        if node.test is not None:
            left, operator = self._compared(node.test)
            word = f"{operator} {node.kind}"
            if (operator, node.kind) == ("=", "ANY"):
                word = "IN"
            return f"({left} {word} ({self.query(node.query, visible=False)}))"
        entry = node.query.range_table[0] if node.query.made else None
        if entry is not None and entry.query is not None:
            with self.opened(node.query):
                left, operator = self._compared(node.query.targets[0].expression)
                return f"({left} {operator} ({self.query(entry.query, visible=False)}))"
        return f"({self.query(node.query, visible=False)})"

    def _compared(self, test: Expr) -> tuple[str, str]:
        """What stands on the left of the comparison with a sub-select's row, and the operator's name."""
        if isinstance(test, Call):
            return self.text(test.arguments[0], True), self.operator_name(test.operator)
        if isinstance(test, (And, Or)):
            calls = [each for each in test.arguments if isinstance(each, Call)]
            left = ", ".join(self.text(each.arguments[0], True) for each in calls)
            return f"({left})", self.operator_name(calls[0].operator)
        if isinstance(test, RowCompare):
            return f"({self.list(test.left)})", test.kind
        raise InvariantViolation(f"a sub-select is compared by {type(test).__name__}")

    def text(self, node: Expr, show_implicit: bool = False) -> str:
        handler = _HANDLERS.get(type(node))
        return super().text(node, show_implicit) if handler is None else handler(self, node, show_implicit)


_HANDLERS: dict[type, Callable[[QueryDeparser, Any, bool], str]] = {
    SubLink: QueryDeparser.sub_link,
    WindowCall: QueryDeparser.window_call,
}


class PrettyQueryDeparser(QueryDeparser, PrettyDeparser):
    """The same with only the parentheses that are needed."""


class RoutineDeparser(QueryDeparser):
    """A statement of an SQL-standard body: arguments have names, with the function's where there are columns."""

    routine: tuple[str, tuple[str, ...]] = ("", ())

    def param(self, node: Param, _: bool) -> str:
        function, names = self.routine
        found = names[node.number - 1] if node.number <= len(names) else ""
        if not found:
            return f"${node.number}"
        prefix = f"{quote_identifier(function)}." if any(level.names for level in self.levels) else ""
        return prefix + quote_identifier(found)


def _inside(query: Query) -> Query | None:
    """Of a query that analysis has put around another one, to convert its columns: that one."""
    return query.range_table[0].query if query.made else None


def _written(query: Query) -> Query:
    """The query as it was written."""
    inner: Query | None = query
    while inner is not None:
        query, inner = inner, _inside(inner)
    return query


def _is_bare(query: Query) -> bool:
    """Whether it may be a side of a set operation without parentheses."""
    return not (query.ctes or query.order_by or query.locking or query.limit is not None or query.offset is not None)


def _values_alone(query: Query, names: Sequence[str]) -> RangeEntry | None:
    """The VALUES that the query is nothing more than."""
    entries = query.range_table
    if len(entries) != 1 or entries[0].kind != "values" or query.where is not None:
        return None
    targets = [(target.expression, target.name) for target in query.targets]
    shown = [names[at] if at < len(names) else name for at, (_, name) in enumerate(targets)]
    columns = [expr.attno if isinstance(expr, Var) and not expr.levels_up else 0 for expr, _ in targets]
    plain = columns == list(range(1, len(entries[0].column_names) + 1)) and tuple(shown) == entries[0].column_names
    return entries[0] if plain else None


def leaf(node: Expr) -> str:
    """What no query has."""
    raise InvariantViolation(f"{type(node).__name__} in a query's text")


def deparse_query(
    query: Query,
    catalog: CatalogView,
    env: TypeEnv = DEFAULT_ENV,
    *,
    names: Sequence[str] = (),
    pretty: bool = False,
    wrap: int = 0,
) -> str:
    """A view's query, as its definition shows it; ``names`` of its columns, ``wrap``: how long its lines may be."""
    kind = PrettyQueryDeparser if pretty else QueryDeparser
    deparser = kind(catalog, leaf, env, Layout(True, wrap))
    deparser.reserved = _OF_RULES
    return finished(deparser.query(query, names))


def deparse_statement(
    query: Query, catalog: CatalogView, env: TypeEnv, function: str, arguments: tuple[str, ...], *, lines: bool
) -> str:
    """A SELECT of an SQL-standard body: laid out as one of BEGIN ATOMIC, or on one line as RETURN."""
    deparser = RoutineDeparser(catalog, leaf, env, Layout(lines))
    deparser.routine = function, arguments
    deparser.layout.level = 1
    if lines:
        return finished(deparser.query(query, visible=False))
    with deparser.opened(query):
        return "RETURN " + deparser.text(query.targets[0].expression, True)


def _for_keeping(catalog: CatalogView) -> QueryDeparser:
    """``catalog`` has pg_catalog alone on its path, so that all names are whole, and entries have no other names than
    they need."""
    deparser = QueryDeparser(catalog, leaf)
    deparser.outer = OuterReferences()
    return deparser


def kept_query(query: Query, catalog: CatalogView) -> str:
    """A query as the catalog keeps it; arguments of a function are numbers."""
    return _for_keeping(catalog).query(query)


def _over(node: Expr, relation: RelationDesc) -> Query:
    """A query that selects one expression over a relation's columns."""
    entry = RangeEntry(
        "relation",
        relation.name,
        tuple("" if column.dropped else column.name for column in relation.columns),
        tuple(column.type for column in relation.columns),
        tuple(column.typmod for column in relation.columns),
        relation=relation,
    )
    return Query("select", range_table=[entry], from_items=[FromItem(0)], targets=[Target(node, "")])


def kept_condition(node: Expr, catalog: CatalogView, relation: RelationDesc) -> str:
    """An expression over a relation's columns that has sub-selects, as the catalog keeps it."""
    deparser = _for_keeping(catalog)
    with deparser.opened(_over(node, relation)):
        return finished(deparser.text(node))


def deparse_condition(node: Expr, catalog: CatalogView, relation: RelationDesc, env: TypeEnv, pretty: bool) -> str:
    """The same as pg_get_expr shows it."""
    kind = PrettyQueryDeparser if pretty else QueryDeparser
    deparser = kind(catalog, leaf, env, Layout(True))
    deparser.of_condition = True
    with deparser.opened(_over(node, relation)):
        return finished(deparser.text(node))


def kept_result(query: Query, catalog: CatalogView) -> str:
    """The only column of a query that has nothing else, in the same way."""
    deparser = _for_keeping(catalog)
    with deparser.opened(query):
        return deparser.text(query.targets[0].expression, True)
