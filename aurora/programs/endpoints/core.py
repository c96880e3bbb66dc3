"""Where each connection goes: a state machine of instances, connections and time, sans I/O.

::

    heard, unheard, lost            what is known of instances     ┐
    arrived, returned, hung_up      connections that want one      ├─► turn(now) ─► Give, Refuse, Cut
    gone                            connections that have one      ┘

**Who is the writer.** The instance that says of itself that it writes, under the highest volume epoch that any writer
is known for, and that has answered within ``TRUST_S``. Epochs only grow: the instance that a new writer has fenced
never gets a connection again as the writer, whatever it says. Between a writer's end and its successor's first answer
there is none, and connections to the cluster endpoint wait, ``wait_s`` at most.

**Who is a reader.** Each that says so of itself, is available, and has answered within ``TRUST_S``. The one with the
fewest connections gets the next, in turn among equals; without one the writer gets it (custom endpoints of type READER:
nobody).

**Who is cut off.** When a writer is known under a higher epoch, connections that were given to the older one as the
writer are closed: at once when it does not answer, after ``STALE_S`` when it still says that it writes. One that has
become a reader has ended its sessions, or kept them, itself.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from aurora.histogram import Histogram
from aurora.programs.endpoints.spec import Endpoint, Kind, Type

TRUST_S: Final = 2.0
"""How long what an instance has said of itself is relied on."""
STALE_S: Final = 1.0
"""How long a superseded writer has to end its sessions itself."""
FULL_S: Final = 0.1
"""How long an instance that had no room for a connection is left alone."""
WAIT_S: Final = 30.0
WAITING_MAX: Final = 4096
POLL_S: Final = 1.0
POLL_FAST_S: Final = 0.05
TROUBLE_S: Final = 30.0
"""For how long an instance that does not answer is asked every ``POLL_FAST_S``."""
WRITER, READER, AVAILABLE = "writer", "reader", "available"
DOUBTED: Final = "doubted"
"""The state of an instance that has given a connection back, or is changing its role."""
NEVER: Final = float("-inf")


class Claim(NamedTuple):
    """What an instance says of itself, or is said of it. Addresses are HOST:PORT."""

    id: str
    role: str
    state: str = AVAILABLE
    epoch: int = 0
    sql_address: str = ""
    feed_address: str = ""


class Give(NamedTuple):
    """Hand the connection to this instance."""

    number: int
    instance_id: str


class Refuse(NamedTuple):
    """Nobody can take it: answer 57P03 with this DETAIL and close."""

    number: int
    detail: str = "No instance that this endpoint leads to is known."


class Cut(NamedTuple):
    """Close it under its instance's hands."""

    number: int


Effect = Give | Refuse | Cut


@dataclass(slots=True)
class Instance:
    """One instance; ``answered_s`` is when it last spoke for itself."""

    claim: Claim
    answered_s: float = NEVER
    trouble_s: float | None = None
    """Since when it does not answer."""
    full_until_s: float = NEVER
    connections: int = 0
    given: int = 0
    """When it last got a connection, counted in connections."""


@dataclass(slots=True)
class Waiting:
    """A connection that nobody has yet."""

    number: int
    endpoint: str
    deadline_s: float


class Held(NamedTuple):
    """A connection that an instance has."""

    instance_id: str
    endpoint: str
    deadline_s: float
    as_writer: bool


