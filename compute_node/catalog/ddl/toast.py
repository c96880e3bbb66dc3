"""TOAST tables: when a table gets one, its rows in the catalogs, and the storage modes of columns.

A table gets ``pg_toast.pg_toast_<oid>`` when it has a column that may be stored out of line and a row of it could be
longer than about 2 kB (manual, chapter 73.2). It is looked at after CREATE and ALTER TABLE, as in PostgreSQL, and is
never taken away again.
"""

from __future__ import annotations

from aurora.errors import InvalidParameterValue, NotSupported
from compute_node.access.toast import METHODS, TUPLE_BYTES_TARGET
from compute_node.catalog.builders import attribute_row, class_row, index_row
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import NAMESPACE_TOAST, TOAST_COLUMNS, toast_index, toast_name
from compute_node.types.oids import BPCHAR, NUMERIC, VARCHAR
from compute_node.types.registry import PgType

_UTF8_BYTES_MAX = 4


def ensure_toast(ctx: DdlContext, oid: int, options: list[str] | None = None) -> RelationDesc:
    """Give the table a TOAST table, with these reloptions, when it needs one and has none; returns its descriptor."""
    desc = relation(ctx, oid)
    if desc.kind not in "rm" or desc.toast is not None or not needs_toast(ctx, desc):
        return desc
    name = toast_name(oid)
    toast_oid, index_oid = ctx.next_oid(), ctx.next_oid()
    relfile, index_relfile = ctx.new_relation_storage(toast_oid), ctx.new_relation_storage(index_oid)
    index = toast_index(index_oid, index_relfile, name)
    owner, persistence = desc.owner, desc.persistence
    ctx.rows.insert_many(
        "pg_class",
        [
            class_row(
                toast_oid,
                name,
                NAMESPACE_TOAST,
                "t",
                len(TOAST_COLUMNS),
                owner=owner,
                relfile=relfile,
                has_index=True,
                persistence=persistence,
                options=options or None,
            ),
            class_row(
                index_oid,
                index.name,
                NAMESPACE_TOAST,
                "i",
                len(index.columns),
                owner=owner,
                relfile=index_relfile,
                persistence=persistence,
                rows=0.0,
            ),
        ],
    )
    view = ctx.view
    rows = [attribute_row(toast_oid, column, view.type(column.type)) for column in TOAST_COLUMNS]
    rows += [attribute_row(index_oid, column, view.type(column.type)) for column in TOAST_COLUMNS[:2]]
    ctx.rows.insert_many("pg_attribute", rows)
    ctx.rows.insert_many("pg_index", [index_row(toast_oid, index, (0, 0))])
    ctx.depend((CLASS_RELATION, toast_oid, 0), (CLASS_RELATION, oid, 0), "i")
    for attno in (1, 2):
        ctx.depend((CLASS_RELATION, index_oid, 0), (CLASS_RELATION, toast_oid, attno), "a")
    ctx.rows.update("pg_class", class_record(ctx, oid), reltoastrelid=toast_oid)
    ctx.changes.touch(oid, toast_oid, index_oid)
    ctx.build_index(relation(ctx, toast_oid), index)
    return relation(ctx, oid)


def needs_toast(ctx: DdlContext, desc: RelationDesc) -> bool:
    """Whether a row could be too long and has a column to shorten."""
    view = ctx.view
    size, toastable, unbounded = 0, False, False
    for column in desc.columns:
        if column.dropped:
            continue
        item = view.type(column.type)
        length = item.length if item.length > 0 else _length_max(item, column.typmod)
        if length is None:
            unbounded = True
        else:
            size = _aligned(size, item.align) + length
        toastable = toastable or (item.length == -1 and (column.storage or item.storage) != "p")
    if not toastable or unbounded:
        return toastable
    header = 23 + (len(desc.columns) + 7) // 8
    return _aligned(header, "d") + _aligned(size, "d") > TUPLE_BYTES_TARGET


def _aligned(size: int, align: str) -> int:
    step = {"c": 1, "s": 2, "i": 4, "d": 8}[align]
    return (size + step - 1) // step * step


def _length_max(item: PgType, typmod: int) -> int | None:
    """The longest value of a type of variable length; None without a bound."""
    if typmod < 0:
        return None
    if item.oid in (BPCHAR, VARCHAR):
        return _UTF8_BYTES_MAX * (typmod - 4) + 4
    if item.oid == NUMERIC:
        precision = (typmod - 4) >> 16 & 0xFFFF
        return 8 + (precision + 6) // 4 * 2
    return None


STORAGE_LETTERS = {"plain": "p", "external": "e", "extended": "x", "main": "m"}


def storage_letter(word: str, item: PgType) -> str:
    """attstorage of SET STORAGE; 22023 for an unknown word, 0A000 for a type that must be plain."""
    letter = STORAGE_LETTERS.get(word.lower())
    if letter is None:
        raise InvalidParameterValue(f'invalid storage type "{word}"')
    if letter != "p" and (item.length != -1 or item.storage == "p"):
        raise NotSupported(f"column data type {item.formatted_name or item.name} can only have storage PLAIN")
    return letter


def compression_letter(word: str | None, item: PgType) -> str:
    """attcompression of COMPRESSION; empty for DEFAULT. 22023 for an unknown method, 0A000 for a type without."""
    if word is None or word == "default":
        return ""
    if item.length != -1 or item.storage == "p":
        raise NotSupported(f"column data type {item.formatted_name or item.name} does not support compression")
    if word not in METHODS:
        raise InvalidParameterValue(f'invalid compression method "{word}"')
    return word[0]
