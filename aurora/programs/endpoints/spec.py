"""What endpoints there are: their file, and what a name, a kind and a list of members may be.

The file is JSON, a list of objects::

    [{"name": "cluster", "kind": "writer", "address": "127.0.0.9:5432"},
     {"name": "reader",  "kind": "reader", "address": "127.0.0.10:5432"},
     {"name": "reports", "kind": "custom", "address": "127.0.0.11:5432", "type": "READER",
      "static": ["instance-3"], "excluded": []}]

Custom endpoints are as in Aurora: of type ANY or READER (the writer is none of its members, also after a promotion),
with a list of members (``static``) or of instances that are none (``excluded``), not both; with neither, every instance
is a member, those to come included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from aurora.addresses import parse_listen

CLUSTER: Final = "cluster"
READER: Final = "reader"
_NAME: Final = re.compile(r"[a-z](?:-?[a-z0-9])*")
NAME_LENGTH_MAX: Final = 63


class Kind(StrEnum):
    """Where an endpoint leads."""

    WRITER = "writer"
    READER = "reader"
    CUSTOM = "custom"


class Type(StrEnum):
    """Which instances may be members of a custom endpoint."""

    ANY = "ANY"
    READER = "READER"


class BadEndpoints(Exception):
    """Endpoints that make no sense; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; ``address`` is where it listens, HOST:PORT."""

    name: str
    kind: Kind
    address: str
    type: Type = Type.ANY
    static: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def has(self, instance_id: str) -> bool:
        """Whether an instance is in its lists; a writer or reader endpoint has all."""
        return instance_id in self.static if self.static else instance_id not in self.excluded


def check(endpoint: Endpoint) -> Endpoint:
    """The endpoint, when it makes sense. Raises BadEndpoints."""
    if not _NAME.fullmatch(endpoint.name) or len(endpoint.name) > NAME_LENGTH_MAX:
        raise BadEndpoints(
            f"endpoint name {endpoint.name!r}: lower-case letters, digits and single hyphens, first a letter, "
            f"at most {NAME_LENGTH_MAX}"
        )
    if endpoint.static and endpoint.excluded:
        raise BadEndpoints(f"endpoint {endpoint.name}: static or excluded members, not both")
    if endpoint.kind is not Kind.CUSTOM and (endpoint.static or endpoint.excluded):
        raise BadEndpoints(f"endpoint {endpoint.name}: only custom endpoints have lists of members")
    try:
        parse_listen(endpoint.address)
    except ValueError as error:
        raise BadEndpoints(f"endpoint {endpoint.name}: {error}") from error
    return endpoint


def check_all(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Endpoints of different names and addresses, each of which makes sense. Raises BadEndpoints."""
    checked = [check(endpoint) for endpoint in endpoints]
    for what in ("name", "address"):
        seen = [getattr(endpoint, what) for endpoint in checked]
        twice = sorted({each for each in seen if seen.count(each) > 1})
        if twice:
            raise BadEndpoints(f"two endpoints have the {what} {twice[0]}")
    return checked


def load(path: Path) -> list[Endpoint]:
    """The endpoints in a file. Raises BadEndpoints."""
    try:
        found = json.loads(path.read_text())
        return check_all(
            Endpoint(
                name=item["name"],
                kind=Kind(item["kind"]),
                address=item["address"],
                type=Type(item.get("type", Type.ANY)),
                static=tuple(item.get("static", ())),
                excluded=tuple(item.get("excluded", ())),
            )
            for item in found
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadEndpoints(f"{path}: {type(error).__name__}: {error}") from error


def dump(endpoints: Iterable[Endpoint]) -> str:
    """The text of the file."""
    return json.dumps([asdict(endpoint) for endpoint in endpoints], indent=1)


def leads_to(endpoint: Endpoint) -> str:
    """Where an endpoint leads, in words."""
    if endpoint.kind is Kind.WRITER:
        return "the writer"
    if endpoint.kind is Kind.READER:
        return "the readers; the writer when there is none"
    who = "readers" if endpoint.type is Type.READER else "instances"
    if endpoint.static:
        return f"{who} among {', '.join(endpoint.static)}"
    return f"all {who}" + (f" but {', '.join(endpoint.excluded)}" if endpoint.excluded else "")
