"""Who the instances are: an instance alone, and of several that call themselves writer the one of the newest epoch."""

from __future__ import annotations

from aurora.cpu import CpuMeter
from aurora.ids import Lsn
from compute_node.catalog.databases import Databases
from compute_node.engine import Engine
from compute_node.replica.single import SingleInstance
from compute_node.replica.topology import LAG_UNKNOWN, READER, WRITER, InstanceState, writer_of
from tests.unit.support_catalog import in_greenlet, open_databases


def test_an_instance_alone_is_the_writer() -> None:
    single = SingleInstance("instance-1", "a life", lambda: Lsn(77), lambda: 5, lambda: 12.5, lambda: 3)
    (state,) = single.instances()
    assert (state.id, state.role, state.applied_lsn, state.lag_us) == ("instance-1", WRITER, 77, LAG_UNKNOWN)
    assert (state.session_id, state.cpu_percent, state.epoch, state.state) == ("a life", 12.5, 3, "available")
    assert writer_of({state.id: state}) is state
    assert single.lag_of("instance-1") == LAG_UNKNOWN


def test_the_writer_of_the_newest_epoch_is_the_writer() -> None:
    states = [InstanceState("a", WRITER, epoch=2), InstanceState("b", WRITER, epoch=3), InstanceState("c", READER)]
    found = writer_of({state.id: state for state in states})
    assert found is not None and found.id == "b"


def test_every_database_of_an_instance_has_one_topology() -> None:
    def body() -> None:
        storage = open_databases().storage
        databases = Databases(storage, lambda catalogs: Engine(storage, dict, catalogs=catalogs))
        initial = databases.initial
        assert initial.topology.self_id == "instance-1"
        other = SingleInstance("instance-7", "", lambda: Lsn(0), lambda: 0)
        initial.topology = other
        assert databases.topology is other
        assert databases.engine(1).topology is other  # template1

    in_greenlet(body)


def test_cpu_is_measured_over_the_time_since_the_last_answer() -> None:
    now, used = [100.0], [10.0]
    meter = CpuMeter(lambda: now[0], lambda: used[0], cores=2)
    assert meter.percent() == 0
    now[0], used[0] = 104.0, 12.0
    assert meter.percent() == 25.0
    now[0], used[0] = 104.5, 14.0
    assert meter.percent() == 25.0, "the window has not passed"
    now[0], used[0] = 106.0, 14.0
    assert meter.percent() == 50.0
