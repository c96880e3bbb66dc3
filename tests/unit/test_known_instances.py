"""What an instance knows of the others: who is forgotten, and who comes back."""

from __future__ import annotations

from dataclasses import replace

from compute_node.replica.known import DISCONNECTED, GONE_S, Known
from compute_node.replica.topology import READER, WRITER, InstanceState

ME = InstanceState("a", WRITER, session_id="life a", epoch=3)
B = InstanceState("b", READER, session_id="life b", feed_address="127.0.0.1:2", last_update_us=5, epoch=3)


def ids(known: Known) -> list[str]:
    return [state.id for state in known.instances()]


def test_one_that_is_removed_is_gone_at_once_whoever_still_tells_of_it() -> None:
    known = Known(ME, ["127.0.0.1:2", "127.0.0.1:3"])
    known.told([B], 0.0)
    known.lost("b")
    assert {state.id: state.state for state in known.instances()} == {"a": "available", "b": DISCONNECTED}
    known.forget("b")
    assert ids(known) == ["a"] and known.addresses == {"127.0.0.1:3"}
    known.told([replace(B, last_update_us=9)], 1.0)
    assert ids(known) == ["a"], "by one that has not heard of it"
    known.told([replace(B, session_id="another life", last_update_us=1)], 1.0)
    assert ids(known) == ["a", "b"]


def test_one_that_nobody_tells_of_is_forgotten_after_a_while() -> None:
    known = Known(ME, [])
    known.told([B], 0.0)
    known.tick(GONE_S)
    assert ids(known) == ["a", "b"]
    known.tick(GONE_S + 0.1)
    assert ids(known) == ["a"]
    known.forget("never heard of")


def test_another_process_of_the_same_name_is_asked_and_not_believed() -> None:
    known = Known(ME, [])
    known.told([replace(ME, feed_address="127.0.0.1:9", session_id="life of another", epoch=7)], 0.0)
    assert (known.addresses, ids(known)) == ({"127.0.0.1:9"}, ["a"])
    known.told([replace(ME, feed_address="127.0.0.1:8")], 0.0)
    assert known.addresses == {"127.0.0.1:9"}
