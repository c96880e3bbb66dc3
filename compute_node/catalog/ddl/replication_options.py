"""Options of CREATE and ALTER PUBLICATION and SUBSCRIPTION: each once, and read as it comes.

``(name = value, …)`` → what the caller's readers make of each. Source: PostgreSQL manual, the reference pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pglast import ast

from aurora.errors import SqlSyntaxError
from compute_node.catalog.ddl.context import cut_name


def read_options(
    options: Sequence[ast.DefElem] | None, readers: Mapping[str, Callable[[ast.DefElem], None]], noun: str
) -> None:
    """Give each option to its reader, in their order. 42601 for one that is unknown or given twice, and what the
    readers raise."""
    seen = set()
    for item in options or ():
        reader = readers.get(item.defname)
        if reader is None:
            raise SqlSyntaxError(f'unrecognized {noun} parameter: "{item.defname}"')
        if item.defname in seen:
            position = None if item.location is None or item.location < 0 else item.location + 1
            raise SqlSyntaxError("conflicting or redundant options", position=position)
        seen.add(item.defname)
        reader(item)


def option_text(item: ast.DefElem) -> str:
    """The value as a text. 42601 without one."""
    value = item.arg
    if value is None:
        raise SqlSyntaxError(f"{item.defname} requires a parameter")
    if isinstance(value, ast.TypeName):
        return ".".join(each.sval for each in value.names)
    if isinstance(value, ast.Integer):
        return str(value.ival or 0)
    if isinstance(value, ast.Boolean):
        return "true" if value.boolval else "false"
    return str(value.fval if isinstance(value, ast.Float) else value.sval)


def option_flag(item: ast.DefElem) -> bool:
    """The value as a truth value; none is true. 42601."""
    text = "true" if item.arg is None else option_text(item).lower()
    if text in ("true", "on", "1"):
        return True
    if text in ("false", "off", "0"):
        return False
    raise SqlSyntaxError(f"{item.defname} requires a Boolean value")


def split_names(text: str) -> list[str] | None:
    """Identifiers between commas, in lower case unless quoted; None where that is no list."""
    found: list[str] = []
    at, end = 0, len(text)

    def skip() -> None:
        nonlocal at
        while at < end and text[at].isspace():
            at += 1

    skip()
    if at == end:
        return found
    while True:
        name = ""
        if text[at : at + 1] == '"':
            at += 1
            while True:
                close = text.find('"', at)
                if close < 0:
                    return None
                name += text[at:close]
                at = close + 1
                if text[at : at + 1] != '"':
                    break
                name += '"'
                at += 1
        else:
            start = at
            while at < end and text[at] != "," and not text[at].isspace():
                at += 1
            name = text[start:at].lower()
            if not name:
                return None
        found.append(cut_name(name))
        skip()
        if at == end:
            return found
        if text[at] != ",":
            return None
        at += 1
        skip()
