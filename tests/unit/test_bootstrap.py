"""The initial catalogs: rows against the schema, the image, its installation, and a volume that is opened again."""

from __future__ import annotations

from typing import Any

import pytest
from support_catalog import Engine, in_greenlet

from aurora.errors import DataCorrupted
from compute_node.access.memory_volume import MemoryVolume
from compute_node.catalog.bootstrap import build_image, install, load_image, read_image
from compute_node.catalog.bootstrap_rows import bootstrap_rows
from compute_node.catalog.views import view_sql
from compute_node.relations.schema import CATALOGS, DOMAIN_BASES, SYSTEM_VIEWS
from compute_node.types.registry import REGISTRY


def test_every_row_has_its_catalogs_width_and_unique_keys() -> None:
    for name, rows in bootstrap_rows().items():
        table = CATALOGS[name]
        assert all(len(row) == len(table.desc.columns) for row in rows)
        for index in table.desc.indexes:
            if index.unique:
                keys = [tuple(str(row[attno - 1]) for attno in index.columns) for row in rows]
                assert len(keys) == len(set(keys)), (name, index.name)


def test_not_null_columns_hold_no_null() -> None:
    for name, rows in bootstrap_rows().items():
        required = [column.attno - 1 for column in CATALOGS[name].desc.columns if column.not_null]
        assert not [row for row in rows for place in required if row[place] is None], name


def test_rows_are_the_same_every_time() -> None:
    assert bootstrap_rows() == bootstrap_rows()


def test_image_round_trip_and_corruption() -> None:
    data = load_image()
    assert len(read_image(data)) > 100
    for at in (0, 9, 13, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[at] ^= 0x40
        with pytest.raises(DataCorrupted):
            read_image(bytes(damaged))
    with pytest.raises(DataCorrupted):
        read_image(data[:10])


def test_image_is_reproducible() -> None:
    assert in_greenlet(build_image) == in_greenlet(build_image)


def test_installed_volume_has_all_rows() -> None:
    def body() -> None:
        engine = Engine()
        session = engine.session()
        session.begin()
        reader = engine.catalog.view(session).layer.reader
        for name, rows in bootstrap_rows().items():
            assert len(reader.all(name)) == len(rows), name
        assert reader.one("pg_type", oid=23).typname == "int4"
        assert reader.one("pg_class", relname="pg_class", relnamespace=11).oid == 1259
        session.rollback()

    in_greenlet(body)


def test_volume_opened_again_keeps_tables_and_their_rows() -> None:
    def body() -> None:
        volume = MemoryVolume()
        install(volume)
        engine = Engine(volume)
        engine.session().run("create table kept (a int primary key, b text); insert into kept values (1, 'x')")
        volume.advance()
        again = Engine(volume).session()
        assert again.run("select * from kept") == [(1, "x")]
        assert again.run("create table another (a int)") == "CREATE TABLE"
        oids = [row[0] for row in again.run("select oid from pg_class where oid >= 16384")]
        # The table with its index, TOAST table and that one's index; the other table.
        assert len(oids) == len(set(oids)) == 5

    in_greenlet(body)


@pytest.mark.parametrize("name", sorted(view_sql()))
def test_system_view_gives_its_recorded_columns(name: str) -> None:
    from compute_node.sql.analyze import analyze
    from compute_node.sql.parse import parse

    def body() -> Any:
        session = _engine().session()
        sql = f"select * from {name}"
        view = _engine().catalog.view(session)
        inner = analyze(parse(view_sql()[name])[0].node, view, [], view_sql()[name], session=session)
        outer = analyze(parse(sql)[0].node, view, [], sql, session=session)
        inner_columns = [(target.name, target.expression.type) for target in inner.targets if not target.junk]
        return inner_columns, [(target.name, target.expression.type) for target in outer.targets]

    inner, outer = in_greenlet(body)
    columns = SYSTEM_VIEWS[name].columns
    bases = [(column.name, DOMAIN_BASES.get(column.type, (column.type, -1))[0]) for column in columns]
    recorded = [(column, kind if kind in REGISTRY.types else 25) for column, kind in bases]
    assert outer == recorded
    assert inner == recorded


_ENGINES: list[Engine] = []


def _engine() -> Engine:
    if not _ENGINES:
        _ENGINES.append(Engine())
    return _ENGINES[0]
