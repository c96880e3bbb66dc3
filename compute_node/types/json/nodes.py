"""One face for parts of json and jsonb values, for what reads both: making rows of them."""

from __future__ import annotations

from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Protocol

from aurora.datum import Datum
from compute_node.types.json import document, layout
from compute_node.types.json.value import Jsonb, text
from compute_node.types.long_text import paced


class Part(Protocol):
    """A value, or a part of one. ``kind`` is as ``Jsonb.kind``."""

    @property
    def kind(self) -> str: ...

    def elements(self) -> Iterator[Part]:
        """Of an array."""

    def members(self) -> dict[str, Part]:
        """Of an object; of keys that stand there twice the last."""

    def json(self) -> str:
        """The part as JSON text."""

    def content(self) -> str:
        """The part as text: of a string its content."""

    def stored(self) -> Datum:
        """The part as a value of its own type, json or jsonb."""


class JsonbPart:
    """Of a jsonb value."""

    __slots__ = ("data", "kind")
    is_binary = True

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.kind = Jsonb(data).kind

    def elements(self) -> Iterator[Part]:
        return map(JsonbPart, paced(layout.elements(self.data)))

    def members(self) -> dict[str, Part]:
        return {key.decode(): JsonbPart(value) for key, value in paced(layout.pairs(self.data))}

    def json(self) -> str:
        return text(self.data)

    def content(self) -> str:
        return self.data[1:].decode() if self.kind == "string" else text(self.data)

    def stored(self) -> Jsonb:
        return Jsonb(self.data)


class JsonPart:
    """Of a json value, whose escapes have been checked."""

    __slots__ = ("kind", "span", "text")
    is_binary = False

    def __init__(self, value: str, span: document.Span) -> None:
        self.text, self.span = value, span
        self.kind = document.kind_at(value, span[0])

    @classmethod
    def of(cls, value: str) -> JsonPart:
        return cls(document.checked(value), document.whole(value))

    def elements(self) -> Iterator[Part]:
        return (JsonPart(self.text, span) for span in document.items(self.text, self.span[0]))

    def members(self) -> dict[str, Part]:
        return {
            document.string_at(self.text, key): JsonPart(self.text, span)
            for key, span in document.members(self.text, self.span[0])
        }

    def json(self) -> str:
        if self.kind == "string":
            return encode_basestring(document.string_at(self.text, self.span))
        return self.text[self.span[0] : self.span[1]]

    def content(self) -> str:
        if self.kind == "string":
            return document.string_at(self.text, self.span)
        return self.text[self.span[0] : self.span[1]]

    def stored(self) -> str:
        return self.json()
