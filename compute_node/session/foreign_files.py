"""file_fdw: files and programs of the server as foreign tables, over the readers of COPY FROM.

```
pg_foreign_table.ftoptions ─► CopyOptions ─► LineReader | BinaryReader ◄── pieces ◄── CopyFile | Program
                                                   └─► rows of the columns that a scan asks for
```

The extension's script names ``file_fdw_handler`` and ``file_fdw_validator``. Each instance reads its own
machine's files. Source: PostgreSQL manual, F.15.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pglast import ast

from aurora.datum import Datum, Row
from aurora.errors import (
    FdwDynamicParameterValueNeeded,
    FdwInvalidOptionName,
    InsufficientPrivilege,
    NotSupported,
    SqlSyntaxError,
)
from aurora.page import PAGE_BYTES
from compute_node.exec.copy_target import input_columns
from compute_node.exec.foreign import define_wrapper
from compute_node.extensions.library import define
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.foreign import require_handler
from compute_node.relations.schema import CATALOGS
from compute_node.session.copy_binary import BinaryReader
from compute_node.session.copy_input import LineReader
from compute_node.session.copy_options import CopyOptions, parse_options
from compute_node.session.encoded import received_in
from compute_node.session.results import decode_text
from compute_node.types.charsets.charset import charset
from compute_node.types.charsets.names import SQL_ASCII, UTF8
from compute_node.types.registry import FunctionContext, PgType
from compute_node.work.account import Account
from compute_node.work.copy_streams import CopyFile, Program
from compute_node.work.server_files import failed
from compute_node.work.workers import run_in_thread

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext
    from compute_node.exec.nodes.base import Batch

BATCH_ROWS: Final = 1000
_SOURCES: Final = {
    "filename": ("Foreign File", "pg_read_server_files"),
    "program": ("Foreign Program", "pg_execute_server_program"),
}
"""Option → how EXPLAIN calls it, the role that may set it."""
_OF_COPY: Final = ("format", "header", "delimiter", "quote", "escape", "null", "encoding")
_OF_COLUMNS: Final = ("force_not_null", "force_null")
_VALID: Final[dict[int, tuple[str, ...]]] = {
    CATALOGS["pg_foreign_table"].desc.oid: (*_SOURCES, *_OF_COPY),
    CATALOGS["pg_attribute"].desc.oid: _OF_COLUMNS,
}
"""catalog → the options that its objects take"""
_TRUE: Final = ("true", "on", "1")


def _copy_options(options: Mapping[str, str], forced: Mapping[str, Sequence[str]]) -> CopyOptions:
    """The options of COPY among a table's; ``forced``: force_null and force_not_null with their columns. 42601, 22023,
    0A000."""
    nodes = [
        ast.DefElem(defname=name, arg=ast.String(sval=value), location=-1)
        for name, value in options.items()
        if name not in _SOURCES
    ]
    nodes += [
        ast.DefElem(defname=name, arg=tuple([ast.String(sval=column) for column in columns]), location=-1)
        for name, columns in forced.items()
        if columns
    ]
    return parse_options(nodes, True)


def _is_true(name: str, text: str) -> bool:
    lowered = text.lower()
    if lowered not in (*_TRUE, "false", "off", "0"):
        raise SqlSyntaxError(f"{name} requires a Boolean value")
    return lowered in _TRUE


def validate(context: FunctionContext, options: list[str], catalog: int) -> str:
    """file_fdw_validator. HV00D, HV002, 42601, 42501, and what COPY's options raise."""
    valid = _VALID.get(catalog, ())
    given: dict[str, str] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name not in valid:
            hint = f"Valid options in this context are: {', '.join(valid)}" if valid else None
            raise FdwInvalidOptionName(
                f'invalid option "{name}"', hint=hint or "There are no valid options in this context."
            )
        if name in _SOURCES:
            _check_source(context, name)
            if given.keys() & _SOURCES.keys():
                raise SqlSyntaxError("conflicting or redundant options")
        elif name in given:
            hint = f'Option "{name}" supplied more than once for a column.' if name in _OF_COLUMNS else None
            raise SqlSyntaxError("conflicting or redundant options", hint=hint)
        if name in _OF_COLUMNS:
            _is_true(name, value)
        given[name] = value
    if catalog == CATALOGS["pg_foreign_table"].desc.oid:
        _copy_options(given, {})
        if not given.keys() & _SOURCES.keys():
            raise FdwDynamicParameterValueNeeded("either filename or program is required for file_fdw foreign tables")
    return ""


