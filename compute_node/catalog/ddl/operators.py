"""CREATE OPERATOR and CREATE CAST over existing functions. Source: PostgreSQL manual, ch. 38.14 and 38.15."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import (
    DuplicateFunction,
    DuplicateObject,
    InsufficientPrivilege,
    InvalidFunctionDefinition,
    InvalidObjectDefinition,
    NotSupported,
    SqlSyntaxError,
    UndefinedFunction,
    WrongObjectType,
)
from compute_node.catalog.ddl.context import (
    CLASS_CAST,
    CLASS_NAMESPACE,
    CLASS_OPERATOR,
    CLASS_PROC,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.create_table import check_type_usage
from compute_node.catalog.ddl.definition_names import names_of
from compute_node.catalog.ddl.functions import argument_types, need_function
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.types import type_of
from compute_node.catalog.permissions import denied
from compute_node.catalog.rows import Record
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.coercion import is_binary_coercible
from compute_node.sql.analyze.typenames import format_type, is_true_array
from compute_node.types import oids
from compute_node.types.registry import Operator

_CONTEXTS = {
    enums.CoercionContext.COERCION_IMPLICIT: "i",
    enums.CoercionContext.COERCION_ASSIGNMENT: "a",
    enums.CoercionContext.COERCION_EXPLICIT: "e",
}


def find_operator(ctx: DdlContext, names: Sequence[ast.String], left: int, right: int) -> Operator | None:
    """The operator of that name for exactly these types (``left`` 0: a prefix operator)."""
    parts = [item.sval for item in names]
    if len(parts) > 1 and ctx.view.layer.namespace_oid(parts[-2]) is None:
        return None
    found = ctx.view.operators(parts[-2] if len(parts) > 1 else None, parts[-1])
    return next((item for item in found if (item.left, item.right) == (left, right)), None)


def shown_operator(ctx: DdlContext, name: str, left: int, right: int) -> str:
    """``integer + text`` as messages show it."""
    text = f"{name} {format_type(ctx.view, right)}"
    return f"{format_type(ctx.view, left)} {text}" if left else text


def create_operator(ctx: DdlContext, node: ast.DefineStmt) -> str:
    """CREATE OPERATOR."""
    given: dict[str, ast.DefElem] = {item.defname.lower(): item for item in node.definition or ()}
    for word in given:
        if word not in _ATTRIBUTES:
            ctx.notice(f'operator attribute "{word}" not recognized', severity="WARNING", sqlstate="42601")
    namespace, name = ctx.place(node.defnames)
    function_name = given.get("function", given.get("procedure"))
    if function_name is None:
        raise InvalidFunctionDefinition("operator function must be specified")
    for word in ("leftarg", "rightarg"):
        if word in given and given[word].arg.setof:
            raise InvalidFunctionDefinition("SETOF type not allowed for operator argument")
    left = type_of(ctx, given["leftarg"].arg) if "leftarg" in given else 0
    right = type_of(ctx, given["rightarg"].arg) if "rightarg" in given else 0
    if not left and not right:
        raise InvalidFunctionDefinition("operator argument types must be specified")
    if not right:
        raise InvalidFunctionDefinition(
            "operator right argument type must be specified", detail="Postfix operators are not supported."
        )
    types = [left, right] if left else [right]
    function = need_function(ctx, names_of(function_name.arg), types)
    result = function.result
    if not ctx.rights.function(function.oid):
        raise denied("function", ".".join(item.sval for item in names_of(function_name.arg)))
    for kind in [*types, result]:
        check_type_usage(ctx, ctx.view.type(kind))
    flags = {word: _flag(given[word]) if word in given else False for word in ("merges", "hashes")}
    _check_attributes(given, bool(left), result == oids.BOOL, flags)
    existing = ctx.rows.one("pg_operator", oprname=name, oprleft=left, oprright=right, oprnamespace=namespace)
    if existing is not None and existing.oprcode:
        raise DuplicateFunction(f"operator {name} already exists")
    oid = ctx.next_oid() if existing is None else existing.oid
    own = (namespace, name, oid)
    commutator = _other(ctx, given.get("commutator"), own, right, left)
    negator = _other(ctx, given.get("negator"), own, left, right)
    if negator == oid:
        raise InvalidFunctionDefinition("operator cannot be its own negator")
    values = {
        "oprkind": "b" if left else "l",
        "oprcanmerge": flags["merges"],
        "oprcanhash": flags["hashes"],
        "oprresult": result,
        "oprcom": commutator,
        "oprnegate": negator,
        "oprcode": function.oid,
        "oprrest": _estimator(ctx, given.get("restrict")),
        "oprjoin": _estimator(ctx, given.get("join")),
    }
    if existing is None:
        ctx.rows.insert(
            "pg_operator", oid=oid, oprname=name, oprnamespace=namespace, oprowner=ctx.user_oid,
            oprleft=left, oprright=right, **values,
        )  # fmt: skip
        record_owner(ctx, CLASS_OPERATOR, oid, ctx.user_oid)
        ctx.depend((CLASS_OPERATOR, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    else:
        ctx.rows.update("pg_operator", existing, **values)
    for kind in {left, right, result} - {0}:
        ctx.depend((CLASS_OPERATOR, oid, 0), (CLASS_TYPE, kind, 0), "n")
    ctx.depend((CLASS_OPERATOR, oid, 0), (CLASS_PROC, function.oid, 0), "n")
    _link_back(ctx, oid, commutator, "oprcom")
    _link_back(ctx, oid, negator, "oprnegate")
    ctx.changes.touch(oid)
    return "CREATE OPERATOR"


_ATTRIBUTES = frozenset(
    ("leftarg", "rightarg", "function", "procedure", "commutator", "negator", "restrict", "join", "hashes", "merges")
)


def _flag(item: ast.DefElem) -> bool:
    value = item.arg
    if value is None:
        return True
    text = str(getattr(value, "sval", getattr(value, "boolval", getattr(value, "ival", "")))).lower()
    if text in ("true", "on", "1", "false", "off", "0"):
        return text in ("true", "on", "1")
    raise SqlSyntaxError(f"{item.defname} requires a Boolean value")


def _check_attributes(given: dict[str, ast.DefElem], binary: bool, boolean: bool, flags: dict[str, bool]) -> None:
    """42P13 for attributes that only binary, or only boolean, operators have."""
    if not binary:
        for word, what in (("commutator", "have commutators"), ("join", "have join selectivity")):
            if word in given:
                raise InvalidFunctionDefinition(f"only binary operators can {what}")
        for word, what in (("merges", "merge join"), ("hashes", "hash")):
            if flags[word]:
                raise InvalidFunctionDefinition(f"only binary operators can {what}")
    if not boolean:
        for word, what in (
            ("negator", "have negators"),
            ("restrict", "have restriction selectivity"),
            ("join", "have join selectivity"),
        ):  # fmt: skip
            if word in given:
                raise InvalidFunctionDefinition(f"only boolean operators can {what}")
        for word, what in (("merges", "merge join"), ("hashes", "hash")):
            if flags[word]:
                raise InvalidFunctionDefinition(f"only boolean operators can {what}")


def _estimator(ctx: DdlContext, item: ast.DefElem | None) -> int:
    """The function of RESTRICT or JOIN, which is recorded: the planner has its own estimates. 42883, and 42P17 for one
    that does not return a selectivity."""
    if item is None:
        return 0
    names = names_of(item.arg)
    rest = (oids.INT4,) if item.defname == "restrict" else (oids.INT2, oids.INTERNAL)
    function = need_function(ctx, names, (oids.INTERNAL, oids.OID, oids.INTERNAL, *rest))
    if function.result != oids.FLOAT8:
        what, name = "restriction" if item.defname == "restrict" else "join", ".".join(each.sval for each in names)
        raise InvalidObjectDefinition(f"{what} estimator function {name} must return type double precision")
    return function.oid


def _other(ctx: DdlContext, item: ast.DefElem, own: tuple[int, str, int], left: int, right: int) -> int:
    """The commutator or negator: itself, an existing operator, or a shell that a later CREATE OPERATOR fills."""
    if item is None:
        return 0
    names = names_of(item.arg)
    namespace, name, oid = own
    found = find_operator(ctx, names, left, right)
    if found is not None:
        return found.oid
    other_namespace, other = ctx.place(names)
    if (other_namespace, other, left, right) == (namespace, name, right, left) and left == right:
        return oid
    row = ctx.rows.one("pg_operator", oprname=other, oprleft=left, oprright=right, oprnamespace=other_namespace)
    if row is not None:
        return int(row.oid)
    if (other_namespace, other) == (namespace, name) and item.defname == "commutator" and left == right:
        return oid
    shell = ctx.next_oid()
    ctx.rows.insert(
        "pg_operator", oid=shell, oprname=other, oprnamespace=other_namespace, oprowner=ctx.user_oid,
        oprkind="b" if left else "l", oprleft=left, oprright=right,
    )  # fmt: skip
    record_owner(ctx, CLASS_OPERATOR, shell, ctx.user_oid)
    ctx.depend((CLASS_OPERATOR, shell, 0), (CLASS_NAMESPACE, other_namespace, 0), "n")
    for kind in {left, right} - {0}:
        ctx.depend((CLASS_OPERATOR, shell, 0), (CLASS_TYPE, kind, 0), "n")
    return shell


def _link_back(ctx: DdlContext, oid: int, other: int, column: str) -> None:
    """The other operator's link to this one, where it has none."""
    if not other or other == oid or other < FIRST_NORMAL_OID:
        return
    record = ctx.rows.one("pg_operator", oid=other)
    if record is not None and not getattr(record, column):
        ctx.rows.update("pg_operator", record, **{column: oid})
        ctx.changes.touch(other)


