"""Where a session's connection comes from and leads to: inet_client_addr, inet_server_addr and their ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.types.network import inet_in

if TYPE_CHECKING:
    from compute_node.catalog.functions.call import Call
    from compute_node.session.state import SessionState


def client_of(session: SessionState) -> Datum:
    """A client's address as an inet value; None when it is not known."""
    return _inet(session, session.client_address)


def _inet(session: SessionState, text: str | None) -> Datum:
    return None if text is None else inet_in(text.partition("%")[0], -1, session.env)


def _port(port: int) -> int | None:
    return None if port < 0 else port


def _server(call: Call, which: int) -> Datum:
    where = call.session.port.local_address
    if where is None:
        return None
    return _inet(call.session, where[0]) if which == 0 else where[1]


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "inet_client_addr": lambda call: client_of(call.session),
    "inet_client_port": lambda call: _port(call.session.client_port),
    "inet_server_addr": lambda call: _server(call, 0),
    "inet_server_port": lambda call: _server(call, 1),
}
