"""EXPLAIN's options, checked (PostgreSQL manual, EXPLAIN)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from aurora.errors import InvalidParameterValue, SqlSyntaxError

Settings: TypeAlias = dict[str, "bool | str | None"]
"""EXPLAIN's switches; ``form`` is the FORMAT"""
_SWITCHES: Final[Settings] = {
    "analyze": False,
    "verbose": False,
    "costs": True,
    "settings": False,
    "buffers": False,
    "wal": False,
    "timing": True,
    "summary": None,
}


def settings_of(options: Mapping[str, bool | str]) -> Settings:
    """The switches that options make. 42601 for an unknown option, 22023 for a bad value."""
    settings: Settings = dict(_SWITCHES)
    settings["form"] = "text"
    for name, value in options.items():
        if name == "format":
            form = settings["form"] = str(value).lower()
            if form not in ("text", "json", "xml", "yaml"):
                raise InvalidParameterValue(f'unrecognized value for EXPLAIN option "format": "{value}"')
        elif name not in _SWITCHES:
            raise SqlSyntaxError(f'unrecognized EXPLAIN option "{name}"')
        elif not isinstance(value, bool):
            raise SqlSyntaxError(f"{name} requires a Boolean value")
        else:
            settings[name] = value
    for name in ("wal", "timing"):
        if name in options and settings[name] and not settings["analyze"]:
            raise InvalidParameterValue(f"EXPLAIN option {name.upper()} requires ANALYZE")
    return settings
