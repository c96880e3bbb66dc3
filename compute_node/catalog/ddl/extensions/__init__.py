"""CREATE, ALTER and DROP EXTENSION: control files and scripts (``compute_node/extensions``) → rows of pg_extension, the
objects that a script makes, and a row of pg_depend (deptype e) for each of them. Source: PostgreSQL manual, 38.17."""
