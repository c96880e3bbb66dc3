"""CREATE and ALTER TEXT SEARCH CONFIGURATION, DICTIONARY, PARSER and TEMPLATE (manual, 12.6 to 12.8).

A dictionary is made once when it is created or altered, so that errors in its options and files are told then. Parsers
and templates are made of functions that exist; a parser's tokens are those of the one built-in parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import (
    InvalidObjectDefinition,
    InvalidParameterValue,
    SqlSyntaxError,
    UndefinedFunction,
    UndefinedObject,
    UniqueViolation,
)
from compute_node.catalog import text_search
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_PROC, DdlContext
from compute_node.catalog.ddl.object_kinds import KINDS, SchemaObject
from compute_node.catalog.ddl.schema_objects import find, owned
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.rows import Record
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.types import oids
from compute_node.types.textsearch.templates import Number, read_options
from compute_node.types.textsearch.tokens import KINDS as TOKENS

_O = enums.ObjectType
_CONFIGURATION: Final = KINDS[_O.OBJECT_TSCONFIGURATION]
_DICTIONARY: Final = KINDS[_O.OBJECT_TSDICTIONARY]
_PARSER: Final = KINDS[_O.OBJECT_TSPARSER]
_TEMPLATE: Final = KINDS[_O.OBJECT_TSTEMPLATE]
_A: Final = enums.AlterTSConfigType
_INTERNAL: Final = oids.INTERNAL

Options = list[tuple[str, str]]


def define(ctx: DdlContext, node: ast.DefineStmt) -> str:
    """CREATE TEXT SEARCH …"""
    kind = KINDS[node.kind]
    if not kind.has_owner:
        ctx.require_superuser(f"must be superuser to create {kind.noun}s")
    namespace, name = ctx.place(node.defnames)
    KINDS_MADE[node.kind](ctx, namespace, name, node.definition or ())
    return f"CREATE {kind.noun.upper()}"


def _insert(ctx: DdlContext, kind: SchemaObject, namespace: int, name: str, values: Mapping[str, Datum]) -> int:
    """The object's row, its owner and its schema. 23505."""
    prefix = kind.prefix
    if ctx.rows.find(kind.catalog, **{f"{prefix}name": name, f"{prefix}namespace": namespace}):
        index = f"{kind.catalog}_{prefix}name_index"
        raise UniqueViolation(
            f'duplicate key value violates unique constraint "{index}"',
            detail=f"Key ({prefix}name, {prefix}namespace)=({name}, {namespace}) already exists.",
            schema="pg_catalog",
            table=kind.catalog,
            constraint=index,
        )
    oid = ctx.next_oid()
    own: dict[str, Datum] = {f"{prefix}name": name, f"{prefix}namespace": namespace}
    if kind.has_owner:
        own[f"{prefix}owner"] = ctx.user_oid
    ctx.rows.insert(kind.catalog, oid=oid, **own, **values)
    if kind.has_owner:
        record_owner(ctx, kind.class_oid, oid, ctx.user_oid)
    ctx.depend((kind.class_oid, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.changes.touch()
    return oid


def _text(item: ast.DefElem) -> str:
    """An option's value as text. 42601 without one."""
    value = item.arg
    if value is None:
        raise SqlSyntaxError(f"{item.defname} requires a parameter")
    if isinstance(value, ast.TypeName):
        return ".".join(part.sval for part in value.names)
    if isinstance(value, tuple):
        return ".".join(part.sval for part in value)
    if isinstance(value, ast.Integer):
        return Number(value.ival or 0)
    if isinstance(value, ast.Float):
        return Number(value.fval)
    if isinstance(value, ast.Boolean):
        return "true" if value.boolval else "false"
    return str(value.sval)


def _names(item: ast.DefElem) -> Sequence[ast.String]:
    value = item.arg
    if isinstance(value, ast.TypeName):
        return tuple(value.names)
    return tuple(value) if isinstance(value, tuple) else (ast.String(sval=_text(item)),)


def _known(kind: SchemaObject, definition: Iterable[ast.DefElem], names: Sequence[str]) -> dict[str, ast.DefElem]:
    """The parameters of a statement by name. 42601 for one that it does not have."""
    given: dict[str, ast.DefElem] = {}
    for item in definition:
        if item.defname not in names:
            raise SqlSyntaxError(f'{kind.noun} parameter "{item.defname}" not recognized')
        given[item.defname] = item
    return given


# dictionaries


def _written(options: Iterable[tuple[str, str]]) -> str | None:
    """Options as pg_ts_dict keeps them."""
    parts = []
    for name, value in options:
        if isinstance(value, Number):
            parts.append(f"{quote_identifier(name)} = {value}")
            continue
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        parts.append(f"{quote_identifier(name)} = {'E' if chr(92) in value else ''}'{quoted}'")
    return ", ".join(parts) or None


def _verified(ctx: DdlContext, template: int, options: Options) -> None:
    """The options make a dictionary."""
    row = ctx.rows.one("pg_ts_template", oid=template)
    if row is not None and not row.tmplinit and options:
        raise SqlSyntaxError(f'text search template "{row.tmplname}" does not accept options')
    text_search.made(ctx.view.layer, template, options)


def _create_dictionary(ctx: DdlContext, namespace: int, name: str, definition: Sequence[ast.DefElem]) -> None:
    template: Record | None = None
    options: Options = []
    for item in definition:
        if item.defname == "template":
            template = find(ctx, _TEMPLATE, _names(item))
        else:
            options.append((item.defname, _text(item)))
    if template is None:
        raise InvalidObjectDefinition("text search template is required")
    _verified(ctx, template.oid, options)
    values = {"dicttemplate": template.oid, "dictinitoption": _written(options)}
    oid = _insert(ctx, _DICTIONARY, namespace, name, values)
    ctx.depend((_DICTIONARY.class_oid, oid, 0), (_TEMPLATE.class_oid, template.oid, 0), "n")


def alter_dictionary(ctx: DdlContext, node: ast.AlterTSDictionaryStmt) -> str:
    """ALTER TEXT SEARCH DICTIONARY: a parameter without a value is forgotten."""
    row = owned(ctx, _DICTIONARY, node.dictname)
    options = read_options(row.dictinitoption)
    for item in node.options:
        options = [each for each in options if each[0] != item.defname]
        if item.arg is not None:
            options.append((item.defname, _text(item)))
    _verified(ctx, row.dicttemplate, options)
    ctx.rows.update("pg_ts_dict", row, dictinitoption=_written(options))
    ctx.changes.touch()
    return "ALTER TEXT SEARCH DICTIONARY"


# configurations


def _create_configuration(ctx: DdlContext, namespace: int, name: str, definition: Sequence[ast.DefElem]) -> None:
    given = _known(_CONFIGURATION, definition, ("parser", "copy"))
    if len(given) > 1:
        raise SqlSyntaxError("cannot specify both PARSER and COPY options")
    source = find(ctx, _CONFIGURATION, _names(given["copy"])) if "copy" in given else None
    if source is not None:
        parser = source.cfgparser
    elif "parser" in given:
        row = find(ctx, _PARSER, _names(given["parser"]))
        parser = 0 if row is None else row.oid
    else:
        raise InvalidObjectDefinition("text search parser is required")
    oid = _insert(ctx, _CONFIGURATION, namespace, name, {"cfgparser": parser})
    if source is not None:
        for each in ctx.rows.find("pg_ts_config_map", mapcfg=source.oid):
            _add(ctx, oid, each.maptokentype, each.mapseqno, each.mapdict)
    _depend(ctx, oid, parser)


def _add(ctx: DdlContext, oid: int, kind: int, number: int, dictionary: int) -> None:
    ctx.rows.insert("pg_ts_config_map", mapcfg=oid, maptokentype=kind, mapseqno=number, mapdict=dictionary)


def _depend(ctx: DdlContext, oid: int, parser: int) -> None:
    """What a configuration depends on besides its schema: its parser and its dictionaries."""
    own = (_CONFIGURATION.class_oid, oid, 0)
    for row in ctx.rows.find("pg_depend", classid=_CONFIGURATION.class_oid, objid=oid):
        if row.refclassid in (_DICTIONARY.class_oid, _PARSER.class_oid):
            ctx.rows.delete("pg_depend", row)
    ctx.depend(own, (_PARSER.class_oid, parser, 0), "n")
    for dictionary in sorted({row.mapdict for row in ctx.rows.find("pg_ts_config_map", mapcfg=oid)}):
        ctx.depend(own, (_DICTIONARY.class_oid, dictionary, 0), "n")
    ctx.changes.touch()


def _token_types(names: Sequence[ast.String]) -> dict[int, str]:
    """Kinds of tokens by number, each once. 22023."""
    known = {alias: number for number, alias, _ in TOKENS}
    found: dict[int, str] = {}
    for item in names:
        if item.sval not in known:
            raise InvalidParameterValue(f'token type "{item.sval}" does not exist')
        found[known[item.sval]] = item.sval
    return found


def alter_configuration(ctx: DdlContext, node: ast.AlterTSConfigurationStmt) -> str:
    """ALTER TEXT SEARCH CONFIGURATION … MAPPING."""
    row = owned(ctx, _CONFIGURATION, node.cfgname)
    kinds = _token_types(node.tokentype or ())
    if node.kind == _A.ALTER_TSCONFIG_DROP_MAPPING:
        _drop_mappings(ctx, row.oid, kinds, bool(node.missing_ok))
    else:
        if node.override:
            for kind in kinds:
                ctx.rows.delete_where("pg_ts_config_map", mapcfg=row.oid, maptokentype=kind)
        dictionaries = [found.oid for each in node.dicts if (found := find(ctx, _DICTIONARY, each)) is not None]
        if node.replace:
            _replace(ctx, row.oid, kinds, *dictionaries)
        else:
            _add_mappings(ctx, row.oid, kinds, dictionaries)
    _depend(ctx, row.oid, row.cfgparser)
    return "ALTER TEXT SEARCH CONFIGURATION"


def _drop_mappings(ctx: DdlContext, oid: int, kinds: Mapping[int, str], missing_ok: bool) -> None:
    for kind, name in kinds.items():
        if ctx.rows.delete_where("pg_ts_config_map", mapcfg=oid, maptokentype=kind):
            continue
        message = f'mapping for token type "{name}" does not exist'
        if not missing_ok:
            raise UndefinedObject(message)
        ctx.notice(f"{message}, skipping")


def _replace(ctx: DdlContext, oid: int, kinds: Mapping[int, str], old: int, new: int) -> None:
    for row in ctx.rows.find("pg_ts_config_map", mapcfg=oid):
        if row.mapdict == old and (not kinds or row.maptokentype in kinds):
            ctx.rows.update("pg_ts_config_map", row, mapdict=new)


def _add_mappings(ctx: DdlContext, oid: int, kinds: Iterable[int], dictionaries: Sequence[int]) -> None:
    taken = {(row.maptokentype, row.mapseqno) for row in ctx.rows.find("pg_ts_config_map", mapcfg=oid)}
    for kind in kinds:
        for number, dictionary in enumerate(dictionaries, 1):
            if (kind, number) in taken:
                raise UniqueViolation(
                    'duplicate key value violates unique constraint "pg_ts_config_map_index"',
                    detail=f"Key (mapcfg, maptokentype, mapseqno)=({oid}, {kind}, {number}) already exists.",
                    schema="pg_catalog",
                    table="pg_ts_config_map",
                    constraint="pg_ts_config_map_index",
                )
            _add(ctx, oid, kind, number, dictionary)


# parsers and templates

_PARSER_METHODS: Final = {
    "start": ("prsstart", (_INTERNAL, oids.INT4), _INTERNAL),
    "gettoken": ("prstoken", (_INTERNAL, _INTERNAL, _INTERNAL), _INTERNAL),
    "end": ("prsend", (_INTERNAL,), oids.VOID),
    "headline": ("prsheadline", (_INTERNAL, _INTERNAL, 3615), _INTERNAL),
    "lextypes": ("prslextype", (_INTERNAL,), _INTERNAL),
}
_TEMPLATE_METHODS: Final = {
    "init": ("tmplinit", (_INTERNAL,), _INTERNAL),
    "lexize": ("tmpllexize", (_INTERNAL, _INTERNAL, _INTERNAL, _INTERNAL), _INTERNAL),
}
_OPTIONAL: Final = frozenset(("headline", "init"))


def _methods(
    ctx: DdlContext,
    kind: SchemaObject,
    definition: Sequence[ast.DefElem],
    methods: Mapping[str, tuple[str, tuple[int, ...], int]],
) -> dict[str, int]:
    """The functions of a parser or a template by column. 42883, 42P17."""
    given = _known(kind, definition, tuple(methods))
    found: dict[str, int] = {}
    for name, item in given.items():
        column, arguments, result = methods[name]
        found[column] = _function(ctx, _names(item), arguments, result)
    for name, (column, _, _) in methods.items():
        if column not in found and name not in _OPTIONAL:
            raise InvalidObjectDefinition(f"{kind.noun} {name} method is required")
    return found


def _function(ctx: DdlContext, names: Sequence[ast.String], arguments: tuple[int, ...], result: int) -> int:
    schema = names[-2].sval if len(names) > 1 else None
    namespaces = [ctx.view.namespace(schema)] if schema is not None else [oid for _, oid in ctx.view.path]
    for namespace in namespaces:
        for row in ctx.rows.find("pg_proc", proname=names[-1].sval):
            if row.pronamespace == namespace and tuple(row.proargtypes) == arguments:
                if row.prorettype != result:
                    shown = ctx.view.type(result).name
                    raise InvalidObjectDefinition(f"function {names[-1].sval} should return type {shown}")
                return int(row.oid)
    shown = ", ".join(ctx.view.type(each).formatted_name or _SHOWN.get(each) or "" for each in arguments)
    raise UndefinedFunction(f"function {'.'.join(each.sval for each in names)}({shown}) does not exist")


_SHOWN: Final = {_INTERNAL: "internal", oids.INT4: "integer", 3615: "tsquery"}


def _made_of(ctx: DdlContext, kind: SchemaObject, namespace: int, name: str, methods: Mapping[str, int]) -> None:
    oid = _insert(ctx, kind, namespace, name, methods)
    for function in methods.values():
        ctx.depend((kind.class_oid, oid, 0), (CLASS_PROC, function, 0), "n")


def _create_parser(ctx: DdlContext, namespace: int, name: str, definition: Sequence[ast.DefElem]) -> None:
    _made_of(ctx, _PARSER, namespace, name, _methods(ctx, _PARSER, definition, _PARSER_METHODS))


def _create_template(ctx: DdlContext, namespace: int, name: str, definition: Sequence[ast.DefElem]) -> None:
    _made_of(ctx, _TEMPLATE, namespace, name, _methods(ctx, _TEMPLATE, definition, _TEMPLATE_METHODS))


KINDS_MADE: dict[enums.ObjectType, Callable[[DdlContext, int, str, Sequence[ast.DefElem]], None]] = {
    _O.OBJECT_TSCONFIGURATION: _create_configuration,
    _O.OBJECT_TSDICTIONARY: _create_dictionary,
    _O.OBJECT_TSPARSER: _create_parser,
    _O.OBJECT_TSTEMPLATE: _create_template,
}
"""What CREATE makes, by kind: context, schema, name, parameters."""
