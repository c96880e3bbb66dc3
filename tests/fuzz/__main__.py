"""``python -m tests.fuzz``: random queries until a number or a number of differences."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.jobs import Run, cases_in
from tests.fuzz.run import Tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--queries", type=int, default=5000, help="how many in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one or several, with as many queries each")
    parser.add_argument("--case", type=int, default=0, help="the first case of a seed (default: %(default)s)")
    parser.add_argument("--differences", type=int, default=1, help="stop after so many (default: %(default)s)")
    parser.add_argument("--timeout-ms", type=int, default=2000, help="of a statement (default: %(default)s)")
    parser.add_argument("--postgres", metavar="DSN", help="a PostgreSQL 15 to compare with: a database of its own")
    parser.add_argument("--server", metavar="DSN", help="the server to test (default: a cluster in each process)")
    parser.add_argument("--kind", choices=["all", "mixed", "bulk", "views"], default="all", help="of cases")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the cases (default: %(default)s)")
    run = Run(**vars(parser.parse_args()))
    tally = Tally()
    if run.jobs == 1:
        tally = cases_in(run, 0)
    else:
        with ProcessPoolExecutor(run.jobs, multiprocessing.get_context("spawn")) as pool:
            for each in pool.map(cases_in, [run] * run.jobs, range(run.jobs)):
                tally.add(each)
    asked = f"{tally.queries} queries over {tally.cases} sets of tables"
    late = f"{tally.late} too long here, {tally.late_elsewhere} in PostgreSQL alone"
    print(f"{asked}, {tally.errors} of them errors, {late}, {tally.differences} differences")
    for line, count in tally.documented.items():
        print(f"{count:6} by docs/differences.md: {line}")
    for place in tally.late_at:
        print(f"too long: {place}")
    for told, count in sorted(tally.told.items(), key=lambda item: -item[1])[:20]:
        print(f"{count:6} {told}")
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
