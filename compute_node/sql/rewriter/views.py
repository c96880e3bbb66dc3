"""Changes of views: INSERT, UPDATE and DELETE of a view become those of the table that it shows, through any number of
views (PostgreSQL manual, CREATE VIEW, "Updatable Views").

One step replaces the view by what it selects from: its columns by their expressions, its WHERE beside the statement's.
The result is the target's range entry still, so everything that names the target stays where it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

from aurora.errors import (
    GeneratedAlways,
    InvariantViolation,
    NotSupported,
    ObjectNotInPrerequisiteState,
    SqlError,
    SqlSyntaxError,
)
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.context import shift_levels
from compute_node.sql.analyze.dml import check_generated, overridden
from compute_node.sql.analyze.from_clause import analyze_view
from compute_node.sql.analyze.stored import default_of
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import And, Expr, RowExpr, SetDefault, Var
from compute_node.sql.query import (
    ArbiterInference,
    FromItem,
    Query,
    RangeEntry,
    RowCheck,
    Target,
    is_security_barrier,
    own_values,
)
from compute_node.sql.required import RelationAccess, change_of, read_as, reader_of, required_privileges
from compute_node.sql.rewrite import deep_map, map_query_expressions
from compute_node.types import oids

_VERBS = {
    "insert": ("insert into", "inserting into", "INSERT"),
    "update": ("update", "updating", "UPDATE"),
    "delete": ("delete from", "deleting from", "DELETE"),
}
_NO_COLUMN = "View columns that are not columns of their base relation are not updatable."


@dataclass(slots=True)
class Found:
    """What rewriting adds to a statement: privileges on what views stand for, in the order in which they are checked,
    relations by OID."""

    accesses: list[RelationAccess] = field(default_factory=list)
    functions: frozenset[int] = frozenset()
    relations: set[int] = field(default_factory=set)
    momentary: bool = False


# --- what can be changed --------------------------------------------------------------------------------------------


def why_not_updatable(view: Query) -> str | None:
    """Why a view of this query cannot be changed by itself, as DETAIL; None when it can."""
    found = why_not_query(view)
    if found is None and not any(why_column_not(view, item) is None for item in view.targets if not item.junk):
        return "Views that have no updatable columns are not automatically updatable."
    return found


def why_not_query(view: Query) -> str | None:
    """The same, whatever its columns are."""
    reasons = (
        (view.distinct or bool(view.distinct_on), "containing DISTINCT"),
        (bool(view.group_by) or view.grouping_sets is not None, "containing GROUP BY"),
        (view.having is not None, "containing HAVING"),
        (view.set_op is not None, "containing UNION, INTERSECT, or EXCEPT"),
        (bool(view.ctes), "containing WITH"),
        (view.limit is not None or view.offset is not None, "containing LIMIT or OFFSET"),
        (view.has_aggregates, "that return aggregate functions"),
        (view.has_windows, "that return window functions"),
        (view.has_srfs, "that return set-returning functions"),
    )
    for holds, what in reasons:
        if holds:
            return f"Views {what} are not automatically updatable."
    entry = base_entry(view)
    if entry is None or entry.relation is None or entry.relation.kind not in "rvpf":
        return "Views that do not select from a single table or view are not automatically updatable."
    if entry.sample is not None:
        return "Views containing TABLESAMPLE are not automatically updatable."
    return None


def base_entry(view: Query) -> RangeEntry | None:
    """The only table or view that a view's query selects from."""
    if len(view.from_items) != 1 or not isinstance(view.from_items[0], FromItem):
        return None
    entry = view.range_table[view.from_items[0].rte]
    return entry if entry.relation is not None and entry.kind in ("relation", "subquery") else None


