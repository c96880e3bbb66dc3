"""``aurora_check()``: a sound database has no faults; each kind of planted damage is found, where it was planted."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors
from support_server import CountingEngine, serve_engine
from test_session_protocol import connect

from aurora.kernels.python.btree import META_ROOT, OFF_RIGHT
from aurora.kernels.python.tuples import OFF_XMIN, TUPLE_HEADER_BYTES
from aurora.page import HEADER_BYTES, OFF_FLAGS, OFF_KIND, OFF_LOWER, OFF_UPPER, PageKind
from compute_node.access.brin.pages import ENTRY as SUMMARY
from compute_node.access.brin.pages import OFF_BLOCKS
from compute_node.access.gist.pages import ENTRY, LEAF, ROOT
from compute_node.access.hash.pages import MAP, META
from compute_node.catalog.view import CatalogView
from compute_node.hub import HUB
from compute_node.relations.descriptors import RelationDesc
from compute_node.relations.schema import ROLE_POSTGRES
from compute_node.wire.server import Server

SETUP = """
create table t (id int primary key, h int, n int check (n > 0), long text);
alter table t alter long set storage external;
insert into t select i, i % 7, i, case when i = 3 then repeat('x', 9000) end from generate_series(1, 1000) i;
create index by_h on t using hash (h);
create index by_n on t (n desc) where n % 2 = 0;
create table c (ref int references t);
insert into c values (5);
create sequence s;
create table g (id int, tags int[], span int4range, at point);
insert into g select i, array[i % 10, i % 7, i], int4range(i, i + 5), point(i % 37, i) from generate_series(1, 800) i;
create index by_tags on g using gin (tags);
create index by_span on g using gist (span);
create index by_place on g using spgist (at);
create index by_size on g using brin (id, span) with (pages_per_range = 2);
"""
ALL = "select relation, place, problem from aurora_check()"
OWN = (
    "select f.relation, place, problem from pg_class, lateral aurora_check_relation(oid) f where relnamespace ="
    " 'public'::regnamespace and relkind in ('r', 'S')"
)


def shared_view(engine: CountingEngine) -> CatalogView:
    catalog = engine.catalog
    return catalog.make_view(catalog.shared(), "", "postgres", ROLE_POSTGRES)


class Damage:
    """Writes into pages of the cache, past log and kernels."""

    def __init__(self, engine: CountingEngine) -> None:
        self._engine = engine

    def relation(self, name: str, schema: str = "public") -> RelationDesc:
        found = shared_view(self._engine).find_relation(schema, name)
        assert found is not None
        return found

    def page(self, relfile: int, block: int) -> memoryview:
        storage = self._engine.storage
        page: memoryview = storage.arena.page(storage.cache.get(storage.file(relfile).map.page_no(block)))
        return page

    def index(self, name: str, table: str = "t") -> int:
        return next(each.relfile for each in self.relation(table).indexes if each.name == name)

    def line(self, page: memoryview, slot: int) -> tuple[int, int]:
        """Offset, flags and length."""
        offset, word = struct.unpack_from("<HH", page, HEADER_BYTES + 4 * (slot - 1))
        return offset, word

    def put_line(self, page: memoryview, slot: int, offset: int, word: int) -> None:
        struct.pack_into("<HH", page, HEADER_BYTES + 4 * (slot - 1), offset, word)

    def leaf(self, block: int) -> memoryview:
        """The n-th leaf of t's primary key, from the left."""
        found = self.page(self.index("t_pkey"), 1)
        while block:
            found = self.page(self.index("t_pkey"), struct.unpack_from("<I", found, OFF_RIGHT)[0])
            block -= 1
        return found

    def root(self) -> memoryview:
        meta = self.page(self.index("t_pkey"), 0)
        return self.page(self.index("t_pkey"), struct.unpack_from("<I", meta, META_ROOT)[0])


def future_xmin(damage: Damage) -> None:
    page = damage.page(damage.relation("t").relfile, 0)
    struct.pack_into("<Q", page, damage.line(page, 4)[0] + OFF_XMIN, 1 << 40)


def unknown_xmax(damage: Damage) -> None:
    page = damage.page(damage.relation("t").relfile, 0)
    struct.pack_into("<Q", page, damage.line(page, 4)[0], 1 << 41)


def overlap(damage: Damage) -> None:
    page = damage.page(damage.relation("t").relfile, 0)
    damage.put_line(page, 4, *damage.line(page, 5))


def bounds(damage: Damage) -> None:
    page = damage.page(damage.relation("t").relfile, 1)
    struct.pack_into("<H", page, OFF_UPPER, 9000)


def columns(damage: Damage) -> None:
    page = damage.page(damage.relation("t").relfile, 0)
    page[damage.line(page, 4)[0] + 18] = 9


