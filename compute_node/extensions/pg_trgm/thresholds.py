"""The settings that say how alike texts must be for the operators of likeness."""

from __future__ import annotations

from typing import Final

from compute_node.access.index_access import Settings

PREFIX: Final = "pg_trgm."


def threshold(settings: Settings, name: str) -> float:
    """What a session has set, from 0 to 1."""
    return float(settings(PREFIX + name, False) or 0.0)
