"""Plans in bounded memory: with a tiny work_mem they spill and give the same rows; every node lets others run and can
be canceled; nothing stays behind.
"""

from __future__ import annotations

import gc
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurora.errors import ConfigurationLimitExceeded, OutOfMemory, QueryCanceled
from compute_node.exec import build
from compute_node.exec.context import ExecContext
from compute_node.exec.explain import Explanation
from compute_node.hub import HUB
from compute_node.sql.analyze import analyze
from compute_node.sql.parse import parse
from compute_node.sql.planner import plan
from compute_node.types.registry import TypeEnv
from compute_node.work.account import INSTANCE, Account, Area, Instance, batch_bytes
from compute_node.work.sorting import Sorter, sort_rows, sorted_batches
from compute_node.work.spill import TEMP_STATISTICS, TempFile, TempUsage, Tuplestore
from tests.unit import support_exec, support_sql

ROWS = 2000
T = support_sql.table(31000, "t", "id int4, grp int4, name text, amount numeric", primary="id", rows=ROWS)
U = support_sql.table(31010, "u", "id int4, t int4, label text", primary="id", rows=ROWS)


class TinySession(support_exec.FakeSession):
    """Settings of a session; ``canceled_after`` raises in that check."""

    def __init__(self, **settings: Any) -> None:
        self.settings: dict[str, Any] = {
            "work_mem": 64, "hash_mem_multiplier": 1.0, "temp_file_limit": -1, "log_temp_files": -1,
        } | settings  # fmt: skip
        self.checks = 0
        self.canceled_after = -1

    def check_interrupts(self) -> None:
        self.checks += 1
        if self.checks == self.canceled_after:
            raise QueryCanceled("canceled")


class Database:
    """Two tables under the real planner."""

    def __init__(self) -> None:
        chance = random.Random(5)
        self.catalog = support_sql.FakeCatalog((T, U))
        self.storage = support_exec.FakeStorage()
        names = [None, *(f"name {number} " + "x" * (number % 50) for number in range(300))]
        self.storage.table(T).versions = []
        for number in range(ROWS):
            row = (number, chance.choice([None, *range(700)]), chance.choice(names), Decimal(chance.randrange(100)))
            self.storage.table(T)._append(row, 0)
            self.storage.table(U)._append((number, chance.choice([None, *range(ROWS)]), chance.choice(names)), 0)

    def run(self, sql: str, session: Any) -> Iterator[tuple[Any, ...]]:
        (statement,) = parse(sql)
        planned = plan(analyze(statement.node, self.catalog, [], sql), self.catalog, None)
        executable = build(planned, self.catalog)
        ctx = ExecContext(session, object(), 0, TypeEnv(timezone=UTC), self.storage, ())
        for batch in executable.rows(ctx, ()):
            yield from batch


@pytest.fixture(scope="module")
def database() -> Database:
    return Database()


@pytest.fixture
def unused() -> int:
    """What other tests of this process have left in use."""
    gc.collect()
    return INSTANCE.used_bytes


SPILLING = [
    "select * from t order by name desc, grp nulls first, id",
    "select name, id from t order by grp desc nulls last, name",
    "select grp, count(*), sum(amount), min(name) from t group by grp",
    "select name, string_agg(id::text, ',' order by id) from t group by name",
    "select distinct grp, name from t",
    "select grp, name from t union select t, label from u",
    "select grp from t intersect select t from u",
    "select grp from t intersect all select t from u",
    "select grp from t except select t from u",
    "select grp from t except all select t from u",
    "select t.id, u.label from t join u on u.t = t.grp",
    "select t.id, u.label from t left join u on u.t = t.grp and u.id > 1000",
    "select t.id, u.label from t right join u on u.t = t.grp",
    "select t.id, u.label from t full join u on u.t = t.grp and u.label = t.name",
    "select id from t where grp in (select t from u)",
    "select id from t where exists (select 1 from u where u.t = t.grp and u.id <> t.id)",
    "select id from t where not exists (select 1 from u where u.t = t.grp)",
    "select id from t where grp not in (select t from u where t is not null)",
    "with c as materialized (select id, name from t) select a.id, b.name from c a join c b on a.id = b.id + 1",
    "with recursive r(n, s) as (select 1, repeat('y', 200) union all select n + 1, s from r where n < 1000)"
    " select n, length(s) from r",
    "select a.id, b.id from t a, u b where a.id < 4 and b.id % 250 = a.id and a.name || b.label is not null",
    "select array(select id from t where grp = 5 order by id)",
    "select id, sum(amount) over (order by id rows between 3 preceding and 2 following) from t order by id",
    "select id, count(*) over (partition by name order by id desc), lead(id, 3) over (order by id) from t order by id",
    "select id, sum(id) over (order by grp nulls first), cume_dist() over (order by grp) from t order by id",
    "select id, sum(id) over (order by id * 0), row_number() over (order by id * 0) from t order by id",
    "select grp, name, count(*), grouping(grp, name) from t group by cube (grp, name)",
    "select count(*) from t a where a.amount <= all (select amount from t)",
]
NOT_SPILLING = ("array(", "<= all", "not in", "t a, u b")


