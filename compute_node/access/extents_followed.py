"""The extent directory as a reader instance follows it: what a change of its pages means for which relation files.

The log changes a directory page for each file that is created and each few blocks that one grows by. Reading all of the
directory anew each time made a reader's work grow with the square of what the writer loads (2026-11-29: a new database
took its reader ten times the CPU that it took the writer), so entries are compared with what was seen last.
"""

from __future__ import annotations

from collections.abc import Iterable

from compute_node.access.extent_entry import ENTRY, ENTRY_BYTES, Entry

Owner = tuple[int, int]
"""(fork, relation file)"""


class FollowedDirectory:
    """``used_pages``: the directory's own and those of extents that belong to relations."""

    def __init__(self) -> None:
        self.used_pages = 0
        self._seen: dict[int, bytes] = {}
        self._entries: dict[Owner, dict[tuple[int, int], Entry]] = {}
        """By where they are: (page number, slot)."""

    def look(self, pages: Iterable[tuple[int, int, bytes]]) -> list[Owner]:
        """Take over the pages: (page number, frame, its entries' bytes). Whose extents have changed, in order."""
        changed: set[Owner] = set()
        for page_no, frame, content in pages:
            before = self._seen.get(page_no)
            if before == content:
                continue
            if before is None:
                self.used_pages += 1
                before = bytes(len(content))
            for offset in range(0, len(content), ENTRY_BYTES):
                if before[offset : offset + ENTRY_BYTES] != content[offset : offset + ENTRY_BYTES]:
                    changed.update(self._replace((page_no, offset), frame, before, content))
            self._seen[page_no] = content
        return sorted(changed)

    def _replace(self, place: tuple[int, int], frame: int, before: bytes, content: bytes) -> Iterable[Owner]:
        old, new = (Entry(frame, 0, ENTRY.unpack_from(image, place[1])) for image in (before, content))
        if old.start and old.relfile:
            owner = (old.fork, old.relfile)
            self.used_pages -= old.pages
            del self._entries[owner][place]
            if not self._entries[owner]:
                del self._entries[owner]
            yield owner
        if new.start and new.relfile:
            owner = (new.fork, new.relfile)
            self.used_pages += new.pages
            self._entries.setdefault(owner, {})[place] = new
            yield owner

    def owners(self) -> Iterable[Owner]:
        """All that have extents."""
        return self._entries.keys()

    def entries(self, owner: Owner) -> list[Entry]:
        """An owner's extents in the order of its blocks."""
        return sorted(self._entries.get(owner, {}).values(), key=lambda entry: entry.first_block)
