"""The reader's side: one session's statements, transactions and consistency points on the writer.

The transaction there begins with the first statement that is forwarded, in the reader's isolation level and, in
REPEATABLE READ, with its snapshot. Its xids are the reader's transaction's own from then on, so that the reader sees
what it has written as soon as the log has brought it. A statement that is a whole transaction makes one round trip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from aurora.datum import Row
from aurora.errors import (
    CannotConnectNow,
    ConnectionFailure,
    QueryCanceled,
    SerializationFailure,
    SqlError,
    TransactionResolutionUnknown,
)
from aurora.ids import NO_LSN, Lsn
from aurora.rpc import compute_pb2 as cpb
from compute_node.forward import along, refusals, requests, texts, values
from compute_node.forward.answers import Answer
from compute_node.forward.link import Link, LinkLost
from compute_node.forward.remote import RemoteStatement, standing_for
from compute_node.hub import HUB
from compute_node.replica.topology import InstanceState
from compute_node.session import door, forwarding, read_after
from compute_node.session.encoded import Unreadable
from compute_node.session.forwarding import AsWritten
from compute_node.session.results import decode_text
from compute_node.session.state import IDLE, Disconnected, SessionState
from compute_node.session.statement import Params, Statement
from compute_node.txn.transaction import Txn
from compute_node.types.oids import TEXT
from compute_node.work.waits import (
    FORWARD_ABORT,
    FORWARD_ASK,
    FORWARD_COMMIT,
    FORWARD_CONNECT,
    FORWARD_EXECUTE,
    FORWARD_START,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from compute_node.session.engine import OptionValue

AGAIN_S: Final = 0.1
"""Between two attempts to find a writer."""
PATIENCE_S: Final = 5.0
"""How long the writer may take to end a statement that is cancelled, or to roll back."""
ABOUT_LOSS: Final = "The writer's part of the transaction is rolled back."


class ReaderForwarder:
    """The instance's. ``writer``: whom to forward to, None when nobody is known to write."""

    def __init__(self, writer: Callable[[], InstanceState | None], reader_id: str, volume_id: bytes) -> None:
        self.writer = writer
        self.reader_id = reader_id
        self.volume_id = volume_id
        self.links: set[Link] = set()

    def open(self, session: SessionState) -> ReaderForwarding:
        """See ``session.forwarding.Forwarder``."""
        return ReaderForwarding(session, self)

    def writer_lost(self, reason: str) -> None:
        """The stream of the writer's log has ended: what it has not answered it may never answer."""
        for link in list(self.links):
            link.fail(reason)


