"""Connection strings of libpq, as far as they are checked before anybody connects: ``name = value …``, or a URI.

Source: PostgreSQL manual, ch. 34.1.1 and 34.1.2.
"""

from __future__ import annotations

from typing import Final

from aurora.errors import SqlSyntaxError

_NAMES: Final = frozenset(
    (
        "service", "user", "password", "passfile", "channel_binding", "connect_timeout", "dbname", "host", "hostaddr",
        "port", "client_encoding", "options", "application_name", "fallback_application_name", "keepalives",
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslmode", "sslcompression",
        "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer",
        "ssl_min_protocol_version", "ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib", "replication",
        "target_session_attrs", "authtype",
    )
)  # fmt: skip
_SPACE: Final = " \t\n\v\f\r"


def check_conninfo(text: str) -> None:
    """42601 for what is no connection string. A URI is left to those who connect with it."""
    if text.startswith(("postgresql://", "postgres://")):
        return
    try:
        _check(text)
    except ValueError as error:
        raise SqlSyntaxError(f"invalid connection string syntax: {error}\n") from None


def _check(text: str) -> None:
    at, end = 0, len(text)

    def skip() -> None:
        nonlocal at
        while at < end and text[at] in _SPACE:
            at += 1

    while True:
        skip()
        if at == end:
            return
        start = at
        while at < end and text[at] != "=" and text[at] not in _SPACE:
            at += 1
        name = text[start:at]
        skip()
        if at == end or text[at] != "=":
            raise ValueError(f'missing "=" after "{name}" in connection info string')
        at += 1
        skip()
        is_quoted = at < end and text[at] == "'"
        at += is_quoted
        while True:
            if at >= end:
                if is_quoted:
                    raise ValueError("unterminated quoted string in connection info string")
                break
            if text[at] == "\\":
                at += 2
                continue
            if text[at] == "'" if is_quoted else text[at] in _SPACE:
                at += 1
                break
            at += 1
        if name not in _NAMES:
            raise ValueError(f'invalid connection option "{name}"')
