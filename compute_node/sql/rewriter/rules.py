"""Rules: INSERT, UPDATE and DELETE of a relation with rules become several queries (PostgreSQL manual, ch. 41).

```
original, rule: action ─► action FROM the original's FROM, WHERE its own AND the rule's AND the original's condition
                                 NEW: what the original gives each column; OLD: the row of the original's target
```

An unconditional INSTEAD takes the original's place; one with a condition leaves it the rows that do not meet that. The
queries are rewritten in their turn: rules of what they change, views, policies. What an action reads and writes, the
owner of the rule's relation must be allowed to.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aurora.errors import (
    InvalidColumnReference,
    InvalidObjectDefinition,
    InvariantViolation,
    NotSupported,
    SqlError,
)
from compute_node.relations.descriptors import RelationDesc, RuleDesc
from compute_node.sql.analyze.dml import refuse_catalog
from compute_node.sql.analyze.from_clause import analyze_view
from compute_node.sql.analyze.rules import (
    EVENTS,
    NEW,
    OLD,
    meeting_level,
    names_original,
    references,
    references_of,
    stored_rule,
)
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import AggregateCall, And, BooleanTest, Const, Expr, RowExpr, SetDefault, Var
from compute_node.sql.query import FromItem, JoinItem, Query, RangeEntry, Target
from compute_node.sql.required import Place, places_of, query_read_as, required_privileges
from compute_node.sql.rewrite import deep_map, deep_walk, map_query_expressions, nested_query
from compute_node.sql.rewriter.views import Found, one_view, refusal
from compute_node.types import oids

ORIGINAL, INSTEAD, CONDITIONAL, ALSO = "original", "instead", "conditional", "also"
_CONDITIONAL_VIEW = "Views with conditional DO INSTEAD rules are not automatically updatable."


class Step(NamedTuple):
    """One query that a statement has become, and where it comes from."""

    query: Query
    origin: str


def is_ruled(query: Query) -> bool:
    """Whether the statement, or an item of its WITH, changes something with rules or a view."""
    target = query.target
    if target is not None and (target.rules or target.kind == "v"):
        return True
    return any(is_ruled(item.query) for item in query.ctes)


def through_rules(query: Query, catalog: CatalogView, session: object, found: Found) -> list[Step]:
    """The queries that run for the statement, in their order; none where it is to do nothing. 42P17 for rules that lead
    back to themselves, 0A000 and 55000 for what cannot be done by rules."""
    return _Rewriting(catalog, session, found).statement(query, ORIGINAL, ())


@dataclass(slots=True)
class _Fired:
    """What the rules of one change have made: ``products`` in the rules' order; ``left``: the original with what the
    conditional INSTEAD rules leave it."""

    products: list[Step] = field(default_factory=list)
    instead: bool = False
    returns: bool = False
    left: Query | None = None


class _Rewriting:
    """One statement's."""

    def __init__(self, catalog: CatalogView, session: object, found: Found) -> None:
        self.catalog = catalog
        self.session = session
        self.found = found

    def statement(self, query: Query, origin: str, active: tuple[tuple[int, str], ...]) -> list[Step]:
        """The queries of one query. ``active``: whose rules it comes from, (relation, command)."""
        query = self._with_items(query, active)
        relation = query.target
        if relation is None or query.command == "select":
            return [Step(query, origin)]
        rules = self._rules(query, relation)
        has_updates = any(rule.event == EVENTS["update"] for rule in relation.rules)
        if not rules and relation.kind != "v":
            refuse_catalog(relation)
            if query.on_conflict is not None and has_updates:
                raise _refused_conflict()
            return [Step(query, origin)]
        fired = self._fire(query, relation, rules) if rules else _Fired()
        event = query.command
        own: list[Step] = []
        products = fired.products
        through_view = not fired.instead and relation.kind == "v"
        if through_view:
            if fired.left is not None:
                raise refusal(event, relation, _CONDITIONAL_VIEW)
            step = Step(one_view(query, relation, self.catalog, self.session, self.found), origin)
            products = [step, *products] if event == "insert" else [*products, step]
        elif not fired.instead:
            own = [Step(query if fired.left is None else fired.left, origin)]
        made: list[Step] = []
        if products:
            if (relation.oid, event) in active:
                raise InvalidObjectDefinition(f'infinite recursion detected in rules for relation "{relation.name}"')
            inner = (*active, (relation.oid, event))
            for product in products:
                made += self.statement(product.query, product.origin, inner)
        if query.returning and not (fired.returns or through_view) and (fired.instead or fired.left is not None):
            command = event.upper()
            raise NotSupported(
                f'cannot perform {command} RETURNING on relation "{relation.name}"',
                hint=f"You need an unconditional ON {command} DO INSTEAD rule with a RETURNING clause.",
            )
        if query.on_conflict is not None and not through_view and (products or has_updates):
            raise _refused_conflict()
        steps = [*own, *made] if event == "insert" else [*made, *own]
        if query.ctes and sum(step.query.notifies is None for step in steps) > 1:
            raise NotSupported("WITH cannot be used in a query that is rewritten by rules into multiple queries")
        return steps

    def _with_items(self, query: Query, active: tuple[tuple[int, str], ...]) -> Query:
        """The same with what its WITH items change."""
        if not any(is_ruled(item.query) for item in query.ctes):
            return query
        items = []
        for item in query.ctes:
            if is_ruled(item.query):
                item = dataclasses.replace(item, query=self._only(self.statement(item.query, ORIGINAL, active)))
            items.append(item)
        return dataclasses.replace(query, ctes=items)

    @staticmethod
    def _only(steps: Sequence[Step]) -> Query:
        if len(steps) == 1 and steps[0].origin in (ORIGINAL, INSTEAD) and steps[0].query.notifies is None:
            return steps[0].query
        raise NotSupported(f"{refused_shape(steps)} rules are not supported for data-modifying statements in WITH")

    def _rules(self, query: Query, relation: RelationDesc) -> list[RuleDesc]:
        """Those that the change fires."""
        if query.command == "merge":
            if relation.rules:
                raise NotSupported(
                    f'cannot execute MERGE on relation "{relation.name}"',
                    detail="MERGE is not supported for relations with rules.",
                )
            return []
        settings = getattr(self.session, "settings", None)
        replica = settings is not None and settings.show("session_replication_role") == "replica"
        held = "AR" if replica else "AO"
        return [rule for rule in relation.rules if rule.event == EVENTS[query.command] and rule.enabled in held]

    def _fire(self, query: Query, relation: RelationDesc, rules: Sequence[RuleDesc]) -> _Fired:
        fired = _Fired()
        base = _Base(query, relation, self.catalog, self.session, self.found)
        for rule in rules:
            analyzed = stored_rule(self.catalog, relation, rule, self.session)
            self.found.relations |= analyzed.relations
            self.found.momentary = self.found.momentary or analyzed.momentary
            condition = analyzed.qualification
            origin = ALSO
            if rule.instead:
                origin = INSTEAD if condition is None else CONDITIONAL
                fired.instead = fired.instead or condition is None
            if condition is not None:
                condition = _marked(condition, relation.owner)
            if origin == CONDITIONAL and condition is not None and not fired.instead:
                fired.left = base.without(base.original if fired.left is None else fired.left, condition)
            for action in analyzed.actions:
                product = _Product(base, query_read_as(action, relation.owner), condition).query()
                if product.returning:
                    if query.returning and fired.returns:
                        raise NotSupported("cannot have RETURNING lists in multiple rules")
                    product.returning = base.returned(product) if query.returning else []
                    fired.returns = fired.returns or bool(query.returning)
                needed = required_privileges(product)
                self.found.accesses += needed.relations
                self.found.functions |= needed.functions
                fired.products.append(Step(product, origin))
        return fired


