"""Rows of a portal or an executable → DataRow messages in the session's output, a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora.kernels import wire as wire_kernel

if TYPE_CHECKING:
    from compute_node.session.portals import Portal
    from compute_node.session.results import ResultFormat
    from compute_node.session.session import Session

FLUSH_BYTES = 65536
"""Output that goes out before the turn ends."""
BATCH_ROWS = 2048


def put_rows(session: Session, rows: list[tuple[Any, ...]], result: ResultFormat) -> int:
    """Encode a batch into the output; returns its bytes."""
    session.gated = True
    data = wire_kernel.encode_rows(rows, result.codes, result.converters, session.env)
    session.out.append(data)
    return len(data)


def send_rows(session: Session, portal: Portal, result: ResultFormat, limit: int) -> int:
    """Send at most ``limit`` rows (0: all) from the portal; returns how many. Waits when the client does not read."""
    sent = unsent_bytes = 0
    while not limit or sent < limit:
        batch = portal.next_batch(min(limit - sent, BATCH_ROWS) if limit else BATCH_ROWS)
        if not batch:
            break
        sent += len(batch)
        unsent_bytes += put_rows(session, batch, result)
        if unsent_bytes >= FLUSH_BYTES:
            unsent_bytes = 0
            session.port.flush()
            session.check_interrupts()
    return sent
