"""``python -m compute_node.health HOST:PORT``: exit status 0 when the instance answers a query."""

from __future__ import annotations

import os
import sys

import psycopg


def main(arguments: list[str]) -> int:
    """Ask ``select 1`` as the superuser; the password comes from AURORA_PASSWORD."""
    host, _, port = arguments[0].rpartition(":")
    password = os.environ.get("AURORA_PASSWORD")
    try:
        with psycopg.connect(
            host=host, port=int(port), user="postgres", password=password, connect_timeout=3
        ) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