def alter_operator(ctx: DdlContext, node: ast.AlterOperatorStmt) -> str:
    """ALTER OPERATOR … SET (RESTRICT = …, JOIN = …): its estimators."""
    left, right = argument_types(ctx, node.opername) or [0, 0]
    found = find_operator(ctx, node.opername.objname, left, right)
    if found is None:
        name = ".".join(item.sval for item in node.opername.objname)
        raise UndefinedFunction(f"operator does not exist: {shown_operator(ctx, name, left, right)}")
    changed: dict[str, int] = {}
    for item in node.options or ():
        if item.defname in ("restrict", "join"):
            column = "oprrest" if item.defname == "restrict" else "oprjoin"
            changed[column] = 0 if item.arg is None else _estimator(ctx, item)
        elif item.defname in _ATTRIBUTES:
            raise SqlSyntaxError(f'operator attribute "{item.defname}" cannot be changed')
        else:
            raise SqlSyntaxError(f'operator attribute "{item.defname}" not recognized')
    record = check_operator_owner(ctx, found.oid)
    if not found.left and changed.get("oprjoin"):
        raise InvalidFunctionDefinition("only binary operators can have join selectivity")
    if found.result != oids.BOOL:
        for column, what in (("oprrest", "restriction"), ("oprjoin", "join")):
            if changed.get(column):
                raise InvalidFunctionDefinition(f"only boolean operators can have {what} selectivity")
    ctx.rows.update("pg_operator", record, **changed)
    for oid in changed.values():
        if oid >= FIRST_NORMAL_OID:
            ctx.depend((CLASS_OPERATOR, found.oid, 0), (CLASS_PROC, oid, 0), "n")
    ctx.changes.touch(found.oid)
    return "ALTER OPERATOR"


