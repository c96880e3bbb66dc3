"""CREATE TYPE with attributes, and ALTER TYPE … SET: base types over the functions of a built-in type.

There are no functions in C, so a new base type's input function is, under whatever name, that of a built-in type
(``LANGUAGE internal``), and its values are kept as that type's. Source: PostgreSQL manual, CREATE TYPE and ALTER TYPE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    AmbiguousFunction,
    DatatypeMismatch,
    DuplicateObject,
    InvalidObjectDefinition,
    InvalidParameterValue,
    NotSupported,
    SqlSyntaxError,
    UndefinedFunction,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.builders import array_type_row, base_type_row
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_PROC, CLASS_TYPE, DdlContext
from compute_node.catalog.ddl.definition_names import names_of
from compute_node.catalog.ddl.functions import shown_function
from compute_node.catalog.ddl.shared_depend import forget, record_owner
from compute_node.catalog.ddl.types import (
    array_name,
    check_type_owner,
    create_shell,
    find_type,
    type_name_taken,
    type_of,
    type_record,
)
from compute_node.catalog.objects import model_of_base_type
from compute_node.catalog.rows import Record
from compute_node.sql.analyze.typenames import format_type, is_true_array
from compute_node.types import oids
from compute_node.types.registry import Function

_ATTRIBUTES = {
    **{each: each for each in (
        "like", "internallength", "input", "output", "receive", "send", "typmod_in", "typmod_out", "analyze",
        "subscript", "category", "preferred", "delimiter", "element", "default", "passedbyvalue", "alignment",
        "storage", "collatable",
    )},
    "analyse": "analyze",
}  # fmt: skip
_DEFAULT_COLLATION, _CSTRING_ARRAY = 100, 1263
_ALIGNMENTS = {
    "double": "d", "float8": "d", "pg_catalog.float8": "d", "int4": "i", "pg_catalog.int4": "i",
    "int2": "s", "pg_catalog.int2": "s", "char": "c", "pg_catalog.bpchar": "c",
}  # fmt: skip
_STORAGES = {"plain": "p", "external": "e", "extended": "x", "main": "m"}
_BY_VALUE_ALIGNMENT = {1: "c", 2: "s", 4: "i", 8: "d"}
_ALTERABLE = frozenset(("storage", "receive", "send", "typmod_in", "typmod_out", "analyze", "subscript"))
_COLUMNS = {
    "receive": "typreceive", "send": "typsend", "typmod_in": "typmodin", "typmod_out": "typmodout",
    "analyze": "typanalyze", "subscript": "typsubscript",
}  # fmt: skip
_VOLATILE_WARNED = {"input": "type input", "output": "type output", "receive": "type receive", "send": "type send",
                    "typmod_in": "type modifier input", "typmod_out": "type modifier output"}  # fmt: skip


def create_type(ctx: DdlContext, node: ast.DefineStmt) -> str:
    """CREATE TYPE name, and CREATE TYPE name (INPUT = …, OUTPUT = …, …)."""
    if node.definition is None:
        return create_shell(ctx, node)
    ctx.require_superuser("must be superuser to create a base type")
    namespace, name = ctx.place(node.defnames)
    shell = ctx.view.layer.type_oid(namespace, name)
    if shell is not None and not ctx.view.type(shell).is_shell:
        if type_name_taken(ctx, namespace, name):
            raise DuplicateObject(f'type "{name}" already exists')
        shell = None
    if shell is None:
        raise DuplicateObject(
            f'type "{name}" does not exist',
            hint="Create the type as a shell type, then create its I/O functions, then do a full CREATE TYPE.",
        )
    form = _read_form(ctx, node.definition)
    support = _Support(ctx, shell, name)
    functions = support.find(form.functions)
    _check_form(ctx, form)
    model = model_of_base_type(ctx.view.layer, functions["input"].oid)
    if form.element or ("subscript" in functions and (model is None or model.subscripts is None)):
        raise NotSupported("base types with elements are not supported")
    if model is None:
        raise NotSupported(
            f"type {name} cannot have the input function {functions['input'].name}",
            detail="A base type's values are kept as those of a built-in type, whose input function it names.",
        )
    _write(ctx, _Place(shell, namespace, name), form, {what: item.oid for what, item in functions.items()})
    return "CREATE TYPE"


@dataclass(slots=True)
class _Form:
    """The attributes of CREATE TYPE but the functions, as pg_type has them."""

    functions: dict[str, Any]
    length: int = -1
    by_value: bool = False
    align: str = "i"
    storage: str = "p"
    category: str = "U"
    preferred: bool = False
    delimiter: str = ","
    element: int = 0
    default: str | None = None
    collation: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    oid: int
    namespace: int
    name: str


def _collect(ctx: DdlContext, definition: Iterable[ast.DefElem]) -> dict[str, ast.DefElem]:
    given: dict[str, ast.DefElem] = {}
    for item in definition:
        what = _ATTRIBUTES.get(item.defname)
        if what is None:
            message = f'type attribute "{item.defname}" not recognized'
            ctx.notice(message, severity="WARNING", sqlstate="42601", location=item.location)
        elif what in given:
            raise SqlSyntaxError("conflicting or redundant options", position=item.location + 1)
        else:
            given[what] = item
    return given


def _read_form(ctx: DdlContext, definition: Iterable[ast.DefElem]) -> _Form:
    given = _collect(ctx, definition)
    form = _Form({what: given[what].arg for what in ("input", "output", *_COLUMNS) if what in given})
    if "like" in given:
        model = type_record(ctx, type_of(ctx, given["like"].arg))
        form.length, form.by_value = model.typlen, model.typbyval
        form.align, form.storage = model.typalign, model.typstorage
    if "internallength" in given:
        form.length = _length(given["internallength"])
    if "category" in given:
        form.category = _text(given["category"])[:1]
        if not " " <= form.category <= "~":
            raise InvalidParameterValue(f'invalid type category "{_text(given["category"])}": must be simple ASCII')
    if "delimiter" in given:
        form.delimiter = _text(given["delimiter"])[:1]
    if "element" in given:
        form.element = type_of(ctx, given["element"].arg)
        if ctx.view.type(form.element).kind == "p":
            raise DatatypeMismatch(f"array element type cannot be {format_type(ctx.view, form.element)}")
    if "default" in given:
        form.default = _text(given["default"])
    form.preferred = _flag(given, "preferred", form.preferred)
    form.by_value = _flag(given, "passedbyvalue", form.by_value)
    if "alignment" in given:
        form.align = _choice(given["alignment"], "alignment", _ALIGNMENTS)
    if "storage" in given:
        form.storage = _choice(given["storage"], "storage", _STORAGES)
    form.collation = _DEFAULT_COLLATION if _flag(given, "collatable", False) else 0
    return form


def _check_form(ctx: DdlContext, form: _Form) -> None:
    """42P17 for what contradicts itself."""
    if form.element and "subscript" not in form.functions:
        fixed = form.length > 0 and not form.by_value and ctx.view.type(form.element).length > 0
        if not fixed:
            raise InvalidObjectDefinition("element type cannot be specified without a subscripting function")
    if form.length < 1 and form.length not in (-1, -2):
        raise InvalidObjectDefinition(f"invalid type internal size {form.length}")
    if form.by_value:
        expected = _BY_VALUE_ALIGNMENT.get(form.length)
        if expected is None:
            raise InvalidObjectDefinition(f"internal size {form.length} is invalid for passed-by-value type")
        if form.align != expected:
            raise InvalidObjectDefinition(
                f'alignment "{form.align}" is invalid for passed-by-value type of size {form.length}'
            )
    elif (form.length == -1 and form.align == "c") or (form.length == -2 and form.align != "c"):
        raise InvalidObjectDefinition(f'alignment "{form.align}" is invalid for variable-length type')
    if form.storage != "p" and form.length != -1:
        raise InvalidObjectDefinition("fixed-size types must have storage PLAIN")


class _Support:
    """Finds the functions of a base type, by the signatures that they must have."""

    def __init__(self, ctx: DdlContext, oid: int, name: str) -> None:
        self._ctx, self._oid, self._name = ctx, oid, name

    def find(self, given: dict[str, Any]) -> dict[str, Function]:
        """The functions that are given by their names; 42P17 and 42883 for what is missing."""
        for what in ("input", "output"):
            if what not in given:
                raise InvalidObjectDefinition(f"type {what} function must be specified")
        if "typmod_out" in given and "typmod_in" not in given:
            raise InvalidObjectDefinition(
                "type modifier output function is useless without a type modifier input function"
            )
        found = {what: self.one(what, argument) for what, argument in given.items()}
        for what, item in found.items():
            if item.volatility == "v" and what in _VOLATILE_WARNED:
                self._ctx.notice(
                    f"{_VOLATILE_WARNED[what]} function {item.name} should not be volatile",
                    severity="WARNING", sqlstate="42P17",
                )  # fmt: skip
        return found

    def one(self, what: str, argument: Any) -> Function:
        """The function for one attribute."""
        own, three = self._oid, (oids.OID, oids.INT4)
        match what:
            case "input":
                return self._either(what, argument, ((oids.CSTRING,), (oids.CSTRING, *three)), own)
            case "receive":
                return self._either(what, argument, ((oids.INTERNAL,), (oids.INTERNAL, *three)), own)
            case "output":
                return self._single("type output", argument, (own,), oids.CSTRING)
            case "send":
                return self._single("type send", argument, (own,), oids.BYTEA)
            case "typmod_in":
                return self._single(what, argument, (_CSTRING_ARRAY,), oids.INT4)
            case "typmod_out":
                return self._single(what, argument, (oids.INT4,), oids.CSTRING)
            case "analyze":
                return self._single("type analyze", argument, (oids.INTERNAL,), oids.BOOL)
            case _:
                return self._single("type subscripting", argument, (oids.INTERNAL,), oids.INTERNAL)

    def _named(self, argument: Any) -> tuple[str, tuple[Function, ...]]:
        names = [item.sval for item in names_of(argument)]
        schema = names[-2] if len(names) > 1 else None
        if schema is not None and self._ctx.view.layer.namespace_oid(schema) is None:
            return ".".join(names), ()
        return ".".join(names), tuple(self._ctx.view.functions(schema, names[-1]))

    def _either(
        self, what: str, argument: Any, signatures: tuple[tuple[int, ...], tuple[int, ...]], result: int
    ) -> Function:
        name, candidates = self._named(argument)
        found = [item for item in candidates if item.arguments in signatures]
        if len(found) > 1:
            raise AmbiguousFunction(f"type {what} function {name} has multiple matches")
        if not found:
            raise UndefinedFunction(f"function {shown_function(self._ctx, name, signatures[0])} does not exist")
        if found[0].result != result:
            raise InvalidObjectDefinition(
                f"type {what} function {name} must return type {format_type(self._ctx.view, result)}"
            )
        return found[0]

    def _single(self, what: str, argument: Any, signature: tuple[int, ...], result: int) -> Function:
        name, candidates = self._named(argument)
        found = next((item for item in candidates if item.arguments == signature), None)
        if found is None:
            raise UndefinedFunction(f"function {shown_function(self._ctx, name, signature)} does not exist")
        if found.result != result:
            raise InvalidObjectDefinition(
                f"{what} function {name} must return type {format_type(self._ctx.view, result)}"
            )
        return found


def _write(ctx: DdlContext, place: _Place, form: _Form, functions: dict[str, int]) -> None:
    """The rows of a type whose shell is there; what refers to the shell stays."""
    owner, array = ctx.user_oid, ctx.next_oid()
    check_type_owner(ctx, place.oid)
    ctx.rows.delete("pg_type", type_record(ctx, place.oid))
    ctx.rows.delete_where("pg_depend", classid=CLASS_TYPE, objid=place.oid)
    forget(ctx, CLASS_TYPE, place.oid)
    support = {column: functions.get(what, 0) for what, column in _COLUMNS.items()}
    values: dict[str, Datum] = {
        "typlen": form.length,
        "typbyval": form.by_value,
        "typcategory": form.category,
        "typispreferred": form.preferred,
        "typdelim": form.delimiter,
        "typelem": form.element,
        "typarray": array,
        "typinput": functions["input"],
        "typoutput": functions["output"],
        "typalign": form.align,
        "typstorage": form.storage,
        "typcollation": form.collation,
        "typdefault": form.default,
    }
    row = base_type_row(place.oid, place.name, place.namespace, owner, {**values, **support})
    name = array_name(ctx, place.namespace, place.name)
    align = "d" if form.align == "d" else "i"
    ctx.rows.insert_many("pg_type", [row, array_type_row(array, name, place.namespace, place.oid, owner, align=align)])
    if "typmod_in" in functions:
        record = type_record(ctx, array)
        ctx.rows.update("pg_type", record, typmodin=support["typmodin"], typmodout=support["typmodout"])
    record_owner(ctx, CLASS_TYPE, place.oid, owner)
    ctx.depend((CLASS_TYPE, place.oid, 0), (CLASS_NAMESPACE, place.namespace, 0), "n")
    for oid in functions.values():
        ctx.depend((CLASS_TYPE, place.oid, 0), (CLASS_PROC, oid, 0), "n")
    if form.element:
        ctx.depend((CLASS_TYPE, place.oid, 0), (CLASS_TYPE, form.element, 0), "n")
    ctx.depend((CLASS_TYPE, array, 0), (CLASS_TYPE, place.oid, 0), "i")
    ctx.changes.touch(place.oid)


# ALTER TYPE … SET


def alter_type(ctx: DdlContext, node: ast.AlterTypeStmt) -> str:
    """ALTER TYPE … SET (RECEIVE = …, STORAGE = …): of a base type, and of the domains over it."""
    kind = find_type(ctx, ast.TypeName(names=node.typeName))
    record = type_record(ctx, kind.oid) if kind is not None else None
    if kind is None or record is None:
        raise UndefinedObject(f'type "{node.typeName[-1].sval}" does not exist')
    if kind.is_shell:
        raise UndefinedObject(f'type "{kind.name}" is only a shell')
    changed: dict[str, Any] = {}
    functions: dict[str, Any] = {}
    superuser = False
    for item in node.options or ():
        what = _ATTRIBUTES.get(item.defname)
        if what is None:
            raise SqlSyntaxError(f'type attribute "{item.defname}" not recognized')
        if what not in _ALTERABLE:
            raise SqlSyntaxError(f'type attribute "{item.defname}" cannot be changed')
        if what == "storage":
            changed["typstorage"] = _new_storage(item, record)
            superuser = superuser or changed["typstorage"] != record.typstorage
            continue
        superuser = True
        functions[what] = None if item.arg is None else item.arg
    if superuser:
        ctx.require_superuser("must be superuser to alter a type")
    else:
        check_type_owner(ctx, kind.oid)
    if record.typtype != "b" or is_true_array(kind):
        raise WrongObjectType(f"{format_type(ctx.view, kind.oid)} is not a base type")
    support = _Support(ctx, kind.oid, kind.name)
    for what, argument in functions.items():
        changed[_COLUMNS[what]] = 0 if _is_none(argument) else support.one(what, argument).oid
    _apply(ctx, record, changed)
    ctx.changes.touch(kind.oid)
    return "ALTER TYPE"


def _new_storage(item: ast.DefElem, record: Record) -> str:
    storage = _choice(item, "storage", _STORAGES)
    if record.typstorage == "p" and storage != "p" and record.typlen != -1:
        raise InvalidObjectDefinition("fixed-size types must have storage PLAIN")
    if storage == "p" and record.typstorage != "p":
        raise InvalidObjectDefinition("cannot change type's storage to PLAIN")
    return storage


def _apply(ctx: DdlContext, record: Record, changed: dict[str, Any]) -> None:
    """Write the changes to a base type, its array type and, as far as they inherit them, to the domains over it."""
    ctx.rows.update("pg_type", record, **changed)
    modifiers = {column: changed[column] for column in ("typmodin", "typmodout") if column in changed}
    if record.typarray and modifiers:
        ctx.rows.update("pg_type", type_record(ctx, record.typarray), **modifiers)
    replaced = [oid for column, oid in changed.items() if column != "typstorage" and oid]
    for oid in replaced:
        ctx.depend((CLASS_TYPE, record.oid, 0), (CLASS_PROC, oid, 0), "n")
    inherited: dict[str, Any] = {
        column: changed[column] for column in ("typstorage", "typsend", "typanalyze") if column in changed
    }
    for domain in ctx.rows.find("pg_type", typbasetype=record.oid) if inherited else ():
        _apply(ctx, domain, inherited)
        ctx.changes.touch(domain.oid)


# values of attributes


def _is_none(argument: Any) -> bool:
    return argument is None or [item.sval for item in names_of(argument)] == ["none"]


def _text(item: ast.DefElem) -> str:
    value = item.arg
    match value:
        case None:
            raise SqlSyntaxError(f"{item.defname} requires a parameter")
        case ast.String():
            return str(value.sval)
        case ast.Integer():
            return str(value.ival)
        case ast.Float():
            return str(value.fval)
        case ast.Boolean():
            return "true" if value.boolval else "false"
        case ast.TypeName():
            return ".".join(each.sval for each in value.names)
        case _:
            return ".".join(each.sval for each in value)


def _length(item: ast.DefElem) -> int:
    if isinstance(item.arg, ast.Integer):
        return int(item.arg.ival)
    text = _text(item)
    if text.lower() == "variable":
        return -1
    raise SqlSyntaxError(f'invalid argument for {item.defname}: "{text}"')


def _flag(given: dict[str, ast.DefElem], what: str, otherwise: bool) -> bool:
    if what not in given:
        return otherwise
    if given[what].arg is None:
        return True
    text = _text(given[what]).lower()
    if text in ("true", "on", "1"):
        return True
    if text in ("false", "off", "0"):
        return False
    raise SqlSyntaxError(f"{given[what].defname} requires a Boolean value")


def _choice(item: ast.DefElem, what: str, known: dict[str, str]) -> str:
    found = known.get(_text(item).lower())
    if found is None:
        raise InvalidParameterValue(f'{what} "{_text(item)}" not recognized')
    return found
