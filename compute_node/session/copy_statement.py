"""COPY: the sub-protocol (manual, chapter 55.2.6), or a file or program of the server, around the readers and writers
of its formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pglast import ast, enums

from aurora.datum import Row
from aurora.errors import (
    CheckViolation,
    InsufficientPrivilege,
    NotNullViolation,
    NotSupported,
    ProtocolViolation,
    QueryCanceled,
    SqlError,
    UndefinedTable,
    WrongObjectType,
)
from compute_node.exec.copy_target import input_columns
from compute_node.protocol import messages
from compute_node.session import door, prepare, transactions
from compute_node.session.copy_binary import BinaryReader
from compute_node.session.copy_input import LineReader
from compute_node.session.copy_options import CopyOptions, parse_options
from compute_node.session.copy_output import CopyWriter
from compute_node.session.encoded import received_in
from compute_node.session.results import decode_text
from compute_node.session.sinks import CopyRows, CopyStream
from compute_node.session.state import SessionState
from compute_node.sql.parse import RawStatement
from compute_node.types.charsets.charset import Charset, charset
from compute_node.types.charsets.names import SQL_ASCII, UTF8
from compute_node.work.account import Account
from compute_node.work.copy_streams import CopyFile, Program
from compute_node.work.progress import Copy, Progress, reporting

BATCH_ROWS = 1000
PIECE_BYTES = 1 << 20
"""What is read of a message, which may be long, before others run."""
_SEEN_AT_THE_LINE = (NotNullViolation, CheckViolation)
"""Errors that PostgreSQL finds while it still has the line's text."""
_COPY_DATA, _COPY_DONE, _COPY_FAIL, _FLUSH, _SYNC = 100, 99, 102, 72, 83


def run(session: SessionState, node: ast.Node, source: str) -> int:
    """Run COPY; returns the number of rows."""
    if node.filename is not None:
        _check_server_side(session, node)
    options = parse_options(node.options, bool(node.is_from))
    with reporting(session, "COPY", 0) as progress:
        progress.put(Copy.COMMAND, Copy.FROM if node.is_from else Copy.TO)
        on_server = Copy.PROGRAM if node.is_program else Copy.FILE
        progress.put(Copy.TYPE, Copy.PIPE if node.filename is None else on_server)
        if node.is_from:
            return _copy_in(session, node, options, progress)
        return _copy_out(session, node, source, options, progress)


def _check_server_side(session: SessionState, node: ast.Node) -> None:
    """42501 for those who may not touch the server's files and programs."""
    role, what = "pg_execute_server_program", "COPY to or from an external program"
    if not node.is_program:
        role = "pg_read_server_files" if node.is_from else "pg_write_server_files"
        what = "COPY from a file" if node.is_from else "COPY to a file"
    transactions.ensure(session)
    if not session.engine.session_function(session, "has_predefined_role", role):
        raise InsufficientPrivilege(
            f"must be superuser or have privileges of the {role} role to {what}",
            hint="Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
        )


@contextmanager
def _used(node: ast.Node) -> Iterator[Program | CopyFile]:
    """The file or program of the server that the statement names, not open yet."""
    stream = (Program if node.is_program else CopyFile)(node.filename, bool(node.is_from))
    try:
        yield stream
    finally:
        stream.leave()


def _charset(session: SessionState, options: CopyOptions) -> Charset | None:
    """What the data are encoded in; None for UTF-8."""
    name = options.encoding or session.encoding
    return None if name in (UTF8, SQL_ASCII) else charset(name)


def _copy_in(session: SessionState, node: ast.Node, options: CopyOptions, progress: Progress) -> int:
    txn = transactions.ensure(session)
    session.plans.statements += 1
    door.begin_text(session, session.query)
    names = [item.sval for item in node.attlist] if node.attlist else None
    target = session.engine.copy_target(session, txn, node.relation, names, node.whereClause)
    relation = node.relation.relname
    progress.relation = target.oid
    account = Account()
    reader: LineReader | BinaryReader
    if options.format == "binary":
        columns = target.columns
        if (data_charset := _charset(session, options)) is not None:
            columns = [(name, received_in(kind, data_charset), typmod) for name, kind, typmod in columns]
        reader = BinaryReader(relation, columns, session.env, account)
    else:
        found = _charset(session, options)
        decode = decode_text if found is None else found.decode
        reader = LineReader(relation, target.columns, options, session.env, decode, account, target.table_columns)

    def write(rows: list[Row]) -> None:
        for at in range(0, len(rows), BATCH_ROWS):
            try:
                target.write_rows(rows[at : at + BATCH_ROWS])
            except SqlError as error:
                if error.where is None and error.row is not None:
                    error.where = reader.place(at + error.row, isinstance(error, _SEEN_AT_THE_LINE))
                raise
            progress.put(Copy.ROWS, target.stored)
            progress.put(Copy.EXCLUDED, target.excluded)
            session.check_interrupts()

    def take(data: bytes) -> None:
        progress.add(Copy.BYTES, len(data))
        for at in range(0, len(data), PIECE_BYTES):
            rows = reader.feed(data[at : at + PIECE_BYTES])
            if rows:
                write(rows)
            else:
                session.check_interrupts()  # a part of a line, which may be long

    try:
        if node.filename is None:
            session.out.append(messages.copy_response(b"G", len(target.columns), options.format == "binary"))
            session.port.flush()
            for data in _from_client(session):
                take(data)
            write(reader.finish())
        else:
            with _used(node) as stream:
                stream.open()
                progress.put(Copy.BYTES_TOTAL, stream.size)
                while not reader.ended and (data := stream.read()):
                    take(data)
                write(reader.finish())
                stream.finish(not reader.ended)
    finally:
        account.close()
    return target.finish()


