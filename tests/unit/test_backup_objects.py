"""The objects' bytes and names, and the stores that hold them: memory, a folder, S3 (moto's server on loopback)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aurora.object_store import (
    FolderStore,
    MemoryStore,
    ObjectMissing,
    ObjectStore,
    ObjectStoreError,
    S3Store,
    open_store,
)
from aurora.page import PAGE_BYTES
from aurora.rpc import storage_pb2 as pb
from storage_node import backup_objects as objects
from storage_node.backup_objects import Content, Kind, ObjectCorrupt

VOLUME = b"sixteen bytes id"


def _content(kind: Kind = Kind.PAGES) -> Content:
    pages = [(3, bytes(PAGE_BYTES)), (70000, b"x" * PAGE_BYTES)]
    return {
        Kind.LOG: Content(kind, VOLUME, 7, pb.BackupLog(prev_lsn=1, last_lsn=9), (b"frame", b"s")),
        Kind.PAGES: Content(kind, VOLUME, 7, pb.BackupPages(base_lsn=5, chunk=2), objects.pages_body(pages)),
        Kind.SNAPSHOT: Content(kind, VOLUME, 7, pb.BackupSnapshot(base_lsn=5, upto_lsn=9, chunks=3)),
        Kind.TIMELINE: Content(kind, VOLUME, 0, pb.BackupTimeline(moments=[pb.BackupMoment(wall_ms=5, vdl=6)])),
    }[kind]


@pytest.mark.parametrize("kind", list(Kind))
def test_round_trip(kind: Kind) -> None:
    content = _content(kind)
    found = objects.decode(content.encode())
    assert (found.kind, found.volume_id, found.pg, found.head) == (kind, VOLUME, content.pg, content.head)
    assert found.body == b"".join(content.body)


def test_pages_come_back() -> None:
    body = objects.decode(_content().encode()).body
    assert list(objects.pages_of(body)) == [(3, bytes(PAGE_BYTES)), (70000, b"x" * PAGE_BYTES)]
    with pytest.raises(ObjectCorrupt, match="whole number"):
        list(objects.pages_of(body[:-1]))


@given(st.sampled_from(list(Kind)), st.data())
def test_any_wrong_bit_and_any_cut_is_noticed(kind: Kind, data: st.DataObject) -> None:
    whole = _content(kind).encode()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ObjectCorrupt):
        objects.decode(bytes(flipped))
    with pytest.raises(ObjectCorrupt):
        objects.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ObjectCorrupt):
        objects.decode(whole + b"x")


def test_an_object_of_another_volume_or_kind_is_named() -> None:
    store = MemoryStore()
    store.put("a/b", _content(Kind.LOG).encode())
    assert objects.read(store, "a/b", Kind.LOG, VOLUME).head.last_lsn == 9
    with pytest.raises(ObjectCorrupt, match="object a/b is a log object of volume"):
        objects.read(store, "a/b", Kind.LOG, b"another volume..")
    with pytest.raises(ObjectCorrupt, match="not a pages object"):
        objects.read(store, "a/b", Kind.PAGES, VOLUME)


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.integers(0, 2**32 - 1))
def test_names_come_back_and_sort_by_lsn(one: int, other: int, pg: int) -> None:
    prev, last = sorted((one, other))
    assume(prev < last)
    name = objects.log_name(VOLUME, pg, prev, last)
    assert objects.parse_log(name)[:2] == (last, prev)
    assert objects.log_from(VOLUME, pg, last) < name
    assert (objects.log_name(VOLUME, pg, 0, one) < objects.log_name(VOLUME, pg, 0, other)) == (one < other)
    key = objects.snapshot_key(one, other % 10**15, "az1-a/strange")
    found = objects.parse_snapshot(objects.snapshot_name(VOLUME, pg, key, one % 10**15))
    assert (found.base_lsn, found.end_ms, found.key) == (one, one % 10**15, key)
    assert objects.chunk_base(objects.chunk_name(VOLUME, pg, key, 3)) == one
    assert objects.time_wall_ms(objects.time_name(VOLUME, one % 10**15, "n")) == one % 10**15


@pytest.mark.parametrize("parse", [objects.parse_log, objects.parse_snapshot, objects.chunk_base, objects.time_wall_ms])
def test_a_stray_name_is_refused(parse: object) -> None:
    with pytest.raises(ObjectCorrupt, match="stray"):
        parse("v/stray/stray")  # type: ignore[operator]


def test_strays_are_told_from_the_backups_own_names() -> None:
    good = objects.log_name(VOLUME, 3, 5, 9)
    folder = objects.log_folder(VOLUME, 3)
    names = [f"{folder}/README", good, f"{folder}/9-9", f"{folder}/", f"{folder}/12-x"]
    found, strays = objects.passing(names, objects.parse_log)
    assert [log.name for log in found] == [good]
    assert strays == [names[0], *names[2:]]
    for wrong in ("pg-", "pg-x", "17", "time"):
        with pytest.raises(ObjectCorrupt, match="no PG's folder"):
            objects.parse_pg(wrong)


# --- stores


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """moto's S3 on loopback, with a bucket."""
    server = pytest.importorskip("moto.server")
    import boto3

    s3 = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "of-a-test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "of-a-test")
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
        client.create_bucket(Bucket="backups")
        client.close()
        yield endpoint
    s3.stop()


