"""Functions of administration: refusals outside their context, information, statistics, replication → declarations.

Each module declares a family; importing the package declares them all.
"""

from compute_node.types.administration import information, refusals, replication, statistics

__all__ = ["information", "refusals", "replication", "statistics"]
