"""Names of range entries and of their columns in the text of a query: the aliases that the query gives, those that it
needs to tell equal names apart, and nothing of what its tables were called when it was analyzed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence

from pglast import ast

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.context import shift_levels
from compute_node.sql.analyze.names import SYSTEM_COLUMNS, SYSTEM_NAMES
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import Deparser, quote_identifier
from compute_node.sql.expressions import Expr, SubLink, Var, walk
from compute_node.sql.query import FromItem, JoinItem, Query, RangeEntry
from compute_node.sql.rewrite import nested_queries, own_expressions
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


def _place(column: Expr) -> Expr | tuple[int, int]:
    """What tells a join's column from others."""
    return (column.rte, column.attno) if isinstance(column, Var) else column


class UsingNames:
    """What USING asks of the names of columns, for each range entry: those that must be ``kept``, and what no other
    column of it may be called (``avoided``)."""

    def __init__(self, query: Query, bare: bool) -> None:
        self._query = query
        self.kept: list[dict[int, str]] = [{} for _ in query.range_table]
        self.avoided: list[set[str]] = [set() for _ in query.range_table]
        everywhere = set(_bare_names(query, query.from_items)) if bare else set()
        for item in query.from_items:
            self._visit(item, {}, everywhere, everywhere)

    def _visit(
        self, item: FromItem | JoinItem, kept: dict[Expr | tuple[int, int], str], avoided: set[str], top: set[str]
    ) -> None:
        entry = self._query.range_table[item.rte]
        if isinstance(item, FromItem):
            places: Iterable[Expr | tuple[int, int]] = ((item.rte, at) for at in range(1, len(entry.column_names) + 1))
        else:
            places = map(_place, entry.join_aliases)
        if isinstance(item, FromItem) or entry.written is not None:
            self.kept[item.rte] = {at: kept[place] for at, place in enumerate(places, 1) if place in kept}
            self.avoided[item.rte] = avoided
        if isinstance(item, FromItem):
            return
        if entry.written is not None:
            kept, avoided = {}, top
        kept = kept | {_place(side): name for name, _, *pair in item.using for side in pair}
        avoided = avoided | {name for name, *_ in item.using}
        self._visit(item.left, kept, avoided, top)
        self._visit(item.right, kept, avoided, top)


def _bare_names(query: Query, items: Iterable[FromItem | JoinItem]) -> list[str]:
    """The names that USING gives to columns, if some of those can only be called by them."""
    joins = list(items)
    found: list[str] = []
    needed = False
    for item in joins:
        if isinstance(item, JoinItem):
            joins += [item.left, item.right]
            found += [name for name, *_ in item.using]
            if query.range_table[item.rte].written is None:
                needed |= not all(isinstance(merged, Var) for _, merged, *_ in item.using)
    return found if needed else []


