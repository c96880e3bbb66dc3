"""Queries of queries: set operations, WITH, recursion, ORDER BY with LIMIT, VALUES, DISTINCT ON, set-returning
functions in the list."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz.expressions import Reference, condition, expression
from tests.fuzz.queries import Queries, Select, Source, columns_of
from tests.fuzz.scalars import SCALARS, canonical

SET_OPERATIONS = ("UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL")
_DIRECTIONS = ("", " DESC", " NULLS FIRST", " DESC NULLS LAST")


def statement(queries: Queries) -> Select:
    """A whole query."""
    made = queries.query([], 0)
    return ordered(queries, made) if queries.choice.chance(30) else made


def ordered(queries: Queries, made: Select) -> Select:
    """A query's rows in an order that names every column, perhaps some of them."""
    choice = queries.choice
    keys = [f"x{at}{choice.of(_DIRECTIONS)}" for at in range(len(made.types))]
    head = f"SELECT * FROM {queries.alike(made)} ORDER BY"
    if choice.chance(15):
        # All of the last row's equals are there, in any order.
        return Select(f"{head} {keys[0]} FETCH FIRST {max(1, choice.of(queries.limits))} ROWS WITH TIES", made.types)
    limit = f" LIMIT {choice.of(queries.limits)}" if choice.chance(60) else ""
    if choice.chance(10):
        limit = f" LIMIT (SELECT count(*) % {choice.number(1, 5)} FROM {choice.of(queries.tables).name})"
    offset = f" OFFSET {choice.number(0, 3)}" if choice.chance(20) else ""
    return Select(f"{head} {', '.join(keys)}{limit}{offset}", made.types, True)


