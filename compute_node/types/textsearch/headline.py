"""ts_headline: the part of a document that shows a query's words (manual, 12.3.4), of texts and of JSON.

The document's tokens become ``Word``s, those that match an operand of the query with that. ``_Text`` finds the covers
of the query, the shortest stretches of words that satisfy it, and chooses one, or several fragments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import InvalidParameterValue, SqlError, SqlSyntaxError
from compute_node.hub import HUB
from compute_node.types.common import WHITESPACE, invalid_syntax
from compute_node.types.declare import fn
from compute_node.types.json.lexer import END, STRING, Lexer
from compute_node.types.json.parse import parse as parse_jsonb
from compute_node.types.json.value import Jsonb
from compute_node.types.long_text import joined, paced
from compute_node.types.registry import FunctionContext
from compute_node.types.textsearch import tokens
from compute_node.types.textsearch.configurations import Configuration
from compute_node.types.textsearch.dictionaries import NEXT_PLACE
from compute_node.types.textsearch.documents import Notify, current, named, notifier
from compute_node.types.textsearch.lexize import Lexizer
from compute_node.types.textsearch.match import NO, YES, Places, execute
from compute_node.types.textsearch.query import Node, TsQuery, bounded, nodes
from compute_node.types.textsearch.scan import LEXEME_BYTES_MAX, POSITION_MAX

_REPLACED: Final = frozenset((tokens.TAG,))
_SKIPPED: Final = frozenset((tokens.URL, tokens.NUM_COMPOUND, tokens.ASCII_COMPOUND, tokens.COMPOUND))
_NO_WORDS: Final = _REPLACED | _SKIPPED | {tokens.SPACE}
_NO_ENDS: Final = _NO_WORDS | {
    tokens.SCIENTIFIC, tokens.VERSION, tokens.DECIMAL, tokens.SIGNED, tokens.UNSIGNED, tokens.PROTOCOL,
    tokens.ENTITY,
}  # fmt: skip


class Options(NamedTuple):
    """The options of ts_headline."""

    start: str = "<b>"
    stop: str = "</b>"
    delimiter: str = " ... "
    min_words: int = 15
    max_words: int = 35
    short_word: int = 3
    max_fragments: int = 0
    highlight_all: bool = False


class Word:
    """One token; several words of one token where it matches several operands: all but the first are ``repeated``."""

    __slots__ = ("is_in", "is_replaced", "is_selected", "is_skipped", "item", "kind", "place", "repeated", "text")

    def __init__(self, kind: int, text: str) -> None:
        self.kind, self.text = kind, text
        self.item: Node | None = None
        self.place = 0
        self.repeated = self.is_in = self.is_selected = self.is_skipped = self.is_replaced = False


_OPTION: Final = re.compile(
    rf"""[,{WHITESPACE}]*+(?:"((?:[^"]|"")*+)"|([^,"{WHITESPACE}][^={WHITESPACE}]*+))[{WHITESPACE}]*+="""
    rf"""[{WHITESPACE}]*+(?:E?'((?:[^']|'')*+)'|"((?:[^"]|"")*+)"|((?!E?')[^"{WHITESPACE}][^,{WHITESPACE}]*+))"""
)
"""A name, quoted or plain, and a value; what stands alone after the equals sign is one, whatever it is. Never looks
twice at a character: options may be long."""
_NUMBER: Final = re.compile(r"\s*[+-]?\d+\s*")
_TRUE: Final = frozenset(("1", "on", "true", "t", "y", "yes"))
_NUMBERS: Final = {
    "maxwords": "max_words", "minwords": "min_words", "shortword": "short_word", "maxfragments": "max_fragments",
}  # fmt: skip
_SHORT_MAX: Final = 32767
_LONG_NAMES: Final = {"startsel": "StartSel", "stopsel": "StopSel", "fragmentdelimiter": "FragmentDelimiter"}
_TEXTS: Final = {"startsel": "start", "stopsel": "stop", "fragmentdelimiter": "delimiter"}


def options_of(text: str) -> Options:
    """Options as ts_headline gets them: ``Name=value, Name=value``. 22023, 42601."""
    return _options(list(paced(_pairs(text))))


