"""Tables of hundreds and thousands of rows, and queries over them: several column batches, index pages, hash tables and
sorts that a small work_mem does not hold.

What differs from ``tables`` and ``queries``: values are computed from a row's number, so that keys are skewed,
clustered or nearly unique and a column is empty, full of NULLs or without any; expressions are plain, as those that
column batches know; and joins have keys that keep their rows to some thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.fuzz.choice import Choice
from tests.fuzz.expressions import COMPARED, Reference, condition, expression
from tests.fuzz.queries import Queries, Source
from tests.fuzz.tables import Column, Table, index

LARGE, MIDDLE, SMALL = (3000, 1700, 1025), (300, 90), (20, 7)
"""How many rows: of one of each."""
PAIRS_MAX = 25_000
"""About how many rows a join may have."""
VALUES: dict[str, tuple[str, ...]] = {
    "int": ("({d} - 5)", "({d} * 700003 - 7)"),
    "bigint": ("({d} * 3000000000)", "({d} - 2)::bigint"),
    "smallint": ("({d} % 300)::smallint",),
    # Equal values of several scales; values that no machine word holds.
    "numeric": (
        "({d} * 0.01)::numeric(12,2)",
        "round({d} / 8.0, {d} % 4)",
        "({d} * 1e30::numeric)",
        "({d} - 3)::numeric",
        "(CASE {d} % 50 WHEN 7 THEN 'NaN' WHEN 9 THEN '-Infinity' ELSE '2.50' END)::numeric",
    ),
    # Halves and quarters: their sums are exact in any order.
    "float8": ("({d} * 0.5)::float8", "({d} - 8)::float8"),
    "real": ("({d} * 0.25)::real",),
    "text": (
        "('p' || {d})",
        "(chr(97 + {d} % 26) || repeat('x', {d} % 40))",
        "repeat(md5({d}::text), 4)",
        "chr({d} + 200)",
    ),
    "varchar(5)": ("({d} % 1000)::text",),
    "char(3)": ("({d} % 100)::text",),
    "name": ("('n' || {d})::name",),
    "date": ("(date '2024-01-01' + {d})", "(date '1999-12-01' + {d} * 31)"),
    "timestamp": ("(timestamp '2024-01-01' + {d} * interval '61 min')",),
    "timestamptz": ("(timestamptz '2024-03-30 00:00+00' + {d} * interval '17 min')",),
    "time": ("(time '00:00' + {d} * interval '7 min')",),
    "interval": ("({d} * interval '90 min')",),
    "boolean": ("({d} % 2 = 0)",),
    "uuid": ("md5({d}::text)::uuid",),
    "bytea": ("decode(md5({d}::text), 'hex')",),
    "jsonb": ("to_jsonb({d})", "jsonb_build_object('a', {d} % 5)"),
    "int[]": ("ARRAY[{d} % 4, {d}]",),
    "text[]": ("ARRAY[chr(97 + {d} % 3), NULL]",),
    "mood": ("(enum_range(NULL::mood))[1 + {d} % 3]",),
    "inet": ("('10.0.0.0'::inet + {d})",),
    "int4range": ("int4range({d} % 50, {d} % 50 + 3)",),
    "money": ("({d} * 0.25)::numeric::money",),
    "oid": ("({d})::oid",),
    "pair": ("ROW({d} % 9, 'q')::pair",),
    "small": ("({d} % 900)::small",),
}
"""How a value is made of a whole number ``{d}``, not negative."""
KEYS = ("int", "int", "bigint", "smallint", "numeric", "text", "varchar(5)", "date", "timestamp", "float8", "uuid")
"""Types of the columns ``k`` (of few values) and ``m`` (of many)."""
_ALIKE = (("int", "bigint", "smallint", "numeric", "float8"), ("text", "varchar(5)"), ("date", "timestamp"), ("uuid",))
BULK_SETTINGS = (
    *("work_mem = '64kB'",) * 4,
    *("aurora.column_batches = off",) * 2,
    *("enable_hashjoin = off", "enable_mergejoin = off", "enable_nestloop = off", "enable_hashagg = off") * 2,
    *("enable_sort = off", "enable_material = off", "enable_memoize = off", "enable_incremental_sort = off"),
    *("enable_seqscan = off", "enable_indexscan = off", "enable_bitmapscan = off", "enable_indexonlyscan = off"),
    *("hash_mem_multiplier = 1", "random_page_cost = 0", "plan_cache_mode = force_generic_plan"),
)


@dataclass(slots=True)
class BulkTable(Table):
    """``rows``: how many; ``few``: how many values ``k`` has, ``many``: about how many ``m`` has."""

    rows: int = 0
    few: int = 1
    many: int = 1


def bulk_tables(choice: Choice) -> list[Table]:
    """A large table, a middle one, perhaps a small one and another large one."""
    sizes = [choice.of(LARGE), choice.of(MIDDLE)]
    sizes += [choice.of(SMALL)] if choice.chance(70) else []
    sizes += [choice.of(LARGE)] if choice.chance(50) else []
    family = [choice.of(_ALIKE[0] if choice.chance(60) else KEYS) for _ in range(2)]
    return [_table(choice, number, rows, family) for number, rows in enumerate(sizes)]


def _table(choice: Choice, number: int, rows: int, family: Sequence[str]) -> BulkTable:
    name = f"t{number}"
    keys = [choice.of(next(each for each in _ALIKE if kind in each)) for kind in family]
    nulls = (0, 20, 5, 50, 96)
    columns = [Column("id", "int", 0)]
    columns += [Column(each, kind, choice.of(nulls)) for each, kind in zip(("k", "m"), keys, strict=True)]
    columns += [
        Column(f"{'abcd'[number]}{at}", choice.of(tuple(VALUES)), choice.of(nulls)) for at in range(choice.number(1, 4))
    ]
    few, many = choice.of((5, 2, 12, 40)), max(2, rows // choice.of((3, 1, 2)))
    keyed = choice.chance(60)
    shown = ", ".join(f"{each.name} {each.type}{_constraint(each, keyed)}" for each in columns)
    table = BulkTable(name, columns, keyed, rows > 500, [f"CREATE TABLE {name} ({shown})"], rows, few, many)
    values = ", ".join(_value(choice, each, table) for each in columns)
    indexes = [index(choice, table, at) for at in range(choice.number(0, 2))]
    if choice.chance(40):
        indexes.append(f"CREATE INDEX {name}_m ON {name} (m)")
    early = choice.chance(50)
    table.statements += indexes if early else []
    table.statements.append(f"INSERT INTO {name} SELECT {values} FROM generate_series(0, {rows - 1}) n")
    if choice.chance(30):
        table.statements.append(f"DELETE FROM {name} WHERE id % {choice.of((5, 2))} = 1")
    if choice.chance(20):
        # New versions of rows behind the others.
        table.statements.append(f"UPDATE {name} SET k = k WHERE id % 7 = 2")
    table.statements += indexes if not early else []
    if choice.chance(75):
        table.statements.append(f"ANALYZE {name}")
    return table


def _constraint(column: Column, keyed: bool) -> str:
    if column.name == "id":
        return " PRIMARY KEY" if keyed else ""
    return "" if column.nulls else " NOT NULL"


def _value(choice: Choice, column: Column, table: BulkTable) -> str:
    """A column's value in the row of the number ``n``."""
    if column.name == "id":
        return "n"
    few, many = table.few, table.many
    if column.name == "k":
        drawn = choice.of(
            (
                f"(n * 97 % 1009 % {few})",
                f"(CASE WHEN n % 10 < 6 THEN 1 ELSE n % {few} END)",
                f"(n * {few} / {table.rows})",
            )
        )
    elif column.name == "m":
        drawn = choice.of((f"(n * 97 % {many})", f"(n * 31 % 10007 % {many})", f"(n / 3 % {many})"))
    else:
        drawn = choice.of(
            (
                "(n * 97 % 1009 % 3)",
                "(n * 97 % 1009)",
                "(n / 50)",
                "(CASE WHEN n % 10 < 8 THEN 0 ELSE n % 211 END)",
                "n",
            )
        )
    kind = column.type
    # A key has one form in all tables: what is equal to what does not depend on how it was made.
    template = (
        {"int": "{d}", "bigint": "{d}", "numeric": "round({d}, {d} % 3)", "float8": "{d}::float8"}.get(kind)
        if column.name in ("k", "m")
        else None
    )
    made = (template or choice.of(VALUES[kind])).format(d=drawn)
    if not column.nulls:
        return f"{made}::{kind}"
    return f"CASE WHEN n * 31 % 100 >= {column.nulls} THEN {made}::{kind} END"


