"""An index's columns and predicate as expressions of a query: analyzed once a descriptor, placed at a range entry."""

from __future__ import annotations

from dataclasses import dataclass

from compute_node.relations.access_methods import METHODS
from compute_node.relations.descriptors import IndexDesc, RelationDesc
from compute_node.sql.analyze.stored import analyze_stored
from compute_node.sql.catalog_view import CatalogView
from compute_node.sql.expressions import Call, Const, Expr, Param, Var, children, map_children
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.inline import Inliner
from compute_node.sql.planner.quals import conjuncts
from compute_node.sql.rewrite import deep_map
from compute_node.types.registry import OperatorClass


@dataclass(frozen=True, slots=True)
class IndexColumns:
    """Key columns as expressions, and the conjuncts of a partial index's predicate, over ``Var(rte=…)``."""

    columns: tuple[Expr, ...]
    predicate: tuple[Expr, ...]


def index_columns(catalog: CatalogView, relation: RelationDesc, index: IndexDesc, rte: int) -> IndexColumns:
    """The index's columns as a query writes them whose range entry ``rte`` the table is."""
    if not index.expressions and index.predicate is None:
        plain = (relation.columns[attno - 1] for attno in index.columns)
        return IndexColumns(tuple(Var(type=c.type, typmod=c.typmod, rte=rte, attno=c.attno) for c in plain), ())
    cache = relation.extra.setdefault("index_columns", {})
    found = cache.get((index.oid, rte))
    if found is None:
        found = cache[index.oid, rte] = _analyzed(catalog, relation, index, rte)
    return found  # type: ignore[no-any-return]


def _analyzed(catalog: CatalogView, relation: RelationDesc, index: IndexDesc, rte: int) -> IndexColumns:
    def placed(text: str) -> Expr:
        def place(node: Expr, depth: int) -> Expr:
            if isinstance(node, Var) and node.rte == 0 and node.levels_up == depth:
                return Var(type=node.type, typmod=node.typmod, rte=rte, attno=node.attno, levels_up=depth)
            return node

        stored = Inliner(catalog, None).expression(analyze_stored(catalog, relation, text, "INDEX"))
        return deep_map(fold(catalog, stored), place)

    texts = iter(index.expressions)
    columns: list[Expr] = []
    for attno in index.columns:
        if attno:
            column = relation.columns[attno - 1]
            columns.append(Var(type=column.type, typmod=column.typmod, rte=rte, attno=attno))
        else:
            columns.append(placed(next(texts)))
    predicate = () if index.predicate is None else tuple(conjuncts(placed(index.predicate)))
    return IndexColumns(tuple(columns), predicate)


def column_class(catalog: CatalogView, index: IndexDesc, position: int, column: Expr) -> OperatorClass | None:
    """The operator class of an index column; its type's default one where the descriptor names none."""
    if index.operator_classes:
        return catalog.operator_class(index.operator_classes[position])
    return catalog.default_operator_class(column.type, METHODS[index.method].oid)


def same_but_literals(stored: Expr, written: Expr, literals: list[Param]) -> bool:
    """Whether an expression of a query is the stored one, where a literal that was lifted out (a Param) may stand for a
    constant; these are gathered in ``literals``."""
    if isinstance(stored, Const) and isinstance(written, Param):
        literals.append(written)
        return stored.type == written.type
    if stored == written:
        return True
    if type(stored) is not type(written) or not isinstance(stored, Expr) or stored.type != written.type:
        return False
    ones, others = children(stored), children(written)
    if map_children(stored, _hole) != map_children(written, _hole) or len(ones) != len(others):
        return False
    return bool(ones) and all(same_but_literals(one, other, literals) for one, other in zip(ones, others, strict=True))


def _hole(_: Expr) -> Expr:
    return _HOLE


_HOLE = Const(type=0, value=None)


def commuted(catalog: CatalogView, node: Call) -> Call | None:
    """``b op' a`` for ``a op b``; None when the operator has no commutator."""
    operator = catalog.operator(node.operator)
    if not operator.commutator:
        return None
    other = catalog.operator(operator.commutator)
    left, right = node.arguments
    return Call(
        type=node.type,
        typmod=node.typmod,
        function=other.function,
        operator=other.oid,
        arguments=(right, left),
        display=node.display,
    )


def is_usable(catalog: CatalogView, index: IndexDesc) -> bool:
    """Whether a statement may read by the index: it has all rows that the statement's snapshot sees."""
    return index.valid and index.ready and index.oid not in catalog.unusable
