"""Functions that the catalog answers, declared one a line with the names of their arguments and columns.

``oid name(argument type, …) [setof] result [stable|volatile] [nullable] [-> column type, …]``. The name of an argument
may be left out. What they do is in ``catalog/functions``, under their pg_proc names.
"""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.types.declare import fn
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.record import Record
from compute_node.types.registry import REGISTRY, FunctionContext, PgType


def forward(name: str) -> Callable[..., Datum]:
    """The code of a function that the catalog answers."""
    return lambda context, *arguments: context.session.catalog_function(name, *arguments)


def _argument(text: str) -> tuple[str, str]:
    """Name, and the type as ``fn`` takes it."""
    words = text.split()
    variadic = "variadic " if words[0] == "variadic" else ""
    words = words[1:] if variadic else words
    return (words[0] if len(words) > 1 else ""), variadic + words[-1]


def _record(code: Callable[..., Datum], kinds: list[PgType], names: list[str]) -> Callable[..., Datum]:
    """The one row that the code gives, as a value that knows its columns."""

    def run(context: FunctionContext, *arguments: Datum) -> Datum:
        found = code(context, *arguments)
        return None if found is None else Record.of(found, kinds, tuple(names))

    return run


def declare(line: str, implementation: Callable[..., Datum] | None = None, **extra: Datum) -> None:
    """Declare one function; without an implementation the catalog answers. ``extra`` are further fields of
    ``Function``."""
    oid, _, rest = line.strip().partition(" ")
    signature, _, columns = rest.partition(" -> ")
    name, _, tail = signature.partition("(")
    arguments, closed, result = tail.partition(") ")
    if not closed:
        raise InvariantViolation(f"malformed declaration: {line}")
    pairs = [_argument(each) for each in arguments.split(", ") if each]
    if any(named for named, _ in pairs):
        extra["argument_names"] = tuple([named for named, _ in pairs])
    if columns:
        split = [(column, TYPE_OIDS[kind]) for column, kind in map(str.split, columns.split(", "))]
        extra["out_columns"] = tuple(split)
        if " setof " not in f" {result}":
            kinds = [REGISTRY.types[kind] for _, kind in split]
            implementation = _record(implementation or forward(name), kinds, [column for column, _ in split])
    plain = f"{name}({', '.join(kind for _, kind in pairs)}) {result}"
    fn(int(oid), plain, implementation or forward(name), needs_context=True, **extra)


def forwards(block: str) -> None:
    """Declare the functions of a block."""
    for line in block.strip().splitlines():
        declare(line)
