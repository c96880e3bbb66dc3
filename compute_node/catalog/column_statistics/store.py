"""Facts about columns as rows of pg_statistic, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aurora.datum import Datum
from compute_node.catalog.routines import split_texts
from compute_node.catalog.rows import CatalogReader, CatalogRows, Record
from compute_node.relations.column_statistics import ColumnStatistics, Slot
from compute_node.relations.extended_statistics import Combination, Dependency, ExtendedStatistics
from compute_node.types.anyarray import any_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from compute_node.types.registry import PgType, TypeEnv

    Types = Callable[[int], PgType]

SLOTS = 5


def write(
    rows: CatalogRows, types: Types, relation: int, attno: int, facts: ColumnStatistics, tree: bool = False
) -> None:
    """In place of what was known of that column (of an index: of that expression); ``tree``: over the rows of the
    table's descendants, too."""
    values: dict[str, Datum] = {
        "stanullfrac": facts.null_fraction,
        "stawidth": facts.width,
        "stadistinct": facts.distinct,
    }
    for number in range(1, SLOTS + 1):
        slot = facts.slots[number - 1] if number <= len(facts.slots) else Slot(0)
        values |= {
            f"stakind{number}": slot.kind,
            f"staop{number}": slot.operator,
            f"stacoll{number}": slot.collation,
            f"stanumbers{number}": None if slot.numbers is None else list(slot.numbers),
            f"stavalues{number}": None if slot.values is None else any_array(list(slot.values), types(slot.value_type)),
        }
    known = rows.one("pg_statistic", starelid=relation, staattnum=attno, stainherit=tree)
    if known is not None:
        rows.update("pg_statistic", known, **values)
    else:
        rows.insert("pg_statistic", starelid=relation, staattnum=attno, stainherit=tree, **values)


def read(reader: CatalogReader, types: Types, relation: int, attno: int, tree: bool = False) -> ColumnStatistics | None:
    """What is known of that column, in the table alone or in its descendants, too (``tree``)."""
    record = reader.one("pg_statistic", starelid=relation, staattnum=attno, stainherit=tree)
    if record is None:
        return None
    slots = tuple(_slot(record, number, types) for number in range(1, SLOTS + 1) if getattr(record, f"stakind{number}"))
    return ColumnStatistics(record.stanullfrac, record.stawidth, record.stadistinct, slots)


def read_extended(
    reader: CatalogReader, types: Types, relation: int, tree: bool, env: TypeEnv
) -> tuple[ExtendedStatistics, ...]:
    """What is known of several of the table's columns together, in the order of the statistics objects. ``env``: as
    which values were written."""
    found = []
    for record in reader.find("pg_statistic_ext", stxrelid=relation):
        data = reader.one("pg_statistic_ext_data", stxoid=record.oid, stxdinherit=tree)
        if data is not None:
            found.append((record.oid, _extended(reader, types, record, data, env)))
    return tuple(each for _, each in sorted(found, key=lambda item: item[0]))


def _extended(reader: CatalogReader, types: Types, record: Record, data: Record, env: TypeEnv) -> ExtendedStatistics:
    columns = tuple(record.stxkeys)
    size = len(columns) + len(split_texts(record.stxexprs))
    counts = json.loads(data.stxdndistinct or "{}")
    degrees = json.loads(data.stxddependencies or "{}")
    common = []
    if size == len(columns) and data.stxdmcv:
        attributes = [reader.one("pg_attribute", attrelid=record.stxrelid, attnum=each) for each in columns]
        kinds = [types(each.atttypid) for each in attributes if each is not None]
        for texts, frequency, base in json.loads(data.stxdmcv):
            values = [
                None if text is None else kind.input(text, -1, env) for text, kind in zip(texts, kinds, strict=True)
            ]
            common.append(Combination(values, frequency, base))
    return ExtendedStatistics(
        columns,
        size,
        {frozenset(map(int, name.split(", "))): float(count) for name, count in counts.items()},
        tuple(_dependency(name, degree) for name, degree in degrees.items()),
        tuple(common),
    )


def _dependency(name: str, degree: float) -> Dependency:
    known, implied = name.split(" => ")
    return Dependency(tuple(map(int, known.split(", "))), int(implied), degree)


def _slot(record: Record, number: int, types: Types) -> Slot:
    values = getattr(record, f"stavalues{number}")
    return Slot(
        getattr(record, f"stakind{number}"),
        getattr(record, f"staop{number}"),
        getattr(record, f"stacoll{number}"),
        getattr(record, f"stanumbers{number}"),
        None if values is None else values.elements(types(values.element)),
        0 if values is None else values.element,
    )
