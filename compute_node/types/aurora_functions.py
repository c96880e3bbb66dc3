"""Functions of our own, named as Aurora PostgreSQL names its: ``aurora_status()``, ``aurora_version()``.

Their OIDs are in 8000–9999, which PostgreSQL leaves to others.
"""

from __future__ import annotations

from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, Function, FunctionContext

_TEXT = TYPE_OIDS["text"]
VERSION = "15.18.0"


def _status(context: FunctionContext) -> str:
    return str(context.session.catalog_function("aurora_status"))


REGISTRY.add_function(
    Function(8001, "aurora_status", (), _TEXT, _status, volatility="v", needs_context=True, source="aurora_status")
)
REGISTRY.add_function(
    Function(8002, "aurora_version", (), _TEXT, lambda: VERSION, volatility="s", source="aurora_version")
)
