"""What is known of transactions by their xids: the caller's snapshot, whether one committed, how old an xid is."""

from __future__ import annotations

from collections.abc import Callable

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue
from aurora.ids import FIRST_NORMAL_XID
from compute_node.catalog.functions.call import Call
from compute_node.hub import HUB

_STEPS = 4096
_INT4_MAX = 2**31 - 1


def current_snapshot(call: Call) -> tuple[int, int, tuple[int, ...]]:
    """(xmin, xmax, running): as the statement sees them, so that what committed after its snapshot still runs."""
    txns = call.engine.storage.txns
    lsn = call.txn.snapshot_lsn or call.txn.oldest_lsn or txns.vdl
    xmax = txns.next_xid
    running: set[int] = {txn.xid for txn in txns.active if txn.xid}
    for step, xid in enumerate(range(txns.first_xid, xmax)):
        if not step % _STEPS:
            HUB.pulse()
        if xid not in txns.by_xid and txns.state(xid) > lsn:
            running.add(xid)
    ordered = tuple(sorted(xid for xid in running if xid < xmax))
    return (ordered[0] if ordered else xmax), xmax, ordered


def xact_status(call: Call, xid: int) -> str | None:
    """``in progress``, ``committed`` or ``aborted``; NULL for no xid. 22023 for one that is not given out yet."""
    txns = call.engine.storage.txns
    if xid == 0:
        return None
    if not 0 < xid < txns.next_xid:
        raise InvalidParameterValue(f"transaction ID {xid & (2**64 - 1)} is in the future")
    if xid < FIRST_NORMAL_XID:
        return "committed"
    if xid in txns.by_xid:
        return "in progress"
    state = txns.state(xid)
    return "in progress" if state == 0 else "committed" if state > 1 else "aborted"


def xid_age(call: Call, xid: int) -> int:
    """How many transactions ago an xid was given out; the largest integer for those that are always visible."""
    if xid < FIRST_NORMAL_XID:
        return _INT4_MAX
    now = call.txn.xid or call.engine.storage.txns.next_xid
    return ((now - xid + 2**31) & (2**32 - 1)) - 2**31


FUNCTIONS: dict[str, Callable[..., Datum]] = {
    "current_snapshot": current_snapshot,
    "xact_status": xact_status,
    "xid_age": xid_age,
}
