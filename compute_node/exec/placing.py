"""Rows of a partitioned table → the numbers of the partitions that take them.

One generated function a table: the key's columns and expressions are computed for a whole batch, and each row's place
found by binary search, a dictionary or a hash (``compute_node/relations/partitions.py``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import takewhile
from operator import itemgetter
from typing import TYPE_CHECKING

from aurora.datum import Row
from aurora.errors import CheckViolation, NotSupported, SqlError
from compute_node.access.watched_table import note_move
from compute_node.exec.compile.compiler import Compiler
from compute_node.exec.compile.rows import BatchFunction
from compute_node.exec.compile.unit import Code, Scope, Unit, row_scope
from compute_node.exec.constraints import cut, failing_row
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import HASH, LIST, NONE, PartitionIndex, combined_hash
from compute_node.sql.expressions import Var, walk
from compute_node.sql.partitioning import (
    ancestors_of,
    hash_expressions,
    key_expressions,
    key_names,
    key_of,
    over_row,
    partitions_of,
    places_of,
)

if TYPE_CHECKING:
    from compute_node.access.table import Table
    from compute_node.exec.builder import Builder
    from compute_node.exec.context import ExecContext
    from compute_node.exec.routing import Router
    from compute_node.sql.plan import Moves

_STEP_ROWS = 256
"""Rows that are placed without a pulse in between."""
_FIRST_HASH = 0x49A0F4DD15E5A8E3
_MASK64 = 0xFFFFFFFFFFFFFFFF


Lay = Callable[[list[Row]], list[Row]]


def layout(places: Sequence[int] | None) -> Lay | None:
    """What lays rows out as another table has them (``partitioning.places_of``); None: they are alike."""
    if places is None:
        return None
    if min(places, default=NONE) >= 0 and len(places) > 1:
        pick = itemgetter(*places)
        return lambda rows: list(map(pick, rows))
    return lambda rows: [tuple([None if place < 0 else row[place] for place in places]) for row in rows]


def key_values(builder: Builder, relation: RelationDesc) -> BatchFunction:
    """``[the key's values as a tuple for row in batch]``."""
    unit = Unit()
    compiler = Compiler(unit, _scope(), builder)
    codes = [compiler.value(over_row(item, relation)) for item in key_expressions(builder.catalog, relation)]
    body = "".join(f"{code.text}, " for code in codes)
    return unit.link(unit.function("c, b", [f"return [({body}) for r in b]"]))


def _scope() -> Scope:
    """Of a row that is not tested yet: NOT NULL says nothing of it."""
    return row_scope(None)


class Placer:
    """Of one partitioned table; ``index`` are its partitions."""

    __slots__ = ("_run", "index")

    def __init__(self, builder: Builder, relation: RelationDesc) -> None:
        self.index: PartitionIndex = partitions_of(builder.catalog, relation)
        unit = Unit()
        compiler = Compiler(unit, _scope(), builder)
        if self.index.key.strategy == HASH:
            text = self._hashed(unit, compiler, builder, relation)
        else:
            expressions = [over_row(item, relation) for item in key_expressions(builder.catalog, relation)]
            text = self._compared(unit, [compiler.value(item) for item in expressions])
        self._run: BatchFunction = unit.link(unit.function("c, b", [f"return [{text} for r in b]"]))

    def numbers(self, ctx: ExecContext, rows: list[Row]) -> list[int]:
        """For each full row of the table the number of its partition, ``NONE`` where there is none."""
        if len(rows) <= _STEP_ROWS:
            return self._run(ctx, rows)
        found: list[int] = []
        for start in range(0, len(rows), _STEP_ROWS):
            found += self._run(ctx, rows[start : start + _STEP_ROWS])
            HUB.pulse()
        return found

    def _hashed(self, unit: Unit, compiler: Compiler, builder: Builder, relation: RelationDesc) -> str:
        index = self.index
        if not index.modulus:
            return str(NONE)
        expressions = hash_expressions(builder.catalog, relation)
        codes = [compiler.value(over_row(item, relation)) for item in expressions]
        takers = unit.bind(index.remainders)
        if len(codes) == 1 and not codes[0].nullable:
            return f"{takers}[(({codes[0].text} & {_MASK64}) + {_FIRST_HASH} & {_MASK64}) % {index.modulus}]"
        values = "".join(f"{code.text}, " for code in codes)
        return f"{takers}[{unit.bind(combined_hash, 'g')}(({values})) % {index.modulus}]"

    def _compared(self, unit: Unit, codes: list[Code]) -> str:
        index = self.index
        if len(codes) > 1:
            values = "".join(f"{code.text}, " for code in codes)
            return f"{unit.bind(index.of_values, 'g')}(({values}))"
        code = codes[0]
        convert = index.convert(0)
        if convert is not None and (code.nullable or index.key.strategy == LIST):
            return f"{unit.bind(index.of_value, 'g')}({code.text})"
        value = code.text if convert is None else f"{unit.bind(convert, 'g')}({code.text})"
        if index.key.strategy == LIST:
            found = f"{unit.bind(index.by_value.get, 'g')}({{}}, {index.default})"
        else:
            found = f"{unit.bind(index.takers)}[{unit.bind(bisect_right, 'g')}({unit.bind(index.points)}, {{}})]"
        if not code.nullable:
            return found.format(value)
        name = unit.fresh("v")
        return f"({found.format(name)} if ({name} := {value}) is not None else {index.null})"


def no_partition(ctx: ExecContext, builder: Builder, relation: RelationDesc, row: Row) -> SqlError:
    """The error for a row that no partition takes; with its key, if the user may read that."""
    detail = None
    readable = ctx.session.catalog_function("readable_columns", relation.oid)
    used = {item.attno for each in key_expressions(builder.catalog, relation) for item in walk(each)
            if isinstance(item, Var)}  # fmt: skip
    if readable is None or used <= set(readable):
        values: Row = key_values(builder, relation)(ctx, [row])[0]
        kinds = key_of(relation).types
        texts = [
            "null" if value is None else cut(builder.type(kind).output(value, ctx.env))
            for value, kind in zip(values, kinds, strict=True)
        ]
        names = key_names(builder.catalog, relation)
        detail = f"Partition key of the failing row contains ({', '.join(names)}) = ({', '.join(texts)})."
    return CheckViolation(
        f'no partition of relation "{relation.name}" found for row',
        detail=detail,
        schema=relation.schema,
        table=relation.name,
    )


class PartitionTest:
    """Whether rows belong into a partition (or what is below it) that a statement names itself."""

    __slots__ = ("_builder", "_relation", "_steps")

    def __init__(self, builder: Builder, relation: RelationDesc) -> None:
        self._builder = builder
        self._relation = relation
        self._steps: list[tuple[Placer, Lay | None, int]] = []
        child = relation
        for parent in ancestors_of(builder.catalog, relation):
            placer = Placer(builder, parent)
            self._steps.append((placer, layout(places_of(relation, parent)), placer.index.oids.index(child.oid)))
            child = parent

    def wrong(self, ctx: ExecContext, rows: list[Row]) -> int:
        """The index of the first row that does not belong there; ``NONE``: all do."""
        found = len(rows)
        for placer, lay, wanted in self._steps:
            numbers = placer.numbers(ctx, rows if lay is None else lay(rows))
            if numbers.count(wanted) < len(numbers):
                found = min(found, next(at for at, number in enumerate(numbers) if number != wanted))
        return found if found < len(rows) else NONE

    def check(self, ctx: ExecContext, rows: list[Row]) -> None:
        """23514 for the first row that does not belong there."""
        at = self.wrong(ctx, rows)
        if at != NONE:
            raise self.violation(ctx, rows[at])

    def violation(self, ctx: ExecContext, row: Row) -> SqlError:
        """The error for a row."""
        return CheckViolation(
            f'new row for relation "{self._relation.name}" violates partition constraint',
            detail=failing_row(ctx, self._builder, self._relation, row),
            schema=self._relation.schema,
            table=self._relation.name,
        )


class Mover:
    """What becomes of a row that an UPDATE has changed so that its partition does not take it any more: it is stored
    where it belongs. Of one partition ``leaf``, whose rows are tested."""

    __slots__ = ("_between", "_lay", "_root", "_router", "test")

    def __init__(self, moves: Moves, leaf: RelationDesc, router: Router | None, builder: Builder) -> None:
        self.test = PartitionTest(builder, leaf)
        self._router = router
        self._root = moves.root
        self._lay = layout(places_of(leaf, moves.root))
        above = [] if router is None else ancestors_of(builder.catalog, leaf)
        self._between = list(takewhile(lambda table: table.oid != moves.root.oid, above))

    def is_at_home(self, ctx: ExecContext, row: Row) -> bool:
        """Whether the partition takes the row."""
        return self.test.wrong(ctx, [row]) == NONE

    @property
    def may_leave(self) -> bool:
        """Whether the statement names a table above the partition; else the row is refused (23514)."""
        return self._router is not None

    def store(self, ctx: ExecContext, old: Row, row: Row) -> tuple[Table, int]:
        """Store what has become of the ``old`` row, which the partition does not take: the table that has it, and its
        tid there. 0A000, 23514."""
        if self._router is None:
            raise self.test.violation(ctx, row)
        rows = [old, row] if self._lay is None else self._lay([old, row])
        stored = self._router.store_one(ctx, rows[1])
        for table in self._between:
            if any(not key.parent for key in table.referenced_by):
                raise NotSupported(
                    "cannot move tuple across partitions when a non-root ancestor of the source partition is directly"
                    " referenced in a foreign key",
                    detail=f'A foreign key points to ancestor "{table.name}" but not the root ancestor'
                    f' "{self._root.name}".',
                    hint=f'Consider defining the foreign key on table "{self._root.name}".',
                )
        note_move(ctx.txn, self._root, *rows)
        return stored
