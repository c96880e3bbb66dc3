"""``Ast`` → nodes of the kernel's automata, and the colors of an expression's characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aurora.kernels.python.regex import BOL, BOS, CHAR, COND, EOL, FINAL, LOOK, SPLIT, Colors, Node
from compute_node.types import ctype
from compute_node.types.ctype import Ranges
from compute_node.types.regex.parse import Ast
from compute_node.types.regex.syntax import TOO_COMPLEX, invalid

NODES_MAX = 100_000


def walk(ast: Ast) -> Iterator[Ast]:
    """The expression and all its parts."""
    yield ast
    if ast[0] in ("cat", "alt"):
        for kid in ast[1]:
            yield from walk(kid)
    elif ast[0] == "rep":
        yield from walk(ast[1])


class Palette:
    """The colors that tell apart every set of an expression, and each set as a mask of colors."""

    def __init__(self, asts: Iterable[Ast], is_ascii: bool = False) -> None:
        sets: dict[Ranges, int] = {}
        conditions = set()
        for ast in asts:
            for part in walk(ast):
                if part[0] == "set":
                    sets.setdefault(part[1], len(sets))
                elif part[0] == "cond":
                    conditions.add(part[1])
        letters = ctype.ascii_class if is_ascii else ctype.char_class
        word = letters(ctype.WORD) if any(EOL < what < LOOK for what in conditions) else None
        extra = [word or (), ((10, 10),) if conditions & {BOL, EOL} else ()]
        numbered = [*sets, *extra]
        events: dict[int, int] = {0: 0}
        for number, ranges in enumerate(numbered):
            for low, high in ranges:
                events[low] = events.get(low, 0) ^ 1 << number
                events[high + 1] = events.get(high + 1, 0) ^ 1 << number
        starts, colors, members = [], [], 0
        by_members: dict[int, int] = {}
        for code in sorted(events):
            members ^= events[code]
            starts.append(code)
            colors.append(by_members.setdefault(members, len(by_members)))
        is_word, is_newline = 1 << len(sets), 2 << len(sets)
        contexts = [1 + bool(each & is_word) + 2 * bool(each & is_newline) for each in by_members]
        self.colors = Colors(starts, colors, contexts)
        self.masks: dict[Ranges, int] = dict.fromkeys(sets, 0)
        for each, color in by_members.items():
            for ranges, number in sets.items():
                if each >> number & 1:
                    self.masks[ranges] |= 1 << color


class Assembler:
    """Builds nodes from back to front: ``add(ast, to)`` gives the node where the expression starts that goes on to
    ``to``."""

    def __init__(self, palette: Palette, reverse: bool = False) -> None:
        self.nodes: list[Node] = [(FINAL,)]
        self._masks = palette.masks
        self._reverse = reverse
        self._anything = (1 << palette.colors.count) - 1

    def _new(self, node: Node) -> int:
        if len(self.nodes) >= NODES_MAX:
            raise invalid(TOO_COMPLEX)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def add(self, ast: Ast, to: int) -> int:
        """The first node of an expression that is followed by node ``to``."""
        kind = ast[0]
        if kind == "set":
            return self._new((CHAR, self._masks[ast[1]], to))
        if kind == "cond":
            return self._new((COND, ast[1], to))
        if kind == "cat":
            for kid in ast[1] if self._reverse else reversed(ast[1]):
                to = self.add(kid, to)
            return to
        if kind == "alt":
            return self._new((SPLIT, tuple(self.add(kid, to) for kid in ast[1])))
        return self._repeat(ast[1], ast[2], ast[3], to)

    def _repeat(self, kid: Ast, least: int, most: int | None, to: int) -> int:
        if most is None:
            loop = self._new((SPLIT, ()))
            start = self.add(kid, loop)
            self.nodes[loop] = (SPLIT, (start, to))
            if least:
                to, least = start, least - 1
            else:
                to = loop
        else:
            after = to
            for _ in range(most - least):
                to = self._new((SPLIT, (self.add(kid, to), after)))
        for _ in range(least):
            to = self.add(kid, to)
        return to

    def anywhere(self, start: int) -> int:
        """A start that may first pass over any text."""
        loop = self._new((SPLIT, ()))
        self.nodes[loop] = (SPLIT, (start, self._new((CHAR, self._anything, loop))))
        return loop


def literal_of(ast: Ast) -> str | None:
    """The text that an expression is, if it is one text."""
    if ast[0] == "set":
        ranges = ast[1]
        return chr(ranges[0][0]) if len(ranges) == 1 and ranges[0][0] == ranges[0][1] else None
    if ast[0] == "cat":
        parts = [literal_of(kid) for kid in ast[1]]
        return None if None in parts else "".join(part for part in parts if part is not None)
    return None


def anchored(ast: Ast) -> bool:
    """Whether a match can only begin at the text's start."""
    if ast[0] == "cond":
        return bool(ast[1] == BOS)
    if ast[0] == "cat":
        return bool(ast[1]) and anchored(ast[1][0])
    if ast[0] == "alt":
        return all(anchored(kid) for kid in ast[1])
    return False
