"""jsonpath: random paths against answers recorded from PostgreSQL 15; forms that round trip; bounds."""

from __future__ import annotations

import json
import pickle
import sys
import zoneinfo
from pathlib import Path
from typing import Any

import pytest

import compute_node.exec.compile.compiler  # noqa: F401  (sets how deep calls may nest, as in the server)
from aurora.errors import DataCorrupted, InternalError, SqlError, StatementTooComplex
from compute_node.hub import HUB
from compute_node.types import REGISTRY
from compute_node.types.json.value import Jsonb
from compute_node.types.jsonpath import JsonPath
from compute_node.types.registry import FunctionContext, TypeEnv

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from record_jsonpath import DOCUMENTS, VARIABLES, ZONE  # noqa: E402

RECORDED: dict[str, list[list[Any]]] = json.loads((GOLDEN / "jsonpath.json").read_text())
CONTEXT = FunctionContext(TypeEnv(zoneinfo.ZoneInfo(ZONE)), None)  # type: ignore[arg-type]
TYPE = REGISTRY.types_by_name["jsonpath"]
ARRAY = REGISTRY.types_by_name["_jsonpath"]


def path(text: str) -> JsonPath:
    """From its text."""
    value: JsonPath = TYPE.input(text, -1, CONTEXT.env)
    return value


def jsonb(text: str) -> Jsonb:
    """From its text."""
    value: Jsonb = REGISTRY.types_by_name["jsonb"].input(text, -1, CONTEXT.env)
    return value


def answer(run: Any) -> str:
    """What ``run`` gives, as the golden file has it."""
    try:
        result = run()
    except SqlError as error:
        return f"{error.sqlstate} {error.message}|{error.detail or ''}|{error.hint or ''}"
    if result is None or result == []:
        return "null"
    if isinstance(result, bool):
        return "=true" if result else "=false"
    if isinstance(result, list):
        return "=" + ";".join(each.text() for each in result)
    return "=" + (result.text if isinstance(result, JsonPath) else result.text())


def call(name: str, *arguments: Any) -> Any:
    """A function by its name."""
    (function,) = REGISTRY.functions_by_name[name]
    return function.implementation(*((CONTEXT,) if function.needs_context else ()), *arguments)


def query(document: str, text: str) -> str:
    """All items."""
    return answer(lambda: call("jsonb_path_query", jsonb(document), path(text), jsonb("{}"), False))


def test_texts_are_read_and_written_as_postgresql_does() -> None:
    assert len(RECORDED["texts"]) > 500
    for text, expected in RECORDED["texts"]:
        assert answer(lambda text=text: path(text)) == expected, text


def test_calls_give_what_postgresql_gives() -> None:
    assert len(RECORDED["calls"]) > 1000
    values = [jsonb(each) for each in DOCUMENTS]
    variables = [jsonb(each) for each in VARIABLES]
    for document, text, vars_, silent, function, expected in RECORDED["calls"]:
        got = answer(lambda: call(function, values[document], path(text), variables[vars_], silent))  # noqa: B023
        assert got == expected, (DOCUMENTS[document], text, VARIABLES[vars_], silent, function)


def test_every_form_keeps_the_path() -> None:
    for text, expected in RECORDED["texts"]:
        if not expected.startswith("="):
            continue
        value = path(text)
        assert TYPE.to_disk is not None and TYPE.from_disk is not None
        stored = TYPE.to_disk(value)
        again = TYPE.from_disk(stored)
        assert again.text == value.text
        assert TYPE.to_disk(again) == stored, "the stored form reads back as the same tree"
        assert pickle.loads(pickle.dumps(value)).text == value.text


def test_the_stored_form_has_the_parentheses_that_the_canonical_text_lacks() -> None:
    assert TYPE.to_disk is not None and TYPE.from_disk is not None
    for text in ("(-$.a).abs() + 1", "(exists($.a)).type()", "(!($.a == 1)).type()", "(($.a == 1) is unknown).type()"):
        value = TYPE.from_disk(TYPE.to_disk(path(text)))
        document = jsonb('{"a": -5}')
        found = [call("jsonb_path_query_array", document, each, jsonb("{}"), False) for each in (path(text), value)]
        assert found[0] == found[1]
    assert path("(-$.a).abs() + 1").text == '(-$."a".abs() + 1)'


def test_binary_and_array_forms() -> None:
    value = path("strict $.a[*] ? (@ > 1)")
    assert TYPE.send is not None and TYPE.receive is not None and ARRAY.send is not None and ARRAY.receive is not None
    assert TYPE.send(value) == b'\x01strict $."a"[*]?(@ > 1)'
    assert TYPE.receive(TYPE.send(value), -1) == value
    assert ARRAY.receive(ARRAY.send([value, None]), -1) == [value, None]
    with pytest.raises(InternalError, match="unsupported jsonpath version number: 2"):
        TYPE.receive(b"\x02$", -1)
    assert TYPE.from_disk is not None
    with pytest.raises(DataCorrupted):
        TYPE.from_disk(b"\x02$")


@pytest.mark.parametrize(
    "text",
    ["(" * 50_000 + "$", "$" + ".a" * 50_000, "-" * 50_000 + "$", "$" + "[$" * 50_000, "$" + " + 1" * 50_000],
    ids=["parentheses", "chain", "signs", "subscripts", "sum"],
)
def test_a_path_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(StatementTooComplex):
        path(text)


def test_the_deepest_path_runs() -> None:
    depth = 700
    assert query("7", "(" * depth + "$" + ")" * depth) == "=7"
    assert query("1", "$" + " + 1" * depth) == f"={depth + 1}"
    document: Any = 1
    for _ in range(depth):
        document = {"a": document}
    assert query(Jsonb.of(document).text(), "$" + ".a" * depth) == "=1"
    assert query(Jsonb.of(document).text(), "$.**{last}") == "=1"


def test_long_work_lets_others_run() -> None:
    document = "[" + ",".join(map(str, range(20_000))) + "]"
    before = HUB.pulses
    assert query(document, "$[*] ? (@ < 0)") == "null"
    assert HUB.pulses - before > 50


def test_a_document_that_is_nested_too_deeply_is_refused() -> None:
    nested = Jsonb.of(1)
    for _ in range(1500):
        nested = Jsonb.of([nested])
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        with pytest.raises(StatementTooComplex):
            call("jsonb_path_query", nested, path("$.**"), jsonb("{}"), True)
    finally:
        sys.setrecursionlimit(limit)
