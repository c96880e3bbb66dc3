"""Type coercion (PostgreSQL manual, chapter 10): which casts exist in a context, and expressions that apply them.

Contexts are those of pg_cast: ``i`` implicit, ``a`` assignment, ``e`` explicit. An unknown literal becomes a constant
of the target type through its input function; an unknown parameter takes the target type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from aurora.errors import AmbiguousParameter, CannotCoerce, DatatypeMismatch, SqlError
from compute_node.sql.analyze.context import Analysis, Scope, fail, start_of
from compute_node.sql.analyze.polymorphism import (
    ANYCOMPATIBLE,
    ANYCOMPATIBLEARRAY,
    ANYCOMPATIBLEMULTIRANGE,
    ANYCOMPATIBLENONARRAY,
    ANYCOMPATIBLERANGE,
    ANYENUM,
    ANYMULTIRANGE,
    ANYRANGE,
    ELEMENTS,
    POLYMORPHIC,
    fits,
)
from compute_node.sql.analyze.typenames import format_type, is_true_array
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import (
    ArrayCoerce,
    ArrayExpr,
    Call,
    Case,
    CoerceToDomain,
    CoerceTypmod,
    CoerceViaIO,
    Const,
    ElementValue,
    Expr,
    FieldSelect,
    NullTest,
    Param,
    Relabel,
    RowExpr,
    leftmost_location,
    walk,
)
from compute_node.sql.row_types import is_row_of
from compute_node.types import oids
from compute_node.types.registry import PgType

RECORD_ARRAY = 2287
_KINDS = {ANYENUM: "e", ANYRANGE: "r", ANYMULTIRANGE: "m", ANYCOMPATIBLERANGE: "r", ANYCOMPATIBLEMULTIRANGE: "m"}
"""pseudo-types → the kind of types (pg_type.typtype) that they stand for"""
_RANK = {"i": 0, "a": 1, "e": 2}
_TIMES = frozenset({oids.DATE, oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ})
_MOMENTS = ("now", "today", "tomorrow", "yesterday")


class Pathway(NamedTuple):
    """How to get from one type to another: method ``relabel``, ``function`` (OID), ``io`` or ``array``."""

    method: str
    function: int = 0


def find_pathway(catalog: CatalogView, target: int, source: int, context: str) -> Pathway | None:
    """The cast pathway allowed in the context; None without one."""
    target_type, source_type = catalog.type(target).root, catalog.type(source).root
    target, source = target_type.oid, source_type.oid
    if target == source:
        return Pathway("relabel")
    cast = catalog.cast(source, target)
    if cast is not None:
        if _RANK[context] < _RANK[cast.context]:
            return None
        if cast.method == "b":
            return Pathway("relabel")
        if cast.method == "i":
            return Pathway("io")
        return Pathway("function", cast.function)
    if target not in (oids.OIDVECTOR, oids.INT2VECTOR) and target_type.element and source_type.element:
        if is_true_array(target_type) and source_type.length == -1:
            # int2vector and oidvector count as arrays here
            element = find_pathway(catalog, target_type.element, source_type.element, context)
            if element is not None:
                tested = catalog.type(target_type.element).domain is not None
                return Pathway("relabel") if element.method == "relabel" and not tested else Pathway("array")
    if context != "i" and target_type.category == "S":
        return Pathway("io")
    if context == "e" and source_type.category == "S" and target != oids.UNKNOWN:
        return Pathway("io")
    return None


def is_binary_coercible(catalog: CatalogView, source: int, target: int) -> bool:
    """Whether a value of ``source`` may be used as ``target`` as it is."""
    if source == target or target in (oids.ANY, oids.ANYELEMENT, ANYCOMPATIBLE):
        return True
    source = catalog.type(source).root.oid
    if source == target:
        return True
    if target in (oids.ANYARRAY, ANYCOMPATIBLEARRAY):
        return is_true_array(catalog.type(source))
    if target in (oids.ANYNONARRAY, ANYCOMPATIBLENONARRAY):
        return not is_true_array(catalog.type(source))
    if target in _KINDS:
        return catalog.type(source).kind == _KINDS[target]
    cast = catalog.cast(source, target)
    return cast is not None and cast.method == "b" and cast.context == "i"


def can_coerce(catalog: CatalogView, sources: Sequence[int], targets: Sequence[int], context: str) -> bool:
    """Whether each source type may become its target type; polymorphic targets must agree among themselves."""
    generic = False
    for source, target in zip(sources, targets, strict=True):
        if source == target or target == oids.ANY:
            continue
        if target in POLYMORPHIC:
            generic = True
            continue
        if source == oids.UNKNOWN:
            continue
        if find_pathway(catalog, target, source, context) is not None:
            continue
        source_kind = catalog.type(source).root.kind
        if source_kind == "c" and is_row_of(catalog, source, target):
            continue
        if (target == oids.RECORD and source_kind == "c") or (
            source == oids.RECORD and catalog.type(target).root.kind == "c"
        ):
            continue
        if target == RECORD_ARRAY and catalog.type(catalog.type(source).element or source).kind == "c":
            continue
        return False
    return not generic or fits(catalog, sources, targets)


_REFUSE_NULL = frozenset((269, 325, 2279, 2280, oids.INTERNAL, 3115, 3310, 3838))
"""Pseudo-types whose input function is called with a NULL, too, and refuses it: of handlers, triggers, internal."""


def literal_value(analysis: Analysis, text: str | None, target: int, typmod: int, location: int) -> Const:
    """An unknown literal as a constant of ``target``; input errors carry the literal's position."""
    kind = analysis.catalog.type(target)
    if text is None:
        if target not in _REFUSE_NULL:
            return Const(type=target, typmod=typmod, value=None, location=location)
        text = ""
    if location >= 0:
        analysis.kept.add(location)
    if target in _TIMES and any(word in text.lower() for word in _MOMENTS):
        analysis.momentary = True
    try:
        value = kind.input(text, typmod if target == oids.INTERVAL else -1, analysis.env)
    except SqlError as error:
        if location >= 0:
            error.position = location + 1
        raise
    if target == oids.REGCLASS and value:
        analysis.catalog.relation(value)  # Asked, it is what the plan depends on: it ends with the relation.
    return Const(type=target, typmod=typmod if target == oids.INTERVAL else -1, value=value, location=location)


