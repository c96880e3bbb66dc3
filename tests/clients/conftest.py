"""The cluster with readers that the drivers' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.drill import Drill, running


@pytest.fixture(scope="session")
def readers_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A writer and two readers, for all tests: to start nine processes takes seconds."""
    with running(tmp_path_factory.mktemp("readers") / "cluster") as drill:
        yield drill


@pytest.fixture
def drill(readers_cluster: Drill) -> Drill:
    """The same, once everybody serves again."""
    readers_cluster.settle()
    return readers_cluster
