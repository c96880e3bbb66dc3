"""The encrypted backup: nothing legible in the store, every wrong bit found, keys that say what they miss, rotation."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from backup_tools import TARGET, BackupFleet
from storage_tools import VOLUME

from aurora import keys, sealed_store
from aurora.encryption import SealBroken
from aurora.errors import InvariantViolation
from aurora.keys import EncryptedFolder, FileKeyProvider, KeyRefused, KeySource, open_disk
from aurora.object_store import FolderStore, MemoryStore, ObjectMissing, ObjectStoreError
from aurora.page import PAGE_BYTES
from aurora.programs import cli
from aurora.programs.supervisor import LOOPBACK, Cluster, ClusterError
from aurora.rpc import storage_pb2 as pb
from aurora.sealed_store import SealedStore, key_folders, rewrap
from storage_node import backup_objects as objects
from storage_node import restore as program
from storage_node.backup_objects import Content, Kind, ObjectCorrupt
from storage_node.restore import restore, survey_of
from storage_node.restore_plan import RestoreError
from tests.log_rule import DAMAGED_KEYS

pytestmark = pytest.mark.logs(DAMAGED_KEYS)

V = VOLUME.hex()
SECRET = b"the row that nobody is to read"


@pytest.fixture(autouse=True, scope="module")
def unsynced() -> Iterator[None]:
    """Nobody cuts the power here, and syncs are most of what a small restore costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        patch.setattr(os, "fdatasync", lambda fd: None)
        yield


Make = Callable[[str], KeySource]


@pytest.fixture
def master(tmp_path: Path) -> Make:
    """Master keys by name, each made at its first mention."""

    def make(name: str) -> KeySource:
        path = tmp_path / f"{name}.master"
        if not path.exists():
            keys.make_master_key_file(path)
        return KeySource(path)

    return make


Node = Callable[..., EncryptedFolder]


@pytest.fixture
def node(tmp_path: Path, master: Make) -> Iterator[Node]:
    """Encrypted nodes' folders by name, closed at the test's end."""
    opened: dict[str, EncryptedFolder] = {}

    def open_node(name: str, key: str = "red") -> EncryptedFolder:
        if name not in opened:
            disk = open_disk(tmp_path / "nodes" / name, master(key))
            assert isinstance(disk, EncryptedFolder)
            opened[name] = disk
        return opened[name]

    yield open_node
    for disk in opened.values():
        disk.close()


def _key_id(source: KeySource) -> str:
    return source.open().key_id


def _objects(store: MemoryStore) -> list[str]:
    """Names of all but keys."""
    return [name for name in store.list("") if "/keys/" not in name]


# -- objects


@pytest.mark.parametrize("data", [b"", b"x", SECRET * 1000])
def test_what_is_put_can_be_read_by_who_has_the_master_key(node: Node, master: Make, data: bytes) -> None:
    store = MemoryStore()
    SealedStore(store, own=node("n0")).put(f"{V}/time/1", data)
    assert store.list("") == [f"{V}/keys/{node('n0').check.hex()}/{name}" for name in keys.NAMES] + [f"{V}/time/1"]
    assert not any(SECRET in held for held in store.objects.values())
    reading = SealedStore(store, master("red").open())
    assert reading.get(f"{V}/time/1") == data
    assert reading.list(V, limit=1) == store.list(V, limit=1)
    with pytest.raises(ObjectMissing):
        reading.get(f"{V}/time/2")
    reading.delete([f"{V}/time/1"])
    assert _objects(store) == []


def test_what_is_opened_for_reading_is_not_written_in_the_clear(master: Make) -> None:
    store = MemoryStore()
    with pytest.raises(InvariantViolation, match="only read"):
        SealedStore(store, master("red").open()).put(f"{V}/time/1", SECRET)
    assert store.objects == {}


