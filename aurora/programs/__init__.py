"""The programs of a cluster: what people start and ask (cli, supervisor, status, embedded, restore).

They stand on top of everything: they start storage nodes and compute nodes as processes, or in this one, and nothing
below imports them.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any


class _Package(ModuleType):
    """``aurora.cluster`` is this package and ``aurora.cluster()`` the embedded cluster, whoever imported what first."""

    def __call__(self, *args: Any, **kwargs: Any) -> AbstractContextManager[Any]:
        """See ``aurora.cluster.embedded.cluster``."""
        from aurora.cluster.embedded import cluster

        return cluster(*args, **kwargs)


sys.modules[__name__].__class__ = _Package
