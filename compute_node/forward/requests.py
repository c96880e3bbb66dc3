"""What a reader's session sends: frontend messages of the extended and the simple protocol (manual, 55.2, 55.7)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from aurora.datum import Datum
from aurora.kernels import wire as wire_kernel
from compute_node.protocol.messages import message
from compute_node.session.results import binary_code, text_code
from compute_node.session.statement import Params
from compute_node.types.oids import RECORD
from compute_node.types.registry import PgType, TypeEnv

DATA_ROW_HEAD: Final = 5
SYNC: Final = message(b"S", b"")
_DESCRIBE: Final = message(b"D", b"P\0")
_EXECUTE: Final = message(b"E", b"\0" + bytes(4))


def goes_binary(kind: PgType) -> bool:
    """Whether values of the type travel in their binary form; the others as text."""
    return kind.send is not None and (kind.receive is not None or kind.oid == RECORD)


def query(text: str) -> bytes:
    """Query: everything of a text, in one transaction where it begins none itself."""
    return message(b"Q", text.encode() + b"\0")


def statement(
    text: str, kinds: Sequence[PgType], params: Params, columns: Sequence[PgType] | None, env: TypeEnv
) -> bytes:
    """Parse, Bind, Describe, Execute and Sync of one statement; ``columns``: the types of the result's, None without
    one."""
    oids = b"".join(struct.pack(">I", kind.oid) for kind in kinds)
    parse = message(b"P", b"\0" + text.encode() + b"\0" + struct.pack(">H", len(kinds)) + oids)
    parts = [parse, message(b"B", b"\0\0" + _bound(kinds, params, columns or (), env)), _EXECUTE, SYNC]
    if columns is not None:
        parts.insert(2, _DESCRIBE)
    return b"".join(parts)


def _bound(kinds: Sequence[PgType], params: Params, columns: Sequence[PgType], env: TypeEnv) -> bytes:
    pairs: list[tuple[bytes, Callable[..., Datum] | None]] = [
        binary_code(kind) if goes_binary(kind) else text_code(kind) for kind in kinds
    ]
    codes, converters = b"".join(code for code, _ in pairs), tuple(converter for _, converter in pairs)
    # A DataRow's values are laid out as Bind's: a count, then lengths and bytes.
    values = wire_kernel.encode_rows([params], codes, converters, env)[DATA_ROW_HEAD:]
    return _formats(kinds) + values + _formats(columns)


def _formats(kinds: Sequence[PgType]) -> bytes:
    return struct.pack(f">H{len(kinds)}H", len(kinds), *map(goes_binary, kinds))
