"""The list in which a session's messages to its client gather."""

from __future__ import annotations

from collections.abc import Sequence

from compute_node.types.charsets.charset import Charset


class Output(list[bytes]):
    """What goes to the client. ``encoded`` makes it one that converts, in place: who appends may have looked it up
    before. Then ``charset`` is the client's. ``texts``: which columns of the rows to come are texts, and how many bytes
    at the front of them are none, as whoever puts rows in has said; None when all are."""

    __slots__ = ("charset", "texts")
    charset: Charset
    texts: tuple[Sequence[bool], Sequence[int]] | None
