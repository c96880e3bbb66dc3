"""Prepared statements of a session, from Parse or PREPARE: the declared side of binding, and revalidation."""

from __future__ import annotations

from aurora.errors import NotSupported, ProtocolViolation
from compute_node.protocol import messages
from compute_node.session import prepare
from compute_node.session.results import decode_parameters
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement
from compute_node.sql.parse import RawStatement


class Prepared:
    """A prepared statement, from Parse or PREPARE, and the binding of its declared parameters. ``statement`` None is
    an empty query. ``declared``: the types given for its parameters (0: to be found out). ``raw``: the statement of
    PREPARE, whose text is not the whole source."""

    __slots__ = ("codes", "created", "declared", "from_sql", "name", "raw", "source", "sql", "statement")

    def __init__(
        self, name: str, sql: bytes, source: str, declared: tuple[int, ...], statement: Statement | None
    ) -> None:
        self.name, self.sql, self.source, self.declared, self.statement = name, sql, source, declared, statement
        self.codes = statement.codes if statement is not None else b""
        self.from_sql = False
        self.created = 0
        self.raw: RawStatement | None = None

    @property
    def param_types(self) -> tuple[int, ...]:
        """The parameters' types."""
        return self.statement.param_types if self.statement is not None else self.declared

    def check_count(self, message: messages.Bind) -> None:
        """08P01 for a Bind with too many or too few values."""
        expected = len(self.param_types)
        if len(message.values) != expected:
            raise ProtocolViolation(
                f"bind message supplies {len(message.values)} parameters, but prepared statement"
                f' "{message.statement.decode()}" requires {expected}'
            )

    def bind(self, session: SessionState, message: messages.Bind) -> Params:
        """The parameters of a Bind message. Raises what the types' input raises."""
        statement = self.statement
        kinds = statement.kinds if statement is not None else tuple(map(session.type_of, self.declared))
        return decode_parameters(message, kinds, session.env)


def current_statement(session: SessionState, prepared: Prepared) -> Statement | None:
    """The statement with its relation locks taken, planned again when what it names has changed; 0A000 when its
    columns would differ."""
    statement = prepared.statement
    if statement is None or prepare.is_ready(session, statement):
        return statement
    types = list(statement.param_types)
    if prepared.raw is not None:
        fresh, _ = prepare.compile_statement(session, prepared.raw, prepared.source, types)
    else:
        found = prepare.cached(session, prepared.sql, statement.param_types)
        if found is not None and prepare.is_ready(session, found):
            fresh = found
        else:
            source, statements = prepare.parse_text(prepared.sql)
            fresh = prepare.single(session, prepared.sql, statements[0], source, statement.param_types)
    if not statement.same_result(fresh):
        error = NotSupported("cached plan must not change result type")
        error.routine = "RevalidateCachedQuery"
        raise error
    prepared.statement = fresh
    prepared.codes = fresh.codes
    return fresh
