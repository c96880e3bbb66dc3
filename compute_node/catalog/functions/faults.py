"""Faults on purpose: ``aurora_inject_crash`` and ``aurora_inject_replica_failure``; those of storage nodes are the
volume's (``volume/faults``). For superusers and members of rds_superuser (42501)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from aurora.datum import Datum
from aurora.errors import InsufficientPrivilege, InvalidParameterValue, ObjectNotInPrerequisiteState
from compute_node.catalog.functions.call import Call
from compute_node.catalog.functions.server import has_predefined_role

LOGGER = logging.getLogger(__name__)

CRASHES: Final = ("instance", "dispatcher", "node")
RDS_SUPERUSER: Final = "rds_superuser"


def check_may_inject(call: Call, name: str) -> None:
    """42501 for who may not."""
    if not (call.session.superuser or has_predefined_role(call, RDS_SUPERUSER)):
        raise InsufficientPrivilege(f"permission denied for function {name}")


def may_inject(call: Call, name: str) -> bool:
    """The same for the volume's functions; True, or 42501."""
    check_may_inject(call, name)
    return True


def crash(call: Call, kind: str) -> str:
    """aurora_inject_crash: instance, dispatcher and node are one process here, which ends as by SIGKILL: sessions see
    their connections reset. No failover follows by itself where somebody starts the instance again."""
    check_may_inject(call, "aurora_inject_crash")
    if kind.lower() not in CRASHES:
        raise InvalidParameterValue(
            f'invalid crash type: "{kind}"', hint='Valid crash types are "instance", "dispatcher" and "node".'
        )
    LOGGER.warning("a crash of the %s was asked for by %s", kind.lower(), call.session.user)
    call.engine.databases.crash()
    return ""


def replica_failure(call: Call, percent: float, seconds: int, reader: str) -> str:
    """aurora_inject_replica_failure: on the writer, for one reader or (empty name) all. 55000 on a reader, 22023."""
    check_may_inject(call, "aurora_inject_replica_failure")
    if call.engine.in_recovery:
        raise ObjectNotInPrerequisiteState("recovery is in progress", hint="Ask the writer: it sends the log.")
    if not 0 <= percent <= 100:
        raise InvalidParameterValue("percentage of failure is from 0 to 100")
    if seconds < 0:
        raise InvalidParameterValue("time interval is zero or more seconds")
    readers = {state.id for state in call.engine.topology.instances()} - {call.engine.topology.self_id}
    if reader and reader not in readers:
        raise InvalidParameterValue(f'there is no reader "{reader}"')
    LOGGER.warning("%g %% of the log for %s is kept back for %d s", percent, reader or "all readers", seconds)
    call.engine.databases.injected.inject(percent, seconds, reader)
    return ""


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "aurora_inject_crash": crash,
    "aurora_inject_replica_failure": replica_failure,
    "may_inject": may_inject,
}
