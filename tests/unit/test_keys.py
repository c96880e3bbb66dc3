"""Keys of encryption at rest: key files, providers, refusals that touch nothing, rotation; a real node's refusals."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora import keys
from aurora.encryption import EncryptedDisk
from aurora.errors import InvariantViolation
from aurora.keys import FileKeyProvider, KeyRefused, KeySource, WrappedKey, open_disk
from aurora.programs import cli
from aurora.programs.supervisor import LOOPBACK, Cluster, ClusterError
from aurora.sealed_store import Rewrapped
from aurora.seams import LOCK_NAME, FolderDisk
from aurora.sim.disk import SimDisk
from storage_node.config import NodeConfig
from storage_node.server import NodeServer
from tests.log_rule import DAMAGED_KEYS

pytestmark = pytest.mark.logs(DAMAGED_KEYS, r"a key file: not what was written")


class Vault:
    """A KMS as a plugin would reach it: ``module:factory`` names one of the functions below."""

    down = False

    def __init__(self, secret: int, key_id: str) -> None:
        self._secret = secret
        self.key_id = key_id

    def wrap(self, data_key: bytes) -> bytes:
        """XOR does for a test; a real one encrypts."""
        if Vault.down:
            raise TimeoutError("the vault does not answer")
        return bytes(byte ^ self._secret for byte in data_key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """The same again."""
        return self.wrap(wrapped)


def vault() -> Vault:
    """A key provider's factory."""
    return Vault(0x5A, "vault/blue")


def other_vault() -> Vault:
    """Another master key: it unwraps to something, as it checks nothing itself."""
    return Vault(0x33, "vault/red")


def broken_vault() -> Vault:
    """A factory that fails."""
    raise PermissionError("token expired")


VAULT = KeySource(provider="test_keys:vault")


@pytest.fixture
def master(tmp_path: Path) -> KeySource:
    path = tmp_path / "master.key"
    keys.make_master_key_file(path)
    return KeySource(path)


def _state(folder: Path) -> dict[str, bytes]:
    held = folder.iterdir() if folder.exists() else ()
    return {path.name: path.read_bytes() for path in held if path.name != LOCK_NAME}


def _fill(folder: Path, source: KeySource | None) -> None:
    disk = open_disk(folder, source)
    disk.append("log-00000001", [b"redo"])
    disk.write_atomic("meta", b"promises")
    disk.close()


def _check(folder: Path, source: KeySource | None) -> None:
    disk = open_disk(folder, source)
    assert disk.read("log-00000001", 0, 4) == b"redo"
    assert disk.read("meta", 0, 99) == b"promises"
    assert disk.list() == ["log-00000001", "meta"]
    disk.close()


# -- key files


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200), st.binary(min_size=16, max_size=16), st.binary(max_size=1000))
def test_a_key_file_survives_a_round_trip(key_id: str, check: bytes, wrapped: bytes) -> None:
    key = WrappedKey(key_id, check, wrapped)
    assert keys.decode(keys.encode(key)) == key


def test_a_damaged_key_file_is_refused() -> None:
    data = keys.encode(WrappedKey("file:0123", bytes(range(16)), bytes(range(40))))
    for at in range(len(data)):
        for bit in (0, 7):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            with pytest.raises(InvariantViolation):
                keys.decode(bytes(flipped))
        with pytest.raises(InvariantViolation):
            keys.decode(data[:at])


@pytest.mark.parametrize("name", keys.NAMES)
def test_one_damaged_key_file_is_replaced_from_the_other(tmp_path: Path, master: KeySource, name: str) -> None:
    _fill(tmp_path / "n", master)
    sound = (tmp_path / "n" / name).read_bytes()
    (tmp_path / "n" / name).write_bytes(sound[:30] + b"?" + sound[31:])
    _check(tmp_path / "n", master)
    assert (tmp_path / "n" / name).read_bytes() == sound
    (tmp_path / "n" / name).unlink()
    _check(tmp_path / "n", master)
    assert (tmp_path / "n" / name).read_bytes() == sound


