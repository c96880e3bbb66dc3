"""The endpoints of a cluster in a folder: their file, their addresses, and the command that serves them.

::

    DIR/endpoints.json   what there is (``spec``); made when the cluster gets a block of addresses (``places``)
    DIR/run/ID.sock      where an instance takes connections that are handed over
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from aurora.addresses import parse_listen
from aurora.handover import frames
from aurora.programs.description import ClusterError, ClusterSpec
from aurora.programs.endpoints.spec import CLUSTER, READER, BadEndpoints, Endpoint, Kind, dump, load
from aurora.programs.places import BLOCK_ADDRESSES, INSTANCES_MAX, address_in
from aurora.programs.processes import atomic
from aurora.rpc.tls import TlsFiles

ENDPOINTS: Final = "endpoints"
"""The process that listens on them; there is none in a cluster without a block of addresses."""
FILE: Final = "endpoints.json"
_FIRST: Final = INSTANCES_MAX + 1


def endpoints_of(data: Path, spec: ClusterSpec) -> list[Endpoint]:
    """The endpoints of a cluster: those of its file, else the two that every cluster with a block has. ClusterError for
    a file that cannot be used."""
    if not spec.block:
        return []
    file = data / FILE
    if not file.exists():
        port = spec.instances[0].port
        return [
            Endpoint(CLUSTER, Kind.WRITER, f"{address_in(spec.block, _FIRST)}:{port}"),
            Endpoint(READER, Kind.READER, f"{address_in(spec.block, _FIRST + 1)}:{port}"),
        ]
    try:
        return load(file)
    except BadEndpoints as error:
        raise ClusterError(str(error)) from error


def write(data: Path, endpoints: Iterable[Endpoint]) -> None:
    """Keep the endpoints in the cluster's file."""
    atomic(data / FILE, dump(endpoints))


def free_address(spec: ClusterSpec, endpoints: Iterable[Endpoint]) -> str:
    """An address of the block that no endpoint has. ClusterError when all are taken."""
    taken = {endpoint.address for endpoint in endpoints}
    for number in range(_FIRST, BLOCK_ADDRESSES + 1):
        address = f"{address_in(spec.block, number)}:{spec.instances[0].port}"
        if address not in taken:
            return address
    raise ClusterError(f"the cluster has {len(taken)} endpoints; there are addresses for no more")


def listens(endpoint: Endpoint) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection(parse_listen(endpoint.address), timeout=1):
            return True
    except OSError:
        return False


def handover_flags(data: Path, instance_id: str) -> list[str]:
    """An instance's flags for taking connections that are handed over."""
    return ["--handover", str(data / "run" / f"{instance_id}.sock")] if frames.AVAILABLE else []


def command_line(data: Path, spec: ClusterSpec, secret: Path, tls: TlsFiles | None) -> list[str]:
    """What serves the endpoints, which are in the file."""
    feeds = ",".join(instance.feed for instance in spec.instances if instance.feed)
    arguments = ["aurora.programs.endpoints", "--endpoints", str(data / FILE), "--peers", feeds]
    arguments += ["--handover-dir", str(data / "run"), "--storage-secret-file", str(secret)]
    if tls is not None:
        arguments += ["--storage-tls-ca", str(tls.ca), "--storage-tls-cert", str(tls.certificate)]
        arguments += ["--storage-tls-key", str(tls.key)]
    if spec.endpoints_metrics:
        arguments += ["--metrics-listen", spec.endpoints_metrics]
    return arguments
