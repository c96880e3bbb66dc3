"""What the instances are asked from outside: who they are, to promote, to step down."""

from __future__ import annotations

import asyncio

import pytest

from aurora.programs.supervisor import LOOPBACK, free_ports
from aurora.rpc import instances
from aurora.rpc.channels import NO_ACCESS, Access
from aurora.rpc.instances import InstanceRefused, Instances, writer_of
from tests.unit.fake_instances import fake_instances

ROLES = {"one": "writer", "two": "reader"}
SECRET = "s" * 40


def test_the_calls_of_an_event_loop() -> None:
    with fake_instances(ROLES, SECRET) as cluster:
        one, two = (cluster.states[name].feed_address for name in ROLES)
        access = Access(secret=SECRET)

        async def run() -> None:
            topology = await instances.describe(two, access)
            assert (topology.self.id, topology.writer_id, topology.epoch) == ("two", "one", 3)
            await instances.step_down(one, "two", access)
            reply = await instances.promote(two, access, "a drill")
            assert reply.epoch == 4
            assert (await instances.describe(one, access)).writer_id == "two"
            with pytest.raises(ConnectionError, match="UNAUTHENTICATED"):
                await instances.describe(one, NO_ACCESS)
            cluster.problem = "not now"
            with pytest.raises(InstanceRefused, match="not now"):
                await instances.promote(one, access)

        asyncio.run(run())
    assert ("step_down", "one", "two") in cluster.asked
    assert ("promote", "two", "a drill") in cluster.asked


def test_several_are_asked_at_once_and_who_is_silent_is_left_out() -> None:
    silent = f"{LOOPBACK}:{free_ports(1)[0]}"
    with fake_instances(ROLES, SECRET) as cluster, Instances(Access(secret=SECRET)) as calls:
        addresses = [state.feed_address for state in cluster.states.values()]
        answers = calls.describe([*addresses, silent])
        assert [answers[address].self.id for address in addresses] == list(ROLES)
        assert silent not in answers
        cluster.states["two"].role, cluster.states["two"].epoch = "writer", 4
        writer = writer_of(calls.describe(addresses).values())
        assert writer is not None and writer.id == "two"
        calls.step_down(addresses[1], "one")
        assert calls.promote(addresses[0]).epoch == 5
        with pytest.raises(ConnectionError):
            calls.promote(silent)
        cluster.problem = "no"
        with pytest.raises(InstanceRefused, match="no"):
            calls.promote(addresses[1])
