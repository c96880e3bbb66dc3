"""A session goes on in another engine: its instance has changed its role, and its connection is kept.

Aurora restarts an instance whose role changes, and connections end. Behind some proxies and pools they do not: they
live on and find that their server is a reader now (25006). ``aurora.failover_keeps_connections`` does the same, so that
an application's answer to that can be tried. What stands on the engine ends with it, so only a session that holds
nothing of it can move; prepared statements and settings go along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compute_node.session.state import IDLE

if TYPE_CHECKING:
    from compute_node.session.engine import Engine
    from compute_node.session.plans import PlanCache
    from compute_node.session.state import SessionState


def can_move(session: SessionState) -> bool:
    """Whether nothing runs and nothing is open: no transaction, portal, temporary table, advisory lock, LISTEN."""
    return (
        session.port.stays
        and session.greenlet is None
        and session.block == IDLE
        and session.txn is None
        and not session.portals
        and session.temp_schema is None
        and session.advisory_locks is None
        and not session.inbox
        and not session.engine.channels.of(session)
    )


def move(session: SessionState, engine: Engine, plans: PlanCache) -> None:
    """Go on in the engine of the same database. What was prepared is planned again before it runs."""
    session.engine, session.plans = engine, plans
    session.point_context = session.routine_plans = None
    if session.forwarding is not None:
        session.forwarding.close()
        session.forwarding = None
    session.environment_changed()
    session.role_changed()
    engine.recovery.listeners.add(session)
