"""What SQL calls: ``jsonb_path_exists``, ``_match``, ``_query``, ``_query_array``, ``_query_first``, with ``_tz`` the
same where a comparison may take the session's zone, and ``@?`` and ``@@`` (manual, 9.16.1 and 9.16.2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from aurora.datum import Datum
from aurora.errors import SingletonItemRequired
from compute_node.types.declare import fn, operators
from compute_node.types.json.value import Jsonb
from compute_node.types.jsonpath import value as _type  # noqa: F401  (the signatures name it)
from compute_node.types.jsonpath.tree import JsonPath
from compute_node.types.registry import FunctionContext, TypeEnv

if TYPE_CHECKING:
    from compute_node.types.jsonpath.items import Item

_NO_ZONE: Final = TypeEnv(timezone=UTC)
_Run = Callable[[Jsonb, JsonPath, "Jsonb | None", bool, "FunctionContext | None"], Any]


def _found(
    target: Jsonb, path: JsonPath, variables: Jsonb | None, silent: bool, context: FunctionContext | None
) -> list[Item]:
    """All items; with ``silent`` those before the first error."""
    from compute_node.types.jsonpath.engine import Execution, PathError, run

    execution = Execution(path, target, variables, context.env if context else _NO_ZONE, context is not None)
    execution.throws = not silent
    found: list[Item] = []
    try:
        run(execution, path, found)
    except PathError as error:
        if not silent:
            raise error.error from None
    return found


def _exists(
    target: Jsonb, path: JsonPath, variables: Jsonb | None, silent: bool, context: FunctionContext | None = None
) -> bool | None:
    """Whether there is an item; NULL after an error that ``silent`` hides."""
    from compute_node.types.jsonpath.engine import Execution, PathError, run

    execution = Execution(path, target, variables, context.env if context else _NO_ZONE, context is not None)
    execution.throws = not silent
    try:
        return run(execution, path, None)
    except PathError as error:
        if not silent:
            raise error.error from None
        return None


def _match(
    target: Jsonb, path: JsonPath, variables: Jsonb | None, silent: bool, context: FunctionContext | None = None
) -> bool | None:
    """The one item, a boolean, or null for unknown; 22038 for another result."""
    found = _found(target, path, variables, silent, context)
    if len(found) == 1:
        item = found[0]
        if item is None or isinstance(item, bool):
            return item
    if not silent:
        raise SingletonItemRequired("single boolean result is expected")
    return None


def _query(
    target: Jsonb, path: JsonPath, variables: Jsonb | None, silent: bool, context: FunctionContext | None = None
) -> list[Jsonb]:
    from compute_node.types.jsonpath.items import jsonb_of

    return [jsonb_of(item) for item in _found(target, path, variables, silent, context)]


def _query_array(
    target: Jsonb, path: JsonPath, variables: Jsonb | None, silent: bool, context: FunctionContext | None = None
) -> Jsonb:
    return Jsonb.of(_query(target, path, variables, silent, context))


def _query_first(
    target: Jsonb, path: JsonPath, variables: Jsonb | None, silent: bool, context: FunctionContext | None = None
) -> Jsonb | None:
    from compute_node.types.jsonpath.items import jsonb_of

    found = _found(target, path, variables, silent, context)
    return jsonb_of(found[0]) if found else None


def _declare(name: str, result: str, oid: int, zoned_oid: int, run: _Run) -> None:
    """A function and its _tz variant."""
    names: dict[str, Any] = {
        "argument_names": ("target", "path", "vars", "silent"),
        "defaults": (Jsonb.of({}), False),
    }
    arguments = "(jsonb, jsonpath, jsonb, bool)"

    def plain(target: Jsonb, path: JsonPath, variables: Jsonb, silent: bool) -> Datum:
        return run(target, path, variables, silent, None)

    def zoned(context: FunctionContext, target: Jsonb, path: JsonPath, variables: Jsonb, silent: bool) -> Datum:
        return run(target, path, variables, silent, context)

    fn(oid, f"{name}{arguments} {result}", plain, **names)
    fn(zoned_oid, f"{name}_tz{arguments} {result} stable", zoned, needs_context=True, **names)


_declare("jsonb_path_exists", "bool", 4005, 1177, _exists)
_declare("jsonb_path_match", "bool", 4009, 2030, _match)
_declare("jsonb_path_query", "setof jsonb", 4006, 1179, _query)
_declare("jsonb_path_query_array", "jsonb", 4007, 1180, _query_array)
_declare("jsonb_path_query_first", "jsonb", 4008, 2023, _query_first)
fn(4010, "jsonb_path_exists_opr(jsonb, jsonpath) bool", lambda target, path: _exists(target, path, None, True))
fn(4011, "jsonb_path_match_opr(jsonb, jsonpath) bool", lambda target, path: _match(target, path, None, True))
operators("""
4012 jsonb @? jsonpath bool 4010
4013 jsonb @@ jsonpath bool 4011
""")
