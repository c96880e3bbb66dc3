"""Plays a script on a server and writes down what every step showed.

A step is sent and then either answers or waits for another session of the script, which the server itself tells
(``pg_isolation_test_session_is_blocked``): no time is measured. After every answer the steps that wait are looked at
again, until each of them has answered or is told to wait still.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Iterable

import psycopg
from psycopg import pq
from psycopg.pq import DiagnosticField, ExecStatus

from tests.isolation.script import Script

STEP_TIMEOUT_S = 20.0
"""A step that neither answers nor waits for another session within this time is an error of the server."""
POLL_S = 0.005


class Session:
    """One connection; ``running`` is the text of the step that has not answered."""

    def __init__(self, name: str, dsn: str) -> None:
        self.name = name
        self.connection = _connect(dsn)
        self.connection.nonblocking = 1
        self.connection.notice_handler = self._notice
        self.pid = self.connection.backend_pid
        self.running = ""
        self.shown: list[str] = []

    def _notice(self, result: pq.abc.PGresult) -> None:
        self.shown.append(_diagnosis(result, _field(result, DiagnosticField.SEVERITY)))

    def send(self, sql: str) -> None:
        """Begin a step."""
        self.running, self.shown = sql, []
        self.connection.send_query(sql.encode())

    def answered(self) -> bool:
        """Whether the step has come to its end; takes what has arrived."""
        connection = self.connection
        try:
            connection.flush()
            connection.consume_input()
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    return True
                self._take(result)
        except psycopg.OperationalError:
            if connection.status == pq.ConnStatus.OK:
                raise
        if connection.status == pq.ConnStatus.OK:
            return False
        self.shown.append("connection lost")
        return True

    def _take(self, result: pq.abc.PGresult) -> None:
        if result.status == ExecStatus.FATAL_ERROR:
            self.shown.append(_diagnosis(result, _field(result, DiagnosticField.SEVERITY)))
        elif result.status == ExecStatus.TUPLES_OK:
            columns = range(result.nfields)
            self.shown.append(" | ".join((result.fname(column) or b"").decode() for column in columns))
            for row in range(result.ntuples):
                self.shown.append(" | ".join(_text(result.get_value(row, column)) for column in columns))
            self.shown.append((result.command_status or b"").decode())
        else:
            self.shown.append((result.command_status or b"").decode())

    def run(self, sql: str) -> list[str]:
        """A step that nothing may hold up; what it showed."""
        self.send(sql)
        end = time.monotonic() + STEP_TIMEOUT_S
        while not self.answered():
            if time.monotonic() > end:
                raise TimeoutError(f"no answer: {sql}")
            select.select([self.connection.socket], [], [], POLL_S)
        self.running = ""
        return self.shown


def _connect(dsn: str) -> pq.PGconn:
    """By polling: an embedded server needs this process's interpreter meanwhile."""
    connection = pq.PGconn.connect_start(dsn.encode())
    end = time.monotonic() + STEP_TIMEOUT_S
    while (state := connection.connect_poll()) != pq.PollingStatus.OK:
        if state == pq.PollingStatus.FAILED or time.monotonic() > end:
            raise ConnectionError(connection.error_message.decode())
        socket = [connection.socket]
        reading = state == pq.PollingStatus.READING
        select.select(socket if reading else [], [] if reading else socket, [], POLL_S)
    return connection


def _text(value: bytes | None) -> str:
    return "(null)" if value is None else value.decode()


def _field(result: pq.abc.PGresult, field: DiagnosticField) -> str:
    return (result.error_field(field) or b"").decode()


def _diagnosis(result: pq.abc.PGresult, severity: str) -> str:
    state = _field(result, DiagnosticField.SQLSTATE)
    text = f"{severity} {state}: {_field(result, DiagnosticField.MESSAGE_PRIMARY)}"
    for name, field in (("DETAIL", DiagnosticField.MESSAGE_DETAIL), ("HINT", DiagnosticField.MESSAGE_HINT)):
        # A deadlock's detail names transactions.
        if (found := _field(result, field)) and not (name == "DETAIL" and state == "40P01"):
            text += f"\n{name}: {found}"
    return text


