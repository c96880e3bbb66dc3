"""POSIX regular expressions (manual, 9.7.3): advanced regular expressions translated to Python's ``re``, cached.

Translated: bracket classes, ``\\m \\M \\y \\Y \\A \\Z``, class escapes, back references, options ``(?i)`` and the
``***:`` directors.
Differences: the longest-match rule among alternatives is Python's first-match rule.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from aurora.errors import InvalidParameterValue, InvalidRegularExpression, SqlError
from compute_node.types.declare import fn, fns
from compute_node.types.like import similar_to_regex

_CLASSES = {
    "alpha": "a-zA-Z\u00aa-\uffff",
    "digit": "0-9",
    "alnum": r"\w",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "cntrl": r"\x00-\x1f\x7f",
    "graph": r"!-~",
    "print": r" -~",
    "xdigit": "0-9A-Fa-f",
    "word": r"\w",
}
_ESCAPES = {
    "m": r"\b(?=\w)",
    "M": r"\b(?<=\w)",
    "y": r"\b",
    "Y": r"\B",
    "A": r"\A",
    "Z": r"\Z",
    "a": r"\x07",
    "e": r"\x1b",
    "B": r"\\",
    "<": r"\b(?=\w)",
    ">": r"\b(?<=\w)",
}
_PYTHON_MESSAGES = (
    ("missing ), unterminated", "parentheses () not balanced"),
    ("unbalanced parenthesis", "parentheses () not balanced"),
    ("unterminated character set", "brackets [] not balanced"),
    ("nothing to repeat", "quantifier operand invalid"),
    ("multiple repeat", "quantifier operand invalid"),
    ("min repeat greater", "invalid repetition count(s)"),
    ("bad character range", "invalid character range"),
    ("invalid group reference", "invalid backreference number"),
    ("bad escape", "invalid escape \\ sequence"),
)


def _invalid(reason: str) -> SqlError:
    return InvalidRegularExpression(f"invalid regular expression: {reason}")


def _bracket(pattern: str, start: int) -> tuple[str, int]:
    """Translate the bracket expression at ``start``; returns (Python text, index after it)."""
    for word, replacement in (("[[:<:]]", _ESCAPES["m"]), ("[[:>:]]", _ESCAPES["M"])):
        if pattern.startswith(word, start):
            return replacement, start + 7
    at = start + 1
    out = ["["]
    if pattern[at : at + 1] == "^":
        out.append("^")
        at += 1
    first = True
    while True:
        sign = pattern[at : at + 1]
        if not sign:
            raise _invalid("brackets [] not balanced")
        if sign == "]" and not first:
            return "".join(out) + "]", at + 1
        if sign == "[" and pattern[at + 1 : at + 2] in (":", ".", "="):
            kind = pattern[at + 1]
            end = pattern.find(kind + "]", at + 2)
            if end < 0:
                raise _invalid("brackets [] not balanced")
            name = pattern[at + 2 : end]
            if kind == ":":
                if name not in _CLASSES:
                    raise _invalid("invalid character class")
                out.append(_CLASSES[name])
            else:
                out.append(re.escape(name))
            at = end + 2
        elif sign == "\\":
            following = pattern[at + 1 : at + 2]
            out.append("\\" + following if following.isalnum() or following in "\\]^-[" else re.escape(following))
            at += 2
        else:
            out.append("\\" + sign if sign in "[&~|" or (sign == "]" and first) else sign)
            at += 1
        first = False


def _translate(pattern: str) -> tuple[str, int]:
    """(Python pattern, flags) of an ARE."""
    flags = 0
    if pattern.startswith("***="):
        return re.escape(pattern[4:]), 0
    if pattern.startswith("***:"):
        pattern = pattern[4:]
    options = re.match(r"\(\?([a-z]+)\)", pattern)
    if options is not None:
        flags = _option_flags(options[1], "embedded")[0]
        pattern = pattern[options.end() :]
    out: list[str] = []
    at, depth = 0, 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            following = pattern[at + 1 : at + 2]
            if not following:
                raise _invalid("invalid escape \\ sequence")
            out.append(_ESCAPES.get(following) or "\\" + following)
            at += 2
            continue
        if sign == "[":
            text, at = _bracket(pattern, at)
            out.append(text)
            continue
        if sign == "$" and not flags & re.MULTILINE:
            out.append(r"\Z")
        elif sign == "{" and not re.match(r"\{\d", pattern[at:]):
            out.append(r"\{")
        elif sign in "()":
            depth += 1 if sign == "(" else -1
            if depth < 0:
                raise _invalid("parentheses () not balanced")
            out.append(sign)
        elif (sign == "+" and out and out[-1] in ("*", "+", "?")) or (sign == "*" and not out):
            raise _invalid("quantifier operand invalid")
        else:
            out.append(sign)
        at += 1
    return "".join(out), flags


def _option_flags(options: str, where: str) -> tuple[int, bool]:
    """(re flags, whether ``g`` was given) of a flags string; 22023 for an unknown letter."""
    flags, everywhere = re.DOTALL, False
    for letter in options:
        if letter == "g" and where == "argument":
            everywhere = True
        elif letter == "i":
            flags |= re.IGNORECASE
        elif letter == "c":
            flags &= ~re.IGNORECASE
        elif letter in "nm":
            flags = flags & ~re.DOTALL | re.MULTILINE
        elif letter == "p":
            flags &= ~re.DOTALL
        elif letter == "w":
            flags |= re.MULTILINE
        elif letter == "s":
            flags = flags & ~re.MULTILINE | re.DOTALL
        elif letter == "x":
            flags |= re.VERBOSE
        elif letter not in "tbeq":
            raise InvalidParameterValue(f'invalid regular expression option: "{letter}"')
    return flags, everywhere


@functools.lru_cache(maxsize=1024)
def compile_regex(pattern: str, flags: int = re.DOTALL) -> re.Pattern[str]:
    """The compiled expression; 2201B for a malformed one."""
    text, embedded = _translate(pattern)
    try:
        return re.compile(text, flags | embedded)
    except re.error as error:
        message = next((ours for theirs, ours in _PYTHON_MESSAGES if theirs in error.msg), error.msg)
        raise _invalid(message) from None
    except (RecursionError, OverflowError):
        raise _invalid("regular expression is too complex") from None


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
    return lambda value, pattern: (compile_regex(pattern, flags).search(value) is not None) is expected


fns(
    """
