"""Tokens of regular expressions (PostgreSQL manual, 9.7.3): advanced, extended, basic and literal syntax.

``Lexer.advance`` reads one token ahead into ``kind`` and ``value``. Next stage: ``parse``.
"""

from __future__ import annotations

from aurora.errors import InvalidRegularExpression, SqlError
from compute_node.types import ctype

EXTENDED, ADVF, QUOTE, ICASE, EXPANDED, NLSTOP, NLANCH = (1 << bit for bit in range(7))
"""Flags: extended syntax, PostgreSQL's additions to it, literal text, ignore case, white space and comments allowed,
newline ends ``.`` and ``[^…]``, newline is an edge for ``^`` and ``$``."""
ASCII = 1 << 7
"""Letters, digits and cases are those of ASCII alone: what collations with the character types of C have."""
ADVANCED = EXTENDED | ADVF
NEWLINE = NLSTOP | NLANCH

BAD_PATTERN = "invalid regexp (reg version 0.8)"
BAD_COLLATING = "invalid collating element"
BAD_CLASS = "invalid character class"
BAD_ESCAPE = "invalid escape \\ sequence"
BAD_BACKREF = "invalid backreference number"
BAD_BRACKETS = "brackets [] not balanced"
BAD_PARENS = "parentheses () not balanced"
BAD_BRACES = "braces {} not balanced"
BAD_REPETITION = "invalid repetition count(s)"
BAD_RANGE = "invalid character range"
BAD_OPERAND = "quantifier operand invalid"
BAD_ARGUMENT = "invalid argument to regex function"
BAD_OPTION = "invalid embedded option"
TOO_COMPLEX = "regular expression is too complex"


def invalid(reason: str) -> SqlError:
    """2201B."""
    return InvalidRegularExpression(f"invalid regular expression: {reason}")


OPTIONS: dict[str, tuple[int, int]] = {
    "b": (ADVANCED | QUOTE, 0),
    "c": (ICASE, 0),
    "e": (ADVF | QUOTE, EXTENDED),
    "i": (0, ICASE),
    "m": (0, NEWLINE),
    "n": (0, NEWLINE),
    "p": (NLANCH, NLSTOP),
    "q": (ADVANCED, QUOTE),
    "s": (NEWLINE, 0),
    "t": (EXPANDED, 0),
    "w": (NLSTOP, NLANCH),
    "x": (0, EXPANDED),
}
"""Option letter → flags that it clears and flags that it sets."""

_NAMES = (
    "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC IS4 IS3 IS2"
    " IS1 space exclamation-mark quotation-mark number-sign dollar-sign percent-sign ampersand apostrophe"
    " left-parenthesis right-parenthesis asterisk plus-sign comma hyphen period slash zero one two three four five six"
    " seven eight nine colon semicolon less-than-sign equals-sign greater-than-sign question-mark commercial-at"
)
_ELEMENTS = {name: code for code, name in enumerate(_NAMES.split())} | {
    "alert": 7, "backspace": 8, "tab": 9, "newline": 10, "vertical-tab": 11, "form-feed": 12, "carriage-return": 13,
    "hyphen-minus": 45, "full-stop": 46, "solidus": 47, "left-square-bracket": 91, "backslash": 92,
    "reverse-solidus": 92, "right-square-bracket": 93, "circumflex": 94, "circumflex-accent": 94, "underscore": 95,
    "low-line": 95, "grave-accent": 96, "left-brace": 123, "left-curly-bracket": 123, "vertical-line": 124,
    "right-brace": 125, "right-curly-bracket": 125, "tilde": 126, "DEL": 127,
}  # fmt: skip


def collating_element(name: str) -> int:
    """The code point that ``[.name.]`` stands for."""
    if len(name) == 1:
        return ord(name)
    if name not in _ELEMENTS:
        raise invalid(BAD_COLLATING)
    return _ELEMENTS[name]