def why_column_not(view: Query, target: Target) -> str | None:
    """Why a column of an updatable view cannot be assigned to, as DETAIL; None when it can."""
    node, source = target.expression, view.from_items[0] if view.from_items else None
    if not isinstance(source, FromItem) or not isinstance(node, Var) or node.levels_up or node.rte != source.rte:
        return _NO_COLUMN
    if node.attno < 0:
        return "View columns that refer to system columns are not updatable."
    if node.attno == 0:
        return "View columns that return whole-row references are not updatable."
    return None


def assignable_column(view: Query, target: Target) -> int:
    """The column of its base that a view's column is; 0 of any that cannot be assigned to."""
    node = target.expression
    return node.attno if isinstance(node, Var) and why_column_not(view, target) is None else 0


def check_option_of(view: RelationDesc) -> str:
    """local, cascaded, or nothing."""
    return next((item.partition("=")[2].lower() for item in view.options if item.startswith("check_option=")), "")


# --- the change -----------------------------------------------------------------------------------------------------


def one_view(query: Query, view: RelationDesc, catalog: CatalogView, session: object, found: Found) -> Query:
    """The change of a view as that of what it selects from: a table or another view."""
    return _Step(query, view, catalog, session, found).rewritten()


def refusal(command: str, view: RelationDesc, detail: str | None) -> SqlError:
    """55000 for a view that cannot be changed by itself."""
    verb, doing, event = _VERBS[command]
    return ObjectNotInPrerequisiteState(
        f'cannot {verb} view "{view.name}"',
        detail=detail,
        hint=f"To enable {doing} the view, provide an INSTEAD OF {event} trigger or an unconditional"
        f" ON {event} DO INSTEAD rule.",
    )


