"""uuid: a str in canonical lower case (manual, 8.12)."""

from __future__ import annotations

import re
import uuid

from aurora.kernels import values
from compute_node.types.common import invalid_syntax, wrong_length
from compute_node.types.declare import comparisons, fn, operator_classes, operators
from compute_node.types.registry import REGISTRY, PgType, TypeEnv

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LOOSE = re.compile(r"(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}")


def uuid_in(text: str, typmod: int, env: TypeEnv) -> str:
    """32 hex digits, hyphens after any group of four, braces around; 22P02 otherwise."""
    lowered = text.lower()
    if _UUID.fullmatch(lowered) is not None:
        return lowered
    if lowered.startswith("{") and lowered.endswith("}"):
        lowered = lowered[1:-1]
    if _LOOSE.fullmatch(lowered) is None:
        raise invalid_syntax("uuid", text)
    return str(uuid.UUID(lowered.replace("-", "")))


def _receive(data: bytes, typmod: int) -> str:
    if len(data) != 16:
        raise wrong_length(data, 16)
    return values.uuid_text(bytes(data))


_bytes = values.uuid_bytes


REGISTRY.add_type(
    PgType(
        oid=2950,
        name="uuid",
        length=16,
        by_value=False,
        category="U",
        align="c",
        array=2951,
        input=uuid_in,
        output=lambda value, env: value,
        text_bytes=str.encode,
        receive=_receive,
        send=_bytes,
        disk="x",
        to_disk=_bytes,
        from_disk=values.uuid_text,
        sort_key=_bytes,
    )
)

comparisons("""
2956 uuid_eq(uuid, uuid) bool
2959 uuid_ne(uuid, uuid) bool
2954 uuid_lt(uuid, uuid) bool
2955 uuid_le(uuid, uuid) bool
2958 uuid_gt(uuid, uuid) bool
2957 uuid_ge(uuid, uuid) bool
2960 uuid_cmp(uuid, uuid) int4
""")
fn(3432, "gen_random_uuid() uuid volatile", lambda: str(uuid.uuid4()))
operators("""
2972 uuid = uuid bool 2956 commutator=2972 negator=2973 merges hashes
2973 uuid <> uuid bool 2959 commutator=2973 negator=2972
2974 uuid < uuid bool 2954 commutator=2975 negator=2977
2975 uuid > uuid bool 2958 commutator=2974 negator=2976
2976 uuid <= uuid bool 2955 commutator=2977 negator=2975
2977 uuid >= uuid bool 2957 commutator=2976 negator=2974
""")
operator_classes("""
10065 uuid_ops 2968 uuid_ops uuid 403 default 2974,2976,2972,2977,2975 2960,3300,0,5051
10066 uuid_ops 2969 uuid_ops uuid 405 default 2972 2963,3412
""")
