"""Object stores: where the backup goes. Named byte strings, written whole, never changed in place.

``open_store(url)`` chooses: ``file:///folder`` is a local folder (``FolderStore``), ``s3://bucket/prefix`` an S3 bucket
or anything that speaks its protocol (``S3Store``, by the library obstore), with ``?endpoint=…&region=…`` behind it
where they differ from Amazon's. Credentials come from the environment as for every AWS tool, never from the URL, which
anybody can see in the process list. ``MemoryStore`` is the simulator's.

Names are relative paths of ``/``-separated parts. A ``put`` is atomic and durable when it returns: a reader sees the
old bytes, the new ones, or nothing. Every failure is an ``ObjectStoreError``; a name that is not there is
``ObjectMissing``.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

TIMEOUT_S = 20
"""Longest that one request to a remote store may take."""
DELETE_MAX = 1000
"""Names that one call of ``delete`` may have; as many as S3 takes in one request."""

_NAME = re.compile(r"[\w.=+-]+(/[\w.=+-]+)*")


class ObjectStoreError(Exception):
    """The store cannot be reached, or refuses."""


class ObjectMissing(ObjectStoreError):
    """There is no object of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no object {name}")
        self.name = name


class ObjectStore(Protocol):
    """See the module. May be called from any thread."""

    def put(self, name: str, data: bytes) -> None:
        """Write the object, or replace it."""

    def get(self, name: str) -> bytes:
        """The object's bytes."""

    def list(self, folder: str, after: str = "", limit: int = 0) -> list[str]:
        """Names below the folder, sorted, those greater than ``after`` only; no more than ``limit``, 0: all."""

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there do no harm."""


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or ".." in name.split("/"):
        raise ObjectStoreError(f"{name!r} is no name of an object")
    return name


class MemoryStore:
    """Objects in a dictionary. ``broken`` makes every call fail with that text, ``puts`` counts the writes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.broken = ""
        self.puts = 0

    def _check(self) -> None:
        if self.broken:
            raise ObjectStoreError(self.broken)

    def put(self, name: str, data: bytes) -> None:
        """See ``ObjectStore.put``."""
        self._check()
        self.objects[_checked(name)] = bytes(data)
        self.puts += 1

    def get(self, name: str) -> bytes:
        """See ``ObjectStore.get``."""
        self._check()
        if name not in self.objects:
            raise ObjectMissing(name)
        return self.objects[name]

    def list(self, folder: str, after: str = "", limit: int = 0) -> list[str]:
        """See ``ObjectStore.list``."""
        self._check()
        start = f"{folder}/" if folder else ""
        found = sorted(name for name in self.objects if name.startswith(start) and name > after)
        return found[:limit] if limit else found

    def delete(self, names: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        self._check()
        for name in names:
            self.objects.pop(name, None)


class FolderStore:
    """Objects as files below a folder. Written by temporary file, fsync, rename and fsync of the folder: obstore's own
    local store does not sync, and the nodes give up log because it is said to be here. What it makes is its owner's
    alone: files 0600, folders 0700.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def put(self, name: str, data: bytes) -> None:
        """See ``ObjectStore.put``."""
        path = self.root / _checked(name)
        # Two writers of one name have the same bytes, but each needs a file of its own.
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._make(path.parent)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise ObjectStoreError(f"{path}: {error.strerror}") from error

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(folder.parent)

    def get(self, name: str) -> bytes:
        """See ``ObjectStore.get``."""
        path = self.root / _checked(name)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(name) from error
        except OSError as error:
            raise ObjectStoreError(f"{path}: {error.strerror}") from error

    def list(self, folder: str, after: str = "", limit: int = 0) -> list[str]:
        """See ``ObjectStore.list``."""
        start = self.root / _checked(folder) if folder else self.root
        found: list[str] = []
        try:
            for name in self._walk(start, after):
                found.append(name)
                if len(found) == limit:
                    break
        except OSError as error:
            raise ObjectStoreError(f"{start}: {error.strerror}") from error
        return found

    def _walk(self, folder: Path, after: str) -> Iterator[str]:
        try:
            entries = [(entry.name, entry.is_dir()) for entry in os.scandir(folder) if not entry.name.startswith(".")]
        except FileNotFoundError:
            return
        base = folder.relative_to(self.root).as_posix()
        base = "" if base == "." else f"{base}/"
        for name, is_folder in sorted(entries, key=lambda entry: entry[0] + "/" * entry[1]):
            path = base + name
            if is_folder:
                if f"{path}/\U0010ffff" > after:
                    yield from self._walk(folder / name, after)
            elif path > after:
                yield path

    def delete(self, names: Sequence[str]) -> None:
        """See ``ObjectStore.delete``; a folder that becomes empty goes as well."""
        for name in names:
            path = self.root / _checked(name)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise ObjectStoreError(f"{path}: {error.strerror}") from error
            for folder in path.parents:
                if folder == self.root:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break  # it holds others, or is gone


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class S3Store:
    """Objects in a bucket that speaks S3's protocol, by obstore (the Rust crate object_store)."""

    def __init__(self, url: str, endpoint: str | None, region: str | None) -> None:
        from obstore import exceptions, store

        config: dict[str, Any] = {}
        if endpoint:
            config["endpoint"] = endpoint
        if region or not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
            config["region"] = region or "us-east-1"
        self._missing = (exceptions.NotFoundError, FileNotFoundError)
        self._errors = (exceptions.BaseError, OSError, ValueError)
        try:
            self._store = store.S3Store.from_url(
                url,
                config=config,  # type: ignore[arg-type]
                client_options={
                    "timeout": f"{TIMEOUT_S}s",
                    "connect_timeout": "5s",
                    "allow_http": bool(endpoint and endpoint.startswith("http://")),
                },
                retry_config={"max_retries": 2},
            )
        except self._errors as error:
            raise ObjectStoreError(f"{url}: {error}") from error

    def put(self, name: str, data: bytes) -> None:
        """See ``ObjectStore.put``."""
        try:
            self._store.put(_checked(name), data, use_multipart=False)
        except self._errors as error:
            raise ObjectStoreError(f"{name}: {_first_line(error)}") from error

    def get(self, name: str) -> bytes:
        """See ``ObjectStore.get``."""
        try:
            return bytes(self._store.get(_checked(name)).bytes())
        except self._missing as error:
            raise ObjectMissing(name) from error
        except self._errors as error:
            raise ObjectStoreError(f"{name}: {_first_line(error)}") from error

    def list(self, folder: str, after: str = "", limit: int = 0) -> list[str]:
        """See ``ObjectStore.list``; S3 gives the names sorted."""
        found: list[str] = []
        try:
            chunk = min(limit, DELETE_MAX) if limit else DELETE_MAX
            for metas in self._store.list(f"{folder}/" if folder else None, offset=after or None, chunk_size=chunk):
                found += [str(meta["path"]) for meta in metas]
                if limit and len(found) >= limit:
                    break
        except self._errors as error:
            raise ObjectStoreError(f"{folder}: {_first_line(error)}") from error
        return found[:limit] if limit else found

    def delete(self, names: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        try:
            if names:
                self._store.delete([_checked(name) for name in names])
        except self._missing:
            return
        except self._errors as error:
            raise ObjectStoreError(f"{names[0]} and others: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300] or type(error).__name__


def open_store(url: str) -> ObjectStore:
    """The store that the URL names; ObjectStoreError when it names none."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc or parts.query or not path.is_absolute():
            raise ObjectStoreError(f"{url!r} is no local folder: write file:///absolute/path")
        return FolderStore(path)
    if parts.scheme == "s3":
        options = parse_qs(parts.query)
        endpoint, region = (options.pop(key, [None])[0] for key in ("endpoint", "region"))
        if options or not parts.netloc or "@" in parts.netloc:
            raise ObjectStoreError(f"{url!r} is not s3://bucket[/prefix][?endpoint=URL&region=NAME]")
        return S3Store(parts._replace(query="").geturl(), endpoint, region)
    raise ObjectStoreError(f"{url!r} is neither file:///folder nor s3://bucket/prefix")
