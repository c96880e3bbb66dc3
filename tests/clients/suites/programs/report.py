"""What the programs share: a check's answer, or its error, as a line that the runner reads."""

from __future__ import annotations

import json
from collections.abc import Callable


def check(test: str, ask: Callable[[], object]) -> None:
    """Print the answer. Every error of the client is the test's outcome, so all are caught."""
    try:
        print(json.dumps({"test": test, "answer": ask()}, default=str), flush=True)
    except Exception as error:
        told = str(error).strip().split("\n", 1)[0]
        print(json.dumps({"test": test, "error": f"{type(error).__name__}: {told}"}), flush=True)
