"""A value of SQL and a row of them, as they travel between kernels, storage, executor and wire.

What a datum is depends on its type, which is known at run time alone: the type's ``PgType`` says how the value is read,
compared, stored and shown. So the type checker can say nothing about it, and ``Datum`` is the one place where it says
so; everything around values (tables, snapshots, plans, sessions) has a type that it can hold the code to.
"""

from typing import Any, TypeAlias

Datum: TypeAlias = Any
"""A value of any SQL type in the form that its ``PgType`` declares; NULL is None. PostgreSQL's word."""
Row: TypeAlias = tuple[Datum, ...]
"""Values side by side: a table's row, an index key, a statement's parameters."""
