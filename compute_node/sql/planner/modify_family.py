"""UPDATE, DELETE and MERGE of a table that others inherit from: one plan finds the rows of all of them, and says of
each whose it is; what is stored is said of each table by its own columns (PostgreSQL's ModifyTable over several
relations)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aurora.errors import InvariantViolation
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Column, Expr, Var
from compute_node.sql.plan import Append, ChangedTable, FamilyDelete, FamilyUpdate, MergeStep, Result
from compute_node.sql.planner.changed_rows import checks, generated, new_row, row_checks
from compute_node.sql.planner.create import identity, replace_columns
from compute_node.sql.planner.families import Member
from compute_node.sql.planner.paths import AppendPath, Path
from compute_node.sql.planner.quals import local_vars
from compute_node.sql.planner.query_planner import QueryPlanner
from compute_node.sql.planner.recheck import RecheckCreator, address, address_columns, carried, describe, source_of
from compute_node.sql.query import RowCheck


@dataclass(slots=True)
class Columns:
    """The columns ``needs`` of the rows that a plan gives for a change of the table, or the family, of a range
    entry."""

    catalog: CatalogView
    rte: int
    needs: list[Expr]
    position: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for at, item in enumerate(self.needs):
            if isinstance(item, Var):
                self.position.setdefault((item.rte, item.attno), at)

    def columns(self) -> dict[tuple[int, int], Expr]:
        """By (range entry, attno), the column of the row."""
        return {
            key: Column(type=self.needs[at].type, typmod=self.needs[at].typmod, index=at)
            for key, at in self.position.items()
        }

    def over(self, member: Member, system: list[int] | None = None) -> Callable[[Expr], Expr]:
        """What is said of the named table, over a member's own columns and the row behind them."""
        width = len(member.relation.columns)
        extra: dict[tuple[int, int], Expr] = {}
        for (rte, attno), at in self.position.items():
            item = self.needs[at]
            key = (member.rte if rte == self.rte else rte, attno)
            extra[key] = Column(type=item.type, typmod=item.typmod, index=width + at)
        lookup = new_row(member.relation, member.rte, extra, system=system)
        return lambda node: replace_columns(member.down(node), lookup)

    def table(
        self,
        member: Member,
        assignments: Sequence[tuple[int, Expr]] = (),
        returning: Sequence[Expr] = (),
        steps: tuple[MergeStep, ...] = (),
        asked: Sequence[tuple[RowCheck, Expr]] = (),
        alias: str = "",
    ) -> ChangedTable:
        """What is done with a member's rows."""
        over = self.over(member)
        system: list[int] = []
        returned = self.over(member, system)
        return ChangedTable(
            relation=member.relation,
            source=member.rte,
            attnos=member.attnos,
            assignments=tuple((member.attnos[attno - 1], over(value)) for attno, value in assignments),
            checks=checks(self.catalog, member.relation),
            row_checks=row_checks(asked, over),
            generated=generated(self.catalog, member.relation),
            returning=tuple(returned(item) for item in returning),
            system=tuple(system),
            steps=steps,
            alias=alias,
        )


def family_of(path: Path, rte: int) -> AppendPath | None:
    """How the family of a range entry is read; None for a table by itself."""
    source = source_of(path, rte)
    return source if isinstance(source, AppendPath) else None


def plan_change(
    planner: QueryPlanner,
    path: Path,
    source: AppendPath,
    assignments: Sequence[tuple[int, Expr]],
    returning: Sequence[Expr],
    asked: Sequence[tuple[RowCheck, Expr]],
) -> FamilyUpdate | FamilyDelete:
    """UPDATE or DELETE of the rows of a family."""
    query, rte = planner.query, planner.query.result_rte
    others: list[Var] = []
    for item in (*(value for _, value in assignments), *returning, *(condition for _, condition in asked)):
        for var in local_vars(item):
            if var.rte != rte and var.rte in path.relids and var not in others:
                others.append(var)
    for _, value in assignments:
        others += [var for var in local_vars(value) if var.rte == rte and var.attno < 0 and var not in others]
    needs: list[Expr] = [*others, *(var for var in reversed(address_columns(source)) if var not in others)]
    needs += [var for var in carried(path, needs) if var not in needs]
    rows = Columns(planner.catalog, rte, needs)
    child = planner.creator.create(path, needs)
    if type(child) is Append and any(not isinstance(value, Var) for _, value in assignments):
        # The new values are computed above the Append, as EXPLAIN shows it.
        child = Result(
            child=child,
            output=identity(child.output),
            rows=child.rows,
            width=child.width,
            startup_cost=child.startup_cost,
            total_cost=child.total_cost,
        )
    again = describe(path, needs, RecheckCreator(planner.catalog, planner.level).create(path, needs))
    entry = query.range_table[rte]
    if entry.relation is None:
        raise InvariantViolation("a family without a table")
    tables = tuple(
        rows.table(member, assignments, returning, asked=asked, alias=entry.alias) for member in source.members
    )
    kind = FamilyUpdate if query.command == "update" else FamilyDelete
    return kind(
        relation=entry.relation,
        child=child,
        again=again,
        source=rte,
        alias=entry.alias,
        tables=tables,
        address=address(source, rows.position),
        returning=identity(returning),
        output=identity(returning),
    )