def _refused_conflict() -> SqlError:
    return NotSupported("INSERT with ON CONFLICT clause cannot be used with table that has INSERT or UPDATE rules")


def refused_shape(steps: Sequence[Step]) -> str:
    """Which kind of rules has made of one query something else than one query."""
    if not steps:
        return "DO INSTEAD NOTHING"
    if len(steps) == 1 and steps[0].query.notifies is not None:
        return "DO INSTEAD NOTIFY"
    origins = {step.origin for step in steps}
    if CONDITIONAL in origins:
        return "conditional DO INSTEAD"
    if ALSO in origins:
        return "DO ALSO"
    return "multi-statement DO INSTEAD"


def _marked(condition: Expr, owner: int) -> Expr:
    """What its sub-selects read, the owner reads."""
    query = query_read_as(Query("select", targets=[Target(condition, "")]), owner)
    return query.targets[0].expression


# --- the original as a part of an action ----------------------------------------------------------------------------


class _Base:
    """An INSERT, UPDATE or DELETE as something to read from: its range table, FROM, condition and WITH at one level.
    NEW and OLD are over that."""

    def __init__(
        self, query: Query, relation: RelationDesc, catalog: CatalogView, session: object, found: Found
    ) -> None:
        self.original = query
        self.relation = relation
        self.old: int | None = None
        self.given: dict[int, Expr]
        """what NEW's columns are, at the base's level"""
        self.here: dict[int, Expr]
        """the same in the original: its WITH may be one level further out"""
        places = places_of(query)
        self._target = places.get(id(query.range_table[query.result_rte]))
        if query.command == "insert":
            source = _flat(query.source)
            self.original = dataclasses.replace(query, source=source)
            self.here = _given(relation, source)
            level = nested_query(source, -1)
            level.ctes = query.ctes
            self.given = _given(relation, level)
        else:
            level = dataclasses.replace(query, range_table=list(query.range_table))
            self.old = query.result_rte
            self.given = self.here = {attno: _without_default(value) for attno, value in query.assignments}
            if relation.kind == "v":
                analyzed = analyze_view(catalog, relation, session)
                found.relations |= analyzed.relations
                found.momentary = found.momentary or analyzed.momentary
                entry = level.range_table[self.old]
                level.range_table[self.old] = dataclasses.replace(entry, kind="subquery", query=analyzed.query)
        before = query.range_table if self.original.source is None else self.original.source.range_table
        self.range_table = [
            _as_read(entry, places.get(id(known))) for entry, known in zip(level.range_table, before, strict=True)
        ]
        self.from_items = list(level.from_items)
        self.where = level.where
        self.ctes = list(level.ctes)

    # what NEW and OLD are, seen at the base's own level

    def value(self, node: Var) -> Expr:
        """A column, or the whole row, of OLD or NEW, seen from the base's level."""
        return self._value(node, self.given)

    def _value(self, node: Var, given: dict[int, Expr]) -> Expr:
        if node.rte == OLD or self.original.command == "delete":
            return self._old(node)
        if node.attno < 0:
            if self.old is None:
                raise InvalidColumnReference("cannot use system columns of NEW in a rule")
            return self._old(node)
        if node.attno:
            return self._new(node.attno, node, given)
        names = tuple(column.name for column in self.relation.columns)
        values = []
        for column in self.relation.columns:
            blank = Var(type=column.type, typmod=column.typmod, rte=NEW, attno=column.attno)
            missing = Const(type=column.type, typmod=column.typmod, value=None)
            values.append(missing if column.dropped else self._new(column.attno, blank, given))
        return RowExpr(type=node.type, arguments=tuple(values), names=names)

    def _old(self, node: Var) -> Expr:
        if self.old is None:
            raise InvariantViolation("OLD of an INSERT")
        return dataclasses.replace(node, rte=self.old, levels_up=0)

    def _new(self, attno: int, node: Var, given: dict[int, Expr]) -> Expr:
        found = given.get(attno)
        if found is not None:
            return found
        if self.old is None:
            return Const(type=node.type, typmod=node.typmod, value=None)
        return self._old(node)

    def is_used_by(self, condition: Expr | None) -> bool:
        """Whether a condition of the original looks at the row of its target."""
        if condition is None or self.old is None:
            return False
        return any(
            isinstance(node, Var) and node.levels_up == depth and node.rte == self.old
            for node, depth in deep_walk(condition)
        )

    def without(self, query: Query, condition: Expr) -> Query:
        """The original for the rows that do not meet a rule's condition."""

        def place(node: Expr, depth: int) -> Expr:
            if isinstance(node, Var) and node.levels_up == depth and node.rte in (OLD, NEW):
                return _deeper(self._value(node, self.here), depth)
            return node

        rest = BooleanTest(
            type=oids.BOOL, argument=deep_map(condition, place), target=True, negated=True
        )  # fmt: skip
        if query.command != "insert":
            # What the condition reads of the target nobody needs a privilege for.
            entries = list(query.range_table)
            entries[query.result_rte] = _as_read(entries[query.result_rte], self._target)
            return dataclasses.replace(query, where=_and(query.where, rest), range_table=entries)
        if query.source is None:
            raise InvariantViolation("an INSERT without a source")
        source = dataclasses.replace(query.source, where=_and(query.source.where, rest))
        return dataclasses.replace(query, source=source)

    def returned(self, product: Query) -> list[Target]:
        """RETURNING of the original over what the action's RETURNING gives for its columns."""
        given = [item.expression for item in product.returning if not item.junk]
        columns = [column for column in self.relation.columns if not column.dropped]
        values = {column.attno: value for column, value in zip(columns, given, strict=True)}
        moved = self._offset_in(product)
        own = self.original.result_rte

        def place(node: Expr, depth: int) -> Expr:
            if not isinstance(node, Var) or node.levels_up != depth:
                return node
            if node.rte != own:
                if moved is None:
                    raise NotSupported("RETURNING of another relation through a rule is not supported")
                return dataclasses.replace(node, rte=node.rte + moved)
            if node.attno < 0:
                raise NotSupported(f'cannot return a system column of relation "{self.relation.name}" through a rule')
            value: Expr
            if node.attno:
                value = values[node.attno]
            else:
                names = tuple(column.name for column in columns)
                value = RowExpr(type=node.type, arguments=tuple(given), names=names)
            return _deeper(value, depth)

        return [
            dataclasses.replace(item, expression=deep_map(item.expression, place), written=None)
            for item in self.original.returning
        ]

    def _offset_in(self, product: Query) -> int | None:
        """Where the base's range entries begin in the action; None where they are in its source."""
        return None if product.command == "insert" else len(product.range_table) - len(self.range_table)


