"""From statement text to a ``Statement``: the caches first, then parse, analyze, plan and build."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from pglast import ast, enums

from aurora.datum import Datum
from aurora.errors import SqlError
from compute_node.hub import HUB
from compute_node.session import read_after, transactions
from compute_node.session.lifting import MAX_VARIANTS, LiftedBinding, Shape, places, values_of
from compute_node.session.plan_choice import Family
from compute_node.session.plans import bounded_put
from compute_node.session.results import decode_text
from compute_node.session.state import SessionState
from compute_node.session.statement import OUTDATED, Params, Statement
from compute_node.sql.analyze.routines import RoutineBody
from compute_node.sql.literals import rewritten
from compute_node.sql.parse import RawStatement, parse
from compute_node.sql.planner.values import KnownValues
from compute_node.types.oids import UNKNOWN

QUERIES = (ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
_KEPT_UTILITIES = (
    ast.TransactionStmt, ast.VariableSetStmt, ast.VariableShowStmt, ast.ClosePortalStmt,
    ast.DeallocateStmt, ast.DiscardStmt,
)  # fmt: skip
"""Utility statements whose parse tree is kept: clients repeat them."""


KEPT_TEXT_BYTES = 64 << 10
"""Longer texts are not kept with their plans."""
_OF_WAITS = ("40", "55P03", "57")
"""Errors that are no matter of the text: a deadlock, a lock that cannot be had, a cancel."""


def is_query(node: ast.Node) -> bool:
    """Whether analysis and the executor run this statement; the others are utility statements."""
    return isinstance(node, QUERIES) and getattr(node, "intoClause", None) is None


def inner_query(node: ast.Node) -> ast.Node | None:
    """The query in a utility statement that is analyzed with it: of DECLARE, EXPLAIN, CREATE TABLE AS, SELECT INTO,
    CALL."""
    if isinstance(node, (ast.DeclareCursorStmt, ast.ExplainStmt, ast.CreateTableAsStmt)):
        return node.query
    return node if isinstance(node, (ast.SelectStmt, ast.CallStmt)) else None


def parameters(node: ast.Node) -> Iterator[ast.ParamRef]:
    """The ``$n`` of a parse tree."""
    if isinstance(node, tuple):
        HUB.pulse()
        for item in node:
            yield from parameters(item)
    elif isinstance(node, ast.ParamRef):
        yield node
    elif isinstance(node, ast.Node):
        for name in node:
            yield from parameters(getattr(node, name))


def is_exit(node: ast.Node) -> bool:
    """Whether a failed block lets this statement through: COMMIT, ROLLBACK, ROLLBACK TO, PREPARE TRANSACTION."""
    kinds = enums.TransactionStmtKind
    return isinstance(node, ast.TransactionStmt) and node.kind in (
        kinds.TRANS_STMT_COMMIT, kinds.TRANS_STMT_ROLLBACK, kinds.TRANS_STMT_ROLLBACK_TO, kinds.TRANS_STMT_PREPARE,
    )  # fmt: skip


def _fast(node: ast.Node) -> Any:
    """The function that runs a plain BEGIN, COMMIT or ROLLBACK."""
    kinds = enums.TransactionStmtKind
    if not isinstance(node, ast.TransactionStmt) or node.options or node.chain:
        return None
    if node.kind == kinds.TRANS_STMT_BEGIN:
        return transactions.plain_begin
    if node.kind == kinds.TRANS_STMT_START:
        return transactions.plain_start
    if node.kind == kinds.TRANS_STMT_COMMIT:
        return transactions.plain_commit
    if node.kind == kinds.TRANS_STMT_ROLLBACK:
        return transactions.plain_rollback
    return None


def utility_statement(
    session: SessionState, node: ast.Node, source: str, param_types: tuple[int, ...] = ()
) -> Statement:
    """A utility statement."""
    kinds = [session.type_of(oid or UNKNOWN) for oid in param_types]
    fast = _fast(node)
    if session.plans.counts is not None:
        fast = session.plans.counts.counting(fast, source)
    return Statement(source, 0, param_types, node=node, fast=fast, kinds=kinds)


def compile_statement(
    session: SessionState,
    statement: RawStatement,
    source: str,
    param_types: list[int],
    lifted: dict[int, int] | None = None,
    routine: RoutineBody | None = None,
    values: KnownValues | None = None,
    counted: bool = True,
) -> tuple[Statement, set[int]]:
    """Plan a query and take its relation locks; returns it and the offsets of the lifted literals that analysis
    looked at. Not ``counted``: its runs are a part of another statement's, for what is counted by statement."""
    if session.read_after_lsn:
        read_after.wait(session)
    transactions.ensure(session)
    given = list(param_types)
    while True:
        version = session.engine.catalog.version
        counts = session.plans.counts
        began_s = perf_counter() if counts is not None else 0.0
        executable, kept = session.engine.compile(
            statement, session, param_types, source, lifted or {}, routine, values
        )
        # A transaction that has changed the catalog plans for itself.
        private = session.txn is not None and session.txn.plans_alone
        if session.txn is not None and session.txn.undetached:
            version = OUTDATED  # nobody else has that partition, nor has this session after the transaction
        if counts is not None and counted and is_query(statement.node):
            counts.watch(session, executable, statement, source, param_types, perf_counter() - began_s)
        made = Statement(source, version, param_types, executable, shareable=not private)
        made.tally = session.plans.tally(session.engine, made.tag)
        made.span = None if lifted else (statement.start, statement.length)
        if private or made.validate(session):
            return made, kept
        param_types[:] = given


