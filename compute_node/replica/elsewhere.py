"""What an instance asks of the others for its own clients: to cancel a session that is not here, and to write what a
reader cannot.

::

    a cancel request for no session here ─► Cancel to every instance
    a session of a database without catalogs, on a reader ─► UseDatabase to the writer
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aurora.errors import CannotConnectNow
from aurora.rpc import instances
from aurora.rpc.instances import InstanceRefused
from compute_node.replica.known import Known

CANCELS_MAX: Final = 64
"""Cancel requests that are being passed on; more are dropped, as a client must expect of any."""


class Elsewhere:
    """``known`` are the others. Lives on the running loop."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._cancels: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Pass nothing on any more."""
        for cancel in self._cancels:
            cancel.cancel()

    def cancel(self, pid: int, secret: int) -> None:
        """A cancel request that fits no session here: an endpoint may have brought it to another instance than its
        session's."""
        if len(self._cancels) < CANCELS_MAX:
            task = asyncio.ensure_future(self._cancel(pid, secret))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

    async def _cancel(self, pid: int, secret: int) -> None:
        async def ask(address: str) -> None:
            with contextlib.suppress(ConnectionError):
                await instances.cancel(address, pid, secret)

        await asyncio.gather(*(ask(address) for address in self._known.addresses))

    async def use_database(self, oid: int) -> int:
        """Have the writer write the catalogs of a database; the LSN as of which they are there. CannotConnectNow."""
        writer = self._known.writer()
        try:
            if writer is None or writer.id == self._known.self_id:
                raise ConnectionError("nobody writes now")
            return await instances.use_database(writer.feed_address, oid)
        except (ConnectionError, InstanceRefused) as error:
            raise CannotConnectNow(
                "the database has not been used yet, and its catalogs cannot be written now",
                detail=str(error),
                severity="FATAL",
            ) from error