1254 textregexeq(text, text) bool
79 nameregexeq(name, text) bool
1658 bpcharregexeq(bpchar, text) bool
""",
    _matcher(re.DOTALL, True),
)
fns(
    """
1256 textregexne(text, text) bool
1252 nameregexne(name, text) bool
1659 bpcharregexne(bpchar, text) bool
""",
    _matcher(re.DOTALL, False),
)
fns(
    """
1238 texticregexeq(text, text) bool
1240 nameicregexeq(name, text) bool
1656 bpcharicregexeq(bpchar, text) bool
""",
    _matcher(re.DOTALL | re.IGNORECASE, True),
)
fns(
    """
1239 texticregexne(text, text) bool
1241 nameicregexne(name, text) bool
1657 bpcharicregexne(bpchar, text) bool
""",
    _matcher(re.DOTALL | re.IGNORECASE, False),
)


def _substring(value: str, pattern: str) -> str | None:
    match = compile_regex(pattern).search(value)
    if match is None:
        return None
    return match[1] if match.re.groups else match[0]


def _substring_similar(value: str, pattern: str, escape: str) -> str | None:
    return _substring(value, similar_to_regex(pattern, escape).replace("){1,1}?(", ")(").replace("){1,1}(?:", ")(?:"))


fn(2073, "substring(text, text) text", _substring)
fn(2074, "substring(text, text, text) text", _substring_similar)


def _template(replacement: str) -> Callable[[re.Match[str]], str]:
    pieces = re.split(r"\\(.)", replacement, flags=re.DOTALL)

    def expand(match: re.Match[str]) -> str:
        out = [pieces[0]]
        for at in range(1, len(pieces), 2):
            sign = pieces[at]
            if sign == "&":
                out.append(match[0])
            elif sign in "123456789":
                out.append(match[int(sign)] or "" if int(sign) <= match.re.groups else "")
            else:
                out.append("\\" if sign == "\\" else "\\" + sign)
            out.append(pieces[at + 1])
        return "".join(out)

    return expand


def _replace(value: str, pattern: str, replacement: str, options: str = "") -> str:
    if options[:1].isdigit():
        raise InvalidParameterValue(
            f'invalid regular expression option: "{options[0]}"',
            hint="If you meant to use regexp_replace() with a start parameter,"
            " cast the fourth argument to integer explicitly.",
        )
    flags, everywhere = _option_flags(options, "argument")
    return compile_regex(pattern, flags).sub(_template(replacement), value, count=0 if everywhere else 1)


def _replace_from(value: str, pattern: str, replacement: str, start: int, nth: int = 1, options: str = "") -> str:
    _positive("start", start)
    if nth < 0:
        raise InvalidParameterValue(f'invalid value for parameter "n": {nth}')
    flags, _ = _option_flags(options, "argument")
    expand, seen = _template(replacement), 0

    def one(match: re.Match[str]) -> str:
        nonlocal seen
        seen += 1
        return expand(match) if nth in (0, seen) else match[0]

    return value[: start - 1] + compile_regex(pattern, flags).sub(one, value[start - 1 :])


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


def _groups(match: re.Match[str]) -> list[str | None]:
    return list(match.groups()) if match.re.groups else [match[0]]


def _match(value: str, pattern: str, options: str = "") -> list[str | None] | None:
    flags, everywhere = _option_flags(options, "argument")
    if everywhere:
        raise InvalidParameterValue(
            'regexp_match() does not support the "global" option', hint="Use the regexp_matches function instead."
        )
    match = compile_regex(pattern, flags).search(value)
    return None if match is None else _groups(match)


def _matches(value: str, pattern: str, options: str = "") -> Iterator[list[str | None]]:
    flags, everywhere = _option_flags(options, "argument")
    for match in compile_regex(pattern, flags).finditer(value):
        yield _groups(match)
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


def _split(value: str, pattern: str, options: str = "") -> list[str]:
    flags, everywhere = _option_flags(options, "argument")
    if everywhere:
        raise InvalidParameterValue('regexp_split_to_table() does not support the "global" option')
    parts, last = [], 0
    for match in compile_regex(pattern, flags).finditer(value):
        if match.end() == match.start() and (match.start() in (0, len(value)) or match.start() == last):
            continue
        parts.append(value[last : match.start()])
        last = match.end()
    parts.append(value[last:])
    return parts


fns(
    """
