"""Documents → tsvectors: to_tsvector of texts and of JSON, ts_parse, ts_lexize (manual, 12.3.1 and 12.8)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import InternalError, InvalidParameterValue, SuccessfulCompletion, UndefinedObject
from compute_node.types.declare import fn
from compute_node.types.json.lexer import END, NUMBER, STRING, Lexer
from compute_node.types.json.value import Jsonb
from compute_node.types.long_text import paced
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import FunctionContext
from compute_node.types.textsearch.configurations import (
    Configuration,
    builtin,
    configuration,
    configuration_oid,
    dictionary,
)
from compute_node.types.textsearch.scan import LEXEME_BYTES_MAX, POSITION_MAX
from compute_node.types.textsearch.tokens import KINDS, parse
from compute_node.types.textsearch.vector import TsVector, make

Notify = Callable[[str, str], None]


class Word(NamedTuple):
    """A lexeme of a document and its place, from 1."""

    lexeme: str
    position: int


def words(config: Configuration, text: str, notify: Notify, position: int = 0) -> Generator[Word, None, int]:
    """The lexemes of a text; stop words take a place too. ``position``: the last place before it. Returns the last
    place in it."""
    by_kind = config.by_kind
    for kind, token in parse(text):
        found = by_kind.get(kind)
        if found is None:
            continue
        if len(token) > LEXEME_BYTES_MAX // 4 and len(token.encode()) > LEXEME_BYTES_MAX:
            notify(
                "word is too long to be indexed", f"Words longer than {LEXEME_BYTES_MAX + 1} characters are ignored."
            )
            continue
        position += 1
        for lexeme in found.lexemes(token):
            yield Word(lexeme, position)
    return position


def current(context: FunctionContext) -> Configuration:
    """What ``default_text_search_config`` names."""
    return configuration(current_oid(context))


def current_oid(context: FunctionContext) -> int:
    """42704"""
    return configuration_oid(context.session.get_setting("default_text_search_config", False) or "")


def notifier(context: FunctionContext) -> Notify:
    """Sends a notice to the client."""

    def notify(message: str, detail: str = "") -> None:
        context.session.notice(SuccessfulCompletion(message, detail=detail or None))

    return notify


def to_vector(config: Configuration, texts: Iterable[str], notify: Notify) -> TsVector:
    """Of one text or several: between two there is a place that no phrase reaches over."""
    found: dict[str, list[int]] = {}
    position = 0
    for text in texts:
        walk, any_words = words(config, text, notify, position), False
        try:
            while True:
                word = next(walk)
                found.setdefault(word.lexeme, []).append(min(word.position, POSITION_MAX))
                any_words = True
        except StopIteration as end:
            position = end.value + int(any_words)
    return make(found)


# The signatures: with a configuration, and with the current one

Run = Callable[..., Datum]


def declare_both(oids: tuple[int, int], name: str, arguments: str, result: str, run: Run) -> None:
    """``run(config, notify, …)`` with a configuration before the arguments, and with the session's."""

    def given(context: FunctionContext, oid: int, *rest: Any) -> Any:
        return run(configuration(oid), notifier(context), *rest)

    def default(context: FunctionContext, *rest: Any) -> Any:
        return run(current(context), notifier(context), *rest)

    fn(oids[0], f"{name}(regconfig, {arguments}) {result}", given, needs_context=True)
    fn(oids[1], f"{name}({arguments}) {result} stable", default, needs_context=True)


_FLAGS: Final = ("all", "key", "string", "numeric", "boolean")


def _flags(given: Jsonb) -> set[str]:
    """The kinds that the filter of jsonb_to_tsvector names; 22023."""
    items = list(given.elements()) if given.kind == "array" else [given]
    if given.kind == "object":
        raise InvalidParameterValue("wrong flag type, only arrays and scalars are allowed")
    out = set()
    for item in items:
        if item.kind in ("array", "object"):
            raise InternalError("unexpected end of flag array")
        if item.kind != "string":
            raise InvalidParameterValue(
                "flag array element is not a string",
                hint='Possible values are: "string", "numeric", "boolean", "key", and "all".',
            )
        name = str(item.scalar())
        if name.lower() not in _FLAGS:
            raise InvalidParameterValue(
                f'wrong flag in flag array: "{name}"',
                hint='Possible values are: "string", "numeric", "boolean", "key", and "all".',
            )
        out |= set(_FLAGS) if name.lower() == "all" else {name.lower()}
    return out


