"""The simple query protocol (manual, chapter 55.2.2): one text, any number of statements, one implicit transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora.errors import UndefinedParameter
from aurora.kernels import lifter
from aurora.kernels import wire as wire_kernel
from compute_node.protocol import messages
from compute_node.session import prepare, transactions, utility
from compute_node.session.output import send_rows
from compute_node.session.plans import Plan
from compute_node.session.portals import Portal

if TYPE_CHECKING:
    from compute_node.session.session import Session
    from compute_node.sql.parse import RawStatement


def query(session: Session, sql: bytes) -> None:
    """Run a Query message to ReadyForQuery. Errors go to the caller, which answers them and says ready."""
    unnamed = session.portals.pop(b"", None)
    if unnamed is not None:
        unnamed.close()
    session.statements.pop(b"", None)
    session.interrupt_error = None
    if session.guarded:
        session.arm_timeout()
        try:
            _query(session, sql)
        finally:
            session.disarm_timeout()
    else:
        _query(session, sql)
    if session.block == 0 and session.txn is not None:
        transactions.commit(session)
    session.ready()


def _query(session: Session, sql: bytes) -> None:
    plan = session.plans.utilities.get(sql)
    if plan is not None:
        _run_utility(session, plan)
        return
    if session.block != transactions.FAILED:
        params: tuple[Any, ...] = ()
        if session.lift_literals:
            lifted = lifter.lift(sql)
            if lifted is not None:
                key, literals = lifted
                shape = session.space.shapes.get(key)
                if shape is not None and shape.liftable:
                    variant = shape.variants.get(shape.key_of(literals))
                    if variant is not None and prepare.is_ready(session, variant.plan):
                        session.query = variant.plan.source
                        run_query(session, variant.plan, variant.bind(literals, session.env, sql))
                        return
                if shape is None or shape.liftable:
                    first = prepare.lift_first_sight(session, sql, key, literals)
                    if first is not None:
                        plan, params = first
                        run_query(session, plan, params)
                        return
        plan = session.space.texts.get((sql, ()))
        if plan is not None and prepare.is_ready(session, plan):
            run_query(session, plan, ())
            return
    _general(session, sql)


def _general(session: Session, sql: bytes) -> None:
    source, statements = prepare.parse_text(sql)
    session.query = source
    if not statements:
        session.out.append(messages.EMPTY_QUERY)
        return
    if len(statements) == 1:
        statement = statements[0]
        _check(session, statement)
        _refuse_parameters(statement, source)
        plan = prepare.single(session, sql, statement, source, ())
        if plan.node is not None:
            _run_utility(session, plan)
        else:
            run_query(session, plan, ())
        return
    session.several_statements = True
    for statement in statements:
        _check(session, statement)
        if prepare.is_query(statement.node):
            _refuse_parameters(statement, source)
            plan, _ = prepare.compile_plan(session, statement, source, [])
            run_query(session, plan, ())
        else:
            text = source[statement.start : statement.start + statement.length]
            _run_utility(session, prepare.utility_plan(statement.node, text))


def _check(session: Session, statement: RawStatement) -> None:
    if session.block == transactions.FAILED and not prepare.is_exit(statement.node):
        raise session.failed_block()


def _refuse_parameters(statement: RawStatement, source: str) -> None:
    """42P02: a simple query has no parameters; those of PREPARE are its own."""
    if "$" in source and prepare.is_query(statement.node):
        for node in utility.parameters(statement.node):
            raise UndefinedParameter(f"there is no parameter ${node.number}", position=(node.location or 0) + 1)


def run_query(session: Session, plan: Plan, params: tuple[Any, ...]) -> None:
    """Run a planned query and send everything of it."""
    out = session.out
    context = session.begin_statement(plan.source)
    if plan.columns is None:
        out.append(messages.command_complete(plan.tag, plan.run(context, params)))
        return
    result = plan.formats.get(b"")
    if result is None:
        result = plan.format_for(b"")
    out.append(result.row_description)
    if plan.is_point:
        rows = plan.fetch_all(context, params)
        count = len(rows)
        if count:
            session.gated = True
            out.append(wire_kernel.encode_rows(rows, result.codes, result.converters, session.env))
    else:
        portal = Portal("", plan, params)
        portal.run_in(context)
        count = send_rows(session, portal, result, 0)
    out.append(messages.command_complete(plan.tag, count))


def _run_utility(session: Session, plan: Plan) -> None:
    session.plans.statements += 1
    if plan.fast is not None:
        session.out.append(plan.fast(session))
        return
    if session.block == transactions.FAILED and not prepare.is_exit(plan.node):
        raise session.failed_block()
    session.query = plan.source
    session.query_start = session.env.statement_timestamp = session.clock()
    utility.describe(session, plan)
    columns = plan.columns
    outcome = utility.execute(session, plan, ())
    if outcome.rows is None or columns is None:
        session.out.append(messages.command_tag(outcome.tag))
        return
    result = plan.format_for(b"")
    session.out.append(result.row_description)
    portal = Portal("", plan, ())
    portal.rows = outcome.rows
    count = send_rows(session, portal, result, 0)
    tag = outcome.tag
    session.out.append(
        messages.command_complete(tag.strip(), count) if tag.endswith(" ") else messages.command_tag(tag)
    )
