"""Documents → tsvectors: to_tsvector of texts and of JSON, ts_parse, ts_lexize (manual, 12.3.1 and 12.8)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from aurora.datum import Datum
from aurora.errors import InternalError, InvalidParameterValue, SuccessfulCompletion
from compute_node.types.declare import fn
from compute_node.types.json.lexer import END, NUMBER, STRING, Lexer
from compute_node.types.json.value import Jsonb
from compute_node.types.long_text import paced
from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import FunctionContext
from compute_node.types.textsearch.configurations import Configuration, builtin
from compute_node.types.textsearch.dictionaries import NEXT_PLACE, PREFIX, asked
from compute_node.types.textsearch.lexize import Lexizer
from compute_node.types.textsearch.scan import LEXEME_BYTES_MAX, POSITION_MAX
from compute_node.types.textsearch.tokens import KINDS, Token, parse
from compute_node.types.textsearch.vector import TsVector, make

Notify = Callable[[str, str], None]


class Word(NamedTuple):
    """A lexeme of a document and its place, from 1."""

    lexeme: str
    position: int
    variant: int = 0
    is_prefix: bool = False


def words(config: Configuration, text: str, notify: Notify, position: int = 0) -> Generator[Word, None, int]:
    """The lexemes of a text; stop words take a place too. ``position``: the last place before it. Returns the last
    place in it."""
    by_kind = config.plain
    if by_kind is None:
        return (yield from _by_dictionaries(config, text, notify, position))
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


def _by_dictionaries(config: Configuration, text: str, notify: Notify, position: int) -> Generator[Word, None, int]:
    """The same where words go through several dictionaries, or several words through one."""
    lexizer, kinds = Lexizer(config.dictionaries), config.dictionaries
    for token in chain(parse(text), (Token(0, ""),)):
        if token.kind and token.kind not in kinds:
            continue
        if len(token.text.encode()) > LEXEME_BYTES_MAX:
            notify(
                "word is too long to be indexed", f"Words longer than {LEXEME_BYTES_MAX + 1} characters are ignored."
            )
            continue
        for step in lexizer.feed(token):
            position += step.lexemes is not None
            for lexeme in step.lexemes or ():
                position += bool(lexeme.flags & NEXT_PLACE)
                yield Word(lexeme.text, position, lexeme.variant, bool(lexeme.flags & PREFIX))
    return position


def named(context: FunctionContext, oid: int) -> Configuration:
    """A configuration of the session's database. XX000 for an OID of none."""
    found: Configuration = context.session.catalog_function("text_search_configuration", oid)
    return found


def current(context: FunctionContext) -> Configuration:
    """What ``default_text_search_config`` names."""
    return named(context, current_oid(context))


def current_oid(context: FunctionContext) -> int:
    """42704"""
    setting = context.session.get_setting("default_text_search_config", False) or ""
    return int(context.session.catalog_function("text_search_configuration_oid", setting))


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
        return run(named(context, oid), notifier(context), *rest)

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


def _lexize(context: FunctionContext, oid: int, word: str) -> list[str] | None:
    found = asked(context.session.catalog_function("text_search_dictionary", oid), word)
    return None if found is None else [each.text for each in found]


fn(3723, "ts_lexize(regdictionary, text) text[]", _lexize, needs_context=True)


def _debug(context: FunctionContext, *given: Any) -> Iterator[tuple[Datum, ...]]:
    """Each token, its dictionaries, and what the first that knows it makes of it."""
    config = named(context, given[0]) if len(given) > 1 else current(context)
    described = {number: (alias, text) for number, alias, text in KINDS}
    for kind, token in paced(parse(given[-1])):
        known = [(oid, asked(dictionary, token)) for oid, dictionary in config.maps.get(kind, ())]
        first = next((each for each in known if each[1] is not None), known[0] if known else (None, None))
        lexemes = None if first[1] is None else [each.text for each in first[1]]
        yield (*described[kind], token, [oid for oid, _ in known], first[0], lexemes)


_DEBUG_COLUMNS = (
    ("alias", TYPE_OIDS["text"]),
    ("description", TYPE_OIDS["text"]),
    ("token", TYPE_OIDS["text"]),
    ("dictionaries", TYPE_OIDS["regdictionary[]"]),
    ("dictionary", TYPE_OIDS["regdictionary"]),
    ("lexemes", TYPE_OIDS["text[]"]),
)
fn(
    6183,
    "ts_debug(regconfig, text) setof record stable",
    _debug,
    needs_context=True,
    argument_names=("config", "document"),
    out_columns=_DEBUG_COLUMNS,
)
fn(
    6184,
    "ts_debug(text) setof record stable",
    _debug,
    needs_context=True,
    argument_names=("document",),
    out_columns=_DEBUG_COLUMNS,
)

# Parsers


def _parser(context: FunctionContext, oid: int) -> None:
    if oid != builtin()["parsers"][0][0]:
        context.session.catalog_function("text_search_parser", oid)


def _named_parser(context: FunctionContext, name: str) -> None:
    if name not in ("default", "pg_catalog.default"):
        context.session.catalog_function("text_search_parser", name)


def _kinds(check: Callable[[FunctionContext, Any], None]) -> Run:
    def run(context: FunctionContext, parser: Any) -> tuple[tuple[int, str, str], ...]:
        check(context, parser)
        return KINDS

    return run


def _tokens(check: Callable[[FunctionContext, Any], None]) -> Run:
    def run(context: FunctionContext, parser: Any, text: str) -> list[tuple[int, str]]:
        check(context, parser)
        return list(parse(text))

    return run


_KIND_COLUMNS = (("tokid", TYPE_OIDS["int4"]), ("alias", TYPE_OIDS["text"]), ("description", TYPE_OIDS["text"]))
_TOKEN_COLUMNS = (("tokid", TYPE_OIDS["int4"]), ("token", TYPE_OIDS["text"]))
fn(
    3713,
    "ts_token_type(oid) setof record",
    _kinds(_parser),
    needs_context=True,
    argument_names=("parser_oid",),
    out_columns=_KIND_COLUMNS,
)
fn(
    3714,
    "ts_token_type(text) setof record stable",
    _kinds(_named_parser),
    needs_context=True,
    argument_names=("parser_name",),
    out_columns=_KIND_COLUMNS,
)
fn(
    3715,
    "ts_parse(oid, text) setof record",
    _tokens(_parser),
    needs_context=True,
    argument_names=("parser_oid", "txt"),
    out_columns=_TOKEN_COLUMNS,
)
fn(
    3716,
    "ts_parse(text, text) setof record stable",
    _tokens(_named_parser),
    needs_context=True,
    argument_names=("parser_name", "txt"),
    out_columns=_TOKEN_COLUMNS,
)
