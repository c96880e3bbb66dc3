"""CREATE OPERATOR CLASS and OPERATOR FAMILY over existing operators and functions (PostgreSQL manual, ch. 38.16)."""

from __future__ import annotations

from collections.abc import Sequence

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
    operators, functions = _items(ctx, node.items, kind, method)
    oid = ctx.next_oid()
    ctx.rows.insert(
        "pg_opclass", oid=oid, opcmethod=method, opcname=name, opcnamespace=namespace, opcowner=ctx.user_oid,
        opcfamily=family, opcintype=kind, opcdefault=bool(node.isDefault),
    )  # fmt: skip
    for strategy, operator, left, right in operators:
        member = ctx.next_oid()
        ctx.rows.insert(
            "pg_amop", oid=member, amopfamily=family, amoplefttype=left, amoprighttype=right,
            amopstrategy=strategy, amoppurpose="s", amopopr=operator, amopmethod=method,
        )  # fmt: skip
        needed = method in (BTREE_AM, HASH_AM) and left == right
        _depends(ctx, (CLASS_AMOP, member, 0), (CLASS_OPERATOR, operator, 0), oid, family, needed)
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


def _items(
    ctx: DdlContext, items: Sequence[ast.CreateOpClassItem], kind: int, method: int
) -> tuple[list[_Member], list[_Member]]:
    """(strategy, operator, left, right) and (number, function, left, right) of the AS list."""
    operators: list[_Member] = []
    functions: list[_Member] = []
    strategies, supports = LIMITS[method]
    for item in items:
        if item.itemtype == STORAGE:
            if type_of(ctx, item.storedtype) != kind:
                name = "btree" if method == BTREE_AM else "hash"
                raise InvalidObjectDefinition(
                    f'storage type cannot be different from data type for access method "{name}"'
                )
            continue
        if item.itemtype == OPERATOR:
            if not 0 < item.number <= strategies:
                raise InvalidObjectDefinition(
                    f"invalid operator number {item.number}, must be between 1 and {strategies}"
                )
            operators.append((item.number, *member_operator(ctx, item, kind, method)))
        else:
            if not 0 < item.number <= supports:
                raise InvalidObjectDefinition(
                    f"invalid function number {item.number}, must be between 1 and {supports}"
                )
            functions.append((item.number, *_member_function(ctx, item, kind, method)))
    for members, what in ((operators, "operator"), (functions, "function")):
        seen = set()
        for number, _, left, right in members:
            if (number, left, right) in seen:
                shown = f"{format_type(ctx.view, left)},{format_type(ctx.view, right)}"
                raise InvalidObjectDefinition(f"{what} number {number} for ({shown}) appears more than once")
            seen.add((number, left, right))
    return operators, functions


def member_operator(ctx: DdlContext, item: ast.CreateOpClassItem, kind: int, method: int) -> tuple[int, int, int]:
    """(operator, left, right) of an item; of a class's type where it names no types."""
    if item.order_family and method in (403, 405):
        name = "btree" if method == BTREE_AM else "hash"
        raise InvalidObjectDefinition(f'access method "{name}" does not support ordering operators')
    if item.order_family:
        raise NotSupported("ordering operators are not supported")
    given = argument_types(ctx, item.name) if item.name.objargs else None
    left, right = (kind, kind) if given is None else given
    found = find_operator(ctx, item.name.objname, left, right)
    if found is None:
        shown = shown_operator(ctx, ".".join(each.sval for each in item.name.objname), left, right)
        raise UndefinedFunction(f"operator does not exist: {shown}")
    if found.result != oids.BOOL:
        raise InvalidObjectDefinition("index search operators must return boolean")
    return found.oid, left, right


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
