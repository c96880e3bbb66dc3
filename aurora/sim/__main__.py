"""``python -m aurora.sim --seeds N [--first F | --seed S] [--log]``: run seeds; a failure prints its seed and how to
run it again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import traceback

from aurora.sim.scenario import Scenario


def main(argv: list[str] | None = None) -> int:
    """Exit status 1 when a seed fails; its trace's last lines are on stderr."""
    parser = argparse.ArgumentParser(prog="python -m aurora.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one seed only and print its trace's checksum")
    parser.add_argument("--log", action="store_true", help="show what the cores log")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO if arguments.log else logging.CRITICAL, stream=sys.stderr)
    seeds = (
        [arguments.seed] if arguments.seed is not None else range(arguments.first, arguments.first + arguments.seeds)
    )
    commits = reads = openings = 0
    for seed in seeds:
        scenario = Scenario(seed)
        try:
            outcome = scenario.run()
        except Exception:
            sys.stderr.write("\n".join([*scenario.world.recent, ""]))
            traceback.print_exc()
            sys.stderr.write(f"seed {seed} fails; again: python -m aurora.sim --seed {seed}\n")
            return 1
        commits, reads, openings = commits + outcome.commits, reads + outcome.reads, openings + outcome.openings
        if arguments.seed is not None:
            print(f"seed {seed}: trace {outcome.trace:08x}")
    print(f"{len(list(seeds))} seeds: {commits} commits, {openings} writers opened, {reads} reads checked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
