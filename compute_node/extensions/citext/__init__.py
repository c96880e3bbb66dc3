"""citext: text whose comparisons, patterns and hashes look at lower-case letters alone (manual, F.10)."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aurora.datum import Datum
from aurora.kernels import values
from compute_node.extensions.library import ORDERS, base_type, define
from compute_node.types import ctype, oids
from compute_node.types.registry import REGISTRY

_lower: Final = ctype.lower


def _key(value: str) -> bytes:
    return _lower(value).encode()


base_type(
    replace(REGISTRY.types[oids.TEXT], sort_value=_lower, sort_key=_key),
    "citextin", "citextout", "citextrecv", "citextsend",
)  # fmt: skip


def _compared(compare: Callable[[str, str], Datum]) -> Callable[[str, str], Datum]:
    return lambda one, other: compare(_lower(one), _lower(other))


def _order(one: str, other: str) -> int:
    return (one > other) - (one < other)


def _signed(value: int) -> int:
    return (value ^ 1 << 63) - (1 << 63)


for _word, _compare in (
    ("eq", operator.eq), ("ne", operator.ne), ("lt", operator.lt), ("le", operator.le), ("gt", operator.gt),
    ("ge", operator.ge), ("cmp", _order),
):  # fmt: skip
    define(f"citext_{_word}", 2, _compared(_compare))
    if _word not in ("eq", "ne"):
        define(f"citext_pattern_{_word}", 2, _compared(_compare))
define("citext_smaller", 2, lambda one, other: one if _lower(one) < _lower(other) else other)
define("citext_larger", 2, lambda one, other: one if _lower(one) > _lower(other) else other)
define("citext_hash", 1, lambda value: values.hash_text(_lower(value)))
define("citext_hash_extended", 2, lambda value, seed: _signed(values.hash_bytes(_key(value), seed)))
ORDERS.update(citext_cmp="citext_cmp", citext_pattern_cmp="citext_cmp")
for _symbol, _oid in (("rtrim1", 401), ("booltext", 2971), ("network_show", 730)):
    _text = REGISTRY.functions[_oid]
    define(f"citext_{_symbol}", 1, _text.implementation, needs_context=_text.needs_context)
