"""hstore's operators and functions over keys, texts and arrays (manual, F.18.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from aurora.datum import Datum
from aurora.errors import ArraySubscriptError
from compute_node.extensions.hstore.texts import to_json
from compute_node.extensions.hstore.value import Hstore, null_key, sort_key
from compute_node.extensions.library import define
from compute_node.types.array_value import Array, dimensions, flatten, lower_bounds, map_elements
from compute_node.types.hashes import hash_bytes, hash_bytes_extended
from compute_node.types.json.parse import parse
from compute_node.types.long_text import paced

_WRONG_SUBSCRIPTS = "wrong number of array subscripts"


def _keyed(pairs: Iterable[tuple[Datum, Datum]]) -> Iterator[tuple[str, str | None]]:
    for key, text in paced(pairs):
        if key is None:
            raise null_key()
        yield key, text


def _given(keys: Array) -> Iterator[str]:
    """The keys that are not NULL."""
    return (key for key in flatten(keys) if key is not None)


# makers


def _from_text(key: str | None, text: str | None) -> Hstore | None:
    return None if key is None else Hstore({key: text})


def _from_array(value: Array) -> Hstore:
    sizes = dimensions(value)
    if len(sizes) == 1 and sizes[0] % 2:
        raise ArraySubscriptError("array must have even number of elements")
    if len(sizes) == 2 and sizes[1] != 2:
        raise ArraySubscriptError("array must have two columns")
    if len(sizes) > 2:
        raise ArraySubscriptError(_WRONG_SUBSCRIPTS)
    elements = flatten(value)
    return Hstore.of(_keyed(zip(elements, elements, strict=True)))


def _from_arrays(keys: Array | None, texts: Array | None) -> Hstore | None:
    if keys is None:
        return None
    if len(dimensions(keys)) > 1 or (texts is not None and len(dimensions(texts)) > 1):
        raise ArraySubscriptError(_WRONG_SUBSCRIPTS)
    if texts is None:
        return Hstore.of(_keyed((key, None) for key in keys))
    if len(keys) != len(texts) or lower_bounds(keys) != lower_bounds(texts):
        raise ArraySubscriptError("arrays must have same bounds")
    return Hstore.of(_keyed(zip(keys, texts, strict=True)))


# what is in it


def fetch(value: Hstore, key: str) -> str | None:
    """``value -> key``."""
    return value.pairs.get(key)


def _exists(value: Hstore, key: str) -> bool:
    return key in value.pairs


def _exists_any(value: Hstore, keys: Array) -> bool:
    return any(key in value.pairs for key in _given(keys))


def _exists_all(value: Hstore, keys: Array) -> bool:
    return all(key in value.pairs for key in _given(keys))


def _contains(value: Hstore, part: Hstore) -> bool:
    pairs = value.pairs
    return all(key in pairs and pairs[key] == text for key, text in paced(part.pairs.items()))


def _slice_to_array(value: Hstore, keys: Array) -> Array:
    return map_elements(keys, lambda key: None if key is None else value.pairs.get(key))


def _slice(value: Hstore, keys: Array) -> Hstore:
    pairs = value.pairs
    return Hstore.of_mapping({key: pairs[key] for key in _given(keys) if key in pairs})


def _matrix(value: Hstore) -> Array:
    return [[key, text] for key, text in paced(value.pairs.items())]


def _flat(value: Hstore) -> Array:
    return [each for pair in paced(value.pairs.items()) for each in pair]


# changed copies


def _without(value: Hstore, drop: Callable[[str, str | None], bool]) -> Hstore:
    return Hstore({key: text for key, text in paced(value.pairs.items()) if not drop(key, text)})


def _delete(value: Hstore, key: str) -> Hstore:
    return _without(value, lambda each, _: each == key)


def _delete_array(value: Hstore, keys: Array) -> Hstore:
    unwanted = frozenset(_given(keys))
    return _without(value, lambda each, _: each in unwanted)


def _delete_pairs(value: Hstore, other: Hstore) -> Hstore:
    unwanted = other.pairs
    return _without(value, lambda key, text: key in unwanted and unwanted[key] == text)


def _concat(value: Hstore, other: Hstore) -> Hstore:
    if not value.pairs or not other.pairs:
        return value if value.pairs else other
    return Hstore.of_mapping({**value.pairs, **other.pairs})


def store(value: Hstore | None, key: str, text: str | None) -> Hstore:
    """The value with that text under the key; of NULL one that has no other key."""
    return Hstore.of_mapping({**(value.pairs if value is not None else {}), key: text})


# order and hashes


def _signed(number: int, bits: int) -> int:
    return (number ^ 1 << bits - 1) - (1 << bits - 1)


def _compare(one: Hstore, other: Hstore) -> int:
    first, second = sort_key(one), sort_key(other)
    return (first > second) - (first < second)


def _hash(value: Hstore) -> int:
    return _signed(hash_bytes(value.data), 32)


def _hash_extended(value: Hstore, seed: int) -> int:
    return _signed(hash_bytes_extended(value.data, seed), 64)


for _symbol, _arguments, _code in (
    ("hstore_version_diag", 1, lambda value: 2),
    ("hstore_from_text", 2, _from_text),
    ("hstore_from_array", 1, _from_array),
    ("hstore_from_arrays", 2, _from_arrays),
    ("hstore_fetchval", 2, fetch),
    ("hstore_slice_to_array", 2, _slice_to_array),
    ("hstore_slice_to_hstore", 2, _slice),
    ("hstore_exists", 2, _exists),
    ("hstore_exists_any", 2, _exists_any),
    ("hstore_exists_all", 2, _exists_all),
    ("hstore_defined", 2, lambda value, key: value.pairs.get(key) is not None),
    ("hstore_contains", 2, _contains),
    ("hstore_contained", 2, lambda part, value: _contains(value, part)),
    ("hstore_delete", 2, _delete),
    ("hstore_delete_array", 2, _delete_array),
    ("hstore_delete_hstore", 2, _delete_pairs),
    ("hstore_concat", 2, _concat),
    ("hstore_to_json", 1, to_json),
    ("hstore_to_json_loose", 1, lambda value: to_json(value, loose=True)),
    ("hstore_to_jsonb", 1, lambda value: parse(to_json(value))),
    ("hstore_to_jsonb_loose", 1, lambda value: parse(to_json(value, loose=True))),
    ("hstore_to_array", 1, _flat),
    ("hstore_to_matrix", 1, _matrix),
    ("hstore_akeys", 1, lambda value: list(value.pairs)),
    ("hstore_avals", 1, lambda value: list(value.pairs.values())),
    ("hstore_skeys", 1, lambda value: iter(value.pairs)),
    ("hstore_svals", 1, lambda value: iter(value.pairs.values())),
    ("hstore_each", 1, lambda value: iter(value.pairs.items())),
    ("hstore_cmp", 2, _compare),
    ("hstore_eq", 2, lambda one, other: one.data == other.data),
    ("hstore_ne", 2, lambda one, other: one.data != other.data),
    ("hstore_lt", 2, lambda one, other: _compare(one, other) < 0),
    ("hstore_le", 2, lambda one, other: _compare(one, other) <= 0),
    ("hstore_gt", 2, lambda one, other: _compare(one, other) > 0),
    ("hstore_ge", 2, lambda one, other: _compare(one, other) >= 0),
    ("hstore_hash", 1, _hash),
    ("hstore_hash_extended", 2, _hash_extended),
):
    define(_symbol, _arguments, _code)
