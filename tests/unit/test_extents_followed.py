"""The extent directory as a reader follows it: after any changes of its pages it is what a new look would find."""

from __future__ import annotations

import random

from compute_node.access.extent_entry import ENTRY, ENTRY_BYTES
from compute_node.access.extents_followed import FollowedDirectory

SLOTS, PAGES = 12, 3
UNUSED = bytes(ENTRY_BYTES)


def entry(draw: random.Random) -> bytes:
    """An unused, a free, or an owned extent."""
    kind = draw.randrange(4)
    if kind == 0:
        return UNUSED
    relfile = 0 if kind == 1 else draw.randrange(1, 6)
    first_block, used = draw.randrange(0, 1000), draw.randrange(0, 64)
    return ENTRY.pack(
        draw.randrange(1, 9999), 64, relfile, first_block, used, 0, draw.randrange(2), 0, draw.getrandbits(40)
    )


def told(directory: FollowedDirectory) -> dict[tuple[int, int], list[bytes]]:
    return {owner: sorted(e.pack() for e in directory.entries(owner)) for owner in directory.owners()}


def test_it_is_what_a_new_look_would_find_and_names_whose_extents_changed() -> None:
    for seed in range(40):
        draw = random.Random(seed)
        pages = [[UNUSED] * SLOTS]
        directory = FollowedDirectory()
        before: dict[tuple[int, int], list[bytes]] = {}
        for _ in range(60):
            if draw.random() < 0.05 and len(pages) < PAGES:
                pages.append([UNUSED] * SLOTS)
            for _ in range(draw.randrange(4)):
                draw.choice(pages)[draw.randrange(SLOTS)] = entry(draw)
            images = [(number + 1, 100 + number, b"".join(page)) for number, page in enumerate(pages)]
            changed = directory.look(images)
            fresh = FollowedDirectory()
            fresh.look(images)
            now = told(directory)
            assert now == told(fresh), seed
            assert directory.used_pages == fresh.used_pages == len(pages) + sum(64 * len(held) for held in now.values())
            differ = {owner for owner in now.keys() | before.keys() if now.get(owner) != before.get(owner)}
            assert differ <= set(changed) and changed == sorted(changed), seed
            assert all(not directory.entries(owner) for owner in changed if owner not in now)
            blocks = [[e.first_block for e in directory.entries(owner)] for owner in now]
            assert all(numbers == sorted(numbers) for numbers in blocks)
            before = now


def test_a_look_at_nothing_new_names_nobody() -> None:
    draw = random.Random(1)
    images = [(1, 7, b"".join(entry(draw) for _ in range(SLOTS)))]
    directory = FollowedDirectory()
    assert directory.look(images)
    assert directory.look(images) == []