class _Step:
    """One view out of the way."""

    def __init__(self, query: Query, view: RelationDesc, catalog: CatalogView, session: object, found: Found) -> None:
        self.query = query
        self.view = view
        self.catalog = catalog
        self.session = session
        self.found = found
        analyzed = analyze_view(catalog, view, session)
        self.shown = analyzed.query
        self.columns = [item for item in self.shown.targets if not item.junk]
        found.relations |= analyzed.relations
        found.momentary = found.momentary or analyzed.momentary

    def rewritten(self) -> Query:
        """The statement over what the view selects from."""
        query, shown = self.query, self.shown
        detail = why_not_query(shown) if query.command == "delete" else why_not_updatable(shown)
        entry = base_entry(shown)
        if detail is not None or entry is None or entry.relation is None:
            raise refusal(query.command, self.view, detail)
        base = entry.relation
        self._refuse_columns()
        rte = query.result_rte
        change = change_of(query)
        self._note_privileges(base, change)
        query = self._substituted(query)
        conditions = [] if shown.where is None else [self._moved(shown.where, rte)]
        security = query.range_table[rte].security
        is_barrier = is_security_barrier(self.view)
        if query.command != "insert" and is_barrier:
            security = (*conditions, *security)
        entries = list(query.range_table)
        entries[rte] = _over(base, entry.alias, security)
        entries[rte].descends = entry.descends and query.command != "insert"
        entries[rte].modes = change.modes
        entries[rte].check_as = reader_of(self.view)
        if query.on_conflict is not None and query.on_conflict.action == "update":
            entries[rte + 1] = _over(base, "excluded", ())
            entries[rte + 1].modes = 0
        query = dataclasses.replace(query, range_table=entries, target=base)
        if query.command != "insert" and not is_barrier and conditions:
            parts = (*([] if query.where is None else [query.where]), *conditions)
            query.where = parts[0] if len(parts) == 1 else And(type=oids.BOOL, arguments=parts)
        if query.command != "delete":
            query.row_checks = self._checks(query, conditions)
        if query.command == "insert":
            self._rebuild_source(query, base)
            self._rebuild_conflict(query, base)
        elif query.command == "update":
            query.assignments = self._assignments(query.assignments, base)
        return query

    def _attno(self, attno: int) -> int:
        """A column of the view as one of its base; 0 of any other expression."""
        return assignable_column(self.shown, self.columns[attno - 1])

    def _given(self) -> list[int]:
        """The view's columns that an INSERT gives values for, those with defaults among them."""
        defaults = [column.attno for column in self.view.columns if column.has_default]
        return [*self.query.inserted, *(attno for attno in defaults if attno not in self.query.inserted)]

    def _changed(self) -> Iterator[tuple[str, int]]:
        query = self.query
        if query.command == "insert":
            yield from (("insert into", attno) for attno in sorted(self._given()))
            if query.on_conflict is not None:
                yield from (("insert into", attno) for attno, _ in query.on_conflict.assignments)
        elif query.command == "update":
            yield from (("update", attno) for attno in sorted(attno for attno, _ in query.assignments))

    def _refuse_columns(self) -> None:
        for verb, attno in self._changed():
            detail = why_column_not(self.shown, self.columns[attno - 1])
            if detail is not None:
                name = self.view.columns[attno - 1].name
                raise NotSupported(f'cannot {verb} column "{name}" of view "{self.view.name}"', detail=detail)

    def _note_privileges(self, base: RelationDesc, change: RelationAccess) -> None:
        """The view's owner changes the base, or its user does (security_invoker); where the view is read, it reads all
        of the base that the view reads. ``change``: what the statement needs of the view."""
        needed = required_privileges(self.shown, reader_of(self.view)).relations
        access = next(each for each in needed if each.relation is base)
        self.found.accesses.append(
            access._replace(
                modes=change.modes,
                inserted=frozenset(map(self._attno, change.inserted)) - {0},
                updated=frozenset(map(self._attno, change.updated)) - {0},
            )
        )

    # columns

    def _moved(self, node: Expr, rte: int) -> Expr:
        """An expression of the view's query as one of the statement's, over that range entry."""
        base = self.shown.from_items[0]

        def move(item: Expr, depth: int) -> Expr:
            if (
                isinstance(item, Var)
                and item.levels_up == depth
                and isinstance(base, FromItem)
                and item.rte == base.rte
            ):
                return dataclasses.replace(item, rte=rte)
            return item

        return deep_map(read_as(node, reader_of(self.view)), move)

    def _substituted(self, query: Query) -> Query:
        """The statement with the view's columns replaced by what they are."""
        rtes = {query.result_rte}
        if query.on_conflict is not None and query.on_conflict.action == "update":
            rtes.add(query.result_rte + 1)
        values = {rte: [self._moved(item.expression, rte) for item in self.columns] for rte in rtes}
        names = tuple(column.name for column in self.view.columns)

        def substitute(node: Expr, depth: int) -> Expr:
            if not isinstance(node, Var) or node.levels_up != depth or node.rte not in rtes:
                return node
            if node.attno < 0:
                raise NotSupported("WHERE CURRENT OF on a view is not implemented")
            if node.attno == 0:
                value: Expr = RowExpr(type=node.type, arguments=tuple(values[node.rte]), names=names)
            else:
                value = values[node.rte][node.attno - 1]
            return shift_levels(value, depth) if depth else value

        changed = map_query_expressions(query, lambda expr, depth: deep_map(expr, substitute, depth - 1))
        conflict = changed.on_conflict
        if conflict is not None and conflict.inference is not None:
            inference = conflict.inference
            where = inference.where
            over = [deep_map(item, substitute) for item in inference.expressions]
            attnos: set[int] = set()
            for attno in inference.attnos:
                mine = values[query.result_rte][attno - 1]
                if isinstance(mine, Var):
                    attnos.add(mine.attno)
                else:
                    over.append(mine)
            made = ArbiterInference(
                frozenset(attnos), tuple(over), None if where is None else deep_map(where, substitute)
            )
            changed.on_conflict = dataclasses.replace(conflict, inference=made)
            changed.arbiter_columns = frozenset(map(self._attno, query.arbiter_columns)) - {0}
        return changed

    def _checks(self, query: Query, conditions: list[Expr]) -> tuple[RowCheck, ...]:
        """Those of the views around this one, after its own."""
        option = check_option_of(self.view)
        around = query.row_checks[0] if query.row_checks else None
        cascaded = option == "cascaded" or (around is not None and around.cascaded)
        if not cascaded and not (option and conditions):
            return query.row_checks
        condition = conditions[0] if conditions else None
        return (RowCheck("view", self.view.name, condition, cascaded=cascaded), *query.row_checks)

    # values

    def _default(self, base: RelationDesc, column: ColumnDesc) -> Expr:
        """What a new row of the base has in a column that nobody gives: for another view to say, when it is one."""
        if base.kind == "v" and not column.has_default:
            return SetDefault(type=column.type, typmod=column.typmod)
        return default_of(self.catalog, column, self.session)

    def _rebuild_source(self, query: Query, base: RelationDesc) -> None:
        """INSERT: a value for each column of the base."""
        given: dict[int, int] = {}
        for attno in self._given():
            at = self._attno(attno)
            if at in given:
                raise SqlSyntaxError(f'multiple assignments to same column "{base.columns[at - 1].name}"')
            given[at] = attno
        query.inserted = tuple(self._attno(attno) for attno in query.inserted)
        source = query.source
        if source is None:
            raise InvariantViolation("an INSERT without a source")
        names = tuple(column.name for column in base.columns)
        defaults = {column.attno: self._default(base, column) for column in base.columns}

        def row(values: list[Expr]) -> tuple[Expr, ...]:
            full = []
            for column in base.columns:
                value = values[given[column.attno] - 1] if column.attno in given else None
                if value is None or isinstance(value, SetDefault) or overridden(column, query.overriding):
                    full.append(defaults[column.attno])
                    continue
                check_generated(column, query.overriding)
                full.append(value)
            return tuple(full)

        source = query.source = dataclasses.replace(source)
        first = own_values(source)
        if first is not None:
            rows = tuple(row(list(each)) for each in first.values)
            types = tuple(column.type for column in base.columns)
            typmods = tuple(column.typmod for column in base.columns)
            source.range_table = [RangeEntry("values", "*VALUES*", names, types, typmods, values=rows)]
            source.targets = [
                Target(Var(type=column.type, typmod=column.typmod, rte=0, attno=index), column.name)
                for index, column in enumerate(base.columns, 1)
            ]
            return
        made = row([item.expression for item in source.targets])
        source.targets = [Target(value, name) for value, name in zip(made, names, strict=True)]

    def _assignments(
        self, assignments: tuple[tuple[int, Expr], ...], base: RelationDesc
    ) -> tuple[tuple[int, Expr], ...]:
        """SET items of the view as those of its base."""
        made: dict[int, Expr] = {}
        for attno, value in assignments:
            column = base.columns[self._attno(attno) - 1]
            if column.attno in made:
                raise SqlSyntaxError(f'multiple assignments to same column "{column.name}"')
            if column.generated or column.identity == "a":
                what = "a generated column" if column.generated else "an identity column defined as GENERATED ALWAYS"
                raise GeneratedAlways(
                    f'column "{column.name}" can only be updated to DEFAULT',
                    detail=f'Column "{column.name}" is {what}.',
                )
            made[column.attno] = value
        return tuple(made.items())

    def _rebuild_conflict(self, query: Query, base: RelationDesc) -> None:
        if query.on_conflict is not None:
            assignments = self._assignments(query.on_conflict.assignments, base)
            query.on_conflict = dataclasses.replace(query.on_conflict, assignments=assignments)


def _over(relation: RelationDesc, alias: str, security: tuple[Expr, ...]) -> RangeEntry:
    """The target's range entry."""
    return RangeEntry(
        "relation",
        alias,
        tuple("" if column.dropped else column.name for column in relation.columns),
        tuple(column.type for column in relation.columns),
        tuple(column.typmod for column in relation.columns),
        relation=relation,
        security=security,
    )
