"""How columns of each type are kept on disk, also of those types that have no code (yet) or no fixed form.

Tables ask for a type here, not in ``REGISTRY``: the system catalogs have columns of types that are never read as values
(pg_mcv_list).
"""

from __future__ import annotations

from dataclasses import replace

from compute_node.types.registry import REGISTRY, PgType

_BYTEA = 17


def storage_type(oid: int) -> PgType:
    """The type whose codec a column of type ``oid`` has: its own where it has one."""
    found = REGISTRY.types.get(oid)
    if found is None:
        return replace(REGISTRY.types[_BYTEA], oid=oid)
    return found