def _options(pairs: list[tuple[str, str]]) -> Options:
    given: dict[str, Datum] = {}
    for name, value in pairs:
        key = name.lower()
        if key in _NUMBERS:
            if not _NUMBER.fullmatch(value):
                raise invalid_syntax("integer", value)
            given[_NUMBERS[key]] = int(value)
        elif key in _TEXTS:
            if len(value.encode()) > _SHORT_MAX:
                raise InvalidParameterValue(f'value for "{_LONG_NAMES[key]}" is too long')
            given[_TEXTS[key]] = value
        elif key == "highlightall":
            given["highlight_all"] = value.lower() in _TRUE
        else:
            raise InvalidParameterValue(f'unrecognized headline parameter: "{name}"')
    found = Options(**given)
    if not found.highlight_all:
        if found.min_words >= found.max_words:
            raise InvalidParameterValue("MinWords should be less than MaxWords")
        if found.min_words <= 0:
            raise InvalidParameterValue("MinWords should be positive")
        if found.short_word < 0:
            raise InvalidParameterValue("ShortWord should be >= 0")
        if found.max_fragments < 0:
            raise InvalidParameterValue("MaxFragments should be >= 0")
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(text.rstrip(WHITESPACE + ","))
    while at < end:
        match = _OPTION.match(text, at)
        if match is None:
            raise _malformed(text)
        quoted_name, name, literal, quoted, word = match.groups()
        if quoted_name is not None:
            name = quoted_name.replace('""', '"')
        if literal is not None:
            yield name, literal.replace("''", "'").replace("\\\\", "\\")
        else:
            yield name, word if quoted is None else quoted.replace('""', '"')
        at = match.end()


def _malformed(text: str) -> SqlError:
    """42601 for options that are none."""
    return SqlSyntaxError(f'invalid parameter list format: "{text}"')


def words_of(config: Configuration, text: str, query: TsQuery, notify: Notify) -> list[Word]:
    """The document's tokens, with the operands that they match."""
    operands = [node for node in nodes(query.root) if not node.operator]
    found: list[Word] = []
    place = 0
    lexizer = Lexizer(config.dictionaries)
    for token in paced(chain(tokens.parse(text), (tokens.Token(0, ""),))):
        if len(token.text) > LEXEME_BYTES_MAX // 4 and len(token.text.encode()) > LEXEME_BYTES_MAX:
            notify(
                "word is too long to be indexed", f"Words longer than {LEXEME_BYTES_MAX + 1} characters are ignored."
            )
            continue
        for step in lexizer.feed(token):
            place += step.lexemes is not None
            for each in step.tokens:
                found.append(Word(each.kind, each.text))
                here = place
                for lexeme in step.lexemes or ():
                    here += bool(lexeme.flags & NEXT_PLACE)
                    _mark(found, operands, lexeme.text, min(here, POSITION_MAX))
            place += sum(bool(lexeme.flags & NEXT_PLACE) for lexeme in step.lexemes or ())
    return found


def _mark(found: list[Word], operands: list[Node], lexeme: str, place: int) -> None:
    word = next(each for each in reversed(found) if not each.repeated)
    word.place = place
    for node in operands:
        if not (lexeme.startswith(node.lexeme) if node.prefix else lexeme == node.lexeme):
            continue
        if word.item is None:
            word.item = node
        else:
            again = Word(word.kind, word.text)
            again.item, again.place, again.repeated = node, place, True
            found.append(again)


class _Cover:
    __slots__ = ("begin", "end", "excluded", "interesting", "words")

    def __init__(self, begin: int, end: int, words: int, interesting: int) -> None:
        self.begin, self.end, self.words, self.interesting = begin, end, words, interesting
        self.excluded = False


