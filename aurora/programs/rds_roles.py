"""``aurora up --rds-roles``: the roles that Aurora has beside PostgreSQL's, on request, for scripts that name them.

What their members may do is checked where it is done (docs/architecture/aurora-functions.md). None of them can log in.
A role that is there stays as it is, but for its memberships.
"""

from __future__ import annotations

from typing import Final

import psycopg
from psycopg import sql

ROLES: Final = ("rds_superuser", "rds_password", "rds_replication", "rds_iam", "rds_ad")
OF_RDS_SUPERUSER: Final = ("pg_monitor", "pg_signal_backend", "pg_checkpoint", "rds_password", "rds_replication")


def make(dsn: str) -> list[str]:
    """Make those that are not there, all or none; their names. ``dsn`` leads to the writer, as a superuser."""
    made = []
    with psycopg.connect(dsn) as connection:
        there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for name in ROLES:
            if name not in there:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
                made.append(name)
        held = sql.SQL(", ").join(map(sql.Identifier, OF_RDS_SUPERUSER))
        if made:
            connection.execute(sql.SQL("GRANT {} TO rds_superuser WITH ADMIN OPTION").format(held))
    return made
