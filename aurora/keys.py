"""Keys of encryption at rest: a data key for each node, kept in its folder, wrapped by a master key that is not.

Input: a node's folder and where the master key is → output: the folder as a ``Disk``, encrypted or not
(``open_disk``). Next stage: ``aurora.encryption``. The files ``key`` and ``key-copy`` are the same, little-endian::

     0     4  magic          "AURK"
     4     8  version        u32  1
     8    10  id_bytes       u16
    10    12  wrapped_bytes  u16
    12    16  crc32c         u32  over bytes 0 to 12 and all that follows
    16    32  check          16 bytes that follow from the data key: a wrong key is never used
    32        id             UTF-8, which master key wrapped it, as its provider calls it
              wrapped        the wrapped data key; with a master key from a file: RFC 3394, 40 bytes

A node never starts on files that it cannot read, nor mixes encrypted files with others: ``KeyRefused`` says why, and
nothing has been touched. The master key can be replaced at any time (``rewrap``); the data key, and so every other
file, stays. Who writes the key files of a folder holds a lock on it (``_key_files``): a node may run meanwhile, and its
scrubber mends what has decayed (``EncryptedFolder.mend_keys``).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import logging
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import google_crc32c

from aurora.encryption import DATA_KEY_BYTES, EncryptedDisk, derive
from aurora.errors import InvariantViolation
from aurora.lazy import lazy
from aurora.medium import read_around
from aurora.seams import RESERVE_BYTES, Disk, FolderDisk

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes, keywrap
    from cryptography.hazmat.primitives.kdf import hkdf
else:
    # Not where nothing is encrypted.
    hashes = lazy("cryptography.hazmat.primitives.hashes")
    keywrap = lazy("cryptography.hazmat.primitives.keywrap")
    hkdf = lazy("cryptography.hazmat.primitives.kdf.hkdf")

MASTER_KEY_BYTES = 32
NAMES = ("key", "key-copy")
MAGIC = b"AURK"
VERSION = 1
_HEADER = struct.Struct("<4sIHH")
_CRC = struct.Struct("<I")
CHECK_BYTES = 16
_FILE_BYTES_MAX = 1 << 18
"""No key file is longer."""
_NO_DATA = frozenset((*NAMES, "lost+found"))

logger = logging.getLogger(__name__)


class KeyRefused(Exception):
    """The folder cannot be opened with the master key that was given, or without one; the message says why."""


class KeyProvider(Protocol):
    """Who holds the master key. Any exception from ``wrap`` and ``unwrap`` means that it cannot be had."""

    @property
    def key_id(self) -> str:
        """What this master key is called, for people; nothing secret."""

    def wrap(self, data_key: bytes) -> bytes:
        """The data key, legible with this master key alone."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key again."""


