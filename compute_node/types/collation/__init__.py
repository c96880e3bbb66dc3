"""Collations (manual, 24.2): how strings of a type are ordered, compared and changed in case.

``Collation`` is one row of pg_collation with its code; ``collated_type`` a type under a collation; ``code`` says what
each function that depends on a collation does under one. A type under a collation has a number of its own, the type's
and the collation's in one (``collated``): expressions, sort keys and index keys carry it as they carry any type, and
whoever asks for the type gets the order of that collation with it. The number never leaves the instance.

The default collation orders by code points, as ``C`` does, so nothing carries such a number where no other collation is
named.
"""

from compute_node.types.collation.collation import (
    CODE_POINTS,
    DEFAULT,
    INDETERMINATE,
    UNDETERMINED,
    Collation,
    collated,
    collated_type,
    collation_of,
    plain,
)

__all__ = [
    "CODE_POINTS",
    "DEFAULT",
    "INDETERMINATE",
    "UNDETERMINED",
    "Collation",
    "collated",
    "collated_type",
    "collation_of",
    "plain",
]
