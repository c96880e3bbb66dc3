"""SQL functions that the catalog answers: ``catalog_function(engine, session, name, *args)`` → a SQL value.

Declared in ``compute_node/types/system.py`` and ``catalog/system_functions.py``, under their pg_proc names; here is
what they do: ``names`` (reg* types, visibility), ``definitions`` (pg_get_…def, descriptions), ``privileges``
(has_…_privilege), ``server`` (sizes, settings, sessions, sequences), ``advisory`` (locks), ``xids``, ``recovery`` (the
log and its replay), ``information``, ``properties`` (of access methods and indexes), ``statistics``,
``counters``, ``statement_counts``, ``replication``, ``partitions``, ``files`` (of the machine), ``extensions``,
``control`` (facts of the volume, memory), ``typed_inputs`` (of a type's OID), ``aurora``, ``check`` (is all well) and
``faults``.
Source: PostgreSQL manual, ch. 9.26 and 9.27.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.catalog.functions import (
    addresses,
    advisory,
    aurora,
    check,
    control,
    counters,
    definitions,
    extensions,
    faults,
    files,
    index_upkeep,
    information,
    names,
    partitions,
    privileges,
    properties,
    recovery,
    replication,
    server,
    statement_counts,
    statistics,
    two_phase,
    typed_inputs,
    xids,
)
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.objects import address, identify
from compute_node.catalog.large_objects import functions as large_objects
from compute_node.hub import HUB

if TYPE_CHECKING:
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.session.state import SessionState


_FUNCTIONS: dict[str, Callable[..., Datum]] = {
    **names.FUNCTIONS,
    **definitions.FUNCTIONS,
    **privileges.FUNCTIONS,
    **server.FUNCTIONS,
    **two_phase.FUNCTIONS,
    **index_upkeep.FUNCTIONS,
    **information.FUNCTIONS,
    **extensions.FUNCTIONS,
    **properties.FUNCTIONS,
    **replication.FUNCTIONS,
    **statistics.FUNCTIONS,
    **identify.FUNCTIONS,
    **address.FUNCTIONS,
    **advisory.FUNCTIONS,
    **xids.FUNCTIONS,
    **large_objects.FUNCTIONS,
    **recovery.FUNCTIONS,
    **addresses.FUNCTIONS,
    **aurora.FUNCTIONS,
    **statement_counts.FUNCTIONS,
    **check.FUNCTIONS,
    **faults.FUNCTIONS,
    **files.FUNCTIONS,
    **control.FUNCTIONS,
    **counters.FUNCTIONS,
    **typed_inputs.FUNCTIONS,
    **partitions.FUNCTIONS,
}


def _refusable(function: Callable[..., Datum], name: str) -> Callable[..., Datum]:
    """Aurora refuses functions of the write-ahead log. With aurora.refuse_wal_functions so does this instance, for
    clients that tell Aurora by that."""

    def run(call: Call, *args: Datum) -> Datum:
        if call.session.settings.get("aurora.refuse_wal_functions"):
            raise NotSupported(f"Function {name}() is currently not supported for Aurora")
        return function(call, *args)

    return run


_REFUSED = (
    "pg_current_wal_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_flush_lsn",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_stat_get_wal",
    "pg_stat_get_wal_receiver",
    "pg_ls_waldir",
    "pg_switch_wal",
    "pg_walfile_name",
)
_FUNCTIONS.update({name: _refusable(_FUNCTIONS[name], name) for name in _REFUSED if name in _FUNCTIONS})


def catalog_function(engine: DatabaseEngine, session: SessionState | None, name: str, *args: Datum) -> Datum:
    """Run the function of that name; 0A000 for one that is declared and not here. A statement may call one for each of
    its rows, and each call reads catalogs: so it lets others have their turn."""
    HUB.pulse()
    function = _FUNCTIONS.get(name)
    if function is None:
        raise NotSupported(f"function {name} is not supported")
    return function(Call(engine, session), *args)
