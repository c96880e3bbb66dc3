"""Mutual TLS between compute and storage: files → what gRPC and our own streams take to speak it.

Either side shows a certificate of the one authority, or there is no connection. TLS 1.2 or newer; ALPN ``h2``, as gRPC
wants it. The files are read once, when a process starts (``load``); new certificates count from its next start.
``aurora.programs.certs`` makes them. Next stage: ``aurora.rpc.channels``, ``aurora.rpc.stream_server``.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

INSTANCE_NAME: Final = "instance.aurora.internal"
"""Whom an instance's certificate names: whoever calls an instance looks for it in place of the host. So a compute
instance can serve others and cannot pass for a storage node, whose clients look for the node's host."""
HANDSHAKE_TIMEOUT_S = 10.0
"""How long a client may take to prove who it is."""
SHUTDOWN_TIMEOUT_S = 2.0
"""How long a closed connection waits for the peer's farewell."""

logger = logging.getLogger(__name__)


class TlsUnusable(Exception):
    """The files do not make a TLS identity; the message names what is wrong."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authority's certificate, this process's certificate, and its key."""

    ca: Path
    certificate: Path
    key: Path


def files_of(ca: Path | None, certificate: Path | None, key: Path | None, flags: str) -> TlsFiles | None:
    """All three or none; ValueError otherwise. ``flags`` names them in the message."""
    if ca is None and certificate is None and key is None:
        return None
    if ca is None or certificate is None or key is None:
        raise ValueError(f"{flags} go together")
    return TlsFiles(ca, certificate, key)


_PLAIN_WORDS: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not of this authority, or not good now",
    "HTTP_REQUEST": "it does not speak TLS",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
}
"""What the commonest of OpenSSL's reasons mean."""


class _ServerSide(ssl.SSLObject):
    """The server's end of one connection: says why it refuses a client, which asyncio does not."""

    def do_handshake(self) -> None:
        """See ``ssl.SSLObject.do_handshake``."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            logger.warning("log port: a client is refused: %s", _PLAIN_WORDS.get(error.reason, error))
            raise


class Tls:
    """A process's identity: what its servers and its clients speak TLS with."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files; TlsUnusable when one is missing, or they do not fit together."""
        try:
            self._authority = files.ca.read_bytes()
            self._certificate = files.certificate.read_bytes()
            self._key = files.key.read_bytes()
            self.client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            for context in (self.client_context, self.server_context):
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(cadata=self._authority.decode("ascii"))
                context.load_cert_chain(files.certificate, files.key)
                context.set_alpn_protocols(["h2"])
            self.server_context.sslobject_class = _ServerSide
        except ssl.SSLError as error:
            raise TlsUnusable(
                f"{files.certificate}, {files.key}, {files.ca} are no certificate, its key and authority: {error}"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise TlsUnusable(f"TLS files: {error}") from error

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a gRPC server's port: clients must show a certificate of the authority."""
        return grpc.ssl_server_credentials(
            [(self._key, self._certificate)], root_certificates=self._authority, require_client_auth=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a gRPC channel: the server must show a certificate of the authority, good for the address's host."""
        return grpc.ssl_channel_credentials(self._authority, self._key, self._certificate)


_identity: Tls | None = None


def use(tls: Tls | None) -> None:
    """What channels and streams that this process opens from now on speak; None: no TLS. For a program's start."""
    global _identity
    _identity = tls


def identity() -> Tls | None:
    """What ``use`` was told."""
    return _identity
