"""LISTEN, NOTIFY, UNLISTEN: messages from a transaction that commits to the sessions that listen, in order of commits.

```
NOTIFY ─► Notifying (with the transaction) ─ commit ─► Channels ─ durable ─► inbox of each listener ─► its client
```

What a transaction says and which channels it begins or ends to listen to counts when it commits; a rollback to a
savepoint takes back what came after it. A listener's client gets the messages when its session is outside a
transaction: before ReadyForQuery, or at once when idle. A session hears itself with the answer to its own commit;
others once that is durable. The queue is in memory and bounded: when listeners leave too much in it, a NOTIFY fails.
Source: PostgreSQL manual, LISTEN, NOTIFY, chapter 55.2.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurora.errors import InvalidParameterValue, ProgramLimitExceeded
from aurora.ids import Lsn
from compute_node.protocol import messages
from compute_node.session import transactions

if TYPE_CHECKING:
    from compute_node.session.state import SessionState

PAYLOAD_BYTES_MAX = 7999
CHANNEL_BYTES_MAX = 63
QUEUE_BYTES_MAX = 64 << 20
"""Of messages that listeners have not been sent yet, each counted for each of them."""

LISTEN, UNLISTEN, UNLISTEN_ALL = "listen", "unlisten", "unlisten all"


class Channels:
    """Who listens to what in one database, and how much waits for them."""

    def __init__(self) -> None:
        self.listeners: dict[str, dict[SessionState, None]] = {}
        self.queued_bytes = 0

    @property
    def usage(self) -> float:
        """pg_notification_queue_usage."""
        return self.queued_bytes / QUEUE_BYTES_MAX

    def listen(self, session: SessionState, channel: str) -> None:
        """From now on."""
        self.listeners.setdefault(channel, {})[session] = None

    def unlisten(self, session: SessionState, channel: str) -> None:
        """No longer."""
        found = self.listeners.get(channel)
        if found is not None:
            found.pop(session, None)
            if not found:
                del self.listeners[channel]

    def of(self, session: SessionState) -> list[str]:
        """The channels of a session."""
        return [channel for channel, sessions in self.listeners.items() if session in sessions]

    def leave(self, session: SessionState) -> None:
        """The session ends, or listens to nothing any more."""
        for channel in self.of(session):
            self.unlisten(session, channel)


class Notifying:
    """What a transaction has said so far."""

    __slots__ = ("actions", "said", "seen")

    def __init__(self) -> None:
        self.actions: list[tuple[str, str]] = []
        self.said: list[tuple[str, str]] = []
        self.seen: set[tuple[str, str]] = set()


def _notifying(session: SessionState) -> Notifying:
    """The transaction's, which from here on has something to undo."""
    txn = transactions.ensure(session)
    found = session.notifying
    if found is None:
        found = session.notifying = Notifying()
    actions, said = len(found.actions), len(found.said)

    def undo() -> None:
        del found.actions[actions:]
        found.seen.difference_update(found.said[said:])
        del found.said[said:]

    txn.on_undo(undo)
    return found


def notify(session: SessionState, channel: str, payload: str) -> None:
    """NOTIFY and pg_notify: the same message of one transaction is sent once. 22023."""
    if not channel:
        raise InvalidParameterValue("channel name cannot be empty")
    if len(channel.encode()) > CHANNEL_BYTES_MAX:
        raise InvalidParameterValue("channel name too long")
    if len(payload.encode()) > PAYLOAD_BYTES_MAX:
        raise InvalidParameterValue("payload string too long")
    known = session.notifying
    if known is None or (channel, payload) not in known.seen:
        found = _notifying(session)
        found.said.append((channel, payload))
        found.seen.add((channel, payload))


def act(session: SessionState, what: str, channel: str = "") -> None:
    """LISTEN, UNLISTEN, UNLISTEN *."""
    _notifying(session).actions.append((what, channel))


def before_commit(session: SessionState, notifying: Notifying) -> None:
    """54000 when the queue has no room for what the transaction says."""
    channels = session.engine.channels
    if notifying.said and channels.queued_bytes >= QUEUE_BYTES_MAX:
        raise ProgramLimitExceeded("too many notifications in the NOTIFY queue")


def committed(session: SessionState, notifying: Notifying, lsn: Lsn) -> None:
    """The transaction has committed at ``lsn`` (0: without a record): its channels, then its messages."""
    channels = session.engine.channels
    for what, channel in notifying.actions:
        if what == LISTEN:
            channels.listen(session, channel)
        elif what == UNLISTEN:
            channels.unlisten(session, channel)
        else:
            channels.leave(session)
    others: list[tuple[SessionState, bytes]] = []
    for channel, payload in notifying.said:
        listeners = channels.listeners.get(channel)
        if not listeners:
            continue
        packet = messages.notification(session.pid, channel, payload)
        for listener in listeners:
            channels.queued_bytes += len(packet)
            if listener is session:
                session.inbox.append(packet)
            else:
                others.append((listener, packet))
    if not others:
        return
    gate_lsn = max(lsn, session.dependency.lsn, session.engine.txns.locks.last_commit_lsn)

    def durable(error: BaseException | None) -> None:
        for listener, packet in others:
            # One that has unlistened since gets what was said before.
            if error is None and not listener.terminating:
                listener.inbox.append(packet)
            else:
                channels.queued_bytes -= len(packet)
        if error is None:
            for listener in dict.fromkeys(each for each, _ in others):
                listener.port.deliver()

    session.engine.volume.when_durable(gate_lsn, durable)


def take(session: SessionState) -> None:
    """Put what has come for the session into its output; outside of a transaction only."""
    inbox = session.inbox
    session.engine.channels.queued_bytes -= sum(map(len, inbox))
    session.out += inbox
    inbox.clear()


def end(session: SessionState) -> None:
    """The session is gone."""
    channels = session.engine.channels
    channels.leave(session)
    channels.queued_bytes -= sum(map(len, session.inbox))
    session.inbox.clear()
