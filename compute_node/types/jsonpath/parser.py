"""Tokens → tree, by recursive descent (manual, 9.16.2).

Errors are found at the same token as PostgreSQL's grammar finds them: no token is read before all that may come in its
place is known. Expressions and predicates are different things: a predicate may stand for an expression only in
parentheses and with an accessor behind it.
"""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from functools import lru_cache
from typing import Final

from aurora.errors import InvalidTextRepresentation, NotSupported, NumericValueOutOfRange, SqlError, SqlSyntaxError
from compute_node.types.jsonpath.lexer import LOWER_WORDS, WORDS, Lexer, Token, syntax_error
from compute_node.types.jsonpath.tree import (
    ARITHMETIC,
    COMPARISONS,
    DEPTH_MAX,
    METHODS,
    UNBOUNDED,
    JsonPath,
    Pattern,
    Step,
    too_deep,
)
from compute_node.types.numeric import numeric_in
from compute_node.types.regex import compile_regex
from compute_node.types.regex.syntax import ADVANCED, ICASE, NLANCH, NLSTOP, QUOTE
from compute_node.types.registry import TypeEnv

_ENV: Final = TypeEnv(timezone=UTC)
_KEYS: Final = WORDS | LOWER_WORDS | {"IDENT", "STRING"}
_CONSTANTS: Final = {"null": None, "true": True, "false": False}
_STARTS: Final = frozenset((".", "[", "?"))
_CACHED_CHARS: Final = 4096
_FLAGS: Final = "ismxq"


def parse(text: str) -> JsonPath:
    """A path; short ones from a cache. 22P02 for an empty text, 42601 for one that is no path, 54001 for one nested too
    deeply."""
    return _parsed(text) if len(text) <= _CACHED_CHARS else _parsed.__wrapped__(text)