@pytest.mark.parametrize("sql", SPILLING)
def test_spilled_plans_give_the_same_rows(database: Database, unused: int, sql: str) -> None:
    in_memory = list(database.run(sql, TinySession(work_mem=1 << 20)))
    before = TEMP_STATISTICS.files
    spilled = list(database.run(sql, TinySession()))
    if not any(words in sql for words in NOT_SPILLING):
        assert TEMP_STATISTICS.files > before, "nothing was spilled"
    if "order by" in sql and "group by" not in sql:
        assert spilled == in_memory
    assert sorted(map(repr, spilled)) == sorted(map(repr, in_memory))
    assert len(in_memory) > 0
    assert INSTANCE.used_bytes == unused


@pytest.mark.parametrize("sql", SPILLING)
def test_every_node_checks_often_and_leaves_nothing_when_canceled(
    database: Database, unused: int, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = TinySession()
    list(database.run(sql, session))
    checks = session.checks
    assert checks > 20, "2000 rows and fewer than 20 checks"
    gc.collect()
    files = len(os.listdir("/proc/self/fd"))
    for at in {1, checks // 4, checks // 2, checks - 1}:
        session = TinySession()
        session.canceled_after = at
        with pytest.raises(QueryCanceled):
            list(database.run(sql, session))
        assert INSTANCE.used_bytes == unused
    assert len(os.listdir("/proc/self/fd")) <= files


STOPPED_EARLY = [
    "select (select count(*) from u where id > o.id group by cube (t, label) limit 1) from t o where id < 60",
    "select (select count(*) from u where id > o.id group by label limit 1) from t o where id < 60",
    "select (select array_agg(id) from u where id > o.id limit 1) from t o where id < 60",
    "select (select sum(id) over (order by id rows between 1 preceding and 1 following) from u where id > o.id limit 1)"
    " from t o where id < 60",
    "select (select sum(id) over (order by id * 0) from u where id > o.id limit 1) from t o where id < 60",
    "select (select id from u where id > o.id order by label limit 1) from t o where id < 60",
    "select (select u.id from u join u v on u.t = v.t where u.id > o.id limit 1) from t o where id < 60",
    "select (select t from u where id > o.id union select o.id limit 1) from t o where id < 60",
    "select (select t from u where id > o.id intersect all select t from u limit 1) from t o where id < 60",
    "select (select label from (select distinct label, t from u where id > o.id) d limit 1) from t o where id < 60",
    "select (with recursive r(n) as (select o.id union all select n + 1 from r where n < 2000) select n from r limit 1)"
    " from t o where id < 60",
]


@pytest.mark.parametrize("work_mem", [8, 1 << 20])
@pytest.mark.parametrize("sql", STOPPED_EARLY)
def test_a_sub_select_that_is_stopped_early_leaves_nothing_to_the_next(
    database: Database, unused: int, sql: str, work_mem: int
) -> None:
    def kept(outer: int) -> tuple[int, int]:
        rows = database.run(sql.replace("id < 60", f"id < {outer}"), TinySession(work_mem=work_mem))
        next(rows)  # the whole batch is computed
        return INSTANCE.used_bytes - unused, len(os.listdir("/proc/self/fd"))

    few, many = kept(2), kept(20)
    assert many[0] <= few[0] + 1000
    assert many[1] <= few[1]


def test_a_portal_that_is_dropped_leaves_nothing(database: Database, unused: int) -> None:
    files = len(os.listdir("/proc/self/fd"))
    rows = database.run("select * from t order by name", TinySession())
    next(rows)
    assert INSTANCE.used_bytes > unused or len(os.listdir("/proc/self/fd")) > files
    del rows
    gc.collect()
    assert INSTANCE.used_bytes == unused
    assert len(os.listdir("/proc/self/fd")) <= files


def test_temp_file_limit(database: Database) -> None:
    with pytest.raises(ConfigurationLimitExceeded, match=r"temporary file size exceeds temp_file_limit \(32kB\)"):
        list(database.run("select * from t order by name, id", TinySession(temp_file_limit=32)))


def test_the_instance_ends_the_statement_that_would_go_over_its_limit(
    database: Database, unused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(INSTANCE, "limit_bytes", unused + 200_000)
    sql = "select string_agg(name || repeat('z', 500), '') from t"
    with pytest.raises(OutOfMemory):
        list(database.run(sql, TinySession()))
    assert INSTANCE.used_bytes == unused
    assert len(list(database.run("select * from t order by name, id", TinySession()))) == ROWS


def test_the_largest_step_between_two_pulses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sort of 200,000 rows in memory: how many rows' keys are computed between two looks at the clock."""
    since = most = 0

    def pulse() -> None:
        nonlocal since, most
        most, since = max(most, since), 0

    def key(row: tuple[Any, ...]) -> Any:
        nonlocal since
        since += 1
        return row[0]

    monkeypatch.setattr(HUB, "pulse", pulse)
    chance = random.Random(3)
    rows = [(chance.random(), number) for number in range(200_000)]
    sorter = Sorter([(key, False)], Area(Account(), 1 << 40), lambda: pytest.fail("no file"))
    for start in range(0, len(rows), 1000):
        sorter.add(rows[start : start + 1000])
    out = [row for batch in sorter.finish() for row in batch]
    assert out == sorted(rows, key=lambda row: row[0])
    assert most <= 25_000


KEYED = st.tuples(st.one_of(st.none(), st.integers(0, 5)), st.text("ab", max_size=2), st.integers(0, 10**6))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(KEYED, max_size=300), limit=st.integers(1, 5000), reverse=st.tuples(st.booleans(), st.booleans()))
def test_external_sort_is_a_sort(rows: list[tuple[Any, ...]], limit: int, reverse: tuple[bool, bool]) -> None:
    """Which of equal rows comes first is PostgreSQL's (``work/ties.py``), not the first that came."""
    passes = [
        (lambda row: row[1], reverse[0]),
        (lambda row: (row[0] is None, row[0]), reverse[1]),
    ]
    expected = list(rows)
    sort_rows(expected, passes)
    account = Account(Instance(1 << 40))
    sorter = Sorter(passes, Area(account, limit), lambda: TempFile(account, TempUsage()))
    for start in range(0, len(rows), 7):
        sorter.add(rows[start : start + 7])
    for batches in (sorter.finish(), sorted_batches(list(rows), passes)):
        found = [row for batch in batches for row in batch]
        assert [row[:2] for row in found] == [row[:2] for row in expected]
        assert Counter(found) == Counter(rows)
    account.close()


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 20), max_size=30), limit=st.integers(1, 20_000), data=st.data())
def test_tuplestore_reads_what_was_added(sizes: list[int], limit: int, data: st.DataObject) -> None:
    account = Account(Instance(1 << 40))
    store = Tuplestore(Area(account, limit), lambda: TempFile(account, TempUsage()))
    rows: list[tuple[Any, ...]] = []
    reader = store.batches()
    seen: list[tuple[Any, ...]] = []
    for size in sizes:
        batch = [(len(rows) + number, "v" * number) for number in range(size)]
        rows += batch
        store.append(batch)
        if batch:
            seen += next(reader)
    assert seen == rows == [row for batch in store.batches() for row in batch]
    start = data.draw(st.integers(0, len(rows) + 2))
    stop = data.draw(st.integers(0, len(rows) + 2))
    assert store.rows(start, stop) == rows[start:stop]
    assert len(store) == len(rows)
    store.close()
    assert account.used_bytes == 0
    account.close()


