"""Whether a text, read again, is the query that it was written from.

Two analyzed queries are the same when they read the same columns of the same relations by the same functions, and give
columns of the same names and types. What the text need not keep is not compared: places in the source, names that a
query has only for itself, and whether a cast was written or implied.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from compute_node.relations.descriptors import RelationDesc
from compute_node.sql.expressions import And, Call, Const, Expr, Or
from compute_node.sql.query import JoinItem, Query, RangeEntry

_CASTS = frozenset({"cast", "coercion"})
_IGNORED: dict[str, frozenset[str]] = {
    "Query": frozenset(
        {"kept_literals", "relations", "privileges", "momentary", "stars", "param_types", "order_written", "procedure"}
    ),
    "RangeEntry": frozenset({"alias", "written", "lateral", "column_names", "join_aliases"}),
    "Target": frozenset({"table", "column", "written"}),
    "Window": frozenset({"written"}),
    "CommonTable": frozenset({"written"}),
}
_OF_CASTS = frozenset({"implicit", "explicit"})
_OF_RELATIONS = frozenset({"relation", "sample", "kind"})
"""what counts of a range entry of a relation: that may have got columns since"""


_KNOWN: dict[type, Sequence[str]] = {}
"""the fields of a class that are compared"""


def same_query(one: Query, other: Query) -> bool:
    """Whether they are the same."""
    waiting: list[tuple[object, object]] = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        if left is right:
            continue
        if type(left) is not type(right):
            return False
        if isinstance(left, RelationDesc) and isinstance(right, RelationDesc):
            if left.oid != right.oid:
                return False
        elif isinstance(left, Const) and isinstance(right, Const):
            if (left.type, left.typmod) != (right.type, right.typmod) or not _same_value(left.value, right.value):
                return False
        elif isinstance(left, (And, Or)) and isinstance(right, (And, Or)):
            # Parentheses that the grammar leaves out.
            waiting.append((list(_flat(left, type(left))), list(_flat(right, type(left)))))
        elif dataclasses.is_dataclass(left):
            waiting += _parts(left, right)
        elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
            if len(left) != len(right):
                return False
            waiting += zip(left, right, strict=True)
        elif left != right:
            return False
    return True


def _flat(node: Expr, kind: type[And | Or]) -> Iterator[Expr]:
    """What is joined by AND, or by OR, however deep."""
    if isinstance(node, kind):
        for each in node.arguments:
            yield from _flat(each, kind)
    else:
        yield node


def _parts(left: object, right: object) -> Iterator[tuple[object, object]]:
    """What must be the same of two nodes of one class."""
    for name in _compared(type(left)):
        if name == "display" and isinstance(left, Call) and isinstance(right, Call):
            if not _CASTS.issuperset({left.display, right.display}):
                yield left.display, right.display
        elif isinstance(left, JoinItem) and isinstance(right, JoinItem) and name == "using":
            yield [part[1:] for part in left.using], [part[1:] for part in right.using]
        elif isinstance(left, RangeEntry) and left.relation is not None and name not in _OF_RELATIONS:
            continue
        elif isinstance(left, RangeEntry) and left.kind == "join" and name != "kind":
            # Its columns stand where they are used.
            continue
        else:
            yield getattr(left, name), getattr(right, name)


def _compared(kind: type) -> Sequence[str]:
    names = _KNOWN.get(kind)
    if names is None:
        names = _KNOWN[kind] = _fields(kind)
    return names


def _fields(kind: type) -> Sequence[str]:
    ignored = _IGNORED.get(kind.__name__, frozenset())
    if issubclass(kind, Expr):
        ignored = _OF_CASTS | {"location"}
    return [each.name for each in dataclasses.fields(kind) if each.name not in ignored]


def _same_value(left: object, right: object) -> bool:
    """Not a number is one, and 1.0 is not 1.00."""
    return type(left) is type(right) and (repr(left) == repr(right) or (left == right and str(left) == str(right)))