def _flat(source: Query | None) -> Query:
    """An INSERT's source, where it is one row of VALUES as a query of these expressions."""
    if source is None:
        raise InvariantViolation("an INSERT without a source")
    entries = source.range_table
    if len(entries) != 1 or entries[0].kind != "values" or len(entries[0].values) != 1 or source.where is not None:
        return source
    row = entries[0].values[0]
    targets = [dataclasses.replace(item, expression=value) for item, value in zip(source.targets, row, strict=True)]
    return dataclasses.replace(source, range_table=[], from_items=[], targets=targets)


def _given(relation: RelationDesc, source: Query) -> dict[int, Expr]:
    """An INSERT's values by column."""
    return {
        column.attno: _without_default(target.expression)
        for column, target in zip(relation.columns, source.targets, strict=True)
    }


def _deeper(value: Expr, by: int) -> Expr:
    """An expression seen from ``by`` levels further in: columns and WITH items of its own level and of outer ones."""
    if not by:
        return value

    def entry(item: RangeEntry, depth: int) -> RangeEntry:
        if item.kind == "cte" and item.cte_levels_up >= depth:
            return dataclasses.replace(item, cte_levels_up=item.cte_levels_up + by)
        return item

    def shift(node: Expr, depth: int) -> Expr:
        if isinstance(node, (Var, AggregateCall)) and node.levels_up >= depth:
            return dataclasses.replace(node, levels_up=node.levels_up + by)
        return node

    return deep_map(value, shift, 0, entry)


