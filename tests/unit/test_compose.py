"""docker-compose.yml and the Dockerfile describe the cluster that the programs understand; nothing is started."""

from __future__ import annotations

import argparse
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from aurora.programs.endpoints import __main__ as endpoints_program
from aurora.programs.supervisor import NODES
from aurora.quorum import SEGMENTS
from aurora.rpc.tls import TlsFiles
from compute_node import config as compute_config
from storage_node import config as storage_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return document


def _flags(service: dict[str, Any], module: str) -> list[str]:
    words = shlex.split(service["command"])
    assert words[:3] == ["python", "-m", module]
    return words[3:]


def _environment(service: dict[str, Any]) -> dict[str, str]:
    """What the file itself sets, without what it takes from outside."""
    given = {name: str(value) for name, value in service["environment"].items() if value is not None}
    return {name: value for name, value in given.items() if "$" not in value}


def _running(compose: dict[str, Any]) -> dict[str, Any]:
    """The services that stay up."""
    return {name: service for name, service in compose["services"].items() if name != "certs"}


def _nodes(compose: dict[str, Any]) -> dict[str, storage_config.NodeConfig]:
    return {
        name: storage_config.load(_flags(service, "storage_node"), _environment(service))
        for name, service in compose["services"].items()
        if "storage_node" in service["command"]
    }


def _writer(compose: dict[str, Any]) -> dict[str, Any]:
    service: dict[str, Any] = compose["services"]["instance-1"]
    return service


def _instances(compose: dict[str, Any]) -> dict[str, compute_config.Config]:
    return {
        name: compute_config.load(_flags(service, "compute_node"), {**_environment(service), "AURORA_PASSWORD": "x"})
        for name, service in compose["services"].items()
        if "compute_node" in service["command"]
    }


def test_six_storage_nodes_in_three_zones(compose: dict[str, Any]) -> None:
    nodes = _nodes(compose)
    assert len(nodes) == SEGMENTS
    assert {(node.node_id, node.az) for node in nodes.values()} == set(NODES)
    assert set(Counter(node.az for node in nodes.values()).values()) == {2}
    assert all(name == node.node_id for name, node in nodes.items())


def test_each_node_knows_the_other_five(compose: dict[str, Any]) -> None:
    nodes = _nodes(compose)
    for name, node in nodes.items():
        assert {peer.node_id for peer in node.peers} == set(nodes) - {name}
        for peer in node.peers:
            host, _, port = peer.address.partition(":")
            assert host == peer.node_id
            assert port == nodes[peer.node_id].listen.rpartition(":")[2]
            assert peer.az == nodes[peer.node_id].az


def test_each_node_keeps_its_files_on_a_named_volume(compose: dict[str, Any]) -> None:
    used = []
    for name, node in _nodes(compose).items():
        own, _shared, _certs = compose["services"][name]["volumes"]
        volume, _, target = own.partition(":")
        assert target == str(node.data)
        used.append(volume)
    assert sorted([*used, "backup", "certs"]) == sorted(compose["volumes"])
    assert len(set(used)) == SEGMENTS


def test_the_nodes_stage_the_backup_to_one_place(compose: dict[str, Any]) -> None:
    for name in _nodes(compose):
        service = compose["services"][name]
        assert "backup:/backup" in service["volumes"]
        given = re.fullmatch(r"\$\{AURORA_BACKUP:-(.+)\}", service["environment"]["AURORA_NODE_BACKUP"])
        assert given
        environment = {**_environment(service), "AURORA_NODE_BACKUP": given[1]}
        config = storage_config.load(_flags(service, "storage_node"), environment)
        assert config.backup == "file:///backup"
    made = re.search(r"mkdir -p (.+?) &&", (ROOT / "Dockerfile").read_text())
    assert made and "/backup" in made[1].split()  # a named volume takes its owner from the image's folder


def test_the_writers_command_is_understood_and_needs_a_password(compose: dict[str, Any]) -> None:
    flags = _flags(_writer(compose), "compute_node")
    with pytest.raises(compute_config.ConfigError, match="password"):
        compute_config.load(flags, {})
    config = compute_config.load(flags, {"AURORA_PASSWORD": "secret"})
    assert config.password == "secret"
    assert set(config.storage) == {f"{name}:7000" for name in _nodes(compose)}


def test_a_writer_and_two_readers_that_find_each_other(compose: dict[str, Any]) -> None:
    instances = _instances(compose)
    assert {name: config.role for name, config in instances.items()} == {
        "instance-1": "writer", "instance-2": "reader", "instance-3": "reader",
    }  # fmt: skip
    feeds = {name: config.feed_listen for name, config in instances.items()}
    for name, config in instances.items():
        assert config.id == name and config.host == name, "others are told this address"
        assert config.feed_listen.startswith(f"{name}:")
        assert set(config.peers) == {feed for other, feed in feeds.items() if other != name}
        assert config.storage == instances["instance-1"].storage


def _endpoints(compose: dict[str, Any]) -> argparse.Namespace:
    service = compose["services"]["endpoints"]
    return endpoints_program.parse(_flags(service, "aurora.programs.endpoints"), _environment(service))


def test_the_endpoints_find_the_instances_and_lead_to_writer_and_readers(compose: dict[str, Any]) -> None:
    args = _endpoints(compose)
    assert {each.name: (str(each.kind), each.address) for each in endpoints_program.given(args)} == {
        "cluster": ("writer", "0.0.0.0:5432"), "reader": ("reader", "0.0.0.0:5433"),
    }  # fmt: skip
    assert set(args.peers.split(",")) == {config.feed_listen for config in _instances(compose).values()}
    files = {config.storage_tls for config in _instances(compose).values()}
    assert files == {TlsFiles(args.storage_tls_ca, args.storage_tls_cert, args.storage_tls_key)}
    assert args.metrics_listen == "0.0.0.0:9100"
    assert compose["services"]["endpoints"]["healthcheck"]["test"][-1] == "127.0.0.1:5432"
    assert compose["services"]["endpoints"]["depends_on"] == {"certs": {"condition": "service_completed_successfully"}}


