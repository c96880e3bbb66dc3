"""Queries over the tables: FROM with its joins, conditions with sub-selects, values.

A query's rows are a set, but where ``is_ordered``: then its ORDER BY names every column. LIMIT stands only under such
an ORDER BY.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.fuzz.choice import Choice
from tests.fuzz.expressions import Reference, condition, expression
from tests.fuzz.scalars import SCALARS, TYPES, canonical, literal
from tests.fuzz.tables import Table

DEPTH_MAX = 2
JOINS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "LATERAL", "USING", "NATURAL", "NESTED")


@dataclass(frozen=True, slots=True)
class Source:
    """An item of FROM, or a whole FROM, and its columns. ``is_large``: of thousands of rows."""

    text: str
    columns: list[Reference]
    is_table: bool = False
    is_large: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """A query; ``types`` of its columns, which are called ``x0``, ``x1`` …"""

    text: str
    types: list[str]
    is_ordered: bool = False


class Queries:
    """Makes queries over some tables."""

    def __init__(self, choice: Choice, tables: Sequence[Table]) -> None:
        self.choice = choice
        self.tables = tables
        self._aliases = 0
        self._large_left = 2
        self.types: Sequence[str] = TYPES
        self.limits: Sequence[int] = range(6)
        self.item_kinds = ["table", "table", "table", "query", "values", "series", "rows", "record"]
        self.sums_floats = False
        """Whether sums of columns of floats are exact in any order"""
        self.depth_max = 1 if any(each.is_large for each in tables) else DEPTH_MAX

    def query(self, outer: Sequence[Reference], depth: int, types: Sequence[str] | None = None) -> Select:
        """A query that may use the columns ``outer``; of the given ``types`` if any."""
        from tests.fuzz import composed, grouping, windows  # they make queries of their own

        way = self.choice.of(self.ways(depth))
        wanted = list(types) if types is not None else self.choice.some(self.types, 1, 3)
        if way in ("set", "with", "recursive", "top", "values"):
            return getattr(composed, way + "_query")(self, outer, depth, wanted)
        if way == "window":
            return windows.windowed(self, outer, depth, wanted)
        source, where = self.source(outer, depth)
        if way == "group":
            return grouping.grouped(self, source, where, wanted, outer, depth)
        values = [self.value(source, outer, kind, depth) for kind in wanted]
        if way == "distinct":
            shown = self.listed([canonical(kind, value) for kind, value in zip(wanted, values, strict=True)])
            return Select(f"SELECT DISTINCT {shown}{source.text}{where}", wanted)
        if way == "first":
            return composed.first_of_each(self, source, where, values, wanted)
        if way == "srf":
            return composed.with_set_function(self, source, where, values, wanted)
        order = ""
        if self.choice.chance(20):
            # Which order the rows have is not compared; which rows there are is.
            key = self.choice.of(source.columns)
            order = f" ORDER BY {key.text}{self.choice.of(('', ' DESC'))}"
            if depth < self.depth_max and not source.is_large and self.choice.chance(20):
                order = f" ORDER BY {self.scalar(key.type, [*source.columns, *outer], depth)}"
        locked = self._lock(source) if types is None and self.choice.chance(8 if depth == 0 else 2) else ""
        return Select(f"SELECT {self.listed(values)}{source.text}{where}{order}{locked}", wanted)

    def _lock(self, source: Source) -> str:
        """FOR UPDATE … of all tables, or of one. Not of an outer join's: one that may have no row is refused, and
        whether the join is still an outer one then is the planner's affair."""
        found = re.findall(r"\bt\d (s\d+)\b", source.text)
        if not found or re.search(r"\(|LEFT|RIGHT|FULL", source.text):
            return ""
        strength = self.choice.of(("UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"))
        of = f" OF {self.choice.of(found)}" if self.choice.chance(40) else ""
        return f" FOR {strength}{of}{self.choice.of(('', '', ' NOWAIT', ' SKIP LOCKED'))}"

    def ways(self, depth: int) -> list[str]:
        """The kinds of queries at a depth."""
        ways = ["plain", "plain", "plain", "group", "group", "distinct", "first", "srf"]
        if depth < self.depth_max:
            ways += ["window", "window", "set", "set", "with", "recursive", "top", "values"]
        return ways

    # --- FROM -------------------------------------------------------------------------------------------------------

    def alias(self) -> str:
        """A name that no other item has."""
        self._aliases += 1
        return f"s{self._aliases}"

    def source(self, outer: Sequence[Reference], depth: int) -> tuple[Source, str]:
        """(FROM and its columns, WHERE)."""
        first = self.item(depth)
        text, columns, large = first.text, list(first.columns), first.is_large
        may_merge, is_table = True, first.is_table
        for _ in range(self.choice.number(0, 1 if large else 2)):
            kind = self.choice.of(JOINS)
            if kind == "LATERAL":
                item = self._lateral([*outer, *columns], depth)
                text, columns, may_merge = f"{text} {item.text}", [*columns, *item.columns], False
                continue
            item = self.item(depth)
            if large and item.is_large:
                kind = "USING" if may_merge else "BY ID"  # or else millions of rows
            large = large or item.is_large
            if kind == "NATURAL" and not (is_table and item.is_table and may_merge and text != item.text):
                kind = "USING"
            if kind == "USING" and not may_merge:
                kind = "JOIN"
            if kind in ("USING", "NATURAL"):
                text, merged = self._merged(kind, text, item)
                columns += [*item.columns, *merged]
                is_table = False
                continue
            may_merge = False
            if kind == "NESTED":
                inner = self.item(depth)
                if large and inner.is_large:
                    continue
                word = self.choice.of(("JOIN", "LEFT JOIN", "FULL JOIN"))
                on = self._join_condition(word, item.columns, inner.columns)
                item = Source(f"({item.text} {word} {inner.text} ON {on})", [*item.columns, *inner.columns])
                kind = self.choice.of(("LEFT JOIN", "RIGHT JOIN", "JOIN"))
            if kind == "BY ID":
                text += f" JOIN {item.text} ON {columns[0].text} = {item.columns[0].text}"
            elif kind == "CROSS JOIN":
                text += f" CROSS JOIN {item.text}"
            else:
                text += f" {kind} {item.text} ON {self._join_condition(kind, columns, item.columns)}"
            columns += item.columns
        where = f" WHERE {self.condition(columns, outer, depth, large)}" if self.choice.chance(70) else ""
        return Source(f" FROM {text}", columns, is_large=large), where

    def _merged(self, kind: str, text: str, item: Source) -> tuple[str, list[Reference]]:
        word = self.choice.of(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
        if kind == "NATURAL":
            return f"{text} NATURAL {word} {item.text}", []
        if self.choice.chance(50):
            name = self.alias()
            return f"{text} {word} {item.text} USING (id) AS {name}", [Reference(f"{name}.id", "int")]
        return f"{text} {word} {item.text} USING (id)", []

    def _lateral(self, known: Sequence[Reference], depth: int) -> Source:
        alias = self.alias()
        way = self.choice.of(("array", "series", "json", "split", "query"))
        start = self.choice.of(("CROSS JOIN LATERAL ", "LEFT JOIN LATERAL ", "JOIN LATERAL "))
        on = "" if start.startswith("CROSS") else " ON true"
        if way == "query" and depth < self.depth_max:
            made = self.query(known, depth + 1)
            return Source(f"{start}({made.text}) {alias}{on}", columns_of(alias, made.types))
        if way == "series":
            upto = expression(self.choice, known, "int", 2)
            called = f"generate_series(1, {upto} % 4) WITH ORDINALITY {alias}(x0, x1)"
            return Source(f"{start}{called}{on}", columns_of(alias, ["int", "bigint"]))
        if way == "json":
            value = expression(self.choice, known, "jsonb", 2)
            called = f"jsonb_array_elements(jsonb_build_array({value}, 1)) {alias}(x0)"
            return Source(f"{start}{called}{on}", columns_of(alias, ["jsonb"]))
        if way == "split":
            value = expression(self.choice, known, "text", 2)
            called = f"regexp_split_to_table({value}, '[ab]') {alias}(x0)"
            return Source(f"{start}{called}{on}", columns_of(alias, ["text"]))
        value = expression(self.choice, known, "int[]", 2)
        return Source(f"{start}unnest({value}) {alias}(x0){on}", columns_of(alias, ["int"]))

    def _join_condition(self, kind: str, left: Sequence[Reference], right: Sequence[Reference]) -> str:
        pairs = [(one.text, other.text) for one in left for other in right if one.type == other.type]
        equal = " = ".join(self.choice.of(pairs)) if pairs else "1 = 1"
        # A full join needs a condition that can be merged or hashed.
        if kind == "FULL JOIN" or self.choice.chance(60):
            return equal
        more = condition(self.choice, [*left, *right], 2)
        if self.choice.chance(15) and self.depth_max == DEPTH_MAX:
            more = self._sub_select([*left, *right], [*left, *right], self.depth_max - 1)
        return more if self.choice.chance(10) else f"{equal} AND {more}"

    def item(self, depth: int) -> Source:
        """An item of FROM, with a column ``id``, the first."""
        way = "table" if depth >= self.depth_max else self.choice.of(self.item_kinds)
        alias = self.alias()
        key = Reference(f"{alias}.id", "int")
        if way == "query":
            made = self.query([], depth + 1)
            text = f"(SELECT 1 AS id, s.* FROM ({made.text}) s) {alias}"
            return Source(text, [key, *columns_of(alias, made.types)])
        if way == "values":
            kinds = self.choice.some(TYPES, 1, 2)
            rows = [
                f"({', '.join([str(row), *(literal(self.choice, kind) for kind in kinds)])})"
                for row in range(self.choice.number(1, 3))
            ]
            names = ", ".join(["id", *(f"x{at}" for at in range(len(kinds)))])
            return Source(f"(VALUES {', '.join(rows)}) {alias}({names})", [key, *columns_of(alias, kinds)])
        if way == "series":
            return Source(f"generate_series(0, {self.choice.number(0, 5)}) {alias}(id)", [key])
        if way == "rows":
            calls = f"generate_series(1, {self.choice.number(0, 3)}), unnest('{{a,NULL,b}}'::text[])"
            columns = [key, Reference(f"{alias}.x0", "text"), Reference(f"{alias}.x1", "bigint")]
            return Source(f"ROWS FROM ({calls}) WITH ORDINALITY {alias}(id, x0, x1)", columns)
        if way == "record":
            rows = '[{"id": 1, "x": "a", "y": [1, 2]}, {"id": 2, "y": null}, {"id": 3, "x": "b", "z": 0}]'
            text = f"jsonb_to_recordset('{rows}') {alias}(id int, x text, y int[])"
            return Source(text, [key, Reference(f"{alias}.x", "text"), Reference(f"{alias}.y", "int[]")])
        table = self.choice.of(self.tables)
        if table.is_large:
            self._large_left -= 1
            if self._large_left < 0:
                table = Table("(SELECT 1 AS id)", table.columns[:1], False, False)
        return Source(f"{table.name} {alias}", table.references(alias), not table.name.startswith("("), table.is_large)

    # --- conditions and values --------------------------------------------------------------------------------------

    def condition(self, columns: Sequence[Reference], outer: Sequence[Reference], depth: int, is_large: bool) -> str:
        """A condition, perhaps with a sub-select."""
        known = [*columns, *(outer if self.choice.chance(70) else ())]
        plain = condition(self.choice, known)
        if depth >= self.depth_max or not self.choice.chance(30):
            return plain
        # A sub-select for each of thousands of rows takes too long.
        inner = self._sub_select(outer if is_large and outer else known, [] if is_large else known, depth)
        return f"{inner} {self.choice.of(('AND', 'OR'))} {plain}" if self.choice.chance(50) else inner

    def _sub_select(self, known: Sequence[Reference], inside: Sequence[Reference], depth: int) -> str:
        choice = self.choice
        way = choice.of(("EXISTS", "NOT EXISTS", "IN", "NOT IN", "ALL", "ANY", "row", "scalar", "array"))
        if way.endswith("EXISTS"):
            return f"{way} ({self.query(inside, depth + 1).text})"
        kind = choice.of(known).type
        subject = expression(choice, known, kind, 2)
        if way == "row":
            second = choice.of(known).type
            made = self.query(inside, depth + 1, [kind, second])
            word = choice.of(("IN", "NOT IN", "= ANY", "< ANY"))
            return f"({subject}, {expression(choice, known, second, 2)}) {word} ({made.text})"
        if way == "scalar":
            return f"{subject} {choice.of(('=', '<', '>='))} {self.scalar(kind, inside, depth)}"
        made = self.query(inside, depth + 1, [kind])
        if way == "array" and not kind.endswith("[]"):
            return f"{subject} = ANY (ARRAY({made.text}))"
        if way in ("ALL", "ANY"):
            return f"{subject} {choice.of(('=', '<', '>=', '<>'))} {way} ({made.text})"
        return f"{subject} {'IN' if way == 'array' else way} ({made.text})"

    def scalar(self, kind: str, known: Sequence[Reference], depth: int) -> str:
        """A sub-select of one value."""
        if SCALARS[kind].has_extremes and self.choice.chance(60):
            inner, where = self.source(known, depth + 1)
            argument = canonical(kind, expression(self.choice, inner.columns, kind, 2))
            return f"(SELECT {self.choice.of(('max', 'min'))}({argument}){inner.text}{where})"
        made = self.query(known, depth + 1, [kind])
        return f"(SELECT {canonical(kind, 's.x0')} FROM ({made.text}) s ORDER BY 1 LIMIT 1)"

    def value(self, source: Source, outer: Sequence[Reference], kind: str, depth: int) -> str:
        """What a column of a query shows."""
        known = [*source.columns, *outer]
        if depth < self.depth_max and not source.is_large and self.choice.chance(7):
            return self.scalar(kind, known, depth)
        return expression(self.choice, known, kind)

    def listed(self, values: Sequence[str]) -> str:
        """A select list."""
        return ", ".join(f"{value} AS x{at}" for at, value in enumerate(values))

    def alike(self, made: Select) -> str:
        """A query's rows with equal values alike, as an item of FROM called ``s``."""
        shown = self.listed([canonical(kind, f"r.x{at}") for at, kind in enumerate(made.types)])
        return f"(SELECT {shown} FROM ({made.text}) r) s"


class ViewQueries(Queries):
    """Queries that a view's definition gives again. In the definition of a view over a record's columns these may have
    other names, and PostgreSQL looks for them in the JSON by those."""

    def __init__(self, choice: Choice, tables: Sequence[Table]) -> None:
        super().__init__(choice, tables)
        self.item_kinds.remove("record")


def columns_of(alias: str, types: Sequence[str]) -> list[Reference]:
    """The columns of a query under a name."""
    return [Reference(f"{alias}.x{at}", kind) for at, kind in enumerate(types)]
