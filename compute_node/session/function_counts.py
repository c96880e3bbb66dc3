"""Calls of functions in SQL are counted, and their time, while ``track_functions`` is ``all``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from compute_node.hub import HUB
from compute_node.session.state import SessionState
from compute_node.txn.counts import FunctionCounts

_NOT_COUNTED = nullcontext()


def counted(session: SessionState, oid: int, calls: int = 1) -> AbstractContextManager[None]:
    """One call of a function, or (``calls`` 0) a part of one."""
    return _measured(session, oid, calls) if session.settings.get("track_functions") == "all" else _NOT_COUNTED


@contextmanager
def _measured(session: SessionState, oid: int, calls: int) -> Iterator[None]:
    functions = session.engine.counts.functions
    counts = functions.get(oid)
    if counts is None:
        counts = functions[oid] = FunctionCounts()
    running = session.running_functions
    outermost = oid not in running
    running.add(oid)
    outer_s, session.inner_functions_s = session.inner_functions_s, 0.0
    began_s = HUB.now_s()
    try:
        yield
    finally:
        took_s = HUB.now_s() - began_s
        counts.calls += calls
        if outermost:  # of a function that calls itself, whose time holds that of the others
            counts.total_s += took_s
            running.discard(oid)
        counts.self_s += took_s - session.inner_functions_s
        session.inner_functions_s = outer_s + took_s
