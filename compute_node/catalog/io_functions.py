"""The types' own functions by name: ``float8send(1.5)``, ``int4out(7)``, ``textin('a')``.

Their names and OIDs are facts of the catalog (``io.json``), their code is the type's: importing the module adds to
``REGISTRY`` those that a statement can call. Receive functions take ``internal`` and stay facts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import compute_node.types  # noqa: F401  (fills REGISTRY first)
from aurora.datum import Datum
from compute_node.relations.schema import load_json
from compute_node.types.registry import REGISTRY, Function, FunctionContext, PgType

_CSTRING, _BYTEA = 2275, 17


def _reads(item: PgType) -> Callable[..., Datum]:
    def read(context: FunctionContext, text: str, element: int = 0, typmod: int = -1) -> Any:
        return item.input(text, typmod, context.env)

    return read


def _writes(item: PgType) -> Callable[..., Datum]:
    return lambda context, value: item.output(value, context.env)


def _sends(item: PgType) -> Callable[..., Datum]:
    return lambda context, value: item.send(value) if item.send is not None else b""


def _declare() -> None:
    facts = load_json("io.json")
    known = {row[0]: row for row in facts["functions"]}
    for type_oid, support in facts["types"].items():
        item = REGISTRY.types.get(int(type_oid))
        if item is None or item.kind == "p":
            continue
        forms = ((support[0], _reads(item)), (support[1], _writes(item)), (support[3], _sends(item)))
        for oid, implementation in forms:
            if not oid or oid in REGISTRY.functions or oid not in known:
                continue
            _, name, arguments, result, strict, volatility = known[oid]
            types = tuple(int(each) for each in arguments.split())
            takes = types[0] == item.oid or (types[0] == _CSTRING and result == item.oid)
            if takes and all(each in REGISTRY.types for each in (*types, result)):
                REGISTRY.add_function(
                    Function(oid, name, types, result, implementation, strict, volatility, needs_context=True)
                )


_declare()
