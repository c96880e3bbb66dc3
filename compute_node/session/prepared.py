"""Prepared statements of a session, from Parse or PREPARE, and their revalidation when the catalog changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora.errors import NotSupported
from compute_node.session import prepare
from compute_node.session.plans import Plan
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.session.session import Session


class Prepared:
    """A prepared statement, from Parse or PREPARE. ``plan`` None is an empty query. ``declared``: the types given for
    its parameters (0: to be found out)."""

    __slots__ = ("codes", "created", "declared", "from_sql", "name", "plan", "source", "sql", "statement")

    def __init__(self, name: str, sql: bytes, source: str, declared: tuple[int, ...], plan: Plan | None) -> None:
        self.name, self.sql, self.source, self.declared, self.plan = name, sql, source, declared, plan
        self.codes = plan.codes if plan is not None else b""
        self.from_sql = False
        self.created = 0
        self.statement: Any = None
        """the raw statement of PREPARE, whose text is not the whole source"""

    @property
    def param_types(self) -> tuple[int, ...]:
        """The parameters' types."""
        return self.plan.param_types if self.plan is not None else self.declared

    def kinds(self, session: Session) -> tuple[PgType, ...]:
        """The same as types."""
        return self.plan.kinds if self.plan is not None else tuple(map(session.type_of, self.declared))


def current_plan(session: Session, prepared: Prepared) -> Plan | None:
    """The statement's plan with its relation locks taken, made again when the catalog has changed; 0A000 when its
    columns would differ."""
    plan = prepared.plan
    if plan is None or prepare.is_ready(session, plan):
        return plan
    types = list(plan.param_types)
    if prepared.statement is not None:
        fresh, _ = prepare.compile_plan(session, prepared.statement, prepared.source, types)
    else:
        found = prepare.cached(session, prepared.sql, plan.param_types)
        if found is not None and prepare.is_ready(session, found):
            fresh = found
        else:
            source, statements = prepare.parse_text(prepared.sql)
            fresh = prepare.single(session, prepared.sql, statements[0], source, plan.param_types)
    if not plan.same_result(fresh):
        raise NotSupported("cached plan must not change result type")
    prepared.plan = fresh
    prepared.codes = fresh.codes
    return fresh
