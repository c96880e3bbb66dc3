"""Each catalog's objects: what they are called. A class gives None for an object that is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from aurora.datum import Datum
from compute_node.catalog.functions import names
from compute_node.catalog.functions.call import Call, quote_identifier
from compute_node.catalog.functions.objects.naming import (
    column_name,
    describe_relation,
    schema_of,
    shown,
    whole,
    whole_type,
)
from compute_node.catalog.rows import Record
from compute_node.relations.schema import CATALOGS


class Identity(NamedTuple):
    """How pg_get_object_address finds an object again: the text, the names, the arguments."""

    text: str
    names: list[str]
    arguments: list[str] = []


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """The objects of one catalog. ``kind``: the words for one; ``name`` and ``namespace``: the columns that hold them;
    ``unique``: whether the name identifies it in its schema."""

    catalog: str
    kind: Callable[[Call, Record, int], str | None]
    describe: Callable[[Call, Record, int], str | None]
    identify: Callable[[Call, Record, int], Identity | None]
    name: str = ""
    namespace: str = ""
    unique: bool = False
    missing: str = ""
    """the words for one that is not there"""


def class_oid(catalog: str) -> int:
    """A catalog's own OID."""
    return int(CATALOGS[catalog].desc.oid)


def _words(text: str) -> Callable[[Call, Record, int], str]:
    return lambda call, row, column: text


# relations


def _relation_kind(call: Call, row: Record, column: int) -> str | None:
    desc = call.view.relation(row.oid)
    return None if desc is None else desc.noun + (" column" if column else "")


def _describe_relation(call: Call, row: Record, column: int) -> str | None:
    desc = call.view.relation(row.oid)
    if desc is None:
        return None
    text = describe_relation(call, desc)
    if not column:
        return text
    name = column_name(desc, column)
    return None if name is None else f"column {name} of {text}"


def _identify_relation(call: Call, row: Record, column: int) -> Identity | None:
    desc = call.view.relation(row.oid)
    if desc is None:
        return None
    text, parts = whole(call, desc.namespace, desc.name), [schema_of(call, desc.namespace), desc.name]
    if not column:
        return Identity(text, parts)
    name = column_name(desc, column)
    return None if name is None else Identity(f"{text}.{quote_identifier(name)}", [*parts, name])


def _relation_identity(call: Call, oid: int, column: int = 0) -> Identity:
    row = call.reader.one("pg_class", oid=oid)
    found = None if row is None else _identify_relation(call, row, column)
    return found or Identity("", [])


# functions, operators


def _function_kind(call: Call, row: Record, column: int) -> str:
    return {"a": "aggregate", "p": "procedure"}.get(row.prokind, "function")


def _identify_function(call: Call, row: Record, column: int) -> Identity:
    types = [whole_type(call, oid) for oid in row.proargtypes]
    text = f"{whole(call, row.pronamespace, row.proname)}({','.join(types)})"
    return Identity(text, [schema_of(call, row.pronamespace), row.proname], types)


def _identify_operator(call: Call, row: Record, column: int) -> Identity:
    left = whole_type(call, row.oprleft) if row.oprleft else "NONE"
    right = whole_type(call, row.oprright) if row.oprright else "NONE"
    schema = schema_of(call, row.oprnamespace)
    text = f"{quote_identifier(schema)}.{row.oprname}({left},{right})"
    types = [whole_type(call, oid) for oid in (row.oprleft, row.oprright) if oid]
    return Identity(text, [schema, row.oprname], types)


# types, casts, constraints


def _describe_type(call: Call, row: Record, column: int) -> str:
    return f"type {call.type_name(row.oid)}"


def _identify_type(call: Call, row: Record, column: int) -> Identity:
    text = whole_type(call, row.oid)
    return Identity(text, [text])


def _identify_cast(call: Call, row: Record, column: int) -> Identity:
    source, target = whole_type(call, row.castsource), whole_type(call, row.casttarget)
    return Identity(f"({source} AS {target})", [source], [target])


def _constraint_kind(call: Call, row: Record, column: int) -> str:
    return "table constraint" if row.conrelid else "domain constraint"


def _describe_constraint(call: Call, row: Record, column: int) -> str:
    desc = call.view.relation(row.conrelid) if row.conrelid else None
    return f"constraint {row.conname}" + ("" if desc is None else f" on {describe_relation(call, desc)}")


