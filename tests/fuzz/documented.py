"""Differences that docs/differences.md lists, each by what it looks like: as narrow as it can be told from answers."""

from __future__ import annotations

import re

from tests.fuzz.oracles import Answer

_LONG_KEY = re.compile(r'54000 index row size \d+ exceeds btree version 4 maximum 2704 for index "')

_FULL_JOIN = "0A000 FULL JOIN is only supported with merge-joinable or hash-joinable join conditions"


def documented(own: Answer, other: Answer) -> str | None:
    """The line of docs/differences.md that a difference between two answers is; None when it is in none."""
    if _LONG_KEY.match(own.error) and not other.error:
        # An array's key has bytes for each of its NULLs, PostgreSQL's array a bit.
        return "index entry of a long value"
    if other.error == _FULL_JOIN and not own.error:
        # The rows of a join that PostgreSQL does not make cannot be compared.
        return "FULL JOIN by what cannot be merged or hashed"
    return None
