"""Functions of our own, named as Aurora PostgreSQL names its: ``aurora_status()``, ``aurora_version()``, and those
that change the fleet of storage nodes.

Their OIDs are in 8000–9999, which PostgreSQL leaves to others.
"""

from __future__ import annotations

from collections.abc import Callable

from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, Function, FunctionContext

_TEXT = TYPE_OIDS["text"]
VERSION = "15.18.0"


def _status(context: FunctionContext) -> str:
    return str(context.session.catalog_function("aurora_status"))


REGISTRY.add_function(
    Function(8001, "aurora_status", (), _TEXT, _status, volatility="v", needs_context=True, source="aurora_status")
)


def _fleet_command(name: str) -> Callable[..., str]:
    return lambda context, *arguments: str(context.session.catalog_function(name, *arguments))


for _oid, _name, _arguments in (
    (8003, "aurora_add_storage_node", 1),
    (8004, "aurora_replace_storage_node", 2),
    (8005, "aurora_cancel_replacement", 1),
    (8006, "aurora_set_zone_away", 1),
    (8007, "aurora_remove_storage_node", 1),
):
    _types, _call = (_TEXT,) * _arguments, _fleet_command(_name)
    REGISTRY.add_function(Function(_oid, _name, _types, _TEXT, _call, volatility="v", needs_context=True, source=_name))
REGISTRY.add_function(
    Function(8002, "aurora_version", (), _TEXT, lambda: VERSION, volatility="s", source="aurora_version")
)