def test_a_key_file_that_decays_is_mended_while_the_node_runs(tmp_path: Path, master: KeySource) -> None:
    disk = open_disk(tmp_path / "n", master)
    assert isinstance(disk, keys.EncryptedFolder)
    sound = (tmp_path / "n" / "key").read_bytes()
    assert not disk.mend_keys()
    for name in keys.NAMES:
        (tmp_path / "n" / name).write_bytes(sound[:-1])
        assert disk.mend_keys()
        assert (tmp_path / "n" / name).read_bytes() == sound
        (tmp_path / "n" / name).unlink()
        assert disk.mend_keys()
        assert (tmp_path / "n" / name).read_bytes() == sound
    disk.close()


def test_mending_does_not_take_a_rekeying_back(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "n", master)
    disk = open_disk(tmp_path / "n", master)
    assert isinstance(disk, keys.EncryptedFolder)
    old = (tmp_path / "n" / "key").read_bytes()
    tried: list[bool] = []

    class Watched(Vault):
        def wrap(self, data_key: bytes) -> bytes:
            (tmp_path / "n" / "key-copy").write_bytes(b"decayed just now")
            tried.append(disk.mend_keys())
            return super().wrap(data_key)

    with keys._key_files(tmp_path / "n") as files:
        assert keys.rewrap(files, master.open(), Watched(0x5A, "vault/blue"))
    assert tried == [False]
    _check(tmp_path / "n", VAULT)
    (tmp_path / "n" / "key-copy").write_bytes(old)  # as if it had ended between the two files
    assert not disk.mend_keys()
    assert (tmp_path / "n" / "key-copy").read_bytes() == old
    disk.close()


def test_both_key_files_damaged_under_a_running_node_is_said(
    tmp_path: Path, master: KeySource, caplog: pytest.LogCaptureFixture
) -> None:
    disk = open_disk(tmp_path / "n", master)
    assert isinstance(disk, keys.EncryptedFolder)
    for name in keys.NAMES:
        (tmp_path / "n" / name).write_bytes(b"nothing")
    assert not disk.mend_keys()
    assert "both key files" in caplog.text
    disk.close()


def test_a_nodes_scrubber_mends_its_key_files(tmp_path: Path, master: KeySource) -> None:
    async def scrubbed() -> None:
        server = NodeServer(NodeConfig(data=tmp_path / "n", master_key_file=master.master_key_file))
        sound, scrub = (tmp_path / "n" / "key").read_bytes(), server.node.scrub
        for passes, name in enumerate(keys.NAMES, 1):
            (tmp_path / "n" / name).write_bytes(sound[:-1] + b"?")
            scrub.demand()
            for _ in range(100):
                scrub.step(float(passes))
            assert (scrub.passes, scrub.damaged, scrub.repaired) == (passes, passes, passes)
            assert (tmp_path / "n" / name).read_bytes() == sound
        server.disk.close()

    asyncio.run(scrubbed())  # the server is made on a loop


def test_both_key_files_damaged(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "n", master)
    for name in keys.NAMES:
        (tmp_path / "n" / name).write_bytes(b"nothing")
    before = _state(tmp_path / "n")
    for source in (master, None):
        with pytest.raises(KeyRefused, match=r"damaged|encrypted"):
            open_disk(tmp_path / "n", source)
    assert _state(tmp_path / "n") == before


# -- opening a folder


@pytest.mark.parametrize("plugin", [False, True])
def test_a_folder_opens_with_its_key_alone(tmp_path: Path, master: KeySource, plugin: bool) -> None:
    source = VAULT if plugin else master
    _fill(tmp_path / "n", source)
    _check(tmp_path / "n", source)
    assert not any(b"redo" in data or b"promises" in data for data in _state(tmp_path / "n").values())
    before = _state(tmp_path / "n")
    keys.make_master_key_file(tmp_path / "other.key")
    wrong = KeySource(tmp_path / "other.key")
    for refused, told in ((None, "--master-key-file"), (wrong, "wrapped by master key"),
                          (KeySource(provider="test_keys:other_vault"), "wrapped by master key"),
                          (KeySource(tmp_path / "none.key"), "cannot be read")):  # fmt: skip
        with pytest.raises(KeyRefused, match=told):
            open_disk(tmp_path / "n", refused)
        assert _state(tmp_path / "n") == before


def test_nodes_have_keys_of_their_own(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "a", master)
    _fill(tmp_path / "b", master)
    a, b = _state(tmp_path / "a"), _state(tmp_path / "b")
    assert a["log-00000001"] != b["log-00000001"]
    assert a["key"] != b["key"]
    assert a["key"] == a["key-copy"]


