"""Extensions: folders with a control file, SQL scripts and code → objects of a database once CREATE EXTENSION has run.

Each folder is one extension as PostgreSQL has them (manual, 38.17): ``NAME.control``, ``NAME--VERSION.sql``,
``NAME--OLD--NEW.sql``. The scripts are the project's own; their functions are ``LANGUAGE internal`` over the symbols
that the folder's modules put into ``LIBRARY`` (``library``). Importing this package fills it; no row of a catalog knows
a symbol before a script names it. ``controls`` reads the files; the statements are in ``catalog/ddl/extensions``.
"""

from __future__ import annotations

import importlib
from typing import Final

_MODULES: Final = (
    "uuid_ossp",
    "pgcrypto",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "intarray",
    "unaccent",
    "pg_stat_statements",
    "pg_trgm",
    "hstore",
    "tablefunc",
    "ltree",
)
"""the modules of the folders, by their names below this package"""

for _module in _MODULES:
    importlib.import_module(f"{__name__}.{_module}")
