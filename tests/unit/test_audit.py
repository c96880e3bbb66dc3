"""The audit log: refused privileges, role changes, grants; never a statement's text."""

from __future__ import annotations

import logging

import psycopg
import pytest

import aurora


def test_it_tells_who_did_what(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "compute_node.audit")
    with aurora.cluster() as cluster:
        with psycopg.connect(cluster.dsn, autocommit=True) as admin:
            admin.execute("create role nosy login password 'hunter2'")
            admin.execute("create table t (a int)")
            admin.execute("grant insert on t to nosy")
            admin.execute("set role nosy")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                admin.execute("select * from t")
            admin.execute("reset role")
            pid = admin.info.backend_pid
    lines = [record.getMessage() for record in caplog.records if record.name == "compute_node.audit"]
    assert lines == [
        f"session {pid}: user postgres as postgres: CREATE ROLE",
        f"session {pid}: user postgres as postgres: GRANT",
        f"session {pid}: user postgres acts as nosy",
        f"session {pid}: user postgres as nosy is refused: permission denied for table t",
        f"session {pid}: user postgres acts as postgres",
    ]
    assert "hunter2" not in caplog.text
