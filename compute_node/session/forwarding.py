"""Write forwarding as a session sees it: a reader's session has the writer run what writes.

::

    door ─ a statement that writes, in a transaction that only the reader makes read-only ─► Forwarding.statement
    transactions ─ commit, rollback ─► Forwarding           read_after ─ before a query ─► Forwarding.position

``compute_node/forward`` is what is behind it. A session that forwards nothing has no ``Forwarding``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from aurora.errors import NotSupported, SqlError
from aurora.ids import Lsn
from compute_node.session.statement import Params, Statement
from compute_node.txn.transaction import ReadingTxn, Txn

if TYPE_CHECKING:
    from compute_node.session.engine import OptionValue
    from compute_node.session.state import SessionState

FLAG: Final = "aurora.local_write_forwarding"
MODE: Final = "apg_write_forward.consistency_mode"
OFF, SESSION, GLOBAL = "off", "session", "global"


class AsWritten(Exception):
    """The statement is to be forwarded, and its plan is of a text without literals: whoever has the text as the client
    sent it runs that."""

    def __init__(self, statement: Statement) -> None:
        super().__init__(statement.source)
        self.statement = statement


class Forwarding(Protocol):
    """What one session forwards."""

    waiting: int
    """the event that it waits for (``work.waits``); 0 none"""

    def statement(self, statement: Statement) -> Statement:
        """The statement that stands for this one and runs on the writer. 0A000, 25006 for what is not forwarded;
        AsWritten."""

    def as_written(self, statement: Statement, sql: bytes) -> Statement:
        """The same for one without a result, by its whole text."""

    def explain(self, statement: Statement, options: Mapping[str, OptionValue], params: Params) -> list[str]:
        """The lines of EXPLAIN ANALYZE."""

    def position(self) -> Lsn:
        """What this instance must show before the session's next query. May ask the writer, and wait. 08006 when the
        writer's part of the transaction is lost."""

    def takes_part(self, txn: Txn) -> bool:
        """Whether the writer runs a part of this transaction."""

    def commit(self, txn: Txn) -> None:
        """Commit the writer's part, if there is one; its error is the transaction's. 08006, 08007."""

    def rollback(self, txn: Txn) -> None:
        """Roll the writer's part back, if there is one. Raises nothing."""

    def close(self) -> None:
        """The session ends."""


class Forwarder(Protocol):
    """The instance's way to the writer."""

    def open(self, session: SessionState) -> Forwarding:
        """For a session that has none yet; connects to nobody."""


def is_on(session: SessionState) -> bool:
    """Whether this session's writes go to the writer, as the cluster and the session are set now."""
    engine = session.engine
    if not engine.in_recovery or engine.forwarder is None or session.settings.get(MODE) == OFF:
        return False
    return bool(engine.session_function(None, "system_setting", FLAG))


def of(session: SessionState) -> Forwarding | None:
    """The session's forwarding, made if need be; None when it is off."""
    if not is_on(session):
        return None
    if session.forwarding is None and session.engine.forwarder is not None:
        session.forwarding = session.engine.forwarder.open(session)
    return session.forwarding


def is_declared_read_only(txn: Txn) -> bool:
    """Whether somebody has asked for a read-only transaction, not only its instance. One that began elsewhere than on a
    reader counts as such."""
    return txn.declared_read_only if isinstance(txn, ReadingTxn) else txn.read_only


def forwarded(session: SessionState, statement: Statement, error: SqlError) -> Statement:
    """The statement that the writer runs in place of this one; raises ``error`` where none does."""
    txn = session.txn
    if txn is None or is_declared_read_only(txn) or not session.engine.in_recovery:
        raise error
    forwarding = of(session)
    if forwarding is None:
        raise error
    if session.depth:
        error.detail = "Statements of functions are not forwarded to the writer."
        raise error
    return forwarding.statement(statement)


def refuse(session: SessionState, what: str) -> None:
    """0A000 for what forwarding does not do, where the writer has a part in the transaction."""
    forwarding, txn = session.forwarding, session.txn
    if forwarding is not None and txn is not None and forwarding.takes_part(txn):
        raise NotSupported(
            f"cannot execute {what} in a transaction that has forwarded a statement to the writer",
            hint="Connect to the writer, or use the cluster's endpoint.",
        )


def refuse_cursor(session: SessionState) -> None:
    """0A000 for a cursor whose query locks rows, where it would have to be the writer's."""
    txn = session.txn
    if txn is not None and not is_declared_read_only(txn) and is_on(session):
        raise NotSupported(
            "cursors are not forwarded to the writer", hint="Run the query without a cursor, or connect to the writer."
        )
