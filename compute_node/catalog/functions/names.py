"""Text forms of the reg* types, to_reg*, visibility and the search path."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    AmbiguousFunction,
    InternalError,
    InvalidName,
    InvalidSchemaName,
    NotSupported,
    SqlError,
    SqlSyntaxError,
    TooManyArguments,
    UndefinedFunction,
    UndefinedObject,
    UndefinedParameter,
    UndefinedTable,
)
from compute_node.catalog import text_search
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.catalog.functions.signatures import split_signature
from compute_node.catalog.rows import Record
from compute_node.hub import HUB
from compute_node.sql.analyze.typenames import resolve_type_name
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.parse import parse
from compute_node.types.collation.icu_ import actual_version
from compute_node.types.registry import Function, Operator, OperatorClass

_PART = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^\s".][^\s.]*))\s*')
_UPPER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def split_name(text: str) -> list[str]:
    """A possibly quoted, qualified name taken apart; 42602."""
    parts = []
    at = 0
    while True:
        match = _PART.match(text, at)
        if match is None:
            raise InvalidName("invalid name syntax")
        quoted, bare = match.groups()
        parts.append(quoted.replace('""', '"') if quoted is not None else bare.translate(_UPPER))
        at = match.end()
        if not len(parts) % 256:
            HUB.pulse()
        if at == len(text):
            return parts
        if text[at] != ".":
            raise InvalidName("invalid name syntax")
        at += 1


def _qualified(call: Call, text: str, what: str = "qualified") -> tuple[str | None, str]:
    """Schema and name. 42601 for more parts, 0A000 for another database."""
    parts = split_name(text)
    shown = ".".join(parts)
    if len(parts) > 3:
        raise SqlSyntaxError(f"improper {what} name (too many dotted names): {shown}")
    if len(parts) == 3 and parts[0] != call.session.database:
        quoted = f'"{shown}"' if what == "relation" else shown
        raise NotSupported(f"cross-database references are not implemented: {quoted}")
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def regclass_in(call: Call, text: str) -> int:
    """42P01 for an unknown relation."""
    schema, name = _qualified(call, text, "relation")
    if schema is not None and call.view.layer.namespace_oid(schema) is None and schema != "pg_temp":
        raise InvalidSchemaName(f'schema "{schema}" does not exist')
    found = call.view.find_relation(schema, name)
    if found is None:
        raise UndefinedTable(f'relation "{f"{schema}.{name}" if schema else name}" does not exist')
    return found.oid


def regclass_out(call: Call, oid: int) -> str | None:
    """None for an unknown OID: its number is shown."""
    desc = call.view.relation(oid)
    return None if desc is None else call.relation_name(desc)


_BEFORE_TYPE: Final = "SELECT CAST(NULL AS "


def regtype_in(call: Call, text: str) -> int:
    """Any type name of SQL; 42601, 42704."""
    wrong = f'invalid type name "{text}"'
    if not text.strip():
        raise SqlSyntaxError(wrong)
    try:
        statements = parse(f"{_BEFORE_TYPE}{text})")
    except SqlError as error:
        message, at = error.message, (error.position or 0) - len(_BEFORE_TYPE)
        if at > len(text):
            message, at = "syntax error at end of input", len(text) + 1
        raise SqlSyntaxError(message, where=wrong, position=at if at > 0 else None) from None
    targets = list(statements[0].node.targetList or ()) if len(statements) == 1 else []
    cast = getattr(targets[0], "val", None) if len(targets) == 1 and targets[0].name is None else None
    if not isinstance(cast, ast.TypeCast) or cast.typeName.setof:
        raise SqlSyntaxError(wrong)
    node = cast.typeName
    node.location = -1
    return resolve_type_name(call.view, node)[0]


def regtype_out(call: Call, oid: int) -> str | None:
    """As format_type shows it."""
    name = call.type_name(oid)
    return None if name == "???" else name


def functions_of(call: Call, text: str) -> Sequence[Function]:
    """All of a name, which may have a schema."""
    schema, name = _qualified(call, text)
    return call.view.functions(schema, name)


def regproc_in(call: Call, text: str) -> int:
    """42883 for none, 42725 for several of that name."""
    found = functions_of(call, text)
    if not found:
        raise UndefinedFunction(f'function "{text}" does not exist')
    if len(found) > 1:
        raise AmbiguousFunction(f'more than one function named "{text}"')
    return int(found[0].oid)


def _function_record(call: Call, oid: int) -> Record | None:
    return call.reader.one("pg_proc", oid=oid)


def regproc_out(call: Call, oid: int) -> str | None:
    """With its schema when the name alone does not find it, and nothing else."""
    record = _function_record(call, oid)
    if record is None:
        return None
    found = call.view.functions(None, record.proname)
    if len(found) == 1 and found[0].oid == oid:
        return quote_identifier(record.proname)
    return _with_schema(call, record.pronamespace, quote_identifier(record.proname))


def _with_schema(call: Call, namespace: int, name: str) -> str:
    return f"{quote_identifier(call.view.layer.namespace_name(namespace) or '')}.{name}"


def _arguments(call: Call, text: str, none: bool = False) -> tuple[str, tuple[int, ...]]:
    """The name and the types' OIDs; ``none``: NONE stands for no type."""
    name, parts = split_signature(text, split_name)
    types = [0 if none and part.lower() == "none" else regtype_in(call, part) for part in parts]
    return name, tuple(types)


