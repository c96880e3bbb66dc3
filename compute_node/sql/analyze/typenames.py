"""Type names: ``TypeName`` nodes → (OID, typmod), and types → PostgreSQL's spelling (``format_type``)."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast

from aurora.errors import (
    InsufficientPrivilege,
    InvalidParameterValue,
    InvalidSchemaName,
    NotSupported,
    SqlSyntaxError,
    UndefinedObject,
)
from compute_node.relations.schema import NAMESPACE_CATALOG
from compute_node.sql.analyze.context import fail
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.parse import literal_location
from compute_node.types import oids
from compute_node.types.collation import Collation
from compute_node.types.registry import PgType
from compute_node.types.string_functions import quote_identifier

WITHOUT_LENGTH = {oids.BIT: '"bit"', oids.BPCHAR: "bpchar"}
"""Names of types that without their length would be read as those of length 1."""


def format_type(catalog: CatalogView, oid: int, typmod: int = -1) -> str:
    """The type as ``format_type()`` and error messages spell it."""
    if oid == 0:
        return "-"
    kind = catalog.type(oid)
    if is_true_array(kind):
        return format_type(catalog, kind.element, typmod) + "[]"
    if kind.namespace != NAMESPACE_CATALOG:
        name = quote_identifier(kind.name)
        if not catalog.type_is_visible(oid):
            name = f"{quote_identifier(catalog.type_name(oid)[0])}.{name}"
        return name + kind.typmod_out(typmod) if typmod >= 0 and kind.typmod_out is not None and not kind.base else name
    name = kind.formatted_name or kind.name
    if oid == oids.CHAR:
        name = '"char"'
    if typmod >= 0 and kind.typmod_out is not None:
        suffix = kind.typmod_out(typmod)
        for word in (" with time zone", " without time zone"):
            if name.endswith(word):
                return name[: -len(word)] + suffix.removesuffix(word) + word
        if oid == oids.BPCHAR:
            return "character" + suffix
        return name + suffix
    if oid == oids.BPCHAR:
        return "character" if typmod == -1 and name == "character" else name
    return name


def find_collation(catalog: CatalogView, names: Sequence[ast.String], location: int = -1) -> Collation:
    """The collation of a name; 42704, 3F000."""
    schema = names[-2].sval if len(names) > 1 else None
    try:
        found = catalog.find_collation(schema, names[-1].sval)
    except (InsufficientPrivilege, InvalidSchemaName) as error:
        raise fail(type(error), error.message, location) from None
    if found is None:
        shown = ".".join(item.sval for item in names)
        raise fail(UndefinedObject, f'collation "{shown}" for encoding "UTF8" does not exist', location)
    return found


def is_true_array(kind: PgType) -> bool:
    """An array type proper: variable length with an element type (not name, oidvector, int2vector)."""
    return bool(kind.element) and kind.length == -1 and kind.oid not in (oids.INT2VECTOR, oids.OIDVECTOR)


def _typmods(catalog: CatalogView, node: ast.TypeName, kind: PgType) -> int:
    if not node.typmods:
        return node.typemod if node.typemod is not None else -1
    if kind.typmod_in is None:
        raise fail(
            SqlSyntaxError, f"type modifier is not allowed for type {_quoted(kind, catalog)}", node.location or 0
        )
    texts = []
    for item in node.typmods:
        if isinstance(item, ast.A_Const) and item.val is not None:
            value = item.val
            texts.append(
                str(value.ival if isinstance(value, ast.Integer) else getattr(value, "fval", None) or value.sval)
            )
        elif isinstance(item, ast.ColumnRef) and len(item.fields) == 1:
            texts.append(item.fields[0].sval)
        else:
            raise fail(SqlSyntaxError, "type modifiers must be simple constants or identifiers", node.location or 0)
    try:
        return kind.typmod_in(texts)
    except InvalidParameterValue as error:
        error.position = (literal_location(node.typmods[0]) if isinstance(node.typmods[0], ast.A_Const) else 0) and (
            (node.location or 0) + 1
        )
        raise


def _quoted(kind: PgType, catalog: CatalogView) -> str:
    return format_type(catalog, kind.oid)


def _location(node: ast.TypeName) -> int:
    return node.location if node.location is not None else -1


def resolve_type_name(catalog: CatalogView, node: ast.TypeName) -> tuple[int, int]:
    """OID and typmod of a type name; arrays by their bounds. Raises 42704 ``type "x" does not exist``, 22023 from
    typmods."""
    if node.setof:
        raise fail(SqlSyntaxError, "SETOF is not allowed here", node.location or 0)
    if node.pct_type:
        raise NotSupported("%TYPE references are not supported here")
    names = [item.sval for item in node.names or ()]
    if len(names) == 3:
        names = names[1:]
    schema = names[0] if len(names) == 2 else None
    name = names[-1]
    try:
        kind = catalog.find_type(schema, name)
    except (InsufficientPrivilege, InvalidSchemaName) as error:
        raise fail(type(error), error.message, _location(node)) from None
    if kind is None and name.startswith("_"):
        kind = _array_by_name(catalog, schema, name[1:])
    if kind is None and name.endswith("[]"):
        kind = _array_by_name(catalog, schema, name[:-2])
    if kind is None:
        shown = f"{schema}.{name}" if schema else name
        suffix = "[]" * len(node.arrayBounds or ())
        raise fail(
            UndefinedObject,
            f'type "{shown}{suffix}" does not exist',
            node.location if node.location is not None else -1,
        )
    if kind.is_shell:
        raise fail(UndefinedObject, f'type "{format_type(catalog, kind.oid)}" is only a shell', _location(node))
    typmod = _typmods(catalog, node, kind)
    if node.arrayBounds and not is_true_array(kind):
        if not kind.array:
            shown = format_type(catalog, kind.oid)
            raise fail(UndefinedObject, f'type "{shown}[]" does not exist', node.location or 0)
        return kind.array, typmod
    return kind.oid, typmod


def _array_by_name(catalog: CatalogView, schema: str | None, element: str) -> PgType | None:
    kind = catalog.find_type(schema, element)
    return catalog.type(kind.array) if kind is not None and kind.array else None
