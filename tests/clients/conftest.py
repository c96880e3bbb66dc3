"""The cluster with readers that the drivers' tests share."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator

import psycopg
import pytest

from tests.clients.drill import Drill, running

THREAD_PATIENCE_S = 6.0
"""A monitor may be connecting to a server that is gone."""


@pytest.fixture(scope="session")
def readers_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A writer and two readers, for all tests: to start nine processes takes seconds."""
    with running(tmp_path_factory.mktemp("readers") / "cluster") as drill:
        yield drill


@pytest.fixture(scope="module", autouse=True)
def left_behind() -> Iterator[None]:
    """What drivers and pools leave open when a server goes away is collected here, once their threads have ended, and
    not in somebody else's test."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(THREAD_PATIENCE_S)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
        for left in gc.get_objects():  # some monitor's thread has it for a while yet
            if isinstance(left, psycopg.Connection):
                left.close()


@pytest.fixture
def drill(readers_cluster: Drill) -> Drill:
    """The same, once everybody serves again."""
    readers_cluster.settle()
    return readers_cluster
