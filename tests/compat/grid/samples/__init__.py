"""Random expressions by family, from a seed: what no table of edge values holds.

``FAMILIES``: name → a function that makes one expression from a ``random.Random``. The recorder keeps a sample of each
family with PostgreSQL's answers; with two servers at hand any seed compares them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.compat.grid.samples import moments, numbers, structures, texts

FAMILIES: dict[str, Callable[[random.Random], str]] = {
    each.__name__: each
    for each in (
        numbers.numeric,
        numbers.floats,
        numbers.to_char_number,
        numbers.to_number,
        numbers.bits,
        moments.to_char_moment,
        moments.from_char,
        moments.from_char_text,
        moments.span_text,
        moments.span,
        moments.zones,
        moments.date_text,
        texts.regex,
        texts.patterns,
        texts.text,
        texts.formats,
        structures.ranges,
        structures.arrays,
        structures.jsons,
        structures.paths,
        structures.network,
        structures.shapes,
    )
}
