"""pg_get_object_address: kind, names and arguments → catalog, OID and column number."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from aurora.datum import Datum, Row
from aurora.errors import (
    InvalidCatalogName,
    InvalidParameterValue,
    InvalidSchemaName,
    SqlSyntaxError,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.catalog.functions import names
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.objects.classes import class_oid
from compute_node.catalog.rows import Record
from compute_node.relations.descriptors import RelationDesc
from compute_node.types.oid import oid_in

Names = list[str]
Found = tuple[str, int, int]
"""catalog, OID, column"""


def get_object_address(call: Call, kind: str, given: list[str | None], arguments: list[str | None]) -> Row:
    """22023 for a kind or lists that are wrong; the errors of each kind for what is not there."""
    find = _KINDS.get(kind)
    if find is None:
        if kind in _UNSUPPORTED:
            raise InvalidParameterValue(f'unsupported object type "{kind}"')
        raise InvalidParameterValue(f'unrecognized object type "{kind}"')
    parts = _list(given, exactly=kind in _ONE_NAME, oid=kind == "large object")
    rest = _texts(arguments)
    _check_lengths(kind, parts, rest)
    catalog, oid, column = find(call, parts, rest)
    return class_oid(catalog), oid, column


_UNSUPPORTED = frozenset(
    (
        "toast table", "composite type", "index column", "sequence column", "toast table column", "view column",
        "materialized view column", "composite type column",
    )
)  # fmt: skip
_ONE_NAME = frozenset(("type", "cast", "transform", "domain constraint", "large object"))
_ONE_ARGUMENT = frozenset(
    (
        "domain constraint", "cast", "publication relation", "publication namespace", "user mapping", "default acl",
        "transform",
    )
)  # fmt: skip
_TWO_ARGUMENTS = frozenset(("operator", "operator of access method", "function of access method"))


def _texts(given: list[str | None]) -> Names:
    found = [each for each in given if each is not None]
    if len(found) != len(given):
        raise InvalidParameterValue("name or argument lists may not contain nulls")
    return found


def _list(given: list[str | None], exactly: bool, oid: bool) -> Names:
    if exactly and len(given) != 1:
        raise InvalidParameterValue("name list length must be exactly 1")
    if oid and given[0] is None:
        raise InvalidParameterValue("large object OID may not be null")
    found = _texts(given)
    if not found:
        raise InvalidParameterValue("name list length must be at least 1")
    return found


def _check_lengths(kind: str, parts: Names, rest: Names) -> None:
    if kind in ("publication namespace", "user mapping") and len(parts) != 1:
        raise InvalidParameterValue("name list length must be exactly 1")
    if kind in _ONE_ARGUMENT and len(rest) != 1:
        raise InvalidParameterValue("argument list length must be exactly 1")
    least = 2 if kind in ("operator class", "operator family") else 3 if kind in _TWO_ARGUMENTS - {"operator"} else 1
    if len(parts) < least:
        raise InvalidParameterValue(f"name list length must be at least {least}")
    if kind in _TWO_ARGUMENTS and len(rest) != 2:
        raise InvalidParameterValue("argument list length must be exactly 2")


# relations and what is in them


def _quoted(parts: Names) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def _relation(call: Call, parts: Names) -> RelationDesc:
    desc = call.view.relation(names.regclass_in(call, _quoted(parts)))
    if desc is None:
        raise UndefinedTable(f'relation "{".".join(parts)}" does not exist')
    return desc


def _of_kind(kinds: str, words: str) -> Callable[[Call, Names, Names], Found]:
    def find(call: Call, parts: Names, rest: Names) -> Found:
        desc = _relation(call, parts)
        if desc.kind not in kinds:
            raise WrongObjectType(f'"{desc.name}" is not {words}')
        return "pg_class", desc.oid, 0

    return find


def _column(call: Call, parts: Names, rest: Names) -> Found:
    if len(parts) < 2:
        raise SqlSyntaxError("column name must be qualified")
    desc = _relation(call, parts[:-1])
    column = desc.column(parts[-1])
    if column is None:
        raise UndefinedColumn(f'column "{parts[-1]}" of relation "{".".join(parts[:-1])}" does not exist')
    return "pg_class", desc.oid, column.attno


def _default(call: Call, parts: Names, rest: Names) -> Found:
    if len(parts) < 2:
        raise SqlSyntaxError("column name must be qualified")
    desc = _relation(call, parts[:-1])
    column = desc.column(parts[-1])
    row = None if column is None else call.reader.one("pg_attrdef", adrelid=desc.oid, adnum=column.attno)
    if row is None:
        shown = f'default value for column "{parts[-1]}" of relation "{".".join(parts[:-1])}"'
        raise UndefinedColumn(f"{shown} does not exist")
    return "pg_attrdef", row.oid, 0


def _on_relation(catalog: str, relation: str, name: str, word: str, noun: str) -> Callable[[Call, Names, Names], Found]:
    def find(call: Call, parts: Names, rest: Names) -> Found:
        if len(parts) < 2:
            raise SqlSyntaxError("must specify relation and object name")
        desc = _relation(call, parts[:-1])
        for row in call.reader.find(catalog, **{relation: desc.oid}):
            if getattr(row, name) == parts[-1]:
                return catalog, row.oid, 0
        raise UndefinedObject(f'{word} "{parts[-1]}" for {noun} "{desc.name}" does not exist')

    return find


# types and functions


def _type(call: Call, text: str) -> int:
    return names.regtype_in(call, text)


def _find_type(call: Call, parts: Names, rest: Names) -> Found:
    return "pg_type", _type(call, parts[0]), 0


def _cast(call: Call, parts: Names, rest: Names) -> Found:
    source, target = _type(call, parts[0]), _type(call, rest[0])
    row = call.reader.one("pg_cast", castsource=source, casttarget=target)
    if row is None:
        shown = f"cast from type {call.type_name(source)} to type {call.type_name(target)}"
        raise UndefinedObject(f"{shown} does not exist")
    return "pg_cast", row.oid, 0


def _domain_constraint(call: Call, parts: Names, rest: Names) -> Found:
    oid = _type(call, parts[0])
    if call.view.type(oid).base is None:
        raise WrongObjectType(f'"{parts[0]}" is not a domain')
    for row in call.reader.find("pg_constraint", contypid=oid):
        if row.conname == rest[0]:
            return "pg_constraint", row.oid, 0
    raise UndefinedObject(f'constraint "{rest[0]}" for domain {call.type_name(oid)} does not exist')


def _function(kind: str) -> Callable[[Call, Names, Names], Found]:
    wrong = {"a": "function %s is not an aggregate", "p": "%s is not a procedure", "f": ""}[kind]
    noun = {"a": "aggregate", "p": "procedure", "f": "function"}[kind]

    def find(call: Call, parts: Names, rest: Names) -> Found:
        types = tuple([_type(call, text) for text in rest])
        shown = f"{'.'.join(parts)}({', '.join(call.type_name(oid) for oid in types)})"
        for item in names.functions_of(call, _quoted(parts)):
            if item.arguments == types:
                if wrong and item.kind != kind:
                    raise WrongObjectType(wrong % shown)
                return "pg_proc", item.oid, 0
        raise UndefinedFunction(f"{noun} {shown} does not exist")

    return find


def _operator(call: Call, parts: Names, rest: Names) -> Found:
    left, right = (_type(call, text) for text in rest)
    for item in call.view.operators(parts[-2] if len(parts) > 1 else None, parts[-1]):
        if (item.left, item.right) == (left, right):
            return "pg_operator", item.oid, 0
    raise UndefinedFunction(
        f"operator does not exist: {call.type_name(left)} {'.'.join(parts)} {call.type_name(right)}"
    )


# operator classes and families: the access method's name comes first


def _method(call: Call, name: str) -> int:
    row = call.reader.one("pg_am", amname=name)
    if row is None:
        raise UndefinedObject(f'access method "{name}" does not exist')
    return int(row.oid)


def _of_method(call: Call, catalog: str, prefix: str, parts: Names) -> Record:
    method, path = _method(call, parts[0]), _namespaces(call, parts[1:])
    for namespace in path:
        for row in call.reader.find(
            catalog, **{f"{prefix}method": method, f"{prefix}name": parts[-1], f"{prefix}namespace": namespace}
        ):
            return row
    what = "operator class" if prefix == "opc" else "operator family"
    raise UndefinedObject(f'{what} "{".".join(parts[1:])}" does not exist for access method "{parts[0]}"')


def _namespaces(call: Call, parts: Names) -> list[int]:
    """Where a name may be: its schema, or the search path. 42601 for more than two parts."""
    if len(parts) > 3:
        raise SqlSyntaxError(f"improper qualified name (too many dotted names): {'.'.join(parts)}")
    return [call.view.namespace(parts[-2])] if len(parts) > 1 else [oid for _, oid in call.view.path]


def _class(call: Call, parts: Names, rest: Names) -> Found:
    return "pg_opclass", _of_method(call, "pg_opclass", "opc", parts).oid, 0


def _family(call: Call, parts: Names, rest: Names) -> Found:
    return "pg_opfamily", _of_method(call, "pg_opfamily", "opf", parts).oid, 0


def _number(text: str) -> int:
    """As C's atoi reads it."""
    match = re.match(r"\s*([+-]?\d+)", text)
    return int(match[1]) if match else 0


