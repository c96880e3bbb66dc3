"""Declarations, text and binary I/O, typmods and function results against answers recorded from PostgreSQL 15."""

from __future__ import annotations

import json
import zoneinfo
from pathlib import Path
from typing import Any

import pytest

from aurora.errors import SqlError
from compute_node.catalog.facts import fact_rows
from compute_node.types import REGISTRY
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import Function, FunctionContext, PgType, TypeEnv
from compute_node.types.typenames import format_builtin

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FACTS: dict[str, dict[int, dict[str, Any]]] = {
    catalog: {row.get("oid", row.get("rngtypid", 0)): row for row in fact_rows(catalog)}
    for catalog in ("pg_amop", "pg_cast", "pg_opclass", "pg_operator", "pg_opfamily", "pg_proc", "pg_range", "pg_type")
}
"""Rows recorded from PostgreSQL 15, by OID."""
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


def values(row: dict[str, Any], *columns: str) -> list[Any]:
    """Some of a row's columns."""
    return [row[column] for column in columns]


def test_functions_are_postgresql_s() -> None:
    for function in REGISTRY.functions.values():
        if function.name.startswith("aurora_"):
            assert 8000 <= function.oid < 10000, "OIDs that PostgreSQL leaves to forks"
            continue
        row = FACTS["pg_proc"][function.oid]
        assert [
            function.name,
            list(function.arguments),
            function.result,
            row["proisstrict"] if function.kind == "a" else function.strict,
            function.volatility,
            function.kind,
            function.returns_set,
            function.variadic,
        ] == values(
            row, "proname", "proargtypes", "prorettype", "proisstrict", "provolatile", "prokind", "proretset",
            "provariadic",
        )  # fmt: skip


def test_argument_names_and_defaults_are_postgresql_s() -> None:
    for function in REGISTRY.functions.values():
        row = FACTS["pg_proc"].get(function.oid)
        if row is None:
            continue
        assert len(function.defaults) == row["pronargdefaults"], function.name
        if row["proargmodes"] is None:
            names, outputs = row["proargnames"] or [], []
        else:
            columns = list(
                zip(
                    row["proargmodes"],
                    row["proargnames"] or (),
                    row["proallargtypes"] or row["proargtypes"],
                    strict=False,
                )
            )
            names = [name for mode, name, _ in columns if mode in "ibv"]
            outputs = [(name, kind) for mode, name, kind in columns if mode in "obt"]
        if function.out_columns:
            assert [tuple(column) for column in function.out_columns] == outputs, function.name
        if function.argument_names:
            assert list(function.argument_names) == names, function.name


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
        ] == values(
            FACTS["pg_operator"][operator.oid], "oprname", "oprleft", "oprright", "oprresult", "oprcode", "oprcom",
            "oprnegate", "oprcanmerge", "oprcanhash",
        )  # fmt: skip
        assert operator.function in REGISTRY.functions


def test_casts_are_postgresql_s() -> None:
    for cast in REGISTRY.casts.values():
        assert [cast.source, cast.target, cast.function, cast.context, cast.method] == values(
            FACTS["pg_cast"][cast.oid], "castsource", "casttarget", "castfunc", "castcontext", "castmethod"
        )
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
        ] == values(
            FACTS["pg_type"][item.oid], "typname", "typlen", "typbyval", "typcategory", "typispreferred", "typtype",
            "typdelim", "typelem", "typarray", "typalign", "typstorage", "typcollation",
        )  # fmt: skip


def test_operator_classes_are_postgresql_s() -> None:
    for item in REGISTRY.operator_classes.values():
        row = FACTS["pg_opclass"][item.oid]
        assert [item.name, item.family, item.input_type, item.method, item.default] == values(
            row, "opcname", "opcfamily", "opcintype", "opcmethod", "opcdefault"
        )
        assert item.family_name == FACTS["pg_opfamily"][item.family]["opfname"]
        assert all(not each or each in REGISTRY.operators for each in item.operators)


def test_members_of_operator_families_are_postgresql_s() -> None:
    operators = {
        (row["amopfamily"], row["amoplefttype"], row["amoprighttype"], row["amopstrategy"]): row["amopopr"]
        for row in FACTS["pg_amop"].values()
    }
    for key, operator in REGISTRY.family_operators.items():
        assert operators[key] == operator


def test_ranges_are_postgresql_s() -> None:
    for item in REGISTRY.types.values():
        form = item.range_form
        if form is None or item.kind != "r":
            continue
        row = FACTS["pg_range"][item.oid]
        assert [
            form.subtype.oid,
            form.multirange,
            form.operator_class,
            form.canonical_function,
            form.difference_function,
        ] == values(row, "rngsubtype", "rngmultitypid", "rngsubopc", "rngcanonical", "rngsubdiff")


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
