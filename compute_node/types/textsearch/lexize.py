"""Tokens → lexemes by a list of dictionaries for each kind of token (manual, 12.1.1).

A token goes through its dictionaries until one knows it. One that wants more words (a thesaurus) gets the following
tokens as long as it asks for them; when nothing comes of it, they are looked at again one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from compute_node.types.textsearch.dictionaries import FILTER, Dictionary, Lexemes, State
from compute_node.types.textsearch.tokens import Token

Maps = Mapping[int, Sequence[Dictionary]]
END = 0


class Step(NamedTuple):
    """Tokens that are done with, and the lexemes that stand for them; None: no dictionary knows them."""

    tokens: list[Token]
    lexemes: Lexemes | None


class Lexizer:
    """Takes tokens one by one and gives what is settled."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._work: deque[Token] = deque()
        self._done: list[Token] = []

    def feed(self, token: Token) -> Iterator[Step]:
        """One more token; a token of kind END after the last."""
        self._work.append(token)
        while True:
            step = self._next()
            if step is None:
                return
            yield step
            if step.lexemes is None:
                return

    def _next(self) -> Step | None:
        """The next lexemes, or what no dictionary knows; None when more tokens must come first."""
        while self._work:
            token = self._work[0]
            dictionaries = self._maps.get(token.kind, ()) if token.kind != END else ()
            waits, found = self._first_of(token, dictionaries)
            if waits:
                return None
            if found is not None:
                return self._settled(found)
            self._take()
        return self._settled(None) if self._done else None

    def _take(self) -> None:
        token = self._work.popleft()
        if token.kind != END:
            self._done.append(token)

    def _settled(self, lexemes: Lexemes | None) -> Step:
        done, self._done = self._done, []
        return Step(done, lexemes)

    def _first_of(self, token: Token, dictionaries: Sequence[Dictionary]) -> tuple[bool, Lexemes | None]:
        """(more tokens are wanted, what the first dictionary that knows it says)."""
        word = token.text
        for dictionary in dictionaries:
            state = State()
            found = dictionary.lexize(word, state)
            if state.wants_next:
                waits, found = self._several(dictionary, state, found)
                if waits:
                    return True, None
                if found is not None:
                    return False, found
                continue
            if found is None:
                continue
            if found and found[0].flags & FILTER:
                word = found[0].text
                continue
            self._take()
            return False, found
        return False, None

    def _several(self, dictionary: Dictionary, state: State, best: Lexemes | None) -> tuple[bool, Lexemes | None]:
        """A dictionary wants more words: those at hand are shown to it. It starts anew when more have come."""
        length = 1
        for number in range(1, len(self._work)):
            token = self._work[number]
            if token.kind != END:
                own = self._maps.get(token.kind, ())
                if not own:
                    continue
                if dictionary not in own:
                    return False, None
            state.is_end, state.wants_next = token.kind == END, False
            found = dictionary.lexize(token.text, state)
            if state.wants_next:
                if found is not None:
                    best, length = found, number + 1
                continue
            if found is not None:
                return False, self._used(number + 1, found)
            return False, None if best is None else self._used(length, best)
        return True, None

    def _used(self, count: int, lexemes: Lexemes) -> Lexemes:
        for _ in range(count):
            self._take()
        return lexemes
