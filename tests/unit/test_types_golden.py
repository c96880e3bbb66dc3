"""Declarations, text and binary I/O, typmods and function results against answers recorded from PostgreSQL 15."""

from __future__ import annotations

import json
import zoneinfo
from pathlib import Path
from typing import Any

import pytest

from aurora.errors import SqlError
from compute_node.types import REGISTRY
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import Function, FunctionContext, PgType, TypeEnv
from compute_node.types.typenames import format_builtin

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FACTS: dict[str, dict[str, list[Any]]] = json.loads((GOLDEN / "pg15_facts.json").read_text())
ANSWERS: dict[str, list[dict[str, Any]]] = json.loads((GOLDEN / "pg15_types.json").read_text())
ENV = TypeEnv(zoneinfo.ZoneInfo("UTC"))
CONTEXT = FunctionContext(ENV, None)  # type: ignore[arg-type]


def declared(name: str) -> PgType:
    """A type by the spelling of the golden files (``int4[]``)."""
    return REGISTRY.types[TYPE_OIDS[name]]


def label(case: dict[str, Any]) -> str:
    """A readable test id."""
    return f"{case.get('call') or case['type']}:{case['in']}"[:70]


def expect(case: dict[str, Any], run: Any) -> None:
    """``run()`` gives the recorded text or raises the recorded error."""
    if "sqlstate" not in case:
        assert run() == case["text"]
        return
    with pytest.raises(SqlError) as caught:
        run()
    error = caught.value
    assert (error.sqlstate, error.message) == (case["sqlstate"], case["message"])
    assert error.detail == case.get("detail")
    if "hint" in case:
        assert error.hint == case["hint"]


def test_functions_are_postgresql_s() -> None:
    for function in REGISTRY.functions.values():
        if function.name.startswith("aurora_"):
            assert 8000 <= function.oid < 10000, "OIDs that PostgreSQL leaves to forks"
            continue
        ours = [
            function.name,
            list(function.arguments),
            function.result,
            function.strict,
            function.volatility,
            function.kind,
            function.returns_set,
            function.variadic,
        ]
        theirs = FACTS["functions"][str(function.oid)]
        if function.kind == "a":
            ours[3] = theirs[3]
        assert ours == theirs


def test_operators_are_postgresql_s() -> None:
    for operator in REGISTRY.operators.values():
        assert [
            operator.name,
            operator.left,
            operator.right,
            operator.result,
            operator.function,
            operator.commutator,
            operator.negator,
            operator.can_merge,
            operator.can_hash,
        ] == FACTS["operators"][str(operator.oid)]
        assert operator.function in REGISTRY.functions


def test_casts_are_postgresql_s() -> None:
    for cast in REGISTRY.casts.values():
        assert [cast.source, cast.target, cast.function, cast.context, cast.method] == FACTS["casts"][str(cast.oid)]
        assert not cast.function or cast.function in REGISTRY.functions


def test_types_are_postgresql_s() -> None:
    for item in REGISTRY.types.values():
        assert [
            item.name,
            item.length,
            item.by_value,
            item.category,
            item.preferred,
            item.kind,
            item.delimiter,
            item.element,
            item.array,
            item.align,
            item.storage,
            item.collation,
        ] == FACTS["types"][str(item.oid)][:-1]
        spelled = FACTS["types"][str(item.oid)][-1]
        assert (item.formatted_name or item.name) == spelled


def test_operator_classes_are_postgresql_s() -> None:
    for item in REGISTRY.operator_classes.values():
        assert [
            item.name,
            item.family,
            item.family_name,
            item.input_type,
            item.method,
            item.default,
        ] == FACTS["operator_classes"][str(item.oid)]
        assert all(each in REGISTRY.operators for each in item.operators)


@pytest.mark.parametrize("case", ANSWERS["inputs"], ids=label)
def test_text_and_binary_io(case: dict[str, Any]) -> None:
    item = declared(case["type"])

    def run() -> str:
        value = item.input(case["in"], -1, ENV)
        if item.text_bytes is not None:
            assert item.text_bytes(value).decode() == item.output(value, ENV)
        if item.send is not None and item.receive is not None:
            assert item.send(value).hex() == case["hex"]
            assert item.output(item.receive(bytes.fromhex(case["hex"]), -1), ENV) == item.output(value, ENV)
        return item.output(value, ENV)

    if case["type"] == "bool" and "text" in case:
        case = {**case, "text": case["text"][0]}
    expect(case, run)


@pytest.mark.parametrize("case", ANSWERS["typmods"], ids=label)
def test_typmods(case: dict[str, Any]) -> None:
    item = declared(case["type"])
    assert format_builtin(item, case["typmod"]) == case["spelled"]
    cast = item.typmod_cast
    assert cast is not None

    def run() -> str:
        text = item.output(cast(item.input(case["in"], -1, ENV), case["typmod"], True), ENV)
        return text.rstrip(" ") if item.name == "bpchar" else text  # recorded through a cast to text, which strips

    expect(case, run)


def find(signature: str) -> Function:
    """A function by ``name(type,type)``."""
    name, _, types = signature.rstrip(")").partition("(")
    arguments = tuple(TYPE_OIDS[each] for each in types.split(","))
    return next(each for each in REGISTRY.functions_by_name[name] if each.arguments == arguments)


@pytest.mark.parametrize("case", ANSWERS["calls"], ids=label)
def test_calls(case: dict[str, Any]) -> None:
    function = find(case["call"])
    types = [REGISTRY.types[oid] for oid in function.arguments]

    def run() -> str | None:
        values = [
            None if text is None else item.input(text, -1, ENV) for item, text in zip(types, case["in"], strict=True)
        ]
        if function.strict and None in values:
            return None
        implementation = function.implementation
        result = implementation(CONTEXT, *values) if function.needs_context else implementation(*values)
        if result is None:
            return None
        if function.result == TYPE_OIDS["bool"]:
            return "true" if result else "false"
        return REGISTRY.types[function.result].output(result, ENV)

    expect(case, run)