def lost_row(damage: Damage) -> None:
    damage.put_line(damage.page(damage.relation("t").relfile, 0), 4, 0, 0)


def lost_entry(damage: Damage) -> None:
    leaf = damage.leaf(1)
    struct.pack_into("<H", leaf, OFF_LOWER, struct.unpack_from("<H", leaf, OFF_LOWER)[0] - 4)


def disorder(damage: Damage) -> None:
    leaf = damage.leaf(0)
    second, third = damage.line(leaf, 3), damage.line(leaf, 4)
    damage.put_line(leaf, 3, *third)
    damage.put_line(leaf, 4, *second)


def broken_link(damage: Damage) -> None:
    struct.pack_into("<I", damage.leaf(0), OFF_RIGHT, 0)


def circle(damage: Damage) -> None:
    struct.pack_into("<I", damage.leaf(1), OFF_RIGHT, 1)


def lost_downlink(damage: Damage) -> None:
    root = damage.root()
    struct.pack_into("<H", root, OFF_LOWER, struct.unpack_from("<H", root, OFF_LOWER)[0] - 4)


def foreign_page(damage: Damage) -> None:
    struct.pack_into("<I", damage.leaf(1), HEADER_BYTES - 4, 4711)


def wrong_bucket(damage: Damage) -> None:
    relfile = damage.index("by_h")
    block = 1
    while (page := damage.page(relfile, block))[13] & (MAP | META) or page[OFF_LOWER] == HEADER_BYTES:
        block += 1
    page[HEADER_BYTES + 3] ^= 0xFF


def lost_item(damage: Damage) -> None:
    """Of the first leaf of the GIN index."""
    leaf = damage.page(damage.index("by_tags", "g"), 1)
    struct.pack_into("<H", leaf, OFF_LOWER, struct.unpack_from("<H", leaf, OFF_LOWER)[0] - 4)


def _gist_leaf(damage: Damage, name: str) -> memoryview:
    block = 1
    while not (page := damage.page(damage.index(name, "g"), block))[OFF_FLAGS] & LEAF:
        block += 1
    return page


def narrow_key(damage: Damage) -> None:
    """A leaf of the GiST index has a range that the key above it does not hold."""
    leaf = _gist_leaf(damage, "by_span")
    size = struct.unpack_from("<H", leaf, HEADER_BYTES)[0]
    at = HEADER_BYTES + size - 4
    leaf[at : at + 4] = b"\x80\0\x0f\xff"  # its end


def _gist_child(damage: Damage, child: int) -> None:
    """The first entry of the GiST index's root leads there."""
    root = damage.page(damage.index("by_span", "g"), ROOT)
    assert not root[OFF_FLAGS] & LEAF
    struct.pack_into("<I", root, HEADER_BYTES + 2, child)


def wrong_child(damage: Damage) -> None:
    _gist_child(damage, 9999)


def tree_circle(damage: Damage) -> None:
    _gist_child(damage, ROOT)


def torn_key(damage: Damage) -> None:
    """The key of a leaf's first entry says that it is longer than the page."""
    leaf = _gist_leaf(damage, "by_span")
    struct.pack_into("<H", leaf, HEADER_BYTES + ENTRY.size + 1, 60_000)


def short_item(damage: Damage) -> None:
    """The last item of a leaf of the GIN index has one byte."""
    leaf = damage.page(damage.index("by_tags", "g"), 1)
    at = struct.unpack_from("<H", leaf, OFF_LOWER)[0] - 4
    offset, _ = struct.unpack_from("<HH", leaf, at)
    struct.pack_into("<HH", leaf, at, offset, 1)


def lost_place(damage: Damage) -> None:
    leaf = _gist_leaf(damage, "by_place")
    size = struct.unpack_from("<H", leaf, HEADER_BYTES)[0]
    lower = struct.unpack_from("<H", leaf, OFF_LOWER)[0]
    leaf[HEADER_BYTES : lower - size] = bytes(leaf[HEADER_BYTES + size : lower])
    struct.pack_into("<H", leaf, OFF_LOWER, lower - size)


def _summary(damage: Damage) -> tuple[memoryview, int]:
    """The page with the summaries of the BRIN index, and where the first range's begins."""
    page = damage.page(damage.index("by_size", "g"), 2)
    assert page[OFF_KIND] == PageKind.BRIN and not page[OFF_FLAGS]
    return page, HEADER_BYTES + SUMMARY.size


def narrow_summary(damage: Damage) -> None:
    """The first range's least value is one that comes later."""
    page, at = _summary(damage)
    low = at + 5  # flags, length of the column's part, length of its lower edge
    assert int.from_bytes(page[low : low + 8], "big") == 2**63 + 1
    page[low : low + 8] = (2**63 + 3).to_bytes(8, "big")