def _identify_constraint(call: Call, row: Record, column: int) -> Identity:
    if row.conrelid:
        table = _relation_identity(call, row.conrelid)
        return Identity(f"{quote_identifier(row.conname)} on {table.text}", [*table.names, row.conname])
    domain = whole_type(call, row.contypid)
    return Identity(f"{quote_identifier(row.conname)} on {domain}", [domain], [row.conname])


def _describe_default(call: Call, row: Record, column: int) -> str | None:
    relation = call.reader.one("pg_class", oid=row.adrelid)
    text = None if relation is None else _describe_relation(call, relation, row.adnum)
    return None if text is None else f"default value for {text}"


def _identify_default(call: Call, row: Record, column: int) -> Identity:
    found = _relation_identity(call, row.adrelid, row.adnum)
    return Identity(f"for {found.text}", found.names)


# operator classes and families


def _method_name(call: Call, oid: int) -> str:
    row = call.reader.one("pg_am", oid=oid)
    return "" if row is None else str(row.amname)


def _family_text(call: Call, oid: int) -> str:
    row = call.reader.one("pg_opfamily", oid=oid)
    return "" if row is None else _describe_family(call, row, 0)


def _describe_family(call: Call, row: Record, column: int) -> str:
    is_visible = row.opfnamespace in [oid for _, oid in call.view.path]
    name = shown(call, row.opfnamespace, row.opfname, is_visible)
    return f"operator family {name} for access method {_method_name(call, row.opfmethod)}"


def _describe_class(call: Call, row: Record, column: int) -> str:
    is_visible = row.opcnamespace in [oid for _, oid in call.view.path]
    name = shown(call, row.opcnamespace, row.opcname, is_visible)
    return f"operator class {name} for access method {_method_name(call, row.opcmethod)}"


def _of_method(prefix: str) -> Callable[[Call, Record, int], Identity]:
    def identify(call: Call, row: Record, column: int) -> Identity:
        namespace, name = getattr(row, f"{prefix}namespace"), getattr(row, f"{prefix}name")
        method = _method_name(call, getattr(row, f"{prefix}method"))
        text = f"{whole(call, namespace, name)} USING {quote_identifier(method)}"
        return Identity(text, [method, schema_of(call, namespace), name])

    return identify


_identify_family = _of_method("opf")


def _member(call: Call, family: int, kind: str, number: int, left: int, right: int) -> Identity:
    row = call.reader.one("pg_opfamily", oid=family)
    found = Identity("", []) if row is None else _identify_family(call, row, 0)
    types = [whole_type(call, left), whole_type(call, right)]
    return Identity(f"{kind} {number} ({types[0]}, {types[1]}) of {found.text}", [*found.names, str(number)], types)


def _describe_amop(call: Call, row: Record, column: int) -> str:
    types = f"({call.type_name(row.amoplefttype)}, {call.type_name(row.amoprighttype)})"
    operator = names.regoperator_out(call, row.amopopr)
    return f"operator {row.amopstrategy} {types} of {_family_text(call, row.amopfamily)}: {operator}"


def _describe_amproc(call: Call, row: Record, column: int) -> str:
    types = f"({call.type_name(row.amproclefttype)}, {call.type_name(row.amprocrighttype)})"
    function = names.regprocedure_out(call, row.amproc)
    return f"function {row.amprocnum} {types} of {_family_text(call, row.amprocfamily)}: {function}"


# of relations


def _on_relation(word: str, name: str, relation: str) -> ObjectClass:
    """Rules, triggers, policies: ``word name on table t``."""

    def describe(call: Call, row: Record, column: int) -> str:
        desc = call.view.relation(getattr(row, relation))
        return f"{word} {getattr(row, name)} on {'' if desc is None else describe_relation(call, desc)}"

    def identify(call: Call, row: Record, column: int) -> Identity:
        table, own = _relation_identity(call, getattr(row, relation)), getattr(row, name)
        return Identity(f"{quote_identifier(own)} on {table.text}", [*table.names, own])

    catalog = {"rule": "pg_rewrite", "trigger": "pg_trigger", "policy": "pg_policy"}[word]
    return ObjectClass(catalog, _words(word), describe, identify, name, missing=word)


# what has a name alone, or a name in a schema


def _named(catalog: str, word: str, name: str, label: str = "") -> ObjectClass:
    """``label``: the words of a description, where they are others."""

    def identify(call: Call, row: Record, column: int) -> Identity:
        own = getattr(row, name)
        return Identity(quote_identifier(own), [own])

    return ObjectClass(
        catalog, _words(word), lambda call, row, column: f"{label or word} {getattr(row, name)}", identify, name,
        unique=True, missing=word,
    )  # fmt: skip


