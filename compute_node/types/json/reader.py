"""JSON text → jsonb and the check of a json text, token by token: for texts that the kernel does not take.

Others run in between, and errors are worded as PostgreSQL words them.
"""

from __future__ import annotations

from typing import Final

from aurora.kernels import jsonb as kernel
from compute_node.types.json import layout
from compute_node.types.json.bounds import LEVELS_A_KB, STACK_KB, stack_depth_exceeded
from compute_node.types.json.lexer import END, NUMBER, STRING, Lexer
from compute_node.types.json.parse import number_from
from compute_node.types.json.value import Jsonb, string_data

_LONG_CHARS: Final = 1 << 16
_TRIES: Final = 100
"""Containers that the kernel may refuse before it is not asked any more."""


def check_slowly(text: str, stack_kb: int) -> None:
    """22P02 unless it is JSON; 54001."""
    lexer = Lexer(text, decode=False)
    lexer.advance()
    skip(lexer, stack_kb)
    if lexer.kind != END:
        raise lexer.unexpected("end")


def check_escapes(text: str) -> None:
    """22P02, 22P05 for escapes that are no characters, in a text that is JSON."""
    lexer = Lexer(text, decode=True)
    lexer.advance()
    skip(lexer)


def skip(lexer: Lexer, stack_kb: int = STACK_KB) -> None:
    """Go past the value that begins at the current token."""
    stack: list[str] = []
    while True:
        kind = lexer.kind
        if kind == "{" or kind == "[":
            if len(stack) >= LEVELS_A_KB * stack_kb:
                raise stack_depth_exceeded(stack_kb)
            lexer.advance()
            if kind == "{":
                if lexer.kind == STRING:
                    stack.append("}")
                    _key(lexer)
                    continue
                if lexer.kind != "}":
                    raise lexer.unexpected("object first")
            elif lexer.kind != "]":
                stack.append("]")
                continue
        elif kind not in _SCALARS:
            raise lexer.unexpected("value")
        lexer.advance()
        while stack:
            end = stack[-1]
            if lexer.kind == ",":
                lexer.advance()
                if end == "}":
                    if lexer.kind != STRING:
                        raise lexer.unexpected("key")
                    _key(lexer)
                break
            if lexer.kind != end:
                raise lexer.unexpected("array next" if end == "]" else "object next")
            stack.pop()
            lexer.advance()
        else:
            return


_SCALARS: Final = frozenset((STRING, NUMBER, "t", "f", "n"))


def _key(lexer: Lexer) -> None:
    """From a key to its value."""
    lexer.advance()
    if lexer.kind != ":":
        raise lexer.unexpected("colon")
    lexer.advance()


class Builder:
    """Builds the value of a text, without recursion: an open container is a list of what it has so far."""

    def __init__(self, text: str, stack_kb: int) -> None:
        self.lexer = Lexer(text, decode=True)
        self.stack_kb = stack_kb
        self.plain = _TRIES if len(text) > _LONG_CHARS and text.isascii() else 0

    def read(self) -> Jsonb:
        lexer = self.lexer
        lexer.advance()
        open_: list[tuple[dict[bytes, bytes] | list[bytes], bytes]] = []
        key = b""
        while True:
            kind = lexer.kind
            part = self._part(kind) if open_ else None
            if part is not None:
                value = part
            elif kind == "{" or kind == "[":
                if len(open_) >= LEVELS_A_KB * self.stack_kb:
                    raise stack_depth_exceeded(self.stack_kb)
                lexer.advance()
                if kind == "{":
                    if lexer.kind == STRING:
                        open_.append(({}, key))
                        key = self._key()
                        continue
                    if lexer.kind != "}":
                        raise lexer.unexpected("object first")
                    value = layout.EMPTY_OBJECT
                else:
                    if lexer.kind != "]":
                        open_.append(([], key))
                        continue
                    value = layout.EMPTY_ARRAY
            else:
                value = self._scalar()
            lexer.advance()
            while open_:
                inside, outer_key = open_[-1]
                if isinstance(inside, list):
                    inside.append(value)
                    if lexer.kind == ",":
                        lexer.advance()
                        break
                    if lexer.kind != "]":
                        raise lexer.unexpected("array next")
                    value = layout.array_of(inside)
                else:
                    inside[key] = value
                    if lexer.kind == ",":
                        lexer.advance()
                        if lexer.kind != STRING:
                            raise lexer.unexpected("key")
                        key = self._key()
                        break
                    if lexer.kind != "}":
                        raise lexer.unexpected("object next")
                    value = layout.object_of(inside)
                key = outer_key
                open_.pop()
                lexer.advance()
            else:
                if lexer.kind != END:
                    raise lexer.unexpected("end")
                return Jsonb(value)

    def _part(self, kind: str) -> bytes | None:
        """A container within a long text, when the kernel takes it."""
        lexer = self.lexer
        if not self.plain or kind not in ("[", "{"):
            return None
        found = kernel.parse_part(lexer.text, lexer.start)
        if found is None:
            self.plain -= 1
            return None
        lexer.go_on(found[1])
        return found[0]

    def _key(self) -> bytes:
        name = string_data(self.lexer.value)[1:]
        _key(self.lexer)
        return name

    def _scalar(self) -> bytes:
        lexer = self.lexer
        if lexer.kind == STRING:
            return string_data(lexer.value)
        if lexer.kind == NUMBER:
            return number_from(lexer.token())
        found = _WORD_VALUES.get(lexer.kind)
        if found is None:
            raise lexer.unexpected("value")
        return found


_WORD_VALUES: Final = {"t": layout.TRUE_VALUE, "f": layout.FALSE_VALUE, "n": layout.NULL_VALUE}
