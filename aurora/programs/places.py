"""Where the processes of a cluster listen on this machine: free ports, and the block of addresses of its instances.

The instances of a cluster with readers listen on one port, each at an address of its own, as hosts would. Linux answers
at all of 127.0.0.0/8, so a cluster takes ``BLOCK_ADDRESSES`` successive ones of 127.0.0.x, its block::

    127.0.0.11 … 127.0.0.26    block + 1 … + 16: one an instance
    127.0.0.27 … 127.0.0.39    block + 17 … + 29: for whoever routes connections to them
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Collection
from typing import Final

from aurora.addresses import LOOPBACK

PORTS: Final = (10_000, 32_000)
BLOCKS: Final = tuple(range(10, 230, 30))
BLOCK_ADDRESSES: Final = 29
INSTANCES_MAX: Final = 16
"""A writer and up to fifteen readers."""
DRAWS: Final = 50


class NoPlace(Exception):
    """Nothing is free; the message says of what."""


def free_ports(count: int) -> list[int]:
    """``count`` different ports that are free on loopback right now. They are none of those that the system gives to
    outgoing connections, one of which would take them before the process that is to listen there starts."""
    found: dict[int, socket.socket] = {}
    draw = secrets.SystemRandom()
    try:
        while len(found) < count:
            port = draw.randrange(*PORTS)
            probe = socket.socket()
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                probe.close()
                continue
            found[port] = probe
        return list(found)
    finally:
        for probe in found.values():
            probe.close()


def address_in(block: int, number: int) -> str:
    """The address of that number (from 1) in a block."""
    return f"127.0.0.{block + number}"


def free_block(port: int, but: Collection[str] = ()) -> int:
    """The first block at all of whose addresses the port is free; ``but`` are addresses that are ours already. NoPlace
    when there is none."""
    reason: OSError | None = None
    for block in BLOCKS:
        try:
            for number in range(1, BLOCK_ADDRESSES + 1):
                address = address_in(block, number)
                if address not in but:
                    _try(address, port)
        except OSError as error:
            reason = error
            continue
        return block
    raise NoPlace(f"port {port} is free in no block of 127.0.0.x that instances could have for themselves: {reason}")


def free_port_and_block() -> tuple[int, int]:
    """A port, and a block at all of whose addresses it is free."""
    for _ in range(DRAWS):
        (port,) = free_ports(1)
        try:
            return port, free_block(port)
        except NoPlace:
            continue
    raise NoPlace("no port is free at addresses that instances could have for themselves (127.0.0.x)")


def _try(host: str, port: int) -> None:
    """OSError when nobody could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
