"""Rule: ON CONFLICT (columns, expressions) WHERE … → the unique indexes that are meant.

An index fits when its columns and expressions are exactly the named ones, and the WHERE implies its predicate; an index
without a predicate fits with any WHERE. Source: PostgreSQL manual, INSERT, conflict_target.
"""

from __future__ import annotations

from aurora.errors import InvalidColumnReference
from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.expressions import Var
from compute_node.sql.planner.fold import fold
from compute_node.sql.planner.index_columns import index_columns
from compute_node.sql.planner.index_proof import Proof
from compute_node.sql.planner.quals import conjuncts
from compute_node.sql.planner.state import Statement
from compute_node.sql.query import ArbiterInference


def infer_arbiters(
    statement: Statement, relation: RelationDesc, rte: int, inference: ArbiterInference
) -> tuple[int, ...]:
    """The OIDs of the indexes; 42P10 when none fits."""
    catalog = statement.catalog
    wanted = [fold(catalog, item) for item in inference.expressions]
    quals = [] if inference.where is None else conjuncts(fold(catalog, inference.where))
    found = []
    for index in relation.indexes:
        if not index.unique or not index.valid:
            continue
        known = index_columns(catalog, relation, index, rte)
        expressions = [column for column in known.columns if not isinstance(column, Var)]
        attnos = {column.attno for column in known.columns if isinstance(column, Var)}
        if attnos != inference.attnos:
            continue
        if any(item not in expressions for item in wanted) or any(item not in wanted for item in expressions):
            continue
        if Proof(catalog, quals, statement.decisive_literals).implies(known.predicate):
            found.append(index.oid)
    if not found:
        raise InvalidColumnReference(
            "there is no unique or exclusion constraint matching the ON CONFLICT specification"
        )
    return tuple(found)
