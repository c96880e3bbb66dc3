"""The catalog as sessions see it: search path, names, reg* types, definitions, privileges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support_catalog import Engine, Session, in_greenlet, open_databases

from aurora.errors import SqlError, UndefinedObject
from compute_node.access.vacuum import vacuum
from compute_node.catalog.cache import split_path
from compute_node.catalog.functions.call import quote_identifier
from compute_node.catalog.functions.names import split_name
from compute_node.catalog.rows import CatalogReader
from compute_node.hub import HUB
from compute_node.relations.schema import CATALOGS

_SESSIONS: list[Session] = []


def _session() -> Session:
    if not _SESSIONS:
        session = Engine().session()
        session.run(
            'create schema s; create table t(a int primary key, "B" text); create table s.t(a int);'
            " create table s.lone(a int); create view v as select a from t; create sequence q;"
            " create role reader; comment on table t is 'a table'"
        )
        _SESSIONS.append(session)
    return _SESSIONS[0]


def ask(sql: str, search_path: str = '"$user", public') -> Any:
    """The only value of a query, or its (SQLSTATE, message)."""

    def body() -> Any:
        session = _session()
        session.settings.values["search_path"] = search_path
        try:
            return session.run(sql)[0][0]
        except SqlError as error:
            return error.sqlstate, error.message
        finally:
            session.settings.values["search_path"] = '"$user", public'

    return in_greenlet(body)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"$user", public', ["$user", "public"]),
        ("A, b", ["a", "b"]),
        ('"A""b",c', ['A"b', "c"]),
        ("", []),
        ('""', []),
    ],
)
def test_split_path(text: str, names: list[str]) -> None:
    assert split_path(text) == names


@pytest.mark.parametrize(
    ("text", "parts"), [("a", ["a"]), ("A.b", ["a", "b"]), ('"A.x".b', ["A.x", "b"]), ('"a""b"', ['a"b'])]
)
def test_split_name(text: str, parts: list[str]) -> None:
    assert split_name(text) == parts


@pytest.mark.parametrize("text", ["", "a.", ".a", "a b", '"a', "a..b"])
def test_split_name_refuses(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        split_name(text)
    assert caught.value.sqlstate == "42602"


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a", "a"),
        ("A", '"A"'),
        ("a b", '"a b"'),
        ("select", '"select"'),
        ("1a", '"1a"'),
        ('a"b', '"a""b"'),
        ("_x$1", "_x$1"),
    ],
)
def test_quote_identifier(name: str, quoted: str) -> None:
    assert quote_identifier(name) == quoted


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("select 'nope'::regclass", ("42P01", 'relation "nope" does not exist')),
        ("select 'nope.nope'::regclass", ("3F000", 'schema "nope" does not exist')),
        ("select 's.t'::regclass::text", "s.t"),
        ("select 't'::regclass::text", "t"),
        ("select 'pg_catalog.pg_class'::regclass::text", "pg_class"),
        ("select 'information_schema.tables'::regclass::text", "information_schema.tables"),
        ("select 0::regclass::text", "-"),
        ("select 99999::regclass::text", "99999"),
        ("select 'nope'::regtype", ("42704", 'type "nope" does not exist')),
        ("select 'int'::regtype::text", "integer"),
        ("select 'varchar(10)'::regtype::text", "character varying"),
        ("select 't[]'::regtype::text", "t[]"),
        ("select '_int4'::regtype::text", "integer[]"),
        ("select 'nope'::regproc", ("42883", 'function "nope" does not exist')),
        ("select 'count'::regproc", ("42725", 'more than one function named "count"')),
        ("select 'now'::regproc::text", "now"),
        ("select 2147::regproc::text", "pg_catalog.count"),
        ("select 'abs(int)'::regprocedure::text", "abs(integer)"),
        ("select 'nope'::regrole", ("42704", 'role "nope" does not exist')),
        ("select 'nope'::regnamespace", ("3F000", 'schema "nope" does not exist')),
        ("select '+'::regoper", ("42725", "more than one operator named +")),
        ("select 96::regoperator::text", "=(integer,integer)"),
        ("select 10::regrole::text", "postgres"),
        ("select 11::regnamespace::text", "pg_catalog"),
        ("select to_regclass('nope') is null", True),
        ("select pg_get_userbyid(9999999)", "unknown (OID=9999999)"),
        ("select format_type('t'::regtype, -1)", "t"),
        ("select format_type(99999, -1)", "???"),
        ("select pg_table_is_visible('s.t'::regclass)", False),
        ("select pg_table_is_visible('t'::regclass)", True),
        ("select pg_table_is_visible(99999) is null", True),
        ("select obj_description('t'::regclass, 'pg_class')", "a table"),
        ("select pg_get_indexdef('t_pkey'::regclass)", "CREATE UNIQUE INDEX t_pkey ON public.t USING btree (a)"),
        ("select pg_get_indexdef('t_pkey'::regclass, 1, true)", "a"),
        ("select has_table_privilege('t', 'select')", True),
        ("select has_table_privilege('reader', 't', 'select')", False),
        ("select has_table_privilege('reader', 'pg_class', 'select')", True),
        ("select has_schema_privilege('reader', 'public', 'usage')", True),
        ("select has_table_privilege('t', 'foo')", ("22023", 'unrecognized privilege type: "foo"')),
        ("select has_table_privilege(99999, 'select') is null", True),
        ("select pg_has_role('reader', 'postgres', 'member')", False),
        ("select pg_get_function_result(2147)", "bigint"),
        ("select pg_get_function_arguments(1066)", "integer, integer, integer"),
        ("select pg_get_function_result(1066)", "SETOF integer"),
        ("select pg_relation_size('t')", 0),
        ("select pg_filenode_relation(0, pg_relation_filenode('t'))::text", "t"),
        ("select pg_filenode_relation(1663, pg_relation_filenode('t_pkey'))::text", "t_pkey"),
        ("select pg_filenode_relation(1664, pg_relation_filenode('t')) is null", True),
        ("select pg_filenode_relation(0, 999999999) is null", True),
        ("select currval('q')", ("55000", 'currval of sequence "q" is not yet defined in this session')),
        ("select count(*) from pg_tables where schemaname = 's'", 2),
        ("select count(*) from information_schema.columns where table_name = 't'", 3),
        ("select current_schema()", "public"),
    ],
)
def test_answers_as_postgresql_does(sql: str, answer: Any) -> None:
    assert ask(sql) == answer


def test_search_path_decides_what_a_bare_name_finds() -> None:
    assert ask("select 't'::regclass = 's.t'::regclass", "s, public") is True
    assert ask("select 't'::regclass = 's.t'::regclass", "public, s") is False
    assert ask("select 'lone'::regclass::text", "public, s") == "lone"
    assert ask("select 'lone'::regclass") == ("42P01", 'relation "lone" does not exist')
    assert ask("select current_schema() is null", "nope") is True
    assert ask("select count(*) from pg_class where relname = 'pg_class'", "nope") == 1
    assert ask("create table x(a int)", "nope") == ("3F000", "no schema has been selected to create in")


def test_views_are_shared_until_the_catalog_changes() -> None:
    def body() -> None:
        engine = Engine()
        one, two = engine.session(1), engine.session(2)
        assert engine.catalog.view(one) is engine.catalog.view(two)
        before = engine.catalog.view(one)
        one.run("create table t(a int)")
        assert engine.catalog.view(two) is not before
        assert engine.catalog.view(two).version == engine.catalog.version

    in_greenlet(body)


def test_mapped_catalogs_describe_themselves() -> None:
    def body() -> None:
        view = _session().engine.catalog.view(_session())
        for name, table in CATALOGS.items():
            desc = view.find_relation(table.desc.schema, name)
            assert desc is not None
            assert tuple(replace(column, acl=None) for column in desc.columns) == table.desc.columns
            assert desc.relfile == table.desc.relfile

    in_greenlet(body)


def test_roles_and_databases_without_a_session() -> None:
    def body() -> None:
        engine = open_databases().initial
        engine.catalog.warm()
        role = engine.catalog.role("postgres")
        assert role is not None
        assert (role.oid, role.superuser, role.can_login, role.verifier) == (10, True, True, None)
        assert engine.catalog.role("nobody") is None
        databases = engine.databases
        with databases.connecting("postgres", 10, True) as found:
            assert found is engine
        for name, sqlstate in (("nope", "3D000"), ("template0", "55000")):
            with pytest.raises(SqlError) as caught, databases.connecting(name, 10, True):
                pass
            assert caught.value.sqlstate == sqlstate
        with pytest.raises(UndefinedObject):
            engine.session().run("alter role nobody login")

    in_greenlet(body)


@pytest.mark.parametrize("at", ["pg_class", "pg_attribute", "pg_index"])
def test_an_object_that_is_dropped_while_it_is_loaded_is_whole(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """A load waits for pages between its reads, and there the rows may go: each read by itself would see the drop."""

    def body() -> None:
        engine = Engine()
        session, other = engine.session(), engine.session(2)
        session.run("create table torn (a int primary key, b text); create index torn_b on torn (b)")
        oid = session.run("select 'torn'::regclass::oid")[0][0]
        engine.catalog.begin_anew()
        layer, find, dropped = engine.catalog.shared(), CatalogReader._find, []

        def then_drop(self: CatalogReader, snapshot: Any, catalog: str, key: dict[str, Any]) -> Any:
            found = find(self, snapshot, catalog, key)
            if catalog == at and oid in key.values() and not dropped:
                dropped.append(True)
                other.run("drop table torn")
                for each in ("pg_class", "pg_attribute", "pg_index"):
                    vacuum(engine.storage.table(engine.catalog.catalogs.tables[each].desc))
            return found

        monkeypatch.setattr(CatalogReader, "_find", then_drop)
        found = layer.relation(oid)
        monkeypatch.undo()
        assert dropped and found is not None
        assert [column.name for column in found.columns] == ["a", "b"]
        assert sorted(index.name for index in found.indexes) == ["torn_b", "torn_pkey"]
        assert engine.catalog.shared().relation(oid) is None
        assert not engine.storage.txns.holds.current

    in_greenlet(body)


def test_a_column_of_names_of_functions_lets_others_run() -> None:
    def body() -> None:
        session = Engine().session()
        session.begin()
        before = HUB.pulses
        for oid in (99991, 99992, 99993):
            assert session.catalog_function("regprocedureout", oid) is None
        assert HUB.pulses - before >= 3
        session.commit()

    in_greenlet(body)
