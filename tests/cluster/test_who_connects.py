"""Who may connect to a real instance: passwords on loopback, rules and their reload, limits, expiry, a stranger."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from aurora.programs.supervisor import LOOPBACK, Cluster

PASSWORD = "correct horse"
RULES = """\
host all        ghost     all         reject
host all        open      127.0.0.0/8 trust
host all        clear     all         password
host all        all       all         scram-sha-256
"""


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a superuser's password and rules of its own."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "hba.conf").write_text(RULES)
    cluster = Cluster(folder / "cluster")
    cluster.create(host=LOOPBACK, port=0, pages_per_pg=4096, cache_mb=64, password=PASSWORD)
    with cluster.changing() as spec:
        spec.settings.update({"hba-file": str(folder / "hba.conf"), "max-connections": "8"})
    cluster.up()
    yield cluster
    cluster.down()


Connect = Callable[..., psycopg.Connection[tuple[object, ...]]]


@pytest.fixture
def connect(locked: Cluster) -> Iterator[Connect]:
    """Connects by user and password; all are closed at the end."""
    opened = []

    def to(user: str = "postgres", password: str | None = PASSWORD, **options: str) -> psycopg.Connection:
        connection = psycopg.connect(
            host=LOOPBACK, port=locked.writer.port, user=user, password=password, dbname="postgres", autocommit=True,
            **options,
        )  # fmt: skip
        opened.append(connection)
        return connection

    yield to
    for connection in opened:
        connection.close()


def refused(connect: Connect, *arguments: str | None) -> str:
    with pytest.raises(psycopg.OperationalError) as caught:
        connect(*arguments)
    return str(caught.value)


def test_loopback_is_asked_for_the_password(connect: Connect) -> None:
    assert "no password supplied" in refused(connect, "postgres", "")
    assert 'password authentication failed for user "postgres"' in refused(connect, "postgres", "wrong")
    assert connect().execute("select current_user").fetchone() == ("postgres",)


def test_rules_decide_by_role_and_are_reloaded(connect: Connect, locked: Cluster) -> None:
    admin = connect()
    admin.execute("create role ghost login; create role open login; create role clear login password 'sesame'")
    file = Path(locked.required.settings["hba-file"])
    try:
        assert f'pg_hba.conf rejects connection for host "{LOOPBACK}", user "ghost"' in refused(connect, "ghost", "x")
        assert connect("open", None).execute("select current_user").fetchone() == ("open",)
        assert connect("clear", "sesame").execute("select current_user").fetchone() == ("clear",)
        assert "password authentication failed" in refused(connect, "clear", "simsalabim")

        file.write_text("host all nobody all trust\nhost all all all mumble\n")
        shown = admin.execute("select line_number, user_name, auth_method, error from pg_hba_file_rules").fetchall()
        assert shown == [
            (1, ["nobody"], "trust", None),
            (2, None, None, 'invalid authentication method "mumble"'),
        ]
        admin.execute("select pg_reload_conf()")
        assert connect("open", None), "rules with an error are not put in force"

        file.write_text("host postgres postgres all scram-sha-256\n")
        admin.execute("select pg_reload_conf()")
        assert 'no pg_hba.conf entry for host "127.0.0.1", user "open", database "postgres", no encryption' in refused(
            connect, "open", None
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            admin.execute("set session authorization open; select * from pg_hba_file_rules")
    finally:
        file.write_text(RULES)
        admin.execute("reset session authorization")
        admin.execute("select pg_reload_conf()")
        admin.execute("drop role ghost, open, clear")


def test_connection_limit_and_expiry(connect: Connect) -> None:
    admin = connect()
    admin.execute("create role few login password 'p' connection limit 2")
    admin.execute("create role old login password 'p' valid until '2001-01-01'")
    admin.execute("create role fresh login password 'p' valid until '2999-01-01'")
    try:
        first, _ = connect("few", "p"), connect("few", "p")
        assert 'too many connections for role "few"' in refused(connect, "few", "p")
        first.close()
        assert 'password authentication failed for user "old"' in refused(connect, "old", "p")
        assert connect("fresh", "p")
    finally:
        admin.execute("drop role old")


def test_the_last_connections_are_the_superusers(connect: Connect) -> None:
    admin = connect()
    admin.execute("create role crowd login password 'p'")
    held = []
    with pytest.raises(psycopg.OperationalError, match="remaining connection slots are reserved"):
        for _ in range(9):
            held.append(connect("crowd", "p"))
    assert connect(), "a superuser gets a reserved one"


def test_a_stranger_gets_no_answer(locked: Cluster) -> None:
    with socket.create_connection((LOOPBACK, locked.writer.port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        assert stranger.recv(100) == b""