def test_the_password_comes_from_the_environment_or_not_at_all(compose: dict[str, Any]) -> None:
    given = _writer(compose)["environment"]["AURORA_PASSWORD"]
    assert re.fullmatch(r"\$\{AURORA_PASSWORD:\?.+\}", given), "a missing password must stop compose"
    assert [line for line in (ROOT / "docker-compose.yml").read_text().splitlines() if "--password" in line] == []


def test_everybody_has_a_health_check_and_comes_back(compose: dict[str, Any]) -> None:
    for name, service in _running(compose).items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_health_checks_call_programs_that_exist(compose: dict[str, Any]) -> None:
    from aurora.programs.cli import _parser

    node = compose["services"]["az1-a"]["healthcheck"]["test"]
    assert node[1] == "aurora"
    arguments = _parser().parse_args(node[2:])
    assert arguments.verb == "status" and arguments.check and arguments.storage == "127.0.0.1:7000"
    writer = _writer(compose)["healthcheck"]["test"]
    assert writer[1:3] == ["python", "-m"]
    assert (ROOT / (writer[3].replace(".", "/") + ".py")).is_file()
    for name, config in _instances(compose).items():
        assert compose["services"][name]["healthcheck"]["test"][1:] == [*writer[1:4], f"{config.host}:{config.port}"]


def test_storage_speaks_mutual_tls_with_certificates_that_are_made_first(compose: dict[str, Any]) -> None:
    from aurora.programs import certs
    from aurora.programs.cli import _parser

    words = shlex.split(compose["services"]["certs"]["command"])
    arguments = _parser().parse_args(words[1:])
    assert words[0] == "aurora" and arguments.verb == "certs" and arguments.if_missing
    assert set(arguments.name) == set(_nodes(compose))
    storage, client = certs.tls_files(arguments.dir, "storage"), certs.tls_files(arguments.dir, "compute")
    for name, node in _nodes(compose).items():
        assert node.tls == storage
        service = compose["services"][name]
        assert service["depends_on"]["certs"]["condition"] == "service_completed_successfully"
        assert "certs:/certs:ro" in service["volumes"]
        check = _parser().parse_args(service["healthcheck"]["test"][2:])
        assert (check.tls_ca, check.tls_cert, check.tls_key) == (client.ca, client.certificate, client.key)
    assert {config.storage_tls for config in _instances(compose).values()} == {client}
    made = re.search(r"mkdir -p (.+?) &&", (ROOT / "Dockerfile").read_text())
    assert made and str(arguments.dir) in made[1].split()


def test_the_writer_waits_for_healthy_nodes(compose: dict[str, Any]) -> None:
    for name in _instances(compose):
        waits = compose["services"][name]["depends_on"]
        assert set(waits) == set(_nodes(compose))
        assert {wait["condition"] for wait in waits.values()} == {"service_healthy"}


def test_storage_is_not_published(compose: dict[str, Any]) -> None:
    published = {name for name, service in compose["services"].items() if service.get("ports")}
    assert published == {*_instances(compose), "endpoints"}
    ports = [port for name in sorted(published) for port in compose["services"][name]["ports"]]
    assert [re.findall(r":-(\d+)}:(\d+)$", port) for port in ports] == [
        [("5432", "5432")], [("5433", "5433")], [("5441", "5432")], [("5442", "5432")], [("5443", "5432")],
    ]  # fmt: skip
    variables = [re.findall(r"\$\{(\w+)", port) for port in ports]
    assert len({name for (name,) in variables}) == len(ports)


def test_everybody_serves_metrics_inside_the_network_alone(compose: dict[str, Any]) -> None:
    for name, service in _running(compose).items():
        environment = service["environment"]
        listen = environment.get("AURORA_METRICS_LISTEN") or environment["AURORA_NODE_METRICS_LISTEN"]
        assert service["expose"] == [listen.rpartition(":")[2]], name
    flags = ["--id", "n", "--data", "d", "--listen", "unix:/n"]
    given = {"AURORA_NODE_METRICS_LISTEN": "0.0.0.0:9100"}
    assert storage_config.load(flags, given).metrics_listen == "0.0.0.0:9100"
    given = {"AURORA_METRICS_LISTEN": "0.0.0.0:9100", "AURORA_PASSWORD": "x"}
    assert compute_config.load(_flags(_writer(compose), "compute_node"), given).metrics_listen == "0.0.0.0:9100"


def test_the_image_is_built_from_files_that_exist() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    copies = [line for line in words if line[0] == "COPY"]
    assert copies
    for _, *sources, _target in copies:
        if not sources[0].startswith("--from"):
            assert all((ROOT / source).exists() for source in sources)
    stages = [line[3] for line in words if line[0] == "FROM" and len(line) == 4]
    for copy in copies:
        if copy[1].startswith("--from="):
            assert copy[1].removeprefix("--from=") in stages


def test_the_image_does_not_run_as_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER (?!root)\w+", text, re.MULTILINE)
    assert re.search(r"^VOLUME /data", text, re.MULTILINE)


def test_the_images_build_leaves_local_files_out() -> None:
    """COPY . . without this would carry a developer's environment and data into the image."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv", ".git", "aurora-data"} <= {entry.strip("/").removeprefix("**/") for entry in ignored}