class FileKeyProvider:
    """A master key of 256 bits in a file: 32 bytes, or 64 hexadecimal digits. Wraps as RFC 3394 says."""

    def __init__(self, path: Path) -> None:
        """Read the file; KeyRefused when there is none or it holds no such key."""
        try:
            held = path.read_bytes()
        except OSError as error:
            raise KeyRefused(f"the master key cannot be read: {error}") from error
        try:
            self._key = held if len(held) == MASTER_KEY_BYTES else bytes.fromhex(held.decode("ascii"))
        except ValueError:
            self._key = b""
        if len(self._key) != MASTER_KEY_BYTES:
            raise KeyRefused(f"{path} holds no master key: that is {MASTER_KEY_BYTES} bytes or 64 hexadecimal digits")
        digest = hashlib.sha256(b"aurora master key\0" + self._key)
        self._id = "file:" + digest.hexdigest()[:16]

    @property
    def key_id(self) -> str:
        """A digest's beginning: the same key has the same name wherever its file lies."""
        return self._id

    def wrap(self, data_key: bytes) -> bytes:
        """See ``KeyProvider.wrap``."""
        return keywrap.aes_key_wrap(self._key, data_key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """See ``KeyProvider.unwrap``."""
        return keywrap.aes_key_unwrap(self._key, wrapped)


def make_master_key_file(path: Path) -> None:
    """A new master key, readable by its owner alone. FileExistsError when the file is there."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(os.urandom(MASTER_KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a master key is: a file, or ``module:factory``, which is called without arguments and gives a
    ``KeyProvider``.
    """

    master_key_file: Path | None = None
    provider: str | None = None

    @staticmethod
    def of(master_key_file: Path | None, provider: str | None) -> KeySource | None:
        """One of the two; None without both, ValueError with both or with a provider that is not named so."""
        if master_key_file is not None and provider:
            raise ValueError("--master-key-file and --key-provider exclude each other")
        if provider and not all(provider.partition(":")):
            raise ValueError(f"a key provider is module:factory, not {provider!r}")
        return KeySource(master_key_file, provider) if master_key_file is not None or provider else None

    def flags(self) -> list[str]:
        """The flags by which a program is told."""
        if self.master_key_file is not None:
            return ["--master-key-file", str(self.master_key_file)]
        return ["--key-provider", self.provider or ""]

    def open(self) -> KeyProvider:
        """The provider; KeyRefused when it cannot be had."""
        if self.master_key_file is not None:
            return FileKeyProvider(self.master_key_file)
        module, _, factory = (self.provider or "").partition(":")
        try:
            provider: KeyProvider = getattr(importlib.import_module(module), factory)()
        except Exception as error:  # a plugin's code: whatever it raises, there is no master key
            raise KeyRefused(f"key provider {self.provider}: {type(error).__name__}: {error}") from error
        return provider


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """What a key file holds."""

    key_id: str
    check: bytes
    wrapped: bytes


def encode(key: WrappedKey) -> bytes:
    """The bytes of a key file."""
    name = key.key_id.encode()
    head = _HEADER.pack(MAGIC, VERSION, len(name), len(key.wrapped))
    body = key.check + name + key.wrapped
    return head + _CRC.pack(google_crc32c.extend(google_crc32c.value(head), body)) + body


def decode(data: bytes) -> WrappedKey:
    """The other way; InvariantViolation when the bytes are no sound key file."""
    start = _HEADER.size + _CRC.size
    if len(data) < start + CHECK_BYTES:
        raise InvariantViolation(f"key file of {len(data)} bytes")
    magic, version, id_bytes, wrapped_bytes = _HEADER.unpack_from(data)
    body = data[start:]
    crc = google_crc32c.extend(google_crc32c.value(data[: _HEADER.size]), body)
    if (
        magic != MAGIC
        or version != VERSION
        or len(body) != CHECK_BYTES + id_bytes + wrapped_bytes
        or crc != _CRC.unpack_from(data, _HEADER.size)[0]
    ):
        raise InvariantViolation(f"key file: magic {magic!r}, version {version}, length {len(data)} or checksum")
    name = body[CHECK_BYTES : CHECK_BYTES + id_bytes]
    return WrappedKey(name.decode(), body[:CHECK_BYTES], body[CHECK_BYTES + id_bytes :])


def check_of(data_key: bytes) -> bytes:
    """What a data key is known by; it says nothing about the key."""
    return hkdf.HKDFExpand(hashes.SHA256(), CHECK_BYTES, b"aurora check").derive(data_key)


def _wrap(provider: KeyProvider, data_key: bytes) -> WrappedKey:
    try:
        return WrappedKey(provider.key_id, check_of(data_key), bytes(provider.wrap(data_key)))
    except Exception as error:  # a plugin's code, as in ``_unwrap``
        raise KeyRefused(f"the data key could not be wrapped: {type(error).__name__}: {error}") from error


def _unwrap(provider: KeyProvider, key: WrappedKey) -> bytes:
    try:
        data_key = bytes(provider.unwrap(key.wrapped))
    except Exception as error:  # a plugin's code, or a wrong key: whatever it raises, there is no data key
        raise KeyRefused(
            f"the data key is wrapped by master key {key.key_id!r} and cannot be had with {provider.key_id!r}: "
            f"{str(error) or type(error).__name__}"
        ) from error
    if len(data_key) != DATA_KEY_BYTES or check_of(data_key) != key.check:
        raise KeyRefused(
            f"the data key is wrapped by master key {key.key_id!r}; what {provider.key_id!r} unwraps is another one"
        )
    return data_key


def backup_key_of(data_key: bytes) -> bytes:
    """The key that a node seals its objects of the backup with."""
    return derive(data_key, b"backup", "", DATA_KEY_BYTES)


class KeyFiles(Protocol):
    """Where the two files of one data key lie: a node's ``Disk``, or elsewhere."""

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk.write_atomic``."""

    def list(self) -> list[str]:
        """The names that are there."""


def unwrap_any(providers: Sequence[KeyProvider], keys: Sequence[WrappedKey]) -> tuple[bytes, WrappedKey]:
    """The data key, and the wrapped one that it is; KeyRefused, the first, when no provider unwraps any."""
    refusals: list[KeyRefused] = []
    for provider in providers:
        for key in keys:
            try:
                return _unwrap(provider, key), key
            except KeyRefused as error:
                refusals.append(error)
    raise refusals[0]


def sound_keys(files: KeyFiles) -> tuple[list[WrappedKey], bool]:
    """The key files that can be read, and whether all are there and equal."""
    names = files.list()
    held: list[bytes] = [read_around(files, name, 0, _FILE_BYTES_MAX)[0] for name in NAMES if name in names]
    found: list[WrappedKey] = []
    for data in held:
        try:
            found.append(decode(data))
        except InvariantViolation as error:
            logger.warning("damaged key file: %s", error)
    return found, len(found) == len(NAMES) and held[0] == held[1]


def write_keys(files: KeyFiles, key: WrappedKey) -> None:
    """Both files anew, one after the other."""
    for name in NAMES:
        files.write_atomic(name, encode(key))


def data_key_of(disk: Disk, provider: KeyProvider) -> bytes:
    """The data key of the node whose files ``disk`` holds; a new one in an empty folder. KeyRefused when it cannot be
    had, or the folder holds files in the clear.
    """
    names = disk.list()
    if not any(name in names for name in NAMES):
        data = [name for name in names if name not in _NO_DATA]
        if data:
            raise KeyRefused(
                f"a master key is given, but the folder's files ({data[0]}, …) are not encrypted; to encrypt a node, "
                "start it with an empty folder: its peers fill it"
            )
        data_key = os.urandom(DATA_KEY_BYTES)
        write_keys(disk, _wrap(provider, data_key))
        logger.info("files are encrypted from now on; the data key is wrapped by master key %r", provider.key_id)
        return data_key
    found, whole = sound_keys(disk)
    if not found:
        raise KeyRefused("the key files are damaged, so no file can be read; start the node with an empty folder")
    data_key, key = unwrap_any((provider,), found)
    if not whole:
        write_keys(disk, key)
    return data_key


def rewrap(files: KeyFiles, old: KeyProvider, new: KeyProvider) -> bool:
    """Have the data key wrapped by another master key; False when it was already. A node may run meanwhile: it reads
    its key when it starts. KeyRefused as in ``data_key_of``.
    """
    found, whole = sound_keys(files)
    if not found:
        raise KeyRefused("no sound key file: the folder is not encrypted, or its key is lost")
    if whole and found[0].key_id == new.key_id and old.key_id != new.key_id:
        return False
    write_keys(files, _wrap(new, unwrap_any((old, new), found)[0]))  # the new one: for what an interrupted round left
    return True


@contextmanager
def _key_files(folder: Path, *, wait: bool = True) -> Iterator[FolderDisk]:
    """The folder, for somebody who may write its key files; others wait until it is let go. BlockingIOError when
    another has it and ``wait`` is False.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        disk = FolderDisk(folder)
        try:
            yield disk
        finally:
            disk.close()
    finally:
        os.close(fd)


def rekey_folder(folder: Path, old: KeySource, new: KeySource) -> bool:
    """``rewrap`` for the node whose files are in ``folder``."""
    if not folder.is_dir():
        raise KeyRefused(f"there is no folder {folder}")
    holders = old.open(), new.open()
    with _key_files(folder) as disk:
        return rewrap(disk, *holders)


class NodeDisk(Disk, Protocol):
    """A disk whose files can be closed."""

    def close(self) -> None:
        """Close all files."""


class EncryptedFolder(EncryptedDisk):
    """An ``EncryptedDisk`` on a folder."""

    def __init__(self, disk: FolderDisk, data_key: bytes) -> None:
        super().__init__(disk, data_key, os.urandom, NAMES, RESERVE_BYTES)
        self.folder = disk.folder
        self.check = check_of(data_key)
        self.backup_key = backup_key_of(data_key)
        self._folder_disk = disk

    def wrapped_key(self) -> WrappedKey:
        """The data key as the folder holds it now: another process may have had it wrapped anew. From any thread;
        OSError, KeyRefused.
        """
        reasons = []
        for name in NAMES:
            try:
                return decode((self.folder / name).read_bytes())
            except (FileNotFoundError, InvariantViolation) as error:
                reasons.append(f"{name}: {error}")
        raise KeyRefused(f"no sound key file in {self.folder}: {'; '.join(reasons)}")

    def mend_keys(self) -> bool:
        """Replace a key file that decayed from the other one; whether there was need to. Two sound ones that differ
        are a ``rewrap`` under way, or one that was interrupted: they stay. OSError when the disk refuses.
        """
        try:
            with _key_files(self.folder, wait=False) as disk:
                for name in set(NAMES).intersection(disk.list()):
                    disk.uncache(name, 0, _FILE_BYTES_MAX)
                found, _ = sound_keys(disk)
                if len(found) == 1:
                    write_keys(disk, found[0])
        except BlockingIOError:
            return False  # they are being written just now
        if not found:
            logger.error("both key files in %s are damaged: no start can read its files any more", self.folder)
        return len(found) == 1

    def close(self) -> None:
        """Close all files."""
        self._folder_disk.close()


def open_disk(folder: Path, source: KeySource | None, make: Callable[[Path], FolderDisk] = FolderDisk) -> NodeDisk:
    """A node's folder as its core sees it: in the clear without ``source``. KeyRefused when its files are not so.

    ``make``: opens the folder itself.
    """
    if source is None:
        disk = make(folder)
        if any(name in disk.list() for name in NAMES):
            found, _ = sound_keys(disk)
            disk.close()
            raise KeyRefused(
                f"the files in {folder} are encrypted"
                + (f", their data key wrapped by master key {found[0].key_id!r}" if found else "")
                + "; the node needs --master-key-file or --key-provider"
            )
        return disk
    provider = source.open()
    disk = make(folder)
    try:
        with _key_files(folder):
            data_key = data_key_of(disk, provider)
        return EncryptedFolder(disk, data_key)
    except KeyRefused as error:
        disk.close()
        raise KeyRefused(f"{folder}: {error}") from error
