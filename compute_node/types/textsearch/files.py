"""Files of dictionaries: word lists, affixes, synonyms, thesauri (manual, 12.6).

They are looked for in the folder that ``AURORA_TSEARCH_DATA`` names, then in the one that comes with the program. Each
instance reads its own, so all instances of a cluster need the same. The stop words of PostgreSQL's languages are in
``builtin.json``; a file of that name comes first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aurora.errors import CharacterNotInRepertoire, ConfigFileError, InvalidParameterValue
from compute_node.types.long_text import paced

SHIPPED: Final = Path(__file__).parent / "data"
_NAME: Final = re.compile("[a-z0-9_]+")


def folders() -> list[Path]:
    """Where files may be."""
    given = os.environ.get("AURORA_TSEARCH_DATA")
    return [*([Path(given)] if given else ()), SHIPPED]


def find(name: str, extension: str) -> Path | None:
    """The file; None where there is none. 22023 for a name that PostgreSQL would not take."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterValue(f'invalid text search configuration file name "{name}"')
    return next((path for each in folders() if (path := each / f"{name}.{extension}").is_file()), None)


def lines(name: str, extension: str, what: str) -> Iterator[str]:
    """Its lines, in UTF-8. F0000 for a file that is not there."""
    path = find(name, extension)
    if path is None:
        shown = folders()[0] / f"{name}.{extension}"
        raise ConfigFileError(f'could not open {what} file "{shown}": No such file or directory')
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigFileError(f'could not open {what} file "{path}": {error.strerror}') from None
    except UnicodeDecodeError:
        raise CharacterNotInRepertoire(f'invalid byte sequence for encoding "UTF8" in file "{path}"') from None
    return paced(text.split("\n"))
