"""Text → tokens: the parser ``default`` (manual, 12.5).

At each place the kinds that may begin there are tried, the most special first: a URL, then a host, then a file, then a
word. A compound of words with hyphens, and a URL, are followed by their parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from compute_node.hub import HUB
from compute_node.types import ctype
from compute_node.types.long_text import paced

ASCII_WORD, WORD, NUM_WORD, EMAIL, URL, HOST, SCIENTIFIC, VERSION = range(1, 9)
NUM_PART, WORD_PART, ASCII_PART, SPACE, TAG, PROTOCOL, NUM_COMPOUND = range(9, 16)
ASCII_COMPOUND, COMPOUND, URL_PATH, FILE, DECIMAL, SIGNED, UNSIGNED, ENTITY = range(16, 24)

KINDS: Final = (
    (ASCII_WORD, "asciiword", "Word, all ASCII"),
    (WORD, "word", "Word, all letters"),
    (NUM_WORD, "numword", "Word, letters and digits"),
    (EMAIL, "email", "Email address"),
    (URL, "url", "URL"),
    (HOST, "host", "Host"),
    (SCIENTIFIC, "sfloat", "Scientific notation"),
    (VERSION, "version", "Version number"),
    (NUM_PART, "hword_numpart", "Hyphenated word part, letters and digits"),
    (WORD_PART, "hword_part", "Hyphenated word part, all letters"),
    (ASCII_PART, "hword_asciipart", "Hyphenated word part, all ASCII"),
    (SPACE, "blank", "Space symbols"),
    (TAG, "tag", "XML tag"),
    (PROTOCOL, "protocol", "Protocol head"),
    (NUM_COMPOUND, "numhword", "Hyphenated word, letters and digits"),
    (ASCII_COMPOUND, "asciihword", "Hyphenated word, all ASCII"),
    (COMPOUND, "hword", "Hyphenated word, all letters"),
    (URL_PATH, "url_path", "URL path"),
    (FILE, "file", "File or path name"),
    (DECIMAL, "float", "Decimal notation"),
    (SIGNED, "int", "Signed integer"),
    (UNSIGNED, "uint", "Unsigned integer"),
    (ENTITY, "entity", "XML entity"),
)
"""Number, alias, description."""


class Token(NamedTuple):
    """A kind and its text."""

    kind: int
    text: str


_PULSE_TOKENS: Final = 512
_HOST = r"(?:[A-Za-z0-9]++[-._])+(?<=\.)[A-Za-z]{2,}+(?![0-9])(?::[0-9]++)?+"
_URL_CHAR = r"[!#-;=?-\[\]_a-z~]"
_EMAIL = rf"[A-Za-z0-9]++(?:[-._][A-Za-z0-9]++)*@{_HOST}"


class _Patterns:
    """The expressions, made when a first text is parsed: letters are many."""

    def __init__(self) -> None:
        letters, alnum = _class("alpha"), _class("alnum")
        marks = _MARKS
        self.space = re.compile(rf"[\s\S](?:(?![<\-+&/])[^{alnum}])*+")
        self.ignored = re.compile(r"[^<]++")
        self.host = re.compile(_HOST)
        self.email = re.compile(_EMAIL)
        self.num_email = re.compile(rf"(?:[{letters}]|[0-9]++[{letters}{marks}])[{alnum}{marks}]*+@{_HOST}")
        self.url_path = re.compile(rf"/{_URL_CHAR}++")
        self.protocol = re.compile(r"[A-Za-z]++://")
        self.ascii_word = re.compile(rf"[A-Za-z]++(?![{alnum}{marks}])")
        self.word = re.compile(rf"[{letters}][{letters}{marks}]*+(?![{alnum}])")
        self.num_word = re.compile(rf"(?:[{letters}]|[0-9]++[{letters}{marks}])[{alnum}{marks}]*+")
        part = rf"(?:[{letters}][{alnum}{marks}]*+|[0-9]++[{letters}{marks}][{alnum}{marks}]*+)"
        self.compound = re.compile(rf"[{letters}][{alnum}{marks}]*+(?:-{part})++")
        self.digits_compound = re.compile(rf"[0-9]++[{letters}{marks}][{alnum}{marks}]*+(?:-{part})++")
        self.more = re.compile(rf"-[{alnum}{marks}]")
        self.all_letters = re.compile(rf"[{letters}{marks}\-]++")
        self.version = re.compile(r"[0-9]++\.[0-9]++(?:\.[0-9]++)++")
        self.scientific = re.compile(r"[-+]?[0-9]++(?:\.[0-9]++)?+[eE][-+]?[0-9]++")
        self.whole_scientific = re.compile(r"[0-9]++[eE][-+]?[0-9]++")
        self.decimal = re.compile(r"[-+]?[0-9]++\.[0-9]++")
        self.integer = re.compile(r"[-+]?[0-9]++")
        self.entity = re.compile(rf"&(?:#(?:[xX][0-9A-Fa-f]++|[0-9]++)|[A-Za-z:_][{alnum}:_.\-]*+);")
        self.tag = _tag(alnum)
        self.letter = re.compile(rf"[{letters}]")


_MARKS: Final = "".join(
    f"{chr(first)}-{chr(last)}" for first, last in ((0x0300, 0x036F), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF))
)
"""Combining characters belong to the word before them."""


def _class(name: str) -> str:
    """The inside of a character class."""
    ranges = ctype.char_class(name) or ()
    return "".join(re.escape(chr(first)) + "-" + re.escape(chr(last)) for first, last in ranges)


def _tag(alnum: str) -> re.Pattern[str]:
    inside = r"""(?:[A-Za-z0-9=\-_#/:.&?%~\s]|'(?:\\[\s\S]|[^'\\])*+'|"(?:\\[\s\S]|[^"\\])*+")*+>"""
    name = rf"[{alnum}:_.\-]*+(?:/>|>|\s{inside})"
    return re.compile(rf"<(?:/[A-Za-z]{name}|[A-Za-z:_]{name}|!--[\s\S]*?-->|![Dd]{inside}|\?x{inside})")


@cache
def _patterns() -> _Patterns:
    return _Patterns()


class _File:
    """Recognizes file names and paths: ``/a/b.c``, ``~/x``, ``../y``, ``a/b``."""

    _NAME = re.compile(r"[A-Za-z0-9_\-]*+")
    _START = re.compile(r"[A-Za-z0-9_]")

    def __init__(self, text: str) -> None:
        self.text = text

    def at(self, place: int) -> tuple[int, int] | None:
        """(end, kind) of a path that begins with ``/``, ``~`` or ``.`` here."""
        char = self.text[place : place + 1]
        if char == "/":
            return self.first(place + 1)
        if char == "~":
            return self.twiddle(place + 1)
        if self.text.startswith("./", place):
            return self.first(place + 2)
        if self.text.startswith("..", place):
            return self.second(place + 2)
        return None

    def first(self, place: int) -> tuple[int, int] | None:
        """Behind a slash."""
        if self._START.match(self.text, place):
            return self.inside(place + 1)
        char = self.text[place : place + 1]
        if char == ".":
            return self.dot(place + 1)
        return self.twiddle(place + 1) if char == "~" else None

    def dot(self, place: int) -> tuple[int, int] | None:
        """Behind the dot that begins a name."""
        if self._START.match(self.text, place):
            return self.inside(place + 1)
        char = self.text[place : place + 1]
        if char == ".":
            return self.second(place + 1)
        return self.first(place + 1) if char == "/" else None

    def second(self, place: int) -> tuple[int, int] | None:
        """Behind two dots."""
        char = self.text[place : place + 1]
        if char == "/":
            return self.first(place + 1) or (place, FILE)
        return (place, FILE) if not char or char.isspace() else None

    def twiddle(self, place: int) -> tuple[int, int] | None:
        """Behind a tilde."""
        if self._START.match(self.text, place):
            return self.inside(place + 1)
        return self.first(place + 1) if self.text.startswith("/", place) else None

    def inside(self, place: int) -> tuple[int, int]:
        """Behind the first character of a name: its end."""
        while True:
            place = self._NAME.match(self.text, place).end()  # type: ignore[union-attr]
            char = self.text[place : place + 1]
            if char == "." and self._START.match(self.text, place + 1):
                place += 2
                continue
            if char == "/":
                found = self.first(place + 1)
                return (place, FILE) if found is None else found
            return place, FILE


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.patterns = _patterns()
        self.file = _File(text)
        self.ignoring = False
        """inside <script> or <style>"""

    def tokens(self) -> Iterator[Token]:
        """All of them."""
        at, count = 0, 0
        while at < len(self.text):
            count += 1
            if not count % _PULSE_TOKENS:
                HUB.pulse()
            found = self._one(at)
            yield from found
            # Parts of a compound repeat its text: the tokens that advance are those behind the first.
            at += sum(len(token.text) for token in (found[1:] if len(found) > 1 else found))

    def _one(self, at: int) -> list[Token]:
        """The token at a place, with its parts."""
        text, patterns = self.text, self.patterns
        char = text[at]
        if char == "<":
            match = patterns.tag.match(text, at)
            if match is not None:
                self._special(match[0])
                return [Token(TAG, match[0])]
        if self.ignoring:
            match = patterns.ignored.match(text, at + (char == "<"))
            return [Token(SPACE, text[at : match.end() if match else at + 1])]
        if char.isascii() and char.isalnum():
            found = self._ascii(at)
        elif patterns.letter.match(char):
            found = self._wordy(at, False)
        else:
            found = self._other(at, char)
        if found:
            return found
        match = patterns.space.match(text, at)
        return [Token(SPACE, match[0] if match else char)]

    def _special(self, tag: str) -> None:
        name = tag.lower()
        if name.startswith(("</script", "</style")):
            self.ignoring = False
        elif name.startswith(("<script", "<style")):
            self.ignoring = True

    def _ascii(self, at: int) -> list[Token]:
        """What begins with an ASCII letter or digit."""
        text, patterns = self.text, self.patterns
        whole = patterns.whole_scientific.match(text, at)
        if whole is not None:
            return [Token(SCIENTIFIC, whole[0])]
        email = patterns.email.match(text, at)
        if email is not None:
            return [Token(EMAIL, email[0])]
        host = patterns.host.match(text, at)
        if host is not None:
            path = patterns.url_path.match(text, host.end())
            if path is not None:
                return [Token(URL, host[0] + path[0]), Token(HOST, host[0]), Token(URL_PATH, path[0])]
            return [Token(HOST, host[0])]
        if text[at].isdigit():
            return self._number(at) or self._wordy(at, True)
        protocol = patterns.protocol.match(text, at)
        if protocol is not None:
            return [Token(PROTOCOL, protocol[0])]
        return self._wordy(at, False)

    def _wordy(self, at: int, digits_first: bool) -> list[Token]:
        """A word or a compound; a file name where a slash or a dot follows an ASCII one."""
        text, patterns = self.text, self.patterns
        word = patterns.num_word.match(text, at)
        if word is None:
            return []
        is_plain = patterns.all_letters.fullmatch(word[0]) is not None
        is_ascii = is_plain and word[0].isascii()
        follow = text[word.end() : word.end() + 1]
        if follow == "@" and not is_plain:
            email = patterns.num_email.match(text, at)
            if email is not None:
                return [Token(EMAIL, email[0])]
        if follow in ("/", ".") and follow and (is_ascii or not is_plain):
            found = self._file_from(word.end())
            if found is not None:
                return [Token(found[1], text[at : found[0]])]
        if follow == "-":
            compound = (patterns.digits_compound if digits_first else patterns.compound).match(text, at)
            if compound is not None:
                tokens = self._parts(compound[0])
                if patterns.more.match(text, compound.end()):
                    tokens.append(Token(SPACE, "-"))
                return tokens
        return [Token(ASCII_WORD if is_ascii else WORD if is_plain else NUM_WORD, word[0])]

    def _file_from(self, place: int) -> tuple[int, int] | None:
        """A file name that goes on with a slash or a dot here."""
        if self.text[place] == "/":
            return self.file.first(place + 1)
        return self.file.inside(place + 2) if _File._START.match(self.text, place + 1) else None

    def _parts(self, compound: str) -> list[Token]:
        out = []
        kinds = set()
        for number, part in enumerate(paced(compound.split("-"))):
            if number:
                out.append(Token(SPACE, "-"))
            is_plain = self.patterns.all_letters.fullmatch(part) is not None
            kind = ASCII_PART if is_plain and part.isascii() else WORD_PART if is_plain else NUM_PART
            kinds.add(kind)
            out.append(Token(kind, part))
        whole = NUM_COMPOUND if NUM_PART in kinds else COMPOUND if WORD_PART in kinds else ASCII_COMPOUND
        return [Token(whole, compound), *out]

    def _number(self, at: int) -> list[Token]:
        text, patterns = self.text, self.patterns
        version = patterns.version.match(text, at)
        if version is not None:
            return [Token(VERSION, version[0])]
        for kind, pattern in ((SCIENTIFIC, patterns.scientific), (DECIMAL, patterns.decimal)):
            match = pattern.match(text, at)
            if match is not None:
                return [Token(kind, match[0])]
        match = patterns.integer.match(text, at)
        if match is None:
            return []
        if text.startswith("/", match.end()):
            found = self.file.first(match.end() + 1)
            if found is not None:
                return [Token(found[1], text[at : found[0]])]
        word = patterns.num_word.match(text, at)
        return [] if word is not None else [Token(UNSIGNED, match[0])]

    def _other(self, at: int, char: str) -> list[Token]:
        """What begins with a sign, an ampersand, a slash, a tilde or a dot."""
        text, patterns = self.text, self.patterns
        if char in "+-":
            return self._signed(at)
        if char == "&":
            match = patterns.entity.match(text, at)
            return [] if match is None else [Token(ENTITY, match[0])]
        if char in "/~.":
            found = self.file.at(at)
            return [] if found is None else [Token(found[1], text[at : found[0]])]
        return []

    def _signed(self, at: int) -> list[Token]:
        text, patterns = self.text, self.patterns
        if patterns.version.match(text, at + 1):
            return [Token(SPACE, text[at])]
        for kind, pattern in (
            (SCIENTIFIC, patterns.scientific),
            (DECIMAL, patterns.decimal),
            (SIGNED, patterns.integer),
        ):
            match = pattern.match(text, at)
            if match is not None:
                return [Token(kind, match[0])]
        return []


def parse(text: str) -> Iterator[Token]:
    """The tokens of a text."""
    return _Parser(text).tokens()
