"""The supervisor and its command, without starting a cluster."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from aurora.object_store import FolderStore
from aurora.programs import cli
from aurora.programs.processes import SHELL, process_start
from aurora.programs.restore import restore_cluster
from aurora.programs.supervisor import LETTERS, LOOPBACK, NODES, Cluster, ClusterError, free_ports
from compute_node import config as compute_config
from storage_node import config as storage_config


def make(folder: Path, **changes: Any) -> Cluster:
    """A described cluster; nothing runs."""
    options: dict[str, Any] = {
        "host": LOOPBACK, "port": 5999, "pages_per_pg": 512, "cache_mb": 64, "password": None,
    }  # fmt: skip
    cluster = Cluster(folder)
    cluster.create(**{**options, **changes})
    return cluster


class Spawned:
    """Stands in for ``Popen``: remembers the command, lives as this very process."""

    commands: list[list[str]] = []

    def __init__(self, command: list[str], **_: Any) -> None:
        assert command[: len(SHELL)] == list(SHELL)
        assert command[len(SHELL)].endswith(".exit")
        Spawned.commands.append(command[len(SHELL) + 1 :])
        self.pid = os.getpid()
        self.stdout = io.BytesIO(f"{self.pid}\n".encode())

    def poll(self) -> None:
        return None


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    Spawned.commands = []
    monkeypatch.setattr("aurora.programs.processes.subprocess.Popen", Spawned)
    return Spawned.commands


# -- the description


def test_a_new_cluster_has_six_nodes_in_three_zones_and_a_writer(tmp_path: Path) -> None:
    spec = make(tmp_path / "c").required
    assert [(node.id, node.az) for node in spec.nodes] == list(NODES)
    assert len({node.address for node in spec.nodes}) == 6
    assert [(i.id, i.role, i.address) for i in spec.instances] == [("instance-1", "writer", f"{LOOPBACK}:5999")]
    assert spec.storage == ",".join(node.address for node in spec.nodes)


def test_the_description_survives_a_round_trip(tmp_path: Path) -> None:
    made = make(tmp_path, password="secret")
    assert Cluster(tmp_path).spec == made.spec
    assert not list(tmp_path.glob("*.tmp"))


def test_port_0_takes_a_free_one(tmp_path: Path) -> None:
    assert make(tmp_path, port=0).writer.port > 0


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(12))) == 12


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "example.org"])
def test_beyond_loopback_a_password_is_needed(tmp_path: Path, host: str) -> None:
    with pytest.raises(ClusterError, match="password"):
        make(tmp_path / "a", host=host)
    assert not (tmp_path / "a" / "cluster.json").exists()
    cluster = make(tmp_path / "b", host=host, password="secret")
    assert cluster.required.password_file is not None


def test_the_password_is_for_its_owner_only(tmp_path: Path) -> None:
    make(tmp_path, password="secret")
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0
    assert "secret" not in (tmp_path / "cluster.json").read_text()


def test_the_folder_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    (tmp_path / "c").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        cluster = make(tmp_path / "c", password="secret", encrypt=True)
        cluster.start_node("az1-a")
        FolderStore(tmp_path / "c" / "backup").put("a/b", b"rows")
        FolderStore(tmp_path / "elsewhere" / "backup").put("a/b", b"rows")
    finally:
        os.umask(before)
    assert cluster.wait_gone("az1-a")
    for top in (tmp_path / "c", tmp_path / "elsewhere"):
        for path in (top, *top.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"c/cluster.json", "c/log/az1-a.log", "c/run/az1-a.json", "elsewhere/backup/a/b"} <= names


def test_the_connection_string(tmp_path: Path) -> None:
    assert make(tmp_path / "a").dsn() == f"host={LOOPBACK} port=5999 user=postgres dbname=postgres"
    open_to_all = make(tmp_path / "b", host="0.0.0.0", password="secret").dsn("instance-1")
    assert open_to_all == f"host={LOOPBACK} port=5999 user=postgres dbname=postgres password=secret"


def test_the_writer_can_move(tmp_path: Path) -> None:
    make(tmp_path).move_writer("localhost", 6001)
    assert Cluster(tmp_path).writer.address == "localhost:6001"


def test_a_running_writer_does_not_move(tmp_path: Path, spawned: list[list[str]]) -> None:
    cluster = make(tmp_path)
    cluster.start_instance("instance-1")
    cluster.move_writer(LOOPBACK, 5999)
    with pytest.raises(ClusterError, match="runs at"):
        cluster.move_writer(LOOPBACK, 6001)
    assert Cluster(tmp_path).writer.port == 5999


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(tmp_path: Path, port: int) -> None:
    with pytest.raises(ClusterError, match="65535"):
        make(tmp_path / "c", port=port)
    assert not (tmp_path / "c").exists()


def test_up_refuses_a_port_that_somebody_else_has(tmp_path: Path, spawned: list[list[str]]) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        cluster = make(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ClusterError, match="another port"):
            cluster.up()
    assert spawned == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"nodes": [{}], "instances": []}'])
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.json").write_text(text)
    with pytest.raises(ClusterError, match=r"cluster\.json"):
        Cluster(tmp_path)


def test_a_folder_without_a_cluster_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="aurora up"):
        _ = Cluster(tmp_path).required


@pytest.mark.parametrize(
    ("verb", "argument", "named"),
    [("start_node", "az9-z", "az1-a"), ("start_instance", "instance-9", "instance-1"), ("nodes_of", "az9", "az3")],
)
def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path, verb: str, argument: str, named: str) -> None:
    with pytest.raises(ClusterError, match=named):
        getattr(make(tmp_path), verb)(argument)


# -- processes


def test_what_is_started_parses_its_command(tmp_path: Path, spawned: list[list[str]]) -> None:
    cluster = make(tmp_path)
    for node in cluster.required.nodes:
        cluster.start_node(node.id)
    cluster.start_instance("instance-1")
    for node, command in zip(cluster.required.nodes, spawned, strict=False):
        assert command[:3] == [sys.executable, "-m", "storage_node"]
        config = storage_config.load(command[3:], {})
        assert (config.node_id, config.az, config.listen) == (node.id, node.az, node.address)
        assert {peer.node_id for peer in config.peers} == {n.id for n in cluster.required.nodes} - {node.id}
    command = spawned[-1]
    assert command[:3] == [sys.executable, "-m", "compute_node"]
    writer = compute_config.load(command[3:], {})
    assert writer.storage == tuple(node.address for node in cluster.required.nodes)
    assert (writer.pages_per_pg, writer.cache_mb, writer.password) == (512, 64, None)


def test_a_running_process_is_not_started_twice(tmp_path: Path, spawned: list[list[str]]) -> None:
    cluster = make(tmp_path)
    cluster.start_node("az1-a")
    cluster.start_node("az1-a")
    Cluster(tmp_path).start_node("az1-a")
    assert len(spawned) == 1
    assert cluster.pid("az1-a") == os.getpid()


def test_a_new_node_gets_a_name_that_was_never_given(tmp_path: Path, spawned: list[list[str]]) -> None:
    cluster = make(tmp_path)
    (tmp_path / "storage" / "az2-c").mkdir(parents=True)  # of a node that was replaced
    assert cluster.add_node("az2").id == "az2-d"
    assert Cluster(tmp_path).required.node("az2-d").az == "az2" and len(spawned) == 1
    for letter in LETTERS:
        (tmp_path / "storage" / f"az2-{letter}").mkdir(exist_ok=True)
    with pytest.raises(ClusterError, match="used all 26 names"):
        cluster.add_node("az2")


def test_verbs_at_the_same_time_lose_no_node(tmp_path: Path, spawned: list[list[str]]) -> None:
    make(tmp_path, encrypt=True)
    one, two, three = (Cluster(tmp_path) for _ in range(3))  # each has read the description
    one.add_node("az1")
    two.add_node("az2")
    three.move_writer(LOOPBACK, 6001)
    two.remove_node("az2-a")
    one.remove_node("az1-a")
    for node_id in ("az1-c", "az2-c"):
        (tmp_path / "run" / f"{node_id}.json").unlink()  # they have ended
    three.rekey(None)
    three.set_backup("off")
    spec = Cluster(tmp_path).required
    assert [node.id for node in spec.nodes] == ["az1-b", "az2-b", "az3-a", "az3-b", "az1-c", "az2-c"]
    assert (spec.backup, Cluster(tmp_path).writer.port) == ("off", 6001)


def test_changes_by_several_processes_follow_one_another(tmp_path: Path) -> None:
    make(tmp_path)
    program = (
        "import sys; from pathlib import Path; from aurora.programs.supervisor import Cluster\n"
        "for turn in range(20):\n"
        "    with Cluster(Path(sys.argv[1])).changing() as spec: spec.settings[f'{sys.argv[2]}-{turn}'] = 'x'\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "abc"]
    assert [child.wait() for child in running] == [0, 0, 0]
    assert len(Cluster(tmp_path).required.settings) == 60


def test_a_change_that_fails_is_not_stored(tmp_path: Path) -> None:
    cluster = make(tmp_path)
    with pytest.raises(ValueError, match="halfway"), cluster.changing() as spec:
        spec.nodes.clear()
        raise ValueError("halfway")
    assert len(Cluster(tmp_path).required.nodes) == 6
    cluster.move_writer(LOOPBACK, 6001)
    assert len(Cluster(tmp_path).required.nodes) == 6


def test_a_folder_becomes_one_cluster(tmp_path: Path) -> None:
    other = Cluster(tmp_path)  # another aurora up has seen that there is none
    make(tmp_path)
    with pytest.raises(ClusterError, match="holds a cluster already"):
        other.create(host=LOOPBACK, port=0, pages_per_pg=512, cache_mb=64, password=None)
    assert Cluster(tmp_path).writer.port == 5999


def test_what_is_started_is_as_it_is_described_then(tmp_path: Path, spawned: list[list[str]]) -> None:
    cluster = make(tmp_path)
    Cluster(tmp_path).set_backup("file:///elsewhere")
    cluster.start_node("az1-a")
    assert storage_config.load(spawned[0][3:], {}).backup == "file:///elsewhere"


def test_down_stops_what_other_verbs_have_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = make(tmp_path)
    with Cluster(tmp_path).changing() as spec:
        spec.nodes.append(replace(spec.nodes[0], id="az1-c"))
    stopped: list[str] = []
    monkeypatch.setattr(Cluster, "signal", lambda _self, name, _number: stopped.append(name))
    cluster.down()
    assert "az1-c" in stopped


def test_a_master_key_is_not_replaced_while_a_node_makes_its_key(tmp_path: Path, spawned: list[list[str]]) -> None:
    cluster = make(tmp_path, encrypt=True)
    held = (tmp_path / "master.key").read_text()
    cluster.start_node("az3-b")
    with pytest.raises(ClusterError, match="az3-b is making its key"):
        cluster.rekey(None)
    assert (tmp_path / "master.key").read_text() == held


KILLED_VERB = """
import os, signal, sys
from pathlib import Path
from aurora.programs import processes
from aurora.programs.supervisor import Cluster

