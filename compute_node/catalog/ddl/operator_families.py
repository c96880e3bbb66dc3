"""ALTER OPERATOR FAMILY … ADD and DROP: members of a family that are of none of its classes, of two types for instance.

Source: PostgreSQL manual, ch. 38.16.5 and the reference page of ALTER OPERATOR FAMILY.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pglast import ast

from aurora.errors import (
    DuplicateObject,
    InvalidObjectDefinition,
    SqlSyntaxError,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import (
    CLASS_AMOP,
    CLASS_AMPROC,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_PROC,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import drop
from compute_node.catalog.ddl.functions import need_function
from compute_node.catalog.ddl.operator_classes import (
    FUNCTION,
    LIMITS,
    OPERATOR,
    STORAGE,
    MemberOperator,
    add_operator,
    check_once,
    check_superuser,
    find_family,
    known_method,
    member_operator,
)
from compute_node.catalog.ddl.types import type_of
from compute_node.catalog.rows import Record
from compute_node.sql.analyze.typenames import format_type
from compute_node.types import oids
from compute_node.types.registry import Function

BTREE, HASH = 403, 405
_Rule = tuple[str, int | None, str, int]
_RULES: Final[dict[tuple[int, int], _Rule]] = {
    (BTREE, 1): ("btree comparison functions", 2, "integer", oids.INT4),
    (BTREE, 2): ("btree sort support functions", None, "void", oids.VOID),
    (BTREE, 3): ("btree in_range functions", 5, "boolean", oids.BOOL),
    (BTREE, 4): ("btree equal image functions", 1, "boolean", oids.BOOL),
    (HASH, 1): ("hash function 1", 1, "integer", oids.INT4),
    (HASH, 2): ("hash function 2", 2, "bigint", oids.INT8),
}
"""(method, support number) → what messages call it, how many arguments it has, its result's name and type"""
_OPTIONS = 5
"""the support function that reads a B-tree operator class's options"""
_COUNTS = {1: "one argument", 2: "two arguments", 5: "five arguments"}


def alter_operator_family(ctx: DdlContext, node: ast.AlterOpFamilyStmt) -> str:
    """ALTER OPERATOR FAMILY … ADD | DROP."""
    method = known_method(ctx, node.amname)
    family = find_family(ctx, node.opfamilyname, method)
    shown = ".".join(item.sval for item in node.opfamilyname)
    if family is None:
        raise UndefinedObject(f'operator family "{shown}" does not exist for access method "{node.amname}"')
    check_superuser(ctx, "must be superuser to alter an operator family")
    if node.isDrop:
        keys = [(item.itemtype, item.number, *_needed_pair(ctx, item)) for item in node.items]
        for kind, number, left, right in keys:
            if keys.count((kind, number, left, right)) > 1:
                what = "operator" if kind == OPERATOR else "function"
                raise InvalidObjectDefinition(
                    f"{what} number {_shown(ctx, number, left, right).replace('(', ' for (')} appears more than once"
                )
        for key in keys:
            _drop(ctx, family, shown, *key)
    else:
        _add_all(ctx, family, shown, method, node.items)
    ctx.changes.touch()
    return "ALTER OPERATOR FAMILY"


def _pair(ctx: DdlContext, item: ast.CreateOpClassItem) -> tuple[int, int] | None:
    """The types that an item is for, where it says so."""
    if not item.class_args:
        return None
    kinds = [type_of(ctx, each) for each in item.class_args]
    if len(kinds) > 2:
        raise SqlSyntaxError("one or two argument types must be specified")
    return kinds[0], kinds[-1]


def _shown(ctx: DdlContext, number: int, left: int, right: int) -> str:
    return f"{number}({format_type(ctx.view, left)},{format_type(ctx.view, right)})"


def _add_all(
    ctx: DdlContext, family: Record, written: str, method: int, items: Sequence[ast.CreateOpClassItem]
) -> None:
    """Look at all of them first; then write. ``written``: the family's name as messages have it."""
    strategies, supports = LIMITS[method]
    operators: list[tuple[int, MemberOperator]] = []
    functions: list[tuple[int, int, int, int]] = []
    for item in items:
        if item.itemtype == OPERATOR:
            if not 0 < item.number <= strategies:
                raise InvalidObjectDefinition(
                    f"invalid operator number {item.number}, must be between 1 and {strategies}"
                )
            if not item.name.objargs:
                raise SqlSyntaxError("operator argument types must be specified in ALTER OPERATOR FAMILY")
            operators.append((item.number, member_operator(ctx, item, 0, method)))
        elif item.itemtype == FUNCTION:
            if not 0 < item.number <= supports:
                raise InvalidObjectDefinition(
                    f"invalid function number {item.number}, must be between 1 and {supports}"
                )
            functions.append((item.number, *_support(ctx, item, method)))
        elif item.itemtype == STORAGE:
            raise SqlSyntaxError("STORAGE cannot be specified in ALTER OPERATOR FAMILY")
    check_once("operator", ctx, [(number, each.left, each.right) for number, each in operators])
    check_once("function", ctx, [(number, left, right) for number, _, left, right in functions])
    for number, operator in operators:
        _add_operator(ctx, family, written, method, number, operator)
    for number, function, left, right in functions:
        _add_function(ctx, family, written, number, (function, left, right))


