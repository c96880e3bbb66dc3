"""Window frames against their definition (manual, 4.2.8), and what a moving aggregate takes out again."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora.errors import InvalidPrecedingOrFollowingSize, NullValueNotAllowed
from compute_node.exec.nodes.window_agg import _Held
from compute_node.exec.window.aggregates import SKIP, FrameAggregate, Run
from compute_node.exec.window.frames import Frames, Order, check_offset, ends_of
from compute_node.exec.window.partition import Partition, StoredValues
from compute_node.exec.window.streams import DenseRankStream, RankStream
from compute_node.sql.query import Frame
from compute_node.types.registry import REGISTRY
from compute_node.work.account import Account, Area

STARTS = ("unbounded preceding", "preceding", "current row", "following")
ENDS = ("preceding", "current row", "following", "unbounded following")
RANK = {name: place for place, name in enumerate((*STARTS, "unbounded following"))}


class NoContext:
    """A partition in memory asks its context for nothing but these."""

    def check(self) -> None:
        """Nobody cancels."""


def in_range(value: int, base: int, offset: int, sub: bool, less: bool) -> bool:
    bound = base - offset if sub else base + offset
    return value <= bound if less else value >= bound


def made(values: list[Any]) -> Partition:
    part = Partition(NoContext(), Area(Account(), 1 << 30))  # type: ignore[arg-type]
    groups = [at for at, value in enumerate(values) if not at or value != values[at - 1]]
    part.add([(value,) for value in values], groups)
    return part


def expected(values: list[Any], row: int, frame: Frame, start: int, end: int, descending: bool) -> list[int]:
    """The rows of a frame, each looked at by itself."""
    groups: list[int] = []
    for at, value in enumerate(values):
        groups.append(0 if not at else groups[-1] + (value != values[at - 1]))

    def inside(other: int, kind: str, offset: int, is_start: bool) -> bool:
        if kind.startswith("unbounded"):
            return True
        shift = 0 if kind == "current row" else -offset if kind == "preceding" else offset
        if frame.mode == "rows":
            here, edge = other, row + shift
        elif frame.mode == "groups" or kind == "current row":
            here, edge = groups[other], groups[row] + shift
        elif values[row] is None or values[other] is None:
            here, edge = groups[other], groups[row]
        else:
            here, edge = values[other], values[row] + (-shift if descending else shift)
            here, edge = (-here, -edge) if descending else (here, edge)
        return here >= edge if is_start else here <= edge

    found = [
        other
        for other in range(len(values))
        if inside(other, frame.start, start, True) and inside(other, frame.end, end, False)
    ]
    if frame.exclude == "current row":
        return [other for other in found if other != row]
    if frame.exclude == "group":
        return [other for other in found if groups[other] != groups[row]]
    if frame.exclude == "ties":
        return [other for other in found if other == row or groups[other] != groups[row]]
    return found


@given(
    numbers=st.lists(st.integers(0, 9), max_size=12),
    nulls=st.integers(0, 3),
    mode=st.sampled_from(("rows", "range", "groups")),
    start_kind=st.sampled_from(STARTS),
    end_kind=st.sampled_from(ENDS),
    offsets=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    exclude=st.sampled_from(("", "current row", "group", "ties")),
    descending=st.booleans(),
    nulls_first=st.booleans(),
)
def test_frames_are_those_of_the_definition(
    numbers: list[int], nulls: int, mode: str, start_kind: str, end_kind: str, offsets: tuple[int, int], exclude: str,
    descending: bool, nulls_first: bool,
) -> None:  # fmt: skip
    if RANK[start_kind] > RANK[end_kind]:
        return  # the grammar refuses it
    ordered: list[Any] = sorted(numbers, reverse=descending)
    values = [None] * nulls + ordered if nulls_first else ordered + [None] * nulls
    if not values:
        return
    frame = Frame(mode, start_kind, end_kind, exclude, 1, 1)
    part, order = made(values), Order(values, descending, nulls_first)
    low = ends_of(part, frame, offsets[0], in_range, order, high=False)
    high = ends_of(part, frame, offsets[1], in_range, order, high=True)
    frames = Frames(part, frame, low, high)
    middle = len(values) // 2
    lows, highs = frames.ends(0, middle)
    more = frames.ends(middle, len(values))
    for row, (first, behind) in enumerate(zip([*lows, *more[0]], [*highs, *more[1]], strict=True)):
        pieces = frames.pieces(row, first, behind)
        seen = [other for begin, end in pieces for other in range(begin, end)]
        assert seen == expected(values, row, frame, *offsets, descending), (values, row)


def test_offsets_are_checked() -> None:
    with pytest.raises(NullValueNotAllowed, match="frame starting offset must not be null"):
        check_offset(None, "range", "starting")
    with pytest.raises(InvalidPrecedingOrFollowingSize, match="frame ending offset must not be negative"):
        check_offset(-1, "groups", "ending")
    assert check_offset(-1, "range", "starting") == -1, "RANGE leaves it to the type's function"


NUMBERS = st.decimals(min_value=-1000, max_value=1000, places=2) | st.sampled_from(
    [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), Decimal("1"), Decimal("1.0000")]
)


@pytest.mark.parametrize("oid", [2114, 2103, 2159, 2723], ids=["sum", "avg", "stddev", "var_pop"])
@given(values=st.lists(st.none() | NUMBERS, min_size=1, max_size=12), width=st.integers(1, 4))
def test_a_moving_aggregate_gives_what_a_new_one_gives(oid: int, values: list[Any], width: int) -> None:
    """Digits too: the scale is that of the values in the frame."""
    aggregate = REGISTRY.aggregates[oid]

    def column(ctx: Any, rows: list[Any]) -> list[Any]:
        return [SKIP if row[0] is None else row[0] for row in rows]

    part = made(values)
    frame = Frame("rows", "preceding", "current row")
    frames = Frames(part, frame, *(ends_of(part, frame, width - 1, None, None, high) for high in (False, True)))
    moving = FrameAggregate(aggregate, 1, column, column, False)
    found = moving.over(part, frames)(0, len(values), frames.ends(0, len(values)))
    for row, value in enumerate(found):
        state = aggregate.initial()
        for each in values[max(row - width + 1, 0) : row + 1]:
            if each is not None:
                state = aggregate.step(state, each)
        assert str(value) == str(aggregate.final(state)), (values, row)


@pytest.fixture
def pulses(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each time that long work would have let others run."""
    seen: list[None] = []
    hub = SimpleNamespace(pulse=lambda: seen.append(None))
    for name in ("frames", "aggregates"):
        monkeypatch.setattr(f"compute_node.exec.window.{name}.HUB", hub)
    return seen


