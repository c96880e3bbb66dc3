"""Helpers with which the family modules declare their functions, operators and aggregates.

A signature is one line: ``name(type, type) result`` followed by any of ``stable``, ``volatile`` (default immutable) and
``nullable`` (called with NULLs; default strict). ``setof`` before the result marks a set-returning function,
``variadic``
before the last argument a variadic one. Types are written as in pg_type, arrays as ``int4[]``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import (
    REGISTRY,
    Aggregate,
    Cast,
    FamilyOperators,
    Function,
    Moving,
    Operator,
    OperatorClass,
    Specialize,
)

_SIGNATURE = re.compile(r"(\w+)\(([^)]*)\) (setof )?([\w\[\]]+)((?: \w+)*)")
_VOLATILITY = {"stable": "s", "volatile": "v"}
_ANY = TYPE_OIDS["any"]
_ELEMENT_OF = {
    oid: TYPE_OIDS[name[:-2]] for name, oid in TYPE_OIDS.items() if name.endswith("[]") and name[:-2] in TYPE_OIDS
}
_ELEMENT_OF |= {
    TYPE_OIDS["anyarray"]: TYPE_OIDS["anyelement"],
    TYPE_OIDS["anycompatiblearray"]: TYPE_OIDS["anycompatible"],
}


def _declare(
    oid: int, signature: str, implementation: Callable[..., Datum], kind: str, extra: dict[str, Any]
) -> Function:
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        raise InvariantViolation(f"malformed signature: {signature}")
    name, arguments, setof, result, flags = match.groups()
    words = flags.split()
    names = [argument.strip() for argument in arguments.split(",") if argument.strip()]
    variadic = 0
    if names and names[-1].startswith("variadic "):
        names[-1] = names[-1].removeprefix("variadic ")
        last = TYPE_OIDS[names[-1]]
        variadic = _ANY if last == _ANY else _ELEMENT_OF[last]
    volatility = next((_VOLATILITY[word] for word in words if word in _VOLATILITY), "i")
    return REGISTRY.add_function(
        Function(
            oid=oid,
            name=name,
            arguments=tuple(TYPE_OIDS[each] for each in names),
            result=TYPE_OIDS[result],
            implementation=implementation,
            volatility=volatility,
            kind=kind,
            returns_set=setof is not None,
            variadic=variadic,
            **{"strict": "nullable" not in words and kind == "f", **extra},
        )
    )


def fn(
    oid: int, signature: str, implementation: Callable[..., Datum], inline: str | None = None, **extra: Any
) -> Function:
    """Declare one function; ``extra`` are further fields of ``Function`` (``needs_context``, ``inline_names`` …)."""
    return _declare(oid, signature, implementation, "f", {"inline": inline, **extra})


def fns(block: str, implementation: Callable[..., Datum], inline: str | None = None, **extra: Any) -> None:
    """Declare the functions of a block of ``oid signature`` lines that share one implementation."""
    for line in block.strip().splitlines():
        oid, signature = line.strip().split(" ", 1)
        fn(int(oid), signature, implementation, inline, **extra)


def specialized(oid: int, signature: str, specialize: Specialize, **extra: Any) -> None:
    """Declare a function whose code depends on the actual argument types (see ``Function.specialize``)."""

    def unspecialized(*_: Datum) -> Datum:
        raise InvariantViolation(f"{signature} was called without being specialized to its argument types")

    _declare(oid, signature, unspecialized, "f", {"specialize": specialize, **extra})


def _not_a_function(*_: Datum) -> Datum:
    raise InvariantViolation("an aggregate was called as a plain function")


def agg(
    oid: int,
    signature: str,
    initial: Callable[[], Datum],
    step: Callable[..., Datum],
    final: Callable[[Datum], Datum],
    **extra: Any,
) -> None:
    """Declare an aggregate: its pg_proc row and how it runs; ``extra`` are further fields of ``Aggregate``."""
    _declare(oid, signature, _not_a_function, "a", {})
    REGISTRY.add_aggregate(Aggregate(oid=oid, initial=initial, step=step, final=final, **extra))


def window(block: str) -> None:
    """Declare window functions, as a block of ``oid signature`` lines; how they run is the executor's."""
    for line in block.strip().splitlines():
        oid, signature = line.strip().split(" ", 1)
        strict = "nullable" not in signature
        _declare(int(oid), signature, _not_a_function, "w", {"strict": strict})


def moving(oid: int, item: Moving) -> None:
    """Declare how an aggregate runs over a window whose rows leave it again."""
    REGISTRY.aggregates[oid] = replace(REGISTRY.aggregates[oid], moving=item)


def aggs(
    block: str,
    initial: Callable[[], Datum],
    step: Callable[..., Datum],
    final: Callable[[Datum], Datum],
    **extra: Any,
) -> None:
    """Declare the aggregates of a block of ``oid signature`` lines that run alike."""
    for line in block.strip().splitlines():
        oid, signature = line.strip().split(" ", 1)
        agg(int(oid), signature, initial, step, final, **extra)


_COMPARISON = re.compile(r"_?(eq|ne|lt|le|gt|ge|cmp)(?:_[a-z]+)?$")
_COMPARE: dict[str, tuple[Callable[[Datum, Datum], Datum], str]] = {
    "eq": (operator.eq, "=="),
    "ne": (operator.ne, "!="),
    "lt": (operator.lt, "<"),
    "le": (operator.le, "<="),
    "gt": (operator.gt, ">"),
    "ge": (operator.ge, ">="),
    "cmp": (lambda a, b: (a > b) - (a < b), ""),
}


