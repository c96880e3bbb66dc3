"""What a node's answers teach: who is fastest, how long to wait."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from compute_node.volume.latency import (
    HEDGE_MARGIN,
    HEDGE_MAX_S,
    HEDGE_MIN_S,
    HEDGE_UNKNOWN_S,
    KNOWN,
    WINDOW,
    NodeLatency,
    weight,
)


def node(*answers_s: float) -> NodeLatency:
    made = NodeLatency()
    for took_s in answers_s:
        made.answered(took_s)
    return made


def test_a_node_that_got_slow_loses_its_place_after_three_answers_and_wins_it_back_after_three() -> None:
    fast, other = node(*[0.001] * 50), node(*[0.002] * 50)
    for number in range(3):
        assert fast.typical_s < other.typical_s, number
        fast.answered(0.05)
    assert fast.typical_s > other.typical_s
    for number in range(3):
        assert fast.typical_s > other.typical_s, number
        fast.answered(0.001)
    assert fast.typical_s < other.typical_s


def test_one_outlier_moves_neither_rank_nor_delay() -> None:
    usual = node(*[0.004] * 60)
    before = usual.typical_s, usual.hedge_s()
    usual.answered(0.9)
    assert (usual.typical_s, usual.hedge_s()) == before


def test_an_answer_that_nobody_waited_for_counts_before_it_comes() -> None:
    late = node(*[0.001] * 20)
    for _ in range(3):
        late.overdue(0.004)
    assert late.typical_s == 0.004
    for _ in range(3):
        late.overdue(0.0001)  # cut short so early that it says nothing
    assert late.typical_s == 0.004


def test_a_failure_counts_until_the_next_answer() -> None:
    failing = node(0.001)
    failing.failed()
    failing.failed()
    assert failing.failures == 2
    failing.answered(0.001)
    assert failing.failures == 0


def test_the_hedge_delay_is_learned_and_bounded() -> None:
    rng = random.Random(1)
    assert node(*[0.1] * (KNOWN - 1)).hedge_s() == HEDGE_UNKNOWN_S
    assert node(*[0.0001] * KNOWN).hedge_s() == HEDGE_MIN_S
    assert node(*[30.0] * KNOWN).hedge_s() == HEDGE_MAX_S
    spread = node(*[rng.uniform(0.010, 0.020) for _ in range(WINDOW)])
    assert 0.018 * HEDGE_MARGIN < spread.hedge_s() <= 0.020 * HEDGE_MARGIN


def test_a_run_is_waited_for_longer() -> None:
    assert node(*[0.002] * KNOWN).hedge_s(64) == HEDGE_MARGIN * 0.002 * weight(64)
    assert node().hedge_s(2) == HEDGE_UNKNOWN_S * weight(2)


def test_a_run_counts_as_what_one_page_of_it_would_have_taken() -> None:
    singles, runs = node(*[0.001] * KNOWN), NodeLatency()
    for _ in range(KNOWN):
        runs.answered(0.001 * weight(64), 64)
    assert abs(runs.typical_s - singles.typical_s) < 1e-9
    runs.overdue(0.001, 64)
    assert abs(runs.typical_s - singles.typical_s) < 1e-9


@given(st.lists(st.floats(0.0001, 2.0), min_size=1, max_size=3 * WINDOW))
def test_the_quantile_is_that_of_the_window(answers_s: list[float]) -> None:
    made = node(*answers_s)
    window = sorted(answers_s[-WINDOW:])
    for share in (0.0, 0.5, 0.97, 1.0):
        assert made.quantile_s(share) == window[min(len(window) - 1, int(share * len(window)))]
    recent = sorted(answers_s[-5:])
    assert made.typical_s == recent[len(recent) // 2]
