"""Texts → tsqueries: to_tsquery, plainto_tsquery, phraseto_tsquery, websearch_to_tsquery; text @@ (manual, 12.3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final

from aurora.errors import InvariantViolation
from compute_node.types.common import WHITESPACE
from compute_node.types.declare import fn, operators
from compute_node.types.registry import FunctionContext
from compute_node.types.textsearch.configurations import Configuration
from compute_node.types.textsearch.documents import Notify, Word, current, declare_both, notifier, to_vector, words
from compute_node.types.textsearch.match import matches, operands
from compute_node.types.textsearch.query import (
    AND,
    NOT,
    OR,
    PHRASE,
    PRIORITY,
    Node,
    Reader,
    TsQuery,
    bounded,
    checked_lexeme,
)

STOP: Final = 5
"""An operand of which nothing is left: a stop word. ``_cleaned`` takes it out."""


def _stop() -> Node:
    node = Node("")
    node.operator = STOP
    return node


class _Morphology:
    """Makes what an operand's text stands for: its lexemes, joined, with stop words between them."""

    def __init__(self, config: Configuration, text: str, operator: int, notify: Notify) -> None:
        self.config, self.text, self.operator, self.notify = config, text, operator, notify

    def __call__(self, text: str, weights: int = 0, prefix: bool = False) -> Node:
        made: Node | None = None
        last = 0
        for position, same in groupby(words(self.config, text, self.notify), key=lambda word: word.position):
            while last and last + 1 < position:
                made = self._join(made, _stop())
                last += 1
            made, last = self._join(made, self._choice(same, weights, prefix)), position
        return _stop() if made is None else made

    def _choice(self, found: Iterable[Word], weights: int, prefix: bool) -> Node:
        """What one word stands for: one of its variants, and of that each part."""
        node: Node | None = None
        for _, parts in groupby(found, key=lambda word: word.variant):
            together: Node | None = None
            for part in parts:
                one = checked_lexeme(part.lexeme, weights, prefix or part.is_prefix, self.text)
                together = one if together is None else Node.join(AND, together, one)
            if together is not None:
                node = together if node is None else Node.join(OR, node, together)
        if node is None:
            raise InvariantViolation("a word without lexemes")
        return node

    def _join(self, made: Node | None, node: Node) -> Node:
        return node if made is None else Node.join(self.operator, made, node, 1)


def _cleaned(node: Node) -> tuple[Node | None, int, int]:
    """The tree without stop words, and how much they add to the distances on its left and on its right."""
    if node.operator == STOP:
        return None, 0, 0
    if not node.operator:
        return node, 0, 0
    if node.operator == NOT:
        inside, left_more, right_more = _cleaned(node.right) if node.right is not None else (None, 0, 0)
        return (None if inside is None else Node.join(NOT, None, inside)), left_more, right_more
    one, other = operands(node)
    left, left_left, left_right = _cleaned(one)
    right, right_left, right_right = _cleaned(other)
    is_phrase, distance = node.operator == PHRASE, node.distance
    if left is None and right is None:
        more = left_left + distance + right_left if is_phrase else max(left_left, right_left)
        return None, more, more
    if left is None:
        return right, (left_left + distance + right_left if is_phrase else right_left), right_right
    if right is None:
        return left, left_left, (left_right + distance + right_right if is_phrase else left_right)
    if not is_phrase:
        return Node.join(node.operator, left, right), 0, 0
    return Node.join(PHRASE, left, right, distance + left_right + right_left), left_left, right_right


def _finished(root: Node | None, text: str, has_operands: bool, notify: Notify) -> TsQuery:
    if root is None or not has_operands:
        notify(f'text-search query doesn\'t contain lexemes: "{text}"', "")
        return TsQuery(None)
    cleaned = bounded(_cleaned)(root)[0]
    if cleaned is None:
        notify("text-search query contains only stop words or doesn't contain lexemes, ignored", "")
    return TsQuery(cleaned)


def _to_query(config: Configuration, notify: Notify, text: str) -> TsQuery:
    reader = Reader(text, _Morphology(config, text, PHRASE, notify))
    root, has_operands = bounded(reader.read)()
    return _finished(root, text, has_operands, notify)