def test_two_nodes_write_one_name(node: Node, master: Make) -> None:
    store = MemoryStore()
    one, two = (SealedStore(store, own=node(name)) for name in ("n0", "n1"))
    reading = SealedStore(store, master("red").open())
    for name, writer in (("a", one), ("b", two), ("a", two), ("b", one), ("b", two)):
        writer.put(f"{V}/pg-0/log/{name}", SECRET)
        assert reading.get(f"{V}/pg-0/log/{name}") == SECRET
    assert len(list(key_folders(store))) == 2
    assert node("n0").backup_key != node("n1").backup_key
    assert node("n0").backup_key not in (node("n0").check, node("n0")._data_key)


def test_objects_in_the_clear_are_taken_as_they_are(node: Node, master: Make) -> None:
    store = MemoryStore()
    store.put(f"{V}/time/1", b"from before")
    SealedStore(store, own=node("n0")).put(f"{V}/time/2", SECRET)
    reading = SealedStore(store, master("red").open())
    assert (reading.get(f"{V}/time/1"), reading.get(f"{V}/time/2")) == (b"from before", SECRET)
    assert SealedStore(store).get(f"{V}/time/1") == b"from before"


def test_without_the_master_key_or_with_another_one(node: Node, master: Make) -> None:
    store = MemoryStore()
    SealedStore(store, own=node("n0")).put(f"{V}/time/1", SECRET)
    red, blue = _key_id(master("red")), _key_id(master("blue"))
    with pytest.raises(KeyRefused, match=f"wrapped by master key '{red}': give that with --master-key-file"):
        SealedStore(store).get(f"{V}/time/1")
    with pytest.raises(KeyRefused, match=f"wrapped by master key '{red}' and cannot be had with '{blue}'"):
        SealedStore(store, master("blue").open()).get(f"{V}/time/1")


def test_every_wrong_bit_of_an_object_is_found(node: Node, master: Make) -> None:
    store = MemoryStore()
    name = objects.time_name(VOLUME, 1, "n0")
    content = Content(Kind.TIMELINE, VOLUME, 0, pb.BackupTimeline(moments=[pb.BackupMoment(vdl=17)]))
    SealedStore(store, own=node("n0")).put(name, content.encode())
    reading = SealedStore(store, master("red").open())
    assert objects.read(reading, name, Kind.TIMELINE, VOLUME).head.moments[0].vdl == 17
    sound = store.objects[name]
    for at in range(len(sound)):
        for damaged in (sound[:at], sound[:at] + bytes([sound[at] ^ 1 << at % 8]) + sound[at + 1 :]):
            store.objects[name] = damaged
            with pytest.raises(ObjectCorrupt, match=f"object {name} is damaged"):
                objects.read(reading, name, Kind.TIMELINE, VOLUME)
    store.objects[name] = sound + b"\0"
    with pytest.raises(ObjectCorrupt, match="the seal does not match"):
        objects.read(reading, name, Kind.TIMELINE, VOLUME)


def test_an_object_under_another_name_is_damaged(node: Node, master: Make) -> None:
    store = MemoryStore()
    SealedStore(store, own=node("n0")).put(f"{V}/time/1", SECRET)
    store.objects[f"{V}/time/2"] = store.objects[f"{V}/time/1"]
    with pytest.raises(SealBroken, match="does not match"):
        SealedStore(store, master("red").open()).get(f"{V}/time/2")


# -- keys in the store


def test_one_damaged_copy_of_a_key_does_no_harm(node: Node, master: Make) -> None:
    store = MemoryStore()
    SealedStore(store, own=node("n0")).put(f"{V}/time/1", SECRET)
    (folder,) = key_folders(store)
    sound = dict(store.objects)
    for name in keys.NAMES:
        for change in (lambda name: store.objects.pop(name), lambda name: store.objects.update({name: b"AURK?"})):
            store.objects = dict(sound)
            change(f"{folder}/{name}")
            assert SealedStore(store, master("red").open()).get(f"{V}/time/1") == SECRET
    store.objects[f"{folder}/key"] = b"AURK?"
    for change in (lambda: store.objects.update({f"{folder}/key-copy": b""}), lambda: store.delete(store.list(folder))):
        change()
        with pytest.raises(SealBroken, match=f"the key that sealed it is missing or damaged: {folder}"):
            SealedStore(store, master("red").open()).get(f"{V}/time/1")


