"""INSERT, UPDATE, DELETE and rules as text, laid out as ``pg_get_ruledef`` shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from pglast.enums import OverridingKind

from aurora.errors import InvariantViolation
from compute_node.relations.descriptors import RelationDesc, RuleDesc
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.analyze.rules import meeting_level, names_original
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import quote_identifier, quote_literal
from compute_node.sql.deparse.layout import STANDARD, Layout, finished
from compute_node.sql.deparse.names import OuterReferences, alias_of
from compute_node.sql.deparse.pretty import PrettyDeparser
from compute_node.sql.deparse.queries import QueryDeparser, leaf
from compute_node.sql.expressions import CoerceToDomain, ElementStore, Expr, FieldStore, SetDefault, Var
from compute_node.sql.query import OnConflict, Query, RangeEntry, own_values
from compute_node.types.registry import TypeEnv

_EVENTS = {"1": "SELECT", "2": "UPDATE", "3": "INSERT", "4": "DELETE"}


class ChangeDeparser(QueryDeparser):
    """Text of a query of any kind."""

    beside: Collection[int] = ()
    """ids of the range entries of functions that name OLD or NEW of their own level, as PostgreSQL has it"""

    bare_columns = False
    """no column is qualified: there is one table"""

    def column(self, node: Var) -> tuple[str, str]:
        """See ``NamedDeparser``."""
        text, name = super().column(node)
        return (quote_identifier(name), name) if self.bare_columns else (text, name)

    def is_lateral(self, entry: RangeEntry) -> bool:
        """See ``FromDeparser``."""
        return id(entry) in self.beside or super().is_lateral(entry)

    def select(self, query: Query, names: Sequence[str], visible: bool) -> str:
        """The query, whose level is the innermost."""
        if query.notifies is not None:
            return self._notify(*query.notifies)
        if query.command == "select":
            return super().select(query, names, visible)
        text = self.with_clause(query)
        if self.layout.lines:
            self.layout.level += STANDARD
            text += " "
        text += {"insert": self._insert, "update": self._update, "delete": self._delete}[query.command](query)
        if query.returning:
            text += self.layout.clause(" RETURNING", 1) + self.targets(query.returning, (), True)
        return text

    def _notify(self, channel: str, message: str) -> str:
        text = self.layout.keyword("", 0, STANDARD, 1) + f"NOTIFY {quote_identifier(channel)}"
        return text + (f", {quote_literal(message)}" if message else "")

    def _changed(self, query: Query, keyword: str = "") -> str:
        """What is changed, and its alias."""
        entry = query.range_table[query.result_rte]
        relation = None if query.target is None else self.catalog.relation(query.target.oid)
        if relation is None:
            raise InvariantViolation("a change without a target")
        found = self.catalog.find_relation(None, relation.name)
        name = quote_identifier(relation.name)
        if found is None or found.oid != relation.oid:
            name = f"{quote_identifier(relation.schema)}.{name}"
        if query.command != "insert" and not entry.descends:
            name = "ONLY " + name
        shown = self.levels[0].names[query.result_rte]
        if alias_of(entry) is None and shown == relation.name:
            return name
        return f"{name} {keyword}{quote_identifier(shown)}"

    def _column(self, query: Query, attno: int) -> str:
        relation = None if query.target is None else self.catalog.relation(query.target.oid)
        if relation is None:
            raise InvariantViolation("a change without a target")
        return quote_identifier(relation.columns[attno - 1].name)

    def _insert(self, query: Query) -> str:
        text = f"INSERT INTO {self._changed(query, 'AS ')} "
        source = query.source
        if source is None:
            raise InvariantViolation("an INSERT without a source")
        if query.inserted:
            with self._in_source(source):
                rows = self._given(query, source)
            text += f"({', '.join(target for target, _ in rows[0])}) "
        if query.overriding != OverridingKind.OVERRIDING_NOT_SET:
            text += f"{query.overriding.name.replace('_', ' ')} "
        with self._in_source(source):
            text += self._rows(query, source)
        if query.on_conflict is not None:
            text += self._conflict(query, query.on_conflict)
        return text

    @contextmanager
    def _in_source(self, source: Query) -> Iterator[None]:
        """The level of an INSERT's rows: its target is nothing that they can name."""
        level = self.levels[0]
        level.taken = self.levels[1].taken if len(self.levels) > 1 else frozenset()
        with self.opened(source):
            yield

    def _given(self, query: Query, source: Query) -> list[list[tuple[str, Expr]]]:
        """For each row of an INSERT, what it gives the columns and their parts."""
        entry = own_values(source)
        rows = [[target.expression for target in source.targets]] if entry is None else entry.values
        names = {attno: self._column(query, attno) for attno in query.inserted}
        return [[part for attno, name in names.items() for part in self._parts(name, row[attno - 1])] for row in rows]

    def _rows(self, query: Query, source: Query) -> str:
        entry = source.range_table[0] if source.range_table else None
        if not query.inserted:
            return "DEFAULT VALUES"
        if entry is not None and entry.query is not None:
            return self.query(entry.query, visible=self.is_read_again)
        rows = [", ".join(self.text(value) for _, value in row) for row in self._given(query, source)]
        if len(rows) > 1:
            return "VALUES " + ", ".join(f"({row})" for row in rows)
        return f"{self.layout.clause('VALUES (', 2)}{rows[0]})"

    def _conflict(self, query: Query, conflict: OnConflict) -> str:
        text = " ON CONFLICT"
        inference = conflict.inference
        if inference is not None:
            items = [self._column(query, attno) for attno in sorted(inference.attnos)]
            self.bare_columns = True
            items += [f"({self.text(each)})" for each in inference.expressions]
            text += f"({', '.join(items)})"
            if inference.where is not None:
                text += self.layout.clause(" WHERE ", 1) + self.text(inference.where)
            self.bare_columns = False
        elif conflict.arbiters and query.target is not None:
            name = next(index.name for index in query.target.indexes if index.oid == conflict.arbiters[0])
            text += f" ON CONSTRAINT {quote_identifier(name)}"
        if conflict.action == "nothing":
            return text + " DO NOTHING"
        text += " DO UPDATE SET " + self._assigned(query, conflict.assignments)
        if conflict.where is not None:
            text += self.layout.clause(" WHERE ", 1) + self.text(conflict.where)
        return text

    def _assigned(self, query: Query, assignments: Sequence[tuple[int, Expr]]) -> str:
        found = [part for attno, value in assignments for part in self._parts(self._column(query, attno), value)]
        return ", ".join(f"{target} = {self.text(value)}" for target, value in found)

    def _parts(self, target: str, value: Expr) -> Iterator[tuple[str, Expr]]:
        """What a statement gives a column: a value, or values of parts of it."""
        inner = value.argument if isinstance(value, CoerceToDomain) else value
        if isinstance(inner, ElementStore):
            if isinstance(inner.container, (ElementStore, FieldStore, CoerceToDomain)):
                yield from self._parts(target, inner.container)
            if inner.slices is None:
                place = "".join(f"[{self.text(each)}]" for each in inner.indexes if each is not None)
            else:
                place = "".join(f"[{self._bound(low)}:{self._bound(high)}]" for low, high in inner.slices)
            yield from self._parts(target + place, inner.value)
        elif isinstance(inner, FieldStore):
            if isinstance(inner.argument, (ElementStore, FieldStore, CoerceToDomain)):
                yield from self._parts(target, inner.argument)
            fields = self.catalog.type(inner.type).root.fields
            for index, each in zip(inner.indexes, inner.values, strict=True):
                yield from self._parts(f"{target}.{quote_identifier(fields[index].name)}", each)
        else:
            yield target, value

    def _bound(self, bound: Expr | None) -> str:
        return "" if bound is None else self.text(bound)

    def _update(self, query: Query) -> str:
        text = f"UPDATE {self._changed(query)} SET {self._assigned(query, query.assignments)}"
        return text + self._rest(query, " FROM ")

    def _delete(self, query: Query) -> str:
        return f"DELETE FROM {self._changed(query)}" + self._rest(query, " USING ")

    def _rest(self, query: Query, keyword: str) -> str:
        beside = Query("select", range_table=query.range_table, from_items=query.from_items[1:])
        text = self.from_clause(beside, keyword) if beside.from_items else ""
        if query.where is not None:
            text += self.layout.clause(" WHERE ", 1) + self.text(query.where)
        return text

    def text(self, node: Expr, show_implicit: bool = False) -> str:
        """An expression."""
        return "DEFAULT" if isinstance(node, SetDefault) else super().text(node, show_implicit)