@pytest.mark.parametrize("high", [False, True])
def test_an_end_that_walks_a_whole_partition_lets_others_run(pulses: list[None], high: bool) -> None:
    values = list(range(20_000))
    frame = Frame("range", "following", "following", "", 1, 1)
    bounds = ends_of(made(values), frame, 19_000, in_range, Order(values, False, False), high)
    assert bounds(0, 1) == [19_000 + high]
    assert len(pulses) >= 4


def test_taking_many_rows_out_of_a_state_lets_others_run(pulses: list[None]) -> None:
    run = Run(lambda: 0, lambda state, value: state + value, lambda state, value: state - value, abs, False)
    assert run.unfold(20_000, [1] * 19_999) == 1
    assert len(pulses) >= 4
    assert run.unfold(3, [1, SKIP, 1]) == 1


def test_values_of_a_partition_in_memory_are_made_in_pieces_and_counted() -> None:
    sizes: list[int] = []

    def evaluate(ctx: Any, rows: list[Any]) -> list[Any]:
        sizes.append(len(rows))
        return [str(row[0]) * 10 for row in rows]

    account = Account()
    part = Partition(NoContext(), Area(account, 1 << 30))  # type: ignore[arg-type]
    part.add([(number,) for number in range(2500)], [])
    before = account.used_bytes
    values = part.values(evaluate)
    assert sizes == [1000, 1000, 500]
    assert account.used_bytes - before > 2500 * 50
    assert part.values(evaluate) is values

    # What does not fit any more is computed as it is asked for.
    part = Partition(NoContext(), Area(account, before + 1000))  # type: ignore[arg-type]
    part.add([(number,) for number in range(2500)], [])
    before = account.used_bytes
    found = part.values(evaluate)
    assert isinstance(found, StoredValues) and list(found) == list(values)
    assert account.used_bytes == before


def test_a_long_group_of_peers_is_given_in_pieces() -> None:
    class First:
        def values(self, rows: list[Any], groups: Any) -> list[Any]:
            return [row[0] for row in rows]

    ctx = SimpleNamespace(area=lambda: Area(Account(), 1 << 30), check=lambda: None)
    held = _Held(ctx)  # type: ignore[arg-type]
    for start in range(0, 3000, 500):
        held.add([(number,) for number in range(start, start + 500)], [] if start else [0])
    batches = list(held.give([First()]))
    assert [len(batch) for batch in batches] == [1000, 1000, 1000]
    assert [row for batch in batches for row in batch] == [(number, number) for number in range(3000)]


def test_values_in_a_file_are_read_by_chunks() -> None:
    loads = []

    def load(number: int) -> list[int]:
        loads.append(number)
        return list(range(number * 1000, min(number * 1000 + 1000, 2500)))

    values = StoredValues(2500, load)
    assert values[2499] == 2499 and values[998:1002] == [998, 999, 1000, 1001]
    assert values[0:2500] == list(range(2500))
    assert loads == [2, 0, 1], "a chunk that is kept is not read again"


@pytest.mark.parametrize(
    ("kind", "expected"), [(RankStream, [1, 1, 3, 3, 3, 6]), (DenseRankStream, [1, 1, 2, 2, 2, 3])]
)
def test_ranks_of_peers_that_go_on_over_a_whole_batch(kind: Any, expected: list[int]) -> None:
    stream = kind(NoContext())
    pieces = [([0, 2], 3), ([], 2), ([0], 1)]
    found = [value for groups, count in pieces for value in stream.values([(None,)] * count, groups)]
    assert found == expected