def _member(catalog: str, prefix: str, number: str, what: str) -> Callable[[Call, Names, Names], Found]:
    def find(call: Call, parts: Names, rest: Names) -> Found:
        family, wanted = _of_method(call, "pg_opfamily", "opf", parts[:-1]), _number(parts[-1])
        types = [_type(call, text) for text in rest]
        for row in call.reader.find(catalog, **{f"{prefix}family": family.oid}):
            given = [getattr(row, f"{prefix}lefttype"), getattr(row, f"{prefix}righttype")]
            if given == types and getattr(row, number) == wanted:
                return catalog, row.oid, 0
        name = f"operator family {family.opfname} for access method {parts[0]}"
        raise UndefinedObject(f"{what} {wanted} ({rest[0]}, {rest[1]}) of {name} does not exist")

    return find


# what has a name alone, or a name in a schema


def _named(catalog: str, name: str, word: str) -> Callable[[Call, Names, Names], Found]:
    def find(call: Call, parts: Names, rest: Names) -> Found:
        if len(parts) != 1:
            raise InvalidParameterValue("name list length must be exactly 1")
        row = call.reader.one(catalog, **{name: parts[0]})
        if row is None:
            _refuse(word, parts[0])
        return catalog, row.oid, 0

    return find


def _refuse(word: str, name: str) -> NoReturn:
    error = {"schema": InvalidSchemaName, "database": InvalidCatalogName}.get(word, UndefinedObject)
    raise error(f'{word} "{name}" does not exist')