class _Text:
    """A document's words while its headline is chosen."""

    def __init__(self, words: list[Word], query: TsQuery, options: Options) -> None:
        self.words, self.query, self.options = words, query, options
        self.matching = [at for at, word in enumerate(words) if word.item is not None]
        cover = max(options.max_words * 10, 100)
        self.max_cover = cover * options.max_fragments if options.max_fragments > 0 else cover

    def is_interesting(self, at: int) -> bool:
        word = self.words[at]
        return word.item is not None and not word.repeated

    def counts(self, at: int) -> bool:
        return self.words[at].kind not in _NO_WORDS

    def is_bad_end(self, at: int) -> bool:
        """Not a good place to end: no word, or a short one, unless the query is about it."""
        word = self.words[at]
        short = word.kind in _NO_ENDS or len(word.text.encode()) <= self.options.short_word
        return short and not self.is_interesting(at)

    def covers(self) -> Iterator[tuple[int, int]]:
        """(first, last) of the shortest stretches that satisfy the query, by where they begin."""
        root = self.query.root
        if root is None:
            return
        for number, first in enumerate(self.matching):
            for last in self.matching[number:]:
                HUB.pulse()
                if last != first and last - first >= self.max_cover:
                    break
                if bounded(execute)(root, self._lookup(first, last)) != NO:
                    yield first, last
                    break

    def _lookup(self, first: int, last: int) -> Callable[[Node, Places | None], int]:
        words = self.words[first : last + 1]

        def found(node: Node, places: Places | None) -> int:
            at = sorted({word.place for word in words if word.item is node})
            if places is not None:
                places.at = at
            return YES if at else NO

        return found

    # one headline

    def whole(self) -> None:
        """Mark the one headline."""
        if self.options.highlight_all:
            self.mark(0, len(self.words) - 1)
            return
        best: tuple[int, int] | None = None
        score = (False, -1)
        for first, last in self.covers():
            begin, end, interesting = self._grown(first, last)
            new = (begin <= first and end >= last, interesting)
            better = new > score
            if new == score and best is not None:
                better = not self.is_bad_end(end) and self.is_bad_end(best[1])
            if better:
                best, score = (begin, end), new
        if best is None:
            best = 0, self._first_words()
        self.mark(*best)

    def _grown(self, first: int, last: int) -> tuple[int, int, int]:
        """A cover made as long as a headline should be: begin, end, how many words of the query it has."""
        options, words = self.options, self.words
        length = interesting = 0
        begin = end = first
        at = first
        while at <= last and length < options.max_words:
            length += self.counts(at)
            interesting += self.is_interesting(at)
            end = at
            at += 1
        if length < options.max_words:
            at -= 1
            while at < len(words) and length < options.max_words:
                if at > last:
                    length += self.counts(at)
                    interesting += self.is_interesting(at)
                end = at
                if not self.is_bad_end(at) and length >= options.min_words:
                    break
                at += 1
            if length < options.min_words:
                begin, length, interesting = self._leftwards(first, length, interesting)
        else:
            at = min(at, last)
            while length > options.min_words and self.is_bad_end(at):
                length -= self.counts(at)
                interesting -= self.is_interesting(at)
                end = at - 1
                at -= 1
        return begin, end, interesting

    def _leftwards(self, first: int, length: int, interesting: int) -> tuple[int, int, int]:
        at = first - 1
        while at >= 0:
            length += self.counts(at)
            interesting += self.is_interesting(at)
            if length >= self.options.max_words:
                break
            if not self.is_bad_end(at) and length >= self.options.min_words:
                break
            at -= 1
        return max(at, 0), length, interesting

    def _first_words(self) -> int:
        """The last of the first words of the document, where no part of it is better."""
        length, end = 0, -1
        for at in range(len(self.words)):
            if length >= self.options.min_words:
                break
            length += self.counts(at)
            end = at
        return end

    # fragments

    def fragments(self) -> None:
        """Mark the fragments."""
        covers = [piece for first, last in self.covers() for piece in self._pieces(first, last)]
        marked = 0
        while marked < self.options.max_fragments:
            left = [each for each in covers if not each.excluded]
            best = min(left, key=lambda each: (-each.interesting, each.words), default=None)
            if best is None or not best.interesting:
                break
            best.excluded = True
            self._stretch(best)
            self.mark(best.begin, best.end)
            marked += 1
            for each in covers:
                if each.begin <= best.end and each.end >= best.begin:
                    each.excluded = True
        if not marked:
            self.mark(0, self._first_words())

    def _pieces(self, first: int, last: int) -> Iterator[_Cover]:
        """A cover in pieces of at most so many words, which begin and end with a word of the query."""
        begin = first
        while begin <= last:
            piece = self._piece(begin, last)
            yield piece
            begin = piece.end + 1

    def _piece(self, begin: int, last: int) -> _Cover:
        while begin < last and not self.is_interesting(begin):
            begin += 1
        length = interesting = 0
        at, end = begin, last
        while at <= last and length < self.options.max_words:
            length += self.counts(at)
            interesting += self.is_interesting(at)
            at += 1
        if end > at:
            end = at
            at = end
            while at >= begin:
                end = at
                if self.is_interesting(at):
                    break
                length -= self.counts(at)
                at -= 1
        return _Cover(begin, end, length, interesting)

    def _stretch(self, cover: _Cover) -> None:
        """Add words on both sides, up to the greatest length, other fragments and the document's ends."""
        length, begin, end = cover.words, cover.begin, cover.end
        most = self.options.max_words
        if length >= most:
            return
        left, stretched, edge = (most - length) // 2, 0, begin
        at = begin - 1
        while at >= 0 and stretched < left and not self.words[at].is_in:
            if self.counts(at):
                length += 1
                stretched += 1
            edge = at
            at -= 1
        while edge < begin and self.is_bad_end(edge):
            length -= self.counts(edge)
            edge += 1
        cover.begin, edge = edge, end
        at = end + 1
        while at < len(self.words) and length < most and not self.words[at].is_in:
            length += self.counts(at)
            edge = at
            at += 1
        while edge > end and self.is_bad_end(edge):
            length -= self.counts(edge)
            edge -= 1
        cover.end, cover.words = edge, length

    def mark(self, begin: int, end: int) -> None:
        """These words are shown."""
        for word in self.words[begin : end + 1]:
            word.is_selected = word.is_selected or word.item is not None
            if not self.options.highlight_all and word.kind in _REPLACED:
                word.is_replaced = True
            elif word.kind in _SKIPPED:
                word.is_skipped = True
            word.is_in = not word.repeated

    def shown(self) -> str:
        """The headline."""
        parts: list[str] = []
        inside, fragments = False, 0
        for word in paced(self.words):
            if word.repeated:
                continue
            if not word.is_in:
                inside = False
                continue
            if not inside:
                inside = True
                fragments += 1
                if fragments > 1:
                    parts.append(self.options.delimiter)
            if word.is_replaced:
                parts.append(" ")
            elif not word.is_skipped:
                parts += [self.options.start, word.text, self.options.stop] if word.is_selected else [word.text]
        return joined(parts)


