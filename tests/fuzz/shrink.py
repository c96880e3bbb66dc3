"""Decisions made simpler as long as something stays true of what they lead to: fewer of them, smaller ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def shrunk(made: Sequence[int], fails: Callable[[Sequence[int]], Sequence[int] | None], attempts: int) -> list[int]:
    """The simplest decisions found. ``fails`` gives those that were made of what it was offered, if it still fails."""
    best = list(made)
    left = attempts

    def better(offered: list[int]) -> bool:
        nonlocal best, left
        if left <= 0:
            return False
        left -= 1
        used = fails(offered)
        if used is None or (len(used), sum(used), list(used)) >= (len(best), sum(best), best):
            return False
        best = list(used)
        return True

    improved = True
    while improved and left > 0:
        improved = False
        size = max(1, len(best) // 2)
        while size:
            at = 0
            while at < len(best) and left > 0:
                if better(best[:at] + best[at + size :]):
                    improved = True
                else:
                    at += size
            size //= 2
        for at in range(len(best)):
            for lower in (0, best[at] // 2 if at < len(best) else 0, best[at] - 1 if at < len(best) else 0):
                if at < len(best) and 0 <= lower < best[at] and better([*best[:at], lower, *best[at + 1 :]]):
                    improved = True
                    break
    return best