def test_a_folder_in_the_clear_is_not_taken_for_an_encrypted_one(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "n", None)
    before = _state(tmp_path / "n")
    with pytest.raises(KeyRefused, match="not encrypted"):
        open_disk(tmp_path / "n", master)
    assert _state(tmp_path / "n") == before
    _check(tmp_path / "n", None)


def test_a_provider_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path / "n", VAULT)
    monkeypatch.setattr(Vault, "down", True)
    for folder in ("n", "new"):
        before = _state(tmp_path / folder)
        with pytest.raises(KeyRefused, match="the vault does not answer"):
            open_disk(tmp_path / folder, VAULT)
        assert _state(tmp_path / folder) == before


@pytest.mark.parametrize("provider", ["test_keys:broken_vault", "test_keys:nothing", "no_such_module:x"])
def test_a_provider_that_cannot_be_had(tmp_path: Path, provider: str) -> None:
    with pytest.raises(KeyRefused, match=provider):
        open_disk(tmp_path / "n", KeySource(provider=provider))
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("held", [b"", b"x" * 31, b"x" * 33, b"0" * 63, b"g" * 64, b"\xff" * 64])
def test_what_is_no_master_key(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "m").write_bytes(held)
    with pytest.raises(KeyRefused, match="holds no master key"):
        FileKeyProvider(tmp_path / "m")


def test_a_master_key_in_bytes_or_in_digits_is_the_same(tmp_path: Path) -> None:
    raw = bytes(range(32))
    (tmp_path / "raw").write_bytes(raw)
    (tmp_path / "hex").write_text(raw.hex() + "\n")
    one, two = FileKeyProvider(tmp_path / "raw"), FileKeyProvider(tmp_path / "hex")
    assert one.key_id == two.key_id
    assert two.unwrap(one.wrap(raw)) == raw


def test_a_master_key_file_is_its_owners_and_is_not_written_over(tmp_path: Path) -> None:
    keys.make_master_key_file(tmp_path / "m")
    assert (tmp_path / "m").stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        keys.make_master_key_file(tmp_path / "m")


def test_key_sources_that_make_no_sense() -> None:
    for file, provider in ((Path("f"), "m:f"), (None, "m"), (None, ":f"), (None, "m:")):
        with pytest.raises(ValueError, match=r"exclude|module:factory"):
            KeySource.of(file, provider)
    assert KeySource.of(None, None) is None


def test_a_key_of_a_wrong_length() -> None:
    with pytest.raises(InvariantViolation, match="32 bytes"):
        EncryptedDisk(SimDisk(), b"short", bytes)


# -- rotation


def test_the_master_key_is_replaced_under_the_files(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "n", master)
    before = _state(tmp_path / "n")
    assert keys.rekey_folder(tmp_path / "n", master, VAULT)
    assert not keys.rekey_folder(tmp_path / "n", master, VAULT)
    _check(tmp_path / "n", VAULT)
    with pytest.raises(KeyRefused):
        open_disk(tmp_path / "n", master)
    after = _state(tmp_path / "n")
    assert {name for name in before if before[name] != after[name]} == set(keys.NAMES)
    with pytest.raises(KeyRefused, match="wrapped by master key"):
        keys.rekey_folder(tmp_path / "n", KeySource(provider="test_keys:other_vault"), master)


def test_a_rotation_that_was_interrupted_is_finished(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "n", master)
    old = (tmp_path / "n" / "key-copy").read_bytes()
    keys.rekey_folder(tmp_path / "n", master, VAULT)
    (tmp_path / "n" / "key-copy").write_bytes(old)  # as if it had ended between the two files
    assert keys.rekey_folder(tmp_path / "n", master, VAULT)
    _check(tmp_path / "n", VAULT)
    assert (tmp_path / "n" / "key").read_bytes() == (tmp_path / "n" / "key-copy").read_bytes()


def test_a_folder_in_the_clear_has_no_key_to_wrap(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "n", None)
    with pytest.raises(KeyRefused, match="not encrypted"):
        keys.rekey_folder(tmp_path / "n", master, VAULT)
    with pytest.raises(KeyRefused, match="no folder"):
        keys.rekey_folder(tmp_path / "elsewhere", master, VAULT)


def _cluster(folder: Path, **options: object) -> Cluster:
    cluster = Cluster(folder)
    cluster.create(host=LOOPBACK, port=0, pages_per_pg=512, cache_mb=64, password=None, **options)  # type: ignore[arg-type]
    return cluster


