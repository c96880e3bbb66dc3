"""The SQL functions of regular expressions: operators ``~``, ``substring``, ``regexp_*``."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from aurora.errors import InvalidParameterValue
from compute_node.types.declare import fn, fns
from compute_node.types.regex.matcher import Regex, Span, compile_regex
from compute_node.types.regex.similar import similar_to_regex
from compute_node.types.regex.syntax import ADVANCED, ICASE, OPTIONS

Groups = list[str | None]


def option_flags(options: str) -> tuple[int, bool]:
    """(flags, whether ``g`` was given) of a flags argument; 22023 for an unknown letter."""
    flags, everywhere = ADVANCED, False
    for letter in options:
        if letter == "g":
            everywhere = True
        elif letter in OPTIONS:
            clear, add = OPTIONS["b" if letter == "e" else letter]  # as PostgreSQL: extended is cleared with advanced
            flags = flags & ~clear | add
        else:
            raise InvalidParameterValue(f'invalid regular expression option: "{letter}"')
    return flags, everywhere


def _once(function: str, pattern: str, options: str) -> Regex:
    """The expression of a function that has no use for ``g``."""
    flags, everywhere = option_flags(options)
    if everywhere:
        hint = "Use the regexp_matches function instead." if function == "regexp_match" else None
        raise InvalidParameterValue(f'{function}() does not support the "global" option', hint=hint)
    return compile_regex(pattern, flags)


def regex_prefix(pattern: str) -> tuple[str, bool]:
    """(literal prefix of an anchored pattern, whether it is an exact match): what an index can use. psql sends
    ``^(name)$``.
    """
    match = re.fullmatch(r"\^\(?((?:[A-Za-z0-9_ ]|\\[^\w])*)(.*)", pattern, re.DOTALL)
    if match is None or match[2][:1] in ("*", "?", "{", "+") or "|" in match[2]:
        return "", False
    literal = re.sub(r"\\(.)", r"\1", match[1])
    return literal, match[2] in (")$", "$") and ("(" in pattern[:2]) == (match[2] == ")$")


def _matcher(flags: int, expected: bool) -> Callable[[str, str], bool]:
    return lambda value, pattern: compile_regex(pattern, flags).test(value) is expected


fns(
    """
1254 textregexeq(text, text) bool
79 nameregexeq(name, text) bool
1658 bpcharregexeq(bpchar, text) bool
""",
    _matcher(ADVANCED, True),
)
fns(
    """
1256 textregexne(text, text) bool
1252 nameregexne(name, text) bool
1659 bpcharregexne(bpchar, text) bool
""",
    _matcher(ADVANCED, False),
)
fns(
    """
1238 texticregexeq(text, text) bool
1240 nameicregexeq(name, text) bool
1656 bpcharicregexeq(bpchar, text) bool
""",
    _matcher(ADVANCED | ICASE, True),
)
fns(
    """
