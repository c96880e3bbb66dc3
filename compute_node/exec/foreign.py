"""Foreign-data wrappers as the executor sees them: the symbol of a handler function → what gives a table's rows.

A wrapper that needs stages above this one is declared there (``session/foreign_files``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from aurora.errors import InvariantViolation, NotSupported
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.foreign import require_handler

if TYPE_CHECKING:
    from compute_node.exec.context import ExecContext
    from compute_node.exec.nodes.base import Batch
    from compute_node.types.registry import PgType


class ForeignWrapper(Protocol):
    """The code of one wrapper. What it raises goes to the client as it is."""

    def rows(
        self, ctx: ExecContext, relation: RelationDesc, columns: Sequence[int], types: Mapping[int, PgType]
    ) -> Iterator[Batch]:
        """All rows of a foreign table, in batches of some thousand at most: of each these columns (attnos, not
        negative). ``types``: those of the table's columns, by OID. What it holds open it lets go when the iterator is
        closed."""

    def pages(self, relation: RelationDesc) -> int:
        """The size of a foreign table in pages of 8 kB, at least one; 0: ANALYZE cannot look at it. May wait."""

    def explained(self, relation: RelationDesc) -> list[tuple[str, str]]:
        """What EXPLAIN tells of a scan: (label, value)."""


WRAPPERS: Final[dict[str, ForeignWrapper]] = {}


def define_wrapper(handler: str, wrapper: ForeignWrapper) -> None:
    """Declare the code behind a handler function. InvariantViolation for a second one."""
    if handler in WRAPPERS:
        raise InvariantViolation(f"handler {handler} is declared twice")
    WRAPPERS[handler] = wrapper


def wrapper_of(relation: RelationDesc) -> ForeignWrapper:
    """The code behind a foreign table. 55000 without a handler, 0A000 for one that is not here."""
    foreign = require_handler(relation)
    found = WRAPPERS.get(foreign.handler)
    if found is None:
        raise NotSupported(f'handler "{foreign.handler}" of foreign-data wrapper "{foreign.wrapper}" is not supported')
    return found
