"""INSERT, UPDATE, DELETE and MERGE with one outcome: no row has two rows to change it by, no key is given to two rows,
and rows that conflict come in an order that names every column. Ids that are new are above all others."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz.choice import Choice
from tests.fuzz.composed import ordered
from tests.fuzz.expressions import Reference, condition, expression
from tests.fuzz.queries import Queries
from tests.fuzz.scalars import canonical, literal
from tests.fuzz.tables import Column, Table

NEW_IDS = 100000


def change(choice: Choice, tables: Sequence[Table]) -> str:
    """A statement."""
    queries = Queries(choice, tables)
    table = choice.of(tables)
    way = choice.of((_insert, _insert, _update, _update, _delete, _merge, _change_in_with))
    return way(queries, table)


def _returning(queries: Queries, table: Table, name: str) -> str:
    if not queries.choice.chance(70):
        return ""
    if queries.choice.chance(40):
        return f" RETURNING {name}.*"
    known = table.references(name)
    kind = queries.choice.of(known).type
    return f" RETURNING {name}.id, {expression(queries.choice, known, kind, 2)} AS x0"


def _value(queries: Queries, column: Column, known: Sequence[Reference]) -> str:
    """What is assigned to a column: never null where it must not be, never too long."""
    if column.type in ("small", "numeric") or not column.nulls:
        return literal(queries.choice, column.type, 0 if not column.nulls else 10)
    return expression(queries.choice, known, column.type, 2)


def _insert(queries: Queries, table: Table) -> str:
    choice = queries.choice
    rest = table.columns[1:]
    names = ", ".join(["id", *(each.name for each in rest)])
    if choice.chance(60):
        rows = []
        for at in range(choice.number(1, 4)):
            # Several rows of an id that may be there: all fail or none.
            key = str(choice.number(0, 6) if choice.chance(30) else NEW_IDS + at)
            values = ["DEFAULT" if choice.chance(10) and each.nulls else _value(queries, each, []) for each in rest]
            rows.append(f"({', '.join([key, *values])})")
        what = f"VALUES {', '.join(rows)}"
    elif all(each.nulls for each in rest):
        made = ordered(queries, queries.query([], 1, [each.type for each in rest]))
        if not made.is_ordered or any(each.type == "small" for each in rest):
            return _delete(queries, table)
        what = f"SELECT {NEW_IDS} + row_number() OVER () % 7, s.* FROM ({made.text}) s"
    else:
        return _delete(queries, table)
    conflict = ""
    if table.is_keyed and choice.chance(60):
        changed = choice.of(rest)
        ways = ["DO NOTHING", f"DO UPDATE SET {changed.name} = excluded.{changed.name}"]
        known = [*table.references(table.name), *table.references("excluded")]
        ways.append(
            f"DO UPDATE SET {changed.name} = {_value(queries, changed, known)} WHERE {condition(choice, known, 2)}"
        )
        conflict = f" ON CONFLICT {choice.of(('(id) ', '(id) ', f'ON CONSTRAINT {table.name}_pkey '))}{choice.of(ways)}"
    return f"INSERT INTO {table.name} ({names}) {what}{conflict}{_returning(queries, table, table.name)}"


def _where(queries: Queries, known: Sequence[Reference], word: str = "WHERE") -> str:
    return f" {word} {queries.condition(known, [], 1, False)}" if queries.choice.chance(80) else ""


def _by_key(queries: Queries) -> tuple[str, list[Reference]]:
    """(an item of FROM with one row of each ``k``, its columns)."""
    other = queries.choice.of(queries.tables)
    column = queries.choice.of(other.columns)
    value = "(array_agg({0} ORDER BY {0}))[1]".format(canonical(column.type, f"o.{column.name}"))
    if column.type.endswith("[]"):
        value = f"max(o.{column.name})"
    text = f"(SELECT o.id AS k, {value} AS v FROM {other.name} o GROUP BY o.id) f"
    return text, [Reference("f.k", "int"), Reference("f.v", column.type)]


def _update(queries: Queries, table: Table) -> str:
    choice = queries.choice
    own = table.references("t")
    source, more, link = "", [], ""
    if choice.chance(50):
        source, more = _by_key(queries)
        source, link = f" FROM {source}", "f.k = t.id"
    known = [*own, *more]
    changed = choice.some(table.columns[1:], 1, 2)
    values = [_value(queries, each, known) for each in changed]
    sets = ", ".join(f"{each.name} = {value}" for each, value in zip(changed, values, strict=True))
    if len(changed) == 2 and choice.chance(40):
        sets = f"({changed[0].name}, {changed[1].name}) = ({values[0]}, {values[1]})"
    if choice.chance(15):
        sets += f", id = id + {NEW_IDS}"
    where = _where(queries, known, f"WHERE {link} AND" if link else "WHERE") or (f" WHERE {link}" if link else "")
    return f"UPDATE {table.name} t SET {sets}{source}{where}{_returning(queries, table, 't')}"


def _delete(queries: Queries, table: Table) -> str:
    own = table.references("t")
    if not queries.choice.chance(40):
        return f"DELETE FROM {table.name} t{_where(queries, own)}{_returning(queries, table, 't')}"
    text, more = _by_key(queries)
    where = _where(queries, [*own, *more], "WHERE f.k = t.id AND") or " WHERE f.k = t.id"
    return f"DELETE FROM {table.name} t USING {text}{where}{_returning(queries, table, 't')}"


def _merge(queries: Queries, table: Table) -> str:
    choice = queries.choice
    text, more = _by_key(queries)
    known = [*table.references("t"), *more]
    clauses = []
    for _ in range(choice.number(1, 3)):
        way = choice.of(("update", "delete", "insert", "nothing"))
        inside = known if way != "insert" else more
        test = f" AND {condition(choice, inside, 2)}" if choice.chance(50) else ""
        column = choice.of(table.columns[1:])
        if way == "insert":
            values = [f"f.k + {NEW_IDS}", *(_value(queries, each, more) for each in table.columns[1:])]
            clauses.append(f"WHEN NOT MATCHED{test} THEN INSERT VALUES ({', '.join(values)})")
        elif way == "update":
            clauses.append(f"WHEN MATCHED{test} THEN UPDATE SET {column.name} = {_value(queries, column, known)}")
        else:
            action = "DELETE" if way == "delete" else "DO NOTHING"
            clauses.append(f"WHEN MATCHED{test} THEN {action}")
    # A clause without a condition may only be the last of its kind.
    seen: set[str] = set()
    kept = []
    for clause in clauses:
        kind = clause.split(" THEN")[0].split(" AND")[0]
        if kind not in seen:
            kept.append(clause)
        if " AND " not in clause.split(" THEN")[0]:
            seen.add(kind)
    return f"MERGE INTO {table.name} t USING {text} ON f.k = t.id {' '.join(kept)}"


def _change_in_with(queries: Queries, table: Table) -> str:
    inner = queries.choice.of((_update, _delete))(queries, table).split(" RETURNING ")[0]
    column = queries.choice.of(table.columns)
    return (
        f"WITH w AS ({inner} RETURNING t.id, t.{column.name} AS v) "
        f"SELECT w.id, w.v, count(*) FROM w LEFT JOIN {table.name} o ON o.id = w.id GROUP BY w.id, w.v"
    )
