"""A column definition of CREATE or ALTER TABLE, taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field

from pglast import ast

from aurora.errors import NotSupported, UndefinedColumn
from compute_node.relations.descriptors import ColumnDesc, RelationDesc
from compute_node.sql.analyze.names import SYSTEM_COLUMNS


@dataclass(slots=True)
class ColumnSpec:
    """A column definition taken apart."""

    column: ColumnDesc
    dimensions: int = 0
    default: ast.Node | None = None
    default_text: str | None = None
    sequence: int | None = None
    """which ``default_text`` takes its values from"""
    serial: str | None = None
    identity: ast.Constraint | None = None
    generated: ast.Node | None = None
    keys: list[ast.Constraint] = field(default_factory=list)
    checks: list[ast.Constraint] = field(default_factory=list)
    foreign: list[ast.Constraint] = field(default_factory=list)


def live_column(desc: RelationDesc, name: str) -> ColumnDesc:
    """A column by name; 42703."""
    column = desc.column(name)
    if column is None:
        raise UndefinedColumn(f'column "{name}" of relation "{desc.name}" does not exist')
    return column


def altered_column(desc: RelationDesc, name: str) -> ColumnDesc:
    """A column that ALTER COLUMN names; 42703, 0A000."""
    if name in SYSTEM_COLUMNS:
        raise NotSupported(f'cannot alter system column "{name}"')
    return live_column(desc, name)
