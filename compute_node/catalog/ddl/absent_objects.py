"""DROP of kinds of objects of which there are none here: triggers, publications …

So the object that is named does not exist, as PostgreSQL says it: with IF EXISTS in a notice.
"""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.errors import (
    DependentObjectsStillExist,
    InsufficientPrivilege,
    InvalidSchemaName,
    SqlError,
    UndefinedObject,
    UndefinedTable,
)
from compute_node.catalog.ddl.context import DdlContext

_T = enums.ObjectType
ABSENT = {
    _T.OBJECT_TRIGGER: "trigger",
    _T.OBJECT_EVENT_TRIGGER: "event trigger",
    _T.OBJECT_LANGUAGE: "language",
    _T.OBJECT_ACCESS_METHOD: "access method",
}
_BUILT_IN = {_T.OBJECT_LANGUAGE: ("pg_language", "lanname"), _T.OBJECT_ACCESS_METHOD: ("pg_am", "amname")}
"""kinds of which there are none but the server's own: their catalog and its column of names"""
_ON_TABLES = (_T.OBJECT_TRIGGER,)


def tell_absent(ctx: DdlContext, kind: enums.ObjectType, item: object, missing_ok: bool) -> None:
    """A notice with ``missing_ok``, else 42704, 42P01 or 3F000; 2BP01 or 42501 for what is the server's own."""
    names = [each.sval for each in item] if isinstance(item, Sequence) else [getattr(item, "sval", str(item))]
    if kind in _BUILT_IN:
        catalog, column = _BUILT_IN[kind]
        if ctx.rows.one(catalog, **{column: names[-1]}) is not None:
            if not ctx.rights.superuser:
                needed = f"owner of language {names[-1]}" if kind == _T.OBJECT_LANGUAGE else "superuser"
                raise InsufficientPrivilege(f"must be {needed}")
            raise DependentObjectsStillExist(
                f"cannot drop {ABSENT[kind]} {names[-1]} because it is required by the database system"
            )
    error = _missing(ctx, kind, names, missing_ok)
    if not missing_ok:
        raise error
    ctx.notice(f"{error.message}, skipping")


def _missing(ctx: DdlContext, kind: enums.ObjectType, names: list[str], missing_ok: bool) -> SqlError:
    noun = ABSENT[kind]
    owner = names[:-1] if kind in _ON_TABLES else names
    if len(owner) > 1 and ctx.view.layer.namespace_oid(owner[-2]) is None:
        return InvalidSchemaName(f'schema "{owner[-2]}" does not exist')
    shown = ".".join(owner)
    if kind in _ON_TABLES:
        table = ast.RangeVar(relname=owner[-1], schemaname=owner[-2] if len(owner) > 1 else None)
        if ctx.find(table, missing_ok=True) is None:
            return UndefinedTable(f'relation "{shown}" does not exist')
        what = "relation" if missing_ok else "table"
        return UndefinedObject(f'{noun} "{names[-1]}" for {what} "{owner[-1]}" does not exist')
    return UndefinedObject(f'{noun} "{shown}" does not exist')
