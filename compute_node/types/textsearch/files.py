"""Files of dictionaries: word lists, affixes, synonyms, thesauri (manual, 12.6).

They are looked for in the folder that the instance's ``--tsearch-data`` names, then in the one that comes with the
program. Each instance reads its own, so all instances of a cluster need the same. The stop words of PostgreSQL's
languages are in ``builtin.json``; a file of that name comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aurora.errors import CharacterNotInRepertoire, ConfigFileError, InvalidParameterValue
from compute_node.types.long_text import paced, split
from compute_node.work.server_files import PLACES
from compute_node.work.workers import run_in_thread

SHIPPED: Final = Path(__file__).parent / "data"
_NAME: Final = re.compile("[a-z0-9_]+")


def folders() -> list[Path]:
    """Where files may be."""
    own = PLACES.tsearch_data
    return [SHIPPED] if own is None else [own, SHIPPED]


def find(name: str, extension: str) -> Path | None:
    """The file; None where there is none. 22023 for a name that PostgreSQL would not take."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterValue(f'invalid text search configuration file name "{name}"')
    return run_in_thread(_first, [each / f"{name}.{extension}" for each in folders()])


def _first(paths: list[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def lines(name: str, extension: str, what: str) -> Iterator[str]:
    """Its lines, in UTF-8. F0000 for a file that is not there."""
    path = find(name, extension)
    if path is None:
        shown = folders()[0] / f"{name}.{extension}"
        raise ConfigFileError(f'could not open {what} file "{shown}": No such file or directory')
    try:
        text = run_in_thread(_text, path)
    except OSError as error:
        raise ConfigFileError(f'could not open {what} file "{path}": {error.strerror}') from None
    except UnicodeDecodeError:
        raise CharacterNotInRepertoire(f'invalid byte sequence for encoding "UTF8" in file "{path}"') from None
    return paced(split(text, "\n"))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
