"""The cluster's secret: what a client shows a storage node, or another instance, that does not speak mutual TLS.

It is made when the cluster is, kept in a file of its owner's alone, and sent with each call and stream as
``authorization: Bearer …``. It keeps other users and processes of this machine out; who can read the traffic reads it
too, so nodes that listen beyond loopback need mutual TLS (``aurora.rpc.tls``).
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

HEADER: Final = "authorization"
LENGTH_MIN: Final = 32
REFUSAL: Final = "this port asks for its cluster's secret"


class SecretUnusable(Exception):
    """The file holds no secret; the message says why."""


def make(path: Path) -> str:
    """Write a new secret to a file that only its owner can read."""
    secret = secrets.token_urlsafe(32)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)
    return secret


def read(path: Path) -> str:
    """The secret in a file; SecretUnusable when there is none, or others can read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretUnusable(f"the cluster's secret: {error}") from error
    if stat.S_ISREG(mode) and mode & (stat.S_IROTH | stat.S_IWOTH):
        raise SecretUnusable(f"the cluster's secret {path} can be read by everybody; chmod 600 it")
    if len(text) < LENGTH_MIN or not text.isprintable() or " " in text:
        raise SecretUnusable(f"the cluster's secret {path} has fewer than {LENGTH_MIN} printable characters")
    return text


def header(secret: str) -> str:
    """The value of ``HEADER``."""
    return f"Bearer {secret}"


def fits(secret: str | None, shown: str | None) -> bool:
    """Whether a client that shows this header may come in; without a secret everybody may."""
    return secret is None or hmac.compare_digest(header(secret).encode(), (shown or "").encode())


Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]]


class SecretCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without the secret (UNAUTHENTICATED)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        # On the wire a refusal is the same for every kind of call.
        self._refuse = grpc.stream_stream_rpc_method_handler(_refuse)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler:
        """See ``grpc.aio.ServerInterceptor``."""
        shown = dict(handler_call_details.invocation_metadata).get(HEADER)
        return await continuation(handler_call_details) if fits(self._secret, shown) else self._refuse


async def _refuse(_requests: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, REFUSAL)


class _Call:
    """One method of a stub, called with the secret."""

    __slots__ = ("_metadata", "_method")

    def __init__(self, method: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        self._method, self._metadata = method, metadata

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._method(*arguments, metadata=self._metadata, **options)

    def future(self, *arguments: Any, **options: Any) -> Any:
        """The same, not waited for (blocking channels)."""
        return self._method.future(*arguments, metadata=self._metadata, **options)


class SecretStub:
    """A stub of any service whose calls show the secret."""

    def __init__(self, stub: object, secret: str) -> None:
        self._stub = stub
        self._metadata = ((HEADER, header(secret)),)

    def __getattr__(self, name: str) -> _Call:
        call = _Call(getattr(self._stub, name), self._metadata)
        setattr(self, name, call)
        return call


_held: str | None = None


def use(secret: str | None) -> None:
    """What the clients of this process show from now on. For a program's start."""
    global _held
    _held = secret


def held() -> str | None:
    """What ``use`` was told."""
    return _held
