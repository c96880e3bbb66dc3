"""Where the rows of a statement go: the client, a list, COPY's formats, a count.

A sink gets ``begin`` before the statement runs, ``rows`` with each batch (and may wait there, for a client that does
not read), ``end`` after the last. Next stage: the wire, behind the session's output.
"""

from __future__ import annotations

from typing import Protocol

from aurora.datum import Row
from aurora.kernels import wire as wire_kernel
from compute_node.hub import HUB
from compute_node.protocol import messages
from compute_node.session.copy_output import CopyWriter
from compute_node.session.results import ResultFormat
from compute_node.session.state import SessionState
from compute_node.work.copy_streams import Stream
from compute_node.work.progress import Copy, Progress

FIRST_ROWS = 32
"""Rows that tell how large the others are, about."""
CALL_BYTES = 1 << 18
"""Output of one call of the kernel, about."""
FLUSH_BYTES = 65536
"""Output that goes out before the turn ends."""


class Sink(Protocol):
    """Takes the rows of one run, or of one part of it."""

    def begin(self) -> None:
        """Before the statement runs."""

    def rows(self, batch: list[Row]) -> None:
        """The next rows, never none. May wait."""

    def end(self) -> None:
        """After the last row; not called when an error ended the run."""


class RowList:
    """All rows, in ``found``: for what the server itself asks."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Row] = []

    def begin(self) -> None:
        """Nothing to do."""

    def rows(self, batch: list[Row]) -> None:
        """Keep them."""
        self.found += batch

    def end(self) -> None:
        """Nothing to do."""


class NoRows:
    """Nobody wants the rows; who runs the statement counts them."""

    __slots__ = ()

    def begin(self) -> None:
        """Nothing to do."""

    def rows(self, batch: list[Row]) -> None:
        """Drop them."""

    def end(self) -> None:
        """Nothing to do."""


NO_ROWS = NoRows()


class _Output:
    """Bytes into the session's output, sent on a piece at a time."""

    __slots__ = ("_session", "_unsent_bytes")

    def __init__(self, session: SessionState) -> None:
        self._session = session
        self._unsent_bytes = 0

    def _put(self, data: bytes) -> None:
        session = self._session
        session.gated = True
        session.out.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes >= FLUSH_BYTES:
            self._unsent_bytes = 0
            session.port.flush()
            session.check_interrupts()


class WireRows(_Output):
    """DataRow messages in the client's formats; with ``described``, RowDescription before them."""

    __slots__ = ("_described", "_result")

    def __init__(self, session: SessionState, result: ResultFormat, described: bool = False) -> None:
        self._session = session
        self._unsent_bytes = 0
        self._result = result
        self._described = described

    def begin(self) -> None:
        """RowDescription, where it is asked for; once."""
        if self._described:
            self._described = False
            self._session.out.append(self._result.row_description)

    def rows(self, batch: list[Row]) -> None:
        """One kernel call a batch, or several where rows are large."""
        result, session = self._result, self._session
        # Anew for each batch: portals never call ``begin``, and what runs in between may have sent rows of its own.
        session.out.texts = result.texts
        if len(batch) > FIRST_ROWS:
            data = wire_kernel.encode_rows(batch[:FIRST_ROWS], result.codes, result.converters, session.env)
            self._put(data)
            size = max(1, FIRST_ROWS * CALL_BYTES // max(len(data), 1))
            for start in range(FIRST_ROWS, len(batch), size):
                part = batch[start : start + size]
                self._put(wire_kernel.encode_rows(part, result.codes, result.converters, session.env))
                HUB.pulse()
            return
        data = wire_kernel.encode_rows(batch, result.codes, result.converters, session.env)
        if len(data) + self._unsent_bytes < FLUSH_BYTES:
            # What _put would do: most results are small.
            session.gated = True
            session.out.append(data)
            self._unsent_bytes += len(data)
        else:
            self._put(data)

    def end(self) -> None:
        """The tag is the caller's."""


class UtilityRows(WireRows):
    """As WireRows, for utility statements: RowDescription comes when they have run, or with their first rows."""

    __slots__ = ()

    def begin(self) -> None:
        """Not yet: what fails before it gives a row gives no description."""

    def rows(self, batch: list[Row]) -> None:
        """Described at the first."""
        super().begin()
        super().rows(batch)

    def describe(self) -> None:
        """It has run, perhaps without a row."""
        super().begin()


_HEAD_BYTES = 5
"""of a message around a row: kind and length"""


class CopyRows(_Output):
    """COPY TO STDOUT: its messages around the rows in COPY's format."""

    __slots__ = ("_columns", "_progress", "_writer")

    def __init__(self, session: SessionState, writer: CopyWriter, columns: int, progress: Progress) -> None:
        super().__init__(session)
        self._progress = progress
        self._writer = writer
        self._columns = columns

    def begin(self) -> None:
        """CopyOutResponse and the format's header."""
        out = self._session.out
        out.append(messages.copy_response(b"H", self._columns, self._writer.binary))
        out.append(self._writer.start())

    def rows(self, batch: list[Row]) -> None:
        """CopyData a row."""
        data = self._writer.rows(batch)
        self._progress.add(Copy.ROWS, len(batch))
        self._progress.add(Copy.BYTES, len(data) - len(batch) * _HEAD_BYTES)
        self._put(data)

    def end(self) -> None:
        """The format's trailer and CopyDone."""
        self._session.out += [self._writer.end(), messages.COPY_DONE]


class CopyStream:
    """COPY TO a file or program of the server: the rows in COPY's format, as soon as what they depend on is durable."""

    __slots__ = ("_progress", "_session", "_stream", "_writer")

    def __init__(self, session: SessionState, writer: CopyWriter, stream: Stream, progress: Progress) -> None:
        self._progress = progress
        self._session = session
        self._writer = writer
        self._stream = stream

    def begin(self) -> None:
        """Open it, now that the statement may run; the format's header."""
        self._stream.open()
        self._put(self._writer.start())

    def rows(self, batch: list[Row]) -> None:
        """A batch."""
        self._progress.add(Copy.ROWS, len(batch))
        self._put(self._writer.rows(batch))

    def end(self) -> None:
        """The format's trailer."""
        self._put(self._writer.end())
        self._stream.finish()

    def _put(self, copied: bytes) -> None:
        if copied:
            session = self._session
            self._progress.add(Copy.BYTES, len(copied))
            session.engine.volume.wait_durable(session.dependency.gate_lsn)
            self._stream.write(copied)
            session.check_interrupts()
