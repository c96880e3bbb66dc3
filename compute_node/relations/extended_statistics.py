"""What ANALYZE found about several columns of a table together (manual, 14.2.2 and 53.52): one row of
pg_statistic_ext_data. Columns are attnos; what is known of expressions is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aurora.datum import Datum


@dataclass(frozen=True, slots=True)
class Dependency:
    """In a share (``degree``, 0 to 1) of the rows the values of ``known`` say what that of ``implied`` is."""

    known: tuple[int, ...]
    implied: int
    degree: float


@dataclass(frozen=True, slots=True)
class Combination:
    """One of the most common combinations: a value for each column, None for NULL; the share of rows that have it, and
    what that would be if the columns were independent."""

    values: Sequence[Datum]
    frequency: float
    base_frequency: float


@dataclass(frozen=True, slots=True, eq=False)
class ExtendedStatistics:
    """``columns``: the object's, in the order of ``common``'s values; ``size``: how many, expressions too.
    ``distinct``: how many different combinations of columns the table has."""

    columns: tuple[int, ...]
    size: int
    distinct: Mapping[frozenset[int], float]
    dependencies: tuple[Dependency, ...]
    common: tuple[Combination, ...]