_ERE, _BRE, _LITERAL, _BOUND, _BASIC_BOUND, _BRACKET, _NAME = range(7)
_CONTROL = {"a": 7, "b": 8, "B": 92, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_CONSTRAINTS = {"A": "bos", "Z": "eos", "m": "<", "M": ">", "y": "wbdry", "Y": "nwbdry"}
_CLASS_ESCAPES = {"d": "digit", "s": "space", "w": ctype.WORD}
_WHITE = " \t\n\v\f\r"


class Lexer:
    """Token kinds: ``plain`` (value: code point), ``class`` and ``not_class`` (value: name), ``backref`` (number),
    ``look`` (value: ahead/behind and sign), ``(`` (value: captures), ``[`` (value: not complemented), quantifiers
    (value: greedy), ``digit``, the constraints, inside brackets ``range``, ``collating``, ``equivalence``,
    ``char_class``; ``end`` at the end."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern, self.flags, self.at = pattern, flags, 0
        self.groups = 0
        """capturing parentheses opened so far; the parser counts"""
        self.kind, self.value, self.last = "start", 0, ""
        self.name = ""
        self._prefixes()
        if self.flags & QUOTE:
            self._context = _LITERAL
        else:
            self._context = _ERE if self.flags & EXTENDED else _BRE
        self.advance()

    def _sees(self, text: str) -> bool:
        return self.pattern.startswith(text, self.at)

    def _prefixes(self) -> None:
        if self.flags & QUOTE:
            return
        if self._sees("***") and len(self.pattern) - self.at >= 4:
            which = self.pattern[self.at + 3]
            if which == "?":
                raise invalid(BAD_PATTERN)
            if which == "=":
                self.flags = self.flags & ~(ADVANCED | EXPANDED | NEWLINE) | QUOTE
                self.at += 4
                return
            if which != ":":
                raise invalid(BAD_OPERAND)
            self.flags |= ADVANCED
            self.at += 4
        if self.flags & ADVANCED != ADVANCED or not self._sees("(?"):
            return
        following = self.pattern[self.at + 2 : self.at + 3]
        if not (following.isascii() and following.isalpha()):
            return
        self.at += 2
        while (letter := self.pattern[self.at : self.at + 1]).isascii() and letter.isalpha():
            if letter not in OPTIONS:
                raise invalid(BAD_OPTION)
            clear, add = OPTIONS[letter]
            self.flags = self.flags & ~clear | add
            self.at += 1
        if letter != ")":
            raise invalid(BAD_OPTION)
        self.at += 1
        if self.flags & QUOTE:
            self.flags &= ~(EXPANDED | NEWLINE)

    def _set(self, kind: str, value: int = 0, name: str = "") -> None:
        self.kind, self.value, self.name = kind, value, name

    def _skip(self) -> None:
        text = self.pattern
        while True:
            while self.at < len(text) and text[self.at] in _WHITE:
                self.at += 1
            if not self._sees("#"):
                return
            end = text.find("\n", self.at)
            self.at = len(text) if end < 0 else end

    def advance(self) -> None:
        """Read the next token."""
        self.last = self.kind
        context = self._context
        if self.flags & EXPANDED and context in (_ERE, _BRE, _BOUND, _BASIC_BOUND):
            self._skip()
        if self.at >= len(self.pattern):
            if context in (_BOUND, _BASIC_BOUND):
                raise invalid(BAD_BRACES)
            if context in (_BRACKET, _NAME):
                raise invalid(BAD_BRACKETS)
            self._set("end")
            return
        sign = self.pattern[self.at]
        self.at += 1
        if context == _LITERAL:
            self._set("plain", ord(sign))
        elif context == _BRE:
            self._basic(sign)
        elif context == _ERE:
            self._extended(sign)
        elif context == _BRACKET:
            self._bracket(sign)
        else:
            self._bound(sign, context)

    def _bound(self, sign: str, context: int) -> None:
        if sign in "0123456789":
            self._set("digit", int(sign))
        elif sign == ",":
            self._set(",")
        elif sign == "}" and context == _BOUND:
            self._context = _ERE
            self._set("}", self._greedy())
        elif sign == "\\" and context == _BASIC_BOUND and self._sees("}"):
            self.at += 1
            self._context = _BRE
            self._set("}", 1)
        else:
            raise invalid(BAD_REPETITION)

    def _greedy(self) -> int:
        if self.flags & ADVF and self._sees("?"):
            self.at += 1
            return 0
        return 1

    def scan_name(self, kind: str) -> str:
        """After ``collating``, ``equivalence`` or ``char_class``: the name up to its closing mark, which is passed."""
        mark = {"collating": ".]", "equivalence": "=]", "char_class": ":]"}[kind]
        end = self.pattern.find(mark, self.at)
        if end < 0:
            raise invalid(BAD_BRACKETS)
        name = self.pattern[self.at : end]
        self.at = end + 2
        self._context = _BRACKET
        self.kind = "name_end"
        self.advance()
        return name

    def _bracket(self, sign: str) -> None:
        if sign == "]":
            if self.last == "[":
                self._set("plain", 93)
            else:
                self._context = _ERE if self.flags & EXTENDED else _BRE
                self._set("]")
        elif sign == "\\" and self.flags & ADVF:
            if self.at >= len(self.pattern):
                raise invalid(BAD_ESCAPE)
            self._escape()
            if self.kind not in ("plain", "class", "not_class"):
                raise invalid(BAD_ESCAPE)
        elif sign == "-":
            plain = self.last == "[" or self._sees("]")
            self._set("plain" if plain else "range", 45)
        elif sign == "[":
            if self.at >= len(self.pattern):
                raise invalid(BAD_BRACKETS)
            kinds = {".": "collating", "=": "equivalence", ":": "char_class"}
            kind = kinds.get(self.pattern[self.at])
            if kind is None:
                self._set("plain", 91)
            else:
                self.at += 1
                self._context = _NAME
                self._set(kind)
        else:
            self._set("plain", ord(sign))

    def _open_bracket(self) -> None:
        for text, kind in (("[:<:]]", "<"), ("[:>:]]", ">")):
            if self._sees(text):
                self.at += 6
                self._set(kind)
                return
        self._context = _BRACKET
        if self._sees("^"):
            self.at += 1
            self._set("[", 0)
        else:
            self._set("[", 1)

    def _extended(self, sign: str) -> None:
        if sign in "|.^$":
            self._set(sign)
        elif sign in "*+?":
            self._set(sign, self._greedy())
        elif sign == "{":
            if self.flags & EXPANDED:
                self._skip()
            following = self.pattern[self.at : self.at + 1]
            if following and following in "0123456789":
                self._context = _BOUND
                self._set("{")
            else:
                self._set("plain", 123)
        elif sign == "(":
            if self.flags & ADVF and self._sees("?"):
                self.at += 1
                self._special_parenthesis()
            else:
                self._set("(", 1)
        elif sign == ")":
            self._set(")", 41)
        elif sign == "[":
            self._open_bracket()
        elif sign == "\\":
            if self.at >= len(self.pattern):
                raise invalid(BAD_ESCAPE)
            if self.flags & ADVF:
                self._escape()
            else:
                self._set("plain", ord(self.pattern[self.at]))
                self.at += 1
        else:
            self._set("plain", ord(sign))

    def _special_parenthesis(self) -> None:
        sign = self.pattern[self.at : self.at + 1]
        self.at += 1
        if sign == ":":
            self._set("(", 0)
        elif sign == "#":
            end = self.pattern.find(")", self.at)
            self.at = len(self.pattern) if end < 0 else end + 1
            # The comment is no token: what follows is seen after what came before it.
            self.kind = self.last
            self.advance()
        elif sign == "=":
            self._set("look", 0, "ahead")
        elif sign == "!":
            self._set("look", 1, "ahead")
        elif sign == "<" and (mark := self.pattern[self.at : self.at + 1]) in ("=", "!"):
            self.at += 1
            self._set("look", int(mark == "!"), "behind")
        else:
            raise invalid(BAD_OPERAND)

    def _digits(self, base: int, least: int, most: int) -> int:
        start, number = self.at, 0
        while self.at - start < most and self.at < len(self.pattern):
            digit = "0123456789abcdef".find(self.pattern[self.at].lower())
            if not 0 <= digit < base or not self.pattern[self.at].isascii():
                break
            number = (number * base + digit) & 0xFFFFFFFF
            self.at += 1
        if self.at - start < least:
            raise invalid(BAD_ESCAPE)
        return number

    def _code(self, base: int, least: int, most: int) -> None:
        code = self._digits(base, least, most)
        if code > 0x7FFFFFFE:
            raise invalid(BAD_ESCAPE)
        self._set("plain", code)

    def _escape(self) -> None:
        sign = self.pattern[self.at]
        self.at += 1
        if not (sign.isascii() and sign.isalnum()):
            self._set("plain", ord(sign))
        elif sign in _CONTROL:
            self._set("plain", _CONTROL[sign])
        elif sign in _CONSTRAINTS:
            self._set(_CONSTRAINTS[sign])
        elif sign.lower() in _CLASS_ESCAPES:
            self._set("class" if sign.islower() else "not_class", 0, _CLASS_ESCAPES[sign.lower()])
        elif sign == "c":
            if self.at >= len(self.pattern):
                raise invalid(BAD_ESCAPE)
            self._set("plain", ord(self.pattern[self.at]) & 0o37)
            self.at += 1
        elif sign == "u":
            self._code(16, 4, 4)
        elif sign == "U":
            self._code(16, 8, 8)
        elif sign == "x":
            self._code(16, 1, 255)
        elif sign in "0123456789":
            self._number(sign)
        else:
            raise invalid(BAD_ESCAPE)

    def _number(self, sign: str) -> None:
        """A back reference where so many groups are open, or it has one digit; else an octal character."""
        self.at -= 1
        start = self.at
        if sign != "0":
            number = self._digits(10, 1, 255)
            if self.at == start + 1 or 0 < number <= self.groups:
                self._set("backref", number)
                return
            self.at = start
        code = self._digits(8, 1, 3)
        if code > 0xFF:
            self.at -= 1
            code >>= 3
        self._set("plain", code)

    def _basic(self, sign: str) -> None:
        if sign == "*":
            if self.last in ("start", "(", "^"):
                self._set("plain", 42)
            else:
                self._set("*", 1)
        elif sign == "[":
            self._open_bracket()
        elif sign == ".":
            self._set(".")
        elif sign == "^":
            self._set("^" if self.last in ("start", "(") else "plain", 94)
        elif sign == "$":
            if self.flags & EXPANDED:
                self._skip()
            last = self.at >= len(self.pattern) or self._sees("\\)")
            self._set("$" if last else "plain", 36)
        elif sign == "\\":
            self._basic_escape()
        else:
            self._set("plain", ord(sign))

    def _basic_escape(self) -> None:
        if self.at >= len(self.pattern):
            raise invalid(BAD_ESCAPE)
        sign = self.pattern[self.at]
        self.at += 1
        if sign == "{":
            self._context = _BASIC_BOUND
            self._set("{")
        elif sign == "(":
            self._set("(", 1)
        elif sign == ")":
            self._set(")", 41)
        elif sign in "<>":
            self._set(sign)
        elif sign in "123456789":
            self._set("backref", int(sign))
        else:
            self._set("plain", ord(sign))