def test_files_have_no_name_and_hold_no_plain_text(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    account = Account(Instance(1 << 40))
    file = TempFile(account, TempUsage())
    rows = [("secret " * 20, number) for number in range(100)]
    file.write(rows)
    assert os.listdir(tmp_path) == []
    raw = os.pread(file._fd, file.bytes, 0)
    assert len(raw) == file.bytes
    assert b"secret" not in raw
    assert file.read(0) == rows
    account.close()


def test_sizes_are_about_right() -> None:
    rows = [(number, "x" * 1000, None, [1, 2, 3]) for number in range(100)]
    assert 100 * 1000 < batch_bytes(rows) < 100 * 1500
    lone = [(1, "x")] * 99 + [(1, "x" * 1_000_000)]
    assert batch_bytes(lone) > 1_000_000


class WithoutMerges:
    """Settings of a planner that hashes its joins."""

    def get(self, name: str) -> bool | None:
        return name != "enable_mergejoin" if name.startswith("enable_") else None


@pytest.mark.parametrize(
    ("sql", "work_mem", "expected"),
    [
        ("select * from t order by name, id", 64, r"Sort Method: external merge  Disk: \d+kB"),
        ("select * from t order by name, id", 1 << 20, r"Sort Method: quicksort  Memory: \d+kB"),
        ("select * from t order by name, id limit 5", 64, r"Sort Method: top-N heapsort  Memory: \d+kB"),
        (
            "select id, count(*) from t group by id",
            64,
            r"Batches: 17  Memory Usage: \d+kB  Disk Usage: \d+kB",
        ),
        ("select grp, count(*) from t group by grp", 1 << 20, r"Batches: 1  Memory Usage: \d+kB"),
        ("select * from t join u on u.t = t.grp", 64, r"^        Buckets: 2048  Batches: 16  Memory Usage: \d+kB"),
        ("select * from t join u on u.t = t.grp", 1 << 20, r"^        Buckets: 2048  Batches: 1  Memory"),
    ],
)
def test_explain_analyze_tells_of_memory(database: Database, sql: str, work_mem: int, expected: str) -> None:
    (statement,) = parse(sql)
    planned = plan(analyze(statement.node, database.catalog, [], sql), database.catalog, WithoutMerges())
    env = TypeEnv(timezone=UTC)
    shown = Explanation(planned, {"analyze": True, "costs": False}, database.catalog, env)
    session = TinySession(work_mem=work_mem)
    ctx = ExecContext(session, object(), 0, env, database.storage, ())
    executable = shown.executable
    assert executable is not None
    shown.measure(lambda: list(executable.rows(ctx, ())))
    assert any(re.search(expected, line) for line in shown.lines()), shown.lines()


def test_functions_over_many_rows_let_others_run(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    pulses = 0

    def pulse() -> None:
        nonlocal pulses
        pulses += 1

    sql = "select md5(g::text) from generate_series(1, 20000) g where md5(g::text) <> 'x'"
    monkeypatch.setattr(HUB, "pulse", pulse)
    assert len(list(database.run(sql, TinySession()))) == 20_000
    assert pulses >= 20_000 // 64


def test_batches_of_large_rows_are_small(database: Database) -> None:
    (statement,) = parse("select repeat('x', 1000000) from generate_series(1, 400) g")
    planned = plan(analyze(statement.node, database.catalog, [], ""), database.catalog, None)
    executable = build(planned, database.catalog)
    ctx = ExecContext(TinySession(), object(), 0, TypeEnv(timezone=UTC), database.storage, ())
    sizes = [len(batch) for batch in executable.rows(ctx, ())]
    assert sum(sizes) == 400
    assert max(sizes) <= 32
    assert sizes[-1] <= 4