def comparisons(
    block: str, left: Callable[[Datum], Datum] | None = None, right: Callable[[Datum], Datum] | None = None
) -> None:
    """Declare comparison functions, told apart by the ``eq ne lt le gt ge cmp`` that ends their names.

    ``left`` and ``right`` (default ``left``) map the arguments to objects that Python compares as PostgreSQL does; None
    when the values already do, and then the comparison is inlined.
    """
    for line in block.strip().splitlines():
        oid, signature = line.strip().split(" ", 1)
        match = _COMPARISON.search(signature[: signature.index("(")])
        if match is None:
            raise InvariantViolation(f"not a comparison: {signature}")
        compare, symbol = _COMPARE[match[1]]
        if left is None:
            fn(int(oid), signature, compare, f"({{0}} {symbol} {{1}})" if symbol else None)
        else:
            fn(int(oid), signature, _through_keys(compare, left, right or left))


def _through_keys(
    compare: Callable[[Datum, Datum], Datum], left: Callable[[Datum], Datum], right: Callable[[Datum], Datum]
) -> Callable[[Datum, Datum], Datum]:
    return lambda a, b: compare(left(a), right(b))


def operators(block: str) -> None:
    """Declare operators, one a line: OID, left type (``-`` for a prefix operator), name, right type, result, function
    OID, then its ``commutator=`` and ``negator=``, and ``merges`` and ``hashes`` where it can join so (pg_operator)."""
    for line in block.strip().splitlines():
        oid, left, name, right, result, function, *flags = line.split()
        links = dict(flag.split("=") for flag in flags if "=" in flag)
        REGISTRY.add_operator(
            Operator(
                oid=int(oid),
                name=name,
                left=0 if left == "-" else TYPE_OIDS[left],
                right=TYPE_OIDS[right],
                result=TYPE_OIDS[result],
                function=int(function),
                commutator=int(links.get("commutator", 0)),
                negator=int(links.get("negator", 0)),
                can_merge="merges" in flags,
                can_hash="hashes" in flags,
            )
        )


def casts(block: str) -> None:
    """Declare casts, one a line: OID, source, target, function OID (0 without one), context (``i`` implicit, ``a``
    assignment, ``e`` explicit), method (``f`` function, ``b`` binary coercible, ``i`` through text I/O) (pg_cast)."""
    for line in block.strip().splitlines():
        oid, source, target, function, context, method = line.split()
        REGISTRY.add_cast(Cast(int(oid), TYPE_OIDS[source], TYPE_OIDS[target], int(function), context, method))


def operator_classes(block: str) -> None:
    """Declare operator classes, one a line: OID, name, family OID, family name, input type, access method (403 btree,
    405 hash), ``default`` or ``extra``, operators by strategy, support functions by number (0: none) (pg_opclass,
    pg_amop, pg_amproc). A B-tree orders by ``PgType.sort_key``; the rows exist for resolution and the catalog."""
    for line in block.strip().splitlines():
        oid, name, family, family_name, input_type, method, default, strategies, support = line.split()
        REGISTRY.add_operator_class(
            OperatorClass(
                oid=int(oid),
                name=name,
                family=int(family),
                family_name=family_name,
                input_type=TYPE_OIDS[input_type],
                method=int(method),
                default=default == "default",
                operators=tuple(map(int, strategies.split(","))),
                support=tuple(map(int, support.split(","))),
            )
        )


def sparse_operator_classes(block: str) -> None:
    """Declare operator classes of access methods whose strategies have gaps, on three lines each: what
    ``operator_classes`` has before its members, operators, support functions, each ``number:oid`` or ``-``."""
    lines = iter(block.strip().splitlines())
    for line, strategies, support in zip(lines, lines, lines, strict=True):
        oid, name, family, family_name, input_type, method, default = line.split()
        REGISTRY.add_operator_class(
            OperatorClass(
                oid=int(oid),
                name=name,
                family=int(family),
                family_name=family_name,
                input_type=TYPE_OIDS[input_type],
                method=int(method),
                default=default == "default",
                operators=_numbered(strategies.strip()),
                support=_numbered(support.strip()),
            )
        )


def _numbered(text: str) -> tuple[int, ...]:
    """``oid,oid`` from 1 on, or ``number:oid,…`` with 0 in the gaps, or ``-`` for none."""
    if text == "-":
        return ()
    if ":" not in text:
        return tuple(map(int, text.split(",")))
    found = {int(number): int(oid) for number, oid in (each.split(":") for each in text.split(","))}
    return tuple(found.get(number, 0) for number in range(1, max(found) + 1))


def family_operators(block: str) -> None:
    """Declare members of operator families between two types, one a line: family OID, access method, left and right
    type, operators by strategy, or ``strategy:oid`` where there are gaps (pg_amop)."""
    for line in block.strip().splitlines():
        family, method, left, right, strategies = line.split()
        REGISTRY.add_family_operators(
            FamilyOperators(int(family), int(method), TYPE_OIDS[left], TYPE_OIDS[right], _numbered(strategies))
        )


def ordering_operators(block: str) -> None:
    """Declare operators by whose value an index can give its rows in order, one a line: family OID, operator OID,
    strategy (pg_amop, amoppurpose ``o``)."""
    for line in block.strip().splitlines():
        family, operator, strategy = map(int, line.split())
        REGISTRY.ordering[family, operator] = strategy
