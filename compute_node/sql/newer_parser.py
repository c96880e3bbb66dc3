"""Parse trees of a pglast for a newer PostgreSQL in the shape of 15's: imported only when such a one is installed.

It is for environments that have not been brought up to date yet: the grammar is then the newer one's.
"""

from __future__ import annotations

from typing import Any

from pglast import ast


def _returning(node: Any) -> Any:
    clause = node.returningClause
    return None if clause is None else clause.exprs


def adapt() -> None:
    """Give the newer nodes the fields of 15."""
    for kind in (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt):
        kind.returningList = property(_returning)
    ast.MergeWhenClause.matched = property(lambda node: node.matchKind.name == "MERGE_WHEN_MATCHED")
    ast.GrantRoleStmt.admin_opt = property(lambda node: any(option.defname == "admin" for option in node.opt or ()))
