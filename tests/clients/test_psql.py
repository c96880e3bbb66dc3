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


@needs("pg_dump")
def test_a_dump_of_functions_makes_them_again(shared_cluster: Cluster) -> None:
    psql(shared_cluster, "CREATE DATABASE dumped; CREATE DATABASE made_again;")
    source, target = (shared_cluster.dsn().replace("dbname=postgres", f"dbname={name}") for name in _DUMPED)
    if "dbname=" not in source:
        source, target = (f"{shared_cluster.dsn()} dbname={name}" for name in _DUMPED)
    script = """
CREATE TABLE kept (a int PRIMARY KEY, b text DEFAULT 'x');
INSERT INTO kept VALUES (1, 'one'), (2, 'two');
CREATE FUNCTION pick(a int, b text DEFAULT 'q') RETURNS SETOF kept LANGUAGE sql STABLE AS
 'select * from kept where kept.a = pick.a';
CREATE FUNCTION plus(a int) RETURNS int IMMUTABLE RETURN a + 1;
CREATE PROCEDURE summed(INOUT x int, y int) LANGUAGE sql BEGIN ATOMIC SELECT x + y; END;
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE VIEW seen AS SELECT a, plus(a) AS next FROM kept;
CREATE INDEX ON kept (plus(a));
"""
    run(source, script)
    dump = subprocess.run(["pg_dump", "-d", source], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "ERROR" not in run(target, dump)
    shown = run(
        target,
        "SELECT * FROM pick(2); CALL summed(3, 4); SELECT total(next) FROM seen;"
        " SELECT pg_get_functiondef('plus'::regproc);",
    )
    assert "2|two" in shown and "\n7\n" in shown and "\n5\n" in shown and "RETURN (a + 1)" in shown


_DUMPED = ("dumped", "made_again")


def run(dsn: str, text: str) -> str:
    """psql's standard output and error for a script, in another database."""
    done = subprocess.run(
        ["psql", "-X", "-A", "-F", "|", "-d", dsn, "-f", "-"], input=text, capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr
