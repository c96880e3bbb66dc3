"""The rows of pg_stat_statements and of aurora_stat_statements, from what ``session/statement_counts`` keeps.

Who has not the privileges of pg_read_all_stats sees of the statements of others the numbers alone. Blocks and log are
not counted by statement: NULL. Nothing is compiled by JIT: 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from aurora.datum import Datum, Row
from aurora.errors import ObjectNotInPrerequisiteState
from compute_node.catalog.functions.call import Call
from compute_node.catalog.roles import PG_READ_ALL_STATS
from compute_node.session.statement_counts import StatementCounts, Times
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.record import Record

_BLOCKS_AND_LOG: Final = (None,) * 17
"""10 numbers of blocks, 4 times, 3 of the log"""
_JIT: Final = (0, 0.0) * 4
_OF_AURORA: Final = (None,) * 11
_NOT_ALLOWED: Final = "<insufficient privilege>"


def _counts(call: Call) -> StatementCounts:
    """55000 where nothing is counted."""
    counts = call.session.plans.counts
    if counts is None:
        raise ObjectNotInPrerequisiteState("pg_stat_statements must be loaded via shared_preload_libraries")
    return counts


def _times(times: Times) -> Row:
    return (times.total, times.least, times.greatest, times.mean, times.deviation)


def statements(call: Call, with_texts: bool) -> Iterator[Row]:
    """pg_stat_statements: one row for each user, database, statement, and whether the client has sent it itself."""
    counts = _counts(call)
    user = call.session.user_oid
    sees_all = call.view.layer.rights(user).has_role(PG_READ_ALL_STATS)
    for (owner, database, query_id, is_top), found in list(counts.kept.items()):
        if not found.run.calls:
            continue  # it has only been planned
        shown: tuple[int | None, str | None] = (query_id, found.text)
        if not (sees_all or owner == user):
            shown = (None, _NOT_ALLOWED)
        yield (
            owner,
            database,
            is_top,
            shown[0],
            shown[1] if with_texts else None,
            found.planned.calls,
            *_times(found.planned),
            found.run.calls,
            *_times(found.run),
            found.rows,
            *_BLOCKS_AND_LOG,
            *_JIT,
        )


def aurora_statements(call: Call, with_texts: bool) -> Iterator[Row]:
    """aurora_stat_statements: the same; where a statement's pages came from and its peaks of memory are not counted."""
    for row in statements(call, with_texts):
        yield (*row, *_OF_AURORA)


def info(call: Call) -> Record:
    """pg_stat_statements_info: how often the least used were thrown out, and when all were reset."""
    counts = _counts(call)
    kinds = [call.view.type(TYPE_OIDS[name]) for name in ("int8", "timestamptz")]
    return Record.of((counts.dealloc, counts.reset_us), kinds, ("dealloc", "stats_reset"))


def reset(call: Call, user: int, database: int, query_id: int) -> str:
    """pg_stat_statements_reset: void, which is not NULL."""
    _counts(call).reset(user, database, query_id)
    return ""


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "pg_stat_statements": statements,
    "pg_stat_statements_info": info,
    "pg_stat_statements_reset": reset,
    "aurora_stat_statements": aurora_statements,
}
