"""A plugin of pytest for SQLAlchemy's suites: no CREATE EXTENSION of citext and hstore before they begin.

The suites of this project's list use neither; both servers run without them.
"""

from __future__ import annotations

import importlib


def pytest_configure() -> None:
    provision = importlib.import_module("sqlalchemy.dialects.postgresql.provision")
    getattr(provision, "_extensions", []).clear()
