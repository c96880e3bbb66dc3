"""FunctionCall (manual, 55.2.6): a function by its OID, outside SQL; libpq calls those of large objects so.

It runs as ``SELECT f($1, …)`` with parameters of the function's own types, so privileges, transactions and errors are
those of any statement.
"""

from __future__ import annotations

from typing import Final

from aurora.errors import InternalError, NotSupported, ProtocolViolation, UndefinedFunction
from aurora.kernels import wire as wire_kernel
from compute_node.protocol import messages
from compute_node.session import door, prepare, transactions
from compute_node.session.encoded import converted_fields, received_value
from compute_node.session.results import decode_parameters
from compute_node.session.sinks import RowList
from compute_node.session.state import FAILED, IDLE, SessionState
from compute_node.sql.deparse.expressions import quote_identifier
from compute_node.types.charsets.charset import charset
from compute_node.types.charsets.names import UTF8
from compute_node.types.registry import Function

_ROW_HEAD: Final = 7
"""Bytes of a DataRow before its first column"""


def call(session: SessionState, data: bytes, start: int, end: int) -> None:
    """Answer one FunctionCall message; ReadyForQuery is the caller's."""
    message = messages.read_function_call(data, start, end)
    if session.block == FAILED:
        raise session.failed_block()
    transactions.ensure(session)
    view = session.engine.catalog.view(session)
    try:
        function = view.function(message.function)
    except InternalError:
        raise UndefinedFunction(f"function with OID {message.function} does not exist") from None
    if function.kind != "f" or function.returns_set:
        raise NotSupported(f'cannot call function "{function.name}" via fastpath interface')
    count = len(function.arguments)
    if len(message.values) != count:
        raise ProtocolViolation(
            f"function call message contains {len(message.values)} arguments but function requires {count}"
        )
    session.out.append(messages.message(b"V", _value(session, function, message)))
    if session.block == IDLE:
        transactions.commit(session)


def _value(session: SessionState, function: Function, message: messages.FunctionCall) -> bytes:
    """Run it; its value as a column of a row is sent: its length, -1 for NULL, and its bytes."""
    view = session.engine.catalog.view(session)
    schema = view.namespace_name(function.namespace)
    numbers = ", ".join(f"${number}" for number in range(1, len(function.arguments) + 1))
    text = f"SELECT {quote_identifier(schema)}.{quote_identifier(function.name)}({numbers})"
    sql = text.encode()
    statement = prepare.cached(session, sql, function.arguments)
    if statement is None or not prepare.is_ready(session, statement):
        source, raws = prepare.parse_text(sql)
        statement = prepare.single(session, sql, raws[0], source, function.arguments)
    values, client = message.values, charset(session.encoding) if session.encoding != UTF8 else None
    if client is not None:
        arguments = zip(values, message.formats, statement.kinds, strict=True)
        values = tuple([received_value(value, form, kind, client) for value, form, kind in arguments])
    bind = messages.Bind(b"", b"", message.formats, values, message.result_format)
    params = decode_parameters(bind, statement.kinds, session.env)
    result = statement.format_for(message.result_format)
    rows = RowList()
    door.run(session, statement, params, rows)
    session.gated = True
    row: bytes = wire_kernel.encode_rows(rows.found, result.codes, result.converters, session.env)
    if client is not None and not row.isascii():
        return converted_fields(row, _ROW_HEAD - 2, len(row), client, *(result.texts or (None, ())))[2:]
    return row[_ROW_HEAD:]
