"""Expressions of a wanted type over the columns at hand. None of them fails for some rows and not for others: in which
order conditions are tried is the planner's choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.fuzz.choice import Choice
from tests.fuzz.tables import TYPES, literal

FUNCTIONS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "int": (
        ("length({})", ("text",)),
        ("({} % 7)", ("int",)),
        ("abs({} % 100)", ("int",)),
        ("coalesce({}, {})", ("int", "int")),
        ("cardinality({})", ("int[]",)),
        ("({})[1]", ("int[]",)),
        ("nullif({}, {})", ("int", "int")),
        ("greatest({}, {})", ("int", "int")),
        ("({} > 1)::int", ("numeric",)),
        ("position({} in {})", ("text", "text")),
        ("extract(year from {})::int", ("timestamp",)),
        ("lower({})", ("int4range",)),
        ("jsonb_array_length(jsonb_build_array({}))", ("jsonb",)),
        ("width_bucket({}::numeric % 50, 0, 50, 5)", ("int",)),
    ),
    "text": (
        ("({} || {})", ("text", "text")),
        ("upper({})", ("text",)),
        ("substr({}, {} % 4)", ("text", "int")),
        ("{}::text", ("int",)),
        ("{}::text", ("numeric",)),
        ("{}::text", ("boolean",)),
        ("{}::text", ("char(3)",)),
        ("coalesce({}, {})", ("text", "text")),
        ("replace({}, 'a', {})", ("text", "text")),
        ("left({}, 2)", ("text",)),
        ("jsonb_typeof({})", ("jsonb",)),
        ("({} ->> 'a')", ("jsonb",)),
        ("md5({})", ("text",)),
        ("to_char({}, 'YYYY-MM-DD')", ("timestamp",)),
        ("format('%s-%s', {}, {})", ("int", "text")),
        ("concat({}, {}, {})", ("text", "int", "date")),
        ("{}::text", ("int[]",)),
    ),
    "bigint": (
        ("({}::bigint + {} % 10)", ("int", "int")),
        ("coalesce({}, 5)", ("bigint",)),
        ("abs({} % 100)", ("bigint",)),
    ),
    "numeric": (
        ("({} + {})", ("numeric", "numeric")),
        ("({} * {})", ("numeric", "numeric")),
        ("round({}, 1)", ("numeric",)),
        ("{}::numeric", ("int",)),
        ("({} / nullif({}, 0))", ("numeric", "numeric")),
        ("trunc({})", ("numeric",)),
    ),
    "boolean": (
        ("({} < {})", ("int", "int")),
        ("({} LIKE {})", ("text", "text")),
        ("coalesce({}, false)", ("boolean",)),
        ("({} IS DISTINCT FROM {})", ("text", "text")),
    ),
    "date": (("({} + {} % 50)", ("date", "int")), ("{}::date", ("timestamp",)), ("greatest({}, {})", ("date", "date"))),
    "timestamp": (
        ("({} + {})", ("timestamp", "interval")),
        ("date_trunc('month', {})", ("timestamp",)),
        ("least({}, {})", ("timestamp", "timestamp")),
    ),
    "float8": (("{}::float8", ("int",)), ("coalesce({}, {})", ("float8", "float8")), ("abs({})", ("float8",))),
    "int[]": (
        ("({} || {})", ("int[]", "int")),
        ("array_remove({}, {})", ("int[]", "int")),
        ("ARRAY[{}, {}]", ("int", "int")),
        ("({})[1:2]", ("int[]",)),
    ),
    "jsonb": (
        ("({} -> 'a')", ("jsonb",)),
        ("to_jsonb({})", ("int",)),
        ("jsonb_build_object('k', {}, 'v', {})", ("text", "int")),
        ("coalesce({}, '0'::jsonb)", ("jsonb",)),
    ),
    "varchar(5)": (("left({}, 5)::varchar(5)", ("text",)),),
    "char(3)": (("left({}, 3)::char(3)", ("text",)),),
    "int4range": (("coalesce({}, {})", ("int4range", "int4range")), ("({} * {})", ("int4range", "int4range"))),
    "uuid": (("coalesce({}, {})", ("uuid", "uuid")),),
    "interval": (("({} - {})", ("timestamp", "timestamp")), ("({} * 2)", ("interval",))),
}
"""By type: templates with the types of what goes in."""
COMPARED = ("=", "<>", "<", "<=", ">", ">=")
CONDITIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("{} LIKE 'a%'", ("text",)),
    ("{} ~ '^[ab]'", ("text",)),
    ("{} ILIKE {}", ("text", "text")),
    ("{} @> '{{1}}'::int[]", ("int[]",)),
    ("{} && {}", ("int[]", "int[]")),
    ("{} = ANY ({})", ("int", "int[]")),
    ("{} <> ALL ({})", ("int", "int[]")),
    ("{} ? 'a'", ("jsonb",)),
    ("{} @> '{{\"a\": 1}}'::jsonb", ("jsonb",)),
    ("{} @> {}", ("int4range", "int")),
    ("{} && {}", ("int4range", "int4range")),
    ("{} SIMILAR TO '(a|b)%'", ("text",)),
    ("({}, {}) < ({}, {})", ("int", "text", "int", "text")),
    ("({}, {}) OVERLAPS ({}, {})", ("date", "date", "date", "date")),
)
DEPTH_MAX = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that an expression may use, as it is written there."""

    text: str
    type: str


