"""The suites: what each needs, what its database must have, and how it is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PROGRAMS: Final = Path(__file__).parent / "programs"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that suites run against, by superuser without a password or with PGPASSWORD of the environment."""

    name: str
    host: str
    port: int
    user: str

    def environment(self, database: str) -> dict[str, str]:
        """libpq's variables."""
        return {
            "PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": database, "PGTZ": "UTC",
        }  # fmt: skip

    def url(self, database: str, driver: str) -> str:
        """SQLAlchemy's address of a database."""
        return f"postgresql+{driver}://{self.user}@{self.host}:{self.port}/{database}"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a suite: where its sources are (``folder``), the tools' venv, the server, and its own database."""

    server: Server
    folder: Path
    python: Path
    database: str
    report: Path


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite. ``command`` makes the arguments of a run; ``environment`` adds variables; ``sdist`` is the package whose
    source distribution holds the tests, None for a program of ours that prints lines (``outcomes.read_program``)."""

    name: str
    title: str
    command: Callable[[Run], list[str]]
    sdist: str | None = None
    needs: tuple[str, ...] = ()
    npm: bool = False
    setup: tuple[str, ...] = ()
    """Statements in the suite's database."""
    databases: tuple[str, ...] = ()
    """Databases of fixed names besides."""
    environment: Callable[[Run], Mapping[str, str]] = field(default=lambda run: {})


def _pytest(run: Run, *arguments: str) -> list[str]:
    return [
        str(run.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=300", f"--junitxml={run.report}",
        *arguments,
    ]  # fmt: skip


def _sqlalchemy(driver: str) -> Callable[[Run], list[str]]:
    return lambda run: _pytest(
        run, "-p", "without_extensions", "--maxfail=100000",
        "--dburi", run.server.url(run.database, driver), "test/dialect/test_suite.py",
    )  # fmt: skip


def _alembic(run: Run) -> list[str]:
    return _pytest(
        run, "-p", "without_extensions", "--maxfail=100000", "--backend-only",
        "--dburi", run.server.url(run.database, "psycopg2"), "tests",
    )  # fmt: skip


def _program(name: str) -> Callable[[Run], list[str]]:
    return lambda run: [str(run.python), str(PROGRAMS / f"{name}.py")]


def _node(name: str) -> Callable[[Run], list[str]]:
    return lambda run: ["node", str(run.folder / f"{name}.mjs")]


_SA_SCHEMAS: Final = ("CREATE SCHEMA test_schema", "CREATE SCHEMA test_schema_2")
_PLUGINS: Final = {"PYTHONPATH": str(PROGRAMS)}

SUITES: Final = (
    *(
        Suite(
            f"sqlalchemy-{driver}", f"SQLAlchemy's dialect compliance suite, {driver}", _sqlalchemy(driver),
            sdist="sqlalchemy", needs=("sqlalchemy[asyncio]", package), setup=_SA_SCHEMAS,
            environment=lambda run: _PLUGINS,
        )
        for driver, package in (("psycopg", "psycopg[binary]"), ("pg8000", "pg8000"))
    ),
    Suite(
        "alembic", "Alembic's tests with a database, psycopg2", _alembic,
        sdist="alembic", needs=("sqlalchemy[asyncio]", "psycopg2-binary", "mako"), setup=_SA_SCHEMAS[:1],
        environment=lambda run: _PLUGINS,
    ),
    Suite(
        "psycopg2", "psycopg2's tests", lambda run: _pytest(run, "tests"),
        sdist="psycopg2", needs=("psycopg2-binary",),
        environment=lambda run: {
            "PSYCOPG2_TESTDB": run.database, "PSYCOPG2_TESTDB_HOST": run.server.host,
            "PSYCOPG2_TESTDB_PORT": str(run.server.port), "PSYCOPG2_TESTDB_USER": run.server.user,
            "PSYCOPG2_TEST_FAST": "1",
        },
    ),
    Suite(
        "pg8000", "pg8000's tests", lambda run: _pytest(run, "test"), sdist="pg8000",
        needs=("pg8000", "pytz", "pytest-mock", "pytest-benchmark", "docutils"),
        environment=lambda run: {"PGPASSWORD": "unused", "PYTHONPATH": "src"},
    ),
    Suite(
        "pgspecial", "pgspecial's tests (the backslash commands of pgcli)", lambda run: _pytest(run, "tests"),
        sdist="pgspecial", needs=("pgspecial", "psycopg[binary]"), databases=("_test_db", "_foreign_test_db"),
        environment=lambda run: {"PYTHONPATH": "."},
    ),
    Suite(
        "django", "A Django project: migrate, admin, inspectdb, queries", _program("django_project"),
        needs=("django", "psycopg[binary]"),
    ),
    Suite(
        "alembic-round", "Alembic: autogenerate, upgrade, and nothing left to generate", _program("alembic_round"),
        needs=("alembic", "sqlalchemy[asyncio]", "psycopg[binary]"),
    ),
    Suite(
        "dbt", "dbt: seeds, models, incremental runs, snapshots, tests, docs", _program("dbt_project"),
        needs=("dbt-core>=1.9,<1.11", "dbt-postgres>=1.9,<1.11"),  # later ones fetch a program when they are installed
    ),
    *(
        Suite(f"node-{name}", f"{title} (npm)", _node(name), npm=True)
        for name, title in (
            ("pg", "node-postgres: types, cursors, error fields, notifications"),
            ("knex", "Knex: schema builder, queries, migrations"),
            ("typeorm", "TypeORM: synchronize, relations, introspection"),
            ("sequelize", "Sequelize: sync, associations, introspection"),
            ("drizzle", "drizzle-kit's pull and push, drizzle-orm's queries"),
        )
    ),
    Suite(
        "pgcli", "pgcli: what it asks to complete names, and a session", _program("pgcli_session"),
        needs=("pgcli", "psycopg[binary]"),
    ),
    Suite("jdbc", "pgjdbc: DatabaseMetaData", _program("jdbc_metadata")),
)  # fmt: skip
