"""Replay of a .sql file through libpq: file → statements → one outcome a statement, as plain JSON values.

A file holds statements that end with `;` at the end of a line. A `COPY … FROM STDIN;` is followed by its data up to a
line `\\.`. Each file runs in a schema of its own (`compat_<name>`), which is made before and dropped after. A line
`--differs: reason` before a statement says that its answer is known not to be PostgreSQL's; it still must not be an
internal error. `--differs for a plain role: reason` says so of the second run alone.

Most files run once more as a plain role, which owns that schema and may create schemas, and no more.

An outcome has what the wire shows: columns (name, type OID, typmod), rows in text format, the command tag, the fields
of an error, and notices. Bytes that are copied out are under `copy`.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import pq

FOLDER = Path(__file__).parent
DESCRIBED = FOLDER / "expected" / "describe.out"
"""What psql prints for `describe.psql` with PostgreSQL 15."""
Outcome = dict[str, Any]

PLAIN_ROLE = "compat_plain"
"""who runs the files a second time: no superuser"""
SWITCHING = ("privileges", "roles", "row_security", "view_rights")
"""files that change roles themselves, so that a second role would not be another test"""

_DIFFERS_PLAIN = "--differs for a plain role:"

_ERROR_FIELDS = {
    "severity": pq.DiagnosticField.SEVERITY,
    "sqlstate": pq.DiagnosticField.SQLSTATE,
    "message": pq.DiagnosticField.MESSAGE_PRIMARY,
    "detail": pq.DiagnosticField.MESSAGE_DETAIL,
    "hint": pq.DiagnosticField.MESSAGE_HINT,
    "position": pq.DiagnosticField.STATEMENT_POSITION,
    "context": pq.DiagnosticField.CONTEXT,
    "schema": pq.DiagnosticField.SCHEMA_NAME,
    "table": pq.DiagnosticField.TABLE_NAME,
    "column": pq.DiagnosticField.COLUMN_NAME,
    "constraint": pq.DiagnosticField.CONSTRAINT_NAME,
}
_REPEATABLE = re.compile(r"\s*(SELECT|VALUES|TABLE|WITH)\b", re.IGNORECASE)
_STATEFUL = re.compile(
    r"nextval|setval|set_config|for update|for share|insert|update|delete|\binto\b|\blo_|loread|lowrite|cursor_to"
    r"|\bbrin_",
    re.IGNORECASE,
)


_USER_TYPE = 16384
"""What stands for the OID of any type that a user has made: they are numbered as they come."""


@dataclass(frozen=True)
class Statement:
    """One statement of a file: its text without the last `;`, data for COPY, and why its answer differs, if so."""

    sql: str
    data: str | None = None
    differs: str | None = None
    differs_plain: str | None = None

    @property
    def repeatable(self) -> bool:
        """Whether a second run must answer the same."""
        return _REPEATABLE.match(self.sql) is not None and _STATEFUL.search(self.sql) is None


def families() -> list[str]:
    """The names of the .sql files."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


def expected_path(family: str) -> Path:
    """Where PostgreSQL's answers to a file are."""
    return FOLDER / "expected" / f"{family}.json"


def plain_families() -> list[str]:
    """The files that a plain role runs too."""
    return [family for family in families() if family not in SWITCHING]


def plain_path(family: str) -> Path:
    """Where PostgreSQL's answers to a plain role are, so far as they differ from those to a superuser."""
    return FOLDER / "expected" / "plain" / f"{family}.json"


def statements(family: str) -> list[Statement]:
    """The statements of one file, in order."""
    found: list[Statement] = []
    lines = iter((FOLDER / f"{family}.sql").read_text().splitlines())
    text: list[str] = []
    differs: str | None = None
    differs_plain: str | None = None
    for line in lines:
        if not text and line.startswith("--differs:"):
            differs = line.removeprefix("--differs:").strip()
            continue
        if not text and line.startswith(_DIFFERS_PLAIN):
            differs_plain = line.removeprefix(_DIFFERS_PLAIN).strip()
            continue
        if not text and (not line.strip() or line.startswith("--")):
            continue
        text.append(line)
        if not line.rstrip().endswith(";"):
            continue
        sql = "\n".join(text).rstrip()[:-1]
        data = None
        if re.match(r"copy\b.*\bfrom\s+stdin", sql, re.IGNORECASE | re.DOTALL):
            rows: list[str] = []
            for row in lines:
                if row == "\\.":
                    break
                rows.append(row + "\n")
            data = "".join(rows)
        found.append(Statement(sql, data, differs, differs_plain))
        text, differs, differs_plain = [], None, None
    if text:
        raise ValueError(f"{family}.sql ends inside a statement: {text[0]}")
    return found