class BulkQueries(Queries):
    """Queries over such tables. Items of FROM are tables; a join's keys keep its rows to some thousands."""

    def __init__(self, choice: Choice, tables: Sequence[Table]) -> None:
        super().__init__(choice, tables)
        self.depth_max = 1
        self.bulk = [each for each in tables if isinstance(each, BulkTable)]
        self.types = [*dict.fromkeys(["bigint", "numeric", *(each.type for table in tables for each in table.columns)])]
        self.limits = (3, 0, 1, 40, 1100, 2500)
        self.sums_floats = True
        choice.expression_depth = choice.of((1, 0, 2))

    def ways(self, depth: int) -> list[str]:
        """See ``Queries``."""
        ways = ["plain", "plain", "group", "group", "group", "distinct", "first"]
        return ways if depth else [*ways, "group", "window", "window", "set", "set", "with", "top"]

    def value(self, source: Source, outer: Sequence[Reference], kind: str, depth: int) -> str:
        """See ``Queries``."""
        return expression(self.choice, source.columns, kind)

    def source(self, outer: Sequence[Reference], depth: int) -> tuple[Source, str]:
        """See ``Queries``; no column of an outer query is used."""
        choice = self.choice
        first = choice.of(self.bulk)
        alias = self.alias()
        text, columns, rows, joined = f"{first.name} {alias}", first.references(alias), first.rows, [(first, alias)]
        wheres: list[str] = []
        for _ in range(choice.of((0, 0, 1, 1, 2))):
            table, alias = choice.of(self.bulk), self.alias()
            own = table.references(alias)
            keys = [
                (each, name)
                for each in joined
                for name in ("id", "m", "k")
                if self._pairs(rows, each[0], table, name) <= PAIRS_MAX
            ]
            if not keys:
                continue
            (left, where), name = choice.of(keys)
            rows = max(rows, table.rows, self._pairs(rows, left, table, name))
            kind = choice.of(("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "USING", "COMMA", "CROSS JOIN"))
            test = f"{where}.{name} = {alias}.{name}"
            if kind == "CROSS JOIN" and rows * table.rows > PAIRS_MAX:
                kind = "JOIN"
            if kind == "CROSS JOIN":
                text += f" CROSS JOIN {table.name} {alias}"
            elif kind == "COMMA":
                # A comma binds less than JOIN: what comes before stands in parentheses, or it is a cross join.
                text += f" CROSS JOIN {table.name} {alias}"
                wheres.append(test)
            elif kind == "USING" and len(joined) == 1:
                word = choice.of(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
                merged = self.alias()
                text += f" {word} {table.name} {alias} USING ({name}) AS {merged}"
                types = {each.type for each in (*columns, *own) if each.text in (f"{where}.{name}", f"{alias}.{name}")}
                columns += [Reference(f"{merged}.{name}", types.pop())] if len(types) == 1 else []
            else:
                word = "LEFT JOIN" if kind == "USING" else kind
                text += f" {word} {table.name} {alias} ON {test}{self._more(columns, own)}"
            columns += own
            joined.append((table, alias))
        wheres += [self._where(columns, joined, rows) for _ in range(choice.of((0, 1, 1, 2)))]
        where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
        return Source(f" FROM {text}", columns, is_large=True), where

    @staticmethod
    def _pairs(rows: int, left: BulkTable, right: BulkTable, name: str) -> int:
        """About how many rows a join by this column has."""
        if name == "id":
            return max(rows, right.rows)
        # Half of the rows may have one value of k.
        return rows * right.rows // (max(left.many, right.many) if name == "m" else 2)

    def _more(self, left: Sequence[Reference], right: Sequence[Reference]) -> str:
        """More of a join's condition."""
        choice = self.choice
        if not choice.chance(40):
            return ""
        way = choice.of(("one", "both", "any"))
        if way == "one":
            return f" AND {condition(choice, choice.of((left, right)), 2)}"
        pairs = [(one, other) for one in left for other in right if one.type == other.type and one.type != "pair"]
        if way == "both" and pairs:
            one, other = choice.of(pairs)
            return f" AND {one.text} {choice.of(COMPARED)} {other.text}"
        return f" AND {condition(choice, [*left, *right], 1)}"

    def _where(self, columns: Sequence[Reference], joined: Sequence[tuple[BulkTable, str]], rows: int) -> str:
        choice = self.choice
        way = choice.of(("plain", "plain", "plain", "EXISTS", "NOT EXISTS", "IN", "NOT IN", "scalar"))
        if way == "plain":
            return f"({condition(choice, columns, choice.of((2, 1)))})"
        (_, where), table, alias = choice.of(joined), choice.of(self.bulk), self.alias()
        name = choice.of(("m", "k", "id"))
        own = table.references(alias)
        inside = condition(choice, own, 2)
        if way == "scalar":
            # For each row: only where few rows are looked at.
            if rows * table.rows > 100_000:
                return f"({condition(choice, columns, 2)})"
            value = choice.of(own).text
            made = f"SELECT count({value}) FROM {table.name} {alias} WHERE {alias}.{name} = {where}.{name}"
            return f"({made}) {choice.of(COMPARED)} {choice.number(0, 5)}"
        if way.endswith("EXISTS"):
            linked = f"{alias}.{name} = {where}.{name}"
            return f"{way} (SELECT 1 FROM {table.name} {alias} WHERE {linked} AND {inside})"
        kept = f" WHERE {inside}" if choice.chance(60) else ""
        return f"{where}.{name} {way} (SELECT {alias}.{name} FROM {table.name} {alias}{kept})"
