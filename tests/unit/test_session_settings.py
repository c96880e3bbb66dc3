"""Settings against what PostgreSQL 15 answers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aurora.errors import SqlError
from compute_node.session.settings import DEFINITIONS, Settings, join_arguments, split_list, zone_for


def make(superuser: bool = True) -> tuple[Settings, list[tuple[str, object]]]:
    changes: list[tuple[str, object]] = []
    return Settings({}, superuser, lambda name, value: changes.append((name, value))), changes


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("work_mem", "1.5MB", "1536kB"), ("work_mem", "4096", "4MB"), ("work_mem", " 2 GB ", "2GB"),
        ("statement_timeout", "90s", "90s"), ("statement_timeout", "1min", "1min"), ("lock_timeout", "0.5s", "500ms"),
        ("lock_timeout", "1us", "0"), ("idle_in_transaction_session_timeout", "1d", "1d"),
        ("vacuum_cost_delay", "2.5ms", "2500us"), ("effective_cache_size", "1GB", "1GB"),
        ("seq_page_cost", "1.25", "1.25"), ("random_page_cost", "1e10", "1e+10"), ("jit", "yes", "on"),
        ("jit", "1", "on"), ("enable_seqscan", "of", "off"), ("synchronous_commit", "FALSE", "off"),
        ("bytea_output", "Escape", "escape"), ("DateStyle", "german", "German, DMY"),
        ("datestyle", "postgres, dmy", "Postgres, DMY"), ("timezone", "europe/berlin", "Europe/Berlin"),
        ("TimeZone", "2", "<+02>-02"), ("TimeZone", "-3.5", "<-03:30>+03:30"), ("TimeZone", "<+03>-3", "<+03>-3"),
        ("client_encoding", "utf-8", "UTF8"), ("application_name", "aé\1", "a???"), ("a.b", "x y", "x y"),
    ],
)  # fmt: skip
def test_set_and_show(name: str, text: str, shown: str) -> None:
    settings, _ = make()
    settings.set(name, text)
    assert settings.show(name) == shown


@pytest.mark.parametrize(
    ("name", "text", "sqlstate", "message", "hint"),
    [
        ("nope", "1", "42704", 'unrecognized configuration parameter "nope"', None),
        ("work_mem", "1kB", "22023",
         '1 kB is outside the valid range for parameter "work_mem" (64 .. 2147483647)', None),
        ("work_mem", "abc", "22023", 'invalid value for parameter "work_mem": "abc"', None),
        ("work_mem", "12xx", "22023", 'invalid value for parameter "work_mem": "12xx"',
         'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".'),
        ("statement_timeout", "99999999999999", "22023",
         'invalid value for parameter "statement_timeout": "99999999999999"', "Value exceeds integer range."),
        ("seq_page_cost", "-1", "22023",
         '-1 is outside the valid range for parameter "seq_page_cost" (0 .. 1.79769e+308)', None),
        ("enable_seqscan", "foo", "22023", 'parameter "enable_seqscan" requires a Boolean value', None),
        ("bytea_output", "foo", "22023", 'invalid value for parameter "bytea_output": "foo"',
         "Available values: escape, hex."),
        ("server_version", "1", "55P02", 'parameter "server_version" cannot be changed', None),
        ("port", "1", "55P02", 'parameter "port" cannot be changed without restarting the server', None),
        ("autovacuum", "off", "55P02", 'parameter "autovacuum" cannot be changed now', None),
        ("DateStyle", "foo", "22023", 'invalid value for parameter "DateStyle": "foo"', None),
        ("TimeZone", "Nope/x", "22023", 'invalid value for parameter "TimeZone": "Nope/x"', None),
        ("client_encoding", "foo", "22023", 'invalid value for parameter "client_encoding": "foo"', None),
        ("a.1b", "x", "42602", 'invalid configuration parameter name "a.1b"', None),
    ],
)  # fmt: skip
def test_errors(name: str, text: str, sqlstate: str, message: str, hint: str | None) -> None:
    settings, changes = make()
    with pytest.raises(SqlError) as caught:
        settings.set(name, text)
    assert (caught.value.sqlstate, caught.value.message, caught.value.hint) == (sqlstate, message, hint)
    assert not changes


def test_superuser_settings() -> None:
    settings, _ = make(superuser=False)
    with pytest.raises(SqlError, match='permission denied to set parameter "zero_damaged_pages"'):
        settings.set("zero_damaged_pages", "on")


def test_rollback_commit_local() -> None:
    settings, changes = make()
    settings.set("work_mem", "1MB")
    settings.end_transaction(True)
    settings.set("work_mem", "2MB")
    settings.set("work_mem", "3MB", local=True)
    assert settings.show("work_mem") == "3MB"
    mark = settings.mark()
    settings.set("work_mem", "5MB")
    settings.rollback_to(mark)
    assert settings.show("work_mem") == "3MB"
    settings.end_transaction(True)
    assert settings.show("work_mem") == "2MB"
    settings.set("work_mem", "9MB", local=True)
    settings.end_transaction(False)
    assert settings.show("work_mem") == "2MB"
    assert changes[-1] == ("work_mem", 2048)
    settings.reset("work_mem")
    assert settings.show("work_mem") == "4MB"


def test_startup_values_are_what_reset_gives() -> None:
    settings, _ = make()
    settings.set_startup("statement_timeout", "5s")
    settings.set("statement_timeout", "1s")
    settings.reset_all()
    assert settings.show("statement_timeout") == "5s"


def test_every_default_is_valid_and_shown() -> None:
    settings, _ = make()
    assert len(DEFINITIONS) > 200
    for name in settings.names():
        settings.show(name)
    for key, setting in DEFINITIONS.items():
        assert key == setting.name.lower()
        if setting.type == "enum" and setting.boot:
            assert setting.boot in setting.enum


def test_lists() -> None:
    assert join_arguments("search_path", ["a", "B c", "public"]) == 'a, "B c", public'
    assert join_arguments("search_path", [""]) == '""'
    assert split_list('a, "B c",Public, "x""y"') == ["a", "B c", "public", 'x"y']
    with pytest.raises(SqlError, match="SET work_mem takes only one argument"):
        join_arguments("work_mem", ["1", "2"])


def test_zones() -> None:
    settings, _ = make()
    settings.set("TimeZone", "Europe/Berlin")
    assert zone_for("Europe/Berlin") is not None
    zone = zone_for("<+02>-02")
    assert zone is not None
    assert zone.utcoffset(None) == timedelta(hours=2)
    assert zone_for("Nope") is None