def expression(choice: Choice, columns: Sequence[Reference], kind: str, depth: int = 0) -> str:
    """An expression of a type."""
    own = [each for each in columns if each.type == kind]
    ways = ["column"] if own else ["literal"]
    if own:
        ways.append("literal")
    if depth < DEPTH_MAX:
        ways += ["function", "case"]
    if kind == "boolean" and depth < DEPTH_MAX:
        ways.append("condition")
    way = choice.of(ways)
    if way == "column":
        return choice.of(own).text
    if way == "literal":
        return literal(choice, kind)
    if way == "condition":
        return f"({condition(choice, columns, depth + 1)})"
    if way == "case":
        test = condition(choice, columns, depth + 1)
        one, other = (expression(choice, columns, kind, depth + 1) for _ in range(2))
        return f"CASE WHEN {test} THEN {one} ELSE {other} END"
    template, kinds = choice.of(FUNCTIONS[kind])
    return template.format(*(expression(choice, columns, each, depth + 1) for each in kinds))


def condition(choice: Choice, columns: Sequence[Reference], depth: int = 0) -> str:
    """A condition over the columns."""
    ways = ["compare", "null", "among", "between", "template", "boolean"]
    if depth < DEPTH_MAX:
        ways += ["and", "or", "not"]
    way = choice.of(ways)
    if way in ("and", "or"):
        parts = [condition(choice, columns, depth + 1) for _ in range(choice.number(2, 3))]
        return f"({f' {way.upper()} '.join(parts)})"
    if way == "not":
        return f"NOT ({condition(choice, columns, depth + 1)})"
    kind = choice.of(columns).type if columns and choice.chance(80) else choice.of(TYPES)
    if way == "boolean":
        test = choice.of(("IS TRUE", "IS NOT FALSE", "IS UNKNOWN"))
        return f"({expression(choice, columns, 'boolean', depth + 1)}) {test}"
    if way == "template":
        template, kinds = choice.of(CONDITIONS)
        return template.format(*(expression(choice, columns, each, depth + 1) for each in kinds))
    subject = expression(choice, columns, kind, depth + 1)
    if way == "null":
        return f"{subject} {choice.of(('IS NULL', 'IS NOT NULL'))}"
    if way == "among":
        values = ", ".join(literal(choice, kind) for _ in range(choice.number(1, 3)))
        return f"{subject} {choice.of(('IN', 'NOT IN'))} ({values})"
    if way == "between":
        return f"{subject} BETWEEN {literal(choice, kind)} AND {literal(choice, kind)}"
    return f"{subject} {choice.of(COMPARED)} {expression(choice, columns, kind, depth + 1)}"
