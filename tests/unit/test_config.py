"""Flags and environment of both programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from compute_node import config as compute_config
from compute_node.config import Config, ConfigError
from storage_node import config as storage_config

WRITER = ["--id", "i", "--storage", "a:1,b:2"]
NODE = ["--id", "az1-a", "--data", "/d", "--listen", "unix:/n"]


def compute(*flags: str, **environment: str) -> Config:
    return compute_config.load([*WRITER, *flags], environment)


def test_defaults_of_the_writer() -> None:
    config = compute()
    assert (config.role, config.host, config.port) == ("writer", "127.0.0.1", 5432)
    assert config.storage == ("a:1", "b:2")
    assert config.loopback and config.password is None and not config.verify_redo
    assert config.cache_frames * 8192 == config.cache_mb << 20


def test_the_command_line_wins_over_the_environment() -> None:
    assert compute("--cache-mb", "64", AURORA_CACHE_MB="32").cache_mb == 64
    assert compute(AURORA_CACHE_MB="32").cache_mb == 32
    assert compute(AURORA_LISTEN="localhost:7").port == 7


def test_a_folder_of_dictionaries_is_there(tmp_path: Path) -> None:
    assert compute().tsearch_data is None
    assert compute("--tsearch-data", str(tmp_path)).tsearch_data == tmp_path
    assert compute(AURORA_TSEARCH_DATA=str(tmp_path)).tsearch_data == tmp_path
    with pytest.raises(ConfigError, match="missing is not a folder"):
        compute("--tsearch-data", str(tmp_path / "missing"))


def test_everything_may_come_from_the_environment() -> None:
    config = compute_config.load([], {"AURORA_ID": "x", "AURORA_STORAGE": "a:1", "AURORA_PASSWORD": "p"})
    assert (config.id, config.storage, config.password) == ("x", ("a:1",), "p")


@pytest.mark.parametrize("listen", ["5432", "localhost", "127.0.0.1:", "127.0.0.1:many"])
def test_listen_is_host_and_port(listen: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        compute("--listen", listen)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "db.example.org"])
def test_beyond_loopback_a_password_is_needed(host: str) -> None:
    with pytest.raises(ConfigError, match="password"):
        compute("--listen", f"{host}:5432")
    with pytest.raises(ConfigError, match="password"):
        compute("--listen", f"{host}:5432", AURORA_PASSWORD="")
    assert not compute("--listen", f"{host}:5432", AURORA_PASSWORD="secret").loopback


def test_the_password_file_is_stripped_and_wins(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n")
    assert compute("--password-file", str(file), AURORA_PASSWORD="other").password == "from file"


@pytest.mark.parametrize(
    "listen",
    [
        "::1:5432",
        "[::1]:5432",
    ],
)
def test_ipv6_loopback(listen: str) -> None:
    config = compute("--listen", listen)
    assert (config.host, config.port) == ("::1", 5432)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cache-mb", "1"], "cache-mb"),
        (["--pages-per-pg", "1"], "pages-per-pg"),
        (["--tls-cert", "x.pem"], "go together"),
        (["--tls-key", "x.pem"], "go together"),
        (["--role", "reader"], "feed-listen"),
        (["--feed-listen", "h:many"], "feed-listen"),
        (["--peers", "h:1,h"], "peers"),
        (["--promotion-tier", "16"], "promotion-tier"),
        (["--promotion-tier", "-1"], "promotion-tier"),
    ],
)
def test_values_that_make_no_sense_are_named(flags: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compute(*flags)


def test_a_place_among_other_instances() -> None:
    config = compute()
    assert (config.feed_listen, config.peers, config.promotion_tier) == ("", (), 1)
    flags = ("--role", "reader", "--feed-listen", "h:0", "--peers", "a:1,b:2", "--promotion-tier", "0")
    config = compute(*flags)
    assert (config.role, config.feed_listen, config.peers, config.promotion_tier) == (
        "reader", "h:0", ("a:1", "b:2"), 0,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="role"):
        compute(AURORA_ROLE="king")


@pytest.mark.parametrize("flags", [[], ["--id", "x"], [*WRITER, "--role", "king"], [*WRITER, "--cache-mb", "big"]])
def test_flags_that_do_not_parse_end_with_status_2(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        compute_config.load(flags, {})
    assert ended.value.code == 2


def test_redo_check_by_flag_or_environment() -> None:
    assert compute("--verify-redo").verify_redo
    assert compute(AURORA_VERIFY_REDO="1").verify_redo


def test_a_nodes_flags() -> None:
    config = storage_config.load([*NODE, "--az", "az1", "--peers", "az1-a=az1=h:1, az1-b=az1=h:2"], {})
    assert (config.node_id, config.az, config.data) == ("az1-a", "az1", Path("/d"))
    assert config.peers == (storage_config.Peer("az1-b", "az1", "h:2"),), "a node is not its own peer"


def test_a_nodes_environment() -> None:
    environment = {"AURORA_NODE_ID": "n", "AURORA_NODE_DATA": "/x", "AURORA_NODE_CACHE_MB": "3"}
    environment["AURORA_NODE_LISTEN"] = "unix:/n"
    config = storage_config.load([], environment)
    assert (config.node_id, config.data, config.cache_mb) == ("n", Path("/x"), 3.0)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--id", "x"],
        [*NODE, "--peers", "az1-b"],
        [*NODE, "--peers", "az1-b==h:1"],
        [*NODE, "--cache-mb", "0"],
        [*NODE, "--gossip-ms", "-1"],
        [*NODE, "--slice-ms", "x"],
    ],
)
def test_wrong_flags_of_a_node_end_with_status_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        storage_config.load(flags, {})
    assert ended.value.code == 2
    assert "storage_node" in capsys.readouterr().err