def test_another_key_in_the_place_of_the_right_one_is_not_used(node: Node, master: Make) -> None:
    store = MemoryStore()
    for name in ("n0", "n1"):
        SealedStore(store, own=node(name)).put(f"{V}/time/{name}", SECRET)
    one, other = (f"{V}/keys/{node(name).check.hex()}" for name in ("n0", "n1"))
    for name in keys.NAMES:
        store.objects[f"{one}/{name}"] = store.objects[f"{other}/{name}"]
    with pytest.raises(SealBroken, match=one):
        SealedStore(store, master("red").open()).get(f"{V}/time/n0")


class Puts(MemoryStore):
    """Notes the names put, fails at those told, and calls back before each put."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.fail_after = -1
        self.before: Callable[[str], None] = lambda _: None

    def put(self, name: str, data: bytes) -> None:
        """See ``ObjectStore.put``."""
        if len(self.names) == self.fail_after:
            raise ObjectStoreError("the store is full")
        self.before(name)
        self.names.append(name)
        super().put(name, data)


def test_the_key_goes_first_and_once(node: Node) -> None:
    store = Puts()
    writer = SealedStore(store, own=node("n0"))
    for failures in (0, 1):
        store.fail_after = failures
        with pytest.raises(ObjectStoreError, match="full"):
            writer.put(f"{V}/time/1", SECRET)
    assert _objects(store) == []
    store.fail_after, store.names = -1, []
    for name in ("1", "2", "3"):
        writer.put(f"{V}/time/{name}", SECRET)
    folder = f"{V}/keys/{node('n0').check.hex()}"
    assert store.names == [f"{folder}/key", f"{folder}/key-copy", *(f"{V}/time/{name}" for name in "123")]
    assert store.objects[f"{folder}/key"] == (node("n0").folder / "key").read_bytes()


def test_a_node_without_its_key_files_says_so(node: Node) -> None:
    disk, store = node("n0"), MemoryStore()
    for name in keys.NAMES:
        (disk.folder / name).write_bytes(b"nothing")
    with pytest.raises(ObjectStoreError, match="the backup cannot be encrypted: no sound key file"):
        SealedStore(store, own=disk).put(f"{V}/time/1", SECRET)
    for name in keys.NAMES:
        (disk.folder / name).write_bytes((node("n1").folder / name).read_bytes())
    with pytest.raises(ObjectStoreError, match="those of another data key"):
        SealedStore(store, own=disk).put(f"{V}/time/1", SECRET)
    assert store.objects == {}


# -- a new master key


def test_all_keys_are_wrapped_anew_also_those_of_nodes_that_are_gone(node: Node, master: Make) -> None:
    store = MemoryStore()
    for number, volume in enumerate((V, V, "another", V)):
        SealedStore(store, own=node(f"n{number}")).put(f"{volume}/time/{number}", SECRET)
    SealedStore(store, own=node("foreign", "green")).put("third/time/9", SECRET)
    red, blue = master("red").open(), master("blue").open()
    done = rewrap(store, red, blue)
    foreign = f"third/keys/{node('foreign').check.hex()}: wrapped by master key '{_key_id(master('green'))}'"
    assert (done.count, done.left) == (4, [foreign])
    assert rewrap(store, red, blue).count == 0
    for number, volume in enumerate((V, V, "another", V)):
        assert SealedStore(store, blue).get(f"{volume}/time/{number}") == SECRET
        with pytest.raises(KeyRefused, match=f"wrapped by master key '{blue.key_id}'"):
            SealedStore(store, red).get(f"{volume}/time/{number}")
    assert SealedStore(store, master("green").open()).get("third/time/9") == SECRET


@pytest.mark.parametrize("puts", range(6))
def test_an_interrupted_round_is_finished_by_the_next(node: Node, master: Make, puts: int) -> None:
    store = Puts()
    for name in ("n0", "n1", "n2"):
        SealedStore(store, own=node(name)).put(f"{V}/time/{name}", SECRET)
    red, blue = master("red").open(), master("blue").open()
    store.names, store.fail_after = [], puts
    with pytest.raises(ObjectStoreError, match="full"):
        rewrap(store, red, blue)
    store.fail_after = -1
    assert rewrap(store, red, blue).count == 3 - puts // 2
    for name in ("n0", "n1", "n2"):
        assert SealedStore(store, blue).get(f"{V}/time/{name}") == SECRET
    for folder in key_folders(store):
        assert store.objects[f"{folder}/key"] == store.objects[f"{folder}/key-copy"]


class Silent:
    """A holder of the master key that does not answer."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id

    def wrap(self, data_key: bytes) -> bytes:
        """Fails."""
        raise TimeoutError("no answer")

    def unwrap(self, wrapped: bytes) -> bytes:
        """Fails."""
        raise TimeoutError("no answer")


