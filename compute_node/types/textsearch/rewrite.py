"""ts_rewrite: a part of a query replaced by another; ts_stat: how often lexemes occur (manual, 12.4.2.1 and 12.4.4).

For the search, nested ANDs and ORs become one operator of many operands, which are sorted.
"""

from __future__ import annotations

from typing import Final

from aurora.errors import InvalidParameterValue, InvariantViolation
from compute_node.hub import HUB
from compute_node.types.declare import fn
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import FunctionContext
from compute_node.types.textsearch.query import AND, NOT, OR, PHRASE, Node, TsQuery, bounded, lexeme_crc
from compute_node.types.textsearch.vector import TsVector

Key = tuple[object, ...]


class _Tree:
    """A lexeme's node, or an operator over any number of operands, the right one first."""

    __slots__ = ("children", "is_new", "node")

    def __init__(self, node: Node, children: list[_Tree]) -> None:
        self.node, self.children = node, children
        self.is_new = False
        """put in by the rewriting: not searched again"""

    @classmethod
    def of(cls, node: Node) -> _Tree:
        """Of a query's tree."""
        return cls(node, [cls.of(each) for each in (node.right, node.left) if each is not None])

    @property
    def key(self) -> Key:
        """What trees are compared by: operators first."""
        node = self.node
        if not node.operator:
            return 1, -lexeme_crc(node.lexeme), node.lexeme.encode()
        distance = node.distance if node.operator == PHRASE else 0
        return 0, -node.operator, -len(self.children), tuple(each.key for each in self.children), -distance

    def flatten(self) -> None:
        """AND of ANDs, OR of ORs become one."""
        for child in self.children:
            child.flatten()
        operator = self.node.operator
        if operator in (AND, OR):
            out: list[_Tree] = []
            for child in self.children:
                out += child.children if child.node.operator == operator else [child]
            self.children = out

    def sort(self) -> None:
        """Operands in order, but a phrase's."""
        for child in self.children:
            child.sort()
        if self.node.operator != PHRASE:
            self.children.sort(key=lambda each: each.key)

    def prepare(self) -> _Tree:
        """Ready to search or to be searched for."""
        self.flatten()
        self.sort()
        return self

    def binary(self) -> Node:
        """A query's tree again."""
        node = self.node
        if not node.operator:
            return node
        made = [each.binary() for each in self.children]
        if node.operator == NOT:
            return Node.join(NOT, None, made[0])
        while len(made) > 2:
            made[0] = Node.join(node.operator, made[1], made[0], node.distance)
            made[1] = made.pop()
        return Node.join(node.operator, made[1], made[0], node.distance)

    def settle(self) -> None:
        """Its new parts may be searched too from now on."""
        self.is_new = False
        for child in self.children:
            child.settle()


class _Rewriting:
    """One target and what takes its place (None: nothing)."""

    def __init__(self, target: TsQuery, substitute: TsQuery) -> None:
        if target.root is None:
            raise InvariantViolation("an empty target")
        self.target = _Tree.of(target.root).prepare()
        self.target_key = self.target.key
        self.keys = [child.key for child in self.target.children]
        self.substitute = substitute.root

    def _new(self) -> _Tree | None:
        if self.substitute is None:
            return None
        made = _Tree.of(self.substitute)
        made.is_new = True
        return made

    def run(self, tree: _Tree) -> _Tree | None:
        """The tree with each occurrence replaced."""
        HUB.pulse()
        found = self._at(tree)
        if found is None or found.is_new or not found.node.operator:
            return found
        kept = (self.run(child) for child in found.children)
        found.children = [child for child in kept if child is not None]
        if not found.children:
            return None
        if len(found.children) == 1 and found.node.operator != NOT:
            return found.children[0]
        return found

    def _at(self, tree: _Tree) -> _Tree | None:
        if tree.is_new or tree.node.operator != self.target.node.operator:
            return tree
        if len(tree.children) == len(self.keys):
            return self._new() if tree.key == self.target_key else tree
        if len(tree.children) > len(self.keys) > 0:
            self._collapse(tree)
        return tree

    def _collapse(self, tree: _Tree) -> None:
        """All operands of the target are among those of the tree: the substitute takes their place."""
        matched: set[int] = set()
        at = 0
        for number, child in enumerate(tree.children):
            if at == len(self.keys):
                break
            key = child.key
            if key == self.keys[at]:
                matched.add(number)
                at += 1
            elif key > self.keys[at]:
                break
        if len(matched) == len(self.keys):
            tree.children = [child for number, child in enumerate(tree.children) if number not in matched]
            made = self._new()
            if made is not None:
                tree.children.append(made)
            tree.sort()


def _result(tree: _Tree | None) -> TsQuery:
    return TsQuery(None if tree is None else tree.binary())


def _rewrite(query: TsQuery, target: TsQuery, substitute: TsQuery) -> TsQuery:
    if query.root is None or target.root is None:
        return query
    return _result(_Rewriting(target, substitute).run(_Tree.of(query.root).prepare()))


def _rewrite_by(context: FunctionContext, query: TsQuery, text: str) -> TsQuery:
    """By each row of a query: target, substitute. 22023 for rows of another form."""
    if query.root is None:
        return query
    tree: _Tree | None = _Tree.of(query.root).prepare()
    for row in context.run(text).rows:
        if len(row) != 2 or not all(each is None or isinstance(each, TsQuery) for each in row):
            raise InvalidParameterValue("ts_rewrite query must return two tsquery columns")
        target, substitute = row
        if target is None or substitute is None or target.root is None or tree is None:
            continue
        tree = _Rewriting(target, substitute).run(tree)
        if tree is not None:
            tree.settle()
            tree.prepare()
    return _result(tree)


_WEIGHTS: Final = {"a": 3, "b": 2, "c": 1, "d": 0}


def _stat(context: FunctionContext, text: str, weights: str = "") -> list[tuple[str, int, int]]:
    """word, documents, occurrences. 22023 for a query of another form."""
    chosen = {_WEIGHTS[letter] for letter in weights.lower() if letter in _WEIGHTS}
    counts: dict[str, list[int]] = {}
    for row in context.run(text).rows:
        if len(row) != 1 or not (row[0] is None or isinstance(row[0], TsVector)):
            raise InvalidParameterValue("ts_stat query must return one tsvector column")
        HUB.pulse()
        for lexeme, positions in () if row[0] is None else row[0].entries:
            times = sum(at >> 14 in chosen for at in positions) if chosen else len(positions) or 1
            if times:
                count = counts.setdefault(lexeme, [0, 0])
                count[0] += 1
                count[1] += times
    return [(lexeme, *counts[lexeme]) for lexeme in sorted(counts)]  # type: ignore[misc]


_STAT_COLUMNS = (("word", TYPE_OIDS["text"]), ("ndoc", TYPE_OIDS["int4"]), ("nentry", TYPE_OIDS["int4"]))
fn(3684, "ts_rewrite(tsquery, tsquery, tsquery) tsquery", bounded(_rewrite))
fn(3685, "ts_rewrite(tsquery, text) tsquery volatile", bounded(_rewrite_by), needs_context=True)
fn(
    3689,
    "ts_stat(text) setof record volatile",
    _stat,
    needs_context=True,
    argument_names=("query",),
    out_columns=_STAT_COLUMNS,
)
fn(
    3690,
    "ts_stat(text, text) setof record volatile",
    _stat,
    needs_context=True,
    argument_names=("query", "weights"),
    out_columns=_STAT_COLUMNS,
)
