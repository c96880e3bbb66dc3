"""Fixtures that start real clusters: six storage node processes and a writer, on loopback, in a temporary folder."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from aurora.programs.supervisor import LOOPBACK, Cluster
from aurora.rpc import secret
from tests.log_rule import WATCH, unexpected

settings.register_profile("aurora", deadline=None)
settings.load_profile("aurora")
"""A test never fails for the time that it takes: the machine may be busy."""

DEFAULT_PAGES_PER_PG = (10 << 30) // 8192
SMALL_PAGES_PER_PG = (4 << 20) // 8192
"""4 MiB protection groups, so that mini-transactions cross them."""


def start_cluster(
    folder: Path,
    pages_per_pg: int = DEFAULT_PAGES_PER_PG,
    cache_mb: int = 128,
    nodes_per_az: int = 2,
    tails: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Cluster:
    """A new cluster that answers queries. ``settings``: the writer's, by flag."""
    cluster = Cluster(folder)
    cluster.create(
        host=LOOPBACK,
        port=0,
        pages_per_pg=pages_per_pg,
        cache_mb=cache_mb,
        password=None,
        nodes_per_az=nodes_per_az,
        tails=tails,
    )
    with cluster.changing() as spec:
        spec.settings.update(settings or {})
    WATCH.follow(cluster.data / "log")
    cluster.up()
    return cluster


@pytest.fixture(autouse=True)
def _no_unexpected_log_lines(request: pytest.FixtureRequest) -> Iterator[None]:
    """See ``log_rule``."""
    root = logging.getLogger()
    root.addHandler(WATCH)
    yield
    root.removeHandler(WATCH)
    lines = unexpected(request.node, WATCH.take())
    report = os.environ.get("AURORA_LOG_REPORT")
    if report and lines:
        with open(report, "a") as file:
            file.writelines(f"{request.node.nodeid}\t{line}\n" for line in lines)
    elif lines:
        pytest.fail("log lines that the test does not expect:\n" + "\n".join(lines), pytrace=False)


def pytest_collection_finish() -> None:
    """What is there now stays: ``_nothing_left_open`` need not look at it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_open() -> Iterator[None]:
    """A connection or file that a test leaves open is told by its module, and not wherever the collector comes by."""
    yield
    gc.collect()


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Starts clusters that end with the test; the arguments are those of ``start_cluster``."""
    started: list[Cluster] = []

    def make(*arguments: Any, **options: Any) -> Cluster:
        cluster = start_cluster(tmp_path / f"cluster{len(started)}", *arguments, **options)
        started.append(cluster)
        return cluster

    yield make
    for cluster in started:
        cluster.down()


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One healthy cluster for the tests that break nothing."""
    cluster = start_cluster(tmp_path_factory.mktemp("shared") / "cluster")
    yield cluster
    cluster.down()


def needs(program: str) -> pytest.MarkDecorator:
    """Skip, with the reason, where a PostgreSQL client program is missing."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="session", autouse=True)
def _secret_of_lone_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Storage nodes that a test starts as processes of their own, and the test's clients, share a secret."""
    file = tmp_path_factory.mktemp("secret") / "secret"
    secret.use(secret.make(file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURORA_NODE_SECRET_FILE", str(file))
        patch.setenv("AURORA_STORAGE_SECRET_FILE", str(file))
        yield
    secret.use(None)
