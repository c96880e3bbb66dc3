"""Tree → text: PostgreSQL's canonical form, and a form for storage that reads back as the same tree.

PostgreSQL writes ``(-$.a).abs() + 1`` as ``-$."a".abs() + 1``, which is another path. Its tables keep the tree; ours
keep text, so that form has the parentheses that the canonical one lacks.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from compute_node.types.jsonpath.tree import METHODS, PRIORITY, UNBOUNDED, JsonPath, Step, too_deep
from compute_node.types.numeric import numeric_out

_ESCAPED: Final = {ord(char): f"\\u{ord(char):04x}" for char in map(chr, range(32))} | {
    ord(char): "\\" + letter for char, letter in zip('\b\f\n\r\t"\\', 'bfnrt"\\', strict=True)
}
_LOOSE: Final = frozenset(("!", "exists", "is unknown", "like_regex"))
"""What the canonical form leaves without parentheses, though an accessor follows."""


def write(path: JsonPath) -> str:
    """In PostgreSQL's canonical form; 54001 when nested too deeply."""
    return _written(path, False)


def write_for_storage(path: JsonPath) -> str:
    """In a form that ``parse`` reads as the same tree."""
    return _written(path, True)


def _written(path: JsonPath, exact: bool) -> str:
    writer = _Writer(exact)
    try:
        writer.chain(path.expression, False, True)
    except RecursionError:
        raise too_deep() from None
    return ("" if path.lax else "strict ") + "".join(writer.parts)


def quoted(text: str) -> str:
    """As JSON."""
    return f'"{text.translate(_ESCAPED)}"'


def literal_text(value: object) -> str:
    """A literal as JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return numeric_out(value) if isinstance(value, Decimal) else quoted(str(value))


class _Writer:
    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self.parts: list[str] = []

    def chain(self, head: Step, after: bool, brackets: bool) -> None:
        """An item and what follows it; ``after``: it follows one itself."""
        step: Step | None = head
        while step is not None:
            if self.exact and step.next is not None and step.op in PRIORITY:
                brackets = True
            loose = self.exact and step.next is not None and step.op in _LOOSE
            self.parts.append("(" * loose)
            self._item(step, after, brackets)
            self.parts.append(")" * loose)
            step, after, brackets = step.next, True, True

    def _operand(self, item: Step, above: int) -> None:
        self.chain(item, False, PRIORITY.get(item.op, 6) <= above)

    def _inner(self, item: Step) -> None:
        self.chain(item, False, False)

    def _item(self, item: Step, after: bool, brackets: bool) -> None:
        add, op = self.parts.append, item.op
        if op in PRIORITY or op == "like_regex":
            add("(" * brackets)
            self._operator(item, PRIORITY.get(op, 6))
            add(")" * brackets)
        elif op == "literal":
            text = literal_text(item.value)
            is_number = type(item.value) is Decimal
            add(f"({text})" if is_number and item.next is not None else text)
        elif op == "key":
            add("." * after + quoted(item.value))
        elif op == "variable":
            add("$" + quoted(item.value))
        elif op == ".*":
            add("." * after + "*")
        elif op == "any":
            add("." * after + _levels(*item.value))
        elif op == "subscripts":
            self._subscripts(item)
        elif op in METHODS:
            template = "" if item.left is None else quoted(item.left.value)
            add(f".{op}({template})")
        else:
            self._enclosed(item)

    def _operator(self, item: Step, priority: int) -> None:
        add, op = self.parts.append, item.op
        if op in ("unary +", "unary -"):
            add(op[-1])
            self._operand(item.operand, priority)
            return
        self._operand(item.operand, priority)
        if op == "like_regex":
            pattern = item.value
            add(f" like_regex {quoted(pattern.text)}" + (f' flag "{pattern.flags}"' if pattern.flags else ""))
            return
        add(f" {op} ")
        self._operand(item.operands[1], priority)

    def _enclosed(self, item: Step) -> None:
        before, behind = {
            "filter": ("?(", ")"),
            "!": ("!(", ")"),
            "is unknown": ("(", ") is unknown"),
            "exists": ("exists (", ")"),
        }.get(item.op, (item.op, ""))
        self.parts.append(before)
        if behind:
            self._inner(item.operand)
        self.parts.append(behind)

    def _subscripts(self, item: Step) -> None:
        for number, (first, last) in enumerate(item.value):
            self.parts.append("," if number else "[")
            self._inner(first)
            if last is not None:
                self.parts.append(" to ")
                self._inner(last)
        self.parts.append("]")


def _levels(first: int, last: int) -> str:
    if (first, last) == (0, UNBOUNDED):
        return "**"
    names = ["last" if level == UNBOUNDED else str(level) for level in (first, last)]
    return f"**{{{names[0]}}}" if first == last else f"**{{{names[0]} to {names[1]}}}"
