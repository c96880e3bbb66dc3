"""Users' aggregates: rows of pg_aggregate → how they run over the functions that they name.

The state begins as the initial condition. Without one a strict transition function's first row of values that are not
NULL is the state (manual, CREATE AGGREGATE).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from aurora.errors import InternalError
from compute_node.catalog.rows import Record
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.analyze.polymorphism import POLYMORPHIC, resolve
from compute_node.types.registry import REGISTRY, Aggregate, Function, PgType

if TYPE_CHECKING:
    from compute_node.catalog.layer import CatalogLayer

_UNSET: Any = object()
"""the state of a strict transition function before its first row"""


def aggregate(layer: CatalogLayer, oid: int) -> Aggregate | None:
    """How a user's aggregate runs; None for what is none."""
    row, function = layer.reader.one("pg_aggregate", aggfnoid=oid), layer.reader.one("pg_proc", oid=oid)
    if row is None or function is None:
        return None
    declared = tuple(function.proargtypes)
    kinds = (*declared, row.aggtranstype, function.prorettype)
    if not any(kind in POLYMORPHIC for kind in kinds):
        return _made(layer, row, declared, row.aggtranstype, function.prorettype)

    def specialize(given: tuple[PgType, ...]) -> Aggregate:
        actual = tuple([kind.oid for kind in given])
        types: Any = _Types(layer)
        known = declared[: len(actual)]
        state, result = (resolve(types, actual, known, kind)[1] for kind in (row.aggtranstype, function.prorettype))
        return _made(layer, row, actual, state, result)

    base = _made(layer, row, declared, row.aggtranstype, function.prorettype, bound=False)
    return Aggregate(
        oid=oid, initial=base.initial, step=base.step, final=base.final, strict=base.strict,
        transition_type=row.aggtranstype, specialize=specialize, needs_context=True, final_needs_context=True,
        volatile=base.volatile,
    )  # fmt: skip


class _Types:
    """What resolution of polymorphic types asks of a catalog."""

    def __init__(self, layer: CatalogLayer) -> None:
        self._layer = layer

    def type(self, oid: int) -> PgType:
        """By OID."""
        found = self._layer.type(oid)
        if found is None:
            raise InternalError(f"cache lookup failed for type {oid}")
        return found

    def cast(self, source: int, target: int) -> Any:
        """The pg_cast row."""
        return REGISTRY.casts.get((source, target)) or self._layer.ask("casts").get((source, target))


def function_of(layer: CatalogLayer, oid: int) -> Function:
    """A function, built in or a user's."""
    found: Function | None = REGISTRY.functions.get(oid) or layer.ask("function", oid)
    if found is None:
        raise InternalError(f"cache lookup failed for function {oid}")
    return found


def _code(layer: CatalogLayer, function: Function, types: Sequence[int], result: int) -> Callable[..., Datum]:
    """The function's code, called with the context first."""
    implementation = function.implementation
    if function.specialize is not None:
        kinds = _Types(layer)
        implementation = function.specialize(tuple([kinds.type(oid) for oid in types]), kinds.type(result))
    if function.needs_context:
        return implementation
    return lambda context, *arguments: implementation(*arguments)


def _made(
    layer: CatalogLayer, row: Record, arguments: Sequence[int], state: int, result: int, *, bound: bool = True
) -> Aggregate:
    transition = function_of(layer, row.aggtransfn)
    final = function_of(layer, row.aggfinalfn) if row.aggfinalfn else None
    kind = _Types(layer).type(state)
    text, extra = row.agginitval, len(arguments) if row.aggfinalextra else 0
    strict = transition.strict

    def initial() -> Any:
        if text is not None:
            return kind.input(text, -1, DEFAULT_ENV)
        return _UNSET if strict else None

    step_code: Callable[..., Datum] = _unbound
    final_code: Callable[..., Datum] | None = None
    if bound:
        step_code = _code(layer, transition, (state, *arguments), state)
        if final is not None:
            final_code = _code(layer, final, (state, *arguments[:extra]), result)

    def step(context: Any, value: Datum, *given: Any) -> Any:
        if strict:
            if value is _UNSET:
                return given[0]
            if value is None:
                return None
        return step_code(context, value, *given)

    def finish(context: Any, value: Datum) -> Any:
        if value is _UNSET:
            value = None
        if final_code is None or final is None:
            return value
        if final.strict and (value is None or extra):
            return None
        return final_code(context, value, *(None,) * extra)

    return Aggregate(
        oid=row.aggfnoid, initial=initial, step=step, final=finish, strict=strict and bool(arguments),
        transition_type=state, needs_context=True, final_needs_context=True,
        volatile="v" in (transition.volatility, "" if final is None else final.volatility),
        parts=(transition.oid,) if final is None else (transition.oid, final.oid),
    )  # fmt: skip


def _unbound(*_: Any) -> Any:
    raise InternalError("a polymorphic aggregate was called without being specialized to its argument types")
