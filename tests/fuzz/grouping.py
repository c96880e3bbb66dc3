"""GROUP BY with all kinds of sets, and aggregates whose value does not depend on the order of the rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.fuzz.expressions import Reference, condition, expression
from tests.fuzz.queries import Queries, Select, Source
from tests.fuzz.scalars import SCALARS, canonical, literal

# Floats are counted and compared, never added: the order of a sum is the plan's.
CALLS: dict[str, tuple[tuple[str, str], ...]] = {
    "bigint": (
        ("sum({d}{x})", "int"),
        ("sum({d}{x})", "smallint"),
        ("bit_xor({x})", "bigint"),
        ("rank(1) WITHIN GROUP (ORDER BY {x})", "int"),
        ("dense_rank('b') WITHIN GROUP (ORDER BY {x} DESC)", "text"),
    ),
    "int": (("bit_and({x})", "int"), ("bit_or({x})", "int")),
    "numeric": (
        ("sum({d}{x})", "numeric"),
        ("avg({d}{x})", "int"),
        ("avg({x})", "bigint"),
        ("avg({x})", "numeric"),
        ("sum({x})", "bigint"),
        ("stddev_pop({x} % 100)", "int"),
        ("var_samp({d}{x} % 100)", "int"),
        ("variance({x})", "smallint"),
    ),
    "boolean": (("bool_and({x})", "boolean"), ("bool_or({x})", "boolean"), ("every({x})", "boolean")),
    "int[]": (("array_agg({d}{x} ORDER BY {x})", "int"), ("array_agg({x} ORDER BY {x} DESC NULLS LAST)", "int")),
    "text[]": (("array_agg({d}{x} ORDER BY {x})", "text"),),
    "text": (
        ("string_agg({x}, ',' ORDER BY {x})", "text"),
        ("string_agg(DISTINCT {x}, ',')", "text"),
        ("array_agg({x} ORDER BY {x})::text", "date"),
        ("json_agg({x} ORDER BY {x})::text", "int"),
        ("array_agg({x} ORDER BY {x})::text", "pair"),
    ),
    "bytea": (("string_agg({x}, '\\x2c' ORDER BY {x})", "bytea"),),
    "jsonb": (
        ("jsonb_agg({x} ORDER BY {x})", "text"),
        ("jsonb_agg({x} ORDER BY {x})", "jsonb"),
        ("jsonb_object_agg(coalesce({x}, ''), 1)", "text"),
    ),
    "float8": (
        ("percentile_disc(0.5) WITHIN GROUP (ORDER BY {x})", "float8"),
        ("percentile_cont(0.25) WITHIN GROUP (ORDER BY {x})", "smallint"),
        ("percent_rank(1) WITHIN GROUP (ORDER BY {x})", "int"),
    ),
    "interval": (("sum({x})", "interval"),),
    "money": (("sum({x})", "money"),),
    "int4multirange": (("range_agg({x})", "int4range"), ("range_intersect_agg({x})", "int4multirange")),
    "int4range": (("range_intersect_agg({x})", "int4range"),),
    "bit(3)": (("bit_or({x})", "bit(3)"), ("bit_and({x})", "bit(3)")),
}
_COLUMN = re.compile(r"\bs\d+\.\w")


def aggregate(queries: Queries, columns: Sequence[Reference], kind: str) -> str:
    """An aggregate of a type."""
    choice = queries.choice
    kept = f" FILTER (WHERE {condition(choice, columns, 2)})" if choice.chance(20) else ""
    distinct = "DISTINCT " if choice.chance(20) else ""
    if kind == "bigint" and choice.chance(60):
        counted = choice.of(queries.types)
        what = f"{distinct}{expression(choice, columns, counted, 2)}" if choice.chance(70) else "*"
        return f"count({what}){kept}"
    floats = [each.text for each in columns if each.type in ("float8", "real")]
    if kind == "float8" and queries.sums_floats and floats and choice.chance(60):
        return f"{choice.of(('sum', 'avg'))}({distinct}{choice.of(floats)}::float8){kept}"
    if kind in CALLS and choice.chance(60):
        template, operand = choice.of(CALLS[kind])
        # Written once more in ORDER BY: what stands for one parameter twice would be two.
        value = canonical(operand, expression(choice, columns, operand, 2))
        return template.format(x=value, d=distinct) + kept
    value = canonical(kind, expression(choice, columns, kind, 2))
    if SCALARS[kind].has_extremes and choice.chance(70):
        return f"{choice.of(('min', 'max'))}({distinct}{value}){kept}"
    if kind.endswith("[]"):
        return literal(choice, kind)
    if choice.chance(40):
        return f"mode() WITHIN GROUP (ORDER BY {value}){kept}"
    if choice.chance(40):
        return f"percentile_disc(0.7) WITHIN GROUP (ORDER BY {value}){kept}"
    return f"(array_agg({value} ORDER BY {value}){kept})[1]"


def grouped(
    queries: Queries, source: Source, where: str, types: Sequence[str], outer: Sequence[Reference], depth: int
) -> Select:
    """SELECT with GROUP BY."""
    choice = queries.choice
    nests = depth < queries.depth_max and not source.is_large
    keys: dict[str, str] = {}
    for _ in range(choice.number(0, 3)):
        kind = choice.of(source.columns).type
        found = canonical(kind, expression(choice, source.columns, kind, 2))
        if nests and choice.chance(7):
            found = queries.scalar(kind, source.columns, depth)
        if _COLUMN.search(found):  # a bare constant would be a column's number
            keys[found] = kind
    shown = []
    for kind in types:
        own = [key for key, of in keys.items() if of == kind]
        if own and choice.chance(70):
            shown.append(choice.of(own))
        elif kind == "int" and keys and choice.chance(30):
            shown.append(f"GROUPING({choice.of(list(keys))})")
        elif nests and choice.chance(10):
            # An aggregate of this query within a sub-select of one row for each row of another table.
            rows = queries.query([], depth + 1, ["int"]).text
            shown.append(f"(SELECT {aggregate(queries, source.columns, kind)} FROM ({rows}) n LIMIT 1)")
        elif choice.chance(10) and (kind == "bigint" or SCALARS[kind].has_extremes):
            over = f"PARTITION BY {choice.of(list(keys))}" if keys and choice.chance(50) else ""
            call = f"max({aggregate(queries, source.columns, kind)})" if SCALARS[kind].has_extremes else "count(*)"
            shown.append(f"{call} OVER ({over})")
        else:
            shown.append(aggregate(queries, source.columns, kind))
    having = ""
    if choice.chance(25):
        having = f" HAVING count(*) {choice.of(('>', '<=', '<>'))} {choice.number(0, 3)}"
        if choice.chance(30):
            kind = choice.of(("int", "numeric", "text"))
            having += f" OR {aggregate(queries, source.columns, kind)} > {literal(choice, kind)}"
        if nests and choice.chance(30):
            kind = choice.of(source.columns).type
            rows = queries.query(source.columns if choice.chance(20) and not keys else [], depth + 1, [kind]).text
            having += f" AND {aggregate(queries, source.columns, kind)} {choice.of(('IN', 'NOT IN', '= ANY'))} ({rows})"
    group = _group(queries, list(keys))
    return Select(f"SELECT {queries.listed(shown)}{source.text}{where}{group}{having}", list(types))


def _group(queries: Queries, keys: Sequence[str]) -> str:
    choice = queries.choice
    if not keys:
        return choice.of(("", "", " GROUP BY ()"))
    listed = ", ".join(keys)
    sets = ", ".join(f"({', '.join(choice.some(keys, 0, len(keys)))})" for _ in range(choice.number(1, 3)))
    left = ", ".join([*keys[1:], f"ROLLUP ({keys[0]})"])
    ways = (listed, listed, listed, f"ROLLUP ({listed})", f"CUBE ({listed})", f"GROUPING SETS ({sets}, ({listed}))")
    return f" GROUP BY {choice.of((*ways, left, f'DISTINCT ROLLUP ({listed}), ROLLUP ({keys[0]})'))}"
