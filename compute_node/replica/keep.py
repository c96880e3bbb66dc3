"""What a reader that becomes the writer keeps of its cache: pages that were not written after what it had applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aurora.kernels.python.arena import Arena


def behind(applied: Mapping[int, int], pg_last: Mapping[int, int]) -> dict[int, int]:
    """The protection groups that have log beyond what was applied → the last LSN that was. Both arguments: each group's
    last LSN."""
    return {pg: applied.get(pg, 0) for pg, last in pg_last.items() if last > applied.get(pg, 0)}


def drop_changed(arena: Arena, pg_of: Callable[[int], int], pg: int, changed: set[int] | None) -> None:
    """Drop the group's pages that its newer log has ``changed``; None: nobody knows which, so all of them."""
    for page_no in [int(page_no) for page_no in arena.page_of if page_no >= 0]:
        if pg_of(page_no) == pg and (changed is None or page_no in changed):
            arena.drop(page_no)