def test_a_clusters_master_key_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = _cluster(tmp_path / "c", encrypt=True)
    assert (tmp_path / "c" / "master.key").stat().st_mode & 0o077 == 0
    folders = [tmp_path / "c" / "storage" / node.id for node in cluster.required.nodes[:5]]
    for folder in folders:
        folder.parent.mkdir(exist_ok=True)
        _fill(folder, cluster.keys)
    first = (tmp_path / "c" / "master.key").read_text()
    assert cli.main(["rekey", "--data", str(tmp_path / "c")]) == 0
    assert capsys.readouterr().out == "data keys wrapped anew: 5, in the backup: 0\n"
    assert (tmp_path / "c" / "master.key").read_text() != first
    assert not (tmp_path / "c" / "master.key.new").exists()
    for folder in folders:
        _check(folder, cluster.keys)
    new = ["--new-key-provider", "test_keys:vault"]
    assert cli.main(["rekey", "--data", str(tmp_path / "c"), *new]) == 0
    changed = Cluster(tmp_path / "c")
    assert changed.keys == VAULT
    for folder in folders:
        _check(folder, VAULT)
    assert changed.rekey(KeySource(tmp_path / "c" / "master.key")) == (5, Rewrapped())
    one = ["--folder", str(folders[0]), "--master-key-file", str(tmp_path / "c" / "master.key")]
    assert cli.main(["rekey", *one]) == 1
    assert "must be given" in capsys.readouterr().err
    assert cli.main(["rekey", *one, *new]) == 0
    _check(folders[0], VAULT)


def test_a_cluster_keeps_to_how_it_was_created(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _cluster(tmp_path / "c")
    for flags, told in (
        (["--encrypt"], "without encryption"), (["--storage-tls"], "without --storage-tls"),
        (["--key-provider", "test_keys:vault"], "without encryption"), (["--key-provider", "x"], "module:factory"),
    ):  # fmt: skip
        assert cli.main(["up", "--detach", "--data", str(tmp_path / "c"), *flags]) == 1
        assert told in capsys.readouterr().err
    assert cli.main(["rekey", "--data", str(tmp_path / "c")]) == 1
    assert "not encrypted" in capsys.readouterr().err
    with pytest.raises(ClusterError, match="cannot be read"):
        _cluster(tmp_path / "d", keys=KeySource(tmp_path / "none"))
    assert not (tmp_path / "d").exists()
    (tmp_path / "e").mkdir()
    keys.make_master_key_file(tmp_path / "e" / "master.key")
    held = (tmp_path / "e" / "master.key").read_text()
    encrypted = _cluster(tmp_path / "e", encrypt=True)
    assert (tmp_path / "e" / "master.key").read_text() == held
    encrypted.set_keys(VAULT)
    assert Cluster(tmp_path / "e").keys == VAULT


# -- a real node


def _run_node(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "storage_node", "--id", "n0", "--data", str(folder), "--listen", "127.0.0.1:0"]
    return subprocess.run([*command, *flags], capture_output=True, text=True, timeout=20, check=False)


def test_a_node_that_cannot_read_its_files_ends_and_says_so(tmp_path: Path, master: KeySource) -> None:
    _fill(tmp_path / "n", master)
    _fill(tmp_path / "clear", None)
    keys.make_master_key_file(tmp_path / "other.key")
    key_id = FileKeyProvider(master.master_key_file or Path()).key_id
    for folder, flags, told in (
        ("n", [], f"wrapped by master key '{key_id}'"),
        ("n", ["--master-key-file", str(tmp_path / "other.key")], f"wrapped by master key '{key_id}'"),
        ("clear", ["--master-key-file", str(master.master_key_file)], "are not encrypted"),
    ):
        before = _state(tmp_path / folder)
        done = _run_node(tmp_path / folder, *flags)
        assert done.returncode == 1
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stdout == ""
        assert _state(tmp_path / folder) == before
    done = _run_node(tmp_path / "n", "--master-key-file", "a", "--key-provider", "b:c")
    assert done.returncode == 2 and "exclude each other" in done.stderr


def test_the_key_files_are_no_files_of_the_node(tmp_path: Path, master: KeySource) -> None:
    disk = open_disk(tmp_path / "n", master)
    assert disk.list() == []
    disk.close()
    assert FolderDisk(tmp_path / "n").list() == sorted(keys.NAMES)
