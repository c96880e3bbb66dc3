"""Kernels: the small inner loops, compiled by Cython, each with a pure-Python twin that is its readable specification.

``aurora.kernels.python`` holds the specification, ``aurora.kernels.native`` the compiled modules of the same names and
interfaces. ``AURORA_KERNELS`` chooses: ``native`` (an error when not built), ``python``, or ``auto`` (default: native
when built). All modules come from one side; a property test per kernel holds the two equal.

Use ``from aurora.kernels import heap`` and so on. What is not compiled exists once, in the specification, and is
imported from there: constants, error classes, and helpers off the hot paths (``aurora.kernels.python.redo.is_free``),
which a test lists.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # To the type checker both sides are their specification.
    from aurora.kernels.python import (  # noqa: F401
        arena,
        btree,
        clog,
        columns,
        entries,
        groups,
        heap,
        heap_pages,
        jsonb,
        lifter,
        moments,
        mtr,
        pglz,
        redo,
        regex,
        tuples,
        values,
        wire,
    )

MODULES = (
    "redo",
    "arena",
    "mtr",
    "pglz",
    "tuples",
    "clog",
    "columns",
    "groups",
    "heap",
    "heap_pages",
    "btree",
    "entries",
    "wire",
    "lifter",
    "regex",
    "jsonb",
    "moments",
    "values",
)
"""Every kernel, in import order."""


def _choose() -> str:
    choice = os.environ.get("AURORA_KERNELS", "auto")
    if choice not in ("auto", "native", "python"):
        raise ImportError(f"AURORA_KERNELS must be native, python or auto, not {choice!r}")
    if choice == "python":
        return "python"
    try:
        for name in MODULES:
            importlib.import_module(f"aurora.kernels.native.{name}")
    except ImportError as error:
        if choice == "native":
            raise ImportError(f"AURORA_KERNELS=native, but the compiled kernels do not load: {error}") from error
        return "python"
    return "native"


IMPLEMENTATION = _choose()
"""``native`` or ``python``."""


def __getattr__(name: str) -> ModuleType:
    if name in MODULES:
        module = importlib.import_module(f"aurora.kernels.{IMPLEMENTATION}.{name}")
        globals()[name] = module
        return module
    raise AttributeError(name)
