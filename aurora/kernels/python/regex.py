"""Lazy finite automata over text: the inner loop of regular expressions, in time linear in the text.

An automaton is a list of nodes, each a tuple:

====================  ==========================================================================
``(CHAR, mask, to)``  consumes one character whose color's bit is set in ``mask``
``(SPLIT, tos)``      goes on to each of ``tos`` without consuming
``(COND, what, to)``  goes on to ``to`` where the position satisfies ``what``
``(FINAL,)``          a match ends here
====================  ==========================================================================

Characters are classed into *colors* (``Colors``), which the expression cannot tell apart. What a condition may ask
about a position is the *context* of the characters before and after it (0: the text's border; else 1, + 1 for a word
character, + 2 for a newline) and one bit per lookaround constraint, computed before (``masks``, a number a position).

States of the deterministic automaton are made when they are first met: a set of nodes before their empty moves, with
the context of the character just consumed. Whether a match ends at a position depends on the next character too, so
acceptance is part of the transition: ``table[state][color] = 2 * next + accepts``. At ``states_max`` states all are
dropped and made anew, so the memory is bounded and the time stays linear. ``pulse`` is called every ``PULSE``
characters; others may use the automaton meanwhile.

With ``reverse`` the text is read from its end to its start; nodes are then those of the reversed expression.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

CHAR, SPLIT, COND, FINAL = range(4)
BOS, EOS, BOL, EOL, WORD_START, WORD_END, WORD_EDGE, NO_WORD_EDGE = range(8)
"""Conditions; from ``LOOK`` on: lookaround ``(what - LOOK) // 2`` is true (even) or false (odd) here."""
LOOK = 8
STATES_MAX = 1024
CELLS_MAX = 1 << 20
PULSE = 1 << 16

Node = tuple[Any, ...]
Key = tuple[frozenset[int], int]


class Colors:
    """Classes of characters: ``starts[i]`` is the first code point of a run whose color is ``colors[i]``; ``contexts``
    by color. Color ``count`` is the text's border."""

    def __init__(self, starts: Sequence[int], colors: Sequence[int], contexts: Sequence[int]) -> None:
        self.starts, self.colors, self.contexts = list(starts), list(colors), list(contexts)
        self.count = len(self.contexts)
        self.table: Any = None
        """the compiled kernel's own form"""

    def of(self, character: str) -> int:
        """The color of a character."""
        return self.colors[bisect_right(self.starts, ord(character)) - 1]


def condition_holds(what: int, behind: int, ahead: int, mask: int) -> bool:
    """Whether a position with these contexts satisfies a condition."""
    if what >= LOOK:
        return (mask >> ((what - LOOK) >> 1) & 1) != (what & 1)
    if what == BOS:
        return behind == 0
    if what == EOS:
        return ahead == 0
    if what == BOL:
        return behind == 0 or (behind - 1) & 2 != 0
    if what == EOL:
        return ahead == 0 or (ahead - 1) & 2 != 0
    before = behind > 0 and (behind - 1) & 1 != 0
    after = ahead > 0 and (ahead - 1) & 1 != 0
    if what == WORD_START:
        return after and not before
    if what == WORD_END:
        return before and not after
    return (before != after) == (what == WORD_EDGE)


