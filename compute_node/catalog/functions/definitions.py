"""pg_get_indexdef, pg_get_constraintdef, pg_get_viewdef and the like: catalog rows → SQL text; object descriptions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pglast.parser import ParseError
from pglast.stream import IndentedStream

from aurora.errors import UndefinedColumn, UndefinedTable
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.catalog.functions.names import regclass_in
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.relations.schema import CATALOGS
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.deparse import deparse_stored

_QUOTED = re.compile(r"('(?:[^']|'')*')")
_CAST_NUMBER = re.compile(r"\((\d+(?:\.\d+)?)\)::")
_CLASS_RELATION = CATALOGS["pg_class"].desc.oid


def _bare(text: str, pretty: bool) -> str:
    """Stored expressions carry all their parentheses; pretty output leaves out the outer ones, and those around a
    number that is cast."""
    if pretty:
        parts = _QUOTED.split(text)
        parts[::2] = [_CAST_NUMBER.sub(r"\1::", part) for part in parts[::2]]
        text = "".join(parts)
    if pretty and text.startswith("(") and text.endswith(")") and _closes_at_end(text):
        return text[1:-1]
    return text


def _closes_at_end(text: str) -> bool:
    depth, quote = 0, ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0 and at < len(text) - 1:
                return False
    return depth == 0


def get_expr(call: Call, text: str, oid: int, pretty: bool = False) -> str:
    """pg_get_expr."""
    return _bare(_shown(call, call.view.relation(oid), text), pretty)


def _shown(call: Call, desc: RelationDesc | None, text: str) -> str:
    """A stored expression, whose names are whole and may be OIDs, as the session's search path lets one write it."""
    if "::reg" not in text and "." not in text:
        return text
    expr = analyze_stored(call.view, desc, text, "DEFAULT", session=call.session)
    return deparse_stored(expr, call.view, desc, call.session.env)


def _index(call: Call, oid: int) -> tuple[RelationDesc, IndexDesc] | None:
    row = call.reader.one("pg_index", indexrelid=oid)
    table = None if row is None else call.view.relation(row.indrelid)
    if table is None:
        return None
    return next(((table, index) for index in table.indexes if index.oid == oid), None)


def _column_texts(
    call: Call, table: RelationDesc, index: IndexDesc, *, alone: bool = False, pretty: bool = False
) -> list[str]:
    """Key columns as CREATE INDEX writes them; ``alone``: without order, as pg_get_indexdef's second form gives
    them."""
    expressions = iter(index.expressions)
    texts = []
    for place, attno in enumerate(index.columns):
        if attno:
            text = quote_identifier(table.columns[attno - 1].name)
        else:
            text = _shown(call, table, next(expressions))
            if alone and pretty:
                text = _bare(text, True)
        if not alone:
            descending, first = index.descending[place], index.nulls_first[place]
            text += " DESC" if descending else ""
            text += " NULLS FIRST" if first and not descending else " NULLS LAST" if descending and not first else ""
        texts.append(text)
    return texts


def get_indexdef(call: Call, oid: int, column: int = 0, pretty: bool = False) -> str | None:
    """pg_get_indexdef; NULL for an unknown OID."""
    found = _index(call, oid)
    if found is None:
        return None
    table, index = found
    if column:
        texts = _column_texts(call, table, index, alone=True, pretty=pretty)
        texts += [quote_identifier(table.columns[attno - 1].name) for attno in index.included]
        return texts[column - 1] if column <= len(texts) else ""
    desc = call.view.relation(oid)
    name = call.relation_name(table) if pretty else f"{quote_identifier(table.schema)}.{quote_identifier(table.name)}"
    text = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quote_identifier(index.name)} ON {name}"
    text += f" USING {index.method} ({', '.join(_column_texts(call, table, index))})"
    if index.included:
        text += f" INCLUDE ({', '.join(quote_identifier(table.columns[attno - 1].name) for attno in index.included)})"
    if index.nulls_not_distinct:
        text += " NULLS NOT DISTINCT"
    if desc is not None and desc.options:
        pairs = (option.partition("=") for option in desc.options)
        text += " WITH (" + ", ".join(f"{key}='{value}'" for key, _, value in pairs) + ")"
    if index.predicate is not None:
        text += f" WHERE {_bare(_shown(call, table, index.predicate), pretty)}"
    return text