def check_operator_owner(ctx: DdlContext, oid: int) -> Record:
    """42501 unless the user owns the operator."""
    record = ctx.rows.one("pg_operator", oid=oid)
    if record is None or not ctx.owns(record.oprowner):
        raise InsufficientPrivilege(f"must be owner of operator {'' if record is None else record.oprname}")
    return record


# casts


def create_cast(ctx: DdlContext, node: ast.CreateCastStmt) -> str:
    """CREATE CAST."""
    source, target = type_of(ctx, node.sourcetype), type_of(ctx, node.targettype)
    view = ctx.view
    shown = format_type(view, source), format_type(view, target)
    for kind, what, name in ((source, "source", shown[0]), (target, "target", shown[1])):
        if view.type(kind).kind == "p":
            raise WrongObjectType(f"{what} data type {name} is a pseudo-type")
    if not _owns_type(ctx, source) and not _owns_type(ctx, target):
        raise InsufficientPrivilege(f"must be owner of type {shown[0]} or type {shown[1]}")
    for kind in (source, target):
        check_type_usage(ctx, view.type(kind))
    function = arguments = 0
    if node.func is not None:
        method = "f"
        function, arguments = _cast_function(ctx, node.func, source, target)
    elif node.inout:
        method = "i"
    else:
        method = "b"
        _check_binary(ctx, source, target)
    if source == target and arguments < 2:
        raise InvalidObjectDefinition("source data type and target data type are the same")
    if ctx.rows.one("pg_cast", castsource=source, casttarget=target) is not None:
        raise DuplicateObject(f"cast from type {shown[0]} to type {shown[1]} already exists")
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_cast", oid=oid, castsource=source, casttarget=target, castfunc=function,
        castcontext=_CONTEXTS[node.context], castmethod=method,
    )  # fmt: skip
    for kind in {source, target}:
        ctx.depend((CLASS_CAST, oid, 0), (CLASS_TYPE, kind, 0), "n")
    if function:
        ctx.depend((CLASS_CAST, oid, 0), (CLASS_PROC, function, 0), "n")
    ctx.changes.touch(oid)
    return "CREATE CAST"