class ReaderForwarding:
    """One session's. See ``session.forwarding.Forwarding``."""

    def __init__(self, session: SessionState, forwarder: ReaderForwarder) -> None:
        self.waiting = 0
        self._session = session
        self._forwarder = forwarder
        self._link: Link | None = None
        self._txn: Txn | None = None
        """the transaction that the writer has a part of"""
        self._before_lsn: Lsn = NO_LSN
        """what the session's queries had to see before it"""
        self._sent: dict[str, str] = {}
        """the settings that went along with it"""
        self._interrupt: SqlError | None = None
        """what has interrupted the session while it waits for the answer"""

    # Statements

    def statement(self, statement: Statement) -> Statement:
        """See ``Forwarding``."""
        if not statement.executable.sound:
            statement.executable.check()
        if statement.span is None:
            raise AsWritten(statement)
        start, length = statement.span
        text = statement.source[start : start + length]
        inner = texts.inner_start(text)
        text = text[inner:]
        refusals.check(self._session, statement, text)
        columns = None if statement.columns is None else [column.kind for column in statement.columns]
        return standing_for(statement, RemoteStatement(self._rows, statement, text, start + inner, columns))

    def as_written(self, statement: Statement, sql: bytes) -> Statement:
        """See ``Forwarding``."""
        text = decode_text(sql)
        refusals.check(self._session, statement, text)
        made = standing_for(statement, RemoteStatement(self._rows, statement, text, simple=True))
        made.source = text
        return made

    def explain(self, statement: Statement, options: Mapping[str, OptionValue], params: Params) -> list[str]:
        """See ``Forwarding``."""
        inner = statement.source[texts.inner_start(statement.source) :]
        text = self._session.type_of(TEXT)
        remote = RemoteStatement(self._rows, statement, texts.explain(options, inner), 0, [text])
        remote.kinds = tuple(map(self._session.type_of, statement.param_types))
        remote.checked = False
        door.begin_text(self._session, self._session.query)
        return [str(line) for batch in self._rows(remote, params) for (line,) in batch]

    def _rows(self, remote: RemoteStatement, params: Params) -> Iterator[list[Row]]:
        """Run a statement on the writer."""
        answer = self._send(remote, params)
        alone = self._txn is None
        reads = values.decoders(self._session, remote.columns or ())
        try:
            while True:
                while not answer.rows and not answer.done:
                    self._wait(FORWARD_EXECUTE, answer)
                if answer.rows and answer.columns is not None:
                    self._check_columns(remote, answer.columns)
                if payloads := answer.take_rows():
                    yield values.rows(payloads, reads)
                elif answer.done:
                    break
        except LinkLost as loss:
            raise self._lost(loss, unknown=alone) from None
        except BaseException:
            self._stop(answer)
            raise
        self._answered(remote, answer)
        remote.count = answer.count

    def _check_columns(self, remote: RemoteStatement, found: tuple[int, ...]) -> None:
        if remote.checked and found != tuple(kind.oid for kind in remote.columns or ()):
            raise SerializationFailure(
                "the statement gives other columns on the writer than on this reader",
                detail="A change of the database's definitions has not reached the reader yet.",
                hint="The statement might succeed if retried.",
            )

    def _send(self, remote: RemoteStatement, params: Params) -> Answer:
        session, txn = self._session, self._session.txn
        if txn is None:
            raise ConnectionFailure("a statement is forwarded without a transaction")
        request = cpb.ForwardRequest(command_id=txn.cid)
        if remote.simple:
            request.input = requests.query(remote.text)
        else:
            request.input = requests.statement(remote.text, remote.kinds, params, remote.columns, session.env)
        if self._txn is not txn:
            alone = self._is_alone()
            self._connect()
            self._sent = {}
            request.begin.CopyFrom(
                cpb.ForwardBegin(
                    isolation="read committed" if txn.follow else txn.isolation,
                    snapshot_lsn=txn.snapshot_lsn,
                    started_us=session.env.transaction_timestamp,
                    alone=alone,
                )
            )
            if not alone:
                self._txn, self._before_lsn = txn, session.read_after_lsn
                txn.tie()  # so that it has an end
        self._add_settings(request)
        return self._live_link().send(request)

    def _live_link(self) -> Link:
        link = self._link
        if link is None or link.lost:
            raise self._lost(LinkLost("no connection" if link is None else link.lost), unknown=False)
        return link

    def _add_settings(self, request: cpb.ForwardRequest) -> None:
        now = along.changed(self._session)
        for name in self._sent.keys() - now.keys():
            now[name] = self._session.settings.show(name)
        for name, text in now.items():
            if self._sent.get(name) != text:
                request.settings.add(name=name, value=text)
        self._sent = now

    def _is_alone(self) -> bool:
        """Whether the statement is its whole transaction: no block, and nothing else before Sync."""
        session = self._session
        if session.block != IDLE or session.several_statements or session.pipelined or session.gathering:
            return False
        if all(portal.declared for portal in session.portals.values()):
            return True  # a simple query
        port = session.port
        try:
            return port.data[port.position : port.position + 1] == b"S"
        except Unreadable:
            return False  # the turn will say so when it comes to that message

    def _answered(self, remote: RemoteStatement, answer: Answer) -> None:
        """A statement's answer is whole."""
        interrupt, self._interrupt = self._interrupt, None
        txn, session = self._txn, self._session
        if txn is not None:
            txn.own.update(answer.xids)  # type: ignore[arg-type] # numbers of the writer's
            txn.cid = max(txn.cid, answer.command_id)
        error = answer.error
        if error is not None:
            if interrupt is not None and error.sqlstate == QueryCanceled.sqlstate:
                raise interrupt
            if error.position is not None:
                error.position += remote.offset
            raise error
        if interrupt is not None and txn is not None:
            raise interrupt
        # One that came too late: the statement is committed.
        if session.settings.get(forwarding.MODE) != "eventual":
            read_after.must_show(session, answer.lsn)

    # Waiting

    def _wait(self, event: int, answer: Answer) -> None:
        """Wait for more of the answer. LinkLost; raises what ends the session. What ends only its statement cancels the
        writer's, whose answer is still waited for: it says what has become of it."""
        session, link = self._session, self._link
        if link is None:
            raise LinkLost("it is closed")
        began_s = HUB.now_s()
        self.waiting = event
        try:
            if not HUB.is_shielded():
                session.check_interrupts()  # one that came while nothing was waited for
            link.wait()
        except SqlError as error:
            self._interrupted(link, error)
        except Disconnected:
            link.close("the client is gone")
            raise
        finally:
            self.waiting = 0
            took_s = HUB.now_s() - began_s
            session.has_waited(event, took_s)
            session.engine.storage.locks.waited.note(event, took_s)
        if answer.notices:
            session.out += answer.take_notices()

    def _interrupted(self, link: Link, error: SqlError) -> None:
        if error.severity != "ERROR" or self._interrupt is not None:
            link.close("the session is interrupted")
            raise error
        self._interrupt = error
        link.cancel()
        HUB.loop.call_later(PATIENCE_S, self._lose_patience, link, error)

    def _lose_patience(self, link: Link, error: SqlError) -> None:
        if self._interrupt is error:
            link.fail("the writer does not answer")

    def _lost(self, loss: LinkLost, unknown: bool) -> SqlError:
        """The error of a statement, or a commit if ``unknown``, whose answer will not come."""
        interrupt, self._interrupt = self._interrupt, None
        link = self._link
        self._drop_link()
        said = None if link is None else link.error_at_end
        if unknown and isinstance(said, SqlError) and said.sqlstate != TransactionResolutionUnknown.sqlstate:
            unknown = False  # a session that is told to end has ended its statement first
        if unknown:
            return TransactionResolutionUnknown(
                f"the connection to the writer was lost while it committed: {loss}",
                detail="The transaction may or may not have been committed.",
            )
        if interrupt is not None:
            return interrupt
        return ConnectionFailure(f"the connection to the writer was lost: {loss}", detail=ABOUT_LOSS)

    def _link_lost(self) -> None:
        """The next query must not show what is rolled back."""
        if self._link is not None:
            self._forwarder.links.discard(self._link)
        if self._txn is not None:
            read_after.must_show(self._session, read_after.ASKS)

    def _stop(self, answer: Answer) -> None:
        """Nobody wants the rest of an answer."""
        self._interrupt = None
        if self._link is None or self._link.lost or answer.done:
            return
        self._link.cancel()
        self._drain(answer)

    def _drain(self, answer: Answer, event: int = FORWARD_ABORT) -> None:
        """Wait for the end of an answer, uninterrupted and not for long; without it the link is closed."""
        link = self._link
        if link is None or not HUB.in_greenlet():
            self._drop_link()
            return
        timer = HUB.loop.call_later(PATIENCE_S, link.fail, "the writer does not answer")
        try:
            with HUB.shield():
                while not answer.done:
                    self._wait(event, answer)
                    answer.take_rows()
        except LinkLost:
            self._drop_link()
        finally:
            timer.cancel()

    # Connecting

    def _connect(self, with_session: bool = True) -> None:
        """See to it that there is a link, and a session behind it."""
        began_s = HUB.now_s()
        while True:
            link = self._link
            if link is None or link.lost:
                self._drop_link()
                link = self._link = self._open_stream(began_s)
            if not with_session or link.opened:
                return
            try:
                self._open_session(link)
            except CannotConnectNow:
                # An instance that is about to change its role, or has just done so.
                self._sleep(began_s)

    def _open_session(self, link: Link) -> None:
        session = self._session
        get = session.settings.get
        answer = link.send(
            cpb.ForwardRequest(
                open=cpb.ForwardOpen(
                    user=str(session.settings.default("session_authorization")),
                    database=session.database,
                    reader_id=self._forwarder.reader_id,
                    volume_id=self._forwarder.volume_id,
                    application_name=session.application_name,
                    idle_timeout_ms=int(get("apg_write_forward.idle_session_timeout")),
                    idle_in_transaction_timeout_ms=int(get("apg_write_forward.idle_in_transaction_session_timeout")),
                )
            )
        )
        try:
            while not answer.done:
                self._wait(FORWARD_START, answer)
        except LinkLost as loss:
            self._drop_link()
            error = answer.error
            if error is not None:
                error.severity = "ERROR"
                raise error from None
            raise ConnectionFailure(f"could not connect to the writer: {loss}") from None
        except BaseException:
            self._drop_link()
            raise
        link.opened = True
        self._raise_interrupt()

    def _left_s(self, began_s: float) -> float | None:
        """How much of ``apg_write_forward.connect_timeout`` is left; None: there is none."""
        timeout_s = int(self._session.settings.get("apg_write_forward.connect_timeout"))
        return timeout_s - (HUB.now_s() - began_s) if timeout_s else None

    def _sleep(self, began_s: float) -> None:
        left_s = self._left_s(began_s)
        if left_s is not None and left_s <= 0:
            raise ConnectionFailure("could not connect to the writer in time", detail="No instance writes now.")
        HUB.sleep(AGAIN_S)

    def _open_stream(self, began_s: float) -> Link:
        """To whoever writes; until then, at most ``apg_write_forward.connect_timeout``."""
        session = self._session
        self.waiting = FORWARD_CONNECT
        reason = "no writer is known"
        try:
            while True:
                left_s = self._left_s(began_s)
                if left_s is not None and left_s <= 0:
                    break
                writer = self._forwarder.writer()
                if writer is not None:
                    host = writer.feed_address.rpartition(":")[0]
                    link = Link(f"{host}:{writer.stream_port}", self._link_lost)
                    try:
                        HUB.await_(link.connect(left_s))
                    except ConnectionError as error:
                        reason = str(error)
                    except BaseException:
                        link.close()
                        raise
                    else:
                        self._forwarder.links.add(link)
                        return link
                HUB.sleep(AGAIN_S)
                session.check_interrupts()
        finally:
            self.waiting = 0
            session.has_waited(FORWARD_CONNECT, HUB.now_s() - began_s)
        raise ConnectionFailure("could not connect to the writer in time", detail=reason)

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._forwarder.links.discard(link)
            link.close()

    # Consistency

    def position(self) -> Lsn:
        """See ``Forwarding``."""
        session = self._session
        if self._txn is not None and self._txn is session.txn:
            self._live_link()
        if session.settings.get(forwarding.MODE) != forwarding.GLOBAL or not forwarding.is_on(session):
            return NO_LSN
        if session.txn is not None and session.txn.snapshot_lsn:
            return NO_LSN  # it reads at that
        self._connect(with_session=False)
        answer = self._live_link().send(cpb.ForwardRequest(ask=True))
        try:
            while not answer.done:
                self._wait(FORWARD_ASK, answer)
                self._raise_interrupt()
        except LinkLost as loss:
            raise self._lost(loss, unknown=False) from None
        except BaseException:
            self._drop_link()
            raise
        return answer.lsn

    def _raise_interrupt(self) -> None:
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            raise interrupt

    # Transactions

    def takes_part(self, txn: Txn) -> bool:
        """See ``Forwarding``."""
        return self._txn is txn

    def commit(self, txn: Txn) -> None:
        """See ``Forwarding``."""
        if self._txn is not txn:
            return
        answer = self._live_link().send(cpb.ForwardRequest(input=requests.query("COMMIT")))
        try:
            while not answer.done:
                self._wait(FORWARD_COMMIT, answer)
        except LinkLost as loss:
            raise self._lost(loss, unknown=True) from None
        self._left(txn)
        interrupt, self._interrupt = self._interrupt, None
        if answer.error is not None:
            raise interrupt or answer.error
        if answer.tag != "COMMIT":
            raise ConnectionFailure("the writer has rolled the transaction back", detail=ABOUT_LOSS)
        if self._session.settings.get(forwarding.MODE) != "eventual":
            read_after.must_show(self._session, answer.lsn)

    def rollback(self, txn: Txn) -> None:
        """See ``Forwarding``."""
        if self._txn is not txn:
            return
        self._left(txn)
        # What it has written is nothing to wait for.
        read_after.restore(self._session, self._before_lsn)
        if self._link is None or self._link.lost:
            return
        self._drain(self._link.send(cpb.ForwardRequest(input=requests.query("ROLLBACK"))))

    def _left(self, txn: Txn) -> None:
        """The writer has no part in it any more; here it has written nothing."""
        self._txn = None
        txn.own.clear()

    def close(self) -> None:
        """See ``Forwarding``."""
        if self._txn is not None:
            self._left(self._txn)
        self._drop_link()
