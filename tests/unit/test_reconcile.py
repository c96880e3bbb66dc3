"""A newer program opens an older volume: its built-in rows become this program's, users' stay as they are."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_catalog import in_greenlet, open_databases
from test_databases import cut_off, session

from aurora.datum import Row
from aurora.errors import VolumeTooNew
from aurora.kernels import arena as arena_kernel
from aurora.page import PAGE_BYTES
from compute_node.access.memory_volume import MemoryVolume
from compute_node.access.storage import Storage
from compute_node.access.superblock import FORMAT_VERSION
from compute_node.catalog import bootstrap, reconcile
from compute_node.catalog.bootstrap_rows import bootstrap_rows
from compute_node.catalog.databases import Databases
from compute_node.catalog.rows import CatalogReader, make_row
from compute_node.relations.schema import CATALOGS
from compute_node.server import ComputeServer, serve

VOLUMES = Path(__file__).parents[1] / "golden" / "volumes"
Rows = dict[str, list[Row]]
ABS, LENGTH, PI = 1397, 1317, 1610
"""pg_proc: abs(int4), length(text), pi()"""


def older(rows: Rows) -> Rows:
    """The built-in rows of a program that lacked a function, an operator and a view, had another volatility of a second
    function, and a third function and a view that are gone now."""
    position = CATALOGS["pg_proc"].position
    rows["pg_proc"] = [row for row in rows["pg_proc"] if row[position["oid"]] != PI]
    changed = next(row for row in rows["pg_proc"] if row[position["oid"]] == ABS)
    rows["pg_proc"].remove(changed)
    values = dict(zip(position, changed, strict=True)) | {"provolatile": "v"}
    rows["pg_proc"].append(make_row("pg_proc", values))
    rows["pg_proc"].append(make_row("pg_proc", values | {"oid": 9999, "proname": "formerly", "prosrc": "formerly"}))
    rows["pg_operator"] = rows["pg_operator"][1:]
    gone = next(row for row in rows["pg_class"] if row[CATALOGS["pg_class"].position["relname"]] == "pg_settings")
    oid = gone[0]
    rows["pg_class"].remove(gone)
    rows["pg_attribute"] = [row for row in rows["pg_attribute"] if row[0] != oid]
    rows["pg_rewrite"] = [row for row in rows["pg_rewrite"] if oid not in row[:3]]
    rows["sql_parts"] = [*rows["sql_parts"][1:], ("0", "formerly", "NO", None, None)]
    return rows


@pytest.fixture
def old_volume(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Databases]:
    """A volume that an older program made, with what users have made in two databases of it."""

    def make() -> Databases:
        volume = MemoryVolume()
        with monkeypatch.context() as patch:
            patch.setattr(bootstrap, "bootstrap_rows", lambda: older(bootstrap_rows()))
            patch.setattr(bootstrap, "CATALOG_VERSION", 0)
            bootstrap.bootstrap(Storage(arena_kernel.Arena(4096), volume))
            image = {number: bytes(page) for number, page in cut_off(volume).pages.items()}
        databases = open_databases(cut_off(volume))
        storage = databases.storage
        # What CREATE DATABASE copied then was the older program's image.
        older_files = {
            file: [image.get(page_no, bytes(PAGE_BYTES)) for page_no in pages]
            for file, pages in bootstrap.file_pages(image).items()
        }
        with monkeypatch.context() as patch:
            patch.setattr(bootstrap, "image_files", lambda: older_files)
            session(databases).run("create database second")
        for name in ("postgres", "second"):
            one = session(databases, name)
            one.run("create table t (a int primary key, b text); insert into t values (1, 'kept'), (2, 'too')")
            one.run("create view v as select abs(a) as a from t")
            one.run("create type mood as enum ('sad', 'ok')")
            one.run("comment on schema public is 'ours'")
            one.run("grant select on pg_authid to public")
        assert session(databases).run("select count(*) from pg_proc where proname = 'formerly'") == [(1,)]
        return open_databases(cut_off(storage.volume))

    return make


def built_in(databases: Databases, oid: int) -> dict[str, list[Any]]:
    """Every built-in row of a database, without what a volume has of its own."""
    catalogs = databases.catalogs(oid)
    assert catalogs is not None
    reader = CatalogReader(databases.storage, None, catalogs)
    found = {}
    for name, table in catalogs.tables.items():
        kept = set(reconcile._KEPT.get(name, ()))
        kept |= {column for column in table.position if column.endswith(("acl", "owner"))}
        if not table.desc.is_shared and name != "pg_description" and reconcile._key(table):
            found[name] = sorted(
                repr([value for column, value in zip(table.position, row.values, strict=True) if column not in kept])
                for row in reader.all(name)
                if reconcile._is_builtin(table, row.values)
            )
    return found


def test_a_volume_of_this_program_needs_nothing() -> None:
    def body() -> None:
        databases = open_databases()
        session(databases).run("create database second")
        assert reconcile.is_current(databases)
        changes = reconcile.reconcile(databases)
        assert (changes.added, changes.changed, changes.removed) == (0, 0, 0)

    in_greenlet(body)


def test_an_older_volume_gets_the_rows_of_this_program(old_volume: Callable[[], Databases]) -> None:
    def body() -> None:
        databases = old_volume()
        assert not reconcile.is_current(databases)
        reconcile.reconcile(databases)
        assert reconcile.is_current(databases)
        fresh = open_databases()
        expected = built_in(fresh, 5)
        again = open_databases(cut_off(databases.storage.volume))
        assert reconcile.is_current(again)
        for name in ("postgres", "second"):
            record = again.catalog.database(name)
            assert record is not None
            assert built_in(again, record.oid) == expected
            one = session(again, name)
            assert one.run("select a, b from t order by a") == [(1, "kept"), (2, "too")]
            assert one.run("select sum(a) from v") == [(3,)]
            assert one.run("select 'ok'::mood > 'sad'") == [(True,)]
            assert one.run("select obj_description('public'::regnamespace, 'pg_namespace')") == [("ours",)]
            assert one.run("select relacl is null from pg_class where relname = 'pg_authid'") == [(False,)]
            assert one.run("select count(*) from pg_proc where proname = 'formerly'") == [(0,)]
            assert one.run("select provolatile, proname from pg_proc where oid in (1397, 1610) order by 2") == [
                ("i", "abs"),
                ("i", "pi"),
            ]
            assert one.run("select count(*) > 100 from pg_class where relname = 'pg_settings' or oid < 16384") == [
                (True,)
            ]

    in_greenlet(body)


def test_a_crash_in_the_middle_leaves_the_older_rows(old_volume: Callable[[], Databases]) -> None:
    def body() -> None:
        databases = old_volume()
        before = built_in(databases, 5)
        txn = databases.storage.txns.begin()
        changes = reconcile.apply(databases, txn)
        assert changes.added and changes.changed and changes.removed
        crashed = open_databases(cut_off(databases.storage.volume))
        databases.storage.txns.abort(txn)
        assert not reconcile.is_current(crashed)
        assert built_in(crashed, 5) == before
        reconcile.reconcile(crashed)
        assert built_in(crashed, 5) == built_in(open_databases(), 5)

    in_greenlet(body)


def test_a_newer_volume_is_refused() -> None:
    def body() -> None:
        databases = open_databases()
        superblock = databases.storage.superblock
        superblock.set_catalog_version(bootstrap.CATALOG_VERSION + 1, 1)
        again = open_databases(cut_off(databases.storage.volume))
        with pytest.raises(VolumeTooNew, match="catalog version"):
            reconcile.is_current(again)
        with databases.storage.mtr:
            databases.storage.mtr.put_u32(superblock.frame, 32, FORMAT_VERSION + 1)
        with pytest.raises(VolumeTooNew, match="format version"):
            open_databases(cut_off(databases.storage.volume))

    in_greenlet(body)


def recorded(path: Path) -> MemoryVolume:
    """A volume that an earlier program has left."""
    content = zlib.decompress(path.read_bytes())
    volume, at = MemoryVolume(), 0
    while at < len(content):
        page_no, length = struct.unpack_from("<QI", content, at)
        at += 12
        volume.log.append(page_no, 0, content[at : at + length], 1)
        at += length
    return cut_off(volume)


@pytest.mark.parametrize("path", sorted(VOLUMES.glob("*.bin")), ids=lambda path: path.stem)
def test_a_volume_of_an_earlier_commit_is_opened(path: Path) -> None:
    def body() -> None:
        databases = open_databases(recorded(path))
        if not reconcile.is_current(databases):
            reconcile.reconcile(databases)
        assert built_in(databases, 5) == built_in(open_databases(), 5)
        one = session(databases)
        assert one.run("select count(*), sum(length(b)) from kept") == [(200, 20100)]
        assert one.run("select a from kept where b = repeat('x', 7)") == [(7,)]
        assert one.run("select a, n from seen order by a") == [(199, 199), (200, 200)]
        one.run("insert into kept (a, b) values (201, 'new')")
        assert one.run("select c from kept where a = 201") == one.run("select c from kept where a = 1")
        one.run("create database second")
        assert session(databases, "second").run("select count(*) from pg_roles where rolname = 'someone'") == [(1,)]

    in_greenlet(body)


@pytest.mark.logs("catalog version 9")
def test_a_process_that_is_too_old_ends_with_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def start(server: ComputeServer) -> str:
        raise VolumeTooNew("the volume has catalog version 9, this program knows 1")

    async def close(server: ComputeServer) -> None:
        pass

    monkeypatch.setattr(ComputeServer, "start", start)
    monkeypatch.setattr(ComputeServer, "close", close)
    monkeypatch.setattr(ComputeServer, "__init__", lambda server, config: None)
    ended = asyncio.run(serve(None, print, lambda server: None))  # type: ignore[arg-type]
    assert ended == (5, "the volume has catalog version 9, this program knows 1")
    assert "catalog version 9" in caplog.text