def regprocedure_in(call: Call, text: str) -> int:
    """``name(type, …)``; 42883."""
    name, types = _arguments(call, text)
    for function in functions_of(call, name):
        if function.arguments == types:
            return int(function.oid)
    raise UndefinedFunction(f'function "{text}" does not exist')


def function_is_visible(call: Call, oid: int) -> bool | None:
    """pg_function_is_visible: whether its name and argument types find it; NULL for an unknown OID."""
    record = _function_record(call, oid)
    return None if record is None else any(item.oid == oid for item in call.view.functions(None, record.proname))


def regprocedure_out(call: Call, oid: int) -> str | None:
    """``name(type,…)``, with its schema when it is not visible."""
    record = _function_record(call, oid)
    if record is None:
        return None
    types = ",".join(call.type_name(each) for each in record.proargtypes)
    text = f"{quote_identifier(record.proname)}({types})"
    return text if function_is_visible(call, oid) else _with_schema(call, record.pronamespace, text)


def _operators(call: Call, text: str) -> Sequence[Operator]:
    """All of a name. 3F000 where its schema is not there."""
    return call.view.operators(*_qualified(call, text))


def regoper_in(call: Call, text: str) -> int:
    """42883 for none, 42725 for several of that name."""
    found = _operators(call, text)
    if not found:
        raise UndefinedFunction(f"operator does not exist: {text}")
    if len(found) > 1:
        raise AmbiguousFunction(f"more than one operator named {text}")
    return found[0].oid


def regoper_out(call: Call, oid: int) -> str | None:
    """With its schema when the name alone does not find it, and nothing else."""
    item = call.view.known_operator(oid)
    if item is None:
        return None
    found = call.view.operators(None, item.name)
    return item.name if len(found) == 1 and found[0].oid == oid else _with_schema(call, item.namespace, item.name)


def regoperator_in(call: Call, text: str) -> int:
    """``+(int4,int4)``; NONE for a missing side; 42883."""
    name, types = _arguments(call, text, none=True)
    if len(types) == 1:
        raise UndefinedParameter(
            "missing argument", hint="Use NONE to denote the missing argument of a unary operator."
        )
    if len(types) != 2:
        raise TooManyArguments("too many arguments", hint="Provide two argument types for operator.")
    with suppress(InvalidSchemaName):
        for item in _operators(call, name):
            if (item.left, item.right) == types:
                return item.oid
    raise UndefinedFunction(f"operator does not exist: {text}")


