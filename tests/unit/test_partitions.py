"""Partitions: the bounds put each row where its constraint accepts it, and pruning loses no row (property tests)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC
from itertools import pairwise
from typing import Any

import pytest

from compute_node.relations.partitions import (
    HASH,
    LIST,
    MAXVALUE,
    MINVALUE,
    NONE,
    RANGE,
    Edge,
    PartitionBound,
    PartitionIndex,
    PartitionKey,
    combined_hash,
    comparison_forms,
)
from compute_node.sql.expressions import Const, Expr, Param
from compute_node.sql.pruning import (
    EQUAL,
    GREATER,
    GREATER_EQUAL,
    LESS,
    LESS_EQUAL,
    NOT_EQUAL,
    UNKNOWN,
    AnyOf,
    Clause,
    Comparison,
    NullOrNot,
    OneOf,
    numbers,
)
from compute_node.types import oids
from compute_node.types.registry import REGISTRY, TypeEnv


def _key(strategy: str, columns: int) -> PartitionKey:
    types = (oids.INT4,) * columns
    return PartitionKey(
        strategy, tuple(range(1, columns + 1)), (), types, (-1,) * columns, (1978,) * columns, (0,) * columns, types
    )


def _index(key: PartitionKey, bounds: Sequence[PartitionBound]) -> PartitionIndex:
    forms = comparison_forms(key, REGISTRY.types.__getitem__)
    return PartitionIndex(key, forms, list(enumerate(bounds)), lambda values: combined_hash(values))


def _flagged(values: Sequence[Any]) -> tuple[tuple[int, int], ...]:
    return tuple((value.side, 0) if isinstance(value, Edge) else (0, value) for value in values)


def _accepts(bound: PartitionBound, row: Sequence[int | None]) -> bool:
    """What the constraint of a partition that is no default says of a row's key."""
    if bound.strategy == HASH:
        return combined_hash(row) % bound.modulus == bound.remainder
    if bound.strategy == LIST:
        return row[0] in bound.values
    return None not in row and _flagged(bound.lower) <= _flagged(row) < _flagged(bound.upper)


def _random_ranges(rng: random.Random, columns: int) -> list[PartitionBound]:
    points = sorted({tuple(rng.randrange(6) for _ in range(columns)) for _ in range(rng.randrange(2, 7))})
    ends: list[tuple[Any, ...]] = [*points]
    if rng.random() < 0.5:
        ends.insert(0, (MINVALUE,) * columns)
    if rng.random() < 0.5:
        ends.append((MAXVALUE,) * columns)
    found = [PartitionBound(RANGE, lower=low, upper=high) for low, high in pairwise(ends) if rng.random() < 0.7]
    return [*found, *([PartitionBound(RANGE, is_default=True)] if rng.random() < 0.5 else [])]


def _random_lists(rng: random.Random) -> list[PartitionBound]:
    values: list[int | None] = [None, *range(6)]
    rng.shuffle(values)
    found: list[PartitionBound] = []
    while values and rng.random() < 0.8:
        count = rng.randrange(1, 4)
        found.append(PartitionBound(LIST, values=tuple(values[:count])))
        del values[:count]
    return [*found, *([PartitionBound(LIST, is_default=True)] if rng.random() < 0.5 else [])]


def _random_hashes(rng: random.Random) -> list[PartitionBound]:
    parts = [(4, 0), (8, 1), (8, 5), (4, 2), (16, 3), (16, 7), (16, 11), (16, 15)]
    return [PartitionBound(HASH, modulus=m, remainder=r) for m, r in parts if rng.random() < 0.8]


def _place(index: PartitionIndex, row: Sequence[int | None]) -> int:
    if index.key.strategy == HASH:
        return index.of_hash(combined_hash(row))
    return index.of_value(row[0]) if len(row) == 1 else index.of_values(row)


def _random_table(rng: random.Random) -> PartitionIndex:
    strategy = rng.choice([RANGE, RANGE, LIST, HASH])
    columns = 1 if strategy == LIST else rng.randrange(1, 4)
    bounds = {RANGE: lambda: _random_ranges(rng, columns), LIST: lambda: _random_lists(rng)}.get(
        strategy, lambda: _random_hashes(rng)
    )()
    return _index(_key(strategy, columns), bounds)


def _random_row(rng: random.Random, columns: int) -> list[int | None]:
    return [None if rng.random() < 0.1 else rng.randrange(-1, 8) for _ in range(columns)]


@pytest.mark.parametrize("seed", range(60))
def test_a_row_goes_to_the_partition_whose_constraint_accepts_it(seed: int) -> None:
    """Of all strategies; what no other takes goes to the default partition, or nowhere."""
    rng = random.Random(seed)
    index = _random_table(rng)
    for _ in range(100):
        row = _random_row(rng, len(index.key.columns))
        wanted = [n for n, bound in enumerate(index.bounds) if not bound.is_default and _accepts(bound, row)]
        assert len(wanted) < 2
        assert _place(index, row) == (wanted[0] if wanted else index.default)


