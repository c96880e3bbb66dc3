"""connectby: the rows of a tree, from a key down, each with its level (manual, F.43.1.5).

A query for each row finds those whose parent it is; they come depth first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from aurora.datum import Datum, Row
from aurora.errors import DatatypeMismatch, InvalidRecursion, SqlError
from compute_node.extensions.tablefunc.crosstab import Types, declare_with_fields
from compute_node.extensions.tablefunc.source import Fields, Source, Text, made
from compute_node.hub import HUB
from compute_node.types import oids
from compute_node.types.registry import FieldDesc, FunctionContext, PgType
from compute_node.types.string_functions import quote_literal

_DELIMITER: Final = "~"
"""Between the keys of a branch that is not shown"""


class _Tree(NamedTuple):
    """The table's name and columns, as the caller writes them; ``order``: what siblings are ordered by."""

    table: str
    key: str
    parent: str
    order: str | None
    depth_max: int
    delimiter: str

    def children(self, of: str) -> str:
        """The query for the rows below a key."""
        wanted = f"{self.parent} = {quote_literal(of)} AND {self.key} IS NOT NULL AND {self.key} <> {self.parent}"
        ordered = "" if self.order is None else f" ORDER BY {self.order}"
        return f"SELECT {self.key}, {self.parent} FROM {self.table} WHERE {wanted}{ordered}"


class _Walk:
    """One call. Rows are texts: key, parent, level, then the branch and a serial number where they are wanted."""

    def __init__(self, context: FunctionContext, tree: _Tree, fields: Fields, branch: bool) -> None:
        self.context, self.tree, self.fields = context, tree, fields
        self.branch = branch
        self.serial = 0

    def rows(self, start: str) -> Iterator[Row]:
        """All rows from a key down. 42P19 where a key is its own ancestor."""
        yield self.row(start, None, 0, start)
        left = [(start, self.children(start))] if self.reaches(1) else []
        while left:
            HUB.pulse()
            branch, children = left[-1]
            found = next(children, None)
            if found is None:
                left.pop()
                continue
            key, parent = found
            if key is None:
                yield self.row(None, parent, len(left), branch)
                continue
            mark = self.tree.delimiter
            if f"{mark}{key}{mark}" in f"{mark}{branch}{mark}":
                raise InvalidRecursion("infinite recursion detected")
            below = f"{branch}{mark}{key}"
            yield self.row(key, parent, len(left), below)
            if self.reaches(len(left) + 1):
                left.append((below, self.children(key)))

    def reaches(self, level: int) -> bool:
        """Whether rows of the level are wanted."""
        return self.tree.depth_max <= 0 or level <= self.tree.depth_max

    def children(self, key: str) -> Iterator[tuple[Text, Text]]:
        """Key and parent of the rows below a key."""
        source = Source(self.context, self.tree.children(key))
        if source.count:
            self.check(source)
            for each, parent, *_ in source.rows():
                yield each, parent

    def check(self, source: Source) -> None:
        """42804 unless the query's types are those that are wanted."""
        if len(source.kinds) < 2:
            raise _invalid("Query must return at least two columns.")
        for what, field, kind in zip(("key", "parent key"), self.fields, source.kinds, strict=False):
            if field.type is None or field.type.oid != kind.oid:
                wanted, found = (_shown(self.context, each) for each in (field.type, kind))
                raise _invalid(f"SQL {what} field type {wanted} does not match return {what} field type {found}.")

    def row(self, key: Text, parent: Text, level: int, branch: str) -> Row:
        """The next row."""
        texts = [key, parent, str(level)]
        if self.branch:
            texts.append(branch)
        if self.tree.order is not None:
            self.serial += 1
            texts.append(str(self.serial))
        return made(self.fields, texts, self.context.env)


def _shown(context: FunctionContext, kind: PgType | None) -> str:
    return "-" if kind is None else str(context.session.catalog_function("format_type", kind.oid, None))


def _invalid(detail: str) -> SqlError:
    return DatatypeMismatch("invalid return type", detail=detail)


def _check_fields(fields: Fields, branch: bool, serial: bool) -> None:
    """42804 unless the columns are those of connectby."""
    if len(fields) != 3 + branch + serial:
        raise _invalid("Query-specified return tuple has wrong number of columns.")
    types = [_oid(field) for field in fields]
    if types[0] != types[1]:
        raise _invalid("First two columns must be the same type.")
    if types[2] != oids.INT4:
        raise _invalid("Third column must be type integer.")
    if branch and types[3] != oids.TEXT:
        raise _invalid("Fourth column must be type text.")
    if serial and types[-1] != oids.INT4:
        place = "fifth" if branch else "fourth"
        raise DatatypeMismatch(
            f"query-specified return tuple not valid for Connectby: {place} column must be type integer"
        )


def _oid(field: FieldDesc) -> int:
    return 0 if field.type is None else field.type.oid


def _connectby(serial: bool, kinds: Types, fields: Fields) -> Callable[..., Datum]:
    def run(context: FunctionContext, table: str, key: str, parent: str, *rest: Datum) -> Iterator[Row]:
        order, rest = (rest[0], rest[1:]) if serial else (None, rest)
        start, depth_max, *delimiter = rest
        branch = bool(delimiter)
        _check_fields(fields, branch, serial)
        tree = _Tree(table, key, parent, order, depth_max, delimiter[0] if branch else _DELIMITER)
        return _Walk(context, tree, fields, branch).rows(start)

    return run


for _symbol, _serial, _least in (("connectby_text", False, 5), ("connectby_text_serial", True, 6)):
    for _arguments in (_least, _least + 1):
        declare_with_fields(_symbol, _arguments, partial(_connectby, _serial))
