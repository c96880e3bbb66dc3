"""``python -m tests.fuzz``: random queries until a number or a difference."""

from __future__ import annotations

import argparse
import sys

import aurora
from tests.fuzz.run import QUERIES_A_CASE, Difference, Servers, Tally, connect, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--queries", type=int, default=5000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="where to begin (default: %(default)s)")
    parser.add_argument("--postgres", metavar="DSN", help="a PostgreSQL 15 to compare with: a database of its own")
    parser.add_argument("--server", metavar="DSN", help="the server to test (default: a cluster in this process)")
    given = parser.parse_args()
    with aurora.cluster() as cluster:
        own = connect(given.server or cluster.dsn)
        other = connect(given.postgres) if given.postgres else None
        try:
            tally = fuzz(Servers(own, other), given.seed, max(1, given.queries // QUERIES_A_CASE), _tell)
        except Difference as difference:
            print(difference)
            return 1
    asked = f"{tally.queries} queries over {tally.cases} sets of tables"
    print(f"{asked}, {tally.errors} of them errors, {tally.late} too long")
    for told, count in sorted(tally.told.items(), key=lambda item: -item[1])[:20]:
        print(f"{count:6} {told}")
    return 0


def _tell(tally: Tally) -> None:
    print(f"{tally.queries} queries, {tally.late} too long", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
