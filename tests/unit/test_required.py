"""What a statement needs of whom, as analysis finds it: modes and columns of each relation, views as their owners."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support_sql import TABLES, FakeCatalog

from compute_node.sql.analyze import analyze
from compute_node.sql.expressions import Expr
from compute_node.sql.parse import parse
from compute_node.sql.query import RangeEntry
from compute_node.sql.required import places_of
from compute_node.sql.rewrite import deep_map, map_query_expressions
from compute_node.types.acl import DELETE, INSERT, SELECT, UPDATE

_LETTERS = ((SELECT, "r"), (INSERT, "a"), (UPDATE, "w"), (DELETE, "d"))
_OWNER = 77
_FIRST = TABLES[0]
_NAME, _COLUMNS = _FIRST.name, [column.name for column in _FIRST.columns]
_VIEW = replace(
    _FIRST, oid=99001, name="seen", kind="v", owner=_OWNER, view_sql=f"SELECT {_COLUMNS[0]} FROM public.{_NAME}",
    columns=_FIRST.columns[:1], indexes=(), options=(),
)  # fmt: skip
_INVOKED = replace(_VIEW, oid=99002, name="invoked", options=("security_invoker=true",))


def needs(sql: str) -> list[str]:
    """``name:modes r(columns) a(columns) w(columns) @role`` of each relation, in the order of the check."""
    source = sql.format(t=_NAME, a=_COLUMNS[0], b=_COLUMNS[1])
    query = analyze(parse(source)[0].node, FakeCatalog((_VIEW, _INVOKED)), [], source)
    found = []
    for access in query.privileges.relations:
        modes = "".join(letter for bit, letter in _LETTERS if access.modes & bit)
        columns = [
            f"{letter}{sorted(numbers)}"
            for letter, numbers in (("r", access.selected), ("a", access.inserted), ("w", access.updated))
            if numbers
        ]
        role = [f"@{access.check_as}"] if access.check_as else []
        name = "t" if access.relation.name == _NAME else access.relation.name
        found.append(" ".join([f"{name}:{modes}", *columns, *role]))
    return found


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", []),
        ("SELECT 1 FROM {t}", ["t:r"]),
        ("SELECT count(*) FROM {t}", ["t:r"]),
        ("SELECT {a} FROM {t}", ["t:r r[1]"]),
        ("SELECT x FROM {t} AS x", ["t:r r[0]"]),
        ("SELECT ctid FROM {t}", ["t:r r[-1]"]),
        ("SELECT {a} FROM {t} WHERE {b} IS NOT NULL", ["t:r r[1, 2]"]),
        ("SELECT 1 FROM {t} ORDER BY {b}", ["t:r r[2]"]),
        ("SELECT 1 FROM {t} GROUP BY {b} HAVING max({a}) IS NULL", ["t:r r[1, 2]"]),
        ("SELECT {a} FROM {t} FOR UPDATE", ["t:rw r[1]"]),
        ("SELECT x.{a} FROM {t} x JOIN {t} y USING ({b})", ["t:r r[1, 2]", "t:r r[2]"]),
        ("SELECT 1 FROM {t} x, LATERAL (SELECT x.{b}) z", ["t:r r[2]"]),
        ("SELECT 1 FROM {t} x WHERE EXISTS (SELECT FROM {t} y WHERE y.{a} = x.{b})", ["t:r r[2]", "t:r r[1]"]),
        ("WITH w AS (SELECT {b} FROM {t}) SELECT * FROM w", ["t:r r[2]"]),
        ("SELECT {a} FROM {t} UNION ALL SELECT {a} FROM {t}", ["t:r r[1]", "t:r r[1]"]),
        ("SELECT * FROM seen", ["seen:r r[1]", "t:r r[1] @77"]),
        ("SELECT 1 FROM seen", ["seen:r", "t:r r[1] @77"]),
        ("SELECT * FROM invoked", ["invoked:r r[1]", "t:r r[1]"]),
        ("SELECT * FROM seen FOR SHARE", ["seen:rw r[1]", "t:rw r[1] @77"]),
        ("DELETE FROM {t}", ["t:d"]),
        ("DELETE FROM {t} WHERE {a} IS NULL", ["t:rd r[1]"]),
        ("DELETE FROM {t} RETURNING {b}", ["t:rd r[2]"]),
        ("UPDATE {t} SET {b} = NULL", ["t:w w[2]"]),
        ("UPDATE {t} SET {b} = NULL WHERE {a} IS NULL", ["t:rw r[1] w[2]"]),
        ("UPDATE {t} SET {b} = {b}", ["t:rw r[2] w[2]"]),
        ("INSERT INTO {t} ({a}) VALUES (NULL)", ["t:a a[1]"]),
        ("INSERT INTO {t} VALUES (NULL)", ["t:a a[1]"]),
        ("INSERT INTO {t} DEFAULT VALUES", ["t:a"]),
        ("INSERT INTO {t} ({a}) SELECT {a} FROM {t}", ["t:a a[1]", "t:r r[1]"]),
        ("INSERT INTO {t} ({a}) VALUES (NULL) RETURNING {b}", ["t:ra r[2] a[1]"]),
        ("INSERT INTO {t} ({a}) VALUES (NULL) ON CONFLICT DO NOTHING", ["t:a a[1]"]),
    ],
)
def test_what_a_statement_needs(sql: str, expected: list[str]) -> None:
    assert needs(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT (SELECT max({a}) FROM {t}), 'x' FROM {t} WHERE EXISTS (SELECT FROM seen)",
        "SELECT (SELECT 'x' FROM {t} LIMIT 1) UNION SELECT {a}::text FROM {t} EXCEPT SELECT NULL FROM seen",
        "SELECT * FROM {t} x JOIN {t} y USING ({a}) LEFT JOIN seen z ON z.{a} = (SELECT min({b}) FROM {t})",
        "SELECT * FROM (SELECT {a} FROM {t}) x NATURAL FULL JOIN (SELECT (SELECT {a} FROM seen LIMIT 1) AS {a}) y",
        "WITH w AS (SELECT (SELECT 1 FROM {t}) q) SELECT q FROM w, LATERAL (SELECT {b} FROM {t} WHERE {a} = q) v",
        "WITH RECURSIVE r AS (SELECT 1 n UNION ALL SELECT n + 1 FROM r WHERE EXISTS (SELECT FROM {t})) SELECT n FROM r",
        "SELECT sum({a}) OVER (ROWS (SELECT count(*) FROM seen) PRECEDING) FROM {t} LIMIT (SELECT 1 FROM {t})",
        "SELECT g FROM generate_series(1, (SELECT max({a}) FROM {t})) g ORDER BY (SELECT {b} FROM {t} WHERE {a} = g)",
        "VALUES ((SELECT max({a}) FROM {t})), (1)",
        "INSERT INTO {t} SELECT {a}, (SELECT {b} FROM seen, {t} LIMIT 1) FROM {t} RETURNING (SELECT 1 FROM seen)",
        "UPDATE {t} SET {b} = (SELECT {b} FROM {t} LIMIT 1) FROM seen WHERE EXISTS (SELECT FROM seen)",
        "DELETE FROM {t} USING invoked WHERE {t}.{a} IN (SELECT {a} FROM seen)",
        "MERGE INTO {t} x USING seen y ON x.{a} = y.{a} AND EXISTS (SELECT FROM {t}) WHEN MATCHED AND EXISTS"
        " (SELECT FROM seen) THEN UPDATE SET {b} = (SELECT {b} FROM {t} LIMIT 1) WHEN NOT MATCHED THEN INSERT ({a})"
        " VALUES ((SELECT {a} FROM invoked LIMIT 1))",
    ],
)
def test_every_use_of_a_relation_is_found(sql: str) -> None:
    """What rewriting goes over has a place: no policy is passed over."""
    source = sql.format(t=_NAME, a=_COLUMNS[0], b=_COLUMNS[1])
    query = analyze(parse(source)[0].node, FakeCatalog((_VIEW, _INVOKED)), [], source)
    seen: list[RangeEntry] = []

    def note(entry: RangeEntry, _depth: int) -> RangeEntry:
        seen.append(entry)
        return entry

    def same(node: Expr, _depth: int) -> Expr:
        return node

    # A copy has other entries than what it was made of, also where the query keeps one expression twice.
    copy = map_query_expressions(query, lambda expr, depth: deep_map(expr, same, depth - 1))
    map_query_expressions(copy, lambda expr, depth: deep_map(expr, same, depth - 1, note), entry_hook=note)
    places = places_of(copy)
    assert any(entry.relation is not None for entry in seen)
    assert all(id(entry) in places for entry in seen if entry.relation is not None)
