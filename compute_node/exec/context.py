"""What one execution of a statement carries: transaction, snapshot, parameters, settings, scratch state.

The session makes one per portal; executables and nodes are shared and keep nothing of an execution themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from aurora.datum import Datum, Row
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.txn.transaction import Txn
from compute_node.types.registry import FunctionContext, SessionView, TypeEnv
from compute_node.work.account import KB, Account, Area
from compute_node.work.spill import TempFile, Tuplestore, setting_of, temp_usage

if TYPE_CHECKING:
    from aurora.kernels.python.clog import Snapshot
    from compute_node.access.storage import Storage


Fact: TypeAlias = int | float | str
"""What a node tells EXPLAIN ANALYZE"""
_NO_PARAMS: list[Datum] = []


class ExecSession(SessionView, Protocol):
    """The session that runs a statement: what functions see of it, and what the executor asks of it besides."""

    def check_interrupts(self) -> None:
        """Raise what a cancel, a timeout or a shutdown has left for it."""

    def cursor_row(self, name: str, relation: RelationDesc) -> int | None:
        """The address of the row of a table on which a cursor stands; None when that has none of its rows."""

    def follow_changes(self) -> None:
        """A statement has made its changes: run what foreign keys want of them now."""


class ExecContext(FunctionContext):
    """One execution. ``params`` are the values of $1…; ``exec_params`` those that plan nodes set for each other.

    ``snapshot`` is what scans read with; ``txn`` is what writes belong to. ``scratch`` holds per-execution state of
    nodes (materialized rows, sub-plan results, CTEs), keyed by the node.
    """

    __slots__ = (
        "_account",
        "_volatile",
        "exec_params",
        "params",
        "scratch",
        "snapshot",
        "storage",
        "txn",
    )

    def __init__(
        self,
        session: ExecSession,
        txn: Txn,
        snapshot: Snapshot,
        env: TypeEnv,
        storage: Storage,
        params: Row = (),
    ) -> None:
        self.session: ExecSession = session
        self.txn = txn
        self.snapshot = snapshot
        self.env = env
        self.storage = storage
        self.params = params
        self.exec_params = _NO_PARAMS
        self._account: Account | None = None
        self._volatile: VolatileContext | None = None

    def start(self, params: Row, exec_params: int) -> None:
        """Begin a statement that is more than a point access: fresh scratch state and execution parameters."""
        self.params = params
        self.exec_params = [None] * exec_params
        self.scratch: dict[object, Any] = {}

    def next_query(self, first: bool) -> ExecContext:
        """The context of the first or the next query of a statement that is several."""
        snapshot = self.snapshot if first else self.storage.txns.next_query(self.txn, self.snapshot)
        return ExecContext(self.session, self.txn, snapshot, self.env, self.storage)

    def finish(self) -> None:
        """The statement has ended, well or not: nothing of it stays in memory or in files."""
        account, self._account = self._account, None
        if account is not None:
            self.scratch = {}
            account.close()

    @property
    def account(self) -> Account:
        """The statement's memory."""
        found = self._account
        if found is None:
            found = self._account = Account()
        return found

    def area(self, hashed: bool = False) -> Area:
        """Memory for one operator: ``work_mem``, times ``hash_mem_multiplier`` where it hashes."""
        limit_bytes = setting_of(self.session, "work_mem") * KB
        if hashed:
            limit_bytes = int(limit_bytes * setting_of(self.session, "hash_mem_multiplier"))
        return Area(self.account, limit_bytes)

    def open_file(self) -> TempFile:
        """A temporary file, gone at the latest with the statement."""
        return TempFile(self.account, temp_usage(self.session))

    def tell(self, node: object, **facts: Fact) -> None:
        """A node tells EXPLAIN ANALYZE of its memory; names with blanks for underscores."""
        self.scratch["told", node] = {name.replace("_", " "): value for name, value in facts.items()}

    def tell_on(self, node: object, facts: dict[str, Fact]) -> None:
        """As ``tell``, with a dictionary that the node keeps true."""
        self.scratch["told", node] = facts

    def told(self, node: object) -> dict[str, Fact]:
        """What a node has told."""
        found: dict[str, Fact] = self.scratch.get(("told", node), {})
        return found

    def tuplestore(self) -> Tuplestore:
        """Room for rows that are read again."""
        return Tuplestore(self.area(), self.open_file)

    @property
    def reads_with(self) -> Snapshot:
        """See ``FunctionContext``: functions that are not volatile see what this execution sees."""
        return self.snapshot

    @property
    def volatile(self) -> VolatileContext:
        """What volatile functions with ``needs_context`` get, made at first need. It knows the snapshot alone: an
        execution that led back to itself would wait for the collector, with all that hangs on it."""
        found = self._volatile
        if found is None or found._seen is not self.snapshot:
            found = self._volatile = VolatileContext(self.env, self.session, self.snapshot)
        return found

    def check(self) -> None:
        """At batch boundaries: raises what a cancel, a timeout or a shutdown has left for the session; lets the loop
        turn when its time is up."""
        self.session.check_interrupts()
        HUB.pulse()


class VolatileContext(FunctionContext):
    """What an execution passes to its volatile functions: they see the database as of each of their statements."""

    __slots__ = ("_seen",)

    def __init__(self, env: TypeEnv, session: SessionView, seen: Snapshot) -> None:
        super().__init__(env, session)
        self._seen = seen

    @property
    def called_with(self) -> Snapshot:
        """See ``FunctionContext``."""
        return self._seen
