"""Records a volume as this program leaves it: ``python tests/golden/record_volume.py NAME``.

A new volume with a table, an index, a view and a sequence of a user's → ``volumes/NAME.bin``, which later programs must
open (``tests/unit/test_reconcile.py``). Run it on the commit whose volumes are to be kept readable.

File::

    zlib stream of: (u64 page number, u32 length, ops of an IMAGE record) …
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = Path.cwd()
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "unit")]

from support_catalog import Engine, in_greenlet  # noqa: E402

from compute_node.catalog.bootstrap import image_ops  # noqa: E402

VOLUMES = HERE / "volumes"
ENTRY = struct.Struct("<QI")
STATEMENTS = (
    "create table kept (a int primary key, b text, c timestamptz default '2026-11-29 00:00+00')",
    "insert into kept (a, b) select i, repeat('x', i) from generate_series(1, 200) i",
    "create index kept_b on kept (b)",
    "create view seen as select a, length(b) as n from kept where a > 198",
    "create sequence counted",
    "create role someone login",
)


def pages() -> dict[int, bytes]:
    """The volume's pages."""
    engine = Engine()
    session = engine.session()
    for statement in STATEMENTS:
        session.run(statement)
    engine.volume.advance()
    return {number: bytes(page) for number, page in engine.volume.pages.items()}


def main() -> None:
    """Write the file."""
    found: dict[int, bytes] = in_greenlet(pages)
    parts: list[Any] = []
    for number, page in sorted(found.items()):
        if any(page[12:]):
            ops = image_ops(page)
            parts.append(ENTRY.pack(number, len(ops)) + ops)
    VOLUMES.mkdir(exist_ok=True)
    (VOLUMES / f"{sys.argv[1]}.bin").write_bytes(zlib.compress(b"".join(parts), 9))


if __name__ == "__main__":
    main()
