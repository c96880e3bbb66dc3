"""Control files and scripts of extensions: which there are, in which versions, and the way from one to another.

Source: PostgreSQL manual, 38.17.1 and 38.17.5. A folder of ``FOLDERS`` holds one folder for each extension.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aurora.errors import ConfigFileError, InvalidParameterValue, NotSupported

FOLDERS: Final[list[Path]] = [Path(__file__).parent]
"""where folders of extensions are; a test may add one"""
_LINE: Final = re.compile(r"\s*(\w+)\s*=?\s*(?:'((?:[^']|'')*)'|([^\s#']+))\s*(?:#.*)?")
_FLAGS: Final = dict.fromkeys(("on", "true", "yes", "1"), True) | dict.fromkeys(("off", "false", "no", "0"), False)


@dataclass(frozen=True, slots=True)
class Control:
    """A control file. ``schema``: the only one that it can be installed in; ``trusted``: who may create in the database
    may install it, and the script runs as a superuser."""

    name: str
    folder: Path
    default_version: str | None = None
    comment: str | None = None
    schema: str | None = None
    requires: tuple[str, ...] = ()
    superuser: bool = True
    relocatable: bool = False
    trusted: bool = False
    module: str | None = None
    """what MODULE_PATHNAME stands for in scripts"""


def available() -> Iterator[Control]:
    """The control files of all extensions that are there, by name."""
    found = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*/*.control"))}
    for name in sorted(found):
        if "--" not in name:
            yield _read(found[name], Control(name, found[name].parent))


def control(name: str) -> Control:
    """The control file of an extension. Errors: 22023 for a name that is none, 0A000 for one that is not there."""
    check_name("extension", name)
    for folder in FOLDERS:
        for path in folder.glob(f"*/{name}.control"):
            return _read(path, Control(name, path.parent))
    raise NotSupported(
        f'extension "{name}" is not available',
        hint="The extension must first be installed on the system where PostgreSQL is running.",
    )


def check_name(what: str, name: str) -> None:
    """22023 for what cannot be the name of an extension or (``extension version``) of a version."""
    plural = "Extension names" if what == "extension" else "Version names"
    why = None
    if not name:
        why = "must not be empty."
    elif "--" in name:
        why = 'must not contain "--".'
    elif name.startswith("-") or name.endswith("-"):
        why = 'must not begin or end with "-".'
    elif "/" in name or "\\" in name:
        why = "must not contain directory separator characters."
    if why is not None:
        label = "extension name" if what == "extension" else "extension version name"
        raise InvalidParameterValue(f'invalid {label}: "{name}"', detail=f"{plural} {why}")


def of_version(item: Control, version: str) -> Control:
    """The control file with what the version's own says besides."""
    path = item.folder / f"{item.name}--{version}.control"
    return _read(path, item) if path.exists() else item


def _read(path: Path, base: Control) -> Control:
    values: dict[str, object] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigFileError(f'syntax error in file "{path.name}" line {number}')
        name, quoted, bare = match.groups()
        text = bare if quoted is None else quoted.replace("''", "'")
        if name in ("superuser", "relocatable", "trusted"):
            if text.lower() not in _FLAGS:
                raise InvalidParameterValue(f'parameter "{name}" requires a Boolean value')
            values[name] = _FLAGS[text.lower()]
        elif name == "requires":
            values[name] = tuple([each.strip() for each in text.split(",") if each.strip()])
        elif name in ("default_version", "comment", "schema"):
            values[name] = text
        elif name == "module_pathname":
            values["module"] = text
        else:
            raise ConfigFileError(f'unrecognized parameter "{name}" in file "{path.name}"')
    return replace(base, **values)  # type: ignore[arg-type]


# versions


def steps(item: Control) -> dict[str, set[str]]:
    """All versions, each with those that one script leads to; those that have an installation script are under ``""``,
    too."""
    found: dict[str, set[str]] = {"": set()}
    for path in item.folder.glob(f"{item.name}--*.sql"):
        words = path.stem.removeprefix(f"{item.name}--").split("--")
        if len(words) > 2:
            continue
        source, target = ("", words[0]) if len(words) == 1 else words
        found.setdefault(source, set()).add(target)
        found.setdefault(target, set())
    return found


def path(item: Control, source: str, target: str) -> list[str] | None:
    """The versions from one to another, the shortest way, that of the least names among equals; ``source`` "": from
    nothing, by an installation script. None: there is no way."""
    graph = steps(item)
    queue: list[tuple[int, list[str]]] = [(0, [source])]
    seen: set[str] = set()
    while queue:
        length, way = heapq.heappop(queue)
        if way[-1] == target and length:
            return way[1:]
        if way[-1] in seen:
            continue
        seen.add(way[-1])
        for each in graph.get(way[-1], ()):
            heapq.heappush(queue, (length + 1, [*way, each]))
    return None


def installable(item: Control) -> list[str]:
    """The versions that can be installed, by name."""
    return sorted(each for each in steps(item) if each and path(item, "", each) is not None)


def script(item: Control, source: str, target: str) -> str:
    """The text of one script."""
    between = f"{source}--{target}" if source else target
    return (item.folder / f"{item.name}--{between}.sql").read_text()
