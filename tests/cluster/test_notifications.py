"""LISTEN and NOTIFY between sessions: when messages come, in which order, and which do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

import aurora

WAIT_S = 10.0
"""within which a message must come"""


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with aurora.cluster() as cluster:
        yield cluster.dsn


@pytest.fixture
def pair(dsn: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    with psycopg.connect(dsn, autocommit=True) as one, psycopg.connect(dsn, autocommit=True) as other:
        yield one, other


def received(connection: psycopg.Connection, count: int) -> list[tuple[str, str]]:
    """The next messages; fewer when no more come in time."""
    found = connection.notifies(timeout=WAIT_S, stop_after=count)
    return [(each.channel, each.payload) for each in found]


def nothing(connection: psycopg.Connection) -> bool:
    """Whether no message is there: it would have come with the answer at the latest."""
    connection.execute("select 1")
    return not list(connection.notifies(timeout=0))


def test_an_idle_session_hears_at_once(pair: tuple[psycopg.Connection, psycopg.Connection]) -> None:
    one, other = pair
    one.execute("listen news")
    other.execute("notify news, 'first'")
    assert received(one, 1) == [("news", "first")]
    other.execute("select pg_notify('news', 'second'), pg_notify('else', 'x')")
    assert received(one, 1) == [("news", "second")]
    other.execute("notify news")
    assert [(each.pid, each.payload) for each in one.notifies(timeout=WAIT_S, stop_after=1)] == [
        (other.info.backend_pid, "")
    ]


def test_messages_come_with_the_commit(pair: tuple[psycopg.Connection, psycopg.Connection]) -> None:
    one, other = pair
    one.execute("listen news")
    other.execute("begin")
    for text in ("a", "b", "a"):
        other.execute(f"notify news, '{text}'")
    other.execute("savepoint s")
    other.execute("notify news, 'c'")
    other.execute("rollback to s")
    other.execute("notify news, 'd'")
    assert nothing(one)
    other.execute("commit")
    assert received(one, 3) == [("news", "a"), ("news", "b"), ("news", "d")]
    other.execute("begin")
    other.execute("notify news, 'e'")
    other.execute("rollback")
    assert nothing(one)


def test_a_transaction_is_not_interrupted(pair: tuple[psycopg.Connection, psycopg.Connection]) -> None:
    one, other = pair
    one.execute("listen news")
    one.execute("begin")
    other.execute("notify news, 'a'")
    other.execute("notify news, 'b'")
    assert nothing(one)
    one.execute("commit")
    assert received(one, 2) == [("news", "a"), ("news", "b")]


def test_a_session_hears_itself_before_it_is_ready(dsn: str) -> None:
    heard: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as one:
        one.add_notify_handler(lambda each: heard.append(each.payload))
        one.execute("begin")
        one.execute("listen news")
        one.execute("notify news, 'self'")
        assert heard == []
        one.execute("commit")
        assert heard == ["self"]


def test_listening_begins_and_ends_with_the_commit(pair: tuple[psycopg.Connection, psycopg.Connection]) -> None:
    one, other = pair
    one.execute("begin")
    one.execute("listen news")
    one.execute("rollback")
    assert one.execute("select pg_listening_channels()").fetchall() == []
    one.execute("listen news")
    one.execute("listen more")
    assert one.execute("select pg_listening_channels() order by 1").fetchall() == [("more",), ("news",)]
    one.execute("unlisten news")
    other.execute("notify news, 'a'")
    other.execute("notify more, 'b'")
    assert received(one, 1) == [("more", "b")]
    one.execute("unlisten *")
    other.execute("notify more, 'c'")
    assert nothing(one)
    one.execute("listen more")
    one.execute("discard all")
    assert one.execute("select pg_listening_channels()").fetchall() == []


def test_messages_come_in_the_order_of_commits(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as one:
        one.execute("create table if not exists said (n serial, text text)")
        one.execute("truncate said")
        one.execute("listen news")

        def say(name: str) -> None:
            with psycopg.connect(dsn, autocommit=True) as other:
                for number in range(20):
                    with other.transaction():
                        other.execute("insert into said (text) values (%s)", (f"{name}{number}",))
                        other.execute("select pg_notify('news', %s)", (f"{name}{number}",))

        threads = [threading.Thread(target=say, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        found = [text for _, text in received(one, 40)]
        for thread in threads:
            thread.join()
        assert len(found) == 40
        for name in "ab":
            assert [text for text in found if text[0] == name] == [f"{name}{number}" for number in range(20)]


def test_what_is_refused(pair: tuple[psycopg.Connection, psycopg.Connection]) -> None:
    one, _ = pair
    for statement, message in (
        ("select pg_notify('', 'x')", "channel name cannot be empty"),
        ("select pg_notify(null, 'x')", "channel name cannot be empty"),
        ("select pg_notify(repeat('x', 64), 'x')", "channel name too long"),
        ("select pg_notify('x', repeat('x', 8000))", "payload string too long"),
    ):
        with pytest.raises(errors.InvalidParameterValue, match=message):
            one.execute(statement)
    one.execute("select pg_notify(repeat('x', 63), repeat('x', 7999))")
    with pytest.raises(errors.SyntaxError):
        one.execute("unlisten")


def test_the_queue_is_bounded_and_empties(
    pair: tuple[psycopg.Connection, psycopg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    from compute_node.session import notifications

    one, other = pair
    monkeypatch.setattr(notifications, "QUEUE_BYTES_MAX", 100_000)
    one.execute("listen news")
    one.execute("begin")
    with pytest.raises(errors.ProgramLimitExceeded, match="too many notifications in the NOTIFY queue"):
        for number in range(100):
            other.execute("select pg_notify('news', %s)", (f"{number}" + "x" * 5000,))
    end = time.monotonic() + WAIT_S
    usage = other.execute("select pg_notification_queue_usage()").fetchone()
    assert usage is not None and usage[0] > 0.9
    one.execute("commit")
    while other.execute("select pg_notification_queue_usage()").fetchone() != (0.0,):
        assert time.monotonic() < end
    other.execute("notify news, 'again'")


def test_who_is_gone_leaves_nothing(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as other:
        with psycopg.connect(dsn, autocommit=True) as one:
            one.execute("listen news")
            one.execute("begin")
            other.execute("notify news, 'x'")
        end = time.monotonic() + WAIT_S
        while other.execute("select pg_notification_queue_usage()").fetchone() != (0.0,):
            assert time.monotonic() < end
        other.execute("notify news, 'y'")