def killed(path, text):
    print(text, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

cluster = Cluster(Path(sys.argv[1]))
processes.atomic = killed
sys.executable = sys.argv[2]
cluster.start_node("az1-a")
"""


def test_a_verb_that_is_killed_leaves_no_process_that_nobody_knows(tmp_path: Path) -> None:
    make(tmp_path / "c")
    program, ran = tmp_path / "program", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\nexec sleep 600\n")
    program.chmod(0o700)
    command = [sys.executable, "-c", KILLED_VERB, str(tmp_path / "c"), str(program)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    (tmp_path / "c" / "run" / "az1-a.json").write_text(done.stdout)  # only to watch it
    cluster = Cluster(tmp_path / "c")
    gone = cluster.wait_gone("az1-a", 10.0)
    cluster.kill("az1-a")
    assert gone and not ran.exists()


def test_a_reused_pid_is_not_ours(tmp_path: Path) -> None:
    cluster = make(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    (run / "az1-a.json").write_text(json.dumps({"pid": os.getpid(), "start": "some other time"}))
    assert cluster.pid("az1-a") is None
    assert cluster.signal("az1-a", signal.SIGKILL) is False


def test_an_empty_pid_file_names_no_process(tmp_path: Path) -> None:
    cluster = make(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "az1-a.json").write_text("")
    assert cluster.pid("az1-a") is None


def test_a_process_that_has_ended_has_no_start(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process_start(child.pid) is None
    own = process_start(os.getpid())
    assert own is not None and own == process_start(os.getpid())


def test_a_zombie_counts_as_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        output.read()  # the end of its output: it is on its way out
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(child.pid) is None
    child.wait()


def test_stopping_what_does_not_run_does_nothing(tmp_path: Path) -> None:
    cluster = make(tmp_path)
    cluster.kill("az1-a")
    cluster.stop("az1-a")
    cluster.down()


def test_the_log_tail_of_a_process_that_never_ran(tmp_path: Path) -> None:
    assert make(tmp_path).log_tail("az1-a") == "(no log)"


# -- restore


@pytest.mark.parametrize(
    ("option", "told"),
    [({"host": "0.0.0.0"}, "password"), ({"port": 65536}, "65535"), ({"backup": "ftp://elsewhere"}, "--backup")],
)
def test_a_restore_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: dict[str, Any], told: str
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("aurora.programs.restore._run", lambda arguments, *_: ran.append(arguments))
    options = {"host": LOOPBACK, "port": 0, "cache_mb": 64, "password": None, "backup": "", **option}
    with pytest.raises(ClusterError, match=told):
        restore_cluster(Cluster(tmp_path / "new"), "file:///backup", None, None, options)
    assert ran == [] and list(tmp_path.iterdir()) == []


# -- the command


@pytest.mark.parametrize(
    "arguments",
    [
        [], ["nonsense"], ["up", "--port", "many"], ["node"], ["node", "kill"], ["node", "hug", "az1-a"],
        ["az", "down", "az9"], ["instance", "kill"], ["down", "--detach"],
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: aurora" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["down"], ["status"], ["node", "kill", "az1-a"], ["az", "up", "az1"], ["instance", "stop", "x"]]
)
def test_verbs_on_an_empty_folder_say_so(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--data", str(tmp_path)]) == 1
    assert "no cluster in" in capsys.readouterr().err


def test_up_beyond_loopback_without_a_password_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AURORA_PASSWORD", raising=False)
    assert cli.main(["up", "--detach", "--host", "0.0.0.0", "--data", str(tmp_path)]) == 1
    assert "password" in capsys.readouterr().err
    assert not (tmp_path / "cluster.json").exists()


@pytest.mark.parametrize("dashes", [[], ["--"]])
def test_psql_gets_its_arguments_and_no_password_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dashes: list[str]
) -> None:
    make(tmp_path, password="it's \\ secret")
    ran: list[list[str]] = []
    monkeypatch.setenv("PGPASSWORD", "other")
    monkeypatch.setattr("aurora.programs.cli.shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr("aurora.programs.cli.os.execv", lambda _path, command: ran.append(command))
    cli.main(["psql", "--data", str(tmp_path), *dashes, "-Atc", "select 1"])
    assert ran == [["/bin/psql", f"host={LOOPBACK} port=5999 user=postgres dbname=postgres", "-Atc", "select 1"]]
    assert os.environ["PGPASSWORD"] == "it's \\ secret"
    assert conninfo_to_dict(Cluster(tmp_path).dsn())["password"] == "it's \\ secret"


def test_every_verb_has_a_function() -> None:
    parser = cli._parser()
    (choices,) = [action.choices for action in parser._actions if action.dest == "verb"]
    assert set(choices or ()) == set(cli.VERBS)


def test_status_of_a_cluster_that_is_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path)
    assert cli.main(["status", "--json", "--data", str(tmp_path)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert [node["id"] for node in status["storage_nodes"]] == [node_id for node_id, _ in NODES]
    assert {node["state"] for node in status["storage_nodes"]} == {"down"}
    assert [(i["id"], i["role"], i["state"]) for i in status["instances"]] == [("instance-1", "writer", "down")]
    assert cli.main(["status", "--check", "--data", str(tmp_path)]) == 1
    assert "az3-b" in capsys.readouterr().out


def test_node_and_az_verbs_reach_the_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    done: list[tuple[str, str]] = []
    for action in ("kill", "stop", "start_node", "start_instance", "wait_instance", "wait_node"):
        monkeypatch.setattr(Cluster, action, lambda _self, name="", action=action: done.append((action, name)))
    data = ["--data", str(tmp_path)]
    assert cli.main(["node", "kill", "az1-a", *data]) == 0
    assert cli.main(["node", "start", "az1-a", *data]) == 0
    assert cli.main(["az", "down", "az2", *data]) == 0
    assert cli.main(["az", "up", "az2", *data]) == 0
    assert cli.main(["instance", "stop", "instance-1", *data]) == 0
    assert cli.main(["instance", "start", "instance-1", *data]) == 0
    assert done == [
        ("kill", "az1-a"), ("start_node", "az1-a"), ("wait_node", "az1-a"), ("kill", "az2-a"), ("kill", "az2-b"),
        ("start_node", "az2-a"), ("start_node", "az2-b"), ("wait_node", "az2-a"), ("wait_node", "az2-b"),
        ("stop", "instance-1"), ("start_instance", "instance-1"), ("wait_instance", "instance-1"),
    ]  # fmt: skip


def test_what_clients_are_shown_is_passed_to_all_instances(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "--data", str(tmp_path / "c"), "--tls-cert", "x.crt"]) == 1
    assert "--tls-cert and --tls-key go together" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    cluster = make(tmp_path / "c", readers=1)
    with cluster.changing() as spec:
        spec.settings.update({"tls-cert": "/x.crt", "tls-key": "/x.key"})
    for instance, role in (("instance-1", "writer"), ("instance-2", "reader")):
        config = compute_config.load(cluster.instance_command(instance, role)[1:], {})
        assert (config.tls_cert, config.tls_key) == (Path("/x.crt"), Path("/x.key"))
