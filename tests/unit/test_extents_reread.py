"""A reader takes over what the directory says: relations grow, become shorter, and have other extents."""

from __future__ import annotations

import pytest

from compute_node.access.extents import Entry, Extents, RelationFile

RELFILE = 16384


def entries(starts: list[int], used: int) -> list[Entry]:
    """Extents of 1, 1, 2, 4 … pages at these first pages; the relation uses ``used`` blocks."""
    made, first = [], 0
    for number, start in enumerate(starts):
        pages = 1 << max(0, number - 1)
        made.append(Entry(0, 0, (start, pages, RELFILE, first, used, 0, 0, 0, 0)))
        first += pages
    return made


@pytest.mark.parametrize(
    ("starts", "used"),
    [
        ([10, 11, 12], 3),
        ([10, 11, 12, 20, 40], 16),
        ([10, 11, 12, 20], 5),
        ([10], 1),
        ([10], 0),
        ([10, 11, 50, 60], 8),
        ([70, 71, 72, 80, 90], 9),
    ],
)
def test_a_relation_is_as_long_as_the_directory_says(starts: list[int], used: int) -> None:
    file = RelationFile(RELFILE)
    Extents._take_over(file, entries([10, 11, 12, 20, 30], 13))
    Extents._take_over(file, entries(starts, used))
    assert list(file.map.starts) == starts
    assert file.map.blocks == used
    assert [file.map.page_no(block) for block in range(used)] == [
        entry.start + block - entry.first_block
        for entry in file.entries
        for block in range(entry.first_block, min(used, entry.first_block + entry.pages))
    ]