def coerce(
    scope: Scope, node: Expr, target: int, typmod: int = -1, context: str = "i", location: int = -1, check: bool = True
) -> Expr | None:
    """``node`` as type ``target`` and typmod; None when the context allows no such cast."""
    if check and node.type != target and not can_coerce(scope.catalog, (node.type,), (target,), context):
        return None
    result = coerce_type(scope, node, target, typmod, context, location)
    sized = coerce_typmod(scope, result, target, typmod, context, location)
    if result is not node and isinstance(sized, CoerceTypmod) and isinstance(result, Call) and result.display == "cast":
        # Both are one cast, as it was written.
        return dataclasses.replace(sized, argument=dataclasses.replace(result, display="coercion"))
    return sized


def coerce_type(scope: Scope, node: Expr, target: int, typmod: int, context: str, location: int = -1) -> Expr:
    """Apply the cast, without length coercion; the caller has checked that it exists."""
    catalog, analysis = scope.catalog, scope.analysis
    source = node.type
    if source == target or target == oids.ANY or (target in POLYMORPHIC and source != oids.UNKNOWN):
        return node
    if target in ELEMENTS:
        return node
    kind = catalog.type(target)
    if kind.domain is not None and not (source == oids.UNKNOWN and isinstance(node, Param)):
        if source == oids.UNKNOWN and isinstance(node, Const):
            node = coerce_type(scope, node, kind.root.oid, kind.base_typmod, "i", location)
        elif find_pathway(catalog, target, source, context) is not None or kind.root.kind == "c":
            node = coerce_type(scope, node, kind.root.oid, kind.base_typmod, context, location)
        else:
            raise cannot_cast(scope, source, target, location if location >= 0 else node.location)
        return to_domain(scope, node, kind, context, location)
    if source == oids.UNKNOWN:
        if isinstance(node, Const):
            # An interval's typmod says how its text is read, so that one stays a constant.
            kept = node.value is None or (target == oids.INTERVAL and typmod >= 0)
            slot = 0 if kept else analysis.slot(node.location)
            if slot:
                analysis.used.add(node.location)
                analysis.set_param_type(slot, target)
                return Param(type=target, number=slot, location=node.location)
            return literal_value(analysis, node.value, target, typmod, node.location)
        if isinstance(node, Param):
            return _coerce_param(scope, node, target)
    pathway = find_pathway(catalog, target, source, context)
    where = location if location >= 0 else node.location
    if pathway is not None:
        if pathway.method == "function":
            return _cast_call(scope, node, target, typmod, context, pathway.function, where)
        if pathway.method == "io":
            return CoerceViaIO(type=target, argument=node, location=where)
        if pathway.method == "array":
            return _coerce_array(scope, node, target, typmod, context, where)
        if isinstance(node, Const) and node.value is None:
            return Const(type=target, value=None, location=node.location)
        return Relabel(type=target, argument=node, implicit=context != "e", location=where)
    if target in (oids.RECORD, RECORD_ARRAY):
        return node
    if kind.kind == "c" and is_row_of(catalog, source, target):
        return _as_row_of(scope, node, kind, where)
    if source == oids.RECORD and catalog.type(target).kind == "c":
        return _coerce_row(scope, node, target, context, location)
    raise cannot_cast(scope, source, target, where)