def _check_source(context: FunctionContext, name: str) -> None:
    _, role = _SOURCES[name]
    if not context.session.catalog_function("has_predefined_role", role):
        raise InsufficientPrivilege(
            f"only superuser or a role with privileges of the {role} role may specify the {name} option of a file_fdw "
            "foreign table"
        )


def _handler() -> Datum:
    raise NotSupported("cannot display a value of type fdw_handler")


class Files:
    """The wrapper; see ``ForeignWrapper``."""

    def rows(
        self, ctx: ExecContext, relation: RelationDesc, columns: Sequence[int], types: Mapping[int, PgType]
    ) -> Iterator[Batch]:
        """22P02, 22P04 with the file's line, 58P01, 38000 …: what COPY FROM raises."""
        foreign = require_handler(relation)
        forced = {
            name: [
                relation.columns[attno - 1].name
                for attno, given in foreign.columns.items()
                if _is_true(name, given.get(name, "false"))
            ]
            for name in _OF_COLUMNS
        }
        options = _copy_options(foreign.options, forced)
        account = Account()
        stream = _stream(foreign.options)
        try:
            reader = _reader(ctx, relation, types, options, account)
            places = {column.attno: at for at, column in enumerate(input_columns(relation, None))}
            # A generated column has no place in the file, and no value.
            wanted = [places.get(attno, -1) for attno in columns]
            stream.open()
            while not reader.ended and (data := stream.read()):
                yield from _batches(reader.feed(data), wanted)
                ctx.check()
            yield from _batches(reader.finish(), wanted)
            stream.finish(not reader.ended)
        finally:
            stream.leave()
            account.close()

    def pages(self, relation: RelationDesc) -> int:
        """Those of the file; a program is not run for ANALYZE. 58P01, 42501."""
        name = require_handler(relation).options.get("filename")
        if name is None:
            return 0
        try:
            size = run_in_thread(os.path.getsize, name)
        except OSError as error:
            raise failed(f'stat file "{name}"', error) from None
        return max(1, -(-size // PAGE_BYTES))

    def explained(self, relation: RelationDesc) -> list[tuple[str, str]]:
        """The file or the program."""
        options = require_handler(relation).options
        return [(label, options[name]) for name, (label, _) in _SOURCES.items() if name in options]


def _stream(options: Mapping[str, str]) -> CopyFile | Program:
    return CopyFile(options["filename"], True) if "filename" in options else Program(options["program"], True)


def _reader(
    ctx: ExecContext, relation: RelationDesc, types: Mapping[int, PgType], options: CopyOptions, account: Account
) -> LineReader | BinaryReader:
    encoding = options.encoding or str(ctx.session.get_setting("client_encoding", False))
    found = None if encoding in (UTF8, SQL_ASCII) else charset(encoding)
    read: list[tuple[str, PgType, int]] = [
        (column.name, types[column.type], column.typmod) for column in input_columns(relation, None)
    ]
    if options.format == "binary":
        if found is not None:
            read = [(name, received_in(kind, found), typmod) for name, kind, typmod in read]
        return BinaryReader(relation.name, read, ctx.env, account)
    return LineReader(
        relation.name, read, options, ctx.env, decode_text if found is None else found.decode, account,
        [name for name, _, _ in read],
    )  # fmt: skip


def _batches(rows: list[Row], wanted: Sequence[int]) -> Iterator[Batch]:
    for at in range(0, len(rows), BATCH_ROWS):
        part: list[Any] = rows[at : at + BATCH_ROWS]
        yield [tuple([row[place] if place >= 0 else None for place in wanted]) for row in part]


def declare() -> None:
    """Make the symbols known to scripts and to the executor; once a process."""
    define_wrapper("file_fdw_handler", Files())
    define("file_fdw_handler", 0, _handler)
    define("file_fdw_validator", 2, validate, needs_context=True)
