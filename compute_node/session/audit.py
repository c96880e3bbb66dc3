"""Who did what, on the logger ``compute_node.audit``: log-ins, role changes, refused privileges, grants (wall 13).

One line each, level INFO. A statement's text is never part of it, since it may hold a password. Log-ins are told of
with ``log_connections``, as in PostgreSQL.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compute_node.session.state import SessionState

LOGGER = logging.getLogger("compute_node.audit")


def logged_in(session: SessionState) -> None:
    """A session begins."""
    if session.settings.get("log_connections"):
        LOGGER.info(
            "session %d: user %s logs in to database %s from %s",
            session.pid,
            session.session_user,
            session.database,
            session.client_address or "a local socket",
        )


def becomes(session: SessionState, user: str) -> None:
    """A session acts as another role from now on."""
    LOGGER.info("session %d: user %s acts as %s", session.pid, session.session_user, user)


def refused(session: SessionState, message: str) -> None:
    """A statement is answered with 42501."""
    LOGGER.info("session %d: user %s as %s is refused: %s", session.pid, session.session_user, session.user, message)


def changed(session: SessionState, tag: str) -> None:
    """A statement has changed roles, owners or privileges; its transaction may still roll back."""
    LOGGER.info("session %d: user %s as %s: %s", session.pid, session.session_user, session.user, tag)