def operator_is_visible(call: Call, oid: int) -> bool | None:
    """pg_operator_is_visible: whether its name and operand types find it; NULL for an unknown OID."""
    item = call.view.known_operator(oid)
    return None if item is None else any(each.oid == oid for each in call.view.operators(None, item.name))


def regoperator_out(call: Call, oid: int) -> str | None:
    """``+(integer,integer)``, with its schema when it is not visible."""
    item = call.view.known_operator(oid)
    if item is None:
        return None
    left = call.type_name(item.left) if item.left else "NONE"
    text = f"{item.name}({left},{call.type_name(item.right)})"
    return text if operator_is_visible(call, oid) else _with_schema(call, item.namespace, text)


def _single_name(text: str) -> str:
    """A name of what is in no schema: 42602 for a qualified one."""
    parts = split_name(text)
    if len(parts) != 1:
        raise InvalidName("invalid name syntax")
    return parts[0]


def regnamespace_in(call: Call, text: str) -> int:
    """3F000."""
    name = _single_name(text)
    found = call.view.layer.namespace_oid(name)
    if found is None:
        raise InvalidSchemaName(f'schema "{name}" does not exist')
    return found


def regnamespace_out(call: Call, oid: int) -> str | None:
    """The quoted name."""
    name = call.view.layer.namespace_name(oid)
    return None if name is None else quote_identifier(name)


def regrole_in(call: Call, text: str) -> int:
    """42704."""
    name = _single_name(text)
    role = call.view.role(name)
    if role is None:
        raise UndefinedObject(f'role "{name}" does not exist')
    return role.oid


def regrole_out(call: Call, oid: int) -> str | None:
    """The quoted name."""
    name = call.view.layer.role_name(oid)
    return None if name is None else quote_identifier(name)


def acl_role_in(call: Call, name: str) -> int:
    """A role by its bare name; 42704."""
    role = call.view.role(name)
    if role is None:
        raise UndefinedObject(f'role "{name}" does not exist')
    return role.oid


def regcollation_in(call: Call, text: str) -> int:
    """42704."""
    schema, name = _qualified(call, text)
    found = call.view.find_collation(schema, name)
    if found is None:
        shown = f"{schema}.{name}" if schema is not None else name
        raise UndefinedObject(f'collation "{shown}" for encoding "UTF8" does not exist')
    return found.oid


def collation_is_visible(call: Call, oid: int) -> bool | None:
    """pg_collation_is_visible; NULL for an unknown OID."""
    item = call.view.collation(oid)
    if item is None:
        return None
    found = call.view.find_collation(None, item.name)
    return found is not None and found.oid == oid


def regcollation_out(call: Call, oid: int) -> str | None:
    """The quoted name, with its schema when it is not visible."""
    item = call.view.collation(oid)
    if item is None:
        return None
    name = quote_identifier(item.name)
    return name if collation_is_visible(call, oid) else _with_schema(call, item.namespace, name)


def collation_actual_version(call: Call, oid: int) -> str | None:
    """pg_collation_actual_version: ICU's own; the locales of the C library have none here. 42704."""
    found = call.view.collation(oid)
    if found is None:
        raise UndefinedObject(f"collation with OID {oid} does not exist")
    return actual_version(found.locale or "") if found.provider == "i" else None


def database_collation_actual_version(call: Call, oid: int) -> None:
    """pg_database_collation_actual_version: a database's locale is C.UTF-8, which has no versions. 42704."""
    if call.reader.one("pg_database", oid=oid) is None:
        raise UndefinedObject(f"database with OID {oid} does not exist")


