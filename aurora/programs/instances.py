"""Verbs over the instances of a cluster: one more, one less, one anew, another writer.

::

    failover:   the writer ─ StepDown(successor) ─► its sessions end, what they committed is durable
                successor  ─ Promote ─────────────► it writes

Who writes is the instances' own decision and storage's fence: nothing here is needed for safety, and two verbs at the
same time end with one writer.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aurora.programs.description import PROMOTION_TIER_DEFAULT, READER, WRITER, ClusterError, InstanceSpec
from aurora.rpc.instances import InstanceRefused, Instances, writer_of

if TYPE_CHECKING:
    from aurora.programs.supervisor import Cluster
    from aurora.rpc.compute_pb2 import InstanceState, Topology

NAME: Final = re.compile(r"[a-z](-?[a-z0-9])*")
NAME_CHARACTERS_MAX: Final = 63
AVAILABLE: Final = "available"
FOLLOW_TIMEOUT_S: Final = 30.0
"""How long a former writer may take to follow its successor."""


@dataclass(frozen=True, slots=True)
class Failover:
    """Who wrote, who writes now and under which epoch, and how long nobody did (s)."""

    before: str
    after: str
    epoch: int
    away_s: float


def add(cluster: Cluster, name: str = "", tier: int = PROMOTION_TIER_DEFAULT, cache_mb: int = 0) -> InstanceSpec:
    """One more reader; it is started, and answers, when the cluster runs."""
    if name and (not NAME.fullmatch(name) or len(name) > NAME_CHARACTERS_MAX):
        raise ClusterError(
            f"{name!r} is no name of an instance: at most {NAME_CHARACTERS_MAX} letters a to z, digits and single "
            "hyphens between them, a letter first"
        )
    with cluster.changing() as spec:
        unheard = [i.id for i in spec.instances if not i.feed and cluster.pid(i.id) is not None]
        if unheard:
            raise ClusterError(
                f"{', '.join(unheard)} was started by an older program and speaks to no reader; start it again: "
                f"aurora instance reboot {unheard[0]}"
            )
        cluster.give_block()
        instance = cluster.describe_instance(READER, name, spec.instances[0].port)
        instance.promotion_tier, instance.cache_mb = tier, cache_mb
    if any(cluster.pid(one.id) is not None for one in cluster.required.instances):
        cluster.start_instance(instance.id)
        cluster.wait_instance(instance.id)
        cluster.start_endpoints()
        cluster.wait_endpoints()
    return instance


def remove(cluster: Cluster, name: str) -> str:
    """Stop an instance and forget it; a writer hands over before. What was done, in words."""
    cluster.required.instance(name)
    if cluster.alone(name):
        raise ClusterError(f"{name} is the cluster's last instance; aurora down stops it")
    said = ""
    if cluster.pid(name) is not None and cluster.writer.id == name:
        said = f"{failover(cluster).after} is the writer now; "
    with cluster.changing() as spec:  # nobody starts it meanwhile
        cluster.processes.want(name, False)
        cluster.stop_running(name)
        spec.instances = [one for one in spec.instances if one.id != name]
        if all(one.role != WRITER for one in spec.instances):
            spec.instances[0].role = WRITER
    _tell_removed(cluster, name)
    return f"{said}{name} is removed"


def _tell_removed(cluster: Cluster, name: str) -> None:
    """Have the other instances forget one: the writer first, which tells the others whom it knows. One that does not
    answer hears from nobody of it any more, and forgets it by itself."""
    writer = cluster.writer.id
    with Instances(cluster.access()) as calls:
        for one in sorted(cluster.required.instances, key=lambda one: one.id != writer):
            if cluster.pid(one.id) is not None:
                with contextlib.suppress(ConnectionError):
                    calls.forget(one.feed, name)


def reboot(cluster: Cluster, name: str) -> None:
    """Stop an instance and start it again; returns when it answers. A writer with readers comes back as one of them,
    unless it is the best of them."""
    cluster.required.instance(name)
    cluster.stop(name)
    cluster.start_instance(name)
    cluster.wait_instance(name)


def start(cluster: Cluster, name: str) -> None:
    """Start an instance; returns when it answers."""
    cluster.start_instance(name)
    cluster.wait_instance(name)


def failover(cluster: Cluster, to: str = "", say: Callable[[str], object] = lambda _: None) -> Failover:
    """Have another instance write: ``to``, or the best reader. ClusterError when there is none, or it will not."""
    told = cluster.topologies()
    writer = writer_of(told.values())
    successor = _successor(cluster, told, writer, to)
    feeds = {one.id: one.feed for one in cluster.required.instances}
    with Instances(cluster.access()) as calls:
        calls.describe([feeds[successor]])  # it is connected to before the writer is asked to end
        begun_s = time.monotonic()
        if writer is None:
            say("nobody writes")
        else:
            try:
                calls.step_down(feeds[writer.id], successor)
            except InstanceRefused as error:
                raise ClusterError(f"{writer.id} does not step down: {error}") from error
            except ConnectionError as error:  # it has died just now, or hangs: storage ends its writing
                say(str(error))
        try:
            reply = calls.promote(feeds[successor], "aurora failover")
        except (InstanceRefused, ConnectionError) as error:
            raise ClusterError(f"{successor} did not become the writer: {error}") from error
        away_s = time.monotonic() - begun_s
    cluster.note_writer(successor)
    return Failover(writer.id if writer is not None else "", successor, reply.epoch, away_s)


def _successor(cluster: Cluster, told: Mapping[str, Topology], writer: InstanceState | None, to: str) -> str:
    """Who is to write. The best reader is the one that would win an election: by tier, then by what it has applied."""
    readers = [told[name].self for name in told if writer is None or name != writer.id]
    if to:
        cluster.required.instance(to)
        if writer is not None and to == writer.id:
            raise ClusterError(f"{to} is the writer already")
        if to not in told:
            raise ClusterError(f"{to} does not answer: it cannot become the writer")
        return to
    if cluster.alone(cluster.required.instances[0].id):
        raise ClusterError("there is no reader to take over; add one with: aurora instance add")
    best = best_reader(readers)
    if best is None:
        raise ClusterError("no reader is available to take over; aurora status tells more")
    return best.id


def best_reader(readers: Iterable[InstanceState]) -> InstanceState | None:
    """The available one of the lowest promotion tier that has applied most."""
    able = [reader for reader in readers if reader.state == AVAILABLE]
    return min(able, key=lambda reader: (reader.promotion_tier, -reader.applied_lsn, reader.id), default=None)
