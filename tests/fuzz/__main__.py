"""``python -m tests.fuzz``: random queries until a number or a number of differences."""

from __future__ import annotations

import argparse
import logging
import sys

import aurora
from tests.fuzz.run import QUERIES_A_CASE, Difference, Servers, Tally, connect, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--queries", type=int, default=5000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="where to begin (default: %(default)s)")
    parser.add_argument("--case", type=int, default=0, help="the first case of the seed (default: %(default)s)")
    parser.add_argument("--differences", type=int, default=1, help="stop after so many (default: %(default)s)")
    parser.add_argument("--timeout-ms", type=int, default=2000, help="of a statement (default: %(default)s)")
    parser.add_argument("--postgres", metavar="DSN", help="a PostgreSQL 15 to compare with: a database of its own")
    parser.add_argument("--server", metavar="DSN", help="the server to test (default: a cluster in this process)")
    parser.add_argument("--views", action="store_true", help="ask views of the queries, and EXPLAIN")
    given = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # a loop that stands still for a moment is no difference
    seen: list[str] = []

    def found(script: str) -> None:
        print(script, end="\n\n", flush=True)
        seen.append(script)
        if len(seen) >= given.differences:
            raise Difference

    with aurora.cluster() as cluster:
        own = connect(given.server or cluster.dsn, given.timeout_ms)
        other = connect(given.postgres, given.timeout_ms) if given.postgres else None
        cases = max(1, -(-given.queries // QUERIES_A_CASE))
        try:
            tally = fuzz(Servers(own, other, given.views), given.seed, cases, found, _tell, given.case)
        except Difference:
            return 1
    asked = f"{tally.queries} queries over {tally.cases} sets of tables"
    print(f"{asked}, {tally.errors} of them errors, {tally.late} too long, {tally.differences} differences")
    for told, count in sorted(tally.told.items(), key=lambda item: -item[1])[:20]:
        print(f"{count:6} {told}")
    return 1 if seen else 0


def _tell(tally: Tally) -> None:
    print(f"{tally.queries} queries, {tally.errors} errors, {tally.late} too long", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
