"""Alembic, without files of its own: metadata is made into tables by autogenerate, again after changes, and then
nothing is left to generate. Database: libpq's variables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import OpContainer, UpgradeOps
from report import check
from sqlalchemy.dialects import postgresql as pg

ENGINE = sa.create_engine("postgresql+psycopg://")


def _first() -> sa.MetaData:
    told = sa.MetaData()
    sa.Table(
        "people", told,
        sa.Column("id", sa.BigInteger, sa.Identity(start=100, increment=5), primary_key=True),
        sa.Column("name", sa.String(40), nullable=False, comment="of birth", index=True),
        sa.Column("mood", sa.Enum("sad", "ok", name="mood")),
        sa.Column("tags", pg.ARRAY(sa.Text), server_default="{}"),
        sa.Column("doc", pg.JSONB), sa.Column("span", pg.TSTZRANGE), sa.Column("home", pg.INET),
        sa.Column("born", sa.DateTime(timezone=True), server_default=sa.text("now()")),
        sa.Column("n", sa.Integer), sa.Column("twice", sa.Integer, sa.Computed("n * 2")),
        sa.CheckConstraint("length(name) > 1", name="people_name_check"),
        comment="everybody",
    )  # fmt: skip
    sa.Table(
        "orders", told,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("who", sa.BigInteger, sa.ForeignKey("people.id", ondelete="CASCADE", deferrable=True)),
        sa.Column("price", sa.Numeric(10, 2), server_default="0"),
        sa.UniqueConstraint("who", "price", name="orders_once"),
    )  # fmt: skip
    return told


def _second() -> sa.MetaData:
    told = sa.MetaData()
    sa.Table(
        "people", told,
        sa.Column("id", sa.BigInteger, sa.Identity(start=100, increment=5), primary_key=True),
        sa.Column("name", sa.Text, comment="now any", index=True),
        sa.Column("mood", sa.Enum("sad", "ok", name="mood"), nullable=False, server_default="ok"),
        sa.Column("tags", pg.ARRAY(sa.Text), server_default="{new}"),
        sa.Column("doc", pg.JSONB), sa.Column("home", pg.CIDR),
        sa.Column("born", sa.Date), sa.Column("extra", pg.UUID),
        sa.Column("n", sa.Integer), sa.Column("twice", sa.Integer, sa.Computed("n * 2")),
        sa.CheckConstraint("length(name) > 1", name="people_name_check"),
        sa.Index("people_lower", sa.text("lower(name)"), postgresql_where=sa.text("doc IS NOT NULL")),
        sa.Index("people_incl", "born", postgresql_include=["extra"]),
        comment="all of them",
    )  # fmt: skip
    sa.Table(
        "orders", told,
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("who", sa.BigInteger, sa.ForeignKey("people.id", ondelete="SET NULL", name="orders_who")),
        sa.Column("price", sa.Numeric(12, 3), server_default="1"),
        sa.UniqueConstraint("who", name="orders_one", postgresql_nulls_not_distinct=True),
    )  # fmt: skip
    sa.Table("notes", told, sa.Column("id", sa.Integer, primary_key=True), sa.Column("t", pg.TSVECTOR), schema="side")
    return told


def _found(connection: sa.Connection, told: sa.MetaData) -> UpgradeOps:
    context = MigrationContext.configure(
        connection, opts={"include_schemas": True, "compare_server_default": True, "target_metadata": told}
    )
    return produce_migrations(context, told).upgrade_ops


def _invoke(operations: Operations, container: OpContainer) -> None:
    for each in container.ops:
        if isinstance(each, OpContainer):
            _invoke(operations, each)
        else:
            operations.invoke(each)


def _apply(told: sa.MetaData, *before: str) -> str:
    with ENGINE.begin() as connection:
        for statement in before:
            connection.execute(sa.text(statement))
        found = _found(connection, told)
        text = render_python_code(found)
        _invoke(Operations(MigrationContext.configure(connection)), found)
    return text


def _left(told: sa.MetaData) -> str:
    with ENGINE.begin() as connection:
        return render_python_code(_found(connection, told))


def _reflected() -> list[str]:
    told = sa.MetaData()
    for schema in (None, "side"):
        told.reflect(ENGINE, schema=schema, views=True)
    return [f"{table.comment} {str(sa.schema.CreateTable(table)).strip()}" for table in told.sorted_tables]


check("first: generate and upgrade", lambda: _apply(_first()))
check("first: nothing is left", lambda: _left(_first()))
check(
    "first: rows",
    lambda: _apply(
        _first(),
        "INSERT INTO people (name, mood) VALUES ('Ann', 'ok'), ('Bob', 'sad')",
        "INSERT INTO orders (who, price) SELECT id, id / 3.0 FROM people",
    ),
)
check("second: generate and upgrade", lambda: _apply(_second(), "CREATE SCHEMA side"))
check("second: nothing is left", lambda: _left(_second()))
check("second: reflected", _reflected)
check("back to the first", lambda: _apply(_first()))
check("first: nothing is left again", lambda: _left(_first()))
