"""FOR VALUES: the clause → a ``PartitionBound`` that fits the parent's key and its other partitions."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import DatatypeMismatch, InvalidObjectDefinition, InvalidTableDefinition, InvariantViolation
from compute_node.catalog.ddl.context import DdlContext
from compute_node.catalog.functions.partitions import value_text
from compute_node.exec.builder import Builder
from compute_node.exec.compile.rows import value_function
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import (
    HASH,
    LIST,
    MAXVALUE,
    MINVALUE,
    NONE,
    RANGE,
    STRATEGIES,
    Edge,
    PartitionBound,
    PartitionIndex,
    PartitionKey,
)
from compute_node.sql.analyze.expressions import expression_location
from compute_node.sql.analyze.partition_bounds import analyze_bound, refuse_columns
from compute_node.sql.expressions import Expr
from compute_node.sql.partitioning import key_names, key_of, partitions_of
from compute_node.sql.plan import PlannedStmt, Result
from compute_node.sql.planner.fold import fold

_DATUM_KINDS = {
    enums.PartitionRangeDatumKind.PARTITION_RANGE_DATUM_MINVALUE: MINVALUE,
    enums.PartitionRangeDatumKind.PARTITION_RANGE_DATUM_MAXVALUE: MAXVALUE,
}


def _position(location: int | None) -> int | None:
    return None if location is None or location < 0 else location + 1


class BoundReader:
    """Reads FOR VALUES for the partitions of one table."""

    def __init__(self, ctx: DdlContext, parent: RelationDesc) -> None:
        self._ctx = ctx
        self._parent = parent
        self._key: PartitionKey = key_of(parent)
        self._places: list[int | None] = []
        """of the lower end's values, for errors"""

    def read(self, node: ast.PartitionBoundSpec) -> PartitionBound:
        """The bound. 42P16 for one of another strategy, 42804, 22023 …"""
        strategy = self._key.strategy
        if node.is_default:
            if strategy == HASH:
                raise InvalidTableDefinition("a hash-partitioned table may not have a default partition")
            return PartitionBound(strategy, is_default=True)
        if node.strategy != strategy:
            what = STRATEGIES[strategy].lower()
            raise InvalidTableDefinition(
                f"invalid bound specification for a {what} partition", position=_position(node.location)
            )
        if strategy == HASH:
            return self._hash(node)
        return self._list(node) if strategy == LIST else self._range(node)

    def _hash(self, node: ast.PartitionBoundSpec) -> PartitionBound:
        modulus, remainder = node.modulus or 0, node.remainder or 0
        if modulus <= 0:
            raise InvalidTableDefinition("modulus for hash partition must be an integer value greater than zero")
        if remainder >= modulus:
            raise InvalidTableDefinition("remainder for hash partition must be less than modulus")
        return PartitionBound(HASH, modulus=modulus, remainder=remainder)

    def _list(self, node: ast.PartitionBoundSpec) -> PartitionBound:
        values: list[Datum] = []
        forms: list[Datum] = []
        index = partitions_of(self._ctx.view, self._parent)
        for item in node.listdatums:
            value = self._value(item, 0)
            form = None if value is None else index.form(value)
            if form not in forms:
                forms.append(form)
                values.append(value)
        return PartitionBound(LIST, values=tuple(values))

    def _range(self, node: ast.PartitionBoundSpec) -> PartitionBound:
        count = len(self._key.columns)
        for given, word in ((node.lowerdatums, "FROM"), (node.upperdatums, "TO")):
            if len(given) != count:
                raise InvalidTableDefinition(f"{word} must specify exactly one value per partitioning column")
        return PartitionBound(RANGE, lower=self._end(node.lowerdatums), upper=self._end(node.upperdatums))

    def _end(self, nodes: Sequence[ast.Node]) -> tuple[Datum, ...]:
        """MINVALUE and MAXVALUE come from the grammar as column names."""
        found: list[Datum] = []
        for place, item in enumerate(nodes):
            edge = _edge(item)
            if edge is not None:
                found.append(edge)
                continue
            value = self._value(item, place)
            if value is None:
                raise InvalidObjectDefinition("cannot specify NULL in range bound")
            found.append(value)
        for place in range(1, len(found)):
            before = found[place - 1]
            if isinstance(before, Edge) and found[place] != before:
                word = "MINVALUE" if before.side < 0 else "MAXVALUE"
                raise DatatypeMismatch(
                    f"every bound following {word} must also be {word}", position=_position(_place(nodes[place]))
                )
        return tuple(found)

    def _value(self, node: ast.Node, place: int) -> Datum:
        refuse_columns(node)
        key, ctx = self._key, self._ctx
        asked = key.types[place], key.typmods[place]
        found = analyze_bound(ctx.view, node, ctx.source, self._name(place), asked, ctx.session)
        return evaluate(ctx, found)

    def _name(self, place: int) -> str:
        """A key column as messages call it."""
        attno = self._key.columns[place]
        if attno:
            return self._parent.columns[attno - 1].name
        return key_names(self._ctx.view, self._parent)[place].strip("()")


def _place(node: ast.Node) -> int:
    return node.location if isinstance(node, ast.PartitionRangeDatum) else expression_location(node)