def to_domain(scope: Scope, node: Expr, kind: PgType, context: str, location: int) -> Expr:
    """A value of the base type as one of the domain ``kind``."""
    node = coerce_typmod(scope, node, kind.root.oid, kind.base_typmod, context, location)
    if kind.collation not in (0, 100):
        scope.analysis.collated = True
        return CoerceToDomain(type=kind.oid, argument=node, implicit=context != "e", location=location)
    if kind.check is None and isinstance(node, Const):
        return Const(type=kind.oid, value=node.value, location=node.location)
    where = location if location >= 0 else node.location
    return CoerceToDomain(type=kind.oid, argument=node, implicit=context != "e", location=where)


def _as_row_of(scope: Scope, node: Expr, kind: PgType, location: int) -> Expr:
    """Such a row as one of the composite type ``kind``, column by column."""
    source = scope.catalog.type(node.type).root
    places = {field.name: index for index, field in enumerate(source.fields) if field.type is not None}
    values: list[Expr] = []
    for field in kind.fields:
        if field.type is None:
            values.append(Const(type=oids.INT4, value=None))
            continue
        index = places[field.name]
        values.append(FieldSelect(type=field.type.oid, typmod=field.typmod, argument=node, index=index))
    row = RowExpr(type=kind.oid, arguments=tuple(values), names=tuple(field.name for field in kind.fields))
    missing = NullTest(type=oids.BOOL, argument=node, negated=False, as_value=True)
    empty = Const(type=kind.oid, value=None)
    return Case(type=kind.oid, operand=None, branches=((missing, empty),), default=row, location=location)


def _coerce_row(scope: Scope, node: Expr, target: int, context: str, location: int) -> Expr:
    """An anonymous row as one of a composite type, column by column; 42846 with what does not fit."""
    where = location if location >= 0 else leftmost_location(node)
    if not isinstance(node, RowExpr):
        raise cannot_cast(scope, node.type, target, where)
    kind = scope.catalog.type(target)

    def misfit(detail: str, where: int) -> SqlError:
        error = cannot_cast(scope, node.type, target, where)
        error.detail = detail
        return error

    given = list(node.arguments)
    values: list[Expr] = []
    number = 0
    for field in kind.fields:
        if field.type is None:
            values.append(Const(type=oids.INT4, value=None))
            continue
        if number >= len(given):
            raise misfit("Input has too few columns.", where)
        item = given[number]
        number += 1
        value = coerce(scope, item, field.type.oid, field.typmod, context, item.location)
        if value is None:
            names = f"{format_type(scope.catalog, item.type)} to {format_type(scope.catalog, field.type.oid)}"
            item_at = leftmost_location(item)
            raise misfit(f"Cannot cast type {names} in column {number}.", location if location >= 0 else item_at)
        values.append(value)
    if number != len(given):
        raise misfit("Input has too many columns.", where)
    return RowExpr(
        type=target, arguments=tuple(values), names=tuple(field.name for field in kind.fields), location=where
    )


