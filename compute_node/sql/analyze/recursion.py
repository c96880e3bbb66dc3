"""WITH RECURSIVE: in which order its items are analyzed, and where an item may refer to itself (manual, 7.8.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pglast import ast

from aurora.errors import InvalidRecursion, NotSupported
from compute_node.sql.analyze.context import fail

_UNION, _INTERSECT, _EXCEPT = 1, 2, 3
_TERM, _SUBLINK, _OUTER_JOIN = "its non-recursive term", "a subquery", "an outer join"
_CHANGES = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)

Seen = Callable[[ast.RangeVar, str], None]


def _children(node: ast.Node) -> Iterator[ast.Node]:
    for attribute in node:
        value = getattr(node, attribute)
        if isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, (ast.Node, tuple)))
        elif isinstance(value, ast.Node):
            yield value


class _Walker:
    """Tells ``seen`` each reference to an item of that name, and where it stands: what it is inside of."""

    def __init__(self, name: str, seen: Seen) -> None:
        self._name, self._seen = name, seen

    def walk(self, node: object, place: str = "") -> None:
        """Below a node; an inner WITH item of the name hides the outer one."""
        if isinstance(node, tuple):
            for item in node:
                self.walk(item, place)
        elif isinstance(node, ast.RangeVar):
            if node.relname == self._name and not node.schemaname:
                self._seen(node, place)
        elif isinstance(node, ast.SelectStmt):
            self._select(node, place)
        elif isinstance(node, _CHANGES):
            if not self._with(node.withClause, place):
                for child in _children(node):
                    if child is not node.withClause:
                        self.walk(child, place)
        elif isinstance(node, ast.JoinExpr):
            self._join(node, place)
        elif isinstance(node, ast.SubLink):
            self.walk(node.testexpr, place)
            self.walk(node.subselect, place or _SUBLINK)
        elif isinstance(node, ast.Node):
            for child in _children(node):
                self.walk(child, place)

    def _with(self, clause: ast.WithClause | None, place: str) -> bool:
        """Whether the clause hides the name from what it belongs to."""
        if clause is None:
            return False
        hidden = False
        own = any(item.ctename == self._name for item in clause.ctes)
        for item in clause.ctes:
            if not hidden and not (clause.recursive and own):
                self.walk(item.ctequery, place)
            hidden = hidden or item.ctename == self._name
        return hidden

    def _select(self, node: ast.SelectStmt, place: str) -> None:
        if self._with(node.withClause, place):
            return
        operation = int(node.op or 0)
        if operation in (_INTERSECT, _EXCEPT):
            inside = "INTERSECT" if operation == _INTERSECT else "EXCEPT"
            # What ALL counts may not grow; of a set, only what is taken away may not.
            self.walk(node.larg, place or (inside if node.all else ""))
            self.walk(node.rarg, place or (inside if node.all or operation == _EXCEPT else ""))
            rest = (node.sortClause, node.limitOffset, node.limitCount)
            for each in rest:
                self.walk(each, place)
            return
        for child in _children(node):
            if child is not node.withClause:
                self.walk(child, place)

    def _join(self, node: ast.JoinExpr, place: str) -> None:
        kind = int(node.jointype)  # inner, left, full, right
        self.walk(node.larg, place or (_OUTER_JOIN if kind in (2, 3) else ""))
        self.walk(node.rarg, place or (_OUTER_JOIN if kind in (1, 2) else ""))
        self.walk(node.quals, place)


def references(node: object, name: str) -> bool:
    """Whether a parse tree refers to a WITH item of that name outside of it."""
    found: list[ast.RangeVar] = []
    _Walker(name, lambda item, _: found.append(item)).walk(node)
    return bool(found)


def in_order(clause: ast.WithClause) -> list[ast.CommonTableExpr]:
    """The items so that each comes after those that it refers to; 0A000 for two that refer to each other."""
    items = list(clause.ctes)
    needed = {
        id(item): [other for other in items if other is not item and references(item.ctequery, other.ctename)]
        for item in items
    }
    remaining, done = items, []
    while remaining:
        ready = next((item for item in remaining if not any(other in remaining for other in needed[id(item)])), None)
        if ready is None:
            raise fail(NotSupported, "mutual recursion between WITH items is not implemented", _location(remaining[0]))
        done.append(ready)
        remaining = [item for item in remaining if item is not ready]
    return done


def _location(item: ast.CommonTableExpr) -> int:
    return item.location if item.location is not None else -1


def check_recursion(item: ast.CommonTableExpr) -> None:
    """42P19 and 0A000 for an item that refers to itself where it may not."""
    node, name, location = item.ctequery, item.ctename, _location(item)
    if isinstance(node, _CHANGES):
        raise fail(InvalidRecursion, f'recursive query "{name}" must not contain data-modifying statements', location)
    if int(node.op or 0) != _UNION:
        raise _bad_form(name, location)
    if node.withClause is not None:
        _check_with(name, node.withClause)
    _check_clauses(node, location)
    count = 0

    def in_left(found: ast.RangeVar, _: str) -> None:
        raise _misplaced(name, _TERM, found)

    def in_right(found: ast.RangeVar, place: str) -> None:
        nonlocal count
        if place:
            raise _misplaced(name, place, found)
        count += 1
        if count > 1:
            message = f'recursive reference to query "{name}" must not appear more than once'
            raise fail(InvalidRecursion, message, found.location if found.location is not None else 0)

    hidden = node.withClause is not None and any(each.ctename == name for each in node.withClause.ctes)
    if hidden:
        return
    _Walker(name, in_left).walk(node.larg)
    _Walker(name, in_right).walk(node.rarg)
    if not count:
        raise _bad_form(name, location)


def _check_with(name: str, clause: ast.WithClause) -> None:
    """The item may not be referred to from a WITH inside it."""

    def refuse(found: ast.RangeVar, _: str) -> None:
        raise _misplaced(name, _SUBLINK, found)

    for item in clause.ctes:
        if any(each.ctename == name for each in clause.ctes):
            return
        _Walker(name, refuse).walk(item.ctequery)


def _check_clauses(node: ast.SelectStmt, location: int) -> None:
    from compute_node.sql.analyze.expressions import expression_location

    for clause, what in (
        (node.sortClause, "ORDER BY"),
        (node.limitOffset, "OFFSET"),
        (node.limitCount, "LIMIT"),
        (node.lockingClause, "FOR UPDATE/SHARE"),
    ):
        if clause:
            first = clause[0] if isinstance(clause, tuple) else clause
            first = first.node if isinstance(first, ast.SortBy) else first
            where = -1 if isinstance(first, ast.LockingClause) else expression_location(first)
            raise fail(NotSupported, f"{what} in a recursive query is not implemented", where)


def _bad_form(name: str, location: int) -> Exception:
    message = f'recursive query "{name}" does not have the form non-recursive-term UNION [ALL] recursive-term'
    return fail(InvalidRecursion, message, location)


def _misplaced(name: str, place: str, found: ast.RangeVar) -> Exception:
    message = f'recursive reference to query "{name}" must not appear within {place}'
    return fail(InvalidRecursion, message, found.location if found.location is not None else 0)
