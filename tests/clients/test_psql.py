"""psql against the real cluster: the \\d lists, errors, COPY."""

from __future__ import annotations

import subprocess

import pytest

from aurora.programs.supervisor import Cluster
from tests.conftest import needs

pytestmark = [pytest.mark.cluster, needs("psql")]


def psql(cluster: Cluster, text: str) -> str:
    """psql's standard output and error for a script."""
    done = subprocess.run(
        ["psql", "-X", "-A", "-F", "|", "-d", cluster.dsn(), "-f", "-"],
        input=text, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_describe_lists(shared_cluster: Cluster) -> None:
    psql(shared_cluster, "CREATE TABLE listed (a int PRIMARY KEY, b text); CREATE INDEX listed_b ON listed (b);")
    assert "public|listed|table|postgres" in psql(shared_cluster, "\\d")
    assert "public|listed|table|postgres" in psql(shared_cluster, "\\dt")
    assert "public|listed_b|index|postgres|listed" in psql(shared_cluster, "\\di")
    assert "public|pg_database_owner" in psql(shared_cluster, "\\dn") or "public|postgres" in psql(
        shared_cluster, "\\dn"
    )
    assert "pg_catalog|pg_class|table|postgres" in psql(shared_cluster, "\\dt pg_catalog.*")
    assert 'Did not find any relation named "nosuch".' in psql(shared_cluster, "\\dt nosuch")


def test_statements_and_errors(shared_cluster: Cluster) -> None:
    output = psql(
        shared_cluster,
        "CREATE TABLE shown (a int, b text);\nINSERT INTO shown VALUES (1, 'x'), (2, NULL);\n"
        "SELECT * FROM shown ORDER BY a;\nUPDATE shown SET a = a + 1;\nDELETE FROM shown WHERE a = 3;\n"
        "SELECT nocolumn FROM shown;\nSELEC 1;\nSELECT 1/0;\nBEGIN;\nSELECT 1/0;\nSELECT 1;\nROLLBACK;\n",
    )
    for expected in (
        "CREATE TABLE", "INSERT 0 2", "1|x\n2|\n(2 rows)", "UPDATE 2", "DELETE 1",
        'ERROR:  column "nocolumn" does not exist\nLINE 1: SELECT nocolumn FROM shown;\n               ^',
        'ERROR:  syntax error at or near "SELEC"', "ERROR:  division by zero",
        "ERROR:  current transaction is aborted, commands ignored until end of transaction block", "ROLLBACK",
    ):  # fmt: skip
        assert expected in output, output


def test_copy(shared_cluster: Cluster) -> None:
    output = psql(
        shared_cluster,
        "CREATE TABLE copied_psql (a int, b text);\nCOPY copied_psql FROM STDIN;\n1\tone\n2\t\\N\n\\.\n"
        "COPY copied_psql TO STDOUT WITH (FORMAT csv, HEADER);\nSELECT count(*) FROM copied_psql;\n",
    )
    assert "COPY 2" in output
    assert "a,b\n1,one\n2,\n" in output
