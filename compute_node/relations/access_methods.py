"""What each index access method can do (PostgreSQL's IndexAmRoutine): asked by DDL, the planner and the executor.

The code of a method is in a folder of ``compute_node/access``; ``access/methods.py`` names its class. Next stage: the
planner, which matches conditions with operator class strategies, and DDL, which refuses what a method cannot do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IS_NULL, NOT_NULL = -1, -2
"""Scan keys beside an operator class's strategies: the column is NULL, or is not."""


@dataclass(frozen=True, slots=True)
class AccessMethod:
    """One row of pg_am of type ``i``. ``equality`` is the strategy number of ``=`` in its operator classes, 0 where
    each class has its own numbers (and ``strategies`` is 0, too)."""

    oid: int
    name: str
    handler: int
    equality: int
    strategies: int
    ordered: bool = False
    """scans give rows in key order; ASC, DESC and NULLS FIRST, LAST mean something"""
    backward: bool = False
    unique: bool = False
    multi_column: bool = False
    include: bool = False
    search_null: bool = False
    whole_scan: bool = False
    """a scan without keys gives every row"""
    lossy: bool = False
    """a scan may give rows that do not meet its keys: the executor checks the conditions again"""
    bitmap_only: bool = False
    """it gives row addresses for bitmaps, and no rows one by one"""
    any_column: bool = False
    """a scan takes any keys of any columns; else those of leading columns"""
    distances: bool = False
    """a scan can give rows in the order of a distance (operators of purpose ``o`` in pg_amop)"""
    class_options: bool = False
    """operator classes may have options"""


BTREE = AccessMethod(
    oid=403,
    name="btree",
    handler=330,
    equality=3,
    strategies=5,
    ordered=True,
    backward=True,
    unique=True,
    multi_column=True,
    include=True,
    search_null=True,
    whole_scan=True,
)

HASH = AccessMethod(oid=405, name="hash", handler=331, equality=1, strategies=1, lossy=True)

GIN = AccessMethod(
    oid=2742,
    name="gin",
    handler=333,
    equality=0,
    strategies=0,
    multi_column=True,
    lossy=True,
    bitmap_only=True,
    any_column=True,
)

GIST = AccessMethod(
    oid=783,
    name="gist",
    handler=332,
    equality=0,
    strategies=0,
    multi_column=True,
    include=True,
    search_null=True,
    whole_scan=True,
    lossy=True,
    any_column=True,
    distances=True,
    class_options=True,
)

SPGIST = AccessMethod(
    oid=4000,
    name="spgist",
    handler=334,
    equality=0,
    strategies=0,
    include=True,
    search_null=True,
    whole_scan=True,
    lossy=True,
    any_column=True,
    distances=True,
)

BRIN = AccessMethod(
    oid=3580,
    name="brin",
    handler=335,
    equality=0,
    strategies=0,
    multi_column=True,
    search_null=True,
    lossy=True,
    bitmap_only=True,
    any_column=True,
    class_options=True,
)

PAGES_PER_RANGE = 128
"""Of a BRIN index, unless its storage parameter says otherwise"""


def pages_per_range(options: Sequence[str]) -> int:
    """What a BRIN index's storage parameters (``name=value``) say."""
    given = dict(each.split("=", 1) for each in options)
    return int(given.get("pages_per_range", PAGES_PER_RANGE))


RETURNING_CLASSES = {10017, 10060, 10061, 10078, 10018, 10079, 10083, 10084, 10085, 10086}
"""Codes of operator classes whose indexes have the values themselves, as PostgreSQL's do; extensions add theirs"""

METHODS: dict[str, AccessMethod] = {method.name: method for method in (BTREE, HASH, GIN, GIST, SPGIST, BRIN)}
METHODS_BY_OID: dict[int, AccessMethod] = {method.oid: method for method in METHODS.values()}
