"""CREATE TYPE … AS RANGE: the range type, its multirange type, both array types, constructors and the cast between the
two. Source: PostgreSQL manual, CREATE TYPE and ch. 8.17.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pglast import ast

from aurora.datum import Datum
from aurora.errors import (
    DatatypeMismatch,
    DuplicateObject,
    InvalidObjectDefinition,
    NotSupported,
    SqlSyntaxError,
    UndefinedFunction,
    UndefinedObject,
    WrongObjectType,
)
from compute_node.catalog.builders import array_type_row, function_row, range_type_row
from compute_node.catalog.ddl.context import (
    CLASS_CAST,
    CLASS_NAMESPACE,
    CLASS_OPCLASS,
    CLASS_PROC,
    CLASS_TYPE,
    NAME_BYTES_MAX,
    DdlContext,
    cut_name,
)
from compute_node.catalog.ddl.definition_names import names_of
from compute_node.catalog.ddl.shared_depend import forget, record_owner
from compute_node.catalog.ddl.types import array_name, check_type_owner, type_name_taken, type_of, type_record
from compute_node.catalog.objects import INTERNAL_LANGUAGE
from compute_node.catalog.permissions import check_functions
from compute_node.relations.access_methods import BTREE
from compute_node.relations.schema import CATALOGS, FIRST_NORMAL_OID
from compute_node.sql.analyze.coercion import is_binary_coercible
from compute_node.sql.analyze.context import fail
from compute_node.sql.analyze.typenames import format_type
from compute_node.types import oids
from compute_node.types.ranges.types import CANONICAL
from compute_node.types.registry import PgType

_ATTRIBUTES = frozenset(
    {"subtype", "subtype_opclass", "collation", "canonical", "subtype_diff", "multirange_type_name"}
)
_CLASS_COLLATION = CATALOGS["pg_collation"].desc.oid


def create_range(ctx: DdlContext, node: ast.CreateRangeStmt) -> str:
    """CREATE TYPE … AS RANGE."""
    namespace, name = ctx.place(node.typeName)
    shell = _shell(ctx, namespace, name)
    if not shell and type_name_taken(ctx, namespace, name):
        raise DuplicateObject(f'type "{name}" already exists')
    given = _attributes(node.params or ())
    if "subtype" not in given:
        raise SqlSyntaxError('type attribute "subtype" is required')
    subtype = ctx.view.type(type_of(ctx, given["subtype"]))
    if subtype.kind == "p":
        raise DatatypeMismatch(f"range subtype cannot be {format_type(ctx.view, subtype.oid)}")
    operator_class = _operator_class(ctx, subtype, given.get("subtype_opclass"))
    collation = _collation(ctx, subtype, given.get("collation"))
    canonical = 0
    if "canonical" in given and shell:
        canonical = _canonical(ctx, shell, given["canonical"])
    elif "canonical" in given:
        raise InvalidObjectDefinition(
            "cannot specify a canonical function without a pre-created shell type",
            hint="Create the type as a shell type, then create its canonicalization function, "
            "then do a full CREATE TYPE.",
        )
    difference = _difference(ctx, subtype, given["subtype_diff"]) if "subtype_diff" in given else 0
    if "multirange_type_name" in given:
        multi_namespace, multi_name = ctx.place(names_of(given["multirange_type_name"]), checked=False)
        if (multi_namespace, multi_name) == (namespace, name) or type_name_taken(ctx, multi_namespace, multi_name):
            raise DuplicateObject(f'type "{multi_name}" already exists')
    else:
        multi_namespace, multi_name = namespace, _multirange_name(ctx, namespace, name)
    new = _NewRange(ctx, subtype, (namespace, name), (multi_namespace, multi_name), shell)
    new.types()
    ctx.rows.insert(
        "pg_range",
        rngtypid=new.oid,
        rngsubtype=subtype.oid,
        rngmultitypid=new.multi_oid,
        rngcollation=collation,
        rngsubopc=operator_class,
        rngcanonical=canonical,
        rngsubdiff=difference,
    )
    for class_oid, oid in (
        (CLASS_TYPE, subtype.oid),
        (CLASS_OPCLASS, operator_class),
        (_CLASS_COLLATION, collation),
        (CLASS_PROC, canonical),
        (CLASS_PROC, difference),
    ):
        ctx.depend((CLASS_TYPE, new.oid, 0), (class_oid, oid, 0), "n")
    new.constructors()
    ctx.changes.touch(new.oid, new.multi_oid)
    return "CREATE TYPE"


def _shell(ctx: DdlContext, namespace: int, name: str) -> int:
    """The shell of that name, which becomes the type; 0 without one."""
    oid = ctx.view.layer.type_oid(namespace, name)
    if oid is None or not ctx.view.type(oid).is_shell:
        return 0
    check_type_owner(ctx, oid)
    return oid


def _canonical(ctx: DdlContext, shell: int, argument: Any) -> int:
    """The function that makes the one form of a discrete range; 42883, 42P17, and 0A000 for one in another language
    than ``internal``."""
    schema, name = _split(argument)
    signature = f"{name}({format_type(ctx.view, shell)})"
    found = next((item for item in ctx.view.functions(schema, name) if item.arguments == (shell,)), None)
    if found is None:
        raise UndefinedFunction(f"function {signature} does not exist")
    if found.result != shell:
        raise InvalidObjectDefinition(f"range canonical function {signature} must return range type")
    if found.volatility != "i":
        raise InvalidObjectDefinition(f"range canonical function {signature} must be immutable")
    check_functions(ctx.view, ctx.user_oid, (found.oid,))
    if found.source not in CANONICAL:
        raise NotSupported(f"range canonical function {signature} is not supported")
    return found.oid


def _attributes(items: Sequence[ast.DefElem]) -> dict[str, Datum]:
    found: dict[str, Datum] = {}
    for item in items:
        if item.defname not in _ATTRIBUTES:
            raise SqlSyntaxError(f'type attribute "{item.defname}" not recognized')
        if item.defname in found:
            raise fail(SqlSyntaxError, "conflicting or redundant options", item.location or 0)
        found[item.defname] = item.arg
    return found


def _split(argument: Any) -> tuple[str | None, str]:
    parts = [item.sval for item in names_of(argument)]
    return parts[-2] if len(parts) > 1 else None, parts[-1]


def _operator_class(ctx: DdlContext, subtype: PgType, argument: Any) -> int:
    """The B-tree operator class that orders the subtype; 42704, 42804."""
    shown = format_type(ctx.view, subtype.oid)
    if argument is None:
        found = ctx.view.default_operator_class(subtype.oid, BTREE.oid)
        if found is None:
            raise UndefinedObject(
                f'data type {shown} has no default operator class for access method "btree"',
                hint="You must specify an operator class for the range type or define a default operator class "
                "for the subtype.",
            )
        return found.oid
    schema, name = _split(argument)
    found = ctx.view.find_operator_class(schema, name, BTREE.oid)
    if found is None:
        raise UndefinedObject(f'operator class "{name}" does not exist for access method "btree"')
    if not is_binary_coercible(ctx.view, subtype.oid, found.input_type):
        raise DatatypeMismatch(f'operator class "{name}" does not accept data type {shown}')
    if found.oid >= FIRST_NORMAL_OID:
        # Values are compared as their type compares them.
        default = ctx.view.default_operator_class(subtype.oid, BTREE.oid)
        if default is None or found.support[:1] != default.support[:1]:
            raise NotSupported(f'a range in the order of operator class "{name}" is not supported')
    return found.oid


def _collation(ctx: DdlContext, subtype: PgType, argument: Any) -> int:
    if argument is None:
        return subtype.collation
    if not subtype.collation:
        raise WrongObjectType("range collation specified but subtype does not support collation")
    schema, name = _split(argument)
    found = ctx.view.find_collation(schema, name)
    if found is None:
        raise UndefinedObject(f'collation "{name}" for encoding "UTF8" does not exist')
    return found.oid


def _difference(ctx: DdlContext, subtype: PgType, argument: Any) -> int:
    """The function of two values that says how far they are apart; 42883, 42P17."""
    schema, name = _split(argument)
    shown = format_type(ctx.view, subtype.oid)
    signature = f"{name}({shown}, {shown})"
    found = next(
        (item for item in ctx.view.functions(schema, name) if item.arguments == (subtype.oid, subtype.oid)), None
    )
    if found is None:
        raise UndefinedFunction(f"function {signature} does not exist")
    if found.result != oids.FLOAT8:
        raise InvalidObjectDefinition(f"range subtype diff function {signature} must return type double precision")
    if found.volatility != "i":
        raise InvalidObjectDefinition(f"range subtype diff function {signature} must be immutable")
    check_functions(ctx.view, ctx.user_oid, (found.oid,))
    return found.oid


def _multirange_name(ctx: DdlContext, namespace: int, name: str) -> str:
    """``floatrange`` → ``floatmultirange``; without a "range" in it ``f_multirange``."""
    if "range" in name:
        made = cut_name(name.replace("range", "multirange", 1))
    else:
        made = cut_name(name, NAME_BYTES_MAX - len("_multirange")) + "_multirange"
    if ctx.view.layer.type_oid(namespace, made) is not None:
        raise DuplicateObject(
            f'type "{made}" already exists',
            detail=f'Failed while creating a multirange type for type "{name}".',
            hint='You can manually specify a multirange type name using the "multirange_type_name" attribute.',
        )
    return made


class _NewRange:
    """The objects of one CREATE TYPE: OIDs and rows."""

    def __init__(
        self, ctx: DdlContext, subtype: PgType, name: tuple[int, str], multi_name: tuple[int, str], shell: int
    ) -> None:
        self.ctx = ctx
        self.subtype = subtype
        self.namespace, self.name = name
        self.multi_namespace, self.multi_name = multi_name
        self.array, self.multi_oid, self.multi_array = (ctx.next_oid() for _ in range(3))
        self.oid = shell or ctx.next_oid()
        if shell:
            # What refers to it stays; its own row is written anew.
            ctx.rows.delete("pg_type", type_record(ctx, shell))
            ctx.rows.delete_where("pg_depend", classid=CLASS_TYPE, objid=shell)
            forget(ctx, CLASS_TYPE, shell)

    def types(self) -> None:
        """Rows of pg_type."""
        ctx, owner = self.ctx, self.ctx.user_oid
        align = "d" if self.subtype.align == "d" else "i"
        for oid, kind, namespace, name, array in (
            (self.oid, "r", self.namespace, self.name, self.array),
            (self.multi_oid, "m", self.multi_namespace, self.multi_name, self.multi_array),
        ):
            ctx.rows.insert_many(
                "pg_type",
                [
                    range_type_row(oid, name, namespace, array, owner, kind, align),
                    array_type_row(array, array_name(ctx, namespace, name), namespace, oid, owner, align=align),
                ],
            )
            record_owner(ctx, CLASS_TYPE, oid, owner)
            ctx.depend((CLASS_TYPE, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
            ctx.depend((CLASS_TYPE, array, 0), (CLASS_TYPE, oid, 0), "i")
        ctx.depend((CLASS_TYPE, self.multi_oid, 0), (CLASS_TYPE, self.oid, 0), "i")

    def constructors(self) -> None:
        """Functions named as the types, and the cast of a range to its multirange."""
        bound = self.subtype.oid
        for symbol, arguments in (
            ("range_constructor2", [bound, bound]),
            ("range_constructor3", [bound, bound, oids.TEXT]),
        ):
            self._function(symbol, self.namespace, self.name, self.oid, arguments, {"proisstrict": False})
        multi = self.multi_namespace, self.multi_name, self.multi_oid
        self._function("multirange_constructor0", *multi, [], {})
        one = self._function("multirange_constructor1", *multi, [self.oid], {})
        variadic = {"provariadic": self.oid, "proargmodes": ["v"], "proallargtypes": [self.array]}
        self._function("multirange_constructor2", *multi, [self.array], variadic)
        ctx = self.ctx
        cast = ctx.next_oid()
        ctx.rows.insert(
            "pg_cast", oid=cast, castsource=self.oid, casttarget=self.multi_oid, castfunc=one,
            castcontext="e", castmethod="f",
        )  # fmt: skip
        for class_oid, oid in ((CLASS_TYPE, self.oid), (CLASS_TYPE, self.multi_oid), (CLASS_PROC, one)):
            ctx.depend((CLASS_CAST, cast, 0), (class_oid, oid, 0), "i")
        ctx.changes.touch(cast)

    def _function(
        self, symbol: str, namespace: int, name: str, result: int, arguments: list[int], values: dict[str, Datum]
    ) -> int:
        ctx = self.ctx
        oid = ctx.next_oid()
        common = {
            "prokind": "f",
            "prolang": INTERNAL_LANGUAGE,
            "prosrc": symbol,
            "prorettype": result,
            "proisstrict": True,
            "provolatile": "i",
            "proparallel": "s",
            "proowner": ctx.user_oid,
        }
        ctx.rows.insert_many("pg_proc", [function_row(oid, name, namespace, arguments, common | values)])
        record_owner(ctx, CLASS_PROC, oid, ctx.user_oid)
        ctx.depend((CLASS_PROC, oid, 0), (CLASS_NAMESPACE, namespace, 0), "n")
        for kind in dict.fromkeys([*arguments, result]):
            ctx.depend((CLASS_PROC, oid, 0), (CLASS_TYPE, kind, 0), "n")
        ctx.depend((CLASS_PROC, oid, 0), (CLASS_TYPE, result, 0), "i")
        ctx.changes.touch(oid)
        return oid