def _coerce_param(scope: Scope, node: Param, target: int) -> Expr:
    analysis = scope.analysis
    known = analysis.param_types[node.number - 1] if node.number <= len(analysis.param_types) else 0
    if known in (0, oids.UNKNOWN):
        analysis.set_param_type(node.number, target)
    elif known != target:
        raise fail(
            AmbiguousParameter,
            f"inconsistent types deduced for parameter ${node.number}",
            node.location,
            detail=f"{format_type(scope.catalog, known)} versus {format_type(scope.catalog, target)}",
        )
    return dataclasses.replace(node, type=target)


def _cast_call(scope: Scope, node: Expr, target: int, typmod: int, context: str, function: int, location: int) -> Expr:
    declared = scope.catalog.function(function)
    arguments: tuple[Expr, ...] = (node,)
    argument_type = declared.arguments[0]
    if argument_type != node.type and argument_type not in POLYMORPHIC:
        arguments = (Relabel(type=argument_type, argument=node, location=location),)
    if len(declared.arguments) > 1:
        arguments += (Const(type=oids.INT4, value=typmod),)
    if len(declared.arguments) > 2:
        arguments += (Const(type=oids.BOOL, value=context == "e"),)
    display = "cast" if context == "e" else "coercion"
    if declared.result == oids.INT4 != target:
        # int2 becomes an OID through int4, whose negative numbers are large ones there.
        call = Call(type=oids.INT4, function=function, arguments=arguments, display=display, location=location)
        return Relabel(type=target, argument=call, implicit=context != "e", location=location)
    return Call(type=target, function=function, arguments=arguments, display=display, location=location)


def _coerce_array(scope: Scope, node: Expr, target: int, typmod: int, context: str, location: int) -> Expr:
    catalog = scope.catalog
    source_element, target_element = catalog.type(node.type).element, catalog.type(target).element
    if isinstance(node, ArrayExpr) and not node.nested:
        # Each element has the length coercion: the array needs none.
        sized = tuple(
            coerce(scope, item, target_element, typmod, context, location, check=False) for item in node.elements
        )
        elements = tuple(item for item in sized if item is not None)
        length = typmod if catalog.type(target_element).typmod_cast is not None else -1
        return ArrayExpr(
            type=target, typmod=length, elements=elements, element_type=target_element, location=node.location
        )
    if not is_true_array(catalog.type(node.type)):
        # A vector: as an array it keeps its lower bound.
        node = Relabel(type=catalog.type(source_element).array, argument=node, location=location)
    element = coerce_type(scope, ElementValue(type=source_element), target_element, typmod, context, location)
    return ArrayCoerce(type=target, argument=node, element=element, location=location)


def coerce_typmod(scope: Scope, node: Expr, target: int, typmod: int, context: str, location: int = -1) -> Expr:
    """Length coercion where the target has a typmod that the expression does not already have."""
    if typmod < 0 or node.typmod == typmod:
        return node
    kind = scope.catalog.type(target)
    if is_true_array(kind):
        element = scope.catalog.type(kind.element)
        if element.typmod_cast is None:
            return node
        inner = CoerceTypmod(
            type=kind.element, typmod=typmod, argument=ElementValue(type=kind.element), explicit=context == "e"
        )
        return ArrayCoerce(type=target, typmod=typmod, argument=node, element=inner, location=node.location)
    if kind.typmod_cast is None:
        return dataclasses.replace(node, typmod=typmod)
    if isinstance(node, Const) and node.value is None:
        return dataclasses.replace(node, typmod=typmod)
    return CoerceTypmod(type=target, typmod=typmod, argument=node, explicit=context == "e", location=node.location)


def cannot_cast(scope: Scope, source: int, target: int, location: int) -> SqlError:
    """42846 for a cast that does not exist."""
    catalog = scope.catalog
    return fail(
        CannotCoerce, f"cannot cast type {format_type(catalog, source)} to {format_type(catalog, target)}", location
    )


def _one_value(scope: Scope, node: Expr, construct: str) -> Expr:
    """The condition; 42804 for one that is a set."""
    if scope.has_srf and any(
        isinstance(item, Call) and scope.catalog.function(item.function).returns_set for item in walk(node)
    ):
        raise fail(DatatypeMismatch, f"argument of {construct} must not return a set", start_of(node))
    return node


