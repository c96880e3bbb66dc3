"""bool: I/O, comparison, casts (PostgreSQL manual, 8.6)."""

from __future__ import annotations

import operator

from compute_node.types.common import WHITESPACE, fixed_codec, invalid_syntax
from compute_node.types.declare import fn, fns, operator_classes, operators
from compute_node.types.oids import BOOL
from compute_node.types.registry import REGISTRY, PgType, TypeEnv, Wire

_WORDS: dict[str, bool] = {}
for _word, _shortest, _value in (
    ("true", 1, True),
    ("false", 1, False),
    ("yes", 1, True),
    ("no", 1, False),
    ("on", 2, True),
    ("off", 2, False),
):
    for _end in range(_shortest, len(_word) + 1):
        _WORDS[_word[:_end]] = _value
_WORDS |= {"1": True, "0": False}


def boolean_word(text: str) -> bool | None:
    """true, yes, on, 1, false, no, off, 0 and their unique prefixes in any case; None otherwise."""
    return _WORDS.get(text.lower())


def bool_in(text: str, typmod: int, env: TypeEnv) -> bool:
    """true, yes, on, 1 and their unique prefixes; 22P02 otherwise."""
    value = boolean_word(text.strip(WHITESPACE))
    if value is None:
        raise invalid_syntax("boolean", text)
    return value


_receive, _send = fixed_codec(">?")

REGISTRY.add_type(
    PgType(
        oid=BOOL,
        name="bool",
        formatted_name="boolean",
        length=1,
        by_value=True,
        category="B",
        preferred=True,
        align="c",
        array=1000,
        input=bool_in,
        output=lambda value, env: "t" if value else "f",
        text_bytes=lambda value: b"t" if value else b"f",
        receive=_receive,
        send=_send,
        disk="?",
        wire=Wire(b"b", b"B", b"b"),
        sort_key=lambda value: b"\x01" if value else b"\x00",
    )
)

fn(60, "booleq(bool, bool) bool", operator.eq, "({0} == {1})")
fn(84, "boolne(bool, bool) bool", operator.ne, "({0} != {1})")
fn(56, "boollt(bool, bool) bool", operator.lt, "({0} < {1})")
fn(1691, "boolle(bool, bool) bool", operator.le, "({0} <= {1})")
fn(57, "boolgt(bool, bool) bool", operator.gt, "({0} > {1})")
fn(1692, "boolge(bool, bool) bool", operator.ge, "({0} >= {1})")
fn(1693, "btboolcmp(bool, bool) int4", lambda a, b: (a > b) - (a < b))
fns(
    """
    2971 text(bool) text
    """,
    lambda value: "true" if value else "false",
)
fn(2558, "int4(bool) int4", int, "int({0})", inline_names={"int": int})
fn(2557, "bool(int4) bool", bool, "({0} != 0)")
operators("""
58 bool < bool bool 56 commutator=59 negator=1695
59 bool > bool bool 57 commutator=58 negator=1694
85 bool <> bool bool 84 commutator=85 negator=91
91 bool = bool bool 60 commutator=91 negator=85 merges hashes
1694 bool <= bool bool 1691 commutator=1695 negator=59
1695 bool >= bool bool 1692 commutator=1694 negator=58
""")
operator_classes("""
10003 bool_ops 424 bool_ops bool 403 default 58,1694,91,1695,59 1693,0,0,5051
10048 bool_ops 2222 bool_ops bool 405 default 91 454,446
""")
