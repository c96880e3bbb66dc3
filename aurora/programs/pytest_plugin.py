"""Pytest fixtures for people who test against Aurora. They come with the package; a test only names them.

========================  =======  ====================================================================
``aurora_cluster``        session  an embedded cluster
``aurora_connection``     test     a psycopg connection to it; what the test did is rolled back
``aurora_database``       test     a database of the test's own (``.dsn``, ``.reader_dsn``), dropped after it
``aurora_readers``        session  to override: how many readers the cluster has (0)
``aurora_schema``         session  to override: SQL that every fresh database has behind it ("")
========================  =======  ====================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aurora.programs.embedded import EmbeddedCluster
    from aurora.programs.fresh_databases import FreshDatabase, FreshDatabases


@pytest.fixture(scope="session")
def aurora_readers() -> int:
    """How many readers the cluster of the session has; a project's ``conftest.py`` may override it."""
    return 0


@pytest.fixture(scope="session")
def aurora_schema() -> str:
    """SQL statements whose result each fresh database starts with; a project's ``conftest.py`` may override it."""
    return ""


@pytest.fixture(scope="session")
def aurora_cluster(aurora_readers: int) -> Iterator[EmbeddedCluster]:
    """An embedded cluster that lives as long as the test session."""
    from aurora.programs.embedded import cluster

    with cluster(readers=aurora_readers) as running:
        yield running


@pytest.fixture
def aurora_connection(aurora_cluster: EmbeddedCluster) -> Iterator[Any]:
    """An open psycopg connection; what the test did is rolled back."""
    import psycopg

    with psycopg.connect(aurora_cluster.dsn) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="session")
def _aurora_fresh(aurora_cluster: EmbeddedCluster, aurora_schema: str) -> Iterator[FreshDatabases]:
    from aurora.programs.fresh_databases import FreshDatabases

    with FreshDatabases(aurora_cluster, aurora_schema) as databases:
        yield databases


@pytest.fixture
def aurora_database(_aurora_fresh: FreshDatabases) -> Iterator[FreshDatabase]:
    """A database of the test's own, with ``aurora_schema`` in it; it is dropped afterwards."""
    database = _aurora_fresh.take()
    yield database
    _aurora_fresh.give_back(database)
