"""Which paths of a set of relations are kept: those that no other beats in cost, cost of the first row, and order
(PostgreSQL's add_path)."""

from __future__ import annotations

from compute_node.sql.planner.classes import Order
from compute_node.sql.planner.paths import Path

FUZZ = 1.01
"""Costs that differ by less are the same."""
_SAME, _BETTER, _WORSE, _OTHER = range(4)


def costs_compared(new: tuple[float, float], old: tuple[float, float], wants_first: bool, fuzz: float = FUZZ) -> int:
    """(startup, total) of two paths. ``wants_first``: the cost of the first row counts by itself."""
    if new[1] > old[1] * fuzz:
        return _OTHER if wants_first and old[0] > new[0] * fuzz else _WORSE
    if old[1] > new[1] * fuzz:
        return _OTHER if wants_first and new[0] > old[0] * fuzz else _BETTER
    if new[0] > old[0] * fuzz:
        return _WORSE
    return _BETTER if old[0] > new[0] * fuzz else _SAME


def orders_compared(new: Order, old: Order) -> int:
    """Which of two orders begins with the other."""
    if new == old:
        return _SAME
    if len(new) > len(old):
        return _BETTER if new[: len(old)] == old else _OTHER
    return _WORSE if old[: len(new)] == new else _OTHER


def is_hopeless(paths: list[Path], startup: float, total: float, order: Order, wants_first: bool) -> bool:
    """Whether a path that will cost at least so much is beaten by one that is there."""
    for path in paths:
        if total <= path.cost * FUZZ:
            return False
        if wants_first and startup <= path.startup * FUZZ:
            continue
        if orders_compared(order, path.order) in (_SAME, _WORSE):
            return True
    return False


def keep(paths: list[Path], new: Path, wants_first: bool) -> bool:
    """Put a path where it belongs, cheapest first, and take out those that it beats; False: one beats it."""
    mine = (new.startup, new.cost)
    beaten: list[Path] = []
    for old in paths:
        other = (old.startup, old.cost)
        costs = costs_compared(mine, other, wants_first)
        if costs == _OTHER:
            continue
        orders = orders_compared(new.order, old.order)
        if orders == _OTHER:
            continue
        if costs == _SAME:
            if orders == _SAME:
                better = costs_compared(mine, other, wants_first, 1.0000000001) == _BETTER
                if not better:
                    return False
                beaten.append(old)
            elif orders == _BETTER:
                beaten.append(old)
            else:
                return False
        elif costs == _BETTER:
            if orders != _WORSE:
                beaten.append(old)
        elif orders != _BETTER:
            return False
    if beaten:
        paths[:] = [path for path in paths if path not in beaten]
    place = 0
    while place < len(paths) and paths[place].cost <= new.cost:
        place += 1
    paths.insert(place, new)
    return True