def json_texts(value: Jsonb, flags: set[str]) -> Iterator[str]:
    """The texts of the kinds that are asked for, in order."""
    left: list[Iterator[tuple[str | None, Jsonb]]] = [iter([(None, value)])]
    while left:
        found = next(left[-1], None)
        if found is None:
            left.pop()
            continue
        key, item = found
        if key is not None and "key" in flags:
            yield key
        if item.kind == "array":
            left.append((None, each) for each in item.elements())
        elif item.kind == "object":
            left.append(iter(item.items()))
        elif item.kind == "string" and "string" in flags:
            yield str(item.scalar())
        elif (item.kind == "number" and "numeric" in flags) or (item.kind == "boolean" and "boolean" in flags):
            yield item.text()


def _jsonb_vector(config: Configuration, notify: Notify, value: Jsonb, given: Jsonb | None = None) -> TsVector:
    flags = {"string"} if given is None else _flags(given)
    return to_vector(config, paced(json_texts(value, flags)), notify)


def _json_vector(config: Configuration, notify: Notify, text: str, given: Jsonb | None = None) -> TsVector:
    flags = {"string"} if given is None else _flags(given)
    return to_vector(config, _json_text_texts(text, flags), notify)


def _json_text_texts(text: str, flags: set[str]) -> Iterator[str]:
    """As ``json_texts``, of the members as they are written."""
    lexer = Lexer(text, decode=True)
    lexer.advance()
    while lexer.kind != END:
        kind, value, start, stop = lexer.kind, lexer.value, lexer.start, lexer.stop
        lexer.advance()
        if kind == STRING:
            if ("key" if lexer.kind == ":" else "string") in flags:
                yield value
        elif (kind == NUMBER and "numeric" in flags) or (kind in ("t", "f") and "boolean" in flags):
            yield text[start:stop]


declare_both((3745, 3749), "to_tsvector", "text", "tsvector", lambda c, notify, text: to_vector(c, (text,), notify))
declare_both((4211, 4209), "to_tsvector", "jsonb", "tsvector", _jsonb_vector)
declare_both((4212, 4210), "to_tsvector", "json", "tsvector", _json_vector)
declare_both((4214, 4213), "jsonb_to_tsvector", "jsonb, jsonb", "tsvector", _jsonb_vector)
declare_both((4216, 4215), "json_to_tsvector", "json, jsonb", "tsvector", _json_vector)
fn(3759, "get_current_ts_config() regconfig stable", current_oid, needs_context=True)
fn(3723, "ts_lexize(regdictionary, text) text[]", lambda oid, text: dictionary(oid).lexemes(text))

# Parsers


def _parser(oid: int) -> None:
    if oid != builtin()["parsers"][0][0]:
        raise InternalError(f"cache lookup failed for text search parser {oid}")


def _named_parser(name: str) -> None:
    if name not in ("default", "pg_catalog.default"):
        raise UndefinedObject(f'text search parser "{name}" does not exist')


def _kinds(check: Callable[[Any], None]) -> Run:
    def run(parser: Any) -> tuple[tuple[int, str, str], ...]:
        check(parser)
        return KINDS

    return run


def _tokens(check: Callable[[Any], None]) -> Run:
    def run(parser: Any, text: str) -> list[tuple[int, str]]:
        check(parser)
        return list(parse(text))

    return run


_KIND_COLUMNS = (("tokid", TYPE_OIDS["int4"]), ("alias", TYPE_OIDS["text"]), ("description", TYPE_OIDS["text"]))
_TOKEN_COLUMNS = (("tokid", TYPE_OIDS["int4"]), ("token", TYPE_OIDS["text"]))
fn(
    3713,
    "ts_token_type(oid) setof record",
    _kinds(_parser),
    argument_names=("parser_oid",),
    out_columns=_KIND_COLUMNS,
)
fn(
    3714,
    "ts_token_type(text) setof record stable",
    _kinds(_named_parser),
    argument_names=("parser_name",),
    out_columns=_KIND_COLUMNS,
)
fn(
    3715,
    "ts_parse(oid, text) setof record",
    _tokens(_parser),
    argument_names=("parser_oid", "txt"),
    out_columns=_TOKEN_COLUMNS,
)
fn(
    3716,
    "ts_parse(text, text) setof record stable",
    _tokens(_named_parser),
    argument_names=("parser_name", "txt"),
    out_columns=_TOKEN_COLUMNS,
)
