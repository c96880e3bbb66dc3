"""uuid-ossp: UUIDs of versions 1, 3, 4 and 5 (manual, F.50; RFC 4122)."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from aurora.datum import Datum
from compute_node.extensions.library import define

_INTERFACES: Final = Path("/sys/class/net")
_MULTICAST: Final = 1 << 40
"""marks a node number that is no network card's"""


@cache
def _node() -> int:
    """The address of a network card, or a random number that is none."""
    for path in sorted(_INTERFACES.glob("*/address")):
        digits = path.read_text().strip().replace(":", "")
        if len(digits) == 12 and int(digits, 16):
            return int(digits, 16)
    return secrets.randbits(48) | _MULTICAST


def _of_name(make: Callable[[bytes], Any], version: int) -> Callable[[str, str], str]:
    def run(namespace: str, name: str) -> str:
        digest: bytes = make(uuid.UUID(namespace).bytes + name.encode()).digest()
        return str(uuid.UUID(bytes=digest[:16], version=version))

    return run


def _constant(value: uuid.UUID) -> Callable[[], Datum]:
    text = str(value)
    return lambda: text


define("uuid_nil", 0, _constant(uuid.UUID(int=0)))
define("uuid_ns_dns", 0, _constant(uuid.NAMESPACE_DNS))
define("uuid_ns_url", 0, _constant(uuid.NAMESPACE_URL))
define("uuid_ns_oid", 0, _constant(uuid.NAMESPACE_OID))
define("uuid_ns_x500", 0, _constant(uuid.NAMESPACE_X500))
define("uuid_generate_v1", 0, lambda: str(uuid.uuid1(_node())))
define("uuid_generate_v1mc", 0, lambda: str(uuid.uuid1(secrets.randbits(48) | _MULTICAST)))
define("uuid_generate_v3", 2, _of_name(lambda data: hashlib.md5(data, usedforsecurity=False), 3))
define("uuid_generate_v4", 0, lambda: str(uuid.uuid4()))
define("uuid_generate_v5", 2, _of_name(lambda data: hashlib.sha1(data, usedforsecurity=False), 5))
