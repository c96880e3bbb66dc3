"""PARTITION BY: the clause → a row of pg_partitioned_table and what the key depends on."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pglast import ast

from aurora.errors import (
    DatatypeMismatch,
    IndeterminateCollation,
    InvalidObjectDefinition,
    InvalidParameterValue,
    InvalidTableDefinition,
    SqlError,
    TooManyColumns,
    UndefinedColumn,
    UndefinedObject,
)
from compute_node.catalog.ddl.context import CLASS_COLLATION, CLASS_OPCLASS, CLASS_RELATION, DdlContext
from compute_node.catalog.ddl.expressions import is_immutable, partition_expression, uses, without_place
from compute_node.catalog.ddl.indexes import operator_class
from compute_node.relations.access_methods import BTREE, HASH
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.partitions import HASH as BY_HASH
from compute_node.relations.partitions import LIST as BY_LIST
from compute_node.relations.partitions import STRATEGIES
from compute_node.sql.analyze.names import SYSTEM_COLUMNS
from compute_node.sql.analyze.typenames import find_collation, format_type
from compute_node.sql.expressions import Const
from compute_node.types import oids
from compute_node.types.collation import INDETERMINATE

_COLUMNS_MAX = 32
_LETTERS = {name.lower(): letter for letter, name in STRATEGIES.items()}


@dataclass(frozen=True, slots=True)
class _KeyColumn:
    """A column (attno) or expression (text) of the key, with its type, collation and the columns that it reads."""

    attno: int
    text: str
    type: int
    typmod: int
    collation: int
    uses: tuple[int, ...]


def check_strategy(node: ast.PartitionSpec) -> str:
    """The letter of the strategy. 22023, 42P17, 54011."""
    letter = _LETTERS.get(node.strategy.lower())
    if letter is None:
        raise InvalidParameterValue(f'unrecognized partitioning strategy "{node.strategy}"')
    if letter == BY_LIST and len(node.partParams) > 1:
        raise InvalidObjectDefinition('cannot use "list" partition strategy with more than one column')
    if len(node.partParams) > _COLUMNS_MAX:
        raise TooManyColumns(f"cannot partition using more than {_COLUMNS_MAX} columns")
    return letter


def store_key(ctx: DdlContext, desc: RelationDesc, node: ast.PartitionSpec) -> None:
    """Make a new table a partitioned one. 42703, 42P16, 42P17, 42704, 42804."""
    letter = check_strategy(node)
    columns: list[_KeyColumn] = []
    classes: list[int] = []
    for number, element in enumerate(node.partParams, 1):
        column = _column(ctx, desc, element) if element.name else _expression(ctx, desc, element, number)
        if element.collation:
            column = _collated(ctx, column, element)
        elif column.collation == INDETERMINATE:
            raise IndeterminateCollation(
                "could not determine which collation to use for partition expression",
                hint="Use the COLLATE clause to set the collation explicitly.",
            )
        columns.append(column)
        classes.append(_operator_class(ctx, column.type, element, letter))
    expressions = [[each.text, each.type, each.typmod] for each in columns if not each.attno]
    ctx.rows.insert(
        "pg_partitioned_table",
        partrelid=desc.oid,
        partstrat=letter,
        partnatts=len(columns),
        partdefid=0,
        partattrs=[each.attno for each in columns],
        partclass=classes,
        partcollation=[each.collation for each in columns],
        partexprs=json.dumps(expressions) if expressions else None,
    )
    own = (CLASS_RELATION, desc.oid, 0)
    for column, chosen in zip(columns, classes, strict=True):
        ctx.depend(own, (CLASS_OPCLASS, chosen, 0), "n")
        if column.collation:
            ctx.depend(own, (CLASS_COLLATION, column.collation, 0), "n")
        if not column.attno:
            ctx.depend_on_text(own, column.text)
    for attno in dict.fromkeys(attno for column in columns for attno in column.uses):
        # The key's columns go with the table, and never by themselves.
        ctx.depend((CLASS_RELATION, desc.oid, attno), own, "i")
    ctx.changes.touch(desc.oid)


def _column(ctx: DdlContext, desc: RelationDesc, element: ast.PartitionElem) -> _KeyColumn:
    name, position = element.name, (element.location or 0) + 1
    if name in SYSTEM_COLUMNS:
        raise InvalidObjectDefinition(f'cannot use system column "{name}" in partition key', position=position)
    column = desc.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" named in partition key does not exist', position=position)
    if column.generated:
        raise _generated(name, position)
    return _KeyColumn(column.attno, "", column.type, column.typmod, column.collation, (column.attno,))


def _generated(name: str, position: int) -> SqlError:
    return InvalidObjectDefinition(
        "cannot use generated column in partition key", detail=f'Column "{name}" is a generated column.',
        position=position,
    )  # fmt: skip


def _expression(ctx: DdlContext, desc: RelationDesc, element: ast.PartitionElem, number: int) -> _KeyColumn:
    position = (element.location or 0) + 1
    if isinstance(element.expr, ast.A_Const) and (element.expr.isnull or isinstance(element.expr.val, ast.String)):
        raise InvalidTableDefinition(f"partition key column {number} has pseudo-type unknown")
    with without_place():
        found, stored = partition_expression(ctx, element.expr, desc)
    if stored.type == oids.UNKNOWN or ctx.view.type(stored.type).kind == "p":
        kind = format_type(ctx.view, stored.type)
        raise InvalidTableDefinition(f"partition key column {number} has pseudo-type {kind}")
    if stored.attno:
        column = desc.columns[stored.attno - 1]
        if column.generated:
            raise _generated(column.name, position)
        return _KeyColumn(stored.attno, "", column.type, column.typmod, stored.collation, stored.uses)
    if any(attno < 0 for attno in stored.uses):
        raise InvalidObjectDefinition("partition key expressions cannot contain system column references")
    for attno in stored.uses:
        if attno and desc.columns[attno - 1].generated:
            raise _generated(desc.columns[attno - 1].name, position)
    if not is_immutable(ctx.view, found):
        raise InvalidObjectDefinition("functions in partition key expression must be marked IMMUTABLE")
    if isinstance(found, Const) or not uses(found):
        raise InvalidObjectDefinition("cannot use constant expression as partition key")
    read = tuple(attno for attno in stored.uses if attno)
    return _KeyColumn(0, stored.text, stored.type, found.typmod, stored.collation, read)


def _collated(ctx: DdlContext, column: _KeyColumn, element: ast.PartitionElem) -> _KeyColumn:
    found = find_collation(ctx.view, element.collation)
    if not ctx.view.type(column.type).collation:
        raise DatatypeMismatch(f"collations are not supported by type {format_type(ctx.view, column.type)}")
    return _KeyColumn(column.attno, column.text, column.type, column.typmod, found.oid, column.uses)


def _operator_class(ctx: DdlContext, kind: int, element: ast.PartitionElem, letter: str) -> int:
    method = HASH if letter == BY_HASH else BTREE
    if not element.opclass and ctx.view.default_operator_class(kind, method.oid) is None:
        raise UndefinedObject(
            f'data type {format_type(ctx.view, kind)} has no default operator class for access method "{method.name}"',
            hint=f"You must specify a {method.name} operator class or define a default {method.name} operator class"
            " for the data type.",
        )
    return operator_class(ctx, kind, element.opclass, method, any_code=letter == BY_HASH)
