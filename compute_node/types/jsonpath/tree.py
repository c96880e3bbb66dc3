"""The tree of a path: what ``parser`` builds, ``output`` writes and ``executor`` walks.

A path is a chain: ``$.a[0]`` is *root*, whose ``next`` is *key*, whose ``next`` is *subscripts*. Operators and
predicates have their operands in ``left`` and ``right``, and a ``next`` where an accessor follows them in parentheses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, SqlError, StatementTooComplex

if TYPE_CHECKING:
    from compute_node.types.regex import Regex

UNBOUNDED: Final = 0xFFFFFFFF
"""The level that ``last`` names in ``.**{…}``."""
DEPTH_MAX: Final = 1500
"""Levels of nesting in a path, and steps of one chain."""

ARITHMETIC: Final = {"+": 3, "-": 3, "*": 4, "/": 4, "%": 4}
COMPARISONS: Final = frozenset(("==", "!=", "<", "<=", ">", ">="))
PRIORITY: Final = {
    "||": 0,
    "&&": 1,
    **dict.fromkeys(COMPARISONS, 2),
    "starts with": 2,
    **ARITHMETIC,
    "unary +": 5,
    "unary -": 5,
}
"""Operators, the loosest first; all else is 6."""
PREDICATES: Final = COMPARISONS | {"||", "&&", "!", "is unknown", "exists", "starts with", "like_regex"}
METHODS: Final = ("type", "size", "abs", "floor", "ceiling", "double", "datetime", "keyvalue")


class Step:
    """One step or operator.

    ====================== ====================================================
    ``op``                 ``value``, ``left``, ``right``
    ====================== ====================================================
    literal                value: None, bool, Decimal or str
    variable, key          value: its name
    ``$ @ last``           root, current item, last index
    ``[*] .*``             all elements, all members
    any                    value: (first level, last level)
    subscripts             value: a tuple of (from, to or None)
    filter                 left: the predicate
    a name of METHODS      left: the template of datetime()
    like_regex             left: the operand, value: ``Pattern``
    operators, predicates  left, right
    ====================== ====================================================
    """

    __slots__ = ("left", "next", "op", "right", "value")

    def __init__(self, op: str, value: Datum = None, left: Step | None = None, right: Step | None = None) -> None:
        self.op, self.value, self.left, self.right = op, value, left, right
        self.next: Step | None = None

    @property
    def operand(self) -> Step:
        """The left or only operand of what has one."""
        if self.left is None:
            raise InvariantViolation(f"{self.op} has no operand")
        return self.left

    @property
    def operands(self) -> tuple[Step, Step]:
        """The operands of what has two."""
        if self.right is None:
            raise InvariantViolation(f"{self.op} has no right operand")
        return self.operand, self.right


@dataclass(frozen=True, slots=True)
class Pattern:
    """The right side of like_regex: its text, its flags in PostgreSQL's order, what they compile to."""

    text: str
    flags: str
    regex: Regex


class JsonPath:
    """A value of type jsonpath; equal when written alike."""

    __slots__ = ("_text", "expression", "has_keyvalue", "lax")

    def __init__(self, expression: Step, lax: bool, has_keyvalue: bool) -> None:
        self.expression, self.lax = expression, lax
        self.has_keyvalue = has_keyvalue
        """whether objects need to know their place"""
        self._text: str | None = None

    @property
    def text(self) -> str:
        """In PostgreSQL's canonical form."""
        if self._text is None:
            from compute_node.types.jsonpath.output import write

            self._text = write(self)
        return self._text

    def __reduce__(self) -> Row:
        from compute_node.types.jsonpath.output import write_for_storage
        from compute_node.types.jsonpath.parser import parse

        return parse, (write_for_storage(self),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonPath) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"JsonPath({self.text!r})"


def too_deep() -> SqlError:
    """54001."""
    return StatementTooComplex(
        "stack depth limit exceeded",
        hint='Increase the configuration parameter "max_stack_depth" (currently 2048kB), '
        "after ensuring the platform's stack depth limit is adequate.",
    )