def forgotten_values(damage: Damage) -> None:
    """The first range has no values in its first column, as far as its flags tell."""
    page, at = _summary(damage)
    page[at] = 0


def torn_summary(damage: Damage) -> None:
    page, _ = _summary(damage)
    struct.pack_into("<H", page, HEADER_BYTES, 60_000)


def unmapped_summary(damage: Damage) -> None:
    """The map leads to the summary of range 0 for range 1, too."""
    meta = damage.page(damage.index("by_size", "g"), 0)
    ranges = damage.page(damage.index("by_size", "g"), struct.unpack_from("<I", meta, OFF_BLOCKS)[0])
    struct.pack_into("<I", ranges, HEADER_BYTES + 4, 0)


def wrong_map(damage: Damage) -> None:
    """The map leads to itself."""
    meta = damage.page(damage.index("by_size", "g"), 0)
    block = struct.unpack_from("<I", meta, OFF_BLOCKS)[0]
    ranges = damage.page(damage.index("by_size", "g"), block)
    struct.pack_into("<I", ranges, HEADER_BYTES, block)


def lost_chunk(damage: Damage) -> None:
    toast = damage.relation("t").toast
    assert toast is not None
    damage.put_line(damage.page(toast.relfile, 0), 2, 0, 0)


def _set_first_column(damage: Damage, table: str, slot: int, column: int, value: int) -> None:
    page = damage.page(damage.relation(table).relfile, 0)
    bitmap = 1 if table == "t" else 0
    at = damage.line(page, slot)[0] + TUPLE_HEADER_BYTES + bitmap + 4 * column
    struct.pack_into("<i", page, at, value)


def second_key(damage: Damage) -> None:
    _set_first_column(damage, "t", 2, 0, 1)


def broken_check(damage: Damage) -> None:
    _set_first_column(damage, "t", 1, 2, -1)


def orphan(damage: Damage) -> None:
    _set_first_column(damage, "c", 1, 0, 100_000)


def lost_attribute(damage: Damage) -> None:
    """The row of pg_attribute that was made last."""
    attributes = damage.relation("pg_attribute", "pg_catalog")
    blocks = damage._engine.storage.blocks(attributes.relfile)
    while True:
        blocks -= 1
        page = damage.page(attributes.relfile, blocks)
        if slots := (struct.unpack_from("<H", page, OFF_LOWER)[0] - HEADER_BYTES) // 4:
            damage.put_line(page, slots, 0, 0)
            return


DAMAGES: list[tuple[Callable[[Damage], None], str, str]] = [
    (future_xmin, "public.t", "is no transaction that there has been"),
    (unknown_xmax, "public.t", "xmax 2199023255552 is no transaction"),
    (overlap, "public.t", "slots 4 and 5 overlap"),
    (bounds, "public.t", "of the page make no sense"),
    (columns, "public.t", "9 columns, where the table has 4"),
    (lost_row, "public.t_pkey", "has an entry for this address, and there is no row"),
    (lost_entry, "public.t_pkey", "has no entry for this row"),
    (disorder, "public.t_pkey", "items are not in order"),
    (broken_link, "public.t_pkey", "the right links of its level do not lead there"),
    (circle, "public.t_pkey", "the right links of its level lead there twice"),
    (lost_downlink, "public.t_pkey", "has no downlink"),
    (foreign_page, "public.t_pkey", "page belongs to relation file 4711"),
    (wrong_bucket, "public.by_h", "has no entry for this row"),
    (lost_item, "public.by_tags", "has no entry for this row"),
    (narrow_key, "public.by_span", "has keys that the key above it does not hold"),
    (wrong_child, "public.by_span", "block 9999 of a relation of"),
    (tree_circle, "public.by_span", "links lead there twice"),
    (torn_key, "public.by_span", "a key of 26 bytes ends at 60011"),
    (short_item, "public.by_tags", "has an item that makes no sense"),
    (lost_place, "public.by_place", "has no entry for this row"),
    (narrow_summary, "public.g", "is not held by its range's summary in by_size"),
    (forgotten_values, "public.by_size", "a summary of 39 bytes ends at"),
    (torn_summary, "public.by_size", "has an entry of 60000 bytes"),
    (unmapped_summary, "public.by_size", "to which the map does not lead"),
    (wrong_map, "public.g", "its range cannot be read"),
    (lost_chunk, "public.t", "column long cannot be read"),
    (second_key, "public.t_pkey", "has the key of the row at (0,1)"),
    (broken_check, "public.t", 'breaks the constraint "t_n_check"'),
    (orphan, "public.c", "the constraint is broken by the key (100000)"),
    (lost_attribute, "", "by pg_attribute"),
]


