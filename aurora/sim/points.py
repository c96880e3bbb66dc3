"""The fault points in the code (``aurora/buggify.py``): which there are, and which fire in a run.

In a run each point is active with ``ACTIVE``, and an active one fires each time with a chance of its own, drawn from
``FIRES``; both come from the seed and the point's name alone, so that a new point changes no other's luck.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from pathlib import Path
from typing import Final

ACTIVE: Final = 0.25
FIRES: Final = (0.05, 0.25)
PROGRAMS: Final = ("aurora", "compute_node", "storage_node")
_ROOT: Final = Path(__file__).parents[2]


class Luck:
    """The chooser of one run. ``fired`` counts."""

    def __init__(self, seed: int) -> None:
        self.fired: Counter[str] = Counter()
        self._seed = seed
        self._points: dict[str, tuple[float, random.Random]] = {}

    def __call__(self, point: str) -> bool:
        known = self._points.get(point)
        if known is None:
            rng = random.Random(f"{self._seed}/buggify {point}")
            known = self._points[point] = (rng.uniform(*FIRES) if rng.random() < ACTIVE else 0.0, rng)
        chance, rng = known
        if not chance or rng.random() >= chance:
            return False
        self.fired[point] += 1
        return True


def points() -> list[tuple[str, str]]:
    """``(name, file:line)`` of every fault point in the programs' sources, by name."""
    found = []
    for program in PROGRAMS:
        for path in sorted((_ROOT / program).rglob("*.py")):
            text = path.read_text()
            if "buggify(" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "buggify":
                    name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
                    found.append((str(name), f"{path.relative_to(_ROOT).as_posix()}:{node.lineno}"))
    return sorted(found)