def coerce_to_boolean(scope: Scope, node: Expr, construct: str) -> Expr:
    """The expression as boolean; 42804 ``argument of WHERE must be type boolean, not type …``."""
    if node.type == oids.BOOL:
        return _one_value(scope, node, construct)
    result = coerce(scope, node, oids.BOOL, context="a")
    if result is None:
        shown = format_type(scope.catalog, node.type)
        raise fail(DatatypeMismatch, f"argument of {construct} must be type boolean, not type {shown}", node.location)
    return result


def coerce_to(scope: Scope, node: Expr, target: int, construct: str) -> Expr:
    """The expression as ``target`` by assignment cast; 42804 ``argument of … must be type …``."""
    if node.type == target:
        return node
    result = coerce(scope, node, target, context="a")
    if result is None:
        shown, wanted = format_type(scope.catalog, node.type), format_type(scope.catalog, target)
        raise fail(DatatypeMismatch, f"argument of {construct} must be type {wanted}, not type {shown}", node.location)
    return result


def _implicitly(catalog: CatalogView, source: int, target: int) -> bool:
    return can_coerce(catalog, (source,), (target,), "i")


def common_type(catalog: CatalogView, types: Sequence[int]) -> int | tuple[int, int]:
    """The common type of a set of types (manual 10.5): 0 when one cannot be cast to it, the two types that are of
    different categories when there is none."""
    chosen = types[0]
    if chosen != oids.UNKNOWN and all(item == chosen for item in types):
        return chosen
    types = [catalog.type(item).root.oid for item in types]
    chosen = types[0]
    for item in types[1:]:
        if item in (chosen, oids.UNKNOWN):
            continue
        if chosen == oids.UNKNOWN:
            chosen = item
            continue
        mine, other = catalog.type(chosen), catalog.type(item)
        if mine.category != other.category:
            return chosen, item
        if not mine.preferred and _implicitly(catalog, chosen, item) and not _implicitly(catalog, item, chosen):
            chosen = item
    if chosen == oids.UNKNOWN:
        return oids.TEXT
    return chosen if all(_implicitly(catalog, item, chosen) for item in types) else 0


def common_type_or_none(catalog: CatalogView, types: Sequence[int]) -> int | None:
    """The common type of a set of types; None when they do not unify."""
    found = common_type(catalog, types)
    return found if isinstance(found, int) and found else None


def select_common_type(scope: Scope, expressions: Sequence[Expr], construct: str) -> int:
    """The common type of the expressions (UNION, CASE, VALUES, ARRAY …: manual 10.5).

    Raises 42804 ``CASE types integer and text cannot be matched``.
    """
    catalog = scope.catalog
    chosen = expressions[0].type
    if chosen != oids.UNKNOWN and all(item.type == chosen for item in expressions):
        return chosen
    chosen = catalog.type(chosen).root.oid
    for item in expressions[1:]:
        root = catalog.type(item.type).root.oid
        if root in (chosen, oids.UNKNOWN):
            continue
        if chosen == oids.UNKNOWN:
            chosen = root
            continue
        mine, other = catalog.type(chosen), catalog.type(root)
        if mine.category != other.category:
            names = f"{format_type(catalog, chosen)} and {format_type(catalog, item.type)}"
            raise fail(DatatypeMismatch, f"{construct} types {names} cannot be matched", start_of(item))
        if not mine.preferred and _implicitly(catalog, chosen, root) and not _implicitly(catalog, root, chosen):
            chosen = root
    return oids.TEXT if chosen == oids.UNKNOWN else chosen


def coerce_to_common(scope: Scope, node: Expr, target: int, construct: str) -> Expr:
    """One of the expressions to their common type; 42846 ``CASE could not convert type … to …``."""
    if node.type == target:
        return node
    result = coerce(scope, node, target)
    if result is None:
        catalog = scope.catalog
        names = f"type {format_type(catalog, node.type)} to {format_type(catalog, target)}"
        raise fail(CannotCoerce, f"{construct} could not convert {names}", node.location)
    return result


def common_typmod(expressions: Sequence[Expr], target: int) -> int:
    """The typmod that all expressions share; -1 otherwise."""
    first = expressions[0].typmod
    if first >= 0 and all(item.type == target and item.typmod == first for item in expressions):
        return first
    return -1
