"""The binding to ICU: PyICU, which is optional.

It is imported at the first use of an ICU collation. Without it such a collation is 0A000, and the message names what is
missing; everything else works.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from aurora.errors import InternalError, NotSupported

_ERRORS = {1: "U_ILLEGAL_ARGUMENT_ERROR", 2: "U_MISSING_RESOURCE_ERROR", 16: "U_UNSUPPORTED_ERROR"}
CaseChange = Callable[[str], str]


class IcuLocale(NamedTuple):
    """What a locale gives: ``sort_key`` maps a text to bytes that order as the locale's collation does."""

    sort_key: Callable[[str], bytes]
    lower: CaseChange
    upper: CaseChange
    title: CaseChange


@cache
def _library() -> Any:
    try:
        import icu
    except ImportError:
        return None
    return icu


def available() -> bool:
    """Whether ICU collations can be used."""
    return _library() is not None


@cache
def icu_locale(name: str) -> IcuLocale:
    """By a name as ``CREATE COLLATION (provider = icu, locale = …)`` takes it. 0A000 without the library, XX000 for a
    name that ICU refuses, as PostgreSQL 15 has it."""
    icu = _library()
    if icu is None:
        raise NotSupported(
            "ICU collations need the Python package PyICU, which is not installed here",
            hint='Install it with: pip install "aurora-py[icu]".',
        )
    try:
        locale = icu.Locale(name)
        collator = icu.Collator.createInstance(locale)
    except icu.ICUError as error:
        code = error.getErrorCode()
        raise InternalError(f'could not open collator for locale "{name}": {_ERRORS.get(code, code)}') from None
    string = icu.UnicodeString
    return IcuLocale(
        collator.getSortKey,
        lambda text: str(string(text).toLower(locale)),
        lambda text: str(string(text).toUpper(locale)),
        lambda text: str(string(text).toTitle(locale)),
    )


@cache
def actual_version(name: str) -> str | None:
    """The version of a locale's collation in the library at hand, as pg_collation.collversion has it; None where it
    cannot be found out."""
    icu = _library()
    path = None if icu is None else ctypes.util.find_library("icui18n")
    if path is None:
        return None
    suffix = icu.ICU_VERSION.split(".")[0]
    try:
        library = ctypes.CDLL(path)
        opened = getattr(library, f"ucol_open_{suffix}")
        version_of, closed = getattr(library, f"ucol_getVersion_{suffix}"), getattr(library, f"ucol_close_{suffix}")
    except (OSError, AttributeError):
        return None
    opened.restype = ctypes.c_void_p
    status, found = ctypes.c_int(0), (ctypes.c_uint8 * 4)()
    handle = ctypes.c_void_p(opened(name.encode(), ctypes.byref(status)))
    if status.value > 0 or not handle:
        return None
    version_of(handle, found)
    closed(handle)
    parts = list(found)
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return ".".join(map(str, parts))
