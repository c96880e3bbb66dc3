"""The settings that costs depend on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

PAGE_BYTES = 8192
ROW_HEADER_BYTES = 24
KB = 1024
DISABLED_COST = 1.0e10
"""added to a path of a kind that is turned off (enable_seqscan and its like)"""


class Settings(Protocol):
    """A session's settings, as far as costs look at them."""

    def get(self, name: str) -> bool | int | float | str | None:
        """A setting's value."""


@dataclass(frozen=True, slots=True)
class CostParameters:
    """In the units of ``seq_page_cost``; memory in bytes."""

    seq_page: float = 1.0
    random_page: float = 4.0
    cpu_tuple: float = 0.01
    cpu_index_tuple: float = 0.005
    cpu_operator: float = 0.0025
    work_mem_bytes: float = 4096.0 * KB
    hash_mem_bytes: float = 8192.0 * KB

    @classmethod
    def of(cls, settings: Settings | None) -> CostParameters:
        """What a session has set; the defaults without one."""
        if settings is None:
            return _DEFAULTS

        def number(name: str, default: float) -> float:
            found = settings.get(name)
            return default if found is None else float(found)

        work_mem = number("work_mem", 4096.0) * KB
        return cls(
            seq_page=number("seq_page_cost", 1.0),
            random_page=number("random_page_cost", 4.0),
            cpu_tuple=number("cpu_tuple_cost", 0.01),
            cpu_index_tuple=number("cpu_index_tuple_cost", 0.005),
            cpu_operator=number("cpu_operator_cost", 0.0025),
            work_mem_bytes=work_mem,
            hash_mem_bytes=work_mem * number("hash_mem_multiplier", 2.0),
        )


_DEFAULTS = CostParameters()


def row_bytes(width: float) -> float:
    """A row in memory or in a temporary file."""
    return aligned(width) + ROW_HEADER_BYTES


def aligned(width: float) -> float:
    """To eight bytes."""
    return float((int(width) + 7) & ~7)


def pages_of(rows: float, width: float) -> float:
    """Pages of a temporary file with so many rows."""
    return math.ceil(rows * row_bytes(width) / PAGE_BYTES)


def clamped(rows: float) -> float:
    """An estimate of rows: whole, and at least one."""
    return 1.0 if rows <= 1.0 else float(round(rows))
