"""``Session``: one client's SQL side as its connection sees it."""

from __future__ import annotations

from compute_node.session import notifications, transactions, turn
from compute_node.session.view import FunctionView


class Session(FunctionView):
    """State (``state``), turns (``turn``), and what functions see of it (``view``)."""

    __slots__ = ()

    process = turn.process
    fail = turn.fail

    def disconnect(self) -> None:
        """The client is gone and nothing of the session runs: give everything back."""
        self.terminating = True
        self.disarm_timeout()
        self.drop_portals()
        self.statements.clear()
        if self.forwarding is not None:
            self.forwarding.close()
        transactions.abort(self)
        notifications.end(self)
        self.engine.end_session(self)
