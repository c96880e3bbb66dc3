"""REINDEX: an index gets new storage, filled anew from its table.

CONCURRENTLY fills the new storage beside the table's writers, as a second index's (``concurrently``), and then
exchanges the two; the index of a TOAST table alone is written anew under its table's lock. System catalogs have storage
of a fixed place: their indexes lose the entries of dead rows and get those that they lack. Source: PostgreSQL manual,
REINDEX.
"""

from __future__ import annotations

from typing import Any

from pglast import ast, enums

from aurora.errors import (
    InsufficientPrivilege,
    InvariantViolation,
    NotSupported,
    SqlError,
    SqlSyntaxError,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.access.index_missing import enter_missing
from compute_node.catalog.ddl.concurrently import (
    Parts,
    build_beside_writers,
    drop_beside_others,
    is_concurrent,
    set_flags,
)
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.ddl.indexes import second_index
from compute_node.catalog.ddl.partitions.indexes import below
from compute_node.catalog.ddl.relation import class_record, relation
from compute_node.catalog.inheritance import descendants_of
from compute_node.catalog.reloptions import option_text
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.relations.schema import CATALOGS_BY_OID, FIRST_NORMAL_OID, NAMESPACE_CATALOG, NAMESPACE_TOAST
from compute_node.session.transactions import forbid_in_block, next_part
from compute_node.txn.locks import ACCESS_EXCLUSIVE, SHARE, SHARE_UPDATE_EXCLUSIVE
from compute_node.work.progress import CreateIndex

_T = enums.ReindexObjectType
_BOOLEANS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


def reindex_statement(ctx: DdlContext, node: ast.ReindexStmt) -> str:
    """REINDEX [(options)] INDEX | TABLE | SCHEMA | DATABASE | SYSTEM [CONCURRENTLY] name."""
    options = _options(ctx, node)
    concurrently, verbose = options.get("concurrently", False), options.get("verbose", False)
    if node.relation is not None:
        concurrently = is_concurrent(ctx, node.relation, concurrently)
    named = None if node.relation is None else ctx.find(node.relation)
    if named is not None and named.kind == {_T.REINDEX_OBJECT_INDEX: "I", _T.REINDEX_OBJECT_TABLE: "p"}.get(node.kind):
        _reindex_partitions(ctx, named, concurrently, verbose)
    elif named is not None and _is_system(named):
        _reindex_system(ctx, node, named, concurrently, verbose)
    elif node.kind == _T.REINDEX_OBJECT_INDEX:
        table, index = _find_index(ctx, node, concurrently)
        if concurrently:
            if index.exclusion:
                raise NotSupported("concurrent index creation for exclusion constraints is not supported")
            _rebuild_beside_writers(ctx, table, [index], verbose)
        else:
            _rebuild(ctx, table, [index], verbose)
    elif node.kind == _T.REINDEX_OBJECT_TABLE:
        _reindex_table(ctx, _find_table(ctx, node, concurrently), concurrently, verbose)
    else:
        for desc in _tables(ctx, node, concurrently):
            beside = concurrently and desc.persistence != "t"
            ctx = _in_next_part(ctx)
            if _is_catalog(desc):
                _tend(ctx, desc, None, verbose)
                continue
            ctx.lock(desc, SHARE_UPDATE_EXCLUSIVE if beside else ACCESS_EXCLUSIVE)
            now = ctx.view.relation(desc.oid)
            if now is not None and (now.indexes or now.toast is not None):
                ctx = _rebuild_table(ctx, now, beside, verbose)
    return "REINDEX"


def _options(ctx: DdlContext, node: ast.ReindexStmt) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for option in node.params or ():
        name = option.defname
        if name == "tablespace":
            wanted = option_text(option)
            if ctx.rows.one("pg_tablespace", spcname=wanted) is None:
                raise UndefinedObject(f'tablespace "{wanted}" does not exist')
            if wanted != "pg_default":
                raise NotSupported("moving an index to another tablespace is not supported")
        elif name in ("verbose", "concurrently"):
            found[name] = _is_on(option)
        else:
            position = option.location + 1 if option.location is not None and option.location >= 0 else None
            raise SqlSyntaxError(f'unrecognized REINDEX option "{name}"', position=position)
    return found


def _is_on(option: Any) -> bool:
    text = option_text(option).lower()
    if text not in _BOOLEANS:
        raise SqlSyntaxError(f"{option.defname} requires a Boolean value")
    return _BOOLEANS[text]


def _is_catalog(desc: RelationDesc) -> bool:
    """Whether it came with the volume, or is an index of such a table."""
    return desc.oid < FIRST_NORMAL_OID or desc.oid in CATALOGS_BY_OID


def _is_system(desc: RelationDesc) -> bool:
    """Whether it is a system catalog, a TOAST table, or an index of one."""
    return _is_catalog(desc) or desc.namespace == NAMESPACE_TOAST


def _reindex_system(
    ctx: DdlContext, node: ast.ReindexStmt, named: RelationDesc, concurrently: bool, verbose: bool
) -> None:
    """REINDEX TABLE or INDEX of what nobody made by its own statement. 42501, 42809, 0A000."""
    is_index = node.kind == _T.REINDEX_OBJECT_INDEX
    if named.kind not in ("i" if is_index else "rmt"):
        what = "an index" if is_index else "a table or materialized view"
        raise WrongObjectType(f'"{named.name}" is not {what}')
    if not ctx.owns(named.owner):
        ctx.check_owner(named)
    table = named
    if is_index:
        record = ctx.rows.one("pg_index", indexrelid=named.oid)
        if record is None:
            raise InvariantViolation(f"pg_index has no row {named.oid}")
        table = relation(ctx, record.indrelid)
    only = named.oid if is_index else None
    if _is_catalog(named):
        if concurrently:
            raise NotSupported("cannot reindex system catalogs concurrently")
        _tend(ctx, table, only, verbose)
        return
    # Readers and writers of a TOAST table lock its table alone.
    owner = relation(ctx, int(table.name.removeprefix("pg_toast_")))
    ctx.lock(owner, ACCESS_EXCLUSIVE)
    ctx.lock(table, ACCESS_EXCLUSIVE)
    table = relation(ctx, table.oid)
    _rebuild(ctx, table, [each for each in table.indexes if only in (None, each.oid)], verbose)
    ctx.changes.touch(owner.oid)


def _tend(ctx: DdlContext, desc: RelationDesc, only: int | None, verbose: bool) -> None:
    """Mend the indexes of a system catalog (``only`` one of them), and those of its TOAST table."""
    for each in (desc, desc.toast if only is None else None):
        indexes = [] if each is None else [index for index in each.indexes if only in (None, index.oid)]
        if each is None or not indexes:
            continue
        ctx.lock(each, SHARE_UPDATE_EXCLUSIVE)
        table = ctx.storage.table(each)
        ctx.storage.vacuum(table)
        for index in indexes:
            enter_missing(table.index(index), ctx.txn, ctx.rows.snapshot())
            if verbose:
                ctx.notice(f'index "{index.name}" was reindexed', severity="INFO")


def _find_index(ctx: DdlContext, node: ast.ReindexStmt, concurrently: bool) -> tuple[RelationDesc, IndexDesc]:
    """The index and its table. Queries lock tables and not their indexes, so what PostgreSQL has by the index's lock,
    that nobody reads an index whose storage is replaced, the table's lock has to give."""
    desc = ctx.find(node.relation)
    if desc is None:
        raise InvariantViolation("desc is not there")
    if desc.kind != "i":
        raise WrongObjectType(f'"{desc.name}" is not an index')
    ctx.check_owner(desc)
    record = ctx.rows.one("pg_index", indexrelid=desc.oid)
    table = None if record is None else ctx.view.relation(record.indrelid)
    if table is None:
        raise UndefinedTable(f'relation "{node.relation.relname}" does not exist')
    mode = SHARE_UPDATE_EXCLUSIVE if concurrently else ACCESS_EXCLUSIVE
    ctx.lock(table, mode)
    ctx.lock(desc, mode)
    table = ctx.view.relation(table.oid)
    for index in table.indexes if table is not None else ():
        if index.oid == desc.oid and table is not None:
            return table, index
    raise UndefinedTable(f'relation "{node.relation.relname}" does not exist')


def _find_table(ctx: DdlContext, node: ast.ReindexStmt, concurrently: bool) -> RelationDesc:
    desc = ctx.find(node.relation)
    if desc is None:
        raise InvariantViolation("desc is not there")
    if desc.kind not in "rm":
        raise WrongObjectType(f'"{desc.name}" is not a table or materialized view')
    return ctx.table(node.relation, SHARE_UPDATE_EXCLUSIVE if concurrently else ACCESS_EXCLUSIVE, "rm")


def _reindex_table(ctx: DdlContext, desc: RelationDesc, concurrently: bool, verbose: bool) -> None:
    indexes = _rebuildable(ctx, desc, list(desc.indexes)) if concurrently else list(desc.indexes)
    if not indexes and not (concurrently and desc.toast is not None):
        how = "that can be reindexed concurrently" if concurrently else "to reindex"
        ctx.notice(f'table "{desc.name}" has no indexes {how}')
    _rebuild_table(ctx, desc, concurrently, verbose, indexes)


def _rebuildable(ctx: DdlContext, desc: RelationDesc, indexes: list[IndexDesc]) -> list[IndexDesc]:
    """The indexes of a table that REINDEX TABLE CONCURRENTLY takes; of others it tells."""
    found: list[IndexDesc] = []
    for index in indexes:
        shown = f'index "{desc.schema}.{index.name}" concurrently, skipping'
        if not index.valid:
            ctx.notice(f"cannot reindex invalid {shown}", severity="WARNING", sqlstate="0A000")
        elif index.exclusion:
            ctx.notice(f"cannot reindex exclusion constraint {shown}", severity="WARNING", sqlstate="0A000")
        else:
            found.append(index)
    return found


def _rebuild_table(
    ctx: DdlContext, desc: RelationDesc, concurrently: bool, verbose: bool, indexes: list[IndexDesc] | None = None
) -> DdlContext:
    """The indexes of a locked table (those of ``indexes``), and its TOAST table's; the context to go on with."""
    if indexes is None:
        indexes = _rebuildable(ctx, desc, list(desc.indexes)) if concurrently else list(desc.indexes)
    if not concurrently:
        _rebuild(ctx, desc, indexes, verbose)
    elif indexes:
        ctx = _rebuild_beside_writers(ctx, desc, indexes, verbose)
    if desc.toast is not None:
        if concurrently:
            ctx = _in_next_part(ctx)
            ctx.lock(desc, ACCESS_EXCLUSIVE)
            now = ctx.view.relation(desc.oid)
            if now is None or now.toast is None:
                return ctx
            desc = now
        toast = desc.toast
        if toast is not None:
            _rebuild(ctx, toast, list(toast.indexes), verbose)
            ctx.changes.touch(desc.oid)
    return ctx


def _in_next_part(ctx: DdlContext) -> DdlContext:
    """What has been done is there, and no lock of it is held while the next is waited for."""
    return ctx.renewed(next_part(ctx.session))


def _rebuild_beside_writers(
    ctx: DdlContext, table: RelationDesc, indexes: list[IndexDesc], verbose: bool
) -> DdlContext:
    """Fill second indexes beside the table's writers, exchange their storage with the first ones', drop them. The
    context to go on with."""
    made = [
        (index.oid, second_index(ctx, table, index, ctx.free_name(table.namespace, [index.name], "ccnew")).oid)
        for index in indexes
    ]
    second = [oid for _, oid in made]
    with Parts(ctx, table) as parts:
        build_beside_writers(parts, second, CreateIndex.REINDEX_CONCURRENTLY)
        for oid, other in made:
            _exchange(parts.ctx, table, oid, other)
        parts.commit()
        drop_beside_others(parts, second)
        if verbose:
            for index in indexes:
                parts.ctx.notice(f'index "{table.schema}.{index.name}" was reindexed', severity="INFO")
        return parts.ctx


def _exchange(ctx: DdlContext, table: RelationDesc, oid: int, other: int) -> None:
    """The index gets the storage of the one that was built for it, and the other one what is to go."""
    mine, theirs = class_record(ctx, oid), class_record(ctx, other)
    before = ctx.rows.one("pg_index", indexrelid=oid)
    if before is None:
        raise InvariantViolation(f"pg_index has no row {oid}")
    name = ctx.free_name(table.namespace, [mine.relname], "ccold")
    ctx.rows.update(
        "pg_class", mine, relfilenode=theirs.relfilenode, relpages=theirs.relpages, reltuples=theirs.reltuples
    )
    ctx.rows.update("pg_class", theirs, relfilenode=mine.relfilenode, relname=name)
    set_flags(ctx, table.oid, other, indisready=before.indisready)
    set_flags(ctx, table.oid, oid, indisvalid=True, indisready=True, indislive=True)


def _reindex_partitions(ctx: DdlContext, desc: RelationDesc, concurrently: bool, verbose: bool) -> None:
    """Of a partitioned table the indexes of its partitions, of a partitioned index its parts, each partition's in a
    transaction of their own. 25001, 42501."""
    ctx.check_owner(desc)
    kind, what = ("table", "TABLE") if desc.is_partitioned else ("index", "INDEX")
    try:
        forbid_in_block(ctx.session, f"REINDEX {what}")
    except SqlError as error:
        error.where = f'while reindexing partitioned {kind} "{desc.schema}.{desc.name}"'
        raise
    record = None if desc.is_partitioned else ctx.rows.one("pg_index", indexrelid=desc.oid)
    root = desc if record is None else relation(ctx, record.indrelid)
    ctx.lock(root, SHARE_UPDATE_EXCLUSIVE if concurrently else SHARE)
    parts = None if desc.is_partitioned else set(descendants_of(ctx.rows, desc.oid))
    for table in [each for each in below(ctx, relation(ctx, root.oid)) if not each.is_partitioned]:
        ctx = _in_next_part(ctx)
        if ctx.view.relation(table.oid) is None:
            continue
        ctx.lock(table, SHARE_UPDATE_EXCLUSIVE if concurrently else ACCESS_EXCLUSIVE)
        now = ctx.view.relation(table.oid)
        if now is None:
            continue
        if parts is None:
            ctx = _rebuild_table(ctx, now, concurrently, verbose)
            continue
        own = [index for index in now.indexes if index.oid in parts]
        if not concurrently:
            _rebuild(ctx, now, own, verbose)
        elif own := _rebuildable(ctx, now, own):
            ctx = _rebuild_beside_writers(ctx, now, own, verbose)


def _tables(ctx: DdlContext, node: ast.ReindexStmt, concurrently: bool) -> list[RelationDesc]:
    """The tables of a schema or of the database, system catalogs first; SYSTEM: these alone, and CONCURRENTLY without
    them."""
    if node.kind == _T.REINDEX_OBJECT_SYSTEM and concurrently:
        raise NotSupported("cannot reindex system catalogs concurrently")
    namespace = None
    if node.kind == _T.REINDEX_OBJECT_SCHEMA:
        namespace = ctx.view.schema_oid(node.name)
        record = ctx.rows.one("pg_namespace", oid=namespace)
        if record is None or not ctx.owns(record.nspowner):
            raise InsufficientPrivilege(f"must be owner of schema {node.name}")
    elif node.name is not None and node.name != ctx.session.database:
        raise NotSupported("can only reindex the currently open database")
    elif not ctx.owns(ctx.rights.graph.database_owner):
        raise InsufficientPrivilege(f"must be owner of database {ctx.session.database}")
    if concurrently and namespace in (None, NAMESPACE_CATALOG):
        skipped = "cannot reindex system catalogs concurrently, skipping all"
        ctx.notice(skipped, severity="WARNING", sqlstate="0A000")
    found = []
    for record in ctx.rows.find("pg_class"):
        if record.relkind not in "rm" or namespace not in (None, record.relnamespace):
            continue
        desc = ctx.view.relation(record.oid)
        if desc is None or (node.kind == _T.REINDEX_OBJECT_SYSTEM and not _is_catalog(desc)):
            continue
        if _is_catalog(desc) and (concurrently or (desc.is_shared and not ctx.owns(desc.owner))):
            continue
        found.append(desc)
    return sorted(found, key=lambda desc: not _is_catalog(desc))


def _rebuild(ctx: DdlContext, table: RelationDesc, indexes: list[IndexDesc], verbose: bool) -> None:
    for index in indexes:
        record = class_record(ctx, index.oid)
        relfile = ctx.new_storage()
        ctx.drop_storage(record.relfilenode)
        ctx.rows.update("pg_class", record, relfilenode=relfile, relpages=0, reltuples=-1.0)
        ctx.changes.touch(index.oid, table.oid)
        if not (index.valid and index.ready and index.live):
            set_flags(ctx, table.oid, index.oid, indisvalid=True, indisready=True, indislive=True)
    fresh = relation(ctx, table.oid)
    wanted = {index.oid for index in indexes}
    for index in fresh.indexes:
        if index.oid in wanted:
            ctx.build_index(fresh, index, CreateIndex.REINDEX)
            if verbose:
                ctx.notice(f'index "{index.name}" was reindexed', severity="INFO")
