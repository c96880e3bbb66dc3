"""What a catalog layer has been told: question → answer, where a change costs what it alters and not what is known.

An ``Answers`` is one state. Its entries lie in ``BUCKETS`` dictionaries by the question's hash; the next state shares
those that it does not change, so making it copies one list of fixed length. An answer has *tags*: what must change for
it to be out of date (``layer.tags_of``). The current state's ``Dependents`` say which questions have a tag.

```
shared state 1 ─ successor(tags) ─► shared state 2 ─ …        the index of tags moves on with the current state
      └── without(tags) ─► a transaction's ─ without(more) ─► …       which reads the index and adds nothing to it
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from aurora.datum import Datum
from aurora.errors import InvariantViolation

Question: TypeAlias = tuple[Datum, ...]
"""a kind and its key"""
Tag: TypeAlias = tuple[str, int]
"""(catalog, OID) of a row, (catalog, 0) of any row of it, (RELATION, OID) of all that describes a relation, ``ANY``"""
TagsOf: TypeAlias = Callable[[Question, Datum], Iterable[Tag]]

BUCKETS: Final = 1024
ANY: Final[Tag] = ("", 0)
"""The tag that every change has: of answers that say there is no such thing."""
RELATION: Final = "relation"
_NOTHING: Final[dict[Question, Datum]] = {}


class Dependents:
    """Tag → the questions whose answers have it."""

    __slots__ = ("_questions", "tags_of")

    def __init__(self, tags_of: TagsOf) -> None:
        self.tags_of = tags_of
        self._questions: dict[Tag, Question | set[Question]] = {}
        """most tags have one: sets are large"""

    def __len__(self) -> int:
        """Tags that some answer has."""
        return len(self._questions)

    def add(self, question: Question, answer: Datum) -> None:
        """The current state has this answer."""
        for tag in self.tags_of(question, answer):
            known = self._questions.setdefault(tag, question)
            if isinstance(known, set):
                known.add(question)
            elif known != question:
                self._questions[tag] = {known, question}

    def discard(self, question: Question, answer: Datum) -> None:
        """It has it no more."""
        for tag in self.tags_of(question, answer):
            known = self._questions.get(tag)
            if isinstance(known, set):
                known.discard(question)
            if not known or known == question:
                self._questions.pop(tag, None)

    def of(self, tags: Iterable[Tag]) -> set[Question]:
        """The questions whose answers have one of these tags."""
        found: set[Question] = set()
        for tag in tags:
            known = self._questions.get(tag)
            if isinstance(known, set):
                found |= known
            elif known is not None:
                found.add(known)
        return found


class Answers:
    """See the module. Invariant: whoever has an entry in ``_own`` is the only one to hold that dictionary."""

    __slots__ = ("_buckets", "_current", "_dependents", "_own")

    def __init__(self, tags_of: TagsOf) -> None:
        self._buckets = [_NOTHING] * BUCKETS
        self._own = bytearray(BUCKETS)
        self._dependents = Dependents(tags_of)
        self._current = True
        """whether the index of tags is of this state: no later one has taken it over"""

    def __len__(self) -> int:
        """How many there are."""
        return sum(map(len, self._buckets))

    def get(self, question: Question) -> Datum:
        """The answer; KeyError when it is not known."""
        return self._buckets[hash(question) % BUCKETS][question]

    def put(self, question: Question, answer: Datum) -> Datum:
        """Keep an answer, unless there is one: the one that is kept."""
        at = hash(question) % BUCKETS
        if question in self._buckets[at]:
            return self._buckets[at][question]
        self._mine(at)[question] = answer
        if self._current:
            self._dependents.add(question, answer)
        return answer

    def successor(self, tags: Iterable[Tag]) -> Answers:
        """The state after a change that has these tags; it takes over the index."""
        if not self._current:
            raise InvariantViolation("a state that is not the current one gets no successor")
        new = self._copied()
        for question in self._dependents.of(tags):
            answer = new._remove(question)
            self._dependents.discard(question, answer)
        new._current, self._current = True, False
        return new

    def without(self, tags: Iterable[Tag]) -> Answers:
        """The same state beside this one, without the answers that have one of these tags."""
        new = self._copied()
        for question in self._dependents.of(tags):
            if question in new._buckets[hash(question) % BUCKETS]:
                new._remove(question)
        return new

    def _copied(self) -> Answers:
        new = object.__new__(Answers)
        new._buckets, new._dependents, new._current = self._buckets.copy(), self._dependents, False
        new._own, self._own = bytearray(BUCKETS), bytearray(BUCKETS)
        return new

    def _mine(self, at: int) -> dict[Question, Datum]:
        if not self._own[at]:
            self._buckets[at] = self._buckets[at].copy()
            self._own[at] = True
        return self._buckets[at]

    def _remove(self, question: Question) -> Datum:
        return self._mine(hash(question) % BUCKETS).pop(question)
