"""A cluster with readers where everything is encrypted: the processes' TLS, the clients' TLS, files at rest.

Each test runs by both ways of an endpoint: the client's socket handed over to the instance, and its bytes copied, as
between hosts. The instances' certificate names the endpoints, so clients check whom they speak to (verify-full).
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from aurora.programs import certs
from aurora.programs.endpoints.command import ENDPOINTS
from aurora.programs.endpoints.spec import load
from aurora.programs.places import free_ports
from aurora.programs.supervisor import LOOPBACK, Cluster
from tests.cluster.support import wait_for
from tests.log_rule import WATCH, WRITER_CHANGES

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.logs(*WRITER_CHANGES),
]

NAMES = {"cluster": "shop.example", "reader": "shop-ro.example"}
PASSWORD = "a 'secret'"
WAYS = ["handed over", "copied"]


class Encrypted:
    """The cluster, and where its endpoints listen, by way and name."""

    def __init__(self, cluster: Cluster, authority: Path, places: dict[tuple[str, str], tuple[str, str]]) -> None:
        self.cluster, self.authority, self.places = cluster, authority, places

    def connect(self, way: str, endpoint: str, **options: Any) -> psycopg.Connection[Any]:
        """As an application does that knows names: the address is what its name resolves to."""
        address, port = self.places[way, endpoint]
        given = {
            "host": NAMES[endpoint], "hostaddr": address, "port": port, "user": "postgres", "dbname": "postgres",
            "password": PASSWORD, "sslmode": "verify-full", "sslrootcert": str(self.authority),
        }  # fmt: skip
        return psycopg.connect(**(given | options), autocommit=True)

    def writer(self, way: str = "handed over") -> str:
        """Who writes, as the cluster endpoint has it."""
        with self.connect(way, "cluster") as connection:
            return who(connection)

    def leads(self, way: str) -> bool:
        """The cluster endpoint leads to one instance, the reader endpoint to the two others."""
        try:
            seen = set()
            for _ in range(4):
                with self.connect(way, "reader") as connection:
                    seen.add(who(connection))
            return len(seen) == 2 and self.writer(way) not in seen
        except psycopg.OperationalError:  # whom it led to has ended just then
            return False


def who(connection: psycopg.Connection[Any]) -> str:
    row = connection.execute("SELECT aurora_db_instance_identifier()").fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    folder = tmp_path_factory.mktemp("encrypted")
    certs.make(folder / "tls", [*NAMES.values()])
    shown = certs.tls_files(folder / "tls", "storage")  # a server's certificate that names hosts
    (folder / "password").write_text(PASSWORD)
    (folder / "rules").write_text("hostssl all all 127.0.0.0/8 scram-sha-256\n")
    flags = ["--detach", "--readers", "2", "--port", "0", "--pages-per-pg", "4096", "--cache-mb", "32"]
    flags += ["--storage-tls", "--encrypt", "--tls-cert", str(shown.certificate), "--tls-key", str(shown.key)]
    flags += ["--password-file", str(folder / "password"), "--hba-file", str(folder / "rules")]
    data = folder / "cluster"
    command = [sys.executable, "-m", "aurora.programs.cli", "up", *flags, "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cluster = Cluster(data)
    WATCH.follow(data / "log")
    try:
        with _Copying(cluster, folder) as addresses:
            there = {("handed over", each.name): each.address for each in load(data / "endpoints.json")}
            there |= {("copied", name): address for name, address in addresses.items()}
            split = {key: address.rpartition(":") for key, address in there.items()}
            places = {key: (host, port) for key, (host, _, port) in split.items()}
            yield Encrypted(cluster, shown.ca, places)
    finally:
        cluster.down()


class _Copying:
    """Endpoints that have no socket of any instance to hand connections over to, as on another host or in compose."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.addresses = {name: f"{LOOPBACK}:{port}" for name, port in zip(NAMES, free_ports(2), strict=True)}
        own = certs.tls_files(cluster.certs, "compute")
        feeds = ",".join(instance.feed for instance in cluster.required.instances)
        words = ["aurora.programs.endpoints", "--peers", feeds]
        words += ["--cluster-listen", self.addresses["cluster"], "--reader-listen", self.addresses["reader"]]
        words += ["--storage-tls-ca", str(own.ca), "--storage-tls-cert", str(own.certificate)]
        words += ["--storage-tls-key", str(own.key), "--storage-secret-file", str(cluster.secret_path)]
        # What the instances show their clients is in the environment of whoever starts all of them.
        shown = certs.tls_files(folder / "tls", "storage")
        environment = {**os.environ, "AURORA_TLS_CERT": str(shown.certificate), "AURORA_TLS_KEY": str(shown.key)}
        self._log = open(cluster.data / "log" / "copying.log", "w")  # noqa: SIM115 - closed at exit
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=self._log, env=environment, text=True
        )

    def __enter__(self) -> dict[str, str]:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith("ready cluster=")
        return self.addresses

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(10) == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@pytest.mark.parametrize("way", WAYS)
def test_names_and_encryption_are_checked_end_to_end(encrypted: Encrypted, way: str) -> None:
    wait_for(lambda: encrypted.leads(way), "all instances")
    with encrypted.connect(way, "cluster") as writer:
        assert writer.pgconn.ssl_in_use
        assert writer.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        writer.execute("CREATE TABLE IF NOT EXISTS secrets (way text)")
        writer.execute("INSERT INTO secrets VALUES (%s)", (way,))
        row = writer.execute("SELECT aurora_last_commit_lsn()").fetchone()
        assert row is not None
    for _ in range(2):
        with encrypted.connect(way, "reader") as reader:
            reader.execute(f"SET aurora.read_after_lsn = '{row[0]}'")
            assert reader.execute("SELECT count(*) FROM secrets WHERE way = %s", (way,)).fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match=r'server certificate for .* does not match host name "other'):
        encrypted.connect(way, "reader", host="other.example")
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry .* no encryption"):
        encrypted.connect(way, "reader", sslmode="disable")


