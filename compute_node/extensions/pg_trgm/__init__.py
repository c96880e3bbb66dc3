"""pg_trgm: how alike texts are, by their trigrams (manual, F.33).

``trigrams`` of a text → ``similarity`` of two → the operators, which are here, with their ``thresholds``.
``patterns`` → trigrams that a text must have; ``index_classes`` finds rows by them, with GIN and GiST
(``signatures``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue
from compute_node.extensions.library import define
from compute_node.extensions.pg_trgm import index_classes
from compute_node.extensions.pg_trgm.similarity import similarity, word_similarity
from compute_node.extensions.pg_trgm.thresholds import PREFIX, threshold
from compute_node.extensions.pg_trgm.trigrams import order, shown, trigrams
from compute_node.types.registry import FunctionContext

Measure = Callable[[str, str], float]

index_classes.declare()


def _set_limit(context: FunctionContext, limit: float) -> float:
    if not 0 <= limit <= 1:
        name = f'"{PREFIX}similarity_threshold"'
        raise InvalidParameterValue(f"{limit:g} is outside the valid range for parameter {name} (0 .. 1)")
    context.session.set_setting(f"{PREFIX}similarity_threshold", f"{limit:g}", False)
    return _show_limit(context)


def _show_limit(context: FunctionContext) -> float:
    return float(np.float32(threshold(context.session.get_setting, "similarity_threshold")))


def _reaches(measure: Measure, setting: str, swapped: bool, context: FunctionContext, one: str, other: str) -> Datum:
    return (measure(other, one) if swapped else measure(one, other)) >= threshold(context.session.get_setting, setting)


def _distance(measure: Measure, swapped: bool, one: str, other: str) -> float:
    found = measure(other, one) if swapped else measure(one, other)
    return float(np.float32(1) - np.float32(found))


define("set_limit", 1, _set_limit, needs_context=True)
define("show_limit", 0, _show_limit, needs_context=True)
define("show_trgm", 1, lambda text: [shown(each) for each in sorted(trigrams(text), key=order)])
for _name, _measure in (
    ("similarity", similarity),
    ("word_similarity", word_similarity),
    ("strict_word_similarity", partial(word_similarity, strict=True)),
):
    define(_name, 2, _measure)
    for _swapped, _side in ((False, ""), (True, "_commutator")):
        if _side and _name == "similarity":
            continue
        _operator = partial(_reaches, _measure, f"{_name}_threshold", _swapped)
        define(f"{_name}{_side}_op", 2, _operator, needs_context=True)
        _dist = f"{_name}_dist" if _name == "similarity" else f"{_name}_dist{_side}_op"
        define(_dist, 2, partial(_distance, _measure, _swapped))
