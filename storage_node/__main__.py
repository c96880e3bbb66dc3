"""``python -m storage_node``: prints ``ready <address>`` on stdout once it serves, logs to stderr."""

from __future__ import annotations

import asyncio
import logging
import sys

from aurora.errors import InvariantViolation
from aurora.keys import KeyRefused
from aurora.rpc.tls import TlsUnusable
from storage_node.config import load
from storage_node.node import StorageFailed
from storage_node.server import serve

try:
    import uvloop
except ImportError:
    LOOP_FACTORY = None
else:
    LOOP_FACTORY = uvloop.new_event_loop


def main() -> int:
    """Exit status 0 after SIGTERM, 1 when the node could not start or go on, 2 for wrong flags."""
    config = load(sys.argv[1:])
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format=f"%(asctime)s {config.node_id} %(levelname)s %(name)s: %(message)s",
    )
    try:
        with asyncio.Runner(loop_factory=LOOP_FACTORY) as runner:
            runner.run(serve(config, lambda address: print(f"ready {address}", flush=True)))
    except (InvariantViolation, StorageFailed, KeyRefused, TlsUnusable, OSError) as error:
        logging.getLogger("storage_node").error("%s", error)
        return 1
    except asyncio.CancelledError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
