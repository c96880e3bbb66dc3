"""pg_snapshot and its older twin txid_snapshot: which transactions a snapshot sees as ended (manual, 9.27.7)."""

from __future__ import annotations

import bisect
import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from aurora.errors import InvalidBinaryRepresentation
from compute_node.types.common import invalid_syntax
from compute_node.types.declare import fn, fns
from compute_node.types.long_text import joined, paced
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_TEXT = re.compile(r"([0-9]{1,20}):([0-9]{1,20}):((?:[0-9]{1,20}(?:,|$))*)")
_HEAD = struct.Struct(">iQQ")


class Snapshot(NamedTuple):
    """All below ``xmin`` have ended, none from ``xmax`` on; of those between, ``running`` had not, in order."""

    xmin: int
    xmax: int
    running: tuple[int, ...]

    def sees(self, xid: int) -> bool:
        """Whether the transaction had ended."""
        if xid < self.xmin or xid >= self.xmax:
            return xid < self.xmin
        at = bisect.bisect_left(self.running, xid)
        return at == len(self.running) or self.running[at] != xid


def snapshot_in(text: str, typmod: int, env: TypeEnv) -> Snapshot:
    """``xmin:xmax:xid,xid``, in order; 22P02."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise invalid_syntax("pg_snapshot", text)
    xmin, xmax = int(match[1]), int(match[2])
    running: list[int] = []
    last = 0
    for part in paced(match[3].split(",")):
        if not part:
            continue
        xid = int(part)
        if not xmin <= xid < xmax or xid < last:
            raise invalid_syntax("pg_snapshot", text)
        if xid != last:
            running.append(xid)
        last = xid
    if not 0 < xmin <= xmax < 2**63:
        raise invalid_syntax("pg_snapshot", text)
    return Snapshot(xmin, xmax, tuple(running))


def snapshot_out(value: Snapshot) -> str:
    """The same form."""
    return f"{value.xmin}:{value.xmax}:" + joined(list(map(str, value.running)), ",")


def _send(value: Snapshot) -> bytes:
    count = len(value.running)
    return _HEAD.pack(count, value.xmin, value.xmax) + struct.pack(f">{count}Q", *value.running)


def _receive(data: bytes, typmod: int = -1) -> Snapshot:
    if len(data) < _HEAD.size:
        raise InvalidBinaryRepresentation("invalid external pg_snapshot data")
    count, xmin, xmax = _HEAD.unpack_from(data)
    if count < 0 or len(data) != _HEAD.size + 8 * count or not 0 < xmin <= xmax:
        raise InvalidBinaryRepresentation("invalid external pg_snapshot data")
    running = struct.unpack_from(f">{count}Q", data, _HEAD.size)
    if list(running) != sorted(set(running)) or (running and not (xmin <= running[0] and running[-1] < xmax)):
        raise InvalidBinaryRepresentation("invalid external pg_snapshot data")
    return Snapshot(xmin, xmax, running)


for _oid, _name, _array in ((5038, "pg_snapshot", 5039), (2970, "txid_snapshot", 2949)):
    REGISTRY.add_type(
        PgType(
            oid=_oid,
            name=_name,
            length=-1,
            by_value=False,
            category="U",
            align="d",
            storage="x",
            array=_array,
            input=snapshot_in,
            output=lambda value, env: snapshot_out(value),
            text_bytes=lambda value: snapshot_out(value).encode(),
            receive=_receive,
            send=_send,
            disk="x",
            to_disk=_send,
            from_disk=_receive,
        )
    )


def _running(value: Snapshot) -> Iterator[int]:
    return iter(value.running)


fns(
    """
5062 pg_snapshot_xmin(pg_snapshot) xid8
2945 txid_snapshot_xmin(txid_snapshot) int8
""",
    lambda value: value.xmin,
)
fns(
    """
5063 pg_snapshot_xmax(pg_snapshot) xid8
2946 txid_snapshot_xmax(txid_snapshot) int8
""",
    lambda value: value.xmax,
)
fns(
    """
5064 pg_snapshot_xip(pg_snapshot) setof xid8
2947 txid_snapshot_xip(txid_snapshot) setof int8
""",
    _running,
)
fns(
    """
5065 pg_visible_in_snapshot(xid8, pg_snapshot) bool
2948 txid_visible_in_snapshot(int8, txid_snapshot) bool
""",
    lambda xid, value: value.sees(xid),
)


def _current(context: Any) -> Snapshot:
    xmin, xmax, running = context.session.catalog_function("current_snapshot")
    return Snapshot(xmin, xmax, running)


fns(
    """
5061 pg_current_snapshot() pg_snapshot stable
2944 txid_current_snapshot() txid_snapshot stable
""",
    _current,
    needs_context=True,
)
fns(
    """
5066 pg_xact_status(xid8) text volatile
3360 txid_status(int8) text volatile
""",
    lambda context, xid: context.session.catalog_function("xact_status", xid),
    needs_context=True,
)
fn(
    1181,
    "age(xid) int4 stable",
    lambda context, xid: context.session.catalog_function("xid_age", xid),
    needs_context=True,
)
