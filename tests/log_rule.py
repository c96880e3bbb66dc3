"""A line of level WARNING or above that a test does not expect fails it.

Watched are the loggers of this project in the test's own process, and the log files of the clusters that a test starts.
A test, class or module says what it expects with ``@pytest.mark.logs("regular expression", …)``: a line that one of
them finds is expected. It need not come. Lines of ``aurora.stalls`` do not count: they say how busy the machine is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

PROJECT = ("aurora", "compute_node", "storage_node", "keeper")
"""Loggers whose lines count, by the first part of their name."""
STALLS = "aurora.stalls"
_LINE = re.compile(r"^\d{4}-\d\d-\d\d \S+ (?:\S+ )?(WARNING|ERROR|CRITICAL) (.*)$")


class Watch(logging.Handler):
    """Collects lines of this process, and of the log folders that it is told of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._files: dict[Path, int] = {}
        self._folders: list[Path] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        if record.name.split(".")[0] in PROJECT and record.name != STALLS:
            self.lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    def follow(self, folder: Path) -> None:
        """Read the ``*.log`` files of a cluster's log folder from now on; what they hold already counts too."""
        self._folders.append(folder)

    def take(self) -> list[str]:
        """The lines since the last call."""
        lines, self.lines = self.lines, []
        for folder in self._folders:
            for file in sorted(folder.glob("*.log")):
                lines += self._new(file)
        self._folders = [folder for folder in self._folders if folder.exists()]
        return lines

    def _new(self, file: Path) -> Iterable[str]:
        with open(file, "rb") as opened:
            opened.seek(self._files.get(file, 0))
            data = opened.read()
        end = data.rfind(b"\n") + 1
        self._files[file] = self._files.get(file, 0) + end
        for line in data[:end].decode(errors="replace").splitlines():
            found = _LINE.match(line)
            if found and not found[2].startswith(STALLS):
                yield f"{file.stem}: {found[1]} {found[2]}"


WATCH = Watch()


def unexpected(item: pytest.Item, lines: Iterable[str]) -> list[str]:
    """The lines that no ``logs`` mark of the test expects."""
    patterns = [re.compile(pattern) for mark in item.iter_markers("logs") for pattern in mark.args]
    return [line for line in lines if not any(pattern.search(line) for pattern in patterns)]


DAMAGE = (
    r"(storage_node\.\w+|aurora\.medium): .*(damaged|does not match its checksum|repaired from|not what was written"
    r"|has moved; deleted|torn tail|cannot be read|Input/output error|could not be set aside|its log goes on from"
    r"|no sound batch)"
)
"""What a storage node says of damage that a test has planted."""
DISK_REFUSES = r"storage_node\.\w+: .*(the disk refuses|No space left on device|File too large)"
DAMAGED_KEYS = r"aurora\.keys: .*damaged"
STORE_FAILS = r"storage_node\.node: the backup's object store fails"
WRITER_CHANGES = (
    r"keeper: instance-\d has ended",
    "the stream from the writer has ended",
    "becomes the writer",
    "the stream begins anew",
    "is fenced by epoch",
    "instance .* cannot be followed",
)
"""What instances and the keeper say when another instance becomes the writer."""
FLEET_CHANGES = r"compute_node\.volume\.monitor: "
"""What the monitor does by itself about silent nodes and zones."""
