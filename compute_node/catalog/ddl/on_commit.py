"""ON COMMIT of temporary tables: what becomes of them when a transaction commits (manual, CREATE TABLE).

The session remembers the tables, for nobody else sees them. One whose CREATE was rolled back is not in the catalog, and
a dropped one whose DROP was rolled back is there again: so the catalog is asked, and its word is final at the commit.
"""

from __future__ import annotations

from pglast import ast, enums

from aurora.errors import InvalidTableDefinition, NotSupported
from compute_node.catalog.ddl.context import CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.rewrite import truncate
from compute_node.relations.descriptors import RelationDesc
from compute_node.txn.locks import ACCESS_EXCLUSIVE

_ACTIONS = enums.OnCommitAction
_PLAIN = (_ACTIONS.ONCOMMIT_NOOP, _ACTIONS.ONCOMMIT_PRESERVE_ROWS)


def check_on_commit(ctx: DdlContext, name: ast.RangeVar, action: enums.OnCommitAction | None) -> None:
    """42P16 for a table that is not temporary."""
    if action not in (None, _ACTIONS.ONCOMMIT_NOOP) and name.relpersistence != "t":
        raise InvalidTableDefinition("ON COMMIT can only be used on temporary tables")


def remember(ctx: DdlContext, desc: RelationDesc, action: enums.OnCommitAction | None) -> None:
    """Have the session do it at each commit from this one on."""
    if action is None or action in _PLAIN:
        return
    if ctx.session.on_commit is None:
        ctx.session.on_commit = {}
    ctx.session.on_commit[desc.oid] = action == _ACTIONS.ONCOMMIT_DROP


def before_commit(ctx: DdlContext, actions: dict[int, bool]) -> None:
    """Empty the tables, and drop those of ON COMMIT DROP (true). 0A000."""
    emptied: list[RelationDesc] = []
    dropped: list[int] = []
    for oid, goes in actions.items():
        desc = ctx.view.relation(oid)
        if desc is None:
            continue
        if goes:
            dropped.append(oid)
        elif not desc.is_partitioned:  # it has no rows of its own
            emptied.append(desc)
    for desc in emptied:
        for key in desc.referenced_by:
            other = ctx.view.relation(key.table)
            if other is not None and actions.get(other.oid) is not False:
                raise NotSupported(
                    "unsupported ON COMMIT and foreign key combination",
                    detail=f'Table "{other.name}" references "{desc.name}", '
                    "but they do not have the same ON COMMIT setting.",
                )
    for desc in emptied:
        if ctx.storage.blocks(desc.relfile):
            ctx.lock(desc, ACCESS_EXCLUSIVE)
            truncate(ctx, desc)
    if dropped:
        drop(ctx, [(CLASS_RELATION, oid, 0) for oid in dropped], cascade=True, silent=True)
    ctx.txn.cid += 1
