"""Functions of tsqueries alone (manual, 9.13 and 12.4.2)."""

from __future__ import annotations

from compute_node.types.declare import fn, operators
from compute_node.types.textsearch.query import (
    AND,
    DISTANCE_MAX,
    NOT,
    OR,
    PHRASE,
    Node,
    TsQuery,
    bounded,
    distance_error,
    nodes,
    text_of,
)


def joined(operator: int, left: TsQuery, right: TsQuery, distance: int = 0) -> TsQuery:
    """Two queries joined; an empty one gives the other."""
    if left.root is None or right.root is None:
        return right if left.root is None else left
    return TsQuery(Node.join(operator, left.root, right.root, distance))


def _not(query: TsQuery) -> TsQuery:
    return query if query.root is None else TsQuery(Node.join(NOT, None, query.root))


def _phrase(left: TsQuery, right: TsQuery, distance: int = 1) -> TsQuery:
    if not 0 <= distance <= DISTANCE_MAX:
        raise distance_error()
    return joined(PHRASE, left, right, distance)


def _without_not(node: Node) -> Node | None:
    """What an index can look for."""
    if not node.operator:
        return node
    if node.operator == NOT or node.left is None or node.right is None:
        return None
    left, right = _without_not(node.left), _without_not(node.right)
    if left is None or right is None:
        return None if node.operator == OR else right if left is None else left
    return Node.join(node.operator, left, right, node.distance)


def _querytree(query: TsQuery) -> str:
    if query.root is None:
        return ""
    cleaned = bounded(_without_not)(query.root)
    return "T" if cleaned is None else text_of(TsQuery(cleaned))


def _lexemes(query: TsQuery) -> set[str]:
    return {node.lexeme for node in nodes(query.root) if not node.operator}


def _contains(query: TsQuery, part: TsQuery) -> bool:
    return _lexemes(part) <= _lexemes(query)


fn(3669, "tsquery_and(tsquery, tsquery) tsquery", lambda left, right: joined(AND, left, right))
fn(3670, "tsquery_or(tsquery, tsquery) tsquery", lambda left, right: joined(OR, left, right))
fn(3671, "tsquery_not(tsquery) tsquery", _not)
fn(5003, "tsquery_phrase(tsquery, tsquery) tsquery", _phrase)
fn(5004, "tsquery_phrase(tsquery, tsquery, int4) tsquery", _phrase)
fn(3672, "numnode(tsquery) int4", lambda query: sum(1 for _ in nodes(query.root)))
fn(3673, "querytree(tsquery) text", _querytree)
fn(3691, "tsq_mcontains(tsquery, tsquery) bool", _contains)
fn(3692, "tsq_mcontained(tsquery, tsquery) bool", lambda part, query: _contains(query, part))
operators("""
3680 tsquery && tsquery tsquery 3669
3681 tsquery || tsquery tsquery 3670
3682 - !! tsquery tsquery 3671
3693 tsquery @> tsquery bool 3691 commutator=3694
3694 tsquery <@ tsquery bool 3692 commutator=3693
5005 tsquery <-> tsquery tsquery 5003
""")
