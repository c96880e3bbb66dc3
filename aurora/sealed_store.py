"""Encryption of the backup: an ``ObjectStore`` over another one, in which nothing but names is legible without the
master key.

Input: the calls of ``aurora.object_store.ObjectStore`` → output: the same calls with sealed objects. Next stage: the
store below. A sealed object, little-endian::

     0     4  magic    "AURS"
     4     8  version  u32  1
     8    24  key      16 bytes: which key sealed it
    24        what ``aurora.encryption.Sealer`` makes of the object under its name: AES-256-GCM, bound to the name

Each node seals with a key of its own, which follows from its data key (``keys.backup_key_of``). The data key lies
beside the objects, wrapped by the master key: the node's key files under other names, two with the same bytes::

    V/keys/<key, in hex>/key        V: the volume's id, the first part of every object's name
    V/keys/<key, in hex>/key-copy

So a restore needs the store and the master key, nothing of the fleet. Objects in the clear are taken as they are: a
volume that was encrypted later has both kinds.

Invariants: a node's wrapped key is in the store before the first object that it sealed since its start. What lies
there was the node's key file when the put had ended: when ``aurora rekey`` wraps the folders' keys first and the
store's then, none stays behind that only the old master key opens.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aurora import keys
from aurora.encryption import SealBroken, Sealer
from aurora.errors import InvariantViolation
from aurora.keys import KeyProvider, KeyRefused, KeySource, WrappedKey
from aurora.object_store import ObjectMissing, ObjectStore, ObjectStoreError, open_store

MAGIC = b"AURS"
VERSION = 1
FOLDER = "keys"
_HEADER = struct.Struct(f"<4sI{keys.CHECK_BYTES}s")


class OwnKey(Protocol):
    """What a node seals with; ``aurora.keys.EncryptedFolder`` is one."""

    check: bytes
    backup_key: bytes

    def wrapped_key(self) -> WrappedKey:
        """The data key behind it, wrapped, as of now. OSError, KeyRefused."""


class KeyObjects:
    """The two wrapped copies of one data key in a store, as ``keys.KeyFiles``. ObjectStoreError."""

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self._store = store
        self._folder = folder

    def read(self, name: str, offset: int, length: int) -> bytes:
        """See ``Disk.read``."""
        return self._store.get(f"{self._folder}/{name}")[offset : offset + length]

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Disk.write_atomic``."""
        self._store.put(f"{self._folder}/{name}", data)

    def list(self) -> list[str]:
        """See ``Disk.list``."""
        return [name.rpartition("/")[2] for name in self._store.list(self._folder)]


