"""pg_stat_statements: what is counted by statement, as an extension's functions (manual, F.32).

What counts is the session's (``session/statement_counts``); the catalog gives the rows
(``catalog/functions/statement_counts``).
"""

from __future__ import annotations

from typing import Final

from aurora.datum import Datum
from compute_node.extensions.library import define
from compute_node.types.forwards import forward
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.record import Record
from compute_node.types.registry import REGISTRY, FunctionContext

_INFO: Final = {"dealloc": "int8", "stats_reset": "timestamptz"}


def _info(context: FunctionContext) -> Datum:
    found = context.session.catalog_function("pg_stat_statements_info")
    return Record.of(found, [REGISTRY.types[TYPE_OIDS[kind]] for kind in _INFO.values()], tuple(_INFO))


define("pg_stat_statements_1_10", 1, forward("pg_stat_statements"), needs_context=True)
define("pg_stat_statements_info", 0, _info, needs_context=True)
define("pg_stat_statements_reset_1_7", 3, forward("pg_stat_statements_reset"), needs_context=True)
