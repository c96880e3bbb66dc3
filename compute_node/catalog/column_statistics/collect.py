"""From a sample's rows to the facts about each column: which are looked for depends on the type (manual, CREATE TYPE:
analyze)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.access.stored import Toasted
from compute_node.catalog.column_statistics.elements import analyze_elements
from compute_node.catalog.column_statistics.sample import Sample
from compute_node.catalog.column_statistics.scalars import Column, Order, analyze_scalars
from compute_node.hub import HUB
from compute_node.relations.column_statistics import ColumnStatistics, Slot
from compute_node.types import oids
from compute_node.types.any_functions import size_function
from compute_node.types.array_value import flatten
from compute_node.types.collation import collated, plain
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.catalog.view import CatalogView
    from compute_node.relations.descriptors import ColumnDesc

WIDE_BYTES = 1024
"""Values above that are counted as all different and not looked at."""
_TSVECTOR = 3614
_POINTER_BYTES = 18
_STEP = 1024
_SHORT_BYTES = 130
"""up to which a value's length takes one byte in a row instead of four"""


def analyze_column(view: CatalogView, desc: ColumnDesc, sample: Sample, position: int, target: int) -> ColumnStatistics:
    """The facts about one column of the sample's rows."""
    kind = view.type(desc.type)
    column = _column(kind, sample, position, target)
    order = value_order(view, kind, desc.collation)
    if order is None or kind.root.range_form is not None:
        return ColumnStatistics(column.null_fraction, column.width, 0.0)
    found = analyze_scalars(column, order)
    more = _elements(view, kind.root, column)
    if kind.root.oid == _TSVECTOR:
        # Documents as such are hardly ever equal.
        return ColumnStatistics(column.null_fraction, column.width, column.null_fraction - 1.0, tuple(more))
    if not more:
        return found
    return ColumnStatistics(found.null_fraction, found.width, found.distinct, (*found.slots, *more)[:5])


def value_order(view: CatalogView, kind: PgType, collation: int) -> Order | None:
    """How a type's values are compared by its default operator class; None: they have no order."""
    operator_class = view.default_operator_class(kind.oid)
    if operator_class is None or len(operator_class.operators) < 3:
        return None
    root = kind.root
    parts = [field.type for field in root.fields if field.type is not None]
    if root.element_type is not None and root.category == "A":
        parts.append(root.element_type)
    if any(value_order(view, part, part.collation) is None for part in parts):
        return None
    less, equal = operator_class.operators[0], operator_class.operators[2]
    ordered = view.type(collated(kind.oid, collation)) if kind.collation else kind
    return Order(equal, less, collation if kind.collation else 0, plain(kind.oid), ordered.sort_value)


def _elements(view: CatalogView, kind: PgType, column: Column) -> Sequence[Slot]:
    if kind.oid == _TSVECTOR:
        order = value_order(view, view.type(oids.TEXT), 100)
        return () if order is None else analyze_elements(column, order, _lexemes, False)
    if kind.category != "A" or kind.element_type is None:
        return ()
    order = value_order(view, kind.element_type, kind.element_type.collation)
    return () if order is None else analyze_elements(column, order, flatten, True)


def _lexemes(value: Datum) -> Iterable[Datum]:
    return (lexeme for lexeme, _ in value.entries)


def _column(kind: PgType, sample: Sample, position: int, target: int) -> Column:
    size = _size(kind)
    values: list[Datum] = []
    nulls = wide = total = 0
    for number, row in enumerate(sample.rows):
        if not number % _STEP:
            HUB.pulse()
        value = row[position]
        if value is None:
            nulls += 1
            continue
        if type(value) is Toasted:
            total += _POINTER_BYTES if value.is_external else value.stored_bytes
            if value.raw_bytes > WIDE_BYTES:
                wide += 1
                continue
            value = value.codec.reader.value(value)
        elif size is not None:
            bytes_taken = size(value)
            total += bytes_taken
            if bytes_taken > WIDE_BYTES:
                wide += 1
                continue
        values.append(value)
    known = len(values) + wide
    width = kind.length if size is None else total // known if known else 0
    return Column(values, len(sample.rows), nulls, wide, width, sample.total, target)


def _size(kind: PgType) -> Callable[[Datum], int] | None:
    """Bytes of a value in a row; None: the type's length."""
    if kind.length > 0:
        return None
    measure = size_function(kind)

    def size(value: Datum) -> int:
        found = measure(value)
        return found - 3 if found <= _SHORT_BYTES else found

    return size
