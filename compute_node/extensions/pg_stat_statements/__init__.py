"""pg_stat_statements: what is counted by statement, as an extension's functions (manual, F.32).

What counts is the session's (``session/statement_counts``); the catalog gives the rows
(``catalog/functions/statement_counts``).
"""

from __future__ import annotations

from compute_node.extensions.library import define
from compute_node.types.forwards import forward

define("pg_stat_statements_1_10", 1, forward("pg_stat_statements"), needs_context=True)
define("pg_stat_statements_info", 0, forward("pg_stat_statements_info"), needs_context=True)
define("pg_stat_statements_reset_1_7", 3, forward("pg_stat_statements_reset"), needs_context=True)
