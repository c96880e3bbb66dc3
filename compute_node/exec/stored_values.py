"""Columns of a scan that may stay as they are stored: which ones, and functions that need not the whole value.

A scan's filter and expressions see values, but a column that is only passed on is resolved after the filter, and one
that is only asked for its length or a slice is not read beyond that: ``substr`` of an EXTERNAL value fetches the chunks
that hold it. Source: PostgreSQL manual, chapter 73.2 and 9.28 (pg_column_size).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from aurora.datum import Datum, Row
from aurora.errors import ArraySubscriptError
from compute_node.access.stored import LAZY, Toasted, resolved
from compute_node.access.toast import METHOD_NAMES, stored_bytes
from compute_node.exec.compile.rows import column_index
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql import expressions as ex
from compute_node.types.oids import BOOL

if TYPE_CHECKING:
    from aurora.kernels.python.tuples import ToastReader
    from compute_node.exec.compile.compiler import Linker
    from compute_node.exec.context import ExecContext
    from compute_node.exec.nodes.base import Node

CHARACTER_BYTES_MAX = 4
_FIXED_CODES = "?hiqIfdc"

Whole = Callable[..., Datum]
"""the function over values"""
Stored: TypeAlias = "Callable[[ToastReader, Toasted, Whole, Row], Datum]"
"""(reader, handle, function over values, further arguments) → result"""


def _size(reader: ToastReader, handle: Toasted, whole: Whole, arguments: Row) -> int:
    return int(handle.raw_bytes)


def _text_slice(reader: ToastReader, handle: Toasted, whole: Whole, arguments: Row) -> Datum:
    start, length = arguments
    end = start - 1 + length
    if length < 0:
        return whole("", start, length)
    return whole(_characters(reader, handle, end), start, length)


def _text_left(reader: ToastReader, handle: Toasted, whole: Whole, arguments: Row) -> Datum:
    (count,) = arguments
    return whole(_characters(reader, handle, count) if count >= 0 else reader.value(handle), count)


def _characters(reader: ToastReader, handle: Toasted, count: int) -> str:
    """At least the first ``count`` characters, or all if it has fewer."""
    data = reader.prefix(handle, CHARACTER_BYTES_MAX * max(count, 0))
    return str(data.decode(errors="ignore"))


def _bytes_slice(reader: ToastReader, handle: Toasted, whole: Whole, arguments: Row) -> Datum:
    start, length = arguments
    if length < 0:
        return whole(b"", start, length)
    first = max(start - 1, 0)
    return reader.slice(handle, first, max(start - 1 + length, 0) - first)


def _byte(reader: ToastReader, handle: Toasted, whole: Whole, arguments: Row) -> Datum:
    (index,) = arguments
    if not 0 <= index < handle.raw_bytes:
        raise ArraySubscriptError(f"index {index} out of valid range, 0..{handle.raw_bytes - 1}")
    return reader.slice(handle, index, 1)[0]


def _column_size(reader: ToastReader, handle: Toasted, whole: Whole, arguments: Row) -> int:
    return stored_bytes(handle)


def _compression(reader: ToastReader, handle: Toasted, whole: Whole, arguments: Row) -> str | None:
    return METHOD_NAMES.get(handle.method)


_COLUMN_SIZE, _COLUMN_COMPRESSION = 1269, 2121
HOW_STORED: Final = frozenset((_COLUMN_SIZE, _COLUMN_COMPRESSION))
"""Functions that ask how a value is stored."""
STORED_FUNCTIONS: dict[int, Stored] = {
    **dict.fromkeys((720, 1374, 2010), _size),
    **dict.fromkeys((877, 936), _text_slice),
    3060: _text_left,
    **dict.fromkeys((2012, 2085), _bytes_slice),
    721: _byte,
    _COLUMN_SIZE: _column_size,
    _COLUMN_COMPRESSION: _compression,
}
"""By pg_proc OID: what a function does with its first argument's handle."""


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """Columns of an input row that may be handles in expressions, by index. Of those in ``mixed`` some expressions ask
    how they are stored, and others for the value: these resolve it where they use it."""

    indexes: frozenset[int]
    mixed: frozenset[int] = frozenset()

    def value(self, value: Datum) -> Datum:
        """See ``compute_node.exec.compile.unit.StoredValues``."""
        return value.codec.reader.value(value) if type(value) is Toasted else value

    def call(self, node: ex.Call, whole: Whole) -> Whole | None:
        """See ``compute_node.exec.compile.unit.StoredValues``."""
        function = STORED_FUNCTIONS.get(node.function)
        if function is None or column_index(node.arguments[0]) not in self.indexes:
            return None
        over_values = whole if node.function != _COLUMN_SIZE else _short_size(whole)

        def call(context: ExecContext, value: Datum, *arguments: Datum) -> Datum:
            if type(value) is Toasted:
                return function(value.codec.reader, value, whole, arguments)
            return over_values(value, *arguments)

        return call


