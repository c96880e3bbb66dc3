"""Who uses a type: the columns of tables whose values are of it, and those that merely contain it.

Source: pg_depend, where each column depends on its type, each domain on its base type, each composite type's column on
its type, each array type on its element type.
"""

from __future__ import annotations

from collections.abc import Iterator

from aurora.errors import NotSupported
from compute_node.catalog.ddl.context import CLASS_RELATION, CLASS_TYPE, DdlContext
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.typenames import format_type


def uses_of_type(ctx: DdlContext, oid: int) -> Iterator[tuple[RelationDesc, ColumnDesc]]:
    """The columns of relations of any kind that are of exactly this type."""
    for record in ctx.rows.find("pg_depend", refclassid=CLASS_TYPE, refobjid=oid):
        if record.classid != CLASS_RELATION or not record.objsubid:
            continue
        desc = ctx.view.relation(record.objid)
        if desc is not None and record.objsubid <= len(desc.columns):
            column = desc.columns[record.objsubid - 1]
            if not column.dropped and column.type == oid:
                yield desc, column


def _made_of(ctx: DdlContext, oid: int) -> Iterator[int]:
    """The array, domain and composite types that are directly made of a type."""
    for record in ctx.rows.find("pg_depend", refclassid=CLASS_TYPE, refobjid=oid):
        if record.classid == CLASS_TYPE:
            yield record.objid


def refuse_containers(ctx: DdlContext, oid: int, shown: str) -> None:
    """0A000 when a table's column is of a type, or of one that contains it."""
    for record in ctx.rows.find("pg_depend", refclassid=CLASS_TYPE, refobjid=oid):
        if record.classid == CLASS_TYPE:
            refuse_containers(ctx, record.objid, shown)
        desc = ctx.view.relation(record.objid) if record.classid == CLASS_RELATION and record.objsubid else None
        if desc is None or record.objsubid > len(desc.columns):
            continue
        column = desc.columns[record.objsubid - 1]
        if column.dropped or column.type != oid:
            continue
        if desc.kind in "rmp":
            what = "its row type" if shown.startswith(("table", "foreign table")) else "it"
            raise NotSupported(f'cannot alter {shown} because column "{desc.name}.{column.name}" uses {what}')
        if desc.row_type and desc.kind == "c":
            refuse_containers(ctx, desc.row_type, shown)


def columns_of_type(ctx: DdlContext, oid: int) -> list[tuple[RelationDesc, ColumnDesc]]:
    """The columns of tables that are of a domain, or of one over it. 0A000 when a column contains it otherwise."""
    shown = f'type "{format_type(ctx.view, oid)}"'
    found: list[tuple[RelationDesc, ColumnDesc]] = []
    waiting = [oid]
    while waiting:
        each = waiting.pop()
        for other in _made_of(ctx, each):
            if ctx.view.type(other).kind == "d":
                waiting.append(other)
            else:
                refuse_containers(ctx, other, shown)
        for desc, column in uses_of_type(ctx, each):
            if desc.kind in "rmp":
                found.append((desc, column))
            elif desc.row_type:
                refuse_containers(ctx, desc.row_type, shown)
    return found


def columns_containing(ctx: DdlContext, oid: int) -> list[tuple[RelationDesc, ColumnDesc]]:
    """The columns of tables that are of a type or of one that is made of it."""
    found: list[tuple[RelationDesc, ColumnDesc]] = []
    waiting, seen = [oid], {oid}
    while waiting:
        each = waiting.pop()
        following = list(_made_of(ctx, each))
        for desc, column in uses_of_type(ctx, each):
            if desc.kind in "rmp":
                found.append((desc, column))
            if desc.row_type:
                following.append(desc.row_type)
        waiting += [other for other in following if other not in seen]
        seen.update(following)
    return found
