"""TABLESAMPLE: rows or pages chosen by a hash of their place, as PostgreSQL chooses them."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aurora.datum import Datum
from aurora.errors import InvalidTablesampleArgument, InvalidTablesampleRepeat
from compute_node.exec.compile.rows import value_function
from compute_node.exec.nodes.base import Batch, executes
from compute_node.exec.nodes.seq_scan import SeqScanNode
from compute_node.hub import HUB
from compute_node.sql import plan as pl
from compute_node.types.hashes import hash_bytes, hash_float

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext

_WORD = (1 << 32) - 1


@executes(pl.SampleScan)
class SampleScanNode(SeqScanNode):
    """The same places are chosen for the same percentage and seed."""

    __slots__ = ("_bernoulli", "_percent", "_seed")

    def __init__(self, plan: pl.SampleScan, builder: Builder) -> None:
        super().__init__(plan, builder)
        self._bernoulli = plan.method == "bernoulli"
        self._percent = value_function(builder, plan.percent)
        self._seed = None if plan.seed is None else value_function(builder, plan.seed)

    def _source(self, ctx: ExecContext) -> Iterator[Batch]:
        percent = self._percent(ctx)
        if percent is None:
            raise InvalidTablesampleArgument("TABLESAMPLE parameter cannot be null")
        seed = self._seed_of(ctx)
        if math.isnan(percent) or not 0 <= percent <= 100:
            raise InvalidTablesampleArgument("sample percentage must be between 0 and 100")
        cutoff = round((_WORD + 1) * percent / 100)
        pages: dict[int, bool] = {}
        for batch in super()._source(ctx):
            rows: Batch = []
            for row in batch:
                block, place = row[-1] >> 16, row[-1] & 0xFFFF
                if self._bernoulli:
                    chosen = hash_bytes(struct.pack("<III", block, place, seed)) < cutoff
                else:
                    known = pages.get(block)
                    if known is None:
                        known = pages[block] = hash_bytes(struct.pack("<II", block, seed)) < cutoff
                    chosen = known
                if chosen:
                    rows.append(row)
            HUB.pulse()
            if rows:
                yield rows

    def _seed_of(self, ctx: ExecContext) -> int:
        if self._seed is None:
            return random.getrandbits(32)
        value: Datum = self._seed(ctx)
        if value is None:
            raise InvalidTablesampleRepeat("TABLESAMPLE REPEATABLE parameter cannot be null")
        return hash_float(value) & _WORD
