"""Libraries that a process loads when something first asks for what they do.

A writer in an empty folder encrypts nothing and is scraped by nobody: what only these need would cost its start a tenth
of a second and its memory some megabytes. Types are imported for the checker alone::

    if TYPE_CHECKING:
        from cryptography.hazmat.primitives import hashes
    else:
        hashes = lazy("cryptography.hazmat.primitives.hashes")
"""

from __future__ import annotations

import importlib
from types import ModuleType


class _Lazy(ModuleType):
    """Stands for a module; its names are kept once they were asked for."""

    def __getattr__(self, name: str) -> object:
        found: object = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, found)
        return found


def lazy(name: str) -> ModuleType:
    """What stands for the module of this name. Errors: ImportError, at first use."""
    return _Lazy(name)
