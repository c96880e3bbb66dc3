"""Certificates for mutual TLS between compute and storage: ``aurora certs``.

Input: a folder, names of hosts → output: a certificate authority (CA) and one certificate with its key for each role,
PEM, keys readable by their owner alone::

    DIR/ca.crt        DIR/ca.key        the authority; its key is needed to make more certificates only
    DIR/storage.crt   DIR/storage.key   for storage nodes: as server, and as client of their peers
    DIR/compute.crt   DIR/compute.key   for compute instances and ``aurora status``: as client alone

A compute certificate is no server certificate, so a compute instance cannot pass for a storage node. Files that are
there are never written over. Next stage: ``aurora.rpc.tls``.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aurora.rpc.tls import INSTANCE_NAME, TlsFiles

AUTHORITY = "ca"
ROLES = {
    "storage": (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    "compute": (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
}
"""Role → what its certificate may be used for. That of compute names no host (``INSTANCE_NAME``)."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
DAYS_DEFAULT = 365
_SKEW = datetime.timedelta(minutes=5)
"""Certificates count from a little earlier on: the clocks of two hosts differ."""


class CertificatesExist(Exception):
    """The folder holds certificates or keys already; nothing was written."""


def tls_files(folder: Path, role: str) -> TlsFiles:
    """The files of a role in a folder that ``make`` filled."""
    return TlsFiles(folder / f"{AUTHORITY}.crt", folder / f"{role}.crt", folder / f"{role}.key")


def complete(folder: Path) -> bool:
    """Whether a folder holds all that ``make`` writes."""
    return all(path.exists() for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return [folder / f"{stem}.{kind}" for stem in (AUTHORITY, *ROLES) for kind in ("crt", "key")]


def make(folder: Path, names: Sequence[str] = (), days: int = DAYS_DEFAULT) -> list[Path]:
    """Write a new authority and a certificate for each role, that of storage good for loopback and ``names`` (host
    names or IP addresses), for ``days``; the files written. CertificatesExist when one of them is there already,
    ValueError for a name that is none.
    """
    if days < 1:
        raise ValueError(f"certificates must be good for a day at least, not for {days}")
    alternatives = [_general_name(name) for name in dict.fromkeys((*LOOPBACK_NAMES, *names))]
    files = _files(folder)
    present = [path.name for path in files if path.exists()]
    if present:
        raise CertificatesExist(f"{folder} holds {', '.join(present)} already; nothing was written")
    folder.mkdir(parents=True, exist_ok=True)
    start = datetime.datetime.now(datetime.UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key, start, days)
    _write(folder, AUTHORITY, authority, authority_key)
    named: dict[str, list[x509.GeneralName]] = {"storage": alternatives, "compute": [x509.DNSName(INSTANCE_NAME)]}
    for role, usages in ROLES.items():
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(f"aurora {role}", authority.subject, key.public_key(), start, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(named[role]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        _write(folder, role, builder.sign(authority_key, hashes.SHA256()), key)
    return files


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not name or not name.isascii() or any(c.isspace() or c in ":/" for c in name):
            raise ValueError(f"{name!r} is neither a host name nor an IP address") from None
        return x509.DNSName(name)


def _builder(
    name: str, issuer: x509.Name | None, key: ec.EllipticCurvePublicKey, start: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _SKEW)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(key: ec.EllipticCurvePrivateKey, start: datetime.datetime, days: int) -> x509.Certificate:
    # Two authorities must not share a name: a verifier would look for one's key under the other's.
    name = f"aurora authority {x509.random_serial_number():x}"[:64]
    return (
        _builder(name, None, key.public_key(), start, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _write(folder: Path, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _create(folder / f"{stem}.key", pem, 0o600)
    _create(folder / f"{stem}.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _create(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