def _without_default(value: Expr) -> Expr:
    """DEFAULT of a view's column that has none is NULL for its rules."""
    return Const(type=value.type, typmod=value.typmod, value=None) if isinstance(value, SetDefault) else value


def _as_read(entry: RangeEntry, place: Place | None) -> RangeEntry:
    """A range entry of the original in an action: what must be held for it, the original has said."""
    if entry.kind == "values":
        rows = tuple(tuple(_without_default(value) for value in row) for row in entry.values)
        return dataclasses.replace(entry, values=rows)
    if place is None:
        return entry
    return dataclasses.replace(entry, modes=place.modes, check_as=place.check_as)


def _and(one: Expr | None, other: Expr | None) -> Expr | None:
    if one is None or other is None:
        return other if one is None else one
    return And(type=oids.BOOL, arguments=(one, other))


# --- an action over the original ------------------------------------------------------------------------------------


class _Product:
    """An action with the original in it. The two meet at one level: the action itself, or for an INSERT the query that
    gives its rows."""

    def __init__(self, base: _Base, action: Query, condition: Expr | None) -> None:
        self.base = base
        self.action = action
        self.condition = condition
        self.named = references(action) | references_of(condition)

    def query(self) -> Query:
        """The action as a query of its own."""
        action = self.action
        if action.notifies is not None:
            # It says so whatever the rows are, and once.
            return action
        if action.command != "insert":
            return self._merged(action, 1)
        source = _flat(action.source)
        level, up = meeting_level(dataclasses.replace(action, source=source))
        if level is not source:
            entry, inner = source.range_table[0], self._merged(level, up)
            source = dataclasses.replace(source, range_table=[dataclasses.replace(entry, query=inner)])
        else:
            source = self._merged(level, up)
        made = dataclasses.replace(action, source=source)
        made.returning = [
            dataclasses.replace(item, expression=self._alone(item.expression)) for item in action.returning
        ]
        if action.on_conflict is not None:
            conflict = action.on_conflict
            made.on_conflict = dataclasses.replace(
                conflict,
                assignments=tuple((attno, self._alone(value)) for attno, value in conflict.assignments),
                where=None if conflict.where is None else self._alone(conflict.where),
            )
        return made

    def _alone(self, expr: Expr) -> Expr:
        """An expression that stands outside of where the original is: OLD and NEW must be constants there."""

        def place(node: Expr, depth: int) -> Expr:
            if not isinstance(node, Var) or node.levels_up != depth + 1:
                return node
            value = self.base.value(node)
            if any(isinstance(each, Var) for each, _ in deep_walk(value)):
                raise NotSupported("OLD and NEW in RETURNING or ON CONFLICT of a rule's INSERT are not supported")
            return value

        return deep_map(expr, place)

    def _merged(self, level: Query, up: int) -> Query:
        """The level with the original in it. OLD and NEW are ``up`` levels outside of it."""
        base = self.base
        start = len(level.range_table)
        from_items = base.from_items
        conditions = [base.where, self._over_base(self.condition)]
        if base.old is not None:
            is_named = OLD in self.named or (NEW in self.named and base.original.command == "update")
            if not (is_named or base.is_used_by(base.where)):
                from_items = [item for item in from_items if not (isinstance(item, FromItem) and item.rte == base.old)]
        if level.set_op is not None and (from_items or any(each is not None for each in conditions)):
            raise NotSupported("conditional UNION/INTERSECT/EXCEPT statements are not implemented")
        moves = _moves(start)
        read = map_query_expressions(
            Query("select", range_table=base.range_table, from_items=from_items, ctes=base.ctes),
            lambda expr, depth: deep_map(expr, moves, depth - 1),
        )
        merged = map_query_expressions(level, lambda expr, depth: self._placed(expr, depth - 1, up, start))
        # What names OLD or NEW stands beside the original now.
        beside = [
            entry.kind in ("subquery", "function", "values") and names_original(entry, up)
            for entry in level.range_table
        ]
        merged.range_table = [
            dataclasses.replace(entry, lateral=True) if is_beside else entry
            for entry, is_beside in zip(merged.range_table, beside, strict=True)
        ] + read.range_table
        joined = [_moved_item(item, start) for item in read.from_items]
        at = 1 if merged.target is not None else 0
        merged.from_items = [*merged.from_items[:at], *joined, *merged.from_items[at:]]
        for condition in reversed(conditions):
            if condition is not None:
                merged.where = _and(merged.where, deep_map(condition, moves))
        names = {item.name for item in merged.ctes}
        for item in read.ctes:
            if item.name in names:
                raise NotSupported(
                    f'WITH query name "{item.name}" appears in both a rule action and the query being rewritten'
                )
        if self.action.command == "insert" and any(item.query.command != "select" for item in read.ctes):
            raise NotSupported(
                "INSERT ... SELECT rule actions are not supported for queries having data-modifying statements in WITH"
            )
        merged.ctes = [*merged.ctes, *read.ctes]
        return merged

    def _placed(self, expr: Expr, depth: int, up: int, start: int) -> Expr:
        base, moves = self.base, _moves(start)

        def place(node: Expr, at: int) -> Expr:
            if isinstance(node, Var) and node.levels_up == at + up:
                return _deeper(deep_map(base.value(node), moves), at)
            return node

        return deep_map(expr, place, depth)

    def _over_base(self, condition: Expr | None) -> Expr | None:
        """The rule's condition over the original."""
        if condition is None:
            return None

        def place(node: Expr, depth: int) -> Expr:
            if isinstance(node, Var) and node.levels_up == depth:
                return _deeper(self.base.value(node), depth)
            return node

        return deep_map(condition, place)


def _moves(start: int) -> Callable[[Expr, int], Expr]:
    """What moves the columns of a level ``start`` range entries further."""

    def move(node: Expr, depth: int) -> Expr:
        if isinstance(node, Var) and node.levels_up == depth:
            return dataclasses.replace(node, rte=node.rte + start)
        return node

    return move


def _moved_item(item: FromItem | JoinItem, start: int) -> FromItem | JoinItem:
    if isinstance(item, FromItem):
        return FromItem(item.rte + start)
    return dataclasses.replace(
        item, left=_moved_item(item.left, start), right=_moved_item(item.right, start), rte=item.rte + start
    )
