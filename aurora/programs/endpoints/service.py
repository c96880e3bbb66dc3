"""The endpoints' process on its event loop: listens, hands over or forwards, as the router (``core``) decides.

What is bounded: connections that wait (``core.WAITING_MAX``), connections that hear that nobody can take them
(``REFUSING_MAX``), cancel requests under way (``CANCELS_MAX``). When file descriptors run out, those kept of
connections that instances serve already are let go, oldest first: such a connection goes on, and only cannot be shut
down from here any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import os
import select
import socket
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Final

from aurora.addresses import is_loopback, parse_listen
from aurora.programs.endpoints import core
from aurora.programs.endpoints.core import Cut, Give, Refuse, Router
from aurora.programs.endpoints.links import Links
from aurora.programs.endpoints.proxy import Pair, Refusing, forward
from aurora.programs.endpoints.refusal import Cancel, cancel_request
from aurora.programs.endpoints.spec import Endpoint
from aurora.programs.endpoints.watch import Watch
from aurora.rpc.channels import Access

LOGGER = logging.getLogger(__name__)

BACKLOG: Final = 4096
ACCEPTS_A_TURN: Final = 64
RETRY_S: Final = 0.05
LOOK_S: Final = 1.0
"""How often clients that wait are looked at, whether they have hung up."""
LET_GO: Final = 256
"""How many descriptors are let go at once when they run out."""
REFUSING_MAX: Final = 1024
CANCELS_MAX: Final = 64
CANCEL_TIMEOUT_S: Final = 5.0
NO_MEMORY: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Service:
    """All of one cluster's endpoints. Lives on the running loop."""

    def __init__(self, peers: Iterable[str], folder: Path | None, access: Access, wait_s: float = core.WAIT_S) -> None:
        self._loop = asyncio.get_running_loop()
        self.router = Router(wait_s)
        self.links = Links(folder, self)
        self._watch = Watch(self.router, access, self._heard, self._unheard, self._loop.time)
        self._peers = list(peers)
        self._listeners: dict[str, tuple[Endpoint, socket.socket]] = {}
        self._numbers = itertools.count(1)
        self._fds: dict[int, int] = {}
        """The descriptors that are kept, by connection, in the order of their arrival."""
        self._pairs: dict[int, Pair] = {}
        self._refusing = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancels = 0
        self.stray_cancels = 0
        """Cancel requests that were passed on to other instances."""
        self._timer: asyncio.TimerHandle | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._turning = False

    # ---- life ----

    def start(self, endpoints: Iterable[Endpoint]) -> None:
        """Listen, and begin to ask who the instances are. OSError when an address cannot be had."""
        self.set_endpoints(endpoints)
        self._watch.ask(self._peers)
        self._look()

    def set_endpoints(self, endpoints: Iterable[Endpoint]) -> None:
        """Listen at these endpoints from now on. OSError for an address that cannot be had; the others are served."""
        wanted = {endpoint.name: endpoint for endpoint in endpoints}
        for name, (endpoint, listener) in list(self._listeners.items()):
            if name not in wanted or wanted[name].address != endpoint.address:
                self._loop.remove_reader(listener.fileno())
                listener.close()
                del self._listeners[name]
        problem: OSError | None = None
        for name, endpoint in wanted.items():
            if name in self._listeners:
                self._listeners[name] = (endpoint, self._listeners[name][1])
                continue
            try:
                self._listen(endpoint)
            except OSError as error:
                problem = OSError(f"endpoint {name} cannot listen on {endpoint.address}: {error.strerror or error}")
        self.router.endpoints = {name: endpoint for name, (endpoint, _) in self._listeners.items()}
        self._turn()
        if problem is not None:
            raise problem

    def _listen(self, endpoint: Endpoint) -> None:
        host, port = parse_listen(endpoint.address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        listener.setblocking(False)
        self._listeners[endpoint.name] = (endpoint, listener)
        self._loop.add_reader(listener.fileno(), self._accept, endpoint.name)

    @property
    def addresses(self) -> dict[str, str]:
        """Where each endpoint listens, HOST:PORT."""
        places = {name: listener.getsockname()[:2] for name, (_, listener) in self._listeners.items()}
        return {name: f"{host}:{port}" for name, (host, port) in places.items()}

    async def close(self) -> None:
        """Listen no more; connections that instances have go on, forwarded ones end."""
        for _, listener in self._listeners.values():
            self._loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()
        for timer in (self._timer, self._look_timer):
            if timer is not None:
                timer.cancel()
        await self._watch.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pair in list(self._pairs.values()):
            pair.abort()
        self.links.close()
        for number in list(self._fds):
            self._let_go(number)

    # ---- connections come ----

    def _accept(self, name: str) -> None:
        held = self._listeners.get(name)
        if held is None:
            return
        for _ in range(ACCEPTS_A_TURN):
            try:
                accepted, _ = held[1].accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in NO_MEMORY:
                    self._make_room(name, error)
                    break
                continue  # this client has gone already
            number = next(self._numbers)
            self._fds[number] = accepted.detach()
            self.router.arrived(number, name, self._loop.time())
        self._turn()

    def _make_room(self, name: str, error: OSError) -> None:
        kept = [number for number in self.links.taken() if number in self._fds]
        for number in kept[:LET_GO]:
            self._let_go(number)
        LOGGER.warning("endpoint %s: %s; connections let go: %d", name, error, len(kept[:LET_GO]))
        if not kept:
            held = self._listeners[name][1]
            self._loop.remove_reader(held.fileno())
            self._loop.call_later(RETRY_S, self._listen_again, name, held)

    def _listen_again(self, name: str, listener: socket.socket) -> None:
        held = self._listeners.get(name)
        if held is not None and held[1] is listener:
            self._loop.add_reader(listener.fileno(), self._accept, name)

    def _let_go(self, number: int) -> None:
        fd = self._fds.pop(number, None)
        if fd is not None:
            os.close(fd)

    def _look(self) -> None:
        """Clients that hung up while they waited are forgotten."""
        self._look_timer = self._loop.call_later(LOOK_S, self._look)
        poll, numbers = select.poll(), {}
        for number in self.router.waiting():
            if number in self._fds:
                numbers[self._fds[number]] = number
                poll.register(self._fds[number], select.POLLRDHUP)
        if not numbers:
            return
        gone = {numbers[fd] for fd, _ in poll.poll(0)}
        if gone:
            self.router.hung_up(gone)
            for number in gone:
                self._let_go(number)

    # ---- the router's decisions ----

    def _turn(self) -> None:
        if self._turning:
            return  # the one under way looks again
        self._turning = True
        try:
            now_s = self._loop.time()
            self._settle(now_s)
            while effects := self.router.turn(now_s):
                for effect in effects:
                    self._do(effect)
        finally:
            self._turning = False
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_s = self._loop.time()
        at_s = self.router.next_s(now_s)
        if at_s is not None:
            self._timer = self._loop.call_later(max(at_s - now_s, 0.0) + 0.001, self._turn)

    def _settle(self, now_s: float) -> None:
        """What an instance that does not answer has not taken may go to another."""
        for instance_id in list(self.router.instances):
            if self.links.untaken(instance_id) and not self.router.answers(instance_id, now_s):
                for number in self.links.settle(instance_id):
                    self.router.returned(number)

    def _do(self, effect: core.Effect) -> None:
        if isinstance(effect, Give):
            if effect.number not in self._fds:
                self.router.gone(effect.number)
            elif self.links.open(effect.instance_id):
                self.links.give(effect.instance_id, effect.number, self._fds[effect.number])
            else:
                self._spawn(self._forward(effect.number, effect.instance_id))
        elif isinstance(effect, Refuse):
            self._refuse(effect.number, effect.detail)
        elif isinstance(effect, Cut):
            self._cut(effect.number)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, number: int, instance_id: str) -> None:
        """Copy the bytes of a connection, where its socket cannot be handed over."""
        instance = self.router.instances.get(instance_id)
        fd = self._fds.pop(number, None)
        if fd is None or instance is None:
            self.router.gone(number)
            return
        client = socket.socket(fileno=fd)
        client.setblocking(False)
        try:
            address = parse_listen(instance.claim.sql_address)
        except ValueError:
            LOGGER.warning("%s does not say where it listens: %r", instance_id, instance.claim.sql_address)
            self._fds[number] = client.detach()
            self.router.unusable(number, "The instance does not say where it listens.")
            self._turn()
            return
        if is_loopback(address[0]) and not _is_local(client):
            LOGGER.warning(
                "%s has no handover socket: a client of another machine would seem to be of this one", address
            )
            self._fds[number] = client.detach()
            self.router.unusable(number, "The instance takes connections of its own machine alone.")
            self._turn()
            return
        try:
            self._pairs[number] = await forward(
                client,
                address,
                lambda: self.gone(number),
                lambda cancel: self.stray_cancel(instance_id, cancel),
            )
        except (OSError, TimeoutError) as error:
            LOGGER.info("%s at %s cannot be reached: %s", instance_id, instance.claim.sql_address, error)
            self._fds[number] = client.detach()
            self.router.lost(instance_id, self._loop.time())
            self.router.returned(number)
            self._watch.kick()
            self._turn()
            return
        if number not in self.router.held:  # it has ended, or was cut, while it was being made
            self._pairs.pop(number).abort()

    def _refuse(self, number: int, detail: str) -> None:
        self.router.gone(number)
        fd = self._fds.pop(number, None)
        if fd is None:
            return
        client = socket.socket(fileno=fd)
        client.setblocking(False)
        if self._refusing >= REFUSING_MAX:
            client.close()
            return
        self._refusing += 1
        self._spawn(self._tell(client, detail))

    async def _tell(self, client: socket.socket, detail: str) -> None:
        def gone() -> None:
            self._refusing -= 1

        try:
            await self._loop.connect_accepted_socket(lambda: Refusing(detail, gone), client)
        except OSError:
            gone()
            client.close()

    def _cut(self, number: int) -> None:
        """Close a connection that its instance does not close."""
        self.links.drop(number)
        self.router.gone(number)
        pair = self._pairs.pop(number, None)
        if pair is not None:
            pair.abort()
        fd = self._fds.pop(number, None)
        if fd is not None:
            with socket.socket(fileno=fd) as client, contextlib.suppress(OSError):  # the client has closed it
                client.shutdown(socket.SHUT_RDWR)

    # ---- what instances say ----

    def _heard(self, instance_id: str) -> None:
        self.links.open(instance_id)
        self._turn()

    def _unheard(self, instance_id: str, refused: bool) -> None:
        if refused:
            self.links.release(instance_id)
        self._turn()

    def gone(self, number: int) -> None:
        """See ``links.Owner``."""
        self._pairs.pop(number, None)
        self._let_go(number)
        self.router.gone(number)

    def back(self, instance_id: str, number: int) -> None:
        """See ``links.Owner``."""
        LOGGER.info("%s has given a connection back", instance_id)
        self.router.full(instance_id, self._loop.time())
        self.router.doubted(instance_id)
        self.router.returned(number)
        self._watch.kick()
        self._turn()

    def changed(self, instance_id: str) -> None:
        """See ``links.Owner``."""
        self.router.doubted(instance_id)
        self._watch.kick()
        self._turn()

    def unlinked(self, instance_id: str, untaken: list[int]) -> None:
        """See ``links.Owner``."""
        for number in untaken:
            self.router.returned(number)
        self.router.lost(instance_id, self._loop.time())
        self._watch.kick()
        self._turn()

    def stray_cancel(self, instance_id: str, cancel: Cancel) -> None:
        """See ``links.Owner``: the other instances are asked."""
        self.stray_cancels += 1
        now_s = self._loop.time()
        for other_id in list(self.router.instances):
            if other_id == instance_id or not self.router.counts(other_id, now_s):
                continue
            if not self.links.cancel(other_id, cancel) and self._cancels < CANCELS_MAX:
                self._cancels += 1
                self._spawn(self._send_cancel(self.router.instances[other_id].claim.sql_address, cancel))

    async def _send_cancel(self, address: str, cancel: Cancel) -> None:
        try:
            async with asyncio.timeout(CANCEL_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(*parse_listen(address))
                writer.write(cancel_request(cancel))
                await reader.read()  # it closes when it has acted
                writer.close()
        except (OSError, TimeoutError) as error:
            LOGGER.info("a cancel request did not reach %s: %s", address, error)
        finally:
            self._cancels -= 1

    def leads_to(self) -> dict[str, list[str]]:
        """Whom each endpoint leads to now."""
        router, now_s = self.router, self._loop.time()
        members = {name: router.members(endpoint, now_s) for name, endpoint in router.endpoints.items()}
        return {name: [instance.claim.id for instance in found] for name, found in members.items()}

    def problem(self) -> str:
        """What ``/healthz`` says: the endpoints that lead nowhere now, empty when there is none."""
        nowhere = [name for name, found in self.leads_to().items() if not found]
        return f"no instance for {', '.join(nowhere)}" if nowhere else ""


def _is_local(client: socket.socket) -> bool:
    try:
        return is_loopback(str(client.getpeername()[0]))
    except OSError:
        return True  # it has gone
