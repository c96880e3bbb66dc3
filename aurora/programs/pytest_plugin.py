"""A pytest fixture for people who test against Aurora: ``aurora_cluster`` is one embedded cluster for the session, and
``aurora_connection`` a psycopg connection to it whose changes are rolled back after each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aurora.programs.embedded import EmbeddedCluster


@pytest.fixture(scope="session")
def aurora_cluster() -> Iterator[EmbeddedCluster]:
    """An embedded cluster that lives as long as the test session."""
    from aurora.programs.embedded import cluster

    with cluster() as running:
        yield running


@pytest.fixture
def aurora_connection(aurora_cluster: EmbeddedCluster) -> Iterator[Any]:
    """An open psycopg connection; what the test did is rolled back."""
    import psycopg

    with psycopg.connect(aurora_cluster.dsn) as connection:
        yield connection
        connection.rollback()
