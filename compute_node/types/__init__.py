"""Built-in types, functions, operators, casts, operator classes and aggregates → ``REGISTRY``.

One type family a file, with its functions, operators, casts, operator classes and wire codes; what ties two families
together is declared in the later one.
Importing the package fills the registry; every OID, name and volatility is PostgreSQL 15's (a test compares them).
"""

from __future__ import annotations

import importlib

from compute_node.types.registry import REGISTRY

__all__ = ["REGISTRY"]

_FAMILIES = (
    "boolean",
    "integer",
    "floating",
    "degrees",
    "numeric",
    "sizes",
    "text",
    "name",
    "bytea",
    "oid",
    "snapshot",
    "aclitem",
    "pseudo",
    "internal_types",
    "datetime_",
    "interval",
    "uuid_",
    "bits",
    "money",
    "network",
    "macaddr",
    "geometric",
    "record",
    "ranges.types",
    "json.types",
    "array",
    "anyarray",
    "typenames",
    "array_functions",
    "datetime_functions",
    "overlaps",
    "zone_functions",
    "numeric_functions",
    "formatting",
    "string_functions",
    "encodings",
    "like",
    "regex",
    "jsonpath",
    "textsearch",
    "xml",
    "large_objects",
    "any_functions",
    "json.functions",
    "json.json_functions",
    "json.construct",
    "json.records",
    "sets",
    "system",
    "recovery_functions",
    "aurora_functions",
    "enum",
    "aggregates",
    "moving_aggregates",
    "ordered_sets",
    "window_functions",
    "in_range",
    "hashes",
    "transitions",
    "regression_transitions",
    "interval_transitions",
    "administration",
    "ranges.functions",
    "ranges.constructors",
    "ranges.aggregates",
    "json.aggregates",
    "io_functions",
    "collation.code",
    "index_classes",
)
"""In the order of their needs: a family may use those before it."""

for _family in _FAMILIES:
    importlib.import_module(f"{__name__}.{_family}")
