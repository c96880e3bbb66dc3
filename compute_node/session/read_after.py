"""Reading one's own writes from a reader: a statement waits until this instance shows an LSN.

``aurora_last_commit_lsn()`` on the writer gives the LSN; here ``SET aurora.read_after_lsn`` makes every later query
wait for it, or ``aurora_wait_for_lsn()`` waits once. The volume's VDL says how far this instance shows the log: on a
reader that is the point applied. Once it has passed the setting's LSN, the setting costs nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aurora.errors import SqlError
from aurora.ids import NO_LSN, Lsn
from compute_node.hub import HUB, Waiter
from compute_node.session import forwarding
from compute_node.work.waits import FORWARD_CONSISTENCY

if TYPE_CHECKING:
    from compute_node.session.state import SessionState


class LsnWaits:
    """Who waits for the VDL to reach an LSN, and may give up before it does. The volume is asked once for each LSN, so
    that a client which asks again and again leaves nothing behind."""

    def __init__(self) -> None:
        self.waiting: dict[Lsn, dict[Waiter, None]] = {}

    def wait(self, session: SessionState, lsn: Lsn, timeout_s: float | None) -> bool:
        """Wait until the volume shows ``lsn``, at most ``timeout_s``; whether it does."""
        volume = session.engine.volume
        if volume.vdl >= lsn or timeout_s == 0:
            return bool(volume.vdl >= lsn)
        waiter = Waiter()
        waiters = self.waiting.get(lsn)
        if waiters is None:
            waiters = self.waiting[lsn] = {}
            volume.when_durable(lsn, lambda error: self._reached(lsn, error))
        waiters[waiter] = None
        timer = None if timeout_s is None else HUB.loop.call_later(timeout_s, waiter.wake, False)
        try:
            return bool(HUB.wait(waiter))
        finally:
            waiters.pop(waiter, None)
            if timer is not None:
                timer.cancel()

    def _reached(self, lsn: Lsn, error: SqlError | None) -> None:
        for waiter in self.waiting.pop(lsn, {}):
            if error is None:
                waiter.wake(True)
            else:
                waiter.fail(error)


def wait_for(session: SessionState, lsn: int, timeout_s: float | None = None) -> bool:
    """Wait until this instance shows ``lsn``, at most ``timeout_s``; whether it does. A cancel and statement_timeout
    end it (57014)."""
    return session.engine.lsn_waits.wait(session, Lsn(lsn), timeout_s)


ASKS: Final = Lsn(1)
"""As ``read_after_lsn``: every instance shows it, and ``wait`` is called before each query."""


def must_show(session: SessionState, lsn: Lsn) -> None:
    """The session's next queries wait until this instance shows ``lsn``."""
    if lsn > session.read_after_lsn:
        session.read_after_lsn = lsn
        session.guarded = True


def restore(session: SessionState, lsn: Lsn) -> None:
    """What ``must_show`` has asked for since is not needed any more."""
    session.read_after_lsn = lsn
    session.guarded = bool(session.statement_timeout_ms or lsn)


def wait(session: SessionState) -> None:
    """What ``aurora.read_after_lsn`` and write forwarding ask of the query that is about to be planned or to run."""
    lsn = session.read_after_lsn
    asks = session.settings.get(forwarding.MODE) == forwarding.GLOBAL and session.engine.in_recovery
    forwards = session.forwarding or (forwarding.of(session) if asks else None)
    if forwards is None:
        wait_for(session, lsn)
    elif (position := forwards.position()) > lsn:
        lsn = position
    if forwards is not None:
        began_s = HUB.now_s()
        forwards.waiting = FORWARD_CONSISTENCY
        try:
            wait_for(session, lsn)
        finally:
            forwards.waiting = 0
            session.has_waited(FORWARD_CONSISTENCY, HUB.now_s() - began_s)
    if session.read_after_lsn <= lsn:
        session.read_after_lsn = ASKS if asks else NO_LSN
    session.guarded = bool(session.statement_timeout_ms or session.read_after_lsn)
