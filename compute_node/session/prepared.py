"""Prepared statements of a session, from Parse or PREPARE: the declared side of binding, revalidation, and which plan a
run has."""

from __future__ import annotations

from aurora.errors import NotSupported, ProtocolViolation
from compute_node.protocol import messages
from compute_node.session import prepare
from compute_node.session.plan_choice import Family, PlanChoice, planning_cost
from compute_node.session.results import decode_parameters
from compute_node.session.state import SessionState
from compute_node.session.statement import Params, Statement
from compute_node.sql.expressions import Const, Param
from compute_node.sql.parse import RawStatement
from compute_node.sql.planner.values import KnownValues


class Prepared:
    """A prepared statement, from Parse or PREPARE, and the binding of its declared parameters. ``statement`` None is
    an empty query. ``declared``: the types given for its parameters (0: to be found out). ``raw``: the statement of
    PREPARE, whose text is not the whole source. ``choice`` counts its runs; unnamed ones of one text share it.
    ``quick``: its statement, when every run has that very plan (``settled``); None as long as a run has to choose.
    """

    __slots__ = (
        "_parsed", "_statement", "choice", "codes", "created", "declared", "from_sql", "name", "quick", "raw", "source",
        "sql",
    )  # fmt: skip

    def __init__(
        self, name: str, sql: bytes, source: str, declared: tuple[int, ...], statement: Statement | None
    ) -> None:
        self.name, self.sql, self.source, self.declared = name, sql, source, declared
        self.choice = PlanChoice() if name or statement is None else statement.choice
        self.statement = statement
        self.codes = statement.codes if statement is not None else b""
        self.from_sql = False
        self.created = 0
        self.raw: RawStatement | None = None
        self._parsed: RawStatement | None = None

    @property
    def statement(self) -> Statement | None:
        """It with its generic plan; None is an empty query."""
        return self._statement

    @statement.setter
    def statement(self, statement: Statement | None) -> None:
        self._statement = statement
        only_one = statement is not None and (not statement.param_types or not statement.has_custom)
        self.quick: Statement | None = statement if only_one else None

    @property
    def parsed(self) -> RawStatement:
        """Its parse tree."""
        if self.raw is not None:
            return self.raw
        if self._parsed is None:
            self._parsed = prepare.parse_text(self.sql)[1][0]
        return self._parsed

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
    chooses = prepared.quick is None
    prepared.statement = fresh
    if chooses:
        prepared.quick = None
    prepared.codes = fresh.codes
    return fresh


def to_run(session: SessionState, prepared: Prepared, statement: Statement, params: Params) -> tuple[Statement, bool]:
    """The prepared statement, which is current, with the plan for a run with these values; and whether that is one for
    these values (a custom plan). The run is counted."""
    choice = prepared.choice
    if not params or statement.node is not None:
        choice.generics += 1
        return statement, False
    generic = statement.executable.planned
    if not choice.wants_custom(str(session.settings.get("plan_cache_mode")), generic.plan.total_cost):
        choice.generics += 1
        prepared.quick = statement
        return statement, False
    differs = statement.has_custom or None in params
    custom = _custom(session, prepared, statement, params) if differs else statement
    planned = custom.executable.planned
    operator_cost = session.settings.get("cpu_operator_cost")
    choice.add_custom(planned.plan.total_cost + planning_cost(planned, float(operator_cost)))
    return custom, True


def settled(session: SessionState, prepared: Prepared, statement: Statement, params: Params) -> bool:
    """Whether the run of a ``quick`` statement with these values has its own plan, and then the run is counted. A plan
    of no other values is the same one, but for NULLs, of which no operator is true."""
    return None not in params and to_run(session, prepared, statement, params)[0] is statement


def known_values(params: Params, placed: bool = True) -> KnownValues:
    """The values of parameters, for the planner."""

    def value(param: Param) -> Const | None:
        if param.number > len(params):
            return None
        return Const(type=param.type, typmod=param.typmod, value=params[param.number - 1])

    return KnownValues(value, placed)


def _custom(session: SessionState, prepared: Prepared, statement: Statement, params: Params) -> Statement:
    """A plan for these values: where they decide nothing but estimates one that was made for others may do."""
    planned = statement.executable.planned
    # No operator is true of NULL, so that one decides, too.
    values = known_values(params, planned.values_decide or None in params)
    family: Family[Statement] | None = None
    shares: tuple[int, ...] = ()
    if not values.placed:
        family = statement.family
        if family is None:
            family = statement.family = Family(planned.probes)
        shares = family.shares(session, values.of)
        found = family.at(shares)
        if found is not None and prepare.is_ready(session, found):
            return found
    types = list(statement.param_types)
    custom, _ = prepare.compile_statement(session, prepared.parsed, prepared.source, types, values=values)
    if family is not None and custom.shareable and statement.shareable:
        family.add(shares, custom)
    return custom
