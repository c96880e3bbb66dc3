"""``python -m compute_node``: one compute instance. Prints ``ready HOST:PORT`` when it serves; logs to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import resource
import signal
import sys

from aurora import exit_status
from aurora.kernels import IMPLEMENTATION
from aurora.rpc import secret, tls
from compute_node import config as configuration
from compute_node.hub import HUB
from compute_node.server import ComputeServer, serve

GC_THRESHOLDS = (50_000, 2, 2500)
"""More objects before a collection of the youngest generation, such collections before one of the middle one, and those
before one of all: sessions and plans live long, rows die by reference count. The first two bound how long others wait
for a collection, about 10 ms."""


def _allow_open_files() -> None:
    """Each idle connection is an open file: take as many as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # where "unlimited" cannot be had, the soft limit stays
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _show_waiting() -> None:
    """SIGUSR1: write to the log where every waiting session stands."""
    for stack in HUB.waiting_stacks():
        logging.getLogger(__name__).info("waiting:\n%s", stack)


def main() -> int:
    """Run until SIGTERM or SIGINT; exit status 1 for a bad flag, 3 when another writer has taken over, 4 after a defect
    in the background, 5 when the volume is a newer program's. With ``--held`` it begins when a line comes on its input,
    its arguments as a JSON list; status 6 when the input ends before.
    """
    if exit_status.HELD in sys.argv[1:]:
        line = sys.stdin.readline()
        if not line:
            return exit_status.UNBEGUN
        sys.argv[1:] = json.loads(line)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        config = configuration.load()
        tls.use(tls.Tls(config.storage_tls) if config.storage_tls is not None else None)
        secret.use(config.storage_secret)
    except (configuration.ConfigError, tls.TlsUnusable) as error:
        print(f"compute_node: {error}", file=sys.stderr)
        return 1
    if IMPLEMENTATION != "native":
        logging.getLogger(__name__).warning("running on the pure-Python kernels: several times slower")
    _allow_open_files()
    gc.set_threshold(*GC_THRESHOLDS)

    def prepared(server: ComputeServer) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        loop.add_signal_handler(signal.SIGUSR1, _show_waiting)
        loop.add_signal_handler(signal.SIGHUP, server.reload)

    def ready(address: str) -> None:
        gc.collect()
        gc.freeze()
        print(f"ready {address}", flush=True)

    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        ended = runner.run(serve(config, ready, prepared))
    if ended.reason:
        print(f"compute_node: {ended.reason}", file=sys.stderr)
    return ended.status


if __name__ == "__main__":
    sys.exit(main())
