"""How deeply JSON may be nested."""

from __future__ import annotations

from typing import Final

from aurora.errors import SqlError, StatementTooComplex

STACK_KB: Final = 2048
LEVELS_A_KB: Final = 7
"""Levels of arrays and objects that may be open for each kB of max_stack_depth: about as many as in PostgreSQL."""


def stack_depth_exceeded(stack_kb: int = STACK_KB) -> SqlError:
    """54001, as PostgreSQL words it."""
    return StatementTooComplex(
        "stack depth limit exceeded",
        hint=f'Increase the configuration parameter "max_stack_depth" (currently {stack_kb}kB), '
        "after ensuring the platform's stack depth limit is adequate.",
    )
