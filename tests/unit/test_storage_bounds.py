"""Numbers out of range that somebody sends to a storage node, and two writers that fence with one epoch."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from storage_tools import VOLUME, Writer, append, make_node

from aurora.rpc import storage_pb2 as pb
from aurora.sim.disk import SimDisk
from storage_node.bounds import EPOCH_STEP_MAX, LSN_MAX, Refused
from storage_node.node import StorageNode

LARGEST = 2**64 - 1


def fence(node: StorageNode[int], epoch: int, writer_id: str, opened: bool = False) -> pb.FenceReply:
    return node.on_fence(pb.FenceRequest(volume_id=VOLUME, volume_epoch=epoch, writer_id=writer_id, opened=opened))


def gossip(**values: object) -> pb.GossipRequest:
    return pb.GossipRequest(volume_id=VOLUME, node_id="n9", writer_id="eve", **values)


SENT: dict[str, Callable[[StorageNode[int]], object]] = {
    "fence": lambda node: fence(node, LARGEST, "eve"),
    "fence, a step too far": lambda node: fence(node, node.epoch + EPOCH_STEP_MAX + 1, "eve"),
    "gossip's epoch": lambda node: node.learn(gossip(volume_epoch=LARGEST)),
    "gossip's VDL": lambda node: node.learn(gossip(volume_epoch=1, vdl=LARGEST)),
    "gossip's PGMRPL": lambda node: node.learn(gossip(volume_epoch=1, pgmrpl=LSN_MAX + 1)),
    "gossip's truncation": lambda node: node.learn(
        gossip(volume_epoch=1, truncations=[pb.Truncation(epoch=1, vdl=1, upper=LARGEST)])
    ),
    "advance": lambda node: node.on_advance(
        pb.AdvanceRequest(volume_id=VOLUME, volume_epoch=1, writer_id="w1", vdl=LARGEST)
    ),
    "truncate": lambda node: node.on_truncate(
        pb.TruncateRequest(
            volume_id=VOLUME, volume_epoch=1, writer_id="w1", range=pb.Truncation(epoch=1, vdl=1, upper=LARGEST)
        )
    ),
    "descriptor": lambda node: node.on_write_descriptor(
        pb.WriteDescriptorRequest(
            volume_epoch=1,
            writer_id="w1",
            descriptor=pb.Descriptor(volume_id=VOLUME, proposer_epoch=LARGEST, generation=5),
        )
    ),
}


@pytest.mark.parametrize("what", SENT)
def test_a_number_out_of_range_is_refused_and_nothing_is_kept_of_it(what: str) -> None:
    node, writer = make_node(SimDisk()), Writer(random.Random(1))
    assert not append(node, writer.frames(2)).error
    before = node.meta.value.SerializeToString(), node.vdl, node.pgmrpl, node.epoch
    with pytest.raises(Refused, match="out of range"):
        SENT[what](node)
    assert (node.meta.value.SerializeToString(), node.vdl, node.pgmrpl, node.epoch) == before
    assert fence(node, 2, "w2").adopted
    assert not append(node, writer.frames(1), epoch=2, writer="w2").error


def test_an_append_with_an_epoch_out_of_range_is_answered() -> None:
    node, writer = make_node(SimDisk()), Writer(random.Random(1))
    reply = append(node, writer.frames(1), epoch=LARGEST)
    assert "out of range" in reply.error
    assert node.epoch <= 1


def test_the_writer_that_opened_is_adopted_in_the_place_of_one_that_fenced_with_the_same_epoch() -> None:
    disk = SimDisk()
    node, writer = make_node(disk), Writer(random.Random(1), epoch=5)
    assert fence(node, 5, "dead").adopted
    assert not fence(node, 5, "alive").adopted, "in recovery both are equal: the first holds it"
    assert append(node, writer.frames(1), epoch=5, writer="alive").refused_epoch == 5

    assert fence(node, 5, "alive", opened=True).adopted
    assert not append(node, writer.frames(1), epoch=5, writer="alive").error
    assert append(node, writer.frames(1), epoch=5, writer="dead").refused_epoch == 5
    assert not fence(node, 5, "dead").adopted
    assert not fence(node, 4, "old", opened=True).adopted

    again = make_node(disk)
    assert (again.epoch, again.meta.value.writer_id) == (5, "alive"), "it is durable"