def headline(config: Configuration, notify: Notify, text: str, query: TsQuery, given: str | None = None) -> str:
    """ts_headline of a text."""
    return _headline(config, notify, text, query, Options() if given is None else options_of(given))


def _headline(config: Configuration, notify: Notify, text: str, query: TsQuery, options: Options) -> str:
    found = _Text(words_of(config, text, query, notify), query, options)
    if options.max_fragments:
        found.fragments()
    else:
        found.whole()
    return found.shown()


# JSON: the headline of each string


def _json(config: Configuration, notify: Notify, text: str, query: TsQuery, given: str | None = None) -> str:
    pairs = [] if given is None else list(paced(_pairs(given)))
    lexer = Lexer(text, decode=True)
    parts: list[str] = []
    lexer.advance()
    while lexer.kind != END:
        kind, value, start, stop = lexer.kind, lexer.value, lexer.start, lexer.stop
        lexer.advance()
        if kind == STRING and lexer.kind != ":":
            parts.append(json.dumps(_headline(config, notify, value, query, _options(pairs)), ensure_ascii=False))
        else:
            parts.append(json.dumps(value, ensure_ascii=False) if kind == STRING else text[start:stop])
    return "".join(parts)


def _jsonb(config: Configuration, notify: Notify, value: Jsonb, query: TsQuery, given: str | None = None) -> Jsonb:
    return parse_jsonb(_json(config, notify, value.text(), query, given))


Run = Callable[..., Datum]


def _declare(oids: tuple[int, int, int, int], kind: str, run: Run) -> None:
    """With a configuration and with the session's, with options and without."""

    def given(context: FunctionContext, oid: int, *rest: Datum) -> Datum:
        return run(named(context, oid), notifier(context), *rest)

    def default(context: FunctionContext, *rest: Datum) -> Datum:
        return run(current(context), notifier(context), *rest)

    fn(oids[0], f"ts_headline(regconfig, {kind}, tsquery, text) {kind}", given, needs_context=True)
    fn(oids[1], f"ts_headline(regconfig, {kind}, tsquery) {kind}", given, needs_context=True)
    fn(oids[2], f"ts_headline({kind}, tsquery, text) {kind} stable", default, needs_context=True)
    fn(oids[3], f"ts_headline({kind}, tsquery) {kind} stable", default, needs_context=True)


_declare((3743, 3744, 3754, 3755), "text", headline)
_declare((4201, 4202, 4203, 4204), "jsonb", _jsonb)
_declare((4205, 4206, 4207, 4208), "json", _json)