def _in_schema(
    catalog: str, word: str, prefix: str, *, unique: bool = True, visible: Callable[[Call, int], Datum] | None = None
) -> ObjectClass:
    name, namespace = f"{prefix}name", f"{prefix}namespace"

    def describe(call: Call, row: Record, column: int) -> str:
        schema = getattr(row, namespace)
        is_visible = visible(call, row.oid) if visible else schema in [oid for _, oid in call.view.path]
        return f"{word} {shown(call, schema, getattr(row, name), is_visible)}"

    def identify(call: Call, row: Record, column: int) -> Identity:
        schema, own = getattr(row, namespace), getattr(row, name)
        return Identity(whole(call, schema, own), [schema_of(call, schema), own])

    return ObjectClass(catalog, _words(word), describe, identify, name, namespace, unique, word)


_DEFAULTS = {
    "r": ("relations", "tables"), "S": ("sequences", "sequences"), "f": ("functions", "functions"),
    "T": ("types", "types"), "n": ("schemas", "schemas"),
}  # fmt: skip
"""by defaclobjtype: how a description and an identity call new objects"""


def _of_default_acl(call: Call, row: Record) -> tuple[str, str]:
    """Its role and, of one schema's, the schema."""
    schema = call.view.namespace_name(row.defaclnamespace) if row.defaclnamespace else ""
    return call.view.layer.role_name(row.defaclrole) or str(row.defaclrole), schema


def _describe_default_acl(call: Call, row: Record, _column: int) -> str:
    role, schema = _of_default_acl(call, row)
    text = f"default privileges on new {_DEFAULTS[row.defaclobjtype][0]} belonging to role {role}"
    return f"{text} in schema {schema}" if schema else text


def _identify_default_acl(call: Call, row: Record, _column: int) -> Identity:
    role, schema = _of_default_acl(call, row)
    where = f" in schema {quote_identifier(schema)}" if schema else ""
    text = f"for role {quote_identifier(role)}{where} on {_DEFAULTS[row.defaclobjtype][1]}"
    return Identity(text, [role, schema] if schema else [role], [row.defaclobjtype])


def _publication_name(call: Call, oid: int) -> str:
    row = call.reader.one("pg_publication", oid=oid)
    return "" if row is None else str(row.pubname)


def _identify_published_table(call: Call, row: Record, _column: int) -> Identity:
    table, publication = _relation_identity(call, row.prrelid), _publication_name(call, row.prpubid)
    return Identity(f"{table.text} in publication {publication}", table.names, [publication])


def _identify_published_schema(call: Call, row: Record, _column: int) -> Identity:
    schema, publication = call.view.namespace_name(row.pnnspid), _publication_name(call, row.pnpubid)
    return Identity(f"{schema} in publication {publication}", [schema], [publication])


def _describe_published_table(call: Call, row: Record, _column: int) -> str:
    desc = call.view.relation(row.prrelid)
    table = "" if desc is None else describe_relation(call, desc)
    return f"publication of {table} in publication {_publication_name(call, row.prpubid)}"


def _describe_published_schema(call: Call, row: Record, _column: int) -> str:
    schema = call.view.namespace_name(row.pnnspid)
    return f"publication of schema {schema} in publication {_publication_name(call, row.pnpubid)}"


def _mapped(call: Call, row: Record) -> str:
    """Whom a user mapping is for."""
    return (call.view.layer.role_name(row.umuser) or str(row.umuser)) if row.umuser else "public"


def _server_name(call: Call, row: Record) -> str:
    server = call.reader.one("pg_foreign_server", oid=row.umserver)
    return str(row.umserver if server is None else server.srvname)


def _identify_mapping(call: Call, row: Record, _column: int) -> Identity:
    role, server = _mapped(call, row), _server_name(call, row)
    return Identity(f"{quote_identifier(role)} on server {server}", [role], [server])


def _never(catalog: str, word: str) -> ObjectClass:
    """A catalog of what is not here, which has no rows."""
    return ObjectClass(
        catalog, _words(word), lambda call, row, column: None, lambda call, row, column: None, missing=word
    )


