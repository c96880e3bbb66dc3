"""Functions of administration: refusals outside their context, information, files, statistics, replication, memory
and control, input functions by OID → declarations.

Each module declares a family; importing the package declares them all.
"""

from compute_node.types.administration import (
    control,
    files,
    information,
    refusals,
    replication,
    statistics,
    typed_inputs,
)

__all__ = ["control", "files", "information", "refusals", "replication", "statistics", "typed_inputs"]