def _cancelled(connection: psycopg.Connection[Any], cancel: Callable[[], None]) -> None:
    timer = threading.Timer(0.2, cancel)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(20)")
    timer.join()
    assert time.monotonic() - begun < 10


@pytest.fixture
def way(request: pytest.FixtureRequest, encrypted: Encrypted) -> Iterator[str]:
    """One of the ways, with nobody beside it: instances far from each other share no router that is linked to them."""
    apart = request.param == "copied"
    if apart:
        encrypted.cluster.stop(ENDPOINTS)
    yield str(request.param)
    if apart:
        encrypted.cluster.start_endpoints()
        encrypted.cluster.wait_endpoints()


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_cancel_requests_find_their_session(encrypted: Encrypted, way: str) -> None:
    """Each comes on a connection of its own, which the reader endpoint gives to the other reader: in clear text by the
    older call of libpq, inside TLS by the newer one."""
    wait_for(lambda: encrypted.leads(way), "all instances")
    for _ in range(2):
        with encrypted.connect(way, "reader") as connection:
            _cancelled(connection, connection.cancel)
            if psycopg.pq.version() >= 170000:
                _cancelled(connection, lambda: connection.cancel_safe(timeout=10))
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_asyncpg_cancels_inside_tls(encrypted: Encrypted, way: str) -> None:
    wait_for(lambda: encrypted.leads(way), "all instances")
    address, port = encrypted.places[way, "reader"]
    context = ssl.create_default_context(cafile=str(encrypted.authority))
    context.check_hostname = False  # it knows no address apart from the name

    async def run() -> None:
        for _ in range(2):
            connection = await asyncpg.connect(
                host=address, port=int(port), user="postgres", database="postgres", password=PASSWORD, ssl=context
            )
            with pytest.raises(asyncio.TimeoutError):
                await connection.fetchval("SELECT pg_sleep(20)", timeout=0.2)
            begun = time.monotonic()
            assert await connection.fetchval("SELECT 1") == 1  # it waits for the end of the one that was cancelled
            assert time.monotonic() - begun < 10
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("way", WAYS)
def test_failover(encrypted: Encrypted, way: str) -> None:
    wait_for(lambda: encrypted.leads(way), "all instances")
    before = encrypted.writer(way)
    with encrypted.connect(way, "cluster") as old:
        old.execute("CREATE TABLE IF NOT EXISTS kept (way text)")
        old.execute("INSERT INTO kept VALUES (%s)", (way,))
        pid = encrypted.cluster.pid(before)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            old.execute("SELECT 1")

    def served() -> bool:
        """It waits at the endpoint until somebody writes; one that came while the old writer ended is cut off."""
        try:
            return encrypted.writer(way) != before
        except psycopg.OperationalError:
            return False

    wait_for(served, "another writer")
    with encrypted.connect(way, "cluster") as connection:
        assert connection.pgconn.ssl_in_use
        assert connection.execute("SELECT count(*) FROM kept WHERE way = %s", (way,)).fetchone() == (1,)
        connection.execute("INSERT INTO kept VALUES ('after')")
    assert encrypted.cluster.pid(ENDPOINTS) is not None
