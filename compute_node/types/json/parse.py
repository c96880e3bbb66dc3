"""JSON text → jsonb, and the check of a json text.

Short and plain texts are read by the kernel. What that does not take, and every long text, is read by ``reader``, which
lets others run and words the errors; it is imported when it is first needed.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from aurora.datum import Datum
from aurora.kernels import jsonb as kernel
from compute_node.types.json.bounds import STACK_KB
from compute_node.types.json.value import Jsonb, number_data
from compute_node.types.numeric import numeric_in

_SHORT: Final = 1 << 16
_SHALLOW: Final = 500
_WHOLE = re.compile(r"-?[1-9][0-9]{0,40}|0", re.ASCII)
_SIMPLE = re.compile(r"-?[0-9]{1,40}\.[0-9]{1,40}", re.ASCII)
_NO_ENV: Any = None


def number_from(text: str) -> bytes:
    """A number's bytes from its JSON text; 22003 beyond numeric's format."""
    if _WHOLE.fullmatch(text) is not None or (_SIMPLE.fullmatch(text) is not None and text[0] != "-"):
        return b"\2" + text.encode()
    return number_data(numeric_in(text, -1, _NO_ENV))


def _refuse(text: str) -> Datum:
    raise ValueError(text)


_CHECKER = json.JSONDecoder(
    object_pairs_hook=lambda found: None, parse_float=len, parse_int=len, parse_constant=_refuse
)
"""Looks at a text and keeps nothing."""


def _scannable(text: str) -> bool:
    return len(text) <= _SHORT and text.count("[") + text.count("{") <= _SHALLOW


def parse(text: str, stack_kb: int = STACK_KB) -> Jsonb:
    """The value of a JSON text; 22P02, 22P05, 22003, 54000, 54001."""
    found = kernel.parse(text)
    if found is not None:
        return Jsonb(found)
    from compute_node.types.json.reader import Builder

    return Builder(text, stack_kb).read()


def check(text: str, stack_kb: int = STACK_KB) -> None:
    """22P02 unless it is JSON: what the input of json asks."""
    if _scannable(text):
        try:
            _CHECKER.decode(text)
            return
        except ValueError:
            pass
    from compute_node.types.json.reader import check_slowly

    check_slowly(text, stack_kb)