class Level:
    """The names of one query level: of each range entry, and of its columns (empty for dropped ones).

    ``listed``: which entries need a list of column names. ``bare``: the text is for people: columns that a join has
    merged go by their bare names where nothing else is called so. A text that is kept does without, for any table may
    get a column of that name.
    """

    def __init__(
        self, catalog: CatalogView, query: Query, taken: frozenset[str], outer: Level | None, bare: bool = True
    ) -> None:
        self.query = query
        self._bare = bare
        self.height: int = 0 if outer is None else outer.height + 1
        self.joined: tuple[Level, ...] = () if outer is None else outer.joined
        """the levels that have joins, from this one outwards: of thousands few may"""
        if any(isinstance(item, JoinItem) for item in query.from_items):
            self.joined = (self, *self.joined)
        self.ctes: frozenset[str] = frozenset() if outer is None else outer.ctes
        """the names of WITH items, those of outer levels too"""
        if query.ctes:
            self.ctes |= {cte.name for cte in query.ctes}
        self.names: list[str] = []
        own: set[str] = set()
        counters: dict[str, int] = {}
        for entry in query.range_table:
            # Nothing calls the sides of a set operation by a name.
            name = wanted = "" if query.set_op is not None else _entry_name(catalog, entry)
            while name and (name in taken or name in own):
                counters[wanted] = counters.get(wanted, 0) + 1
                name = f"{wanted}_{counters[wanted]}"
            own.add(name)
            self.names.append(name)
        self.taken = taken if own <= taken else taken | own
        """what no entry of a level within is called"""
        using = UsingNames(query, bare)
        self.columns: list[tuple[str, ...]] = []
        self.listed: list[bool] = []
        for entry, kept, avoided in zip(query.range_table, using.kept, using.avoided, strict=True):
            columns, listed = _columns(catalog, entry, kept, avoided)
            self.columns.append(columns)
            self.listed.append(listed)
        self.around: dict[int, list[str]] = {}
        """the aliases of the joins around an entry"""
        self._of_joins: dict[int, list[tuple[str, Expr | tuple[int, int]]]] = {}
        self.seen: Counter[str] = Counter()
        """how many columns a bare name may mean"""
        for item in query.from_items:
            self.seen.update(name for name, _ in self._visible(item, []))
        self.show(self.join_names(query.from_items))

    def show(self, written: dict[Expr, tuple[str, str]]) -> None:
        """From here on ``written`` are the expressions that a name stands for (its text and the bare name): columns of
        joins with an alias, and merged ones that are no column of either side."""
        self.written = written
        self._shifted: dict[int, dict[Expr, tuple[str, str]]] = {}

    def _visible(self, item: FromItem | JoinItem, aliases: list[str]) -> list[tuple[str, Expr | tuple[int, int]]]:
        """The columns that an item offers to bare names. A join with an alias names all that there are now: a table
        within may have got more."""
        if isinstance(item, FromItem):
            self.around[item.rte] = aliases
            return [(name, (item.rte, at)) for at, name in enumerate(self.columns[item.rte], 1) if name]
        entry = self.query.range_table[item.rte]
        if entry.written is not None:
            aliases = [*aliases, self.names[item.rte]]
        inner = [*self._visible(item.left, aliases), *self._visible(item.right, aliases)]
        sides = {_place(side) for _, _, *pair in item.using for side in pair}
        found = [(name, _place(merged)) for name, merged, *_ in item.using]
        found += [(name, place) for name, place in inner if place not in sides]
        if entry.written is None:
            return found
        known = dict(zip(map(_place, entry.join_aliases), self.columns[item.rte], strict=True))
        names: list[str] = []
        for name, place in found:
            names.append(known.get(place) or _unique(name, {*names, *known.values()}))
        self.listed[item.rte] |= tuple(names) != tuple(name for name, _ in found)
        self.columns[item.rte] = tuple(names)
        self._of_joins[item.rte] = [(name, place) for name, (_, place) in zip(names, found, strict=True)]
        return self._of_joins[item.rte]

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
                names = {place: name for name, place in self._of_joins[item.rte]}
                for expr in entry.join_aliases:
                    name = names.get(_place(expr))
                    if name is None:
                        # The column is not there any more.
                        continue
                    found[expr] = f"{prefix}.{quote_identifier(name)}", name
            elif self._bare:
                found |= {
                    merged: (quote_identifier(name), name)
                    for name, merged, *_ in item.using
                    if not isinstance(merged, Var) and self.seen[name] == 1 and name not in SYSTEM_COLUMNS
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


def _own_references(query: Query) -> tuple[set[tuple[int, int]], list[Query]]:
    """The entries of outer levels that a query names itself, and the queries in it."""
    found: set[tuple[int, int]] = set()
    inner = nested_queries(query, False)
    for expression in own_expressions(query):
        for node in walk(expression):
            if isinstance(node, Var) and node.levels_up:
                found.add((node.levels_up, node.rte))
            elif isinstance(node, SubLink):
                inner.append(node.query)
    return found, inner


class OuterReferences:
    """Which range entries of outer levels a query needs, as (levels up, range entry)."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Query, set[tuple[int, int]], list[Query]]] = {}
        """by the query's id; the query, so that it stays, what it needs itself, and the queries in it"""
        self._known: dict[int, set[tuple[int, int]]] = {}

    def of(self, query: Query) -> set[tuple[int, int]]:
        """Those of one query, and of what is in it."""
        waiting = [query]
        while waiting:
            each = waiting[-1]
            if id(each) not in self._seen:
                self._seen[id(each)] = each, *_own_references(each)
            _, own, inner = self._seen[id(each)]
            unknown = [nested for nested in inner if id(nested) not in self._known]
            if unknown:
                waiting += unknown
                continue
            found = own.union(*({(up - 1, rte) for up, rte in self._known[id(nested)] if up > 1} for nested in inner))
            self._known[id(each)] = found
            waiting.pop()
        return self._known[id(query)]

    def names(self, query: Query, outer: Sequence[Level]) -> frozenset[str]:
        """What the entries are called that it needs of ``outer`` levels."""
        found: set[str] = set()
        for up, rte in self.of(query):
            level = outer[up - 1]
            found |= {level.names[rte], *level.around.get(rte, ())}
        return frozenset(found)


def _entry_name(catalog: CatalogView, entry: RangeEntry) -> str:
    if alias_of(entry) is not None:
        return entry.alias
    relation = relation_of(catalog, entry)
    if relation is not None:
        return relation.name
    return "" if entry.kind == "join" else entry.alias


def _unique(name: str, taken: Container[str]) -> str:
    unique, counter = name, 0
    while unique in taken:
        counter += 1
        unique = f"{name}_{counter}"
    return unique


def _columns(
    catalog: CatalogView, entry: RangeEntry, kept: dict[int, str], avoided: set[str]
) -> tuple[tuple[str, ...], bool]:
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
        chosen = entry.column_names[place] if is_alias else name
        live += 1
        names.append(kept.get(place + 1) or _unique(chosen, {*names, *kept.values(), *avoided}))
    changed = tuple(names) != real
    if relation is not None:
        return tuple(names), changed
    if entry.kind == "function":
        return tuple(names), getattr(entry.function, "function", 0) != XMLTABLE
    return tuple(names), changed or given > 0


def is_bare(found: tuple[str, str]) -> bool:
    """Whether a name of a join's column is not qualified."""
    return found[0] == quote_identifier(found[1])


class NamedDeparser(Deparser):
    """Writes columns by the names of their levels, the innermost first."""

    levels: tuple[Level, ...] = ()
    of_condition = False
    """the outermost level is the table whose columns a condition names: nobody else can be meant"""

    def text(self, node: Expr, show_implicit: bool = False) -> str:
        found = self.joined_name(node)
        if found is not None:
            return found[0]
        return self.column(node)[0] if isinstance(node, Var) else super().text(node, show_implicit)

    def joined_name(self, node: Expr) -> tuple[str, str] | None:
        """The name of a join's column: its text and the bare name."""
        if not self.levels:
            return None
        innermost = self.levels[0]
        for level in innermost.joined:
            depth = innermost.height - level.height
            found = level.name_of(node, depth)
            if found is not None and not (
                is_bare(found) and any(inner.seen[found[1]] for inner in self.levels[:depth])
            ):
                return found
        return None

    def sort_key(self, node: Expr) -> str:
        found = self.joined_name(node)
        return super().sort_key(node) if found is None else found[0]

    def column(self, node: Var) -> tuple[str, str]:
        """A column's text, and the name that a select list gives it."""
        level = self.levels[node.levels_up]
        prefix = quote_identifier(level.names[node.rte])
        if not node.attno:
            return f"{prefix}.*", ""
        name = SYSTEM_NAMES[node.attno] if node.attno < 0 else level.columns[node.rte][node.attno - 1]
        is_bare_name = self.of_condition and len(self.levels) == 1
        return quote_identifier(name) if is_bare_name else f"{prefix}.{quote_identifier(name)}", name
