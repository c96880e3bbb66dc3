"""What ANALYZE finds for statistics objects: how many different combinations of values there are, how far one column
follows from others, the most common combinations → pg_statistic_ext_data (manual, ch. 14.2.2 and 76.2).

A combination's values are told apart as their types order them. Pure but for the rows it writes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

from aurora.datum import Datum, Row
from compute_node.access.stored import resolved_row
from compute_node.catalog.column_statistics.collect import value_order
from compute_node.catalog.column_statistics.sample import Sample
from compute_node.catalog.layer import NEUTRAL_ENV
from compute_node.catalog.routines import split_texts
from compute_node.catalog.rows import CatalogRows, Record
from compute_node.hub import HUB
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.expressions import CoerceToDomain, CoerceViaIO, Expr, SqlValue, walk
from compute_node.types.registry import PgType

if TYPE_CHECKING:
    from compute_node.access.storage import Storage
    from compute_node.catalog.view import CatalogView

Keys = list[tuple[Datum, ...]]
"""of each row of the sample the values of the object's columns, as they are compared"""
_STEP = 256


def analyze_extended(
    view: CatalogView,
    rows: CatalogRows,
    storage: Storage,
    desc: RelationDesc,
    columns: Sequence[ColumnDesc],
    sample: Sample,
    targets: Mapping[int, int],
    default_target: int,
    tree: bool = False,
    warn: Callable[[str], None] | None = None,
    automatic: bool = False,
) -> None:
    """Write what the sample, whose rows have ``columns``, says of each of a table's statistics objects; of those that
    name other columns nothing changes. ``targets``: of columns, by attno, see ``target_of``; ``tree``: the sample is of
    the table's descendants, too; ``automatic``: no session runs, so of those that call users' functions nothing changes
    either."""
    for record in rows.find("pg_statistic_ext", stxrelid=desc.oid):
        if automatic and any(_calls_users(view, desc, text) for text in split_texts(record.stxexprs)):
            continue
        places = {column.attno: at for at, column in enumerate(columns)}
        wanted = target_of(record, targets, default_target)
        if not all(attno in places for attno in record.stxkeys):
            if warn is not None and wanted:
                schema = view.namespace_name(record.stxnamespace)
                warn(
                    f'statistics object "{schema}.{record.stxname}" could not be computed for relation'
                    f' "{desc.schema}.{desc.name}"'
                )
            continue
        if wanted and sample.rows:
            found = _facts(view, storage, desc, columns, places, sample, record, wanted)
            known = rows.one("pg_statistic_ext_data", stxoid=record.oid, stxdinherit=tree)
            if known is not None:
                rows.update("pg_statistic_ext_data", known, **found)
            else:
                rows.insert("pg_statistic_ext_data", stxoid=record.oid, stxdinherit=tree, **found)


def target_of(record: Record, targets: Mapping[int, int], default: int) -> int:
    """The target of a statistics object: its own, or the highest of its columns; expressions have none."""
    if record.stxstattarget >= 0:
        return int(record.stxstattarget)
    return max((targets.get(attno, 0) for attno in record.stxkeys), default=default)


def _calls_users(view: CatalogView, desc: RelationDesc, text: str) -> bool:
    """Whether an expression calls a function that is not PostgreSQL's own, also as the check of a domain."""
    return any(
        isinstance(node, CoerceToDomain) or getattr(node, "function", 0) >= FIRST_NORMAL_OID
        for node in walk(analyze_stored(view, desc, text, "STATISTICS"))
    )


def _facts(
    view: CatalogView,
    storage: Storage,
    desc: RelationDesc,
    columns: Sequence[ColumnDesc],
    places: dict[int, int],
    sample: Sample,
    record: Record,
    target: int,
) -> dict[str, Datum]:
    numbers = [*record.stxkeys]
    kinds = [desc.columns[attno - 1].type for attno in numbers]
    collations = [desc.columns[attno - 1].collation for attno in numbers]
    positions = [places[attno] for attno in numbers]
    computed: list[Callable[[Row], Datum]] = []
    for number, text in enumerate(split_texts(record.stxexprs), 1):
        if storage.compile_row_expression is None:
            continue
        analyzed = analyze_stored(view, desc, text, "STATISTICS")
        if not _is_of_row(view, analyzed):
            continue
        expression = storage.compile_row_expression(desc, text)
        if not all(attno in places for attno in expression.attnos):
            continue
        numbers.append(-number)
        kinds.append(analyzed.type)
        collations.append(0)
        computed.append(expression.value)
    width = len(desc.columns)
    values: list[Row] = []
    for at, row in enumerate(sample.rows):
        if not at % _STEP:
            HUB.pulse()
        row = resolved_row(row, range(len(columns)))
        own = [row[position] for position in positions]
        if computed:
            full: list[Datum] = [None] * width
            for column, position in places.items():
                full[column - 1] = row[position]
            own += [compute(tuple(full)) for compute in computed]
        values.append(tuple(own))
    keys = _keys(view, kinds, collations, values)
    letters = set(record.stxkind)
    found: dict[str, Datum] = {"stxdndistinct": None, "stxddependencies": None, "stxdmcv": None}
    if "d" in letters:
        found["stxdndistinct"] = ndistinct(keys, numbers, sample.total)
    if "f" in letters:
        found["stxddependencies"] = dependencies(keys, numbers)
    if "m" in letters:
        found["stxdmcv"] = _common(view, kinds, values, keys, sample.total, target)
    return found


