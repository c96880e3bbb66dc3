"""Gets tools and sources into the cache folder: a venv, source distributions, npm's packages."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from tests.clients.suites.catalogue import PROGRAMS, Suite
from tests.clients.suites.outcomes import Comparison, Outcome
from tests.clients.suites.page import Result

BUILD: Final = ("setuptools>=77", "wheel", "hatchling", "hatch-vcs", "versioningit", "pytest", "pytest-timeout")
"""What the source distributions want before pip tells their metadata."""


class Cache:
    """The folder with the venv (``venv``), source archives (``sources``) and npm's packages (``node``)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.node = folder / "node"
        folder.mkdir(parents=True, exist_ok=True)

    def prepare(self, suites: Sequence[Suite]) -> None:
        """The venv with everything that the suites need. CalledProcessError where a package cannot be had."""
        if not self.python.exists():
            subprocess.run([sys.executable, "-m", "venv", self.folder / "venv"], check=True)
        needs = sorted({package for suite in suites for package in suite.needs})
        self._pip("install", "--quiet", *BUILD, *needs)
        if any(suite.npm for suite in suites):
            self._npm()

    def version(self, package: str) -> str:
        """The version that the venv has."""
        code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
        done = subprocess.run([self.python, "-c", code, package], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def sources(self, package: str, place: Path) -> Path:
        """The source distribution, unpacked anew into ``place``; its top folder."""
        archive = self.archive(package)
        shutil.rmtree(place, ignore_errors=True)
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
        (top,) = place.iterdir()
        return top

    def archive(self, package: str) -> Path:
        """The source distribution, downloaded once. Of another version than the installed package where no such source
        is to be had."""
        archives = self.folder / "sources" / package
        if not list(archives.glob("*.tar.gz")):
            archives.mkdir(parents=True, exist_ok=True)
            self._pip(
                "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
                "--dest", str(archives), package,
            )  # fmt: skip
        (archive,) = archives.glob("*.tar.gz")
        return archive

    def keep(self, result: Result) -> None:
        """A suite's result, for pages that are written after runs of other suites."""
        place = self._place(result.suite)
        place.parent.mkdir(exist_ok=True)
        told: dict[str, object] = {"version": result.version, "date": result.date, "absent": result.absent}
        if result.comparison is not None:
            told["comparison"] = asdict(result.comparison)
        place.write_text(json.dumps(told, indent=1))

    def kept(self, suites: Sequence[Suite]) -> list[Result]:
        """Their last results; of one that never ran that there is none."""
        places = [(suite, self._place(suite)) for suite in suites]
        return [self._read(*each) if each[1].exists() else Result(each[0], "", "", None) for each in places]

    def _place(self, suite: Suite) -> Path:
        return self.folder / "results" / f"{suite.name}.json"

    def _read(self, suite: Suite, place: Path) -> Result:
        told = json.loads(place.read_text())
        comparison = None
        if (found := told.get("comparison")) is not None:
            differing = {test: Outcome(**outcome) for test, outcome in found["differing"].items()}
            comparison = Comparison(found["expected"], found["equal"], differing)
        return Result(suite, told["version"], told["date"], comparison, told["absent"])

    def _npm(self) -> None:
        """The node programs with their packages."""
        self.node.mkdir(exist_ok=True)
        for each in (PROGRAMS / "node").iterdir():
            shutil.copy(each, self.node)
        npm = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(npm, cwd=self.node, check=True, stdout=subprocess.DEVNULL)

    def _pip(self, *arguments: str) -> None:
        subprocess.run([self.python, "-m", "pip", *arguments], check=True)