def top_query(queries: Queries, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
    """The first rows by a column and the key of one table, or of another query."""
    choice = queries.choice
    keyed = [each for each in queries.tables if each.is_keyed or each.is_large]
    if not keyed or choice.chance(30):
        made = ordered(queries, queries.query(outer, depth + 1, types))
        return Select(f"({made.text})", list(types))
    table = choice.of(keyed)
    alias = queries.alias()
    columns = table.references(alias)
    keys = [f"{each.text}{choice.of(_DIRECTIONS)}" for each in choice.some(columns[1:], 0, 2)]
    order = ", ".join([*keys, f"{alias}.id{choice.of(('', ' DESC'))}"])
    where = f" WHERE {condition(choice, [*columns, *outer])}" if choice.chance(60) else ""
    shown = queries.listed([expression(choice, [*columns, *outer], kind) for kind in types])
    limit = f" LIMIT {choice.of((1, 3, 10, 0))}{choice.of(('', '', ' OFFSET 2'))}"
    return Select(f"(SELECT {shown} FROM {table.name} {alias}{where} ORDER BY {order}{limit})", list(types))


def values_query(queries: Queries, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
    """VALUES as a query."""
    choice = queries.choice
    rows = []
    for _ in range(choice.number(1, 3)):
        row = [expression(choice, outer, kind, 2) for kind in types]
        if depth < queries.depth_max and choice.chance(15):
            row[0] = queries.scalar(types[0], outer, depth)
        rows.append(f"({', '.join(row)})")
    names = ", ".join(f"x{at}" for at in range(len(types)))
    return Select(f"(SELECT * FROM (VALUES {', '.join(rows)}) v({names}))", list(types))


def set_query(queries: Queries, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
    """Two or three queries, with and without parentheses."""
    choice = queries.choice
    text = _part(queries, outer, depth, types)
    for _ in range(choice.of((1, 1, 2))):
        text = f"{text} {choice.of(SET_OPERATIONS)} {_part(queries, outer, depth, types)}"
    return Select(f"({text})", list(types))


def _part(queries: Queries, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> str:
    made = queries.query(outer, depth + 1, types)
    plain = [canonical(kind, "") for kind in types]
    return f"(SELECT * FROM {queries.alike(made)})" if any(plain) else f"({made.text})"


def with_query(queries: Queries, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
    """WITH: one query under a name, used once or twice."""
    choice = queries.choice
    name = f"w{queries.alias()}"
    made = queries.query([], depth + 1)
    kind = choice.of(("", "MATERIALIZED ", "NOT MATERIALIZED "))
    known = columns_of(name, made.types)
    where = f" WHERE {condition(choice, known, 1)}" if choice.chance(60) else ""
    shown = queries.listed([expression(choice, [*known, *outer], each, 1) for each in types])
    again = f" UNION ALL SELECT {shown} FROM {name}" if choice.chance(30) else ""
    second = ""
    if choice.chance(30):
        second, name = f", {name}b AS (SELECT * FROM {name}{where})", f"{name}b {name}"
        again = ""
    return Select(
        f"(WITH {name.split('b ')[0]} AS {kind}({made.text}){second} SELECT {shown} FROM {name}{where}{again})",
        list(types),
    )


def recursive_query(queries: Queries, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
    """WITH RECURSIVE that counts to a small number, with or without the rows of a table."""
    choice = queries.choice
    name = f"w{queries.alias()}"
    first = queries.query([], depth + 1, types)
    kept = [Reference("n", "int"), *(Reference(f"x{at}", kind) for at, kind in enumerate(types))]
    names = ", ".join(each.text for each in kept)
    known = [Reference(f"{name}.{each.text}", each.type) for each in kept]
    word = choice.of(("UNION ALL", "UNION ALL", "UNION"))
    again = ", ".join(f"{name}.x{at}" for at in range(len(types)))
    test = f" AND {condition(choice, known, 2)}" if choice.chance(40) else ""
    small = [each for each in queries.tables if not each.is_large]
    joined = ""
    if small and choice.chance(30):
        joined = f" JOIN {choice.of(small).name} j ON j.id = {name}.n"
    # At most a few rows in the first step: each step may multiply them.
    start = f"SELECT 0, s.* FROM (SELECT * FROM {queries.alike(first)} ORDER BY {_all(types)} LIMIT 5) s"
    body = f"{start} {word} SELECT {name}.n + 1, {again} FROM {name}{joined} WHERE {name}.n < 3{test}"
    if word == "UNION" and not all(SCALARS[kind].is_hashed for kind in types):
        body = body.replace(" UNION ", " UNION ALL ")
    search = f" SEARCH {choice.of(('DEPTH', 'BREADTH'))} FIRST BY {choice.of((names, 'n', 'n, x0'))} SET o"
    mark = choice.of(("is_cycle", "is_cycle TO true DEFAULT false"))
    cycle = f" CYCLE {choice.of(('n', names))} SET {mark} USING path"
    extra = choice.of(("", "", "", search, cycle, search + cycle))
    if extra and word == "UNION":
        extra = ""
    if "SEARCH" in extra:
        known.append(Reference(f"({name}.o)::text", "text"))
    if "CYCLE" in extra:
        known += [Reference(f"{name}.is_cycle", "boolean"), Reference(f"({name}.path)::text", "text")]
    shown = queries.listed([expression(choice, [*known, *outer], kind, 2) for kind in types])
    return Select(f"(WITH RECURSIVE {name}({names}) AS ({body}){extra} SELECT {shown} FROM {name})", list(types))


def _all(types: Sequence[str]) -> str:
    return ", ".join(f"x{at}" for at in range(len(types)))


def first_of_each(queries: Queries, source: Source, where: str, values: Sequence[str], types: Sequence[str]) -> Select:
    """DISTINCT ON the first columns, the others in order."""
    shown = queries.listed([canonical(kind, value) for kind, value in zip(types, values, strict=True)])
    keys = [f"s.x{at}" for at in range(len(types))]
    on = ", ".join(keys[: queries.choice.number(1, len(keys))])
    order = ", ".join(f"{key}{queries.choice.of(_DIRECTIONS)}" for key in keys)
    text = f"(SELECT DISTINCT ON ({on}) s.* FROM (SELECT {shown}{source.text}{where}) s ORDER BY {order})"
    return Select(text, list(types))


def with_set_function(
    queries: Queries, source: Source, where: str, values: Sequence[str], types: Sequence[str]
) -> Select:
    """A set-returning function in the list."""
    choice = queries.choice
    known = source.columns
    made = list(values)
    calls = {
        "int": ("generate_series(1, {} % 3)", "int"),
        "text": ("regexp_split_to_table({}, 'a')", "text"),
        "jsonb": ("jsonb_path_query({}, '$.*')", "jsonb"),
        "boolean": ("(unnest({}) > 1)", "int[]"),
        "numeric": ("unnest(ARRAY[generate_series(1, {} % 3), 7])::numeric", "int"),
    }
    for at, kind in enumerate(types):
        if kind in calls and not source.is_large:
            template, operand = calls[kind]
            made[at] = template.format(expression(choice, known, operand, 2))
            if choice.chance(50):
                break
    return Select(f"SELECT {queries.listed(made)}{source.text}{where}", list(types))
