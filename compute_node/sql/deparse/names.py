"""Names of range entries and of their columns in the text of a query: the aliases that the query gives, those that it
needs to tell equal names apart, and nothing of what its tables were called when it was analyzed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pglast import ast

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.context import shift_levels
from compute_node.sql.analyze.names import SYSTEM_NAMES
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import Deparser, quote_identifier
from compute_node.sql.expressions import Expr, Var
from compute_node.sql.query import FromItem, JoinItem, Query, RangeEntry
from compute_node.sql.rewrite import deep_walk, query_expressions
from compute_node.types.xml.table import XMLTABLE


def alias_of(entry: RangeEntry) -> ast.Alias | None:
    """The alias that the query gives an entry. A table's own name before a list of columns is none: it is there for
    the list, and the table may be renamed."""
    written, relation = entry.written, entry.relation
    if written is not None and written.colnames and relation is not None and entry.alias == relation.name:
        return None
    return written


def relation_of(catalog: CatalogView, entry: RangeEntry) -> RelationDesc | None:
    """The table or view of a range entry, as it is now."""
    return None if entry.relation is None else catalog.relation(entry.relation.oid) or entry.relation


class Level:
    """The names of one query level: of each range entry, and of its columns (empty for dropped ones).

    ``listed``: which entries need a list of column names. ``written``: expressions that a name stands for: columns of
    joins with an alias, and merged ones that are no column of either side.
    """

    def __init__(self, catalog: CatalogView, query: Query, taken: Iterable[str]) -> None:
        self.query = query
        taken = set(taken)
        self.names: list[str] = []
        counters: dict[str, int] = {}
        for entry in query.range_table:
            name = wanted = _entry_name(catalog, entry)
            while name and name in taken:
                counters[wanted] = counters.get(wanted, 0) + 1
                name = f"{wanted}_{counters[wanted]}"
            taken.add(name)
            self.names.append(name)
        merged = _merged_names(query.from_items)
        self.columns: list[tuple[str, ...]] = []
        self.listed: list[bool] = []
        for rte, entry in enumerate(query.range_table):
            columns, listed = _columns(catalog, entry, {at: name for (of, at), name in merged.items() if of == rte})
            self.columns.append(columns)
            self.listed.append(listed)
        self.written = self.join_names(query.from_items)
        self._shifted: dict[int, dict[Expr, tuple[str, str]]] = {}

    def join_names(self, items: Iterable[FromItem | JoinItem]) -> dict[Expr, tuple[str, str]]:
        """``written`` for what is around these FROM items."""
        found: dict[Expr, tuple[str, str]] = {}
        for item in items:
            if not isinstance(item, JoinItem):
                continue
            found |= self.join_names((item.left, item.right))
            entry = self.query.range_table[item.rte]
            if entry.written is not None:
                prefix = quote_identifier(self.names[item.rte])
                for expr, name in zip(entry.join_aliases, self.columns[item.rte], strict=True):
                    found[expr] = f"{prefix}.{quote_identifier(name)}", name
            else:
                found |= {
                    expr: (quote_identifier(name), name) for name, expr, *_ in item.using if not isinstance(expr, Var)
                }
        return found

    def name_of(self, node: Expr, depth: int) -> tuple[str, str] | None:
        """What the expression is called, seen from ``depth`` levels further in: its text and the bare name."""
        if not self.written:
            return None
        if not depth:
            return self.written.get(node)
        found = self._shifted.get(depth)
        if found is None:
            found = self._shifted[depth] = {shift_levels(expr, depth): name for expr, name in self.written.items()}
        return found.get(node)


def outer_names(query: Query, outer: Sequence[Level], needed: bool) -> set[str]:
    """The names of outer levels' entries that the query's own must not have: all of them, or only those that are
    ``needed`` in it."""
    if not needed:
        return {name for level in outer for name in level.names}
    found: set[str] = set()
    for expression, depth in query_expressions(query, 0, False):
        for node, inner in deep_walk(expression, depth, False):
            if isinstance(node, Var) and node.levels_up > inner:
                found.add(outer[node.levels_up - inner - 1].names[node.rte])
    return found


def _entry_name(catalog: CatalogView, entry: RangeEntry) -> str:
    if alias_of(entry) is not None:
        return entry.alias
    relation = relation_of(catalog, entry)
    if relation is not None:
        return relation.name
    return "" if entry.kind == "join" else entry.alias


def _merged_names(items: Iterable[FromItem | JoinItem]) -> dict[tuple[int, int], str]:
    """The columns of tables that USING names: they keep that name. Inner joins decide."""
    found: dict[tuple[int, int], str] = {}
    for item in items:
        if isinstance(item, JoinItem):
            found |= {
                (side.rte, side.attno): name
                for name, _, one, other in item.using
                for side in (one, other)
                if isinstance(side, Var)
            }
            found |= _merged_names((item.left, item.right))
    return found


def _columns(catalog: CatalogView, entry: RangeEntry, merged: dict[int, str]) -> tuple[tuple[str, ...], bool]:
    """The names of an entry's columns, and whether they must be listed."""
    relation = relation_of(catalog, entry)
    if relation is not None:
        real = tuple("" if column.dropped else column.name for column in relation.columns)
    else:
        real = entry.column_names
    given = len(entry.written.colnames or ()) if entry.written is not None else 0
    before = entry.column_names if entry.relation is None else tuple(column.name for column in entry.relation.columns)
    names: list[str] = []
    live = 0
    for place, name in enumerate(real):
        if not name and relation is not None:
            names.append("")
            continue
        is_alias = live < given and entry.column_names[place] != before[place]
        chosen = merged.get(place + 1) or (entry.column_names[place] if is_alias else name)
        live += 1
        unique, counter = chosen, 0
        while unique in names:
            counter += 1
            unique = f"{chosen}_{counter}"
        names.append(unique)
    changed = tuple(names) != real
    if relation is not None:
        return tuple(names), changed
    if entry.kind == "function":
        return tuple(names), getattr(entry.function, "function", 0) != XMLTABLE
    return tuple(names), changed or given > 0


class NamedDeparser(Deparser):
    """Writes columns by the names of their levels, the innermost first."""

    levels: tuple[Level, ...] = ()

    def text(self, node: Expr, show_implicit: bool = False) -> str:
        found = self.joined_name(node)
        if found is not None:
            return found[0]
        return self.column(node)[0] if isinstance(node, Var) else super().text(node, show_implicit)

    def joined_name(self, node: Expr) -> tuple[str, str] | None:
        """The name of a join's column: its text and the bare name."""
        for depth, level in enumerate(self.levels):
            found = level.name_of(node, depth)
            if found is not None:
                return found
        return None

    def column(self, node: Var) -> tuple[str, str]:
        """A column's text, and the name that a select list gives it."""
        level = self.levels[node.levels_up]
        prefix = quote_identifier(level.names[node.rte])
        if not node.attno:
            return f"{prefix}.*", ""
        name = SYSTEM_NAMES[node.attno] if node.attno < 0 else level.columns[node.rte][node.attno - 1]
        return f"{prefix}.{quote_identifier(name)}", name