def _in_schema(catalog: str, prefix: str, word: str) -> Callable[[Call, Names, Names], Found]:
    def find(call: Call, parts: Names, rest: Names) -> Found:
        for namespace in _namespaces(call, parts):
            for row in call.reader.find(catalog, **{f"{prefix}name": parts[-1], f"{prefix}namespace": namespace}):
                return catalog, row.oid, 0
        tail = ' for encoding "UTF8"' if word == "collation" else ""
        raise UndefinedObject(f'{word} "{".".join(parts)}"{tail} does not exist')

    return find


def _collation(call: Call, parts: Names, rest: Names) -> Found:
    return "pg_collation", names.regcollation_in(call, _quoted(parts)), 0


def _large_object(call: Call, parts: Names, rest: Names) -> Found:
    oid = oid_in(parts[0], -1, call.session.env)
    if call.reader.one("pg_largeobject_metadata", oid=oid) is None:
        raise UndefinedObject(f"large object {oid} does not exist")
    return "pg_largeobject", oid, 0


def _user_mapping(call: Call, parts: Names, rest: Names) -> Found:
    role = None if parts[0] == "public" else call.view.role(parts[0])
    if role is not None or parts[0] == "public":
        server = call.reader.one("pg_foreign_server", srvname=rest[0])
        if server is None:
            raise UndefinedObject(f'server "{rest[0]}" does not exist')
        found = call.reader.one("pg_user_mapping", umuser=0 if role is None else role.oid, umserver=server.oid)
        if found is not None:
            return "pg_user_mapping", found.oid, 0
    raise UndefinedObject(f'user mapping for user "{parts[0]}" on server "{rest[0]}" does not exist')


def _publication(call: Call, name: str) -> int:
    row = call.reader.one("pg_publication", pubname=name)
    if row is None:
        raise UndefinedObject(f'publication "{name}" does not exist')
    return int(row.oid)


def _published_table(call: Call, parts: Names, rest: Names) -> Found:
    table = _relation(call, parts)
    row = call.reader.one("pg_publication_rel", prrelid=table.oid, prpubid=_publication(call, rest[0]))
    if row is None:
        raise UndefinedObject(f'publication relation "{".".join(parts)}" in publication "{rest[0]}" does not exist')
    return "pg_publication_rel", row.oid, 0


def _published_schema(call: Call, parts: Names, rest: Names) -> Found:
    publication = _publication(call, rest[0])
    schema = call.view.layer.namespace_oid(parts[0])
    if schema is None:
        raise InvalidSchemaName(f'schema "{parts[0]}" does not exist')
    row = call.reader.one("pg_publication_namespace", pnnspid=schema, pnpubid=publication)
    if row is None:
        raise UndefinedObject(f'publication schema "{parts[0]}" in publication "{rest[0]}" does not exist')
    return "pg_publication_namespace", row.oid, 0


