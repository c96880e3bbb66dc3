"""A column definition of CREATE or ALTER TABLE, taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field

from pglast import ast

from compute_node.relations.descriptors import ColumnDesc


@dataclass(slots=True)
class ColumnSpec:
    """A column definition taken apart."""

    column: ColumnDesc
    dimensions: int = 0
    default: ast.Node | None = None
    default_text: str | None = None
    serial: str | None = None
    identity: ast.Constraint | None = None
    generated: ast.Node | None = None
    keys: list[ast.Constraint] = field(default_factory=list)
    checks: list[ast.Constraint] = field(default_factory=list)
    foreign: list[ast.Constraint] = field(default_factory=list)
