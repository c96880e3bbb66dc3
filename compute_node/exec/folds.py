"""One aggregate call as source lines: how a row or a batch changes its state, and how the state becomes the result.

A plain call keeps the aggregate's own state. DISTINCT and ORDER BY collect the argument rows and run the aggregate over
them at the end, in order: DISTINCT without ORDER BY sorts by the arguments, as PostgreSQL's does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from aurora.datum import Datum
from aurora.errors import InvariantViolation
from compute_node.exec.compile.compiler import Compiler, tuple_text
from compute_node.exec.compile.rows import key_text
from compute_node.exec.compile.unit import Code, Scope, Unit
from compute_node.relations.schema import FIRST_NORMAL_OID
from compute_node.sql import expressions as ex
from compute_node.types.collation import collation_of
from compute_node.types.collation.code import aggregate_under
from compute_node.types.oids import INTERNAL
from compute_node.types.registry import Aggregate, FunctionContext
from compute_node.work.sorting import SortedOrder, sorted_batches

if TYPE_CHECKING:
    from compute_node.exec.builder import Builder

_NEVER_NULL = frozenset((2147, 2803))
"""the two counts"""
_GROWS = frozenset((2335, 4053, 3538, 3545, 3175, 3197, 3267, 3270, 2901, 4301, 6227))
"""aggregates whose state keeps every row: arrays, strings, JSON, ranges"""


def resolved_aggregate(call: ex.AggregateCall | ex.WindowCall, builder: Builder) -> tuple[Aggregate, bool]:
    """The aggregate of a call for its arguments' types, and whether a state may take more memory with every row, and
    change in place."""
    aggregate = builder.aggregate(call.function)
    if aggregate is None:
        raise InvariantViolation(f"function {call.function} is not an aggregate")
    if aggregate.specialize is not None:
        aggregate = aggregate.specialize(tuple([builder.type(item.type) for item in call.arguments]))
    elif any(collation_of(item.type) for item in call.arguments):
        aggregate = aggregate_under(aggregate, [builder.type(item.type) for item in call.arguments])
    if call.function < FIRST_NORMAL_OID:
        return aggregate, call.function in _GROWS
    kind = builder.type(aggregate.transition_type)
    return aggregate, kind.length < 0 or kind.oid == INTERNAL


_COUNT = 2147


def _different(collected: dict[Datum, Datum]) -> int:
    """count(DISTINCT …) of what was collected: NULL is no value."""
    return len(collected) - (None in collected)


class Fold:
    """``initial`` gives the state of no rows."""

    __slots__ = ("_aggregate", "_builder", "_call", "_collects", "_counts", "_finish", "grows", "initial", "nullable")

    def __init__(self, call: ex.AggregateCall, builder: Builder) -> None:
        aggregate, grows = resolved_aggregate(call, builder)
        self._call, self._builder = call, builder
        self._aggregate: Aggregate = aggregate
        self._collects = call.distinct or bool(call.order_by) or aggregate.ordered_set
        self.grows = self._collects or grows
        """whether a state takes more memory with every row"""
        self.nullable = call.function not in _NEVER_NULL
        self._finish: Callable[..., Datum] = aggregate.final
        self.initial: Callable[[], Datum]
        self._counts = call.function == _COUNT and call.distinct and len(call.arguments) == 1
        """whether the number of different values is all that is asked"""
        if self._counts:
            self.initial = dict
            self._finish = _different
        elif self._collects:
            self.initial = dict if call.distinct else list
            self._finish = self._in_order(builder) if aggregate.ordered_set else self._collected(builder)
        else:
            self.initial = aggregate.initial

    def _in_order(self, builder: Builder) -> Callable[[Datum, Datum], Datum]:
        """What an ordered-set aggregate makes of the rows that are collected and of its direct arguments."""
        from compute_node.exec.nodes.sort import sort_passes

        final = self._aggregate.set_final
        if final is None:
            raise InvariantViolation(f"ordered-set aggregate {self._call.function} has no final function")
        keys = [
            ex.SortKey(ex.Column(type=key.expression.type, index=index), key.type, key.descending, key.nulls_first)
            for index, key in enumerate(self._call.order_by)
        ]
        passes = sort_passes(builder, keys, None)
        order = SortedOrder(passes)

        def finish(collected: Datum, direct: Datum) -> Datum:
            rows = [row for batch in sorted_batches(collected, passes) for row in batch]
            return final(rows, direct, order)

        return finish

    def _collected(self, builder: Builder) -> Callable[[Datum], Datum]:
        from compute_node.exec.nodes.sort import sort_passes

        call, aggregate = self._call, self._aggregate
        count = len(call.arguments)
        if call.order_by:
            keys = [
                ex.SortKey(
                    ex.Column(type=self._order_expression(key).type, index=count + index),
                    key.type,
                    key.descending,
                    key.nulls_first,
                )
                for index, key in enumerate(call.order_by)
            ]
        else:
            types = [argument.type for argument in call.arguments]
            keys = [ex.SortKey(ex.Column(type=oid, index=index), oid) for index, oid in enumerate(types)]
        passes = sort_passes(builder, keys, None)
        strict = aggregate.strict

        def finish(collected: Any, context: FunctionContext | None = None) -> Any:
            step = partial(aggregate.step, context) if aggregate.needs_context else aggregate.step
            rows = list(collected.values()) if isinstance(collected, dict) else collected
            state = aggregate.initial()
            for batch in sorted_batches(rows, passes):
                for row in batch:
                    arguments = row[:count]
                    if not (strict and None in arguments):
                        state = step(state, *arguments)
            return aggregate.final(context, state) if aggregate.final_needs_context else aggregate.final(state)

        return finish

    def _order_expression(self, key: ex.SortKey[ex.Expr]) -> ex.Expr:
        if isinstance(key.expression, int):
            return self._call.arguments[key.expression]
        expression: ex.Expr = key.expression
        return expression

    def final_text(self, unit: Unit, number: int) -> str:
        """Source of the result, from a group's state list ``s``."""
        if self._call.function in _NEVER_NULL and not self._collects:
            return f"s[{number}]"
        finish, aggregate = unit.bind(self._finish, "g"), self._aggregate
        if aggregate.ordered_set:
            scope = Scope(lambda side, index: Code(f"s[0][{index}]", True, True), ("s",))
            compiler = Compiler(unit, scope, self._builder)
            direct = tuple_text([compiler.value(item).text for item in self._call.direct])
            return f"{finish}(s[{number}], {direct})"
        if self._collects:
            needed = aggregate.needs_context or aggregate.final_needs_context
            return f"{finish}(s[{number}]{', ' + self._context if needed else ''})"
        return f"{finish}({self._context + ', ' if aggregate.final_needs_context else ''}s[{number}])"

    @property
    def _context(self) -> str:
        """How generated code spells what the aggregate's functions get."""
        return "c.volatile" if self._aggregate.volatile else "c"

    def row_lines(self, compiler: Compiler, number: int) -> list[str]:
        """Statements for one row ``r`` and its group's state list ``s``."""
        call, aggregate = self._call, self._aggregate
        lines: list[str] = []
        indent = ""
        if call.filter is not None:
            lines.append(f"if {compiler.truth(call.filter).text}:")
            indent = "    "
        if self._collects and not (aggregate.ordered_set and aggregate.strict):
            lines.append(indent + self._collect_text(compiler, number))
            return lines
        if self._collects:
            first, again = compiler.named(compiler.value(call.arguments[0]))
            lines += [f"{indent}if {first} is not None:", f"{indent}    s[{number}].append(({again},))"]
            return lines
        guards = []
        atoms = []
        for argument in call.arguments:
            code = compiler.value(argument)
            if aggregate.strict and code.nullable:
                first, again = compiler.named(code)
                guards.append(f"{first} is not None")
                atoms.append(again)
            else:
                atoms.append(code.text)
        if guards:
            lines.append(f"{indent}if {' and '.join(guards)}:")
            indent += "    "
        step = compiler.unit.bind(aggregate.step, "g")
        if call.function in _NEVER_NULL:
            lines.append(f"{indent}s[{number}] += 1")
        else:
            before = [self._context] if aggregate.needs_context else []
            lines.append(f"{indent}s[{number}] = {step}({', '.join([*before, f's[{number}]', *atoms])})")
        return lines

    def _collect_text(self, compiler: Compiler, number: int) -> str:
        call = self._call
        if self._aggregate.ordered_set:
            row = tuple_text([compiler.value(argument).text for argument in call.arguments])
            return f"s[{number}].append({row})"
        order = [self._order_expression(key) for key in call.order_by]
        codes = [compiler.value(argument) for argument in call.arguments]
        row = tuple_text([code.text for code in [*codes, *(compiler.value(item) for item in order)]])
        if not call.distinct:
            return f"s[{number}].append({row})"
        return f"s[{number}].setdefault({key_text(compiler, call.arguments)}, {row})"

    def batch_lines(self, compiler: Compiler, number: int) -> list[str]:
        """Statements for a whole batch ``b`` and the one state list ``s``."""
        call, aggregate = self._call, self._aggregate
        arguments = call.arguments
        if self._counts and call.filter is None:
            return [f"s[{number}].update(dict.fromkeys([{key_text(compiler, arguments)} for r in b]))"]
        if aggregate.batch is None or self._collects or len(arguments) > 1:
            return ["for r in b:", *(f"    {line}" for line in self.row_lines(compiler, number))]
        batch = compiler.unit.bind(aggregate.batch, "g")
        where = [compiler.truth(call.filter).text] if call.filter is not None else []
        item = "r"
        if arguments:
            code: Code = compiler.value(arguments[0])
            if code.nullable and aggregate.strict:
                first, item = compiler.named(code)
                where.append(f"{first} is not None")
            else:
                item = code.text
        if item == "r" and not where:
            return [f"s[{number}] = {batch}(s[{number}], b)"]
        condition = f" if {' and '.join(where)}" if where else ""
        return [f"s[{number}] = {batch}(s[{number}], [{item} for r in b{condition}])"]