class PrettyChangeDeparser(ChangeDeparser, PrettyDeparser):
    """The same with only the parentheses that are needed."""


def kept_action(around: Query, action: Query, catalog: CatalogView) -> str:
    """An action of a rule as the catalog keeps it; ``around`` is the level of OLD and NEW."""
    deparser = ChangeDeparser(catalog, leaf)
    deparser.outer = OuterReferences()
    with deparser.opened(around):
        return deparser.query(action)


def kept_qualification(around: Query, condition: Expr, catalog: CatalogView) -> str:
    """The condition of a rule in the same way."""
    deparser = ChangeDeparser(catalog, leaf)
    deparser.outer = OuterReferences()
    with deparser.opened(around):
        return deparser.text(condition)


def deparse_rule(
    rule: RuleDesc,
    relation: RelationDesc,
    name: str,
    around: Query,
    condition: Expr | None,
    actions: Sequence[Query],
    catalog: CatalogView,
    env: TypeEnv = DEFAULT_ENV,
    *,
    pretty: bool = False,
) -> str:
    """The statement that makes a rule; ``name`` is the relation's."""
    kind = PrettyChangeDeparser if pretty else ChangeDeparser
    deparser = kind(catalog, leaf, env, Layout(True))
    text = f"CREATE RULE {quote_identifier(rule.name)} AS\n    ON {_EVENTS[rule.event]} TO {name}"
    with deparser.opened(around):
        if condition is not None:
            deparser.layout.level = STANDARD
            text += "\n   WHERE " + deparser.text(condition)
        text += " DO " + ("INSTEAD " if rule.instead else "")
        if not actions:
            return text + "NOTHING;"
        written = []
        for action in actions:
            level, up = meeting_level(action)
            deparser.beside = [
                id(entry) for entry in level.range_table if entry.kind == "function" and names_original(entry, up)
            ]
            deparser.layout.level = 0
            written.append(deparser.query(action))
    if len(written) == 1:
        return finished(f"{text}{written[0]};")
    return finished(text + "(" + "".join(f"{each};\n" for each in written) + ");")
