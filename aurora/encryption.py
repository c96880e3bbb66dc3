"""Encryption at rest: a ``Disk`` over another one, on which nothing is legible without the data key.

Input: the calls of ``aurora.seams.Disk`` → output: the same calls with ciphertext. Next stage: the disk below. A file
that is appended to or written in place keeps every byte at its place::

    unit u    bytes 8192u to 8192u + 8192: AES-256-XTS, tweak = u as 16 bytes little-endian
    block     16 zero bytes, aligned, are a hole: they read as zeros (a real ciphertext block is zero once in 2^128)

A block of 16 bytes depends on nothing but its place and its plaintext. So a torn or flipped sector spoils what it would
spoil without encryption, up to 15 bytes more at its ends, and checksums above find it; sparse files stay sparse; and
there is no key stream that a file cut after a crash and written again could use twice. ``size`` is a multiple of 16:
zeros may lie behind the last byte. A file of ``write_atomic``::

     0     4  magic    "AURX"
     4     8  version  u32  1, little-endian
     8    16  zero
    16    28  nonce    random
    28        AES-256-GCM of the content, then the tag of 16 bytes; bytes 0 to 16 and the file's name are bound to it

What is damaged there reads as its ciphertext, whose checksum the layer above finds wrong, as with a flipped bit on a
disk in the clear. Keys of files are derived from the data key and the file's name (HKDF-SHA-256).

The library's calls take a unit each, about 8 µs for 8 KiB.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from aurora.errors import InvariantViolation
from aurora.lazy import lazy
from aurora.medium import is_unreadable
from aurora.seams import Buffer, Disk

if TYPE_CHECKING:
    from cryptography import exceptions
    from cryptography.hazmat.primitives import ciphers, hashes
    from cryptography.hazmat.primitives.ciphers import aead, algorithms, modes
    from cryptography.hazmat.primitives.kdf import hkdf
else:
    # Not where nothing is encrypted.
    exceptions = lazy("cryptography.exceptions")
    ciphers = lazy("cryptography.hazmat.primitives.ciphers")
    hashes = lazy("cryptography.hazmat.primitives.hashes")
    aead = lazy("cryptography.hazmat.primitives.ciphers.aead")
    algorithms = lazy("cryptography.hazmat.primitives.ciphers.algorithms")
    modes = lazy("cryptography.hazmat.primitives.ciphers.modes")
    hkdf = lazy("cryptography.hazmat.primitives.kdf.hkdf")

DATA_KEY_BYTES = 32
UNIT_BYTES = 8192
BLOCK_BYTES = 16
MAGIC = b"AURX"
SEALED_HEAD = MAGIC + (1).to_bytes(4, "little") + bytes(8)
NONCE_BYTES = 12
TAG_BYTES = 16
SEALED_EXTRA_BYTES = len(SEALED_HEAD) + NONCE_BYTES + TAG_BYTES
_HOLE = bytes(BLOCK_BYTES)

logger = logging.getLogger(__name__)


class SealBroken(InvariantViolation):
    """Sealed bytes are not what was sealed under that name with that key."""


class Sealer:
    """Seals byte strings, each as a whole, in the form of ``write_atomic``. Also for objects outside a disk."""

    def __init__(self, data_key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._data_key = data_key
        self._random_bytes = random_bytes

    def seal(self, name: str, data: bytes) -> bytes:
        """The bytes to keep under ``name``."""
        nonce = self._random_bytes(NONCE_BYTES)
        return SEALED_HEAD + nonce + self._gcm(name).encrypt(nonce, data, SEALED_HEAD + name.encode())

    def unseal(self, name: str, raw: bytes) -> bytes:
        """The other way; SealBroken when one bit is not what it was."""
        body = len(SEALED_HEAD) + NONCE_BYTES
        try:
            bound = raw[: len(SEALED_HEAD)] + name.encode()
            return self._gcm(name).decrypt(raw[len(SEALED_HEAD) : body], raw[body:], bound)
        except (exceptions.InvalidTag, ValueError) as error:  # ValueError: not even a nonce is left
            raise SealBroken(f"{name} is damaged: it does not match its authentication tag") from error

    def _gcm(self, name: str) -> aead.AESGCM:
        return aead.AESGCM(derive(self._data_key, b"whole", name, DATA_KEY_BYTES))


class EncryptedDisk:
    """See the module. ``random_bytes`` gives nonces; names in ``hidden`` are not listed (the key's own files).

    ``reserve_bytes`` of holes are held ready behind a file that is appended to, as ``FolderDisk`` does.
    """

    def __init__(
        self,
        disk: Disk,
        data_key: bytes,
        random_bytes: Callable[[int], bytes],
        hidden: Collection[str] = (),
        reserve_bytes: int = 0,
    ) -> None:
        if len(data_key) != DATA_KEY_BYTES:
            raise InvariantViolation(f"a data key has {DATA_KEY_BYTES} bytes, not {len(data_key)}")
        self._disk = disk
        self._data_key = data_key
        self._sealer = Sealer(data_key, random_bytes)
        self._hidden = frozenset(hidden)
        self._reserve_bytes = reserve_bytes
        self._ciphers: dict[str, algorithms.AES] = {}
        self._sealed: dict[str, bool] = {}
        self._ends: dict[str, tuple[int, bytes]] = {}
        """Appended to: the file's end, and the plaintext of its last block when that is not full."""
        self._reserved: dict[str, int] = {}

    # Keys and kinds

    def _cipher(self, name: str) -> algorithms.AES:
        cipher = self._ciphers.get(name)
        if cipher is None:
            cipher = self._ciphers[name] = algorithms.AES(derive(self._data_key, b"units", name, 2 * DATA_KEY_BYTES))
        return cipher

    def _is_sealed(self, name: str) -> bool:
        """Whether ``write_atomic`` wrote the file; FileNotFoundError when there is none. One whose head cannot be read
        counts as written in place: of the other kind nothing can be read then.
        """
        sealed = self._sealed.get(name)
        if sealed is None:
            try:
                head = self._disk.read(name, 0, len(SEALED_HEAD))
            except OSError as error:
                if is_unreadable(error):
                    return False
                raise
            sealed = self._sealed[name] = head == SEALED_HEAD
        return sealed

    def _begin_units(self, name: str) -> int:
        """The size of a file that is to be changed in place, 0 when there is none yet; InvariantViolation when it is
        one of ``write_atomic``.
        """
        try:
            sealed = self._is_sealed(name)
        except FileNotFoundError:
            self._sealed[name] = False
            return 0
        if sealed:
            raise InvariantViolation(f"{name} is replaced as a whole and cannot be changed in place")
        return self.size(name)

    def _forget(self, name: str) -> None:
        self._ciphers.pop(name, None)
        self._sealed.pop(name, None)
        self._ends.pop(name, None)
        self._reserved.pop(name, None)

    # Units

    def _encrypt(self, name: str, offset: int, data: Buffer) -> bytes:
        """Both in whole blocks."""
        cipher = self._cipher(name)
        return _by_unit(
            offset, data, lambda unit, part: ciphers.Cipher(cipher, modes.XTS(_tweak(unit))).encryptor().update(part)
        )

    def _decrypt(self, name: str, offset: int, data: bytes) -> bytes:
        """Both in whole blocks."""
        cipher = self._cipher(name)

        def decrypt(unit: int, part: Buffer) -> bytes:
            return ciphers.Cipher(cipher, modes.XTS(_tweak(unit))).decryptor().update(part)

        if _HOLE not in data:
            return _by_unit(offset, data, decrypt)
        written = np.frombuffer(data, np.uint64).reshape(-1, 2).any(axis=1)
        if not written.any():
            return data
        plain = np.frombuffer(bytearray(_by_unit(offset, data, decrypt)), np.uint64).reshape(-1, 2)
        plain[~written] = 0
        return plain.tobytes()

    def _peek(self, name: str, offset: int, length: int) -> bytes:
        """Plaintext that may lie beyond the file's end, where it is zeros."""
        if not length:
            return b""
        try:
            return self.read(name, offset, length).ljust(length, b"\0")
        except FileNotFoundError:
            return bytes(length)

    def _put(self, name: str, offset: int, data: Buffer) -> None:
        start, end = _floor(offset), offset + len(data)
        head, tail = self._peek(name, start, offset - start), self._peek(name, end, -end % BLOCK_BYTES)
        whole = b"".join((head, data, tail)) if head or tail else data
        self._disk.write(name, start, self._encrypt(name, start, whole))

    # The seam

    def append(self, name: str, parts: Sequence[Buffer]) -> int:
        """See ``Disk.append``."""
        end, tail = self._ends.get(name) or (self._begin_units(name), b"")
        plain = b"".join((tail, *parts))
        start = end - len(tail)
        data = self._encrypt(name, start, plain + bytes(-len(plain) % BLOCK_BYTES))
        self._reserve(name, start + len(data))
        try:
            self._disk.write(name, start, data)
        except OSError:
            self._take_back(name, end, tail)
            raise
        self._ends[name] = (start + len(plain), plain[_floor(len(plain)) :])
        return end

    def _take_back(self, name: str, end: int, tail: bytes) -> None:
        """Undo an append that failed half-way."""
        self._ends.pop(name, None)
        self._reserved.pop(name, None)
        if name not in self._disk.list():
            return
        start = end - len(tail)
        self._disk.truncate(name, start + (BLOCK_BYTES if tail else 0))
        if tail:
            self._disk.write(name, start, self._encrypt(name, start, tail.ljust(BLOCK_BYTES, b"\0")))
        self._ends[name] = (end, tail)

    def _reserve(self, name: str, end: int) -> None:
        if not self._reserve_bytes or end <= self._reserved.get(name, 0):
            return
        try:
            held = _floor(self._disk.size(name))
        except FileNotFoundError:
            held = 0
        try:
            self._disk.write(name, held, bytes(self._reserve_bytes + max(0, end - held)))
        except OSError:
            # Too little room for a reserve: the append goes on without, and tells whether there is room for itself.
            with contextlib.suppress(FileNotFoundError):
                self._disk.truncate(name, held)
        else:
            self._reserved[name] = held + self._reserve_bytes + max(0, end - held)

    def write(self, name: str, offset: int, data: Buffer) -> None:
        """See ``Disk.write``."""
        if name not in self._sealed or self._sealed[name]:
            self._begin_units(name)
        self._ends.pop(name, None)
        self._put(name, offset, data)

    def discard(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.discard``: blocks that are zeros on the disk are zeros here; the edges are written."""
        self._ends.pop(name, None)
        length = min(length, self._begin_units(name) - offset)
        start, end = -_floor(-offset), _floor(offset + length)
        if start >= end:
            if length > 0:
                self._put(name, offset, bytes(length))
            return
        self._disk.discard(name, start, end - start)
        for at, upto in ((offset, start), (end, offset + length)):
            if at < upto:
                self._put(name, at, bytes(upto - at))

    def sync(self, name: str) -> None:
        """See ``Disk.sync``."""
        self._disk.sync(name)

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk.write_atomic``."""
        sealed = self._sealer.seal(name, data)
        self._forget(name)
        self._disk.write_atomic(name, sealed)

    def _unseal(self, name: str) -> bytes:
        raw = self._disk.read(name, 0, self._disk.size(name))
        try:
            return self._sealer.unseal(name, raw)
        except SealBroken as error:
            logger.error("%s", error)
            body = len(SEALED_HEAD) + NONCE_BYTES
            return raw[body : max(body, len(raw) - TAG_BYTES)]

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""
        if self._is_sealed(name):
            return self._unseal(name)[offset : offset + length]
        start = _floor(offset)
        skip = offset - start
        raw = self._disk.read(name, start, _floor(skip + length + BLOCK_BYTES - 1))
        plain = self._decrypt(name, start, raw[: _floor(len(raw))])
        return plain[skip : skip + length] if skip or len(plain) > length else plain

    def uncache(self, name: str, offset: int, length: int) -> None:
        """See ``Disk.uncache``."""
        self._disk.uncache(name, offset, length)

    def size(self, name: str) -> int:
        """See ``Disk.size``."""
        size = self._disk.size(name)
        return max(0, size - SEALED_EXTRA_BYTES) if self._is_sealed(name) else _floor(size)

    def allocated(self, name: str) -> int:
        """See ``Disk.allocated``."""
        return self._disk.allocated(name)

    def truncate(self, name: str, length: int) -> None:
        """See ``Disk.truncate``."""
        self._disk.size(name)  # FileNotFoundError comes from here
        self._begin_units(name)
        self._reserved.pop(name, None)
        self._ends.pop(name, None)
        start = _floor(length)
        tail = self._peek(name, start, length - start)
        if tail:
            # Before the cut, so that a crash between the two loses nothing of what stays.
            self._put(name, start, tail.ljust(BLOCK_BYTES, b"\0"))
        self._disk.truncate(name, start + (BLOCK_BYTES if tail else 0))
        self._ends[name] = (length, tail)

    def delete(self, name: str) -> None:
        """See ``Disk.delete``."""
        self._forget(name)
        self._disk.delete(name)

    def list(self) -> list[str]:
        """See ``Disk.list``."""
        return [name for name in self._disk.list() if name not in self._hidden]


def derive(data_key: bytes, use: bytes, name: str, key_bytes: int) -> bytes:
    """The key of one file for one use."""
    return hkdf.HKDFExpand(hashes.SHA256(), key_bytes, b"aurora " + use + b"\0" + name.encode()).derive(data_key)


def _floor(position: int) -> int:
    """The start of the block."""
    return position & -BLOCK_BYTES


def _tweak(unit: int) -> bytes:
    return unit.to_bytes(16, "little")


def _by_unit(offset: int, data: Buffer, crypt: Callable[[int, Buffer], bytes]) -> bytes:
    """``crypt(unit, part)`` over the units that ``data`` at ``offset`` lies in, whole blocks both."""
    unit, skip = divmod(offset, UNIT_BYTES)
    if not skip and len(data) <= UNIT_BYTES:
        return crypt(unit, data) if data else b""
    view, parts, at = memoryview(data), [], 0
    if skip:
        # A unit's blocks stand each for itself: what lies before is not needed, only its room.
        at = UNIT_BYTES - skip
        parts.append(crypt(unit, bytes(skip) + bytes(view[:at]))[skip:])
        unit += 1
    for start in range(at, len(view), UNIT_BYTES):
        parts.append(crypt(unit, view[start : start + UNIT_BYTES]))
        unit += 1
    return b"".join(parts)