def test_a_holder_that_does_not_answer_ends_the_round(node: Node, master: Make) -> None:
    store = MemoryStore()
    SealedStore(store, own=node("n0")).put(f"{V}/time/1", SECRET)
    before = dict(store.objects)
    blue = master("blue").open()
    with pytest.raises(KeyRefused, match=rf"{V}/keys/.*no answer"):
        rewrap(store, Silent(_key_id(master("red"))), blue)
    with pytest.raises(KeyRefused, match="no answer"):
        rewrap(store, master("red").open(), Silent("vault/new"))
    assert store.objects == before


def test_damaged_keys_are_named_and_left(node: Node, master: Make) -> None:
    store = MemoryStore()
    SealedStore(store, own=node("n0")).put(f"{V}/time/1", SECRET)
    for name in store.list(f"{V}/keys"):
        store.objects[name] = b"?"
    done = rewrap(store, master("red").open(), master("blue").open())
    assert (done.count, done.left) == (0, [f"{V}/keys/{node('n0').check.hex()}: damaged"])


@pytest.mark.parametrize("at", [0, 1])
def test_a_node_that_puts_its_key_while_it_is_wrapped_anew(node: Node, master: Make, at: int) -> None:
    """The round sees no key in the store yet; the node is about to put the one it has read."""
    store = Puts()
    red, blue = master("red"), master("blue")
    disk = node("n0")

    def interfere(name: str) -> None:
        if len(store.names) == at:
            store.before = lambda _: None
            keys.rekey_folder(disk.folder, red, blue)
            rewrap(store, red.open(), blue.open())

    store.before = interfere
    SealedStore(store, own=disk).put(f"{V}/time/1", SECRET)
    assert SealedStore(store, blue.open()).get(f"{V}/time/1") == SECRET
    (folder,) = key_folders(store)
    for name in keys.NAMES:
        assert keys.decode(store.objects[f"{folder}/{name}"]).key_id == blue.open().key_id


# -- a fleet


class Fleet(BackupFleet):
    """A ``BackupFleet`` whose nodes seal; ``clear`` do not."""

    def __init__(self, seed: int, node: Node, clear: Sequence[str] = (), **settings: float) -> None:
        super().__init__(seed, **settings)
        for name in self.disks:
            if name not in clear:
                self.net.stores[name] = SealedStore(self.store, own=node(name))


def test_a_fleet_comes_back_encrypted(node: Node, master: Make, tmp_path: Path) -> None:
    fleet = Fleet(1, node, snapshot_age_s=2)
    for _ in range(8):
        vdl = fleet.write(20)
        fleet.settle(6)
    assert any("/snapshot/" in name for name in fleet.store.objects)
    assert all(fleet.store.objects[name].startswith(sealed_store.MAGIC) for name in _objects(fleet.store))
    reading = SealedStore(fleet.store, master("red").open())
    assert survey_of(reading, None).volume_id == VOLUME
    fleet.check(tmp_path / "new", vdl, store=reading, keys=master("red"))
    checks = set()
    for peer in TARGET:
        folder = tmp_path / "new" / peer.node_id
        with pytest.raises(KeyRefused, match="are encrypted"):
            open_disk(folder, None)
        disk = open_disk(folder, master("red"))
        assert isinstance(disk, EncryptedFolder)
        checks.add(disk.check)
        for page_file in folder.glob("pages-*"):
            held = page_file.read_bytes()
            plain = disk.read(page_file.name, 0, len(held))
            assert len(plain) == len(held)
            for at in range(0, len(plain), PAGE_BYTES):
                page = plain[at : at + PAGE_BYTES]
                assert (held[at : at + PAGE_BYTES] == page) == (not any(page)), "a page in the clear, or no hole"
        disk.close()
    assert len(checks) == len(TARGET)
    for wrong in (SealedStore(fleet.store), SealedStore(fleet.store, master("blue").open())):
        with pytest.raises(KeyRefused, match=_key_id(master("red"))):
            restore(wrong, None, tmp_path / "no", TARGET)
    assert not (tmp_path / "no").exists() and not (tmp_path / "no.partial").exists()


