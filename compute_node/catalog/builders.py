"""Catalog rows of relations: descriptors → rows of pg_class, pg_attribute, pg_index and pg_type.

Used by bootstrap for the system catalogs and by DDL for users' relations. Source: PostgreSQL manual, ch. 53.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aurora.datum import Datum, Row
from compute_node.catalog.rows import Record, make_row
from compute_node.relations.descriptors import ColumnDesc, IndexDesc
from compute_node.relations.schema import BTREE_AM, HEAP_AM, ROLE_POSTGRES
from compute_node.types.registry import PgType

RECORD_IN, RECORD_OUT, RECORD_RECV, RECORD_SEND = 2290, 2291, 2402, 2403
DOMAIN_IN, DOMAIN_RECV = 2597, 2598
SHELL_IN, SHELL_OUT = 2398, 2399
ARRAY_IN, ARRAY_OUT, ARRAY_RECV, ARRAY_SEND, ARRAY_SUBSCRIPT = 750, 751, 2400, 2401, 6179
ARRAY_ANALYZE, RANGE_ANALYZE, MULTIRANGE_ANALYZE = 3816, 3916, 4242
_NEUTRAL_TYPE = (-1, False, "i", "x")


def class_row(
    oid: int,
    name: str,
    namespace: int,
    kind: str,
    column_count: int,
    *,
    row_type: int = 0,
    owner: int = ROLE_POSTGRES,
    relfile: int = 0,
    has_index: bool = False,
    shared: bool = False,
    persistence: str = "p",
    checks: int = 0,
    rows: float = -1.0,
    pages: int = 0,
    options: list[str] | None = None,
    access_method: int = BTREE_AM,
    toast: int = 0,
) -> Row:
    """A pg_class row. ``kind``: r, p, m, f, t, i, I, v or S; ``access_method`` is an index's."""
    is_heap = kind in "rmt"
    return make_row(
        "pg_class",
        {
            "oid": oid,
            "relname": name,
            "relnamespace": namespace,
            "reltype": row_type,
            "relowner": owner,
            "relam": HEAP_AM if is_heap else access_method if kind in "iI" else 0,
            "relfilenode": relfile,
            "relpages": pages,
            "reltuples": rows,
            "reltoastrelid": toast,
            "relhasindex": has_index,
            "relisshared": shared,
            "relpersistence": persistence,
            "relkind": kind,
            "relnatts": column_count,
            "relchecks": checks,
            "relhasrules": kind in "vm",
            "relispopulated": True,
            "relreplident": "d" if kind in "rmp" and namespace != 11 else "n",
            "relfrozenxid": 3 if is_heap else 0,
            "relminmxid": 1 if is_heap else 0,
            "reloptions": options,
        },
    )


def type_layout(item: PgType | None) -> tuple[int, bool, str, str]:
    """(length, by value, alignment, storage) as pg_attribute repeats them; a type without code is a varlena."""
    if item is None:
        return _NEUTRAL_TYPE
    return item.length, item.by_value, item.align, item.storage


def attribute_row(
    relation: int,
    column: ColumnDesc,
    item: PgType | None,
    *,
    dimensions: int = 0,
    alignment: str | None = None,
    options: Sequence[str] = (),
) -> Row:
    """A pg_attribute row. ``dimensions`` is what the declaration said, 0 for a scalar; ``alignment``: of a type
    without code; ``options``: of an index column's operator class."""
    length, by_value, align, storage = type_layout(item)
    return make_row(
        "pg_attribute",
        {
            "attrelid": relation,
            "attname": column.name,
            "atttypid": column.type,
            "attstattarget": -1,
            "attlen": length,
            "attnum": column.attno,
            "attndims": dimensions,
            "attcacheoff": -1,
            "atttypmod": column.typmod,
            "attbyval": by_value,
            "attalign": alignment or align,
            "attstorage": column.storage or storage,
            "attcompression": column.compression,
            "attnotnull": column.not_null,
            "atthasdef": column.has_default,
            "attidentity": column.identity,
            "attgenerated": column.generated,
            "attislocal": True,
            "attcollation": column.collation,
            "attoptions": list(options) or None,
        },
    )


def index_row(table: int, index: IndexDesc, collations: Iterable[int]) -> Row:
    """A pg_index row; expressions are kept as SQL text, one a line."""
    return make_row(
        "pg_index",
        {
            "indexrelid": index.oid,
            "indrelid": table,
            "indnatts": len(index.columns) + len(index.included),
            "indnkeyatts": len(index.columns),
            "indisunique": index.unique,
            "indnullsnotdistinct": index.nulls_not_distinct,
            "indisprimary": index.primary,
            "indisexclusion": bool(index.exclusion),
            "indimmediate": index.immediate,
            "indisvalid": index.valid,
            "indisready": index.ready,
            "indislive": index.live,
            "indkey": [*index.columns, *index.included],
            "indcollation": list(collations),
            "indclass": list(index.operator_classes),
            "indoption": [
                int(descending) | int(nulls_first) << 1
                for descending, nulls_first in zip(index.descending, index.nulls_first, strict=True)
            ],
            "indexprs": "\n".join(index.expressions) if index.expressions else None,
            "indpred": index.predicate,
        },
    )