def _short_size(whole: Whole) -> Whole:
    """pg_column_size of a table's column: a short value has one length byte in a row and four elsewhere."""

    def size(value: Datum) -> int:
        found: int = whole(value)
        return found - 3 if found <= 130 else found

    return size


class StoredOutput:
    """Output columns of a node that are handles where the stored value is one. The node resolves them as it gives its
    rows, but for those that its parent takes as they are."""

    __slots__ = ("_positions",)

    def __init__(self, positions: Sequence[int] = ()) -> None:
        self._positions = tuple(positions)

    def keep(self, positions: AbstractSet[int]) -> frozenset[int]:
        """The parent can do with handles at ``positions``: where there may be some."""
        kept = frozenset(self._positions) & positions
        self._positions = tuple(position for position in self._positions if position not in kept)
        return kept

    @property
    def positions(self) -> tuple[int, ...]:
        """Those to resolve."""
        return self._positions

    def __bool__(self) -> bool:
        return bool(self._positions)

    def resolved(self, rows: list[Row]) -> Iterator[list[Row]]:
        """The rows with values in place of the handles to resolve, in batches of bounded size."""
        positions = self._positions
        for position in positions:
            for row in rows:
                if type(row[position]) is Toasted:
                    # The batches are cut, and each handle has its own reader.
                    return resolved(rows, positions)
        return iter((rows,) if rows else ())


@dataclass(frozen=True, slots=True)
class ScanColumns:
    """What a scan reads: ``columns`` with those marked that may stay as they are stored, ``stored`` for its
    expressions, and its output."""

    columns: tuple[int, ...]
    stored: StoredColumns | None
    output: StoredOutput


def scan_columns(
    linker: Linker,
    relation: RelationDesc,
    columns: tuple[int, ...],
    output: Sequence[ex.Expr],
    filter_: ex.Expr | None,
    as_values: bool = False,
) -> ScanColumns:
    """How a scan of ``columns`` reads them. ``as_values``: a column that is passed on is read as a value."""
    if relation.toast is None:
        return ScanColumns(columns, None, StoredOutput())
    passed = [column_index(node) for node in output]
    whole = {index for node, index in zip(output, passed, strict=True) if index < 0 for index in _read_whole(node)}
    if filter_ is not None:
        whole |= set(_read_whole(filter_))
    if as_values:
        whole |= set(passed)
    mixed = whole & _asked_how_stored([*output, *(() if filter_ is None else (filter_,))])
    lazy = frozenset(
        index
        for index, attno in enumerate(columns)
        if attno > 0 and (index not in whole or index in mixed) and _is_variable(linker, relation, attno)
    )
    marked = tuple(attno + LAZY if index in lazy else attno for index, attno in enumerate(columns))
    output_positions = [position for position, index in enumerate(passed) if index in lazy]
    return ScanColumns(marked, StoredColumns(lazy, lazy & mixed), StoredOutput(output_positions))


NOTHING: Final = ex.Const(type=BOOL, value=None)
"""Stands for the output of a node that gives no column of its child's."""


def passed_on(
    child: Node, width: int, output: Sequence[ex.Expr], needed: Iterable[ex.Expr]
) -> tuple[StoredColumns | None, StoredOutput]:
    """For a node over ``child``'s rows of ``width`` columns that gives ``output`` (empty: the rows themselves) and
    looks at ``needed``: what may be a handle in its expressions, and its output."""
    passed = [column_index(node) for node in output] if output else list(range(width))
    whole = {index for node, index in zip(output, passed, strict=False) if index < 0 for index in _read_whole(node)}
    in_needed = {index for node in needed for index in _read_whole(node)}
    mixed = (whole & _asked_how_stored(output)) - in_needed
    kept = child.keep_stored(frozenset(range(width)) - ((whole - mixed) | in_needed))
    if not kept:
        return None, StoredOutput()
    return StoredColumns(kept, kept & mixed), StoredOutput(
        [position for position, index in enumerate(passed) if index in kept]
    )


def _is_variable(linker: Linker, relation: RelationDesc, attno: int) -> bool:
    return linker.type(relation.columns[attno - 1].type).disk not in _FIXED_CODES


def _asked_how_stored(nodes: Iterable[ex.Expr]) -> frozenset[int]:
    """Indexes of the columns whose size or compression the expressions ask for."""
    return frozenset(
        column_index(item.arguments[0])
        for node in nodes
        for item in ex.walk(node)
        if isinstance(item, ex.Call) and item.function in HOW_STORED
    )


def _read_whole(node: ex.Expr) -> Iterator[int]:
    """Indexes of the columns that the expression needs the values of."""
    if isinstance(node, ex.NullTest) and column_index(node.argument) >= 0:
        return
    if isinstance(node, ex.Column):
        if node.side == 0:
            yield node.index
        return
    arguments = ex.children(node)
    if isinstance(node, ex.Call) and node.function in STORED_FUNCTIONS and column_index(node.arguments[0]) >= 0:
        arguments = arguments[1:]
    for argument in arguments:
        yield from _read_whole(argument)
