"""Path × document → items (manual, 9.16.2).

::

    run ─ item: one step on one item ─┬─ after: its results to the next step … ─► found
                                      └─ steps.py: accessors, methods, arithmetic
    predicates.py: filters, of three values

``item`` answers whether anything was found. ``found`` gathers it; without a list the search ends at the first one. Lax
mode takes an array's elements where a step needs one item, takes one item for an array of one, and ignores what is not
there; strict mode makes errors of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aurora.errors import InvalidParameterValue, InvariantViolation, SqlError, UndefinedObject
from compute_node.hub import HUB
from compute_node.types.json.value import Jsonb
from compute_node.types.jsonpath.items import Item, Placed, is_array, is_container, item_of
from compute_node.types.jsonpath.tree import JsonPath, Step, too_deep
from compute_node.types.long_text import STEPS, paced
from compute_node.types.registry import TypeEnv

Found = list[Item] | None
"""Where results go; None: only whether there is one"""

VARIABLES_DOCUMENT = 1
"""The number of the document of variables, for ``keyvalue()``."""
_PULSE_STEPS = 256


class PathError(Exception):
    """An error that predicates make unknown and ``silent`` makes nothing."""

    def __init__(self, error: SqlError) -> None:
        super().__init__(error.message)
        self.error = error


class Execution:
    """One path over one document."""

    __slots__ = (
        "current",
        "env",
        "generated",
        "last",
        "lax",
        "places",
        "root",
        "steps",
        "throws",
        "tolerant",
        "variables",
        "with_zone",
    )

    def __init__(self, path: JsonPath, document: Jsonb, variables: Jsonb | None, env: TypeEnv, with_zone: bool) -> None:
        if variables is not None and variables.kind != "object":
            raise InvalidParameterValue(
                '"vars" argument is not an object',
                detail='Jsonpath parameters should be encoded as key-value pairs of "vars" object.',
            )
        self.lax = path.lax
        self.tolerant = path.lax
        """whether what is not there is no error: in lax mode, and below ``**``"""
        self.places = path.has_keyvalue
        self.throws = True
        """whether an error ends the statement: not below predicates, not with ``silent``"""
        self.root: Item = item_of(document)
        if self.places and is_container(document):
            self.root = Placed(document.data, 0, 0)
        self.current = self.root
        self.last = -1
        """size of the innermost array whose subscripts are computed"""
        self.variables = variables
        self.generated = 1 if variables is None else 2
        """the number of the next document that ``keyvalue()`` makes"""
        self.env, self.with_zone = env, with_zone
        self.steps = 0

    def item(self, step: Step, value: Item, found: Found, unwrap: bool) -> bool:
        """One step on one item; ``unwrap``: on the elements instead, where it needs something else than an array."""
        self.steps += 1
        if not self.steps % _PULSE_STEPS:
            HUB.pulse()
        return HANDLERS[step.op](self, step, value, found, unwrap)

    def after(self, step: Step, value: Item, found: Found) -> bool:
        """The steps behind this one, on one of its results."""
        if step.next is not None:
            return self.item(step.next, value, found, self.lax)
        if found is not None:
            found.append(value)
        return True

    def unwrapped(self, step: Step | None, array: Item, found: Found, unwrap: bool) -> bool:
        """A step on each element of an array; without one, the elements."""
        if not isinstance(array, Jsonb):
            raise InvariantViolation(f"{array!r} is taken for an array")
        elements = array.elements() if len(array) <= STEPS else paced(array.elements())
        return self.each(step, map(item_of, elements), found, unwrap)

    def each(self, step: Step | None, values: Iterable[Item], found: Found, unwrap: bool) -> bool:
        """A step on each of several items; without one, the items."""
        any_found = False
        for value in values:
            if step is not None:
                any_found |= self.item(step, value, found, unwrap)
            else:
                any_found = True
                if found is not None:
                    found.append(value)
            if any_found and found is None:
                return True
        return any_found

    def operand(self, step: Step, value: Item, unwrap: bool = True) -> list[Item]:
        """All items of an operand; in lax mode the elements of those that are arrays."""
        found: list[Item] = []
        self.item(step, value, found, self.lax)
        if not (unwrap and self.lax) or not any(map(is_array, found)):
            return found
        out: list[Item] = []
        for each in found:
            if is_array(each):
                self.unwrapped(None, each, out, False)
            else:
                out.append(each)
        return out

    def variable(self, name: str) -> Item:
        """42704 when there are variables, but not this one."""
        if self.variables is None:
            return None
        variables = Placed(self.variables.data, VARIABLES_DOCUMENT, 0) if self.places else self.variables
        found = variables.key(name)
        if found is None:
            raise UndefinedObject(f'could not find jsonpath variable "{name}"')
        return item_of(found)


def run(execution: Execution, path: JsonPath, found: Found) -> bool:
    """All items of the path into ``found``, or whether there is one. Raises ``PathError``; 54001."""
    try:
        if found is None and not execution.lax:
            # Strict mode needs all of them, to be sure that there is no error.
            return execution.item(path.expression, execution.root, [], False)
        return execution.item(path.expression, execution.root, found, execution.lax)
    except RecursionError:
        raise too_deep() from None


Handler = Callable[[Execution, Step, Item, Found, bool], bool]
HANDLERS: dict[str, Handler] = {}
"""Step → its code: ``steps`` and ``predicates`` fill it."""


def handles(*ops: str) -> Callable[[Handler], Handler]:
    """Register the code of steps."""

    def register(handler: Handler) -> Handler:
        for op in ops:
            HANDLERS[op] = handler
        return handler

    return register
