"""tablefunc: functions whose rows are made of another query's (manual, F.43).

``source`` runs the queries and makes rows of texts; ``crosstab`` turns rows into columns, ``connectby`` walks a tree.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from aurora.errors import InvalidParameterValue
from compute_node.extensions.library import define
from compute_node.extensions.tablefunc import connectby, crosstab
from compute_node.types.long_text import paced

__all__ = ["connectby", "crosstab"]

_NUMBERS = random.SystemRandom()


def _normal_rand(count: int, mean: float, deviation: float) -> Iterator[float]:
    if count < 0:
        raise InvalidParameterValue("number of rows cannot be negative")
    return (_NUMBERS.gauss(mean, deviation) for _ in paced(range(count)))


define("normal_rand", 3, _normal_rand)
