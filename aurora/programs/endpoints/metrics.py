"""What the endpoints' process tells Prometheus: connections by endpoint, who waits, whom each endpoint leads to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aurora.metrics import Metric, Scalar, stall_metrics
from aurora.programs.endpoints.core import Tally
from aurora.programs.endpoints.service import Service
from aurora.stalls import Stalls


@dataclass(slots=True)
class EndpointsSource:
    """What the metrics are read from."""

    service: Service
    stalls: Stalls

    def work(self) -> int:
        """Grows with whatever the process does."""
        return sum(self.service.router.tally.accepted.values())


Values = dict[tuple[str, ...], Scalar]


def _by_endpoint(counted: Callable[[Tally], Counter[str]]) -> Callable[[EndpointsSource], Values]:
    """One number an endpoint, of those too that have been dropped since."""

    def read(source: EndpointsSource) -> Values:
        router = source.service.router
        found = counted(router.tally)
        return {(name,): found[name] for name in {**router.endpoints, **found}}

    return read


def _given(source: EndpointsSource) -> Values:
    return {(endpoint, instance): n for (endpoint, instance), n in source.service.router.tally.given.items()}


def _connections(source: EndpointsSource) -> Values:
    return dict(Counter((held.endpoint, held.instance_id) for held in source.service.router.held.values()))


def _leads_to(source: EndpointsSource) -> Values:
    return {(name, one): 1 for name, found in source.service.leads_to().items() for one in found}


_EndpointsMetric = Metric[EndpointsSource]

ENDPOINTS_METRICS: Final[tuple[_EndpointsMetric, ...]] = (
    _EndpointsMetric(
        "aurora_endpoints_accepted_total",
        "counter",
        "Connections that clients have made to the endpoint",
        _by_endpoint(lambda tally: tally.accepted),
        ("endpoint",),
    ),
    _EndpointsMetric(
        "aurora_endpoints_given_total",
        "counter",
        "Connections given to an instance; one that the instance gives back counts again with the next",
        _given,
        ("endpoint", "instance"),
    ),
    _EndpointsMetric(
        "aurora_endpoints_refused_total",
        "counter",
        "Connections that heard 57P03: they waited too long, too many waited, or their instance cannot be reached",
        _by_endpoint(lambda tally: tally.refused),
        ("endpoint",),
    ),
    _EndpointsMetric(
        "aurora_endpoints_hung_up_total",
        "counter",
        "Clients that hung up while they waited",
        _by_endpoint(lambda tally: tally.hung_up),
        ("endpoint",),
    ),
    _EndpointsMetric(
        "aurora_endpoints_cut_total",
        "counter",
        "Connections closed from here because their writer was superseded and did not close them",
        _by_endpoint(lambda tally: tally.cut),
        ("endpoint",),
    ),
    _EndpointsMetric(
        "aurora_endpoints_waiting",
        "gauge",
        "Connections that wait for an instance: at the cluster endpoint for a writer",
        lambda source: {(name,): count for name, count in source.service.router.waiting_at().items()},
        ("endpoint",),
    ),
    _EndpointsMetric(
        "aurora_endpoints_wait_seconds",
        "histogram",
        "From a connection's arrival to its instance",
        lambda source: source.service.router.tally.wait_seconds,
    ),
    _EndpointsMetric(
        "aurora_endpoints_connections",
        "gauge",
        "Connections that instances have now, as far as this process made them",
        _connections,
        ("endpoint", "instance"),
    ),
    _EndpointsMetric(
        "aurora_endpoints_leads_to",
        "gauge",
        "1 for each instance that the endpoint leads to now",
        _leads_to,
        ("endpoint", "instance"),
    ),
    _EndpointsMetric(
        "aurora_endpoints_stray_cancels_total",
        "counter",
        "Cancel requests that came to another instance than their session's and were passed on",
        lambda source: source.service.stray_cancels,
    ),
    _EndpointsMetric(
        "aurora_endpoints_epoch",
        "gauge",
        "The highest volume epoch under which an instance is known to write",
        lambda source: source.service.router.epoch,
    ),
    *stall_metrics("aurora_endpoints_loop", lambda source: source.stalls),
)
