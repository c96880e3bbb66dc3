"""``python -m aurora.programs.endpoints``: the cluster's endpoints. Prints ``ready NAME=HOST:PORT …``; logs to stderr.

The endpoints' file is looked at a few times a second, and read again when it has changed. SIGTERM, SIGINT: end;
connections that instances have taken go on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aurora.metrics import MetricsServer
from aurora.programs.endpoints.core import WAIT_S
from aurora.programs.endpoints.metrics import ENDPOINTS_METRICS, EndpointsSource
from aurora.programs.endpoints.service import Service
from aurora.programs.endpoints.spec import CLUSTER, READER, BadEndpoints, Endpoint, Kind, check_all, load
from aurora.rpc import secret
from aurora.rpc.channels import Access
from aurora.rpc.tls import Tls, TlsUnusable, files_of
from aurora.stalls import Heartbeat, stalls_of_running_loop

LOGGER = logging.getLogger("endpoints")
LOOK_S: Final = 0.25
"""Between two looks at the endpoints' file."""


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aurora.programs.endpoints",
        description="Addresses that lead new connections to the writer, to a reader, or to chosen instances. "
        "Each flag may be given in the environment as AURORA_<FLAG>.",
    )

    def flag(name: str, **options: object) -> None:
        variable = "AURORA_" + name.strip("-").replace("-", "_").upper()
        if variable in environment:
            options["default"] = environment[variable]
            options.pop("required", None)
        parser.add_argument(name, **options)  # type: ignore[arg-type]

    flag("--endpoints", type=Path, default=None, help="JSON file of the endpoints; read again when it changes")
    flag("--cluster-listen", default="", help="in place of a file: HOST:PORT of the cluster endpoint")
    flag("--reader-listen", default="", help="in place of a file: HOST:PORT of the reader endpoint")
    flag("--peers", required=True, help="--feed-listen addresses of instances, comma separated; they tell the rest")
    flag("--handover-dir", type=Path, default=None, help="folder of the instances' handover sockets, ID.sock")
    flag("--wait-s", type=float, default=WAIT_S, help="how long a connection waits for a writer (%(default)g)")
    # As an instance's: --tls-cert and --tls-key are what clients are shown, and this program shows them nothing.
    flag("--storage-secret-file", type=Path, default=None, help="the cluster's secret, which instances ask for")
    flag("--storage-tls-ca", type=Path, default=None, help="instances' feeds speak TLS: certificate of their authority")
    flag("--storage-tls-cert", type=Path, default=None, help="this program's certificate (PEM)")
    flag("--storage-tls-key", type=Path, default=None, help="its private key (PEM)")
    flag("--metrics-listen", default="", help="HOST:PORT for /metrics and /healthz, port 0 a free one; off by default")
    return parser


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> argparse.Namespace:
    """The flags."""
    return _parser(environment).parse_args(arguments)


def given(args: argparse.Namespace) -> list[Endpoint]:
    """The endpoints that there are, by file or by flags. BadEndpoints."""
    by_flag = {CLUSTER: (Kind.WRITER, args.cluster_listen), READER: (Kind.READER, args.reader_listen)}
    made = [Endpoint(name, kind, address) for name, (kind, address) in by_flag.items() if address]
    if (args.endpoints is not None) == bool(made):
        raise BadEndpoints("either --endpoints, or --cluster-listen and --reader-listen, or one of these two")
    return check_all(made) if made else load(args.endpoints)


def _allow_open_files() -> None:
    """Each connection that waits, is forwarded, or can be shut down from here is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # where "unlimited" cannot be had, the soft limit stays
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _version(file: Path | None) -> tuple[int, int] | None:
    """What changes when the file is written anew; None: it is not there."""
    if file is None:
        return None
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _reload(service: Service, file: Path) -> None:
    try:
        service.set_endpoints(load(file))
    except (BadEndpoints, OSError) as error:
        LOGGER.error("%s", error)


async def _serve(args: argparse.Namespace, access: Access) -> None:
    loop = asyncio.get_running_loop()
    service = Service(str(args.peers).split(","), args.handover_dir, access, float(args.wait_s))
    done = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)

    metrics, stalls = MetricsServer(service.problem), stalls_of_running_loop()
    source = EndpointsSource(service, stalls)
    heartbeat = Heartbeat(stalls, source.work)
    try:
        seen = _version(args.endpoints)
        service.start(given(args))
        metrics.add(ENDPOINTS_METRICS, source)
        await metrics.start(args.metrics_listen)
        print("ready", *(f"{name}={address}" for name, address in service.addresses.items()), flush=True)
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), LOOK_S if args.endpoints is not None else None)
            if (now := _version(args.endpoints)) != seen:
                seen = now
                _reload(service, args.endpoints)
    finally:
        heartbeat.close()
        metrics.close()
        await service.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; exit status 1 for a bad flag or file, or an address that cannot be had."""
    args = parse(arguments, os.environ)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        files = files_of(
            args.storage_tls_ca,
            args.storage_tls_cert,
            args.storage_tls_key,
            "--storage-tls-ca, --storage-tls-cert and --storage-tls-key",
        )
        shown = secret.read(args.storage_secret_file) if args.storage_secret_file is not None else None
        access = Access(Tls(files) if files is not None else None, shown)
    except (ValueError, TlsUnusable, secret.SecretUnusable) as error:
        print(f"endpoints: {error}", file=sys.stderr)
        return 1
    _allow_open_files()
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    try:
        with runner:
            runner.run(_serve(args, access))
    except (BadEndpoints, OSError) as error:
        print(f"endpoints: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
