"""Queries over the tables: joins, sub-selects, grouping, windows, set operations, WITH, LATERAL.

A query's rows are a set, but for its outermost ORDER BY, which names every column; LIMIT stands only there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.fuzz.choice import Choice
from tests.fuzz.expressions import Reference, condition, expression
from tests.fuzz.tables import TYPES, Table, literal

DEPTH_MAX = 2
EXACT_SUMS = ("int", "bigint", "numeric")
"""Types whose sums do not depend on the order of the rows."""
NO_EXTREMES = ("jsonb", "uuid", "int4range", "char(3)", "varchar(5)")
SET_OPERATIONS = ("UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL")
FRAMES = (
    " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    " GROUPS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE GROUP",
)
"""Those that no order of equal rows can change."""


@dataclass(frozen=True, slots=True)
class Source:
    """An item of FROM and its columns."""

    text: str
    columns: list[Reference]


@dataclass(frozen=True, slots=True)
class Select:
    """A query; ``types`` of its columns, which are called ``x0``, ``x1`` …"""

    text: str
    types: list[str]
    is_ordered: bool = False


class Queries:
    """Makes queries over some tables."""

    def __init__(self, choice: Choice, tables: Sequence[Table]) -> None:
        self._choice = choice
        self._tables = tables
        self._aliases = 0

    def statement(self) -> Select:
        """A whole query."""
        made = self.query([], 0)
        if not self._choice.chance(30):
            return made
        keys = [f"x{at}{self._choice.of(('', ' DESC', ' NULLS FIRST'))}" for at in range(len(made.types))]
        limit = f" LIMIT {self._choice.number(0, 5)}" if self._choice.chance(60) else ""
        offset = f" OFFSET {self._choice.number(0, 3)}" if self._choice.chance(20) else ""
        text = f"SELECT * FROM ({made.text}) q ORDER BY {', '.join(keys)}{limit}{offset}"
        return Select(text, made.types, True)

    def query(self, outer: Sequence[Reference], depth: int, types: Sequence[str] | None = None) -> Select:
        """A query that may use the columns ``outer``; of the given ``types`` if any."""
        ways = ["plain", "plain", "group", "distinct", "window"]
        if depth < DEPTH_MAX:
            ways += ["set", "with"]
        way = self._choice.of(ways)
        wanted = list(types) if types is not None else self._choice.some(TYPES, 1, 3)
        if way == "set":
            return self._set_operation(outer, depth, wanted)
        if way == "with":
            return self._with(outer, depth, wanted)
        source, where = self._from(outer, depth)
        if way == "group":
            return self._grouped(source, where, wanted)
        if way == "window":
            return self._windowed(source, where, outer, wanted)
        shown = self._list([self._value(source, outer, kind, depth) for kind in wanted])
        keyword = "DISTINCT " if way == "distinct" else ""
        return Select(f"SELECT {keyword}{shown}{source.text}{where}", wanted)

    # --- FROM -------------------------------------------------------------------------------------------------------

    def _alias(self) -> str:
        self._aliases += 1
        return f"a{self._aliases}"

    def _from(self, outer: Sequence[Reference], depth: int) -> tuple[Source, str]:
        """(FROM and its columns, WHERE)."""
        first = self._item(depth)
        text, columns = f" FROM {first.text}", list(first.columns)
        for _ in range(self._choice.number(0, 2)):
            kind = self._choice.of(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "JOIN LATERAL"))
            if kind == "JOIN LATERAL" and depth < DEPTH_MAX:
                alias = self._alias()
                made = self.query([*outer, *columns], depth + 1)
                kind = self._choice.of(("JOIN LATERAL", "LEFT JOIN LATERAL"))
                text += f" {kind} ({made.text}) {alias} ON true"
                columns += _columns(alias, made.types)
                continue
            item = self._item(depth)
            text += f" {kind.removesuffix(' LATERAL')} {item.text}"
            if kind != "CROSS JOIN":
                text += f" ON {self._join_condition(kind, columns, item.columns)}"
            columns += item.columns
        where = f" WHERE {self._condition(columns, outer, depth)}" if self._choice.chance(70) else ""
        return Source(text, columns), where

    def _join_condition(self, kind: str, left: Sequence[Reference], right: Sequence[Reference]) -> str:
        pairs = [(one.text, other.text) for one in left for other in right if one.type == other.type]
        equal = " = ".join(self._choice.of(pairs)) if pairs else "1 = 1"
        if kind == "FULL JOIN" or self._choice.chance(60):
            return equal
        return f"{equal} AND {condition(self._choice, [*left, *right], 2)}"

    def _item(self, depth: int) -> Source:
        ways = ["table"] if depth >= DEPTH_MAX else ["table", "table", "table", "query", "values", "series"]
        way = self._choice.of(ways)
        alias = self._alias()
        key = Reference(f"{alias}.id", "int")
        if way == "query":
            made = self.query([], depth + 1)
            text = f"(SELECT 1 AS id, s.* FROM ({made.text}) s) {alias}"
            return Source(text, [key, *_columns(alias, made.types)])
        if way == "values":
            kinds = self._choice.some(TYPES, 1, 2)
            rows = [
                f"({', '.join([str(row), *(literal(self._choice, kind) for kind in kinds)])})"
                for row in range(self._choice.number(1, 3))
            ]
            names = ", ".join(["id", *(f"x{at}" for at in range(len(kinds)))])
            return Source(f"(VALUES {', '.join(rows)}) {alias}({names})", [key, *_columns(alias, kinds)])
        if way == "series":
            return Source(f"generate_series(0, {self._choice.number(0, 5)}) {alias}(id)", [key])
        table = self._choice.of(self._tables)
        return Source(f"{table.name} {alias}", [Reference(f"{alias}.{each.name}", each.type) for each in table.columns])

    # --- conditions and values --------------------------------------------------------------------------------------

    def _condition(self, columns: Sequence[Reference], outer: Sequence[Reference], depth: int) -> str:
        known = [*columns, *(outer if self._choice.chance(70) else ())]
        plain = condition(self._choice, known)
        if depth >= DEPTH_MAX or not self._choice.chance(30):
            return plain
        inner = self._sub_select(known, depth)
        return f"{inner} {self._choice.of(('AND', 'OR'))} {plain}" if self._choice.chance(50) else inner

    def _sub_select(self, known: Sequence[Reference], depth: int) -> str:
        way = self._choice.of(("EXISTS", "NOT EXISTS", "IN", "NOT IN", "ALL", "ANY"))
        if way.endswith("EXISTS"):
            return f"{way} ({self.query(known, depth + 1).text})"
        kind = self._choice.of(known).type
        made = self.query(known, depth + 1, [kind])
        subject = expression(self._choice, known, kind, 2)
        if way in ("ALL", "ANY"):
            return f"{subject} {self._choice.of(('=', '<', '>='))} {way} ({made.text})"
        return f"{subject} {way} ({made.text})"

    def _value(self, source: Source, outer: Sequence[Reference], kind: str, depth: int) -> str:
        known = [*source.columns, *outer]
        if depth < DEPTH_MAX and kind in EXACT_SUMS and self._choice.chance(15):
            inner, where = self._from(known, depth + 1)
            argument = expression(self._choice, inner.columns, kind, 2)
            return f"(SELECT {self._choice.of(('max', 'min'))}({argument}){inner.text}{where})"
        return expression(self._choice, known, kind)

    def _list(self, values: Sequence[str]) -> str:
        return ", ".join(f"{value} AS x{at}" for at, value in enumerate(values))

    # --- grouping, windows, set operations, WITH --------------------------------------------------------------------

    def _aggregate(self, columns: Sequence[Reference], kind: str) -> str:
        choice = self._choice
        argument = expression(choice, columns, kind, 2)
        distinct = "DISTINCT " if choice.chance(20) else ""
        kept = f" FILTER (WHERE {condition(choice, columns, 2)})" if choice.chance(20) else ""
        if kind == "bigint":
            return f"count({distinct}{expression(choice, columns, choice.of(TYPES), 2)}){kept}"
        if kind == "numeric":
            return f"sum({distinct}{argument}){kept}"
        if kind == "boolean":
            return f"{choice.of(('bool_and', 'bool_or'))}({argument}){kept}"
        if kind == "int[]":
            value = expression(choice, columns, "int", 2)
            return f"array_agg({distinct}{value} ORDER BY {value}){kept}"
        if kind == "text" and choice.chance(50):
            return f"string_agg({argument}, ',' ORDER BY {argument}){kept}"
        if kind in NO_EXTREMES:
            return literal(choice, kind)
        return f"{choice.of(('min', 'max'))}({distinct}{argument}){kept}"

    def _grouped(self, source: Source, where: str, types: Sequence[str]) -> Select:
        choice = self._choice
        kinds = [choice.of(source.columns).type for _ in range(choice.number(0, 2))]
        found = [expression(choice, source.columns, kind, 2) for kind in kinds]
        # A bare constant would be a column's number.
        keys = [key for key in dict.fromkeys(found) if not key.startswith(("'", "NULL", "-")) and "." in key]
        shown = [self._aggregate(source.columns, kind) for kind in types]
        group = ""
        if keys:
            listed = ", ".join(keys)
            group = " GROUP BY " + choice.of((listed, listed, f"ROLLUP ({listed})"))
        having = ""
        if choice.chance(25):
            having = f" HAVING count(*) {choice.of(('>', '<=', '<>'))} {choice.number(0, 3)}"
        return Select(f"SELECT {self._list(shown)}{source.text}{where}{group}{having}", list(types))

    def _windowed(self, source: Source, where: str, outer: Sequence[Reference], types: Sequence[str]) -> Select:
        choice = self._choice
        shown = []
        for kind in types:
            if kind not in EXACT_SUMS:
                shown.append(expression(choice, [*source.columns, *outer], kind))
                continue
            partition = f"PARTITION BY {choice.of(source.columns).text} " if choice.chance(50) else ""
            order = f"ORDER BY {choice.of(source.columns).text}{choice.of(('', ' DESC'))}"
            argument = expression(choice, source.columns, kind, 2)
            call = {
                "bigint": choice.of(("rank()", "dense_rank()", "count(*)")),
                "numeric": f"sum({argument})",
                "int": choice.of((f"min({argument})", f"max({argument})")),
            }[kind]
            frame = choice.of(FRAMES) if "rank" not in call and choice.chance(40) else ""
            shown.append(f"{call} OVER ({partition}{order}{frame})")
        return Select(f"SELECT {self._list(shown)}{source.text}{where}", list(types))

    def _set_operation(self, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
        word = self._choice.of(SET_OPERATIONS)
        left, right = (self.query(outer, depth + 1, types) for _ in range(2))
        return Select(f"(({left.text}) {word} ({right.text}))", list(types))

    def _with(self, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
        name = f"w{self._alias()}"
        made = self.query([], depth + 1)
        kind = self._choice.of(("", "MATERIALIZED ", "NOT MATERIALIZED "))
        known = [Reference(f"{name}.x{at}", each) for at, each in enumerate(made.types)]
        where = f" WHERE {condition(self._choice, known, 1)}" if self._choice.chance(60) else ""
        shown = self._list([expression(self._choice, [*known, *outer], each, 1) for each in types])
        again = f" UNION ALL SELECT {shown} FROM {name}" if self._choice.chance(30) else ""
        return Select(f"(WITH {name} AS {kind}({made.text}) SELECT {shown} FROM {name}{where}{again})", list(types))


def _columns(alias: str, types: Sequence[str]) -> list[Reference]:
    return [Reference(f"{alias}.x{at}", kind) for at, kind in enumerate(types)]