def get_constraintdef(call: Call, oid: int, pretty: bool = False) -> str | None:
    """pg_get_constraintdef; NULL for an unknown OID."""
    row = call.reader.one("pg_constraint", oid=oid)
    table = None if row is None else call.view.relation(row.conrelid)
    if row is None or table is None:
        return None
    if row.contype == "c":
        text = f"CHECK ({_bare(_shown(call, table, row.conbin), pretty)})"
        return text + (" NO INHERIT" if row.connoinherit else "") + ("" if row.convalidated else " NOT VALID")
    names = ", ".join(quote_identifier(table.columns[attno - 1].name) for attno in row.conkey or ())
    text = "PRIMARY KEY" if row.contype == "p" else "UNIQUE"
    index = next((each for each in table.indexes if each.oid == row.conindid), None)
    if index is not None and index.nulls_not_distinct:
        text += " NULLS NOT DISTINCT"
    text += f" ({names})"
    if index is not None and index.included:
        text += f" INCLUDE ({', '.join(quote_identifier(table.columns[attno - 1].name) for attno in index.included)})"
    return text


def get_viewdef(call: Call, view: int | str, pretty: bool | int = False) -> str | None:
    """pg_get_viewdef: the stored query, laid out; NULL for what is no view."""
    oid = regclass_in(call, view) if isinstance(view, str) else view
    desc = call.view.relation(oid)
    if desc is None or desc.view_sql is None:
        return None
    try:
        text = str(IndentedStream(comma_at_eoln=True)(desc.view_sql))
    except ParseError:
        text = desc.view_sql
    return " " + text.rstrip(";") + ";"


def get_ruledef(call: Call, oid: int, pretty: bool = False) -> str | None:
    """pg_get_ruledef: of the rule that makes a view."""
    row = call.reader.one("pg_rewrite", oid=oid)
    desc = None if row is None else call.view.relation(row.ev_class)
    if row is None or desc is None:
        return None
    name = f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"
    return f'CREATE RULE "{row.rulename}" AS\n    ON SELECT TO {name} DO INSTEAD {get_viewdef(call, desc.oid)}'


def _function(call: Call, oid: int) -> Record | None:
    return call.reader.one("pg_proc", oid=oid)


def function_result(call: Call, oid: int) -> str | None:
    """pg_get_function_result."""
    row = _function(call, oid)
    if row is None:
        return None
    columns = [
        f"{quote_identifier(name)} {call.type_name(kind)}"
        for name, kind, mode in zip(
            row.proargnames or (), row.proallargtypes or (), row.proargmodes or (), strict=False
        )
        if mode == "t"
    ]
    if columns:
        return f"TABLE({', '.join(columns)})"
    return ("SETOF " if row.proretset else "") + call.type_name(row.prorettype)


def function_arguments(call: Call, oid: int, identity: bool = False) -> str | None:
    """pg_get_function_arguments."""
    row = _function(call, oid)
    if row is None:
        return None
    types = row.proallargtypes or row.proargtypes
    modes = row.proargmodes or ["i"] * len(types)
    names = list(row.proargnames or ()) + [""] * len(types)
    defaults = (row.proargdefaults or "").split(", ") if row.pronargdefaults else []
    first_default = row.pronargs - len(defaults)
    texts = []
    inputs = 0
    for kind, mode, name in zip(types, modes, names, strict=False):
        if mode == "t" or (identity and mode == "o"):
            continue
        words = {"o": "OUT ", "b": "INOUT ", "v": "VARIADIC "}.get(mode, "")
        if row.provariadic and mode == "i" and inputs == row.pronargs - 1:
            words = "VARIADIC "
        text = words + (f"{quote_identifier(name)} " if name else "") + call.type_name(kind)
        if mode != "o":
            if not identity and inputs >= first_default and defaults:
                text += f" DEFAULT {defaults[inputs - first_default]}"
            inputs += 1
        texts.append(text)
    return ", ".join(texts)