def _owns_type(ctx: DdlContext, oid: int) -> bool:
    record = ctx.rows.one("pg_type", oid=oid)
    return record is not None and ctx.owns(record.typowner)


def _cast_function(ctx: DdlContext, node: ast.ObjectWithArgs, source: int, target: int) -> tuple[int, int]:
    function = need_function(ctx, node.objname, argument_types(ctx, node))
    view, types = ctx.view, function.arguments
    if not 1 <= len(types) <= 3:
        raise InvalidObjectDefinition("cast function must take one to three arguments")
    if not is_binary_coercible(view, source, types[0]):
        raise InvalidObjectDefinition(
            "argument of cast function must match or be binary-coercible from source data type"
        )
    if len(types) > 1 and types[1] != oids.INT4:
        raise InvalidObjectDefinition("second argument of cast function must be type integer")
    if len(types) > 2 and types[2] != oids.BOOL:
        raise InvalidObjectDefinition("third argument of cast function must be type boolean")
    if not is_binary_coercible(view, function.result, target):
        raise InvalidObjectDefinition(
            "return data type of cast function must match or be binary-coercible to target data type"
        )
    if function.kind != "f":
        raise InvalidObjectDefinition("cast function must be a normal function")
    if function.returns_set:
        raise InvalidObjectDefinition("cast function must not return a set")
    return function.oid, len(types)


def _check_binary(ctx: DdlContext, source: int, target: int) -> None:
    """WITHOUT FUNCTION: the two types' values are the same bytes (42P17), and here also the same in memory (0A000)."""
    role = ctx.view.role(ctx.session.user)
    if role is None or not role.superuser:
        raise InsufficientPrivilege("must be superuser to create a cast WITHOUT FUNCTION")
    one, other = ctx.view.type(source), ctx.view.type(target)
    if (one.length, one.by_value, one.align) != (other.length, other.by_value, other.align):
        raise InvalidObjectDefinition("source and target data types are not physically compatible")
    for kind, what in (("c", "composite"), ("e", "enum")):
        if kind in (one.kind, other.kind):
            raise InvalidObjectDefinition(f"{what} data types are not binary-compatible")
    if is_true_array(one) or is_true_array(other):
        raise InvalidObjectDefinition("array data types are not binary-compatible")
    if "d" in (one.kind, other.kind):
        raise InvalidObjectDefinition("domain data types must not be marked binary-compatible")
    if one.disk != other.disk or one.disk == "x":
        shown = f"{format_type(ctx.view, source)} and {format_type(ctx.view, target)}"
        raise NotSupported(f"a cast WITHOUT FUNCTION between {shown} is not supported")