def is_ready(session: SessionState, statement: Statement) -> bool:
    """Whether it may run now: its plan is valid, and the transaction has its relation locks. May wait for them."""
    if session.read_after_lsn and not (statement.writes and session.forwarding is not None):
        read_after.wait(session)
    txn = session.txn
    if statement.version != session.engine.catalog.version or (txn is not None and txn.plans_alone):
        # Not at once: validate asks what is behind the version.
        if not statement.validate(session):
            return False
    if statement.node is not None:
        return True
    if txn is None:
        txn = transactions.ensure(session)
    if statement.locks in txn.weak_locks or session.engine.lock_relations(session, statement.locks):
        return True
    # The locks are held, but the catalog has changed while it waited for them.
    return statement.validate(session)


def parse_text(sql: bytes) -> tuple[str, list[RawStatement]]:
    """Text and statements. Raises 22021, 42601."""
    source = decode_text(sql)
    HUB.pulse()
    return source, parse(source)


def in_standard_literals(session: SessionState, sql: bytes) -> bytes:
    """The client's text, its literals written as the parser reads them."""
    rules = session.literal_rules
    if rules is None:
        return sql
    return rewritten(decode_text(sql), rules, lambda notice: session.notice(notice, "WARNING")).encode()


def parse_for_client(session: SessionState, sql: bytes) -> tuple[str, list[RawStatement]]:
    """``parse_text`` of what a client has sent, which hears of what the lexer says."""
    source, statements = parse_text(sql)
    for statement in statements[:1]:
        for severity, notice in statement.notices:
            session.notice(notice, severity)
    return source, statements


def single(session: SessionState, sql: bytes, statement: RawStatement, source: str, oids: tuple[int, ...]) -> Statement:
    """One parsed statement that is all of its text, put into the caches, unless the lexer says something of it, which
    the client hears each time."""
    node = statement.node
    if not is_query(node):
        utility = utility_statement(session, node, source, _inner_types(session, statement, source, oids))
        if isinstance(node, _KEPT_UTILITIES) and len(sql) <= 256 and not oids and not statement.notices:
            bounded_put(session.plans.utilities, sql, utility)
        return utility
    made, _ = compile_statement(session, statement, source, list(oids))
    if made.shareable and len(sql) <= KEPT_TEXT_BYTES and not statement.notices:
        bounded_put(session.space.texts, (sql, oids), made)
    return made


def _inner_types(session: SessionState, statement: RawStatement, source: str, oids: tuple[int, ...]) -> tuple[int, ...]:
    """The types of a utility statement's parameters, which are those of the query in it."""
    inner = inner_query(statement.node)
    if inner is None or "$" not in source or next(parameters(inner), None) is None:
        return oids
    if isinstance(inner, ast.SelectStmt) and inner.intoClause is not None:
        fields = {name: getattr(inner, name) for name in inner if name != "intoClause"}
        inner = ast.SelectStmt(**fields)
    types = list(oids)
    compile_statement(session, RawStatement(inner, statement.start, statement.length), source, types)
    return tuple(types)


def cached(session: SessionState, sql: bytes, oids: tuple[int, ...]) -> Statement | None:
    """A current statement of this very text."""
    found = session.plans.utilities.get(sql)
    if found is None:
        found = session.space.texts.get((sql, oids))
        if found is not None and not found.validate(session):
            return None
    return found


def lift_first_sight(
    session: SessionState, sql: bytes, key: bytes, literals: list[Datum]
) -> tuple[Statement, Params] | None:
    """Analyze a text with its literals' places, and remember the shape. None: analyze the text as it is (and if it is
    wrong, that gives the right error)."""
    shapes = session.space.shapes
    shape = shapes.get(key)
    if shape is not None and not shape.liftable:
        return None
    source, statements = parse_text(sql)
    session.query = source  # planning may wait
    if statements and statements[0].notices:
        return None
    found = places(statements[0], source, sql) if len(statements) == 1 and is_query(statements[0].node) else None
    if found is None:
        bounded_put(shapes, key, Shape(liftable=False))
        return None
    param_types: list[int] = []
    values = KnownValues(values_of(session, literals, found.negated), eager=False)
    try:
        made, kept = compile_statement(session, statements[0], source, param_types, found.slots, values=values)
    except SqlError as error:
        if error.sqlstate.startswith(_OF_WAITS):
            raise
        # Most likely wrong without lifting too; that analysis makes the error, and no shape is kept.
        return None
    pinned = {
        index
        for index in range(len(literals))
        if index not in found.slot_at
        or found.slot_at[index] in kept
        or index >= len(param_types)
        or not param_types[index]
    }
    lifted = LiftedBinding(made, literals, frozenset(pinned), found.negated)
    if made.shareable:
        if shape is None or shape.pinned != tuple(sorted(pinned)):
            shape = Shape(pinned=frozenset(pinned))
            bounded_put(shapes, key, shape)
        _join_family(session, shape, literals, lifted, values)
    return made, lifted.bind(literals, session.env, sql)


def _join_family(
    session: SessionState, shape: Shape, literals: list[Datum], lifted: LiftedBinding, values: KnownValues
) -> None:
    """Keep a plan under the literals in its key, and where estimates looked at others, under what they gave."""
    key = shape.key_of(literals)
    probes = lifted.statement.executable.planned.probes
    if probes:
        old = shape.variants.get(key)
        family = old.family if old is not None and old.family is not None else None
        if family is None or not family.asks_as(probes):
            family = Family(probes)
        lifted.family = family
        family.add(family.shares(session, values.of), lifted)
    bounded_put(shape.variants, key, lifted, MAX_VARIANTS)
