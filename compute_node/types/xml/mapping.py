"""SQL values as XML (SQL/XML, 9.8): what XMLELEMENT, XMLFOREST and table_to_xml write of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from aurora.datum import Datum
from aurora.errors import DatetimeFieldOverflow
from compute_node.types import oids
from compute_node.types.calendar_ import DATE_INFINITY, DATE_MINUS_INFINITY
from compute_node.types.datetime_ import is_infinite
from compute_node.types.json.render import is_array, stamp_text
from compute_node.types.long_text import STEPS, by_pieces, paced
from compute_node.types.registry import PgType, TypeEnv

Writer = Callable[[Datum, TypeEnv], str]
XML: Final = 142
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#x0d;"})

escaped = by_pieces(lambda text: text.translate(_ESCAPES))
"""Text as the content of an element."""


def _array(item: PgType) -> Writer:
    write = writer(item.element_type or item, True)

    def level(value: list[Datum], env: TypeEnv) -> list[str]:
        out: list[str] = []
        for each in value if len(value) <= STEPS else paced(value):
            if isinstance(each, list):
                out += level(each, env)
            elif each is not None:
                out.append(f"<element>{write(each, env)}</element>")
        return out

    return lambda value, env: "".join(level(value, env))


def _date(value: int, env: TypeEnv, write: Writer) -> str:
    if value in (DATE_INFINITY, DATE_MINUS_INFINITY):
        raise DatetimeFieldOverflow("date out of range", detail="XML does not support infinite date values.")
    return write(value, env)


def _stamp(value: int, env: TypeEnv, write: Writer) -> str:
    if is_infinite(value):
        raise DatetimeFieldOverflow("timestamp out of range", detail="XML does not support infinite timestamp values.")
    return write(value, env)


def _bytes(value: bytes, env: TypeEnv) -> str:
    return base64.b64encode(value).decode() if env.xml_binary == "base64" else value.hex().upper()


@lru_cache(maxsize=512)
def writer(item: PgType, escape: bool) -> Writer:
    """How a value of the type that is not NULL is written. ``escape``: text becomes content; an attribute's value is
    escaped by whoever writes it."""
    if is_array(item):
        return _array(item)
    item = item.root
    if item.oid == oids.BOOL:
        return lambda value, env: "true" if value else "false"
    if item.oid == oids.DATE:
        date = stamp_text(item)
        return lambda value, env: _date(value, env, date)
    if item.oid in (oids.TIMESTAMP, oids.TIMESTAMPTZ):
        stamp = stamp_text(item)
        return lambda value, env: _stamp(value, env, stamp)
    if item.oid == oids.BYTEA:
        return _bytes
    output = item.output
    if item.oid == XML or not escape:
        return output
    return lambda value, env: escaped(output(value, env))