def _const(value: int | None) -> Const:
    return Const(type=oids.INT4, value=value)


_HOLDS = {
    LESS: lambda a, b: a < b,
    LESS_EQUAL: lambda a, b: a <= b,
    EQUAL: lambda a, b: a == b,
    GREATER_EQUAL: lambda a, b: a >= b,
    GREATER: lambda a, b: a > b,
    NOT_EQUAL: lambda a, b: a != b,
}


def _random_clause(rng: random.Random, strategy: str, columns: int, depth: int = 0) -> Clause:
    place, kind = rng.randrange(columns), rng.random()
    if kind < 0.1:
        return NullOrNot(place, rng.random() < 0.5)
    if kind < 0.25:
        return OneOf(place, None, tuple(_const(rng.randrange(7)) for _ in range(rng.randrange(4))))
    if kind < 0.4 and depth < 2:
        arms = [
            tuple(_random_clause(rng, strategy, columns, depth + 1) for _ in range(rng.randrange(1, 3)))
            for _ in range(rng.randrange(1, 3))
        ]
        return AnyOf(tuple(arms))
    strategies = {HASH: [EQUAL], LIST: list(_HOLDS)}.get(strategy, [each for each in _HOLDS if each != NOT_EQUAL])
    return Comparison(place, rng.choice(strategies), _const(None if rng.random() < 0.05 else rng.randrange(7)))


def _meets(clause: Clause, row: Sequence[int | None]) -> bool:
    if isinstance(clause, AnyOf):
        return any(all(_meets(each, row) for each in arm) for arm in clause.arms)
    value = row[clause.place]
    if isinstance(clause, NullOrNot):
        return (value is None) != clause.negated
    if isinstance(clause, OneOf):
        return value is not None and any(isinstance(each, Const) and each.value == value for each in clause.elements)
    other = clause.value.value if isinstance(clause.value, Const) else None
    return value is not None and other is not None and _HOLDS[clause.strategy](value, other)


@pytest.mark.parametrize("seed", range(120))
def test_pruning_keeps_every_partition_with_a_row_that_meets_the_conditions(seed: int) -> None:
    """Whatever is known of the values: all of them, or none yet."""
    rng = random.Random(seed)
    index = _random_table(rng)
    columns = len(index.key.columns)
    clauses = [_random_clause(rng, index.key.strategy, columns) for _ in range(rng.randrange(1, 4))]

    def known(node: Expr) -> Any:
        return node.value if isinstance(node, Const) else UNKNOWN

    def unknown(node: Expr) -> Any:
        return UNKNOWN

    left, later = numbers(index, clauses, known), numbers(index, clauses, unknown)
    assert NONE not in left and left <= later
    for _ in range(200):
        row = _random_row(rng, columns)
        if all(_meets(clause, row) for clause in clauses) and (place := _place(index, row)) != NONE:
            assert place in left


def test_pruning_is_exact_for_a_key_that_is_known() -> None:
    """One range, one list value, one hash: one partition."""
    ranges = [PartitionBound(RANGE, lower=(at,), upper=(at + 10,)) for at in range(0, 50, 10)]
    index = _index(_key(RANGE, 1), ranges)
    five = [Comparison(0, EQUAL, _const(5))]
    assert numbers(index, five, lambda node: node.value if isinstance(node, Const) else UNKNOWN) == {0}
    between = [Comparison(0, GREATER_EQUAL, _const(10)), Comparison(0, LESS, _const(30))]
    assert numbers(index, between, lambda node: node.value if isinstance(node, Const) else UNKNOWN) == {1, 2}
    parameter = [Comparison(0, EQUAL, Param(type=oids.INT4, number=1))]
    assert numbers(index, parameter, lambda node: UNKNOWN) == {0, 1, 2, 3, 4}
    assert numbers(index, parameter, lambda node: 45) == {4}
    assert numbers(index, parameter, lambda node: None) == set()


def test_a_bound_is_kept_and_read_again() -> None:
    """``packed`` and ``unpacked`` are inverse."""
    env, key = TypeEnv(timezone=UTC), _key(RANGE, 2)
    for bound in (
        PartitionBound(RANGE, lower=(MINVALUE, MINVALUE), upper=(-5, MAXVALUE)),
        PartitionBound(LIST, values=(1, None, -2)),
        PartitionBound(HASH, modulus=8, remainder=3),
        PartitionBound(RANGE, is_default=True),
    ):
        kept = bound.packed(key, REGISTRY.types.__getitem__, env)
        assert PartitionBound.unpacked(kept, key, REGISTRY.types.__getitem__, env) == bound
