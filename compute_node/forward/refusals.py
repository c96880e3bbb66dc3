"""What is not forwarded though the writer could run it: Aurora's list (user guide, "Limitations of local write
forwarding in Aurora PostgreSQL")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pglast import ast

from aurora.errors import NotSupported
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.session.prepare import parse_text
from compute_node.sql.parse import LONG_TEXT

if TYPE_CHECKING:
    from compute_node.session.state import SessionState
    from compute_node.session.statement import Statement

_BUILT_IN: Final = {1574: "nextval", 1576: "setval", 1765: "setval", 2078: "set_config"}
_HINT: Final = "Connect to the writer, or use the cluster's endpoint."


def check(session: SessionState, statement: Statement, text: str) -> None:
    """0A000 for a statement that is not forwarded."""
    if session.savepoints:
        raise NotSupported("a statement within a savepoint cannot be forwarded to the writer", hint=_HINT)
    for oid in statement.executable.planned.privileges.functions:
        name = _BUILT_IN.get(oid)
        if name is None and oid < FIRST_NORMAL_OID:
            continue
        if name is None:
            name = session.engine.catalog.view(session).function(oid).name
        # Defaults, views and triggers may call what they like: they run on the writer. What the text itself calls …
        if calls(text, name):
            if oid < FIRST_NORMAL_OID:
                raise NotSupported(f"{name}() cannot be forwarded to the writer", hint=_HINT)
            raise NotSupported(
                f"a statement that calls the user-defined function {name}() cannot be forwarded to the writer",
                hint=_HINT,
            )


def calls(text: str, name: str) -> bool:
    """Whether the text calls a function of that name."""
    if not re.search(rf'\b{re.escape(name)}"?\s*\(', text, re.IGNORECASE):
        return False
    if len(text) > LONG_TEXT:
        return True
    return any(name in _called(raw.node) for raw in parse_text(text.encode())[1])


def _called(node: object) -> Iterator[str]:
    if isinstance(node, tuple):
        for item in node:
            yield from _called(item)
    elif isinstance(node, ast.Node):
        if isinstance(node, ast.FuncCall):
            yield node.funcname[-1].sval
        for slot in node:
            yield from _called(getattr(node, slot))