def _edge(node: ast.Node) -> Edge | None:
    if isinstance(node, ast.PartitionRangeDatum):
        return _DATUM_KINDS.get(node.kind)
    if isinstance(node, ast.ColumnRef) and len(node.fields) == 1:
        name = getattr(node.fields[0], "sval", "")
        return {"minvalue": MINVALUE, "maxvalue": MAXVALUE}.get(name)
    return None


def evaluate(ctx: DdlContext, node: Expr) -> Datum:
    """The value of an expression without columns, now."""
    builder = Builder(PlannedStmt(command="select", plan=Result(), columns=None), ctx.view)
    run = ctx.engine.begin_statement(ctx.session)
    run.start((), 0)
    try:
        return value_function(builder, fold(ctx.view, node))(run)
    finally:
        run.finish()


# --- beside the others ----------------------------------------------------------------------------------------------


def check_bound(
    ctx: DdlContext, parent: RelationDesc, name: str, bound: PartitionBound, node: ast.PartitionBoundSpec
) -> None:
    """42P17 where a partition of the parent that is there is in the way of one with this bound, or it is empty."""
    # One that is being detached is in the way until it has gone: its rows may still be seen there.
    index = partitions_of(ctx.view, ctx.view.with_detaching(parent))
    if bound.is_default:
        if index.default != NONE:
            other = _name_of(ctx, index.oids[index.default])
            raise InvalidObjectDefinition(
                f'partition "{name}" conflicts with existing default partition "{other}"',
                position=_position(node.location),
            )
        return
    taken = _CHECKS[bound.strategy](ctx, index, name, bound, node)
    if taken is not None:
        number, location = taken
        raise InvalidObjectDefinition(
            f'partition "{name}" would overlap partition "{_name_of(ctx, index.oids[number])}"',
            position=_position(location),
        )


def _name_of(ctx: DdlContext, oid: int) -> str:
    found = ctx.view.relation(oid)
    if found is None:
        raise InvariantViolation(f"partition {oid} is not in the catalog")
    return found.name


Taken = tuple[int, int | None]
"""the number of the partition that has the place already, and where the statement asks for it"""


def _check_hash(
    ctx: DdlContext, index: PartitionIndex, name: str, bound: PartitionBound, node: ast.PartitionBoundSpec
) -> Taken | None:
    moduli = [other.modulus for other in index.bounds]
    below = max((place for place, each in enumerate(moduli) if each <= bound.modulus), default=None)
    above = next((place for place, each in enumerate(moduli) if each > bound.modulus), None)
    detail = None
    if below is None:
        if above is not None and moduli[above] % bound.modulus:
            detail = f"The new modulus {bound.modulus} is not a factor of {moduli[above]}", above
    elif bound.modulus % moduli[below]:
        detail = f"The new modulus {bound.modulus} is not divisible by {moduli[below]}", below
    elif above is not None and moduli[above] % bound.modulus:
        detail = f"The new modulus {bound.modulus} is not a factor of {moduli[above]}", above
    if detail is not None:
        text, place = detail
        raise InvalidObjectDefinition(
            "every hash partition modulus must be a factor of the next larger modulus",
            detail=f'{text}, the modulus of existing partition "{_name_of(ctx, index.oids[place])}".',
        )
    for place, other in enumerate(index.bounds):
        smaller = min(other.modulus, bound.modulus)
        if other.remainder % smaller == bound.remainder % smaller:
            return place, node.location
    return None


def _check_list(
    ctx: DdlContext, index: PartitionIndex, name: str, bound: PartitionBound, node: ast.PartitionBoundSpec
) -> Taken | None:
    for value, item in zip(bound.values, node.listdatums, strict=False):
        number = index.null if value is None else index.by_value.get(index.form(value), NONE)
        if number not in (NONE, index.default):
            return number, expression_location(item)
    return None


def _check_range(
    ctx: DdlContext, index: PartitionIndex, name: str, bound: PartitionBound, node: ast.PartitionBoundSpec
) -> Taken | None:
    lower, upper = index.point(bound.lower), index.point(bound.upper)
    if lower >= upper:
        raise InvalidObjectDefinition(
            f'empty range bound specified for partition "{name}"',
            detail=f"Specified lower bound {range_text(ctx, index.key, bound.lower)} is greater than or equal to upper"
            f" bound {range_text(ctx, index.key, bound.upper)}.",
            position=_position(expression_location(node.lowerdatums[0])),
        )
    for number, other in enumerate(index.bounds):
        if other.is_default:
            continue
        start, end = index.point(other.lower), index.point(other.upper)
        if start < upper and lower < end:
            # It is the value that begins to overlap which PostgreSQL points at.
            if start <= lower:
                return number, expression_location(node.lowerdatums[_first_difference(lower, end)])
            return number, expression_location(node.upperdatums[_first_difference(upper, start)])
    return None


def _first_difference(one: Sequence[object], other: Sequence[object]) -> int:
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), 0)


_CHECKS = {HASH: _check_hash, LIST: _check_list, RANGE: _check_range}


# --- as text --------------------------------------------------------------------------------------------------------


def range_text(ctx: DdlContext, key: PartitionKey, values: Sequence[Datum]) -> str:
    """One end of a range as the session sees it: ``(1, MINVALUE)``."""
    texts = [value_text(ctx.view, ctx.session.env, key.types[place], value) for place, value in enumerate(values)]
    return f"({', '.join(texts)})"
