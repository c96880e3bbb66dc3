"""CREATE OPERATOR CLASS and OPERATOR FAMILY over existing operators and functions (PostgreSQL manual, ch. 38.16)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pglast import ast

from aurora.errors import (
    DuplicateObject,
    InsufficientPrivilege,
    InvalidObjectDefinition,
    NotSupported,
    UndefinedFunction,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import (
    CLASS_AMOP,
    CLASS_AMPROC,
    CLASS_NAMESPACE,
    CLASS_OPCLASS,
    CLASS_OPERATOR,
    CLASS_OPFAMILY,
    CLASS_PROC,
    CLASS_TYPE,
    DdlContext,
)
from compute_node.catalog.ddl.dependencies import Address
from compute_node.catalog.ddl.functions import argument_types, need_function
from compute_node.catalog.ddl.operators import find_operator, shown_operator
from compute_node.catalog.ddl.shared_depend import record_owner
from compute_node.catalog.ddl.types import type_of
from compute_node.catalog.rows import Record
from compute_node.relations.access_methods import METHODS_BY_OID
from compute_node.relations.schema import BTREE_AM, HASH_AM
from compute_node.sql.analyze.typenames import format_type
from compute_node.types import oids

LIMITS = {403: (5, 5), 405: (1, 3), 2742: (32767, 7), 783: (32767, 11), 4000: (32767, 7), 3580: (32767, 15)}
"""(strategies, support functions) of an access method"""
_NEEDED = {403: (1,), 405: (1,), 2742: (2, 3), 783: (1, 2, 5, 6, 7), 4000: (1, 2, 3, 4, 5), 3580: (1, 2, 3, 4)}
"""The support functions without which an access method has no use of a class. What else a class is made with goes when
its function or operator goes, and belongs to the family."""
OPERATOR, FUNCTION, STORAGE = 1, 2, 3


def known_method(ctx: DdlContext, name: str) -> int:
    """An access method that has operator classes here. 42704, 0A000."""
    found = ctx.view.access_method(name)
    if found is None:
        raise UndefinedObject(f'access method "{name}" does not exist')
    if found not in LIMITS:
        raise NotSupported(f'operator classes of access method "{name}" are not supported')
    return found


def check_superuser(ctx: DdlContext, message: str) -> None:
    """42501 with the message for anybody else: what an index relies on could crash a server in C."""
    ctx.require_superuser(message)


def find_family(ctx: DdlContext, names: Sequence[ast.String], method: int) -> Record | None:
    """The pg_opfamily row of that name, along the search path without a schema."""
    parts = [item.sval for item in names]
    rows = ctx.rows.find("pg_opfamily", opfmethod=method, opfname=parts[-1])
    if len(parts) > 1:
        namespace = ctx.view.namespace(parts[-2])
        return next((row for row in rows if row.opfnamespace == namespace), None)
    for schema in ctx.view.search_path:
        namespace = ctx.view.namespace(schema)
        for row in rows:
            if row.opfnamespace == namespace:
                return row
    return None


def _make_family(ctx: DdlContext, method: int, method_name: str, namespace: int, name: str) -> int:
    if ctx.rows.one("pg_opfamily", opfmethod=method, opfname=name, opfnamespace=namespace) is not None:
        raise DuplicateObject(f'operator family "{name}" for access method "{method_name}" already exists')
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_opfamily", oid=oid, opfmethod=method, opfname=name, opfnamespace=namespace, opfowner=ctx.user_oid
    )
    record_owner(ctx, CLASS_OPFAMILY, oid, ctx.user_oid)
    ctx.depend((CLASS_OPFAMILY, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    return oid


def create_operator_family(ctx: DdlContext, node: ast.CreateOpFamilyStmt) -> str:
    """CREATE OPERATOR FAMILY."""
    namespace, name = ctx.place(node.opfamilyname)
    method = known_method(ctx, node.amname)
    check_superuser(ctx, "must be superuser to create an operator family")
    _make_family(ctx, method, node.amname, namespace, name)
    ctx.changes.touch()
    return "CREATE OPERATOR FAMILY"


def create_operator_class(ctx: DdlContext, node: ast.CreateOpClassStmt) -> str:
    """CREATE OPERATOR CLASS."""
    namespace, name = ctx.place(node.opclassname)
    method = known_method(ctx, node.amname)
    check_superuser(ctx, "must be superuser to create an operator class")
    kind = type_of(ctx, node.datatype)
    if ctx.rows.one("pg_opclass", opcmethod=method, opcname=name, opcnamespace=namespace) is not None:
        raise DuplicateObject(f'operator class "{name}" for access method "{node.amname}" already exists')
    if node.isDefault:
        _check_default(ctx, name, kind, method, node.datatype.names[-1].sval)
    family = _family_of(ctx, node, method, namespace, name)
    operators, functions, stored = _items(ctx, node.items, kind, method)
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_opclass", oid=oid, opcmethod=method, opcname=name, opcnamespace=namespace, opcowner=ctx.user_oid,
        opcfamily=family, opcintype=kind, opcdefault=bool(node.isDefault), opckeytype=stored,
    )  # fmt: skip
    for strategy, operator in operators:
        entry = add_operator(ctx, family, method, strategy, operator)
        needed = method in (BTREE_AM, HASH_AM) and operator.left == operator.right
        _depends(ctx, entry, (CLASS_OPERATOR, operator.oid, 0), oid, family, needed)
    for number, function, left, right in functions:
        member = ctx.next_oid()
        ctx.rows.insert(
            "pg_amproc", oid=member, amprocfamily=family, amproclefttype=left, amprocrighttype=right,
            amprocnum=number, amproc=function,
        )  # fmt: skip
        needed = number in _NEEDED[method] and (left == right or method not in (BTREE_AM, HASH_AM))
        _depends(ctx, (CLASS_AMPROC, member, 0), (CLASS_PROC, function, 0), oid, family, needed)
    record_owner(ctx, CLASS_OPCLASS, oid, ctx.user_oid)
    ctx.depend((CLASS_OPCLASS, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
    ctx.depend((CLASS_OPCLASS, oid, 0), (CLASS_TYPE, kind, 0), "n")
    if stored:
        ctx.depend((CLASS_OPCLASS, oid, 0), (CLASS_TYPE, stored, 0), "n")
    ctx.depend((CLASS_OPCLASS, oid, 0), (CLASS_OPFAMILY, family, 0), "a")
    ctx.changes.touch(oid)
    return "CREATE OPERATOR CLASS"


def _depends(ctx: DdlContext, member: Address, on: Address, of_class: int, family: int, needed: bool) -> None:
    ctx.depend(member, on, "n" if needed else "a")
    if needed:
        ctx.depend(member, (CLASS_OPCLASS, of_class, 0), "i")
    else:
        ctx.depend(member, (CLASS_OPFAMILY, family, 0), "a")


def _check_default(ctx: DdlContext, name: str, kind: int, method: int, written: str) -> None:
    for item in ctx.view.operator_classes(method):
        if item.default and item.input_type == kind:
            raise DuplicateObject(
                f'could not make operator class "{name}" be default for type {written}',
                detail=f'Operator class "{item.name}" already is the default.',
            )


def _family_of(ctx: DdlContext, node: ast.CreateOpClassStmt, method: int, namespace: int, name: str) -> int:
    """The family named, else one of the class's own name, made when it is not there."""
    if node.opfamilyname:
        row = find_family(ctx, node.opfamilyname, method)
        if row is None:
            shown = ".".join(item.sval for item in node.opfamilyname)
            raise UndefinedObject(f'operator family "{shown}" does not exist for access method "{node.amname}"')
    else:
        row = ctx.rows.one("pg_opfamily", opfmethod=method, opfname=name, opfnamespace=namespace)
        if row is None:
            return _make_family(ctx, method, node.amname, namespace, name)
    if not ctx.owns(row.opfowner):
        raise InsufficientPrivilege(f"must be owner of operator family {row.opfname}")
    return int(row.oid)


