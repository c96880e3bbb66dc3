"""A PostgreSQL-compatible database with Amazon Aurora's architecture.

This package is what compute and storage share: pages, redo, kernels, quorum arithmetic, message stubs, the seams to the
outside world, the simulator, the cluster supervisor and the ``aurora`` command. ``cluster()`` runs a whole cluster
inside this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aurora.programs.embedded import EmbeddedCluster, cluster

__all__ = ["EmbeddedCluster", "cluster"]


def __getattr__(name: str) -> object:
    # Storage nodes import this package too and need none of it.
    if name in __all__:
        from aurora.programs import embedded

        return getattr(embedded, name)
    raise AttributeError(f"module 'aurora' has no attribute {name!r}")
