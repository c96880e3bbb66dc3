"""Verbs over instances: where they listen, who is started as what, who follows whom; the instances are fakes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aurora import exit_status
from aurora.addresses import LOOPBACK
from aurora.programs import cli, instances, places, status
from aurora.programs.description import ClusterError
from aurora.programs.places import BLOCKS, NoPlace, address_in, free_block, free_ports
from aurora.programs.processes import Run
from aurora.programs.status_text import status_text
from aurora.programs.supervisor import Cluster
from compute_node import config as compute_config
from tests.unit.fake_instances import FakeCluster, fake_instances
from tests.unit.test_supervisor import make


def flags_of(cluster: Cluster, name: str) -> compute_config.Config:
    """What an instance would understand of its command."""
    module, *flags = cluster.instance_command(name, cluster.start_role(name))
    assert module == "compute_node"
    return compute_config.load(flags, {})


def alive(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """These instances run, as far as their run files tell."""
    monkeypatch.setattr(Cluster, "pid", lambda _self, name: 1 if name in names else None)


@contextmanager
def running(
    folder: Path, monkeypatch: pytest.MonkeyPatch, readers: int = 2, silent: tuple[str, ...] = ()
) -> Iterator[tuple[Cluster, FakeCluster]]:
    """A cluster whose instances are fakes, instance-1 the writer."""
    cluster = make(folder, port=0, readers=readers)
    names = [one.id for one in cluster.required.instances]
    alive(monkeypatch, *names)
    roles = {name: "writer" if name == names[0] else "reader" for name in names}
    with fake_instances(roles, cluster.secret()) as fakes:
        with cluster.changing() as spec:
            for one in spec.instances:
                if one.id not in silent:
                    one.feed = fakes.states[one.id].feed_address
        yield cluster, fakes


# -- where they listen


def test_with_readers_each_has_an_address_of_its_own_and_all_one_port(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    cluster = make(tmp_path, port=port, readers=2)
    shown = [(one.id, one.role, one.address) for one in cluster.required.instances]
    block = cluster.required.block
    assert block in BLOCKS
    assert shown == [
        ("instance-1", "writer", f"127.0.0.{block + 1}:{port}"),
        ("instance-2", "reader", f"127.0.0.{block + 2}:{port}"),
        ("instance-3", "reader", f"127.0.0.{block + 3}:{port}"),
    ]
    feeds = [one.feed for one in cluster.required.instances]
    assert len({*feeds, *(one.metrics for one in cluster.required.instances)}) == 6
    config = flags_of(cluster, "instance-1")
    assert (config.role, config.feed_listen, config.peers) == ("writer", feeds[0], tuple(feeds[1:]))


def test_a_block_that_somebody_listens_in_is_not_taken() -> None:
    (port,) = free_ports(1)
    with socket.create_server((address_in(BLOCKS[0], 3), port)):
        assert free_block(port) == BLOCKS[1]
    with socket.create_server(("0.0.0.0", port)), pytest.raises(NoPlace, match=str(port)):
        free_block(port)


def test_one_instance_stays_where_it_always_was(tmp_path: Path) -> None:
    cluster = make(tmp_path)
    assert (cluster.writer.address, cluster.required.block) == (f"{LOOPBACK}:5999", 0)
    config = flags_of(cluster, "instance-1")
    assert (config.role, config.peers) == ("writer", ())
    assert config.feed_listen, "readers may be added while it runs"


def test_a_description_of_an_older_program_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = make(tmp_path)
    raw = json.loads(cluster.config_path.read_text())
    del raw["block"]
    raw["instances"] = [{name: raw["instances"][0][name] for name in ("id", "role", "host", "port")}]
    cluster.config_path.write_text(json.dumps(raw))
    old = Cluster(tmp_path)
    assert not flags_of(old, "instance-1").feed_listen
    alive(monkeypatch, "instance-1")
    with pytest.raises(ClusterError, match="aurora instance reboot instance-1"):
        instances.add(old)
    alive(monkeypatch)
    monkeypatch.setattr(Cluster, "_spawn", lambda *_: None)
    old.start_instance("instance-1")
    assert flags_of(Cluster(tmp_path), "instance-1").feed_listen


# -- one more


def test_readers_are_added_to_one_instance_that_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    cluster = make(tmp_path, port=port)
    data = ["--data", str(tmp_path)]
    assert cli.main(["instance", "add", *data]) == 0
    assert "instance-2 (reader) is added" in capsys.readouterr().out
    assert cli.main(["instance", "add", "reports", "--promotion-tier", "15", "--cache-mb", "32", *data]) == 0
    cluster.read()
    block = cluster.required.block
    assert [one.host for one in cluster.required.instances] == [
        LOOPBACK, f"127.0.0.{block + 1}", f"127.0.0.{block + 2}",
    ]  # fmt: skip
    config = flags_of(cluster, "reports")
    assert (config.promotion_tier, config.cache_mb, config.port) == (15, 32, port)
    assert cli.main(["instance", "remove", "instance-2", *data]) == 0
    assert cli.main(["instance", "add", *data]) == 0
    cluster.read()
    assert [one.id for one in cluster.required.instances] == ["instance-1", "reports", "instance-2"]
    assert cluster.required.instances[2].host == f"127.0.0.{block + 1}", "the free address is taken again"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Two", "no name"), ("-two", "no name"), ("two-", "no name"), ("a--b", "no name"), ("a" * 64, "no name"),
        ("../x", "no name"), ("instance-1", "there already"), ("az1-a", "there already"), ("keeper", "there already"),
    ],
)  # fmt: skip
def test_names_that_cannot_be(tmp_path: Path, name: str, message: str) -> None:
    cluster = make(tmp_path, port=0)
    with pytest.raises(ClusterError, match=message):
        instances.add(cluster, name)
    assert len(Cluster(tmp_path).required.instances) == 1


def test_sixteen_instances_are_all(tmp_path: Path) -> None:
    cluster = make(tmp_path, port=0, readers=15)
    with pytest.raises(ClusterError, match="at most 16"):
        instances.add(cluster)


def test_no_readers_beside_one_that_listens_everywhere(tmp_path: Path) -> None:
    cluster = make(tmp_path, host="0.0.0.0", password="secret")
    with pytest.raises(ClusterError, match="all addresses"):
        instances.add(cluster)
    with pytest.raises(SystemExit):
        cli.main(["up", "--readers", "16", "--data", str(tmp_path)])
    assert cli.main(["up", "--readers", "1", "--host", "127.0.0.1", "--data", str(tmp_path)]) == 1


def test_all_move_to_another_port_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = free_ports(2)
    cluster = make(tmp_path, port=one, readers=1)
    with pytest.raises(ClusterError, match="--host"):
        cluster.move_writer("localhost", None)
    alive(monkeypatch, "instance-2")
    cluster.move_writer(None, one)
    with pytest.raises(ClusterError, match="instance-2 run"):
        cluster.move_writer(None, other)
    alive(monkeypatch)
    cluster.move_writer(None, other)
    assert {instance.port for instance in Cluster(tmp_path).required.instances} == {other}


def test_where_no_address_is_free_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(_host: str, _port: int) -> None:
        raise OSError("cannot assign")

    monkeypatch.setattr(places, "_try", taken)
    with pytest.raises(ClusterError, match=r"no block of 127\.0\.0\.x.*cannot assign"):
        make(tmp_path, port=5999, readers=1)


# -- who is started as what


def test_who_finds_another_alive_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = make(tmp_path, port=0, readers=1)
    assert [cluster.start_role(f"instance-{n}") for n in (1, 2)] == ["writer", "writer"]
    for lives, starts in (("instance-1", "instance-2"), ("instance-2", "instance-1")):
        alive(monkeypatch, lives)
        assert cluster.start_role(starts) == "reader"
        assert flags_of(cluster, starts).role == "reader"


def test_who_was_fenced_follows_even_with_nobody_there(tmp_path: Path) -> None:
    cluster = make(tmp_path / "several", port=0, readers=1)
    alone = make(tmp_path / "one", port=0)
    for each in (cluster, alone):
        each.processes.write("instance-1", Run(pid=1, wanted=True))
        (each.data / "run" / "instance-1.exit").write_text(f"1 {exit_status.FENCED}")
    assert cluster.start_role("instance-1") == "reader"
    assert alone.start_role("instance-1") == "writer", "by a verb: the keeper does not start it"


# -- another writer


def test_failover_has_the_best_reader_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, monkeypatch) as (cluster, fakes):
        fakes.states["instance-2"].promotion_tier = 2
        assert cli.main(["failover", "--data", str(tmp_path)]) == 0
        assert "instance-3 is the writer now (volume epoch 4); writes were away for 0." in capsys.readouterr().out
        changes = [asked for asked in fakes.asked if asked[0] != "describe"]
        assert changes == [("step_down", "instance-1", "instance-3"), ("promote", "instance-3", "aurora failover")]
        assert cluster.writer.id == "instance-3"
        raw = {one["id"]: one["role"] for one in json.loads(cluster.config_path.read_text())["instances"]}
        assert raw == {"instance-1": "reader", "instance-2": "reader", "instance-3": "writer"}
        assert instances.failover(cluster, "instance-1").before == "instance-3"
        assert cluster.writer.id == "instance-1"


def test_failover_from_a_writer_that_is_silent_or_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, monkeypatch, silent=("instance-1",)) as (cluster, fakes):
        said: list[str] = []
        done = instances.failover(cluster, "", said.append)
        assert (done.before, done.after, said) == ("", "instance-2", ["nobody writes"])
        assert cluster.writer.id == "instance-2"
        assert ("step_down", "instance-1", "instance-2") not in fakes.asked


def test_what_failover_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path / "a", monkeypatch) as (cluster, fakes):
        for to, message in (("instance-1", "the writer already"), ("instance-9", "no instance 'instance-9'")):
            with pytest.raises(ClusterError, match=message):
                instances.failover(cluster, to)
        fakes.states["instance-2"].state = fakes.states["instance-3"].state = "starting"
        with pytest.raises(ClusterError, match="no reader is available"):
            instances.failover(cluster)
        assert {asked[0] for asked in fakes.asked} == {"describe"}, "nobody was asked to change"
        fakes.states["instance-2"].state, fakes.problem = "available", "the lease is not over"
        with pytest.raises(ClusterError, match="instance-2 did not become the writer: the lease is not over"):
            instances.failover(cluster)
    with running(tmp_path / "b", monkeypatch, silent=("instance-3",)) as (cluster, fakes):
        with pytest.raises(ClusterError, match="instance-3 does not answer"):
            instances.failover(cluster, "instance-3")
    with running(tmp_path / "c", monkeypatch, readers=0) as (cluster, fakes):
        with pytest.raises(ClusterError, match="there is no reader to take over"):
            instances.failover(cluster)


def test_a_writer_that_is_removed_hands_over_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(Cluster, "stop_running", lambda _self, name: stopped.append(name))
    with running(tmp_path, monkeypatch, readers=1) as (cluster, _):
        data = ["--data", str(tmp_path)]
        assert cli.main(["instance", "remove", "instance-1", *data]) == 0
        assert capsys.readouterr().out == "instance-2 is the writer now; instance-1 is removed\n"
        assert stopped == ["instance-1"]
        cluster.read()
        assert [(one.id, one.role) for one in cluster.required.instances] == [("instance-2", "writer")]
        assert cli.main(["instance", "remove", "instance-2", *data]) == 1
        assert "the cluster's last instance" in capsys.readouterr().err


# -- status


def test_status_shows_roles_lag_tier_and_who_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "instance_status", lambda _dsn: {"sessions": 5, "volume": {"vdl": 100}})
    with running(tmp_path, monkeypatch, readers=4, silent=("instance-5",)) as (cluster, fakes):
        fakes.states["instance-1"].epoch = 2
        fakes.states["instance-2"].role = "writer"
        fakes.states["instance-2"].promotion_tier = 0
        told = status.cluster_status(cluster)
        shown = {one["id"]: one for one in told["instances"]}
        assert {name: (one["role"], one["state"]) for name, one in shown.items()} == {
            "instance-1": ("superseded", "up"),
            "instance-2": ("writer", "up"),
            "instance-3": ("reader", "up"),
            "instance-4": ("reader", "up"),
            "instance-5": ("reader", "up"),
        }
        first, third = shown["instance-2"], shown["instance-3"]
        assert (first["lag_ms"], first["promotion_tier"], first["sessions"], first["epoch"]) == (None, 0, 4, 3)
        assert (third["lag_ms"], third["promotion_tier"], third["applied_lsn"]) == (1.5, 1, 100)
        assert shown["instance-5"]["applied_lsn"] is None
        assert told["volume"] == {"vdl": 100}
        text = status_text(told)
        line = next(line for line in text.splitlines() if line.startswith("instance-3"))
        assert line.split()[1:7] == ["up", "reader", "1.5", "ms", "1", "4"]

        fakes.seen_by["instance-2"] = {"instance-3": "disconnected"}
        fakes.states["instance-4"].state = "starting"
        shown = {one["id"]: one["state"] for one in status.cluster_status(cluster)["instances"]}
        assert (shown["instance-3"], shown["instance-4"]) == ("disconnected", "starting")
        monkeypatch.setattr(status, "instance_status", lambda _dsn: None)
        shown = {one["id"]: one["state"] for one in status.cluster_status(cluster)["instances"]}
        assert {shown[f"instance-{n}"] for n in (1, 2, 5)} == {"not answering"}


def test_checks_fail_for_a_reader_that_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    for state, exit_code in (("up", 0), ("disconnected", 1), ("starting", 0)):
        instance = {"id": "i", "state": state, "role": "reader", "lag_ms": 1.0, "promotion_tier": 1, "sessions": None}
        told = {"volume": {}, "storage_nodes": [], "instances": [instance | {"pid": 1, "address": "a:1"}]}
        monkeypatch.setattr(Cluster, "status", lambda _self, told=told: told)
        assert cli.main(["status", "--check", "--data", str(tmp_path)]) == exit_code


# -- names that a driver's host pattern finds


def test_names_by_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance is named by the last number of its address, in a cluster that was made so; also one that is added,
    and one that moves."""
    cluster = make(tmp_path, port=0, readers=2, names_by_address=True)
    shown = [(one.id, one.host) for one in cluster.required.instances]
    assert [f"127.0.0.{name}" for name, _ in shown] == [host for _, host in shown]
    added = instances.add(cluster)
    assert f"127.0.0.{added.id}" == added.host
    instances.add(cluster, "reports")
    alive(monkeypatch)
    cluster.read()
    with cluster.changing() as spec:
        del spec.instances[1]
    (port,) = free_ports(1)
    cluster.move_writer(None, port)
    assert [one.id for one in cluster.required.instances[:3]] == [
        one.host.rpartition(".")[2] for one in cluster.required.instances[:3]
    ]
    assert cluster.required.instances[3].id == "reports"


def test_names_by_address_are_for_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "--data", str(tmp_path), "--names-by-address"]) == 1
    assert "for a cluster with readers" in capsys.readouterr().err
