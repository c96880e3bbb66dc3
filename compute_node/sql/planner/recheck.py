"""How a row is found again after it had to be waited for (READ COMMITTED; PostgreSQL's EvalPlanQual).

Somebody else has changed a row between the statement's snapshot and its lock. Whether its newest version still belongs
to the result, and with which values, is decided by the same joins, filters and targets over one row of each source: the
newest version of what was locked, and of the other sources the row that the result was made of. So each result row
carries what tells those: a table's tid, another source's columns. The plan that finds it again is made from the same
paths, with a ``HeldRow`` in the place of each scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from aurora.errors import InvariantViolation, NotSupported
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.expressions import Column, Expr, Var
from compute_node.sql.plan import HeldRow, Plan, Recheck, RowAddress
from compute_node.sql.planner.create import Creator, Mapping_
from compute_node.sql.planner.paths import (
    AppendPath,
    JoinPath,
    MemoizePath,
    Path,
    ScanPath,
    SortPath,
    SubPath,
    UniquePath,
)
from compute_node.sql.planner.quals import local_vars
from compute_node.types import oids

CTID, TABLE_OID = -1, -6
Source = ScanPath | SubPath | AppendPath


def sources(path: Path) -> Iterator[Source]:
    """The scans of a join tree whose rows a result row is made of; what an anti join looks for is none."""
    if isinstance(path, JoinPath):
        yield from sources(path.outer)
        if path.kind != "anti":
            yield from sources(path.inner)
    elif isinstance(path, (SortPath, MemoizePath, UniquePath)):
        yield from sources(path.child)
    elif isinstance(path, (ScanPath, SubPath, AppendPath)):
        yield path


def _conditions(path: Path) -> Iterator[Expr]:
    if isinstance(path, JoinPath):
        yield from (*path.condition, *path.outer_keys, *path.inner_keys, *path.filter)
        yield from _conditions(path.outer)
        yield from _conditions(path.inner)
    elif isinstance(path, (SortPath, MemoizePath, UniquePath)):
        yield from _conditions(path.child)
    elif isinstance(path, ScanPath):
        yield from (*path.filter, *path.keys)
    elif isinstance(path, (SubPath, AppendPath)):
        yield from path.filter
    yield from path.required


def _by_values(source: Source) -> bool:
    """Whether a row of it has no address: of a sub-select, say, or a foreign table."""
    if isinstance(source, SubPath):
        return True
    relation = source.entry.relation
    return isinstance(source, ScanPath) and relation is not None and relation.kind == "f"


def carried(path: Path, needs: Sequence[Expr]) -> list[Var]:
    """What a row of ``path`` must carry beside ``needs`` for the row to be found again."""
    mentioned = dict.fromkeys(var for item in (*needs, *_conditions(path)) for var in local_vars(item))
    found: dict[Var, None] = {}
    for source in sources(path):
        if isinstance(source, SubPath) or _by_values(source):
            found |= dict.fromkeys(var for var in mentioned if var.rte == source.rte)
        else:
            found |= dict.fromkeys(address_columns(source))
    return list(found)


def address_columns(source: ScanPath | AppendPath) -> list[Var]:
    """The columns that say which row of a table, or of a family's tables, a row is made of."""
    found = [Var(type=oids.TID, rte=source.rte, attno=CTID)]
    if isinstance(source, AppendPath):
        found.append(Var(type=oids.OID, rte=source.rte, attno=TABLE_OID))
    return found


def address(source: ScanPath | AppendPath, position: Mapping[tuple[int, int], int]) -> RowAddress:
    """The same by their places: (range entry, attno) → column of the row."""
    tid = position[source.rte, CTID]
    if isinstance(source, AppendPath):
        tables: dict[int, tuple[int, RelationDesc]] = {}
        for each in source.members:
            if each.relation.kind == "f":
                raise NotSupported(f'rows of foreign table "{each.relation.name}" cannot be locked or found again')
            tables[each.relation.oid] = each.rte, each.relation
        return RowAddress(tid, tables, position[source.rte, TABLE_OID])
    if source.entry.relation is None:
        raise InvariantViolation("a table scan without a table")
    return RowAddress(tid, {source.entry.relation.oid: (source.rte, source.entry.relation)})


def source_of(path: Path, rte: int) -> ScanPath | AppendPath:
    """How a path reads the table, or the family, of a range entry."""
    for source in sources(path):
        if source.rte == rte and not isinstance(source, SubPath):
            return source
    raise InvariantViolation(f"range entry {rte} is no table that is read")


def describe(path: Path, row: Sequence[Expr], plan: Plan) -> Recheck:
    """The recheck of rows ``row``, by ``plan``."""
    position = {(item.rte, item.attno): at for at, item in enumerate(row) if isinstance(item, Var)}
    tids, values = [], []
    for source in sources(path):
        if isinstance(source, (ScanPath, AppendPath)) and not _by_values(source):
            tids.append(address(source, position))
        else:
            mine = tuple((attno, at) for (rte, attno), at in position.items() if rte == source.rte)
            values.append((source.rte, mine))
    return Recheck(plan=plan, tids=tuple(tids), values=tuple(values))


class RecheckCreator(Creator):
    """Makes the plan that finds a row again: as ``Creator``, with held rows for scans."""

    def _scan(self, path: ScanPath, needs: Sequence[Expr]) -> Plan:
        return self._held(path, needs, [*path.keys, *path.filter])

    def _append(self, path: AppendPath, needs: Sequence[Expr]) -> Plan:
        # One row is in every order.
        return super()._append(replace(path, keys=()), needs)

    def _sub(self, path: SubPath, needs: Sequence[Expr]) -> Plan:
        return self._held(path, needs, path.filter)

    def _sorted(self, path: SortPath, needs: Sequence[Expr]) -> Plan:
        return self.create(path.child, needs)

    def _unique(self, path: UniquePath, needs: Sequence[Expr]) -> Plan:
        return self.create(path.child, needs)

    def _memoized(self, path: MemoizePath, child: Plan, mapping: Mapping_) -> Plan:
        return child

    def _held(self, path: ScanPath | SubPath, needs: Sequence[Expr], conditions: Sequence[Expr]) -> Plan:
        columns: list[int] = []
        mapping: dict[tuple[int, int], Expr] = {}
        for item in (*needs, *conditions):
            for var in local_vars(item):
                if var.rte == path.rte and (var.rte, var.attno) not in mapping:
                    mapping[var.rte, var.attno] = Column(type=var.type, typmod=var.typmod, index=len(columns))
                    columns.append(var.attno)
        return HeldRow(
            source=path.rte,
            relation=None if _by_values(path) else path.entry.relation,
            columns=tuple(columns),
            filter=self._filter(conditions, mapping),
            output=self._bound(needs, mapping),
        )
