"""Choice among candidate signatures: the common rules of operator and function resolution (manual 10.2 and 10.3)."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.sql.analyze.coercion import can_coerce
from compute_node.sql.catalog_view import CatalogView
from compute_node.types import oids


def select_candidate(
    catalog: CatalogView, types: Sequence[int], signatures: Sequence[Sequence[int]]
) -> tuple[int | None, bool]:
    """Index of the best signature for the argument types, or None with whether several were equally good."""
    usable = [index for index, item in enumerate(signatures) if can_coerce(catalog, types, item, "i")]
    if not usable:
        return None, False
    if len(usable) == 1:
        return usable[0], False
    roots = [catalog.type(item).root.oid for item in types]
    best = _best(catalog, roots, [(index, signatures[index]) for index in usable])
    return best, best is None


def _best(catalog: CatalogView, types: Sequence[int], candidates: list[tuple[int, Sequence[int]]]) -> int | None:
    """Rules 4a–4f of the manual, each narrowing the candidates; None when several remain."""
    unknown = oids.UNKNOWN

    def keep_most(score: list[int], required: bool) -> list[tuple[int, Sequence[int]]]:
        most = max(score)
        if most == 0 and not required:
            return candidates
        return [item for item, value in zip(candidates, score, strict=True) if value == most]

    exact = [sum(one == other != unknown for one, other in zip(types, item, strict=True)) for _, item in candidates]
    candidates = keep_most(exact, required=True)
    if len(candidates) == 1:
        return candidates[0][0]

    categories = ["" if one == unknown else catalog.type(one).category for one in types]
    score = []
    for _, item in candidates:
        value = 0
        for one, declared, category in zip(types, item, categories, strict=True):
            if one == unknown:
                continue
            if one == declared or (catalog.type(declared).preferred and catalog.type(declared).category == category):
                value += 1
        score.append(value)
    candidates = keep_most(score, required=True)
    if len(candidates) == 1:
        return candidates[0][0]
    if unknown not in types:
        return None

    slots: list[tuple[str, bool]] = []
    for position, one in enumerate(types):
        if one != unknown:
            slots.append(("", False))
            continue
        seen: dict[str, bool] = {}
        for _, item in candidates:
            kind = catalog.type(item[position])
            seen[kind.category] = seen.get(kind.category, False) or kind.preferred
        if "S" in seen:
            slots.append(("S", seen["S"]))
        elif len(seen) == 1:
            slots.append(next(iter(seen.items())))
        else:
            slots = []
            break
    if slots:
        kept = []
        for candidate in candidates:
            for one, declared, (category, has_preferred) in zip(types, candidate[1], slots, strict=True):
                if one != unknown:
                    continue
                kind = catalog.type(declared)
                if kind.category != category or (has_preferred and not kind.preferred):
                    break
            else:
                kept.append(candidate)
        if kept:
            candidates = kept
        if len(candidates) == 1:
            return candidates[0][0]

    known = {one for one in types if one != unknown}
    if len(known) == 1:
        assumed = [next(iter(known))] * len(types)
        fitting = [item for item in candidates if can_coerce(catalog, assumed, item[1], "i")]
        if len(fitting) == 1:
            return fitting[0][0]
    return None
