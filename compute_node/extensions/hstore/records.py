"""hstore and rows: ``hstore(record)``, ``populate_record`` (manual, F.18.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aurora.datum import Datum
from aurora.errors import DatatypeMismatch, SqlError, WrongObjectType
from compute_node.extensions.hstore.value import Hstore
from compute_node.extensions.library import define
from compute_node.types.json.render import is_row
from compute_node.types.record import Record, column_types, record_out
from compute_node.types.registry import FieldDesc, FunctionContext, PgType, TypeEnv


def _not_registered() -> SqlError:
    return WrongObjectType("record type has not been registered")


def _fields(kind: PgType, row: Datum) -> Sequence[FieldDesc]:
    """The columns of a row of that type; of an anonymous one the row must tell them. 42809."""
    if kind.root.fields:
        return kind.root.fields
    if row is None:
        raise _not_registered()
    types = column_types(row)
    names = row.names or tuple(f"f{number}" for number in range(1, len(types) + 1))
    return [FieldDesc(name, item) for name, item in zip(names, types, strict=True)]


def _from_record(kinds: tuple[PgType, ...], result: PgType) -> Callable[..., Datum]:
    (kind,) = kinds

    def make(context: FunctionContext, row: Datum) -> Hstore:
        return Hstore.of(_pairs(_fields(kind, row), row, context.env))

    return make


def _pairs(fields: Sequence[FieldDesc], row: Datum, env: TypeEnv) -> Iterator[tuple[str, str | None]]:
    for at, field in enumerate(fields):
        if field.type is None:
            continue
        value = None if row is None else row[at]
        if value is None:
            yield field.name, None
        else:
            yield field.name, record_out(value, env) if isinstance(value, Record) else field.type.output(value, env)


def _populate(kinds: tuple[PgType, ...], result: PgType) -> Callable[..., Datum]:
    kind = kinds[0]
    if not is_row(kind.root):
        raise DatatypeMismatch("first argument must be a rowtype")

    def populate(context: FunctionContext, row: Datum, value: Hstore | None) -> Datum:
        if row is None and not kind.root.fields:
            raise _not_registered()
        if value is None or (row is not None and not value.pairs):
            return row
        fields = _fields(kind, row)
        texts = value.pairs
        columns = [_column(field, row, at, texts.get(field.name), field.name in texts, context.env)
                   for at, field in enumerate(fields)]  # fmt: skip
        made = Record.of(columns, tuple(each.type for each in fields), tuple(each.name for each in fields))
        if kind.check is not None:
            kind.check(made, context.env)
        return made

    return populate


def _column(field: FieldDesc, row: Datum, at: int, text: str | None, is_given: bool, env: TypeEnv) -> Datum:
    """A column's value: the text's, else the row's. A new NULL passes the rules of a domain, too."""
    if field.type is None:
        return None
    if not is_given and row is not None:
        return row[at]
    if text is not None:
        return field.type.input(text, field.typmod, env)
    if field.type.check is not None:
        field.type.check(None, env)
    return None


def _unspecialized(*_: Datum) -> Datum:
    raise DatatypeMismatch("could not determine the type of a row")


define("hstore_from_record", 1, _unspecialized, specialize=_from_record, needs_context=True)
define("hstore_populate_record", 2, _unspecialized, specialize=_populate, needs_context=True)
