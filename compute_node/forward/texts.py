"""Where a statement is in its text: that of PREPARE and EXPLAIN stands behind their own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pglast.parser import scan

if TYPE_CHECKING:
    from compute_node.session.engine import OptionValue

_OPEN, _CLOSE = "ASCII_40", "ASCII_41"


def inner_start(text: str) -> int:
    """The offset in characters of what PREPARE … AS or EXPLAIN … stands before; 0 when the text begins with neither."""
    head = text.lstrip()[:7].upper()
    if head not in ("PREPARE", "EXPLAIN") and not text.lstrip().startswith(("--", "/*")):
        return 0
    tokens = [token for token in scan(text) if token.name not in ("SQL_COMMENT", "C_COMMENT")]
    if not tokens or tokens[0].name not in ("PREPARE", "EXPLAIN"):
        return 0
    at = 1
    if tokens[0].name == "PREPARE":
        depth = 0
        while tokens[at].name != "AS" or depth:
            depth += (tokens[at].name == _OPEN) - (tokens[at].name == _CLOSE)
            at += 1
        return int(tokens[at + 1].start)
    if tokens[at].name == _OPEN and tokens[at + 1].name not in ("SELECT", "WITH", "VALUES", "TABLE", _OPEN):
        while tokens[at].name != _CLOSE:
            at += 1
        return int(tokens[at + 1].start)
    while tokens[at].name in ("ANALYZE", "ANALYSE", "VERBOSE"):
        at += 1
    return int(tokens[at].start)


def explain(options: Mapping[str, OptionValue], text: str) -> str:
    """EXPLAIN with these options of a statement."""
    words = [f"{name} {value if isinstance(value, str) else str(value).lower()}" for name, value in options.items()]
    return f"EXPLAIN ({', '.join(words)}) {text}"