def _type_values(oid: int, name: str, namespace: int, owner: int) -> dict[str, Datum]:
    return {
        "oid": oid,
        "typname": name,
        "typnamespace": namespace,
        "typowner": owner,
        "typisdefined": True,
        "typtypmod": -1,
    }


def composite_type_row(
    oid: int, name: str, namespace: int, relation: int, array: int, owner: int = ROLE_POSTGRES
) -> Row:
    """The row type of a relation."""
    return make_row(
        "pg_type",
        _type_values(oid, name, namespace, owner)
        | {
            "typlen": -1,
            "typtype": "c",
            "typcategory": "C",
            "typdelim": ",",
            "typrelid": relation,
            "typarray": array,
            "typinput": RECORD_IN,
            "typoutput": RECORD_OUT,
            "typreceive": RECORD_RECV,
            "typsend": RECORD_SEND,
            "typalign": "d",
            "typstorage": "x",
        },
    )


def enum_type_row(oid: int, name: str, namespace: int, array: int, owner: int) -> Row:
    """An enumerated type."""
    return make_row(
        "pg_type",
        _type_values(oid, name, namespace, owner)
        | {
            "typlen": 4,
            "typbyval": True,
            "typtype": "e",
            "typcategory": "E",
            "typdelim": ",",
            "typarray": array,
            "typinput": 3506,
            "typoutput": 3507,
            "typreceive": 3532,
            "typsend": 3533,
            "typalign": "i",
            "typstorage": "p",
        },
    )


def range_type_row(oid: int, name: str, namespace: int, array: int, owner: int, kind: str, align: str) -> Row:
    """A range type (``kind`` r) or a multirange type (m)."""
    functions = (3834, 3835, 3836, 3837) if kind == "r" else (4231, 4232, 4233, 4234)
    names = ("typinput", "typoutput", "typreceive", "typsend")
    return make_row(
        "pg_type",
        _type_values(oid, name, namespace, owner)
        | {
            "typlen": -1,
            "typtype": kind,
            "typcategory": "R",
            "typdelim": ",",
            "typarray": array,
            "typanalyze": RANGE_ANALYZE if kind == "r" else MULTIRANGE_ANALYZE,
            "typalign": align,
            "typstorage": "x",
        }
        | dict(zip(names, functions, strict=True)),
    )


def shell_type_row(oid: int, name: str, namespace: int, owner: int) -> Row:
    """A type of which nothing but the name is known."""
    return make_row(
        "pg_type",
        _type_values(oid, name, namespace, owner)
        | {
            "typisdefined": False,
            "typlen": 4,
            "typbyval": True,
            "typtype": "p",
            "typcategory": "P",
            "typdelim": ",",
            "typinput": SHELL_IN,
            "typoutput": SHELL_OUT,
            "typalign": "i",
            "typstorage": "p",
        },
    )


def base_type_row(oid: int, name: str, namespace: int, owner: int, values: dict[str, Datum]) -> Row:
    """A user's base type; ``values`` are the columns that say what it is."""
    return make_row("pg_type", _type_values(oid, name, namespace, owner) | {"typtype": "b"} | values)


def domain_type_row(
    oid: int,
    name: str,
    namespace: int,
    array: int,
    owner: int,
    base: Record,
    *,
    typmod: int,
    not_null: bool,
    default: str | None,
    collation: int,
    dimensions: int,
) -> Row:
    """A domain over the type of the row ``base``."""
    return make_row(
        "pg_type",
        _type_values(oid, name, namespace, owner)
        | {
            "typlen": base.typlen,
            "typbyval": base.typbyval,
            "typtype": "d",
            "typcategory": base.typcategory,
            "typdelim": base.typdelim,
            "typarray": array,
            "typinput": DOMAIN_IN,
            "typoutput": base.typoutput,
            "typreceive": DOMAIN_RECV,
            "typsend": base.typsend,
            "typalign": base.typalign,
            "typstorage": base.typstorage,
            "typnotnull": not_null,
            "typbasetype": base.oid,
            "typtypmod": typmod,
            "typndims": dimensions,
            "typcollation": collation,
            "typdefault": default,
            "typdefaultbin": default,
        },
    )


def function_row(oid: int, name: str, namespace: int, arguments: list[int], values: dict[str, Datum]) -> Row:
    """A function; ``values`` are the columns that say what it is."""
    neutral = {"procost": 1.0, "proparallel": "u"}
    own = {"oid": oid, "proname": name, "pronamespace": namespace, "pronargs": len(arguments), "proargtypes": arguments}
    return make_row("pg_proc", neutral | own | values)


def array_type_row(
    oid: int, name: str, namespace: int, element: int, owner: int = ROLE_POSTGRES, align: str = "d"
) -> Row:
    """The array type over ``element``."""
    return make_row(
        "pg_type",
        _type_values(oid, name, namespace, owner)
        | {
            "typlen": -1,
            "typtype": "b",
            "typcategory": "A",
            "typdelim": ",",
            "typelem": element,
            "typsubscript": ARRAY_SUBSCRIPT,
            "typinput": ARRAY_IN,
            "typoutput": ARRAY_OUT,
            "typreceive": ARRAY_RECV,
            "typsend": ARRAY_SEND,
            "typanalyze": ARRAY_ANALYZE,
            "typalign": align,
            "typstorage": "x",
        },
    )
