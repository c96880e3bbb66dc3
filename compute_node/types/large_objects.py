"""Large objects: functions that ``compute_node/catalog/large_objects`` answers (manual, chapter 35)."""

from __future__ import annotations

from compute_node.types.declare import fn
from compute_node.types.forwards import forward

for _line in """
715 lo_create(oid) oid
764 lo_import(text) oid
765 lo_export(oid, text) int4
767 lo_import(text, oid) oid
952 lo_open(oid, int4) int4
953 lo_close(int4) int4
954 loread(int4, int4) bytea
955 lowrite(int4, bytea) int4
956 lo_lseek(int4, int4, int4) int4
957 lo_creat(int4) oid
958 lo_tell(int4) int4
964 lo_unlink(oid) int4
1004 lo_truncate(int4, int4) int4
3170 lo_lseek64(int4, int8, int4) int8
3171 lo_tell64(int4) int8
3172 lo_truncate64(int4, int8) int4
3457 lo_from_bytea(oid, bytea) oid
3458 lo_get(oid) bytea
3459 lo_get(oid, int8, int4) bytea
3460 lo_put(oid, int8, bytea) void
""".strip().splitlines():
    _oid, _signature = _line.split(" ", 1)
    fn(int(_oid), f"{_signature} volatile", forward(_signature[: _signature.index("(")]), needs_context=True)
