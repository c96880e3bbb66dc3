"""Why known tests end otherwise here: (suites, pattern of the test's name or of its error, reason)."""

from __future__ import annotations

from typing import Final

REASONS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "psycopg2", r"[Nn]ot_?[Gg]reedy",
        "a cursor's rows are computed a batch at a time, so the times of two rows that are fetched apart are closer",
    ),
    ("sequelize", r"plpgsql|DO is not", "PL/pgSQL is not here"),
    ("pg8000", r"plpgsql", "PL/pgSQL is not here"),
    ("pg8000", r"numutils\.c", "the file and the routine that an error names are this program's own"),
    ("pgspecial", r"_verbose", "sizes of relations: an index or TOAST table without entries takes other pages here"),
    ("pgspecial", r"slash_dx", "the extension plpgsql is not here"),
    ("pgcli", r"all functions", "the three functions of plpgsql are not here"),
    ("jdbc", r"index info", "`relpages` of an index is 0 until it is vacuumed, and an empty one has two pages"),
    ("jdbc", r"type info", "the four `sql_…` tables of `information_schema`, and so their types, are not here"),
)  # fmt: skip