@dataclass(slots=True)
class Tally:
    """What has become of connections, by endpoint (``metrics``)."""

    accepted: Counter[str] = field(default_factory=Counter)
    given: Counter[tuple[str, str]] = field(default_factory=Counter)
    """by endpoint and instance"""
    refused: Counter[str] = field(default_factory=Counter)
    hung_up: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    wait_seconds: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class Router:
    """All of it. Times are seconds of one monotonic clock."""

    wait_s: float = WAIT_S
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    epoch: int = 0
    """The highest under which an instance is known to write."""
    held: dict[int, Held] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    _waiting: dict[str, deque[Waiting]] = field(default_factory=dict)
    _superseded: dict[str, float] = field(default_factory=dict)
    """Instances with connections given to them as the writer under an older epoch, and since when."""
    _effects: list[Effect] = field(default_factory=list)
    _turns: int = 0

    # ---- what is known of instances ----

    def heard(self, me: Claim, others: Iterable[Claim], now_s: float) -> None:
        """An instance has described itself, and what it knows of others."""
        instance = self.instances.get(me.id)
        if instance is None:
            instance = self.instances[me.id] = Instance(me)
        instance.claim, instance.answered_s, instance.trouble_s = me, now_s, None
        for other in others:
            if other.id != me.id:
                self._hearsay(other)
        for claim in (me, *others):
            if claim.role == WRITER and claim.state == AVAILABLE and claim.epoch > self.epoch:
                self.epoch = claim.epoch
        if me.role == WRITER and me.state == AVAILABLE and me.epoch == self.epoch:
            self._superseded.pop(me.id, None)
            for held in self.held.values():
                if held.as_writer and held.instance_id != me.id:
                    self._superseded.setdefault(held.instance_id, now_s)

    def _hearsay(self, claim: Claim) -> None:
        """An instance that is only heard of is asked, not relied on; where it is may have changed."""
        known = self.instances.get(claim.id)
        if known is None:
            self.instances[claim.id] = Instance(claim)
        elif known.answered_s == NEVER:
            known.claim = claim

    def unheard(self, instance_id: str, now_s: float, refused: bool) -> None:
        """It does not answer. ``refused``: there is nobody at its address, so what it said does not count any more."""
        instance = self.instances.get(instance_id)
        if instance is None:
            return
        if instance.trouble_s is None:
            instance.trouble_s = now_s
        if refused:
            instance.answered_s = NEVER

    def lost(self, instance_id: str, now_s: float) -> None:
        """Its process has ended, or refused a connection."""
        self.unheard(instance_id, now_s, refused=True)

    def doubted(self, instance_id: str) -> None:
        """It lives, and is not, or may not be any more, what it said: nobody is sent there before it speaks again."""
        instance = self.instances.get(instance_id)
        if instance is not None:
            instance.claim = instance.claim._replace(state=DOUBTED)

    def full(self, instance_id: str, now_s: float) -> None:
        """It had no room for a connection."""
        if instance_id in self.instances:
            self.instances[instance_id].full_until_s = now_s + FULL_S

    def forget(self, instance_id: str) -> None:
        """It is no instance of the cluster any more."""
        self.instances.pop(instance_id, None)

    def answers(self, instance_id: str, now_s: float) -> bool:
        """Whether an instance has spoken for itself of late."""
        instance = self.instances.get(instance_id)
        return instance is not None and now_s - instance.answered_s <= TRUST_S

    def counts(self, instance_id: str, now_s: float) -> bool:
        """Whether what an instance has said of itself is relied on."""
        instance = self.instances.get(instance_id)
        return instance is not None and self._counts(instance, now_s)

    def _counts(self, instance: Instance, now_s: float) -> bool:
        return now_s - instance.answered_s <= TRUST_S and instance.claim.state == AVAILABLE

    def writer(self, now_s: float) -> Instance | None:
        """The instance that writes now, as far as anybody knows."""
        for instance in self.instances.values():
            claim = instance.claim
            if claim.role == WRITER and claim.epoch == self.epoch and self._counts(instance, now_s):
                return instance
        return None

    def poll_after_s(self, instance_id: str, now_s: float) -> float:
        """How long until an instance is asked again."""
        instance = self.instances.get(instance_id)
        if instance is None:
            return POLL_S
        if instance.trouble_s is not None:
            return POLL_FAST_S if now_s - instance.trouble_s <= TROUBLE_S else POLL_S
        return POLL_S if self.writer(now_s) is not None else POLL_FAST_S

    # ---- connections ----

    def arrived(self, number: int, endpoint: str, now_s: float) -> None:
        """A client has connected to an endpoint."""
        self.tally.accepted[endpoint] += 1
        if sum(len(queue) for queue in self._waiting.values()) >= WAITING_MAX:
            self._turn_away(number, endpoint)
            return
        self._waiting.setdefault(endpoint, deque()).append(Waiting(number, endpoint, now_s + self.wait_s))

    def returned(self, number: int) -> None:
        """The instance that it was given to has not taken it: another may have it."""
        held = self._release(number)
        if held is not None:
            waiting = Waiting(number, held.endpoint, held.deadline_s)
            self._waiting.setdefault(held.endpoint, deque()).appendleft(waiting)

    def gone(self, number: int) -> None:
        """It is closed."""
        self._release(number)

    def unusable(self, number: int, detail: str) -> None:
        """The instance that it was given to cannot be connected to: the client is told why."""
        held = self._release(number)
        if held is not None:
            self.tally.refused[held.endpoint] += 1
            self._effects.append(Refuse(number, detail))

    def _turn_away(self, number: int, endpoint: str) -> None:
        self.tally.refused[endpoint] += 1
        self._effects.append(Refuse(number))

    def hung_up(self, numbers: set[int]) -> None:
        """Clients that waited have gone."""
        for endpoint, queue in self._waiting.items():
            if any(waiting.number in numbers for waiting in queue):
                left = self._waiting[endpoint] = deque(each for each in queue if each.number not in numbers)
                self.tally.hung_up[endpoint] += len(queue) - len(left)

    def waiting_at(self) -> dict[str, int]:
        """How many wait, by endpoint."""
        return {name: len(self._waiting.get(name, ())) for name in self.endpoints}

    def waiting(self) -> Iterator[int]:
        """The connections that nobody has yet."""
        for queue in self._waiting.values():
            for waiting in queue:
                yield waiting.number

    def _release(self, number: int) -> Held | None:
        held = self.held.pop(number, None)
        if held is not None and held.instance_id in self.instances:
            self.instances[held.instance_id].connections -= 1
        return held

    # ---- decisions ----

    def turn(self, now_s: float) -> list[Effect]:
        """What is to be done now."""
        for endpoint, queue in self._waiting.items():
            while queue and (instance := self._choose(endpoint, now_s)) is not None:
                self._give(queue.popleft(), instance, now_s)
            while queue and (queue[0].deadline_s <= now_s or endpoint not in self.endpoints):
                self._turn_away(queue.popleft().number, endpoint)
        self._cut(now_s)
        effects, self._effects = self._effects, []
        return effects

    def _give(self, waiting: Waiting, instance: Instance, now_s: float) -> None:
        self._turns += 1
        self.tally.given[waiting.endpoint, instance.claim.id] += 1
        self.tally.wait_seconds.observe(now_s - (waiting.deadline_s - self.wait_s))
        instance.connections += 1
        instance.given = self._turns
        as_writer = instance.claim.role == WRITER
        self.held[waiting.number] = Held(instance.claim.id, waiting.endpoint, waiting.deadline_s, as_writer)
        self._effects.append(Give(waiting.number, instance.claim.id))

    def _choose(self, endpoint_name: str, now_s: float) -> Instance | None:
        """Who gets the next connection to an endpoint; None: nobody now."""
        endpoint = self.endpoints.get(endpoint_name)
        if endpoint is None:
            return None
        free = [each for each in self.members(endpoint, now_s) if each.full_until_s <= now_s]
        return min(free, key=lambda each: (each.connections, each.given), default=None)

    def members(self, endpoint: Endpoint, now_s: float) -> list[Instance]:
        """The instances that an endpoint leads to now."""
        writer = self.writer(now_s)
        if writer is not None and not endpoint.has(writer.claim.id):
            writer = None
        if endpoint.kind is Kind.WRITER:
            return [writer] if writer is not None else []
        readers = [
            each
            for each in self.instances.values()
            if each.claim.role == READER and self._counts(each, now_s) and endpoint.has(each.claim.id)
        ]
        takes_writer = endpoint.type is Type.ANY if endpoint.kind is Kind.CUSTOM else not readers
        return [*readers, writer] if writer is not None and takes_writer else readers

    def _cut(self, now_s: float) -> None:
        for instance_id, since_s in list(self._superseded.items()):
            instance = self.instances.get(instance_id)
            answers = instance is not None and now_s - instance.answered_s <= TRUST_S
            if answers and instance is not None and instance.claim.role == READER:
                del self._superseded[instance_id]
            elif not answers or now_s >= since_s + STALE_S:
                del self._superseded[instance_id]
                for number, held in self.held.items():
                    if held.as_writer and held.instance_id == instance_id:
                        self.tally.cut[held.endpoint] += 1
                        self._effects.append(Cut(number))

    def next_s(self, now_s: float) -> float | None:
        """When ``turn`` is to be called if nothing happens before; None: not at all."""
        times = [since_s + STALE_S for since_s in self._superseded.values()]
        queues = [queue for queue in self._waiting.values() if queue]
        times += [queue[0].deadline_s for queue in queues]
        if queues:
            times += [each.full_until_s for each in self.instances.values() if each.full_until_s > now_s]
        return min(times, default=None)
