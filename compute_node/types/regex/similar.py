"""SIMILAR TO (manual, 9.7.2): SQL's patterns as regular expressions."""

from __future__ import annotations

from aurora.errors import InvalidEscapeSequence, InvalidUseOfEscapeCharacter
from compute_node.types.declare import fn, fns


def similar_to_regex(pattern: str, escape: str | None) -> str:
    """SIMILAR TO pattern → the regular expression PostgreSQL runs for it; 2200C / 22025 for a bad escape."""
    if escape is not None and len(escape) > 1:
        raise InvalidEscapeSequence("invalid escape string", hint="Escape string must be empty or one character.")
    mark = "\\" if escape is None else escape
    out = ["^(?:"]
    separators, at = 0, 0
    depth, place = 0, 0
    """brackets that are open; 1 and 2: at the bracket's start, where ``]`` is a character (2: after ``^``)"""
    while at < len(pattern):
        sign = pattern[at]
        if mark and sign == mark:
            at += 1
            following = pattern[at : at + 1]
            if following == '"' and not depth:
                if separators == 0:
                    out.append("){1,1}?(")
                elif separators == 1:
                    out.append("){1,1}(?:")
                else:
                    raise InvalidUseOfEscapeCharacter(
                        "SQL regular expression may not contain more than two escape-double-quote separators"
                    )
                separators += 1
            elif following:
                out.append("\\" + following)
                place = 3
        elif depth:
            out.append("\\\\" if sign == "\\" else sign)
            if sign == "]" and place > 2:
                depth -= 1
            elif sign == "[":
                depth += 1
            place = place + 1 if sign == "^" else 3
        elif sign == "[":
            depth = place = 1
            out.append(sign)
        elif sign == "%":
            out.append(".*")
        elif sign == "_":
            out.append(".")
        elif sign == "(":
            out.append("(?:")
        else:
            out.append("\\" + sign if sign in "\\.^$" else sign)
        at += 1
    out.append(")$")
    return "".join(out)


fns(
    """
1623 similar_escape(text, text) text nullable
""",
    lambda pattern, escape: None if pattern is None else similar_to_regex(pattern, escape),
)
fn(1986, "similar_to_escape(text, text) text", similar_to_regex)
fn(1987, "similar_to_escape(text) text", lambda pattern: similar_to_regex(pattern, None))
