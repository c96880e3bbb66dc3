"""Which collation each expression has and each operation uses (manual, 24.2.1).

A pass over the finished query, from its innermost queries outward, run when anything in it names a collation other than
the defaults (``Analysis.collated``). Collations go up from the leaves: an explicit COLLATE beats what columns have, a
column's own beats the default, and two different ones of equal strength are a conflict: at once between two COLLATEs
(42P21), else when something that depends on it uses it (42P22). What an operation depends on it gets from its operands,
whose types are then types under that collation (``types/collation``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aurora.errors import CollationMismatch
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.analyze.context import Scope, fail, start_of
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    AggregateCall,
    ArrayCoerce,
    ArrayOp,
    Call,
    Case,
    CoerceToDomain,
    Collate,
    Const,
    DistinctTest,
    DomainValue,
    ElementStore,
    ElementValue,
    ExecParam,
    Expr,
    FieldSelect,
    FieldStore,
    MinMax,
    NullIf,
    Param,
    Relabel,
    RowCompare,
    RowExpr,
    SortKey,
    SubColumn,
    SubLink,
    Subscript,
    Var,
    WindowCall,
    map_children,
)
from compute_node.sql.query import CommonTable, Query, RangeEntry, Target
from compute_node.sql.rewrite import map_join
from compute_node.types.collation import DEFAULT, INDETERMINATE, collated, collation_of
from compute_node.types.collation.code import depends

NONE, IMPLICIT, CONFLICT, EXPLICIT = range(4)
_HINT = "You can choose the collation by applying the COLLATE clause to one or both expressions."


class State(NamedTuple):
    """What is known of an expression: its collation, and how it came to it. Of a conflict: both, and where the second
    is."""

    collation: int = 0
    strength: int = NONE
    location: int = -1
    other: int = 0
    other_location: int = -1

    @property
    def effective(self) -> int:
        """The collation to work with."""
        return INDETERMINATE if self.strength == CONFLICT else self.collation


_NOTHING = State()
_UNKNOWN = State(INDETERMINATE)
"""A column of a sub-select whose parts disagreed: as one without a collation, and an error where one is needed."""


class Collations:
    """The pass over one statement. ``relation``: of a stored expression, what its Vars are columns of."""

    def __init__(self, catalog: CatalogView, relation: RelationDesc | None = None) -> None:
        self._catalog = catalog
        self._relation = relation
        self._queries: list[Query] = []
        self._sub_queries: list[Query] = []
        self._elements: list[State] = []
        self._states: dict[int, State] = {}
        """of each target, by its identity: a query lives as long as the pass"""

    # queries

    def query(self, query: Query) -> None:
        """Work through a query, in place."""
        self._queries.append(query)
        for cte in query.ctes:
            self.query(cte.query)
            if cte.recursive and cte.query.set_op is not None:
                self._check_recursive(cte)
        if query.set_op is not None:
            self._set_operation(query)
        for entry in query.range_table:
            self._entry(entry)
        if query.source is not None:
            self.query(query.source)
        sorted_on = {*query.group_by, *query.distinct_on, *(key.expression for key in query.order_by)}
        for window in query.windows:
            sorted_on |= {key.expression for key in (*window.partition, *window.order)}
        if query.distinct:
            sorted_on |= {index for index, target in enumerate(query.targets) if not target.junk}
        for index, target in enumerate(query.targets):
            self._target(target, index in sorted_on)
        for target in query.returning:
            self._target(target, False)
        for name in ("where", "having", "limit", "offset"):
            if (expr := getattr(query, name)) is not None:
                setattr(query, name, self.expression(expr))
        query.from_items = [map_join(item, self.expression) for item in query.from_items]
        query.assignments = tuple([(attno, self.expression(value)) for attno, value in query.assignments])
        query.merge_actions = [
            dataclasses.replace(
                item,
                condition=None if item.condition is None else self.expression(item.condition),
                assignments=tuple([(attno, self.expression(value)) for attno, value in item.assignments]),
                values=tuple([self.expression(value) for value in item.values]),
            )
            for item in query.merge_actions
        ]
        if (conflict := query.on_conflict) is not None:
            conflict.assignments = tuple([(attno, self.expression(value)) for attno, value in conflict.assignments])
            conflict.where = None if conflict.where is None else self.expression(conflict.where)
        query.order_by = self._sort_keys(query, query.order_by)
        query.windows = [
            dataclasses.replace(
                window,
                partition=self._sort_keys(query, window.partition),
                order=self._sort_keys(query, window.order),
            )
            for window in query.windows
        ]
        self._queries.pop()

    def expression(self, node: Expr) -> Expr:
        """An expression that stands for itself."""
        return self._visit(node)[0]

    def state(self, node: Expr) -> tuple[Expr, State]:
        """The same, with what is known of its collation."""
        return self._visit(node)

    def _sort_keys(self, query: Query, keys: Sequence[SortKey[int]]) -> tuple[SortKey[int], ...]:
        found = []
        for key in keys:
            target = query.targets[key.expression]
            found.append(dataclasses.replace(key, type=self._ordered(target.expression.type, target.collation)))
        return tuple(found)

    def _ordered(self, kind: int, collation: int) -> int:
        found = self._catalog.collation(collation) if collation not in (0, DEFAULT) else None
        return collated(kind, collation) if found is not None and found.orders else kind

    def _target(self, target: Target, is_sorted: bool) -> None:
        target.expression, state = self._visit(target.expression)
        target.collation = state.effective
        self._states[id(target)] = state
        if is_sorted and state.strength == CONFLICT:
            raise self._mismatch(state)

    def _entry(self, entry: RangeEntry) -> None:
        HUB.pulse()
        if entry.query is not None:
            self.query(entry.query)
            entry.column_collations = _visible(entry.query)
        elif entry.kind == "relation" and entry.relation is not None:
            entry.column_collations = tuple([column.collation for column in entry.relation.columns])
        elif entry.kind == "values":
            self._values(entry)
        elif entry.kind == "cte":
            self._cte(entry)
        elif entry.function is not None:
            entry.function, state = self._visit(entry.function)
            usual = [self._catalog.type(kind).collation for kind in entry.column_types]
            if len(usual) == 1 and usual[0] and state.strength:
                usual[0] = state.effective
            entry.column_collations = tuple(usual)
        if entry.join_aliases:
            entry.join_aliases = tuple([self.expression(alias) for alias in entry.join_aliases])

    def _values(self, entry: RangeEntry) -> None:
        rows = [[self._visit(value) for value in row] for row in entry.values]
        entry.values = tuple([tuple([value for value, _ in row]) for row in rows])
        columns = range(len(entry.column_types))
        entry.column_collations = tuple([self._merged([row[at][1] for row in rows]).effective for at in columns])

    def _cte(self, entry: RangeEntry) -> None:
        for query in self._queries[: len(self._queries) - entry.cte_levels_up][::-1]:
            for cte in query.ctes:
                if cte.name == entry.cte:
                    entry.column_collations = _visible(cte.query)
                    return

    def _set_operation(self, query: Query) -> None:
        if query.set_op is None:
            return
        kind, keep_all, left, right = query.set_op
        found: list[int] = []
        for side in (left, right):
            self.query(side)
        recursive = any(entry.kind == "cte" for entry in right.range_table)
        for one, other in zip(_targets(left), _targets(right), strict=True):
            merged = self._merged([self._column(one), self._column(other)])
            if merged.strength == CONFLICT and not (kind == "union" and keep_all) and not recursive:
                raise self._mismatch(merged)
            found.append(merged.effective)
        query.range_table[0].column_collations = tuple(found)

    def _column(self, target: Target) -> State:
        """What a column of a side brings into a set operation: an explicit COLLATE stays one."""
        known = self._states.get(id(target))
        return self._leaf(target.collation, start_of(target.expression)) if known is None else known

    def _check_recursive(self, cte: CommonTable) -> None:
        """42P21 where the recursive term makes another collation of a column."""
        if cte.query.set_op is None:
            return
        overall = cte.query.range_table[0].column_collations
        for number, (target, found) in enumerate(zip(_targets(cte.query.set_op[2]), overall, strict=True), 1):
            if target.collation != found:
                raise fail(
                    CollationMismatch,
                    f'recursive query "{cte.name}" column {number} has collation "{self._name(target.collation)}" in'
                    f' non-recursive term but collation "{self._name(found)}" overall',
                    start_of(target.expression),
                    hint="Use the COLLATE clause to set the collation of the non-recursive term.",
                )

    def _leaf(self, collation: int, location: int) -> State:
        return State(collation, IMPLICIT, location) if collation else _NOTHING

    # merging

    def _merge(self, into: State, state: State) -> State:
        if state.strength > into.strength:
            return state
        if state.strength < into.strength or state.collation == into.collation:
            return into
        if state.strength == NONE:
            return state if state.collation == INDETERMINATE else into
        if state.strength == IMPLICIT:
            if into.collation == DEFAULT:
                return state
            if state.collation == DEFAULT:
                return into
            return into._replace(strength=CONFLICT, other=state.collation, other_location=state.location)
        if state.strength == EXPLICIT:
            raise fail(
                CollationMismatch,
                f'collation mismatch between explicit collations "{self._name(into.collation)}" and'
                f' "{self._name(state.collation)}"',
                state.location,
            )
        return into

    def _merged(self, states: Sequence[State]) -> State:
        merged = _NOTHING
        for state in states:
            merged = self._merge(merged, state)
        return merged

    def _name(self, oid: int) -> str:
        found = self._catalog.collation(oid)
        return "" if found is None else found.name

    def _mismatch(self, state: State) -> Exception:
        return fail(
            CollationMismatch,
            f'collation mismatch between implicit collations "{self._name(state.collation)}" and'
            f' "{self._name(state.other)}"',
            state.other_location,
            hint=_HINT,
        )

    # expressions

    def _visit(self, node: Expr) -> tuple[Expr, State]:
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            return handler(self, node)
        node, inside = self._inside(node)
        return node, self._result(node, inside)

    def _inside(self, node: Expr) -> tuple[Expr, State]:
        """The node with its parts worked through, and what they come to together."""
        states: list[State] = []

        def visit(child: Expr) -> Expr:
            child, state = self._visit(child)
            states.append(state)
            return child

        node = map_children(node, visit)
        return node, self._merged(states)

    def _result(self, node: Expr, inside: State) -> State:
        usual = self._catalog.type(node.type).collation
        if not usual:
            return _NOTHING
        return inside if inside.strength else State(usual, IMPLICIT, start_of(node))

    def _wrapped(self, node: Expr, collation: int) -> Expr:
        """An operand under a collation (0: as it is)."""
        if isinstance(node, Relabel) and collation_of(node.type):
            node = node.argument
        if not collation or not self._is_collatable(node.type):
            return node
        return Relabel(type=collated(node.type, collation), typmod=node.typmod, argument=node, location=node.location)

    def _is_collatable(self, kind: int) -> bool:
        return self._catalog.type(kind).collation != 0

    def _needed(self, functions: Sequence[int], collation: int) -> int:
        """The collation that the operands of these functions must carry; 0 where it changes nothing."""
        if collation in (0, DEFAULT):
            return 0
        found = self._catalog.collation(collation)
        if found is None:
            return 0
        return collation if any(depends(self._catalog.function(oid), found) for oid in functions if oid) else 0

    def _call(self, node: Call) -> tuple[Expr, State]:
        changed, inside = self._inside(node)
        call = changed if isinstance(changed, Call) else node
        under = self._needed([call.function], inside.effective)
        arguments = tuple([self._wrapped(item, under) for item in call.arguments])
        if any(one is not other for one, other in zip(arguments, call.arguments, strict=True)):
            call = dataclasses.replace(call, arguments=arguments)
        return call, self._result(call, inside)

    def _pair(self, node: DistinctTest | NullIf) -> tuple[Expr, State]:
        (left, one), (right, other) = self._visit(node.left), self._visit(node.right)
        inside = self._merged([one, other])
        under = self._needed([node.equality], inside.effective)
        node = dataclasses.replace(node, left=self._wrapped(left, under), right=self._wrapped(right, under))
        return node, self._result(node, inside)

    def _array_op(self, node: ArrayOp) -> tuple[Expr, State]:
        (left, one), (right, other) = self._visit(node.left), self._visit(node.right)
        under = self._needed([node.function], self._merged([one, other]).effective)
        return (
            dataclasses.replace(node, left=self._wrapped(left, under), right=self._wrapped(right, under)),
            _NOTHING,
        )

    def _row_compare(self, node: RowCompare) -> tuple[Expr, State]:
        lefts, rights = [], []
        for at, pair in enumerate(zip(node.left, node.right, strict=True)):
            (left, one), (right, other) = self._visit(pair[0]), self._visit(pair[1])
            under = self._needed([node.less[at], node.equal[at]], self._merged([one, other]).effective)
            lefts.append(self._wrapped(left, under))
            rights.append(self._wrapped(right, under))
        return dataclasses.replace(node, left=tuple(lefts), right=tuple(rights)), _NOTHING

    def _min_max(self, node: MinMax) -> tuple[Expr, State]:
        changed, inside = self._inside(node)
        items = changed.arguments if isinstance(changed, MinMax) else node.arguments
        under = collation_of(self._ordered(0, inside.effective))
        node = dataclasses.replace(node, arguments=tuple([self._wrapped(item, under) for item in items]))
        return node, self._result(node, inside)

    def _aggregate(self, node: AggregateCall) -> tuple[Expr, State]:
        visited = [self._visit(item) for item in node.arguments]
        inside = self._merged([state for _, state in visited])
        under = self._needed([node.function], inside.effective)
        arguments = []
        for item, state in visited:
            if node.distinct and state.strength == CONFLICT:
                raise self._mismatch(state)
            own = collation_of(self._ordered(0, state.effective)) if node.distinct else 0
            arguments.append(self._wrapped(item, own or under))
        keys = []
        for key in node.order_by:
            if isinstance(key.expression, Expr):
                expression, state = self._visit(key.expression)
                if state.strength == CONFLICT:
                    raise self._mismatch(state)
                under = collation_of(self._ordered(0, state.effective))
                key = dataclasses.replace(key, expression=self._wrapped(expression, under))
            keys.append(key)
        condition = None if node.filter is None else self.expression(node.filter)
        direct = tuple([self._visit(item) for item in node.direct])
        found = self._catalog.aggregate(node.function) if direct else None
        if found is not None and found.hypothetical:
            for (_, one), (_, other) in zip(direct[-len(visited) :], visited, strict=False):
                self._merged([one, other])
        node = dataclasses.replace(
            node,
            arguments=tuple(arguments),
            order_by=tuple(keys),
            filter=condition,
            direct=tuple([item for item, _ in direct]),
        )
        return node, self._result(node, inside)

    def _window_call(self, node: WindowCall) -> tuple[Expr, State]:
        visited = [self._visit(item) for item in node.arguments]
        inside = self._merged([state for _, state in visited])
        under = self._needed([node.function], inside.effective)
        condition = None if node.filter is None else self.expression(node.filter)
        arguments = tuple([self._wrapped(item, under) for item, _ in visited])
        node = dataclasses.replace(node, arguments=arguments, filter=condition)
        return node, self._result(node, inside)

    def _collate(self, node: Collate) -> tuple[Expr, State]:
        argument, _ = self._visit(node.argument)
        return dataclasses.replace(node, argument=argument), State(node.collation, EXPLICIT, node.location)

    def _relabel(self, node: Relabel) -> tuple[Expr, State]:
        if collation_of(node.type):  # from an earlier pass over a query that several statements share
            return self._visit(node.argument)
        changed, inside = self._inside(node)
        return changed, self._result(changed, inside)

    def _to_domain(self, node: CoerceToDomain) -> tuple[Expr, State]:
        changed, inside = self._inside(node)
        usual = self._catalog.type(node.type).collation
        if usual in (0, DEFAULT):
            return changed, inside if usual else _NOTHING
        return changed, State(usual, IMPLICIT, node.location)

    def _var(self, node: Var) -> tuple[Expr, State]:
        if node.attno <= 0:
            return node, _NOTHING
        if not self._queries:
            columns = () if self._relation is None else self._relation.columns
            found = columns[node.attno - 1].collation if node.attno <= len(columns) else 0
            return node, self._leaf(found, node.location)
        level = len(self._queries) - 1 - node.levels_up
        entries = self._queries[level].range_table if level >= 0 else []
        collations = entries[node.rte].column_collations if node.rte < len(entries) else ()
        if node.attno <= len(collations):
            found = collations[node.attno - 1]
            return node, _UNKNOWN if found == INDETERMINATE else self._leaf(found, node.location)
        return self._plain(node)

    def _plain(self, node: Expr) -> tuple[Expr, State]:
        return node, self._leaf(self._catalog.type(node.type).collation, node.location)

    def _element(self, node: ElementValue) -> tuple[Expr, State]:
        if self._elements:
            return node, self._elements[-1]
        return self._plain(node)

    def _case(self, node: Case) -> tuple[Expr, State]:
        operand = node.operand
        if operand is not None:
            operand, state = self._visit(operand)
            self._elements.append(state)
        states: list[State] = []
        branches = []
        for condition, result in node.branches:
            test = self.expression(condition)
            value, state = self._visit(result)
            states.append(state)
            branches.append((test, value))
        default = node.default
        if default is not None:
            default, state = self._visit(default)
            states.append(state)
        if operand is not None:
            self._elements.pop()
        node = dataclasses.replace(node, operand=operand, branches=tuple(branches), default=default)
        return node, self._result(node, self._merged(states))

    def _array_coerce(self, node: ArrayCoerce) -> tuple[Expr, State]:
        argument, inside = self._visit(node.argument)
        self._elements.append(inside)
        element = self.expression(node.element)
        self._elements.pop()
        node = dataclasses.replace(node, argument=argument, element=element)
        return node, self._result(node, inside)

    def _row(self, node: RowExpr) -> tuple[Expr, State]:
        return map_children(node, self.expression), _NOTHING

    def _container(self, node: Subscript | ElementStore) -> tuple[Expr, State]:
        states: dict[int, State] = {}

        def visit(child: Expr) -> Expr:
            changed, states[id(child)] = self._visit(child)
            return changed

        changed = map_children(node, visit)
        kept = [node.container] if isinstance(node, Subscript) else [node.container, node.value]
        return changed, self._result(changed, self._merged([states[id(item)] for item in kept]))

    def _field(self, node: FieldSelect) -> tuple[Expr, State]:
        argument = self.expression(node.argument)
        fields = self._catalog.type(node.argument.type).root.fields
        usual = self._catalog.type(node.type).collation
        if usual and node.index < len(fields):
            usual = fields[node.index].collation or usual
        return dataclasses.replace(node, argument=argument), self._leaf(usual, node.location)

    def _field_store(self, node: FieldStore) -> tuple[Expr, State]:
        return map_children(node, self.expression), _NOTHING

    def _sub_link(self, node: SubLink) -> tuple[Expr, State]:
        self.query(node.query)
        test = node.test
        if test is not None:
            self._sub_queries.append(node.query)
            test = self.expression(test)
            self._sub_queries.pop()
        node = dataclasses.replace(node, test=test)
        targets = _targets(node.query)
        if node.kind not in ("EXPR", "ARRAY") or not targets:
            return node, _NOTHING
        first = targets[0]
        return node, self._leaf(first.collation, start_of(first.expression))

    def _sub_column(self, node: SubColumn) -> tuple[Expr, State]:
        if not self._sub_queries:
            return self._plain(node)
        target = _targets(self._sub_queries[-1])[node.index]
        if target.collation == INDETERMINATE:
            return node, _UNKNOWN
        return node, self._leaf(target.collation, start_of(target.expression))


def _targets(query: Query) -> list[Target]:
    source = query.targets if query.command == "select" else query.returning
    return [target for target in source if not target.junk]


def _visible(query: Query) -> tuple[int, ...]:
    return tuple([target.collation for target in _targets(query)])


_HANDLERS: dict[type, Callable[..., tuple[Expr, State]]] = {
    AggregateCall: Collations._aggregate,
    ArrayCoerce: Collations._array_coerce,
    ArrayOp: Collations._array_op,
    Call: Collations._call,
    Case: Collations._case,
    CoerceToDomain: Collations._to_domain,
    Collate: Collations._collate,
    Const: Collations._plain,
    DistinctTest: Collations._pair,
    DomainValue: Collations._plain,
    ElementStore: Collations._container,
    ElementValue: Collations._element,
    ExecParam: Collations._plain,
    FieldSelect: Collations._field,
    FieldStore: Collations._field_store,
    MinMax: Collations._min_max,
    NullIf: Collations._pair,
    Param: Collations._plain,
    Relabel: Collations._relabel,
    RowCompare: Collations._row_compare,
    RowExpr: Collations._row,
    SubColumn: Collations._sub_column,
    SubLink: Collations._sub_link,
    Subscript: Collations._container,
    Var: Collations._var,
    WindowCall: Collations._window_call,
}


def collate_query(scope: Scope, query: Query) -> None:
    """The pass over a whole statement."""
    Collations(scope.catalog).query(query)


def collate_stored(scope: Scope, relation: RelationDesc | None, node: Expr) -> Expr:
    """The pass over one expression of a relation."""
    return Collations(scope.catalog, relation).expression(node)


def collation_of_expression(catalog: CatalogView, relation: RelationDesc, node: Expr) -> int:
    """The collation of an expression of a relation; -1 where its parts disagree."""
    return Collations(catalog, relation).state(node)[1].effective
