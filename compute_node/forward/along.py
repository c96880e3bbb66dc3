"""Settings that go along with a transaction: those that its session has changed and that may change what a statement
does. What the reader looks after itself stays with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aurora.errors import UndefinedObject
from compute_node.session.settings import DEFINITIONS

if TYPE_CHECKING:
    from compute_node.session.state import SessionState

_STAYS: Final = frozenset(
    (
        "statement_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout",
        "default_transaction_read_only", "default_transaction_isolation", "default_transaction_deferrable",
        "transaction_read_only", "transaction_isolation", "transaction_deferrable", "client_encoding", "seed",
        "aurora.read_after_lsn", "temp_tablespaces",
    )
)  # fmt: skip
"""Settings that the reader's session acts on, or that mean nothing on the writer."""
_WHO: Final = ("session_authorization", "role")
"""Last, in this order: the other settings are changed with the rights of who logged in."""


def changed(session: SessionState) -> dict[str, str]:
    """Name → text of the settings in force that are not the server's own, in the order to set them."""
    settings = session.settings
    found = {}
    for name in settings.overridden_names():
        setting = DEFINITIONS.get(name)
        if name in _STAYS or name in _WHO or name.startswith("apg_write_forward."):
            continue
        if setting is None or setting.context in ("user", "superuser"):
            found[name] = settings.show(name)
    for name in _WHO:
        found[name] = settings.show(name)
    return found


def bring(session: SessionState, name: str, text: str) -> None:
    """Set one on the writer until its transaction ends. Raises what SET raises."""
    try:
        if session.settings.show(name) == text:
            return
    except UndefinedObject:
        pass  # a custom one that is new here
    session.settings.set(name, text, local=True)
