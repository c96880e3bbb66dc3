"""Histograms, the declaration of metrics, their exposition over HTTP, and health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aurora.addresses import parse_listen
from aurora.errors import InvariantViolation
from aurora.histogram import LATENCY_BOUNDS_S, Histogram
from aurora.metrics import PIECE_SAMPLES, REQUEST_MAX_BYTES, Exporter, Metric, MetricsServer, pieces

pytestmark = pytest.mark.logs(r"aurora\.metrics: (metric aurora_broken|no metrics: cannot listen)")

# -- histograms


@given(st.lists(st.floats(0, 20), max_size=200))
def test_a_histogram_counts_each_value_once(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))
    for bound, upto in histogram.cumulative():
        assert upto == sum(value <= bound for value in values)
    assert [bound for bound, _ in histogram.cumulative()] == [*LATENCY_BOUNDS_S, float("inf")]


def test_a_quantile_is_a_bucket_bound() -> None:
    histogram = Histogram((1.0, 2.0, 5.0))
    assert histogram.quantile(0.5) == 0.0
    for value in (0.5, 1.0, 1.5, 4.0, 9.0):
        histogram.observe(value)
    assert [histogram.quantile(share) for share in (0.0, 0.4, 0.5, 0.8, 1.0)] == [1.0, 1.0, 2.0, 5.0, float("inf")]
    with pytest.raises(InvariantViolation):
        histogram.quantile(1.5)


@pytest.mark.parametrize("bounds", [(), (1.0, 1.0), (2.0, 1.0)])
def test_bounds_ascend(bounds: tuple[float, ...]) -> None:
    with pytest.raises(InvariantViolation, match="ascend"):
        Histogram(bounds)


# -- declarations


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aurora_reads", "counter"),
        ("aurora_depth_total", "gauge"),
        ("aurora_wait", "histogram"),
        ("reads_total", "counter"),
        ("aurora_Reads_total", "counter"),
        ("aurora__reads_total", "counter"),
    ],
)
def test_names_follow_prometheus_rules(name: str, kind: Any) -> None:
    with pytest.raises(InvariantViolation):
        Metric[None](name, kind, "help", lambda _: 0)


def test_help_is_needed_and_names_are_unique() -> None:
    with pytest.raises(InvariantViolation):
        Metric[None]("aurora_depth", "gauge", "", lambda _: 0)
    depth = Metric[None]("aurora_depth", "gauge", "depth", lambda _: 0)
    with pytest.raises(InvariantViolation, match="twice"):
        Exporter([depth, depth], None)


@pytest.mark.parametrize(
    "metric",
    [
        Metric[None]("aurora_depth", "gauge", "labels missing", lambda _: {("a",): 1}),
        Metric[None]("aurora_depth", "gauge", "labels too many", lambda _: 1, ("pg",)),
        Metric[None]("aurora_depth", "gauge", "a histogram", lambda _: Histogram()),
        Metric[None]("aurora_depth_seconds", "histogram", "no histogram", lambda _: 1),
    ],
)
def test_a_value_of_another_form_is_a_defect(metric: Metric[None]) -> None:
    with pytest.raises(InvariantViolation):
        metric.family(None)


# -- the endpoint


class Things:
    """What the metrics of these tests are read from."""

    def __init__(self) -> None:
        self.turns = 3
        self.by_pg = {"0": 10, "1": 20}
        self.seconds = Histogram((0.001, 0.01))
        self.problem = ""


METRICS: tuple[Metric[Things], ...] = (
    Metric("aurora_turns_total", "counter", 'Turns, with a "quote"', lambda t: t.turns),
    Metric("aurora_scl_lsn", "gauge", "SCL", lambda t: {(pg,): lsn for pg, lsn in t.by_pg.items()}, ("pg",)),
    Metric("aurora_wait_seconds", "histogram", "Waits", lambda t: t.seconds),
)


async def _get(address: str, request: str) -> tuple[int, str]:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    if head:
        assert f"Content-Length: {len(body.encode())}" in head
    return int(head.split()[1]) if head else 0, body


def _served(things: Things, use: Callable[[str], Awaitable[Any]], *more: Metric[Things]) -> Any:
    async def main() -> Any:
        server = MetricsServer(lambda: things.problem)
        server.add((*METRICS, *more), things)
        await server.start("127.0.0.1:0")
        try:
            return await use(server.address)
        finally:
            server.close()

    return asyncio.run(main())


def _values(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_reads_the_state_of_that_moment() -> None:
    things = Things()

    async def use(address: str) -> tuple[dict[str, float], dict[str, float]]:
        status, first = await _get(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status == 200
        things.turns += 4
        things.by_pg["2"] = 30
        things.seconds.observe(0.005)
        things.seconds.observe(5)
        _, second = await _get(address, "GET /metrics?x=1 HTTP/1.1\r\n\r\n")
        families = {family.name: family for family in text_string_to_metric_families(second)}
        assert families["aurora_turns"].type == "counter"
        assert families["aurora_turns"].documentation == 'Turns, with a "quote"'
        assert families["aurora_wait_seconds"].type == "histogram"
        return _values(first), _values(second)

    before, after = _served(things, use)
    assert (before["aurora_turns_total"], after["aurora_turns_total"]) == (3, 7)
    assert (before["aurora_scl_lsn|1"], after["aurora_scl_lsn|2"]) == (20, 30)
    assert [after[f"aurora_wait_seconds_bucket|{le}"] for le in ("0.001", "0.01", "+Inf")] == [0, 1, 2]
    assert (after["aurora_wait_seconds_count"], after["aurora_wait_seconds_sum"]) == (2, 5.005)
    assert after["process_resident_memory_bytes"] > 1e6
    assert "process_cpu_seconds_total" in after


def test_a_metric_of_very_many_series_comes_in_pieces_and_whole() -> None:
    things = Things()
    things.by_pg = {str(pg): pg for pg in range(5 * PIECE_SAMPLES + 1)}
    family = METRICS[1].family(things)
    parts = list(pieces(family))
    assert len(parts) == 6
    text = b"".join(parts).decode()
    assert text == generate_latest(SimpleNamespace(collect=lambda: [family])).decode()  # type: ignore[arg-type]

    async def use(address: str) -> str:
        return (await _get(address, "GET /metrics HTTP/1.1\r\n\r\n"))[1]

    values = _values(_served(things, use))
    assert [values[f"aurora_scl_lsn|{pg}"] for pg in things.by_pg] == list(things.by_pg.values())
    things.by_pg = {}
    assert next(iter(pieces(METRICS[1].family(things)))).startswith(b"# HELP aurora_scl_lsn SCL\n# TYPE")


def test_a_metric_that_cannot_be_read_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    broken = Metric[Things]("aurora_broken", "gauge", "raises", lambda t: t.by_pg["gone"])

    async def use(address: str) -> str:
        return (await _get(address, "GET /metrics HTTP/1.1\r\n\r\n"))[1]

    with caplog.at_level(logging.ERROR):
        values = _values(_served(Things(), use, broken))
    assert values["aurora_turns_total"] == 3
    assert "aurora_broken" not in values
    assert "metric aurora_broken" in caplog.text


def test_health_is_ok_until_something_is_wrong() -> None:
    things = Things()

    async def use(address: str) -> list[tuple[int, str]]:
        answers = [await _get(address, "GET /healthz HTTP/1.1\r\n\r\n")]
        things.problem = "the disk refuses: no space"
        return [*answers, await _get(address, "GET /healthz HTTP/1.1\r\n\r\n")]

    assert _served(things, use) == [(200, "ok\n"), (503, "the disk refuses: no space\n")]


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\n\r\n", 405),
        ("\r\n\r\n", 405),
        ("GET /metrics HTTP/1.1\r\nX: " + "x" * (2 * REQUEST_MAX_BYTES), 0),
    ],
)
def test_what_is_no_request_for_it_is_refused(request_text: str, status: int) -> None:
    async def use(address: str) -> tuple[int, int]:
        try:
            refused, _ = await _get(address, request_text)
        except ConnectionError:
            refused = 0
        still, _ = await _get(address, "GET /healthz HTTP/1.1\r\n\r\n")
        return refused, still

    assert _served(Things(), use) == (status, 200)


def test_a_port_that_is_taken_costs_the_metrics_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def use(address: str) -> str:
        second = MetricsServer(lambda: "")
        await second.start(address)
        second.close()
        return second.address

    with caplog.at_level(logging.ERROR):
        assert _served(Things(), use) == ""
    assert "no metrics" in caplog.text


def test_no_address_no_endpoint() -> None:
    async def main() -> str:
        server = MetricsServer(lambda: "")
        await server.start("")
        server.close()
        return server.address

    assert asyncio.run(main()) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "host:x", "host:70000", "host:-1"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_listen(text)
