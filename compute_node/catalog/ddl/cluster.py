"""CLUSTER, and the marks of the index that it takes (manual, reference pages of CLUSTER and ALTER TABLE).

The rows are read from the old storage in the index's order and written into new storage, whose indexes are built at the
end (``rewrite.write_anew``).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from pglast import ast

from aurora.errors import InvariantViolation, NotSupported, SqlSyntaxError, UndefinedObject, WrongObjectType
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.maintenance import is_on
from compute_node.catalog.ddl.rewrite import write_anew
from compute_node.catalog.ddl.vacuum_full import Rewriting
from compute_node.catalog.inheritance import descendants_of
from compute_node.relations.access_methods import METHODS
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.relations.schema import CATALOGS_BY_OID
from compute_node.session.transactions import forbid_in_block, next_part
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.txn.locks import ACCESS_EXCLUSIVE
from compute_node.work.progress import Cluster, Progress, reporting


def cluster_statement(ctx: DdlContext, node: ast.ClusterStmt) -> str:
    """CLUSTER [(VERBOSE)] [table [USING index]]. Of all tables, or of a partitioned one, each is clustered in a
    transaction of its own. 25001, 42704, 42809, 42501, 0A000."""
    verbose = _verbose(node)
    if node.relation is None:
        marked = [(each.indrelid, each.indexrelid) for each in ctx.rows.find("pg_index", indisclustered=True)]
        _cluster_each(ctx, marked, verbose, marked_only=True)
        return "CLUSTER"
    desc = _table(ctx, node.relation)
    oid = _index_oid(ctx, desc, node.indexname)
    if _is_system(desc):
        if desc.is_shared:
            raise NotSupported("cannot cluster a shared catalog")
        checked_index(desc, oid, node.indexname or "")
        raise NotSupported("clustering system catalogs and TOAST tables is not supported")
    if not desc.is_partitioned:
        _cluster(ctx, desc, oid, verbose)
        return "CLUSTER"
    forbid_in_block(ctx.session, "CLUSTER")
    checked_index(desc, oid, node.indexname or "")
    parts = [ctx.rows.one("pg_index", indexrelid=each) for each in descendants_of(ctx.rows, oid)]
    _cluster_each(ctx, [(each.indrelid, each.indexrelid) for each in parts if each is not None], verbose)
    return "CLUSTER"


def _cluster_each(ctx: DdlContext, found: Sequence[tuple[int, int]], verbose: bool, marked_only: bool = False) -> None:
    """Cluster tables on indexes, (OID, OID), in transactions of their own. What is not the user's, or has gone when its
    turn comes, is left out; with ``marked_only`` also an index that has lost its mark by then."""
    for table, index in found:
        ctx = ctx.renewed(next_part(ctx.session))
        desc = ctx.view.relation(table)
        if desc is None or desc.is_partitioned or not ctx.owns(desc.owner) or ctx.is_of_other_session(desc):
            continue
        ctx.lock(desc, ACCESS_EXCLUSIVE)
        desc = ctx.view.relation(table)
        record = ctx.rows.one("pg_index", indexrelid=index)
        if desc is None or record is None or (marked_only and not record.indisclustered):
            continue
        if ctx.owns(desc.owner):
            _cluster(ctx, desc, index, verbose)


def _verbose(node: ast.ClusterStmt) -> bool:
    on = False
    for option in node.params or ():
        if option.defname != "verbose":
            position = option.location + 1 if option.location is not None and option.location >= 0 else None
            raise SqlSyntaxError(f'unrecognized CLUSTER option "{option.defname}"', position=position)
        on = is_on(option)
    return on


def _table(ctx: DdlContext, name: ast.RangeVar) -> RelationDesc:
    desc = ctx.find(name)
    if desc is None:
        raise InvariantViolation("desc is not there")
    if desc.kind not in "rmtp":
        raise WrongObjectType(f'"{desc.name}" is not a table or materialized view')
    if _is_system(desc):
        if not ctx.owns(desc.owner):
            ctx.check_owner(desc)
        return desc
    desc = ctx.table(name, ACCESS_EXCLUSIVE, "rmp")
    ctx.check_unused(desc, "CLUSTER")
    return desc


def _is_system(desc: RelationDesc) -> bool:
    return desc.oid in CATALOGS_BY_OID or desc.kind == "t"


def _index_oid(ctx: DdlContext, desc: RelationDesc, name: str | None) -> int:
    """The index that is named, or that the last CLUSTER took."""
    if name is None:
        record = ctx.rows.one("pg_index", indrelid=desc.oid, indisclustered=True)
        if record is None:
            raise UndefinedObject(f'there is no previously clustered index for table "{desc.name}"')
        return int(record.indexrelid)
    oid = ctx.view.layer.relation_oid(desc.namespace, name)
    if oid is None:
        raise UndefinedObject(f'index "{name}" for table "{desc.name}" does not exist')
    return oid


def checked_index(desc: RelationDesc, oid: int, name: str) -> IndexDesc:
    """An index that a table may be clustered on. 42809, 0A000."""
    index = next((each for each in desc.indexes if each.oid == oid), None)
    if index is None:
        raise WrongObjectType(f'"{name}" is not an index for table "{desc.name}"')
    if not METHODS[index.method].ordered:
        raise NotSupported(f'cannot cluster on index "{name}" because access method does not support clustering')
    if index.predicate is not None:
        raise NotSupported(f'cannot cluster on partial index "{name}"')
    if not index.valid:
        raise NotSupported(f'cannot cluster on invalid index "{name}"')
    return index


def mark_clustered(ctx: DdlContext, desc: RelationDesc, oid: int) -> None:
    """Only this index of the table has the mark; 0: none. 0A000 for a partitioned table, whose partitions have them."""
    if desc.is_partitioned:
        raise NotSupported("cannot mark index clustered in partitioned table")
    for record in ctx.rows.find("pg_index", indrelid=desc.oid):
        if record.indisclustered != (record.indexrelid == oid):
            ctx.rows.update("pg_index", record, indisclustered=record.indexrelid == oid)
    ctx.changes.touch(desc.oid)


def _cluster(ctx: DdlContext, desc: RelationDesc, oid: int, verbose: bool) -> None:
    other = ctx.view.relation(oid)
    index = checked_index(desc, oid, "" if other is None else other.name)
    mark_clustered(ctx, desc, oid)
    if not desc.populated:
        return
    if verbose:
        shown = f'"{desc.schema}.{desc.name}" using sequential scan and sort'
        ctx.notice(f"clustering {shown}", severity="INFO")
    told = Rewriting(ctx, desc)
    with reporting(ctx.session, "CLUSTER", desc.oid) as progress, ctx.maintaining(desc):
        progress.put(Cluster.COMMAND, Cluster.CLUSTER)
        progress.put(Cluster.INDEX, oid)
        count = _write_in_order(ctx, desc, index, progress)
    if verbose:
        told.done(count)


def _write_in_order(ctx: DdlContext, desc: RelationDesc, index: IndexDesc, progress: Progress) -> int:
    progress.put(Cluster.PHASE, Cluster.SCANNING)
    batches = ctx.fetch_own(_in_order(ctx, desc, index))
    # The plan of the query names the old storage, and the sort has read all of it before it gives the first row.
    first = next(batches, None)
    progress.put(Cluster.PHASE, Cluster.WRITING)
    return write_anew(ctx, desc, chain([] if first is None else [first], batches), progress)


def _in_order(ctx: DdlContext, desc: RelationDesc, index: IndexDesc) -> str:
    """The query of the table's rows in the index's order, NULL for dropped columns, and who inserted each."""
    names = ["NULL" if column.dropped else quote_identifier(column.name) for column in desc.columns] + ["xmin"]
    expressions = iter(index.expressions)
    keys = []
    for place, attno in enumerate(index.columns):
        key = quote_identifier(desc.columns[attno - 1].name) if attno else f"({next(expressions)})"
        collation = ctx.view.collation(index.collations[place]) if index.collations[place] else None
        if collation is not None:
            schema = ctx.view.namespace_name(collation.namespace)
            key += f" COLLATE {quote_identifier(schema)}.{quote_identifier(collation.name)}"
        key += " DESC" if index.descending[place] else " ASC"
        key += " NULLS FIRST" if index.nulls_first[place] else " NULLS LAST"
        keys.append(key)
    source = f"{quote_identifier(desc.schema)}.{quote_identifier(desc.name)}"
    return f"SELECT {', '.join(names)} FROM ONLY {source} ORDER BY {', '.join(keys)}"
