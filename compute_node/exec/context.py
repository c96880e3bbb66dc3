"""What one execution of a statement carries: transaction, snapshot, parameters, settings, scratch state.

The session makes one per portal; executables and nodes are shared and keep nothing of an execution themselves.
"""

from __future__ import annotations

from typing import Any

from compute_node.hub import HUB
from compute_node.types.registry import FunctionContext, TypeEnv

_NO_PARAMS: list[Any] = []


class ExecContext:
    """One execution. ``params`` are the values of $1…; ``exec_params`` those that plan nodes set for each other.

    ``snapshot`` is what scans read with; ``txn`` is what writes belong to. ``scratch`` holds per-execution state of
    nodes (materialized rows, sub-plan results, CTEs), keyed by the node.
    """

    __slots__ = (
        "_function_context",
        "_stable_context",
        "catalog",
        "env",
        "exec_params",
        "params",
        "scratch",
        "session",
        "snapshot",
        "storage",
        "txn",
    )

    def __init__(
        self,
        session: Any,
        txn: Any,
        snapshot: Any,
        env: TypeEnv,
        storage: Any,
        catalog: Any = None,
        params: tuple[Any, ...] = (),
    ) -> None:
        self.session = session
        self.txn = txn
        self.snapshot = snapshot
        self.env = env
        self.storage = storage
        self.catalog = catalog
        self.params = params
        self.exec_params = _NO_PARAMS
        self._function_context: FunctionContext | None = None
        self._stable_context: FunctionContext | None = None

    def start(self, params: tuple[Any, ...], exec_params: int) -> None:
        """Begin a statement that is more than a point access: fresh scratch state and execution parameters."""
        self.params = params
        self.exec_params = [None] * exec_params
        self.scratch: dict[Any, Any] = {}

    @property
    def function_context(self) -> FunctionContext:
        """What volatile functions with ``needs_context`` get; made at first need."""
        found = self._function_context
        if found is None:
            found = self._function_context = FunctionContext(env=self.env, session=self.session)
        return found

    @property
    def stable_context(self) -> FunctionContext:
        """What the others get: they see what this execution sees."""
        found = self._stable_context
        if found is None:
            found = self._stable_context = FunctionContext(env=self.env, session=self.session, caller=self)
        return found

    def check(self) -> None:
        """At batch boundaries: raises what a cancel, a timeout or a shutdown has left for the session; lets the loop
        turn when its time is up."""
        self.session.check_interrupts()
        HUB.pulse()
