"""Stalls of the event loop: each counted once, logged with what ran, found by turn and by heartbeat."""

from __future__ import annotations

import asyncio
import time

from aurora.stalls import LOG_LINES_MAX, Heartbeat, Stalls
from compute_node.hub import Hub


def test_only_long_stretches_count() -> None:
    lines: list[str] = []
    stalls = Stalls(lines.append)
    stalls.note(10.0, 10.015, "short")
    stalls.note(11.0, 11.050, "session 7: select 1")
    assert (stalls.count, lines) == (1, ["the event loop stood still for 50 ms in session 7: select 1"])
    stalls.note(12.0, 12.030)
    assert lines[1] == "the event loop stood still for 30 ms in unknown work"
    assert round(stalls.seconds, 6) == 0.08
    assert round(stalls.longest_s, 6) == 0.05


def test_what_a_turn_explains_the_heartbeat_does_not_count_again() -> None:
    stalls = Stalls([].append)
    stalls.note(10.0, 10.100, "a turn")
    stalls.note(10.005, 10.101)
    assert stalls.count == 1
    stalls.note(10.005, 10.140)
    assert stalls.count == 2
    assert round(stalls.seconds, 6) == 0.14


def test_the_log_is_not_flooded() -> None:
    lines: list[str] = []
    stalls = Stalls(lines.append)
    for number in range(20):
        stalls.note(10.0 + number * 0.03, 10.0 + number * 0.03 + 0.025, "x")
    assert (stalls.count, len(lines)) == (20, LOG_LINES_MAX)
    stalls.note(12.0, 12.1, "y" * 1000)
    assert lines[-1].endswith(f"and {20 - LOG_LINES_MAX} more since the last such line")
    assert len(lines[-1]) < 400


def test_the_heartbeat_finds_what_nobody_timed() -> None:
    stalls = Stalls([].append)
    work = 0

    async def main() -> None:
        nonlocal work
        heart = Heartbeat(stalls, lambda: work)
        deadline = time.monotonic() + 20
        while not stalls.count and time.monotonic() < deadline:
            work += 1
            await asyncio.sleep(0.012)
            time.sleep(0.06)  # the stall
        heart.close()

    asyncio.run(main())
    assert stalls.count >= 1
    assert stalls.longest_s > 0.02


def test_a_long_turn_of_a_greenlet_is_named() -> None:
    lines: list[str] = []
    hub = Hub()
    hub.stalls = Stalls(lines.append)
    hub.describe = lambda worker, function: "session 9: select slow()"

    async def main() -> None:
        hub.bind(asyncio.get_running_loop())
        hub.run(time.sleep, 0.05)
        hub.run(lambda: None)

    asyncio.run(main())
    assert hub.stalls.count == 1
    assert "session 9: select slow()" in lines[0]
