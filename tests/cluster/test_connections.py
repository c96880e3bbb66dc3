"""Who may connect, and how many: TLS, passwords, a thousand idle sessions, statements that are cancelled."""

from __future__ import annotations

import datetime
import itertools
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.cluster.support import wait_for

pytestmark = pytest.mark.cluster

IDLE = 1000
IDLE_BYTES_MAX = 100_000
PASSWORD = "correct horse"


def _own_address() -> str | None:
    """An IPv4 address of this machine that is not loopback; None when it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith(("127.", "0.")) else address


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of ``localhost`` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500)).sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_path.chmod(0o600)
    return cert_path, key_path


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that listens everywhere, with a password and a certificate."""
    cert, key = _certificate(tmp_path)
    monkeypatch.setenv("AURORA_TLS_CERT", str(cert))
    monkeypatch.setenv("AURORA_TLS_KEY", str(key))
    cluster = Cluster(tmp_path / "cluster")
    cluster.create(host="0.0.0.0", port=0, pages_per_pg=4096, cache_mb=32, password=PASSWORD)
    cluster.up()
    yield cluster
    cluster.down()


def test_tls_and_passwords(guarded: Cluster) -> None:
    port = guarded.writer.port
    base = f"port={port} user=postgres dbname=postgres connect_timeout=10"
    asked = f"{base} password='{PASSWORD}'"
    with psycopg.connect(f"{asked} host={LOOPBACK} sslmode=require") as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT sum(g) FROM generate_series(1, 20000) AS g").fetchone() == (200010000,)
    with psycopg.connect(f"{asked} host={LOOPBACK} sslmode=disable") as connection:
        assert not connection.pgconn.ssl_in_use
    addresses = [LOOPBACK, *([own] if (own := _own_address()) is not None else [])]
    for address, sslmode in itertools.product(addresses, ("require", "disable")):
        where = f"{base} host={address} sslmode={sslmode}"
        with psycopg.connect(where, password=PASSWORD) as connection:
            assert connection.pgconn.used_password
            assert connection.execute("SELECT current_user").fetchone() == ("postgres",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed for user"):
            psycopg.connect(where, password="wrong")
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(where)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_thousand_idle_connections(make_cluster: Callable[..., Cluster]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"only {hard} files may be open at once")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    cluster = make_cluster()
    pid = cluster.pid(cluster.writer.id)
    assert pid is not None
    idle: list[psycopg.Connection[tuple[object, ...]]] = []
    try:
        for _ in range(20):  # what the first ones allocate is not theirs
            idle.append(psycopg.connect(cluster.dsn(), autocommit=True))
            idle[-1].execute("SELECT 1")
        before = _resident_bytes(pid) if Path("/proc/self").exists() else None
        while len(idle) < IDLE:
            idle.append(psycopg.connect(cluster.dsn(), autocommit=True))
        if before is not None:
            each = (_resident_bytes(pid) - before) / (IDLE - 20)
            assert each < IDLE_BYTES_MAX, f"{each:.0f} bytes an idle connection"
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            connection.execute("CREATE TABLE busy (n int PRIMARY KEY)")
            connection.execute("INSERT INTO busy SELECT generate_series(1, 100)")
            assert connection.execute("SELECT count(*) FROM busy").fetchone() == (100,)
        for connection in idle[:: IDLE // 10]:
            assert connection.execute("SELECT max(n) FROM busy").fetchone() == (100,)
    finally:
        for connection in idle:
            connection.close()
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        wait_for(
            lambda: (
                connection.execute("SELECT count(*) FROM pg_stat_activity WHERE state IS NOT NULL").fetchone() == (1,)
            ),
            "the sessions to end",
        )


def test_a_client_that_vanishes_lets_its_locks_go(shared_cluster: Cluster) -> None:
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE vanish (n int PRIMARY KEY, m int)")
        connection.execute("INSERT INTO vanish VALUES (1, 0)")
        gone = psycopg.connect(shared_cluster.dsn())
        gone.execute("UPDATE vanish SET m = 1 WHERE n = 1")
        blocked = threading.Thread(target=connection.execute, args=("UPDATE vanish SET m = m + 10 WHERE n = 1",))
        blocked.start()
        blocked.join(0.3)
        assert blocked.is_alive(), "the row was not locked"
        gone.close()
        blocked.join(30)
        assert not blocked.is_alive(), "the lock of a closed connection was kept"
        assert connection.execute("SELECT m FROM vanish").fetchone() == (10,)


def test_cancel_of_a_lock_wait_and_timeouts(shared_cluster: Cluster) -> None:
    with (
        psycopg.connect(shared_cluster.dsn(), autocommit=True) as connection,
        psycopg.connect(shared_cluster.dsn()) as holder,
    ):
        connection.execute("CREATE TABLE waits (n int PRIMARY KEY)")
        connection.execute("INSERT INTO waits VALUES (1)")
        holder.execute("DELETE FROM waits WHERE n = 1")
        canceller = threading.Timer(0.2, connection.cancel)
        canceller.start()
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            connection.execute("UPDATE waits SET n = 2")
        canceller.join()
        connection.execute("SET statement_timeout = 200")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute("UPDATE waits SET n = 2")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute("SELECT count(*) FROM generate_series(1, 1000000000)")
        connection.execute("SET statement_timeout = 0")
        connection.execute("SET lock_timeout = 200")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("UPDATE waits SET n = 2")
        holder.rollback()
        assert connection.execute("UPDATE waits SET n = 2").rowcount == 1


def test_a_password_set_in_sql(guarded: Cluster) -> None:
    address = _own_address()
    if address is None:
        pytest.skip("this machine has no address but loopback: passwords cannot be asked for")
    with psycopg.connect(guarded.dsn(), autocommit=True) as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'first'")
        connection.execute("CREATE ROLE silent LOGIN")
    where = f"host={address} port={guarded.writer.port} dbname=postgres connect_timeout=10"
    with psycopg.connect(where, user="guest", password="first") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("guest",)
    with psycopg.connect(guarded.dsn(), autocommit=True) as connection:
        connection.execute("ALTER ROLE guest PASSWORD 'second'")
    with psycopg.connect(where, user="guest", password="second") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    for user, password in (("guest", "first"), ("silent", "any"), ("nobody", "any")):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed for user"):
            psycopg.connect(where, user=user, password=password)