def describe(dsn: str) -> str:
    """What psql prints, commands echoed, for `describe.psql`: its queries of the catalog are the test."""
    done = subprocess.run(
        ["psql", "-X", "-a", "-d", dsn, "-f", "describe.psql"], cwd=FOLDER, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


class Replay:
    """One connection that runs statements by the simple or the extended protocol."""

    def __init__(self, dsn: str, extended: bool, settings: dict[str, str], plain: bool = False) -> None:
        self._extended = extended
        self._plain = plain
        self._notices: list[Outcome] = []
        self._connection = pq.PGconn.connect(dsn.encode())
        if self._connection.status != pq.ConnStatus.OK:
            raise RuntimeError(self._connection.error_message.decode())
        self._connection.notice_handler = lambda result: self._notices.append(_fields(result))
        settings = {"TimeZone": "UTC", "DateStyle": "ISO, MDY", "client_min_messages": "notice", **settings}
        for name, value in settings.items():
            self._must(f"SET {name} = '{value}'")

    def run(self, family: str, repeat: bool = False) -> list[Outcome]:
        """The outcomes of a file's statements. With `repeat`, queries run twice and the second answer counts, so
        that plans from the cache are seen as well."""
        schema = f"compat_{family}"
        self._must("SET client_min_messages = warning")
        self._must(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        self._must(f"CREATE SCHEMA {schema}")
        if self._plain:
            self._become_plain(schema)
        self._must(f"SET search_path = {schema}")
        self._must("SET client_min_messages = notice")
        outcomes = []
        for statement in statements(family):
            outcome = self.execute(statement)
            idle = self._connection.transaction_status == pq.TransactionStatus.IDLE
            if repeat and statement.repeatable and (idle or "error" not in outcome):
                outcome = self.execute(statement)
            outcomes.append(outcome)
        if self._connection.transaction_status != pq.TransactionStatus.IDLE:
            self._must("ROLLBACK")
        self._must("SET client_min_messages = warning")
        self._must("RESET SESSION AUTHORIZATION")
        self._must(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        if self._plain:
            self._must(f"DROP OWNED BY {PLAIN_ROLE} CASCADE")
            self._must(f"DROP ROLE {PLAIN_ROLE}")
        return outcomes

    def _become_plain(self, schema: str) -> None:
        """Go on as a role that may do what it needs in its own schema, and what everybody may."""
        self._must(f"CREATE ROLE {PLAIN_ROLE} LOGIN")
        self._must(f"GRANT CREATE ON DATABASE {self._connection.db.decode()} TO {PLAIN_ROLE}")
        self._must(f"ALTER SCHEMA {schema} OWNER TO {PLAIN_ROLE}")
        self._must(f"SET SESSION AUTHORIZATION {PLAIN_ROLE}")

    def execute(self, statement: Statement) -> Outcome:
        """One statement's outcome."""
        self._notices.clear()
        sql = statement.sql.encode()
        result = self._connection.exec_params(sql, None) if self._extended else self._connection.exec_(sql)
        copied: str | None = None
        if result.status == pq.ExecStatus.COPY_IN:
            if statement.data:
                self._connection.put_copy_data(statement.data.encode())
            self._connection.put_copy_end()
            result = self._rest(result)
        elif result.status == pq.ExecStatus.COPY_OUT:
            copied = self._copied()
            result = self._rest(result)
        outcome = _outcome(result)
        if copied is not None:
            outcome["copy"] = copied
        if self._notices:
            outcome["notices"] = list(self._notices)
        return outcome

    def close(self) -> None:
        """Ends the connection."""
        self._connection.finish()

    def _copied(self) -> str:
        parts: list[bytes] = []
        while True:
            size, data = self._connection.get_copy_data(0)
            if size < 0:
                return b"".join(parts).decode()
            parts.append(bytes(data))

    def _rest(self, result: Any) -> Any:
        while (following := self._connection.get_result()) is not None:
            result = following
        return result

    def _must(self, sql: str) -> None:
        result = self._connection.exec_(sql.encode())
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise RuntimeError(f"{sql}: {result.error_message.decode()}")


def _fields(result: Any) -> Outcome:
    """The fields of an error or notice that are there."""
    found = {name: result.error_field(field) for name, field in _ERROR_FIELDS.items()}
    return {name: value.decode() for name, value in found.items() if value is not None}


def _outcome(result: Any) -> Outcome:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        return {"error": _fields(result) or {"message": result.error_message.decode()}}
    outcome: Outcome = {"tag": (result.command_status or b"").decode()}
    if result.status == pq.ExecStatus.TUPLES_OK:
        outcome["columns"] = [
            [(result.fname(i) or b"").decode(), min(result.ftype(i), _USER_TYPE), result.fmod(i)]
            for i in range(result.nfields)
        ]
        outcome["rows"] = [
            [_text(result.get_value(row, i)) for i in range(result.nfields)] for row in range(result.ntuples)
        ]
    return outcome


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
