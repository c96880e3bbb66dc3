"""Handles of stored values in rows: marking columns that may have them, and putting values in their place.

A kernel decodes a value that is compressed or out of line to its handle, ``Toasted``; the handle's codec names the
reader (``toast.Toaster``) that knows its bytes.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation
from aurora.kernels import tuples as tuples_kernel
from compute_node.hub import HUB

if TYPE_CHECKING:
    from aurora.kernels.python.tuples import RowCodec
    from compute_node.access.toast import Toaster


Toasted = tuples_kernel.Toasted
LAZY: int = tuples_kernel.LAZY
"""Added to an attno: the column may come as its handle."""
CODECS_MAX = 1024
BATCH_BYTES = 8 << 20
"""A scan gives its rows in batches of about so many resolved bytes."""


def resolved(rows: list[Row], positions: Sequence[int]) -> Iterator[list[Row]]:
    """The rows with values in place of the handles at ``positions``, in batches of bounded size."""
    part: list[Row] = []
    size = 0
    for row in rows:
        for at in positions:
            if type(row[at]) is Toasted:
                size += row[at].raw_bytes
        HUB.pulse()
        if part and size > BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(resolved_row(row, positions))
    if part:
        yield part


def resolved_row(row: Row, positions: Sequence[int]) -> Row:
    """One row with values in place of the handles at ``positions``."""
    cells: list[Datum] | None = None
    for at in positions:
        value = row[at]
        if type(value) is Toasted:
            if cells is None:
                cells = list(row)
            cells[at] = value.codec.reader.value(value)
    return row if cells is None else tuple(cells)


def adopted(rows: list[Row], positions: Sequence[int], reader: Toaster) -> Iterator[list[Row]]:
    """The rows with handles of other tables at ``positions`` made ones of ``reader``'s table, compressed as they are,
    in batches of bounded size."""
    part: list[Row] = []
    size = 0
    for row in rows:
        HUB.pulse()
        cells: list[Datum] | None = None
        for at in positions:
            if type(row[at]) is Toasted:
                cells = list(row) if cells is None else cells
                cells[at] = reader.adopt(row[at], at)
                size += row[at].stored_bytes
        part.append(row if cells is None else tuple(cells))
        if size > BATCH_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


# Rows that a statement moves to a temporary file may hold handles; only this process reads them again.

_codecs: dict[int, RowCodec] = {}


def _reduced(handle: Toasted) -> tuple[Callable[..., Toasted], tuple[object, ...]]:
    codec = handle.codec
    if _codecs.get(id(codec)) is not codec:
        if len(_codecs) >= CODECS_MAX:
            del _codecs[next(iter(_codecs))]
        _codecs[id(codec)] = codec
    place = (handle.column, handle.method, handle.raw_bytes, handle.stored_bytes, handle.value_id, handle.relation)
    return _restored, (id(codec), *place, handle.data)


def _restored(codec: int, *parts: Any) -> Toasted:
    found = _codecs.get(codec)
    if found is None:
        raise InvariantViolation("the table of a stored value in a temporary file is not known any more")
    return Toasted(found, *parts)


copyreg.pickle(Toasted, _reduced)
