"""What stands behind a foreign table: its server, that one's wrapper, their options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from aurora.errors import InvariantViolation, NotSupported, ObjectNotInPrerequisiteState

if TYPE_CHECKING:
    from compute_node.relations.descriptors import RelationDesc

NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ForeignDesc:
    """Of one foreign table. ``handler``: the symbol of the wrapper's handler function, empty without one; ``columns``:
    the options of those columns that have some, by attno."""

    server: str
    wrapper: str
    handler: str
    options: Mapping[str, str]
    server_options: Mapping[str, str]
    wrapper_options: Mapping[str, str]
    columns: Mapping[int, Mapping[str, str]]


def options_of(stored: list[str] | None) -> Mapping[str, str]:
    """Options as a catalog has them, ``name=value``."""
    found = (each.partition("=") for each in stored or ())
    return {name: value for name, _, value in found} or NO_OPTIONS


def require_handler(desc: RelationDesc) -> ForeignDesc:
    """Whoever reads or changes the rows of a foreign table asks first: 55000 where its wrapper has no handler."""
    foreign = desc.foreign
    if foreign is None:
        raise InvariantViolation(f"{desc.name} is no foreign table")
    if not foreign.handler:
        raise ObjectNotInPrerequisiteState(f'foreign-data wrapper "{foreign.wrapper}" has no handler')
    return foreign


def refuse_changes(desc: RelationDesc, what: str) -> None:
    """0A000 for a change of a foreign table's rows (``what``: ``insert into``, ``update``, ``delete from``,
    ``truncate``): no wrapper that is here can make it. 55000 without a handler."""
    if desc.kind == "f":
        require_handler(desc)
        raise NotSupported(f'cannot {what} foreign table "{desc.name}"')