@pytest.fixture(params=["memory", "folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "folder":
        return open_store((tmp_path / "a b").as_uri())
    endpoint = request.getfixturevalue("s3_endpoint")
    return open_store(f"s3://backups/{tmp_path.name}?endpoint={endpoint}&region=us-east-1")


def test_a_store_keeps_what_it_is_given(store: ObjectStore) -> None:
    assert store.list("") == []
    names = ["v/pg-0/log/1", "v/pg-0/log/2", "v/pg-0/log/3", "v/pg-00/log/9", "v/time/1", "w/x"]
    for name in reversed(names):
        store.put(name, name.encode())
    store.put("v/time/1", b"anew")
    assert store.list("") == names
    assert store.list("v/pg-0") == names[:3]
    assert store.list("v/pg-0/log", "v/pg-0/log/1") == names[1:3]
    assert store.list("v", "v/pg-0/log/2", 2) == names[2:4]
    assert store.list("nowhere") == []
    assert store.get("v/time/1") == b"anew"
    assert store.get("w/x") == b"w/x"
    with pytest.raises(ObjectMissing, match="v/pg-0/log/7"):
        store.get("v/pg-0/log/7")
    store.delete(["v/pg-0/log/1", "v/pg-0/log/2", "v/pg-0/log/3", "v/never"])
    store.delete([])
    assert store.list("") == names[3:]
    store.put("v/pg-0/log/1", b"")
    assert store.get("v/pg-0/log/1") == b""


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/../b", "a b", "a/"])
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    for store in (MemoryStore(), FolderStore(tmp_path)):
        with pytest.raises(ObjectStoreError, match="is no name"):
            store.put(name, b"")


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = FolderStore(tmp_path)
    with pytest.raises(ObjectStoreError, match="file"):
        store.put("file/x", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "url", ["", "backup", "file:backup", "file://host/x", "ftp://x", "s3://", "s3://b?key=secret", "s3://k:s@bucket/x"]
)
def test_urls_that_name_no_store(url: str) -> None:
    with pytest.raises(ObjectStoreError, match=r"s3://|file:///"):
        open_store(url)


def test_a_bucket_that_is_not_there_and_a_server_that_is_not(s3_endpoint: str) -> None:
    with pytest.raises(ObjectStoreError):
        open_store(f"s3://never/x?endpoint={s3_endpoint}").put("a", b"")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = open_store(f"s3://never/x?endpoint=http://127.0.0.1:{taken.getsockname()[1]}")
        assert isinstance(store, S3Store)
        with pytest.raises(ObjectStoreError, match="a: "):
            store.put("a", b"")
        with pytest.raises(ObjectStoreError):
            store.list("a")
