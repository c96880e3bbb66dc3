"""What ``aurora status`` makes of the nodes' answers: groups, healths, text; and that silent nodes cost one wait."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from aurora.geometry import Member
from aurora.placement import initial
from aurora.programs import cli
from aurora.programs.status import TIMEOUT_S, _Instances, node_view, storage_status
from aurora.programs.status_groups import behind_writer, protection_groups, worst_first
from aurora.programs.status_text import GROUPS_SHOWN, bytes_text, status_text
from aurora.programs.supervisor import NODES
from aurora.rpc import storage_pb2 as pb

MEMBERS = [Member(node, az, f"{node}:7000") for node, az in NODES]


def answer(index: int, scls: dict[int, int], **changes: Any) -> dict[str, Any]:
    """The view of node ``index`` that has these PGs."""
    node, az = NODES[index]
    descriptor = initial(b"v" * 16, MEMBERS, 64, groups=40).to_proto(pb.Descriptor())
    reply = pb.StatusReply(
        node_id=node, az=az, volume_id=b"v" * 16, volume_epoch=3, state="serving", pid=100 + index,
        pgs=[pb.PgState(pg=pg, scl=scl, collected_lsn=50) for pg, scl in scls.items()],
        pg_status=[pb.PgStatus(pg=pg, entries=7) for pg in scls], descriptor=descriptor,
    )  # fmt: skip
    for name, value in changes.items():
        setattr(reply, name, value)
    return node_view(f"{node}:7000", reply)


def down(index: int, state: str = "down") -> dict[str, Any]:
    """A node that does not answer."""
    node, az = NODES[index]
    return {"id": node, "az": az, "address": f"{node}:7000", "state": state}


def repairing(view: dict[str, Any], pg: int, kind: str, done: int, total: int, broken: int = 0) -> dict[str, Any]:
    """The view with a repair of that PG."""
    status = pb.PgStatus(
        pg=pg, pending=2, broken_pages=broken,
        repair=pb.RepairStatus(kind=kind, peer_id="az2-a", done=done, total=total, fetched_bytes=3 << 20, running_s=4),
    )  # fmt: skip
    state = pb.PgState(pg=pg, scl=view["pgs"][pg]["scl"], collected_lsn=view["pgs"][pg]["collected"])
    reply = pb.StatusReply(pgs=[state], pg_status=[status])
    view["pgs"][pg] = node_view("", reply)["pgs"][pg]
    return view


# -- groups


def test_six_good_segments() -> None:
    (group,) = protection_groups([answer(i, {0: 100}) for i in range(6)], {0: 100}, 3)
    assert (group["pg"], group["state"], group["durable_lsn"], group["durable_from"]) == (0, "ok", 100, "writer")
    assert group["membership_epoch"] == 1
    assert [(s["index"], s["node"], s["az"]) for s in group["segments"]] == [
        (i, node, az) for i, (node, az) in enumerate(NODES)
    ]
    first = group["segments"][0]
    assert (first["health"], first["scl"], first["lag_bytes"], first["epoch"], first["repair"]) == (
        "up",
        100,
        0,
        3,
        None,
    )


def test_each_health() -> None:
    nodes = [
        answer(0, {0: 100}),
        answer(1, {0: 40}),
        repairing(answer(2, {0: 10}), 0, "pages", 30, 120),
        answer(3, {0: 100}, state="refusing", note="No space left on device"),
        answer(4, {0: 100}, volume_epoch=4),
        down(5),
    ]
    (group,) = protection_groups(nodes, {0: 100}, 3)
    assert [s["health"] for s in group["segments"]] == ["up", "behind", "filling", "refusing", "fenced", "down"]
    assert [s["lag_bytes"] for s in group["segments"]] == [0, 60, 90, 0, 0, None]
    assert group["segments"][2]["repair"]["percent"] == 25
    assert group["state"] == "no write quorum"
    assert behind_writer([group]) == {"az1-b", "az2-a"}


@pytest.mark.parametrize(
    ("silent", "state"), [(0, "ok"), (2, "degraded"), (3, "no write quorum"), (4, "no read quorum")]
)
def test_the_group_says_which_quorum_it_has(silent: int, state: str) -> None:
    nodes = [answer(i, {0: 100}) for i in range(6 - silent)] + [down(i) for i in range(6 - silent, 6)]
    assert protection_groups(nodes, {}, 0)[0]["state"] == state


def test_without_a_writer_the_write_quorum_is_the_measure() -> None:
    nodes = [answer(i, {0: scl}) for i, scl in enumerate((120, 100, 100, 100, 60, 100))]
    (group,) = protection_groups(nodes, {}, 0)
    assert (group["durable_lsn"], group["durable_from"]) == (100, "segments")
    assert [s["lag_bytes"] for s in group["segments"]] == [0, 0, 0, 0, 40, 0]
    assert behind_writer([group]) == set()
    few = [answer(0, {0: 70}), answer(1, {0: 90}), *(down(i) for i in range(2, 6))]
    assert protection_groups(few, {}, 0)[0]["durable_lsn"] == 90


def test_a_node_that_lacks_a_group_has_all_of_it_to_get() -> None:
    nodes = [answer(i, {0: 100, 1: 500} if i < 5 else {0: 100}) for i in range(6)]
    groups = protection_groups(nodes, {0: 100, 1: 500}, 3)
    assert groups[1]["segments"][5]["lag_bytes"] == 500
    assert behind_writer(groups) == {"az3-b"}


def test_empty_nodes_have_no_groups() -> None:
    assert protection_groups([{**down(i), "state": "empty", "pgs": {}} for i in range(6)], {}, 0) == []


def test_the_worst_come_first() -> None:
    nodes = [answer(i, {0: 100, 1: 100, 2: 100, 3: 100}) for i in range(5)]
    nodes.append(answer(5, {0: 100, 1: 90, 2: 10, 3: 100}))
    groups = protection_groups(nodes, dict.fromkeys(range(4), 100), 3)
    assert [group["pg"] for group in worst_first(groups)] == [2, 1, 0, 3]


# -- text


def status_of(nodes: list[dict[str, Any]], durable: dict[int, int], epoch: int = 3) -> dict[str, Any]:
    """A whole status."""
    writer = {
        "id": "instance-1",
        "role": "writer",
        "address": "127.0.0.1:5432",
        "pid": 99,
        "state": "up",
        "lag_ms": None,
        "promotion_tier": 1,
        "sessions": 2,
    }
    return {
        "volume": {"vdl": 5000, "epoch": epoch, "pg_durable": {}},
        "storage_nodes": nodes,
        "instances": [writer],
        "protection_groups": protection_groups(nodes, durable, epoch),
    }


def test_the_table() -> None:
    nodes = [
        answer(0, {0: 5000}),
        repairing(answer(1, {0: 5000 - 2048}), 0, "log", 1024, 4096),
        repairing(answer(2, {0: 10}), 0, "pages", 30, 120, broken=2),
        answer(3, {0: 5000}, state="refusing", note="No space left on device"),
        answer(4, {0: 5000}, volume_epoch=4),
        down(5, "not answering"),
    ]
    nodes[5]["pid"] = 105
    assert status_text(status_of(nodes, {0: 5000})) == TABLE


@pytest.mark.parametrize(
    ("away", "coming", "words"),
    [
        ("", None, "membership epoch 1\n"),
        ("az3", None, "membership epoch 1, zone az3 does not count\n"),
        ("", "az3", "membership epoch 1, zone az3 is being counted out\n"),
        ("az3", "", "membership epoch 1, zone az3 is being counted again\n"),
    ],
)
def test_a_zone_that_is_away_is_named(away: str, coming: str | None, words: str) -> None:
    status = status_of([answer(i, {0: 100}) for i in range(6)], {0: 100})
    status["protection_groups"][0].update(away=away, away_next=coming)
    assert words in status_text(status)


TABLE = """\
volume   vdl=5000  epoch=3
storage node  az    state                     scl       pid  address
az1-a         az1   up                       5000       100  az1-a:7000
az1-b         az1   up                       2952       101  az1-b:7000
az2-a         az2   up                         10       102  az2-a:7000
az2-b         az2   refusing                 5000       103  az2-b:7000  No space left on device
az3-a         az3   up                       5000       104  az3-a:7000
az3-b         az3   not answering               -       105  az3-b:7000
instance            state          role              lag tier sessions       pid  address
instance-1          up             writer              -    1        2        99  127.0.0.1:5432
segment       az               scl       lag     collected  epoch  health
PG 0: not answering, durable to 5000, membership epoch 1
  0 az1-a     az1             5000         0            50      3  up
  1 az1-b     az1             2952    2.0 kB            50      3  behind by 2.0 kB, fetching log 25% from az2-a (3.0 MB in 4 s)
  2 az2-a     az2               10    4.9 kB            50      3  filling 25% from az2-a (3.0 MB in 4 s), 2 broken pages wait for a copy
  3 az2-b     az2             5000         0            50      3  refusing
  4 az3-a     az3             5000         0            50      4  fenced
  5 az3-b     az3                -         -             -      -  not answering"""  # noqa: E501


def test_many_groups_are_cut_unless_all_are_wanted() -> None:
    nodes = [answer(i, dict.fromkeys(range(20), 5000 if i else 4000)) for i in range(6)]
    nodes[0]["pgs"][17]["scl"] = 1
    status = status_of(nodes, dict.fromkeys(range(20), 5000))
    short = status_text(status)
    assert short.count("PG ") == GROUPS_SHOWN
    assert short.index("PG 17:") < short.index("PG 0:")
    assert short.endswith(f"{GROUPS_SHOWN} of 20 protection groups, the worst first; --pgs shows all")
    whole = status_text(status, all_groups=True)
    assert whole.count("PG ") == 20
    assert whole.index("PG 0:") < whole.index("PG 17:")


def test_a_volume_nobody_answers_for() -> None:
    text = status_text({"volume": {}, "storage_nodes": [down(0)], "instances": [], "protection_groups": []})
    assert text.splitlines()[0] == "volume   nobody answers for it"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 kB"), (20480, "20 kB"), (3 << 40, "3.0 TB")]
)
def test_sizes(number: int, text: str) -> None:
    assert bytes_text(number) == text


def test_the_status_is_json() -> None:
    status = status_of([answer(i, {0: 100}) for i in range(6)], {0: 100})
    assert json.loads(json.dumps(status))["protection_groups"][0]["segments"][3]["node"] == "az2-b"


# -- asking


def test_silent_nodes_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class Silent(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.DEADLINE_EXCEEDED

    class Call:
        def result(self) -> Any:
            events.append("waited")
            raise Silent

    class Stub:
        def __init__(self, _channel: Any) -> None:
            self.Status = self

        def future(self, _request: Any, timeout: float, **_: Any) -> Call:
            assert timeout == TIMEOUT_S
            events.append("asked")
            return Call()

    monkeypatch.setattr("aurora.rpc.channels.storage_pb2_grpc.StorageStub", Stub)
    status = storage_status(["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"])
    assert events == ["asked"] * 3 + ["waited"] * 3
    silent = ("not answering", "deadline_exceeded")
    assert [(node["state"], node["error"]) for node in status["storage_nodes"]] == [silent] * 3
    assert (status["volume"], status["protection_groups"]) == ({}, [])


def test_an_instance_that_hangs_is_not_waited_for_beyond_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()
    monkeypatch.setattr(
        "aurora.programs.status.instance_status", lambda dsn: {"id": dsn} if dsn == "good" else hang.wait()
    )
    asked = _Instances({"one": "good", "two": "stuck"})
    asked.wait(time.monotonic() + 60, "one")
    assert asked.told == {"one": {"id": "good"}}
    asked.wait(time.monotonic() - 1)
    assert asked.told == {"one": {"id": "good"}}
    hang.set()


def test_the_verb_watches_until_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = status_of([answer(i, {0: 100}) for i in range(6)], {0: 100})
    monkeypatch.setattr("aurora.programs.status.storage_status", lambda addresses, tls: shown)
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("aurora.programs.cli.time.sleep", sleep)
    assert cli.main(["status", "--storage", "x:1", "--watch", "0.5"]) == 130
    assert naps == [0.5] * 3
    assert capsys.readouterr().out.count("PG 0: ok") == 3


def test_check_is_ill_when_a_node_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    good = status_of([answer(i, {0: 100}) for i in range(6)], {0: 100})
    bad = status_of([answer(i, {0: 100}) for i in range(5)] + [down(5)], {0: 100})
    for status, expected in ((good, 0), (bad, 1)):
        give: Callable[[Any, Any], Any] = lambda _, tls, told=status: told  # noqa: E731
        monkeypatch.setattr("aurora.programs.status.storage_status", give)
        assert cli.main(["status", "--storage", "x:1", "--check"]) == expected
        assert cli.main(["status", "--storage", "x:1"]) == 0


def test_nodes_that_do_not_answer_in_time_are_no_lost_quorum() -> None:
    def shown(gone: int) -> str:
        nodes = [answer(i, {0: 100}) for i in range(2)]
        nodes += [down(i, "not answering") for i in range(2, 6 - gone)] + [down(i) for i in range(6 - gone, 6)]
        state: str = status_of(nodes, {0: 100})["protection_groups"][0]["state"]
        return state

    assert [shown(gone) for gone in range(5)] == ["not answering"] * 3 + ["no read quorum"] * 2