def _support(ctx: DdlContext, item: ast.CreateOpClassItem, method: int) -> tuple[int, int, int]:
    """(function, left, right) of a support function."""
    pair = _pair(ctx, item)
    arguments = None if item.name.args_unspecified else [type_of(ctx, each) for each in item.name.objargs or ()]
    function = need_function(ctx, item.name.objname, arguments)
    rule = _RULES.get((method, item.number))
    if rule is not None:
        _check_support(function, rule)
    if pair is None and method == BTREE and item.number in (1, 3):
        pair = function.arguments[0], function.arguments[2 if item.number == 3 else 1]
    elif pair is None and method == HASH and item.number in (1, 2):
        pair = function.arguments[0], function.arguments[0]
    if method == BTREE and item.number == _OPTIONS:
        _check_options(function, pair)
    if pair is None:
        raise InvalidObjectDefinition("associated data types must be specified for index support function")
    if method == BTREE and item.number == 4 and pair[0] != pair[1]:
        raise InvalidObjectDefinition("btree equal image functions must not be cross-type")
    return function.oid, *pair


def _check_options(function: Function, pair: tuple[int, int] | None) -> None:
    if pair is not None and pair[0] != pair[1]:
        raise InvalidObjectDefinition(
            "left and right associated data types for operator class options parsing functions must match"
        )
    if function.arguments != (oids.INTERNAL,) or function.result != oids.VOID:
        raise InvalidObjectDefinition(
            "invalid operator class options parsing function",
            hint="Valid signature of operator class options parsing function is (internal) RETURNS void.",
        )


def _check_support(function: Function, rule: _Rule) -> None:
    what, count, result_name, result = rule
    if count is None:
        if function.arguments != (oids.INTERNAL,):
            raise InvalidObjectDefinition(f'{what} must accept type "internal"')
    elif len(function.arguments) != count:
        raise InvalidObjectDefinition(f"{what} must have {_COUNTS[count]}")
    if function.result != result:
        raise InvalidObjectDefinition(f"{what} must return {result_name}")


def _add_operator(
    ctx: DdlContext, family: Record, written: str, method: int, number: int, operator: MemberOperator
) -> None:
    left, right = operator.left, operator.right
    key = {"amopfamily": family.oid, "amoplefttype": left, "amoprighttype": right, "amopstrategy": number}
    if ctx.rows.find("pg_amop", **key):
        shown = _shown(ctx, number, left, right)
        raise DuplicateObject(f'operator {shown} already exists in operator family "{written}"')
    member = add_operator(ctx, family.oid, method, number, operator)
    ctx.depend(member, (CLASS_OPERATOR, operator.oid, 0), "a")
    ctx.depend(member, (CLASS_OPFAMILY, family.oid, 0), "a")


def _add_function(ctx: DdlContext, family: Record, written: str, number: int, member: tuple[int, int, int]) -> None:
    function, left, right = member
    key = {"amprocfamily": family.oid, "amproclefttype": left, "amprocrighttype": right, "amprocnum": number}
    if ctx.rows.find("pg_amproc", **key):
        shown = _shown(ctx, number, left, right)
        raise DuplicateObject(f'function {shown} already exists in operator family "{written}"')
    oid = ctx.next_oid()
    ctx.rows.insert("pg_amproc", oid=oid, **key, amproc=function)
    ctx.depend((CLASS_AMPROC, oid, 0), (CLASS_PROC, function, 0), "a")
    ctx.depend((CLASS_AMPROC, oid, 0), (CLASS_OPFAMILY, family.oid, 0), "a")


def _needed_pair(ctx: DdlContext, item: ast.CreateOpClassItem) -> tuple[int, int]:
    pair = _pair(ctx, item)
    if pair is None:
        raise SqlSyntaxError("one or two argument types must be specified")
    return pair


def _drop(ctx: DdlContext, family: Record, written: str, kind: int, number: int, left: int, right: int) -> None:
    if kind == OPERATOR:
        catalog, class_oid, what = "pg_amop", CLASS_AMOP, "operator"
        key = {"amopfamily": family.oid, "amoplefttype": left, "amoprighttype": right, "amopstrategy": number}
    else:
        catalog, class_oid, what = "pg_amproc", CLASS_AMPROC, "function"
        key = {"amprocfamily": family.oid, "amproclefttype": left, "amprocrighttype": right, "amprocnum": number}
    row = next(iter(ctx.rows.find(catalog, **key)), None)
    if row is None:
        shown = _shown(ctx, number, left, right)
        raise UndefinedObject(f'{what} {shown} does not exist in operator family "{written}"')
    drop(ctx, [(class_oid, row.oid, 0)], cascade=False)
