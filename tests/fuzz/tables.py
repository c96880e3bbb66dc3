"""Tables of a few columns and rows, with indexes: many equal values and many NULLs, so that conditions meet them. Some
have thousands of rows: several column batches, index pages, and more than a small work_mem holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.fuzz.choice import Choice
from tests.fuzz.expressions import Reference, condition, expression
from tests.fuzz.scalars import SCALARS, TYPES, literal

LARGE_ROWS = 3500
_PER_PAGE = 97
"""A prime: which value a row of a large table has does not follow its number."""


@dataclass(frozen=True, slots=True)
class Column:
    """``type`` is one of ``TYPES``. ``nulls``: how many of a hundred values."""

    name: str
    type: str
    nulls: int = 20


@dataclass(slots=True)
class Table:
    """A table and the statements that make it. ``is_keyed``: ``id`` is its primary key."""

    name: str
    columns: list[Column]
    is_keyed: bool
    is_large: bool
    statements: list[str] = field(default_factory=list)

    def references(self, alias: str) -> list[Reference]:
        """Its columns under a name."""
        return [Reference(f"{alias}.{each.name}", each.type) for each in self.columns]


def make_tables(choice: Choice) -> list[Table]:
    """One to three tables; of a case in five, the first two may be large."""
    large = choice.chance(20)
    return [_table(choice, number, large and number < 2) for number in range(choice.number(1, 3))]


def _table(choice: Choice, number: int, is_large: bool) -> Table:
    name = f"t{number}"
    letter = "abc"[number]
    columns = [Column("id", "int", 0)]
    columns += [
        Column(f"{letter}{at}", choice.of(TYPES), choice.of((20, 20, 0, 80))) for at in range(choice.number(1, 4))
    ]
    keyed = choice.chance(60)
    shown = [_declared(each, keyed) for each in columns]
    table = Table(name, columns, keyed, is_large, [f"CREATE TABLE {name} ({', '.join(shown)})"])
    early = [index(choice, table, at) for at in range(choice.number(0, 2))]
    indexed_first = choice.chance(50)
    if indexed_first:
        table.statements += early
    if is_large:
        table.statements.append(_many_rows(choice, table))
    else:
        rows = [_row(choice, number, columns, keyed) for number in range(choice.number(0, 7))]
        if rows:
            table.statements.append(f"INSERT INTO {name} VALUES {', '.join(rows)}")
    if choice.chance(20):
        # Dead versions between the living ones, and space that is used again.
        table.statements.append(f"DELETE FROM {name} WHERE id % 5 = 3")
    if not indexed_first:
        table.statements += early
    if choice.chance(60):
        table.statements.append(f"ANALYZE {name}")
    return table


def _declared(column: Column, keyed: bool) -> str:
    constraint = ""
    if column.name == "id":
        constraint = " PRIMARY KEY" if keyed else ""
    elif not column.nulls:
        constraint = " NOT NULL"
    return f"{column.name} {column.type}{constraint}"


def _row(choice: Choice, number: int, columns: list[Column], keyed: bool) -> str:
    first = str(number) if keyed else str(choice.number(0, 5))
    return f"({', '.join([first, *(literal(choice, each.type, each.nulls) for each in columns[1:])])})"


def _many_rows(choice: Choice, table: Table) -> str:
    values = ["n"]
    for column in table.columns[1:]:
        kinds = [literal(choice, column.type, 0) for _ in range(choice.number(1, 4))]
        if column.nulls:
            kinds.append(f"NULL::{column.type}")
        cases = " ".join(f"WHEN {at} THEN {value}" for at, value in enumerate(kinds[:-1]))
        several = f"CASE n * {_PER_PAGE} % 1009 % {len(kinds)} {cases} ELSE {kinds[-1]} END" if cases else kinds[0]
        if column.type in ("int", "bigint", "numeric") and choice.chance(60):
            several = f"(n * {_PER_PAGE} % {choice.of((10, 1009))})::{column.type}"
        if column.type == "text" and choice.chance(60):
            several = "chr(97 + n % 7) || n % 211"
        values.append(several)
    return f"INSERT INTO {table.name} SELECT {', '.join(values)} FROM generate_series(1, {LARGE_ROWS}) n"


_UNINDEXED = ("money",)
"""Types that an index is not made for: none of them says that it cannot."""
_ORDERS = ("", "", " DESC", " NULLS FIRST", " DESC NULLS LAST")


def index(choice: Choice, table: Table, at: int) -> str:
    """CREATE INDEX: plain, of an expression, unique, hash, partial, with columns included."""
    chosen = choice.some(table.columns, 1, 3)
    keys = [each.name + choice.of(_ORDERS) for each in chosen]
    own = [Reference(each.name, each.type) for each in table.columns]
    using = included = where = unique = ""
    way = choice.of(("plain", "plain", "hash", "expression", "unique"))
    if way == "hash" and SCALARS[chosen[0].type].is_hashed:
        using, keys = " USING hash", [chosen[0].name]
    elif way == "expression":
        kind = choice.of(("int", "text", "bigint", "smallint", "int[]"))
        keys = [f"({expression(choice, own, kind, 2)})", *keys[:1]]
        if not _is_immutable(keys[0]):
            keys = ["(id % 3)", *keys[1:]]
    elif way == "unique" and table.is_keyed:
        unique, keys = "UNIQUE ", [*keys[:1], "id"]
    if not using and choice.chance(30):
        included = f" INCLUDE ({choice.of(table.columns).name})"
    if choice.chance(20):
        test = condition(choice, own, 3)
        where = f" WHERE {test if _is_immutable(test) else 'id > 1'}"
    return f"CREATE {unique}INDEX {table.name}_i{at} ON {table.name}{using} ({', '.join(keys)}){included}{where}"


def _is_immutable(text: str) -> bool:
    """Nothing in it depends on settings (the time zone, the style of dates, the locale)."""
    stable = ("timestamptz", "::text", "concat", "to_char", "format", "date", "time", "money", "json", "row", "||")
    return not any(each in text for each in stable)