def _text_search(
    catalog: str, prefix: str, what: str
) -> tuple[Callable[[Call, str], int], Callable[[Call, int], Datum]]:
    """Input and output of regconfig or regdictionary. 42704."""

    def read(call: Call, text: str) -> int:
        schema, name = _qualified(call, text)
        for namespace in call.view.search_path if schema is None else (schema,):
            oid = call.view.layer.namespace_oid(namespace)
            if oid is None and schema is not None:
                raise InvalidSchemaName(f'schema "{schema}" does not exist')
            found = call.reader.find(catalog, **{prefix + "name": name, prefix + "namespace": oid}) if oid else ()
            for record in found:
                return int(record.oid)
        shown = name if schema is None else f"{schema}.{name}"
        raise UndefinedObject(f'text search {what} "{shown}" does not exist')

    def write(call: Call, oid: int) -> str | None:
        record = call.reader.one(catalog, oid=oid)
        if record is None:
            return None
        name = quote_identifier(getattr(record, prefix + "name"))
        schema = call.view.layer.namespace_name(getattr(record, prefix + "namespace"))
        return name if schema in call.view.search_path else f"{quote_identifier(schema or '')}.{name}"

    return read, write


def _parser(call: Call, parser: int | str) -> int:
    """The OID of a text search parser. XX000 for an OID of none, 42704 for a name of none."""
    if isinstance(parser, int):
        if call.reader.one("pg_ts_parser", oid=parser) is None:
            raise InternalError(f"cache lookup failed for text search parser {parser}")
        return parser
    return _PARSER_IN(call, parser)


_PARSER_IN, _ = _text_search("pg_ts_parser", "prs", "parser")
_CONFIG_IN, _CONFIG_OUT = _text_search("pg_ts_config", "cfg", "configuration")
_DICTIONARY_IN, _DICTIONARY_OUT = _text_search("pg_ts_dict", "dict", "dictionary")


def _kept(question: str) -> Callable[[Call, int], Datum]:
    """What the session's layer of the catalog keeps; no view is made for it, since it is asked for each document."""
    return lambda call, oid: call.layer.ask(question, oid)


def _configuration(call: Call, text: str) -> int:
    """The OID of a configuration, as the setting names it: mostly with its schema. 42704."""
    schema, dot, name = text.partition(".")
    if dot and not {'"', "."} & set(name):
        layer = call.layer
        namespace = layer.namespace_oid(schema)
        found = layer.ask(text_search.CONFIGURATION_OID, name, namespace) if namespace else None
        if found is not None:
            return int(found)
    return _CONFIG_IN(call, text)


def _configuration_name(call: Call, text: str) -> str | None:
    """The name with its schema; NULL where there is none."""
    oid = _to_reg(_CONFIG_IN)(call, text)
    record = None if oid is None else call.reader.one("pg_ts_config", oid=oid)
    if record is None:
        return None
    schema = call.view.layer.namespace_name(record.cfgnamespace) or ""
    return f"{quote_identifier(schema)}.{quote_identifier(record.cfgname)}"


def _to_reg(function: Callable[[Call, str], int]) -> Callable[[Call, str], int | None]:
    def find(call: Call, text: str) -> int | None:
        try:
            return function(call, text)
        except (UndefinedTable, UndefinedObject, UndefinedFunction, AmbiguousFunction, InvalidSchemaName):
            return None

    return find


def table_is_visible(call: Call, oid: int) -> bool | None:
    """pg_table_is_visible; NULL for an unknown OID."""
    desc = call.view.relation(oid)
    return None if desc is None else call.view.relation_is_visible(desc)


def type_is_visible(call: Call, oid: int) -> bool | None:
    """pg_type_is_visible."""
    return call.view.type_is_visible(oid) if call.view.layer.type(oid) is not None else None


def _in_path(catalog: str, column: str) -> Callable[[Call, int], bool | None]:
    """Visibility of objects that share no names across schemas here: their schema is on the path."""

    def visible(call: Call, oid: int) -> bool | None:
        record = call.reader.one(catalog, oid=oid)
        if record is None:
            return None
        return call.view.layer.namespace_name(getattr(record, column)) in call.view.search_path

    return visible


def class_name(view: CatalogView, found: OperatorClass) -> str:
    """An operator class, with its schema where that is not on the search path."""
    name, schema = quote_identifier(found.name), view.namespace_name(found.namespace)
    return name if schema in view.search_path else f"{quote_identifier(schema)}.{name}"


