"""How alike two texts are by their trigrams: whole texts, or the part of one that is most alike (manual, F.33)."""

from __future__ import annotations

from typing import Final

import numpy as np

from compute_node.extensions.pg_trgm.trigrams import in_order, trigrams
from compute_node.hub import HUB

_PULSE_EVERY: Final = 64


def _ratio(common: int, one: int, other: int) -> float:
    """In four bytes, as the type real has it."""
    return float(np.float32(common) / np.float32(one + other - common))


def similarity(one: str, other: str) -> float:
    """Common trigrams of all that either has."""
    first, second = trigrams(one), trigrams(other)
    if not first or not second:
        return 0.0
    return _ratio(len(first & second), len(first), len(second))


def word_similarity(pattern: str, text: str, strict: bool = False) -> float:
    """The greatest similarity of the pattern's trigrams and those of a part of the text; ``strict``: a part of whole
    words. The part grows to the right, and loses on the left what makes it less alike."""
    wanted, words = trigrams(pattern), in_order(text)
    sequence = words.trigrams
    if not wanted or not sequence:
        return 0.0
    count_wanted = len(wanted & set(sequence)) + len(wanted - set(sequence))
    last: dict[bytes, int] = {}
    size = common = 0
    lower = 0 if strict else -1
    best = 0.0
    for at, each in enumerate(sequence):
        if at % _PULSE_EVERY == 0:
            HUB.pulse()
        if lower >= 0 or each in wanted:
            if each not in last:
                size += 1
                common += each in wanted
            last[each] = at
        if (at not in words.ends) if strict else each not in wanted:
            continue
        if lower == -1:
            lower, size = at, 1
        current = _ratio(common, count_wanted, size)
        before, rest_size, rest_common = lower, size, common
        for begin in range(lower, at + 1):
            if not strict or begin in words.starts:
                tried = _ratio(rest_common, count_wanted, rest_size)
                if tried > current:
                    current, size, lower, common = tried, rest_size, begin, rest_common
            if last.get(sequence[begin]) == begin:
                rest_size -= 1
                rest_common -= sequence[begin] in wanted
        best = max(best, current)
        for begin in range(before, lower):
            if last.get(sequence[begin]) == begin:
                del last[sequence[begin]]
    return best
