"""Users' aggregates: rows of pg_aggregate → how they run over the functions that they name.

The state begins as the initial condition. Without one a strict transition function's first row of values that are not
NULL is the state (manual, CREATE AGGREGATE).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from aurora.errors import InternalError, NotSupported
from compute_node.catalog.rows import Record
from compute_node.sql.analyze.context import DEFAULT_ENV
from compute_node.sql.analyze.polymorphism import POLYMORPHIC, resolve
from compute_node.types.oids import INTERNAL
from compute_node.types.ordered_sets import FINALS, MODE, SET_TRANSITIONS
from compute_node.types.registry import REGISTRY, Aggregate, Function, Moving, PgType

if TYPE_CHECKING:
    from compute_node.catalog.layer import CatalogLayer

_UNSET: Any = object()
"""the state of a strict transition function before its first row"""


def aggregate(layer: CatalogLayer, oid: int) -> Aggregate | None:
    """How a user's aggregate runs; None for what is none."""
    row, function = layer.reader.one("pg_aggregate", aggfnoid=oid), layer.reader.one("pg_proc", oid=oid)
    if row is None or function is None:
        return None
    if row.aggkind != "n":
        return _ordered_set(layer, row)
    if row.aggtranstype == INTERNAL:
        return _over_internal(layer, row)
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


def _over_internal(layer: CatalogLayer, row: Record) -> Aggregate:
    """An aggregate over a state that only built-in functions know: it runs as the built-in aggregate that has the same
    ones. 0A000 where there is none."""
    functions = (row.aggtransfn, row.aggfinalfn)
    for each in layer.reader.all("pg_aggregate"):
        found = REGISTRY.aggregates.get(each.aggfnoid)
        if found is not None and (each.aggtransfn, each.aggfinalfn) == functions and each.aggkind == row.aggkind:
            return replace(found, oid=row.aggfnoid, parts=tuple([oid for oid in functions if oid]))
    names = " and ".join([function_of(layer, oid).name for oid in functions if oid])
    raise NotSupported(f"aggregates over {names} are not supported")


def _ordered_set(layer: CatalogLayer, row: Record) -> Aggregate:
    """An aggregate over the functions of the built-in ordered-set ones."""
    built_in = REGISTRY.aggregates[MODE]
    return replace(
        built_in,
        oid=row.aggfnoid,
        strict=SET_TRANSITIONS[row.aggtransfn],
        set_final=FINALS[function_of(layer, row.aggfinalfn).name],
        direct=row.aggnumdirectargs,
        hypothetical=row.aggkind == "h",
        parts=(row.aggtransfn, row.aggfinalfn),
    )


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
    plain = _Functions(
        layer, arguments, state, result, function_of(layer, row.aggtransfn),
        function_of(layer, row.aggfinalfn) if row.aggfinalfn else None, row.agginitval, row.aggfinalextra, bound=bound,
    )  # fmt: skip
    final = plain.final
    return Aggregate(
        oid=row.aggfnoid, initial=plain.initial, step=plain.step, final=plain.finish,
        strict=plain.strict and bool(arguments),
        transition_type=state, needs_context=True, final_needs_context=True,
        volatile="v" in (plain.transition.volatility, "" if final is None else final.volatility),
        parts=(plain.transition.oid,) if final is None else (plain.transition.oid, final.oid),
        moving=_moving(layer, row, arguments, result) if row.aggmtransfn and bound else None,
        windowed=row.aggfinalmodify == "r",
    )  # fmt: skip


def _moving(layer: CatalogLayer, row: Record, arguments: Sequence[int], result: int) -> Moving:
    """How it runs over frames that rows leave. The state counts the rows, for one of no rows begins anew."""
    state = row.aggmtranstype
    functions = _Functions(
        layer, arguments, state, result, function_of(layer, row.aggmtransfn),
        function_of(layer, row.aggmfinalfn) if row.aggmfinalfn else None, row.aggminitval, row.aggmfinalextra,
    )  # fmt: skip
    inverse = _code(layer, function_of(layer, row.aggminvtransfn), (state, *arguments), state)

    def step(context: Any, value: Any, *given: Any) -> Any:
        return value[0] + 1, functions.step(context, value[1], *given)

    def back(context: Any, value: Any, *given: Any) -> Any:
        if value[0] == 1:
            return 0, functions.initial()
        if value[1] is None and functions.strict:
            return None
        changed = inverse(context, value[1], *given)
        return None if changed is None else (value[0] - 1, changed)

    return Moving(
        initial=lambda: (0, functions.initial()), step=step, inverse=back,
        final=lambda context, value: functions.finish(context, value[1]),
        strict=functions.strict and bool(arguments), needs_context=True,
    )  # fmt: skip


class _Functions:
    """The functions of a user's aggregate, plain or moving, as an ``Aggregate`` wants them."""

    def __init__(
        self, layer: CatalogLayer, arguments: Sequence[int], state: int, result: int, transition: Function,
        final: Function | None, text: str | None, finish_extra: bool, *, bound: bool = True,
    ) -> None:  # fmt: skip
        self.transition, self.final, self.strict = transition, final, transition.strict
        self._kind = _Types(layer).type(state)
        self._text, self._extra = text, len(arguments) if finish_extra else 0
        self._step: Callable[..., Datum] = _unbound
        self._final: Callable[..., Datum] | None = None
        if bound:
            self._step = _code(layer, transition, (state, *arguments), state)
            if final is not None:
                self._final = _code(layer, final, (state, *arguments[: self._extra]), result)

    def initial(self) -> Any:
        """The state of no rows."""
        if self._text is not None:
            return self._kind.input(self._text, -1, DEFAULT_ENV)
        return _UNSET if self.strict else None

    def step(self, context: Any, value: Datum, *given: Any) -> Any:
        """One row more."""
        if self.strict:
            if value is _UNSET:
                return given[0]
            if value is None:
                return None
        return self._step(context, value, *given)

    def finish(self, context: Any, value: Datum) -> Any:
        """The result of a state."""
        if value is _UNSET:
            value = None
        if self._final is None or self.final is None:
            return value
        if self.final.strict and (value is None or self._extra):
            return None
        return self._final(context, value, *(None,) * self._extra)


def _unbound(*_: Any) -> Any:
    raise InternalError("a polymorphic aggregate was called without being specialized to its argument types")
