"""The settings that say how alike texts must be for the operators of likeness."""

from __future__ import annotations

from typing import Final

from compute_node.access.index_access import Settings

PREFIX: Final = "pg_trgm."
_DEFAULTS: Final = {
    "similarity_threshold": 0.3, "word_similarity_threshold": 0.6, "strict_word_similarity_threshold": 0.5,
}  # fmt: skip
"""setting → what it is as long as nobody has set it"""


def threshold(settings: Settings, name: str) -> float:
    """What a session has set, from 0 to 1."""
    text = settings(PREFIX + name, True)
    return float(text) if text else _DEFAULTS[name]
