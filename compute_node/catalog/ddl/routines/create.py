"""CREATE [OR REPLACE] FUNCTION and PROCEDURE in the languages SQL and internal."""

from __future__ import annotations

from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    DuplicateColumn,
    DuplicateFunction,
    InsufficientPrivilege,
    InvalidFunctionDefinition,
    InvalidParameterValue,
    NotSupported,
    UndefinedFunction,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.builders import function_row
from compute_node.catalog.ddl.context import CLASS_NAMESPACE, CLASS_PROC, CLASS_TYPE, DdlContext
from compute_node.catalog.ddl.create_table import check_type_usage
from compute_node.catalog.ddl.extensions.members import check_replaceable
from compute_node.catalog.ddl.routines.attributes import Attributes, configuration, require_language
from compute_node.catalog.ddl.routines.bodies import StoredBody, check_text, check_types, stored_body
from compute_node.catalog.ddl.routines.find import shown_routine
from compute_node.catalog.ddl.routines.parameters import (
    Parameters,
    check_polymorphic,
    read_parameters,
    shell_of,
    type_of_column,
)
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.types import type_of
from compute_node.catalog.objects import INTERNAL_LANGUAGE, internal_function
from compute_node.catalog.routines import parameters_of, split_texts, sql_function
from compute_node.catalog.rows import Record
from compute_node.catalog.uncoded import SQL_LANGUAGE
from compute_node.extensions.library import LIBRARY
from compute_node.relations.schema import CATALOGS, FIRST_NORMAL_OID
from compute_node.session import setting_statements
from compute_node.sql.analyze.routines import row_columns
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.analyze.typenames import format_type
from compute_node.types import oids
from compute_node.types.registry import Function

_LANGUAGES = {"sql": SQL_LANGUAGE, "internal": INTERNAL_LANGUAGE}
_KINDS = {
    "a": "an aggregate function",
    "f": "a function",
    "p": "a procedure",
    "w": "a window function",
}
_EXTENSION = "Use CREATE EXTENSION to load the language into the database."


