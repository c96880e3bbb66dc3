"""SSLRequest with a certificate: TLS under the same connection, with passwords inside it."""

from __future__ import annotations

import datetime
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support_server import serve_engine
from test_session_protocol import connect
from wire_fakes import FakeEngine, FakeRoles, serve

from compute_node.wire import scram
from compute_node.wire.hba import DEFAULT_PASSWORD, DEFAULT_TRUST
from compute_node.wire.server import Server, WireConfig


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500)).sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_path, key_path = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


@pytest.mark.parametrize("trusted", [True, False])
def test_tls(certificate: tuple[Path, Path], trusted: bool) -> None:
    verifier = scram.make_verifier("right", bytes(16)).text()

    async def body(server: Server, _: FakeEngine) -> None:
        db = await connect(server, user="alice", password="right", sslmode="require", channel_binding="disable")
        assert db.pgconn.ssl_in_use
        assert len(await (await db.execute("select series(9000)")).fetchall()) == 9000
        plain = await connect(server, user="alice", password="right", sslmode="disable")
        assert not plain.pgconn.ssl_in_use

    cert, key = certificate
    serve(
        body,
        WireConfig(port=0, tls_cert=cert, tls_key=key, default_rules=DEFAULT_TRUST if trusted else DEFAULT_PASSWORD),
        FakeRoles(alice=verifier),
    )


@pytest.mark.parametrize("has_certificate", [True, False])
def test_rds_force_ssl_refuses_who_comes_in_the_clear(certificate: tuple[Path, Path], has_certificate: bool) -> None:
    async def body(server: Server, _: object) -> None:
        admin = await connect(server, sslmode="prefer")
        await admin.execute("ALTER SYSTEM SET rds.force_ssl = 1")
        if not has_certificate:  # nobody could come in any more
            await connect(server, sslmode="disable")
            return
        with pytest.raises(psycopg.OperationalError) as caught:
            await connect(server, sslmode="disable")
        assert 'no pg_hba.conf entry for host "127.0.0.1", user "postgres", database "postgres", no encryption' in str(
            caught.value
        )
        again = await connect(server, sslmode="require")
        assert await (await again.execute("SHOW rds.force_ssl")).fetchall() == [("on",)]
        await again.execute("ALTER SYSTEM RESET rds.force_ssl")
        await connect(server, sslmode="disable")

    cert, key = certificate if has_certificate else (None, None)
    serve_engine(body, WireConfig(port=0, tls_cert=cert, tls_key=key))


@pytest.mark.logs("the certificate stays as it was")
def test_a_reload_shows_the_certificate_that_is_there_now(
    certificate: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As PostgreSQL: who connects from then on sees it; one that cannot be used leaves the old one."""
    from aurora.programs import certs

    cert, key = certificate
    certs.make(tmp_path / "new", ["db.example"])
    files = certs.tls_files(tmp_path / "new", "storage")

    async def body(server: Server, _: object) -> None:
        checked = {"sslmode": "verify-full", "sslrootcert": str(files.ca), "host": "db.example"}
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            await connect(server, hostaddr="127.0.0.1", **checked)
        cert.write_bytes(files.certificate.read_bytes())
        server.reload()  # the key is not its key
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            await connect(server, hostaddr="127.0.0.1", **checked)
        key.write_bytes(files.key.read_bytes())
        server.reload()
        db = await connect(server, hostaddr="127.0.0.1", **checked)
        assert db.pgconn.ssl_in_use

    serve_engine(body, WireConfig(port=0, tls_cert=cert, tls_key=key))
    assert "the certificate stays as it was" in caplog.text
