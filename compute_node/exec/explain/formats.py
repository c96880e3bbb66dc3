"""EXPLAIN's document as JSON, YAML and XML, in PostgreSQL's layout (manual, EXPLAIN: FORMAT)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

Value: TypeAlias = "str | int | bool | Sequence[str] | Sequence[Group] | Group"
Group: TypeAlias = Mapping[str, "Value"]
"""Labels and what stands behind them, in order"""

_NAMESPACE: Final = "http://www.postgresql.org/2009/explain"
_XML_ENTITIES: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#x0d;"}


class Number(str):
    """A number with the digits to be shown."""


def as_json(value: Value, indent: str = "") -> str:
    """Lists of texts on one line, all else on lines of their own."""
    if isinstance(value, Number):
        return value
    deeper = indent + "  "
    if isinstance(value, Mapping):
        lines = [f"{deeper}{_text(name)}: {as_json(item, deeper)}" for name, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and all(isinstance(item, str) for item in value):
            return f"[{', '.join(map(_text, value))}]"
        items = [deeper + as_json(item, deeper) for item in value]
        return "[\n" + ",\n".join(items) + f"\n{indent}]" if items else f"[\n{indent}]"
    return _text(value)


def _text(value: object) -> str:
    """A scalar as JSON and YAML write it."""
    return value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def as_yaml(documents: Sequence[Group]) -> str:
    """A list of documents."""
    return "\n".join("- " + "\n  ".join(_yaml_lines(document, 1)) for document in documents)


def _yaml_lines(group: Group, depth: int) -> list[str]:
    """A line a label, what stands deeper with it; the first without its indentation."""
    lines = []
    for name, value in group.items():
        indent = "  " * depth
        if isinstance(value, Mapping):
            inner = f"\n{indent}  ".join(_yaml_lines(value, depth + 1))
            lines.append(f"{name}: \n{indent}  {inner}" if inner else f"{name}: ")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            items = [
                _text(item) if isinstance(item, str) else f"\n{indent}    ".join(_yaml_lines(item, depth + 2))
                for item in value
            ]
            lines.append(f"{name}: " + "".join(f"\n{indent}  - {item}" for item in items))
        else:
            lines.append(f"{name}: {_text(value)}")
    return lines


def as_xml(documents: Sequence[Group]) -> str:
    """Each query in one element ``explain``."""
    queries = "".join(f"{_xml_element('Query', document, 1)}\n" for document in documents)
    return f'<explain xmlns="{_NAMESPACE}">\n{queries}</explain>'


def _xml_element(name: str, value: Value, depth: int) -> str:
    indent = "  " * depth
    tag = "".join(char if char.isalnum() or char in "-_." else "-" for char in name)
    if isinstance(value, Mapping):
        inner = [_xml_element(label, item, depth + 1) for label, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        label = "Item" if value and isinstance(value[0], str) else name.removesuffix("s")
        inner = [_xml_element(label, item, depth + 1) for item in value]
    else:
        shown = ("true" if value else "false") if isinstance(value, bool) else str(value)
        return f"{indent}<{tag}>{shown.translate(_XML_ENTITIES)}</{tag}>"
    return "\n".join([f"{indent}<{tag}>", *inner, f"{indent}</{tag}>"])


WRITERS: Final[dict[str, Callable[[Sequence[Group]], str]]] = {"json": as_json, "yaml": as_yaml, "xml": as_xml}
"""FORMAT → what writes the documents, one a query"""
