"""What the functions ask in SQL, as texts: rows of a query that may change nothing, and a row made of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aurora.datum import Datum, Row
from compute_node.types.common import errors_of_query
from compute_node.types.long_text import paced
from compute_node.types.record import Record, record_out
from compute_node.types.registry import FieldDesc, FunctionContext, PgType, SqlResult, TypeEnv

Fields = Sequence[FieldDesc]
Text = str | None


class Source:
    """The rows of a query. ``kinds``: the types of its columns, ``typmods`` are not known of them."""

    def __init__(self, context: FunctionContext, sql: str) -> None:
        """Runs it. Errors are the query's; 0A000 for one that would change something."""
        self._env = context.env
        with errors_of_query(sql):
            self._result: SqlResult = context.run(sql)

    @property
    def is_query(self) -> bool:
        """Whether it gave rows, if only none: no command did."""
        return self._result.columns is not None

    @property
    def count(self) -> int:
        """How many rows it gave."""
        return len(self._result.rows) if self.is_query else 0

    @property
    def kinds(self) -> Sequence[PgType]:
        """The types of its columns."""
        return self._result.kinds

    def rows(self) -> Iterator[list[Text]]:
        """The rows as texts."""
        for row in paced(self._result.rows):
            yield [shown(value, kind, self._env) for value, kind in zip(row, self.kinds, strict=True)]


def shown(value: Datum, kind: PgType, env: TypeEnv) -> Text:
    """A value as its type's output function gives it."""
    if value is None:
        return None
    return record_out(value, env) if isinstance(value, Record) else kind.output(value, env)


def made(fields: Fields, texts: Sequence[Text], env: TypeEnv) -> Row:
    """A row of the texts, as the columns' input functions read them. 22P02 and friends."""
    values: list[Datum] = []
    for field, text in zip(fields, texts, strict=True):
        kind = field.type
        if kind is None or text is None:
            if kind is not None and kind.check is not None:
                kind.check(None, env)
            values.append(None)
        else:
            values.append(kind.input(text, field.typmod, env))
    return Record.of(values, tuple(each.type for each in fields), tuple(each.name for each in fields))
