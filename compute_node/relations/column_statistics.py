"""What ANALYZE found about a column's values (manual, 14.2 and 53.51): one row of pg_statistic.

Frequencies and fractions are of all rows, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aurora.datum import Datum

MOST_COMMON: Final = 1
HISTOGRAM: Final = 2
CORRELATION: Final = 3
COMMON_ELEMENTS: Final = 4
ELEMENT_COUNTS: Final = 5
"""pg_statistic.stakindN"""


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """One kind of facts. ``values`` are of the type of OID ``value_type``, in the order of ``operator``; what
    ``numbers`` are depends on the kind."""

    kind: int
    operator: int = 0
    collation: int = 0
    numbers: Sequence[float] | None = None
    values: Sequence[Datum] | None = None
    value_type: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ColumnStatistics:
    """``width`` is in bytes, of values that are not NULL. ``distinct``: how many different values; below 0 their ratio
    to the rows, negated; 0 unknown."""

    null_fraction: float
    width: int
    distinct: float
    slots: tuple[Slot, ...] = ()

    def slot(self, kind: int) -> Slot | None:
        """The facts of that kind."""
        return next((each for each in self.slots if each.kind == kind), None)