def test_damage_is_named_and_another_object_stands_in(node: Node, master: Make, tmp_path: Path) -> None:
    fleet = Fleet(2, node, nodes=1, snapshot_age_s=2, pages=10)
    for _ in range(12):
        vdl = fleet.write(20)
        fleet.settle(6)
    snapshots = [name for name in fleet.store.objects if "/chunk/" in name]
    assert len({name.split("/")[3] for name in snapshots}) > 2
    reading = SealedStore(fleet.store, master("red").open())
    for name in (max(snapshots), max(n for n in fleet.store.objects if "/log/" in n)):
        held = bytearray(fleet.store.objects[name])
        held[-1] ^= 1
        fleet.store.objects[name] = bytes(held)
    with pytest.raises(RestoreError, match=r"/log/.* is damaged: the seal does not match"):
        restore(reading, str(vdl), tmp_path / "no", TARGET)
    before = objects.parse_log(name).prev_lsn
    fleet.check(tmp_path / "new", before, store=reading, keys=master("red"))


def test_a_volume_encrypted_node_by_node(node: Node, master: Make, tmp_path: Path) -> None:
    fleet = Fleet(3, node, clear=("n0",), nodes=2, takeover_s=0.5)
    for turn in range(6):
        vdl = fleet.write(20)
        fleet.settle(6)
        if turn == 2:
            fleet.crash("n0")
    fleet.settle()
    sealed = {fleet.store.objects[name].startswith(sealed_store.MAGIC) for name in _objects(fleet.store)}
    assert sealed == {True, False}
    fleet.check(tmp_path / "new", vdl, store=SealedStore(fleet.store, master("red").open()), keys=master("red"))


def test_what_leaves_the_window_takes_no_key_along(node: Node, master: Make, tmp_path: Path) -> None:
    fleet = Fleet(4, node, snapshot_age_s=2, backup_window_s=30)
    first: set[str] = set()
    for _ in range(40):
        vdl = fleet.write(20)
        fleet.settle(8)
        first = first or {name for name in _objects(fleet.store) if "/time/" not in name}
    assert first and not first & set(_objects(fleet.store)), "nothing has left the window"
    assert len(list(key_folders(fleet.store))) >= 1
    fleet.check(tmp_path / "new", vdl, store=SealedStore(fleet.store, master("red").open()), keys=master("red"))


# -- the programs