def _is_of_row(view: CatalogView, expr: Expr) -> bool:
    """Whether an expression is the same for a row whoever asks: of any other nothing is found."""
    for node in walk(expr):
        function = getattr(node, "function", 0)
        if isinstance(node, (CoerceViaIO, SqlValue)) or (function and view.function(function).volatility != "i"):
            return False
    return True


def _keys(view: CatalogView, kinds: Sequence[int], collations: Sequence[int], values: Sequence[Row]) -> Keys:
    made = [_key(view, kind, collation) for kind, collation in zip(kinds, collations, strict=True)]
    found: Keys = []
    for at, row in enumerate(values):
        if not at % _STEP:
            HUB.pulse()
        found.append(tuple([None if value is None else key(value) for key, value in zip(made, row, strict=True)]))
    return found


def _key(view: CatalogView, kind: int, collation: int) -> Callable[[Datum], Datum]:
    """What tells values of a type apart, and sorts as they do so far as it can."""
    found = view.type(kind)
    order = value_order(view, found, collation)
    if order is None or found.root.category in "ACU":
        return partial(_text, found)
    return _same if order.key is None else order.key


def _text(kind: PgType, value: Datum) -> str:
    return kind.output(value, NEUTRAL_ENV)


def _same(value: Datum) -> Datum:
    return value


def _parts(keys: Keys, places: Sequence[int]) -> Iterator[tuple[Datum, ...]]:
    for at, key in enumerate(keys):
        if not at % _STEP:
            HUB.pulse()
        yield tuple(key[place] for place in places)


def ndistinct(keys: Keys, numbers: Sequence[int], total: float) -> str:
    """``{"1, 2": 10}``: of each combination of two and more columns the number of different values in the table."""
    found = []
    for size in range(2, len(numbers) + 1):
        for places in combinations(range(len(numbers)), size):
            counts = Counter(_parts(keys, places))
            once = sum(count == 1 for count in counts.values())
            name = ", ".join(str(numbers[place]) for place in places)
            found.append(f'"{name}": {_estimated(len(keys), total, len(counts), once)}')
    return "{" + ", ".join(found) + "}"


def _estimated(rows: int, total: float, distinct: int, once: int) -> int:
    """The Duj1 estimator of Haas and Stokes."""
    numerator = float(rows) * distinct
    denominator = (rows - once) + float(once) * rows / max(total, rows)
    return int(min(max(numerator / denominator, distinct), max(total, distinct)) + 0.5)


def dependencies(keys: Keys, numbers: Sequence[int]) -> str | None:
    """``{"1 => 2": 1.000000}``: the share of rows in whose groups of equal values the last column has one value."""
    found = []
    for size in range(2, len(numbers) + 1):
        for known in combinations(range(len(numbers)), size - 1):
            for implied in range(len(numbers)):
                if implied not in known:
                    degree = _degree(keys, known, implied)
                    if degree:
                        name = ", ".join(str(numbers[place]) for place in known)
                        found.append(f'"{name} => {numbers[implied]}": {degree:.6f}')
    return "{" + ", ".join(found) + "}" if found else None


def _degree(keys: Keys, known: Sequence[int], implied: int) -> float:
    groups: dict[tuple[Datum, ...], tuple[Datum, int]] = {}
    broken: set[tuple[Datum, ...]] = set()
    for key in _parts(keys, [*known, implied]):
        group, value = key[:-1], key[-1]
        first, count = groups.get(group, (value, 0))
        groups[group] = first, count + 1
        if value != first:
            broken.add(group)
    return sum(count for group, (_, count) in groups.items() if group not in broken) / len(keys)


def _common(
    view: CatalogView, kinds: Sequence[int], values: Sequence[Row], keys: Keys, total: float, target: int
) -> str | None:
    """The most common combinations as JSON: values as texts, frequency, frequency if the columns were independent."""
    rows = len(keys)
    shares = [Counter(part[0] for part in _parts(keys, [place])) for place in range(len(kinds))]
    counts = Counter(_parts(keys, range(len(kinds))))
    shown: dict[tuple[Datum, ...], Row] = {}
    for at, key in enumerate(keys):
        if not at % _STEP:
            HUB.pulse()
        shown.setdefault(key, values[at])
    least = _least(rows, total)
    outputs = [view.type(kind).output for kind in kinds]
    items = []
    # Of equally common ones the first in order come first.
    ordered = sorted(counts, key=_in_order)
    HUB.pulse()
    for key in sorted(ordered, key=lambda key: -counts[key])[:target]:
        count = counts[key]
        if count < least:
            break
        base = 1.0
        for place, each in enumerate(key):
            base *= shares[place][each] / rows
        texts = [
            None if value is None else output(value, NEUTRAL_ENV)
            for value, output in zip(shown[key], outputs, strict=True)
        ]
        items.append([texts, count / rows, base])
    return json.dumps(items) if items else None


def _in_order(key: tuple[Datum, ...]) -> list[tuple[bool, Datum]]:
    return [(value is None, value) for value in key]


def _least(rows: int, total: float) -> float:
    """How often a combination must be there for its count to mean something."""
    denominator = total - rows + 0.04 * rows * (total - 1)
    return rows * (total - rows) / denominator if denominator else 0.0