2765 regexp_split_to_table(text, text) setof text
2766 regexp_split_to_table(text, text, text) setof text
2767 regexp_split_to_array(text, text) text[]
2768 regexp_split_to_array(text, text, text) text[]
""",
    _split,
)


def _count(value: str, pattern: str, start: int = 1, options: str = "") -> int:
    _positive("start", start)
    return sum(
        1 for _each in compile_regex(pattern, _option_flags(options, "argument")[0]).finditer(value[start - 1 :])
    )


fns(
    """
6254 regexp_count(text, text) int4
6255 regexp_count(text, text, int4) int4
6256 regexp_count(text, text, int4, text) int4
""",
    _count,
)


def _regexp_like(value: str, pattern: str, options: str = "") -> bool:
    return compile_regex(pattern, _option_flags(options, "argument")[0]).search(value) is not None


fns(
    """
6263 regexp_like(text, text) bool
6264 regexp_like(text, text, text) bool
""",
    _regexp_like,
)


def _regexp_instr(
    value: str, pattern: str, start: int = 1, nth: int = 1, endoption: int = 0, options: str = "", group: int = 0
) -> int:
    _positive("start", start)
    _positive("n", nth)
    if endoption not in (0, 1):
        raise InvalidParameterValue(f'invalid value for parameter "endoption": {endoption}')
    flags = _option_flags(options, "argument")[0]
    for index, match in enumerate(compile_regex(pattern, flags).finditer(value[start - 1 :]), 1):
        if index == nth:
            found = -1 if group > match.re.groups else match.end(group) if endoption else match.start(group)
            return start + found if found >= 0 else 0
    return 0


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


def _regexp_substr(value: str, pattern: str, start: int = 1, nth: int = 1, options: str = "", group: int = 0) -> Any:
    _positive("start", start)
    _positive("n", nth)
    flags = _option_flags(options, "argument")[0]
    for index, match in enumerate(compile_regex(pattern, flags).finditer(value[start - 1 :]), 1):
        if index == nth:
            return match[group] if group <= match.re.groups else None
    return None


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
