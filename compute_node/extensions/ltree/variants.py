"""What a query says of one label: a name and its flags, of lquery and ltxtquery (manual, F.23.1)."""

from __future__ import annotations

from typing import NamedTuple

from compute_node.extensions.ltree.paths import lexemes
from compute_node.types import ctype


class Variant(NamedTuple):
    """``@`` any case, ``*`` any end, ``%`` the words between underscores, each somewhere in the label."""

    name: str
    any_case: bool = False
    any_end: bool = False
    words: bool = False

    def matches(self, label: str) -> bool:
        """Whether a label is what is asked for."""
        if self.words:
            found = lexemes(label)
            return all(any(self._begins(each, word) for each in found) for word in lexemes(self.name))
        return self._begins(label, self.name)

    def _begins(self, text: str, wanted: str) -> bool:
        """Whether the text is that, or begins so where any end will do."""
        if not self.any_case:
            return text.startswith(wanted) if self.any_end else text == wanted
        # Lengths are compared in bytes, before letters become lower.
        size, wanted_size = len(text.encode()), len(wanted.encode())
        if size < wanted_size or (size > wanted_size and not self.any_end):
            return False
        begin = text.encode()[:wanted_size].decode(errors="ignore")
        return ctype.lower(begin) == ctype.lower(wanted)

    @property
    def is_exact(self) -> bool:
        """Whether only one label matches, but for its case."""
        return not self.any_end and not self.words

    def text(self) -> str:
        """As it is shown."""
        return self.name + "%" * self.words + "@" * self.any_case + "*" * self.any_end


def flags_end(text: str, at: int) -> int:
    """Where the flags that begin there end."""
    while at < len(text) and text[at] in "@*%":
        at += 1
    return at


def variant(name: str, flags: str) -> Variant:
    """Of a name and the flags behind it."""
    return Variant(name, "@" in flags, "*" in flags, "%" in flags)