class Player:
    """Plays scripts on the server of ``dsn``. ``settle_s``: how long the recorder lets a step wait before it is
    said to wait: PostgreSQL looks for deadlocks only after ``deadlock_timeout``."""

    def __init__(self, dsn: str, settle_s: float = 0.0) -> None:
        self._dsn = dsn
        self._settle_s = settle_s
        self._control = Session("control", dsn)

    def close(self) -> None:
        """End the control session."""
        self._control.connection.finish()

    def play(self, script: Script) -> str:
        """The transcript of all its orders."""
        parts = []
        for order in script.all_orders():
            lines = self._play(script, order)
            heading = [f"order {order}"] if script.orders else []
            parts.append("\n".join(heading + lines))
        return "\n".join(parts)

    def _play(self, script: Script, order: str) -> list[str]:
        self._command("drop schema if exists iso cascade")
        self._command("create schema iso")
        self._command("set search_path = iso")
        for sql in script.setup:
            self._command(sql)
        login = f" user={script.role}" if script.role else ""
        options = " options='-c search_path=iso -c client_min_messages=notice'"
        sessions = {name: Session(name, self._dsn + login + options) for name in script.sessions}
        turn = _Turn(self._control, list(sessions.values()), self._settle_s, bool(script.orders))
        try:
            for name, sql in script.in_order(order):
                bound = sql
                for each in sessions.values():
                    bound = bound.replace(f"{{pid:{each.name}}}", str(each.pid))
                if not turn.step(sessions[name], sql, bound):
                    return turn.lines
            turn.finish()
        finally:
            for session in sessions.values():
                session.connection.finish()
            self._gone(sessions.values())
        return turn.lines

    def _command(self, sql: str) -> None:
        shown = self._control.run(sql)
        if any(line.startswith(("ERROR", "FATAL")) for line in shown):
            raise RuntimeError(f"{sql}: {shown}")

    def _gone(self, sessions: Iterable[Session]) -> None:
        """Wait until the server has ended the sessions, so that the next script meets none of their locks."""
        pids = ",".join(str(session.pid) for session in sessions)
        end = time.monotonic() + STEP_TIMEOUT_S
        while self._control.run(f"select 1 from pg_stat_activity where pid in ({pids})")[-1] != "SELECT 0":
            if time.monotonic() > end:
                raise TimeoutError("sessions of a script do not end")
            time.sleep(POLL_S)


class _Turn:
    """The steps of one order, and their transcript."""

    def __init__(self, control: Session, sessions: list[Session], settle_s: float, several_orders: bool) -> None:
        self._control, self._sessions, self._settle_s = control, sessions, settle_s
        self._several_orders = several_orders
        self._pids = ",".join(str(session.pid) for session in sessions)
        self._waiting: list[Session] = []
        self.lines: list[str] = []

    def step(self, session: Session, written: str, bound: str) -> bool:
        """Send one step, and see it answer or wait. False ends the order: its session waits for another one still."""
        if session.running:
            self._sweep()
        if session.running and self._several_orders:
            self.lines.append(f"{session.name}: cannot go on")
            return False
        if session.running:
            self._until(session)
        session.send(bound)
        session.running = written
        self.lines.append(f"{session.name}: {written}")
        answers = self._answers(session)
        if not answers and self._settle_s:
            time.sleep(self._settle_s)
            answers = session.answered()
        if answers:
            self._show(session)
        else:
            self.lines.append("   waits")
            self._waiting.append(session)
        self._sweep()
        return True

    def finish(self) -> None:
        """Wait for the last ones."""
        while self._waiting:
            self._until(self._waiting[0])

    def _until(self, session: Session) -> None:
        end = time.monotonic() + STEP_TIMEOUT_S
        while session.running:
            if time.monotonic() > end:
                raise TimeoutError(f"{session.name} waits for ever: {session.running}\n" + "\n".join(self.lines))
            self._sweep()
            if session.running:
                select.select([each.connection.socket for each in self._waiting], [], [], POLL_S)

    def _answers(self, session: Session) -> bool:
        """Whether the step answers; False once the server says that it waits for another session."""
        end = time.monotonic() + STEP_TIMEOUT_S
        while not session.answered():
            sql = f"select pg_isolation_test_session_is_blocked({session.pid}, '{{{self._pids}}}')"
            if self._control.run(sql)[1] == "t":
                return session.answered()
            if time.monotonic() > end:
                raise TimeoutError(f"neither an answer nor a wait: {session.running}\n" + "\n".join(self.lines))
            select.select([session.connection.socket], [], [], POLL_S)
        return True

    def _sweep(self) -> None:
        """Steps that waited and have been let go."""
        again = True
        while again:
            again = False
            for session in list(self._waiting):
                if self._answers(session):
                    self._waiting.remove(session)
                    self.lines.append(f"{session.name}: … {session.running.splitlines()[0]}")
                    self._show(session)
                    again = True

    def _show(self, session: Session) -> None:
        for shown in session.shown:
            for other in self._sessions:
                shown = re.sub(rf"\b{other.pid}\b", f"<{other.name}>", shown)
            self.lines += [f"   {line}" for line in shown.splitlines()]
        session.running = ""
