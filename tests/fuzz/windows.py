"""Window functions over rows whose order is total: ties are equal in all columns, so nobody can tell them apart."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz.expressions import Reference
from tests.fuzz.queries import Queries, Select, columns_of
from tests.fuzz.scalars import SCALARS, canonical, literal

_BOUNDS = ("UNBOUNDED PRECEDING", "2 PRECEDING", "1 PRECEDING", "CURRENT ROW", "1 FOLLOWING", "3 FOLLOWING")
_EXCLUSIONS = ("", "", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS")
_OFFSETS = {"int": "2", "bigint": "3", "numeric": "1.5", "smallint": "2", "date": "interval '40 days'", "float8": "2.5"}
"""How far RANGE goes, by the type of its column."""


def windowed(queries: Queries, outer: Sequence[Reference], depth: int, types: Sequence[str]) -> Select:
    """A query of window functions over the rows of another."""
    choice = queries.choice
    made = queries.query(outer, depth + 1, [*types, *choice.some(queries.types, 0, 1)])
    columns = columns_of("s", made.types)
    # Two orders place a row among its equals in two ways: all functions that show its place share one window.
    # So does a frame of ROWS.
    shared, is_whole = _window(queries, columns)
    shown = []
    for at, kind in enumerate(types):
        is_shared = choice.chance(70)
        window = "w" if is_shared else _window(queries, columns, ("GROUPS", "RANGE"))[0]
        call = _call(queries, columns, kind, f"s.x{at}", is_shared and is_whole)
        # A sum's scale, a lag's default: what comes out may differ from the column's own form.
        shown.append(canonical(kind, f"{call} OVER {window}") if call else f"s.x{at}")
    clause = f" WINDOW w AS {shared}" if any(" OVER w" in each for each in shown) else ""
    if clause and choice.chance(20) and "BETWEEN" not in shared:
        clause += ", w2 AS (w)"
        shown = [each.replace(" OVER w", " OVER w2") for each in shown]
    text = f"SELECT {queries.listed(shown)} FROM {queries.alike(made)}{clause}"
    return Select(text, list(types))


def _call(queries: Queries, columns: Sequence[Reference], kind: str, own: str, is_whole: bool) -> str:
    choice = queries.choice
    ways = ["none"]
    if is_whole:  # the place of a row among its equals shows only where nothing else tells them apart
        ways += [f"lag({own})", f"lead({own}, 2)", f"lag({own}, 1, {literal(choice, kind)})", f"first_value({own})"]
        ways += [f"last_value({own})", f"nth_value({own}, 2)"]
        ways += {"bigint": ["row_number()"], "int": ["ntile(3)"]}.get(kind, [])
        ways += {"text": [f"string_agg({own}, ',')"], "int[]": ["array_agg(1)"]}.get(kind, [])
    if kind == "bigint":
        any_one = choice.of(columns).text
        ways += [
            "rank()",
            "dense_rank()",
            "count(*)",
            f"count({any_one})",
            f"count(*) FILTER (WHERE {any_one} IS NULL)",
        ]
    if kind == "float8":
        ways += ["percent_rank()", "cume_dist()"]
    if kind == "numeric":
        numbers = [each.text for each in columns if each.type in ("int", "smallint", "numeric")]
        ways += [f"avg({one})" for one in numbers] + [f"sum({own})", f"sum({own}) FILTER (WHERE {own} > 0)"]
    if kind == "boolean":
        ways += [f"bool_or({own})"]
    if SCALARS[kind].has_extremes:
        ways += [f"min({own})", f"max({own})"]
    way = choice.of(ways)
    return "" if way == "none" else way


def _window(
    queries: Queries, columns: Sequence[Reference], modes: Sequence[str] = ("ROWS", "GROUPS", "RANGE")
) -> tuple[str, bool]:
    """(the window, whether its order names every column)."""
    choice = queries.choice
    partition = f"PARTITION BY {choice.of(columns).text} " if choice.chance(40) else ""
    ranged = [each for each in columns if each.type in _OFFSETS]
    if ranged and choice.chance(25):
        one = choice.of(ranged)
        ends = choice.of([f"{start} AND {{0}} FOLLOWING" for start in ("{0} PRECEDING", _BOUNDS[0], "CURRENT ROW")])
        order = f"ORDER BY {one.text}{choice.of(('', ' DESC', ' NULLS FIRST'))}"
        frame = f"RANGE BETWEEN {ends.format(_OFFSETS[one.type])}{choice.of(('', ' EXCLUDE GROUP'))}"
        return f"({partition}{order} {frame})", False
    if choice.chance(10):
        return f"({partition.strip()})", False
    keys = [f"{each.text}{choice.of(('', ' DESC', ' NULLS FIRST'))}" for each in columns]
    frame = ""
    if choice.chance(60):
        mode = choice.of(modes)
        bounds = _BOUNDS if mode != "RANGE" else ("UNBOUNDED PRECEDING", "CURRENT ROW")
        first = choice.number(0, len(bounds) - 1)
        last = choice.of((*bounds[max(1, first) :], "UNBOUNDED FOLLOWING"))
        frame = f" {mode} BETWEEN {bounds[first]} AND {last}{choice.of(_EXCLUSIONS)}"
    return f"({partition}ORDER BY {', '.join(keys)}{frame})", True
