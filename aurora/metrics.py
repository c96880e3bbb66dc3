"""Metrics in Prometheus' format, and health, over HTTP: what each process tells of itself.

::

    cores keep plain ints and histograms ──(only when scraped)──► table of Metric ─► Exporter ─► registry ─► /metrics
                                                                                              health() ─► /healthz

A program declares a table of ``Metric``; nothing is kept twice, and a hot path pays an addition at most. Everything
runs on the program's own loop, a metric, or a piece of a long one, at a time with a turn of the loop between two, so
that a scrape sees no half-made state and holds nobody up. docs/metrics.md lists the tables; a test compares.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar

from aurora.addresses import parse_listen
from aurora.errors import InvariantViolation
from aurora.histogram import Histogram
from aurora.lazy import lazy
from aurora.stalls import Stalls

if TYPE_CHECKING:
    import prometheus_client as prometheus
    from prometheus_client import core, exposition
    from prometheus_client.core import Metric as Family
    from prometheus_client.registry import Collector
else:
    # Not before the first scrape.
    prometheus = lazy("prometheus_client")
    core = lazy("prometheus_client.core")
    exposition = lazy("prometheus_client.exposition")

    class Collector:
        """Theirs asks for nothing but ``collect``."""


Source = TypeVar("Source")
Scalar = int | float | Histogram
Value = Scalar | Mapping[tuple[str, ...], Scalar]
"""A metric's value, or one for each combination of its labels' values."""

REQUEST_MAX_BYTES: Final = 16 << 10
REQUEST_TIMEOUT_S: Final = 5.0
PIECE_SAMPLES: Final = 200
"""Samples that are written out in one turn of the loop: about a millisecond."""

_NAME = re.compile(r"aurora(_[a-z0-9]+)+")
_TEXT = "text/plain; charset=utf-8"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric(Generic[Source]):
    """One metric: ``read`` takes its value from the program's state when it is scraped. ``name`` is the exported one.

    Prometheus' rules are checked when it is declared: a counter's name ends in ``_total``, a histogram's in a unit.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    read: Callable[[Source], Value]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not self.help:
            raise InvariantViolation(f"metric {self.name!r} with help {self.help!r}")
        if (self.kind == "counter") != self.name.endswith("_total"):
            raise InvariantViolation(f"{self.name}: counters, and they alone, end in _total")
        if self.kind == "histogram" and not self.name.endswith(("_seconds", "_bytes")):
            raise InvariantViolation(f"{self.name}: a histogram's name ends in its unit")

    def family(self, source: Source) -> Family:
        """The metric as it stands."""
        value = self.read(source)
        if isinstance(value, Mapping) != bool(self.labels):
            raise InvariantViolation(f"{self.name} has labels {self.labels}, its value is {value!r}")
        values = value if isinstance(value, Mapping) else {(): value}
        if self.kind == "histogram":
            histogram = core.HistogramMetricFamily(self.name, self.help, labels=self.labels)
            for labels, found in values.items():
                if not isinstance(found, Histogram):
                    raise InvariantViolation(f"{self.name} is a histogram, its value is {found!r}")
                buckets = [("+Inf" if bound == float("inf") else repr(bound), n) for bound, n in found.cumulative()]
                histogram.add_metric(labels, buckets, found.sum)
            return histogram
        made = core.CounterMetricFamily if self.kind == "counter" else core.GaugeMetricFamily
        family = made(self.name, self.help, labels=self.labels)
        for labels, found in values.items():
            if isinstance(found, Histogram):
                raise InvariantViolation(f"{self.name} is a {self.kind}, its value is a histogram")
            family.add_metric(labels, found)
        return family


def stall_metrics(prefix: str, stalls: Callable[[Source], Stalls]) -> tuple[Metric[Source], ...]:
    """What every program tells of its event loop: ``PREFIX_stalls_total``, ``_stall_seconds_total``,
    ``_stall_max_seconds``.
    """
    return (
        Metric(
            f"{prefix}_stalls_total",
            "counter",
            "Stretches over 20 ms in which the event loop stood still",
            lambda source: stalls(source).count,
        ),
        Metric(
            f"{prefix}_stall_seconds_total",
            "counter",
            "How long they were together",
            lambda source: stalls(source).seconds,
        ),
        Metric(
            f"{prefix}_stall_max_seconds",
            "gauge",
            "The longest since the start",
            lambda source: stalls(source).longest_s,
        ),
    )


