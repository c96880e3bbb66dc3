"""crosstab: rows (row name, category, value) → a row for each row name, a column for each value (manual, F.43.1).

The form with one query takes values as they come; the one with a second query puts each under its category. Rows of a
row name follow each other: whoever calls sorts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from aurora.datum import Datum, Row
from aurora.errors import (
    DatatypeMismatch,
    DuplicateObject,
    InvalidParameterValue,
    InvariantViolation,
    NotSupported,
    SqlSyntaxError,
)
from compute_node.extensions.library import define
from compute_node.extensions.tablefunc.source import Fields, Source, Text, made
from compute_node.types.registry import FunctionContext, PgType, TypeEnv

Types = tuple[PgType, ...]
_CATEGORY_BYTES: Final = 62
"""Categories are told apart by so many"""
_ROW_ID_DIFFERS = "SQL rowid datatype does not match return rowid datatype."


# one query


def _crosstab(kinds: Types, fields: Fields) -> Callable[..., Datum]:
    def run(context: FunctionContext, sql: str, columns: int = 0) -> Iterator[Row]:
        source = Source(context, sql)
        if not source.count:
            return iter(())
        if len(source.kinds) != 3:
            raise InvalidParameterValue(
                "invalid source data SQL statement",
                detail="The provided SQL must return 3 columns: rowid, category, and values.",
            )
        if not fields:
            raise NotSupported("function returning record called in context that cannot accept type record")
        _check(fields, source)
        return _folded(source, fields, context.env)

    return run


def _check(fields: Fields, source: Source) -> None:
    """42804, 42601 unless the query's types are those of the rows that are wanted."""
    types = [0 if field.type is None else field.type.oid for field in fields]
    row_name, _, value = (kind.oid for kind in source.kinds)
    incompatible = SqlSyntaxError("return and sql tuple descriptions are incompatible")
    if len(types) < 2:
        raise incompatible
    if types[0] != row_name:
        raise DatatypeMismatch("invalid return type", detail=_ROW_ID_DIFFERS)
    if any(each != value for each in types[1:]):
        raise incompatible


def _folded(source: Source, fields: Fields, env: TypeEnv) -> Iterator[Row]:
    """Of each run of rows with one name the first values, as many as there are columns."""
    name: Text = None
    values: list[Text] | None = None
    for row_name, _, value in source.rows():
        if values is None or row_name != name:
            if values is not None:
                yield _row(fields, name, values, env)
            name, values = row_name, []
        if len(values) < len(fields) - 1:
            values.append(value)
    if values is not None:
        yield _row(fields, name, values, env)


def _row(fields: Fields, name: Text, values: list[Text], env: TypeEnv) -> Row:
    missing = len(fields) - 1 - len(values)
    return made(fields, [name, *values, *[None] * missing], env)


# two queries


def _crosstab_hash(kinds: Types, fields: Fields) -> Callable[..., Datum]:
    def run(context: FunctionContext, sql: str, categories_sql: str) -> Iterator[Row]:
        if len(fields) < 2:
            raise SqlSyntaxError("query-specified return tuple and crosstab function are not compatible")
        categories = _categories(context, categories_sql)
        source = Source(context, sql)
        if not source.count:
            return iter(())
        extra = len(source.kinds) - 2
        if not categories:
            raise SqlSyntaxError(_ONE_CATEGORY_COLUMN)
        if extra < 1:
            raise InvalidParameterValue(
                "invalid source data SQL statement",
                detail="The provided SQL must return 3  columns; rowid, category, and values.",
            )
        if len(fields) != extra + len(categories):
            raise SqlSyntaxError(
                "invalid return type",
                detail=f"Query-specified return tuple has {len(fields)} columns but crosstab returns"
                f" {extra + len(categories)}.",
            )
        return _placed(source, fields, categories, context.env)

    return run


_ONE_CATEGORY_COLUMN = 'provided "categories" SQL must return 1 column of at least one row'


def _categories(context: FunctionContext, sql: str) -> dict[bytes, int]:
    """The categories' places. 42601, 42710."""
    source = Source(context, sql)
    if source.is_query and len(source.kinds) != 1:
        raise SqlSyntaxError(_ONE_CATEGORY_COLUMN)
    found: dict[bytes, int] = {}
    for (name,) in source.rows() if source.is_query else ():
        if name is None:
            raise SqlSyntaxError('provided "categories" SQL must not return NULL values')
        key = _key(name)
        if key in found:
            raise DuplicateObject("duplicate category name")
        found[key] = len(found)
    return found


def _key(category: str) -> bytes:
    return category.encode()[:_CATEGORY_BYTES]


def _placed(source: Source, fields: Fields, categories: dict[bytes, int], env: TypeEnv) -> Iterator[Row]:
    """Of each run of rows with one name: the name, the columns before the category in its first row, the values under
    their categories, the last of several."""
    extra = len(source.kinds) - 2
    texts: list[Text] | None = None
    for row in source.rows():
        if texts is None or row[0] != texts[0]:
            if texts is not None:
                yield made(fields, texts, env)
            texts = [*row[:extra], *[None] * len(categories)]
        category = row[-2]
        place = None if category is None else categories.get(_key(category))
        if place is not None:
            texts[extra + place] = row[-1]
    if texts is not None:
        yield made(fields, texts, env)


def _without_columns(kinds: Types, result: PgType) -> Callable[..., Datum]:
    return _crosstab(kinds, result.root.fields)


def _not_materialized(kinds: Types, result: PgType) -> Callable[..., Datum]:
    """How a function runs that must be told which columns are wanted, where it is not."""

    def refuse(*_: Datum) -> Datum:
        raise NotSupported("materialize mode required, but it is not allowed in this context")

    return refuse


def declare_with_fields(
    symbol: str,
    arguments: int,
    with_fields: Callable[[Types, Fields], Callable[..., Datum]],
    otherwise: Callable[[Types, PgType], Callable[..., Datum]] = _not_materialized,
) -> None:
    """Declare a function that asks which columns its rows are to have; ``otherwise``: where the query does not say."""
    define(symbol, arguments, _unspecialized, specialize=otherwise, with_fields=with_fields, needs_context=True)


def _unspecialized(*_: Datum) -> Datum:
    raise InvariantViolation("a function of tablefunc was called without being specialized")


declare_with_fields("crosstab", 1, _crosstab, _without_columns)
declare_with_fields("crosstab", 2, _crosstab, _without_columns)
declare_with_fields("crosstab_hash", 2, _crosstab_hash)
