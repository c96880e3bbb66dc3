"""Node: AWS's advanced wrapper (topology, failover, read/write splitting), and pg's pool at the cluster endpoint."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients.drill import KILLED, Drill, tell

FOLDER: Final = Path(__file__).parent / "node"

pytestmark = [
    pytest.mark.cluster,
    KILLED,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules").is_dir(), reason="its packages are missing: npm ci --prefix tests/clients/node"
    ),
]


class Node:
    """A scenario of ``drill.mjs`` that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def told(self) -> Any:
        """What the scenario says next; the wrapper logs between."""
        assert self._process.stdout is not None and self._process.stderr is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        return pytest.fail(self._process.stderr.read())

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()


@contextmanager
def node(drill: Drill, scenario: str, host: str) -> Iterator[Node]:
    with subprocess.Popen(
        ["node", "drill.mjs", scenario, host, str(drill.port)], cwd=FOLDER, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield Node(process)
        finally:
            process.kill()


def test_wrapper_fails_over(drill: Drill) -> None:
    drill.table("through_node", "n int")
    with node(drill, "failover", drill.writer.host) as program:
        old = drill.writer.id
        assert program.told() == {"before": {"id": old, "reader": False}}
        drill.kill_writer()
        program.go()
        told = program.told()
    assert told["success"], told["message"]
    assert told["after"]["id"] != old and told["after"]["reader"] is False
    tell("AWS's Node wrapper, failover2", told["seconds"])


def test_wrapper_splits_reads_from_writes(drill: Drill) -> None:
    with node(drill, "splitting", drill.writer.host) as program:
        told = program.told()
    assert told["writer"] == told["again"] == {"id": drill.writer.id, "reader": False}
    assert told["reader"]["reader"] is True
    assert told["reader"]["id"] in {one.id for one in drill.readers}


def test_pool_of_pg_at_the_cluster_endpoint(drill: Drill) -> None:
    drill.table("through_node", "n int")
    with node(drill, "pool", drill.endpoint("cluster")) as program:
        old = drill.writer.id
        assert program.told() == {"before": {"id": old, "reader": False}}
        drill.kill_writer()
        program.go()
        told = program.told()
    assert told["after"]["id"] != old and told["after"]["reader"] is False
    tell("pg's pool at the cluster endpoint", told["seconds"])