def _from_client(session: SessionState) -> Iterator[bytes]:
    """The data that the client sends. 57014 when it gives up."""
    while True:
        kind, payload = session.port.next_message()
        if kind == _COPY_DATA:
            yield payload
        elif kind == _COPY_DONE:
            return
        elif kind == _COPY_FAIL:
            raise QueryCanceled(
                f"COPY from stdin failed: {decode_text(messages.read_string(payload, 0, len(payload)))}"
            )
        elif kind not in (_FLUSH, _SYNC):
            raise ProtocolViolation(f"unexpected message type 0x{kind:02X} during COPY from stdin", severity="FATAL")


def _has_into(node: ast.SelectStmt) -> bool:
    """Whether a SELECT, or the first of a set operation, has INTO."""
    while node.larg is not None:
        node = node.larg
    return node.intoClause is not None


def _query(session: SessionState, node: ast.Node) -> Any:
    """The SELECT that COPY table TO means."""
    if node.query is not None:
        if isinstance(node.query, ast.SelectStmt) and _has_into(node.query):
            raise NotSupported("COPY (SELECT INTO) is not supported")
        if not prepare.is_query(node.query):
            raise NotSupported("COPY query must be SELECT, INSERT, UPDATE or DELETE")
        return node.query
    names = [item.sval for item in node.attlist] if node.attlist else None
    fields: list[tuple[ast.Node, ...]] = [(ast.String(name),) for name in names or ()]
    relation = session.engine.catalog.view(session).find_relation(node.relation.schemaname, node.relation.relname)
    if relation is not None and any(column.generated for column in relation.columns):
        fields = [(ast.String(column.name),) for column in input_columns(relation, names)]
    elif names is None:
        fields = [(ast.A_Star(),)]
    targets = tuple(ast.ResTarget(val=ast.ColumnRef(fields=field, location=-1), location=-1) for field in fields)
    # A table's own rows alone, not those of tables that inherit from it.
    own = ast.RangeVar(
        catalogname=node.relation.catalogname,
        schemaname=node.relation.schemaname,
        relname=node.relation.relname,
        inh=False,
        relpersistence=node.relation.relpersistence,
        location=node.relation.location,
    )
    return ast.SelectStmt(
        targetList=targets,
        fromClause=(own,),
        limitOption=enums.LimitOption.LIMIT_OPTION_DEFAULT,
        op=enums.SetOperation.SETOP_NONE,
    )


def _check_source(session: SessionState, name: ast.RangeVar, columns: list[str] | None) -> int:
    """``COPY name (columns) TO`` takes tables only; returns the table's OID. Raises 42P01, 42701, 42703, 42809."""
    view = session.engine.catalog.view(session)
    relation = view.find_relation(name.schemaname, name.relname)
    if relation is None:
        shown = f"{name.schemaname}.{name.relname}" if name.schemaname else name.relname
        raise UndefinedTable(f'relation "{shown}" does not exist')
    if relation.kind in "vf":
        raise WrongObjectType(
            f'cannot copy from {relation.noun} "{relation.name}"', hint="Try the COPY (SELECT ...) TO variant."
        )
    if relation.is_partitioned and view.policies_hold(relation, session.user_oid):
        pass  # a SELECT of ONLY the table by its policies, which has no rows of its own
    elif relation.is_partitioned:
        raise WrongObjectType(
            f'cannot copy from partitioned table "{relation.name}"', hint="Try the COPY (SELECT ...) TO variant."
        )
    elif relation.kind != "r":
        what = "sequence" if relation.kind == "S" else "non-table relation"
        raise WrongObjectType(f'cannot copy from {what} "{relation.name}"')
    input_columns(relation, columns)
    return relation.oid


def _copy_out(session: SessionState, node: ast.Node, source: str, options: CopyOptions, progress: Progress) -> int:
    transactions.ensure(session)
    if node.query is None:
        names = [item.sval for item in node.attlist] if node.attlist else None
        progress.relation = _check_source(session, node.relation, names)
    raw = RawStatement(_query(session, node), 0, len(source))
    statement, _ = prepare.compile_statement(session, raw, source, [])
    planned = statement.executable.planned
    if planned.shape and (len(planned.steps) != 1 or planned.steps[0].command == "notify"):
        raise NotSupported(f"{planned.shape} rules are not supported for COPY")
    if statement.columns is None:
        raise NotSupported("COPY query must have a RETURNING clause")
    is_client = node.filename is None
    writer = CopyWriter(statement.columns, options, session.env, _charset(session, options), framed=is_client)
    if is_client:
        return door.run(session, statement, (), CopyRows(session, writer, len(statement.columns), progress))
    with _used(node) as stream:
        return door.run(session, statement, (), CopyStream(session, writer, stream, progress))
