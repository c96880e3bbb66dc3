"""Names of output columns that have no alias (manual 7.3.2: the name is chosen from the expression)."""

from __future__ import annotations

from pglast import ast

_FIXED: dict[type, str] = {
    ast.A_ArrayExpr: "array",
    ast.RowExpr: "row",
    ast.CoalesceExpr: "coalesce",
    ast.GroupingFunc: "grouping",
    ast.XmlSerialize: "xmlserialize",
}


_XML: dict[str, str] = {
    f"IS_{name.upper()}": name for name in ("xmlconcat", "xmlelement", "xmlforest", "xmlparse", "xmlpi", "xmlroot")
}


def column_name(node: ast.Node) -> str:
    """The output column's name for an expression's parse node; ``?column?`` when nothing suggests one."""
    return _name(node)[0] or "?column?"


def _name(node: ast.Node) -> tuple[str | None, int]:
    """(name, strength): 2 a good name, 1 a weak one (a cast's type), 0 none."""
    if isinstance(node, ast.ColumnRef):
        for item in reversed(node.fields):
            if isinstance(item, ast.String):
                return item.sval, 2
        return None, 0
    if isinstance(node, ast.A_Indirection):
        for item in reversed(node.indirection):
            if isinstance(item, ast.String):
                return item.sval, 2
        return _name(node.arg)
    if isinstance(node, ast.FuncCall):
        return node.funcname[-1].sval, 2
    if isinstance(node, ast.A_Expr):
        return ("nullif", 2) if node.kind.name == "AEXPR_NULLIF" else (None, 0)
    if isinstance(node, ast.TypeCast):
        name, strength = _name(node.arg)
        if strength <= 1 and node.typeName is not None:
            return node.typeName.names[-1].sval, 1
        return name, strength
    if isinstance(node, ast.CollateClause):
        return _name(node.arg)
    if isinstance(node, ast.SubLink):
        kind = node.subLinkType.name
        if kind == "EXISTS_SUBLINK":
            return "exists", 2
        if kind == "ARRAY_SUBLINK":
            return "array", 2
        if kind == "EXPR_SUBLINK":
            return _subselect_name(node.subselect)
        return None, 0
    if isinstance(node, ast.CaseExpr):
        name, strength = _name(node.defresult)
        return (name, strength) if strength > 1 else ("case", 1)
    if isinstance(node, ast.MinMaxExpr):
        return ("greatest" if node.op.name == "IS_GREATEST" else "least"), 2
    if isinstance(node, ast.SQLValueFunction):
        name = node.op.name.removeprefix("SVFOP_").removesuffix("_N").lower()
        return name, 2
    if isinstance(node, ast.XmlExpr):
        name = _XML.get(node.op.name)
        return (name, 2) if name is not None else (None, 0)
    fixed = _FIXED.get(type(node))
    return (fixed, 2) if fixed is not None else (None, 0)


def _subselect_name(node: ast.SelectStmt) -> tuple[str | None, int]:
    while node.larg is not None:
        node = node.larg
    if node.targetList:
        first = node.targetList[0]
        return (first.name, 2) if first.name else _name(first.val)
    return ("column1", 2) if node.valuesLists else (None, 0)
