"""CREATE CONVERSION. Source: PostgreSQL manual, ch. 24.3.4 and the reference page.

The functions that convert are PostgreSQL's own: what a conversion names is checked, and ``convert`` and clients are
served by ``compute_node/types/charsets``, which does the same.
"""

from __future__ import annotations

from pglast import ast

from aurora.errors import (
    DuplicateObject,
    InternalError,
    InvalidObjectDefinition,
    UndefinedFunction,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import CLASS_CONVERSION, CLASS_NAMESPACE, CLASS_PROC, DdlContext
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.typenames import format_type
from compute_node.types import oids
from compute_node.types.charsets.names import ENCODINGS, SQL_ASCII, find_encoding

_ARGUMENTS = (oids.INT4, oids.INT4, 2275, 2281, oids.INT4, oids.BOOL)
"""the two encodings' numbers, source, destination, length, whether it is only tried"""


def create_conversion(ctx: DdlContext, node: ast.CreateConversionStmt) -> str:
    """CREATE [DEFAULT] CONVERSION."""
    namespace, name = ctx.place(node.conversion_name)
    source = _encoding(node.for_encoding_name, "source")
    target = _encoding(node.to_encoding_name, "destination")
    for each in (source, target):
        if each == SQL_ASCII:
            raise InvalidObjectDefinition(f'encoding conversion to or from "{SQL_ASCII}" is not supported')
    function = _function(ctx, node)
    _check_pair(ctx, function, source, target)
    if ctx.rows.find("pg_conversion", conname=name, connamespace=namespace):
        raise DuplicateObject(f'conversion "{name}" already exists')
    numbers = {"conforencoding": ENCODINGS.index(source), "contoencoding": ENCODINGS.index(target)}
    if node.def_:
        for row in ctx.rows.find("pg_conversion", connamespace=namespace, **numbers):
            if row.condefault:
                raise DuplicateObject(f"default conversion for {source} to {target} already exists")
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_conversion",
        oid=oid,
        conname=name,
        connamespace=namespace,
        conowner=ctx.user_oid,
        conproc=function,
        condefault=bool(node.def_),
        **numbers,
    )
    record_owner(ctx, CLASS_CONVERSION, oid, ctx.user_oid)
    ctx.depend((CLASS_CONVERSION, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.depend((CLASS_CONVERSION, oid, 0), (CLASS_PROC, function, 0), "n")
    ctx.changes.touch()
    return "CREATE CONVERSION"


def _encoding(name: str, role: str) -> str:
    found = find_encoding(name)
    if found is None:
        raise UndefinedObject(f'{role} encoding "{name}" does not exist')
    return found


def _function(ctx: DdlContext, node: ast.CreateConversionStmt) -> int:
    names = [item.sval for item in node.func_name]
    schema = names[-2] if len(names) > 1 else None
    rows = ctx.rows.find("pg_proc", proname=names[-1])
    places = [ctx.view.namespace(schema)] if schema is not None else [oid for _, oid in ctx.view.path]
    for place in places:
        for row in rows:
            if row.pronamespace == place and tuple(row.proargtypes) == _ARGUMENTS:
                if row.prorettype != oids.INT4:
                    shown = ".".join(names)
                    raise InvalidObjectDefinition(f"encoding conversion function {shown} must return type integer")
                return int(row.oid)
    types = ", ".join(format_type(ctx.view, kind) for kind in _ARGUMENTS)
    raise UndefinedFunction(f"function {'.'.join(names)}({types}) does not exist")


def _check_pair(ctx: DdlContext, function: int, source: str, target: str) -> None:
    """A function of PostgreSQL's converts between the sets that its own conversions are for."""
    pairs = [
        (ENCODINGS[row.conforencoding], ENCODINGS[row.contoencoding])
        for row in ctx.rows.find("pg_conversion")
        if row.conproc == function and row.oid < FIRST_NORMAL_OID
    ]
    if not pairs or (source, target) in pairs:
        return
    if all(source != each for each, _ in pairs):
        raise InternalError(f'expected source encoding "{pairs[0][0]}", but got "{source}"')
    raise InternalError(f'expected destination encoding "{pairs[0][1]}", but got "{target}"')
