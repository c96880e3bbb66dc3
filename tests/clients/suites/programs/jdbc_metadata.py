"""Compiles and runs ``Metadata.java`` with pgjdbc: Debian's, or the newest in Maven's repository of this user.
Database: libpq's variables. FileNotFoundError without a JDK or the driver."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

DEBIAN = Path("/usr/share/java/postgresql.jar")
MAVEN = Path.home() / ".m2" / "repository" / "org" / "postgresql" / "postgresql"
SOURCE = Path(__file__).parent / "Metadata.java"

found = [DEBIAN] if DEBIAN.is_file() else sorted(MAVEN.glob("*/postgresql-*.jar"))
if not found:
    raise FileNotFoundError("pgjdbc (Debian: libpostgresql-jdbc-java)")
JAR = found[-1]
with tempfile.TemporaryDirectory() as classes:
    subprocess.run(["javac", "-cp", str(JAR), "-d", classes, str(SOURCE)], check=True)
    where = "jdbc:postgresql://{PGHOST}:{PGPORT}/{PGDATABASE}?user={PGUSER}".format(**os.environ)
    sys.exit(subprocess.run(["java", "-cp", f"{classes}:{JAR}", "Metadata", where], check=False).returncode)
