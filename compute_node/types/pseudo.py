"""Pseudo-types: what expressions and signatures name but columns cannot hold (manual, 8.21)."""

from __future__ import annotations

from typing import Any

from aurora.datum import Datum
from aurora.errors import NotSupported
from compute_node.types.common import receive_text, refuse_input, refuse_output
from compute_node.types.registry import REGISTRY, PgType, Wire
from compute_node.types.text import STRING_WIRE, text_in, text_out


def _pseudo(oid: int, name: str, **extra: Any) -> None:
    fields: dict[str, Any] = {
        "length": 4,
        "by_value": True,
        "category": "P",
        "kind": "p",
        "input": refuse_input(name),
        "output": refuse_output(name),
        "receive": None,
        "send": None,
        "disk": "s",
    }
    REGISTRY.add_type(PgType(oid=oid, name=name, **{**fields, **extra}))


_TEXT: dict[str, Any] = {
    "length": -2,
    "by_value": False,
    "align": "c",
    "input": text_in,
    "output": text_out,
    "text_bytes": str.encode,
    "receive": receive_text,
    "send": str.encode,
}


def known_type(value: Datum, name: str) -> PgType:
    """The type of a value that knows it, as those that ``array_in`` and its kin give: the pseudo-type says only of
    which family it is. 0A000 for another."""
    kind = getattr(value, "kind", None)
    if not isinstance(kind, PgType):
        raise NotSupported(f"cannot display a value of type {name}")
    return kind


def send_known(value: Datum, name: str) -> bytes:
    """The binary form of a value that knows its type."""
    write = known_type(value, name).send
    if write is None:
        raise NotSupported(f"no binary output function available for type {name}")
    return write(value)


def _family(oid: int, name: str, **extra: Any) -> None:
    """A pseudo-type of whose values some know their own type."""
    _pseudo(
        oid,
        name,
        output=lambda value, env: known_type(value, name).output(value, env),
        send=lambda value: send_known(value, name),
        **extra,
    )


_pseudo(705, "unknown", **{**_TEXT, "category": "X", "wire": Wire(b"s", b"s", b"s")})
_pseudo(2275, "cstring", array=1263, **_TEXT, wire=STRING_WIRE)
_pseudo(2278, "void", input=lambda text, typmod, env: "", output=lambda value, env: "", send=lambda value: b"")
_pseudo(2276, "any", formatted_name='"any"')
_pseudo(2279, "trigger")
_pseudo(3838, "event_trigger")
_pseudo(2280, "language_handler")
_pseudo(2281, "internal", length=8, align="d")
_pseudo(2283, "anyelement")
_pseudo(2776, "anynonarray")
_family(3500, "anyenum")
_family(3831, "anyrange", length=-1, by_value=False, align="d", storage="x")
_family(4537, "anymultirange", length=-1, by_value=False, align="d", storage="x")
_pseudo(5077, "anycompatible")
_pseudo(5078, "anycompatiblearray", length=-1, by_value=False, align="d", storage="x")
_pseudo(5079, "anycompatiblenonarray")
_pseudo(4538, "anycompatiblemultirange", length=-1, by_value=False, align="d", storage="x")
_pseudo(5080, "anycompatiblerange", length=-1, by_value=False, align="d", storage="x")
_pseudo(269, "table_am_handler")
_pseudo(325, "index_am_handler")
_pseudo(3115, "fdw_handler")
_pseudo(3310, "tsm_handler")


def make_shell_type(oid: int, name: str, namespace: int) -> PgType:
    """A type of which nothing but the name is known; 0A000 for values of it."""

    def refuse(*_: object) -> Any:
        raise NotSupported("cannot accept a value of a shell type")

    return PgType(
        oid=oid,
        name=name,
        namespace=namespace,
        length=4,
        by_value=True,
        category="P",
        kind="p",
        input=refuse,
        output=refuse_output("a shell type"),
        receive=None,
        send=None,
        disk="s",
        is_shell=True,
    )
