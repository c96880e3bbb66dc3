"""Records PostgreSQL 15's answers to the scripts: ``python -m tests.isolation.record [family …]``.

Starts a server of its own in a temporary folder and stops it. Without PostgreSQL 15's server on this machine it says so
and changes nothing. Review the diff: the transcripts are the specification.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aurora.programs.supervisor import LOOPBACK, free_ports
from tests.isolation.player import Player
from tests.isolation.script import FOLDER, families, scripts

DEADLOCK_TIMEOUT_MS = 20
SETTINGS = {
    "fsync": "off",
    "autovacuum": "off",
    "deadlock_timeout": f"{DEADLOCK_TIMEOUT_MS}ms",
    "listen_addresses": LOOPBACK,
    "max_prepared_transactions": "10",
}


def binaries() -> Path | None:
    """PostgreSQL 15's programs, None when they are not installed."""
    found = shutil.which("pg_config")
    if found is None:
        return None
    folder = Path(subprocess.run([found, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
    if not (folder / "initdb").exists():
        return None
    version = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return folder if " 15." in version else None


@contextmanager
def postgresql(programs: Path) -> Iterator[str]:
    """A running server; its DSN."""
    # The server refuses to run as root.
    runner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="isolation-") as folder:
        if runner:
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"
        settings = "".join(f" -c {name}={value}" for name, value in SETTINGS.items())
        start = f"-p {port} -c unix_socket_directories={folder}{settings}"
        control = [*runner, str(programs / "pg_ctl"), "-D", data, "-w", "-l", f"{folder}/log"]
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run([*runner, str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "postgres"], **quiet)  # type: ignore[call-overload]
        subprocess.run([*control, "-o", start, "start"], **quiet)  # type: ignore[call-overload]
        try:
            yield f"host={LOOPBACK} port={port} user=postgres dbname=postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]


def record(family: str, player: Player) -> None:
    """Writes the transcripts of one file."""
    parts = [f"### {script.name}\n{player.play(script)}\n" for script in scripts(family)]
    (FOLDER / "expected" / f"{family}.txt").write_text("\n".join(parts))


def main(names: list[str]) -> int:
    """Record the named families, or all."""
    programs = binaries()
    if programs is None:
        print("PostgreSQL 15's server is not installed: nothing is recorded")
        return 0
    with postgresql(programs) as dsn:
        player = Player(dsn, settle_s=3 * DEADLOCK_TIMEOUT_MS / 1000)
        for family in names or families():
            record(family, player)
            print(family, len(scripts(family)))
        player.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