1239 texticregexne(text, text) bool
1241 nameicregexne(name, text) bool
1657 bpcharicregexne(bpchar, text) bool
""",
    _matcher(ADVANCED | ICASE, False),
)


def _part(value: str, span: Span) -> str | None:
    return None if span[0] < 0 else value[span[0] : span[1]]


def _substring(value: str, pattern: str) -> str | None:
    regex = compile_regex(pattern)
    found = regex.search(regex.prepare(value), 0)
    return None if found is None else _part(value, found[1] if regex.groups else found[0])


def _substring_similar(value: str, pattern: str, escape: str) -> str | None:
    # Classes are those of the default collation, whatever the text's is: as in PostgreSQL, where SQL calls substring.
    return _substring(value, similar_to_regex(pattern, escape))


fn(2073, "substring(text, text) text", _substring)
fn(2074, "substring(text, text, text) text", _substring_similar)


# ---- replace ----


def _template(replacement: str) -> tuple[Callable[[str, list[Span]], str], bool]:
    """As ``_parsed``, with a memory of short ones."""
    return _remembered(replacement) if len(replacement) <= _REMEMBERED_MAX else _parsed(replacement)


_REMEMBERED_MAX = 256


def _parsed(replacement: str) -> tuple[Callable[[str, list[Span]], str], bool]:
    """(what stands for a match, whether it needs groups)."""
    pieces: list[str | int] = []
    at = 0
    while (mark := replacement.find("\\", at)) >= 0:
        pieces.append(replacement[at:mark])
        sign = replacement[mark + 1 : mark + 2]
        at = mark + 2
        if sign == "&":
            pieces.append(0)
        elif sign and sign in "123456789":
            pieces.append(int(sign))
        else:
            pieces.append("\\")
            at = mark + 2 if sign == "\\" else mark + 1
    pieces.append(replacement[at:])

    def expand(value: str, spans: list[Span]) -> str:
        out = []
        for piece in pieces:
            if isinstance(piece, str):
                out.append(piece)
            elif piece < len(spans) and spans[piece][0] >= 0:
                out.append(value[spans[piece][0] : spans[piece][1]])
        return "".join(out)

    return expand, any(isinstance(piece, int) and piece > 0 for piece in pieces)


_remembered = functools.lru_cache(maxsize=256)(_parsed)


def _replaced(value: str, regex: Regex, replacement: str, start: int, nth: int) -> str:
    """``nth`` match from ``start`` on replaced, or all of them (0)."""
    expand, groups = _template(replacement)
    out, done = [], 0
    for number, spans in enumerate(regex.finditer(value, start, groups), 1):
        if nth and number != nth:
            continue
        out += [value[done : spans[0][0]], expand(value, spans)]
        done = spans[0][1]
        if nth:
            break
    return "".join((*out, value[done:])) if out else value


def _replace(value: str, pattern: str, replacement: str, options: str = "") -> str:
    if options[:1].isdigit():
        raise InvalidParameterValue(
            f'invalid regular expression option: "{options[0]}"',
            hint="If you meant to use regexp_replace() with a start parameter,"
            " cast the fourth argument to integer explicitly.",
        )
    flags, everywhere = option_flags(options)
    return _replaced(value, compile_regex(pattern, flags), replacement, 0, 0 if everywhere else 1)


def _replace_from(value: str, pattern: str, replacement: str, start: int, nth: int = 1, options: str = "") -> str:
    _positive("start", start)
    if nth < 0:
        raise InvalidParameterValue(f'invalid value for parameter "n": {nth}')
    flags, _ = option_flags(options)
    return _replaced(value, compile_regex(pattern, flags), replacement, start - 1, nth)


def _positive(name: str, number: int) -> None:
    if number < 1:
        raise InvalidParameterValue(f'invalid value for parameter "{name}": {number}')


fns(
    """
2284 regexp_replace(text, text, text) text
2285 regexp_replace(text, text, text, text) text
""",
    _replace,
)
fns(
    """
6253 regexp_replace(text, text, text, int4) text
6252 regexp_replace(text, text, text, int4, int4) text
6251 regexp_replace(text, text, text, int4, int4, text) text
""",
    _replace_from,
)


# ---- matches ----


def _groups(value: str, spans: list[Span]) -> Groups:
    return [_part(value, span) for span in (spans[1:] or spans)]


def _match(value: str, pattern: str, options: str = "") -> Groups | None:
    regex = _once("regexp_match", pattern, options)
    found = regex.search(regex.prepare(value), 0)
    return None if found is None else _groups(value, found)


def _matches(value: str, pattern: str, options: str = "") -> Iterator[Groups]:
    flags, everywhere = option_flags(options)
    for spans in compile_regex(pattern, flags).finditer(value):
        yield _groups(value, spans)
        if not everywhere:
            return


fns(
    """
3396 regexp_match(text, text) text[]
3397 regexp_match(text, text, text) text[]
""",
    _match,
)
fns(
    """