class Definition:
    """One CREATE statement, read."""

    def __init__(self, ctx: DdlContext, node: ast.CreateFunctionStmt) -> None:
        self.ctx = ctx
        self.node = node
        self.noun = "procedure" if node.is_procedure else "function"
        self.attributes = Attributes(node.options or (), bool(node.is_procedure))
        self.namespace, self.name = ctx.place(node.funcname)
        self.language = self._language()
        self.columns: dict[str, Datum] = {}
        self.parameters = Parameters()
        self.result = oids.VOID
        self.returns_set = False

    def _language(self) -> str:
        name = self.attributes.language
        if name is None:
            if self.node.sql_body is None:
                raise InvalidFunctionDefinition("no language specified")
            name = "sql"
        if self.ctx.rows.one("pg_language", lanname=name) is None:
            hint = _EXTENSION if name in ("plpgsql", "plperl", "plpython3u", "pltcl") else None
            raise UndefinedObject(f'language "{name}" does not exist', hint=hint)
        require_language(self.ctx, name)
        if name not in _LANGUAGES:
            raise NotSupported(f"CREATE {self.noun.upper()} in language {name} is not supported")
        return name

    def read(self) -> None:
        """Arguments, result and attributes. 42P13 and others."""
        ctx, node = self.ctx, self.node
        self.parameters = read_parameters(ctx, node.parameters or (), self.noun, self.language)
        self._read_result()
        values: dict[str, Datum] = {
            "prokind": "p" if node.is_procedure else "f",
            "prolang": _LANGUAGES[self.language],
            "provolatile": "v",
            "proparallel": "u",
            "procost": 100.0 if self.language == "sql" else 1.0,
            "prorows": 1000.0 if self.returns_set else 0.0,
            "proisstrict": False,
            "prosecdef": False,
            "proleakproof": False,
        }
        values |= self.attributes.columns(ctx)
        if "rows" in self.attributes.given and not self.returns_set:
            raise InvalidParameterValue("ROWS is not applicable when function does not return a set")
        if "window" in self.attributes.given:
            if self.language == "sql":
                raise NotSupported("window functions cannot be written in SQL")
            values["prokind"] = "w"
        inputs = self.parameters.input_types
        check_polymorphic(ctx, self.result, inputs)
        for item in self.parameters.items:
            if item.mode in "obt":
                check_polymorphic(ctx, item.type, inputs)
        self._check_attributes()
        values |= self.parameters.columns()
        values |= {
            "prorettype": self.result,
            "proretset": self.returns_set,
            "proconfig": configuration(ctx, self.attributes.sets, None),
            "prosrc": "",
            "prosqlbody": None,
        }
        self.columns = values
        self._read_body()

    def _read_result(self) -> None:
        written, required = self.node.returnType, self.parameters.required
        if written is None:
            if not required and self.noun == "function":
                raise InvalidFunctionDefinition("function result type must be specified")
            self.result = required or oids.VOID
            return
        self.returns_set, written.setof = bool(written.setof), False
        column = type_of_column(self.ctx, written)
        self.result = column or shell_of(self.ctx, written, "return", self.language) or type_of(self.ctx, written)
        check_type_usage(self.ctx, self.ctx.view.type(self.result))
        if required and self.result != required:
            shown = format_type(self.ctx.view, required)
            raise InvalidFunctionDefinition(f"function result type must be {shown} because of OUT parameters")

    def _check_attributes(self) -> None:
        """An argument's name must not be that of a field of the only composite argument (``f.name`` and ``name(f)``
        are one thing)."""
        inputs = self.parameters.inputs
        if len(inputs) != 1 or self.node.is_procedure or row_columns(self.ctx.view, inputs[0].type) is None:
            return
        kind = self.ctx.view.type(inputs[0].type)
        if any(field.name == self.name for field in kind.fields):
            raise DuplicateColumn(
                f'"{self.name}" is already an attribute of type {format_type(self.ctx.view, kind.oid)}'
            )

    def _read_body(self) -> None:
        texts = self.attributes.given.get("as")
        if self.node.sql_body is not None:
            if self.language != "sql":
                raise InvalidFunctionDefinition("inline SQL function body only valid for language SQL")
            if texts is not None:
                raise InvalidFunctionDefinition("duplicate function body specified")
            return
        if texts is None:
            raise InvalidFunctionDefinition("no function body specified")
        if len(texts) > 1:
            raise InvalidFunctionDefinition(f'only one AS item needed for language "{self.language}"')
        self.columns["prosrc"] = texts[0].sval
        if self.language == "internal":
            symbol = texts[0].sval or self.name
            known = internal_function(symbol, len(self.parameters.inputs))
            if (symbol, len(self.parameters.inputs)) in LIBRARY:
                return
            if known is None and not self.ctx.rows.find("pg_proc", prosrc=symbol, prolang=INTERNAL_LANGUAGE):
                raise UndefinedFunction(f'there is no built-in function named "{symbol}"')
            if any(item.mode != "i" for item in self.parameters.items):
                raise NotSupported("OUT and VARIADIC arguments are not supported for internal functions")

    def standard_body(self) -> StoredBody | None:
        """An SQL-standard body; None without one."""
        if self.node.sql_body is None:
            return None
        values = function_row(0, self.name, self.namespace, self.parameters.input_types, self.columns)
        row = Record(CATALOGS["pg_proc"].position, values, 0)
        return stored_body(self.ctx, sql_function(row), self.node.sql_body)


def create_function(ctx: DdlContext, node: ast.CreateFunctionStmt) -> str:
    """CREATE [OR REPLACE] FUNCTION | PROCEDURE."""
    definition = Definition(ctx, node)
    definition.read()
    body = definition.standard_body()
    if body is not None:
        definition.columns["prosqlbody"] = body.text
    oid = _write(definition)
    _depend(definition, oid, body)
    ctx.changes.touch(oid)
    if definition.language == "sql":
        function = ctx.view.function(oid)
        if body is None:
            check_types(ctx, function)
        if ctx.session.settings.get("check_function_bodies"):
            _check_body(definition, None if body is not None else function)
    return f"CREATE {definition.noun.upper()}"


def _check_body(definition: Definition, function: Function | None) -> None:
    """Under the settings that the function itself will run with: a search path of its own, say. None: the body has been
    looked at."""
    session = definition.ctx.session
    settings = session.settings
    mark = settings.mark()
    try:
        for item in definition.columns["proconfig"] or ():
            name, _, value = item.partition("=")
            settings.set(name, setting_statements.of_catalog(session, name, value), local=True)
        if function is not None:
            check_text(definition.ctx, function)
    finally:
        settings.rollback_to(mark)


