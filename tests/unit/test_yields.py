"""Long work lets others run: ``Hub.pulse``, and interrupts that come while a turn is given away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import greenlet
import pytest

from aurora.errors import QueryCanceled
from aurora.stalls import stalls_of_running_loop
from compute_node.hub import Hub


def on_hub(body: Callable[[Hub], None]) -> None:
    """Run ``body`` on the loop's side of a fresh hub, then let the loop turn until nothing is left to do."""

    async def main() -> None:
        hub = Hub()
        hub.bind(asyncio.get_running_loop())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("compute_node.hub.HUB", hub)
            body(hub)
            for _ in range(10):
                await asyncio.sleep(0)

    asyncio.run(main())


def test_pulse_gives_the_turn_away_when_its_time_is_up() -> None:
    order: list[str] = []

    def body(hub: Hub) -> None:
        def long_work() -> None:
            hub.pulse()
            order.append("within the turn")
            hub.turn_ends_s = 0.0
            hub.pulse()
            order.append("after the others")

        hub.run(long_work)
        hub.loop.call_soon(order.append, "others")

    on_hub(body)
    assert order == ["within the turn", "others", "after the others"]


def test_pulse_does_nothing_where_waiting_is_not_allowed() -> None:
    done: list[str] = []

    def body(hub: Hub) -> None:
        hub.turn_ends_s = 0.0
        hub.pulse()
        hub.mtr = SimpleNamespace(active=True)

        def edit() -> None:
            hub.turn_ends_s = 0.0
            hub.pulse()
            done.append("edited")

        hub.run(edit)
        assert done == ["edited"], "no wait inside a mini-transaction"

    on_hub(body)
    Hub().pulse()


def test_pulse_does_nothing_in_another_thread() -> None:
    def body(hub: Hub) -> None:
        hub.turn_ends_s = 0.0
        with ThreadPoolExecutor(1) as threads:
            threads.submit(hub.pulse).result()
            assert not threads.submit(hub.in_greenlet).result()

    on_hub(body)


@pytest.mark.parametrize("turns", [0, 1])
def test_a_cancel_while_the_turn_is_given_away_ends_the_work(turns: int) -> None:
    """Also when the loop has already decided to go on with it."""
    caught: list[Any] = []

    def body(hub: Hub) -> None:
        workers: list[greenlet.greenlet] = []

        def long_work() -> None:
            workers.append(greenlet.getcurrent())
            hub.turn_ends_s = 0.0
            try:
                hub.pulse()
            except QueryCanceled as error:
                caught.append(error)

        def cancel() -> None:
            assert hub.interrupt(workers[0], QueryCanceled("canceled"))

        hub.run(long_work)
        # The turn's waiter is woken in the next turn of the loop, the greenlet goes on one turn later.
        (hub.loop.call_soon if turns else lambda function: function())(cancel)

    on_hub(body)
    assert len(caught) == 1


def test_everybody_on_one_loop_counts_stalls_together() -> None:
    async def both() -> tuple[Any, Any]:
        return stalls_of_running_loop(), stalls_of_running_loop()

    first, second = asyncio.run(both())
    assert first is second
    assert asyncio.run(both())[0] is not first
    assert stalls_of_running_loop() is not stalls_of_running_loop()
