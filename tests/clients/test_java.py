"""pgjdbc's ``targetServerType`` over all instances, and through a failover."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.clients.drill import KILLED, Drill, tell

JAR: Final = Path("/usr/share/java/postgresql.jar")
SOURCE: Final = Path(__file__).parent / "java" / "Drill.java"

pytestmark = [
    pytest.mark.cluster,
    KILLED,
    pytest.mark.skipif(shutil.which("javac") is None, reason="there is no JDK"),
    pytest.mark.skipif(not JAR.is_file(), reason="pgjdbc is missing (Debian: libpostgresql-jdbc-java)"),
]


def test_pgjdbc_chooses_by_role_and_finds_the_new_writer(drill: Drill, tmp_path: Path) -> None:
    drill.table("through_java", "n int")
    subprocess.run(["javac", "-cp", str(JAR), "-d", str(tmp_path), str(SOURCE)], check=True, timeout=120)
    hosts = ",".join(f"{host}:{drill.port}" for host in drill.hosts)
    old = drill.writer.id
    first = drill.readers[0].id
    readers = {one.id for one in drill.readers}
    with subprocess.Popen(
        ["java", "-cp", f"{tmp_path}:{JAR}", "Drill", hosts], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as program:  # fmt: skip
        try:
            assert program.stdin is not None and program.stdout is not None and program.stderr is not None
            told = {}
            for line in program.stdout:
                if line.strip() == "wrote":
                    break
                kind, who = line.strip().split(" ", 1)
                told[kind] = who
            else:
                pytest.fail(program.stderr.read())
            assert told["any"] == f"{first} true false", "the first that answers"
            assert told["primary"] == told["preferPrimary"] == f"{old} false false"
            assert told["secondary"] in {f"{reader} true false" for reader in readers}
            assert told["preferSecondary"] in {f"{reader} true false" for reader in readers}
            drill.kill_writer()
            program.stdin.write("go\n")
            program.stdin.flush()
            line = program.stdout.readline()
            assert line, program.stderr.read()
            seconds, name, in_recovery = line.split()
            assert name != old and in_recovery == "false"
            tell("pgjdbc, targetServerType=primary", float(seconds))
        finally:
            program.kill()