def _transform(call: Call, parts: Names, rest: Names) -> Found:
    kind = call.type_name(_type(call, parts[0]))
    raise UndefinedObject(f'transform for type {kind} language "{rest[0]}" does not exist')


_DEFAULT_ACLS = {"r": "tables", "S": "sequences", "f": "functions", "T": "types", "n": "schemas"}


def _default_acl(call: Call, parts: Names, rest: Names) -> Found:
    if rest[0] not in _DEFAULT_ACLS:
        raise InvalidParameterValue(
            f'unrecognized default ACL object type "{rest[0]}"',
            hint='Valid object types are "r", "S", "f", "T", "n".',
        )
    role = call.view.role(parts[0])
    namespace = call.view.layer.namespace_oid(parts[1]) if len(parts) > 1 else 0
    if role is not None and namespace is not None:
        found = call.reader.one("pg_default_acl", defaclrole=role.oid, defaclnamespace=namespace, defaclobjtype=rest[0])
        if found is not None:
            return "pg_default_acl", found.oid, 0
    where = f" in schema {parts[1]}" if len(parts) > 1 else ""
    raise UndefinedObject(f'default ACL for user "{parts[0]}"{where} on {_DEFAULT_ACLS[rest[0]]} does not exist')


_KINDS: dict[str, Callable[[Call, Names, Names], Found]] = {
    "table": _of_kind("rp", "a table"),
    "index": _of_kind("iI", "an index"),
    "sequence": _of_kind("S", "a sequence"),
    "view": _of_kind("v", "a view"),
    "materialized view": _of_kind("m", "a materialized view"),
    "foreign table": _of_kind("f", "a foreign table"),
    "table column": _column,
    "foreign table column": _column,
    "aggregate": _function("a"),
    "function": _function("f"),
    "procedure": _function("p"),
    "type": _find_type,
    "cast": _cast,
    "collation": _collation,
    "table constraint": _on_relation("pg_constraint", "conrelid", "conname", "constraint", "table"),
    "domain constraint": _domain_constraint,
    "conversion": _in_schema("pg_conversion", "con", "conversion"),
    "default value": _default,
    "language": _named("pg_language", "lanname", "language"),
    "large object": _large_object,
    "operator": _operator,
    "operator class": _class,
    "operator family": _family,
    "access method": _named("pg_am", "amname", "access method"),
    "operator of access method": _member("pg_amop", "amop", "amopstrategy", "operator"),
    "function of access method": _member("pg_amproc", "amproc", "amprocnum", "function"),
    "rule": _on_relation("pg_rewrite", "ev_class", "rulename", "rule", "relation"),
    "trigger": _on_relation("pg_trigger", "tgrelid", "tgname", "trigger", "table"),
    "policy": _on_relation("pg_policy", "polrelid", "polname", "policy", "table"),
    "schema": _named("pg_namespace", "nspname", "schema"),
    "statistics object": _in_schema("pg_statistic_ext", "stx", "statistics object"),
    "text search parser": _in_schema("pg_ts_parser", "prs", "text search parser"),
    "text search dictionary": _in_schema("pg_ts_dict", "dict", "text search dictionary"),
    "text search template": _in_schema("pg_ts_template", "tmpl", "text search template"),
    "text search configuration": _in_schema("pg_ts_config", "cfg", "text search configuration"),
    "role": _named("pg_authid", "rolname", "role"),
    "database": _named("pg_database", "datname", "database"),
    "tablespace": _named("pg_tablespace", "spcname", "tablespace"),
    "foreign-data wrapper": _named("pg_foreign_data_wrapper", "fdwname", "foreign-data wrapper"),
    "server": _named("pg_foreign_server", "srvname", "server"),
    "user mapping": _user_mapping,
    "default acl": _default_acl,
    "extension": _named("pg_extension", "extname", "extension"),
    "event trigger": _named("pg_event_trigger", "evtname", "event trigger"),
    "parameter ACL": _named("pg_parameter_acl", "parname", "parameter ACL"),
    "publication": _named("pg_publication", "pubname", "publication"),
    "publication namespace": _published_schema,
    "publication relation": _published_table,
    "subscription": _named("pg_subscription", "subname", "subscription"),
    "transform": _transform,
}

FUNCTIONS: dict[str, Callable[..., Datum]] = {"pg_get_object_address": get_object_address}