def _told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    program.main(arguments)
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_the_restore_program_says_which_master_key(
    node: Node, master: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = Fleet(5, node)
    vdl = fleet.write(20)
    fleet.settle()
    folder = FolderStore(tmp_path / "backup")
    for name, data in fleet.store.objects.items():
        folder.put(name, data)
    source = ("--from", (tmp_path / "backup").as_uri(), "--list")
    assert _told(capsys, *source, "--master-key-file", str(master("red").master_key_file))["ranges"] == [[1, vdl]]
    for wrong in ((), ("--master-key-file", str(master("blue").master_key_file))):
        assert _key_id(master("red")) in str(_told(capsys, *source, *wrong)["error"])
    nowhere = str(tmp_path / "nowhere")
    assert "cannot be read" in str(_told(capsys, *source, "--master-key-file", nowhere)["error"])
    with pytest.raises(SystemExit):
        program.main([*source, "--master-key-file", nowhere, "--key-provider", "a:b"])


def _backup(node: Node, folder: Path, clear: Sequence[str] = ()) -> str:
    """A small fleet's backup in a folder; its URL."""
    fleet = Fleet(6, node, clear=clear)
    fleet.write(20)
    fleet.settle()
    store = FolderStore(folder)
    for name, data in fleet.store.objects.items():
        store.put(name, data)
    return folder.as_uri()


def test_where_the_restored_clusters_master_key_is(node: Node, master: Make, tmp_path: Path) -> None:
    url = _backup(node, tmp_path / "old" / "backup")
    red, target = master("red").master_key_file, tmp_path / "new"
    assert red is not None
    flags = ["restore", "--from", url, "--to", str(target), "--port", "0"]
    target.mkdir()
    theirs = tmp_path / "old" / "master.key"
    shutil.copy(master("blue").master_key_file or "", theirs)
    assert cli.main([*flags, "--master-key-file", str(theirs)]) == 1  # it does not open this backup
    assert list(target.iterdir()) == []

    assert cli.main([*flags, "--master-key-file", str(red)]) == 0
    assert Cluster(target).keys == KeySource(red)
    assert not (target / "master.key").exists()

    shutil.rmtree(target)
    shutil.copy(red, theirs)
    theirs.chmod(0o644)
    assert cli.main([*flags, "--master-key-file", str(theirs)]) == 0
    cluster = Cluster(target)
    assert cluster.keys == KeySource(target / "master.key")
    assert (target / "master.key").stat().st_mode & 0o077 == 0
    keys.make_master_key_file(tmp_path / "later.key")
    (tmp_path / "later.key").replace(theirs)  # as aurora rekey does with the other cluster
    for name in cluster.required.nodes:
        open_disk(target / "storage" / name.id, cluster.keys).close()


def test_a_backup_in_the_clear_makes_an_encrypted_cluster_when_a_key_is_given(
    node: Node, master: Make, tmp_path: Path
) -> None:
    url = _backup(node, tmp_path / "backup", clear=("n0", "n1"))
    assert not (tmp_path / "backup" / V / "keys").exists()
    for name, flags, source in (
        ("clear", [], None),
        ("locked", ["--master-key-file", str(master("red").master_key_file)], master("red")),
    ):
        target = tmp_path / name
        assert cli.main(["restore", "--from", url, "--to", str(target), "--port", "0", *flags]) == 0
        cluster = Cluster(target)
        assert cluster.keys == source
        for spec in cluster.required.nodes:
            open_disk(target / "storage" / spec.id, source).close()


def test_a_plugin_holds_the_master_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault = KeySource(provider="test_keys:vault")
    fleet = BackupFleet(7, nodes=1)
    disk = open_disk(tmp_path / "n0", vault)
    assert isinstance(disk, EncryptedFolder)
    store = FolderStore(tmp_path / "backup")
    fleet.net.stores["n0"] = SealedStore(store, own=disk)
    vdl = fleet.write(20)
    fleet.settle()
    disk.close()
    nodes = ",".join(f"{peer.node_id}={peer.az}={peer.address}" for peer in TARGET)
    to = ("--from", store.root.as_uri(), "--folder", str(tmp_path / "new"), "--nodes", nodes)
    wrong = _told(capsys, *to, "--key-provider", "test_keys:other_vault")["error"]
    assert "wrapped by master key 'vault/blue'; what 'vault/red' unwraps is another one" in str(wrong)
    assert _told(capsys, *to, *vault.flags())["lsn"] == vdl
    for peer in TARGET:
        open_disk(tmp_path / "new" / peer.node_id, vault).close()
    done = sealed_store.rekey_store(store.root.as_uri(), vault, KeySource(provider="test_keys:other_vault"))
    assert (done.count, done.left) == (1, [])


def _cluster(folder: Path) -> Cluster:
    cluster = Cluster(folder)
    cluster.create(host=LOOPBACK, port=0, pages_per_pg=512, cache_mb=64, password=None, encrypt=True)
    return cluster


def test_rekey_reaches_the_backup(node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = _cluster(tmp_path / "c")
    backup = FolderStore(tmp_path / "c" / "backup")
    nodes = [cluster.required.nodes[0].id, "one-that-is-gone"]
    for name in nodes:
        disk = open_disk(tmp_path / "c" / "storage" / name, cluster.keys)
        assert isinstance(disk, EncryptedFolder)
        SealedStore(backup, own=disk).put(f"{V}/time/{name}", SECRET)
        disk.close()
    old = FileKeyProvider(tmp_path / "c" / "master.key")
    assert cli.main(["rekey", "--data", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out == "data keys wrapped anew: 1, in the backup: 2\n"
    new = FileKeyProvider(tmp_path / "c" / "master.key")
    assert new.key_id != old.key_id
    for name in nodes:
        assert SealedStore(backup, new).get(f"{V}/time/{name}") == SECRET
        with pytest.raises(KeyRefused):
            SealedStore(backup, old).get(f"{V}/time/{name}")

    # A store that fails: nothing has been changed yet.
    (tmp_path / "c" / "backup").rename(tmp_path / "aside")
    (tmp_path / "c" / "backup").write_text("in the way")
    assert cli.main(["rekey", "--data", str(tmp_path / "c")]) == 1
    assert "Not a directory" in capsys.readouterr().err
    open_disk(tmp_path / "c" / "storage" / nodes[0], Cluster(tmp_path / "c").keys).close()
    (tmp_path / "c" / "backup").unlink()
    (tmp_path / "aside").rename(tmp_path / "c" / "backup")
    assert cli.main(["rekey", "--data", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out == "data keys wrapped anew: 1, in the backup: 2\n"

    # A backup by itself.
    keys.make_master_key_file(tmp_path / "other.key")
    url = (tmp_path / "c" / "backup").as_uri()
    one = ["rekey", "--backup", url, "--new-master-key-file", str(tmp_path / "other.key")]
    assert cli.main(one) == 1
    assert cli.main([*one, "--folder", str(tmp_path), "--master-key-file", str(tmp_path / "c" / "master.key")]) == 1
    assert "exclude each other" in capsys.readouterr().err
    assert cli.main([*one, "--master-key-file", str(tmp_path / "c" / "master.key")]) == 0
    assert capsys.readouterr().out == "data keys wrapped anew: 0, in the backup: 2\n"
    assert SealedStore(backup, FileKeyProvider(tmp_path / "other.key")).get(f"{V}/time/{nodes[1]}") == SECRET
    assert cli.main(["rekey", "--data", str(tmp_path / "c")]) == 0
    told = capsys.readouterr()
    assert told.out == "data keys wrapped anew: 1, in the backup: 0\n"
    assert told.err.count("left in the backup: ") == 2


def test_a_round_that_ended_before_the_store_was_done_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = _cluster(tmp_path / "c")
    backup = FolderStore(tmp_path / "c" / "backup")
    disk = open_disk(tmp_path / "c" / "storage" / cluster.required.nodes[0].id, cluster.keys)
    assert isinstance(disk, EncryptedFolder)
    SealedStore(backup, own=disk).put(f"{V}/time/1", SECRET)
    disk.close()

    def fail(*_: object) -> None:
        raise ObjectStoreError("no route to host")

    with monkeypatch.context() as patch:
        patch.setattr(sealed_store, "rewrap", fail)
        with pytest.raises(ClusterError, match="no route to host; aurora rekey once more finishes the round"):
            cluster.rekey(None)
    assert cli.main(["rekey", "--data", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out == "data keys wrapped anew: 0, in the backup: 1\n"
    reading = SealedStore(backup, FileKeyProvider(tmp_path / "c" / "master.key"))
    assert reading.get(f"{V}/time/1") == SECRET


def test_a_node_knows_its_key_as_its_folder_has_it(node: Node, master: Make) -> None:
    disk = node("n0")
    assert disk.wrapped_key().key_id == _key_id(master("red"))
    keys.rekey_folder(disk.folder, master("red"), master("blue"))
    assert disk.wrapped_key().key_id == _key_id(master("blue"))
    (disk.folder / "key").unlink()
    assert disk.wrapped_key().key_id == _key_id(master("blue"))