class Lazy:
    """What both implementations share: states by key, and how a missing transition is made."""

    def __init__(self, nodes: Sequence[Node], start: int, colors: Colors, reverse: bool = False) -> None:
        self.nodes = list(nodes)
        self.start = start
        self.colors = colors
        self.reverse = reverse
        self.conditional = any(node[0] == COND for node in nodes)
        self.states_max = max(64, min(STATES_MAX, CELLS_MAX // (colors.count + 1)))
        self.generation = 0
        """counts how often all states were dropped: then a number names another state"""
        self.keys: list[Key] = []
        self.ids: dict[Key, int] = {}
        self.closures: dict[int, frozenset[int]] = {}

    def intern(self, key: Key) -> int:
        """The number of a state; 0 is the state that nothing leads out of."""
        found = self.ids.get(key)
        if found is None:
            if len(self.keys) >= self.states_max:
                self.generation += 1
                self.keys.clear()
                self.ids.clear()
                self.flush()
            if not self.keys:
                self.keys.append((frozenset(), 0))
                self.ids[self.keys[0]] = 0
                self.added()
                if key == self.keys[0]:
                    return 0
            found = self.ids[key] = len(self.keys)
            self.keys.append(key)
            self.added()
        return found

    def flush(self) -> None:
        """All states were dropped."""

    def added(self) -> None:
        """There is one more state."""

    def closure(self, node: int) -> frozenset[int]:
        """Where the unconditional empty moves lead from a node: nodes that consume, accept or ask."""
        found = self.closures.get(node)
        if found is None:
            seen, out, todo = {node}, [], [node]
            while todo:
                at = todo.pop()
                kind = self.nodes[at]
                if kind[0] == SPLIT:
                    for to in kind[1]:
                        if to not in seen:
                            seen.add(to)
                            todo.append(to)
                else:
                    out.append(at)
            found = self.closures[node] = frozenset(out)
        return found

    def reach(self, core: frozenset[int], behind: int, ahead: int, mask: int) -> set[int]:
        """All nodes that consume or accept, as far as conditions hold at the position."""
        out: set[int] = set()
        for node in core:
            out |= self.closure(node)
        if not self.conditional:
            return out
        todo = [node for node in out if self.nodes[node][0] == COND]
        while todo:
            _, what, to = self.nodes[todo.pop()]
            if condition_holds(what, behind, ahead, mask):
                fresh = self.closure(to) - out
                out |= fresh
                todo += [node for node in fresh if self.nodes[node][0] == COND]
        return out

    def make(self, state: int, color: int, mask: int) -> int:
        """The transition of a state on a color: 2 * next + whether a match ends before it. May drop the states."""
        core, context = self.keys[state]
        colors = self.colors
        ahead = 0 if color == colors.count else colors.contexts[color]
        behind, ahead_ = (ahead, context) if self.reverse else (context, ahead)
        reached = self.reach(core, behind, ahead_, mask)
        accepts = 0
        targets = set()
        for node in reached:
            kind = self.nodes[node]
            if kind[0] == CHAR:
                if color < colors.count and kind[1] >> color & 1:
                    targets.add(kind[2])
            elif kind[0] == FINAL:
                accepts = 1
        if not targets:
            return accepts
        return 2 * self.intern((frozenset(targets), ahead if self.conditional else 0)) + accepts

    def first(self, text: str, position: int) -> int:
        """The state at a position before anything is consumed."""
        if not self.conditional:
            return self.intern((frozenset((self.start,)), 0))
        at = position if self.reverse else position - 1
        context = self.colors.contexts[self.colors.of(text[at])] if 0 <= at < len(text) else 0
        return self.intern((frozenset((self.start,)), context))


class Dfa(Lazy):
    """Runs over ``text`` from ``begin`` towards ``stop`` (downwards with ``reverse``), reading one character beyond."""

    def __init__(self, nodes: Sequence[Node], start: int, colors: Colors, reverse: bool = False) -> None:
        super().__init__(nodes, start, colors, reverse)
        self.table: dict[tuple[int, int, int], int] = {}

    def flush(self) -> None:
        """Transitions name dropped states."""
        self.table.clear()

    def _run(
        self,
        text: str,
        begin: int,
        stop: int,
        masks: Sequence[int] | None,
        pulse: Callable[[], None],
        accepted: Callable[[int], bool],
    ) -> None:
        """Call ``accepted`` with each position where a match from ``begin`` ends, until it returns true."""
        state, at, border = self.first(text, begin), begin, self.colors.count
        step, ahead = (-1, -1) if self.reverse else (1, 0)
        while True:
            inside = 0 <= at + ahead < len(text)
            color = self.colors.of(text[at + ahead]) if inside else border
            key = (state, color, 0 if masks is None else masks[at])
            following = self.table.get(key)
            if following is None:
                generation = self.generation
                following = self.make(*key)
                if generation == self.generation:
                    self.table[key] = following
            if following & 1 and accepted(at):
                return
            state = following >> 1
            if at == stop or not state:
                return
            at += step
            if (at - begin) % PULSE == 0:
                kept = self.keys[state]
                pulse()
                state = self.intern(kept)

    def longest(self, text: str, begin: int, stop: int, masks: Sequence[int] | None, pulse: Callable[[], None]) -> int:
        """The farthest position up to ``stop`` where a match from ``begin`` ends; -1 without one."""
        last = -1

        def accepted(at: int) -> bool:
            nonlocal last
            last = at
            return False

        self._run(text, begin, stop, masks, pulse, accepted)
        return last

    def shortest(
        self, text: str, begin: int, least: int, stop: int, masks: Sequence[int] | None, pulse: Callable[[], None]
    ) -> int:
        """The nearest position from ``least`` on where a match from ``begin`` ends; -1 without one."""
        found = -1

        def accepted(at: int) -> bool:
            nonlocal found
            if (at <= least) if self.reverse else (at >= least):
                found = at
                return True
            return False

        self._run(text, begin, stop, masks, pulse, accepted)
        return found

    def leftmost(
        self, text: str, begin: int, tried: int, stop: int, masks: Sequence[int] | None, pulse: Callable[[], None]
    ) -> tuple[int, int] | None:
        """The first beginning from ``begin`` on and before ``tried`` from which there is a match, and the farthest end
        of that; None without one."""
        for at in range(begin, tried):
            end = self.longest(text, at, stop, masks, pulse)
            if end >= 0:
                return at, end
        return None

    def marks(
        self, text: str, begin: int, stop: int, masks: Sequence[int] | None, pulse: Callable[[], None]
    ) -> bytearray:
        """One byte a position between ``begin`` and ``stop``, from the lower one on: 1 where a match ends."""
        low = min(begin, stop)
        out = bytearray(abs(stop - begin) + 1)

        def accepted(at: int) -> bool:
            out[at - low] = 1
            return False

        self._run(text, begin, stop, masks, pulse, accepted)
        return out
