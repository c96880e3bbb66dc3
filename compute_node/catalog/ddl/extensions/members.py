"""Which objects belong to an extension: pg_depend, deptype ``e``.

While a script runs the session has ``creating_extension``, and what its statements make becomes a member of that
extension. Other statements leave members alone: DROP is refused, CREATE OR REPLACE of a stranger within a script, too.
"""

from __future__ import annotations

from typing import Final

from aurora.errors import ObjectNotInPrerequisiteState
from compute_node.catalog.builders import ARRAY_SUBSCRIPT
from compute_node.catalog.ddl.context import (
    CLASS_CAST,
    CLASS_COLLATION,
    CLASS_CONVERSION,
    CLASS_EXTENSION,
    CLASS_FOREIGN_DATA_WRAPPER,
    CLASS_FOREIGN_SERVER,
    CLASS_NAMESPACE,
    CLASS_OPCLASS,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_PROC,
    CLASS_RELATION,
    CLASS_TS_CONFIGURATION,
    CLASS_TS_DICTIONARY,
    CLASS_TS_PARSER,
    CLASS_TS_TEMPLATE,
    CLASS_TYPE,
    CLASS_USER_MAPPING,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address, describe, extension_of
from compute_node.relations.schema import CATALOGS_BY_OID, NAMESPACE_TOAST

_MADE_ALONE: Final = (
    CLASS_RELATION, CLASS_TYPE, CLASS_PROC, CLASS_OPERATOR, CLASS_CAST, CLASS_OPCLASS, CLASS_OPFAMILY, CLASS_NAMESPACE,
    CLASS_COLLATION, CLASS_CONVERSION, CLASS_TS_CONFIGURATION, CLASS_TS_DICTIONARY, CLASS_TS_PARSER, CLASS_TS_TEMPLATE,
    CLASS_FOREIGN_DATA_WRAPPER, CLASS_FOREIGN_SERVER, CLASS_USER_MAPPING,
)  # fmt: skip
CLASSES: Final = {CATALOGS_BY_OID[class_oid].desc.name: class_oid for class_oid in _MADE_ALONE}
"""Catalog of what can be a member → its class"""
_RELATION_KINDS: Final = "rpvmSf"


def adopt(ctx: DdlContext, extension: int) -> None:
    """What a statement of the script has made becomes the extension's."""
    made, ctx.rows.made = ctx.rows.made or (), []
    for catalog, oid in made:
        class_oid = CLASSES.get(catalog)
        if class_oid is not None and _stands_alone(ctx, class_oid, oid):
            join(ctx, (class_oid, oid, 0), extension)


def check_replaceable(ctx: DdlContext, address: Address) -> None:
    """55000 when a script replaces what does not belong to its extension."""
    creating = ctx.session.creating_extension
    if creating and extension_of(ctx, address) != creating:
        shown = describe(ctx, (CLASS_EXTENSION, creating, 0)).removeprefix("extension ")
        raise ObjectNotInPrerequisiteState(
            f'{describe(ctx, address)} is not a member of extension "{shown}"',
            detail="An extension is not allowed to replace an object that it does not own.",
        )


def join(ctx: DdlContext, address: Address, extension: int) -> None:
    """An object becomes a member. 55000 when it belongs to an extension."""
    owner = extension_of(ctx, address)
    if owner is None:
        ctx.depend(address, (CLASS_EXTENSION, extension, 0), "e")
    elif owner != extension:
        shown = describe(ctx, (CLASS_EXTENSION, owner, 0)).removeprefix("extension ")
        raise ObjectNotInPrerequisiteState(f'{describe(ctx, address)} is already a member of extension "{shown}"')


def _stands_alone(ctx: DdlContext, class_oid: int, oid: int) -> bool:
    """Whether it is there, and no part of another object: an index, a row type, an array type."""
    row = ctx.rows.one(CATALOGS_BY_OID[class_oid].desc.name, oid=oid)
    if row is None:
        return False
    if class_oid == CLASS_RELATION:
        return row.relkind in _RELATION_KINDS and row.relnamespace != NAMESPACE_TOAST
    if class_oid != CLASS_TYPE:
        return True
    if row.typsubscript == ARRAY_SUBSCRIPT:
        return False
    relation = ctx.rows.one("pg_class", oid=row.typrelid) if row.typrelid else None
    return relation is None or relation.relkind == "c"
