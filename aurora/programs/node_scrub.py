"""``aurora node scrub``: have one storage node read all of its files against their checksums, and wait for repairs.

Input: a node's address → output: its ``ScrubStatus`` when a whole pass is done and nothing waits for repair any more,
or when the time is over.
"""

from __future__ import annotations

import time

import grpc

from aurora.rpc import storage_pb2
from aurora.rpc.channels import NO_ACCESS, Access, open_blocking_channel, storage_stub

CALL_TIMEOUT_S = 5.0
POLL_S = 0.05


def scrub(address: str, timeout_s: float, access: Access = NO_ACCESS) -> storage_pb2.ScrubStatus:
    """Demand a full pass and wait for it; ConnectionError when the node does not answer."""
    deadline = time.monotonic() + timeout_s
    with open_blocking_channel(address, access.tls) as channel:
        stub = storage_stub(channel, access.secret)
        try:
            status: storage_pb2.ScrubStatus = stub.Scrub(storage_pb2.ScrubRequest(start=True), timeout=CALL_TIMEOUT_S)
            wanted = status.passes + 1
            while (status.passes < wanted or status.waiting) and time.monotonic() < deadline:
                time.sleep(POLL_S)
                status = stub.Scrub(storage_pb2.ScrubRequest(), timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            raise ConnectionError(f"storage node at {address}: {error.code().name} {error.details()}") from error
    return status


def scrub_text(node_id: str, status: storage_pb2.ScrubStatus) -> str:
    """One line for people."""
    read_mb = status.pass_bytes / (1 << 20)
    done = "done" if not status.running else "still running"
    return (
        f"{node_id}: {done}, {read_mb:.1f} MiB read; since its start {status.damaged} damaged, "
        f"{status.repaired} repaired, {status.waiting} waiting for repair"
    )