class SealedStore:
    """See the module. ``own``: what puts seal with, None when there are none; ``master``: who unwraps the keys of what
    is read, None when there is no master key: then objects in the clear alone can be read.
    """

    def __init__(self, store: ObjectStore, master: KeyProvider | None = None, own: OwnKey | None = None) -> None:
        self._store = store
        self._master = master
        self._own = own
        self._lock = threading.Lock()
        self._told: set[str] = set()
        """Volumes that have the own key."""
        self._sealers: dict[str, Sealer] = {}
        """Folder of a key → what unseals with it."""

    # --- writing

    def put(self, name: str, data: bytes) -> None:
        """See ``ObjectStore.put``."""
        own = self._own
        if own is None:
            raise InvariantViolation(f"{name}: this store is only read")
        self._tell_key(name, own)
        sealed = Sealer(own.backup_key, os.urandom).seal(name, data)
        self._store.put(name, _HEADER.pack(MAGIC, VERSION, own.check) + sealed)

    def _tell_key(self, name: str, own: OwnKey) -> None:
        """Have the own key in the store, wrapped, before what it seals."""
        volume = name.partition("/")[0]
        with self._lock:
            if volume in self._told:
                return
            files = KeyObjects(self._store, key_folder(name, own.check))
            wrapped = _wrapped_now(own)
            while True:
                keys.write_keys(files, wrapped)
                then, wrapped = wrapped, _wrapped_now(own)
                if wrapped == then:
                    break  # else it has been wrapped anew meanwhile, and who did so may not have seen the one here
            self._told.add(volume)

    # --- reading

    def get(self, name: str) -> bytes:
        """See ``ObjectStore.get``. SealBroken when the object is damaged, or the key that sealed it is not there;
        KeyRefused when it takes another master key than the one given.
        """
        raw = self._store.get(name)
        if not raw.startswith(MAGIC):
            return raw
        if len(raw) < _HEADER.size:
            raise SealBroken(f"{len(raw)} bytes are shorter than a sealed object's header")
        _, version, check = _HEADER.unpack_from(raw)
        if version != VERSION:
            raise SealBroken(f"sealed in version {version}, which is unknown here")
        sealer = self._sealer(name, check)
        try:
            return sealer.unseal(name, raw[_HEADER.size :])
        except SealBroken as error:
            raise SealBroken("the seal does not match") from error

    def _sealer(self, name: str, check: bytes) -> Sealer:
        folder = key_folder(name, check)
        with self._lock:
            found = self._sealers.get(folder)
            if found is None:
                backup_key = keys.backup_key_of(self._data_key(name, folder, check))
                found = self._sealers[folder] = Sealer(backup_key, os.urandom)
            return found

    def _data_key(self, name: str, folder: str, check: bytes) -> bytes:
        try:
            wrapped = [key for key in keys.sound_keys(KeyObjects(self._store, folder))[0] if key.check == check]
        except ObjectMissing:
            wrapped = []  # gone since they were listed
        if not wrapped:
            raise SealBroken(f"the key that sealed it is missing or damaged: {folder}")
        if self._master is None:
            raise KeyRefused(
                f"object {name} is encrypted, its key wrapped by master key {wrapped[0].key_id!r}: "
                "give that with --master-key-file or --key-provider"
            )
        try:
            return keys.unwrap_any((self._master,), wrapped)[0]
        except KeyRefused as error:
            raise KeyRefused(f"object {name}: {error}") from error

    def list(self, folder: str, after: str = "", limit: int = 0) -> list[str]:
        """See ``ObjectStore.list``."""
        return self._store.list(folder, after, limit)

    def delete(self, names: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        self._store.delete(names)


def key_folder(name: str, check: bytes) -> str:
    """Where the key that sealed the object lies."""
    return f"{name.partition('/')[0]}/{FOLDER}/{check.hex()}"


def _wrapped_now(own: OwnKey) -> WrappedKey:
    try:
        wrapped = own.wrapped_key()
    except (OSError, KeyRefused) as error:
        raise ObjectStoreError(f"the backup cannot be encrypted: {error}") from error
    if wrapped.check != own.check:
        raise ObjectStoreError("the backup cannot be encrypted: the node's key files are those of another data key")
    return wrapped


# --- a new master key


@dataclass
class Rewrapped:
    """What a new master key was given. ``count``: keys wrapped anew; ``left``: keys that stay as they are, and why."""

    count: int = 0
    left: list[str] = field(default_factory=list)


def rekey_store(url: str, old: KeySource, new: KeySource) -> Rewrapped:
    """``rewrap`` for the store that the URL names."""
    return rewrap(open_store(url), old.open(), new.open())


def key_folders(store: ObjectStore) -> Iterator[str]:
    """Where the keys of all volumes in the store lie. ObjectStoreError."""
    after = ""
    while names := store.list("", after, 1):
        volume = names[0].partition("/")[0]
        yield from sorted({name.rpartition("/")[0] for name in store.list(f"{volume}/{FOLDER}")})
        after = f"{volume}/~"


def rewrap(store: ObjectStore, old: KeyProvider, new: KeyProvider) -> Rewrapped:
    """Have all keys in the store that ``old`` wrapped wrapped by ``new``, those of nodes that are gone as well. Those
    of another master key are left: other clusters may have their backups here. A round that was interrupted is
    finished by the next. KeyRefused when a key cannot be had though its master key is one of the two;
    ObjectStoreError.
    """
    done = Rewrapped()
    for folder in list(key_folders(store)):
        files = KeyObjects(store, folder)
        found, _ = keys.sound_keys(files)
        if not found:
            done.left.append(f"{folder}: damaged")
            continue
        try:
            done.count += keys.rewrap(files, old, new)
        except KeyRefused as error:
            if any(key.key_id in (old.key_id, new.key_id) for key in found):
                raise KeyRefused(f"{folder}: {error}") from error
            done.left.append(f"{folder}: wrapped by master key {found[0].key_id!r}")
    return done