_Member = tuple[int, int, int, int]


class MemberOperator(NamedTuple):
    """An operator of a class or family with its types. ``order``: the B-tree family of its result, by which it orders
    rows; 0: it is searched by."""

    oid: int
    left: int
    right: int
    order: int = 0


def add_operator(ctx: DdlContext, family: int, method: int, strategy: int, operator: MemberOperator) -> Address:
    """The row of pg_amop."""
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_amop", oid=oid, amopfamily=family, amoplefttype=operator.left, amoprighttype=operator.right,
        amopstrategy=strategy, amoppurpose="o" if operator.order else "s", amopopr=operator.oid, amopmethod=method,
        amopsortfamily=operator.order,
    )  # fmt: skip
    if operator.order:
        ctx.depend((CLASS_AMOP, oid, 0), (CLASS_OPFAMILY, operator.order, 0), "n")
    return CLASS_AMOP, oid, 0


def _items(
    ctx: DdlContext, items: Sequence[ast.CreateOpClassItem], kind: int, method: int
) -> tuple[list[tuple[int, MemberOperator]], list[_Member], int]:
    """Of the AS list (strategy, operator), (number, function, left, right), and the type that is stored, 0: the
    column's own."""
    operators: list[tuple[int, MemberOperator]] = []
    functions: list[_Member] = []
    stored = 0
    strategies, supports = LIMITS[method]
    for item in items:
        if item.itemtype == STORAGE:
            if stored:
                raise InvalidObjectDefinition("storage type specified more than once")
            stored = type_of(ctx, item.storedtype)
            continue
        if item.itemtype == OPERATOR:
            if not 0 < item.number <= strategies:
                raise InvalidObjectDefinition(
                    f"invalid operator number {item.number}, must be between 1 and {strategies}"
                )
            operators.append((item.number, member_operator(ctx, item, kind, method)))
        else:
            if not 0 < item.number <= supports:
                raise InvalidObjectDefinition(
                    f"invalid function number {item.number}, must be between 1 and {supports}"
                )
            functions.append((item.number, *_member_function(ctx, item, kind, method)))
    if stored == kind:
        stored = 0
    elif stored and method in (BTREE_AM, HASH_AM):
        name = METHODS_BY_OID[method].name
        raise InvalidObjectDefinition(f'storage type cannot be different from data type for access method "{name}"')
    check_once("operator", ctx, [(number, each.left, each.right) for number, each in operators])
    check_once("function", ctx, [(number, left, right) for number, _, left, right in functions])
    return operators, functions, stored


