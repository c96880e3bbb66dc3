"""pg_get_functiondef and what it is made of: arguments, result, attributes and body of a function as SQL."""

from __future__ import annotations

from pglast.parser import ParseError
from pglast.stream import IndentedStream

from aurora.errors import WrongObjectType
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.catalog.routines import RETURN, body_statements, parameters_of, split_texts, sql_function
from compute_node.catalog.rows import Record
from compute_node.session.settings import LISTS, split_list
from compute_node.sql.analyze import analyze
from compute_node.sql.analyze.routines import RoutineBody
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.deparse.expressions import deparse_stored, quote_literal
from compute_node.sql.deparse.queries import deparse_statement
from compute_node.sql.parse import parse
from compute_node.sql.query import Query
from compute_node.types.registry import Function

_MODES = {"o": "OUT ", "b": "INOUT ", "v": "VARIADIC ", "t": "", "i": ""}
_VOLATILITY = {"i": " IMMUTABLE", "s": " STABLE", "v": ""}
_PARALLEL = {"s": " PARALLEL SAFE", "r": " PARALLEL RESTRICTED", "u": ""}
_COST_OF_BUILTIN = 1
_COST = 100
_ROWS = 1000


def _row(call: Call, oid: int) -> Record | None:
    return call.reader.one("pg_proc", oid=oid)


def arguments(call: Call, oid: int, identity: bool = False) -> str | None:
    """pg_get_function_arguments; ``identity``: without defaults, as ALTER and DROP take them."""
    row = _row(call, oid)
    return None if row is None else _arguments(call, row, not identity)


def _arguments(call: Call, row: Record, with_defaults: bool) -> str:
    defaults = split_texts(row.proargdefaults) if with_defaults else ()
    first_default = row.pronargs - len(defaults)
    texts, inputs = [], 0
    for item in parameters_of(row):
        if item.mode == "t":
            continue
        words = "IN " if item.mode == "i" and row.prokind == "p" else _MODES[item.mode]
        text = words + (f"{quote_identifier(item.name)} " if item.name else "") + call.type_name(item.type)
        if item.mode != "o":
            if inputs >= first_default and defaults:
                text += f" DEFAULT {_default(call, row, defaults[inputs - first_default])}"
            inputs += 1
        texts.append(text)
    return ", ".join(texts)


def _default(call: Call, row: Record, text: str) -> str:
    if row.oid < 16384:
        return text
    return deparse_stored(
        analyze_stored(call.view, None, text, "DEFAULT", session=call.session), call.view, None, call.session.env
    )


def argument_default(call: Call, oid: int, number: int) -> str | None:
    """pg_get_function_arg_default; ``number`` counts input arguments from 1."""
    row = _row(call, oid)
    if row is None or not row.pronargdefaults:
        return None
    inputs = [place for place, item in enumerate(parameters_of(row), 1) if item.mode in "ibv"]
    if number not in inputs:
        return None
    place = inputs.index(number) - (row.pronargs - row.pronargdefaults)
    return _default(call, row, split_texts(row.proargdefaults)[place]) if place >= 0 else None


def result(call: Call, oid: int) -> str | None:
    """pg_get_function_result; NULL for a procedure."""
    row = _row(call, oid)
    if row is None or row.prokind == "p":
        return None
    columns = [
        f"{quote_identifier(item.name)} {call.type_name(item.type)}" for item in parameters_of(row) if item.mode == "t"
    ]
    if columns:
        return f"TABLE({', '.join(columns)})"
    return ("SETOF " if row.proretset else "") + call.type_name(row.prorettype)


def definition(call: Call, oid: int) -> str | None:
    """pg_get_functiondef. 42809 for an aggregate."""
    row = _row(call, oid)
    if row is None:
        return None
    if row.prokind == "a":
        raise WrongObjectType(f'"{row.proname}" is an aggregate function')
    noun = "PROCEDURE" if row.prokind == "p" else "FUNCTION"
    schema = call.view.layer.namespace_name(row.pronamespace) or ""
    name = f"{quote_identifier(schema)}.{quote_identifier(row.proname)}"
    lines = [f"CREATE OR REPLACE {noun} {name}({_arguments(call, row, True)})"]
    if row.prokind != "p":
        lines.append(f" RETURNS {result(call, oid)}")
    language = call.reader.one("pg_language", oid=row.prolang)
    lines.append(f" LANGUAGE {quote_identifier('' if language is None else language.lanname)}")
    options = _options(row)
    if options:
        lines.append(options)
    lines += [f" SET {quote_identifier(each)} TO {_setting(each, value)}" for each, value in _settings(row)]
    if row.prosqlbody is not None:
        lines.append(body(call, oid) or "")
    else:
        tag = f"${noun.lower()}$"
        while tag[:-1] in row.prosrc:
            tag = f"{tag[:-1]}x$"
        lines.append(f"AS {tag}{row.prosrc}{tag}")
    return "\n".join(lines) + "\n"


def _options(row: Record) -> str:
    text = " WINDOW" if row.prokind == "w" else ""
    text += _VOLATILITY[row.provolatile] + _PARALLEL[row.proparallel]
    text += " STRICT" if row.proisstrict else ""
    text += " SECURITY DEFINER" if row.prosecdef else ""
    text += " LEAKPROOF" if row.proleakproof else ""
    if row.procost != (_COST_OF_BUILTIN if row.prolang in (12, 13) else _COST):
        text += f" COST {row.procost:g}"
    if row.prorows not in (0, _ROWS):
        text += f" ROWS {row.prorows:g}"
    return text


def _settings(row: Record) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (item.partition("=") for item in row.proconfig or ())]


def _setting(name: str, value: str) -> str:
    if name.lower() not in LISTS:
        return quote_literal(value)
    return ", ".join(quote_literal(item) for item in split_list(value))


def body(call: Call, oid: int) -> str | None:
    """pg_get_function_sqlbody: an SQL-standard body; NULL for another one."""
    row = _row(call, oid)
    if row is None or row.prosqlbody is None:
        return None
    function = sql_function(row)
    texts = split_statements(body_statements(row.prosqlbody))
    statements = [(each, analyzed_statement(call.view, call.session, function, each)) for each in texts]
    names = function.argument_names
    if row.prosqlbody.startswith(RETURN):
        return deparse_statement(statements[0][1], call.view, call.session.env, row.proname, names, lines=False)
    lines = [
        f"{deparse_statement(query, call.view, call.session.env, row.proname, names, lines=True)};\n"
        if only_reads(query)
        else f" {_statement(text)};\n"
        for text, query in statements
    ]
    return f"BEGIN ATOMIC\n{''.join(lines)}END"


def only_reads(query: Query) -> bool:
    """Whether it changes no rows: such a query can be written again."""
    return query.command == "select" and all(item.query.command == "select" for item in query.ctes)


def analyzed_statement(view: CatalogView, session: object, function: Function, text: str) -> Query:
    """A statement of a stored body."""
    routine = RoutineBody(function.name, function.argument_names, stored=True)
    return analyze(
        parse(text)[0].node, view.of_stored_text(), list(function.arguments), text, None, session,
        routine=routine,
    )  # fmt: skip


def split_statements(text: str) -> list[str]:
    """The statements of ``text``."""
    return [text[raw.start : raw.start + raw.length].strip() for raw in parse(text)]


def _statement(text: str) -> str:
    try:
        return str(IndentedStream(comma_at_eoln=True)(text)).rstrip(";").replace("\n", "\n ")
    except ParseError:
        return text