@lru_cache(maxsize=512)
def _parsed(text: str) -> JsonPath:
    try:
        return _Parser(text).path()
    except RecursionError:
        raise too_deep() from None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lexer = Lexer(text)
        self._peeked: Token | None = None
        self._depth = 0
        self._has_keyvalue = False

    # Tokens

    def _peek(self) -> str:
        if self._peeked is None:
            self._peeked = self._lexer.take()
        return self._peeked.kind

    def _take(self) -> Token:
        token, self._peeked = self._peeked, None
        return self._lexer.take() if token is None else token

    def _expect(self, kind: str) -> Token:
        if self._peek() != kind:
            raise self._unexpected()
        return self._take()

    def _unexpected(self) -> SqlError:
        return syntax_error("syntax error", self._take().near)

    # Grammar

    def path(self) -> JsonPath:
        """mode, then an expression or a predicate."""
        if self._peek() == "END":
            raise InvalidTextRepresentation(f'invalid input syntax for type jsonpath: "{self._text}"')
        lax = True
        if self._peek() in ("strict", "lax"):
            lax = self._take().kind == "lax"
        expression, _ = self._any()
        self._expect("END")
        _check(expression, 0, False, 0)
        return JsonPath(expression, lax, self._has_keyvalue)

    def _any(self) -> tuple[Step, bool]:
        """An expression or a predicate, and whether it is a predicate."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise too_deep()
        item, is_predicate = self._conjunction()
        while is_predicate and self._peek() == "||":
            self._take()
            right, right_is_predicate = self._conjunction()
            if not right_is_predicate:
                raise self._unexpected()
            item = Step("||", None, item, right)
        self._depth -= 1
        return item, is_predicate

    def _conjunction(self) -> tuple[Step, bool]:
        item, is_predicate = self._term()
        while is_predicate and self._peek() == "&&":
            self._take()
            right, right_is_predicate = self._term()
            if not right_is_predicate:
                raise self._unexpected()
            item = Step("&&", None, item, right)
        return item, is_predicate

    def _predicate(self) -> Step:
        item, is_predicate = self._any()
        if not is_predicate:
            raise self._unexpected()
        return item

    def _term(self) -> tuple[Step, bool]:
        kind = self._peek()
        if kind == "!":
            self._take()
            return Step("!", None, self._delimited()), True
        if kind == "exists":
            return self._delimited(), True
        item, is_predicate = self._binary(3, True)
        return (item, True) if is_predicate else self._comparison(item)

    def _delimited(self) -> Step:
        if self._peek() == "exists":
            self._take()
            self._expect("(")
            item = Step("exists", None, self._expression())
        else:
            self._expect("(")
            item = self._predicate()
        self._expect(")")
        return item

    def _comparison(self, left: Step) -> tuple[Step, bool]:
        """What may follow an expression to make it a predicate."""
        kind = self._peek()
        if kind in COMPARISONS:
            self._take()
            return Step(kind, None, left, self._expression()), True
        if kind == "starts":
            self._take()
            self._expect("with")
            if self._peek() not in ("STRING", "VARIABLE"):
                raise self._unexpected()
            return Step("starts with", None, left, _literal(self._take())), True
        if kind == "like_regex":
            self._take()
            pattern, flags = self._expect("STRING").value, ""
            if self._peek() == "flag":
                self._take()
                flags = self._expect("STRING").value
            return Step("like_regex", _pattern(pattern, flags), left), True
        return left, False

    def _expression(self) -> Step:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise too_deep()
        item, _ = self._binary(3, False)
        self._depth -= 1
        return item

    def _binary(self, priority: int, may_be_predicate: bool) -> tuple[Step, bool]:
        """An expression of operators that bind at least so tightly; or a predicate in parentheses."""
        left, is_predicate = self._unary(may_be_predicate)
        length = 0
        while not is_predicate:
            kind = self._peek()
            binds = ARITHMETIC.get(kind, 0)
            if binds < priority or not binds:
                break
            self._take()
            right, _ = self._binary(binds + 1, False)
            length += 1
            if length + self._depth > DEPTH_MAX:
                raise too_deep()
            left = Step(kind, None, left, right)
        return left, is_predicate

    def _unary(self, may_be_predicate: bool) -> tuple[Step, bool]:
        signs = []
        while self._peek() in ("+", "-"):
            signs.append(self._take().kind)
            if len(signs) + self._depth > DEPTH_MAX:
                raise too_deep()
        item, is_predicate = self._primary(may_be_predicate and not signs)
        for sign in reversed(signs):
            item = _signed(sign, item)
        return item, is_predicate

    def _primary(self, may_be_predicate: bool) -> tuple[Step, bool]:
        kind = self._peek()
        if kind == "(":
            return self._parenthesized(may_be_predicate)
        if kind in ("STRING", "VARIABLE", "NUMERIC", "INT") or kind in _CONSTANTS:
            item = _literal(self._take())
        elif kind in ("$", "@", "last"):
            item = Step(self._take().kind)
        else:
            raise self._unexpected()
        return self._accessors(item), False

    def _parenthesized(self, may_be_predicate: bool) -> tuple[Step, bool]:
        self._take()
        item, is_predicate = self._any()
        self._expect(")")
        if self._peek() in _STARTS:
            return self._accessors(item), False
        if not is_predicate:
            return item, False
        if not may_be_predicate:
            raise self._unexpected()
        if self._peek() == "is":
            self._take()
            self._expect("unknown")
            item = Step("is unknown", None, item)
        return item, True

    # Accessors

    def _accessors(self, head: Step) -> Step:
        end, length = head, self._depth
        while end.next is not None:
            end, length = end.next, length + 1
        while self._peek() in _STARTS:
            end.next = end = self._accessor()
            length += 1
            if length > DEPTH_MAX:
                raise too_deep()
        return head

    def _accessor(self) -> Step:
        kind = self._take().kind
        if kind == "[":
            return self._subscripts()
        if kind == "?":
            self._expect("(")
            item = Step("filter", None, self._predicate())
            self._expect(")")
            return item
        name = self._peek()
        if name == "*":
            self._take()
            return Step(".*")
        if name == "**":
            return self._levels()
        if name not in _KEYS:
            raise self._unexpected()
        token = self._take()
        if name not in METHODS or self._peek() != "(":
            return Step("key", token.value)
        return self._method(name)

    def _method(self, name: str) -> Step:
        self._take()
        template = None
        if name == "datetime" and self._peek() == "STRING":
            template = _literal(self._take())
        self._expect(")")
        self._has_keyvalue |= name == "keyvalue"
        return Step(name, None, template)

    def _subscripts(self) -> Step:
        if self._peek() == "*":
            self._take()
            self._expect("]")
            return Step("[*]")
        found = []
        while True:
            first, last = self._expression(), None
            if self._peek() == "to":
                self._take()
                last = self._expression()
            found.append((first, last))
            if self._peek() != ",":
                break
            self._take()
        self._expect("]")
        return Step("subscripts", tuple(found))

    def _levels(self) -> Step:
        self._take()
        if self._peek() != "{":
            return Step("any", (0, UNBOUNDED))
        self._take()
        first = last = self._level()
        if self._peek() == "to":
            self._take()
            last = self._level()
        self._expect("}")
        return Step("any", (first, last))

    def _level(self) -> int:
        kind = self._peek()
        if kind == "last":
            self._take()
            return UNBOUNDED
        digits = self._expect("INT").value
        if len(digits) > 10 or int(digits) > 0x7FFFFFFF:
            raise NumericValueOutOfRange(f'value "{digits}" is out of range for type integer')
        return int(digits)


def _literal(token: Token) -> Step:
    if token.kind == "VARIABLE":
        return Step("variable", token.value)
    if token.kind == "STRING":
        return Step("literal", token.value)
    if token.kind in _CONSTANTS:
        return Step("literal", _CONSTANTS[token.kind])
    return Step("literal", numeric_in(token.value, -1, _ENV))


def _signed(sign: str, item: Step) -> Step:
    """A signed number is a number."""
    if item.op == "literal" and type(item.value) is Decimal and item.next is None:
        value: Decimal = item.value
        return item if sign == "+" or not value else Step("literal", value.copy_negate())
    return Step("unary " + sign, None, item)


def _pattern(text: str, letters: str) -> Pattern:
    """like_regex's pattern; 42601 for an unknown flag, 0A000 for one that no engine has, 2201B for a bad pattern."""
    for letter in letters:
        if letter not in _FLAGS:
            raise SqlSyntaxError(
                "invalid input syntax for type jsonpath",
                detail=f'Unrecognized flag character "{letter}" in LIKE_REGEX predicate.',
            )
    flags = ADVANCED | (ICASE if "i" in letters else 0)
    if "q" in letters:  # then m, s and x mean nothing
        flags = flags & ~ADVANCED | QUOTE
    else:
        if "x" in letters:
            raise NotSupported('XQuery "x" flag (expanded regular expressions) is not implemented')
        flags |= (0 if "s" in letters else NLSTOP) | (NLANCH if "m" in letters else 0)
    return Pattern(text, "".join(each for each in _FLAGS if each in letters), compile_regex(text, flags))


def _check(item: Step, filters: int, in_subscript: bool, depth: int) -> None:
    """42601 for ``@`` outside filters and ``last`` outside subscripts."""
    step: Step | None = item
    while step is not None:
        depth += 1
        if depth > DEPTH_MAX:
            raise too_deep()
        if step.op == "@" and not filters:
            raise SqlSyntaxError("@ is not allowed in root expressions")
        if step.op == "last" and not in_subscript:
            raise SqlSyntaxError("LAST is allowed only in array subscripts")
        if step.op == "subscripts":
            for pair in step.value:
                for each in pair:
                    if each is not None:
                        _check(each, filters, True, depth)
        inside = filters + (step.op == "filter")
        for operand in (step.left, step.right):
            if operand is not None:
                _check(operand, inside, in_subscript, depth)
        step = step.next
