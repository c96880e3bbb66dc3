"""What the tests of both simulators' seeds share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from aurora.sim.runs import Failure


def kept(path: Path) -> Iterator[int]:
    """The seeds of a file; each says why it is kept."""
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            seed, _, why = line.partition("#")
            assert why.strip(), f"seed {seed} is kept, and nobody says why"
            yield int(seed)


def told(failure: Failure) -> str:
    """A failure for people."""
    return "\n".join(
        [*failure.recent[-30:], failure.stack, failure.knobs, failure.message, f"again: {failure.command}"]
    )


def traces(seed: int, *options: str) -> set[str]:
    """What processes of their own, each with another hash seed, print last of a run."""
    return {
        subprocess.run(
            [sys.executable, "-m", "aurora.sim", *options, "--seed", str(seed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for hash_seed in ("0", "1", "12345")
    }
