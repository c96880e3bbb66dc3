"""pg_dump and pg_restore 15 with a schema that uses every kind of object (``every_ddl.sql``).

``every_ddl.dump`` is what PostgreSQL 15 makes of it: recorded with
``python -m tests.clients.test_dump "host=… port=… user=… dbname=an empty database"``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from aurora.programs.supervisor import Cluster
from tests.conftest import needs

pytestmark = [pytest.mark.cluster, needs("psql")]

HERE = Path(__file__).parent
SCRIPT = HERE / "every_ddl.sql"
RECORDED = HERE / "every_ddl.dump"
ROLES = ("dump_owner", "dump_reader")
OF_THE_RUN = ("\\restrict", "\\unrestrict", "-- Dumped")
"""Lines that differ from dump to dump."""


def _command(*words: str, text: str | None = None) -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def _psql(dsn: str, text: str) -> str:
    """A script that may have no error."""
    return _command("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", "-", text=text)


def _dump(dsn: str) -> list[str]:
    lines = _command("pg_dump", "-d", dsn).splitlines()
    return [line for line in lines if not line.startswith(OF_THE_RUN)]


def _make(dsn: str) -> None:
    """The roles and the schema."""
    with psycopg.connect(dsn, autocommit=True) as db:
        for role in ROLES:
            if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchall():
                db.execute(f"CREATE ROLE {role}")
    _psql(dsn, "SET client_min_messages = warning;\n" + SCRIPT.read_text())


@pytest.fixture(scope="module")
def source(shared_cluster: Cluster) -> Iterator[str]:
    """The database with the schema."""
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as db:
        db.execute("CREATE DATABASE every_ddl")
        dsn = f"{shared_cluster.dsn()} dbname=every_ddl"
        _make(dsn)
        yield dsn
        db.execute("DROP DATABASE every_ddl WITH (FORCE)")
        for role in ROLES:
            db.execute(f"DROP ROLE {role}")


@pytest.fixture
def empty(shared_cluster: Cluster, source: str) -> Iterator[str]:
    """A database to restore into."""
    with psycopg.connect(shared_cluster.dsn(), autocommit=True) as db:
        db.execute("CREATE DATABASE made_again")
        yield f"{shared_cluster.dsn()} dbname=made_again"
        db.execute("DROP DATABASE made_again WITH (FORCE)")


@needs("pg_dump")
def test_the_dump_is_postgresqls(source: str) -> None:
    assert _dump(source) == RECORDED.read_text().splitlines()


@needs("pg_dump")
def test_a_plain_dump_restores_to_the_same(source: str, empty: str) -> None:
    before = _command("pg_dump", "-d", source)
    _psql(empty, before)
    assert _dump(empty) == _dump(source)


@needs("pg_restore")
@pytest.mark.parametrize("form", ["custom", "directory"])
def test_an_archive_restores_to_the_same(source: str, empty: str, form: str, tmp_path: Path) -> None:
    jobs = ["--jobs=2"] if form == "directory" else []
    _command("pg_dump", f"--format={form}", *jobs, f"--file={tmp_path / 'made'}", "-d", source)
    _command("pg_restore", "--exit-on-error", *jobs, "-d", empty, str(tmp_path / "made"))
    assert _dump(empty) == _dump(source)


@needs("pg_dumpall")
def test_roles_and_all_databases_are_dumped(source: str) -> None:
    made = _command("pg_dumpall", "-d", source)
    assert f"CREATE ROLE {ROLES[0]};" in made
    assert "CREATE DATABASE every_ddl" in made
    assert "CREATE TABLE shop.customer (" in made


if __name__ == "__main__":
    _make(sys.argv[1])
    RECORDED.write_text("\n".join(_dump(sys.argv[1])) + "\n")