class Exporter(Collector, Generic[Source]):
    """A table of metrics over one program's state. A metric that cannot be read is logged and left out."""

    def __init__(self, metrics: Sequence[Metric[Source]], source: Source) -> None:
        names = [metric.name for metric in metrics]
        if len(set(names)) != len(names):
            raise InvariantViolation(f"metrics declared twice: {sorted(n for n in names if names.count(n) > 1)}")
        self._metrics = metrics
        self._source = source

    def collect(self) -> Iterator[Family]:
        """Each metric as it stands when it is asked for."""
        for metric in self._metrics:
            try:
                family = metric.family(self._source)
            except Exception:
                # The others are wanted all the more when something is wrong.
                logger.exception("metric %s", metric.name)
                continue
            yield family


class _Alone(Collector):
    """One family, to be written out on its own."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterable[Family]:
        """That one."""
        return (self._family,)


def pieces(family: Family) -> Iterator[bytes]:
    """The family's text in pieces of at most ``PIECE_SAMPLES``; its two lines of head come with the first alone."""
    samples = family.samples
    for start in range(0, max(1, len(samples)), PIECE_SAMPLES):
        part = core.Metric(family.name, family.documentation, family.type, family.unit)
        part.samples = samples[start : start + PIECE_SAMPLES]
        text = exposition.generate_latest(_Alone(part))
        yield text if not start else text.split(b"\n", 2)[2]


class MetricsServer:
    """``/metrics`` and ``/healthz`` of one process, on its running loop.

    ``health`` gives what is wrong, in words, and an empty text when nothing is: 503 and 200. ``add`` exporters as the
    parts of the program come up; the process's own figures (memory, CPU, files, garbage collector) are there at once.
    """

    def __init__(self, health: Callable[[], str]) -> None:
        self.address = ""
        self._health = health
        self._server: asyncio.Server | None = None
        self._exporters: list[Collector] = []

    def add(self, metrics: Sequence[Metric[Source]], source: Source) -> None:
        """Export these metrics of ``source`` from now on."""
        self._exporters.append(Exporter(metrics, source))

    def _families(self) -> Iterator[Family]:
        """Each metric as it stands when it is its turn."""
        for each in (*self._process, *self._exporters):
            yield from each.collect()

    @cached_property
    def _process(self) -> tuple[Collector, ...]:
        """The process's own figures."""
        registry = prometheus.CollectorRegistry()
        return prometheus.ProcessCollector(registry=registry), prometheus.GCCollector(registry=registry)

    async def start(self, listen: str) -> None:
        """Listen at ``HOST:PORT`` (port 0: a free one); nowhere when it is empty.

        An address that cannot be had is logged: a database that serves without metrics beats one that does not serve.
        """
        if not listen:
            return
        host, port = parse_listen(listen)
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_MAX_BYTES)
        except OSError as error:
            logger.error("no metrics: cannot listen on %s: %s", listen, error)
            return
        name = self._server.sockets[0].getsockname()
        self.address = f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        logger.info("metrics at http://%s/metrics", self.address)

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                status, kind, body = await self._answer(await reader.readuntil(b"\r\n\r\n"))
                head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            logger.debug("metrics request: %s", error)
        finally:
            writer.close()

    async def _answer(self, request: bytes) -> tuple[HTTPStatus, str, bytes]:
        """Status, content type and body for a request's head."""
        method, _, rest = request.decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET alone\n"
        if path == "/healthz":
            problem = self._health()
            status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
            return status, _TEXT, f"{problem or 'ok'}\n".encode()
        if path != "/metrics":
            return HTTPStatus.NOT_FOUND, _TEXT, b"/metrics and /healthz\n"
        return HTTPStatus.OK, exposition.CONTENT_TYPE_PLAIN_0_0_4, await self._text()

    async def _text(self) -> bytes:
        parts = []
        for family in self._families():
            for piece in pieces(family):
                parts.append(piece)
                await asyncio.sleep(0)
        return b"".join(parts)
