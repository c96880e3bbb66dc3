"""Advisory locks (PostgreSQL manual, 9.27.10 and 13.3.5): of the transaction, or of the session until it lets go.

They live in the relation lock table, under keys that no OID has. A session's locks belong to an owner of their own, a
transaction that never begins; who waits for one waits for the session that has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import SqlError
from aurora.ids import NO_LSN
from compute_node.catalog.functions.call import Call
from compute_node.txn.locks import EXCLUSIVE, FIRST_ADVISORY, MODE_NAMES, SHARE, SKIP_LOCKED, WAIT
from compute_node.txn.transaction import READ_COMMITTED, Txn

if TYPE_CHECKING:
    from compute_node.catalog.engine import DatabaseEngine
    from compute_node.session.state import HeldLocks, SessionState


TWO_NUMBERS = 1 << 97
"""the bit of keys that were given as two numbers"""


class NotOwned(SqlError):
    """The warning of an unlock without a lock."""

    sqlstate = "01000"


class SessionLocks:
    """A session's own locks and how often it has taken each (key, mode)."""

    __slots__ = ("counts", "owner")

    def __init__(self, session: SessionState) -> None:
        self.owner = Txn(READ_COMMITTED, True, False, session)
        self.counts: dict[tuple[int, int], int] = {}


def _key(call: Call, args: tuple[int, ...]) -> int:
    """Every database has keys of its own."""
    base = FIRST_ADVISORY << 34 | call.view.layer.database_oid << 64
    if len(args) == 1:
        return base + (args[0] & 0xFFFFFFFFFFFFFFFF)
    return base + TWO_NUMBERS + ((args[0] & 0xFFFFFFFF) << 32) + (args[1] & 0xFFFFFFFF)


def _session_locks(session: SessionState) -> HeldLocks:
    found = session.advisory_locks
    if found is None:
        found = session.advisory_locks = SessionLocks(session)
    return found


def _xact_lock(call: Call, key: int, mode: int, wait: str) -> bool:
    """Held to the end of the transaction."""
    return bool(call.engine.storage.locks.lock_relation(call.txn, key, mode, "advisory lock", wait))


def _lock(call: Call, key: int, mode: int, wait: str) -> bool:
    """Held until the session unlocks it as often as it has locked it, or ends."""
    mine = _session_locks(call.session)
    if (key, mode) not in mine.counts:
        txn, locks = call.txn, call.engine.storage.locks
        had = txn.table_locks.get(key, 0) >> mode & 1
        # The transaction waits, for it is what deadlock detection and timeouts know; then the session takes over.
        if not locks.lock_relation(txn, key, mode, "advisory lock", wait):
            return False
        locks.hand_over(txn, mine.owner, key, mode)
        if not had:
            locks.release_mode(txn, key, mode)
    mine.counts[key, mode] = mine.counts.get((key, mode), 0) + 1
    return True


def _unlock(call: Call, key: int, mode: int) -> bool:
    """False, with a warning, for a lock that the session does not have."""
    mine = _session_locks(call.session)
    count = mine.counts.get((key, mode), 0)
    if not count:
        call.session.notice(NotOwned(f"you don't own a lock of type {MODE_NAMES[mode]}"), "WARNING")
        return False
    if count > 1:
        mine.counts[key, mode] = count - 1
    else:
        del mine.counts[key, mode]
        call.engine.storage.locks.release_mode(mine.owner, key, mode)
    return True


def unlock_all(call: Call) -> str:
    """pg_advisory_unlock_all."""
    end_session(call.engine, call.session)
    return ""


def end_session(engine: DatabaseEngine, session: SessionState) -> None:
    """Release the session's own locks."""
    mine, session.advisory_locks = session.advisory_locks, None
    if mine is not None:
        engine.storage.locks.release_all(mine.owner, mine.owner.tie(), NO_LSN)


def _functions(suffix: str, mode: int) -> dict[str, Callable[..., Datum]]:
    """The five functions of one mode."""

    def lock(call: Call, *args: int) -> str:
        _lock(call, _key(call, args), mode, WAIT)
        return ""

    def xact_lock(call: Call, *args: int) -> str:
        _xact_lock(call, _key(call, args), mode, WAIT)
        return ""

    return {
        f"pg_advisory_lock{suffix}": lock,
        f"pg_advisory_xact_lock{suffix}": xact_lock,
        f"pg_try_advisory_lock{suffix}": lambda call, *args: _lock(call, _key(call, args), mode, SKIP_LOCKED),
        f"pg_try_advisory_xact_lock{suffix}": lambda call, *args: _xact_lock(call, _key(call, args), mode, SKIP_LOCKED),
        f"pg_advisory_unlock{suffix}": lambda call, *args: _unlock(call, _key(call, args), mode),
    }


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    **_functions("", EXCLUSIVE),
    **_functions("_shared", SHARE),
    "pg_advisory_unlock_all": unlock_all,
}
