"""Running something as another role than the session's current one, and being that one again.

``as_owner`` is for the checks and actions of foreign keys and for what CREATE SCHEMA makes; SECURITY DEFINER functions
are ``routines``' matter. ``restricted`` is for the upkeep of a table (CLUSTER, CREATE INDEX, REINDEX …), which runs
functions that the table's owner has chosen: what these do, they do as the owner, and nothing of it outlasts the
statement in the session of whoever keeps the table up. Source: PostgreSQL 15, release notes of 15 and CVE-2022-1552.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from compute_node.session import settings_effects
from compute_node.session.state import SessionState


def become(session: SessionState, role: int) -> None:
    """Another current role, with its rights, in its plan space; see ``restored``."""
    session.user, session.user_oid = str(session.catalog_function("pg_get_userbyid", role)), role
    session.superuser = session.settings.superuser = bool(session.catalog_function("role_is_superuser", role))
    session.space = session.plans.space(settings_effects.environment(session))


@contextmanager
def restored(session: SessionState) -> Iterator[None]:
    """The current role is at the end what it was. Settings are the caller's matter, and are to be back before."""
    kept = (session.user, session.user_oid, session.superuser, session.space)
    prepared = [(each, each.statement) for each in session.statements.values()]
    try:
        yield
    finally:
        session.user, session.user_oid, session.superuser, space = kept
        session.settings.superuser = session.superuser
        if session.plans.space(settings_effects.environment(session)) is space:
            session.space = space
            for each, statement in prepared:
                if each.statement is not statement:
                    each.statement = statement
        else:
            session.environment_changed()


@contextmanager
def as_owner(session: SessionState, owner: int) -> Iterator[None]:
    """As the owner of a table or schema; nobody changes roles within."""
    session.definers += 1
    try:
        if owner == session.user_oid:
            yield
            return
        with restored(session):
            become(session, owner)
            yield
    finally:
        session.definers -= 1


@contextmanager
def restricted(session: SessionState, owner: int) -> Iterator[None]:
    """As a table's owner, in a security-restricted operation: settings that are made within end with it, and there are
    no temporary tables and no other roles (42501)."""
    mark = session.settings.mark()
    with restored(session):
        become(session, owner)
        session.restricted += 1
        try:
            yield
        finally:
            session.restricted -= 1
            session.settings.rollback_to(mark)
