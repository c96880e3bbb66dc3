"""Memory is counted: one account a statement, all of them under one limit of the instance.

An operator that keeps rows opens an ``Area`` of its statement's account and adds what it keeps, as estimated from its
rows. Past its own limit (``work_mem``) it moves rows to a temporary file; where that is not possible it goes on until
the instance's limit, which fails the statement with 53200, never the process. Closing the account gives everything
back, temporary files too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from sys import getsizeof
from typing import Final, Protocol
from weakref import ref

from aurora.datum import Datum, Row
from aurora.errors import InvariantViolation, OutOfMemory

SAMPLE_ROWS: Final = 16
KB: Final = 1024


class Closable(Protocol):
    """What an account closes at its end."""

    def close(self) -> None:
        """Give back what it holds; again does nothing."""


def machine_bytes() -> int:
    """The memory of this machine, or of its container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max") as file:
            text = file.read().strip()
    except OSError:
        return total
    return min(total, int(text)) if text.isdigit() else total


class Instance:
    """The memory of all statements of this process. ``limit_bytes``: half of the machine's, unless set."""

    def __init__(self, limit_bytes: int = 0) -> None:
        self.limit_bytes = limit_bytes or machine_bytes() // 2
        self.used_bytes = 0
        self.refused = 0
        """statements that were ended because the limit was reached"""

    def charge(self, count: int) -> None:
        """Take ``count`` bytes; 53200 when there are not as many left."""
        if self.used_bytes + count > self.limit_bytes:
            self.refused += 1
            raise OutOfMemory(
                "out of memory",
                detail=f"Failed on request of size {count}: all statements together may use"
                f" {self.limit_bytes // KB} kB (aurora.memory_limit).",
            )
        self.used_bytes += count


INSTANCE = Instance()


class Account:
    """The memory of one statement."""

    __slots__ = ("_instance", "_resources", "closed", "peak_bytes", "used_bytes")

    def __init__(self, instance: Instance | None = None) -> None:
        self._instance = INSTANCE if instance is None else instance
        self._resources: set[ref[Closable]] = set()
        self.used_bytes = self.peak_bytes = 0
        self.closed = False

    def charge(self, count: int) -> None:
        """Take ``count`` bytes; 53200."""
        if self.closed:
            raise InvariantViolation("charge to a closed account")
        self._instance.charge(count)
        self.used_bytes += count
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)

    def release(self, count: int) -> None:
        """Give ``count`` bytes back."""
        count = min(count, self.used_bytes)
        self.used_bytes -= count
        self._instance.used_bytes -= count

    def own(self, resource: Closable) -> None:
        """Close ``resource`` with the account, if it still is. Whoever drops it before closes it so: an operator whose
        consumer stops early leaves nothing to the rest of the statement."""
        if self.closed:
            raise InvariantViolation("a closed account owns nothing")
        self._resources.add(ref(resource))

    def disown(self, resource: Closable) -> None:
        """``resource`` is closed, or another's."""
        self._resources.discard(ref(resource))

    def close(self) -> None:
        """The statement has ended: give everything back."""
        self.closed = True
        resources, self._resources = self._resources, set()
        for each in resources:
            resource = each()
            if resource is not None:
                resource.close()
        self.release(self.used_bytes)

    def __del__(self) -> None:
        self.close()


class Area:
    """What one operator keeps, at most as long as it has the area. ``limit_bytes``: where it should begin to use
    files."""

    __slots__ = ("_account", "limit_bytes", "peak_bytes", "used_bytes")

    def __init__(self, account: Account, limit_bytes: int) -> None:
        self._account = account
        self.limit_bytes = limit_bytes
        self.used_bytes = self.peak_bytes = 0

    def add(self, count: int) -> bool:
        """Keep ``count`` bytes more; whether that is more than the operator should."""
        self._account.charge(count)
        self.used_bytes += count
        if self.used_bytes > self.peak_bytes:
            self.peak_bytes = self.used_bytes
        return self.used_bytes > self.limit_bytes

    def take_back(self, count: int) -> None:
        """``count`` bytes of it are not kept any more."""
        if not self._account.closed:
            self._account.release(count)
        self.used_bytes -= count

    def clear(self) -> None:
        """Nothing is kept any more."""
        if not self._account.closed:
            self._account.release(self.used_bytes)
        self.used_bytes = 0

    def __del__(self) -> None:
        self.clear()


def value_bytes(value: Datum) -> int:
    """What a value takes in memory, about."""
    if isinstance(value, (list, tuple)):
        return 56 + 8 * len(value) + sum(map(value_bytes, value))
    return 0 if value is None or value is True or value is False else getsizeof(value)


def column_bytes(values: Sequence[Datum]) -> int:
    """What a list of values takes in memory: as ``batch_bytes`` estimates rows."""
    count = len(values)
    if count <= SAMPLE_ROWS:
        return sum(map(value_bytes, values)) + 8 * count
    sample = values[:: count // SAMPLE_ROWS]
    if any(isinstance(value, (str, bytes)) for value in sample):
        return 64 * count + sum([len(value) for value in values if isinstance(value, (str, bytes))])
    return sum(map(value_bytes, sample)) * count // len(sample) + 8 * count


def batch_bytes(batch: Sequence[Row]) -> int:
    """What the rows take in memory: from a sample, but all strings are counted, which may differ most."""
    count = len(batch)
    if count <= SAMPLE_ROWS:
        return sum(map(value_bytes, batch)) + 8 * count
    sample = batch[:: count // SAMPLE_ROWS]
    strings = [
        index
        for index in range(len(sample[0]))
        if any(isinstance(row[index], (str, bytes)) for row in sample if index < len(row))
    ]
    total = 0
    for row in sample:
        total += 64 + 8 * len(row)
        for index, value in enumerate(row):
            total += 56 if index in strings else value_bytes(value)
    total = total * count // len(sample)
    for index in strings:
        total += sum([len(row[index]) for row in batch if row[index] is not None])
    return total
