"""What a session's output depends on: one rule of wall 5, by itself.

A session sees more than is durable: its own commits, and those of transactions whose row locks or changes it took over
before the log had them on disk (early lock release). ``lsn`` is the highest LSN of that kind; snapshots on the writer
read at it. What the session shows must not outlive what it depends on, so no row, error or transaction end leaves
before the VDL has reached ``gate_lsn``. That is ``lsn``, but for a commit with synchronous_commit = off, whose answer
need not wait for itself: then it is what the session depended on before, until it depends on something newer.
Invariants: ``lsn`` never falls; ``gate_lsn`` ≤ ``lsn``.
"""

from __future__ import annotations

from aurora.ids import NO_LSN, Lsn


class Dependency:
    """One session's, shared with its transactions; a transaction without a session has its own."""

    __slots__ = ("_before_lsn", "_unwaited_lsn", "lsn")

    def __init__(self) -> None:
        self.lsn: Lsn = NO_LSN
        self._unwaited_lsn: Lsn = NO_LSN
        self._before_lsn: Lsn = NO_LSN

    def on(self, lsn: Lsn) -> None:
        """From now on it depends on ``lsn`` being durable."""
        if lsn > self.lsn:
            self.lsn = lsn

    def committed(self, lsn: Lsn, before_lsn: Lsn, waits: bool) -> None:
        """The session has committed at ``lsn``; ``before_lsn`` is the gate of before. ``waits``: whether it waits for
        its own commit (synchronous_commit)."""
        self.on(lsn)
        if not waits:
            self._unwaited_lsn, self._before_lsn = lsn, before_lsn

    @property
    def gate_lsn(self) -> Lsn:
        """The LSN that must be durable before rows, errors and transaction ends go out."""
        return self._before_lsn if self.lsn == self._unwaited_lsn else self.lsn