def search_path_schemas(call: Call, include_implicit: bool) -> list[str]:
    """current_schemas."""
    view = call.view
    if include_implicit:
        return list(view.search_path)
    explicit = view.explicit_path
    return [name for name in view.search_path if name in explicit]


def my_temp_schema(call: Call) -> int:
    """pg_my_temp_schema: 0 before the session has one."""
    name = call.session.temp_schema
    return 0 if name is None else call.view.layer.namespace_oid(name) or 0


def is_other_temp_schema(call: Call, oid: int) -> bool:
    """pg_is_other_temp_schema."""
    name = call.view.layer.namespace_name(oid) or ""
    return name != call.session.temp_schema and name.startswith(("pg_temp_", "pg_toast_temp_"))


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_my_temp_schema": my_temp_schema,
    "pg_is_other_temp_schema": is_other_temp_schema,
    "regclassin": regclass_in,
    "regclassout": regclass_out,
    "regtypein": regtype_in,
    "regtypeout": regtype_out,
    "regprocin": regproc_in,
    "regprocout": regproc_out,
    "regprocedurein": regprocedure_in,
    "regprocedureout": regprocedure_out,
    "regoperin": regoper_in,
    "regoperout": regoper_out,
    "regoperatorin": regoperator_in,
    "regoperatorout": regoperator_out,
    "regnamespacein": regnamespace_in,
    "regnamespaceout": regnamespace_out,
    "acl_role_in": acl_role_in,
    "acl_role_out": lambda call, oid: call.view.layer.role_name(oid),
    "regrolein": regrole_in,
    "regroleout": regrole_out,
    "regcollationin": regcollation_in,
    "regcollationout": regcollation_out,
    "text_search_configuration": _kept(text_search.CONFIGURATION),
    "text_search_dictionary": _kept(text_search.DICTIONARY),
    "text_search_configuration_oid": _configuration,
    "text_search_configuration_name": _configuration_name,
    "text_search_parser": _parser,
    "regconfigin": _CONFIG_IN,
    "regconfigout": _CONFIG_OUT,
    "regdictionaryin": _DICTIONARY_IN,
    "regdictionaryout": _DICTIONARY_OUT,
    "to_regclass": _to_reg(regclass_in),
    "to_regtype": _to_reg(regtype_in),
    "to_regproc": _to_reg(regproc_in),
    "to_regprocedure": _to_reg(regprocedure_in),
    "to_regoper": _to_reg(regoper_in),
    "to_regoperator": _to_reg(regoperator_in),
    "to_regnamespace": _to_reg(regnamespace_in),
    "to_regrole": _to_reg(regrole_in),
    "to_regcollation": _to_reg(regcollation_in),
    "pg_table_is_visible": table_is_visible,
    "pg_type_is_visible": type_is_visible,
    "pg_function_is_visible": function_is_visible,
    "pg_operator_is_visible": operator_is_visible,
    "pg_opclass_is_visible": _in_path("pg_opclass", "opcnamespace"),
    "pg_opfamily_is_visible": _in_path("pg_opfamily", "opfnamespace"),
    "pg_conversion_is_visible": _in_path("pg_conversion", "connamespace"),
    "pg_collation_actual_version": collation_actual_version,
    "pg_database_collation_actual_version": database_collation_actual_version,
    "pg_collation_is_visible": collation_is_visible,
    "pg_statistics_obj_is_visible": _in_path("pg_statistic_ext", "stxnamespace"),
    "pg_ts_config_is_visible": _in_path("pg_ts_config", "cfgnamespace"),
    "pg_ts_dict_is_visible": _in_path("pg_ts_dict", "dictnamespace"),
    "pg_ts_parser_is_visible": _in_path("pg_ts_parser", "prsnamespace"),
    "pg_ts_template_is_visible": _in_path("pg_ts_template", "tmplnamespace"),
    "search_path_schemas": search_path_schemas,
    "type": lambda call, oid: call.view.type(oid),
    "schema_name": lambda call, oid: call.view.namespace_name(oid),
    "format_type": lambda call, oid, typmod: call.type_name(oid, -1 if typmod is None else typmod),
}