_ALL = (
    ObjectClass(
        "pg_class", _relation_kind, _describe_relation, _identify_relation, "relname", "relnamespace", unique=True,
        missing="relation",
    ),
    ObjectClass(
        "pg_proc", _function_kind, lambda call, row, column: f"function {names.regprocedure_out(call, row.oid)}",
        _identify_function, "proname", "pronamespace", missing="routine",
    ),
    ObjectClass(
        "pg_type", _words("type"), _describe_type, _identify_type, "typname", "typnamespace", unique=True,
        missing="type",
    ),
    ObjectClass(
        "pg_cast", _words("cast"),
        lambda call, row, column: f"cast from {call.type_name(row.castsource)} to {call.type_name(row.casttarget)}",
        _identify_cast, missing="cast",
    ),
    _in_schema("pg_collation", "collation", "coll", unique=False, visible=names.collation_is_visible),
    ObjectClass(
        "pg_constraint", _constraint_kind, _describe_constraint, _identify_constraint, "conname", "connamespace",
        missing="constraint",
    ),
    _in_schema("pg_conversion", "conversion", "con"),
    ObjectClass("pg_attrdef", _words("default value"), _describe_default, _identify_default, missing="default value"),
    _named("pg_language", "language", "lanname"),
    ObjectClass(
        "pg_largeobject_metadata", _words("large object"), lambda call, row, column: f"large object {row.oid}",
        lambda call, row, column: Identity(str(row.oid), [str(row.oid)]), missing="large object",
    ),
    ObjectClass(
        "pg_operator", _words("operator"),
        lambda call, row, column: f"operator {names.regoperator_out(call, row.oid)}", _identify_operator, "oprname",
        "oprnamespace", missing="operator",
    ),
    ObjectClass("pg_opclass", _words("operator class"), _describe_class, _of_method("opc"), "opcname", "opcnamespace",
                unique=True, missing="operator class"),
    ObjectClass("pg_opfamily", _words("operator family"), _describe_family, _identify_family, "opfname", "opfnamespace",
                unique=True, missing="operator family"),
    _named("pg_am", "access method", "amname"),
    ObjectClass(
        "pg_amop", _words("operator of access method"), _describe_amop,
        lambda call, row, column: _member(
            call, row.amopfamily, "operator", row.amopstrategy, row.amoplefttype, row.amoprighttype
        ), missing="operator of access method",
    ),
    ObjectClass(
        "pg_amproc", _words("function of access method"), _describe_amproc,
        lambda call, row, column: _member(
            call, row.amprocfamily, "function", row.amprocnum, row.amproclefttype, row.amprocrighttype
        ), missing="function of access method",
    ),
    _on_relation("rule", "rulename", "ev_class"),
    _on_relation("trigger", "tgname", "tgrelid"),
    _on_relation("policy", "polname", "polrelid"),
    _named("pg_namespace", "schema", "nspname"),
    _in_schema("pg_statistic_ext", "statistics object", "stx"),
    _in_schema("pg_ts_parser", "text search parser", "prs"),
    _in_schema("pg_ts_dict", "text search dictionary", "dict"),
    _in_schema("pg_ts_template", "text search template", "tmpl"),
    _in_schema("pg_ts_config", "text search configuration", "cfg"),
    _named("pg_authid", "role", "rolname"),
    _named("pg_database", "database", "datname"),
    _named("pg_tablespace", "tablespace", "spcname"),
    _named("pg_foreign_data_wrapper", "foreign-data wrapper", "fdwname"),
    _named("pg_foreign_server", "server", "srvname"),
    _named("pg_extension", "extension", "extname"),
    _named("pg_event_trigger", "event trigger", "evtname"),
    _named("pg_publication", "publication", "pubname"),
    _named("pg_subscription", "subscription", "subname"),
    ObjectClass(
        "pg_user_mapping", _words("user mapping"),
        lambda call, row, column: f"user mapping for {_mapped(call, row)} on server {_server_name(call, row)}",
        _identify_mapping, missing="user mapping",
    ),
    ObjectClass(
        "pg_default_acl", _words("default acl"), _describe_default_acl, _identify_default_acl, missing="default acl"
    ),
    _never("pg_transform", "transform"),
    ObjectClass("pg_publication_rel", _words("publication relation"), _describe_published_table,
                _identify_published_table, missing="publication relation"),
    ObjectClass("pg_publication_namespace", _words("publication namespace"), _describe_published_schema,
                _identify_published_schema, missing="publication namespace"),
    _named("pg_parameter_acl", "parameter ACL", "parname"),
)  # fmt: skip
CLASSES: dict[int, ObjectClass] = {class_oid(item.catalog): item for item in _ALL}
CLASSES[class_oid("pg_largeobject")] = CLASSES.pop(class_oid("pg_largeobject_metadata"))
"""pg_class OID of a catalog → its objects; large objects are known by pg_largeobject"""
