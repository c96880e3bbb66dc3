"""Names in definitions: the grammar takes the value of a parameter for a word, a type or a list of words."""

from __future__ import annotations

from collections.abc import Sequence

from pglast import ast


def names_of(value: ast.Node | Sequence[ast.String]) -> Sequence[ast.String]:
    """The qualified name that a value is."""
    if isinstance(value, ast.String):
        return (value,)
    names: Sequence[ast.String] = value.names if isinstance(value, ast.TypeName) else value
    return names
