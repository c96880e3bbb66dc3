"""The catalog: PostgreSQL's system tables, read and written by the same code as users' tables.

Declarations and recorded facts → rows (``bootstrap``) → descriptors (``layer``, ``cache``) → the views of analysis and
planning; ``ddl`` changes them. Next stage: ``compute_node.access``.
"""
