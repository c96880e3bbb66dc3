"""Tables of a few columns and rows, with indexes: many equal values and many NULLs, so that conditions meet them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.fuzz.choice import Choice

VALUES = {
    "int": ("0", "1", "2", "3", "-1", "7", "100", "2147483647"),
    "text": ("'a'", "'b'", "''", "'ab'", "'B'", "'a%'", "'zz top'", "'Ä'"),
    "bigint": ("0", "1", "5", "-3", "9223372036854775807"),
    "numeric": ("0", "1", "2.50", "-0.1", "12345678901234567890.5", "'NaN'"),
    "boolean": ("true", "false"),
    "date": ("'2024-01-01'", "'2024-02-29'", "'1999-12-31'", "'infinity'"),
    "timestamp": ("'2024-01-01 00:00'", "'2024-02-29 12:30:00.5'", "'1999-12-31'"),
    "float8": ("0", "1", "2.5", "-1e10", "'NaN'"),
    "int[]": ("'{}'", "'{1}'", "'{1,2}'", "'{NULL,3}'", "'{2,2,2}'"),
    "jsonb": ("'1'", "'null'", "'{\"a\": 1}'", "'[1, 2]'", '\'{"a": {"b": null}}\''),
    "varchar(5)": ("'a'", "'abc'", "'x y'"),
    "char(3)": ("'a'", "'ab'", "'abc'"),
    "int4range": ("'[1,5)'", "'empty'", "'[3,)'", "'(,2]'"),
    "uuid": ("'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-0000000000ff'"),
    "interval": ("'1 day'", "'01:30'", "'1 mon'", "'-3 min'"),
}
"""By type: values that are likely to be equal, or to stand at an edge. Equal ones are written alike: which of them a
group keeps is nobody's promise."""
TYPES = tuple(VALUES)


@dataclass(frozen=True, slots=True)
class Column:
    """``type`` is one of ``TYPES``."""

    name: str
    type: str


@dataclass(slots=True)
class Table:
    """A table and the statements that make it."""

    name: str
    columns: list[Column]
    statements: list[str] = field(default_factory=list)


def literal(choice: Choice, kind: str, nulls: int = 10) -> str:
    """A value of a type, as it stands in a query."""
    if choice.chance(nulls):
        return f"NULL::{kind}"
    return f"{choice.of(VALUES[kind])}::{kind}"


def make_tables(choice: Choice) -> list[Table]:
    """One to three tables."""
    return [_table(choice, f"t{number}") for number in range(choice.number(1, 3))]


def _table(choice: Choice, name: str) -> Table:
    columns = [Column("id", "int")]
    columns += [Column(f"c{at}", choice.of(TYPES)) for at in range(choice.number(1, 4))]
    keyed = choice.chance(60)
    shown = [f"{each.name} {each.type}{' PRIMARY KEY' if keyed and each.name == 'id' else ''}" for each in columns]
    table = Table(name, columns, [f"CREATE TABLE {name} ({', '.join(shown)})"])
    rows = [_row(choice, number, columns, keyed) for number in range(choice.number(0, 6))]
    if rows:
        table.statements.append(f"INSERT INTO {name} VALUES {', '.join(rows)}")
    if rows and choice.chance(25):
        # More rows than fit a page or two: other plans are worth it.
        others = ", ".join(each.name for each in columns[1:])
        times = choice.of((10, 100))
        table.statements.append(
            f"INSERT INTO {name} SELECT id + 100 + n * 100, {others} FROM {name}, generate_series(1, {times}) n"
        )
    for at in range(choice.number(0, 2)):
        table.statements.append(_index(choice, table, at))
    if choice.chance(60):
        table.statements.append(f"ANALYZE {name}")
    return table


def _row(choice: Choice, number: int, columns: list[Column], keyed: bool) -> str:
    first = str(number) if keyed else str(choice.number(0, 5))
    return f"({', '.join([first, *(literal(choice, each.type, 20) for each in columns[1:])])})"


_UNORDERED = ("jsonb", "int[]")


def _index(choice: Choice, table: Table, at: int) -> str:
    chosen = choice.some([each for each in table.columns if each.type not in _UNORDERED], 1, 2)
    keys = [each.name + choice.of(("", " DESC", " NULLS FIRST")) for each in chosen]
    where = ""
    if choice.chance(20):
        where = f" WHERE {choice.of(chosen).name} IS NOT NULL"
    using = ""
    if choice.chance(20):
        using, keys = " USING hash", [chosen[0].name]
    return f"CREATE INDEX {table.name}_i{at} ON {table.name}{using} ({', '.join(keys)}){where}"