def function_arg_default(call: Call, oid: int, number: int) -> str | None:
    """pg_get_function_arg_default."""
    row = _function(call, oid)
    if row is None or not row.pronargdefaults:
        return None
    place = number - 1 - (row.pronargs - row.pronargdefaults)
    return row.proargdefaults.split(", ")[place] if 0 <= place < row.pronargdefaults else None


def obj_description(call: Call, oid: int, catalog: str | None = None) -> str | None:
    """obj_description of an object, in a named catalog or any."""
    wanted = None
    if catalog is not None:
        if catalog not in CATALOGS:
            return None
        wanted = CATALOGS[catalog].desc.oid
        found = call.reader.find("pg_description", objoid=oid, classoid=wanted, objsubid=0)
    else:
        found = [row for row in call.reader.find("pg_description", objoid=oid) if row.objsubid == 0]
    return found[0].description if found else None


def col_description(call: Call, oid: int, number: int) -> str | None:
    """col_description."""
    found = call.reader.find("pg_description", objoid=oid, classoid=_CLASS_RELATION, objsubid=number)
    return found[0].description if found else None


def shobj_description(call: Call, oid: int, catalog: str) -> str | None:
    """shobj_description."""
    if catalog not in CATALOGS:
        return None
    found = call.reader.find("pg_shdescription", objoid=oid, classoid=CATALOGS[catalog].desc.oid)
    return found[0].description if found else None


def serial_sequence(call: Call, table: str, column: str) -> str | None:
    """pg_get_serial_sequence: the sequence that a column owns."""
    desc = call.view.relation(regclass_in(call, table))
    if desc is None:
        raise UndefinedTable(f'relation "{table}" does not exist')
    found = desc.column(column)
    if found is None:
        raise UndefinedColumn(f'column "{column}" of relation "{desc.name}" does not exist')
    for row in call.reader.find("pg_depend", refclassid=_CLASS_RELATION, refobjid=desc.oid, refobjsubid=found.attno):
        sequence = call.view.relation(row.objid) if row.classid == _CLASS_RELATION else None
        if sequence is not None and sequence.kind == "S":
            return f"{quote_identifier(sequence.schema)}.{quote_identifier(sequence.name)}"
    return None


def _none(call: Call, *_: Any) -> None:
    """NULL: objects of that kind do not exist here."""


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "pg_get_expr": get_expr,
    "pg_get_indexdef": get_indexdef,
    "pg_get_constraintdef": get_constraintdef,
    "pg_get_viewdef": get_viewdef,
    "pg_get_ruledef": get_ruledef,
    "pg_get_function_result": function_result,
    "pg_get_function_arguments": function_arguments,
    "pg_get_function_identity_arguments": lambda call, oid: function_arguments(call, oid, True),
    "pg_get_function_arg_default": function_arg_default,
    "pg_get_functiondef": _none,
    "pg_get_function_sqlbody": _none,
    "pg_get_triggerdef": _none,
    "pg_get_partkeydef": _none,
    "pg_get_partition_constraintdef": _none,
    "pg_get_statisticsobjdef": _none,
    "pg_get_statisticsobjdef_columns": _none,
    "pg_get_replica_identity_index": _none,
    "pg_get_serial_sequence": serial_sequence,
    "obj_description": obj_description,
    "col_description": col_description,
    "shobj_description": shobj_description,
}