def check_once(what: str, ctx: DdlContext, keys: Sequence[tuple[int, int, int]]) -> None:
    """42P17 when (number, left, right) are there twice."""
    for number, left, right in keys:
        if keys.count((number, left, right)) > 1:
            shown = f"{format_type(ctx.view, left)},{format_type(ctx.view, right)}"
            raise InvalidObjectDefinition(f"{what} number {number} for ({shown}) appears more than once")


def member_operator(ctx: DdlContext, item: ast.CreateOpClassItem, kind: int, method: int) -> MemberOperator:
    """The operator of an item; of a class's type where it names no types."""
    order = 0
    if item.order_family:
        if not METHODS_BY_OID[method].distances:
            name = METHODS_BY_OID[method].name
            raise InvalidObjectDefinition(f'access method "{name}" does not support ordering operators')
        row = find_family(ctx, item.order_family, BTREE_AM)
        if row is None:
            shown = ".".join(each.sval for each in item.order_family)
            raise UndefinedObject(f'operator family "{shown}" does not exist for access method "btree"')
        order = row.oid
    given = argument_types(ctx, item.name) if item.name.objargs else None
    left, right = (kind, kind) if given is None else given
    found = find_operator(ctx, item.name.objname, left, right)
    if found is None:
        shown = shown_operator(ctx, ".".join(each.sval for each in item.name.objname), left, right)
        raise UndefinedFunction(f"operator does not exist: {shown}")
    if not order and found.result != oids.BOOL:
        raise InvalidObjectDefinition("index search operators must return boolean")
    return MemberOperator(found.oid, left, right, order)


def _member_function(ctx: DdlContext, item: ast.CreateOpClassItem, kind: int, method: int) -> tuple[int, int, int]:
    function = need_function(ctx, item.name.objname, argument_types(ctx, item.name))
    given = [type_of(ctx, each) for each in item.class_args or ()]
    left = given[0] if given else kind
    right = given[-1] if given else kind
    if method == 403 and item.number == 1:
        if len(function.arguments) != 2:
            raise InvalidObjectDefinition("btree comparison functions must have two arguments")
        if function.result != oids.INT4:
            raise InvalidObjectDefinition("btree comparison functions must return integer")
        if not given:
            left, right = function.arguments
    if method == 405 and item.number == 1:
        if len(function.arguments) != 1:
            raise InvalidObjectDefinition("hash function 1 must have one argument")
        if function.result != oids.INT4:
            raise InvalidObjectDefinition("hash function 1 must return integer")
    return function.oid, left, right