def _write(definition: Definition) -> int:
    ctx, arguments = definition.ctx, definition.parameters.input_types
    existing = next(
        (
            row
            for row in ctx.rows.find("pg_proc", proname=definition.name)
            if row.pronamespace == definition.namespace and list(row.proargtypes) == arguments
        ),
        None,
    )
    if existing is None:
        oid = ctx.next_oid()
        values = definition.columns | {"proowner": ctx.user_oid}
        ctx.rows.insert_many("pg_proc", [function_row(oid, definition.name, definition.namespace, arguments, values)])
        record_owner(ctx, CLASS_PROC, oid, ctx.user_oid)
        counts, database = ctx.storage.counts, ctx.view.layer.database_oid
        ctx.txn.on_undo(lambda: counts.function_dropped(database, oid))
        return oid
    if not definition.node.replace:
        raise DuplicateFunction(f'function "{definition.name}" already exists with same argument types')
    check_replacement(definition, existing)
    check_replaceable(ctx, (CLASS_PROC, existing.oid, 0))
    for row in ctx.rows.find("pg_depend", classid=CLASS_PROC, objid=existing.oid):
        if row.deptype not in "ex":
            ctx.rows.delete("pg_depend", row)
    ctx.rows.update("pg_proc", existing, **definition.columns)
    return int(existing.oid)


def check_replacement(definition: Definition, existing: Record) -> None:
    """What CREATE OR REPLACE must leave as it is: kind, result, names of arguments, types of defaults."""
    ctx, new = definition.ctx, definition.columns
    kind = new["prokind"]
    if existing.oid < FIRST_NORMAL_OID or not ctx.owns(existing.proowner):
        raise InsufficientPrivilege(f"must be owner of {definition.noun} {definition.name}")
    if existing.prokind != kind:
        raise WrongObjectType(
            "cannot change routine kind", detail=f'"{definition.name}" is {_KINDS[existing.prokind]}.'
        )
    shown = shown_routine(ctx, existing.proname, existing.proargtypes).replace(", ", ",")
    hint = f"Use DROP {'PROCEDURE' if kind == 'p' else 'FUNCTION'} {shown} first."
    if (existing.prorettype, existing.proretset) != (new["prorettype"], new["proretset"]):
        what = (
            "cannot change whether a procedure has output parameters"
            if kind == "p"
            else "cannot change return type of existing function"
        )
        raise InvalidFunctionDefinition(what, hint=hint)
    before = parameters_of(existing)
    if existing.prorettype == oids.RECORD:
        outputs = [(item.name, item.type) for item in before if item.mode in "obt"]
        if outputs != [(item.name, item.type) for item in definition.parameters.items if item.mode in "obt"]:
            raise InvalidFunctionDefinition(
                "cannot change return type of existing function",
                detail="Row type defined by OUT parameters is different.",
                hint=hint,
            )
    old_names = [item.name for item in before if item.mode in "ibv"]
    for old, item in zip(old_names, definition.parameters.inputs, strict=True):
        if old and old != item.name:
            raise InvalidFunctionDefinition(f'cannot change name of input parameter "{old}"', hint=hint)
    _check_defaults(definition, existing, hint)


def _check_defaults(definition: Definition, existing: Record, hint: str) -> None:
    ctx = definition.ctx
    old = split_texts(existing.proargdefaults)
    if not old:
        return
    new = definition.parameters.default_types
    if len(new) < len(old):
        raise InvalidFunctionDefinition("cannot remove parameter defaults from existing function", hint=hint)
    for text, kind in zip(old, new[len(new) - len(old) :], strict=True):
        if analyze_stored(ctx.view, None, text, "DEFAULT", session=ctx.session).type != kind:
            raise InvalidFunctionDefinition("cannot change data type of existing parameter default value", hint=hint)


def _depend(definition: Definition, oid: int, body: StoredBody | None) -> None:
    ctx, address = definition.ctx, (CLASS_PROC, oid, 0)
    needed = {(CLASS_TYPE, item.type, 0) for item in definition.parameters.items}
    needed |= {(CLASS_TYPE, definition.result, 0), (CLASS_NAMESPACE, definition.namespace, 0)}
    needed |= set() if body is None else body.uses - {address}
    for referenced in sorted(needed):
        ctx.depend(address, referenced, "n")
    for text in definition.parameters.defaults:
        ctx.depend_on_text(address, text)