2763 regexp_matches(text, text) setof text[]
2764 regexp_matches(text, text, text) setof text[]
""",
    _matches,
)


def _split(function: str) -> Callable[..., list[str]]:
    def split(value: str, pattern: str, options: str = "") -> list[str]:
        regex = _once(function, pattern, options)
        parts, last = [], 0
        for spans in regex.finditer(value, groups=False):
            begin, end = spans[0]
            # Empty matches at either end, or right after a match, separate nothing.
            if begin < len(value) and end > last:
                parts.append(value[last:begin])
                last = end
        parts.append(value[last:])
        return parts

    return split


fns(
    """
2765 regexp_split_to_table(text, text) setof text
2766 regexp_split_to_table(text, text, text) setof text
""",
    _split("regexp_split_to_table"),
)
fns(
    """
2767 regexp_split_to_array(text, text) text[]
2768 regexp_split_to_array(text, text, text) text[]
""",
    _split("regexp_split_to_array"),
)


def _count(value: str, pattern: str, start: int = 1, options: str = "") -> int:
    _positive("start", start)
    regex = _once("regexp_count", pattern, options)
    return sum(1 for _each in regex.finditer(value, start - 1, groups=False))


fns(
    """
6254 regexp_count(text, text) int4
6255 regexp_count(text, text, int4) int4
6256 regexp_count(text, text, int4, text) int4
""",
    _count,
)


def _regexp_like(value: str, pattern: str, options: str = "") -> bool:
    return _once("regexp_like", pattern, options).test(value)


fns(
    """
6263 regexp_like(text, text) bool
6264 regexp_like(text, text, text) bool
""",
    _regexp_like,
)


def _nth(regex: Regex, value: str, start: int, nth: int, group: int) -> Span | None:
    """The span of a group in the ``nth`` match from ``start`` (1 is the first character) on."""
    if group == 1 and not regex.groups:
        group = 0  # an expression without groups is its own first one
    if group > regex.groups:
        return None
    for number, spans in enumerate(regex.finditer(value, start - 1, group > 0), 1):
        if number == nth:
            return spans[group] if spans[group][0] >= 0 else None
    return None


def _not_negative(group: int) -> None:
    if group < 0:
        raise InvalidParameterValue(f'invalid value for parameter "subexpr": {group}')


def _regexp_instr(
    value: str, pattern: str, start: int = 1, nth: int = 1, endoption: int = 0, options: str = "", group: int = 0
) -> int:
    _positive("start", start)
    _positive("n", nth)
    if endoption not in (0, 1):
        raise InvalidParameterValue(f'invalid value for parameter "endoption": {endoption}')
    _not_negative(group)
    span = _nth(_once("regexp_instr", pattern, options), value, start, nth, group)
    return 0 if span is None else span[endoption] + 1


fns(
    """
6257 regexp_instr(text, text) int4
6258 regexp_instr(text, text, int4) int4
6259 regexp_instr(text, text, int4, int4) int4
6260 regexp_instr(text, text, int4, int4, int4) int4
6261 regexp_instr(text, text, int4, int4, int4, text) int4
6262 regexp_instr(text, text, int4, int4, int4, text, int4) int4
""",
    _regexp_instr,
)


def _regexp_substr(
    value: str, pattern: str, start: int = 1, nth: int = 1, options: str = "", group: int = 0
) -> str | None:
    _positive("start", start)
    _positive("n", nth)
    _not_negative(group)
    span = _nth(_once("regexp_substr", pattern, options), value, start, nth, group)
    return None if span is None else _part(value, span)


fns(
    """
6265 regexp_substr(text, text) text
6266 regexp_substr(text, text, int4) text
6267 regexp_substr(text, text, int4, int4) text
6268 regexp_substr(text, text, int4, int4, text) text
6269 regexp_substr(text, text, int4, int4, text, int4) text
""",
    _regexp_substr,
)