async def _found(db: psycopg.AsyncConnection[Any], query: str = OWN) -> list[tuple[str, str, str]]:
    return await (await db.execute(query)).fetchall()


async def _prepared(server: Server, engine: CountingEngine) -> psycopg.AsyncConnection[Any]:
    db = await connect(server)
    await db.execute(SETUP)
    return db


def test_a_sound_database_has_no_faults() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await db.execute("update t set n = n + 1 where id % 3 = 0; delete from t where id % 10 = 1 and id > 20")
        await db.execute("begin; insert into t values (5000, 1, 1, repeat('y', 9000)); rollback")
        await db.execute("update t set long = repeat('z', 20000) where id = 3")
        await db.execute("create table moved (a int, b text) with (fillfactor = 50)")
        await db.execute("insert into moved select i, repeat('b', 300) from generate_series(1, 300) i")
        await db.execute("update moved set b = repeat('c', 1500) where a % 2 = 0")
        assert await _found(db) == []
        await db.execute("vacuum")
        assert await _found(db, ALL) == []

    serve_engine(test)


@pytest.mark.parametrize(("plant", "relation", "problem"), DAMAGES, ids=[plant.__name__ for plant, _, _ in DAMAGES])
def test_damage_is_found(plant: Callable[[Damage], None], relation: str, problem: str) -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await _prepared(server, engine)
        await HUB.call(plant, Damage(engine))
        found = await _found(db, OWN if relation else ALL)
        assert any(problem in text and (not relation or where == relation) for where, _, text in found), found
        toast = f"pg_toast.pg_toast_{_oid(engine)}"
        indexes = {f"public.{name}" for name in ("t_pkey", "by_h", "by_n", "by_tags", "by_span", "by_place", "by_size")}
        around = {"public.t", "public.c", "public.g", *indexes, toast, f"{toast}_index"}
        assert not relation or {where for where, _, _ in found} <= around, found

    serve_engine(test)


def _oid(engine: CountingEngine) -> int:
    found = shared_view(engine).find_relation("public", "t")
    assert found is not None
    return int(found.oid)


def test_functions_that_an_owner_has_chosen_run_as_the_owner() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        engine.databases.sessions = lambda: list(server.sessions.values())
        db = await connect(server)
        await db.execute("create role pl; create schema own authorization pl; set session authorization pl")
        await db.execute("create table own.log (who name)")
        note = "insert into own.log values (current_user); select true"
        await db.execute(f"create function own.note(int) returns bool language sql as '{note}'")
        await db.execute(
            "create function own.f(int) returns int language sql immutable as 'select own.note($1); select 1'"
        )
        await db.execute("create table own.t (a int check (own.note(a)), b int)")
        await db.execute("insert into own.t values (1, 2), (2, 3)")
        await db.execute("create index on own.t (own.f(b)); truncate own.log")
        await db.execute("alter table own.t enable row level security, force row level security")
        await db.execute("reset session authorization")
        checked = "select * from aurora_check_relation('own.t'::regclass)"
        assert await (await db.execute(checked)).fetchall() == []
        assert await (await db.execute("select who, count(*) from own.log group by who")).fetchall() == [("pl", 4)]
        assert await (await db.execute("select current_user")).fetchall() == [("postgres",)]

    serve_engine(test)


def test_only_a_superuser_checks() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create role plain; set role plain")
        for asked in ("aurora_check()", "aurora_check_catalogs()", "aurora_check_relation(1259)"):
            with pytest.raises(errors.InsufficientPrivilege, match="must be superuser to check a database"):
                await _found(db, f"select * from {asked}")
        await db.execute("reset role")
        with pytest.raises(errors.UndefinedTable, match="relation with OID 4711 does not exist"):
            await db.execute("select * from aurora_check_relation(4711)")
        await db.execute("create view v as select 1")
        with pytest.raises(errors.WrongObjectType, match='"v" has no pages to check'):
            await db.execute("select * from aurora_check_relation('v'::regclass)")

    serve_engine(test)


def test_entries_of_gin_stay_within_their_leaf() -> None:
    async def test(server: Server, engine: CountingEngine) -> None:
        db = await connect(server)
        await db.execute("create table common (id int, items int[]) with (autovacuum_enabled = off)")
        await db.execute("insert into common select i, array[1, 2] from generate_series(1, 9000) i where i % 3 = 0")
        await db.execute("create index by_item on common using gin (items)")
        for number in range(7):
            await db.execute(f"delete from common where id % 29 = {number}")
            if number % 3 == 0:
                await db.execute("vacuum common")
            await db.execute("insert into common select i, array[1, 2, i % 5] from generate_series(1, 900) i")
        assert await _found(db, "select relation, place, problem from aurora_check_relation('common'::regclass)") == []

    serve_engine(test)
