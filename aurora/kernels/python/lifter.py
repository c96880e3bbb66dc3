"""The literal lifter: statement text → (key with the literals taken out, the literals).

Simple queries reach the plan cache through the key (design, wall 8). The lexer follows PostgreSQL's lexical rules
(manual chapter 4.1) for what it lifts (plain quoted strings and unsigned decimal numbers) and copies the rest;
whatever it is not sure about makes it decline with None, and the text is parsed as it is.

A lifted literal leaves ``\\0`` and its kind in the key: ``i`` fits int4, ``l`` fits int8, ``n`` numeric, ``s``
string. Ints come as int, the others as str. A sign stays in the key: the caller negates. Comments become one blank,
other white space stays as it is.
"""

from __future__ import annotations

from aurora.datum import Datum

MAX_BYTES = 16384
"""Longer texts decline: their keys would fill the cache, and parsing is not what they cost."""
MAX_LITERALS = 256

_SPACE = frozenset(b" \t\n\r\f\v")
_DIGITS = frozenset(b"0123456789")
_START = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") | frozenset(range(128, 256))
_PART = _START | _DIGITS | frozenset(b"$")
_FIRST_WORDS = frozenset((b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"WITH", b"VALUES"))


def lift(sql: bytes) -> tuple[bytes, list[Datum]] | None:
    """Key and literals in order of appearance, or None when the text is not liftable."""
    lexed = _lex(sql)
    return None if lexed is None else (lexed[0], lexed[1])


def positions(sql: bytes) -> list[int] | None:
    """The byte offset of each literal that ``lift`` gives."""
    lexed = _lex(sql)
    return None if lexed is None else lexed[2]


def _lex(sql: bytes) -> tuple[bytes, list[Datum], list[int]] | None:
    size = len(sql)
    if size > MAX_BYTES:
        return None
    key = bytearray()
    literals: list[Datum] = []
    offsets: list[int] = []
    at = 0
    first_word = True
    while at < size:
        byte = sql[at]
        if byte in _START:
            start = at
            while at < size and sql[at] in _PART:
                at += 1
            word = sql[start:at]
            if first_word:
                if word.upper() not in _FIRST_WORDS:
                    return None
                first_word = False
            if at < size and sql[at] == 39:
                # E'', B'', X'', N'' or a type name glued to a string: left to the parser.
                return None
            if at < size and sql[at] == 38 and word in (b"u", b"U"):
                return None
            key += word
        elif byte in _DIGITS or (byte == 46 and at + 1 < size and sql[at + 1] in _DIGITS):
            start = at
            while at < size and sql[at] in _DIGITS:
                at += 1
            integral = True
            if at < size and sql[at] == 46:
                if at + 1 < size and sql[at + 1] == 46:
                    return None
                integral = False
                at += 1
                while at < size and sql[at] in _DIGITS:
                    at += 1
            if at < size and sql[at] in b"eE":
                integral = False
                at += 1
                if at < size and sql[at] in b"+-":
                    at += 1
                if at >= size or sql[at] not in _DIGITS:
                    return None
                while at < size and sql[at] in _DIGITS:
                    at += 1
            if at < size and (sql[at] in _PART or sql[at] == 46):
                return None
            text = sql[start:at]
            if integral and len(text) <= 18:
                value = int(text)
                if value == 1 << 31:
                    # With a minus sign in front it is an int4, without one an int8.
                    return None
                literals.append(value)
                key += b"\0i" if value < 1 << 31 else b"\0l"
            elif integral and len(text) == 19:
                # Around the end of int8 the sign decides the type.
                return None
            else:
                literals.append(text.decode())
                key += b"\0n"
            offsets.append(start)
        elif byte == 39:
            start = at
            pieces = []
            at += 1
            while True:
                close = sql.find(b"'", at)
                if close < 0:
                    return None
                pieces.append(sql[at:close])
                at = close + 1
                if at < size and sql[at] == 39:
                    at += 1
                    continue
                break
            if _continues(sql, at):
                return None
            try:
                literals.append(b"'".join(pieces).decode())
            except UnicodeDecodeError:
                return None
            offsets.append(start)
            key += b"\0s"
        elif byte == 34:
            start = at
            close = sql.find(b'"', at + 1)
            if close < 0:
                return None
            at = close + 1
            key += sql[start:at]
        elif byte == 45 and at + 1 < size and sql[at + 1] == 45:
            end = at
            while end < size and sql[end] not in b"\n\r":
                end += 1
            at = end
            key += b" "
        elif byte == 47 and at + 1 < size and sql[at + 1] == 42:
            depth = 1
            at += 2
            while depth:
                if at + 1 >= size:
                    return None
                pair = sql[at : at + 2]
                if pair == b"/*":
                    depth += 1
                    at += 2
                elif pair == b"*/":
                    depth -= 1
                    at += 2
                else:
                    at += 1
            key += b" "
        elif byte in b"$\\`\0":
            return None
        elif byte == 59:
            if sql[at:].strip(b"; \t\n\r\f\v"):
                return None
            break
        else:
            key.append(byte)
            at += 1
        if len(literals) > MAX_LITERALS:
            return None
    if first_word:
        return None
    return bytes(key), literals, offsets


def _continues(sql: bytes, at: int) -> bool:
    """Whether another quote follows after white space: then the two may be one literal."""
    while at < len(sql) and sql[at] in _SPACE:
        at += 1
    return at < len(sql) and (sql[at] == 39 or sql[at : at + 2] == b"--")
