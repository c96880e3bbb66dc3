"""The addresses of a query's rows behind its columns, for a cursor whose row UPDATE or DELETE may name.

Which queries have them is PostgreSQL's rule (execCurrentOf): with FOR UPDATE or SHARE those of the locked tables, else
of the only table where nothing but scans, LIMIT and filters are above. They ask for no privilege: the client never sees
them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from compute_node.sql.analyze.names import SYSTEM_COLUMNS
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Var
from compute_node.sql.family_tables import tables_of
from compute_node.sql.plan import Addressed
from compute_node.sql.query import FromItem, Query, RangeEntry, Target
from compute_node.types.oids import OID, TID

_CTID, _TABLEOID = SYSTEM_COLUMNS["ctid"][0], SYSTEM_COLUMNS["tableoid"][0]


def add_addresses(catalog: CatalogView, query: Query) -> tuple[Query, tuple[Addressed, ...]]:
    """The query with addresses, and which tables they are of; none where it has no such rows."""
    if query.locking:
        entries = sorted({index for _, _, entries in query.locking for index in entries})
    elif _is_row_by_row(query):
        entries = [0]
    else:
        entries = []
    made: list[Target] = []
    found: list[Addressed] = []
    range_table = list(query.range_table)
    for index in entries:
        entry = range_table[index]
        if _is_table(entry) and entry.relation is not None:
            tables = tables_of(catalog, entry.relation) if entry.has_family else [entry.relation]
            inner: tuple[Addressed, ...] = (Addressed(frozenset(table.oid for table in tables), entry.has_family),)
            attnos = [_CTID, _TABLEOID]
        elif entry.kind == "subquery" and entry.query is not None:
            width = len(entry.column_names)
            range_table[index], inner = _behind(catalog, entry, entry.query)
            attnos = list(range(width + 1, len(range_table[index].column_names) + 1))
        else:
            continue
        columns = [Var(type=kind, rte=index, attno=attno) for kind, attno in zip(_columns(inner), attnos, strict=False)]
        made += [Target(column, "ctid" if column.type == TID else "tableoid") for column in columns]
        found += inner
    if not made:
        return query, ()
    count = sum(not target.junk for target in query.targets)
    # What only ORDER BY wants stays behind all that is given.
    keys = tuple(
        dataclasses.replace(key, expression=key.expression + len(made)) if key.expression >= count else key
        for key in query.order_by
    )
    query = dataclasses.replace(
        query,
        range_table=range_table,
        targets=[*query.targets[:count], *made, *query.targets[count:]],
        order_by=keys,
    )
    return query, tuple(found)


def _columns(addresses: Sequence[Addressed]) -> list[int]:
    """The types of the columns that addresses are in."""
    return [kind for each in addresses for kind in ((TID, OID) if each.told else (TID,))]


def _behind(catalog: CatalogView, entry: RangeEntry, query: Query) -> tuple[RangeEntry, tuple[Addressed, ...]]:
    """A view or sub-select with the addresses of its rows as more columns, and of which tables they are."""
    query, tables = add_addresses(catalog, query)
    more = _columns(tables)
    return dataclasses.replace(
        entry,
        query=query,
        column_names=(*entry.column_names, *("ctid" if kind == TID else "tableoid" for kind in more)),
        column_types=(*entry.column_types, *more),
        column_typmods=(*entry.column_typmods, *(-1,) * len(more)),
    ), tables


def _is_table(entry: RangeEntry) -> bool:
    return entry.kind == "relation" and entry.relation is not None and entry.relation.kind in "rp"


def _is_row_by_row(query: Query) -> bool:
    """Whether each row may be one of its only table's; the plan has the last word."""
    if query.set_op is not None or query.has_aggregates or query.has_windows or query.has_srfs or query.group_by:
        return False
    if query.having is not None or query.distinct or query.distinct_on or query.grouping_sets is not None:
        return False
    alone = len(query.range_table) == 1 and len(query.from_items) == 1
    return alone and isinstance(query.from_items[0], FromItem)
