"""Generated source under construction: bound names, temporaries, helper functions, linking.

The names in generated code: ``c`` the ExecContext, ``p`` its params, ``x`` its execution parameters, ``b`` a batch,
``r`` and ``s`` rows of the outer and inner input, ``q`` a row of a sub-select, ``e…`` CASE and array elements, ``t…``
temporaries, ``_…`` bound values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any, Protocol

from aurora.datum import Datum
from compute_node.hub import HUB
from compute_node.sql import expressions as ex

NESTING_MAX = 40
"""parentheses in one generated function; CPython's tokenizer refuses 200"""


@dataclass(frozen=True, slots=True)
class Code:
    """A generated expression. ``simple``: a name or subscript, free to repeat. ``depth``: levels of parentheses."""

    text: str
    nullable: bool = True
    simple: bool = False
    depth: int = 1


NULL = Code("None", True, True, 0)


def _no_columns(side: int, index: int) -> Code:
    raise LookupError(f"no input row here for column {index} of side {side}")


class StoredValues(Protocol):
    """Columns that may be handles of stored values; see ``compute_node.exec.stored_values``."""

    @property
    def mixed(self) -> frozenset[int]:
        """Those to be resolved by ``value`` where an expression uses them."""

    def value(self, value: Datum) -> Datum:
        """The value of what may be a handle."""

    def call(self, node: ex.Call, whole: Callable[..., Datum]) -> Callable[..., Datum] | None:
        """The function of (context, arguments …) to call in place of ``whole``, the code of Call ``node``, when its
        first argument may be a handle; else None."""


@dataclass(slots=True)
class Scope:
    """What an expression may refer to: how columns are spelled, which row variables exist, the open elements."""

    column: Callable[[int, int], Code] = _no_columns
    variables: tuple[str, ...] = ()
    elements: list[str] = field(default_factory=list)
    stored: StoredValues | None = None
    """for a scan's columns that may be handles of stored values"""

    @property
    def arguments(self) -> str:
        """The arguments that every helper function of this scope takes."""
        return ", ".join(("c", "p", "x", *self.variables, *self.elements))


def row_scope(*nullable: Sequence[bool] | None, stored: StoredValues | None = None) -> Scope:
    """The usual scope: one row variable per side (``r``, ``s``); ``nullable`` is per column, None: all may be NULL."""
    names = ("r", "s")[: len(nullable)]

    def column(side: int, index: int) -> Code:
        known = nullable[side]
        may_be_null = known is None or index >= len(known) or known[index]
        return Code(f"{names[side]}[{index}]", may_be_null, True)

    return Scope(column, names, stored=stored)


class Unit:
    """One code object: helper and top-level functions over one namespace of bound values."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self._functions: list[str] = []
        self._bound: dict[int, str] = {}
        self._count = 0
        self._space: dict[str, Any] | None = None
        self.uses_params = False
        self.uses_exec_params = False

    def bind(self, value: Datum, prefix: str = "k") -> str:
        """The name under which generated code sees this very object."""
        name = self._bound.get(id(value))
        if name is None:
            self._count += 1
            name = f"_{prefix}{self._count}"
            self._bound[id(value)] = name
            self.names[name] = value
        return name

    def bind_named(self, names: dict[str, Any]) -> bool:
        """Bind helpers of an inline template under their own names; False when a name already means something else."""
        if any(key in self.names and self.names[key] is not value for key, value in names.items()):
            return False
        self.names.update(names)
        return True

    def fresh(self, prefix: str = "t") -> str:
        """A new local name."""
        self._count += 1
        return f"{prefix}{self._count}"

    def helper(self, arguments: str, body: Sequence[str]) -> str:
        """Define a function from its body lines; returns its name."""
        self._count += 1
        name = f"_h{self._count}"
        self._functions.append(f"def {name}({arguments}):\n" + "\n".join(f"    {line}" for line in body))
        return name

    def function(self, arguments: str, body: Sequence[str]) -> str:
        """As ``helper``, for an entry: fetches ``p`` and ``x`` from ``c`` when anything in the unit uses them."""
        given = {name.strip() for name in arguments.split(",")}
        prologue = []
        if self.uses_params and "p" not in given:
            prologue.append("p = c.params")
        if self.uses_exec_params and "x" not in given:
            prologue.append("x = c.exec_params")
        return self.helper(arguments, [*prologue, *body])

    def link(self, name: str) -> Callable[..., Datum]:
        """Compile what was defined and return one of the functions."""
        HUB.pulse()
        space = dict(self.names)
        exec(_compiled("\n".join(self._functions)), space)
        self._space = space
        function: Callable[..., Datum] = space[name]
        return function

    def linked(self, name: str) -> Callable[..., Datum]:
        """Another function of the same linked unit."""
        if self._space is None:
            return self.link(name)
        function: Callable[..., Datum] = self._space[name]
        return function

    @property
    def source(self) -> str:
        """The generated text, for tests and debugging."""
        return "\n".join(self._functions)


@lru_cache(maxsize=4096)
def _compiled(source: str) -> CodeType:
    # Names are dealt deterministically, so statements of one shape share their code objects.
    return compile(source, "<plan>", "exec")