def _plain(operator: int) -> Callable[[Configuration, Notify, str], TsQuery]:
    def run(config: Configuration, notify: Notify, text: str) -> TsQuery:
        root = _Morphology(config, text, operator, notify)(text) if text else None
        return _finished(root, text, bool(text), notify)

    return run


class _Web:
    """What people type into a search box: words, "phrases", or, and - before what is unwanted. Nothing is an error."""

    def __init__(self, text: str, operand: Callable[[str], Node]) -> None:
        self.text, self.operand, self.at = text, operand, 0
        self.values: list[Node] = []
        self.operators: list[int] = []

    def read(self) -> Node | None:
        """The tree; None for a text without any operand."""
        is_first = True
        while True:
            node, has_sign = self._value()
            if node is None and is_first and not has_sign:
                return None
            self.values.append(_stop() if node is None else node)
            operator = 0 if node is None else self._operator()
            self._reduce(PRIORITY[operator] if operator else 0)
            if not operator:
                return self.values[0]
            self.operators.append(operator)
            is_first = False

    def _reduce(self, priority: int) -> None:
        """Make nodes of the operators that bind at least so tightly."""
        while self.operators and PRIORITY[self.operators[-1]] >= priority:
            operator = self.operators.pop()
            right = self.values.pop()
            left = None if operator == NOT else self.values.pop()
            self.values.append(Node.join(operator, left, right))

    def _value(self) -> tuple[Node | None, bool]:
        """The next operand, and whether a sign was passed."""
        text, has_sign = self.text, False
        while self.at < len(text):
            char = text[self.at]
            if char == "-":
                self.operators.append(NOT)
                has_sign = True
            elif char == '"':
                return self._quoted(), has_sign
            elif char in _SIGNS:
                has_sign = True
            elif char not in WHITESPACE:
                return self.operand(self._word()), has_sign
            self.at += 1
        return None, has_sign

    def _quoted(self) -> Node:
        end = self.text.find('"', self.at + 1)
        inside = self.text[self.at + 1 :] if end < 0 else self.text[self.at + 1 : end]
        self.at = len(self.text) if end < 0 else end + 1
        return self.operand(inside)

    def _word(self) -> str:
        text, begin = self.text, self.at
        self.at += 1
        while self.at < len(text) and text[self.at] not in WHITESPACE and text[self.at] not in _WORD_ENDS:
            self.at += 1
        return text[begin : self.at]

    def _operator(self) -> int:
        text = self.text
        while self.at < len(text) and (text[self.at] in WHITESPACE or text[self.at] in _SIGNS):
            self.at += 1
        if self.at >= len(text):
            return 0
        if text[self.at : self.at + 2].lower() == "or":
            follow = text[self.at + 2 : self.at + 3]
            if follow and not (follow in "-_" or follow.isalnum()) and text[self.at + 3 :].strip(WHITESPACE):
                self.at += 2
                return OR
        return AND


_SIGNS: Final = frozenset("!&|()<")
_WORD_ENDS: Final = _SIGNS | {'"', ":"}


def _websearch(config: Configuration, notify: Notify, text: str) -> TsQuery:
    root = _Web(text, _Morphology(config, text, PHRASE, notify)).read()
    return _finished(root, text, root is not None, notify)


declare_both((3746, 3750), "to_tsquery", "text", "tsquery", _to_query)
declare_both((3747, 3751), "plainto_tsquery", "text", "tsquery", _plain(AND))
declare_both((5006, 5001), "phraseto_tsquery", "text", "tsquery", _plain(PHRASE))
declare_both((5007, 5009), "websearch_to_tsquery", "text", "tsquery", _websearch)


def _match_text(context: FunctionContext, text: str, query: TsQuery) -> bool:
    return matches(to_vector(current(context), (text,), notifier(context)), query)


def _match_texts(context: FunctionContext, text: str, query: str) -> bool:
    return _match_text(context, text, _plain(AND)(current(context), notifier(context), query))


fn(3761, "ts_match_tq(text, tsquery) bool stable", _match_text, needs_context=True)
fn(3760, "ts_match_tt(text, text) bool stable", _match_texts, needs_context=True)
operators("""
3762 text @@ text bool 3760
3763 text @@ tsquery bool 3761
""")
