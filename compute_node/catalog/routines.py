"""Functions and procedures in the language SQL: rows of pg_proc → declarations.

``prosqlbody`` holds an SQL-standard body as text, ``RETURN …`` or ``BEGIN ATOMIC …; … END``, its names written whole;
``proargdefaults`` the defaults, one a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aurora.datum import Datum
from compute_node.catalog.rows import Record
from compute_node.types.oids import RECORD
from compute_node.types.registry import Function, Parameter, PgType, Routine, RoutineCall

RETURN = "RETURN "
ATOMIC = "BEGIN ATOMIC\n"
END = "\nEND"
INPUT_MODES = "ibv"
OUTPUT_MODES = "obt"


def sql_function(row: Record) -> Function:
    """The function of a row."""
    arguments = tuple(row.proargtypes)
    parameters = parameters_of(row)
    outputs = [item for item in parameters if item.mode in OUTPUT_MODES]
    defaults = split_texts(row.proargdefaults)
    values: dict[str, Datum] = {
        "oid": row.oid,
        "name": row.proname,
        "arguments": arguments,
        "result": row.prorettype,
        "strict": row.proisstrict,
        "volatility": row.provolatile,
        "kind": row.prokind,
        "returns_set": row.proretset,
        "variadic": row.provariadic,
        "needs_context": True,
        "argument_names": tuple([item.name for item in parameters if item.mode in INPUT_MODES]),
        "out_columns": tuple(output_columns(outputs)) if row.prorettype == RECORD else (),
        "output_name": outputs[0].name if len(outputs) == 1 and row.prorettype != RECORD else "",
        "defaults": (None,) * len(defaults),
        "default_texts": defaults,
        "parameters": parameters,
        "source": row.prosrc,
        "namespace": row.pronamespace,
        "routine": _routine(row),
        "cost": row.procost,
        "rows": row.prorows,
    }
    # What is called has the function with it, which is only there once it is made.
    made: list[Function] = []

    def specialize(kinds: tuple[PgType, ...], result: PgType) -> Callable[..., Datum]:
        return implementation(RoutineCall(made[0], tuple([kind.oid for kind in kinds]), result.oid))

    def plain(context: Any, *given: Any) -> Any:
        return implementation(RoutineCall(made[0], arguments, row.prorettype))(context, *given)

    def with_columns(kinds: tuple[int, ...], result: int, columns: tuple[tuple[int, int], ...]) -> Callable[..., Datum]:
        return implementation(RoutineCall(made[0], kinds, result, columns))

    made.append(Function(implementation=plain, specialize=specialize, with_columns=with_columns, **values))
    return made[0]


def implementation(call: RoutineCall) -> Callable[..., Datum]:
    """What runs the function at one call site."""
    return partial(_run, call)


def _run(call: RoutineCall, context: Any, *arguments: Any) -> Any:
    return context.session.call_routine(call, arguments, context.reads_with)


def parameters_of(row: Record) -> tuple[Parameter, ...]:
    """All arguments of a row of pg_proc."""
    kinds = row.proallargtypes or list(row.proargtypes)
    names = row.proargnames or [""] * len(kinds)
    modes = row.proargmodes or ["i"] * len(kinds)
    found = [Parameter(*item) for item in zip(modes, names, kinds, strict=True)]
    if row.provariadic and not row.proargmodes:
        found[-1] = found[-1]._replace(mode="v")
    return tuple(found)


def output_columns(outputs: Sequence[Parameter]) -> list[tuple[str, int]]:
    """The columns that OUT arguments make; those without a name are numbered."""
    return [(item.name or f"column{number}", item.type) for number, item in enumerate(outputs, 1)]


def _routine(row: Record) -> Routine:
    settings = tuple([(name, value) for name, _, value in (item.partition("=") for item in row.proconfig or ())])
    text, stored, expression = row.prosrc, False, False
    if row.prosqlbody is not None:
        stored, expression = True, row.prosqlbody.startswith(RETURN)
        text = body_statements(row.prosqlbody)
    return Routine(
        text, row.proowner, stored=stored, expression=expression,
        security_definer=row.prosecdef, settings=settings,
    )  # fmt: skip


def body_statements(stored: str) -> str:
    """The statements of a stored SQL-standard body."""
    if stored.startswith(RETURN):
        return "SELECT " + stored.removeprefix(RETURN)
    return stored.removeprefix(ATOMIC).removesuffix(END)


def split_texts(text: str | None) -> tuple[str, ...]:
    """Expressions that are stored one a line; a line may end within a string literal or a quoted name."""
    parts: list[str] = []
    for line in text.split("\n") if text is not None else ():
        if parts and (parts[-1].count("'") % 2 or parts[-1].count('"') % 2):
            parts[-1] += "\n" + line
        else:
            parts.append(line)
    return tuple(parts)
