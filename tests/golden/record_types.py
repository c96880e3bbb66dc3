"""Records behaviour of PostgreSQL's built-in types: ``python tests/golden/record_types.py DSN``.

PostgreSQL at DSN → ``pg15_types.json`` (answers to ``type_cases``). Run it after new cases; the tests need only the
file. What the catalog says of types, functions and operators is in ``compute_node/relations/schema/facts_*.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import psycopg
from type_cases import INPUTS, TYPMODS, calls

HERE = Path(__file__).resolve().parent


def ask(connection: psycopg.Connection[Any], sql: str, arguments: list[str | None]) -> dict[str, Any]:
    """One value's text, or the error's SQLSTATE, message, detail and hint."""
    try:
        row = connection.execute(sql, arguments).fetchone()  # type: ignore[arg-type]
    except psycopg.Error as error:
        diagnosis = error.diag
        answer = {
            "sqlstate": error.sqlstate,
            "message": diagnosis.message_primary,
            "detail": diagnosis.message_detail,
            "hint": diagnosis.message_hint,
        }
        return {key: value for key, value in answer.items() if value is not None}
    return {"text": row[0] if row else None}


def quoted(type_name: str) -> str:
    """A type name as a cast needs it (``char`` is the one-byte type)."""
    return '"char"' if type_name == "char" else type_name


def input_answers(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Each text through its type: the text and the binary form that come back."""
    cases = []
    for name, texts in INPUTS.items():
        output = 'textin(charout(%s::"char"))' if name == "char" else f"%s::{name}::text"
        for text in texts:
            case = {"type": name, "in": text, **ask(connection, f"select {output}", [text])}
            if "text" in case:
                cursor = connection.execute(f"select %s::{quoted(name)}", [text], binary=True)  # type: ignore[arg-type]
                result = cursor.pgresult
                case["hex"] = ((result.get_value(0, 0) if result is not None else None) or b"").hex()
            cases.append(case)
    return cases


def call_answers(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Each call's result text or error."""
    answers = []
    for signature, arguments in calls():
        name, _, types = signature.rstrip(")").partition("(")
        casts = ", ".join(f"%s::{quoted(each)}" for each in types.split(","))
        sql = f'select pg_catalog."{name}"({casts})'
        answer = ask(connection, f"{sql}::text", arguments)
        answers.append({"call": signature, "in": arguments, **answer})
    return answers


def typmod_answers(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Each explicit cast to a type with a modifier: the typmod and the text."""
    answers = []
    for name, text in TYPMODS:
        base = name.partition("(")[0].partition(" ")[0]
        base = "bpchar" if base == "char" else base
        connection.execute(f"create temporary table typmod_probe (c {name})")  # type: ignore[arg-type]
        probe = connection.execute(
            "select atttypmod, format_type(atttypid, atttypmod) from pg_attribute where attrelid = "
            "'typmod_probe'::regclass and attnum = 1"
        ).fetchone()
        connection.execute("drop table typmod_probe")
        typmod, spelled = probe if probe is not None else (-1, name)
        answer = ask(connection, f"select (%s::{base})::{name}::text", [text])
        answers.append({"type": base, "typmod": typmod, "spelled": spelled, "in": text, **answer})
    return answers


def to_json(data: dict[str, Any]) -> str:
    """JSON with one entry a line, so that diffs can be read."""
    sections = []
    for name, entries in data.items():
        if isinstance(entries, dict):
            lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
            body = ",\n".join(lines)
            sections.append(f"{json.dumps(name)}: {{\n{body}\n}}")
        else:
            body = ",\n".join(json.dumps(each, ensure_ascii=False) for each in entries)
            sections.append(f"{json.dumps(name)}: [\n{body}\n]")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def main() -> None:
    """Ask and write the file."""
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        answers = {
            "inputs": input_answers(connection),
            "typmods": typmod_answers(connection),
            "calls": call_answers(connection),
        }
        (HERE / "pg15_types.json").write_text(to_json(answers))


if __name__ == "__main__":
    main()
