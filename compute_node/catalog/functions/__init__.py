"""SQL functions that the catalog answers: ``catalog_function(engine, session, name, *args)`` → a SQL value.

Declared in ``compute_node/types/system.py`` and ``catalog/system_functions.py``, under their pg_proc names; here is
what they do: ``names`` (reg* types, visibility), ``definitions`` (pg_get_…def, descriptions), ``privileges``
(has_…_privilege), ``server`` (sizes, settings, sessions, sequences), ``advisory`` (locks), ``xids``, ``recovery`` (the
log and its replay). Source: PostgreSQL manual, ch. 9.26 and 9.27.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.catalog.functions import advisory, definitions, names, privileges, recovery, server, xids
from compute_node.catalog.functions.call import Call

if TYPE_CHECKING:
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.session.state import SessionState


_FUNCTIONS: dict[str, Callable[..., Datum]] = {
    **names.FUNCTIONS,
    **definitions.FUNCTIONS,
    **privileges.FUNCTIONS,
    **server.FUNCTIONS,
    **advisory.FUNCTIONS,
    **xids.FUNCTIONS,
    **recovery.FUNCTIONS,
}


def catalog_function(engine: DatabaseEngine, session: SessionState | None, name: str, *args: Datum) -> Datum:
    """Run the function of that name; 0A000 for one that is declared and not here."""
    function = _FUNCTIONS.get(name)
    if function is None:
        raise NotSupported(f"function {name} is not supported")
    return function(Call(engine, session), *args)
