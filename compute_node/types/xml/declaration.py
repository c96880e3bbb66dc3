"""XML declarations: ``<?xml version="1.0" encoding="UTF-8" standalone="yes"?>``, read and written as PostgreSQL does.

A stored value keeps its declaration as it was given. What is shown has one only where it says something: a version
other than 1.0, or ``standalone``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from aurora.errors import SqlError

VERSION: Final = "1.0"
_SPACE: Final = " \t\n\r"
_NAME_CHARACTER: Final = re.compile(r"[\w.\-:·]")


class Declaration(NamedTuple):
    """``end``: where the declaration ends, 0 without one. ``standalone``: 1 yes, 0 no, -1 not said."""

    end: int = 0
    version: str | None = None
    encoding: str | None = None
    standalone: int = -1


class DeclarationError(Exception):
    """The text is no declaration; ``detail`` is PostgreSQL's."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def of(self, error: type[SqlError], message: str) -> SqlError:
        """The SQL error."""
        return error(message, detail=self.detail)


_SPACE_REQUIRED: Final = "Space required."
_VERSION_MISSING: Final = "Malformed declaration: missing version."
_MISSING_ENCODING: Final = "Missing encoding in text declaration."
_STANDALONE_VALUE: Final = "standalone accepts only 'yes' or 'no'."
_NOT_FINISHED: Final = "Parsing XML declaration: '?>' expected."
_INVALID_CHARACTER: Final = "Invalid character value."


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 5

    def skip(self) -> bool:
        """Over blanks; whether there were any."""
        start = self.at
        while self.text[self.at : self.at + 1] and self.text[self.at] in _SPACE:
            self.at += 1
        return self.at > start

    def word(self, word: str) -> bool:
        if not self.text.startswith(word, self.at):
            return False
        self.at += len(word)
        return True

    def quoted(self, detail: str) -> str:
        """``= "value"``."""
        self.skip()
        if not self.word("="):
            raise DeclarationError(detail)
        self.skip()
        quote = self.text[self.at : self.at + 1]
        end = self.text.find(quote, self.at + 1) if quote in ("'", '"') else -1
        if end < 0:
            raise DeclarationError(detail)
        value = self.text[self.at + 1 : end]
        self.at = end + 1
        return value

    def attribute(self, name: str, detail: str) -> str | None:
        start = self.at
        blank = self.skip()
        if not self.text.startswith(name, self.at):
            self.at = start
            return None
        if not blank:
            raise DeclarationError(_SPACE_REQUIRED)
        self.at += len(name)
        return self.quoted(detail)


def read_declaration(text: str) -> Declaration:
    """The declaration that the text begins with; none at all is fine, a broken one is a ``DeclarationError``."""
    if not text.startswith("<?xml") or _NAME_CHARACTER.match(text, 5):
        return Declaration()
    scanner = _Scanner(text)
    if not scanner.skip():
        raise DeclarationError(_SPACE_REQUIRED)
    if not scanner.word("version"):
        raise DeclarationError(_VERSION_MISSING)
    version = scanner.quoted(_VERSION_MISSING)
    encoding = scanner.attribute("encoding", _MISSING_ENCODING)
    said = scanner.attribute("standalone", _STANDALONE_VALUE)
    if said not in (None, "yes", "no"):
        raise DeclarationError(_STANDALONE_VALUE)
    scanner.skip()
    if not scanner.word("?>"):
        raise DeclarationError(_NOT_FINISHED)
    if not text[: scanner.at].isascii():
        raise DeclarationError(_INVALID_CHARACTER)
    return Declaration(scanner.at, version, encoding, -1 if said is None else int(said == "yes"))


def leniently(text: str) -> Declaration:
    """As ``read_declaration``; a broken one counts as none."""
    try:
        return read_declaration(text)
    except DeclarationError:
        return Declaration()


def declaration_text(version: str | None, standalone: int) -> str:
    """What is written before a value; nothing where it would say nothing."""
    if (version is None or version == VERSION) and standalone == -1:
        return ""
    text = f'<?xml version="{VERSION if version is None else version}"'
    if standalone >= 0:
        text += f' standalone="{"yes" if standalone else "no"}"'
    return text + "?>"


def has_doctype(text: str, start: int) -> bool:
    """Whether a DOCTYPE comes first, comments and processing instructions aside: then content is a document."""
    at = start
    while True:
        while text[at : at + 1] and text[at] in _SPACE:
            at += 1
        if text.startswith("<!DOCTYPE", at):
            return True
        if text.startswith("<!--", at):
            at = text.find("--", at + 4)
            if at < 0 or text[at + 2 : at + 3] != ">":
                return False
            at += 3
        elif text.startswith("<?", at):
            at = text.find("?>", at + 2)
            if at < 0:
                return False
            at += 2
        else:
            return False


def shown(text: str) -> str:
    """A value's text form: without the encoding that it was given in."""
    if not text.startswith("<?xml"):
        return text[1:] if text.startswith("\n") else text
    found = leniently(text)
    written = declaration_text(found.version, found.standalone)
    end = found.end
    if not written and text.startswith("\n", end):
        end += 1
    return written + text[end:]
